// Convolution tiles in plain C++: 2 pixels x 16 channels, which fit the sixteen 128-bit registers of x86-64
// and the thirty-two of arm64.
#include "cpu/conv_tile.h"

namespace e4s {
namespace portable {
namespace {

struct Float {
  struct Sum {
    float lane[4];
  };
  static Sum load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
  static void store(float* p, Sum v) {
    for (int i = 0; i < 4; ++i) p[i] = v.lane[i];
  }
  static Sum zero() { return {{0, 0, 0, 0}}; }
  static Sum splat(const float* p) { return {{*p, *p, *p, *p}}; }
  static Sum fma(Sum x, Sum w, Sum sum) {
    for (int i = 0; i < 4; ++i) sum.lane[i] += x.lane[i] * w.lane[i];
    return sum;
  }
};

}  // namespace

const int conv_pixels[kGroup + 1] = {0, 2, 2, 2, 2};
const ConvTileFn conv_f32[kGroup + 1] = {nullptr, conv_tile<Float, 2, 4, 1>, conv_tile<Float, 2, 4, 2>,
                                         conv_tile<Float, 2, 4, 3>, conv_tile<Float, 2, 4, 4>};
const ConvTileFn* const conv_bf16 = nullptr;

}  // namespace portable
}  // namespace e4s
