// Instance norm with PReLU; and instance norm with the gain and shortcut of a residual unit.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/convolve.h"
#include "ops/makers.h"
#include "ops/value.h"

namespace e4s {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr std::int64_t kChunks = 16;  // fixed, so that sums do not depend on the number of threads

struct Affine {  // x * scale + shift, per sample and channel
  const float *scale = nullptr, *shift = nullptr;
};

std::int64_t statistics_bytes(const Map& x) { return aligned(x.n * (kChunks * 2 + 3) * x.pixel * 4); }

// Computes scale = gain / sqrt(var + eps) and the shift that centres, each [N][channels]. Sums are relative
// to each channel's first pixel, which keeps them accurate where the mean is far from zero.
Affine statistics(const Run& run, const Map& x, float gain, std::byte* memory) {
  const std::int64_t channels = x.pixel, sums = kChunks * 2 * channels;
  auto* partial = reinterpret_cast<float*>(memory);
  float* pivots = partial + x.n * sums;
  float *scale = pivots + x.n * channels, *shift = scale + x.n * channels;
  for (std::int64_t n = 0; n < x.n; ++n)
    for (std::int64_t c = 0; c < channels; ++c) pivots[n * channels + c] = value_at(x, n, 0, 0, c);
  run.pool.each(x.n * kChunks, [&](std::int64_t task, int) {
    const std::int64_t n = task / kChunks, chunk = task % kChunks;
    float* sum = partial + n * sums + chunk * 2 * channels;
    std::fill(sum, sum + 2 * channels, 0.0f);
    for (std::int64_t row = chunk * x.h / kChunks; row < (chunk + 1) * x.h / kChunks; ++row)
      run.cpu.norm_row({x.at(n, row, 0), x.type, x.w, static_cast<int>(channels), x.pixel,
                        pivots + n * channels, sum, sum + channels});
  });
  const double pixels = static_cast<double>(x.h) * x.w;
  for (std::int64_t n = 0; n < x.n; ++n) {
    for (std::int64_t c = 0; c < channels; ++c) {
      double sum = 0, square = 0;
      for (std::int64_t chunk = 0; chunk < kChunks; ++chunk) {
        sum += partial[n * sums + chunk * 2 * channels + c];
        square += partial[n * sums + (chunk * 2 + 1) * channels + c];
      }
      const double mean = sum / pixels, variance = std::max(square / pixels - mean * mean, 0.0);
      // A single pixel has no variance and yields exactly 0.
      const double factor = pixels > 1 ? gain / std::sqrt(variance + kEpsilon) : 0.0;
      scale[n * channels + c] = static_cast<float>(factor);
      shift[n * channels + c] = static_cast<float>(-(pivots[n * channels + c] + mean) * factor);
    }
  }
  return {scale, shift};
}

void apply(const Run& run, const Map& x, const Map& y, Affine affine, const float* slope, const Map* shortcut,
           int stride, Affine other) {
  run.pool.each(static_cast<std::int64_t>(y.n) * y.h, [&](std::int64_t task, int) {
    const std::int64_t n = task / y.h, row = task % y.h, first = n * x.pixel;
    AffineRow r{};
    r.x = x.at(n, row, 0), r.out = y.at(n, row, 0), r.type = x.type;
    r.count = x.w, r.channels = static_cast<int>(x.pixel), r.pixel = x.pixel;
    r.scale = affine.scale + first, r.shift = affine.shift + first, r.slope = slope;
    if (shortcut != nullptr) {
      r.shortcut = shortcut->at(n, row * stride, 0), r.shortcut_pixel = shortcut->pixel * stride;
      if (other.scale != nullptr)
        r.shortcut_scale = other.scale + first, r.shortcut_shift = other.shift + first;
    }
    run.cpu.affine_row(r);
  });
  clear_halo(run, y);
}

void require_same(const Builder& b, const BufferSpec& x, const BufferSpec& y) {
  b.require(x.n == y.n && x.h == y.h && x.w == y.w && x.c == y.c && x.type == y.type && x.type != Type::u8 &&
                x.c != 3 && x.external < 0 && y.external < 0,
            "x and y must have the same shape");
}

}  // namespace

StepFn make_instance_norm(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  require_same(b, b.spec(x), b.spec(y));
  const Vector* slope = b.has_weight("prelu") ? b.vector("prelu", b.spec(x).c) : nullptr;
  b.temporary(statistics_bytes(layout(b.spec(x))));
  return [=](const Run& run) {
    const Affine affine = statistics(run, run.map(x), 1, run.temporary);
    apply(run, run.map(x), run.map(y), affine, slope == nullptr ? nullptr : slope->data(), nullptr, 1, {});
  };
}

StepFn make_norm_add(Builder& b) {
  const int x = b.read("x"), shortcut = b.read("shortcut"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &other = b.spec(shortcut);
  require_same(b, in, b.spec(y));
  const int stride = b.integer("stride", 1, 4);
  const bool normalised = b.flag("normalised");
  const float gain = b.real("gain");
  b.require(other.n == in.n && other.c == in.c && other.type == in.type && other.external < 0 &&
                (other.h - 1) / stride + 1 == in.h && (other.w - 1) / stride + 1 == in.w,
            "the shortcut has another shape");
  b.require(!normalised || stride == 1, "a normalised shortcut has stride 1");
  const std::int64_t half = statistics_bytes(layout(in));
  b.temporary(2 * half);
  return [=](const Run& run) {
    const Affine affine = statistics(run, run.map(x), gain, run.temporary);
    Affine second;
    if (normalised) second = statistics(run, run.map(shortcut), 1, run.temporary + half);
    apply(run, run.map(x), run.map(y), affine, nullptr, &run.map(shortcut), stride, second);
  };
}

}  // namespace e4s
