// The antialiased halving of 8-bit pictures.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {

void cubic_half_row(const CubicHalfRow& r) {
  for (int i = 0; i < 3 * r.width; ++i) {
    float sum = 0;
    for (int t = 0; t < 8; ++t) sum += r.taps[t] * (static_cast<float>(r.rows[t][i]) / 255.0f);
    r.column[i] = sum;
  }
  for (int p = 0; p < r.width / 2; ++p) {
    for (int c = 0; c < 3; ++c) {
      float sum = 0;
      for (int t = 0; t < 8; ++t) {
        int q = 2 * p - 3 + t;  // mirrored at the border, without repeating the border pixel
        q = q < 0 ? -q : q >= r.width ? 2 * r.width - 2 - q : q;
        sum += r.taps[t] * r.column[q * 3 + c];
      }
      r.out[p * 3 + c] = sum < 0 ? 0 : sum > 1 ? 1 : sum;
    }
  }
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s
