// The per-region linear layers, as 1 x 1 convolutions over the batch.
#include "ops/convolve.h"
#include "ops/factories.h"

namespace e4s {

StepFn make_region_linear(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const std::int64_t regions = in.w;
  b.require(in.h == 1 && out.h == 1 && out.w == regions && out.n == in.n && in.halo == 0 && out.halo == 0,
            "expected [N,R,C]");
  b.require(out.external < 0 && out.c != 3 && out.type != Type::u8, "impossible y");
  b.require(b.count("kernels") == static_cast<std::size_t>(regions), "expected a kernel per region");
  std::vector<std::pair<const PackedConv*, const Vector*>> layers;
  for (std::size_t r = 0; r < static_cast<std::size_t>(regions); ++r) {
    const PackedConv* conv = b.conv("kernels", r);
    b.require(conv->kernel == 1 && conv->inputs == in.c && conv->outputs == out.c && conv->type == in.type,
              "a kernel has another shape");
    b.require(in.external < 0 || conv->type == Type::f32, "an external x must be float");
    layers.emplace_back(conv, b.vector("biases", out.c, r));
  }
  const Vector* slope = b.has_weight("prelu") ? b.vector("prelu", out.c) : nullptr;
  b.scratch(convolve_scratch());
  return [=](const Run& run) {
    for (int r = 0; r < static_cast<int>(regions); ++r) {
      const auto along = [&](const Map& m) {  // region r of every sample as the pixels of one row
        Map line = m;
        line.data = m.at(0, 0, r);
        line.n = 1, line.w = m.n, line.pixel = m.image;
        return line;
      };
      const auto& [conv, bias] = layers[static_cast<std::size_t>(r)];
      Epilogue epilogue;
      epilogue.finish.type = run.map(y).type;
      epilogue.finish.bias = bias->data();
      if (slope != nullptr) {
        epilogue.finish.slope = slope->data();
        epilogue.finish.activation = Activation::prelu;
      }
      convolve(run, along(run.map(x)), along(run.map(y)), *conv, {1, 0, 0}, epilogue);
    }
  };
}

}  // namespace e4s
