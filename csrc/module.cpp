// Python bindings, without any computation.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "cpu/isa.h"
#include "error.h"
#include "module_arrays.h"
#include "module_cuda.h"
#include "module_gil.h"
#include "ops/convolve.h"
#include "paste.h"
#include "plan.h"

namespace py = pybind11;

namespace {

using Floats = py::array_t<float, py::array::c_style>;

const float* optional_scale(const py::object& scale, py::ssize_t count, Floats& keep) {
  if (scale.is_none()) return nullptr;
  keep = scale.cast<Floats>();
  if (keep.size() != count) throw e4s::ArgumentError("weights: a scale has another length");
  return keep.data();
}

e4s::Type type_of(const std::string& name) {
  if (name == "f32") return e4s::Type::f32;
  if (name == "bf16") return e4s::Type::bf16;
  if (name == "u8") return e4s::Type::u8;
  throw e4s::ArgumentError("plan: unknown type " + name);
}

e4s::Form form_of(const std::string& name) {
  if (name == "direct") return e4s::Form::direct;
  if (name == "winograd") return e4s::Form::winograd;
  if (name == "winograd4") return e4s::Form::winograd4;
  throw e4s::ArgumentError("weights: expected the form direct, winograd or winograd4, got '" + name + "'");
}

const char* name_of(e4s::Form form) {
  return form == e4s::Form::winograd4 ? "winograd4" : form == e4s::Form::winograd ? "winograd" : "direct";
}

using Shape = std::array<std::int64_t, 4>;

// Returns the form of a convolution step's kernel. wide: whether Winograd's tiles may have 4 x 4 pixels.
const char* conv_form(const std::string& isa, const Shape& kernel, const std::string& precision,
                      const Shape& x, const Shape& y, int first, bool wide) {
  for (const Shape* shape : {&kernel, &x, &y})
    for (const std::int64_t side : *shape)
      if (side < 1 || side > (1 << 20)) throw e4s::ArgumentError("conv_form: impossible shape");
  const e4s::ConvShape shape{static_cast<int>(kernel[0]),
                             static_cast<int>(kernel[1]),
                             static_cast<int>(kernel[2]),
                             type_of(precision),
                             y[1],
                             y[2],
                             x[1] == y[1] && x[2] == y[2],
                             first,
                             wide};
  return name_of(e4s::choose_form(shape, e4s::choose_kernels(isa)));
}

int add_conv(e4s::Weights& weights, const Floats& source, const py::object& out_scale,
             const py::object& in_scale, const std::string& precision, const std::string& form_name) {
  if (source.ndim() != 4 || source.shape(2) != source.shape(3) || source.shape(2) > 7 || source.size() == 0)
    throw e4s::ArgumentError("weights: expected a kernel [O,I,k,k] with k up to 7");
  if (source.shape(0) > (1 << 20) || source.shape(1) > (1 << 20))
    throw e4s::ArgumentError("weights: a kernel has too many channels");
  const e4s::Type type = type_of(precision);
  if (type == e4s::Type::u8) throw e4s::ArgumentError("weights: expected f32 or bf16");
  const e4s::Form form = form_of(form_name);
  const bool seven = form == e4s::Form::winograd4 && source.shape(2) == 7;
  if (form != e4s::Form::direct && source.shape(2) != 3 && !seven)
    throw e4s::ArgumentError(
        "weights: Winograd's forms are those of 3 x 3 kernels, winograd4 that of 7 x 7 too");
  if (form == e4s::Form::winograd4 && (type != e4s::Type::f32 || source.shape(1) % e4s::kLanes != 0))
    throw e4s::ArgumentError("weights: the form winograd4 is for f32 and whole vectors of channels");
  Floats out_kept, in_kept;
  const float* by_row = optional_scale(out_scale, source.shape(0), out_kept);
  const float* by_column = optional_scale(in_scale, source.shape(1), in_kept);
  const float* data = source.data();
  const int outputs = static_cast<int>(source.shape(0)), inputs = static_cast<int>(source.shape(1));
  const int kernel = static_cast<int>(source.shape(2));
  e4s::PackedConv packed;
  {
    const e4s::GilReleased released;
    packed = e4s::pack_conv(data, outputs, inputs, kernel, by_row, by_column, type, form);
  }
  return weights.add(std::move(packed));
}

e4s::BufferSpec buffer_spec(const py::dict& d) {
  const auto shape = d["shape"].cast<std::vector<std::int64_t>>();
  if (shape.size() != 4) throw e4s::ArgumentError("plan: a buffer has four sides");
  e4s::BufferSpec spec;
  spec.n = shape[0], spec.h = shape[1], spec.w = shape[2], spec.c = shape[3];
  spec.type = type_of(d["type"].cast<std::string>());
  spec.halo = d["halo"].cast<int>();
  spec.external = d["external"].cast<int>();
  spec.limit = d["limit"].cast<int>();
  return spec;
}

e4s::StepSpec step_spec(const py::dict& d) {
  e4s::StepSpec spec;
  spec.kind = d["kind"].cast<std::string>();
  spec.buffers = d["buffers"].cast<std::map<std::string, int>>();
  spec.weights = d["weights"].cast<std::map<std::string, std::vector<int>>>();
  spec.numbers = d["numbers"].cast<std::map<std::string, double>>();
  return spec;
}

using Bytes = py::array_t<std::uint8_t, py::array::c_style>;

// Returns an array [H, W] or [H, W, C] of at most 2^20 a side as pixels.
e4s::Pixels pixels_of(const Bytes& array, const char* name) {
  const auto side = [&array](py::ssize_t axis) { return static_cast<int>(array.shape(axis)); };
  bool sane = array.ndim() == 2 || (array.ndim() == 3 && array.shape(2) >= 1 && array.shape(2) <= 4);
  for (py::ssize_t axis = 0; sane && axis < 2; ++axis)
    sane = array.shape(axis) >= 1 && array.shape(axis) <= (1 << 20);
  if (!sane) throw e4s::ArgumentError(std::string("paste: impossible shape of ") + name);
  return {array.data(), side(0), side(1), array.ndim() == 3 ? side(2) : 1};
}

// Pastes into `photo`, which is changed. coefficients: of the map from photo to face, see `Paste`; origin:
// (top, left) of the pixel that they count from.
void paste_face(Bytes& photo, const Bytes& face, const Bytes& alpha,
                const std::array<double, 6>& coefficients, const std::array<int, 2>& origin,
                const std::array<int, 4>& box) {
  const e4s::Pixels below = pixels_of(photo, "photo");
  e4s::Paste p{photo.mutable_data(),
               static_cast<std::int64_t>(below.width) * below.channels,
               pixels_of(face, "face"),
               pixels_of(alpha, "alpha"),
               {coefficients[0], coefficients[1], coefficients[2]},
               {coefficients[3], coefficients[4], coefficients[5]},
               origin[1],
               origin[0]};
  if (p.face.channels != below.channels || p.alpha.channels != 1 || p.alpha.height != p.face.height ||
      p.alpha.width != p.face.width)
    throw e4s::ArgumentError("paste: photo, face and alpha do not fit together");
  const e4s::Box part{box[0], box[1], box[2], box[3]};
  if (part.top < 0 || part.left < 0 || part.bottom > below.height || part.right > below.width)
    throw e4s::ArgumentError("paste: the box is not inside the photo");
  const e4s::GilReleased released;
  e4s::paste(p, part);
}

// Reads a box (top, left, bottom, right); returns whether there is one.
bool box_of(const py::object& sides, e4s::Box& box) {
  if (sides.is_none()) return false;
  const auto [top, left, bottom, right] = sides.cast<std::array<int, 4>>();
  box = {top, left, bottom, right};
  if (box.empty()) throw e4s::ArgumentError("plan: the box is empty");
  return true;
}

// A plan with the kernels that it is bound to.
class BoundPlan {
 public:
  BoundPlan(const std::vector<py::dict>& buffers, const std::vector<py::dict>& steps,
            std::shared_ptr<e4s::Weights> weights, const std::string& isa, e4s::Options options)
      : kernels_(e4s::choose_kernels(isa)) {
    e4s::PlanSpec spec;
    for (const py::dict& d : buffers) spec.buffers.push_back(buffer_spec(d));
    for (const py::dict& d : steps) spec.steps.push_back(step_spec(d));
    plan_ = std::make_unique<e4s::Plan>(std::move(spec), std::move(weights), kernels_, options);
  }

