// Convolution tiles in AVX-512: 6 x 64, 8 x 48 or 12 x 32 sums in registers.
#include "cpu/conv_avx512.h"

namespace e4s {
namespace avx512 {

const int conv_pixels[kGroup + 1] = {0, 12, 12, 8, 6};
const ConvTileFn conv_f32[kGroup + 1] = {nullptr, conv_tile<Float, 12, 1, 1>, conv_tile<Float, 12, 2, 1>,
                                         conv_tile<Float, 8, 3, 1>, conv_tile<Float, 6, 4, 1>};
const ConvTileFn* const conv_bf16 = nullptr;

}  // namespace avx512
}  // namespace e4s
