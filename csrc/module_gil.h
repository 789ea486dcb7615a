// What the bindings need beside pybind11: a release of the GIL that survives the interpreter's exit, and
// classes whose objects come from their constructors only.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace e4s {

// Releases the GIL for a scope. pybind11's gil_scoped_release takes it back in a destructor that must not
// throw; once the interpreter is finalising, CPython ends daemon threads at that point by pthread_exit, whose
// unwinding would call std::terminate there. Such a thread stops here instead (as Python 3.14 does): the main
// thread then ends the process with its own exit code.
class GilReleased {
 public:
  GilReleased() : state_(PyEval_SaveThread()) {}
  ~GilReleased() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // pthread_exit's unwinding; leaving this handler would abort
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }
  GilReleased(const GilReleased&) = delete;
  GilReleased& operator=(const GilReleased&) = delete;

 private:
  PyThreadState* state_;
};

// A tp_new of our own makes CPython refuse `Class.__new__(Class)`, which would yield an object without its
// C++ value: `__new__` is the base class's, and CPython checks that a class shares the tp_new of it.
template <class Class>
Class& constructed_only(Class& bound) {
  auto* type = reinterpret_cast<PyTypeObject*>(bound.ptr());
  type->tp_new = [](PyTypeObject* created, PyObject* arguments, PyObject* named) {
    auto* base = reinterpret_cast<PyTypeObject*>(pybind11::detail::get_internals().instance_base);
    return base->tp_new(created, arguments, named);
  };
  return bound;
}

}  // namespace e4s
