// Products of a few vectors with a block of keys.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {

void dot_tile(const DotTile& t) {
  Vec sums[DotTile::kRows] = {};
  const float* keys = t.keys;
  for (int c = 0; c < t.channels; ++c, keys += kLanes) {
    const Vec key = load(keys);
    for (int i = 0; i < DotTile::kRows; ++i) sums[i] += splat(t.rows[i][c]) * key;
  }
  for (int i = 0; i < DotTile::kRows; ++i) store(t.out + i * kLanes, sums[i] * splat(t.factor));
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s
