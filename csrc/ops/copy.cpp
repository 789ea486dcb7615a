// Copies for concatenation, subsampling, change of type or output.
#include <cstring>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/value.h"

namespace e4s {
namespace {

void copy_row(const Map& x, const Map& y, std::int64_t n, std::int64_t row, const Box& box, int stride,
              int first) {
  const bool last = first + x.c == y.c;
  for (int i = box.left; i < box.right; ++i) {
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
  const int stride = b.integer("stride", 1, 4), first = b.integer("first", 0, 1 << 20);
  const int x = b.read("x", {1, stride, 0}), y = b.write("y", 1);
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(in.type != Type::u8 && out.type != Type::u8, "labels are not copied");
  b.require(in.n == out.n && out.h == (in.h - 1) / stride + 1 && out.w == (in.w - 1) / stride + 1 &&
                first + in.c <= out.c,
            "y has another shape");
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_in_box(run, target, [&](std::int64_t n, std::int64_t row, int) {
      copy_row(source, target, n, row, run.box, stride, first);
    });
    clear_halo(run, target, run.box);
  };
}

}  // namespace e4s
