// The register tile of every convolution: P pixels by V vectors of output channels.
//
// Per word of input channels: V loads of weights, P broadcasts, P * V fused multiply-adds. Weights stream
// from L2, pixels stay in L1. With P * V + V + 1 vectors the tile fills the register file.
#pragma once

#include "cpu/kernels.h"

#if defined(__GNUC__) && !defined(__clang__)
#define E4S_UNROLL _Pragma("GCC unroll 16")
#else
#define E4S_UNROLL _Pragma("unroll")
#endif

namespace e4s {
namespace {

// Computes P pixels x V vectors of a tile, from channel `first` on; weights have `stride` floats per word.
template <class Vec, int P, int V>
void conv_part(const ConvTile& tile, int first, int stride) {
  using Sum = typename Vec::Sum;
  constexpr int width = static_cast<int>(sizeof(Sum) / sizeof(float));
  Sum sums[P][V];
  E4S_UNROLL
  for (int p = 0; p < P; ++p) {
    E4S_UNROLL
    for (int v = 0; v < V; ++v) {
      sums[p][v] = tile.accumulate ? Vec::load(tile.sums[p] + first + v * width) : Vec::zero();
    }
  }
  for (int t = 0; t < tile.tap_count; ++t) {
    const Tap tap = tile.taps[t];
    const float* pixels[P];
    E4S_UNROLL
    for (int p = 0; p < P; ++p) pixels[p] = static_cast<const float*>(tile.pixels[p]) + tap.x;
    const float* weights = static_cast<const float*>(tile.weights) + tap.w + first;
    for (std::int64_t i = 0; i < tile.words; ++i, weights += stride) {
      Sum row[V];
      E4S_UNROLL
      for (int v = 0; v < V; ++v) row[v] = Vec::load(weights + v * width);
      E4S_UNROLL
      for (int p = 0; p < P; ++p) {
        const Sum x = Vec::splat(pixels[p] + i);
        E4S_UNROLL
        for (int v = 0; v < V; ++v) sums[p][v] = Vec::fma(x, row[v], sums[p][v]);
      }
    }
  }
  E4S_UNROLL
  for (int p = 0; p < P; ++p) {
    E4S_UNROLL
    for (int v = 0; v < V; ++v) Vec::store(tile.sums[p] + first + v * width, sums[p][v]);
  }
}

// Computes a tile of P pixels x (Parts * V) vectors; Parts > 1 where they exceed the registers.
template <class Vec, int P, int V, int Parts>
void conv_tile(const ConvTile& tile) {
  constexpr int lanes = V * static_cast<int>(sizeof(typename Vec::Sum) / sizeof(float));
  for (int part = 0; part < Parts; ++part) conv_part<Vec, P, V>(tile, part * lanes, Parts * lanes);
}

}  // namespace
}  // namespace e4s
