// Upsampling: y[2i + k] += x[i] w[k] gives 2H + 1 rows, the FIR reduces them to 2H. A task computes a strip
// of the result in chunks of rows, so that intermediates stay in cache; the last three rows after the
// horizontal pass carry over to the next chunk, and only the strip's margins are computed twice.
//
// With styles every region of a strip is computed by itself, from inputs scaled by its style: the rows of the
// transposed convolution that its pixels read, and so those near a border once for either side.
#include <algorithm>
#include <cstring>

#include "ops/convolve.h"
#include "ops/halo.h"

namespace e4s {
namespace {

constexpr int kWidth = kGroup * kLanes;
constexpr int kRows = 64, kColumns = 64, kChunk = 16;  // sides of a strip and rows of a chunk; even
constexpr int kMargin = 3;
constexpr int kTasks = 4;                                           // least tasks for a thread
constexpr int kBelow = kChunk / 2 + 2, kAcross = kColumns / 2 + 2;  // pixels of x under a chunk
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

  int wide() const { return columns + kMargin; }  // columns left - 1 .. left + columns + 1 before the FIR
};

struct Scratch {
  float** targets;
  const void** sources;
  float *plane, *smooth, *result;
  std::byte* scaled;

  explicit Scratch(std::byte* memory)
      : targets(reinterpret_cast<float**>(memory)),
        sources(reinterpret_cast<const void**>(memory + kPointers)),
        plane(reinterpret_cast<float*>(memory + 2 * kPointers)),
        smooth(plane + kPlane * kWidth),
        result(smooth + kSmooth * kWidth),
        scaled(reinterpret_cast<std::byte*>(result + static_cast<std::int64_t>(kColumns) * kWidth)) {}
};

// The part of a strip before the FIR that a region's pixels read.
struct Wanted {
  std::uint8_t marks[kRows + kMargin][kColumns + kMargin];
  int first[kRows + kMargin], last[kRows + kMargin];  // of the marks of a row; first > last: none

  void clear(const Strip& strip) {
    for (int row = 0; row < strip.rows + kMargin; ++row) {
      std::fill_n(marks[row], strip.wide(), std::uint8_t{0});
      first[row] = strip.wide(), last[row] = -1;
    }
  }
  // Marks what the pixels of columns [from, to) of a row of the strip read.
  void add(int row, int from, int to) {
    for (int r = row; r <= row + kMargin; ++r) {
      std::fill_n(marks[r] + from, to - from + kMargin, std::uint8_t{1});
      first[r] = std::min(first[r], from), last[r] = std::max(last[r], to - 1 + kMargin);
    }
  }
};

// The pixels of x under a chunk, scaled or as they are; the first one is left and above of those below its
// first row and column.
struct Source {
  const std::byte* first;
  std::int64_t row, pixel;  // in elements
};

struct Job {
  const Run& run;
  const Map &x, &y;
  const Tiler& tiler;
  const Epilogue& epilogue;
  const Map* styles;  // or null
  Strip strip;
  Scratch scratch;
  Wanted* wanted;

