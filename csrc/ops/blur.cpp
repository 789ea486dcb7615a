// A 4 x 4 filter of every channel: the blur before a convolution of stride 2.
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {

StepFn make_blur(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const Vector* taps = b.vector("taps", 16);
  b.require(is_feature(in) && is_feature(out) && in.type == out.type, "x and y must be feature maps");
  b.require(out.n == in.n && out.c == in.c && out.h == in.h + 1 && out.w == in.w + 1, "y has another size");
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int) {
      BlurRow r{};
      for (int a = 0; a < 4; ++a)
        if (row + a >= 2 && row + a < source.h + 2) r.rows[a] = source.at(n, row + a - 2, -2);
      r.taps = taps->data(), r.out = target.at(n, row, 0), r.type = source.type;
      r.count = target.w, r.width = source.w, r.channels = static_cast<int>(source.pixel);
      r.pixel = source.pixel;
      run.cpu.blur_row(r);
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
