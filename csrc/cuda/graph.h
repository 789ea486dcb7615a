// A device with its kernels and weights, and CUDA graphs over them.
#pragma once

#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "cuda/driver.h"
#include "cuda/nodes.h"

namespace e4s::cuda {

// A compiled kernel, as its manifest describes it.
struct KernelSpec {
  std::string entry;
  std::string cubin;
  int shared = 0, warps = 4;
  int scratch = 0;  // number of null pointers appended to the arguments
};

// Makes a device's context current on the calling thread while in scope.
class Current {
 public:
  explicit Current(Context context);
  // For destructors: if this fails, the calls that follow fail by themselves.
  Current(Context context, std::nothrow_t) noexcept;
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  bool pushed_ = true;
};

// Device memory; freed with its context current.
class DeviceMemory {
 public:
  DeviceMemory(Context context, std::int64_t bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  DevicePointer data() const { return data_; }

 private:
  Context context_;
  DevicePointer data_ = 0;
};

// Pinned host memory, which a device copies to and from directly, without an intermediate copy by the driver.
class HostMemory {
 public:
  HostMemory(Context context, std::int64_t bytes);
  ~HostMemory();
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;
  char* data() const { return static_cast<char*>(data_); }

 private:
  Context context_;
  void* data_ = nullptr;
};

// Returns the compute capability of every device (90 for 9.0), by number. Throws BackendError without a
// driver.
std::vector<int> architectures();

// A device with its loaded kernels and weights, by number.
class Device {
 public:
  explicit Device(int number);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // Loads a kernel, or copies weights to the device; returns its number.
  int add_kernel(const KernelSpec& spec);
  int add_weight(const void* values, std::int64_t bytes);
  // Copies device memory to the host.
  void read(void* out, DevicePointer from, std::int64_t bytes) const;
  const std::string& name() const { return name_; }
  int arch() const { return arch_; }
  int number() const { return number_; }
  Context context() const { return context_; }

 private:
  friend class DeviceGraph;
  struct Kernel {
    Function function;
    int shared, warps, scratch;
  };

  int number_ = 0, device_ = 0, arch_ = 0;
  std::string name_;
  Context context_ = nullptr;
  std::mutex mutex_;  // guards the lists below
  std::vector<Module> modules_;
  std::vector<Kernel> kernels_;
  std::vector<std::unique_ptr<DeviceMemory>> weights_;
};

// Memory that a slot, or an equal share of it, is copied from or to.
struct Place {
  void* pointer = nullptr;
  bool on_device = false;
};

// The places of a slot's shares, in order; none: no copy.
using Places = std::vector<Place>;

// An executable graph with its own arena and stream. One run at a time.
class DeviceGraph {
 public:
  DeviceGraph(std::shared_ptr<Device> device, const GraphSpec& spec);
  ~DeviceGraph();
  DeviceGraph(const DeviceGraph&) = delete;
  DeviceGraph& operator=(const DeviceGraph&) = delete;

  // Copies inputs to their slots, runs the graph, copies outputs back and waits for completion. inputs,
  // outputs: places by slot. after: streams whose work so far produces the inputs.
  void run(const std::vector<Places>& inputs, const std::vector<Places>& outputs,
           const std::vector<Stream>& after);
  // Returns milliseconds per run of the graph alone, by the device's events.
  float time(int runs);
  const std::vector<std::int64_t>& slot_bytes() const { return slots_; }
  std::int64_t bytes() const { return nodes_.bytes; }

 private:
  void build();
  void release();
  void copy_in(std::size_t slot, const Places& from);
  void copy_out(std::size_t slot, const Places& to);
  void unstage(std::size_t slot, const Places& to) const;
  void wait_for(Stream other);

  std::shared_ptr<Device> device_;
  Nodes nodes_;
  std::vector<std::int64_t> slots_;
  std::unique_ptr<DeviceMemory> arena_;
  std::unique_ptr<HostMemory> staging_;  // copies of the slots, laid out as at the arena's start
  Stream stream_ = nullptr;
  GraphExec exec_ = nullptr;
  std::mutex mutex_;
};

}  // namespace e4s::cuda
