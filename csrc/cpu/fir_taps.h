// Taps of the FIR of upsampling, [1, 3, 3, 1] / 4 per axis, as in e4s_engine/ops/_fir.py.
#pragma once

namespace e4s {

constexpr float kFirOuter = 0.25f, kFirInner = 0.75f;

}  // namespace e4s
