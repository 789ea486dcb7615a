// A normalised row, scaled and shifted by maps.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void spade_as(const SpadeRow& r) {
  const T *x = static_cast<const T*>(r.x), *maps = static_cast<const T*>(r.maps);
  T* out = static_cast<T*>(r.out);
  const Vec slope = splat(r.slope);
  for (int p = 0; p < r.count; ++p, x += r.pixel, out += r.pixel, maps += r.map_pixel) {
    for (int c = 0; c < r.channels; c += kLanes) {
      const Vec normal = load(x + c) * load(r.scale + c) + load(r.shift + c);
      store(out + c, leaky(normal * load(maps + c) + load(maps + r.channels + c), slope));
    }
  }
}

}  // namespace

void spade_row(const SpadeRow& r) { E4S_BY_TYPE(spade_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
