// The extension module flopcore._core. No logic here.
#include "bind.hpp"

PYBIND11_MODULE(_core, m) {
    m.doc() = "Compiled core of flopcore; use the flopcore package instead.";
    namespace bind = flopcore::bind;
    bind::bind_errors(m);
    bind::bind_build(m);
    bind::bind_expr(m);
    bind::bind_graph(m);
    bind::bind_tally(m);
    bind::bind_onnx(m);
    bind::bind_incomplete(m);
    bind::bind_sensitivity(m);
    bind::bind_sweep(m);
    bind::bind_allocation(m);
    bind::bind_program(m);
}
