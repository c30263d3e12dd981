#include "bind.hpp"

namespace flopcore::bind {

void bind_onnx(pybind11::module_&) {}

}  // namespace flopcore::bind
