// Matrix products of the non-negative factorisation, in fp32. Every sum has one order, whatever the threads.
#include "cpu/ops.h"

namespace e4s {
namespace E4S_NAMESPACE {
namespace {

constexpr int kRows = 4;  // rows of a tile

E4S_INLINE float value_of(const float* p) { return *p; }
E4S_INLINE float value_of(const Bf16* p) {
  const std::uint32_t bits = static_cast<std::uint32_t>(p->bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// out[i][j] = sum over c of x[i][c] * matrix[c][j], for V vectors of columns from j on and R rows from i on.
template <class T, class U, int R, int V>
E4S_INLINE void project_tile(const ProjectRows& r, int i, int j) {
  const T* x = static_cast<const T*>(r.x) + i * r.x_row;
  U* out = static_cast<U*>(r.out) + i * r.out_row + j;
  Vec sums[R][V] = {};
  for (int c = 0; c < r.depth; ++c) {
    const float* line = r.matrix + static_cast<std::int64_t>(c) * r.columns + j;
    Vec values[V];
    for (int v = 0; v < V; ++v) values[v] = load(line + v * kLanes);
    for (int k = 0; k < R; ++k) {
      const Vec factor = splat(value_of(x + k * r.x_row + c));
      for (int v = 0; v < V; ++v) sums[k][v] += factor * values[v];
    }
  }
  for (int k = 0; k < R; ++k)
    for (int v = 0; v < V; ++v) store(out + k * r.out_row + v * kLanes, sums[k][v]);
}

template <class T, class U, int R>
E4S_INLINE void project_rows(const ProjectRows& r, int i) {
  int j = 0;
  for (; j + 4 * kLanes <= r.columns; j += 4 * kLanes) project_tile<T, U, R, 4>(r, i, j);
  for (; j < r.columns; j += kLanes) project_tile<T, U, R, 1>(r, i, j);
}

template <class T, class U>
void project_as(const ProjectRows& r) {
  int i = 0;
  for (; i + kRows <= r.count; i += kRows) project_rows<T, U, kRows>(r, i);
  for (; i < r.count; ++i) project_rows<T, U, 1>(r, i);
}

// out[c][j] += sum over rows i of x[i][c] * y[i][j], for R channels from c on and V vectors from j on.
template <class T, int R, int V>
E4S_INLINE void gram_tile(const GramRows& r, int c, int j) {
  const T* x = static_cast<const T*>(r.x) + c;
  float* out = r.out + static_cast<std::int64_t>(c) * r.columns + j;
  Vec sums[R][V];
  for (int k = 0; k < R; ++k)
    for (int v = 0; v < V; ++v) sums[k][v] = load(out + k * r.columns + v * kLanes);
  for (int i = 0; i < r.count; ++i) {
    const float* line = r.y + static_cast<std::int64_t>(i) * r.columns + j;
    Vec values[V];
    for (int v = 0; v < V; ++v) values[v] = load(line + v * kLanes);
    for (int k = 0; k < R; ++k) {
      const Vec factor = splat(value_of(x + i * r.x_row + k));
      for (int v = 0; v < V; ++v) sums[k][v] += factor * values[v];
    }
  }
  for (int k = 0; k < R; ++k)
    for (int v = 0; v < V; ++v) store(out + k * r.columns + v * kLanes, sums[k][v]);
}

template <class T, int R>
E4S_INLINE void gram_channels(const GramRows& r, int c) {
  int j = 0;
  for (; j + 4 * kLanes <= r.columns; j += 4 * kLanes) gram_tile<T, R, 4>(r, c, j);
  for (; j < r.columns; j += kLanes) gram_tile<T, R, 1>(r, c, j);
}

template <class T>
void gram_as(const GramRows& r) {
  int c = 0;
  for (; c + kRows <= r.channels; c += kRows) gram_channels<T, kRows>(r, c);
  for (; c < r.channels; ++c) gram_channels<T, 1>(r, c);
}

}  // namespace

void project_rows(const ProjectRows& r) {
  if (r.type == Type::bf16)
    project_as<Bf16, float>(r);
  else if (r.out_type == Type::bf16)
    project_as<float, Bf16>(r);
  else
    project_as<float, float>(r);
}

void gram_rows(const GramRows& r) { E4S_BY_TYPE(gram_as, r); }

}  // namespace E4S_NAMESPACE
}  // namespace e4s
