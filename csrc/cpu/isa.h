// Detection of instruction sets, and choice of kernels.
#pragma once

#include <string>

#include "cpu/kernels.h"

namespace e4s {

// One flag per instruction set that kernels are specialised for. A flag is true only if the
// processor has the instructions and the operating system saves their registers.
struct CpuFeatures {
  bool avx2_fma = false;
  bool avx512 = false;       // F, BW, DQ and VL
  bool avx512_bf16 = false;  // VDPBF16PS
  bool amx_bf16 = false;     // tiles with TDPBF16PS
};

// Returns the instruction sets of this processor and operating system.
CpuFeatures detect_cpu_features();

// Returns the kernels of the set `name`, a value of E4S_ISA ("portable", "avx2", "avx512", "amx"; for tests
// "amx-emulated"), or, if it is empty, of the best set that this processor and this build have. Throws
// BackendError if the processor, its operating system or the build lacks the set. AMX must be named: its
// kernels have not been run yet.
Kernels choose_kernels(const std::string& name);

}  // namespace e4s
