// Convolution loops shared by several steps: blocks of pixels x groups of output channels.
#pragma once

#include <algorithm>

#include "plan.h"

namespace e4s {

constexpr std::int64_t kBlockPixels = 48;  // a multiple of every tile size; 12 KB of sums stay in L1

// The operations applied to the sums of an output pixel.
struct Epilogue {
  Finish finish;
  const Map* residual = nullptr;
  const float* scales = nullptr;  // one row per sample and region, `stride` floats apart
  std::int64_t stride = 0;
  int regions = 1;
  const Map* labels = nullptr;
  const float* noise = nullptr;  // of pixel (0, 0), gain included; rows are `noise_row` apart
  std::int64_t noise_row = 0;

  // Whether the sums are the output and can be written directly to it.
  bool bare() const {
    return finish.type == Type::f32 && finish.activation == Activation::none && finish.bias == nullptr &&
           residual == nullptr && scales == nullptr && noise == nullptr;
  }
};

// Computes sums for one group of output channels, one tile of arbitrary pixels after another.
class Tiler {
 public:
  Tiler(const Kernels& cpu, const PackedConv& conv, int group)
      : Tiler(cpu, conv, group, conv.memory.data(), conv.taps()) {}
  // weights: laid out as those of `conv`, but with `taps` taps.
  Tiler(const Kernels& cpu, const PackedConv& conv, int group, const std::byte* weights, std::int64_t taps);

  int lanes() const { return lanes_; }
  int group() const { return group_; }

  // Writes the sums of pixels[i] to sums[i] [lanes], or adds to what is there. A tap is an offset into x, in
  // elements, and an index into the weights.
  struct Offset {
    std::int64_t x;
    int index;
  };
  void sum(const void* const* pixels, std::int64_t count, const Offset* taps, int tap_count,
           float* const* sums, bool accumulate = false) const;

 private:
  const PackedConv& conv_;
  const std::byte* weights_;
  std::int64_t taps_;
  ConvTileFn tile_;
  int group_, lanes_, pixels_;
};

// Prefetches memory about to be used: a block consists of short runs from several rows, which hardware
// prefetchers miss.
enum class Use { read, write };
template <Use U>
void prefetch(const std::byte* first, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(first + i, U == Use::write, 2);
}

// Splits pixels [start, start + count) of a map `width` wide into rows: calls visit(row, column, index of the
// first pixel in the block, length).
template <class F>
void each_row(std::int64_t start, int count, int width, const F& visit) {
  int row = static_cast<int>(start / width), column = static_cast<int>(start % width);
  for (int p = 0; p < count; ++row, column = 0) {
    const int length = std::min(count - p, width - column);
    visit(row, column, p, length);
    p += length;
  }
}

// Returns the bytes of scratch that a worker needs for `convolve`.
std::int64_t convolve_scratch();

// Returns the tile functions for a type, by vectors in the group; null if this instruction set has none.
const ConvTileFn* conv_tiles(const Kernels& cpu, Type type);

// The pixels and channels of x that a convolution reads. pad: width of the border, which lies in the halo.
struct Reach {
  int stride, first, pad;
};

// The kernels of a convolution over volumes, whose slices are neighbouring samples of a map: slice s of the
// result is the sum of what kernel k makes of slice s + k - pad, where there is one.
struct Stack {
  std::vector<const PackedConv*> kernels;
  int depth = 1, pad = 0;  // slices of a volume; slices of zeros before and after them

