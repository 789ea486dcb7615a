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

}  // namespace e4s
