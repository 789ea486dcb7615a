// Volumes, whose slices are neighbouring samples of a map, and points in them.
//
// The coordinates (x, y, z) of a cell run from -1 at the first cell of an axis to 1 at its last, but a sample
// at place v of an axis of n cells reads position ((v + 1) n - 1) / 2, as face-vid2vid was published.
#pragma once

#include "plan.h"

namespace e4s {

// Returns the coordinate of a cell on an axis of `count` cells.
inline float coordinate(int cell, int count) {
  return count > 1 ? 2.0f * static_cast<float>(cell) / static_cast<float>(count - 1) - 1.0f : -1.0f;
}

// The cell before a place on an axis, and the fraction of the way to the next one.
struct Between {
  int low;
  float fraction;
};
Between between(float place, int count);

// Sets the mix of the cells around a place of volume `sample`, with zeros outside of it.
void sample_at(const Map& x, int depth, std::int64_t sample, const Between& slice, const Between& row,
               const Between& column, Mix& mix);

// Points [N,1,K,3] as floats.
inline const float* point(const Map& points, std::int64_t sample, int number) {
  return reinterpret_cast<const float*>(points.at(sample, 0, number));
}

// Returns whether a buffer holds points for each of `samples` volumes.
inline bool are_points(const BufferSpec& spec, std::int64_t samples) {
  return spec.type == Type::f32 && spec.n == samples && spec.h == 1 && spec.c == 3 && spec.halo == 0;
}

}  // namespace e4s
