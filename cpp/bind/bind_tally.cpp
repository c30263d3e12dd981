#include "bind.hpp"

namespace flopcore::bind {

void bind_tally(pybind11::module_&) {}

}  // namespace flopcore::bind
