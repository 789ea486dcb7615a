// Python bindings of arrays on a device: a swap's results, and other libraries' arrays.
#include "module_arrays.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <string>

#include "dlpack.h"
#include "error.h"
#include "module_gil.h"

namespace py = pybind11;

namespace {

using e4s::DeviceArray;
namespace dlpack = e4s::dlpack;

constexpr const char* kName = "dltensor";  // name of a capsule until a consumer takes its array over
constexpr std::int64_t kMostBytes = std::int64_t{1} << 40;
constexpr std::int32_t kMostSides = 32;

std::int64_t count_of(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t side : shape) {
    if (side < 1 || side > (1 << 16) || count > kMostBytes / side)
      throw e4s::ArgumentError("array: impossible shape");
    count *= side;
  }
  return count;
}

// The context that a capsule keeps alive.
struct Shared {
  dlpack::ManagedTensor managed;
  std::shared_ptr<DeviceArray> array;
};

void release(dlpack::ManagedTensor* managed) { delete static_cast<Shared*>(managed->context); }

void drop(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, kName) == 0) return;
  auto* managed = static_cast<dlpack::ManagedTensor*>(PyCapsule_GetPointer(capsule, kName));
  managed->deleter(managed);
}

py::capsule exported(const std::shared_ptr<DeviceArray>& array) {
  auto shared = std::make_unique<Shared>();
  shared->array = array;
  shared->managed = {{reinterpret_cast<void*>(array->memory.data()),
                      {dlpack::kCuda, array->number},
                      static_cast<std::int32_t>(array->shape.size()),
                      {dlpack::kUnsigned, 8, 1},
                      array->shape.data(),
                      nullptr,
                      0},
                     shared.get(),
                     release};
  PyObject* capsule = PyCapsule_New(&shared->managed, kName, drop);
  if (capsule == nullptr) throw py::error_already_set();
  shared.release();
  return py::reinterpret_steal<py::capsule>(capsule);
}

bool is_dense(const dlpack::Tensor& tensor) {
  if (tensor.strides == nullptr) return true;
  std::int64_t step = 1;
  for (std::int32_t i = tensor.ndim; i-- > 0;) {
    const std::int64_t side = tensor.shape[i];
    if (side > 1 && (tensor.strides[i] != step || step > kMostBytes / side)) return false;
    step *= side;
  }
  return true;
}

// Returns (pointer, shape, device, whether it is dense uint8) of an array on a CUDA device, or None.
py::object seen(const py::object& object) {
  auto* managed = static_cast<dlpack::ManagedTensor*>(PyCapsule_GetPointer(object.ptr(), kName));
  if (managed == nullptr) throw py::error_already_set();
  const dlpack::Tensor& tensor = managed->tensor;
  if (tensor.ndim < 0 || tensor.ndim > kMostSides || (tensor.ndim > 0 && tensor.shape == nullptr))
    throw e4s::ArgumentError("array: a DLPack capsule of " + std::to_string(tensor.ndim) +
                             " sides without a usable shape");
  if (tensor.device.type != dlpack::kCuda) return py::none();
  const bool bytes =
      tensor.dtype.code == dlpack::kUnsigned && tensor.dtype.bits == 8 && tensor.dtype.lanes == 1;
  const std::vector<std::int64_t> shape(tensor.shape, tensor.shape + tensor.ndim);
  return py::make_tuple(reinterpret_cast<std::uint64_t>(tensor.data) + tensor.byte_offset, shape,
                        tensor.device.id, bytes && is_dense(tensor));
}

py::dict interface(const DeviceArray& array) {
  py::dict d;
  d["shape"] = py::tuple(py::cast(array.shape));
  d["typestr"] = "|u1";
  d["data"] = py::make_tuple(array.memory.data(), false);
  d["version"] = 3;
  d["strides"] = py::none();
  d["stream"] = py::none();  // its writes are complete before it is returned
  return d;
}

py::array_t<std::uint8_t> copied(const DeviceArray& array) {
  py::array_t<std::uint8_t> out(array.shape);
  void* data = out.mutable_data();
  const e4s::GilReleased released;
  array.read(data);
  return out;
}

}  // namespace

void bind_arrays(py::module_& m) {
  m.def("dlpack_seen", seen, py::arg("capsule"), "What a DLPack capsule holds; it stays the caller's.");
  py::class_<DeviceArray, std::shared_ptr<DeviceArray>> bound(m, "CudaArray");
  e4s::constructed_only(bound)
      .def(py::init(
               [](const std::shared_ptr<e4s::cuda::Device>& device, const std::vector<std::int64_t>& shape) {
                 return std::make_shared<DeviceArray>(device, shape, count_of(shape));
               }),
           py::arg("device").none(false), py::arg("shape"))
      .def("numpy", copied)
      .def(
          "__array__",
          [](const DeviceArray& array, const py::object&, const py::object&) { return copied(array); },
          py::arg("dtype") = py::none(), py::arg("copy") = py::none())
      .def("__dlpack__",
           [](const std::shared_ptr<DeviceArray>& array, const py::kwargs&) { return exported(array); })
      .def("__dlpack_device__",
           [](const DeviceArray& array) { return py::make_tuple(dlpack::kCuda, array.number); })
      .def_property_readonly("__cuda_array_interface__", interface)
      .def_property_readonly("pointer", [](const DeviceArray& array) { return array.memory.data(); })
      .def_property_readonly("nbytes", [](const DeviceArray& array) { return array.bytes; })
      .def_property_readonly("shape",
                             [](const DeviceArray& array) { return py::tuple(py::cast(array.shape)); });
}
