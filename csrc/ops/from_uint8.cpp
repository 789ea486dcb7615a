// 8-bit pictures to the networks' input: bilinear resize or antialiased halving, range, normalisation.
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/resize_coordinates.h"
#include "ops/value.h"

namespace e4s {
namespace {

struct Affine {
  float scale[3], shift[3];  // applied to values in 0..1
};

void store_row(const Map& y, std::int64_t n, std::int64_t row, const float* values, const Affine& affine) {
  for (int i = 0; i < y.w; ++i) {
    for (int c = 0; c < 3; ++c)
      set_value(y, n, row, i, c, values[i * 3 + c] * affine.scale[c] + affine.shift[c]);
    set_value(y, n, row, i, 3, 0);
  }
}

void resize_pixels(const Map& x, std::int64_t n, int row, int height, int width, float* out) {
  const Place y = place(row, x.h, height, kBilinear);
  const auto* above = reinterpret_cast<const std::uint8_t*>(x.at(n, y.near, 0));
  const auto* below = reinterpret_cast<const std::uint8_t*>(x.at(n, y.far, 0));
  for (int i = 0; i < width; ++i) {
    const Place p = place(i, x.w, width, kBilinear);
    for (int c = 0; c < 3; ++c) {
      const auto mix = [&](const std::uint8_t* line) {
        return (1 - p.fraction) * static_cast<float>(line[p.near * 3 + c]) +
               p.fraction * static_cast<float>(line[p.far * 3 + c]);
      };
      out[i * 3 + c] = ((1 - y.fraction) * mix(above) + y.fraction * mix(below)) / 255.0f;
    }
  }
}

void halve_pixels(const Run& run, const Map& x, std::int64_t n, std::int64_t row, const float* taps,
                  float* column, float* out) {
  CubicHalfRow r{};
  for (int t = 0; t < 8; ++t) {
    std::int64_t source = 2 * row - 3 + t;  // mirrored at the border
    source = source < 0 ? -source : source >= x.h ? 2 * x.h - 2 - source : source;
    r.rows[t] = reinterpret_cast<const std::uint8_t*>(x.at(n, source, 0));
  }
  r.taps = taps, r.width = x.w, r.column = column, r.out = out;
  run.cpu.cubic_half_row(r);
}

}  // namespace

StepFn make_from_uint8(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const bool cubic = b.has_weight("taps");
  b.require(in.type == Type::u8 && in.external >= 0 && in.c == 3, "x must be 8-bit pixels of the caller");
  b.require(out.type != Type::u8 && out.external < 0 && out.c == 3 && out.n == in.n, "impossible y");
  const float* taps = cubic ? b.vector("taps", 8)->data() : nullptr;
  b.require(!cubic || (in.h == 2 * out.h && in.w == 2 * out.w && in.h >= 8 && in.w >= 8),
            "the antialiasing filter halves both sides of 8 pixels or more");
  Affine affine{};
  for (int c = 0; c < 3; ++c) {
    affine.scale[c] = static_cast<float>(b.real("scale" + std::to_string(c)));
    affine.shift[c] = static_cast<float>(b.real("shift" + std::to_string(c)));
  }
  b.scratch((3 * in.w + 3 * out.w) * 4);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int worker) {
      auto* values = reinterpret_cast<float*>(run.of_worker(worker));
      if (taps != nullptr)
        halve_pixels(run, source, n, row, taps, values + 3 * target.w, values);
      else
        resize_pixels(source, n, static_cast<int>(row), target.h, target.w, values);
      store_row(target, n, row, values, affine);
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
