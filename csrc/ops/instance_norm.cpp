// Instance norm, then PReLU.
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/norm_statistics.h"

namespace e4s {

StepFn make_instance_norm(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  require_same_features(b, b.spec(x), b.spec(y));
  const Vector* slope = b.has_weight("prelu") ? b.vector("prelu", b.spec(x).c) : nullptr;
  const double epsilon = b.real("epsilon");
  b.temporary(statistics_bytes(layout(b.spec(x))));
  return [=](const Run& run) {
    const Affine affine = statistics(run, run.map(x), epsilon, 1, run.temporary);
    apply(run, run.map(x), run.map(y), affine, slope == nullptr ? nullptr : slope->data(), nullptr, 1, {});
  };
}

}  // namespace e4s
