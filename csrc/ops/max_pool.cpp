// Max pooling 3 x 3 of stride 2.
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {

StepFn make_max_pool(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(is_feature(in) && is_feature(out) && in.type == out.type && in.n == out.n && in.c == out.c &&
                out.h == (in.h + 1) / 2 && out.w == (in.w + 1) / 2,
            "y must have half the size of x");
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int) {
      MaxPoolRow r{};
      for (int d = 0; d < 3; ++d) {
        const std::int64_t from = 2 * row + d - 1;
        if (from >= 0 && from < source.h) r.rows[d] = source.at(n, from, 0);
      }
      r.out = target.at(n, row, 0), r.type = source.type, r.count = target.w, r.width = source.w;
      r.channels = static_cast<int>(source.pixel), r.pixel = source.pixel;
      run.cpu.max_pool_row(r);
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
