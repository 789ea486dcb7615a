// One maker per kind of step: checks shapes and weights, says what memory it needs, returns what runs.
#pragma once

#include "plan.h"

namespace e4s {

StepFn make_affine(Builder& b);
StepFn make_argmax(Builder& b);
StepFn make_combine(Builder& b);
StepFn make_constant(Builder& b);
StepFn make_conv(Builder& b);
StepFn make_copy(Builder& b);
StepFn make_demodulate(Builder& b);
StepFn make_instance_norm(Builder& b);
StepFn make_max_pool(Builder& b);
StepFn make_norm_add(Builder& b);
StepFn make_picture(Builder& b);
StepFn make_pool(Builder& b);
StepFn make_region_linear(Builder& b);
StepFn make_regional_conv(Builder& b);
StepFn make_resize(Builder& b);
StepFn make_resize_labels(Builder& b);
StepFn make_to_rgb(Builder& b);
StepFn make_to_uint8(Builder& b);

}  // namespace e4s
