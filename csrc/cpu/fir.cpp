// The FIR of upsampling, along rows and along columns.
#include "cpu/fir_taps.h"
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {

void fir_row(const FirRow& r) {
  const Vec outer = splat(kFirOuter), inner = splat(kFirInner);
  for (int c = 0; c < r.lanes; c += kLanes) {
    const float* x = r.x + c;
    float* out = r.out + c;
    Vec a = load(x), b = load(x + r.lanes), d = load(x + 2 * r.lanes);
    x += 3 * r.lanes;
    for (int p = 0; p < r.count; ++p, x += r.lanes, out += r.lanes) {
      const Vec e = load(x);
      store(out, outer * (a + e) + inner * (b + d));
      a = b, b = d, d = e;
    }
  }
}

void fir_column(const FirColumn& r) {
  const Vec outer = splat(kFirOuter), inner = splat(kFirInner);
  for (int i = 0; i < r.count; i += kLanes)
    store(r.out + i, outer * (load(r.rows[0] + i) + load(r.rows[3] + i)) +
                         inner * (load(r.rows[1] + i) + load(r.rows[2] + i)));
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s
