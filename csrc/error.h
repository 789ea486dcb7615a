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

}  // namespace e4s
