// The best class per pixel of resized logits, which are never stored at full size.
#include <algorithm>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/resize_coordinates.h"

namespace e4s {

StepFn make_argmax(Builder& b) {
  const int x = b.read("x"), y = b.write("y"), mode = b.integer("mode", 0, 2);
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(is_feature(in) && in.type == Type::f32 && in.c <= 256 && in.n == out.n, "x must be float logits");
  b.require(out.type == Type::u8 && out.external >= 0 && out.c == 1 && out.limit == 0, "impossible y");
  b.temporary(columns_bytes(out.w));
  b.scratch(out.w * layout(in).pixel * 4);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    const Columns columns = fill_columns(run.temporary, source.w, target.w, mode);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int worker) {
      auto* logits = reinterpret_cast<float*>(run.of_worker(worker));
      resize_row(run, source, n, static_cast<int>(row), target.h, target.w, mode, columns, logits);
      auto* classes = reinterpret_cast<std::uint8_t*>(target.at(n, row, 0));
      for (int i = 0; i < target.w; ++i, logits += source.pixel)
        classes[i] = static_cast<std::uint8_t>(std::max_element(logits, logits + source.c) - logits);
    });
  };
}

}  // namespace e4s
