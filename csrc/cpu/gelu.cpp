// GELU of a row.
#include "cpu/gelu.h"

#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void gelu_as(const GeluRow& r) {
  const T* x = static_cast<const T*>(r.x);
  T* out = static_cast<T*>(r.out);
  for (std::int64_t i = 0; i < r.count; i += kLanes) store(out + i, gelu(load(x + i)));
}

}  // namespace

void gelu_row(const GeluRow& r) { E4S_BY_TYPE(gelu_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
