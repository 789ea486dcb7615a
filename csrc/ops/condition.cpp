// Features mixed with an encoder's by one number per picture, then leaky ReLU times a gain (GCFSR).
#include <algorithm>
#include <array>
#include <cmath>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/value.h"

namespace e4s {
namespace {

// Floats of the step's memory: two scales per sample and channel, and four vectors of channels.
std::int64_t floats(const Map& x) { return (2 * x.n + 4) * x.pixel; }

}  // namespace

StepFn make_condition(Builder& b) {
  const int x = b.read("x", kSame), shift = b.read("shift", kSame), share = b.read("share"),
            y = b.write("y", 1);
  const BufferSpec &in = b.spec(x), &one = b.spec(share);
  require_same_features(b, in, b.spec(y));
  require_same_features(b, in, b.spec(shift));
  b.require(one.type == Type::f32 && one.n == in.n && one.h == 1 && one.w == 1 && one.c == 1,
            "share must be one float per sample");
  const std::array<const float*, 4> w{b.vector("scale1", in.c)->data(), b.vector("bias1", in.c)->data(),
                                      b.vector("scale2", in.c)->data(), b.vector("bias2", in.c)->data()};
  const float* bias = b.vector("bias", in.c)->data();
  const double epsilon = b.real("epsilon");
  const auto slope = static_cast<float>(b.real("slope")), gain = static_cast<float>(b.real("gain"));
  const Map padded = layout(in);
  b.temporary(floats(padded) * 4);
  return [=](const Run& run) {
    const Map &source = run.map(x), &moved = run.map(shift), &target = run.map(y);
    const std::int64_t channels = source.pixel;
    auto* first = reinterpret_cast<float*>(run.temporary);
    float *second = first + source.n * channels, *zero = second + source.n * channels;
    float *one_each = zero + channels, *slopes = one_each + channels, *added = slopes + channels;
    std::fill(first, added + channels, 0.0f);
    std::fill(one_each, one_each + channels, gain);
    std::fill(slopes, slopes + channels, slope);
    std::copy(bias, bias + source.c, added);
    for (std::int64_t n = 0; n < source.n; ++n) {
      const double part = value_at(run.map(share), n, 0, 0, 0);
      for (int c = 0; c < source.c; ++c) {
        const double one_of = w[0][c] * part + w[1][c], other = w[2][c] * part + w[3][c];
        const double norm = std::sqrt(one_of * one_of + other * other + epsilon);
        first[n * channels + c] = static_cast<float>(one_of / norm);
        second[n * channels + c] = static_cast<float>(other / norm);
      }
    }
    const int left = run.box.left;
    each_row_in_box(run, target, [&](std::int64_t n, std::int64_t row, int) {
      AffineRow r{};
      r.x = source.at(n, row, left), r.out = target.at(n, row, left), r.type = source.type;
      r.count = run.box.width(), r.channels = static_cast<int>(channels);
      r.pixel = source.pixel, r.out_pixel = target.pixel;
      r.scale = first + n * channels, r.shift = added;
      r.shortcut = moved.at(n, row, left), r.shortcut_pixel = moved.pixel;
      r.shortcut_scale = second + n * channels, r.shortcut_shift = zero;
      run.cpu.affine_row(r);
      AffineRow last{};
      last.x = r.out, last.out = r.out, last.type = target.type, last.count = r.count;
      last.channels = r.channels, last.pixel = target.pixel, last.out_pixel = target.pixel;
      last.scale = one_each, last.shift = zero, last.slope = slopes;
      run.cpu.affine_row(last);
    });
    clear_halo(run, target, run.box);
  };
}

}  // namespace e4s
