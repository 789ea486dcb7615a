#include "ops/factories.h"

namespace e4s {

const std::map<std::string, Factory>& factories() {
  // Never destroyed: daemon threads may still build plans while the process exits.
  static const auto& all = *new const std::map<std::string, Factory>{
      {"add", make_add},
      {"affine", make_affine},
      {"argmax", make_argmax},
      {"blur", make_blur},
      {"condition", make_condition},
      {"constant", make_constant},
      {"conv2d", make_conv2d},
      {"copy", make_copy},
      {"demodulate", make_demodulate},
      {"depthwise", make_depthwise},
      {"from_uint8", make_from_uint8},
      {"gate", make_gate},
      {"gaussian_quarter", make_gaussian_quarter},
      {"gelu", make_gelu},
      {"group_norm", make_group_norm},
      {"instance_norm", make_instance_norm},
      {"layer_norm", make_layer_norm},
      {"max_pool", make_max_pool},
      {"multiply", make_multiply},
      {"nmf", make_nmf},
      {"norm_add", make_norm_add},
      {"part_attention", make_part_attention},
      {"picture", make_picture},
      {"region_linear", make_region_linear},
      {"region_pool", make_region_pool},
      {"regional_conv", make_regional_conv},
      {"resize", make_resize},
      {"resize_labels", make_resize_labels},
      {"rms_norm", make_rms_norm},
      {"soft_argmax", make_soft_argmax},
      {"spade", make_spade},
      {"sparse_motion", make_sparse_motion},
      {"split_slices", make_split_slices},
      {"sum_taps", make_sum_taps},
      {"to_rgb", make_to_rgb},
      {"to_uint8", make_to_uint8},
      {"warp", make_warp},
  };
  return all;
}

}  // namespace e4s
