// The Python module `furiosa.npu_sim._native`.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string_view>

#include "host.h"
#include "inference.h"
#include "peak.h"
#include "program.h"
#include "variants.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace furiosa {
namespace {

// A contiguous buffer of a Python object, held until the end of the call.
class PyBuffer {
 public:
  PyBuffer(nb::handle object, bool writable) {
    const int flags = writable ? PyBUF_WRITABLE : PyBUF_SIMPLE;
    if (PyObject_GetBuffer(object.ptr(), &view_, flags) != 0) throw nb::python_error();
  }
  ~PyBuffer() { PyBuffer_Release(&view_); }
  PyBuffer(PyBuffer&& other) noexcept : view_(other.view_) { other.view_.obj = nullptr; }
  PyBuffer(const PyBuffer&) = delete;
  PyBuffer& operator=(const PyBuffer&) = delete;

  uint8_t* data() const { return static_cast<uint8_t*>(view_.buf); }
  int64_t size() const { return int64_t(view_.len); }
  void expect(int64_t size) const {
    if (size != this->size()) {
      throw std::invalid_argument("a buffer has " + std::to_string(this->size()) + " bytes where " +
                                  std::to_string(size) + " are needed");
    }
  }

 private:
  Py_buffer view_;
};

using PyPorts = std::vector<std::pair<int64_t, nb::object>>;

int checked(int threads) {
  if (threads < 1) throw std::invalid_argument("`threads` must be at least 1");
  return threads;
}

// The variant with this name, the best one where there is none.
const Kernels& chosen(const std::string& name) { return name.empty() ? best_kernels() : kernels_named(name); }

void init_program(Program* self, nb::bytes code, nb::handle constants, int64_t sram_bytes, int64_t dram_bytes,
                  const std::string& kernels) {
  const Kernels& table = kernels_named(kernels);
  const PyBuffer held(constants, false);
  const std::string_view code_view(code.c_str(), code.size());
  const std::string_view constants_view(reinterpret_cast<const char*>(held.data()), size_t(held.size()));
  nb::gil_scoped_release released;
  new (self) Program(code_view, constants_view, sram_bytes, dram_bytes, table);
}

void run_program(const Program& self, const PyPorts& inputs, const PyPorts& outputs, int threads) {
  std::vector<PyBuffer> held;
  std::vector<uint8_t*> data;
  const size_t count = inputs.size() + outputs.size();
  held.reserve(count);
  data.reserve(count);
  const auto ports = [&](const PyPorts& given, bool writable) {
    Ports ports;
    for (const auto& [address, object] : given) {
      held.emplace_back(object, writable);
      data.push_back(held.back().data());
      ports.push_back({address, held.back().size(), &data.back()});
    }
    return ports;
  };
  const Ports in = ports(inputs, false), out = ports(outputs, true);
  nb::gil_scoped_release released;
  self.run(in, out, checked(threads));
}

// Executes every request: the buffers of the interface, inputs first. One release of the GIL for all of them.
// `marks` is None, or a buffer of int64 with a row for each request.
void run_inference(const Inference& self, const std::vector<std::vector<nb::object>>& requests, size_t inputs,
                   int threads, nb::object marks) {
  const std::vector<int64_t> sizes = self.interface_sizes();
  std::vector<PyBuffer> held;
  std::vector<std::vector<uint8_t*>> memory(requests.size());
  held.reserve(requests.size() * sizes.size() + 1);
  for (size_t request = 0; request < requests.size(); ++request) {
    if (requests[request].size() != sizes.size()) throw std::invalid_argument("a request has another interface");
    for (size_t i = 0; i < sizes.size(); ++i) {
      held.emplace_back(requests[request][i], i >= inputs);
      held.back().expect(sizes[i]);
      memory[request].push_back(held.back().data());
    }
  }
  const size_t row = self.steps() + 1;
  int64_t* times = nullptr;
  if (!marks.is_none()) {
    held.emplace_back(marks, true);
    held.back().expect(int64_t(requests.size() * row * sizeof(int64_t)));
    times = reinterpret_cast<int64_t*>(held.back().data());
  }
  nb::gil_scoped_release released;
  for (size_t request = 0; request < memory.size(); ++request)
    self.run(memory[request], checked(threads), times ? times + request * row : nullptr);
}

// Executes a loop that step(x, y) makes of where the addresses of two buffers are found.
template <class Step>
void run_step(const PyBuffer& x, const PyBuffer& y, int threads, Step step) {
  uint8_t *from = x.data(), *to = y.data();
  nb::gil_scoped_release released;
  const Lease team(checked(threads));
  team->run(step(&from, &to));
}

void quantize_buffer(nb::handle x, nb::handle y, float scale, int zero_point, bool is_signed, int threads,
                     const std::string& kernels, bool by_product) {
  const PyBuffer from(x, false), to(y, true);
  from.expect(4 * to.size());
  run_step(from, to, threads, [&](Place x, Place y) {
    return quantize(x, y, to.size(), scale, zero_point, is_signed, by_product, chosen(kernels));
  });
}

void to_signed_buffer(nb::handle x, nb::handle y, int threads, const std::string& kernels) {
  const PyBuffer from(x, false), to(y, true);
  from.expect(to.size());
  run_step(from, to, threads, [&](Place x, Place y) { return to_signed(x, y, to.size(), chosen(kernels)); });
}

void dequantize_buffer(nb::handle x, nb::handle y, float scale, int zero_point, bool is_signed, int threads,
                       const std::string& kernels) {
  const PyBuffer from(x, false), to(y, true);
  to.expect(4 * from.size());
  run_step(from, to, threads, [&](Place x, Place y) {
    return dequantize(x, y, from.size(), scale, zero_point, is_signed, chosen(kernels));
  });
}

void transpose_buffer(nb::handle x, nb::handle y, int64_t n, int64_t rows, int64_t columns, int itemsize, int threads,
                      const std::string& kernels) {
  const PyBuffer from(x, false), to(y, true);
  from.expect(n * rows * columns * itemsize);
  to.expect(n * rows * columns * itemsize);
  run_step(from, to, threads,
           [&](Place x, Place y) { return transpose(x, y, n, rows, columns, itemsize, chosen(kernels)); });
}

}  // namespace
}  // namespace furiosa

