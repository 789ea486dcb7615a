// The channels of every pixel of a row, normalised together.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

// Returns 1 in the lanes of channels that exist, else 0.
E4S_INLINE Vec existing(int channels) {
  Vec mask{};
  for (int lane = 0; lane < kLanes; ++lane) mask[lane] = lane < channels ? 1.0f : 0.0f;
  return mask;
}

template <class T>
void layer_norm_as(const LayerNormRow& r) {
  const T* x = static_cast<const T*>(r.x);
  T* out = static_cast<T*>(r.out);
  const auto count = static_cast<float>(r.channels);
  const int last = (r.channels - 1) / kLanes * kLanes;
  const Vec mask = existing(r.channels - last);
  for (int p = 0; p < r.count; ++p, x += r.pixel, out += r.pixel) {
    Vec sum{}, square{};
    for (int c = 0; c < last; c += kLanes) sum += load(x + c);
    const Vec mean = splat(total(sum + load(x + last) * mask) / count);
    for (int c = 0; c < last; c += kLanes) {
      const Vec d = load(x + c) - mean;
      square += d * d;
    }
    const Vec d = (load(x + last) - mean) * mask;
    const Vec factor = splat(1 / std::sqrt(total(square + d * d) / count + r.epsilon));
    for (int c = 0; c <= last; c += kLanes)
      store(out + c, (load(x + c) - mean) * factor * load(r.scale + c) + load(r.shift + c));
  }
}

}  // namespace

void layer_norm_row(const LayerNormRow& r) { E4S_BY_TYPE(layer_norm_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
