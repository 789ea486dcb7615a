#include "ops/norm_statistics.h"

#include <algorithm>
#include <cmath>

#include "ops/elementwise.h"
#include "ops/halo.h"
#include "ops/value.h"

namespace e4s {
namespace {

constexpr std::int64_t kChunks = 16;  // fixed, so that sums do not depend on the number of threads

}  // namespace

std::int64_t statistics_bytes(const Map& x) { return aligned(x.n * (kChunks * 2 + 3) * x.pixel * 4); }

Affine statistics(const Run& run, const Map& x, double epsilon, float gain, std::byte* memory) {
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
      run.cpu.instance_norm_row({x.at(n, row, 0), x.type, x.w, static_cast<int>(channels), x.pixel,
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
      const double factor = pixels > 1 ? gain / std::sqrt(variance + epsilon) : 0.0;
      scale[n * channels + c] = static_cast<float>(factor);
      shift[n * channels + c] = static_cast<float>(-(pivots[n * channels + c] + mean) * factor);
    }
  }
  return {scale, shift};
}

void apply(const Run& run, const Map& x, const Map& y, Affine affine, const float* slope, const Map* shortcut,
           int stride, Affine other) {
  each_row_of(run, y, [&](std::int64_t n, std::int64_t row, int) {
    const std::int64_t first = n * x.pixel;
    AffineRow r{};
    r.x = x.at(n, row, 0), r.out = y.at(n, row, 0), r.type = x.type;
    r.count = x.w, r.channels = static_cast<int>(x.pixel), r.pixel = x.pixel;
    r.out_pixel = y.pixel;
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

}  // namespace e4s
