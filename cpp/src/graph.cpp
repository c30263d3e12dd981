#include "flopcore/graph.hpp"

#include <algorithm>
#include <map>

#include "flopcore/error_context.hpp"
#include "flopcore/rule.hpp"

namespace flopcore {
namespace {

void check_dim(ExprRef dim) {
    if (dim.is_small() && dim.value() < 0)
        throw ShapeError("dim " + std::to_string(dim.value()) + " is negative; dims are 0 or more");
}

}  // namespace

Graph::Graph() { blocks_.emplace_back(); }

void Graph::check_block(BlockId block) const {
    if (block >= blocks_.size()) throw GraphError("no block #" + std::to_string(block));
    if (finished(block))
        throw GraphError("block '" + std::string(block_name(block)) + "' is finished: nothing can be added to it");
}

BlockId Graph::add_block(std::string_view name) {
    Block block;
    block.name = texts_.append(name);
    blocks_.push_back(std::move(block));
    return static_cast<BlockId>(blocks_.size() - 1);
}

void Graph::finish(BlockId block, std::span<const TensorId> outputs) {
    check_block(block);
    check_inputs(outputs, block);
    blocks_[block].outputs.append(outputs);
    blocks_[block].finished = ++n_finished_;
}

void Graph::check_inputs(std::span<const TensorId> inputs, BlockId block) const {
    for (const TensorId input : inputs) {
        if (input == kNoTensor) continue;
        if (input >= n_tensors())
            throw GraphError("reads tensor #" + std::to_string(input) +
                             ", which does not exist yet: the graph has a cycle, or its nodes are out of order");
        if (nodes_[producer_[input]].block != block)
            throw GraphError("reads tensor #" + std::to_string(input) +
                             " of another block; pass it as an argument of the call");
    }
}

TensorId Graph::push_tensor(std::span<const ExprRef> dims, DType dtype, NodeId producer) {
    if (tensors_.size() >= kNoTensor - 1 || dims_.size() + dims.size() >= kNoTensor)
        throw GraphError("a graph holds at most 2^32 - 2 tensors and dims; repeat blocks by call instead");
    const Op op = nodes_[producer].op;
    tensors_.push_back({.dims_begin = static_cast<std::uint32_t>(dims_.size()),
                        .rank = static_cast<std::uint8_t>(dims.size()),
                        .dtype = dtype,
                        .parameter = op == Op::kParameter,
                        .leaf = is_leaf(op),
                        .plain_leaf = is_leaf(op) && std::ranges::all_of(dims, &ExprRef::is_small)});
    dims_.append(dims);
    producer_.push_back(producer);
    nodes_[producer].n_outputs += 1;
    if (is_leaf(op) && !tensors_.back().plain_leaf) note_symbolic(static_cast<TensorId>(tensors_.size() - 1));
    return static_cast<TensorId>(tensors_.size() - 1);
}

void Graph::note_symbolic(TensorId leaf) {
    symbolic_leaves_.push_back(leaf);
    leaf_expr_known_.resize(exprs_.n_expressions(), false);
    for (const ExprRef dim : tensor(leaf).dims) {
        if (dim.is_small() || leaf_expr_known_[dim.id()]) continue;
        leaf_expr_known_[dim.id()] = true;
        leaf_exprs_.push_back(dim);
    }
}

NodeId Graph::push_node(Op op, std::span<const TensorId> inputs, std::uint32_t attrs, const NodeLabel& label) {
    nodes_.push_back({.inputs_begin = static_cast<std::uint32_t>(inputs_.size()),
                      .n_inputs = static_cast<std::uint32_t>(inputs.size()),
                      .first_output = static_cast<TensorId>(tensors_.size()),
                      .n_outputs = 0,
                      .attrs = attrs,
                      .name = texts_.append(label.name),
                      .scope = texts_.intern(label.scope),
                      .origin = texts_.intern(label.origin),
                      .block = label.block,
                      .op = op});
    inputs_.append(inputs);
    return static_cast<NodeId>(nodes_.size() - 1);
}

TensorId Graph::add_leaf(Op op, std::span<const ExprRef> dims, DType dtype, const NodeLabel& label) {
    check_block(label.block);
    if (dims.size() > kMaxRank) throw ShapeError("a tensor has at most 64 dims");
    for (const ExprRef dim : dims) check_dim(dim);
    const TensorId tensor = push_tensor(dims, dtype, push_node(op, {}, 0, label));
    if (op == Op::kInput) blocks_[label.block].inputs.push_back(tensor);
    if (op == Op::kParameter) blocks_[label.block].parameters.push_back(tensor);
    return tensor;
}

TensorId Graph::append_leaves(Op op, std::span<const std::uint32_t> offsets, std::span<const std::int64_t> dims,
                              DType dtype, BlockId block) {
    check_block(block);
    if (!is_leaf(op)) throw GraphError("append_leaves takes input, parameter or constant");
    if (offsets.empty() || offsets.front() != 0 || offsets.back() != dims.size() ||
        !std::is_sorted(offsets.begin(), offsets.end()))
        throw DataError("offsets must rise from 0 to the number of dims");
    const auto first = static_cast<TensorId>(n_tensors());
    std::array<ExprRef, kMaxRank> shape;
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
        const std::size_t rank = offsets[i + 1] - offsets[i];
        if (rank > kMaxRank) throw ShapeError("leaf " + std::to_string(i) + ": a tensor has at most 64 dims");
        for (std::size_t j = 0; j < rank; ++j) {
            const std::int64_t dim = dims[offsets[i] + j];
            if (dim < 0 || !ExprRef::fits(dim))
                throw ShapeError("leaf " + std::to_string(i) + ": dim " + std::to_string(dim) +
                                 " is negative or above 2^62");
            shape[j] = ExprRef::small(dim);
        }
        add_leaf(op, std::span<const ExprRef>(shape.data(), rank), dtype, {.block = block});
    }
    return first;
}

