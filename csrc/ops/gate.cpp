// Attention: x * sigmoid(gate) (+ x), then ReLU; the gate is one pixel per sample, or one channel.
#include <algorithm>
#include <cmath>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/value.h"

namespace e4s {
namespace {

float sigmoid(float value) { return 1 / (1 + std::exp(-value)); }

void gate_pixels(const Run& run, const Map& x, const Map& gate, const Map& y, bool residual, bool relu) {
  const int channels = static_cast<int>(x.pixel);
  each_row_of(run, y, [&](std::int64_t n, std::int64_t row, int worker) {
    auto* factors = reinterpret_cast<float*>(run.of_worker(worker));
    for (int i = 0; i < y.w; ++i) {
      std::fill(factors, factors + channels, sigmoid(value_at(gate, n, row, i, 0)));
      run.cpu.gate_row(
          {x.at(n, row, i), y.at(n, row, i), x.type, 1, channels, x.pixel, factors, residual, relu});
    }
  });
  clear_halo(run, y);
}

}  // namespace

StepFn make_gate(Builder& b) {
  const int x = b.read("x"), gate = b.read("gate"), y = b.write("y");
  const bool residual = b.flag("residual"), relu = b.flag("relu");
  const BufferSpec &in = b.spec(x), &g = b.spec(gate);
  require_same_features(b, in, b.spec(y));
  const bool by_pixel = g.c == 1 && g.h == in.h && g.w == in.w && in.c != 1;
  b.require(is_feature(g) && g.n == in.n && (by_pixel || (g.h == 1 && g.w == 1 && g.c == in.c)),
            "the gate does not fit");
  const std::int64_t channels = layout(in).pixel;
  if (by_pixel) {
    b.scratch(channels * 4);
    return [=](const Run& run) { gate_pixels(run, run.map(x), run.map(gate), run.map(y), residual, relu); };
  }
  b.temporary(in.n * channels * 4);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    auto* gates = reinterpret_cast<float*>(run.temporary);
    for (std::int64_t i = 0; i < source.n * channels; ++i)
      gates[i] = sigmoid(value_at(run.map(gate), i / channels, 0, 0, i % channels));
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int) {
      run.cpu.gate_row({source.at(n, row, 0), target.at(n, row, 0), source.type, source.w,
                        static_cast<int>(channels), source.pixel, gates + n * channels, residual, relu});
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
