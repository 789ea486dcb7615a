// Statistics of an instance norm, row by row.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void norm_as(const InstanceNormRow& r) {
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

}  // namespace

void instance_norm_row(const InstanceNormRow& r) { E4S_BY_TYPE(norm_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