  std::vector<double> run(const std::vector<py::array>& arrays, bool timed, const py::object& box) {
    const std::vector<std::int64_t> bytes = plan_->external_bytes();
    if (arrays.size() != bytes.size()) throw e4s::ArgumentError("plan: another number of arrays is expected");
    std::vector<void*> pointers;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      const py::array& array = arrays[i];
      const bool dense = (array.flags() & py::array::c_style) != 0;
      if (!dense || array.nbytes() != bytes[i])
        throw e4s::ArgumentError("plan: array " + std::to_string(i) + " must be dense, of " +
                                 std::to_string(bytes[i]) + " bytes");
      if (plan_->writes(i) && !array.writeable()) throw e4s::ArgumentError("plan: an output is read-only");
      pointers.push_back(const_cast<void*>(array.data()));
    }
    std::vector<double> times;
    e4s::Box part;
    const bool in_part = box_of(box, part);
    const e4s::GilReleased released;
    plan_->run(pointers, timed ? &times : nullptr, in_part ? &part : nullptr);
    return times;
  }

  std::vector<std::array<int, 4>> boxes(const py::object& box) const {
    e4s::Box part;
    std::vector<std::array<int, 4>> sides;
    for (const e4s::Box& b : plan_->boxes(box_of(box, part) ? &part : nullptr))
      sides.push_back({b.top, b.left, b.bottom, b.right});
    return sides;
  }

