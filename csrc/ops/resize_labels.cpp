// Nearest resize of a label map.
#include <algorithm>

#include "ops/elementwise.h"
#include "ops/factories.h"

namespace e4s {

StepFn make_resize_labels(Builder& b) {
  const int x = b.read("x"), y = b.write("y", 1);
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(in.type == Type::u8 && out.type == Type::u8 && in.c == 1 && out.c == 1 && in.n == out.n &&
                in.halo == 0 && out.halo == 0 && out.external < 0,
            "x and y must be labels");
  b.require(in.limit >= 1 && in.limit == out.limit, "labels need a limit");
  // The caller's memory may change during the run: copied labels are clamped below the limit.
  const auto most = static_cast<std::uint8_t>(std::min(in.limit, 256) - 1);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_in_box(run, target, [&](std::int64_t n, std::int64_t row, int) {
      const auto* from = reinterpret_cast<const std::uint8_t*>(source.at(n, row * source.h / target.h, 0));
      auto* to = reinterpret_cast<std::uint8_t*>(target.at(n, row, 0));
      for (std::int64_t i = run.box.left; i < run.box.right; ++i)
        to[i] = std::min(from[i * source.w / target.w], most);
    });
  };
}

}  // namespace e4s
