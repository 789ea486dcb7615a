// Depthwise convolution with its bias, then GELU, then a residual: x, residual, y [N,H,W,C].
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {
namespace {

constexpr int kMostSide = 31;  // along an axis

}  // namespace

StepFn make_depthwise(Builder& b) {
  const int x = b.read("x"), residual = b.has("residual") ? b.read("residual") : -1, y = b.write("y");
  const BufferSpec& in = b.spec(x);
  require_same_features(b, in, b.spec(y));
  if (residual >= 0) require_same_features(b, in, b.spec(residual));
  const int height = b.integer("height", 1, kMostSide), width = b.integer("width", 1, kMostSide);
  b.require(height % 2 == 1 && width % 2 == 1, "the kernel's sides must be odd");
  const Vector* taps = b.vector("taps", height * width * layout(in).pixel);
  const Vector* bias = b.vector("bias", in.c);
  const bool gelu = b.flag("gelu");
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int) {
      const void* rows[kMostSide] = {};
      for (int a = 0; a < height; ++a) {
        const std::int64_t from = row + a - height / 2;
        if (from >= 0 && from < source.h) rows[a] = source.at(n, from, 0);
      }
      run.cpu.depthwise_row({rows, height, width, taps->data(), bias->data(),
                             residual < 0 ? nullptr : run.map(residual).at(n, row, 0), target.at(n, row, 0),
                             source.type, source.w, static_cast<int>(source.pixel), source.pixel, gelu});
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
