#include "bind.hpp"

namespace flopcore::bind {

void bind_graph(pybind11::module_&) {}

}  // namespace flopcore::bind
