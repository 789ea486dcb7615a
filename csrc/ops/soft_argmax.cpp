// The mean place under a softmax over all cells of a volume, per channel.
#include <algorithm>
#include <cmath>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/volumes.h"

namespace e4s {
namespace {

// What a slice adds: its largest value, and the sums of shares and of shares times coordinates, where the
// largest value has a share of one.
struct Sums {
  float most;
  double share, x, y, z;
};

Sums sum_slice(const Map& map, std::int64_t n, int channel, int depth, float factor) {
  const auto value = [&](int row, int column) {
    return reinterpret_cast<const float*>(map.at(n, row, column))[channel] * factor;
  };
  Sums sums{-HUGE_VALF, 0, 0, 0, 0};
  for (int row = 0; row < map.h; ++row)
    for (int column = 0; column < map.w; ++column) sums.most = std::max(sums.most, value(row, column));
  for (int row = 0; row < map.h; ++row) {
    double line = 0;
    for (int column = 0; column < map.w; ++column) {
      const float share = std::exp(value(row, column) - sums.most);
      line += share;
      sums.x += share * coordinate(column, map.w);
    }
    sums.share += line;
    sums.y += line * coordinate(row, map.h);
  }
  sums.z = sums.share * coordinate(static_cast<int>(n % depth), depth);
  return sums;
}

}  // namespace

StepFn make_soft_argmax(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const double temperature = b.real("temperature");
  b.require(temperature > 0, "temperature must be positive");
  b.require(is_feature(in) && in.type == Type::f32, "x must be a feature map of floats");
  b.require(in.n % out.n == 0 && are_points(out, out.n) && out.w == in.c, "y must hold a point per channel");
  const int depth = static_cast<int>(in.n / out.n);
  b.temporary(in.n * in.c * static_cast<std::int64_t>(sizeof(Sums)));
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    auto* sums = reinterpret_cast<Sums*>(run.temporary);
    run.pool.each(static_cast<std::int64_t>(source.n) * source.c, [&](std::int64_t task, int) {
      sums[task] = sum_slice(source, task / source.c, static_cast<int>(task % source.c), depth,
                             static_cast<float>(1 / temperature));
    });
    for (std::int64_t n = 0; n < target.n; ++n)
      for (int k = 0; k < target.w; ++k) {
        const Sums* first = sums + n * depth * source.c + k;
        float most = first->most;
        for (int d = 1; d < depth; ++d) most = std::max(most, first[d * source.c].most);
        double total[4] = {};
        for (int d = 0; d < depth; ++d) {
          const Sums& slice = first[d * source.c];
          const double weight = std::exp(static_cast<double>(slice.most - most));
          const double parts[4] = {slice.x, slice.y, slice.z, slice.share};
          for (int i = 0; i < 4; ++i) total[i] += weight * parts[i];
        }
        auto* to = reinterpret_cast<float*>(target.at(n, 0, k));
        for (int axis = 0; axis < 3; ++axis) to[axis] = static_cast<float>(total[axis] / total[3]);
        for (std::int64_t c = 3; c < target.pixel; ++c) to[c] = 0;
      }
  };
}

}  // namespace e4s