NB_MODULE(_native, m) {
  using namespace furiosa;
  m.doc() = "Execution of programs in C++.";
  nb::set_leak_warnings(false);  // a forked child cannot free what threads of its parent hold
  m.def("available", [] {
    std::vector<std::string> names;
    for (const Kernels* kernels : available_kernels()) names.emplace_back(kernels->name);
    return names;
  });
  nb::class_<Program>(m, "Program")
      .def("__init__", &init_program, "code"_a, "constants"_a, "sram_bytes"_a, "dram_bytes"_a, "kernels"_a,
           nb::keep_alive<1, 3>())
      .def("run", &run_program, "inputs"_a, "outputs"_a, "threads"_a)
      .def_prop_ro("kernels", &Program::kernels);
  nb::class_<Inference>(m, "Inference")
      .def(nb::init<std::vector<int64_t>, std::vector<size_t>>(), "sizes"_a, "interface"_a)
      .def("quantize", &Inference::quantize, "x"_a, "y"_a, "scale"_a, "zero_point"_a, "signed"_a,
           "by_product"_a = false)
      .def("to_signed", &Inference::to_signed, "x"_a, "y"_a)
      .def("dequantize", &Inference::dequantize, "x"_a, "y"_a, "scale"_a, "zero_point"_a, "signed"_a)
      .def("transpose", &Inference::transpose, "x"_a, "y"_a, "images"_a, "rows"_a, "columns"_a, "itemsize"_a)
      .def("resize_rows", &Inference::resize_rows, "x"_a, "y"_a, "rows"_a, "from_bytes"_a, "to_bytes"_a)
      .def("program", &Inference::program, "program"_a, "inputs"_a, "outputs"_a, nb::keep_alive<1, 2>())
      .def("run", &run_inference, "requests"_a, "inputs"_a, "threads"_a, "marks"_a = nb::none());
  m.def(
      "peak", [](const std::string& kernels) { return peak(kernels_named(kernels)); }, "kernels"_a,
      nb::call_guard<nb::gil_scoped_release>());
  m.def("quantize", &quantize_buffer, "x"_a, "y"_a, "scale"_a, "zero_point"_a, "signed"_a, "threads"_a,
        "kernels"_a = "", "by_product"_a = false);
  m.def("to_signed", &to_signed_buffer, "x"_a, "y"_a, "threads"_a, "kernels"_a = "");
  m.def("dequantize", &dequantize_buffer, "x"_a, "y"_a, "scale"_a, "zero_point"_a, "signed"_a, "threads"_a,
        "kernels"_a = "");
  m.def(
      "nchw_to_nhwc",
      [](nb::handle x, nb::handle y, int64_t n, int64_t c, int64_t h, int64_t w, int itemsize, int threads,
         const std::string& kernels) { transpose_buffer(x, y, n, c, h * w, itemsize, threads, kernels); },
      "x"_a, "y"_a, "n"_a, "c"_a, "h"_a, "w"_a, "itemsize"_a, "threads"_a = 1, "kernels"_a = "");
  m.def(
      "nhwc_to_nchw",
      [](nb::handle x, nb::handle y, int64_t n, int64_t c, int64_t h, int64_t w, int itemsize, int threads,
         const std::string& kernels) { transpose_buffer(x, y, n, h * w, c, itemsize, threads, kernels); },
      "x"_a, "y"_a, "n"_a, "c"_a, "h"_a, "w"_a, "itemsize"_a, "threads"_a = 1, "kernels"_a = "");
}
