// Convolution tiles in AVX-512 with AVX512_BF16: bf16 tiles use VDPBF16PS, a word is two channels, sums are
// float.
#include <cstring>

#include "cpu/conv_avx512.h"

namespace e4s {
namespace avx512_bf16 {
namespace {

struct Pair : Float {
  static Sum splat(const float* p) {  // a pair may start at any channel
    float pair;
    std::memcpy(&pair, p, sizeof(pair));
    return _mm512_set1_ps(pair);
  }
  static Sum fma(Sum x, Sum w, Sum sum) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(w));
  }
};

constexpr ConvTileFn kPairs[kGroup + 1] = {nullptr, conv_tile<Pair, 12, 1, 1>, conv_tile<Pair, 12, 2, 1>,
                                           conv_tile<Pair, 8, 3, 1>, conv_tile<Pair, 6, 4, 1>};

}  // namespace

const int conv_pixels[kGroup + 1] = {0, 12, 12, 8, 6};
const ConvTileFn conv_f32[kGroup + 1] = {nullptr, conv_tile<Float, 12, 1, 1>, conv_tile<Float, 12, 2, 1>,
                                         conv_tile<Float, 8, 3, 1>, conv_tile<Float, 6, 4, 1>};
const ConvTileFn* const conv_bf16 = kPairs;

}  // namespace avx512_bf16
}  // namespace e4s
