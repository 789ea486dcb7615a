// Python bindings of the CUDA runtime.
#pragma once

#include <pybind11/pybind11.h>

// Adds CudaDevice, CudaGraph, cuda_nodes and cuda_device_of to the module.
void bind_cuda(pybind11::module_& m);
