// Vectors of 16 floats, shared by both AVX-512 sets.
#pragma once

#include <immintrin.h>

#include "cpu/conv_tile.h"

namespace e4s {
namespace {

struct Float {
  using Sum = __m512;
  static Sum load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Sum v) { _mm512_storeu_ps(p, v); }
  static Sum zero() { return _mm512_setzero_ps(); }
  static Sum splat(const float* p) { return _mm512_set1_ps(*p); }
  static Sum fma(Sum x, Sum w, Sum sum) { return _mm512_fmadd_ps(x, w, sum); }
};

}  // namespace
}  // namespace e4s
