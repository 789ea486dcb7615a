// Upsampling: y[2i + k] += x[i] w[k] gives 2H + 1 rows, the FIR 2H of them. A tile of the result is made at
// once, so that what lies between stays in cache; the FIR's margin of three is computed by both neighbours.
#include <algorithm>

#include "ops/convolve.h"

namespace e4s {
namespace {

constexpr int kWidth = kGroup * kLanes;
constexpr int kRows = 32, kColumns = 32;  // of the result; even
constexpr int kMargin = 3;
constexpr std::int64_t kPlane = (kRows + kMargin) * static_cast<std::int64_t>(kColumns + kMargin);
constexpr std::int64_t kPointers = (kPlane * static_cast<std::int64_t>(sizeof(void*)) + 63) / 64 * 64;

// One axis of a phase: row 2i takes w[0] of x[i] and w[2] of x[i - 1]; row 2i + 1 takes w[1] of x[i].
struct Axis {
  int taps;
  int shift[2], index[2];
};
constexpr Axis kAxes[2] = {{2, {0, -1}, {0, 2}}, {1, {0, 0}, {1, 1}}};

struct Tile {
  int sample, top, left, rows, columns;  // of the result
};

// The transposed convolution at rows top - 1 .. top + rows + 1 of the tile, into `plane`.
void transpose(const Tiler& tiler, const Map& x, const Tile& tile, float* plane, const void** sources,
               float** targets) {
  const int high = tile.rows + kMargin, wide = tile.columns + kMargin;
  for (int phase = 0; phase < 4; ++phase) {
    const Axis &down = kAxes[phase / 2], &across = kAxes[phase % 2];
    Tiler::Offset taps[4];
    int count = 0;
    for (int a = 0; a < down.taps; ++a)
      for (int b = 0; b < across.taps; ++b)
        taps[count++] = {down.shift[a] * x.row + across.shift[b] * x.pixel,
                         down.index[a] * 3 + across.index[b]};
    // Tiles start at even pixels, so plane row r is row top - 1 + r of the whole: odd for even r.
    std::int64_t pixels = 0;
    for (int r = phase / 2 == 0 ? 1 : 0; r < high; r += 2)
      for (int c = phase % 2 == 0 ? 1 : 0; c < wide; c += 2) {
        const int row = tile.top - 1 + r, column = tile.left - 1 + c;
        sources[pixels] = x.at(tile.sample, (row - phase / 2) / 2, (column - phase % 2) / 2);
        targets[pixels++] = plane + (static_cast<std::int64_t>(r) * wide + c) * tiler.lanes();
      }
    tiler.sum(sources, pixels, taps, count, targets);
  }
}

}  // namespace

std::int64_t convolve_up_scratch() {
  const std::int64_t floats = kPlane * kWidth +
                              (kRows + kMargin) * static_cast<std::int64_t>(kColumns) * kWidth +
                              static_cast<std::int64_t>(kColumns) * kWidth;
  return 2 * kPointers + floats * 4;
}

void convolve_up(const Run& run, const Map& x, const Map& y, const PackedConv& conv,
                 const Epilogue& epilogue) {
  const int groups = conv.groups();
  const int down = (y.h + kRows - 1) / kRows, across = (y.w + kColumns - 1) / kColumns;
  const std::int64_t tiles = static_cast<std::int64_t>(down) * across;
  run.pool.each(y.n * tiles * groups, [&](std::int64_t task, int worker) {
    const int group = static_cast<int>(task % groups), sample = static_cast<int>(task / groups / tiles);
    const int place = static_cast<int>(task / groups % tiles);
    Tile tile{sample, place / across * kRows, place % across * kColumns, 0, 0};
    tile.rows = std::min(kRows, y.h - tile.top), tile.columns = std::min(kColumns, y.w - tile.left);
    std::byte* scratch = run.of_worker(worker);
    auto** targets = reinterpret_cast<float**>(scratch);
    auto** sources = reinterpret_cast<const void**>(scratch + kPointers);
    auto* plane = reinterpret_cast<float*>(scratch + 2 * kPointers);
    float* smooth = plane + kPlane * kWidth;
    float* result = smooth + (kRows + kMargin) * static_cast<std::int64_t>(kColumns) * kWidth;
    const Tiler tiler(run.cpu, conv, group);
    transpose(tiler, x, tile, plane, sources, targets);
    const std::int64_t lanes = tiler.lanes(), line = tile.columns * lanes;
    for (int r = 0; r < tile.rows + kMargin; ++r)
      run.cpu.fir_row({plane + static_cast<std::int64_t>(r) * (tile.columns + kMargin) * lanes,
                       smooth + r * line, tile.columns, tiler.lanes()});
    for (int r = 0; r < tile.rows; ++r) {
      const float* rows = smooth + r * line;
      run.cpu.fir_column(
          {{rows, rows + line, rows + 2 * line, rows + 3 * line}, result, static_cast<int>(line)});
      finish_span(run, epilogue, y, sample, tile.top + r, tile.left, tile.columns, tiler, result, lanes);
    }
  });
  clear_halo(run, y);
}

}  // namespace e4s
