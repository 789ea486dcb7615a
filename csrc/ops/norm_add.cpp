// Instance norm with the gain and shortcut of a residual unit.
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/norm_statistics.h"

namespace e4s {

StepFn make_norm_add(Builder& b) {
  const int x = b.read("x"), shortcut = b.read("shortcut"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &other = b.spec(shortcut);
  require_same_features(b, in, b.spec(y));
  const int stride = b.integer("stride", 1, 4);
  const bool normalised = b.flag("normalised");
  const double epsilon = b.real("epsilon");
  const auto gain = static_cast<float>(b.real("gain"));
  b.require(other.n == in.n && other.c == in.c && other.type == in.type && other.external < 0 &&
                (other.h - 1) / stride + 1 == in.h && (other.w - 1) / stride + 1 == in.w,
            "the shortcut has another shape");
  b.require(!normalised || stride == 1, "a normalised shortcut has stride 1");
  const std::int64_t half = statistics_bytes(layout(in));
  b.temporary(2 * half);
  return [=](const Run& run) {
    const Affine affine = statistics(run, run.map(x), epsilon, gain, run.temporary);
    Affine second;
    if (normalised) second = statistics(run, run.map(shortcut), epsilon, 1, run.temporary + half);
    apply(run, run.map(x), run.map(y), affine, nullptr, &run.map(shortcut), stride, second);
  };
}

}  // namespace e4s
