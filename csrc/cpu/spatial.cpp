// Pooling, interpolation and gating, which are bound by memory bandwidth.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void pool_as(const PoolRow& r) {
  const T* x = static_cast<const T*>(r.x);
  for (int p = 0; p < r.count; ++p, x += r.pixel) {
    float* sums = r.sums + static_cast<std::int64_t>(r.labels == nullptr ? 0 : r.labels[p]) * r.channels;
    for (int c = 0; c < r.channels; c += kLanes) store(sums + c, load(sums + c) + load(x + c));
  }
}

template <class T>
void lerp_as(const LerpRow& r) {
  const T *top = static_cast<const T*>(r.top), *bottom = static_cast<const T*>(r.bottom);
  T* out = static_cast<T*>(r.out);
  const Vec lower = splat(r.fraction), upper = splat(1 - r.fraction);
  for (int p = 0; p < r.count; ++p, out += r.out_pixel) {
    const std::int64_t left = r.left[p] * r.pixel, right = r.right[p] * r.pixel;
    const Vec right_part = splat(r.fractions[p]), left_part = splat(1 - r.fractions[p]);
    for (int c = 0; c < r.channels; c += kLanes) {
      const Vec above = load(top + left + c) * left_part + load(top + right + c) * right_part;
      const Vec below = load(bottom + left + c) * left_part + load(bottom + right + c) * right_part;
      store(out + c, above * upper + below * lower);
    }
  }
}

template <class T>
void max_as(const MaxRow& r) {
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

template <class T>
void gate_as(const GateRow& r) {
  const T *x = static_cast<const T*>(r.x), *y = static_cast<const T*>(r.y);
  T* out = static_cast<T*>(r.out);
  for (int p = 0; p < r.count; ++p, x += r.pixel, out += r.pixel) {
    for (int c = 0; c < r.channels; c += kLanes) {
      const Vec value = load(x + c);
      Vec v = value;
      if (r.gate != nullptr) v *= load(r.gate + c);
      if (r.residual) v += value;
      if (y != nullptr) v += load(y + p * r.y_pixel + c);
      if (r.relu) v = relu(v);
      store(out + c, v);
    }
  }
}

}  // namespace

void pool_row(const PoolRow& r) { E4S_BY_TYPE(pool_as, r); }
void lerp_row(const LerpRow& r) { E4S_BY_TYPE(lerp_as, r); }
void max_row(const MaxRow& r) { E4S_BY_TYPE(max_as, r); }
void gate_row(const GateRow& r) { E4S_BY_TYPE(gate_as, r); }

void cubic_row(const CubicRow& r) {
  for (int i = 0; i < 3 * r.width; ++i) {
    float sum = 0;
    for (int t = 0; t < 8; ++t) sum += r.taps[t] * (static_cast<float>(r.rows[t][i]) / 255.0f);
    r.column[i] = sum;
  }
  for (int p = 0; p < r.width / 2; ++p) {
    for (int c = 0; c < 3; ++c) {
      float sum = 0;
      for (int t = 0; t < 8; ++t) {
        int q = 2 * p - 3 + t;  // mirrored at the border, without repeating the border pixel
        q = q < 0 ? -q : q >= r.width ? 2 * r.width - 2 - q : q;
        sum += r.taps[t] * r.column[q * 3 + c];
      }
      r.out[p * 3 + c] = sum < 0 ? 0 : sum > 1 ? 1 : sum;
    }
  }
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s
