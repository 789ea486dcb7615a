// Python bindings of the CUDA runtime.
#include "module_cuda.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <map>

#include "cuda/graph.h"
#include "error.h"
#include "module_arrays.h"
#include "module_gil.h"

namespace py = pybind11;

namespace {

using e4s::cuda::Space;

Space space_of(const std::string& name) {
  if (name == "block") return Space::block;
  if (name == "weight") return Space::weight;
  if (name == "value") return Space::value;
  throw e4s::ArgumentError("graph: unknown kind of argument " + name);
}

const char* name_of(Space space) {
  return space == Space::block ? "block" : space == Space::weight ? "weight" : "value";
}

e4s::cuda::LaunchSpec launch_spec(const py::dict& d) {
  e4s::cuda::LaunchSpec launch;
  launch.kernel = d["kernel"].cast<int>();
  launch.grid = d["grid"].cast<std::array<std::int64_t, 3>>();
  for (const py::handle item : d["arguments"].cast<py::list>()) {
    const auto a = item.cast<py::dict>();
    launch.arguments.push_back({space_of(a["space"].cast<std::string>()), a["index"].cast<std::int64_t>(),
                                a["offset"].cast<std::int64_t>(), a["written"].cast<bool>()});
  }
  return launch;
}

e4s::cuda::GraphSpec graph_spec(const std::vector<std::int64_t>& slots, const std::vector<py::dict>& parts) {
  e4s::cuda::GraphSpec spec;
  spec.slots = slots;
  for (const py::dict& p : parts) {
    e4s::cuda::PartSpec part;
    for (const auto& [bytes, slot] : p["blocks"].cast<std::vector<std::pair<std::int64_t, int>>>())
      part.blocks.push_back({bytes, slot});
    for (const py::handle launch : p["launches"].cast<py::list>())
      part.launches.push_back(launch_spec(launch.cast<py::dict>()));
    spec.parts.push_back(std::move(part));
  }
  return spec;
}

py::dict lay_out(const std::vector<std::int64_t>& slots, const std::vector<py::dict>& parts, int kernels,
                 int weights) {
  const e4s::cuda::Nodes laid_out = e4s::cuda::lay_out(graph_spec(slots, parts), kernels, weights);
  py::list nodes;
  for (const e4s::cuda::Node& node : laid_out.nodes) {
    py::list arguments;
    for (const e4s::cuda::Argument& a : node.arguments)
      arguments.append(py::make_tuple(name_of(a.space), a.weight, a.value));
    py::dict d;
    d["part"] = node.part;
    d["launch"] = node.launch;
    d["kernel"] = node.kernel;
    d["grid"] = node.grid;
    d["arguments"] = arguments;
    d["dependencies"] = node.dependencies;
    nodes.append(d);
  }
  py::dict result;
  result["bytes"] = laid_out.bytes;
  result["slots"] = laid_out.slots;
  result["nodes"] = nodes;
  return result;
}

// Returns the place and size of a slot's bytes: a NumPy array, a CudaArray, or (pointer, bytes) of an array
// on the device, which the caller guarantees.
std::pair<e4s::cuda::Place, std::int64_t> place_of(const py::handle& value, bool written) {
  if (py::isinstance<e4s::DeviceArray>(value)) {
    const auto& array = value.cast<const e4s::DeviceArray&>();
    return {{reinterpret_cast<void*>(array.memory.data()), true}, array.bytes};
  }
  if (py::isinstance<py::tuple>(value)) {
    const auto [pointer, bytes] = value.cast<std::pair<std::uint64_t, std::int64_t>>();
    return {{reinterpret_cast<void*>(pointer), true}, bytes};
  }
  const auto array = value.cast<py::array>();
  if ((array.flags() & py::array::c_style) == 0) throw e4s::ArgumentError("graph: an array is not dense");
  if (written && !array.writeable()) throw e4s::ArgumentError("graph: an output is read-only");
  return {{const_cast<void*>(array.data()), false}, array.nbytes()};
}

// Returns places by slot from {slot: value or list of values}, checked against the slots' sizes.
std::vector<e4s::cuda::Places> places(const e4s::cuda::DeviceGraph& graph,
                                      const std::map<int, py::object>& values, bool written) {
  const std::vector<std::int64_t>& bytes = graph.slot_bytes();
  std::vector<e4s::cuda::Places> found(bytes.size());
  for (const auto& [slot, value] : values) {
    const auto index = static_cast<std::size_t>(slot);
    if (slot < 0 || index >= bytes.size()) throw e4s::ArgumentError("graph: no such slot");
    const bool many = py::isinstance<py::list>(value);
    const auto count = many ? static_cast<std::int64_t>(py::len(value)) : 1;
    const auto add = [&, number = slot](const py::handle& share) {
      const auto [place, size] = place_of(share, written);
      if (size * count != bytes[index])
        throw e4s::ArgumentError("graph: the array of slot " + std::to_string(number) + " must be of " +
                                 std::to_string(bytes[index] / count) + " bytes");
      found[index].push_back(place);
    };
    if (!many) {
      add(value);
      continue;
    }
    for (const py::handle share : value) add(share);
  }
  return found;
}

void run(e4s::cuda::DeviceGraph& graph, const std::map<int, py::object>& inputs,
         const std::map<int, py::object>& outputs, const std::vector<std::uint64_t>& after) {
  const std::vector<e4s::cuda::Places> in = places(graph, inputs, false), out = places(graph, outputs, true);
  std::vector<e4s::cuda::Stream> streams;
  for (const std::uint64_t stream : after) streams.push_back(reinterpret_cast<e4s::cuda::Stream>(stream));
  const e4s::GilReleased released;
  graph.run(in, out, streams);
}

}  // namespace

