#include "bind.hpp"

namespace flopcore::bind {

void bind_sweep(pybind11::module_&) {}

}  // namespace flopcore::bind
