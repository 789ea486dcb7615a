// 3 x 3 convolution by Winograd's F(4 x 4, 3 x 3), as winograd.cpp but with 36 products for 16 pixels. A
// worker transforms a block of tiles, for volumes through all slices, so that every slice is transformed once
// for the kernels that read it. The products of a group of channels stay in the second-level cache until they
// are transformed back. A 7 x 7 kernel is the sum of nine of 3 x 3, each moved.
#include "ops/convolve.h"
#include "ops/halo.h"

namespace e4s {
namespace {

constexpr int kParts = 36, kSide = 4;
constexpr std::int64_t kWidth = kGroup * kLanes;
constexpr std::int64_t kTiles = 48;  // most tiles that are multiplied together
constexpr std::int64_t kLine = 64;   // bytes between the parts, so that they share no cache set
constexpr int kRun = 6;              // tiles that are transformed back together

// Returns the most tiles of a slice per block: what a block needs stays near the second-level cache.
std::int64_t most_tiles(const Stack& stack) {
  const std::int64_t tiles = stack.first().inputs < 256 ? 36 : 24, slices = stack.out_depth();
  return (tiles + slices - 1) / slices;
}

// Offsets in bytes of a block's intermediates in a worker's scratch: inputs [part][slice][tile][channel],
// products of one group [part][slice][tile][channel], pictures [4][pixel][channel].
struct Layout {
  std::int64_t in_tile, in_part, out_part, products, pictures, total;
  explicit Layout(const Stack& stack)
      : in_tile(stack.first().inputs * 4),
        in_part(most_tiles(stack) * stack.depth * in_tile + kLine),
        out_part(most_tiles(stack) * stack.out_depth() * kWidth * 4 + kLine),
        products(aligned(kParts * in_part)),
        pictures(aligned(products + kParts * out_part)),
        total(aligned(pictures + kRun * kSide * kSide * kWidth * 4)) {}
};

// A kernel of 3 x 3 taps of a convolution's: its upper left tap, and how many of its first rows and columns
// belong to its neighbours and are zero here.
struct Piece {
  int top, left, rows, columns;
};

// Returns the number of pieces along an axis. The last one of 7 x 7 ends with the kernel, so that no piece
// reads beyond the border.
int pieces(const PackedConv& conv) { return conv.kernel == 3 ? 1 : 3; }

Piece piece_of(const PackedConv& conv, int number) {
  const int row = number / pieces(conv), column = number % pieces(conv);
  return {row == 2 ? 4 : 3 * row, column == 2 ? 4 : 3 * column, row == 2 ? 2 : 0, column == 2 ? 2 : 0};
}

// Returns the bytes of one transformed piece of a kernel.
std::int64_t transformed_bytes(const PackedConv& conv) { return aligned(conv.size(kParts) * 4); }

int all_pieces(const Stack& stack) { return pieces(stack.first()) * pieces(stack.first()); }

// Transforms a piece of the kernel's taps at `count` places.
void transform_piece(const Run& run, const Piece& piece, int side, const float* taps, std::int64_t count,
                     std::byte* out) {
  Winograd4Kernel r{};
  r.count = count, r.out = reinterpret_cast<float*>(out);
  for (int row = piece.rows; row < 3; ++row)
    for (int column = piece.columns; column < 3; ++column)
      r.taps[3 * row + column] = taps + ((piece.top + row) * side + piece.left + column) * count;
  run.cpu.winograd4_kernel(r);
}

// Transforms the kernels into the step's memory: [kernel][piece].
void transform_kernels(const Run& run, const Stack& stack) {
  const PackedConv& conv = stack.first();
  const std::int64_t bytes = transformed_bytes(conv), words = conv.words();
  const std::int64_t chunks = (words + kDepth - 1) / kDepth, tasks = conv.groups() * chunks;
  run.pool.each(stack.count() * all_pieces(stack) * tasks, [&](std::int64_t task, int) {
    const std::int64_t number = task / tasks;
    const PackedConv& kernel = *stack.kernels[static_cast<std::size_t>(number / all_pieces(stack))];
    const int group = static_cast<int>(task % tasks / chunks);
    const std::int64_t word = task % chunks * kDepth, depth = std::min(kDepth, words - word);
    const auto* taps = reinterpret_cast<const float*>(kernel.memory.data()) + conv.chunk(group, word);
    transform_piece(run, piece_of(conv, static_cast<int>(number % all_pieces(stack))), conv.kernel, taps,
                    depth * conv.vectors(group) * kLanes,
                    run.temporary + number * bytes + conv.chunk(group, word, kParts) * 4);
  });
}

// A block of tiles of a volume, or of a map: tiles [start, start + count) of every slice.
struct TileBlock {
  const Run& run;
  const Stack& stack;
  const Layout& places;
  std::int64_t volume, start;
  int count, across;  // across: tiles of a row
  std::byte* scratch;

