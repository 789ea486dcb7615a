// Convolution tiles in AMX's TDPBF16PS. Never run so far, for lack of a processor; the emulation shares its
// logic.
#include <immintrin.h>

#include "cpu/conv_tile_amx.h"

namespace e4s {
namespace amx {
namespace {

// Palette 1: every tile has 16 rows of 64 bytes.
struct alignas(64) Config {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(Config) == 64);
constexpr Config kConfig{};

// The intrinsics need the number of a tile as a literal.
#define E4S_TILE(DO) \
  switch (t) {       \
    case 0:          \
      DO(0);         \
      break;         \
    case 1:          \
      DO(1);         \
      break;         \
    case 2:          \
      DO(2);         \
      break;         \
    case 3:          \
      DO(3);         \
      break;         \
    case 4:          \
      DO(4);         \
      break;         \
    case 5:          \
      DO(5);         \
      break;         \
    case 6:          \
      DO(6);         \
      break;         \
    default:         \
      DO(7);         \
  }

// Configures this thread's tiles, and releases them at the end: other code of the thread does not pay for
// them.
class Tiles {
 public:
  Tiles() { _tile_loadconfig(&kConfig); }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  void load(int t, const void* rows, std::int64_t stride) {
    asm volatile("" ::: "memory");  // the intrinsic does not tell the compiler that it reads memory
#define E4S_LOAD(n) _tile_loadd(n, rows, stride)
    E4S_TILE(E4S_LOAD)
#undef E4S_LOAD
  }
  void zero(int t) { E4S_TILE(_tile_zero) }
  void dot(int t) {
#define E4S_DOT(n) _tile_dpbf16ps(n, 6, 7)
    E4S_TILE(E4S_DOT)
#undef E4S_DOT
  }
  void store(int t, void* rows, std::int64_t stride) {
#define E4S_STORE(n) _tile_stored(n, rows, stride)
    E4S_TILE(E4S_STORE)
#undef E4S_STORE
  }
};
static_assert(kPixelsTile == 6 && kWeightsTile == 7);

}  // namespace

const ConvTileFn conv_bf16[kGroup + 1] = {nullptr, conv_amx<Tiles, 1>, conv_amx<Tiles, 2>, conv_amx<Tiles, 3>,
                                          conv_amx<Tiles, 4>};

}  // namespace amx
}  // namespace e4s
