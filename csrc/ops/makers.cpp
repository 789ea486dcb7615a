#include "ops/makers.h"

namespace e4s {

const std::map<std::string, Maker>& makers() {
  static const std::map<std::string, Maker> all = {
      {"affine", make_affine},
      {"argmax", make_argmax},
      {"combine", make_combine},
      {"constant", make_constant},
      {"conv", make_conv},
      {"copy", make_copy},
      {"demodulate", make_demodulate},
      {"instance_norm", make_instance_norm},
      {"max_pool", make_max_pool},
      {"norm_add", make_norm_add},
      {"picture", make_picture},
      {"pool", make_pool},
      {"region_linear", make_region_linear},
      {"regional_conv", make_regional_conv},
      {"resize", make_resize},
      {"resize_labels", make_resize_labels},
      {"to_rgb", make_to_rgb},
      {"to_uint8", make_to_uint8},
  };
  return all;
}

}  // namespace e4s
