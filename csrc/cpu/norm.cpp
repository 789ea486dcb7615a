// Instance norm: statistics of a row, and the affine map that applies them with what follows.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void norm_as(const NormRow& r) {
  const T* x = static_cast<const T*>(r.x);
  for (int c = 0; c < r.channels; c += kLanes) {
    float sum[kLanes] = {}, square[kLanes] = {}, pivot[kLanes];
    for (int i = 0; i < kLanes; ++i) pivot[i] = r.pivot[c + i];
    for (int p = 0; p < r.count; ++p) {
      const T* pixel = x + p * r.pixel + c;
      for (int i = 0; i < kLanes; ++i) {
        const float d = widen(pixel[i]) - pivot[i];
        sum[i] += d;
        square[i] += d * d;
      }
    }
    for (int i = 0; i < kLanes; ++i) {
      r.sum[c + i] += sum[i];
      r.square[c + i] += square[i];
    }
  }
}

template <class T>
void affine_as(const AffineRow& r) {
  const T* x = static_cast<const T*>(r.x);
  const T* shortcut = static_cast<const T*>(r.shortcut);
  T* out = static_cast<T*>(r.out);
  for (int p = 0; p < r.count; ++p, x += r.pixel, out += r.pixel) {
    for (int c = 0; c < r.channels; c += kLanes) {
      float v[kLanes];
      for (int i = 0; i < kLanes; ++i) v[i] = widen(x[c + i]) * r.scale[c + i] + r.shift[c + i];
      if (r.slope != nullptr)
        for (int i = 0; i < kLanes; ++i) v[i] = v[i] > 0 ? v[i] : v[i] * r.slope[c + i];
      if (shortcut != nullptr && r.shortcut_scale != nullptr) {
        for (int i = 0; i < kLanes; ++i)
          v[i] += widen(shortcut[c + i]) * r.shortcut_scale[c + i] + r.shortcut_shift[c + i];
      } else if (shortcut != nullptr) {
        for (int i = 0; i < kLanes; ++i) v[i] += widen(shortcut[c + i]);
      }
      for (int i = 0; i < kLanes; ++i) narrow(v[i], out + c + i);
    }
    if (shortcut != nullptr) shortcut += r.shortcut_pixel;
  }
}

}  // namespace

void norm_row(const NormRow& r) { E4S_BY_TYPE(norm_as, r); }
void affine_row(const AffineRow& r) { E4S_BY_TYPE(affine_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
