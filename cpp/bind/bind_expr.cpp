#include "bind.hpp"

namespace flopcore::bind {

void bind_expr(pybind11::module_&) {}

}  // namespace flopcore::bind
