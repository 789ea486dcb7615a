// The first three channels of a feature map as a picture, or their sigmoid: convolutions compute whole
// vectors of channels.
#include <cmath>
#include <cstring>

#include "ops/elementwise.h"
#include "ops/factories.h"

namespace e4s {

StepFn make_picture(Builder& b) {
  const int x = b.read("x", kSame), y = b.write("y", 1);
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const bool sigmoid = b.flag("sigmoid");
  b.require(is_feature(in) && in.type == Type::f32 && in.c > 3, "x must be a feature map of floats");
  b.require(
      out.type == Type::f32 && out.halo == 0 && out.c == 3 && out.n == in.n && out.h == in.h && out.w == in.w,
      "y must be a picture of x's size");
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_in_box(run, target, [&](std::int64_t n, std::int64_t row, int) {
      const std::byte* from = source.at(n, row, run.box.left);
      std::byte* to = target.at(n, row, run.box.left);
      for (int i = 0; i < run.box.width(); ++i, from += source.pixel * 4, to += target.pixel * 4) {
        float values[3];
        std::memcpy(values, from, 12);
        if (sigmoid)
          for (float& value : values) value = 1 / (1 + std::exp(-value));
        std::memcpy(to, values, 12);
        if (target.pixel > 3) std::memset(to + 12, 0, 4);
      }
    });
  };
}

}  // namespace e4s
