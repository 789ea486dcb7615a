// Convolution tiles in plain C++: 2 pixels x 16 channels, which fit the sixteen 128-bit registers of x86-64
// and the thirty-two of arm64.
#include <cstring>

#include "cpu/conv_tile.h"

namespace e4s {
namespace portable {
namespace {

using Four = float __attribute__((vector_size(16)));

struct Float {
  using Sum = Four;
  static Sum load(const float* p) {
    Sum v;
    std::memcpy(&v, p, sizeof(v));
    return v;
  }
  static void store(float* p, Sum v) { std::memcpy(p, &v, sizeof(v)); }
  static Sum zero() { return Sum{}; }
  static Sum splat(const float* p) {
    const float four[4] = {*p, *p, *p, *p};
    return load(four);
  }
  static Sum fma(Sum x, Sum w, Sum sum) { return sum + x * w; }
};

}  // namespace

const int conv_pixels[kGroup + 1] = {0, 2, 2, 2, 2};
const ConvTileFn conv_f32[kGroup + 1] = {nullptr, conv_tile<Float, 2, 4, 1>, conv_tile<Float, 2, 4, 2>,
                                         conv_tile<Float, 2, 4, 3>, conv_tile<Float, 2, 4, 4>};
const ConvTileFn* const conv_bf16 = nullptr;

}  // namespace portable
}  // namespace e4s
