#include "paste.h"

#include <algorithm>
#include <cmath>

#include "parallel.h"

namespace e4s {
namespace {

// The four pixels around a place, as offsets, and how far it lies from the first towards the others.
struct Place {
  std::int64_t upper[2], lower[2];
  double right, below;
};

// Finds the place of continuous coordinates; returns whether they lie in the picture. At its edges the
// outermost pixels go on.
bool find(const Pixels& picture, double x, double y, Place& place) {
  if (!(x >= 0 && x < picture.width && y >= 0 && y < picture.height)) return false;  // nor do NaN
  x -= 0.5, y -= 0.5;
  const int column = static_cast<int>(std::floor(x)), row = static_cast<int>(std::floor(y));
  place.right = x - column, place.below = y - row;
  const std::int64_t columns[2] = {std::max(column, 0), std::min(column + 1, picture.width - 1)};
  const std::int64_t rows[2] = {std::max(row, 0), std::min(row + 1, picture.height - 1)};
  for (int i = 0; i < 2; ++i) {
    place.upper[i] = rows[0] * picture.width + columns[i];
    place.lower[i] = rows[1] * picture.width + columns[i];
  }
  return true;
}

int sample(const Pixels& picture, const Place& place, int channel) {
  const auto between = [&](const std::int64_t* pixels) {
    const int first = picture.data[pixels[0] * picture.channels + channel];
    const int second = picture.data[pixels[1] * picture.channels + channel];
    return first + (second - first) * place.right;
  };
  const double above = between(place.upper), below = between(place.lower);
  return static_cast<int>(above + (below - above) * place.below);
}

std::uint8_t blended(int photo, int face, int alpha) {
  const int sum = photo * (255 - alpha) + face * alpha + 128;
  return static_cast<std::uint8_t>((sum + (sum >> 8)) >> 8);  // sum / 255, rounded
}

}  // namespace

void paste(const Paste& p, const Box& box) {
  const int channels = p.face.channels;
  const Pool::Lease lease(shared_pool(), 0);
  lease.each(box.height(), [&](std::int64_t task, int) {
    const std::int64_t row = box.top + task;
    const double y = static_cast<double>(row) - p.top + 0.5;
    std::uint8_t* out = p.photo + row * p.row + static_cast<std::int64_t>(box.left) * channels;
    for (int column = box.left; column < box.right; ++column, out += channels) {
      const double x = static_cast<double>(column) - p.left + 0.5;
      Place place;
      if (!find(p.alpha, p.across[0] * x + p.across[1] * y + p.across[2],
                p.down[0] * x + p.down[1] * y + p.down[2], place))
        continue;
      const int alpha = sample(p.alpha, place, 0);
      if (alpha == 0) continue;
      for (int c = 0; c < channels; ++c) out[c] = blended(out[c], sample(p.face, place, c), alpha);
    }
  });
}

}  // namespace e4s
