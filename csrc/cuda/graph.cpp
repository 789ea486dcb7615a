#include "cuda/graph.h"

#include <algorithm>
#include <cstring>

#include "error.h"
#include "parallel.h"

namespace e4s::cuda {
namespace {

constexpr std::size_t kChunk = 256 * 1024;  // bytes of a copy per task
constexpr int kCopiers = 4;                 // threads that saturate a copy within main memory

constexpr int kCapabilityMajor = 75, kCapabilityMinor = 76;  // CUdevice_attribute
constexpr int kMostDynamicShared = 8;                        // CUfunction_attribute
constexpr int kSharedByDefault = 48 * 1024;
constexpr unsigned kNoTiming = 2;     // CUevent_flags
constexpr unsigned kNonBlocking = 1;  // CUstream_flags

// Copies within main memory, by several threads unless another call has them.
void copy_bytes(void* to, const void* from, std::size_t bytes) {
  const std::size_t chunks = (bytes + kChunk - 1) / kChunk;
  if (chunks < 2) {
    std::memcpy(to, from, bytes);
    return;
  }
  const Pool::Lease lease(shared_pool(), kCopiers);
  lease.each(static_cast<std::int64_t>(chunks), [=](std::int64_t task, int) {
    const std::size_t start = static_cast<std::size_t>(task) * kChunk;
    std::memcpy(static_cast<char*>(to) + start, static_cast<const char*>(from) + start,
                std::min(kChunk, bytes - start));
  });
}

}  // namespace

Current::Current(Context context) { driver().check(driver().context_push(context), "choosing the device"); }

Current::Current(Context context, std::nothrow_t) noexcept : pushed_(driver().context_push(context) == 0) {}

Current::~Current() {
  Context popped = nullptr;
  if (pushed_) driver().context_pop(&popped);
}

DeviceMemory::DeviceMemory(Context context, std::int64_t bytes) : context_(context) {
  const Current current(context);
  driver().check(driver().memory_alloc(&data_, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1))),
                 "taking " + std::to_string(bytes) + " bytes of the device's memory");
}

DeviceMemory::~DeviceMemory() {
  const Current current(context_, std::nothrow);
  driver().memory_free(data_);  // a destructor cannot report its status
}

HostMemory::HostMemory(Context context, std::int64_t bytes) : context_(context) {
  const Current current(context);
  driver().check(driver().host_alloc(&data_, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)), 0),
                 "taking " + std::to_string(bytes) + " bytes of locked memory");
}

HostMemory::~HostMemory() {
  const Current current(context_, std::nothrow);
  driver().host_free(data_);
}

std::vector<int> architectures() {
  const Driver& d = driver();
  int count = 0;
  d.check(d.device_count(&count), "counting devices");
  std::vector<int> found;
  for (int number = 0; number < count; ++number) {
    int device = 0, major = 0, minor = 0;
    d.check(d.device_get(&device, number), "opening the device");
    d.check(d.device_attribute(&major, kCapabilityMajor, device), "reading the device's capability");
    d.check(d.device_attribute(&minor, kCapabilityMinor, device), "reading the device's capability");
    found.push_back(major * 10 + minor);
  }
  return found;
}

Device::Device(int number) : number_(number) {
  const Driver& d = driver();
  int count = 0;
  d.check(d.device_count(&count), "counting devices");
  if (number < 0 || number >= count)
    throw BackendError("device: cuda:" + std::to_string(number) + " does not exist, this machine has " +
                       std::to_string(count) + " CUDA devices");
  d.check(d.device_get(&device_, number), "opening the device");
  char name[256] = {};
  d.check(d.device_name(name, sizeof name - 1, device_), "reading the device's name");
  name_ = name;
  int major = 0, minor = 0;
  d.check(d.device_attribute(&major, kCapabilityMajor, device_), "reading the device's capability");
  d.check(d.device_attribute(&minor, kCapabilityMinor, device_), "reading the device's capability");
  arch_ = major * 10 + minor;
  d.check(d.context_retain(&context_, device_), "opening the device");
}

Device::~Device() {
  const Driver& d = driver();
  weights_.clear();
  {
    const Current current(context_, std::nothrow);
    for (Module module : modules_) d.module_unload(module);
  }
  d.context_release(device_);
}

