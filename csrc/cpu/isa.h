// Which instruction sets this processor and its operating system offer, and the kernels to use.
#pragma once

#include <string>

#include "cpu/kernels.h"

namespace e4s {

// One flag per instruction set the kernels are or will be specialised for. A flag is true only
// where the processor has the instructions and the operating system saves their registers.
struct CpuFeatures {
  bool avx2_fma = false;
  bool avx512 = false;       // F, BW, DQ and VL
  bool avx512_bf16 = false;  // VDPBF16PS
  bool amx_bf16 = false;     // tiles with TDPBF16PS
  bool neon = false;
};

CpuFeatures detect_cpu_features();

// The kernels of the best set this processor and this build have, or of the set named in E4S_ISA ("portable",
// "avx2", "avx512", "amx"; for tests "amx-emulated"). Throws BackendError where the processor, its operating
// system or the build lacks the named one. AMX is never chosen by itself: its kernels were not run yet.
Kernels choose_kernels(const std::string& name);

}  // namespace e4s
