#include "flopcore/onnx_append.hpp"

#include "flopcore/error.hpp"
#include "flopcore/onnx_order.hpp"

namespace flopcore {

std::vector<std::uint32_t> onnx_graph_order(const OnnxModel& model, const OnnxGraph& graph) {
    std::vector<OnnxId> known;
    for (const OnnxTensor& tensor : graph.initializers) known.push_back(tensor.name);
    for (const OnnxValue& value : graph.inputs) known.push_back(value.name);
    return onnx_order(model, graph.nodes, known);
}

std::string onnx_scope(std::string_view name) {
    std::string scope;
    std::string_view last;  // the part that scope ends with
    const std::size_t end = name.find_last_not_of('/');
    if (end == std::string_view::npos) return scope;
    name = name.substr(0, end + 1);
    for (std::size_t slash = name.find('/'); slash != std::string_view::npos; slash = name.find('/')) {
        const std::string_view part = name.substr(0, slash);
        name.remove_prefix(slash + 1);
        if (part.empty()) continue;
        // A part may repeat the one before it: layer1/layer1.0.
        if (!last.empty() && part.size() > last.size() && part.starts_with(last) && part[last.size()] == '.')
            scope.resize(scope.size() - last.size());
        else if (!scope.empty())
            scope += '.';
        scope += part;
        last = part;
    }
    return scope;
}

OnnxAppender::OnnxAppender(const OnnxModel& model, const OnnxGraph& source, Graph& graph,
                           std::span<const OnnxPlainOp> plain)
    : model_(model),
      source_(source),
      graph_(graph),
      order_(onnx_graph_order(model, source)),
      plain_of_(model.names.size()),
      tensors_(model.names.size(), kNoTensor) {
    for (const OnnxPlainOp& each : plain) {
        const auto name = model.names.find(each.onnx);
        if (!name) continue;
        plain_.push_back({each.op, each.n_inputs, graph.intern_attrs(each.op, {}), "onnx:" + std::string(each.onnx)});
        plain_of_[static_cast<std::uint32_t>(*name)] = static_cast<std::uint16_t>(plain_.size());
    }
}

bool OnnxAppender::append(const OnnxNode& node) {
    const std::uint16_t which = plain_of_[static_cast<std::uint32_t>(node.op_type)];
    if (which == 0 || node.outputs.size != 1) return false;
    if (node.domain != OnnxId{} && model_.names[node.domain] != "ai.onnx") return false;
    const Plain& plain = plain_[which - 1U];
    if (plain.n_inputs == 0 ? node.inputs.size == 0 : node.inputs.size != plain.n_inputs) return false;
    inputs_.clear();
    for (const OnnxId name : onnx_span(model_.ids, node.inputs)) {
        inputs_.push_back(tensor(name));
        if (inputs_.back() == kNoTensor) return false;
    }
    const OnnxId output = model_.ids[node.outputs.begin];
    const std::string_view name = model_.names[node.name];
    // Neighbours are mostly of one module. A name that ends in a slash shares its path with names inside it.
    const std::string_view path = name.substr(0, name.rfind('/') + 1);
    if (path != path_ || path.size() == name.size()) {
        scope_ = onnx_scope(name);
        path_ = path.size() == name.size() ? std::string_view("none") : path;
    }
    const NodeId id = graph_.add_node(
        plain.op, inputs_, plain.attrs,
        {.name = node.name == OnnxId{} ? model_.names[output] : name, .scope = scope_, .origin = plain.origin});
    place(output, graph_.node_record(id).first_output);
    return true;
}

std::optional<std::uint32_t> OnnxAppender::run() {
    while (at_ < order_.size()) {
        const std::uint32_t node = order_[at_++];
        if (!append(source_.nodes[node])) return node;
    }
    return std::nullopt;
}

}  // namespace flopcore
