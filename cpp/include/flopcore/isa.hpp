// Which kernel table serves this process: chosen from FLOPCORE_ISA or by CPUID, changed only by select_isa().
#pragma once

#include <string>
#include <vector>

#include "flopcore/simd.hpp"

namespace flopcore::simd {

// Throws Error when FLOPCORE_ISA names nothing this processor runs.
[[nodiscard]] const Kernels& kernels();

// For tests and bug reports. Throws Error when the name is unknown or the processor lacks the instructions.
void select_isa(const std::string& name);

// Names this processor runs, slowest first.
[[nodiscard]] std::vector<std::string> available_isas();

}  // namespace flopcore::simd
