// Dense convolution, of maps or of volumes, with bias, activation, residual and ReLU.
#include <algorithm>
#include <cstring>

#include "ops/convolve.h"
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {
namespace {

// Returns a layout of three channels without padding between pixels: the taps of a kernel row are then
// contiguous (see PackedConv::rows). A row begins at a whole word.
Map dense_layout(const BufferSpec& spec) {
  Map dense = layout(spec);
  dense.pixel = kPictureChannels;
  dense.row = (dense.pixel * (dense.w + 2 * dense.halo) + 1) / 2 * 2;
  dense.image = dense.row * (dense.h + 2 * dense.halo);
  return dense;
}

// Returns the bytes of that layout; a row's last word may reach one value past the picture.
std::int64_t dense_bytes(const Map& dense) { return (dense.n * dense.image + 1) * size_of(dense.type); }

template <class T>
void copy_pixels(const std::byte* from, std::int64_t step, std::byte* to, int count) {
  constexpr std::size_t bytes = kPictureChannels * sizeof(T);  // constant: a copy is two moves, not a call
  for (int p = 0; p < count; ++p, from += step, to += bytes) std::memcpy(to, from, bytes);
}

// Copies three channels of x from `first` on, halo included, to the dense layout.
Map dense_picture(const Run& run, const Map& x, int first, Map dense) {
  const std::int64_t size = size_of(x.type), rows = x.h + 2 * x.halo, step = x.pixel * size;
  const int width = x.w + 2 * x.halo;
  dense.data = run.temporary + x.halo * (dense.row + dense.pixel) * size;
  std::memset(run.temporary + dense.n * dense.image * size, 0, static_cast<std::size_t>(size));
  run.pool.each(x.n * rows, [&](std::int64_t task, int) {
    const std::byte* from = x.at(task / rows, task % rows - x.halo, -x.halo) + first * size;
    std::byte* to = dense.at(task / rows, task % rows - x.halo, -x.halo);
    std::memset(to + (dense.row - 1) * size, 0, static_cast<std::size_t>(size));
    if (x.type == Type::bf16)
      copy_pixels<std::uint16_t>(from, step, to, width);
    else
      copy_pixels<float>(from, step, to, width);
  });
  return dense;
}

// Returns the step's kernels, one per slice that a slice of the result reads.
Stack read_kernels(const Builder& b) {
  Stack stack;
  stack.depth = b.integer("depth", 1, 1 << 10), stack.pad = b.integer("depth_pad", 0, 3);
  b.require(b.count("kernel") >= 1, "weight kernel is missing");
  for (std::size_t k = 0; k < b.count("kernel"); ++k) {
    stack.kernels.push_back(b.conv_of_any_form("kernel", k));
    const PackedConv &one = *stack.kernels[0], &other = *stack.kernels[k];
    b.require(one.outputs == other.outputs && one.inputs == other.inputs && one.kernel == other.kernel &&
                  one.type == other.type && one.form == other.form,
              "the kernels of its slices differ");
  }
  b.require(stack.count() > 2 * stack.pad && stack.out_depth() >= 1, "the slices do not fit");
  return stack;
}

// Throws ArgumentError unless the map, the kernel and the result fit together.
void check_shapes(const Builder& b, const BufferSpec& in, const BufferSpec& out, const Stack& stack,
                  const Reach& reach, int to) {
  const PackedConv& conv = stack.first();
  b.require(stack.count() == 1 || !conv.rows(), "volumes of three channels have no form");
  b.require(in.n % stack.depth == 0 && out.n == in.n / stack.depth * stack.out_depth(),
            "y has another number of samples or slices");
  b.require(in.type == conv.type && out.type != Type::u8, "the types do not fit");
  const int end = reach.first + conv.inputs;
  b.require(end <= in.c && reach.first % kLanes == 0, "x has other channels");
  b.require(end == in.c || in.type == Type::f32 || conv.inputs % 2 == 0, "x's channels make no whole words");
  b.require(conv.kernel <= 7 && (conv.kernel % 2 == 1 || reach.pad == 0) && reach.pad <= conv.kernel / 2,
            "expected a kernel of an odd side up to 7, or no border");
  b.require(in.halo >= reach.pad, "x lacks a halo");
  b.require(out.c != 3 && out.external < 0 && in.external < 0, "y has other channels");
  require_part(b, out, to, conv.outputs);
  const std::int64_t high = in.h + 2 * reach.pad - conv.kernel, wide = in.w + 2 * reach.pad - conv.kernel;
  b.require(high >= 0 && wide >= 0 && out.h == high / reach.stride + 1 && out.w == wide / reach.stride + 1,
            "y has another size");
}

// Returns the epilogue that the step's weights and flags ask for, but for the residual.
Epilogue read_epilogue(const Builder& b, const PackedConv& conv, Type type) {
  Epilogue epilogue;
  epilogue.finish.type = type;
  if (b.has_weight("bias")) epilogue.finish.bias = b.vector("bias", conv.outputs)->data();
  if (b.flag("relu")) epilogue.finish.activation = Activation::relu;
  if (b.has_weight("prelu")) {
    epilogue.finish.slope = b.vector("prelu", conv.outputs)->data();
    epilogue.finish.activation = Activation::prelu;
  }
  return epilogue;
}

}  // namespace

StepFn make_conv2d(Builder& b) {
  const Stack stack = read_kernels(b);
  const PackedConv* conv = &stack.first();
  const Reach reach{b.integer("stride", 1, 4), b.integer("first", 0, 1 << 20), b.integer("pad", 0, 3)};
  const int to = b.integer("to", 0, 1 << 20), outputs = conv->outputs;
  const bool mirrored = b.flag("reflect");
  // A picture is copied, and a mirrored border filled, whatever the box.
  const bool all = conv->rows() || mirrored;
  const Window window{1, reach.stride, std::max(reach.pad, conv->kernel - 1 - reach.pad)};
  const int x = b.read("x", all ? kWhole : window);
  const int y = b.write_part("y", all ? 0 : tile_side(conv->form));
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  check_shapes(b, in, out, stack, reach, to);
  b.require(conv->form == Form::direct || reach.first == 0,
            "Winograd's form reads from the first channel on");
  b.require(x != y || reach.first + conv->inputs <= to || to + outputs <= reach.first,
            "writes to the channels that it reads");
  b.require(!mirrored || std::min(in.h, in.w) > reach.pad, "x is too small to be mirrored");
  Epilogue epilogue = read_epilogue(b, *conv, out.type);
  int residual = -1;
  if (b.has("residual")) {
    residual = b.read("residual", kSame);
    const BufferSpec& r = b.spec(residual);
    b.require(r.n == out.n && r.h == out.h && r.w == out.w && r.c == outputs && r.type == out.type &&
                  r.external < 0 && residual != y,
              "the residual has another shape");
    epilogue.finish.relu_last = b.flag("relu_last");
  }
  prepare(b, in, out, stack);
  const Map dense = dense_layout(in);
  if (conv->rows()) b.temporary(dense_bytes(dense));
  return [=](const Run& run) {
    const Box& box = run.box;
    Epilogue bound = epilogue;
    Map added;
    if (residual >= 0) added = view(run.map(residual), box), bound.residual = &added;
    const Map &source = run.map(x), target = view(part_of(run.map(y), to, outputs), box);
    if (mirrored) mirror_halo(run, source, reach.pad);
    if (conv->rows()) {
      convolve(run, dense_picture(run, source, reach.first, dense), target, *conv,
               {reach.stride, 0, reach.pad}, bound);
    } else {
      const Box below{box.top * reach.stride, box.left * reach.stride, box.bottom * reach.stride,
                      box.right * reach.stride};
      convolve(run, view(source, below), target, stack, reach, bound);
    }
    if (mirrored) clear_halo(run, source);
    clear_halo(run, run.map(y), box);
  };
}

}  // namespace e4s
