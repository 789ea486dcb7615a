// The CUDA driver, opened at run time: the extension loads and works on machines without one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace e4s::cuda {

// The driver's types, as in its binary interface.
using Result = int;
using DevicePointer = std::uint64_t;
using Context = struct ContextTag*;
using Module = struct ModuleTag*;
using Function = struct FunctionTag*;
using Stream = struct StreamTag*;
using Event = struct EventTag*;
using Graph = struct GraphTag*;
using GraphExec = struct GraphExecTag*;
using GraphNode = struct GraphNodeTag*;

struct KernelNodeParams {
  Function function;
  unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared;
  void** parameters;
  void** extra;
};

// The driver's functions.
struct Driver {
  Result (*init)(unsigned);
  Result (*error_name)(Result, const char**);
  Result (*error_string)(Result, const char**);
  Result (*device_count)(int*);
  Result (*device_get)(int*, int);
  Result (*device_name)(char*, int, int);
  Result (*device_attribute)(int*, int, int);
  Result (*context_retain)(Context*, int);
  Result (*context_release)(int);
  Result (*context_push)(Context);
  Result (*context_pop)(Context*);
  Result (*memory_alloc)(DevicePointer*, std::size_t);
  Result (*memory_free)(DevicePointer);
  Result (*host_alloc)(void**, std::size_t, unsigned);
  Result (*host_free)(void*);
  Result (*memory_set)(DevicePointer, unsigned char, std::size_t, Stream);
  Result (*copy_in)(DevicePointer, const void*, std::size_t, Stream);
  Result (*copy_out)(void*, DevicePointer, std::size_t, Stream);
  Result (*copy)(DevicePointer, DevicePointer, std::size_t, Stream);
  Result (*pointer_attribute)(void*, int, DevicePointer);
  Result (*module_load)(Module*, const void*);
  Result (*module_unload)(Module);
  Result (*module_function)(Function*, Module, const char*);
  Result (*function_attribute)(Function, int, int);
  Result (*stream_create)(Stream*, unsigned);
  Result (*stream_destroy)(Stream);
  Result (*stream_wait)(Stream);
  Result (*stream_wait_event)(Stream, Event, unsigned);
  Result (*event_create)(Event*, unsigned);
  Result (*event_destroy)(Event);
  Result (*event_record)(Event, Stream);
  Result (*event_elapsed)(float*, Event, Event);
  Result (*graph_create)(Graph*, unsigned);
  Result (*graph_destroy)(Graph);
  Result (*graph_add_kernel)(GraphNode*, Graph, const GraphNode*, std::size_t, const KernelNodeParams*);
  Result (*graph_instantiate)(GraphExec*, Graph, unsigned long long);
  Result (*graph_exec_destroy)(GraphExec);
  Result (*graph_launch)(GraphExec, Stream);

  // Throws DeviceMemoryError, DeviceLostError or BackendError with the driver's message unless `result` is
  // success.
  void check(Result result, const std::string& what) const;
};

// Returns the number of the device that memory is on; -1 if it is not device memory.
int device_of(DevicePointer memory);

// Opens and initialises the driver once. Throws BackendError if there is none or it is too old.
const Driver& driver();

}  // namespace e4s::cuda
