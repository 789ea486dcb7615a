// Taps of the FIR of upsampling, [1, 3, 3, 1] / 4 per axis, as in e4s_engine/ops/_fir.py.
#pragma once

namespace e4s {

constexpr float kFirOuter = 0.25f, kFirInner = 0.75f;

// mix[phase][d][k]: weight of tap k on input d - 1 for output rows (or columns) of that parity, transposed
// convolution and FIR combined.
constexpr float kFirMix[2][3][3] = {
    {{0, kFirOuter, kFirInner}, {kFirInner, kFirInner, kFirOuter}, {kFirOuter, 0, 0}},
    {{0, 0, kFirOuter}, {kFirOuter, kFirInner, kFirInner}, {kFirInner, kFirOuter, 0}}};

}  // namespace e4s
