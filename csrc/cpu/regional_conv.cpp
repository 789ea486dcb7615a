// Kernels around the regional convolution: inputs scaled by the style of their own region, and patches of the
// seam scaled by the style of the output pixel's region.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void scale_as(const ScaleRow& r) {
  const T* x = static_cast<const T*>(r.x);
  T* out = static_cast<T*>(r.out);
  for (int p = 0; p < r.count; ++p, x += r.pixel, out += r.pixel) {
    const int region = r.labels == nullptr ? 0 : r.labels[p * r.label_step];
    const float* style = r.styles + region * r.style_stride;
    for (int c = 0; c < r.channels; c += kLanes) store(out + c, load(x + c) * load(style + c));
  }
}

template <class T>
void patch_as(const Patch& r) {
  const T* corner = static_cast<const T*>(r.corner);
  T* out = static_cast<T*>(r.out);
  for (int c = 0; c < r.channels; c += kLanes) {
    const Vec style = load(r.style + c);
    Vec across[3][3];  // [input row][tap column]
    for (int dy = 0; dy < 3; ++dy) {
      const T* row = corner + dy * r.row + c;
      const Vec left = load(row) * style, middle = load(row + r.pixel) * style;
      const Vec right = load(row + 2 * r.pixel) * style;
      for (int k = 0; k < 3; ++k)
        across[dy][k] =
            left * splat(r.mix_x[0][k]) + middle * splat(r.mix_x[1][k]) + right * splat(r.mix_x[2][k]);
    }
    for (int ky = 0; ky < 3; ++ky)
      for (int kx = 0; kx < 3; ++kx)
        store(out + (ky * 3 + kx) * r.channels + c, across[0][kx] * splat(r.mix_y[0][ky]) +
                                                        across[1][kx] * splat(r.mix_y[1][ky]) +
                                                        across[2][kx] * splat(r.mix_y[2][ky]));
  }
}

}  // namespace

void scale_row(const ScaleRow& r) { E4S_BY_TYPE(scale_as, r); }
void patch(const Patch& r) { E4S_BY_TYPE(patch_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
