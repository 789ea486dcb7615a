// Helpers for the row kernels: 16 channels at a time in plain loops that every compiler vectorises.
// All are static: code compiled for one instruction set must never be linked into another's.
#pragma once

#include <cstring>

#include "cpu/kernels.h"

#ifndef E4S_NAMESPACE
#error "compile per instruction set with -DE4S_NAMESPACE=portable|avx2|avx512"
#endif

#if defined(__GNUC__)
#define E4S_INLINE static inline __attribute__((always_inline))
#else
#define E4S_INLINE static inline
#endif

namespace e4s {
namespace E4S_NAMESPACE {

struct Bf16 {
  std::uint16_t bits;
};

E4S_INLINE float widen(float value) { return value; }

E4S_INLINE float widen(Bf16 value) {
  const std::uint32_t bits = static_cast<std::uint32_t>(value.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, 4);
  return wide;
}

E4S_INLINE void narrow(float value, float* out) { *out = value; }

// Round to nearest even; NaN stays NaN as the quiet bit of its upper half is set.
E4S_INLINE void narrow(float value, Bf16* out) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const std::uint32_t chosen = value == value ? rounded : (bits | 0x400000u);
  out->bits = static_cast<std::uint16_t>(chosen >> 16);
}

E4S_INLINE float relu(float value) { return value > 0 ? value : 0; }

}  // namespace E4S_NAMESPACE
}  // namespace e4s

// Calls NAME<float> or NAME<Bf16> by the type at run time.
#define E4S_BY_TYPE(NAME, ARGS)     \
  do {                              \
    if ((ARGS).type == Type::bf16)  \
      NAME<Bf16>(ARGS);             \
    else                            \
      NAME<float>(ARGS);            \
  } while (false)
