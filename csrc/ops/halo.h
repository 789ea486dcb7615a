// The border of zero pixels around every sample of a feature map, which convolutions read.
#pragma once

#include "plan.h"

namespace e4s {

// Zeroes the halo around every sample.
void clear_halo(const Run& run, const Map& y);
// Zeroes the part of the halo that adjoins a box.
void clear_halo(const Run& run, const Map& y, const Box& box);

// Fills `width` pixels of the halo with the map mirrored, its edge not repeated. Sides are above `width`.
void mirror_halo(const Run& run, const Map& y, int width);

}  // namespace e4s
