// The sum of a feature map and a multiple of another one, which may be one pixel per sample, then ReLU.
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"

namespace e4s {

StepFn make_add(Builder& b) {
  const int x = b.read("x"), other = b.read("other"), y = b.write("y");
  const bool relu = b.flag("relu");
  const auto gain = static_cast<float>(b.real("gain"));
  const BufferSpec &in = b.spec(x), &o = b.spec(other);
  require_same_features(b, in, b.spec(y));
  const bool broadcast = o.h == 1 && o.w == 1;
  b.require(is_feature(o) && o.type == in.type && o.n == in.n && o.c == in.c &&
                (broadcast || (o.h == in.h && o.w == in.w)),
            "the operands do not fit");
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y), &term = run.map(other);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int) {
      run.cpu.add_row({source.at(n, row, 0), term.at(n, broadcast ? 0 : row, 0), target.at(n, row, 0),
                       source.type, source.w, static_cast<int>(source.pixel), source.pixel,
                       broadcast ? 0 : source.pixel, gain, relu});
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
