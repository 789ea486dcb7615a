// 3 x 3 convolution by Winograd's F(2 x 2, 3 x 3): tiles of 4 x 4 inputs are transformed, multiplied in the
// transformed domain (sixteen matrix products over tiles, by the same register tiles as every convolution),
// and transformed back to 2 x 2 outputs. One worker computes a block of tiles for all output channels, group
// after group.
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

// Returns the tiles per block: the same for every worker, and a multiple of a product's pixels.
std::int64_t block_tiles(std::int64_t tiles, int workers) {
  constexpr std::int64_t product = 6;  // pixels of the widest tile of sums
  const std::int64_t least = (tiles + kTiles - 1) / kTiles;
  const std::int64_t blocks = (least + workers - 1) / workers * workers;
  return ((tiles + blocks - 1) / blocks + product - 1) / product * product;
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
  const std::int64_t per = block_tiles(tiles, run.pool.width()), blocks = (tiles + per - 1) / per;
  run.pool.each(y.n * blocks, [&](std::int64_t task, int worker) {
    const int sample = static_cast<int>(task / blocks);
    const std::int64_t start = task % blocks * per;
    const int count = static_cast<int>(std::min(per, tiles - start));
    std::byte* scratch = run.of_worker(worker);
    std::byte* products = scratch + places.products;
    auto* pictures = reinterpret_cast<float*>(scratch + places.pictures);
    stack.each([&](const PackedConv& kernel, int offset) {
      const int slice = sample % out_depth + offset;
      if (slice < 0 || slice >= stack.depth) return;
      const int source = sample / out_depth * stack.depth + slice;
      each_row(start, count, across, [&](int row, int column, int first, int length) {
        WinogradIn r{};
        r.x = x.at(source, 2 * row - 1, 2 * column - 1), r.type = x.type;
        r.count = length, r.channels = conv.inputs, r.row = x.row, r.pixel = x.pixel;
        r.out = scratch + first * places.in_tile, r.part = places.in_part / size_of(x.type);
        run.cpu.winograd_in(r);
      });
      for (int part = 0; part < kParts;
           ++part) {  // outermost, so that the inputs of all groups stay in cache
        const void* sources[kTiles];
        float* targets[kTiles];
        const Tiler::Offset tap{0, part};
        for (int t = 0; t < count; ++t) sources[t] = scratch + part * places.in_part + t * places.in_tile;
        for (int group = 0; group < conv.groups(); ++group) {
          std::byte* first = products + part * places.out_part + group * kWidth * 4;
          for (int t = 0; t < count; ++t) targets[t] = reinterpret_cast<float*>(first + t * places.out_tile);
          Tiler(run.cpu, kernel, group).sum(sources, count, &tap, 1, targets, offset != 0);
        }
      }
    });
    for (int group = 0; group < conv.groups(); ++group) {
      const Tiler tiler(run.cpu, conv, group);
      const int lanes = tiler.lanes();
      each_row(start, count, across, [&](int row, int column, int first, int length) {
        const std::int64_t width = 2 * static_cast<std::int64_t>(length) * lanes;
        const auto* from = reinterpret_cast<float*>(products + first * places.out_tile) + group * kWidth;
        run.cpu.winograd_out(
            {from, places.out_part / 4, places.out_tile / 4, length, lanes, pictures, width});
        for (int half = 0; half < 2; ++half)
          finish_span(run, epilogue, y, sample, 2 * row + half, 2 * column, 2 * length, tiler,
                      pictures + half * width, lanes);
      });
    }
  });
  clear_halo(run, y);
}

}  // namespace e4s
