// GELU: x, y [N,H,W,C].
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {

StepFn make_gelu(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  require_same_features(b, b.spec(x), b.spec(y));
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int) {
      run.cpu.gelu_row({source.at(n, row, 0), target.at(n, row, 0), source.type, source.w * source.pixel});
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
