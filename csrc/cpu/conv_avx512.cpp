// Convolution tiles in AVX-512: 6 x 64, 8 x 48 or 12 x 32 sums in registers.
#include <immintrin.h>

#include "cpu/conv_tile.h"

namespace e4s {
namespace avx512 {
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

const int conv_pixels[kGroup + 1] = {0, 12, 12, 8, 6};
const ConvTileFn conv_f32[kGroup + 1] = {nullptr, conv_tile<Float, 12, 1, 1>, conv_tile<Float, 12, 2, 1>,
                                         conv_tile<Float, 8, 3, 1>, conv_tile<Float, 6, 4, 1>};

}  // namespace avx512
}  // namespace e4s
