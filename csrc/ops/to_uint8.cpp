// The generator's range to 8-bit pixels of the caller.
#include "ops/elementwise.h"
#include "ops/factories.h"

namespace e4s {

StepFn make_to_uint8(Builder& b) {
  const int x = b.read("x", kSame), y = b.write("y", 1);
  const BufferSpec &in = b.spec(x), &out = b.spec(y);
  b.require(in.type == Type::f32 && in.c == 3 && in.external < 0, "x must be a picture");
  b.require(out.type == Type::u8 && out.external >= 0 && out.limit == 0 && out.c == 3 && out.n == in.n &&
                out.h == in.h && out.w == in.w,
            "y must be 8-bit pixels of the caller");
  return [=](const Run& run) {
    const Map &source = run.map(x), &target = run.map(y);
    each_row_in_box(run, target, [&](std::int64_t n, std::int64_t row, int) {
      const auto* p = reinterpret_cast<const float*>(source.at(n, row, 0));
      auto* out_row = reinterpret_cast<std::uint8_t*>(target.at(n, row, 0));
      for (int i = run.box.left; i < run.box.right; ++i)
        for (int c = 0; c < 3; ++c) {  // truncated, as in the published code; NaN becomes 0
          const float value = (p[i * 4 + c] + 1) / 2;
          const float clamped = value > 0 ? (value < 1 ? value : 1.0f) : 0.0f;
          out_row[i * 3 + c] = static_cast<std::uint8_t>(clamped * 255);
        }
    });
  };
}

}  // namespace e4s
