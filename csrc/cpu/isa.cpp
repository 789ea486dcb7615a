#include "cpu/isa.h"

#include <cstdlib>

#include "error.h"

#ifdef E4S_AMX_KERNELS
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__x86_64__)
#define E4S_X86_64 1
#include <cpuid.h>
#endif

namespace e4s {
namespace {

#ifdef E4S_X86_64

struct CpuidResult {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidResult cpuid(unsigned leaf, unsigned subleaf) {
  CpuidResult r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

// Returns the register states that the operating system saves (XCR0); only valid if OSXSAVE is reported.
unsigned long long enabled_states() {
  unsigned eax = 0, edx = 0;
  __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return (static_cast<unsigned long long>(edx) << 32) | eax;
}

bool bit(unsigned word, int index) { return ((word >> index) & 1u) != 0; }

CpuFeatures detect_x86() {
  CpuFeatures f;
  const CpuidResult basic = cpuid(1, 0);
  if (!bit(basic.ecx, 27)) return f;  // OSXSAVE
  const unsigned long long states = enabled_states();
  const bool ymm = (states & 0x6) == 0x6;
  const bool zmm = (states & 0xe6) == 0xe6;
  const bool tiles = (states & 0x60000) == 0x60000;

  const CpuidResult ext = cpuid(7, 0);
  const CpuidResult ext1 = cpuid(7, 1);
  f.avx2_fma = ymm && bit(ext.ebx, 5) && bit(basic.ecx, 12);
  f.avx512 = zmm && bit(ext.ebx, 16) && bit(ext.ebx, 17) && bit(ext.ebx, 30) && bit(ext.ebx, 31);
  f.avx512_bf16 = f.avx512 && bit(ext1.eax, 5);
  f.amx_bf16 = tiles && bit(ext.edx, 24) && bit(ext.edx, 22);
  return f;
}

#endif  // E4S_X86_64

}  // namespace

CpuFeatures detect_cpu_features() {
#ifdef E4S_X86_64
  return detect_x86();
#else
  return {};
#endif
}

namespace {

Kernels with_amx(Kernels kernels, const char* name, const ConvTileFn* tiles) {
  kernels.name = name, kernels.conv_pixels_bf16 = kAmxPixels, kernels.conv_bf16 = tiles;
  kernels.amx = true;
  return kernels;
}

#ifdef E4S_AMX_KERNELS
// Requests permission to use tiles, which Linux requires of a process.
bool tiles_permitted() {
  constexpr long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
}
#endif

}  // namespace

Kernels choose_kernels(const std::string& name) {
  if (name == "portable") return portable::kernels;
  if (name == "amx-emulated") return with_amx(portable::kernels, "amx_emulated", amx_emulated::conv_bf16);
  if (!name.empty() && name != "avx2" && name != "avx512" && name != "amx")
    throw ArgumentError("E4S_ISA: expected portable, avx2, avx512 or amx, got '" + name + "'");
#ifdef E4S_X86_KERNELS
  const CpuFeatures has = detect_cpu_features();
  if (has.avx512 && (name.empty() || name == "avx512"))
    return has.avx512_bf16 ? avx512_bf16::kernels : avx512::kernels;
#ifdef E4S_AMX_KERNELS
  if (name == "amx" && has.amx_bf16 && has.avx512_bf16 && tiles_permitted())
    return with_amx(avx512_bf16::kernels, "amx", amx::conv_bf16);
#endif
  if (has.avx2_fma && (name.empty() || name == "avx2")) return avx2::kernels;
#endif
  if (!name.empty()) throw BackendError("E4S_ISA: this processor or this build has no kernels for " + name);
  return portable::kernels;
}

}  // namespace e4s
