// toRGB: three dot products per pixel, bias, and the smaller picture upsampled.
#include "cpu/fir_taps.h"
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

using Four = float __attribute__((vector_size(16)));

// Blends two rows of the smaller picture. Two taps per axis and phase reach real pixels: output 2i is 1/4 of
// pixel i - 1 plus 3/4 of i, output 2i + 1 is 3/4 of i plus 1/4 of i + 1. Pixels outside the picture are
// zero. A pixel at a time, so that nothing of it depends on where the row begins.
E4S_INLINE void blend_rows(const ToRgbRow& r) {
  for (int c = 0; c < 4; ++c) r.blend[c] = r.blend[(r.skip_width + 1) * 4 + c] = 0;
  const int first = r.skip_before ? -1 : 0, last = r.skip_after ? r.skip_width + 1 : r.skip_width;
  for (int i = first; i < last; ++i) {
    Four near, far;
    std::memcpy(&near, r.skip_near + 4 * i, sizeof(near));
    std::memcpy(&far, r.skip_far + 4 * i, sizeof(far));
    const Four blended = kFirInner * near + kFirOuter * far;
    std::memcpy(r.blend + 4 * (i + 1), &blended, sizeof(blended));
  }
}

E4S_INLINE void add_skip(const ToRgbRow& r, int p, float* rgb) {
  const float* near = r.blend + (p / 2 + 1) * 4;
  const float* far = (p & 1) != 0 ? near + 4 : near - 4;
  for (int c = 0; c < 4; ++c) rgb[c] += kFirInner * near[c] + kFirOuter * far[c];
}

template <class T>
void rgb_as(const ToRgbRow& r) {
  const T* x = static_cast<const T*>(r.x);
  if (r.skip_near != nullptr) blend_rows(r);
  for (int p = 0; p < r.count; ++p, x += r.pixel) {
    const int region = r.labels == nullptr ? 0 : r.labels[p];
    const float* table = r.table + static_cast<std::int64_t>(region) * 3 * r.channels;
    Vec red = splat(0), green = red, blue = red;
    for (int c = 0; c < r.channels; c += kLanes) {
      const Vec v = load(x + c);
      red += v * load(table + c);
      green += v * load(table + r.channels + c);
      blue += v * load(table + 2 * r.channels + c);
    }
    float rgb[4] = {r.bias[0] + total(red), r.bias[1] + total(green), r.bias[2] + total(blue), 0};
    if (r.skip_near != nullptr) add_skip(r, p, rgb);
    for (int c = 0; c < r.out_pixel; ++c) r.out[p * r.out_pixel + c] = rgb[c];
  }
}

}  // namespace

void to_rgb_row(const ToRgbRow& r) { E4S_BY_TYPE(rgb_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
