// Attention of a few queries over the keys of a part: products, a softmax that runs per lane, colours' sums.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

using Ints = std::int32_t __attribute__((vector_size(64)));

// Returns e^x for x <= 0, to 2 units in the last place; 0 below the smallest normal number.
E4S_INLINE Vec exponential(Vec x) {
  const Vec low = splat(-87.0f);
  const Vec bounded = x > low ? x : low;
  const Vec scaled = bounded * splat(1.44269504f);
  const Ints whole = __builtin_convertvector(scaled - splat(0.5f), Ints);
  const Vec n = __builtin_convertvector(whole, Vec);
  const Vec r = (bounded - n * splat(0.693359375f)) + n * splat(2.12194440e-4f);
  Vec p = splat(1.9875691500e-4f);
  constexpr float terms[5] = {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 0.5f};
  for (const float term : terms) p = p * r + splat(term);
  p = p * r * r + r + splat(1.0f);
  const Vec power = reinterpret_cast<Vec>((whole + 127) << 23);
  return x > low ? p * power : splat(0.0f);
}

}  // namespace

void attend_tile(const AttendTile& t) {
  constexpr int rows = AttendTile::kRows;
  Vec most[rows], share[rows], sums[rows][3];
  for (int i = 0; i < rows; ++i) {
    most[i] = splat(-1e30f), share[i] = splat(0.0f);
    for (Vec& sum : sums[i]) sum = splat(0.0f);
  }
  const float* keys = t.keys;
  for (std::int64_t first = 0; first < t.count; first += kLanes) {
    Vec scores[rows] = {};
    for (int c = 0; c < t.channels; ++c, keys += kLanes) {
      const Vec key = load(keys);
      for (int i = 0; i < rows; ++i) scores[i] += splat(t.rows[i][c]) * key;
    }
    float known[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) known[lane] = first + lane < t.count ? 1.0f : 0.0f;
    const Vec exists = load(known);
    const float* colours = t.colours + first * 3;
    for (int i = 0; i < rows; ++i) {
      const Vec score = scores[i] * splat(t.factor);
      const Vec largest = score > most[i] ? score : most[i];
      const Vec kept = exponential(most[i] - largest), weight = exponential(score - largest) * exists;
      share[i] = share[i] * kept + weight;
      for (int k = 0; k < 3; ++k) sums[i][k] = sums[i][k] * kept + weight * load(colours + k * kLanes);
      most[i] = largest;
    }
  }
  for (int i = 0; i < rows; ++i) {
    float* out = t.out + i * AttendTile::kState * kLanes;
    store(out, most[i]), store(out + kLanes, share[i]);
    for (int k = 0; k < 3; ++k) store(out + (2 + k) * kLanes, sums[i][k]);
  }
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s
