// A scale and a shift per channel, the same for every sample, then PReLU: norms and activations not fused
// into another step. They may fill a part of the channels of a wider map.
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {

StepFn make_affine(Builder& b) {
  const int x = b.read("x", kSame), y = b.write("y", 1);
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const int to = b.integer("to", 0, 1 << 20);
  require_part(b, out, to, in.c);
  b.require(is_feature(in) && is_feature(out) && in.type == out.type && in.n == out.n && in.h == out.h &&
                in.w == out.w,
            "x and y must be feature maps of the same size and type");
  const Vector *scale = b.vector("scale", in.c), *shift = b.vector("shift", in.c);
  const Vector* slope = b.has_weight("prelu") ? b.vector("prelu", in.c) : nullptr;
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    const int left = run.box.left;
    each_row_in_box(run, target, [&](std::int64_t n, std::int64_t row, int) {
      AffineRow r{};
      r.x = source.at(n, row, left), r.out = target.at(n, row, left) + to * size_of(target.type),
      r.type = source.type, r.count = run.box.width();
      r.channels = static_cast<int>(source.pixel), r.pixel = source.pixel, r.out_pixel = target.pixel;
      r.scale = scale->data(), r.shift = shift->data();
      if (slope != nullptr) r.slope = slope->data();
      run.cpu.affine_row(r);
    });
    clear_halo(run, target, run.box);
  };
}

}  // namespace e4s
