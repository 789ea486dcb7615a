// Boxes: parts of maps that a run computes, and the parts of its inputs that a step reads for them.
#pragma once

#include "tensor.h"

namespace e4s {

// Rows [top, bottom) and columns [left, right) of a map; empty by default.
struct Box {
  int top = 0, left = 0, bottom = 0, right = 0;

  int height() const { return bottom - top; }
  int width() const { return right - left; }
  bool empty() const { return bottom <= top || right <= left; }
};

// The pixels of an input that a step reads for a pixel of its output: for row r those from r / up * stride,
// `widen` to both sides.
struct Window {
  int up = 1, stride = 1, widen = 0;
  bool whole = false;  // whatever the part of the output, the whole input
};
constexpr Window kWhole{1, 1, 0, true}, kSame{1, 1, 0, false};

// Returns the smallest box that covers both.
Box join(const Box& a, const Box& b);
// Returns a box grown to multiples of `grid` in a map [height, width].
Box on_grid(const Box& b, int grid, int height, int width);
// Returns the part of an input [height, width] that a step reads for a part of its output.
Box read_for(const Box& out, const Window& w, int height, int width);

inline Box whole(const Map& m) { return {0, 0, m.h, m.w}; }
// Returns the view of a box of a map; its pixel (0, 0) is the box's first. It has no halo of its own.
inline Map view(const Map& m, const Box& box) {
  Map part = m;
  part.data = m.at(0, box.top, box.left);
  part.h = box.height(), part.w = box.width(), part.halo = 0;
  return part;
}

}  // namespace e4s
