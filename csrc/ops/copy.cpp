// Copies for concatenation, subsampling, change of type or output; and the learned constant.
#include <algorithm>
#include <cstring>

#include "ops/convolve.h"
#include "ops/makers.h"
#include "ops/value.h"

namespace e4s {
namespace {

void copy_row(const Map& x, const Map& y, std::int64_t n, std::int64_t row, int stride, int first) {
  const bool last = first + x.c == y.c;
  for (int i = 0; i < y.w; ++i) {
    const std::int64_t column = static_cast<std::int64_t>(i) * stride;
    if (x.type == y.type) {
      std::memcpy(y.at(n, row, i) + first * size_of(y.type), x.at(n, row * stride, column),
                  static_cast<std::size_t>(x.c * size_of(x.type)));
    } else {
      for (int c = 0; c < x.c; ++c)
        set_value(y, n, row, i, first + c, value_at(x, n, row * stride, column, c));
    }
    if (last)  // the padding of a pixel is zero
      std::memset(y.at(n, row, i) + y.c * size_of(y.type), 0,
                  static_cast<std::size_t>((y.pixel - y.c) * size_of(y.type)));
  }
}

}  // namespace

StepFn make_copy(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const int stride = b.integer("stride", 1, 4), first = b.integer("first", 0, 1 << 20);
  b.require(in.type != Type::u8 && out.type != Type::u8, "labels are not copied");
  b.require(in.n == out.n && out.h == (in.h - 1) / stride + 1 && out.w == (in.w - 1) / stride + 1 &&
                first + in.c <= out.c,
            "y has another shape");
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    run.pool.each(static_cast<std::int64_t>(target.n) * target.h, [&](std::int64_t task, int) {
      copy_row(source, target, task / target.h, task % target.h, stride, first);
    });
    clear_halo(run, target);
  };
}

StepFn make_constant(Builder& b) {
  const int y = b.write("y");
  const BufferSpec& out = b.spec(y);
  b.require(out.type != Type::u8 && out.external < 0, "impossible y");
  const float* values = b.vector("values", out.h * out.w * out.c)->data();
  return [=](const Run& run) {
    const Map& target = run.map(y);
    for (int n = 0; n < target.n; ++n)
      for (int row = 0; row < target.h; ++row)
        for (int column = 0; column < target.w; ++column)
          for (std::int64_t c = 0; c < target.pixel; ++c) {
            const std::int64_t source = (static_cast<std::int64_t>(row) * target.w + column) * target.c + c;
            set_value(target, n, row, column, c, c < target.c ? values[source] : 0.0f);
          }
    clear_halo(run, target);
  };
}

}  // namespace e4s
