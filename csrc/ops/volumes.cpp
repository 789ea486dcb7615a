#include "ops/volumes.h"

#include <algorithm>
#include <cmath>

namespace e4s {

Between between(float place, int count) {
  const auto cells = static_cast<float>(count);
  const float at = ((place + 1) * cells - 1) / 2;
  if (!(at > -1 && at < cells)) return {-2, 0};  // outside, or no number
  const float low = std::floor(at);
  return {static_cast<int>(low), at - low};
}

void sample_at(const Map& x, int depth, std::int64_t sample, const Between& slice, const Between& row,
               const Between& column, Mix& mix) {
  const auto inside = [](int place, int count) { return place >= 0 && place < count; };
  mix.count = 0;
  for (int corner = 0; corner < 8; ++corner) {
    const int s = slice.low + corner / 4, r = row.low + corner / 2 % 2, c = column.low + corner % 2;
    if (!inside(s, depth) || !inside(r, x.h) || !inside(c, x.w)) continue;
    const float along = corner / 4 != 0 ? slice.fraction : 1 - slice.fraction;
    const float down = corner / 2 % 2 != 0 ? row.fraction : 1 - row.fraction;
    const float across = corner % 2 != 0 ? column.fraction : 1 - column.fraction;
    mix.sources[mix.count] = x.at(sample * depth + s, r, c);
    mix.shares[mix.count++] = along * down * across;
  }
}

}  // namespace e4s
