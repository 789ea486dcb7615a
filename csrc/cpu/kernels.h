// The kernels of one instruction set: raw pointers and parameter structs, no containers, no exceptions.
// Every cpu/<op>.cpp is compiled once per instruction set into its own namespace.
#pragma once

#include "tensor.h"

namespace e4s {

constexpr int kLanes = 16;            // output channels per vector
constexpr int kGroup = 4;             // vectors per group of packed weights
constexpr int kTileMax = 48;          // most pixels per tile
constexpr std::int64_t kDepth = 128;  // 32-bit words of input channels per pass: keeps weights in L2

// One tap of a convolution: offsets into the input and into the packed weights, in 32-bit words. A word is
// one float, or two neighbouring bf16 channels.
struct Tap {
  std::int64_t x, w;
};

// sums[p] = sum over taps and words of pixel word times weight row, for a tile of arbitrary pixels.
struct ConvTile {
  int pixel_count;  // pixels needed; `pixels` and `sums` have a full tile's entries, the rest are discarded
  const void* const* pixels;
  float* const* sums;
  const Tap* taps;
  int tap_count;
  std::int64_t words;
  const void* weights;
  bool accumulate;  // add to what `sums` holds
};

enum class Activation : std::uint8_t { none, relu, prelu, leaky_gain, rsqrt };

// The epilogue of a convolution, per pixel: scale, noise, bias, activation, residual, ReLU, store.
struct Finish {
  const float* bias = nullptr;   // [lanes] or null
  const float* slope = nullptr;  // [lanes], for prelu
  Activation activation = Activation::none;
  float leak = 0, gain = 1;  // of leaky_gain: slope below zero, and factor of the result
  float epsilon = 0;         // of rsqrt
  bool relu_last = false;
  Type type = Type::f32;
};

// Some channels of neighbouring pixels of one row.
struct FinishSpan {
  int count, lanes;
  const float* sums;
  std::int64_t sums_pixel;
  const float* scales;  // per region, scale_stride apart, or null
  std::int64_t scale_stride;
  const std::uint8_t* labels;  // or null: region 0
  const float* noise;          // or null
  const void* residual;        // of the output's type, or null
  std::int64_t residual_pixel;
  void* out;
  std::int64_t out_pixel;
};

// Running sums of one instance norm, relative to a pivot per channel (the first pixel).
struct InstanceNormRow {
  const void* x;
  Type type;
  int count, channels;  // channels: a multiple of 16
  std::int64_t pixel;
  const float* pivot;
  float* sum;
  float* square;
};

// out = (x * scale + shift), PReLU, + (shortcut * shortcut_scale + shortcut_shift)
struct AffineRow {
  const void* x;
  const void* shortcut;  // or null
  void* out;
  Type type;
  int count, channels;
  std::int64_t pixel, out_pixel, shortcut_pixel;
  const float *scale, *shift, *slope;            // slope may be null
  const float *shortcut_scale, *shortcut_shift;  // may be null
};

struct ScaleRow {  // out = x * style of the pixel's region
  const void* x;
  void* out;
  Type type;
  int count, channels;
  std::int64_t pixel;
  const std::uint8_t* labels;  // or null: region 0
  const float* styles;
  std::int64_t style_stride;
};

// Winograd's transforms of neighbouring tiles of a row; each tile maps 4 x 4 inputs to 2 x 2 outputs, or
// 6 x 6 to 4 x 4.
struct WinogradIn {
  const void* x;  // the first tile's upper left input
  Type type;
  int count, channels;      // channels: a multiple of 16
  std::int64_t row, pixel;  // in elements
  void* out;                // [parts][tiles][channels]
  std::int64_t part;        // elements from one of the 16 or 36 parts to the next
  const float* styles;      // factors of the channels, per region, style_stride apart; or null
  std::int64_t style_stride;
  const std::uint8_t* regions;  // of the tiles; or null: region 0
};

struct WinogradOut {
  const float* x;           // [parts][tiles][lanes]
  std::int64_t part, tile;  // floats from one to the next
  int count, lanes;
  float* out;  // [side][side * count][lanes]
  std::int64_t row;
};

struct Winograd4Kernel {  // the 36 taps of tiles of 4 x 4 pixels, of the nine of each kernel
  const float* taps[9];   // [count] each; null: zeros
  std::int64_t count;     // a multiple of 16
  float* out;             // [36][count]
};

struct FirRow {  // horizontal pass: out[i] = sum over 4 taps of x[i + t]
  const float* x;
  float* out;
  int count, lanes;
};

struct FirColumn {  // vertical pass of one pixel row
  const float* rows[4];
  float* out;
  int count;  // floats
};

struct ToRgbRow {
  const void* x;
  Type type;
  int count, channels;
  std::int64_t pixel;
  const std::uint8_t* labels;  // or null
  const float* table;          // [R][3][channels], styles times weights
  const float* bias;           // [3]
  const float* skip_near;      // rows of the smaller picture (4 floats per pixel), or null
  const float* skip_far;
  int skip_width;                // pixels of it under the row, which begins at an even column
  bool skip_before, skip_after;  // whether the picture has a pixel before and after them
  float* blend;                  // scratch [skip_width + 2][4]
  float* out;
  int out_pixel;  // floats per pixel: 3 or 4
};

struct RegionPoolRow {  // sums[label] += pixel
  const void* x;
  Type type;
  int count, channels;
  std::int64_t pixel;
  const std::uint8_t* labels;
  float* sums;  // [R][channels]
};

struct ResizeRow {  // out = top and bottom blended by `fraction`, columns by index and weight tables
  const void *top, *bottom;
  Type type;
  float fraction;
  int count, channels;
  std::int64_t pixel;
  const int *left, *right;
  const float* fractions;
  void* out;
  std::int64_t out_pixel;
};

struct MaxPoolRow {
  const void* rows[3];  // null above and below the map
  void* out;
  Type type;
  int count, width, channels;
  std::int64_t pixel;
};

struct GateRow {  // out = x * gate (+ x), then ReLU
  const void* x;
  void* out;
  Type type;
  int count, channels;
  std::int64_t pixel;
  const float* gate;
  bool residual, relu;
};

struct AddRow {  // out = x + gain * other, then ReLU
  const void *x, *other;
  void* out;
  Type type;
  int count, channels;
  std::int64_t pixel, other_pixel;  // other_pixel 0: broadcast
  float gain;
  bool relu;
};

struct BlurRow {        // out[i] = sum over 4 x 4 taps of rows[a][i + b]
  const void* rows[4];  // null outside the map; the first pixel is two to the left of the output's
  const float* taps;    // [4][4]
  void* out;
  Type type;
  int count, width, channels;  // width: of the input
  std::int64_t pixel;
};

// out = leaky((x * scale + shift) * maps + maps further on by `channels`)
struct SpadeRow {
  const void *x, *maps;
  void* out;
  Type type;
  int count, channels;  // channels: a multiple of 16
  std::int64_t pixel, map_pixel;
  const float *scale, *shift;
  float slope;
};

struct DepthwiseRow {       // out = gelu(sum over taps of rows[a][i + b - width / 2] + bias) + residual
  const void* const* rows;  // [height], null outside the map
  int height, width;        // of the kernel
  const float* taps;        // [height][width][channels]
  const float* bias;
  const void* residual;  // or null
  void* out;
  Type type;
  int count, channels;  // channels: a multiple of 16
  std::int64_t pixel;   // of all maps
  bool gelu;
};

struct GeluRow {
  const void* x;
  void* out;
  Type type;
  std::int64_t count;  // values, a multiple of 16
};

struct MultiplyRow {  // out = x * other
  const void *x, *other;
  void* out;
  Type type;
  std::int64_t count;  // values, a multiple of 16
};

struct LayerNormRow {  // out = (x - mean) / sqrt(variance + epsilon) * scale + shift, pixel by pixel
  const void* x;
  void* out;
  Type type;
  int count, channels;  // channels: those that exist
  std::int64_t pixel;
  const float *scale, *shift;
  float epsilon;
};

struct ProjectRows {  // out[i][j] = sum over c of x[i][c] * matrix[c][j]; one of x and out is float
  const void* x;
  Type type;
  std::int64_t x_row;
  int count, depth;
  const float* matrix;  // [depth][columns]
  int columns;          // a multiple of 16
  void* out;
  Type out_type;
  std::int64_t out_row;
};

struct GramRows {  // out[c][j] += sum over i of x[i][c] * y[i][j]
  const void* x;
  Type type;
  std::int64_t x_row;
  int count, channels;
  const float* y;  // [count][columns]
  int columns;     // a multiple of 16
  float* out;      // [channels][columns]
};

struct Mix {  // out = sum of shares[i] * sources[i], over `count` pixels
  const void* sources[8];
  float shares[8];
  int count;
  void* out;
  Type type;
  int channels;  // a multiple of 16
};

struct Direction {  // out = x less its channels' mean, divided by its length, or by `least` if that is
                    // shorter
  const void* x;
  Type type;
  int channels;  // those that exist; whole vectors are read and written
  float least;
  float* out;
};

struct AttendTile {  // the running softmax of some queries over a block of keys, per lane
  static constexpr int kKeys = kGroup * kLanes, kState = 5 * kLanes;
  const float* scores;   // [count][64], to be multiplied by `factor`
  const float* colours;  // [3][64], finite beyond the last key
  int count, keys;       // keys: 1 to 64
  float factor;
  bool first;     // whether no block came before
  float* states;  // [count][5][16]: largest score, sum of shares, sums of shares times colours
  float* out;     // [count][3], the mean colours, after the last block; else null
};

struct CubicHalfRow {  // one row of the reduction of 8-bit pictures to half size
  const std::uint8_t* rows[8];
  const float* taps;
  int width;      // width of the input
  float* column;  // scratch [3 * width]
  float* out;     // [3 * width / 2], 0..1
};

using ConvTileFn = void (*)(const ConvTile&);

// The functions of one instruction set.
struct Kernels {
  const char* name;
  const int* conv_pixels_f32;   // pixels per tile, by vectors in the group
  const ConvTileFn* conv_f32;   // by vectors in the group
  const int* conv_pixels_bf16;  // likewise
  const ConvTileFn* conv_bf16;  // null if the instruction set has no bf16
  bool amx;                     // whether those are AMX tiles
  void (*finish)(const Finish&, const FinishSpan&);
  void (*instance_norm_row)(const InstanceNormRow&);
  void (*affine_row)(const AffineRow&);
  void (*add_row)(const AddRow&);
  void (*gate_row)(const GateRow&);
  void (*scale_row)(const ScaleRow&);
  void (*fir_row)(const FirRow&);
  void (*fir_column)(const FirColumn&);
  void (*to_rgb_row)(const ToRgbRow&);
  void (*region_pool_row)(const RegionPoolRow&);
  void (*resize_row)(const ResizeRow&);
  void (*max_pool_row)(const MaxPoolRow&);
  void (*cubic_half_row)(const CubicHalfRow&);
  void (*blur_row)(const BlurRow&);
  void (*spade_row)(const SpadeRow&);
  void (*depthwise_row)(const DepthwiseRow&);
  void (*gelu_row)(const GeluRow&);
  void (*multiply_row)(const MultiplyRow&);
  void (*layer_norm_row)(const LayerNormRow&);
  void (*project_rows)(const ProjectRows&);
  void (*gram_rows)(const GramRows&);
  void (*mix)(const Mix&);
  void (*attend_tile)(const AttendTile&);
  void (*direction)(const Direction&);
  void (*winograd_in)(const WinogradIn&);
  void (*winograd_out)(const WinogradOut&);
  void (*winograd4_kernel)(const Winograd4Kernel&);
  void (*winograd4_in)(const WinogradIn&);
  void (*winograd4_out)(const WinogradOut&);
};

// One namespace per instruction set of this build. conv_pixels, conv_f32 and conv_bf16 come from
// cpu/conv_<set>.cpp, the rest from the sources compiled for every set.
namespace portable {
extern const Kernels kernels;
extern const int conv_pixels[kGroup + 1];
extern const ConvTileFn conv_f32[kGroup + 1];
extern const ConvTileFn* const conv_bf16;
}  // namespace portable
namespace avx2 {
extern const Kernels kernels;
extern const int conv_pixels[kGroup + 1];
extern const ConvTileFn conv_f32[kGroup + 1];
extern const ConvTileFn* const conv_bf16;
}  // namespace avx2
namespace avx512 {
extern const Kernels kernels;
extern const int conv_pixels[kGroup + 1];
extern const ConvTileFn conv_f32[kGroup + 1];
extern const ConvTileFn* const conv_bf16;
}  // namespace avx512
namespace avx512_bf16 {
extern const Kernels kernels;
extern const int conv_pixels[kGroup + 1];
extern const ConvTileFn conv_f32[kGroup + 1];
extern const ConvTileFn* const conv_bf16;
}  // namespace avx512_bf16

// AMX has its own bf16 tiles only: the other kernels are those of avx512_bf16, or of portable for the
// emulation.
constexpr int kAmxPixels[kGroup + 1] = {0, 48, 48, 48, 48};
namespace amx {
extern const ConvTileFn conv_bf16[kGroup + 1];
}
namespace amx_emulated {
extern const ConvTileFn conv_bf16[kGroup + 1];
}

}  // namespace e4s
