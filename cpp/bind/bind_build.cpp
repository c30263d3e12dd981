// Errors and build facts.
#include <pybind11/stl.h>

#include "bind.hpp"
#include "flopcore/error.hpp"
#include "flopcore/isa.hpp"
#include "flopcore/parallel.hpp"

namespace py = pybind11;

namespace flopcore::bind {
namespace {

py::object builtin(const char* name) { return py::module_::import("builtins").attr(name); }

template <class E>
void add_error(py::module_& m, const char* name, const py::object& base, const char* also) {
    py::register_exception<E>(m, name, py::make_tuple(base, builtin(also)));
}

}  // namespace

void bind_errors(py::module_& m) {
    // The base must be registered first: translators run newest first, so derived classes win.
    auto& base = py::register_exception<Error>(m, "FlopcoreError", py::make_tuple(builtin("Exception")));
    add_error<ShapeError>(m, "ShapeError", base, "ValueError");
    add_error<GraphError>(m, "GraphError", base, "ValueError");
    add_error<UnsupportedOp>(m, "UnsupportedOp", base, "ValueError");
    add_error<OverflowError_>(m, "CountOverflowError", base, "OverflowError");
    add_error<ConventionError>(m, "ConventionError", base, "ValueError");
    add_error<DataError>(m, "DataError", base, "ValueError");
}

void bind_build(py::module_& m) {
    m.attr("version") = FLOPCORE_VERSION;
    m.attr("compiler") = FLOPCORE_COMPILER;
    m.attr("build_type") = FLOPCORE_BUILD_TYPE;
    m.attr("thread_backend") = thread_backend();
    m.def("isa", [] { return simd::kernels().name; });
    m.def("available_isas", &simd::available_isas);
    m.def("select_isa", &simd::select_isa, py::arg("name"));
    m.def("allowed_cpus", &allowed_cpus);
    m.def("n_workers", &n_workers, py::arg("n_blocks"), py::arg("threads"));
    m.def("limit_to_one_thread", &limit_to_one_thread);
}

}  // namespace flopcore::bind
