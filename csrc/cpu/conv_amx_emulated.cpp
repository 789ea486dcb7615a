// AMX's tiles in plain C++, to test the kernel over them on machines without AMX. For tests only.
#include "cpu/conv_tile_amx.h"

namespace e4s {
namespace amx_emulated {
namespace {

class Tiles {
 public:
  void load(int t, const void* rows, std::int64_t stride) {
    for (int i = 0; i < kTileRows; ++i)
      std::memcpy(words_[t][i], static_cast<const std::byte*>(rows) + i * stride, kRowBytes);
  }
  void zero(int t) { std::memset(words_[t], 0, sizeof(words_[t])); }
  // Same order as TDPBF16PS: even and odd channels are summed separately, then both are added to the tile.
  void dot(int t) {
    for (int row = 0; row < kTileRows; ++row) {
      float even[kLanes] = {}, odd[kLanes] = {}, sums[kLanes];
      for (int k = 0; k < kTileRows; ++k) {
        const std::uint32_t x = words_[kPixelsTile][row][k];
        for (int lane = 0; lane < kLanes; ++lane) {
          const std::uint32_t w = words_[kWeightsTile][k][lane];
          even[lane] += value(x << 16) * value(w << 16);
          odd[lane] += value(x & 0xffff0000u) * value(w & 0xffff0000u);
        }
      }
      std::memcpy(sums, words_[t][row], kRowBytes);
      for (int lane = 0; lane < kLanes; ++lane) sums[lane] += even[lane] + odd[lane];
      std::memcpy(words_[t][row], sums, kRowBytes);
    }
  }
  void store(int t, void* rows, std::int64_t stride) {
    for (int i = 0; i < kTileRows; ++i)
      std::memcpy(static_cast<std::byte*>(rows) + i * stride, words_[t][i], kRowBytes);
  }

 private:
  static float value(std::uint32_t bits) {
    float wide;
    std::memcpy(&wide, &bits, 4);
    return wide;
  }

  std::uint32_t words_[8][kTileRows][kLanes];
};

}  // namespace

const ConvTileFn conv_bf16[kGroup + 1] = {nullptr, conv_amx<Tiles, 1>, conv_amx<Tiles, 2>, conv_amx<Tiles, 3>,
                                          conv_amx<Tiles, 4>};

}  // namespace amx_emulated
}  // namespace e4s
