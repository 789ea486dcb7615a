// A fake CUDA driver for tests: memory is the host's, kernels do nothing, and calls and objects are counted.
// Named libcuda.so.1 and loaded first, it is the driver that the extension finds.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;

// Counts of live objects and of calls.
_Atomic long fake_memory, fake_bytes, fake_locked, fake_modules, fake_streams, fake_graphs, fake_execs,
    fake_contexts;
_Atomic long fake_launches, fake_nodes, fake_copies, fake_waits, fake_wrong;
long fake_limit;  // in bytes; 0: no limit
// The call of this name fails with this code after `failing_after` calls; from then on if `failing_forever`.
static char failing[64];
static int failing_code, failing_after, failing_forever;

void fake_fail(const char* name, int code, int after, int forever) {
  snprintf(failing, sizeof failing, "%s", name);
  failing_code = code, failing_after = after, failing_forever = forever;
}

static Result fails(const char* name) {
  if (failing_code == 0 || strcmp(name, failing) != 0) return 0;
  if (failing_after > 0) return failing_after--, 0;
  const Result code = failing_code;
  if (!failing_forever) failing_code = 0;
  return code;
}

static Result add(_Atomic long* counter, long change) {
  *counter += change;
  return 0;
}

#define MAY_FAIL                           \
  do {                                     \
    const Result failed = fails(__func__); \
    if (failed != 0) return failed;        \
  } while (0)

struct Graph {
  long nodes;
};

Result cuInit(unsigned flags) { return (void)flags, 0; }
Result cuGetErrorName(Result code, const char** name) {
  *name = code == 2     ? "CUDA_ERROR_OUT_OF_MEMORY"
          : code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                        : "CUDA_ERROR_OTHER";
  return 0;
}
Result cuGetErrorString(Result code, const char** text) { return (void)code, *text = "so it was told", 0; }
Result cuDeviceGetCount(int* count) { return *count = 1, 0; }
Result cuDeviceGet(int* device, int number) { return *device = number, 0; }
Result cuDeviceGetName(char* name, int size, int device) {
  return (void)device, snprintf(name, (size_t)size, "a card of paper"), 0;
}
Result cuDeviceGetAttribute(int* value, int attribute, int device) {
  return (void)device, *value = attribute == 75 ? 9 : 0, 0;
}
Result cuDevicePrimaryCtxRetain(void** context, int device) {
  return (void)device, *context = &fake_contexts, add(&fake_contexts, 1);
}
Result cuDevicePrimaryCtxRelease_v2(int device) { return (void)device, add(&fake_contexts, -1); }

static _Thread_local int depth;
Result cuCtxPushCurrent_v2(void* context) { return (void)context, ++depth, 0; }
Result cuCtxPopCurrent_v2(void** context) { return *context = NULL, add(&fake_wrong, --depth < 0); }

