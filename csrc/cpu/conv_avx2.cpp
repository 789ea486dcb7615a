// Convolution tiles in AVX2 with FMA: 6 pixels x 16 channels in twelve of the sixteen registers.
#include <immintrin.h>

#include "cpu/conv_tile.h"

namespace e4s {
namespace avx2 {
namespace {

struct Float {
  using Sum = __m256;
  static Sum load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Sum v) { _mm256_storeu_ps(p, v); }
  static Sum zero() { return _mm256_setzero_ps(); }
  static Sum splat(const float* p) { return _mm256_broadcast_ss(p); }
  static Sum fma(Sum x, Sum w, Sum sum) { return _mm256_fmadd_ps(x, w, sum); }
};

}  // namespace

const int conv_pixels[kGroup + 1] = {0, 6, 6, 6, 6};
const ConvTileFn conv_f32[kGroup + 1] = {nullptr, conv_tile<Float, 6, 2, 1>, conv_tile<Float, 6, 2, 2>,
                                         conv_tile<Float, 6, 2, 3>, conv_tile<Float, 6, 2, 4>};
const ConvTileFn* const conv_bf16 = nullptr;

}  // namespace avx2
}  // namespace e4s
