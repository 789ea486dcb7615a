// The kernels that are compiled from the same sources for every instruction set. kernels.h describes each
// parameter struct.
#pragma once

#include "cpu/rows.h"

namespace e4s {
namespace E4S_NAMESPACE {

// Applies a convolution's epilogue to sums [count][lanes].
void finish(const Finish& f, const FinishSpan& span);
// Adds a row x [count][channels] to the running sums [channels].
void instance_norm_row(const InstanceNormRow& r);
// Applies scale, shift, PReLU and shortcut to a row [count][channels].
void affine_row(const AffineRow& r);
// Scales a row [count][channels] by the styles of its regions.
void scale_row(const ScaleRow& r);
// Filters a row along x: [count + 3][lanes] -> [count][lanes].
void fir_row(const FirRow& r);
// Filters four rows along y: [4][count] -> [count].
void fir_column(const FirColumn& r);
// Computes a row of toRGB: [count][channels] -> [count][3 or 4].
void to_rgb_row(const ToRgbRow& r);
// Adds a row [count][channels] to its regions' sums [R][channels].
void region_pool_row(const RegionPoolRow& r);
// Interpolates a row [count][channels] from two input rows.
void resize_row(const ResizeRow& r);
// Pools a row [count][channels] from three input rows.
void max_pool_row(const MaxPoolRow& r);
// Adds two rows [count][channels].
void add_row(const AddRow& r);
// Gates a row [count][channels].
void gate_row(const GateRow& r);
// Filters a row [count][channels] from four input rows.
void blur_row(const BlurRow& r);
// Scales and shifts a row [count][channels] by its statistics, then by maps.
void spade_row(const SpadeRow& r);
// Convolves every channel of a row [count][channels] with its own kernel.
void depthwise_row(const DepthwiseRow& r);
// Applies GELU to `count` values.
void gelu_row(const GeluRow& r);
// Multiplies two rows of `count` values.
void multiply_row(const MultiplyRow& r);
// Normalises the pixels of a row [count][channels].
void layer_norm_row(const LayerNormRow& r);
// Multiplies rows [count][depth] by a matrix [depth][columns].
void project_rows(const ProjectRows& r);
// Adds the products of two sets of rows to [channels][columns].
void gram_rows(const GramRows& r);
// Adds up to eight pixels [channels], each times a share.
void mix(const Mix& m);
// Reduces eight rows [width][3] to one [width / 2][3].
void cubic_half_row(const CubicHalfRow& r);
// Adds a block of keys to the softmax of some queries.
void attend_tile(const AttendTile& t);
// Computes the direction of a pixel's features [channels].
void direction(const Direction& d);
// Transforms inputs to [16][tiles][channels].
void winograd_in(const WinogradIn& r);
// Transforms products [16][tiles][lanes] to outputs [2][2 * count][lanes].
void winograd_out(const WinogradOut& r);
// Transforms kernels of nine taps [count] to [36][count].
void winograd4_kernel(const Winograd4Kernel& r);
// Transforms inputs to [36][tiles][channels].
void winograd4_in(const WinogradIn& r);
// Transforms products [36][tiles][lanes] to outputs [4][4 * count][lanes].
void winograd4_out(const WinogradOut& r);

}  // namespace E4S_NAMESPACE
}  // namespace e4s
