#include "ops/halo.h"

#include <cstring>

namespace e4s {

void clear_halo(const Run& run, const Map& y) { clear_halo(run, y, whole(y)); }

void clear_halo(const Run& run, const Map& y, const Box& box) {
  if (y.halo == 0) return;
  const int left = box.left == 0 ? -y.halo : box.left, right = box.right == y.w ? y.w + y.halo : box.right;
  const int top = box.top == 0 ? -y.halo : box.top, bottom = box.bottom == y.h ? y.h + y.halo : box.bottom;
  const auto clear = [&](std::int64_t n, int row, int from, int to) {
    const std::int64_t bytes = (to - from) * y.pixel * size_of(y.type);
    std::memset(y.at(n, row, from), 0, static_cast<std::size_t>(bytes));
  };
  run.pool.each(y.n, [&](std::int64_t n, int) {
    for (int row = top; row < bottom; ++row) {
      if (row < 0 || row >= y.h) {
        clear(n, row, left, right);
      } else {
        clear(n, row, left, box.left);
        clear(n, row, box.right, right);
      }
    }
  });
}

void mirror_halo(const Run& run, const Map& y, int width) {
  const auto size = static_cast<std::size_t>(y.pixel * size_of(y.type));
  run.pool.each(static_cast<std::int64_t>(y.n) * y.h, [&](std::int64_t task, int) {
    const std::int64_t n = task / y.h, row = task % y.h;
    for (int i = 1; i <= width; ++i) {
      std::memcpy(y.at(n, row, -i), y.at(n, row, i), size);
      std::memcpy(y.at(n, row, y.w - 1 + i), y.at(n, row, y.w - 1 - i), size);
    }
  });
  run.pool.each(y.n, [&](std::int64_t n, int) {
    for (int i = 1; i <= width; ++i) {
      const std::size_t line = static_cast<std::size_t>(y.w + 2 * width) * size;
      std::memcpy(y.at(n, -i, -width), y.at(n, i, -width), line);
      std::memcpy(y.at(n, y.h - 1 + i, -width), y.at(n, y.h - 1 - i, -width), line);
    }
  });
}

}  // namespace e4s
