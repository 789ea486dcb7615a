// Convolution tiles in AVX-512 with VDPBF16PS: a word is two bf16 channels, sums are float.
#include <immintrin.h>

#include "cpu/conv_tile.h"

namespace e4s {
namespace avx512 {
namespace {

struct Pair {
  using Sum = __m512;
  static Sum load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Sum v) { _mm512_storeu_ps(p, v); }
  static Sum zero() { return _mm512_setzero_ps(); }
  static Sum splat(const float* p) { return _mm512_set1_ps(*p); }
  static Sum fma(Sum x, Sum w, Sum sum) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(w));
  }
};

}  // namespace

const ConvTileFn conv_bf16[kGroup + 1] = {nullptr, conv_tile<Pair, 12, 1, 1>, conv_tile<Pair, 12, 2, 1>,
                                          conv_tile<Pair, 8, 3, 1>, conv_tile<Pair, 6, 4, 1>};

}  // namespace avx512
}  // namespace e4s