int Device::add_kernel(const KernelSpec& spec) {
  const Driver& d = driver();
  const Current current(context_);
  const std::lock_guard<std::mutex> lock(mutex_);
  Module module = nullptr;
  d.check(d.module_load(&module, spec.cubin.data()), "loading kernel " + spec.entry);
  modules_.push_back(module);
  Kernel kernel{nullptr, spec.shared, spec.warps, spec.scratch};
  d.check(d.module_function(&kernel.function, module, spec.entry.c_str()), "finding kernel " + spec.entry);
  if (spec.shared > kSharedByDefault)
    d.check(d.function_attribute(kernel.function, kMostDynamicShared, spec.shared),
            "giving kernel " + spec.entry + " its shared memory");
  kernels_.push_back(kernel);
  return static_cast<int>(kernels_.size()) - 1;
}

int Device::add_weight(const void* values, std::int64_t bytes) {
  const Driver& d = driver();
  auto memory = std::make_unique<DeviceMemory>(context_, bytes);
  const Current current(context_);
  d.check(d.copy_in(memory->data(), values, static_cast<std::size_t>(bytes), nullptr), "copying weights");
  d.check(d.stream_wait(nullptr), "copying weights");
  const std::lock_guard<std::mutex> lock(mutex_);
  weights_.push_back(std::move(memory));
  return static_cast<int>(weights_.size()) - 1;
}

void Device::read(void* out, DevicePointer from, std::int64_t bytes) const {
  const Driver& d = driver();
  const Current current(context_);
  d.check(d.copy_out(out, from, static_cast<std::size_t>(bytes), nullptr), "copying an array");
  d.check(d.stream_wait(nullptr), "copying an array");
}

DeviceGraph::DeviceGraph(std::shared_ptr<Device> device, const GraphSpec& spec)
    : device_(std::move(device)), slots_(spec.slots) {
  {
    const std::lock_guard<std::mutex> lock(device_->mutex_);
    nodes_ =
        lay_out(spec, static_cast<int>(device_->kernels_.size()), static_cast<int>(device_->weights_.size()));
  }
  arena_ = std::make_unique<DeviceMemory>(device_->context_, nodes_.bytes);
  std::int64_t staged = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) staged = std::max(staged, nodes_.slots[i] + slots_[i]);
  staging_ = std::make_unique<HostMemory>(device_->context_, staged);
  const Current current(device_->context_);
  driver().check(driver().stream_create(&stream_, kNonBlocking), "making a stream");
  try {
    // Zeros are valid labels and numbers, whichever kernel of the graph runs alone.
    driver().check(driver().memory_set(arena_->data(), 0, static_cast<std::size_t>(nodes_.bytes), stream_),
                   "clearing memory");
    build();
  } catch (...) {
    release();
    throw;
  }
}

void DeviceGraph::build() {
  const Driver& d = driver();
  Graph graph = nullptr;
  d.check(d.graph_create(&graph, 0), "making a graph");
  const auto guard = std::unique_ptr<GraphTag, Result (*)(Graph)>(graph, d.graph_destroy);
  const std::lock_guard<std::mutex> lock(device_->mutex_);
  std::vector<GraphNode> made;
  for (const Node& node : nodes_.nodes) {
    const Device::Kernel& kernel = device_->kernels_[static_cast<std::size_t>(node.kernel)];
    // The driver copies the values now. A number occupies the lower half of its eight bytes.
    std::vector<std::uint64_t> values;
    for (const Argument& a : node.arguments) {
      const auto value = static_cast<std::uint64_t>(a.value);
      if (a.space == Space::block)
        values.push_back(arena_->data() + value);
      else if (a.space == Space::weight)
        values.push_back(device_->weights_[static_cast<std::size_t>(a.weight)]->data() + value);
      else
        values.push_back(value);
    }
    values.resize(values.size() + static_cast<std::size_t>(kernel.scratch), 0);
    std::vector<void*> parameters;
    for (std::uint64_t& value : values) parameters.push_back(&value);
    std::vector<GraphNode> dependencies;
    for (const int before : node.dependencies) dependencies.push_back(made[static_cast<std::size_t>(before)]);
    const KernelNodeParams params{kernel.function,
                                  node.grid[0],
                                  node.grid[1],
                                  node.grid[2],
                                  static_cast<unsigned>(kernel.warps) * 32,
                                  1,
                                  1,
                                  static_cast<unsigned>(kernel.shared),
                                  parameters.data(),
                                  nullptr};
    GraphNode added = nullptr;
    d.check(d.graph_add_kernel(&added, graph, dependencies.data(), dependencies.size(), &params),
            "adding a kernel to a graph");
    made.push_back(added);
  }
  d.check(d.graph_instantiate(&exec_, graph, 0), "instantiating a graph");
}

