// Dense convolution with bias, activation, residual and ReLU.
#include <cstring>

#include "ops/convolve.h"
#include "ops/factories.h"

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

}  // namespace

StepFn make_conv2d(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const PackedConv* conv = b.conv_of_any_form("kernel");
  const int stride = b.integer("stride", 1, 4), first = b.integer("first", 0, 1 << 20);
  const std::int64_t outputs = conv->outputs;
  b.require(in.type == conv->type && out.type != Type::u8, "the types do not fit");
  b.require(first + conv->inputs <= in.c && (first == 0 || first % kLanes == 0), "x has other channels");
  b.require(conv->kernel % 2 == 1 && conv->kernel <= 7 && in.halo >= conv->kernel / 2, "x lacks a halo");
  b.require(out.c == outputs && out.c != 3 && out.external < 0 && in.external < 0, "y has other channels");
  b.require(out.n == in.n && out.h == (in.h - 1) / stride + 1 && out.w == (in.w - 1) / stride + 1,
            "y has another size");
  Epilogue epilogue;
  epilogue.finish.type = out.type;
  if (b.has_weight("bias")) epilogue.finish.bias = b.vector("bias", outputs)->data();
  if (b.flag("relu")) epilogue.finish.activation = Activation::relu;
  if (b.has_weight("prelu")) {
    epilogue.finish.slope = b.vector("prelu", outputs)->data();
    epilogue.finish.activation = Activation::prelu;
  }
  int residual = -1;
  if (b.has("residual")) {
    residual = b.read("residual");
    const BufferSpec& r = b.spec(residual);
    b.require(
        r.n == out.n && r.h == out.h && r.w == out.w && r.c == out.c && r.type == out.type && r.external < 0,
        "the residual has another shape");
    epilogue.finish.relu_last = b.flag("relu_last");
  }
  prepare(b, in, out, *conv);
  const Map dense = dense_layout(in);
  if (conv->rows()) b.temporary(dense_bytes(dense));
  return [=](const Run& run) {
    Epilogue bound = epilogue;
    if (residual >= 0) bound.residual = &run.map(residual);
    const Map& given = run.map(x);
    if (conv->rows())
      convolve(run, dense_picture(run, given, first, dense), run.map(y), *conv, stride, 0, bound);
    else
      convolve(run, given, run.map(y), *conv, stride, first, bound);
  };
}

}  // namespace e4s