  const e4s::Plan& plan() const { return *plan_; }
  const char* isa() const { return kernels_.name; }

 private:
  e4s::Kernels kernels_;
  std::unique_ptr<e4s::Plan> plan_;
};

void translate(std::exception_ptr pointer) {
  const auto raise = [](const char* name, const char* message) {
    const py::object type = py::module_::import("e4s_engine.errors").attr(name);
    PyErr_SetString(type.ptr(), message);
  };
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const e4s::ArgumentError& error) {
    raise("ArgumentError", error.what());
  } catch (const e4s::DeviceMemoryError& error) {
    raise("DeviceMemoryError", error.what());
  } catch (const e4s::DeviceLostError& error) {
    raise("DeviceLostError", error.what());
  } catch (const e4s::BackendError& error) {
    raise("BackendError", error.what());
  }
}

py::dict cpu_features() {
  const e4s::CpuFeatures f = e4s::detect_cpu_features();
  py::dict d;
  d["avx2_fma"] = f.avx2_fma;
  d["avx512"] = f.avx512;
  d["avx512_bf16"] = f.avx512_bf16;
  d["amx_bf16"] = f.amx_bf16;
  return d;
}

}  // namespace

// It needs no GIL: what calls share is immutable once it is there, or behind a mutex (the pool and the
// weights of the CPU, a device's lists, a graph's runs), and every run of a plan has memory of its own.
// Arrays that a call reads or writes are the caller's, who must not let two calls write to one.
PYBIND11_MODULE(_native, m, py::mod_gil_not_used()) {
  m.doc() = "Compiled part of e4s_engine.";
  m.attr("__version__") = E4S_VERSION;
  py::register_exception_translator(translate);
  m.def("cpu_features", cpu_features,
        "Instruction sets this processor and its operating system offer: {name: bool}.");
  m.def(
      "kernels",
      [](const std::string& isa) {
        const e4s::Kernels k = e4s::choose_kernels(isa);
        return py::make_tuple(k.name, k.conv_bf16 != nullptr);
      },
      py::arg("isa"), "The kernels chosen for an instruction set (\"\": the best): (name, has bf16).");
  m.def("conv_form", conv_form, py::arg("isa"), py::arg("kernel"), py::arg("precision"), py::arg("x"),
        py::arg("y"), py::arg("first"), py::arg("wide"),
        "The form in which a convolution step wants its kernel packed.");
  m.def("paste", paste_face, py::arg("photo").noconvert(), py::arg("face"), py::arg("alpha"),
        py::arg("coefficients"), py::arg("origin"), py::arg("box"),
        "Warp a face into a box of a photo and blend it over that by its opacity.");
  m.def("threads", [] { return e4s::shared_pool().threads(); }, "Threads of the process's pool.");

  py::class_<e4s::Weights, std::shared_ptr<e4s::Weights>> weights_class(m, "Weights");
  e4s::constructed_only(weights_class)
      .def(py::init<>())
      .def("add_conv", add_conv, py::arg("kernel"), py::arg("out_scale"), py::arg("in_scale"),
           py::arg("precision"), py::arg("form") = "direct")
      .def("add_vector",
           [](e4s::Weights& w, const Floats& v) { return w.add(e4s::pack_vector(v.data(), v.size())); })
      .def_property_readonly("bytes", &e4s::Weights::bytes);

  py::class_<BoundPlan> plan_class(m, "Plan");
  e4s::constructed_only(plan_class)
      .def(py::init([](const std::vector<py::dict>& buffers, const std::vector<py::dict>& steps,
                       std::shared_ptr<e4s::Weights> weights, const std::string& isa, int threads, bool guard,
                       bool poison) {
             return std::make_unique<BoundPlan>(buffers, steps, std::move(weights), isa,
                                                e4s::Options{guard, poison, threads});
           }),
           py::arg("buffers"), py::arg("steps"), py::arg("weights").none(false), py::arg("isa") = "",
           py::arg("threads") = 0, py::arg("guard") = false, py::arg("poison") = false)
      .def("run", &BoundPlan::run, py::arg("arrays"), py::arg("timed") = false, py::arg("box") = py::none())
      .def("boxes", &BoundPlan::boxes, py::arg("box"))
      .def("offset", [](const BoundPlan& p, std::size_t buffer) { return p.plan().offset(buffer); })
      .def_property_readonly("isa", &BoundPlan::isa)
      .def_property_readonly("arena_bytes", [](const BoundPlan& p) { return p.plan().arena_bytes(); })
      .def_property_readonly("unshared_bytes", [](const BoundPlan& p) { return p.plan().unshared_bytes(); });

  bind_arrays(m);
  bind_cuda(m);
}
