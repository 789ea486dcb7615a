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

// Returns the factors of a tile.
E4S_INLINE const float* style_of(const WinogradIn& r, int tile) {
  return r.styles + (r.regions == nullptr ? 0 : r.regions[tile] * r.style_stride);
}

template <class T, bool Scaled>
void transform(const WinogradIn& r) {
  const T* x = static_cast<const T*>(r.x);
  T* out = static_cast<T*>(r.out);
  for (int t = 0; t < r.count; ++t, x += 2 * r.pixel, out += r.channels) {
    const float* style = Scaled ? style_of(r, t) : nullptr;
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

#if defined(__AVX512BF16__)
// Returns the channels of 32 that are at even places, and those at odd ones, as floats.
E4S_INLINE Vec evens(const Bf16* p) {
  Words words;
  std::memcpy(&words, p, sizeof(words));
  return reinterpret_cast<Vec>(words << 16);
}

E4S_INLINE Vec odds(const Bf16* p) {
  Words words;
  std::memcpy(&words, p, sizeof(words));
  return reinterpret_cast<Vec>(words & 0xffff0000u);
}

// Stores 32 channels as bf16, rounded as `store` does.
E4S_INLINE void interleave(Bf16* p, Vec even, Vec odd) {
  alignas(64) static constexpr std::uint16_t kPlaces[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                            21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                            11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512bh halves = _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(odd), reinterpret_cast<__m512>(even));
  const __m512i places = _mm512_load_si512(kPlaces);
  const __m512i mixed = _mm512_permutexvar_epi16(places, reinterpret_cast<__m512i>(halves));
  std::memcpy(p, &mixed, sizeof(mixed));
}

// The factors of 32 channels: those at even places, and those at odd ones.
struct Halves {
  Vec even, odd;
};

E4S_INLINE Halves halves(const float* p) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const __m512 first = _mm512_loadu_ps(p), second = _mm512_loadu_ps(p + kLanes);
  return {reinterpret_cast<Vec>(_mm512_permutex2var_ps(first, even, second)),
          reinterpret_cast<Vec>(_mm512_permutex2var_ps(first, odd, second))};
}

// As `transform`, two vectors of channels at a time: half the conversions and half the stores.
template <bool Scaled>
void transform_pairs(const WinogradIn& r) {
  const Bf16* x = static_cast<const Bf16*>(r.x);
  Bf16* out = static_cast<Bf16*>(r.out);
  for (int t = 0; t < r.count; ++t, x += 2 * r.pixel, out += r.channels) {
    const float* style = Scaled ? style_of(r, t) : nullptr;
    for (int c = 0; c < r.channels; c += 2 * kLanes) {
      const Halves scale = Scaled ? halves(style + c) : Halves{};
      Four even[4], odd[4];
      for (int j = 0; j < 4; ++j) {
        const Bf16* p = x + j * r.pixel + c;
        even[j] = spread(evens(p), evens(p + r.row), evens(p + 2 * r.row), evens(p + 3 * r.row));
        odd[j] = spread(odds(p), odds(p + r.row), odds(p + 2 * r.row), odds(p + 3 * r.row));
      }
      for (int i = 0; i < 4; ++i) {
        const Four first = spread(even[0].v[i], even[1].v[i], even[2].v[i], even[3].v[i]);
        const Four second = spread(odd[0].v[i], odd[1].v[i], odd[2].v[i], odd[3].v[i]);
        for (int j = 0; j < 4; ++j) {
          Bf16* place = out + (4 * i + j) * r.part + c;
          if constexpr (Scaled)
            interleave(place, first.v[j] * scale.even, second.v[j] * scale.odd);
          else
            interleave(place, first.v[j], second.v[j]);
        }
      }
    }
  }
}
#endif

}  // namespace

void winograd_in(const WinogradIn& r) {
#if defined(__AVX512BF16__)
  if (r.type == Type::bf16 && r.channels % (2 * kLanes) == 0)
    return r.styles == nullptr ? transform_pairs<false>(r) : transform_pairs<true>(r);
#endif
  E4S_BY_TYPE(in_as, r);
}

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
