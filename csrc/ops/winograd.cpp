// 3 x 3 convolution by Winograd's F(2 x 2, 3 x 3): tiles of 4 x 4 inputs are transformed, multiplied in the
// transformed domain (sixteen matrix products over tiles, by the same register tiles as every convolution),
// and transformed back to 2 x 2 outputs. One worker computes a block of tiles for all output channels, group
// after group.
//
// In a regional convolution a tile is computed once for every region of its four outputs, from inputs scaled
// by that region's style, so that every output has the style of its own region.
#include "ops/convolve.h"
#include "ops/halo.h"

namespace e4s {
namespace {

constexpr int kParts = 16;
constexpr std::int64_t kWidth = kGroup * kLanes;
constexpr std::int64_t kTiles = 72;  // most tiles per block
constexpr std::int64_t kLine = 64;   // bytes between the parts, so that they share no cache set
// With fewer channels the transforms cost too much; with fewer pixels the weights, which grow by 16 / 9.
constexpr int kLeastChannels = 32;
constexpr std::int64_t kLeastPixels = 256;
constexpr std::int64_t kLeastPixels4 = 1024;  // of tiles of 4 x 4 pixels, whose kernels every run transforms

// Offsets in bytes of a block's intermediates in a worker's scratch: inputs [part][tile][channel], products
// [part][tile][channel], pictures of one group [2][pixel][channel].
struct Layout {
  std::int64_t in_tile, in_part, out_tile, out_part, products, pictures, total;
  explicit Layout(const PackedConv& conv)
      : in_tile(conv.words() * 4),
        in_part(kTiles * in_tile + kLine),
        out_tile((conv.outputs + kLanes - 1) / kLanes * kLanes * 4),
        out_part(kTiles * out_tile + kLine),
        products(aligned(kParts * in_part)),
        pictures(aligned(products + kParts * out_part)),
        total(aligned(pictures + 4 * kTiles * kWidth * 4)) {}
};

// Multiplies the transformed inputs of `count` tiles, or adds the products to those that are there.
void multiply(const Run& run, const PackedConv& conv, const Layout& places, std::byte* scratch, int count,
              bool accumulate) {
  for (int part = 0; part < kParts; ++part) {  // outermost, so that the inputs of all groups stay in cache
    const void* sources[kTiles];
    float* targets[kTiles];
    const Tiler::Offset tap{0, part};
    for (int t = 0; t < count; ++t) sources[t] = scratch + part * places.in_part + t * places.in_tile;
    for (int group = 0; group < conv.groups(); ++group) {
      std::byte* first = scratch + places.products + part * places.out_part + group * kWidth * 4;
      for (int t = 0; t < count; ++t) targets[t] = reinterpret_cast<float*>(first + t * places.out_tile);
      Tiler(run.cpu, conv, group).sum(sources, count, &tap, 1, targets, accumulate);
    }
  }
}

// Transforms the inputs of `length` tiles of a row, tile `first` and those after it of a block. r: their
// styles.
void transform_in(const Run& run, const Map& x, int sample, int row, int column, int first, int length,
                  const PackedConv& conv, const Layout& places, std::byte* scratch, WinogradIn r) {
  r.x = x.at(sample, 2 * row - 1, 2 * column - 1), r.type = x.type;
  r.count = length, r.channels = conv.inputs, r.row = x.row, r.pixel = x.pixel;
  r.out = scratch + first * places.in_tile, r.part = places.in_part / size_of(x.type);
  run.cpu.winograd_in(r);
}

// Transforms the products of `length` tiles back to pictures [2][2 * length][lanes]; returns these.
const float* transform_out(const Run& run, const Tiler& tiler, int first, int length, const Layout& places,
                           std::byte* scratch) {
  auto* pictures = reinterpret_cast<float*>(scratch + places.pictures);
  const auto* from = reinterpret_cast<float*>(scratch + places.products + first * places.out_tile);
  run.cpu.winograd_out({from + tiler.group() * kWidth, places.out_part / 4, places.out_tile / 4, length,
                        tiler.lanes(), pictures, 2 * static_cast<std::int64_t>(length) * tiler.lanes()});
  return pictures;
}

// Finishes the outputs of `length` tiles of a row.
void finish_tiles(const Run& run, const Epilogue& epilogue, const Map& y, int sample, int row, int column,
                  int length, const Tiler& tiler, const float* pictures) {
  for (int half = 0; half < 2; ++half, pictures += 2 * static_cast<std::int64_t>(length) * tiler.lanes())
    finish_span(run, epilogue, y, sample, 2 * row + half, 2 * column, 2 * length, tiler, pictures,
                tiler.lanes());
}

// The tiles that a regional convolution computes of a sample, in the order of their places.
struct Tiles {
  std::int32_t* places;  // row * tiles in a row + column; null: every tile once, for region 0
  std::uint8_t* regions;
  std::uint8_t* mixed;  // whether the tile has outputs of other regions, too
  std::int64_t count;

