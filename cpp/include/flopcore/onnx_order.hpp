// The order in which the nodes of an ONNX graph can be built: that of the file wherever it is one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flopcore/onnx_reader.hpp"

namespace flopcore {

// Indices into nodes, each after the nodes it reads from; among those that could come next, the first of the file.
// known: tensors that exist before the first node; `open` says that others may too, as in a body that reads tensors of
// the graph around it. GraphError names node and tensor when a tensor is made twice, a tensor that is read is made by
// nothing, or the nodes form a cycle.
[[nodiscard]] std::vector<std::uint32_t> onnx_order(const OnnxModel& model, std::span<const OnnxNode> nodes,
                                                    std::span<const OnnxId> known, bool open = false);

// Tensors that these nodes read more than once, in the order of their second reading.
[[nodiscard]] std::vector<OnnxId> onnx_shared(const OnnxModel& model, std::span<const OnnxNode> nodes);

}  // namespace flopcore
