// Arrays on a device, shared with other libraries by DLPack and __cuda_array_interface__.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/graph.h"

namespace e4s {

// A uint8 array on a device, which outlives the call that created it.
struct DeviceArray {
  DeviceArray(std::shared_ptr<cuda::Device> owner, std::vector<std::int64_t> sides, std::int64_t size)
      : device(std::move(owner)),
        memory(device->context(), size),
        shape(std::move(sides)),
        bytes(size),
        number(device->number()) {}
  // Copies all bytes to host memory.
  void read(void* out) const { device->read(out, memory.data(), bytes); }

  std::shared_ptr<cuda::Device> device;
  cuda::DeviceMemory memory;
  std::vector<std::int64_t> shape;
  std::int64_t bytes;
  int number;
};

}  // namespace e4s

// Adds CudaArray and dlpack_seen to the module.
void bind_arrays(pybind11::module_& m);
