// One factory per step kind: checks shapes and weights, requests memory, returns the function that runs it.
#pragma once

#include "plan.h"

namespace e4s {

// x + gain * other, then ReLU: x, y [N,H,W,C], other like x or [N,1,1,C].
StepFn make_add(Builder& b);
// A scale and a shift per channel, then PReLU: x [N,H,W,c] -> channels of y [N,H,W,C] from `to` on.
StepFn make_affine(Builder& b);
// Best class of resized logits: x [N,h,w,C] -> y [N,H,W,1], 8-bit.
StepFn make_argmax(Builder& b);
// A 4 x 4 filter of every channel, with two zero pixels around: x [N,H,W,C] -> y [N,H+1,W+1,C].
StepFn make_blur(Builder& b);
// Features mixed with others by a number per sample, then leaky ReLU: x, shift, y [N,H,W,C], share [N,1,1,1].
StepFn make_condition(Builder& b);
// The learned constant, repeated over the batch: values [H,W,C] -> y [N,H,W,C].
StepFn make_constant(Builder& b);
// Dense convolution with its epilogue, over maps or volumes (neighbouring samples are slices): x [N,h,w,I] ->
// channels of y [N,H,W,O] from `to` on.
StepFn make_conv2d(Builder& b);
// Every stride-th pixel of x [N,h,w,c] -> channels of y [N,H,W,C] from `first` on.
StepFn make_copy(Builder& b);
// Demodulation scales of a layer: styles x [N,1,R,I] -> y [N,1,R,O].
StepFn make_demodulate(Builder& b);
// Depthwise convolution, then GELU, then a residual: x, residual, y [N,H,W,C].
StepFn make_depthwise(Builder& b);
// 8-bit pixels x [N,h,w,3] -> normalised y [N,H,W,3].
StepFn make_from_uint8(Builder& b);
// x * sigmoid(gate) (+ x), then ReLU: x, y [N,H,W,C], gate [N,1,1,C] or [N,H,W,1].
StepFn make_gate(Builder& b);
// A picture filtered by a Gaussian, every fourth pixel: x [N,h,w,3] -> y [N,(h+3)/4,(w+3)/4,3].
StepFn make_gaussian_quarter(Builder& b);
// GELU: x, y [N,H,W,C].
StepFn make_gelu(Builder& b);
// Norm of groups of channels, then PReLU: x, y [N,H,W,C].
StepFn make_group_norm(Builder& b);
// Instance norm, then PReLU: x, y [N,H,W,C].
StepFn make_instance_norm(Builder& b);
// Norm of every pixel's channels: x, y [N,H,W,C].
StepFn make_layer_norm(Builder& b);
// Max pooling 3 x 3 of stride 2: x [N,h,w,C] -> y [N,(h+1)/2,(w+1)/2,C].
StepFn make_max_pool(Builder& b);
// Product of two maps: x, other, y [N,H,W,C].
StepFn make_multiply(Builder& b);
// Non-negative factorisation of every sample: x, y [N,H,W,C].
StepFn make_nmf(Builder& b);
// Instance norm times a gain, plus the shortcut: x, y [N,H,W,C], shortcut [N,h,w,C].
StepFn make_norm_add(Builder& b);
// Colours of the pixels of the same part with like features: x, keys [N,H,W,C], colours, y [N,H,W,3], parts
// [N,H,W,1].
StepFn make_part_attention(Builder& b);
// The first three channels, or their sigmoid: x [N,H,W,C] -> y [N,H,W,3].
StepFn make_picture(Builder& b);
// One linear layer per region: x [N,1,R,I] -> y [N,1,R,O].
StepFn make_region_linear(Builder& b);
// Mean per region, or of all pixels: x [N,H,W,C], labels [N,H,W,1] -> y [N,1,R,C].
StepFn make_region_pool(Builder& b);
// Modulated convolution: x [N,h,w,I], styles [N,1,R,I], labels [N,H,W,1] -> y [N,H,W,O].
StepFn make_regional_conv(Builder& b);
// Bilinear or nearest resize: x [N,h,w,C] -> y [N,H,W,C].
StepFn make_resize(Builder& b);
// Nearest resize of labels: x [N,h,w,1] -> y [N,H,W,1].
StepFn make_resize_labels(Builder& b);
// Sums of channels that belong to taps: x [N*D,H,W,T*O] -> y [N*D,H,W,O].
StepFn make_sum_taps(Builder& b);
// Modulated 1 x 1 convolution plus the upsampled skip: x [N,H,W,I], skip [N,H/2,W/2,3] -> y [N,H,W,3].
StepFn make_to_rgb(Builder& b);
// Vectors divided by their root mean square: x, y [N,1,R,C].
StepFn make_rms_norm(Builder& b);
// Mean places under a softmax over the cells of volumes: x [N*D,H,W,K] -> y [N,1,K,3].
StepFn make_soft_argmax(Builder& b);
// Instance norm scaled and shifted by maps, then leaky ReLU: x, y [N,H,W,C], maps [N,H,W,2C].
StepFn make_spade(Builder& b);
// Heat maps and volumes moved by key points: x [N*D,H,W,C], points [N,1,K,3] -> y [N*D,H,W,(K+1)(1+C)].
StepFn make_sparse_motion(Builder& b);
// Channels as slices of a volume: x [N,H,W,C*D] -> y [N*D,H,W,C].
StepFn make_split_slices(Builder& b);
// x [N,H,W,3] in -1..1 -> 8-bit y [N,H,W,3].
StepFn make_to_uint8(Builder& b);
// Volumes moved by a mixture of motions: x, y [N*D,H,W,C], logits [N*D,H,W,K+1], points [N,1,K,3].
StepFn make_warp(Builder& b);

}  // namespace e4s
