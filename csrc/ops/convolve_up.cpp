// Upsampling: y[2i + k] += x[i] w[k] gives 2H + 1 rows, the FIR reduces them to 2H. A task computes a strip
// of the result in chunks of rows, so that intermediates stay in cache; the last three rows after the
// horizontal pass carry over to the next chunk, and only the strip's margins are computed twice.
#include <algorithm>
#include <cstring>

#include "ops/convolve.h"
#include "ops/halo.h"

namespace e4s {
namespace {

constexpr int kWidth = kGroup * kLanes;
constexpr int kRows = 64, kColumns = 64, kChunk = 16;  // sides of a strip and rows of a chunk; even
constexpr int kMargin = 3;
constexpr std::int64_t kPlane = (kChunk + kMargin) * static_cast<std::int64_t>(kColumns + kMargin);
constexpr std::int64_t kPointers = (kPlane * static_cast<std::int64_t>(sizeof(void*)) + 63) / 64 * 64;
constexpr std::int64_t kSmooth = (kChunk + kMargin) * static_cast<std::int64_t>(kColumns);

// One axis of a phase: row 2i = w[0] x[i] + w[2] x[i - 1]; row 2i + 1 = w[1] x[i].
struct Axis {
  int taps;
  int shift[2], index[2];
};
constexpr Axis kAxes[2] = {{2, {0, -1}, {0, 2}}, {1, {0, 0}, {1, 1}}};

struct Strip {
  int sample, top, left, rows, columns;  // in the result
};

struct Scratch {
  float** targets;
  const void** sources;
  float *plane, *smooth, *result;

  explicit Scratch(std::byte* memory)
      : targets(reinterpret_cast<float**>(memory)),
        sources(reinterpret_cast<const void**>(memory + kPointers)),
        plane(reinterpret_cast<float*>(memory + 2 * kPointers)),
        smooth(plane + kPlane * kWidth),
        result(smooth + kSmooth * kWidth) {}
};

// Computes rows [first, first + high) of the transposed convolution, columns left - 1 .. left + columns + 1.
void transpose(const Tiler& tiler, const Map& x, const Strip& strip, int first, int high,
               const Scratch& scratch) {
  const int wide = strip.columns + kMargin, lanes = tiler.lanes();
  for (int phase = 0; phase < 4; ++phase) {
    const int odd_row = phase / 2, odd_column = phase % 2;
    const Axis &down = kAxes[odd_row], &across = kAxes[odd_column];
    Tiler::Offset taps[4];
    int count = 0;
    for (int a = 0; a < down.taps; ++a)
      for (int b = 0; b < across.taps; ++b)
        taps[count++] = {down.shift[a] * x.row + across.shift[b] * x.pixel,
                         down.index[a] * 3 + across.index[b]};
    // Strips start at even columns, so plane column c is column left - 1 + c of the result: odd for even c.
    std::int64_t pixels = 0;
    for (int row = first + ((first + odd_row) & 1); row < first + high; row += 2) {
      const int skip = 1 - odd_column;
      const std::byte* source =
          x.at(strip.sample, (row - odd_row) / 2, (strip.left - 1 + skip - odd_column) / 2);
      float* target = scratch.plane + (static_cast<std::int64_t>(row - first) * wide + skip) * lanes;
      for (int c = skip; c < wide; c += 2, source += x.pixel * size_of(x.type), target += 2 * lanes) {
        scratch.sources[pixels] = source;
        scratch.targets[pixels++] = target;
      }
    }
    tiler.sum(scratch.sources, pixels, taps, count, scratch.targets);
  }
}

void make_strip(const Run& run, const Map& x, const Map& y, const Tiler& tiler, const Strip& strip,
                const Scratch& scratch, const Epilogue& epilogue) {
  const int lanes = tiler.lanes(), wide = strip.columns + kMargin;
  const std::int64_t line = static_cast<std::int64_t>(strip.columns) * lanes;
  int kept = 0;  // rows of `smooth` from the previous chunk
  for (int done = 0; done < strip.rows; done += kChunk) {
    const int rows = std::min(kChunk, strip.rows - done), high = rows + kMargin - kept;
    transpose(tiler, x, strip, strip.top + done - 1 + kept, high, scratch);
    for (int r = 0; r < high; ++r)
      run.cpu.fir_row({scratch.plane + static_cast<std::int64_t>(r) * wide * lanes,
                       scratch.smooth + (kept + r) * line, strip.columns, lanes});
    for (int r = 0; r < rows; ++r) {
      const float* above = scratch.smooth + r * line;
      run.cpu.fir_column({{above, above + line, above + 2 * line, above + 3 * line},
                          scratch.result,
                          static_cast<int>(line)});
      finish_span(run, epilogue, y, strip.sample, strip.top + done + r, strip.left, strip.columns, tiler,
                  scratch.result, lanes);
    }
    kept = kMargin;
    std::memmove(scratch.smooth, scratch.smooth + rows * line, static_cast<std::size_t>(kMargin * line) * 4);
  }
}

// Returns an even length of at most `most` that splits a side into parts of about the same length.
int even_share(int side, int most) {
  const int parts = (side + most - 1) / most;
  return ((side + parts - 1) / parts + 1) / 2 * 2;
}

}  // namespace

std::int64_t convolve_up_scratch() { return 2 * kPointers + (kPlane + kSmooth + kColumns) * kWidth * 4; }

void convolve_up(const Run& run, const Map& x, const Map& y, const PackedConv& conv,
                 const Epilogue& epilogue) {
  const int groups = conv.groups();
  const int most = y.h <= kRows ? std::max(kChunk, y.h / 4 / kChunk * kChunk) : kRows;  // enough tasks
  const int high = even_share(y.h, most), wide = even_share(y.w, kColumns);
  const int down = (y.h + high - 1) / high, across = (y.w + wide - 1) / wide;
  const std::int64_t strips = static_cast<std::int64_t>(down) * across;
  run.pool.each(y.n * strips * groups, [&](std::int64_t task, int worker) {
    const int place = static_cast<int>(task / groups % strips);
    Strip strip{static_cast<int>(task / groups / strips), place / across * high, place % across * wide, 0, 0};
    strip.rows = std::min(high, y.h - strip.top), strip.columns = std::min(wide, y.w - strip.left);
    const Tiler tiler(run.cpu, conv, static_cast<int>(task % groups));
    make_strip(run, x, y, tiler, strip, Scratch(run.of_worker(worker)), epilogue);
  });
  clear_halo(run, y);
}

}  // namespace e4s
