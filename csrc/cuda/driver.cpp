#include "cuda/driver.h"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include <algorithm>
#include <iterator>

#include "error.h"

namespace e4s::cuda {
namespace {

#ifdef _WIN32
constexpr const char* kLibrary = "nvcuda.dll";
void* open_library() { return reinterpret_cast<void*>(LoadLibraryA(kLibrary)); }
void* find(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}
#else
constexpr const char* kLibrary = "libcuda.so.1";
void* open_library() { return dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL); }
void* find(void* library, const char* name) { return dlsym(library, name); }
#endif

template <typename F>
void bind(F*& function, void* library, const char* name) {
  void* found = find(library, name);
  if (found == nullptr)
    throw BackendError(std::string("device: the CUDA driver has no ") + name +
                       "; install one for CUDA 12 or later");
  function = reinterpret_cast<F*>(found);
}

Driver open_driver() {
  void* library = open_library();
  if (library == nullptr)
    throw BackendError(std::string("device: no CUDA driver was found (") + kLibrary +
                       "); install NVIDIA's driver, or use device='cpu'");
  Driver d{};
  bind(d.init, library, "cuInit");
  bind(d.error_name, library, "cuGetErrorName");
  bind(d.error_string, library, "cuGetErrorString");
  bind(d.device_count, library, "cuDeviceGetCount");
  bind(d.device_get, library, "cuDeviceGet");
  bind(d.device_name, library, "cuDeviceGetName");
  bind(d.device_attribute, library, "cuDeviceGetAttribute");
  bind(d.context_retain, library, "cuDevicePrimaryCtxRetain");
  bind(d.context_release, library, "cuDevicePrimaryCtxRelease_v2");
  bind(d.context_push, library, "cuCtxPushCurrent_v2");
  bind(d.context_pop, library, "cuCtxPopCurrent_v2");
  bind(d.memory_alloc, library, "cuMemAlloc_v2");
  bind(d.memory_free, library, "cuMemFree_v2");
  bind(d.host_alloc, library, "cuMemHostAlloc");
  bind(d.host_free, library, "cuMemFreeHost");
  bind(d.memory_set, library, "cuMemsetD8Async");
  bind(d.copy_in, library, "cuMemcpyHtoDAsync_v2");
  bind(d.copy_out, library, "cuMemcpyDtoHAsync_v2");
  bind(d.copy, library, "cuMemcpyAsync");
  bind(d.pointer_attribute, library, "cuPointerGetAttribute");
  bind(d.module_load, library, "cuModuleLoadData");
  bind(d.module_unload, library, "cuModuleUnload");
  bind(d.module_function, library, "cuModuleGetFunction");
  bind(d.function_attribute, library, "cuFuncSetAttribute");
  bind(d.stream_create, library, "cuStreamCreate");
  bind(d.stream_destroy, library, "cuStreamDestroy_v2");
  bind(d.stream_wait, library, "cuStreamSynchronize");
  bind(d.stream_wait_event, library, "cuStreamWaitEvent");
  bind(d.event_create, library, "cuEventCreate");
  bind(d.event_destroy, library, "cuEventDestroy_v2");
  bind(d.event_record, library, "cuEventRecord");
  bind(d.event_elapsed, library, "cuEventElapsedTime");
  bind(d.graph_create, library, "cuGraphCreate");
  bind(d.graph_destroy, library, "cuGraphDestroy");
  bind(d.graph_add_kernel, library, "cuGraphAddKernelNode");
  bind(d.graph_instantiate, library, "cuGraphInstantiateWithFlags");
  bind(d.graph_exec_destroy, library, "cuGraphExecDestroy");
  bind(d.graph_launch, library, "cuGraphLaunch");
  d.check(d.init(0), "starting the CUDA driver");
  return d;
}

constexpr Result kOutOfMemory = 2;
// CUDA_ERROR_DEINITIALIZED, _ECC_UNCORRECTABLE, _ILLEGAL_ADDRESS, _LAUNCH_TIMEOUT, _CONTEXT_IS_DESTROYED,
// _ASSERT, _HARDWARE_STACK_ERROR, _ILLEGAL_INSTRUCTION, _MISALIGNED_ADDRESS, _INVALID_ADDRESS_SPACE,
// _INVALID_PC, _LAUNCH_FAILED, _UNKNOWN: the driver returns the same error for every call that follows.
constexpr Result kLost[] = {4, 214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999};

}  // namespace

void Driver::check(Result result, const std::string& what) const {
  if (result == 0) return;
  const char *name = nullptr, *text = nullptr;
  error_name(result, &name);
  error_string(result, &text);
  const std::string message = "device: " + what +
                              " failed: " + (name != nullptr ? name : std::to_string(result)) +
                              (text != nullptr ? std::string(" (") + text + ")" : std::string());
  if (result == kOutOfMemory) throw DeviceMemoryError(message);
  if (std::find(std::begin(kLost), std::end(kLost), result) != std::end(kLost))
    throw DeviceLostError(message + "; this process has to start anew to use it");
  throw BackendError(message);
}

int device_of(DevicePointer memory) {
  constexpr int kMemoryType = 2, kOrdinal = 9, kOnDevice = 2;  // CU_POINTER_ATTRIBUTE_*, CU_MEMORYTYPE_DEVICE
  const Driver& d = driver();
  unsigned type = 0;
  int number = -1;
  if (d.pointer_attribute(&type, kMemoryType, memory) != 0 || type != kOnDevice) return -1;
  return d.pointer_attribute(&number, kOrdinal, memory) == 0 ? number : -1;
}

const Driver& driver() {
  static const Driver opened = open_driver();  // if this throws, the next call tries again
  return opened;
}

}  // namespace e4s::cuda
