// Interpolation of a row, which is bound by memory bandwidth.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void resize_as(const ResizeRow& r) {
  const T *top = static_cast<const T*>(r.top), *bottom = static_cast<const T*>(r.bottom);
  T* out = static_cast<T*>(r.out);
  const Vec lower = splat(r.fraction), upper = splat(1 - r.fraction);
  for (int p = 0; p < r.count; ++p, out += r.out_pixel) {
    const std::int64_t left = r.left[p] * r.pixel, right = r.right[p] * r.pixel;
    const Vec right_part = splat(r.fractions[p]), left_part = splat(1 - r.fractions[p]);
    for (int c = 0; c < r.channels; c += kLanes) {
      const Vec above = load(top + left + c) * left_part + load(top + right + c) * right_part;
      const Vec below = load(bottom + left + c) * left_part + load(bottom + right + c) * right_part;
      store(out + c, above * upper + below * lower);
    }
  }
}

}  // namespace

void resize_row(const ResizeRow& r) { E4S_BY_TYPE(resize_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
