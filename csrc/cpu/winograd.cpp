// Winograd's F(2 x 2, 3 x 3) as in Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks"
// (2016): the transforms before and after the sixteen products.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

// Result of B^T d for four inputs along an axis.
struct Four {
  Vec v[4];
};

E4S_INLINE Four spread(Vec a, Vec b, Vec c, Vec d) { return {{a - c, b + c, c - b, b - d}}; }

template <class T, bool Scaled>
void transform(const WinogradIn& r) {
  const T* x = static_cast<const T*>(r.x);
  T* out = static_cast<T*>(r.out);
  for (int t = 0; t < r.count; ++t, x += 2 * r.pixel, out += r.channels) {
    const float* style =
        Scaled ? r.styles + (r.regions == nullptr ? 0 : r.regions[t] * r.style_stride) : nullptr;
    for (int c = 0; c < r.channels; c += kLanes) {
      const Vec scale = Scaled ? load(style + c) : splat(1);
      Four columns[4];
      for (int j = 0; j < 4; ++j) {
        const T* top = x + j * r.pixel + c;
        columns[j] = spread(load(top), load(top + r.row), load(top + 2 * r.row), load(top + 3 * r.row));
      }
      for (int i = 0; i < 4; ++i) {
        const Four made = spread(columns[0].v[i], columns[1].v[i], columns[2].v[i], columns[3].v[i]);
        for (int j = 0; j < 4; ++j)
          store(out + (4 * i + j) * r.part + c, Scaled ? made.v[j] * scale : made.v[j]);
      }
    }
  }
}

template <class T>
void in_as(const WinogradIn& r) {
  r.styles == nullptr ? transform<T, false>(r) : transform<T, true>(r);
}

}  // namespace

void winograd_in(const WinogradIn& r) { E4S_BY_TYPE(in_as, r); }

void winograd_out(const WinogradOut& r) {
  for (int t = 0; t < r.count; ++t) {
    const float* x = r.x + t * r.tile;
    float* out = r.out + 2 * static_cast<std::int64_t>(t) * r.lanes;
    for (int c = 0; c < r.lanes; c += kLanes) {
      Vec upper[4], lower[4];  // A^T m, then along the rows
      for (int j = 0; j < 4; ++j) {
        const float* m = x + j * r.part + c;
        const Vec first = load(m), second = load(m + 4 * r.part), third = load(m + 8 * r.part);
        upper[j] = first + second + third;
        lower[j] = second - third - load(m + 12 * r.part);
      }
      store(out + c, upper[0] + upper[1] + upper[2]);
      store(out + r.lanes + c, upper[1] - upper[2] - upper[3]);
      store(out + r.row + c, lower[0] + lower[1] + lower[2]);
      store(out + r.row + r.lanes + c, lower[1] - lower[2] - lower[3]);
    }
  }
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s
