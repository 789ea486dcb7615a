// Channels as slices of a volume: channel c * D + d becomes channel c of slice d.
#include <cstring>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {
namespace {

template <class T>
void split_row(const Map& x, const Map& y, std::int64_t n, std::int64_t row, int depth) {
  for (int d = 0; d < depth; ++d)
    for (int column = 0; column < y.w; ++column) {
      const T* from = reinterpret_cast<const T*>(x.at(n, row, column)) + d;
      T* to = reinterpret_cast<T*>(y.at(n * depth + d, row, column));
      for (int c = 0; c < y.c; ++c) to[c] = from[c * depth];
      std::memset(to + y.c, 0, static_cast<std::size_t>(y.pixel - y.c) * sizeof(T));
    }
}

}  // namespace

StepFn make_split_slices(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(is_feature(in) && is_feature(out) && in.type == out.type && in.h == out.h && in.w == out.w,
            "x and y must be feature maps of the same size and type");
  b.require(out.n % in.n == 0 && in.c == out.c * (out.n / in.n), "y must hold x's channels");
  const int depth = static_cast<int>(out.n / in.n);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_of(run, source, [&](std::int64_t n, std::int64_t row, int) {
      if (source.type == Type::bf16)
        split_row<std::uint16_t>(source, target, n, row, depth);
      else
        split_row<float>(source, target, n, row, depth);
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
