// The kernels of one instruction set: raw pointers and parameter structs, no containers, no exceptions.
// Every cpu/<op>.cpp is compiled once per instruction set into its own namespace.
#pragma once

#include "tensor.h"

namespace e4s {

constexpr int kLanes = 16;            // output channels per vector
constexpr int kGroup = 4;             // vectors per group of packed weights
constexpr int kTileMax = 48;          // most pixels of a tile
constexpr std::int64_t kDepth = 128;  // 32-bit words of input channels per pass: keeps weights in L2

// One tap of a convolution: offsets into the input and into the packed weights, in 32-bit words. A word is
// one float, or two neighbouring bf16 channels.
struct Tap {
  std::int64_t x, w;
};

// sum over taps and words of pixel word times weight row, for a tile of any pixels.
struct ConvTile {
  int pixel_count;  // wanted; `pixels` and `sums` are as many as the tile has, the last ones of no interest
  const void* const* pixels;
  float* const* sums;
  const Tap* taps;
  int tap_count;
  std::int64_t words;
  const void* weights;
  bool accumulate;  // add to what `sums` holds
};

enum class Activation : std::uint8_t { none, relu, prelu, leaky_gain, rsqrt };

// What follows a convolution, per pixel: scale, noise, bias, activation, residual, ReLU; then the store.
struct Finish {
  const float* bias = nullptr;   // [lanes] or null
  const float* slope = nullptr;  // [lanes], for prelu
  Activation activation = Activation::none;
  bool relu_last = false;
  Type type = Type::f32;
};

// Neighbouring pixels of one row, some channels of them.
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
struct NormRow {
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
  std::int64_t pixel, shortcut_pixel;
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
  int label_step;              // 2 where the labels have twice the size
  const float* styles;
  std::int64_t style_stride;
};

// A 3 x 3 patch of input pixels, times a style, as the taps of one output pixel. mix_y, mix_x [3][3]: tap k
// takes input d with weight mix[d][k]; identity where the convolution does not upsample.
struct Patch {
  const void* corner;
  std::int64_t row, pixel;  // in elements
  Type type;
  int channels;
  const float* style;
  const float (*mix_y)[3];
  const float (*mix_x)[3];
  void* out;  // [9][channels]
};

// Winograd's transforms, of neighbouring tiles of a row; each makes 2 x 2 pixels of 4 x 4.
struct WinogradIn {
  const void* x;  // the first tile's upper left input
  Type type;
  int count, channels;      // channels: a multiple of 16
  std::int64_t row, pixel;  // in elements
  void* out;                // [16][tiles][channels]
  std::int64_t part;        // elements from one of the sixteen to the next
};

struct WinogradOut {
  const float* x;           // [16][tiles][lanes]
  std::int64_t part, tile;  // floats from one to the next
  int count, lanes;
  float* out;  // [2][2 * count][lanes]
  std::int64_t row;
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

struct RgbRow {
  const void* x;
  Type type;
  int count, channels;
  std::int64_t pixel;
  const std::uint8_t* labels;  // or null
  const float* table;          // [R][3][channels], styles times weights
  const float* bias;           // [3]
  const float* skip_near;      // rows of the smaller picture (4 floats a pixel), or null
  const float* skip_far;
  int skip_width;
  float* blend;  // scratch [skip_width + 2][4]
  float* out;
  int out_pixel;  // 3 or 4 floats
};

struct PoolRow {  // sums[label] += pixel
  const void* x;
  Type type;
  int count, channels;
  std::int64_t pixel;
  const std::uint8_t* labels;
  float* sums;  // [R][channels]
};

struct LerpRow {  // out = rows blended with weight f, columns from index and weight tables
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

struct MaxRow {
  const void* rows[3];  // or null above and below the picture
  void* out;
  Type type;
  int count, width, channels;
  std::int64_t pixel;
};

struct GateRow {  // out = x * gate (+ x), or x + y; then ReLU
  const void* x;
  const void* y;  // second summand or null
  void* out;
  Type type;
  int count, channels;
  std::int64_t pixel, y_pixel;  // y_pixel 0: broadcast
  const float* gate;            // or null
  bool residual, relu;
};

struct CubicRow {  // half-size reduction of 8-bit pictures
  const std::uint8_t* rows[8];
  const float* taps;
  int width;      // of the input
  float* column;  // scratch [3 * width]
  float* out;     // [3 * width / 2], 0..1
};

using ConvTileFn = void (*)(const ConvTile&);

struct Kernels {
  const char* name;
  const int* conv_pixels_f32;   // of a tile, by vectors in the group
  const ConvTileFn* conv_f32;   // likewise
  const int* conv_pixels_bf16;  // likewise
  const ConvTileFn* conv_bf16;  // null where the processor has no bf16
  void (*finish)(const Finish&, const FinishSpan&);
  void (*norm_row)(const NormRow&);
  void (*affine_row)(const AffineRow&);
  void (*scale_row)(const ScaleRow&);
  void (*patch)(const Patch&);
  void (*fir_row)(const FirRow&);
  void (*fir_column)(const FirColumn&);
  void (*rgb_row)(const RgbRow&);
  void (*pool_row)(const PoolRow&);
  void (*lerp_row)(const LerpRow&);
  void (*max_row)(const MaxRow&);
  void (*gate_row)(const GateRow&);
  void (*cubic_row)(const CubicRow&);
  void (*winograd_in)(const WinogradIn&);
  void (*winograd_out)(const WinogradOut&);
};

// One namespace per instruction set this build has. conv_pixels, conv_f32 and conv_bf16 come from
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

// The bf16 tiles alone: all else is that of avx512_bf16, and of portable.
constexpr int kAmxPixels[kGroup + 1] = {0, 48, 48, 48, 48};
namespace amx {
extern const ConvTileFn conv_bf16[kGroup + 1];
}
namespace amx_emulated {
extern const ConvTileFn conv_bf16[kGroup + 1];
}

}  // namespace e4s
