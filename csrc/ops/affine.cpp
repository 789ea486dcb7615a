// A scale and a shift per channel, the same for every sample, then PReLU: norms and activations not fused
// into another step.
#include "ops/convolve.h"
#include "ops/makers.h"

namespace e4s {

StepFn make_affine(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(in.n == out.n && in.h == out.h && in.w == out.w && in.c == out.c && in.type == out.type &&
                in.type != Type::u8 && in.c != 3 && in.external < 0 && out.external < 0,
            "x and y must be features of the same shape");
  const Vector *scale = b.vector("scale", in.c), *shift = b.vector("shift", in.c);
  const Vector* slope = b.has_weight("prelu") ? b.vector("prelu", in.c) : nullptr;
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    run.pool.each(static_cast<std::int64_t>(target.n) * target.h, [&](std::int64_t task, int) {
      const std::int64_t n = task / target.h, row = task % target.h;
      AffineRow r{};
      r.x = source.at(n, row, 0), r.out = target.at(n, row, 0), r.type = source.type, r.count = source.w;
      r.channels = static_cast<int>(source.pixel), r.pixel = source.pixel;
      r.scale = scale->data(), r.shift = shift->data();
      if (slope != nullptr) r.slope = slope->data();
      run.cpu.affine_row(r);
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