  const std::uint8_t* labels(int row) const {
    return epilogue.labels == nullptr ? nullptr
                                      : reinterpret_cast<const std::uint8_t*>(
                                            epilogue.labels->at(strip.sample, strip.top + row, strip.left));
  }
  // Calls visit(from, to) for the runs of a region's pixels in a row of the strip.
  template <class F>
  void each_run(int row, int region, const F& visit) const {
    const std::uint8_t* own = labels(row);
    if (own == nullptr) return visit(0, strip.columns);
    for (int from = 0; from < strip.columns; ++from) {
      if (own[from] != region) continue;
      int to = from + 1;
      while (to < strip.columns && own[to] == region) ++to;
      visit(from, to);
      from = to;
    }
  }
};

// Returns the pixels of x under rows [first, first + high) of the transposed convolution: those that the
// region's pixels read, times its style.
Source scale(const Job& job, int region, int first, int high) {
  const Map& x = job.x;
  const int above = (first + 1) / 2 - 1, before = job.strip.left / 2 - 1;
  const std::byte* corner = x.at(job.strip.sample, above, before);
  if (job.styles == nullptr) return {corner, x.row, x.pixel};
  const std::int64_t size = size_of(x.type), row = kAcross * x.pixel;
  ScaleRow r{};
  r.type = x.type, r.channels = static_cast<int>(x.pixel), r.pixel = x.pixel;
  r.styles = reinterpret_cast<const float*>(job.styles->at(job.strip.sample, 0, region));
  for (int i = 0; i < kBelow; ++i) {
    // Row i of x is read by the rows 2i to 2i + 2 of the transposed convolution, column j likewise.
    const int top = 2 * (above + i), begin = std::max(top, first), end = std::min(top + 3, first + high);
    int from = kColumns + kMargin, to = -1;
    for (int z = begin; z < end; ++z) {
      const int line = z - job.strip.top + 1;
      from = std::min(from, job.wanted->first[line]), to = std::max(to, job.wanted->last[line]);
    }
    if (from > to) continue;
    from /= 2, to = (to + 1) / 2;
    r.x = corner + (i * x.row + from * x.pixel) * size;
    r.out = job.scratch.scaled + (i * row + from * x.pixel) * size;
    r.count = to - from + 1;
    job.run.cpu.scale_row(r);
  }
  return {job.scratch.scaled, row, x.pixel};
}

// Computes the wanted part of rows [first, first + high) of the transposed convolution.
void transpose(const Job& job, const Source& source, int first, int high) {
  const int wide = job.strip.wide(), lanes = job.tiler.lanes(), above = (first + 1) / 2 - 1;
  const std::int64_t size = size_of(job.x.type);
  for (int phase = 0; phase < 4; ++phase) {
    const int odd_row = phase / 2, odd_column = phase % 2;
    const Axis &down = kAxes[odd_row], &across = kAxes[odd_column];
    Tiler::Offset taps[4];
    int count = 0;
    for (int a = 0; a < down.taps; ++a)
      for (int b = 0; b < across.taps; ++b)
        taps[count++] = {down.shift[a] * source.row + across.shift[b] * source.pixel,
                         down.index[a] * 3 + across.index[b]};
    // Strips start at even columns, so plane column c is column left - 1 + c of the result: odd for even c.
    std::int64_t pixels = 0;
    for (int row = first + ((first + odd_row) & 1); row < first + high; row += 2) {
      const std::uint8_t* marks = job.wanted->marks[row - job.strip.top + 1];
      const std::byte* line = source.first + ((row - odd_row) / 2 - above) * source.row * size;
      float* target = job.scratch.plane + static_cast<std::int64_t>(row - first) * wide * lanes;
      for (int c = 1 - odd_column; c < wide; c += 2) {
        if (marks[c] == 0) continue;
        job.scratch.sources[pixels] = line + (c + 1) / 2 * source.pixel * size;
        job.scratch.targets[pixels++] = target + static_cast<std::int64_t>(c) * lanes;
      }
    }
    job.tiler.sum(job.scratch.sources, pixels, taps, count, job.scratch.targets);
  }
}

// Applies the FIR along rows to a row of the plane, where a region's pixels read it.
void smooth_row(const Job& job, int line, const float* plane, float* out) {
  const int first = job.wanted->first[line], count = job.wanted->last[line] - kMargin - first + 1;
  if (count <= 0) return;
  const std::int64_t offset = static_cast<std::int64_t>(first) * job.tiler.lanes();
  job.run.cpu.fir_row({plane + offset, out + offset, count, job.tiler.lanes()});
}

// Computes a region's pixels of a strip.
void make_region(const Job& job, int region) {
  const Strip& strip = job.strip;
  const int lanes = job.tiler.lanes();
  const std::int64_t line = static_cast<std::int64_t>(strip.columns) * lanes;
  job.wanted->clear(strip);
  for (int row = 0; row < strip.rows; ++row)
    job.each_run(row, region, [&](int from, int to) { job.wanted->add(row, from, to); });
  float* smooth = job.scratch.smooth;
  int kept = 0;  // rows of `smooth` from the previous chunk
  for (int done = 0; done < strip.rows; done += kChunk) {
    const int rows = std::min(kChunk, strip.rows - done), high = rows + kMargin - kept;
    const int first = strip.top + done - 1 + kept;
    transpose(job, scale(job, region, first, high), first, high);
    for (int r = 0; r < high; ++r)
      smooth_row(job, done + kept + r,
                 job.scratch.plane + static_cast<std::int64_t>(r) * strip.wide() * lanes,
                 smooth + (kept + r) * line);
    for (int r = 0; r < rows; ++r) {
      job.each_run(done + r, region, [&](int from, int to) {
        const float* above = smooth + r * line + static_cast<std::int64_t>(from) * lanes;
        job.run.cpu.fir_column({{above, above + line, above + 2 * line, above + 3 * line},
                                job.scratch.result,
                                (to - from) * lanes});
        finish_span(job.run, job.epilogue, job.y, strip.sample, strip.top + done + r, strip.left + from,
                    to - from, job.tiler, job.scratch.result, lanes);
      });
    }
    kept = kMargin;
    std::memmove(smooth, smooth + rows * line, static_cast<std::size_t>(kMargin * line) * 4);
  }
}

// Computes a strip, region by region.
void make_strip(const Job& job) {
  if (job.epilogue.labels == nullptr) return make_region(job, 0);
  bool seen[256] = {};
  for (int row = 0; row < job.strip.rows; ++row) {
    const std::uint8_t* labels = job.labels(row);
    for (int column = 0; column < job.strip.columns; ++column) seen[labels[column]] = true;
  }
  for (int region = 0; region < 256; ++region)
    if (seen[region]) make_region(job, region);
}

// Returns an even length of at most `most` that splits a side into parts of about the same length.
int even_share(int side, int most) {
  const int parts = (side + most - 1) / most;
  return ((side + parts - 1) / parts + 1) / 2 * 2;
}

// Returns the most rows of a strip: as many as leave enough tasks, because margins are computed twice.
int strip_rows(int height, int across, int workers) {
  const int parts = (kTasks * workers + across - 1) / across;
  return std::min(std::max((height + parts - 1) / parts, kChunk), kRows);
}

}  // namespace

