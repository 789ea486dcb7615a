// A 4 x 4 filter of feature maps.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void blur_as(const BlurRow& r) {
  T* out = static_cast<T*>(r.out);
  for (int p = 0; p < r.count; ++p, out += r.pixel) {
    const int low = p < 2 ? 2 - p : 0, high = p + 2 > r.width ? r.width + 2 - p : 4;
    for (int c = 0; c < r.channels; c += kLanes) {
      Vec sum{};
      for (int a = 0; a < 4; ++a) {
        if (r.rows[a] == nullptr) continue;
        const T* x = static_cast<const T*>(r.rows[a]) + p * r.pixel + c;
        for (int b = low; b < high; ++b) sum += load(x + b * r.pixel) * splat(r.taps[4 * a + b]);
      }
      store(out + c, sum);
    }
  }
}

}  // namespace

void blur_row(const BlurRow& r) { E4S_BY_TYPE(blur_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
