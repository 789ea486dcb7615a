// Non-negative factorisation of every sample, X ~ B K^T, by multiplicative updates: x, y [N,H,W,C].
//
// X [P,C] has a row per pixel, K [P,R] its coefficients, B [C,R] the bases; R is padded with zeros, which
// stay zero. Tasks are blocks of rows or of channels, the same for any number of threads.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {
namespace {

constexpr int kBlock = 16;   // channels per task
constexpr int kPixels = 64;  // whose channels of a task are gathered together
constexpr int kMostRank = 256;

// The factors of a sample and what their updates need, all in the step's memory.
struct Factors {
  float *bases, *across, *coefficients, *products, *square;
  std::int64_t channels, pixels;
  int rank, padded;
  float epsilon;
};

// values *= products / (others + epsilon)
void update(float* values, const float* products, const float* others, std::int64_t count, float epsilon) {
  for (std::int64_t i = 0; i < count; ++i) values[i] = values[i] * products[i] / (others[i] + epsilon);
}

// square = M^T M of a matrix [count][padded].
void multiply_by_itself(const Run& run, const Factors& f, const float* matrix, std::int64_t count) {
  std::fill(f.square, f.square + static_cast<std::int64_t>(f.padded) * f.padded, 0.0f);
  run.pool.each(f.padded / kBlock, [&](std::int64_t task, int) {
    run.cpu.gram_rows({matrix + task * kBlock, Type::f32, f.padded, static_cast<int>(count), kBlock, matrix,
                       f.padded, f.square + task * kBlock * f.padded});
  });
}

void soften(float* row, int rank) {
  const float most = *std::max_element(row, row + rank);
  float sum = 0;
  for (int r = 0; r < rank; ++r) sum += row[r] = std::exp(row[r] - most);
  for (int r = 0; r < rank; ++r) row[r] /= sum;
}

// Updates the coefficients, or computes their start.
void update_coefficients(const Run& run, const Factors& f, const Map& x, std::int64_t n, bool first) {
  if (!first) multiply_by_itself(run, f, f.bases, f.channels);
  run.pool.each(x.h, [&](std::int64_t row, int) {
    const std::int64_t place = row * x.w * f.padded;
    float *line = f.coefficients + place, *products = f.products + place;
    const int depth = static_cast<int>(f.channels);
    run.cpu.project_rows({x.at(n, row, 0), x.type, x.pixel, x.w, depth, f.bases, f.padded,
                          first ? line : products, Type::f32, f.padded});
    if (first) {
      for (int i = 0; i < x.w; ++i) soften(line + static_cast<std::int64_t>(i) * f.padded, f.rank);
      return;
    }
    for (int i = 0; i < x.w; ++i) {
      float others[kMostRank];
      const std::int64_t pixel = static_cast<std::int64_t>(i) * f.padded;
      run.cpu.project_rows(
          {line + pixel, Type::f32, f.padded, 1, f.padded, f.square, f.padded, others, Type::f32, f.padded});
      update(line + pixel, products + pixel, others, f.padded, f.epsilon);
    }
  });
}

// Adds the products of a task's channels with the coefficients of `count` pixels of a row. The channels are
// gathered first: whole pixels apart they would share a few sets of the cache.
void add_products(const Run& run, const Factors& f, const Map& x, const std::byte* from, int count,
                  const float* coefficients, int channels, float* products) {
  alignas(64) std::byte block[kPixels * kBlock * 4];
  const std::int64_t bytes = channels * size_of(x.type);
  for (int first = 0; first < count; first += kPixels) {
    const int here = std::min(kPixels, count - first);
    for (int i = 0; i < here; ++i)
      std::memcpy(block + i * bytes, from + (first + i) * x.pixel * size_of(x.type),
                  static_cast<std::size_t>(bytes));
    run.cpu.gram_rows({block, x.type, channels, here, channels,
                       coefficients + static_cast<std::int64_t>(first) * f.padded, f.padded, products});
  }
}

void update_bases(const Run& run, const Factors& f, const Map& x, std::int64_t n) {
  multiply_by_itself(run, f, f.coefficients, f.pixels);
  run.pool.each((f.channels + kBlock - 1) / kBlock, [&](std::int64_t task, int) {
    const std::int64_t first = task * kBlock, count = std::min<std::int64_t>(kBlock, f.channels - first);
    float products[kBlock * kMostRank] = {}, others[kBlock * kMostRank];
    for (int row = 0; row < x.h; ++row)
      add_products(run, f, x, x.at(n, row, 0) + first * size_of(x.type), x.w,
                   f.coefficients + static_cast<std::int64_t>(row) * x.w * f.padded, static_cast<int>(count),
                   products);
    float* bases = f.bases + first * f.padded;
    run.cpu.project_rows({bases, Type::f32, f.padded, static_cast<int>(count), f.padded, f.square, f.padded,
                          others, Type::f32, f.padded});
    update(bases, products, others, count * f.padded, f.epsilon);
  });
}

// y = K B^T
void multiply_out(const Run& run, const Factors& f, const Map& y, std::int64_t n) {
  for (std::int64_t r = 0; r < f.padded; ++r)
    for (std::int64_t c = 0; c < y.pixel; ++c)
      f.across[r * y.pixel + c] = c < f.channels ? f.bases[c * f.padded + r] : 0;
  run.pool.each(y.h, [&](std::int64_t row, int) {
    run.cpu.project_rows({f.coefficients + row * y.w * f.padded, Type::f32, f.padded, y.w, f.padded, f.across,
                          static_cast<int>(y.pixel), y.at(n, row, 0), y.type, y.pixel});
  });
}

}  // namespace

StepFn make_nmf(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(is_feature(in) && is_feature(out) && same_size(in, out), "x and y must be feature maps");
  const int rank = b.integer("rank", 1, kMostRank), padded = (rank + kLanes - 1) / kLanes * kLanes;
  const int steps = b.integer("steps", 0, 1000);
  const auto epsilon = static_cast<float>(b.real("epsilon"));
  b.require(epsilon > 0, "epsilon must be positive");
  const std::int64_t channels = in.c, pixels = in.h * in.w, wide = layout(out).pixel;
  const Vector* start = b.vector("start", channels * padded);
  const std::int64_t floats = (channels + wide + 2 * pixels + padded) * padded;
  b.temporary(floats * 4);
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    auto* memory = reinterpret_cast<float*>(run.temporary);
    Factors f{};
    f.bases = memory, f.across = f.bases + channels * padded, f.coefficients = f.across + wide * padded;
    f.products = f.coefficients + pixels * padded, f.square = f.products + pixels * padded;
    f.channels = channels, f.pixels = pixels, f.rank = rank, f.padded = padded, f.epsilon = epsilon;
    for (std::int64_t n = 0; n < source.n; ++n) {
      std::copy(start->data(), start->data() + channels * padded, f.bases);
      update_coefficients(run, f, source, n, true);
      for (int step = 0; step < steps; ++step) {
        update_coefficients(run, f, source, n, false);
        update_bases(run, f, source, n);
      }
      update_coefficients(run, f, source, n, false);
      multiply_out(run, f, target, n);
    }
    clear_halo(run, target);
  };
}

}  // namespace e4s