  int count() const { return static_cast<int>(kernels.size()); }
  int out_depth() const { return depth + 2 * pad - count() + 1; }
  const PackedConv& first() const { return *kernels[static_cast<std::size_t>(pad)]; }
  // Calls visit(kernel, offset of the slice that it reads): first the one that reads every slice of the
  // result.
  template <class F>
  void each(const F& visit) const {
    visit(first(), 0);
    for (int k = 0; k < count(); ++k)
      if (k != pad) visit(*kernels[static_cast<std::size_t>(k)], k - pad);
  }
};

// Checks the maps of a convolution with these weights and requests the memory that `convolve` needs.
void prepare(Builder& b, const BufferSpec& in, const BufferSpec& out, const Stack& stack);

// Computes a dense convolution x [N,H,W,C] -> y [N,H/stride,W/stride,O] in the weights' form, over
// channels of x from `first` on.
void convolve(const Run& run, const Map& x, const Map& y, const Stack& stack, const Reach& reach,
              const Epilogue& epilogue);
inline void convolve(const Run& run, const Map& x, const Map& y, const PackedConv& conv, const Reach& reach,
                     const Epilogue& epilogue) {
  convolve(run, x, y, Stack{{&conv}}, reach, epilogue);
}

// Computes a 3 x 3 convolution of stride 1 in Winograd's form, x [N,H,W,C] -> y [N,H,W,O]: 16 products for 4
// pixels instead of 36. Sides are even, input channels a multiple of 16.
void convolve_winograd(const Run& run, const Map& x, const Map& y, const Stack& stack,
                       const Epilogue& epilogue);
// The same, regional: every output has the style of its own region (epilogue.labels; null: region 0).
void convolve_regions(const Run& run, const Map& x, const Map& y, const PackedConv& conv, const Map& styles,
                      const Epilogue& epilogue);
// Returns the bytes that it needs in the step's memory.
std::int64_t convolve_regions_temporary(const Map& y);
// Computes it, or one of 7 x 7, over tiles of 4 x 4 pixels: 36 products for 16 pixels instead of 144, with
// sums that are some ten times less exact. Sides are multiples of four. The step's temporary memory holds the
// transformed kernels.
void convolve_winograd4(const Run& run, const Map& x, const Map& y, const Stack& stack,
                        const Epilogue& epilogue);
std::int64_t winograd4_temporary(const Stack& stack);
std::int64_t winograd4_scratch(const Stack& stack);
constexpr int kSumPixels = 6;  // pixels of the widest tile of sums
// Returns the tiles per block in Winograd's forms: at most `most`, about the same for every worker, and a
// multiple of `multiple` where `most` is.
std::int64_t block_tiles(std::int64_t tiles, std::int64_t most, int multiple, int workers);
// A convolution step, as far as the choice of its form depends on it. height, width: of the output.
struct ConvShape {
  int outputs, inputs, kernel;
  Type type;
  std::int64_t height, width;
  bool same_size;  // input and output have the same size
  int first;       // first channel of the input
  bool wide;       // whether Winograd's tiles may have 4 x 4 pixels
};
// Returns the faster form of a convolution on these kernels.
Form choose_form(const ConvShape& shape, const Kernels& cpu);
// Returns the bytes of scratch that a worker needs for tiles of 2 x 2 pixels.
std::int64_t winograd_scratch(const PackedConv& conv);
// Checks that the maps meet the requirements of Winograd's forms.
void check_winograd(const Builder& b, const BufferSpec& in, const BufferSpec& out, const PackedConv& conv);

// Computes the transposed convolution of stride 2 and the FIR, x [N,H,W,C] -> y [N,2H,2W,O], tile by tile.
// styles: factors of x by the region of the output (epilogue.labels; null: region 0), or null.
void convolve_up(const Run& run, const Map& x, const Map& y, const PackedConv& conv, const Map* styles,
                 const Epilogue& epilogue);
// Returns the bytes of scratch that a worker needs for it.
std::int64_t convolve_up_scratch(const Map& x);

// Applies the epilogue to the sums [count][lanes] of one group at `count` pixels of a row, `stride` floats
// apart, and stores them.
void finish_span(const Run& run, const Epilogue& epilogue, const Map& y, int sample, int row, int column,
                 int count, const Tiler& tiler, const float* sums, std::int64_t stride);

}  // namespace e4s
