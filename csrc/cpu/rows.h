// Helpers for the row kernels: vectors of 16 channels, stored as float or bf16, which GCC and Clang lower to
// the instruction set. Everything is static: code compiled for one instruction set must never be linked into
// another's.
#pragma once

#include <cmath>
#include <cstring>

#include "cpu/kernels.h"

#ifndef E4S_NAMESPACE
#error "compile per instruction set with -DE4S_NAMESPACE=portable|avx2|avx512"
#endif

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#define E4S_INLINE static inline __attribute__((always_inline))

namespace e4s {
namespace E4S_NAMESPACE {

struct Bf16 {
  std::uint16_t bits;
};

using Vec = float __attribute__((vector_size(64)));
using Words = std::uint32_t __attribute__((vector_size(64)));
using Halves = std::uint16_t __attribute__((vector_size(32)));

E4S_INLINE Vec splat(float value) { return value - Vec{}; }

E4S_INLINE Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

E4S_INLINE Vec load(const Bf16* p) {
  Halves halves;
  std::memcpy(&halves, p, sizeof(halves));
  return reinterpret_cast<Vec>(__builtin_convertvector(halves, Words) << 16);
}

E4S_INLINE void store(float* p, Vec v) { std::memcpy(p, &v, sizeof(v)); }

// Stores bf16, rounded to nearest even; NaN stays NaN.
E4S_INLINE void store(Bf16* p, Vec v) {
#if defined(__AVX512BF16__)
  const __m256bh halves = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
#else
  const Words bits = reinterpret_cast<Words>(v);
  const Words rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const Words chosen = v == v ? rounded : (bits | 0x400000u);
  const Halves halves = __builtin_convertvector(chosen >> 16, Halves);
#endif
  std::memcpy(p, &halves, sizeof(halves));
}

E4S_INLINE Vec relu(Vec v) { return v > 0 ? v : Vec{}; }
E4S_INLINE Vec leaky(Vec v, Vec slope) { return v > 0 ? v : v * slope; }
E4S_INLINE Vec greater(Vec a, Vec b) { return a > b ? a : b; }

// Returns the sum of all lanes, added as a tree.
E4S_INLINE float total(Vec v) {
  using Eight = float __attribute__((vector_size(32)));
  using Four = float __attribute__((vector_size(16)));
  Eight low8, high8;
  std::memcpy(&low8, &v, 32);
  std::memcpy(&high8, reinterpret_cast<const char*>(&v) + 32, 32);
  const Eight eight = low8 + high8;
  Four low4, high4;
  std::memcpy(&low4, &eight, 16);
  std::memcpy(&high4, reinterpret_cast<const char*>(&eight) + 16, 16);
  const Four four = low4 + high4;
  return (four[0] + four[2]) + (four[1] + four[3]);
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s

// Calls NAME<float> or NAME<Bf16> by the type at run time.
#define E4S_BY_TYPE(NAME, ARGS)    \
  do {                             \
    if ((ARGS).type == Type::bf16) \
      NAME<Bf16>(ARGS);            \
    else                           \
      NAME<float>(ARGS);           \
  } while (false)
