// Bilinear or nearest resize of a feature map.
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/resize_coordinates.h"

namespace e4s {

StepFn make_resize(Builder& b) {
  const int x = b.read("x"), y = b.write("y", 1), mode = b.integer("mode", 0, 2);
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(is_feature(in) && is_feature(out) && in.type == out.type && in.n == out.n && in.c == out.c,
            "x and y must be features of the same type");
  if (out.h == 2 * in.h && out.w == 2 * in.w) b.windows.back() = {2, 1, 1};  // in every mode
  b.temporary(columns_bytes(out.w));
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    const Columns all = fill_columns(run.temporary, source.w, target.w, mode);
    const int first = run.box.left, width = run.box.width();
    const Columns columns{all.left + first, all.right + first, all.fraction + first};
    each_row_in_box(run, target, [&](std::int64_t n, std::int64_t row, int) {
      resize_row(run, source, n, static_cast<int>(row), target.h, width, mode, columns,
                 target.at(n, row, first));
    });
    clear_halo(run, target, run.box);
  };
}

}  // namespace e4s
