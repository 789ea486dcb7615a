// The epilogue of convolutions, per pixel.
#include <cmath>

#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

constexpr float kEpsilon = 1e-8f;       // StyleGAN2's demodulation
constexpr float kSlope = 0.2f;          // and its activation
constexpr float kGain = 1.41421356237f;

E4S_INLINE void activate(const Finish& f, int first, float* v) {
  switch (f.activation) {
    case Activation::none:
      break;
    case Activation::relu:
      for (int i = 0; i < kLanes; ++i) v[i] = relu(v[i]);
      break;
    case Activation::prelu:
      for (int i = 0; i < kLanes; ++i) v[i] = v[i] > 0 ? v[i] : v[i] * f.slope[first + i];
      break;
    case Activation::leaky_gain:
      for (int i = 0; i < kLanes; ++i) v[i] = (v[i] > 0 ? v[i] : v[i] * kSlope) * kGain;
      break;
    case Activation::rsqrt:
      for (int i = 0; i < kLanes; ++i) v[i] = 1.0f / std::sqrt(v[i] + kEpsilon);
      break;
  }
}

template <class T>
void finish_as(const Finish& f, const FinishPixel& p, int lanes) {
  T* out = static_cast<T*>(p.out);
  for (int first = 0; first < lanes; first += kLanes) {
    float v[kLanes];
    for (int i = 0; i < kLanes; ++i) v[i] = p.sums[first + i];
    if (p.scale != nullptr)
      for (int i = 0; i < kLanes; ++i) v[i] *= p.scale[first + i];
    for (int i = 0; i < kLanes; ++i) v[i] += p.noise;
    if (f.bias != nullptr)
      for (int i = 0; i < kLanes; ++i) v[i] += f.bias[first + i];
    activate(f, first, v);
    if (p.residual != nullptr) {
      const T* residual = static_cast<const T*>(p.residual) + first;
      for (int i = 0; i < kLanes; ++i) v[i] += widen(residual[i]);
    }
    if (f.relu_last)
      for (int i = 0; i < kLanes; ++i) v[i] = relu(v[i]);
    for (int i = 0; i < kLanes; ++i) narrow(v[i], out + first + i);
  }
}

}  // namespace

void finish(const Finish& f, const FinishPixel& pixel, int lanes) {
  f.type == Type::bf16 ? finish_as<Bf16>(f, pixel, lanes) : finish_as<float>(f, pixel, lanes);
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s