void DeviceGraph::release() {
  if (exec_ != nullptr) driver().graph_exec_destroy(exec_);
  if (stream_ != nullptr) driver().stream_destroy(stream_);
  exec_ = nullptr, stream_ = nullptr;
}

DeviceGraph::~DeviceGraph() {
  const Current current(device_->context_, std::nothrow);
  if (stream_ != nullptr) driver().stream_wait(stream_);
  release();
}

void DeviceGraph::copy_in(std::size_t slot, const Places& from) {
  const Driver& d = driver();
  const auto size = static_cast<std::size_t>(slots_[slot]) / std::max<std::size_t>(from.size(), 1);
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto start = static_cast<std::size_t>(nodes_.slots[slot]) + i * size;
    if (from[i].on_device) {
      const auto source = reinterpret_cast<DevicePointer>(from[i].pointer);
      d.check(d.copy(arena_->data() + start, source, size, stream_), "copying an input");
      continue;
    }
    // The device fetches one share while the next one is being staged.
    copy_bytes(staging_->data() + start, from[i].pointer, size);
    d.check(d.copy_in(arena_->data() + start, staging_->data() + start, size, stream_), "copying an input");
  }
}

void DeviceGraph::copy_out(std::size_t slot, const Places& to) {
  const Driver& d = driver();
  const auto size = static_cast<std::size_t>(slots_[slot]) / std::max<std::size_t>(to.size(), 1);
  for (std::size_t i = 0; i < to.size(); ++i) {
    const auto start = static_cast<std::size_t>(nodes_.slots[slot]) + i * size;
    if (to[i].on_device) {
      const auto target = reinterpret_cast<DevicePointer>(to[i].pointer);
      d.check(d.copy(target, arena_->data() + start, size, stream_), "copying an output");
    } else {
      d.check(d.copy_out(staging_->data() + start, arena_->data() + start, size, stream_),
              "copying an output");
    }
  }
}

void DeviceGraph::unstage(std::size_t slot, const Places& to) const {
  const auto size = static_cast<std::size_t>(slots_[slot]) / std::max<std::size_t>(to.size(), 1);
  for (std::size_t i = 0; i < to.size(); ++i)
    if (!to[i].on_device) copy_bytes(to[i].pointer, staging_->data() + nodes_.slots[slot] + i * size, size);
}

void DeviceGraph::wait_for(Stream other) {
  const Driver& d = driver();
  Event event = nullptr;
  d.check(d.event_create(&event, kNoTiming), "making an event");
  const auto guard = std::unique_ptr<EventTag, Result (*)(Event)>(event, d.event_destroy);
  d.check(d.event_record(event, other), "recording an event");
  d.check(d.stream_wait_event(stream_, event, 0), "waiting for another stream");
}

void DeviceGraph::run(const std::vector<Places>& inputs, const std::vector<Places>& outputs,
                      const std::vector<Stream>& after) {
  const Driver& d = driver();
  const std::lock_guard<std::mutex> lock(mutex_);
  const Current current(device_->context_);
  try {
    for (const Stream other : after) wait_for(other);
    for (std::size_t i = 0; i < inputs.size(); ++i) copy_in(i, inputs[i]);
    d.check(d.graph_launch(exec_, stream_), "launching a graph");
    for (std::size_t i = 0; i < outputs.size(); ++i) copy_out(i, outputs[i]);
  } catch (...) {
    d.stream_wait(stream_);  // work in flight still uses the staging memory
    throw;
  }
  d.check(d.stream_wait(stream_), "running a graph");
  for (std::size_t i = 0; i < outputs.size(); ++i) unstage(i, outputs[i]);
}

float DeviceGraph::time(int runs) {
  const Driver& d = driver();
  const std::lock_guard<std::mutex> lock(mutex_);
  const Current current(device_->context_);
  Event first = nullptr, last = nullptr;
  d.check(d.event_create(&first, 0), "making an event");
  const auto first_guard = std::unique_ptr<EventTag, Result (*)(Event)>(first, d.event_destroy);
  d.check(d.event_create(&last, 0), "making an event");
  const auto last_guard = std::unique_ptr<EventTag, Result (*)(Event)>(last, d.event_destroy);
  d.check(d.event_record(first, stream_), "recording an event");
  for (int i = 0; i < runs; ++i) d.check(d.graph_launch(exec_, stream_), "launching a graph");
  d.check(d.event_record(last, stream_), "recording an event");
  d.check(d.stream_wait(stream_), "running a graph");
  float milliseconds = 0;
  d.check(d.event_elapsed(&milliseconds, first, last), "reading events");
  return milliseconds / static_cast<float>(std::max(runs, 1));
}

}  // namespace e4s::cuda