  std::int64_t place(std::int64_t i) const { return places == nullptr ? i : places[i]; }
  bool is_mixed(std::int64_t i) const { return mixed != nullptr && mixed[i] != 0; }
  // Calls visit(first, length) for the runs of `count` tiles from `start` on that are neighbours in a row.
  template <class F>
  void each_run(std::int64_t start, int length, int across, const F& visit) const {
    for (int first = 0, next = 1; first < length; first = next, ++next) {
      while (next < length && place(start + next) == place(start + next - 1) + 1 &&
             place(start + next) % across != 0)
        ++next;
      visit(first, next - first);
    }
  }
};

// Offsets in bytes of the lists of tiles in a step's memory: at most four for every tile, row by row.
struct Lists {
  std::int64_t regions, mixed, counts, total;
  explicit Lists(const Map& y)
      : regions(aligned(static_cast<std::int64_t>(y.h) * y.w * 4)),
        mixed(aligned(regions + static_cast<std::int64_t>(y.h) * y.w)),
        counts(aligned(mixed + static_cast<std::int64_t>(y.h) * y.w)),
        total(aligned(counts + static_cast<std::int64_t>(y.h) * 4)) {}
};

// Lists the tiles of a row, one for every region of a tile's outputs; returns their number.
std::int32_t list_row(const Map& labels, int sample, int row, const Tiles& out) {
  const int across = labels.w / 2;
  std::int32_t count = 0;
  for (int column = 0; column < across; ++column) {
    const auto* upper = reinterpret_cast<const std::uint8_t*>(labels.at(sample, 2 * row, 2 * column));
    const std::uint8_t own[4] = {upper[0], upper[1], upper[labels.row], upper[labels.row + 1]};
    const bool mixed = own[0] != own[1] || own[0] != own[2] || own[0] != own[3];
    for (int i = 0; i < (mixed ? 4 : 1); ++i) {
      if (std::find(own, own + i, own[i]) != own + i) continue;
      out.places[count] = row * across + column;
      out.regions[count] = own[i], out.mixed[count++] = mixed ? 1 : 0;
    }
  }
  return count;
}

Tiles list_tiles(const Run& run, const Map& y, const Map* labels, int sample) {
  const int across = y.w / 2, rows = y.h / 2;
  if (labels == nullptr) return {nullptr, nullptr, nullptr, static_cast<std::int64_t>(across) * rows};
  const Lists lists(y);
  auto* counts = reinterpret_cast<std::int32_t*>(run.temporary + lists.counts);
  Tiles all{reinterpret_cast<std::int32_t*>(run.temporary),
            reinterpret_cast<std::uint8_t*>(run.temporary + lists.regions),
            reinterpret_cast<std::uint8_t*>(run.temporary + lists.mixed), 0};
  const auto of_row = [&](std::int64_t row) {
    const std::int64_t first = 4 * row * across;
    return Tiles{all.places + first, all.regions + first, all.mixed + first, 0};
  };
  run.pool.each(rows, [&](std::int64_t row, int) {
    counts[row] = list_row(*labels, sample, static_cast<int>(row), of_row(row));
  });
  for (int row = 0; row < rows; all.count += counts[row++]) {
    const Tiles from = of_row(row);
    std::copy(from.places, from.places + counts[row], all.places + all.count);
    std::copy(from.regions, from.regions + counts[row], all.regions + all.count);
    std::copy(from.mixed, from.mixed + counts[row], all.mixed + all.count);
  }
  return all;
}

// Finishes the outputs of one tile that are a region's.
void finish_mixed(const Run& run, const Epilogue& epilogue, const Map& y, int sample, int row, int column,
                  int region, const Tiler& tiler, const float* picture) {
  for (int i = 0; i < 4; ++i, picture += tiler.lanes()) {
    const int down = 2 * row + i / 2, right = 2 * column + i % 2;
    if (static_cast<int>(*epilogue.labels->at(sample, down, right)) == region)
      finish_span(run, epilogue, y, sample, down, right, 1, tiler, picture, tiler.lanes());
  }
}

}  // namespace

Form choose_form(const ConvShape& s, const Kernels& cpu) {
  // AMX multiplies bf16 so fast that the transforms would dominate (not measured).
  if (s.type == Type::bf16 && cpu.amx) return Form::direct;
  const auto fits = [&](int side) {
    return s.same_size && s.first == 0 && s.height % side == 0 && s.width % side == 0 &&
           s.inputs % kLanes == 0 && s.inputs >= kLeastChannels;
  };
  const std::int64_t pixels = s.height * s.width;
  const bool large = s.outputs >= kLanes && pixels >= kLeastPixels4;
  if (s.wide && s.type == Type::f32 && large && (s.kernel == 3 || s.kernel == 7) && fits(4))
    return Form::winograd4;
  return s.outputs >= kLeastChannels && pixels >= kLeastPixels && s.kernel == 3 && fits(2) ? Form::winograd
                                                                                           : Form::direct;
}

std::int64_t block_tiles(std::int64_t tiles, std::int64_t most, int multiple, int workers) {
  const std::int64_t least = (tiles + most - 1) / most;
  const std::int64_t blocks = (least + workers - 1) / workers * workers;
  return std::min(most, ((tiles + blocks - 1) / blocks + multiple - 1) / multiple * multiple);
}

std::int64_t winograd_scratch(const PackedConv& conv) { return Layout(conv).total; }

void check_winograd(const Builder& b, const BufferSpec& in, const BufferSpec& out, const PackedConv& conv) {
  const int side = tile_side(conv.form);
  b.require(in.h == out.h && in.w == out.w && in.h % side == 0 && in.w % side == 0 &&
                in.halo >= conv.kernel / 2 && in.c >= conv.inputs && conv.inputs % kLanes == 0,
            "Winograd's forms need stride 1, whole tiles and whole vectors of channels");
}

void convolve_winograd(const Run& run, const Map& x, const Map& y, const Stack& stack,
                       const Epilogue& epilogue) {
  const PackedConv& conv = stack.first();
  const Layout places(conv);
  const int out_depth = stack.out_depth();
  const int across = y.w / 2;
  const std::int64_t tiles = static_cast<std::int64_t>(across) * (y.h / 2);
  const std::int64_t per = block_tiles(tiles, kTiles, kSumPixels, run.pool.width()),
                     blocks = (tiles + per - 1) / per;
  run.pool.each(y.n * blocks, [&](std::int64_t task, int worker) {
    const int sample = static_cast<int>(task / blocks);
    const std::int64_t start = task % blocks * per;
    const int count = static_cast<int>(std::min(per, tiles - start));
    std::byte* scratch = run.of_worker(worker);
    stack.each([&](const PackedConv& kernel, int offset) {
      const int slice = sample % out_depth + offset;
      if (slice < 0 || slice >= stack.depth) return;
      const int source = sample / out_depth * stack.depth + slice;
      each_row(start, count, across, [&](int row, int column, int first, int length) {
        transform_in(run, x, source, row, column, first, length, conv, places, scratch, {});
      });
      multiply(run, kernel, places, scratch, count, offset != 0);
    });
    for (int group = 0; group < conv.groups(); ++group) {
      const Tiler tiler(run.cpu, conv, group);
      each_row(start, count, across, [&](int row, int column, int first, int length) {
        finish_tiles(run, epilogue, y, sample, row, column, length, tiler,
                     transform_out(run, tiler, first, length, places, scratch));
      });
    }
  });
  clear_halo(run, y);
}

std::int64_t convolve_regions_temporary(const Map& y) { return Lists(y).total; }

void convolve_regions(const Run& run, const Map& x, const Map& y, const PackedConv& conv, const Map& styles,
                      const Epilogue& epilogue) {
  const Layout places(conv);
  const int across = y.w / 2;
  for (int sample = 0; sample < y.n; ++sample) {
    const Tiles tiles = list_tiles(run, y, epilogue.labels, sample);
    const std::int64_t per = block_tiles(tiles.count, kTiles, kSumPixels, run.pool.width());
    run.pool.each((tiles.count + per - 1) / per, [&](std::int64_t task, int worker) {
      const std::int64_t start = task * per;
      const int count = static_cast<int>(std::min(per, tiles.count - start));
      std::byte* scratch = run.of_worker(worker);
      const auto row = [&](int i) { return static_cast<int>(tiles.place(start + i) / across); };
      const auto column = [&](int i) { return static_cast<int>(tiles.place(start + i) % across); };
      tiles.each_run(start, count, across, [&](int first, int length) {
        WinogradIn r{};
        r.styles = reinterpret_cast<const float*>(styles.at(sample, 0, 0)), r.style_stride = styles.pixel;
        r.regions = tiles.regions == nullptr ? nullptr : tiles.regions + start + first;
        transform_in(run, x, sample, row(first), column(first), first, length, conv, places, scratch, r);
      });
      multiply(run, conv, places, scratch, count, false);
      for (int group = 0; group < conv.groups(); ++group) {
        const Tiler tiler(run.cpu, conv, group);
        tiles.each_run(start, count, across, [&](int first, int length) {
          for (int i = first, next = i; i < first + length; i = next) {
            const bool mixed = tiles.is_mixed(start + i);
            for (next = i + 1; !mixed && next < first + length && !tiles.is_mixed(start + next);) ++next;
            const float* pictures = transform_out(run, tiler, i, next - i, places, scratch);
            if (mixed)
              finish_mixed(run, epilogue, y, sample, row(i), column(i), tiles.regions[start + i], tiler,
                           pictures);
            else
              finish_tiles(run, epilogue, y, sample, row(i), column(i), next - i, tiler, pictures);
          }
        });
      }
    });
  }
  clear_halo(run, y);
}

}  // namespace e4s
