// The bf16 tile of every convolution over AMX: up to 48 pixels by 32 output channels, in six tiles of sums.
//
// Per 16 words of input channels: two tiles of weights, each multiplied with three tiles of pixels. A tile of
// weights is loaded once for 48 pixels, since weights stream from L2: 2 KB in 96 cycles of multiplying.
// Packed weights already have the layout of a tile: a row is 16 output channels of one word.
//
// `Tiles` implements load, zero, dot and store of 16 rows of 64 bytes, in AMX instructions or in plain C++.
#pragma once

#include <cstring>

#include "cpu/conv_tile.h"

namespace e4s {
namespace {

constexpr int kTileRows = 16;  // pixels per tile of pixels, words of input channels per tile of weights
constexpr int kRowBytes = 64;
constexpr int kPixelsTile = 6, kWeightsTile = 7;  // 0 to 5 hold the sums

// Location of a tile's rows in memory. Rows that are unevenly spaced or too short are copied first.
struct Rows {
  const void* first;
  std::int64_t stride;
};

// Returns whether kTileRows rows are evenly spaced, and their stride in bytes.
template <class P>
bool evenly_spaced(P const* rows, std::int64_t* stride) {
  const auto at = [&](int i) { return reinterpret_cast<std::intptr_t>(rows[i]); };
  *stride = at(1) - at(0);
  for (int i = 2; i < kTileRows; ++i)
    if (at(i) - at(i - 1) != *stride) return false;
  return true;
}

// Returns the rows of sixteen pixels, `words` words from `offset` on; the rest of each row is zero.
inline Rows pixel_rows(const void* const* pixels, std::int64_t offset, int words, std::byte* copy) {
  std::int64_t stride;
  if (words == kTileRows && evenly_spaced(pixels, &stride))
    return {static_cast<const std::byte*>(pixels[0]) + offset * 4, stride};
  for (int i = 0; i < kTileRows; ++i) {
    std::memset(copy + i * kRowBytes, 0, kRowBytes);
    std::memcpy(copy + i * kRowBytes, static_cast<const std::byte*>(pixels[i]) + offset * 4,
                static_cast<std::size_t>(words) * 4);
  }
  return {copy, kRowBytes};
}

// Returns weights [words][16 output channels], rows `stride` bytes apart; the other rows are zero.
inline Rows weight_rows(const std::byte* weights, std::int64_t stride, int words, std::byte* copy) {
  if (words == kTileRows) return {weights, stride};
  std::memset(copy, 0, kTileRows * kRowBytes);
  for (int i = 0; i < words; ++i) std::memcpy(copy + i * kRowBytes, weights + i * stride, kRowBytes);
  return {copy, kRowBytes};
}

// Computes (Groups * 16) pixels x V vectors of channels from `first` on; weights have `lanes` channels per
// word.
template <class Tiles, int Groups, int V>
void amx_part(Tiles& tiles, const ConvTile& tile, int first, int lanes) {
  alignas(64) std::byte pixels[Groups][kTileRows * kRowBytes];
  alignas(64) std::byte weights[kTileRows * kRowBytes];
  const std::int64_t row = static_cast<std::int64_t>(lanes) * 4;
  E4S_UNROLL
  for (int g = 0; g < Groups; ++g) {
    E4S_UNROLL
    for (int v = 0; v < V; ++v) {
      float* const* sums = tile.sums + g * kTileRows;
      std::int64_t stride;
      if (!tile.accumulate) {
        tiles.zero(g * V + v);
      } else if (evenly_spaced(sums, &stride)) {
        tiles.load(g * V + v, sums[0] + first + v * kLanes, stride);
      } else {
        for (int i = 0; i < kTileRows; ++i)
          std::memcpy(weights + i * kRowBytes, sums[i] + first + v * kLanes, kRowBytes);
        tiles.load(g * V + v, weights, kRowBytes);
      }
    }
  }
  for (int t = 0; t < tile.tap_count; ++t) {
    const Tap tap = tile.taps[t];
    const std::byte* source = static_cast<const std::byte*>(tile.weights) + (tap.w + first) * 4;
    for (std::int64_t word = 0; word < tile.words; word += kTileRows) {
      const std::int64_t left = tile.words - word;
      const int words = left < kTileRows ? static_cast<int>(left) : kTileRows;
      Rows x[Groups];
      E4S_UNROLL
      for (int g = 0; g < Groups; ++g)
        x[g] = pixel_rows(tile.pixels + g * kTileRows, tap.x + word, words, pixels[g]);
      E4S_UNROLL
      for (int v = 0; v < V; ++v) {
        const Rows w = weight_rows(source + word * row + v * kRowBytes, row, words, weights);
        tiles.load(kWeightsTile, w.first, w.stride);
        E4S_UNROLL
        for (int g = 0; g < Groups; ++g) {
          tiles.load(kPixelsTile, x[g].first, x[g].stride);
          tiles.dot(g * V + v);
        }
      }
    }
  }
  E4S_UNROLL
  for (int g = 0; g < Groups; ++g) {
    E4S_UNROLL
    for (int v = 0; v < V; ++v) {
      float* const* sums = tile.sums + g * kTileRows;
      std::int64_t stride;
      if (evenly_spaced(sums, &stride)) {
        tiles.store(g * V + v, sums[0] + first + v * kLanes, stride);
        continue;
      }
      tiles.store(g * V + v, weights, kRowBytes);
      for (int i = 0; i < kTileRows; ++i)
        std::memcpy(sums[i] + first + v * kLanes, weights + i * kRowBytes, kRowBytes);
    }
  }
}

// Computes all pixels of a tile x V vectors of channels from `first` on.
template <class Tiles, int V>
void amx_channels(Tiles& tiles, const ConvTile& tile, int first, int lanes) {
  if (tile.pixel_count > 2 * kTileRows)
    amx_part<Tiles, 3, V>(tiles, tile, first, lanes);
  else if (tile.pixel_count > kTileRows)
    amx_part<Tiles, 2, V>(tiles, tile, first, lanes);
  else
    amx_part<Tiles, 1, V>(tiles, tile, first, lanes);
}

// Computes a tile x a group of `Vectors` vectors of output channels, two at a time.
template <class Tiles, int Vectors>
void conv_amx(const ConvTile& tile) {
  Tiles tiles;
  constexpr int lanes = Vectors * kLanes;
  for (int v = 0; v + 2 <= Vectors; v += 2) amx_channels<Tiles, 2>(tiles, tile, v * kLanes, lanes);
  if (Vectors % 2 != 0) amx_channels<Tiles, 1>(tiles, tile, (Vectors - 1) * kLanes, lanes);
}

}  // namespace
}  // namespace e4s
