// A picture filtered by a Gaussian, with zeros around it: every fourth row and column.
#include <algorithm>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/value.h"

namespace e4s {
namespace {

constexpr int kTaps = 13, kRadius = kTaps / 2, kScale = 4, kColours = 3;

// Filters along y, then along x. lines: scratch [W][3].
void quarter_row(const Map& x, const Map& y, std::int64_t n, std::int64_t row, const float* taps,
                 float* lines) {
  std::fill(lines, lines + static_cast<std::int64_t>(x.w) * kColours, 0.0f);
  for (int t = 0; t < kTaps; ++t) {
    const std::int64_t from = row * kScale + t - kRadius;
    if (from < 0 || from >= x.h) continue;
    for (int column = 0; column < x.w; ++column)
      for (int c = 0; c < kColours; ++c)
        lines[column * kColours + c] += taps[t] * value_at(x, n, from, column, c);
  }
  for (int column = 0; column < y.w; ++column)
    for (int c = 0; c < y.pixel; ++c) {
      float sum = 0;
      for (int t = 0; t < kTaps && c < kColours; ++t) {
        const int from = column * kScale + t - kRadius;
        if (from >= 0 && from < x.w) sum += taps[t] * lines[from * kColours + c];
      }
      set_value(y, n, row, column, c, sum);
    }
}

}  // namespace

StepFn make_gaussian_quarter(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const Vector* taps = b.vector("taps", kTaps);
  b.require(in.c == kColours && out.c == kColours && in.type == out.type && in.type != Type::u8 &&
                in.external < 0 && out.external < 0,
            "x and y must be pictures in the arena");
  b.require(out.n == in.n && out.h == (in.h + kScale - 1) / kScale && out.w == (in.w + kScale - 1) / kScale,
            "y must have a quarter of x's size");
  b.scratch(in.w * kColours * 4);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int worker) {
      quarter_row(source, target, n, row, taps->data(), reinterpret_cast<float*>(run.of_worker(worker)));
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
