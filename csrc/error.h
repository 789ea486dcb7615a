// Exceptions of the runtime; module.cpp maps them to e4s_engine.errors.
#pragma once

#include <stdexcept>

namespace e4s {

// An argument or a plan that cannot be run.
struct ArgumentError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// This machine lacks what was asked for.
struct BackendError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A device's memory does not suffice; what is there still works.
struct DeviceMemoryError : BackendError {
  using BackendError::BackendError;
};

// A device failed in a way that leaves this process no use of it.
struct DeviceLostError : BackendError {
  using BackendError::BackendError;
};

}  // namespace e4s
