// The kernels every instruction set compiles from the same sources.
#pragma once

#include "cpu/rows.h"

namespace e4s {
namespace E4S_NAMESPACE {

void finish(const Finish& f, const FinishSpan& span);
void norm_row(const NormRow& r);
void affine_row(const AffineRow& r);
void scale_row(const ScaleRow& r);
void patch(const Patch& r);
void fir_row(const FirRow& r);
void fir_column(const FirColumn& r);
void rgb_row(const RgbRow& r);
void pool_row(const PoolRow& r);
void lerp_row(const LerpRow& r);
void max_row(const MaxRow& r);
void gate_row(const GateRow& r);
void cubic_row(const CubicRow& r);
void winograd_in(const WinogradIn& r);
void winograd_out(const WinogradOut& r);

}  // namespace E4S_NAMESPACE
}  // namespace e4s
