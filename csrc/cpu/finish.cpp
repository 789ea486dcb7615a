// The epilogue of convolutions, over a span of pixels of one row.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <Activation A>
E4S_INLINE Vec activate(const Finish& f, Vec v, const float* slope) {
  if constexpr (A == Activation::relu) return relu(v);
  if constexpr (A == Activation::prelu) return leaky(v, load(slope));
  if constexpr (A == Activation::leaky_gain) return leaky(v, splat(f.leak)) * splat(f.gain);
  if constexpr (A == Activation::rsqrt) {
    for (int i = 0; i < kLanes; ++i) v[i] = 1.0f / std::sqrt(v[i] + f.epsilon);
  }
  return v;
}

// Applies only bias and activation, V vectors per pixel: no branches in the loop, and the values shared by
// all pixels in registers.
template <class T, Activation A, int V>
void plain_group(const Finish& f, const FinishSpan& s) {
  Vec bias[V];
  for (int v = 0; v < V; ++v) bias[v] = f.bias == nullptr ? splat(0) : load(f.bias + v * kLanes);
  const float* sums = s.sums;
  T* out = static_cast<T*>(s.out);
  const std::int64_t sums_pixel = s.sums_pixel, out_pixel = s.out_pixel;
  for (int left = s.count; left > 0; --left, sums += sums_pixel, out += out_pixel) {
    for (int v = 0; v < V; ++v)
      store(out + v * kLanes, activate<A>(f, load(sums + v * kLanes) + bias[v], f.slope + v * kLanes));
  }
}

template <class T, Activation A>
void plain_as(const Finish& f, const FinishSpan& s) {
  static_assert(kGroup == 4, "a case for every number of vectors");
  switch (s.lanes / kLanes) {
    case 1:
      return plain_group<T, A, 1>(f, s);
    case 2:
      return plain_group<T, A, 2>(f, s);
    case 3:
      return plain_group<T, A, 3>(f, s);
    default:
      return plain_group<T, A, 4>(f, s);
  }
}

template <class T, Activation A>
void span_as(const Finish& f, const FinishSpan& s) {
  if (s.scales == nullptr && s.noise == nullptr && s.residual == nullptr && !f.relu_last)
    return plain_as<T, A>(f, s);
  const Vec zero = splat(0);
  for (int p = 0; p < s.count; ++p) {
    const float* sums = s.sums + p * s.sums_pixel;
    const float* scale =
        s.scales == nullptr ? nullptr : s.scales + (s.labels == nullptr ? 0 : s.labels[p] * s.scale_stride);
    const Vec noise = s.noise == nullptr ? zero : splat(s.noise[p]);
    const T* residual =
        s.residual == nullptr ? nullptr : static_cast<const T*>(s.residual) + p * s.residual_pixel;
    T* out = static_cast<T*>(s.out) + p * s.out_pixel;
    for (int c = 0; c < s.lanes; c += kLanes) {
      const Vec sum = load(sums + c);
      // One expression, so that every compiled form of this loop fuses product and sum, or none does.
      Vec v = scale == nullptr ? sum + noise : sum * load(scale + c) + noise;
      if (f.bias != nullptr) v += load(f.bias + c);
      v = activate<A>(f, v, f.slope + c);
      if (residual != nullptr) v += load(residual + c);
      if (f.relu_last) v = relu(v);
      store(out + c, v);
    }
  }
}

template <class T>
void finish_as(const Finish& f, const FinishSpan& s) {
  switch (f.activation) {
    case Activation::none:
      return span_as<T, Activation::none>(f, s);
    case Activation::relu:
      return span_as<T, Activation::relu>(f, s);
    case Activation::prelu:
      return span_as<T, Activation::prelu>(f, s);
    case Activation::leaky_gain:
      return span_as<T, Activation::leaky_gain>(f, s);
    case Activation::rsqrt:
      return span_as<T, Activation::rsqrt>(f, s);
  }
}

}  // namespace

void finish(const Finish& f, const FinishSpan& span) {
  f.type == Type::bf16 ? finish_as<Bf16>(f, span) : finish_as<float>(f, span);
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s
