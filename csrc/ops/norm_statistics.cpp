#include "ops/norm_statistics.h"

#include <algorithm>
#include <cmath>

#include "ops/elementwise.h"
#include "ops/halo.h"
#include "ops/value.h"

namespace e4s {
namespace {

constexpr std::int64_t kChunks = 16;  // fixed, so that sums do not depend on the number of threads

struct Moments {
  double mean, variance;
};

// Sums over parts of every sample's rows, relative to each channel's first pixel, and room for a result.
struct Sums {
  std::int64_t channels;
  double pixels;
  const float *partial, *pivots;
  float *scale, *shift;

  Moments of(std::int64_t n, std::int64_t c) const {
    double sum = 0, square = 0;
    for (std::int64_t chunk = 0; chunk < kChunks; ++chunk) {
      const float* part = partial + (n * kChunks + chunk) * 2 * channels;
      sum += part[c];
      square += part[channels + c];
    }
    const double mean = sum / pixels;
    return {pivots[n * channels + c] + mean, std::max(square / pixels - mean * mean, 0.0)};
  }
};

Sums sum_channels(const Run& run, const Map& x, std::byte* memory) {
  const std::int64_t channels = x.pixel, size = kChunks * 2 * channels;
  auto* partial = reinterpret_cast<float*>(memory);
  float* pivots = partial + x.n * size;
  for (std::int64_t n = 0; n < x.n; ++n)
    for (std::int64_t c = 0; c < channels; ++c) pivots[n * channels + c] = value_at(x, n, 0, 0, c);
  run.pool.each(x.n * kChunks, [&](std::int64_t task, int) {
    const std::int64_t n = task / kChunks, chunk = task % kChunks;
    float* sum = partial + task * 2 * channels;
    std::fill(sum, sum + 2 * channels, 0.0f);
    for (std::int64_t row = chunk * x.h / kChunks; row < (chunk + 1) * x.h / kChunks; ++row)
      run.cpu.instance_norm_row({x.at(n, row, 0), x.type, x.w, static_cast<int>(channels), x.pixel,
                                 pivots + n * channels, sum, sum + channels});
  });
  float* scale = pivots + x.n * channels;
  return {channels, static_cast<double>(x.h) * x.w, partial, pivots, scale, scale + x.n * channels};
}

}  // namespace

std::int64_t statistics_bytes(const Map& x) { return aligned(x.n * (kChunks * 2 + 3) * x.pixel * 4); }

Affine statistics(const Run& run, const Map& x, double epsilon, float gain, std::byte* memory) {
  const Sums sums = sum_channels(run, x, memory);
  for (std::int64_t n = 0; n < x.n; ++n) {
    for (std::int64_t c = 0; c < x.pixel; ++c) {
      const Moments m = sums.of(n, c);
      // A single pixel has no variance and yields exactly 0.
      const double factor = sums.pixels > 1 ? gain / std::sqrt(m.variance + epsilon) : 0.0;
      sums.scale[n * x.pixel + c] = static_cast<float>(factor);
      sums.shift[n * x.pixel + c] = static_cast<float>(-m.mean * factor);
    }
  }
  return {sums.scale, sums.shift};
}

Affine group_statistics(const Run& run, const Map& x, int groups, double epsilon, const float* scale,
                        const float* shift, std::byte* memory) {
  const Sums sums = sum_channels(run, x, memory);
  const std::int64_t size = x.c / groups;
  for (std::int64_t n = 0; n < x.n; ++n) {
    std::fill(sums.scale + n * x.pixel, sums.scale + (n + 1) * x.pixel, 0.0f);
    std::fill(sums.shift + n * x.pixel, sums.shift + (n + 1) * x.pixel, 0.0f);
    for (std::int64_t first = 0; first < x.c; first += size) {
      double mean = 0, variance = 0;
      for (std::int64_t c = first; c < first + size; ++c) mean += sums.of(n, c).mean;
      mean /= static_cast<double>(size);
      for (std::int64_t c = first; c < first + size; ++c) {
        const Moments m = sums.of(n, c);
        variance += m.variance + (m.mean - mean) * (m.mean - mean);
      }
      const double factor = 1 / std::sqrt(variance / static_cast<double>(size) + epsilon);
      for (std::int64_t c = first; c < first + size; ++c) {
        sums.scale[n * x.pixel + c] = static_cast<float>(scale[c] * factor);
        sums.shift[n * x.pixel + c] = static_cast<float>(shift[c] - mean * scale[c] * factor);
      }
    }
  }
  return {sums.scale, sums.shift};
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
