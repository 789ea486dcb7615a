// The channels of every pixel, normalised together: x, y [N,H,W,C].
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {

StepFn make_layer_norm(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec& in = b.spec(x);
  require_same_features(b, in, b.spec(y));
  const Vector *scale = b.vector("scale", in.c), *shift = b.vector("shift", in.c);
  const auto epsilon = static_cast<float>(b.real("epsilon"));
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int) {
      run.cpu.layer_norm_row({source.at(n, row, 0), target.at(n, row, 0), source.type, source.w, source.c,
                              source.pixel, scale->data(), shift->data(), epsilon});
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
