// What the regional convolution needs beside the convolution: inputs scaled by the style of their own region,
// patches of the seam scaled by the style of the output pixel's region, and the FIR of upsampling.
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
    for (int c = 0; c < r.channels; ++c) narrow(widen(x[c]) * style[c], out + c);
  }
}

template <class T>
void patch_as(const Patch& r) {
  const T* corner = static_cast<const T*>(r.corner);
  T* out = static_cast<T*>(r.out);
  for (int c = 0; c < r.channels; c += kLanes) {
    float x[9][kLanes];
    for (int d = 0; d < 9; ++d) {
      const T* pixel = corner + (d / 3) * r.row + (d % 3) * r.pixel + c;
      for (int i = 0; i < kLanes; ++i) x[d][i] = widen(pixel[i]) * r.style[c + i];
    }
    for (int k = 0; k < 9; ++k) {
      float v[kLanes] = {};
      for (int d = 0; d < 9; ++d) {
        const float weight = r.mix_y[d / 3][k / 3] * r.mix_x[d % 3][k % 3];
        if (weight == 0) continue;
        for (int i = 0; i < kLanes; ++i) v[i] += weight * x[d][i];
      }
      for (int i = 0; i < kLanes; ++i) narrow(v[i], out + k * r.channels + c + i);
    }
  }
}

constexpr float kTaps[4] = {0.25f, 0.75f, 0.75f, 0.25f};

}  // namespace

void scale_row(const ScaleRow& r) { E4S_BY_TYPE(scale_as, r); }
void patch(const Patch& r) { E4S_BY_TYPE(patch_as, r); }

void fir_row(const FirRow& r) {
  for (int p = 0; p < r.count; ++p) {
    const float* x = r.x + static_cast<std::int64_t>(p) * r.lanes;
    float* out = r.out + static_cast<std::int64_t>(p) * r.lanes;
    for (int c = 0; c < r.lanes; ++c)
      out[c] = kTaps[0] * (x[c] + x[c + 3 * r.lanes]) + kTaps[1] * (x[c + r.lanes] + x[c + 2 * r.lanes]);
  }
}

void fir_column(const FirColumn& r) {
  for (int i = 0; i < r.count; ++i)
    r.out[i] = kTaps[0] * (r.rows[0][i] + r.rows[3][i]) + kTaps[1] * (r.rows[1][i] + r.rows[2][i]);
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s
