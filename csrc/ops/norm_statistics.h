// Statistics of an instance norm, and the affine map that applies them.
#pragma once

#include "plan.h"

namespace e4s {

struct Affine {  // x * scale + shift, per sample and channel
  const float *scale = nullptr, *shift = nullptr;
};

// Returns the bytes of memory that the statistics of a map need.
std::int64_t statistics_bytes(const Map& x);

// Computes scale = gain / sqrt(var + epsilon) and the shift that centres, each [N][channels]. Sums are
// relative to each channel's first pixel, which keeps them accurate where the mean is far from zero.
Affine statistics(const Run& run, const Map& x, double epsilon, float gain, std::byte* memory);

// Likewise for groups of neighbouring channels, with a scale and a shift [channels] per channel.
Affine group_statistics(const Run& run, const Map& x, int groups, double epsilon, const float* scale,
                        const float* shift, std::byte* memory);

// Computes y = PReLU(affine(x)) + other(every stride-th pixel of shortcut). slope, shortcut: null for none.
void apply(const Run& run, const Map& x, const Map& y, Affine affine, const float* slope, const Map* shortcut,
           int stride, Affine other);

}  // namespace e4s
