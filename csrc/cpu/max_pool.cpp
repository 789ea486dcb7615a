// Max pooling of a row.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void max_as(const MaxPoolRow& r) {
  T* out = static_cast<T*>(r.out);
  for (int p = 0; p < r.count; ++p, out += r.pixel) {
    const int left = 2 * p - 1 < 0 ? 0 : 2 * p - 1, right = 2 * p + 1 < r.width ? 2 * p + 1 : r.width - 1;
    for (int c = 0; c < r.channels; c += kLanes) {
      Vec best = load(static_cast<const T*>(r.rows[1]) + left * r.pixel + c);
      for (const void* row : r.rows) {
        if (row == nullptr) continue;
        for (int q = left; q <= right; ++q)
          best = greater(load(static_cast<const T*>(row) + q * r.pixel + c), best);
      }
      store(out + c, best);
    }
  }
}

}  // namespace

void max_pool_row(const MaxPoolRow& r) { E4S_BY_TYPE(max_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
