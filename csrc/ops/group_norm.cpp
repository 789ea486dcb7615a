// The pixels of neighbouring channels, normalised together, then PReLU: x, y [N,H,W,C].
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/norm_statistics.h"

namespace e4s {

StepFn make_group_norm(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec& in = b.spec(x);
  require_same_features(b, in, b.spec(y));
  const Vector *scale = b.vector("scale", in.c), *shift = b.vector("shift", in.c);
  const Vector* slope = b.has_weight("prelu") ? b.vector("prelu", in.c) : nullptr;
  const int groups = b.integer("groups", 1, static_cast<int>(in.c));
  b.require(in.c % groups == 0, "the channels must be a multiple of the groups");
  const double epsilon = b.real("epsilon");
  b.temporary(statistics_bytes(layout(in)));
  return [=](const Run& run) {
    const Affine affine =
        group_statistics(run, run.map(x), groups, epsilon, scale->data(), shift->data(), run.temporary);
    apply(run, run.map(x), run.map(y), affine, slope == nullptr ? nullptr : slope->data(), nullptr, 1, {});
  };
}

}  // namespace e4s
