// Channel attention of a row.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void gate_as(const GateRow& r) {
  const T* x = static_cast<const T*>(r.x);
  T* out = static_cast<T*>(r.out);
  for (int p = 0; p < r.count; ++p, x += r.pixel, out += r.pixel) {
    for (int c = 0; c < r.channels; c += kLanes) {
      const Vec value = load(x + c);
      Vec v = value * load(r.gate + c);
      if (r.residual) v += value;
      if (r.relu) v = relu(v);
      store(out + c, v);
    }
  }
}

}  // namespace

void gate_row(const GateRow& r) { E4S_BY_TYPE(gate_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
