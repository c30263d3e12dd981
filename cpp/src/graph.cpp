#include "flopcore/graph.hpp"

#include <algorithm>
#include <map>

#include "flopcore/error_context.hpp"
#include "flopcore/rule.hpp"

namespace flopcore {
namespace {

// Of the arms of an if.
void check_probabilities(std::span<const Run> runs) {
    Rational total{0, 1};
    std::size_t given = 0;
    for (const Run& run : runs) {
        if (!run.probability) continue;
        if (run.probability->num < 0) throw GraphError("a probability is negative");
        total = add(total, *run.probability);
        ++given;
    }
    if (given != 0 && given != runs.size()) throw GraphError("give all arms a probability, or none");
    if (given != 0 && total != Rational{1, 1}) throw GraphError("the probabilities of the arms do not sum to 1");
}

void check_dim(ExprRef dim) {
    if (dim.is_small() && dim.value() < 0)
        throw ShapeError("dim " + std::to_string(dim.value()) + " is negative; dims are 0 or more");
}

}  // namespace

Graph::Graph() {
    blocks_.emplace_back();
    dims_.reserve(1);  // so that the dims of a scalar are somewhere, even in a graph of scalars alone
}

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
                        .plain_leaf = is_leaf(op) && std::ranges::all_of(dims, &ExprRef::is_small)});
    dims_.append(dims);
    producer_.push_back(producer);
    nodes_[producer].n_outputs += 1;
    if (is_leaf(op) && !tensors_.back().plain_leaf) note_symbolic(static_cast<TensorId>(tensors_.size() - 1));
    return static_cast<TensorId>(tensors_.size() - 1);
}

void Graph::note_symbolic(TensorId leaf) {
    symbolic_leaves_.push_back(leaf);
    for (const ExprRef dim : tensor(leaf).dims)
        if (!dim.is_small()) leaf_exprs_.number(dim);
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
    note_sizes(producer_[tensor]);
    return tensor;
}

void Graph::set_active(TensorId parameter, Rational share) {
    if (parameter >= n_tensors() || nodes_[producer_[parameter]].op != Op::kParameter)
        throw GraphError("tensor #" + std::to_string(parameter) + " is no parameter");
    if (share.num <= 0 || share.num > share.den)
        throw DataError("active: the part of a parameter that one token goes through is over 0 and at most 1");
    active_shares_.push_back(share);
    nodes_[producer_[parameter]].attrs = static_cast<std::uint32_t>(active_shares_.size());
}

Rational Graph::active(TensorId parameter) const {
    const std::uint32_t index = nodes_[producer_[parameter]].attrs;
    return index == 0 ? Rational{1, 1} : active_shares_[index - 1];
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
    push_outputs(id);
}

// What was just inferred, as tensors.
void Graph::push_outputs(NodeId id) {
    for (std::size_t i = 0; i < shape_.n_outputs(); ++i)
        for (const ExprRef dim : shape_.dims(i)) check_dim(dim);
    for (std::size_t i = 0; i < shape_.n_outputs(); ++i) push_tensor(shape_.dims(i), shape_.dtype(i), id);
}

NodeId Graph::add_node(Op op, std::span<const TensorId> inputs, std::uint32_t attrs, const NodeLabel& label) {
    check_block(label.block);
    if (is_leaf(op) || is_run(op)) throw GraphError("leaves, calls, loops and ifs have functions of their own");
    if (attrs >= attrs_.size()) throw GraphError("no attribute set #" + std::to_string(attrs));
    const NodeId id = push_node(op, inputs, attrs, label);
    try {
        with_context([&] { return describe(id); },
                     [&] {
                         check_inputs(inputs, label.block);
                         check_input_count(rule_of(op), inputs);
                         infer_outputs(id);
                     });
    } catch (...) {
        drop_node(id);
        throw;
    }
    blocks_[label.block].nodes.push_back(id);
    note_sizes(id);
    return id;
}

