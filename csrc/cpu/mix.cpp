// A weighted sum of a few pixels: a sample of a volume.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void mix_as(const Mix& m) {
  T* out = static_cast<T*>(m.out);
  for (int c = 0; c < m.channels; c += kLanes) {
    Vec sum{};
    for (int i = 0; i < m.count; ++i)
      sum += load(static_cast<const T*>(m.sources[i]) + c) * splat(m.shares[i]);
    store(out + c, sum);
  }
}

}  // namespace

void mix(const Mix& m) { E4S_BY_TYPE(mix_as, m); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
