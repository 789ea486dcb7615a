// The rest of a convolution of few outputs, whose taps another one has computed as channels of their own:
// full vectors of channels cost no more than one. y[p] = bias + sum over taps of x[p + tap, tap * O ...].
#include <algorithm>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/value.h"

namespace e4s {
namespace {

struct Taps {
  int depth, deep, side,
      outputs;  // slices of a volume; taps over slices; over rows and columns; channels of y
};

// Adds the taps of one pixel to sums [outputs].
void add_taps(const Map& x, const Taps& t, std::int64_t n, std::int64_t row, int column, float* sums) {
  const std::int64_t slice = n % t.depth;
  int tap = 0;
  for (int d = -(t.deep / 2); d <= t.deep / 2; ++d)
    for (int r = -(t.side / 2); r <= t.side / 2; ++r)
      for (int c = -(t.side / 2); c <= t.side / 2; ++c, ++tap) {
        const bool inside = slice + d >= 0 && slice + d < t.depth && row + r >= 0 && row + r < x.h &&
                            column + c >= 0 && column + c < x.w;
        if (!inside) continue;
        const float* from =
            reinterpret_cast<const float*>(x.at(n + d, row + r, column + c)) + tap * t.outputs;
        for (int o = 0; o < t.outputs; ++o) sums[o] += from[o];
      }
}

}  // namespace

StepFn make_sum_taps(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const Taps taps{b.integer("depth", 1, 1 << 10), b.integer("deep", 1, 7), b.integer("side", 1, 7),
                  static_cast<int>(out.c)};
  const Vector* bias = b.vector("bias", out.c);
  b.require(is_feature(in) && is_feature(out) && in.type == Type::f32 && in.n == out.n && in.h == out.h &&
                in.w == out.w && in.n % taps.depth == 0,
            "x and y must be feature maps of the same size, x of floats");
  b.require(taps.deep % 2 == 1 && taps.side % 2 == 1 && out.c <= kLanes &&
                in.c == taps.deep * taps.side * taps.side * out.c,
            "x must hold y's channels for every tap");
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int) {
      for (int column = 0; column < target.w; ++column) {
        float sums[kLanes] = {};
        std::copy(bias->data(), bias->data() + taps.outputs, sums);
        add_taps(source, taps, n, row, column, sums);
        for (int c = 0; c < target.pixel; ++c) set_value(target, n, row, column, c, sums[c]);
      }
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
