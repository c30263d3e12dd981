// Numbers that name parts of a graph, in the graph and in the tally of it.
#pragma once

#include <cstdint>

namespace flopcore {

using TensorId = std::uint32_t;
using NodeId = std::uint32_t;
using BlockId = std::uint32_t;
inline constexpr TensorId kNoTensor = 0xffffffffU;  // an optional input that is not given

// Whether the repeats of a called block own their weights (layers of Llama) or share them (ALBERT).
enum class Params : std::uint8_t { kPerCall, kShared };

}  // namespace flopcore
