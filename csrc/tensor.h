// The kernels' tensors: plain pointers and strides.
#pragma once

#include <cstddef>
#include <cstdint>

namespace e4s {

enum class Type : std::uint8_t { f32, bf16, u8 };

// Returns the bytes of an element.
static inline std::int64_t size_of(Type type) { return type == Type::f32 ? 4 : type == Type::bf16 ? 2 : 1; }

// A tensor [N,H,W,C] in memory. `data` is pixel (0, 0) of sample 0; strides are in elements. Feature maps
// have a border of `halo` zero pixels around every sample, so that convolutions need no border cases.
struct Map {
  std::byte* data = nullptr;
  int n = 0, h = 0, w = 0, c = 0;
  std::int64_t pixel = 0, row = 0, image = 0;
  int halo = 0;
  Type type = Type::f32;

  // Returns the address of a pixel; y and x may lie in the halo.
  std::byte* at(std::int64_t sample, std::int64_t y, std::int64_t x) const {
    return data + (sample * image + y * row + x * pixel) * size_of(type);
  }
};

}  // namespace e4s
