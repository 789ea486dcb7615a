// The mean per region, or of all pixels without labels. Regions without a pixel give zeros.
#include <algorithm>
#include <vector>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/value.h"

namespace e4s {

StepFn make_region_pool(Builder& b) {
  const int x = b.read("x"), y = b.write("y"), labels = b.has("labels") ? b.read("labels") : -1;
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(is_feature(in) && is_feature(out) && out.n == in.n && out.h == 1 && out.c == in.c,
            "y must be [N,R,C]");
  b.require(labels >= 0 || out.w == 1, "labels are needed to tell regions apart");
  if (labels >= 0) {
    const BufferSpec& l = b.spec(labels);
    b.require(l.type == Type::u8 && l.external < 0 && l.c == 1 && l.n == in.n && l.h == in.h && l.w == in.w &&
                  l.limit >= 1 && l.limit <= out.w,
              "labels do not fit");
  }
  constexpr std::int64_t chunks = 8;  // fixed: sums do not depend on the number of threads
  const std::int64_t regions = out.w, channels = layout(in).pixel, size = regions * channels;
  b.temporary(in.n * chunks * size * 4);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    auto* sums = reinterpret_cast<float*>(run.temporary);
    run.pool.each(source.n * chunks, [&](std::int64_t task, int) {
      const std::int64_t n = task / chunks, chunk = task % chunks;
      std::fill(sums + task * size, sums + (task + 1) * size, 0.0f);
      for (std::int64_t row = chunk * source.h / chunks; row < (chunk + 1) * source.h / chunks; ++row) {
        const std::uint8_t* line =
            labels < 0 ? nullptr : reinterpret_cast<const std::uint8_t*>(run.map(labels).at(n, row, 0));
        run.cpu.region_pool_row({source.at(n, row, 0), source.type, source.w, static_cast<int>(channels),
                                 source.pixel, line, sums + task * size});
      }
    });
    for (std::int64_t n = 0; n < source.n; ++n) {
      std::vector<std::int64_t> counts(static_cast<std::size_t>(regions), 0);
      for (std::int64_t row = 0; row < source.h; ++row)
        for (std::int64_t column = 0; column < source.w; ++column)
          ++counts[labels < 0 ? 0 : static_cast<std::size_t>(*run.map(labels).at(n, row, column))];
      for (std::int64_t r = 0; r < regions; ++r)
        for (std::int64_t c = 0; c < channels; ++c) {
          double total = 0;
          for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
            total += sums[(n * chunks + chunk) * size + r * channels + c];
          const auto count = std::max<std::int64_t>(counts[static_cast<std::size_t>(r)], 1);
          set_value(target, n, 0, r, c, static_cast<float>(total / static_cast<double>(count)));
        }
    }
    clear_halo(run, target);
  };
}

}  // namespace e4s
