// A face warped into its photo and blended over it, in one pass over the pixels that it may cover.
#pragma once

#include <cstdint>

#include "box.h"

namespace e4s {

// Pixels [height, width, channels] without padding.
struct Pixels {
  const std::uint8_t* data;
  int height, width, channels;
};

struct Paste {
  std::uint8_t* photo;        // as many channels as the face
  std::int64_t row;           // bytes from one row of the photo to the next
  Pixels face, alpha;         // of one size; alpha has one channel: opacity
  double across[3], down[3];  // coordinates in the face of the photo's point (x, y): [0] x + [1] y + [2]
  int left, top;              // the photo's pixel that these count from
};

// Blends alpha / 255 of the face over the pixels of a box of the photo, rounded. A pixel is sampled at its
// centre, bilinearly, as Pillow's affine transform does, to the bit: whole values, cut off; nothing outside.
void paste(const Paste& p, const Box& box);

}  // namespace e4s