// Leaves the graph as it was before its last node.
void Graph::drop_node(NodeId id) {
    const TensorId first = nodes_[id].first_output;
    if (first < n_tensors()) dims_.truncate(tensors_[first].dims_begin);
    tensors_.truncate(first);
    producer_.truncate(first);
    inputs_.truncate(nodes_[id].inputs_begin);
    nodes_.truncate(id);
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

void Graph::check_run(const Run& run) const {
    if (run.block >= blocks_.size()) throw GraphError("no block #" + std::to_string(run.block));
    if (!finished(run.block))
        throw GraphError("'" + std::string(block_name(run.block)) +
                         "': the subgraph is not finished; give it its outputs first");
}

NodeId Graph::add_runs(Op op, std::vector<Run> runs, std::span<const TensorId> inputs, const NodeLabel& label) {
    check_block(label.block);
    if (runs.empty()) throw GraphError("an if has no arms");
    FLOPCORE_ASSERT(is_run(op) && (op == Op::kIf || runs.size() == 1));
    const NodeId id = push_node(op, inputs, static_cast<std::uint32_t>(runs_.size()), label);
    try {
        with_context([&] { return describe(id); },
                     [&] {
                         check_inputs(inputs, label.block);
                         for (const Run& run : runs) check_run(run);
                         check_probabilities(runs);
                         shape_.clear();
                         const RunViews views(*this, op, runs, inputs, [&](TensorId t) { return tensor(t).view(); });
                         infer_runs(exprs_, views.span(), shape_);
                         push_outputs(id);
                     });
    } catch (...) {
        drop_node(id);
        throw;
    }
    for (const Run& run : runs)
        if (run.index != ExprRef()) indices_.insert(exprs_.head(run.index)->symbol.name);
    runs_.push_back(std::move(runs));
    blocks_[label.block].nodes.push_back(id);
    blocks_[label.block].runs.push_back(id);
    note_sizes(id);
    return id;
}

void Graph::check_user_count(const UserCount& count) const {
    FLOPCORE_ASSERT(count.tags.size() == count.bases.size());
    if (count.tags.size() + kMaxSizes > kMaxAmounts)
        throw GraphError("has more than " + std::to_string(kMaxAmounts - kMaxSizes) + " amounts");
    const auto check = [&](ExprRef amount, std::string_view what) {
        if (const Interval bounds = exprs_.bounds(amount); bounds.high && bounds.high->num < 0)
            throw ShapeError("the amount of " + std::string(what) + " is negative: " + exprs_.text(amount));
    };
    for (std::size_t i = 0; i < count.tags.size(); ++i)
        check(count.bases[i], kFeatures[static_cast<std::size_t>(count.tags[i].feature)]);
    for (const Extent& extent : count.extents)
        for (const ExprRef size : {extent.nominal, extent.used})
            check(size, kExtentKinds[static_cast<std::size_t>(extent.kind)]);
}

NodeId Graph::add_user_node(std::string_view op, std::span<const TensorId> inputs, std::span<const UserOutput> outputs,
                            UserCount count, const NodeLabel& label) {
    check_block(label.block);
    const auto known = std::ranges::find(user_ops_, op);
    const auto number = kOpCount + static_cast<std::size_t>(known - user_ops_.begin());
    if (number > 0xffff) throw GraphError("a graph holds at most 65,000 different ops");
    if (known == user_ops_.end()) user_ops_.emplace_back(op);
    const NodeId id =
        push_node(static_cast<Op>(number), inputs, static_cast<std::uint32_t>(user_counts_.size()), label);
    try {
        with_context([&] { return describe(id); },
                     [&] {
                         check_inputs(inputs, label.block);
                         check_user_count(count);
                         if (outputs.empty()) throw GraphError("has no outputs");
                         shape_.clear();
                         for (const UserOutput& output : outputs) {
                             shape_.begin(output.dtype);
                             for (const ExprRef dim : output.dims) shape_.push(dim);
                         }
                         push_outputs(id);
                     });
    } catch (...) {
        drop_node(id);
        throw;
    }
    user_counts_.push_back(std::move(count));
    blocks_[label.block].nodes.push_back(id);
    note_sizes(id);
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

std::vector<BlockId> Graph::reachable_blocks() const {
    std::vector<char> reached(blocks_.size(), 0);
    std::vector<BlockId> found{0};
    reached[0] = 1;
    for (std::size_t i = 0; i < found.size(); ++i)
        for (const NodeId id : blocks_[found[i]].runs)
            for (const Run& run : runs(nodes_[id])) {
                if (reached[run.block]) continue;
                reached[run.block] = 1;
                found.push_back(run.block);
            }
    // A block is run only after it was finished: the order of finishing puts callees first.
    std::sort(found.begin() + 1, found.end(),
              [&](BlockId a, BlockId b) { return blocks_[a].finished < blocks_[b].finished; });
    std::rotate(found.begin(), found.begin() + 1, found.end());
    return found;
}

std::vector<Symbol> Graph::symbols() const {
    ExprNumbers exprs = leaf_exprs_;
    const auto collect = [&](ExprRef ref) {
        if (!ref.is_small()) exprs.number(ref);
    };
    for (const ExprRef value : attrs_.values()) collect(value);
    for (const std::vector<Run>& runs : runs_)
        for (const Run& run : runs) collect(run.times);
    for (const UserCount& count : user_counts_) {
        for (const ExprRef base : count.bases) collect(base);
        for (const Extent& extent : count.extents) {
            collect(extent.nominal);
            collect(extent.used);
        }
    }
    std::map<std::string, Symbol> found;
    for (const ExprRef expr : exprs.all())
        for (Symbol& symbol : exprs_.free_symbols(expr)) found.try_emplace(symbol.name, std::move(symbol));
    for (const std::string& index : indices_) found.erase(index);
    std::vector<Symbol> symbols;
    for (auto& [name, symbol] : found) symbols.push_back(std::move(symbol));
    return symbols;
}

// Notes a size that its bounds do not settle, the first time that it is met with this least value.
template <class What>
void Graph::note_size(ExprRef size, std::int64_t least, NodeId node, What what) {
    if (size.is_small()) return;
    ExprNumbers& known = known_sizes_[static_cast<std::size_t>(least)];
    if (const std::size_t n_known = known.size(); known.number(size) != n_known) return;
    const auto is_whole = [&](const TermView& term) {
        return term.coefficient.is_integer() && std::ranges::all_of(term.factors, [&](const auto& factor) {
                   const AtomKind kind = exprs_.head(factor.first)->kind;
                   return kind == AtomKind::symbol || kind == AtomKind::floordiv;
               });
    };
    const Interval bounds = exprs_.bounds(size);
    if (bounds.low && bounds.low->num >= bounds.low->den * least && std::ranges::all_of(exprs_.terms(size), is_whole))
        return;
    open_sizes_.push_back({size, least, node, what()});
}

// Those of a node that has been added.
void Graph::note_sizes(NodeId id) {
    const NodeRecord& node = nodes_[id];
    const auto has_windows = [&] {
        return !is_run(node.op) && !is_user(node.op) &&
               std::ranges::find(rule_of(node.op).attrs, AttrKey::kStride, &AttrSpec::key) !=
                   rule_of(node.op).attrs.end();
    };
    for (std::uint32_t output = 0; output < node.n_outputs; ++output) {
        const std::span<const ExprRef> dims = tensor(node.first_output + output).dims;
        if (std::ranges::all_of(dims, &ExprRef::is_small)) continue;
        const std::size_t spatial = has_windows() ? 2 : dims.size();  // the first such dim
        for (std::size_t axis = 0; axis < dims.size(); ++axis)
            note_size(dims[axis], axis >= spatial ? 1 : 0, id,
                      [&] { return "dim " + std::to_string(axis) + " of its output"; });
    }
    if (is_run(node.op)) {
        for (const Run& run : runs_[node.attrs])
            note_size(run.times, 0, id, [] { return std::string("its number of runs"); });
    } else if (is_user(node.op)) {
        for (const ExprRef base : user_counts_[node.attrs].bases)
            note_size(base, 0, id, [] { return std::string("an amount"); });
        for (const Extent& extent : user_counts_[node.attrs].extents) {
            note_size(extent.nominal, 0, id, [] { return std::string("the nominal size of an extent"); });
            note_size(extent.used, 0, id, [] { return std::string("the used size of an extent"); });
        }
    }
}

std::vector<OpenSize> Graph::open_sizes() const {
    std::vector<OpenSize> found;
    for (const OpenSize& each : open_sizes_) {
        const std::vector<Symbol> symbols = exprs_.free_symbols(each.size);
        if (std::ranges::none_of(symbols, [&](const Symbol& symbol) { return indices_.contains(symbol.name); }))
            found.push_back(each);
    }
    return found;
}

std::string Graph::describe(NodeId id) const {
    std::string text = std::string(name_of(nodes_[id].op));
    text += " node ";
    const std::string_view scope = texts_[nodes_[id].scope];
    const std::string_view name = texts_[nodes_[id].name];
    if (!scope.empty() || !name.empty()) {
        text += "'" + std::string(scope) + (!scope.empty() && !name.empty() ? "." : "") + std::string(name) + "' ";
    }
    return text + "(#" + std::to_string(id) + ")";
}

std::size_t Graph::memory_bytes() const {
    std::size_t total = exprs_.memory_bytes() + attrs_.memory_bytes() + runs_.capacity() * sizeof(runs_[0]) +
                        dims_.memory_bytes() + tensors_.memory_bytes() + producer_.memory_bytes() +
                        nodes_.memory_bytes() + inputs_.memory_bytes() + symbolic_leaves_.memory_bytes();
    for (const Block& block : blocks_)
        for (const auto* ids : {&block.nodes, &block.runs, &block.inputs, &block.outputs, &block.parameters})
            total += ids->memory_bytes();
    for (const std::vector<Run>& runs : runs_) total += runs.capacity() * sizeof(Run);
    return total + active_shares_.capacity() * sizeof(Rational);
}

RunViews::RunViews(const Graph& graph, Op op, std::span<const Run> runs, std::span<const TensorId> arguments,
                   const std::function<TensorView(TensorId)>& view) {
    std::vector<std::size_t> given;  // arguments of each run
    std::size_t taken = 0, n_views = arguments.size();
    for (const Run& run : runs) {
        given.push_back(graph.block_inputs(run.block).size());
        taken += given.back();
        n_views += given.back() + graph.block_outputs(run.block).size();
    }
    if (runs.size() == 1) given[0] = arguments.size();  // counted where the run is inferred
    if (runs.size() > 1 && taken != arguments.size())
        throw GraphError("has " + std::to_string(arguments.size()) + " arguments, its arms take " +
                         std::to_string(taken));
    views_.reserve(n_views);  // spans into it stay valid
    const auto views_of = [&](std::span<const TensorId> ids) {
        const std::size_t begin = views_.size();
        for (const TensorId id : ids) views_.push_back(id == kNoTensor ? TensorView{} : view(id));
        return std::span<const TensorView>(views_).subspan(begin);
    };
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const auto own = views_of(arguments.first(given[i]));
        const auto inputs = views_of(graph.block_inputs(runs[i].block));
        const auto outputs = views_of(graph.block_outputs(runs[i].block));
        runs_.push_back({op, runs[i], graph.block_name(runs[i].block), own, inputs, outputs});
        arguments = arguments.subspan(given[i]);
    }
}

}  // namespace flopcore