// Every block stores its size and has guards around it.
enum { kGuard = 64 };
Result cuMemAlloc_v2(uint64_t* out, size_t bytes) {
  MAY_FAIL;
  fake_wrong += depth < 1;
  if (fake_limit > 0 && fake_bytes + (long)bytes > fake_limit) return 2;
  char* block = malloc(bytes + 2 * kGuard);
  memset(block, 0x5a, bytes + 2 * kGuard);
  memcpy(block, &bytes, sizeof bytes);
  *out = (uint64_t)(uintptr_t)(block + kGuard);
  add(&fake_bytes, (long)bytes);
  return add(&fake_memory, 1);
}
Result cuMemFree_v2(uint64_t pointer) {
  if (pointer == 0) return add(&fake_wrong, 1), 1;
  char* block = (char*)(uintptr_t)pointer - kGuard;
  size_t bytes;
  memcpy(&bytes, block, sizeof bytes);
  for (int i = 0; i < kGuard; ++i) fake_wrong += block[kGuard + bytes + (size_t)i] != 0x5a;
  free(block);
  add(&fake_bytes, -(long)bytes);
  return add(&fake_memory, -1);
}
Result cuMemHostAlloc(void** out, size_t bytes, unsigned flags) {
  (void)flags;
  MAY_FAIL;
  return *out = malloc(bytes), add(&fake_locked, 1);
}
Result cuMemFreeHost(void* pointer) { return free(pointer), add(&fake_locked, -1); }
Result cuMemsetD8Async(uint64_t pointer, unsigned char value, size_t bytes, void* stream) {
  return (void)stream, memset((void*)(uintptr_t)pointer, value, bytes), 0;
}
long fake_ordinal = 0;  // ordinal of the device that all memory lies on
Result cuPointerGetAttribute(void* out, int attribute, uint64_t pointer) {
  return (void)pointer, *(int*)out = attribute == 2 ? 2 : (int)fake_ordinal, 0;
}
Result cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
  (void)stream;
  MAY_FAIL;
  return memcpy((void*)(uintptr_t)to, from, bytes), add(&fake_copies, 1);
}
Result cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
  (void)stream;
  MAY_FAIL;
  return memcpy(to, (const void*)(uintptr_t)from, bytes), add(&fake_copies, 1);
}
Result cuMemcpyAsync(uint64_t to, uint64_t from, size_t bytes, void* stream) {
  (void)stream;
  MAY_FAIL;
  memcpy((void*)(uintptr_t)to, (const void*)(uintptr_t)from, bytes);
  return add(&fake_copies, 1);
}
Result cuModuleLoadData(void** module, const void* image) {
  MAY_FAIL;
  fake_wrong += image == NULL;
  return *module = malloc(1), add(&fake_modules, 1);
}
Result cuModuleUnload(void* module) { return free(module), add(&fake_modules, -1); }
Result cuModuleGetFunction(void** function, void* module, const char* name) {
  fake_wrong += name[0] == 0;
  return *function = module, 0;
}
Result cuFuncSetAttribute(void* function, int attribute, int value) {
  return (void)function, (void)attribute, (void)value, 0;
}
Result cuStreamCreate(void** stream, unsigned flags) {
  (void)flags;
  MAY_FAIL;
  return *stream = malloc(1), add(&fake_streams, 1);
}
Result cuStreamDestroy_v2(void* stream) { return free(stream), add(&fake_streams, -1); }
Result cuStreamSynchronize(void* stream) {
  (void)stream;
  MAY_FAIL;
  return 0;
}
Result cuStreamWaitEvent(void* stream, void* event, unsigned flags) {
  (void)flags;
  MAY_FAIL;
  fake_wrong += stream == NULL || event == NULL;
  return add(&fake_waits, 1);
}
Result cuEventCreate(void** event, unsigned flags) { return (void)flags, *event = malloc(1), 0; }
Result cuEventDestroy_v2(void* event) { return free(event), 0; }
Result cuEventRecord(void* event, void* stream) { return (void)event, (void)stream, 0; }
Result cuEventElapsedTime(float* milliseconds, void* first, void* last) {
  return (void)first, (void)last, *milliseconds = 6, 0;
}
Result cuGraphCreate(void** graph, unsigned flags) {
  (void)flags;
  return *graph = calloc(1, sizeof(struct Graph)), add(&fake_graphs, 1);
}
Result cuGraphDestroy(void* graph) { return free(graph), add(&fake_graphs, -1); }

struct KernelNodeParams {
  void* function;
  unsigned grid[3], block[3], shared;
  void** parameters;
  void** extra;
};

Result cuGraphAddKernelNode(void** node, void* graph, void* const* before, size_t count,
                            const struct KernelNodeParams* params) {
  MAY_FAIL;
  for (size_t i = 0; i < count; ++i)
    fake_wrong += (uintptr_t)before[i] > (uintptr_t)((struct Graph*)graph)->nodes || before[i] == NULL;
  fake_wrong += params->function == NULL || params->parameters == NULL || params->block[0] % 32 != 0;
  for (int i = 0; i < 3; ++i) fake_wrong += params->grid[i] == 0;
  *node = (void*)(uintptr_t)++((struct Graph*)graph)->nodes;
  return add(&fake_nodes, 1);
}
Result cuGraphInstantiateWithFlags(void** exec, void* graph, unsigned long long flags) {
  (void)graph, (void)flags;
  MAY_FAIL;
  return *exec = malloc(1), add(&fake_execs, 1);
}
Result cuGraphExecDestroy(void* exec) { return free(exec), add(&fake_execs, -1); }
Result cuGraphLaunch(void* exec, void* stream) {
  fake_wrong += exec == NULL || stream == NULL;
  MAY_FAIL;
  return add(&fake_launches, 1);
}
