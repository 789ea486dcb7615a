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
  int scratch = 0;  // pointers behind the arguments that stay null
};

// Makes a device's context the calling thread's, for as long as it lives.
class Current {
 public:
  explicit Current(Context context);
  // For destructors: where it cannot be, what follows fails on its own.
  Current(Context context, std::nothrow_t) noexcept;
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  bool pushed_ = true;
};

// Memory of a device; freed with the context current.
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

// Memory of the host that a device copies to and from by itself, without a copy of the driver's between.
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

class Device {
 public:
  explicit Device(int number);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  int add_kernel(const KernelSpec& spec);
  int add_weight(const void* values, std::int64_t bytes);
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
  std::mutex mutex_;  // of the lists below
  std::vector<Module> modules_;
  std::vector<Kernel> kernels_;
  std::vector<std::unique_ptr<DeviceMemory>> weights_;
};

// Memory that a slot is copied from or to; null where nothing is copied.
struct Place {
  void* pointer = nullptr;
  bool on_device = false;
};

// Nodes as one executable graph, over an arena and on a stream of its own. One run at a time.
class DeviceGraph {
 public:
  DeviceGraph(std::shared_ptr<Device> device, const GraphSpec& spec);
  ~DeviceGraph();
  DeviceGraph(const DeviceGraph&) = delete;
  DeviceGraph& operator=(const DeviceGraph&) = delete;

  // Copies inputs to their slots, runs, and copies outputs back, all by slot. after: streams whose work so
  // far makes the inputs. Returns when all is done.
  void run(const std::vector<Place>& inputs, const std::vector<Place>& outputs,
           const std::vector<Stream>& after);
  // Milliseconds per run of the graph alone, by the device's own events.
  float time(int runs);
  const std::vector<std::int64_t>& slot_bytes() const { return slots_; }
  std::int64_t bytes() const { return nodes_.bytes; }

 private:
  void build();
  void release();
  void copy_in(std::size_t slot, const Place& from);
  void copy_out(std::size_t slot, const Place& to);
  void wait_for(Stream other);

  std::shared_ptr<Device> device_;
  Nodes nodes_;
  std::vector<std::int64_t> slots_;
  std::unique_ptr<DeviceMemory> arena_;
  std::unique_ptr<HostMemory> staging_;  // of the slots, laid out as at the arena's start
  Stream stream_ = nullptr;
  GraphExec exec_ = nullptr;
  std::mutex mutex_;
};

}  // namespace e4s::cuda
