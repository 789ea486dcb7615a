// Attention of some queries over a block of a part's keys: a softmax that runs per lane, and colours' sums.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

using Ints = std::int32_t __attribute__((vector_size(64)));

constexpr int kVectors = AttendTile::kKeys / kLanes;
constexpr float kNone = -1e30f;  // score of no key

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

// Returns 1 in the lanes below `count`, else 0.
E4S_INLINE Vec existing(int count) {
  Vec mask{};
  for (int lane = 0; lane < kLanes; ++lane) mask[lane] = lane < count ? 1.0f : 0.0f;
  return mask;
}

// The running softmax of one query: per lane the largest score, the sum of shares, the sums of colours.
struct State {
  Vec most = splat(kNone), share{}, sums[3] = {};

  void read(const float* p) {
    most = load(p), share = load(p + kLanes);
    for (int k = 0; k < 3; ++k) sums[k] = load(p + (2 + k) * kLanes);
  }
  void write(float* p) const {
    store(p, most), store(p + kLanes, share);
    for (int k = 0; k < 3; ++k) store(p + (2 + k) * kLanes, sums[k]);
  }
};

// Writes the mean colour that a query's lanes have summed up.
E4S_INLINE void merge(const State& state, float* out) {
  float lanes[kLanes];
  store(lanes, state.most);
  float most = lanes[0];
  for (int lane = 1; lane < kLanes; ++lane) most = lanes[lane] > most ? lanes[lane] : most;
  const Vec weight = exponential(state.most - splat(most));
  const float share = total(weight * state.share);
  for (int k = 0; k < 3; ++k) out[k] = total(weight * state.sums[k]) / share;
}

template <class T>
void direction_as(const Direction& d) {
  const T* x = static_cast<const T*>(d.x);
  const int last = (d.channels - 1) / kLanes * kLanes;
  const Vec mask = existing(d.channels - last);
  Vec sum{}, square{};
  for (int c = 0; c < last; c += kLanes) sum += load(x + c);
  const Vec mean = splat(total(sum + load(x + last) * mask) / static_cast<float>(d.channels));
  for (int c = 0; c < last; c += kLanes) {
    const Vec away = load(x + c) - mean;
    square += away * away;
    store(d.out + c, away);
  }
  const Vec away = (load(x + last) - mean) * mask;
  store(d.out + last, away);
  const float length = std::sqrt(total(square + away * away));
  const Vec factor = splat(1 / (length > d.least ? length : d.least));
  for (int c = 0; c <= last; c += kLanes) store(d.out + c, load(d.out + c) * factor);
}

}  // namespace

void attend_tile(const AttendTile& t) {
  Vec exists[kVectors], colours[3][kVectors];
  for (int v = 0; v < kVectors; ++v) {
    exists[v] = existing(t.keys - v * kLanes);
    for (int k = 0; k < 3; ++k) colours[k][v] = load(t.colours + k * AttendTile::kKeys + v * kLanes);
  }
  for (int i = 0; i < t.count; ++i) {
    State state;
    float* memory = t.states + i * AttendTile::kState;
    if (!t.first) state.read(memory);
    Vec scores[kVectors], most = state.most;
    for (int v = 0; v < kVectors; ++v) {
      const Vec score = load(t.scores + i * AttendTile::kKeys + v * kLanes) * splat(t.factor);
      scores[v] = exists[v] > 0 ? score : splat(kNone);
      most = greater(scores[v], most);
    }
    const Vec kept = exponential(state.most - most);
    state.most = most, state.share *= kept;
    for (Vec& sum : state.sums) sum *= kept;
    for (int v = 0; v < kVectors; ++v) {
      const Vec weight = exponential(scores[v] - most) * exists[v];
      state.share += weight;
      for (int k = 0; k < 3; ++k) state.sums[k] += weight * colours[k][v];
    }
    if (t.out != nullptr)
      merge(state, t.out + i * 3);
    else
      state.write(memory);
  }
}

void direction(const Direction& d) { E4S_BY_TYPE(direction_as, d); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
