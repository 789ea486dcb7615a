// Instance norm scaled and shifted by maps, then leaky ReLU.
#include "ops/elementwise.h"
#include "ops/factories.h"
#include "ops/halo.h"
#include "ops/norm_statistics.h"

namespace e4s {

StepFn make_spade(Builder& b) {
  const int x = b.read("x"), maps = b.read("maps"), y = b.write("y");
  const BufferSpec &in = b.spec(x), &m = b.spec(maps);
  require_same_features(b, in, b.spec(y));
  const double epsilon = b.real("epsilon");
  const auto slope = static_cast<float>(b.real("slope"));
  const Map padded = layout(in);
  b.require(is_feature(m) && m.type == in.type && m.n == in.n && m.h == in.h && m.w == in.w &&
                m.c == 2 * padded.pixel,
            "maps must hold scales and shifts, each padded to whole vectors of channels");
  b.temporary(statistics_bytes(padded));
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y), &modulation = run.map(maps);
    const Affine affine = statistics(run, source, epsilon, 1, run.temporary);
    each_row_of(run, target, [&](std::int64_t n, std::int64_t row, int) {
      const std::int64_t first = n * source.pixel;
      run.cpu.spade_row({source.at(n, row, 0), modulation.at(n, row, 0), target.at(n, row, 0), source.type,
                         source.w, static_cast<int>(source.pixel), source.pixel, modulation.pixel,
                         affine.scale + first, affine.shift + first, slope});
    });
    clear_halo(run, target);
  };
}

}  // namespace e4s
