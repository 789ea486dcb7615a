// The sum of two rows.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void add_as(const AddRow& r) {
  const T *x = static_cast<const T*>(r.x), *other = static_cast<const T*>(r.other);
  T* out = static_cast<T*>(r.out);
  const Vec gain = splat(r.gain);
  for (int p = 0; p < r.count; ++p, x += r.pixel, other += r.other_pixel, out += r.pixel) {
    for (int c = 0; c < r.channels; c += kLanes) {
      Vec v = load(x + c) + load(other + c) * gain;
      if (r.relu) v = relu(v);
      store(out + c, v);
    }
  }
}

}  // namespace

void add_row(const AddRow& r) { E4S_BY_TYPE(add_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
