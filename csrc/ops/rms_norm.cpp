// Vectors divided by their root mean square: the first layer of StyleGAN2's mapping network.
#include <cmath>

#include "ops/elementwise.h"
#include "ops/factories.h"

namespace e4s {

StepFn make_rms_norm(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const double epsilon = b.real("epsilon");
  b.require(is_feature(in) && is_feature(out) && same_size(in, out) && in.type == Type::f32 &&
                out.type == Type::f32 && in.h == 1 && in.halo == 0 && out.halo == 0,
            "x and y must be float [N,R,C]");
  b.require(epsilon > 0, "epsilon must be positive");
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    run.pool.each(static_cast<std::int64_t>(target.n) * target.w, [&](std::int64_t task, int) {
      const auto* from = reinterpret_cast<const float*>(source.at(task / target.w, 0, task % target.w));
      auto* to = reinterpret_cast<float*>(target.at(task / target.w, 0, task % target.w));
      double sum = 0;
      for (int c = 0; c < source.c; ++c) sum += static_cast<double>(from[c]) * from[c];
      const auto scale = static_cast<float>(1 / std::sqrt(sum / source.c + epsilon));
      for (std::int64_t c = 0; c < target.pixel; ++c) to[c] = c < source.c ? from[c] * scale : 0.0f;
    });
  };
}

}  // namespace e4s
