// Nodes of an ONNX graph that are one op of ours over tensors the graph holds already, appended in one go: most nodes
// of most files. The others stop it, and whoever translates them tells it where their outputs are.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flopcore/graph.hpp"
#include "flopcore/onnx_reader.hpp"

namespace flopcore {

// An op type of the default domain that is one op of ours with the same inputs, whatever its attributes say.
struct OnnxPlainOp {
    std::string_view onnx;
    Op op;
    std::uint32_t n_inputs;  // 0: one or more
};

// The model, its graph and ours outlive it; it appends to the main block.
class OnnxAppender {
  public:
    // Throws what onnx_order throws.
    OnnxAppender(const OnnxModel& model, const OnnxGraph& source, Graph& graph, std::span<const OnnxPlainOp> plain);

    // Appends from where the last call stopped. Returns the index of the node that stopped it, which is passed over
    // by the next call, or nothing at the end. Throws what Graph::add_node throws.
    [[nodiscard]] std::optional<std::uint32_t> run();
    // The tensor of a name; kNoTensor where there is none.
    [[nodiscard]] TensorId tensor(OnnxId name) const { return tensors_[static_cast<std::uint32_t>(name)]; }
    void place(OnnxId name, TensorId tensor) { tensors_[static_cast<std::uint32_t>(name)] = tensor; }

  private:
    struct Plain {
        Op op;
        std::uint32_t n_inputs;
        std::uint32_t attrs;
        std::string origin;
    };
    [[nodiscard]] bool append(const OnnxNode& node);

    const OnnxModel& model_;
    const OnnxGraph& source_;
    Graph& graph_;
    std::vector<std::uint32_t> order_;
    std::size_t at_ = 0;
    std::vector<Plain> plain_;
    std::vector<std::uint16_t> plain_of_;  // by name id of the op type: 1 + index into plain_, or 0
    std::vector<TensorId> tensors_;        // by name id
    std::vector<TensorId> inputs_;         // scratch of one node
    std::string scope_, path_;             // the module scope of names that start with path_ up to their last slash
};

// The order of a graph's nodes, from its initializers and inputs on; throws what onnx_order throws.
[[nodiscard]] std::vector<std::uint32_t> onnx_graph_order(const OnnxModel& model, const OnnxGraph& graph);

// The module scope that a node's name tells: "layer1.0.conv1" of "/layer1/layer1.0/conv1/Conv".
[[nodiscard]] std::string onnx_scope(std::string_view name);

}  // namespace flopcore