void Graph::infer_outputs(NodeId id) {
    const NodeRecord& node = nodes_[id];
    const std::span<const TensorId> ids = node_inputs(node);
    std::array<TensorView, 8> few;
    std::vector<TensorView> many;
    TensorView* views = few.data();
    if (ids.size() > few.size()) {
        many.resize(ids.size());
        views = many.data();
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (ids[i] == kNoTensor) continue;
        const TensorRecord& t = tensors_[ids[i]];
        views[i] = TensorView{.dims = dims_.data() + t.dims_begin, .rank = t.rank, .dtype = t.dtype};
    }
    const OpRule& rule = rule_of(node.op);
    check_dtypes(rule, {views, ids.size()});
    InferContext context{exprs_, attrs_.view(node.attrs), {views, ids.size()}, shape_, &rule};
    shape_.clear();
    rule.infer(context);
    for (std::size_t i = 0; i < shape_.n_outputs(); ++i)
        for (const ExprRef dim : shape_.dims(i)) check_dim(dim);
    for (std::size_t i = 0; i < shape_.n_outputs(); ++i) push_tensor(shape_.dims(i), shape_.dtype(i), id);
}

NodeId Graph::add_node(Op op, std::span<const TensorId> inputs, std::uint32_t attrs, const NodeLabel& label) {
    check_block(label.block);
    if (is_leaf(op) || op == Op::kCall) throw GraphError("leaves and calls have functions of their own");
    if (attrs >= attrs_.size()) throw GraphError("no attribute set #" + std::to_string(attrs));
    const NodeId id = push_node(op, inputs, attrs, label);
    try {
        with_context([&] { return describe(id); },
                     [&] {
                         check_inputs(inputs, label.block);
                         check_input_count(rule_of(op), inputs);
                         infer_outputs(id);
                     });
    } catch (...) {  // leave the graph as it was
        const TensorId first = nodes_[id].first_output;
        if (first < n_tensors()) dims_.truncate(tensors_[first].dims_begin);
        tensors_.truncate(first);
        producer_.truncate(first);
        inputs_.truncate(nodes_[id].inputs_begin);
        nodes_.truncate(id);
        throw;
    }
    blocks_[label.block].nodes.push_back(id);
    return id;
}

