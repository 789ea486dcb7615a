// Product of two rows.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void multiply_as(const MultiplyRow& r) {
  const T *x = static_cast<const T*>(r.x), *other = static_cast<const T*>(r.other);
  T* out = static_cast<T*>(r.out);
  for (std::int64_t i = 0; i < r.count; i += kLanes) store(out + i, load(x + i) * load(other + i));
}

}  // namespace

void multiply_row(const MultiplyRow& r) { E4S_BY_TYPE(multiply_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
