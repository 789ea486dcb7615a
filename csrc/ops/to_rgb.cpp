// toRGB with the skip from the smaller picture.
#include <algorithm>

#include "ops/elementwise.h"
#include "ops/factories.h"

namespace e4s {
namespace {

struct Rgb {
  int x, y, styles, labels, skip;  // buffers; -1: none
  const float *matrix, *bias;      // [3][I], [3]
  std::int64_t channels;
};

// Fills a table [N][R][3][pixel] of weights times styles, zero beyond the channels.
void fill_table(const Run& run, const Rgb& op, int samples, int regions, std::int64_t pixel, float* table) {
  for (int n = 0; n < samples; ++n)
    for (int r = 0; r < regions; ++r) {
      const float* style =
          op.styles < 0 ? nullptr : reinterpret_cast<const float*>(run.map(op.styles).at(n, 0, r));
      for (int k = 0; k < 3; ++k, table += pixel) {
        const float* weights = op.matrix + k * op.channels;
        for (std::int64_t c = 0; c < pixel; ++c)
          table[c] = c >= op.channels ? 0.0f : style == nullptr ? weights[c] : weights[c] * style[c];
      }
    }
}

void run_rgb(const Run& run, const Rgb& op) {
  const Map &x = run.map(op.x), &y = run.map(op.y);
  const int regions = op.styles < 0 ? 1 : run.map(op.styles).w;
  auto* table = reinterpret_cast<float*>(run.temporary);
  const std::int64_t per_sample = static_cast<std::int64_t>(regions) * 3 * x.pixel;
  fill_table(run, op, x.n, regions, x.pixel, table);
  const Map* skip = op.skip < 0 ? nullptr : &run.map(op.skip);
  float* zeros = table + x.n * per_sample;
  if (skip != nullptr) std::fill(zeros, zeros + skip->row, 0.0f);
  const int left = run.box.left;
  each_row_in_box(run, y, [&](std::int64_t n, std::int64_t row, int worker) {
    ToRgbRow r{};
    r.x = x.at(n, row, left), r.type = x.type, r.count = run.box.width();
    r.channels = static_cast<int>(x.pixel), r.pixel = x.pixel;
    r.table = table + n * per_sample, r.bias = op.bias;
    if (op.labels >= 0) r.labels = reinterpret_cast<const std::uint8_t*>(run.map(op.labels).at(n, row, left));
    if (skip != nullptr) {
      const std::int64_t near = row / 2, far = row % 2 != 0 ? near + 1 : near - 1;
      const std::int64_t first = left / 2;
      r.skip_near = reinterpret_cast<const float*>(skip->at(n, near, first));
      r.skip_far = far < 0 || far >= skip->h ? zeros + first * skip->pixel
                                             : reinterpret_cast<const float*>(skip->at(n, far, first));
      r.skip_width = run.box.width() / 2, r.skip_before = left > 0, r.skip_after = run.box.right < y.w;
      r.blend = reinterpret_cast<float*>(run.of_worker(worker));
    }
    r.out = reinterpret_cast<float*>(y.at(n, row, left)), r.out_pixel = static_cast<int>(y.pixel);
    run.cpu.to_rgb_row(r);
  });
}

}  // namespace

StepFn make_to_rgb(Builder& b) {
  Rgb op{b.read("x", kSame), b.write("y", b.has("skip") ? 2 : 1), -1, -1, -1, nullptr, nullptr, 0};
  const BufferSpec &in = b.spec(op.x), &out = b.spec(op.y);
  b.require(in.type != Type::u8 && in.external < 0 && in.c != 3, "impossible x");
  b.require(
      out.type == Type::f32 && out.halo == 0 && out.c == 3 && out.n == in.n && out.h == in.h && out.w == in.w,
      "y must be a picture of x's size");
  op.channels = in.c;
  op.matrix = b.vector("matrix", 3 * in.c)->data();
  op.bias = b.vector("bias", 3)->data();
  std::int64_t regions = 1;
  if (b.has("styles")) {
    op.styles = b.read("styles");
    const BufferSpec& styles = b.spec(op.styles);
    b.require(styles.type == Type::f32 && styles.external < 0 && styles.n == in.n && styles.h == 1 &&
                  styles.halo == 0 && styles.c == in.c,
              "styles must be float [N,R,I]");
    regions = styles.w;
  }
  b.require(regions == 1 || b.has("labels"), "labels are needed to tell regions apart");
  if (b.has("labels")) {
    op.labels = b.read("labels", kSame);
    const BufferSpec& labels = b.spec(op.labels);
    b.require(labels.type == Type::u8 && labels.external < 0 && labels.c == 1 && labels.n == in.n &&
                  labels.h == out.h && labels.w == out.w && labels.limit >= 1 && labels.limit <= regions,
              "labels do not fit");
  }
  std::int64_t zeros = 0;
  if (b.has("skip")) {
    op.skip = b.read("skip", {2, 1, 1});
    const BufferSpec& skip = b.spec(op.skip);
    b.require(skip.type == Type::f32 && skip.external < 0 && skip.halo == 0 && skip.c == 3 &&
                  skip.n == in.n && skip.h * 2 == out.h && skip.w * 2 == out.w,
              "the skip must have half the size");
    zeros = layout(skip).row;
    b.scratch((skip.w + 2) * 16);
  }
  b.temporary((in.n * regions * 3 * layout(in).pixel + zeros) * 4);
  return [op](const Run& run) { run_rgb(run, op); };
}

}  // namespace e4s
