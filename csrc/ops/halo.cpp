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

}  // namespace e4s
