// Instance norm: statistics of a row, and the affine map that applies them, with PReLU and shortcut.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void norm_as(const NormRow& r) {
  const T* x = static_cast<const T*>(r.x);
  for (int c = 0; c < r.channels; c += kLanes) {
    const Vec pivot = load(r.pivot + c);
    Vec sum = load(r.sum + c), square = load(r.square + c);
    for (int p = 0; p < r.count; ++p) {
      const Vec d = load(x + p * r.pixel + c) - pivot;
      sum += d;
      square += d * d;
    }
    store(r.sum + c, sum);
    store(r.square + c, square);
  }
}

template <class T>
void affine_as(const AffineRow& r) {
  const T* x = static_cast<const T*>(r.x);
  const T* shortcut = static_cast<const T*>(r.shortcut);
  T* out = static_cast<T*>(r.out);
  for (int p = 0; p < r.count; ++p, x += r.pixel, out += r.pixel) {
    for (int c = 0; c < r.channels; c += kLanes) {
      Vec v = load(x + c) * load(r.scale + c) + load(r.shift + c);
      if (r.slope != nullptr) v = leaky(v, load(r.slope + c));
      if (shortcut != nullptr) {
        const Vec other = load(shortcut + c);
        v += r.shortcut_scale == nullptr ? other
                                         : other * load(r.shortcut_scale + c) + load(r.shortcut_shift + c);
      }
      store(out + c, v);
    }
    if (shortcut != nullptr) shortcut += r.shortcut_pixel;
  }
}

}  // namespace

void norm_row(const NormRow& r) { E4S_BY_TYPE(norm_as, r); }
void affine_row(const AffineRow& r) { E4S_BY_TYPE(affine_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