  // Transforms what a piece of the kernel reads.
  void transform_inputs(const Map& x, int number) const {
    const Piece piece = piece_of(stack.first(), number);
    const int pad = stack.first().kernel / 2;
    for (int slice = 0; slice < stack.depth; ++slice)
      each_row(start, count, across, [&](int row, int column, int first, int length) {
        WinogradIn r{};
        r.x = x.at(volume * stack.depth + slice, kSide * row + piece.top - pad,
                   kSide * column + piece.left - pad);
        r.type = x.type;
        r.count = length, r.channels = stack.first().inputs, r.row = x.row, r.pixel = x.pixel;
        r.out = scratch + (slice * count + first) * places.in_tile, r.part = places.in_part / 4;
        run.cpu.winograd4_in(r);
      });
  }

  // Sums one part's products of a group and a piece, over the kernels of all slices.
  void multiply(int part, int group, int piece) const {
    const std::int64_t lanes = stack.first().vectors(group) * kLanes;
    const Tiler::Offset tap{0, part};
    const std::byte* inputs = scratch + part * places.in_part;
    std::byte* products = scratch + places.products + part * places.out_part;
    const int slices = stack.out_depth();
    stack.each([&](const PackedConv& kernel, int offset) {
      const int number = (offset + stack.pad) * all_pieces(stack) + piece;
      const std::byte* weights = run.temporary + number * transformed_bytes(kernel);
      const bool adds = offset != 0 || piece != 0;
      const Tiler tiler(run.cpu, kernel, group, weights, kParts);
      const void* sources[kTiles];
      float* targets[kTiles];
      int live = 0;
      for (int slice = std::max(0, -offset); slice < slices && slice + offset < stack.depth; ++slice)
        for (int t = 0; t < count; ++t) {
          sources[live] = inputs + ((slice + offset) * count + t) * places.in_tile;
          targets[live] = reinterpret_cast<float*>(products) + (slice * count + t) * lanes;
          if (++live < kTiles) continue;
          tiler.sum(sources, live, &tap, 1, targets, adds);
          live = 0;
        }
      if (live != 0) tiler.sum(sources, live, &tap, 1, targets, adds);
    });
  }

  // Transforms a group's products back and applies the epilogue.
  void finish(const Map& y, const Epilogue& epilogue, int group) const {
    const Tiler tiler(run.cpu, stack.first(), group);
    const int lanes = tiler.lanes();
    const auto* products = reinterpret_cast<const float*>(scratch + places.products);
    auto* pictures = reinterpret_cast<float*>(scratch + places.pictures);
    for (int slice = 0; slice < stack.out_depth(); ++slice)
      each_row(start, count, across, [&](int row, int column, int first, int length) {
        const int sample = static_cast<int>(volume) * stack.out_depth() + slice;
        for (int done = 0; done < length; done += kRun) {
          const int tiles = std::min(kRun, length - done);
          const std::int64_t width = static_cast<std::int64_t>(kSide) * tiles * lanes;
          const float* from = products + (static_cast<std::int64_t>(slice) * count + first + done) * lanes;
          run.cpu.winograd4_out({from, places.out_part / 4, lanes, tiles, lanes, pictures, width});
          for (int line = 0; line < kSide; ++line)
            finish_span(run, epilogue, y, sample, kSide * row + line, kSide * (column + done), kSide * tiles,
                        tiler, pictures + line * width, lanes);
        }
      });
  }
};

}  // namespace

std::int64_t winograd4_temporary(const Stack& stack) {
  return stack.count() * all_pieces(stack) * transformed_bytes(stack.first());
}

std::int64_t winograd4_scratch(const Stack& stack) { return Layout(stack).total; }

void convolve_winograd4(const Run& run, const Map& x, const Map& y, const Stack& stack,
                        const Epilogue& epilogue) {
  transform_kernels(run, stack);
  const Layout places(stack);
  const int across = y.w / kSide;
  const std::int64_t tiles = static_cast<std::int64_t>(across) * (y.h / kSide);
  const std::int64_t volumes = y.n / stack.out_depth();
  const int multiple = stack.out_depth() == 1 ? kSumPixels : 1;  // slices fill products, too
  const std::int64_t per = block_tiles(tiles, most_tiles(stack), multiple, run.pool.width());
  const std::int64_t blocks = (tiles + per - 1) / per;
  run.pool.each(volumes * blocks, [&](std::int64_t task, int worker) {
    const std::int64_t start = task % blocks * per;
    const TileBlock block{run,    stack,
                          places, task / blocks,
                          start,  static_cast<int>(std::min(per, tiles - start)),
                          across, run.of_worker(worker)};
    const int count = all_pieces(stack);
    for (int group = 0; group < stack.first().groups(); ++group) {
      for (int piece = 0; piece < count; ++piece) {
        if (group == 0 || count > 1) block.transform_inputs(x, piece);
        for (int part = 0; part < kParts; ++part) block.multiply(part, group, piece);
      }
      block.finish(y, epilogue, group);
    }
  });
  clear_halo(run, y);
}

}  // namespace e4s
