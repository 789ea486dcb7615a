// The convolution loops shared by the steps that convolve: blocks of pixels x groups of output channels.
#pragma once

#include <algorithm>

#include "plan.h"

namespace e4s {

constexpr std::int64_t kBlockPixels = 48;  // a multiple of every tile: 12 KB of sums stay in L1

// What follows the sums of an output pixel.
struct Epilogue {
  Finish finish;
  const Map* residual = nullptr;
  const float* scales = nullptr;  // per sample and region, `stride` apart
  std::int64_t stride = 0;
  int regions = 1;
  const Map* labels = nullptr;
  const Vector* noise = nullptr;  // [H*W], times its gain

  // Whether sums are the output as they are, and can be written straight to it.
  bool bare() const {
    return finish.type == Type::f32 && finish.activation == Activation::none && finish.bias == nullptr &&
           residual == nullptr && scales == nullptr && noise == nullptr;
  }
};

// Sums of one tile after the other of any pixels, for one group of output channels.
class Tiler {
 public:
  Tiler(const Kernels& cpu, const PackedConv& conv, int group);

  int lanes() const { return lanes_; }
  int group() const { return group_; }

  // The sums of pixels[i] go to sums[i]. A tap is an offset in elements of x and an index of the weights.
  struct Offset {
    std::int64_t x;
    int index;
  };
  void sum(const void* const* pixels, std::int64_t count, const Offset* taps, int tap_count,
           float* const* sums) const;

 private:
  const PackedConv& conv_;
  ConvTileFn tile_;
  int group_, lanes_, pixels_;
};

// Asks for memory that is about to be used: a block is short stretches of several rows, which no processor
// foresees.
enum class Use { read, write };
template <Use U>
void prefetch(const std::byte* first, std::int64_t bytes) {
#if defined(__GNUC__)
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(first + i, U == Use::write, 2);
#else
  static_cast<void>(first), static_cast<void>(bytes);
#endif
}

// A block's part of every row of a map `width` wide: calls visit(row, column, first of the block, length).
template <class F>
void each_row(std::int64_t start, int count, int width, const F& visit) {
  int row = static_cast<int>(start / width), column = static_cast<int>(start % width);
  for (int p = 0; p < count; ++row, column = 0) {
    const int length = std::min(count - p, width - column);
    visit(row, column, p, length);
    p += length;
  }
}

// Bytes of scratch a worker needs for `convolve`.
std::int64_t convolve_scratch();

// The tile functions for a type; null where this instruction set has none.
const ConvTileFn* conv_tiles(const Kernels& cpu, Type type);

// Checks what a convolution by these weights asks of its maps, and takes the scratch `convolve` needs.
void prepare(Builder& b, const BufferSpec& in, const BufferSpec& out, const PackedConv& conv);

// Dense convolution in the form the weights are in, padding k / 2 from the halo, channels of x from `first`
// on.
void convolve(const Run& run, const Map& x, const Map& y, const PackedConv& conv, int stride, int first,
              const Epilogue& epilogue);

// Winograd's form alone, of 3 x 3 kernels of stride 1: 16 products for 4 pixels in place of 36. Sides are
// even, channels multiples of 16.
void convolve_winograd(const Run& run, const Map& x, const Map& y, const PackedConv& conv,
                       const Epilogue& epilogue);
std::int64_t winograd_scratch(const PackedConv& conv);
void check_winograd(const Builder& b, const BufferSpec& in, const BufferSpec& out, const PackedConv& conv);

// Transposed convolution of stride 2 and the FIR, tile by tile.
void convolve_up(const Run& run, const Map& x, const Map& y, const PackedConv& conv,
                 const Epilogue& epilogue);
std::int64_t convolve_up_scratch();

// Finishes and stores the sums of one group at `count` pixels of a row, sums `stride` floats apart.
void finish_span(const Run& run, const Epilogue& epilogue, const Map& y, int sample, int row, int column,
                 int count, const Tiler& tiler, const float* sums, std::int64_t stride);

// Zeroes the rim around every sample and what pads its pixels.
void clear_halo(const Run& run, const Map& y);

}  // namespace e4s
