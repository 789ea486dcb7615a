// The affine map of norms, with PReLU and shortcut.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void affine_as(const AffineRow& r) {
  const T* x = static_cast<const T*>(r.x);
  const T* shortcut = static_cast<const T*>(r.shortcut);
  T* out = static_cast<T*>(r.out);
  for (int p = 0; p < r.count; ++p, x += r.pixel, out += r.out_pixel) {
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

void affine_row(const AffineRow& r) { E4S_BY_TYPE(affine_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