void bind_cuda(py::module_& m) {
  using e4s::cuda::Device;
  using e4s::cuda::DeviceGraph;
  m.def("cuda_nodes", lay_out, py::arg("slots"), py::arg("parts"), py::arg("kernels"), py::arg("weights"),
        "A graph's memory and nodes, without a device.");
  m.def("cuda_architectures", e4s::cuda::architectures,
        "The compute capabilities of this machine's GPUs (90 for 9.0), by number.");
  m.def("cuda_device_of", e4s::cuda::device_of, py::arg("pointer"),
        "The number of the device that memory lies on; -1 for what is no memory of a device.");
  py::class_<Device, std::shared_ptr<Device>> device_class(m, "CudaDevice");
  e4s::constructed_only(device_class)
      .def(py::init<int>(), py::arg("number"))
      .def(
          "add_kernel",
          [](Device& device, const std::string& entry, const py::bytes& cubin, int shared, int warps,
             int scratch) {
            const e4s::cuda::KernelSpec spec{entry, cubin, shared, warps, scratch};
            const e4s::GilReleased released;
            return device.add_kernel(spec);
          },
          py::arg("entry"), py::arg("cubin"), py::arg("shared"), py::arg("warps"), py::arg("scratch"))
      .def("add_weight",
           [](Device& device, const py::array& values) {
             if ((values.flags() & py::array::c_style) == 0)
               throw e4s::ArgumentError("weights: expected a dense array");
             return device.add_weight(values.data(), values.nbytes());
           })
      .def_property_readonly("name", &Device::name)
      .def_property_readonly("arch", &Device::arch);
  py::class_<DeviceGraph> graph_class(m, "CudaGraph");
  e4s::constructed_only(graph_class)
      .def(py::init([](std::shared_ptr<Device> device, const std::vector<std::int64_t>& slots,
                       const std::vector<py::dict>& parts) {
             return std::make_unique<DeviceGraph>(std::move(device), graph_spec(slots, parts));
           }),
           py::arg("device").none(false), py::arg("slots"), py::arg("parts"))
      .def("run", run, py::arg("inputs"), py::arg("outputs"), py::arg("after") = std::vector<std::uint64_t>())
      .def(
          "time",
          [](DeviceGraph& graph, int runs) {
            const e4s::GilReleased released;
            return graph.time(runs);
          },
          py::arg("runs"))
      .def_property_readonly("bytes", &DeviceGraph::bytes);
}
