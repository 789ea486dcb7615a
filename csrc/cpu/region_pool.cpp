// Sums of a row's pixels per region.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void pool_as(const RegionPoolRow& r) {
  const T* x = static_cast<const T*>(r.x);
  for (int p = 0; p < r.count; ++p, x += r.pixel) {
    float* sums = r.sums + static_cast<std::int64_t>(r.labels == nullptr ? 0 : r.labels[p]) * r.channels;
    for (int c = 0; c < r.channels; c += kLanes) store(sums + c, load(sums + c) + load(x + c));
  }
}

}  // namespace

void region_pool_row(const RegionPoolRow& r) { E4S_BY_TYPE(pool_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
