// DLPack's structures for exchanging arrays between libraries (version 0, which every library reads).
#pragma once

#include <cstdint>

namespace e4s::dlpack {

constexpr std::int32_t kCuda = 2;
constexpr std::uint8_t kUnsigned = 1;

struct Device {
  std::int32_t type, id;
};

struct DataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; null where the array is dense
  std::uint64_t byte_offset;
};

struct ManagedTensor {
  Tensor tensor;
  void* context;
  void (*deleter)(ManagedTensor*);
};

}  // namespace e4s::dlpack
