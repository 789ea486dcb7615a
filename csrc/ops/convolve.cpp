#include "ops/convolve.h"

#include <algorithm>

#include "error.h"
#include "ops/halo.h"

namespace e4s {
namespace {

constexpr int kWidth = kGroup * kLanes;

// The pixels of a block: where each is read, where its sums go, and its slice in a volume.
struct BlockPixels {
  const void* sources[kBlockPixels];
  float* targets[kBlockPixels];
  int slices[kBlockPixels];

  // Collects the pixels whose slice `offset` further on exists, `bytes` further on; returns their number.
  int beside(const BlockPixels& all, int count, int offset, int depth, std::int64_t bytes) {
    int live = 0;
    for (int p = 0; p < count; ++p) {
      const int slice = all.slices[p] + offset;
      if (slice < 0 || slice >= depth) continue;
      sources[live] = static_cast<const std::byte*>(all.sources[p]) + bytes;
      targets[live++] = all.targets[p];
    }
    return live;
  }
};

constexpr std::int64_t kPlaces =
    (static_cast<std::int64_t>(sizeof(BlockPixels)) + kAlign - 1) / kAlign * kAlign;

}  // namespace

const ConvTileFn* conv_tiles(const Kernels& cpu, Type type) {
  return type == Type::f32 ? cpu.conv_f32 : type == Type::bf16 ? cpu.conv_bf16 : nullptr;
}

Tiler::Tiler(const Kernels& cpu, const PackedConv& conv, int group, const std::byte* weights,
             std::int64_t taps)
    : conv_(conv),
      weights_(weights),
      taps_(taps),
      tile_(conv_tiles(cpu, conv.type)[conv.vectors(group)]),
      group_(group),
      lanes_(conv.vectors(group) * kLanes),
      pixels_((conv.type == Type::f32 ? cpu.conv_pixels_f32 : cpu.conv_pixels_bf16)[conv.vectors(group)]) {}

void Tiler::sum(const void* const* pixels, std::int64_t count, const Offset* taps, int tap_count,
                float* const* sums, bool accumulate) const {
  const std::int64_t words = conv_.words(), element = size_of(conv_.type), whole = count / pixels_ * pixels_;
  alignas(64) float dump[kWidth] = {};
  const void* last_pixels[kTileMax];  // the last tile repeats a pixel and discards its sums
  float* last_sums[kTileMax];
  for (int p = 0; p < pixels_ && whole < count; ++p) {
    const bool real = whole + p < count;
    last_pixels[p] = pixels[real ? whole + p : whole];
    last_sums[p] = real ? sums[whole + p] : dump;
  }
  ConvTile tile;
  Tap offsets[kMostTaps];
  tile.taps = offsets;
  tile.tap_count = tap_count;
  const int rest = static_cast<int>(count - whole);
  for (std::int64_t word = 0; word < words; word += kDepth) {
    const std::int64_t depth = std::min(kDepth, words - word);
    tile.words = depth;
    tile.weights = weights_ + conv_.chunk(group_, word, taps_) * 4;
    tile.accumulate = accumulate || word > 0;
    for (int t = 0; t < tap_count; ++t)
      offsets[t] = {taps[t].x * element / 4 + word, taps[t].index * depth * lanes_};
    tile.pixel_count = pixels_;
    for (std::int64_t first = 0; first < whole; first += pixels_) {
      tile.pixels = pixels + first, tile.sums = sums + first;
      tile_(tile);
    }
    if (whole == count) continue;
    tile.pixel_count = rest, tile.pixels = last_pixels, tile.sums = last_sums;
    tile_(tile);
  }
}

void prepare(Builder& b, const BufferSpec& in, const BufferSpec& out, const Stack& stack) {
  const PackedConv& conv = stack.first();
  if (conv.form != Form::direct) check_winograd(b, in, out, conv);
  if (conv.winograd4()) b.temporary(winograd4_temporary(stack));
  b.scratch(conv.winograd4()  ? winograd4_scratch(stack)
            : conv.winograd() ? winograd_scratch(conv)
                              : convolve_scratch());
}

std::int64_t convolve_scratch() { return kPlaces + kBlockPixels * kWidth * 4; }

void finish_span(const Run& run, const Epilogue& e, const Map& y, int sample, int row, int column, int count,
                 const Tiler& tiler, const float* sums, std::int64_t stride) {
  const int channel = tiler.group() * kWidth;
  Finish finish = e.finish;
  if (finish.bias != nullptr) finish.bias += channel;
  if (finish.slope != nullptr) finish.slope += channel;
  FinishSpan span{};
  span.count = count, span.lanes = tiler.lanes(), span.sums = sums, span.sums_pixel = stride;
  if (e.scales != nullptr) {
    span.scales = e.scales + static_cast<std::int64_t>(sample) * e.regions * e.stride + channel;
    span.scale_stride = e.stride;
    if (e.labels != nullptr)
      span.labels = reinterpret_cast<const std::uint8_t*>(e.labels->at(sample, row, column));
  }
  if (e.noise != nullptr) span.noise = e.noise + row * e.noise_row + column;
  if (e.residual != nullptr) {
    span.residual = e.residual->at(sample, row, column) + channel * size_of(y.type);
    span.residual_pixel = e.residual->pixel;
  }
  span.out = y.at(sample, row, column) + channel * size_of(y.type);
  span.out_pixel = y.pixel;
  run.cpu.finish(finish, span);
}

void convolve(const Run& run, const Map& x, const Map& y, const Stack& stack, const Reach& reach,
              const Epilogue& epilogue) {
  const PackedConv& conv = stack.first();
  if (conv.winograd()) return convolve_winograd(run, x, y, stack, epilogue);
  if (conv.winograd4()) return convolve_winograd4(run, x, y, stack, epilogue);
  const int kernel = conv.kernel, pad = reach.pad, stride = reach.stride, groups = conv.groups();
  const int tap_count = static_cast<int>(conv.taps()), columns = conv.rows() ? 1 : kernel;
  Tiler::Offset taps[kMostTaps];
  for (int t = 0; t < tap_count; ++t) taps[t] = {t / columns * x.row + t % columns * x.pixel, t};
  const std::int64_t size = size_of(x.type), step = stride * x.pixel * size;
  const bool bare = epilogue.bare();
  const int out_depth = stack.out_depth();
  // Blocks reach over samples, so that small maps fill them.
  const std::int64_t pixels = static_cast<std::int64_t>(y.n) * y.h * y.w;
  const std::int64_t blocks = (pixels + kBlockPixels - 1) / kBlockPixels;
  run.pool.each(blocks * groups, [&](std::int64_t task, int worker) {
    const Tiler tiler(run.cpu, conv, static_cast<int>(task % groups));
    const std::int64_t start = task / groups * kBlockPixels;
    const int count = static_cast<int>(std::min(kBlockPixels, pixels - start));
    std::byte* scratch = run.of_worker(worker);
    BlockPixels& block = *reinterpret_cast<BlockPixels*>(scratch);
    auto* sums = reinterpret_cast<float*>(scratch + kPlaces);
    each_row(start, count, y.w, [&](int line, int column, int p, int length) {
      const int sample = line / y.h, row = line % y.h, slice = sample % out_depth;
      const std::byte* source =
          x.at(sample / out_depth * stack.depth + slice, row * stride - pad, column * stride - pad) +
          reach.first * size;
      std::byte* out = y.at(sample, row, column) + tiler.group() * kWidth * size_of(y.type);
      for (int r = 0; r < kernel; ++r)
        prefetch<Use::read>(source + r * x.row * size, ((length - 1) * stride + kernel) * x.pixel * size);
      // With few multiplications per pixel, the stores dominate.
      if (conv.rows()) prefetch<Use::write>(out, length * y.pixel * size_of(y.type));
      float* target =
          bare ? reinterpret_cast<float*>(out) : sums + static_cast<std::int64_t>(p) * tiler.lanes();
      const std::int64_t apart = bare ? y.pixel : tiler.lanes();
      for (int i = 0; i < length; ++i, source += step, target += apart) {
        block.sources[p + i] = source;
        block.targets[p + i] = target;
        block.slices[p + i] = slice;
      }
    });
    stack.each([&](const PackedConv& part, int offset) {
      if (offset == 0) return tiler.sum(block.sources, count, taps, tap_count, block.targets);
      BlockPixels moved;
      const int live = moved.beside(block, count, offset, stack.depth, offset * x.image * size);
      if (live != 0)
        Tiler(run.cpu, part, tiler.group()).sum(moved.sources, live, taps, tap_count, moved.targets, true);
    });
    if (bare) return;
    each_row(start, count, y.w, [&](int line, int column, int p, int length) {
      finish_span(run, epilogue, y, line / y.h, line % y.h, column, length, tiler, block.targets[p],
                  tiler.lanes());
    });
  });
  clear_halo(run, y);
}

}  // namespace e4s
