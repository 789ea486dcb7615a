// The kernel around the regional convolution: inputs scaled by the style of a region.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

template <class T>
void scale_as(const ScaleRow& r) {
  const T* x = static_cast<const T*>(r.x);
  T* out = static_cast<T*>(r.out);
  for (int p = 0; p < r.count; ++p, x += r.pixel, out += r.pixel) {
    const int region = r.labels == nullptr ? 0 : r.labels[p];
    const float* style = r.styles + region * r.style_stride;
    for (int c = 0; c < r.channels; c += kLanes) store(out + c, load(x + c) * load(style + c));
  }
}

}  // namespace

void scale_row(const ScaleRow& r) { E4S_BY_TYPE(scale_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