void Graph::check_input_count(const OpRule& rule, std::span<const TensorId> inputs) const {
    if (inputs.size() < rule.min_inputs || (rule.max_inputs != 255 && inputs.size() > rule.max_inputs))
        throw GraphError("has " + std::to_string(inputs.size()) + " inputs, takes " + std::to_string(rule.min_inputs) +
                         (rule.max_inputs == 255               ? " or more"
                          : rule.max_inputs == rule.min_inputs ? ""
                                                               : " to " + std::to_string(rule.max_inputs)));
    const std::size_t required = rule.max_inputs == 255 ? inputs.size() : rule.min_inputs;
    for (std::size_t i = 0; i < required; ++i)
        if (inputs[i] == kNoTensor) throw GraphError("input " + std::to_string(i) + " is required");
}

NodeId Graph::add_call(BlockId callee, std::span<const TensorId> inputs, ExprRef times, Params params,
                       const NodeLabel& label) {
    check_block(label.block);
    if (callee >= blocks_.size()) throw GraphError("no block #" + std::to_string(callee));
    const std::string what = "call of '" + std::string(block_name(callee)) + "'";
    if (!finished(callee)) throw GraphError(what + ": the subgraph is not finished; give it its outputs first");
    if (times.is_small() && times.value() < 0)
        throw ShapeError(what + ": times is " + std::to_string(times.value()) + ", must be 0 or more");
    const std::span<const TensorId> expected = block_inputs(callee);
    if (inputs.size() != expected.size())
        throw GraphError(what + ": has " + std::to_string(inputs.size()) + " arguments, takes " +
                         std::to_string(expected.size()));
    check_inputs(inputs, label.block);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (inputs[i] == kNoTensor) throw GraphError(what + ": argument " + std::to_string(i) + " is required");
        const auto given = tensor(inputs[i]), wanted = tensor(expected[i]);
        if (given.dtype != wanted.dtype || !std::ranges::equal(given.dims, wanted.dims))
            throw ShapeError(what + ": argument " + std::to_string(i) + " has shape " + shape_text(inputs[i]) +
                             ", the subgraph was made for " + shape_text(expected[i]));
    }
    const NodeId id = push_node(Op::kCall, inputs, static_cast<std::uint32_t>(calls_.size()), label);
    calls_.push_back({callee, times, params});
    for (const TensorId output : blocks_[callee].outputs) {
        const std::vector<ExprRef> dims(tensor(output).dims.begin(), tensor(output).dims.end());
        push_tensor(dims, tensor(output).dtype, id);
    }
    blocks_[label.block].nodes.push_back(id);
    blocks_[label.block].calls.push_back(id);
    return id;
}

NodeId Graph::append_nodes(const NodeColumns& columns, BlockId block) {
    check_block(block);
    const std::size_t n = columns.ops.size();
    if (columns.offsets.size() != n + 1 || columns.attrs.size() != n || columns.offsets.front() != 0 ||
        columns.offsets.back() != columns.inputs.size() ||
        !std::is_sorted(columns.offsets.begin(), columns.offsets.end()))
        throw DataError("columns disagree: offsets must rise from 0 to the number of inputs, one more than nodes");
    const auto first = static_cast<NodeId>(n_nodes());
    for (std::size_t i = 0; i < n; ++i) {
        if (columns.ops[i] >= kOpCount) throw UnsupportedOp("no op #" + std::to_string(columns.ops[i]));
        add_node(static_cast<Op>(columns.ops[i]),
                 columns.inputs.subspan(columns.offsets[i], columns.offsets[i + 1] - columns.offsets[i]),
                 columns.attrs[i], {.block = block});
    }
    return first;
}

