// Depthwise convolution of a row: squares, and strips of one row or column. Several pixels share each load of
// a tap; pixels beside the border leave out the taps beyond it.
#include "cpu/gelu.h"
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

constexpr int kTogether = 8;  // pixels

// Computes P pixels from p on, with the taps [low, high) of every row.
template <class T, int P>
E4S_INLINE void pixels(const DepthwiseRow& r, int p, int low, int high) {
  T* out = static_cast<T*>(r.out) + p * r.pixel;
  const T* residual = r.residual == nullptr ? nullptr : static_cast<const T*>(r.residual) + p * r.pixel;
  for (int c = 0; c < r.channels; c += kLanes) {
    Vec sums[P];
    for (int i = 0; i < P; ++i) sums[i] = load(r.bias + c);
    for (int a = 0; a < r.height; ++a) {
      if (r.rows[a] == nullptr) continue;
      const T* x = static_cast<const T*>(r.rows[a]) + (p - r.width / 2) * r.pixel + c;
      const float* taps = r.taps + static_cast<std::int64_t>(a) * r.width * r.channels + c;
      for (int b = low; b < high; ++b) {
        const Vec tap = load(taps + b * r.channels);
        for (int i = 0; i < P; ++i) sums[i] += load(x + (b + i) * r.pixel) * tap;
      }
    }
    for (int i = 0; i < P; ++i) {
      if (r.gelu) sums[i] = gelu(sums[i]);
      if (residual != nullptr) sums[i] += load(residual + i * r.pixel + c);
      store(out + i * r.pixel + c, sums[i]);
    }
  }
}

template <class T>
void depthwise_as(const DepthwiseRow& r) {
  const int reach = r.width / 2;
  for (int p = 0; p < r.count;) {
    if (p >= reach && p + kTogether + reach <= r.count) {
      pixels<T, kTogether>(r, p, 0, r.width);
      p += kTogether;
      continue;
    }
    const int low = p < reach ? reach - p : 0;
    const int high = p + reach >= r.count ? r.count + reach - p : r.width;
    pixels<T, 1>(r, p++, low, high);
  }
}

}  // namespace

void depthwise_row(const DepthwiseRow& r) { E4S_BY_TYPE(depthwise_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
