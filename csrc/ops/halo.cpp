#include "ops/halo.h"

#include <cstring>

namespace e4s {

void clear_halo(const Run& run, const Map& y) {
  if (y.halo == 0) return;
  const std::int64_t size = size_of(y.type), width = (y.w + 2 * y.halo) * y.pixel * size;
  const std::int64_t side = y.halo * y.pixel * size;
  run.pool.each(y.n, [&](std::int64_t n, int) {
    for (int row = -y.halo; row < y.h + y.halo; ++row) {
      std::byte* left = y.at(n, row, -y.halo);
      if (row < 0 || row >= y.h) {
        std::memset(left, 0, static_cast<std::size_t>(width));
      } else {
        std::memset(left, 0, static_cast<std::size_t>(side));
        std::memset(left + width - side, 0, static_cast<std::size_t>(side));
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
