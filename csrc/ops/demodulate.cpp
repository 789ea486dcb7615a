// Demodulation scales: 1 / sqrt(sum of (weight * style)^2 + epsilon), per region and output channel.
#include "ops/convolve.h"
#include "ops/factories.h"

namespace e4s {

StepFn make_demodulate(Builder& b) {
  const int x = b.read("x"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  const PackedConv* energy = b.conv("energy");
  const auto epsilon = static_cast<float>(b.real("epsilon"));
  b.require(in.type == Type::f32 && out.type == Type::f32 && energy->type == Type::f32 && in.external < 0 &&
                out.external < 0 && in.halo == 0 && out.c != 3,
            "the types do not fit");
  b.require(energy->kernel == 1 && energy->inputs == in.c && energy->outputs == out.c && out.n == in.n &&
                out.h == in.h && out.w == in.w,
            "the shapes do not fit");
  const std::int64_t count = in.n * layout(in).image;
  b.temporary(count * 4);
  b.scratch(convolve_scratch());
  return [=](const Run& run) {
    Map squares = run.map(x);
    const auto* values = reinterpret_cast<const float*>(squares.data);
    auto* out_values = reinterpret_cast<float*>(run.temporary);
    for (std::int64_t i = 0; i < count; ++i) out_values[i] = values[i] * values[i];
    squares.data = run.temporary;
    Epilogue epilogue;
    epilogue.finish.activation = Activation::rsqrt;
    epilogue.finish.epsilon = epsilon;
    convolve(run, squares, run.map(y), *energy, {1, 0, 0}, epilogue);
  };
}

}  // namespace e4s
