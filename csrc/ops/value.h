// Access to single values of a map, where speed does not matter.
#pragma once

#include <cstring>

#include "tensor.h"

namespace e4s {

// Returns m[n, y, x, c] as a float.
static inline float value_at(const Map& m, std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t c) {
  const std::byte* source = m.at(n, y, x) + c * size_of(m.type);
  std::uint32_t bits = 0;
  if (m.type == Type::bf16) {
    std::uint16_t upper;
    std::memcpy(&upper, source, 2);
    bits = static_cast<std::uint32_t>(upper) << 16;
  } else {
    std::memcpy(&bits, source, 4);
  }
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// Stores m[n, y, x, c], rounded to the map's type.
static inline void set_value(const Map& m, std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t c,
                             float value) {
  std::byte* target = m.at(n, y, x) + c * size_of(m.type);
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (m.type == Type::bf16) {
    const auto upper = static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    std::memcpy(target, &upper, 2);
  } else {
    std::memcpy(target, &bits, 4);
  }
}

}  // namespace e4s
