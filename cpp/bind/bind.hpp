// One bind_<noun>() per category of bound types; module.cpp only calls them.
#pragma once

#include <pybind11/pybind11.h>

namespace flopcore::bind {

void bind_errors(pybind11::module_& m);
void bind_build(pybind11::module_& m);
void bind_expr(pybind11::module_& m);
void bind_graph(pybind11::module_& m);
void bind_tally(pybind11::module_& m);
void bind_onnx(pybind11::module_& m);
void bind_incomplete(pybind11::module_& m);
void bind_sensitivity(pybind11::module_& m);
void bind_sweep(pybind11::module_& m);
void bind_allocation(pybind11::module_& m);
void bind_program(pybind11::module_& m);

}  // namespace flopcore::bind
