#include "ops/resize_coordinates.h"

#include <algorithm>

namespace e4s {

Place place(int i, int from, int to, int mode) {
  if (mode == kNearest) {
    const int near = static_cast<int>(static_cast<std::int64_t>(i) * from / to);
    return {near, near, 0};
  }
  const double ratio = static_cast<double>(from) / to;
  const float at = mode == kCorners
                       ? static_cast<float>(to > 1 ? i * static_cast<double>(from - 1) / (to - 1) : 0)
                       : std::max(static_cast<float>((i + 0.5) * ratio - 0.5), 0.0f);
  const int near = std::min(static_cast<int>(at), from - 1);
  return {near, std::min(near + 1, from - 1), at - static_cast<float>(near)};
}

std::int64_t columns_bytes(std::int64_t width) { return aligned(width * 12); }

Columns fill_columns(std::byte* memory, int from, int to, int mode) {
  auto* left = reinterpret_cast<int*>(memory);
  const Columns columns{left, left + to, reinterpret_cast<float*>(left + 2 * to)};
  for (int i = 0; i < to; ++i) {
    const Place p = place(i, from, to, mode);
    columns.left[i] = p.near, columns.right[i] = p.far, columns.fraction[i] = p.fraction;
  }
  return columns;
}

void resize_row(const Run& run, const Map& x, std::int64_t n, int row, int height, int width, int mode,
                const Columns& columns, void* out) {
  const Place p = place(row, x.h, height, mode);
  run.cpu.resize_row({x.at(n, p.near, 0), x.at(n, p.far, 0), x.type, p.fraction, width,
                      static_cast<int>(x.pixel), x.pixel, columns.left, columns.right, columns.fraction, out,
                      x.pixel});
}

}  // namespace e4s