std::int64_t convolve_up_scratch(const Map& x) {
  return 2 * kPointers + (kPlane + kSmooth + kColumns) * kWidth * 4 +
         static_cast<std::int64_t>(kBelow) * kAcross * x.pixel * size_of(x.type);
}

void convolve_up(const Run& run, const Map& x, const Map& y, const PackedConv& conv, const Map* styles,
                 const Epilogue& epilogue) {
  const int groups = conv.groups();
  const int wide = even_share(y.w, kColumns), across = (y.w + wide - 1) / wide;
  const int high = even_share(y.h, strip_rows(y.h, y.n * groups * across, run.pool.width()));
  const int down = (y.h + high - 1) / high;
  const std::int64_t strips = static_cast<std::int64_t>(down) * across;
  run.pool.each(y.n * strips * groups, [&](std::int64_t task, int worker) {
    const int place = static_cast<int>(task / groups % strips);
    Strip strip{static_cast<int>(task / groups / strips), place / across * high, place % across * wide, 0, 0};
    strip.rows = std::min(high, y.h - strip.top), strip.columns = std::min(wide, y.w - strip.left);
    const Tiler tiler(run.cpu, conv, static_cast<int>(task % groups));
    Wanted wanted;
    make_strip({run, x, y, tiler, epilogue, styles, strip, Scratch(run.of_worker(worker)), &wanted});
  });
  clear_halo(run, y);
}

}  // namespace e4s
