// Helpers for the row kernels: vectors of 16 channels, stored as float or bf16. GCC and Clang lower their
// vector types to the instruction set; other compilers get plain loops. Everything is static: code compiled
// for one instruction set must never be linked into another's.
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

#if defined(__GNUC__) && !defined(E4S_PLAIN_VECTORS)
#define E4S_VECTORS 1

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

#else

struct Vec {
  float lane[kLanes];
  float& operator[](int i) { return lane[i]; }
  float operator[](int i) const { return lane[i]; }
};

#define E4S_LANEWISE(HEAD, VALUE)                       \
  E4S_INLINE Vec HEAD {                                 \
    Vec r;                                              \
    for (int i = 0; i < kLanes; ++i) r.lane[i] = VALUE; \
    return r;                                           \
  }

E4S_INLINE float widen(Bf16 value) {
  const std::uint32_t bits = static_cast<std::uint32_t>(value.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, 4);
  return wide;
}

E4S_LANEWISE(splat(float value), value)
E4S_LANEWISE(load(const float* p), p[i])
E4S_LANEWISE(load(const Bf16* p), widen(p[i]))
E4S_LANEWISE(operator+(Vec a, Vec b), a[i] + b[i])
E4S_LANEWISE(operator-(Vec a, Vec b), a[i] - b[i])
E4S_LANEWISE(operator*(Vec a, Vec b), a[i] * b[i])
E4S_LANEWISE(relu(Vec v), v[i] > 0 ? v[i] : 0)
E4S_LANEWISE(leaky(Vec v, Vec slope), v[i] > 0 ? v[i] : v[i] * slope[i])
E4S_LANEWISE(greater(Vec a, Vec b), a[i] > b[i] ? a[i] : b[i])
E4S_INLINE Vec& operator+=(Vec& a, Vec b) { return a = a + b; }
E4S_INLINE Vec& operator*=(Vec& a, Vec b) { return a = a * b; }

E4S_INLINE void store(float* p, Vec v) {
  for (int i = 0; i < kLanes; ++i) p[i] = v[i];
}

E4S_INLINE void store(Bf16* p, Vec v) {
  for (int i = 0; i < kLanes; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, &v.lane[i], 4);
    const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    p[i].bits = static_cast<std::uint16_t>((v[i] == v[i] ? rounded : (bits | 0x400000u)) >> 16);
  }
}

#endif

// Returns the sum of all lanes, added as a tree.
E4S_INLINE float total(Vec v) {
#if defined(E4S_VECTORS)
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
#else
  float sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
#endif
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
