// Volumes moved by a mixture of the key points' motions.
#include <algorithm>
#include <cmath>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/volumes.h"

namespace e4s {
namespace {

// Turns the logits of a cell [count] into shares of one.
void softmax(const float* logits, int count, float* shares) {
  const float most = *std::max_element(logits, logits + count);
  float sum = 0;
  for (int k = 0; k < count; ++k) sum += shares[k] = std::exp(logits[k] - most);
  for (int k = 0; k < count; ++k) shares[k] /= sum;
}

}  // namespace

StepFn make_warp(Builder& b) {
  const int x = b.read("x"), logits = b.read("logits"), source = b.read("source"),
            driving = b.read("driving"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &mixture = b.spec(logits), &points = b.spec(source);
  require_same_features(b, in, b.spec(y));
  b.require(points.n >= 1 && in.n % points.n == 0 && are_points(points, points.n) &&
                are_points(b.spec(driving), points.n) && points.w == b.spec(driving).w,
            "source and driving must be points of every volume");
  b.require(mixture.type == Type::f32 && is_feature(mixture) && mixture.n == in.n && mixture.h == in.h &&
                mixture.w == in.w && mixture.c == points.w + 1,
            "logits must be float, one per point and one for no motion");
  const int depth = static_cast<int>(in.n / points.n), motions = static_cast<int>(mixture.c);
  b.scratch(motions * 4);
  return [=](const Run& run) {
    const Map &from = run.map(x), &target = run.map(y), &mixed = run.map(logits);
    const Map &here = run.map(source), &there = run.map(driving);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int worker) {
      auto* shares = reinterpret_cast<float*>(run.of_worker(worker));
      const std::int64_t sample = n / depth;
      const float slice = coordinate(static_cast<int>(n % depth), depth);
      const float line = coordinate(static_cast<int>(row), target.h);
      Mix mix{};
      mix.type = target.type, mix.channels = static_cast<int>(target.pixel);
      for (int column = 0; column < target.w; ++column) {
        softmax(reinterpret_cast<const float*>(mixed.at(n, row, column)), motions, shares);
        float place[3] = {coordinate(column, target.w), line, slice};
        for (int k = 1; k < motions; ++k)
          for (int axis = 0; axis < 3; ++axis)
            place[axis] += shares[k] * (point(here, sample, k - 1)[axis] - point(there, sample, k - 1)[axis]);
        sample_at(from, depth, sample, between(place[2], depth), between(place[1], from.h),
                  between(place[0], from.w), mix);
        mix.out = target.at(n, row, column);
        run.cpu.mix(mix);
      }
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
