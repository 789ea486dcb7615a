// Where the pixels of a resized map lie in the input. The modes are those of ops/resize.py.
#pragma once

#include "plan.h"

namespace e4s {

enum ResizeMode { kBilinear, kCorners, kNearest };  // half-pixel centres; aligned corners; nearest

struct Place {
  int near, far;
  float fraction;
};

// Returns the position of output index i of `to` among `from` input samples.
Place place(int i, int from, int to, int mode);

// The places of a row's pixels.
struct Columns {
  int *left, *right;
  float* fraction;
};

// Returns the bytes of memory that the places of `width` pixels need.
std::int64_t columns_bytes(std::int64_t width);
// Computes them in that memory.
Columns fill_columns(std::byte* memory, int from, int to, int mode);

// Interpolates row `row` of a map resized to `height` rows, at `columns`, to out [width][x.pixel].
void resize_row(const Run& run, const Map& x, std::int64_t n, int row, int height, int width, int mode,
                const Columns& columns, void* out);

}  // namespace e4s
