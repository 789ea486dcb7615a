// Python bindings only: no computation lives here.
#include <pybind11/pybind11.h>

#include "cpu/isa.h"

namespace py = pybind11;

PYBIND11_MODULE(_native, m) {
  m.doc() = "Compiled part of e4s_engine.";
  m.attr("__version__") = E4S_VERSION;
  m.def(
      "cpu_features",
      [] {
        const e4s::CpuFeatures f = e4s::detect_cpu_features();
        py::dict d;
        d["avx2_fma"] = f.avx2_fma;
        d["avx512"] = f.avx512;
        d["avx512_bf16"] = f.avx512_bf16;
        d["amx_bf16"] = f.amx_bf16;
        d["neon"] = f.neon;
        return d;
      },
      "Instruction sets this processor and its operating system offer: {name: bool}.");
}
