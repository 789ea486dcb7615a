// Winograd's F(4 x 4, 3 x 3) with the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray, 2016): the
// transforms of kernels, and those before and after the 36 products.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

constexpr int kSide = 6, kOut = 4;  // inputs and outputs of a tile along an axis

// Writes B^T d, of six inputs along an axis.
E4S_INLINE void spread(const Vec* d, Vec* out) {
  const Vec even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1];
  const Vec near = d[4] - d[2], far = 2 * (d[3] - d[1]);
  out[0] = 4 * d[0] - 5 * d[2] + d[4];
  out[1] = even + odd, out[2] = even - odd;
  out[3] = near + far, out[4] = near - far;
  out[5] = 4 * d[1] - 5 * d[3] + d[5];
}

// Writes A^T m, of six products along an axis.
E4S_INLINE void gather(const Vec* m, Vec* out) {
  const Vec ones = m[1] + m[2], signs = m[1] - m[2];
  const Vec twos = m[3] + m[4], doubles = m[3] - m[4];
  out[0] = m[0] + ones + twos;
  out[1] = signs + 2 * doubles;
  out[2] = ones + 4 * twos;
  out[3] = signs + 8 * doubles + m[5];
}

// Writes G g, of three taps along an axis.
E4S_INLINE void widen(Vec a, Vec b, Vec c, Vec* out) {
  const Vec ends = a + c, far = a / 24 + c / 6;
  out[0] = a / 4;
  out[1] = (ends + b) / -6, out[2] = (b - ends) / 6;
  out[3] = far + b / 12, out[4] = far - b / 12;
  out[5] = c;
}

template <class T>
void in_as(const WinogradIn& r) {
  const T* x = static_cast<const T*>(r.x);
  float* out = static_cast<float*>(r.out);
  for (int t = 0; t < r.count; ++t, x += kOut * r.pixel, out += r.channels) {
    for (int c = 0; c < r.channels; c += kLanes) {
      Vec columns[kSide][kSide];  // by column, then by part along it
      for (int j = 0; j < kSide; ++j) {
        Vec d[kSide];
        for (int i = 0; i < kSide; ++i) d[i] = load(x + i * r.row + j * r.pixel + c);
        spread(d, columns[j]);
      }
      for (int i = 0; i < kSide; ++i) {
        Vec d[kSide], parts[kSide];
        for (int j = 0; j < kSide; ++j) d[j] = columns[j][i];
        spread(d, parts);
        for (int j = 0; j < kSide; ++j) store(out + (kSide * i + j) * r.part + c, parts[j]);
      }
    }
  }
}

}  // namespace

void winograd4_kernel(const Winograd4Kernel& r) {
  for (std::int64_t at = 0; at < r.count; at += kLanes) {
    const auto tap = [&](int k) { return r.taps[k] == nullptr ? Vec{} : load(r.taps[k] + at); };
    Vec columns[3][kSide];
    for (int j = 0; j < 3; ++j) widen(tap(j), tap(3 + j), tap(6 + j), columns[j]);
    for (int i = 0; i < kSide; ++i) {
      Vec parts[kSide];
      widen(columns[0][i], columns[1][i], columns[2][i], parts);
      for (int j = 0; j < kSide; ++j) store(r.out + (kSide * i + j) * r.count + at, parts[j]);
    }
  }
}

void winograd4_in(const WinogradIn& r) { E4S_BY_TYPE(in_as, r); }

void winograd4_out(const WinogradOut& r) {
  for (int t = 0; t < r.count; ++t) {
    const float* x = r.x + t * r.tile;
    float* out = r.out + kOut * static_cast<std::int64_t>(t) * r.lanes;
    for (int c = 0; c < r.lanes; c += kLanes) {
      Vec columns[kSide][kOut];
      for (int j = 0; j < kSide; ++j) {
        Vec m[kSide];
        for (int i = 0; i < kSide; ++i) m[i] = load(x + (kSide * i + j) * r.part + c);
        gather(m, columns[j]);
      }
      for (int i = 0; i < kOut; ++i) {
        Vec m[kSide], pixels[kOut];
        for (int j = 0; j < kSide; ++j) m[j] = columns[j][i];
        gather(m, pixels);
        for (int j = 0; j < kOut; ++j) store(out + i * r.row + j * r.lanes + c, pixels[j]);
      }
    }
  }
}

}  // namespace E4S_NAMESPACE
}  // namespace e4s