std::uint32_t Graph::intern_attrs(Op op, std::span<const AttrInput> inputs) {
    return attrs_.intern(rule_of(op).attrs, inputs);
}

Tensor Graph::tensor(TensorId id) const {
    const TensorRecord& t = tensors_[id];
    return {{dims_.data() + t.dims_begin, t.rank}, t.dtype, producer_[id]};
}

Node Graph::node(NodeId id) const {
    const NodeRecord& n = nodes_[id];
    return {n.op, n.block, node_inputs(n), n.first_output, n.n_outputs, n.attrs, n.name, n.scope, n.origin};
}

const Call& Graph::call(NodeId id) const { return calls_[nodes_[id].attrs]; }

std::vector<BlockId> Graph::reachable_blocks() const {
    std::vector<char> reached(blocks_.size(), 0);
    std::vector<BlockId> found{0};
    reached[0] = 1;
    for (std::size_t i = 0; i < found.size(); ++i)
        for (const NodeId id : blocks_[found[i]].calls) {
            if (reached[call(id).block]) continue;
            reached[call(id).block] = 1;
            found.push_back(call(id).block);
        }
    // A block is called only after it was finished: the order of finishing puts callees first.
    std::sort(found.begin() + 1, found.end(),
              [&](BlockId a, BlockId b) { return blocks_[a].finished < blocks_[b].finished; });
    std::rotate(found.begin(), found.begin() + 1, found.end());
    return found;
}

std::vector<Symbol> Graph::symbols() const {
    std::vector<bool> seen(exprs_.n_expressions(), false);
    std::map<std::string, Symbol> found;
    const auto collect = [&](ExprRef ref) {
        if (ref.is_small() || seen[ref.id()]) return;
        seen[ref.id()] = true;
        for (Symbol& symbol : exprs_.free_symbols(ref)) found.try_emplace(symbol.name, std::move(symbol));
    };
    for (const ExprRef dim : leaf_exprs_) collect(dim);
    for (const ExprRef value : attrs_.values()) collect(value);
    for (const Call& each : calls_) collect(each.times);
    std::vector<Symbol> symbols;
    for (auto& [name, symbol] : found) symbols.push_back(std::move(symbol));
    return symbols;
}

std::string Graph::shape_text(TensorId id) const {
    std::string text = "[";
    for (const ExprRef dim : tensor(id).dims) text += (text.size() > 1 ? ", " : "") + exprs_.text(dim);
    return text + "] " + std::string(info(tensors_[id].dtype).name);
}

std::string Graph::describe(NodeId id) const {
    std::string text = std::string(op_name(nodes_[id].op));
    text += " node ";
    const std::string_view scope = texts_[nodes_[id].scope];
    const std::string_view name = texts_[nodes_[id].name];
    if (!scope.empty() || !name.empty()) {
        text += "'" + std::string(scope) + (!scope.empty() && !name.empty() ? "." : "") + std::string(name) + "' ";
    }
    return text + "(#" + std::to_string(id) + ")";
}

std::size_t Graph::memory_bytes() const {
    std::size_t total = exprs_.memory_bytes() + attrs_.memory_bytes() + calls_.capacity() * sizeof(Call) +
                        dims_.memory_bytes() + tensors_.memory_bytes() + producer_.memory_bytes() +
                        nodes_.memory_bytes() + inputs_.memory_bytes() + symbolic_leaves_.memory_bytes();
    for (const Block& block : blocks_)
        for (const auto* ids : {&block.nodes, &block.calls, &block.inputs, &block.outputs, &block.parameters})
            total += ids->memory_bytes();
    return total;
}

}  // namespace flopcore
