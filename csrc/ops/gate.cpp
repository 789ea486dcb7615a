// Channel attention: x * sigmoid(gate) (+ x), then ReLU; the gate is one pixel per sample.
#include <cmath>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/value.h"

namespace e4s {

StepFn make_gate(Builder& b) {
  const int x = b.read("x"), gate = b.read("gate"), y = b.write("y");
  const bool residual = b.flag("residual"), relu = b.flag("relu");
  const BufferSpec &in = b.spec(x), &g = b.spec(gate);
  require_same_features(b, in, b.spec(y));
  b.require(is_feature(g) && g.n == in.n && g.h == 1 && g.w == 1 && g.c == in.c, "the gate does not fit");
  const std::int64_t channels = layout(in).pixel;
  b.temporary(in.n * channels * 4);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    auto* gates = reinterpret_cast<float*>(run.temporary);
    for (std::int64_t i = 0; i < source.n * channels; ++i)
      gates[i] = 1 / (1 + std::exp(-value_at(run.map(gate), i / channels, 0, 0, i % channels)));
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int) {
      run.cpu.gate_row({source.at(n, row, 0), target.at(n, row, 0), source.type, source.w,
                        static_cast<int>(channels), source.pixel, gates + n * channels, residual, relu});
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
