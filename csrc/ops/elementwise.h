// Helpers of steps that compute the rows of a feature map one by one.
#pragma once

#include "plan.h"

namespace e4s {

// Whether a buffer is a feature map in the arena: no labels, no picture of three channels.
inline bool is_feature(const BufferSpec& spec) {
  return spec.type != Type::u8 && spec.external < 0 && spec.c != 3;
}

inline bool same_size(const BufferSpec& x, const BufferSpec& y) {
  return x.n == y.n && x.h == y.h && x.w == y.w && x.c == y.c;
}

// Throws ArgumentError unless x and y are feature maps of the same shape and type.
inline void require_same_features(const Builder& b, const BufferSpec& x, const BufferSpec& y) {
  b.require(is_feature(x) && is_feature(y) && x.type == y.type && same_size(x, y),
            "x and y must be feature maps of the same shape and type");
}

// Throws ArgumentError unless `count` channels fit into y from channel `to` on: whole vectors are stored, and
// nothing else may lie where the last one ends.
inline void require_part(const Builder& b, const BufferSpec& y, std::int64_t to, std::int64_t count) {
  b.require(to % kLanes == 0 && to + count <= y.c && (count % kLanes == 0 || to + count == y.c),
            "the result does not fit into the channels of y");
}

// Returns a part of a map's channels. Its halo is the whole map's, which `clear_halo` clears.
inline Map part_of(const Map& y, std::int64_t to, std::int64_t count) {
  Map part = y;
  part.data += to * size_of(y.type), part.c = static_cast<int>(count), part.halo = 0;
  return part;
}

// Calls f(sample, row, worker) for every row of y.
template <class F>
void each_row_of(const Run& run, const Map& y, const F& f) {
  run.pool.each(static_cast<std::int64_t>(y.n) * y.h,
                [&](std::int64_t task, int worker) { f(task / y.h, task % y.h, worker); });
}

// Calls f(sample, row, worker) for every row of the step's box.
template <class F>
void each_row_in_box(const Run& run, const Map& y, const F& f) {
  const std::int64_t rows = run.box.height();
  run.pool.each(y.n * rows,
                [&](std::int64_t task, int worker) { f(task / rows, run.box.top + task % rows, worker); });
}

}  // namespace e4s
