// Function table of one instruction set.
#include "cpu/ops.h"

#define E4S_TEXT_OF(name) #name
#define E4S_TEXT(name) E4S_TEXT_OF(name)

namespace e4s {
namespace E4S_NAMESPACE {

const Kernels kernels = {E4S_TEXT(E4S_NAMESPACE),
                         conv_pixels,
                         conv_f32,
                         conv_pixels,
                         conv_bf16,
                         false,
                         finish,
                         instance_norm_row,
                         affine_row,
                         add_row,
                         gate_row,
                         scale_row,
                         fir_row,
                         fir_column,
                         to_rgb_row,
                         region_pool_row,
                         resize_row,
                         max_pool_row,
                         cubic_half_row,
                         blur_row,
                         spade_row,
                         depthwise_row,
                         gelu_row,
                         multiply_row,
                         layer_norm_row,
                         project_rows,
                         gram_rows,
                         mix,
                         attend_tile,
                         direction,
                         winograd_in,
                         winograd_out,
                         winograd4_kernel,
                         winograd4_in,
                         winograd4_out};

}  // namespace E4S_NAMESPACE
}  // namespace e4s
