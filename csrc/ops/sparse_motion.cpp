// Heat maps of key points, and volumes moved by each point's motion.
#include <cmath>
#include <cstring>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/value.h"
#include "ops/volumes.h"

namespace e4s {
namespace {

// Gaussians around points along each axis: the heat of a cell is the product of three.
struct Heat {
  float* values;  // [N][source, driving][K][W + H + D]
  int points, length;

  float* of(std::int64_t sample, int which, int number) const {
    return values + ((sample * 2 + which) * points + number) * length;
  }
};

void fill_heat(const Heat& heat, const Map& points, int which, const int (&sides)[3], float variance) {
  for (std::int64_t sample = 0; sample < points.n; ++sample)
    for (int k = 0; k < heat.points; ++k) {
      float* to = heat.of(sample, which, k);
      for (int axis = 0; axis < 3; ++axis)
        for (int cell = 0; cell < sides[axis]; ++cell) {
          const float away = coordinate(cell, sides[axis]) - point(points, sample, k)[axis];
          *to++ = std::exp(-0.5f * away * away / variance);
        }
    }
}

}  // namespace

StepFn make_sparse_motion(Builder& b) {
  const int x = b.read("x"), source = b.read("source"), driving = b.read("driving"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y), &points = b.spec(source);
  const auto variance = static_cast<float>(b.real("variance"));
  b.require(variance > 0, "variance must be positive");
  b.require(points.n >= 1 && in.n % points.n == 0 && are_points(points, points.n) &&
                are_points(b.spec(driving), points.n) && points.w == b.spec(driving).w,
            "source and driving must be points of every volume");
  b.require(is_feature(in) && is_feature(out) && in.type == out.type && in.n == out.n && in.h == out.h &&
                in.w == out.w && out.c == (points.w + 1) * (1 + in.c),
            "y must hold a heat map and x's channels for every motion");
  const int depth = static_cast<int>(in.n / points.n), count = static_cast<int>(points.w);
  const int length = static_cast<int>(in.w + in.h) + depth;
  const std::int64_t pixel = layout(in).pixel;
  b.temporary(points.n * 2 * count * length * 4);
  b.scratch(pixel * size_of(in.type));
  return [=](const Run& run) {
    const Map &from = run.map(x), &target = run.map(y), &here = run.map(source), &there = run.map(driving);
    const Heat heat{reinterpret_cast<float*>(run.temporary), count, length};
    const int sides[3] = {from.w, from.h, depth};
    fill_heat(heat, here, 0, sides, variance);
    fill_heat(heat, there, 1, sides, variance);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int worker) {
      const std::int64_t sample = n / depth, slice = n % depth, size = size_of(from.type);
      Mix mix{};
      mix.type = from.type, mix.channels = static_cast<int>(pixel), mix.out = run.of_worker(worker);
      for (int column = 0; column < target.w; ++column) {
        std::byte* to = target.at(n, row, column);
        std::memset(to, 0, static_cast<std::size_t>(target.pixel * size));  // no heat without motion
        for (int k = 0; k <= count; ++k) {
          float place[3] = {coordinate(column, from.w), coordinate(static_cast<int>(row), from.h),
                            coordinate(static_cast<int>(slice), depth)};
          for (int axis = 0; axis < 3 && k > 0; ++axis)
            place[axis] += point(here, sample, k - 1)[axis] - point(there, sample, k - 1)[axis];
          sample_at(from, depth, sample, between(place[2], depth), between(place[1], from.h),
                    between(place[0], from.w), mix);
          run.cpu.mix(mix);
          const std::int64_t first = static_cast<std::int64_t>(k) * (1 + from.c);
          std::memcpy(to + (first + 1) * size, mix.out, static_cast<std::size_t>(from.c * size));
          if (k == 0) continue;
          const auto at = [&](int which) {
            const float* axes = heat.of(sample, which, k - 1);
            return axes[column] * axes[from.w + row] * axes[from.w + from.h + slice];
          };
          set_value(target, n, row, column, first, at(1) - at(0));
        }
      }
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
