// Exceptions of the runtime; module.cpp maps them to e4s_engine.errors.
#pragma once

#include <stdexcept>

namespace e4s {

// An argument or a plan that cannot be run.
struct ArgumentError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// This machine lacks the requested device, driver or instruction set.
struct BackendError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A device is out of memory; existing allocations remain valid.
struct DeviceMemoryError : BackendError {
  using BackendError::BackendError;
};

// A device failed, and this process can no longer use it.
struct DeviceLostError : BackendError {
  using BackendError::BackendError;
};

}  // namespace e4s
