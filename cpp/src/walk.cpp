#include "flopcore/walk.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "flopcore/error_context.hpp"
#include "flopcore/rule.hpp"

namespace flopcore {

// Amounts to reserve per node; more are found in networks of norms alone. Pages that are not used cost nothing.
constexpr std::size_t kUsualAmounts = 10;

class Walker {
  public:
    Walker(const Graph& graph, std::span<const Binding> bindings) : graph_(graph), bound_(!bindings.empty()) {
        tally_.exprs_ = graph.exprs();
        tally_.texts_ = graph.texts();
        tally_.user_ops_ = graph.user_ops();
        if (!bound_) return;
        check(bindings);
        bind(bindings);
    }

    Tally run() && {
        const std::vector<BlockId> order = graph_.reachable_blocks();
        position_.assign(graph_.n_blocks(), 0);
        std::size_t n_nodes = 0;
        for (const BlockId block : order) n_nodes += graph_.block_nodes(block).size();
        tally_.entries_.reserve(n_nodes);
        tally_.amount_base_.reserve(n_nodes * kUsualAmounts);
        for (std::uint32_t i = 0; i < order.size(); ++i) {
            position_[order[i]] = i;
            walk_block(order[i]);
        }
        tally_.check_no_index(tally_.exprs_, tally_.parameters());
        return std::move(tally_);
    }

  private:
    // Each binding must name a dim of the graph and keep its bounds.
    void check(std::span<const Binding> bindings) const {
        const std::vector<Symbol> symbols = graph_.symbols();
        for (const Binding& binding : bindings) {
            const std::string name(binding.name);
            const auto symbol = std::ranges::find(symbols, name, &Symbol::name);
            if (symbol == symbols.end()) {
                std::string known;
                for (const Symbol& each : symbols) known += (known.empty() ? "" : ", ") + each.name;
                throw DataError("the graph has no dim '" + name + "'; " +
                                (known.empty() ? "all its dims are numbers" : "its dims are " + known));
            }
            const std::int64_t value = binding.value.value();
            if (value < symbol->min || (symbol->max && value > *symbol->max) || value % symbol->multiple_of != 0)
                throw DataError("dim '" + name + "' cannot be " + std::to_string(value) + ": it is at least " +
                                std::to_string(symbol->min) +
                                (symbol->max ? ", at most " + std::to_string(*symbol->max) : std::string()) +
                                (symbol->multiple_of != 1 ? ", a multiple of " + std::to_string(symbol->multiple_of)
                                                          : std::string()));
        }
    }

    // Substitutes the bindings in leaves and attributes; the walk infers the other shapes again.
    void bind(std::span<const Binding> bindings) {
        own_dims_ = walk_dims_ = dims_.room(graph_.all_dims().size() +
                                            1);  // never null; written leaf by leaf here, output by output in the walk
        substitution_.resize(tally_.exprs_.n_expressions());
        attrs_ = graph_.attrs();
        pool_ = &attrs_;
        for (ExprRef& value : attrs_.values()) value = substituted(value, bindings);
        for (const TensorId id : graph_.symbolic_leaves()) {
            const Tensor leaf = graph_.tensor(id);
            ExprRef* dims = walk_dims_ + graph_.tensor_record(id).dims_begin;
            for (std::size_t i = 0; i < leaf.dims.size(); ++i) {
                dims[i] = substituted(leaf.dims[i], bindings);
                if (dims[i].is_small() && dims[i].value() < 0)
                    throw ShapeError(graph_.describe(leaf.producer) + ": dim " + std::to_string(i) + " is " +
                                     std::to_string(dims[i].value()) + " once dims are bound");
            }
        }
        bindings_ = bindings;
    }

    ExprRef substituted(ExprRef value, std::span<const Binding> bindings) {
        if (value.is_small()) return value;
        std::optional<ExprRef>& known = substitution_[value.id()];
        if (!known) known = tally_.exprs_.substitute(value, bindings);
        return *known;
    }

    [[nodiscard]] std::span<const ExprRef> dims_of(TensorId id) const {
        const TensorRecord& t = graph_.tensor_record(id);
        return {dims_of(t), t.rank};
    }
    // Bound dims are the walk's own, but for leaves of plain numbers.
    [[nodiscard]] const ExprRef* dims_of(const TensorRecord& t) const {
        return (t.plain_leaf ? graph_dims_ : own_dims_) + t.dims_begin;
    }

    [[nodiscard]] ExprRef elements(const ExprRef* dims, std::size_t rank) {
        std::int64_t twice = 2;  // the handle of a small integer is twice its value, so this ends as the handle
        for (std::size_t i = 0; i < rank; ++i)
            if (!dims[i].is_small() || __builtin_mul_overflow(twice, dims[i].value(), &twice)) [[unlikely]]
                return elements_slow(dims, rank);
        return ExprRef::small(twice >> 1);
    }
    [[nodiscard]] ExprRef elements_slow(const ExprRef* dims, std::size_t rank) {
        ExprRef product = ExprRef::small(1);
        for (std::size_t i = 0; i < rank; ++i) product = tally_.exprs_.mul(product, dims[i]);
        return product;
    }

    [[nodiscard]] TensorView view(TensorId id, bool weight_slot) {
        const TensorRecord& t = graph_.tensor_record(id);
        const ExprRef* dims = dims_of(t);
        return {dims, t.rank, t.dtype, weight_slot || t.parameter, elements(dims, t.rank)};
    }

    void walk_block(BlockId block) {
        TallyBlock record{.name = 0,
                          .entries_begin = static_cast<std::uint32_t>(tally_.entries_.size()),
                          .entries_end = 0,
                          .frames_begin = static_cast<std::uint32_t>(tally_.frames_.size()),
                          .frames_end = 0,
                          .parameters = {},
                          .active = {}};
        record.name = tally_.texts_.intern(graph_.block_name(block));
        NodeId current = 0;
        with_context([&] { return graph_.describe(current); },
                     [&] {
                         for (const NodeId id : graph_.block_nodes(block)) {
                             current = id;
                             const Op op = graph_.node_record(id).op;
                             if (op >= Op::kCall) [[unlikely]]
                                 is_user(op) ? walk_user(id) : walk_runs(id, position_[block]);
                             else
                                 walk_node(id);
                         }
                     });
        record.entries_end = static_cast<std::uint32_t>(tally_.entries_.size());
        record.frames_end = static_cast<std::uint32_t>(tally_.frames_.size());
        record.parameters = parameters(block, record, &TallyBlock::parameters);
        record.active = graph_.all_active() ? record.parameters : parameters(block, record, &TallyBlock::active);
        tally_.blocks_.push_back(record);
    }

    void walk_runs(NodeId id, std::uint32_t parent) {
        const NodeRecord& node = graph_.node_record(id);
        std::vector<Run> runs(graph_.runs(node).begin(), graph_.runs(node).end());
        for (std::uint32_t arm = 0; arm < runs.size(); ++arm) {
            Run& run = runs[arm];
            if (bound_) run.times = substituted(run.times, bindings_);
            const bool indexed = run.index != ExprRef();
            tally_.frames_.push_back({.parent = parent,
                                      .block = position_[run.block],
                                      .kind = kind_of(node.op),
                                      .params = run.params,
                                      .times = run.times,
                                      .index = indexed ? tally_.texts_.intern(tally_.exprs_.text(run.index)) : 0,
                                      .arm = arm,
                                      .probability = run.probability,
                                      .site = id,
                                      .scope = frame_scope(node, run)});
        }
        if (!bound_) return;
        shape_.clear();
        const RunViews views(graph_, node.op, runs, graph_.node_inputs(node), [&](TensorId t) {
            const TensorRecord& record = graph_.tensor_record(t);
            return TensorView{.dims = dims_of(record), .rank = record.rank, .dtype = record.dtype};
        });
        infer_runs(tally_.exprs_, views.span(), shape_);
        write_outputs(node);
    }

    [[nodiscard]] static FrameKind kind_of(Op op) {
        switch (op) {
            case Op::kLoop:
                return FrameKind::kLoop;
            case Op::kIf:
                return FrameKind::kBranch;
            case Op::kRecompute:
                return FrameKind::kRecompute;
            default:
                return FrameKind::kCall;
        }
    }

    // layers, 32 times -> layers.[0..31]; the arm `then` of vad -> vad.then
    std::uint32_t frame_scope(const NodeRecord& node, const Run& run) {
        const std::string scope(graph_.texts()[node.scope]);
        const std::string name(graph_.texts()[node.name]);
        std::string text = scope.empty() || name.empty() ? scope + name : scope + "." + name;
        std::string part;
        if (node.op == Op::kIf) part = graph_.block_name(run.block);
        // A scope that says which repeats of a list these are (layers.[3..60]) stays as it is.
        if (run.times != ExprRef::small(1) && !text.ends_with(']'))
            part = "[0.." + tally_.exprs_.text(tally_.exprs_.sub(run.times, ExprRef::small(1))) + "]";
        return tally_.texts_.intern(text.empty() || part.empty() ? text + part : text + "." + part);
    }

    void walk_node(NodeId id) {
        const NodeRecord& node = graph_.node_record(id);
        const OpRule& rule = rules_[static_cast<std::size_t>(node.op)];
        see_inputs(node, rule);
        context_.attrs = pool_->view(node.attrs);
        if (bound_) infer(rule, node);
        see_outputs(node);
        count_node(rule, context_);
        add_entry(id, node);
    }

    // What the user's op said when the node was added, with the dims bound.
    void walk_user(NodeId id) {
        const NodeRecord& node = graph_.node_record(id);
        const UserCount& count = graph_.user_count(node);
        const OpRule rule{.op = node.op, .min_inputs = 0, .max_inputs = 0, .weight_slots = count.weight_slots};
        see_inputs(node, rule);
        if (bound_) {
            shape_.clear();
            for (std::uint32_t i = 0; i < node.n_outputs; ++i) {
                const Tensor y = graph_.tensor(node.first_output + i);
                shape_.begin(y.dtype);
                for (const ExprRef dim : y.dims) shape_.push(substituted(dim, bindings_));
            }
            write_outputs(node);
        }
        see_outputs(node);
        const auto bound = [&](ExprRef amount) {
            if (bound_) amount = substituted(amount, bindings_);
            if (amount.is_small() && amount.value() < 0) throw ShapeError("an amount is negative once dims are bound");
            return amount;
        };
        for (const Extent& each : count.extents)
            (void)context_.add_extent({each.kind, each.grade, bound(each.nominal), bound(each.used)});
        for (std::size_t i = 0; i < count.tags.size(); ++i)
            context_.emit(count.tags[i].feature, bound(count.bases[i]), count.tags[i].extent);
        count_sizes(rule, context_);
        add_entry(id, node);
    }

    void see_inputs(const NodeRecord& node, const OpRule& rule) {
        const std::span<const TensorId> ids = graph_.node_inputs(node);
        if (ids.size() > views_.size()) views_.resize(ids.size());
        TensorView* views = views_.data();
        for (std::size_t i = 0; i < ids.size(); ++i)
            views[i] = ids[i] == kNoTensor ? TensorView{} : view(ids[i], rule.weight_slot(i));
        context_.inputs = {views, ids.size()};
    }

    // The outputs, and room for what is counted of them.
    void see_outputs(const NodeRecord& node) {
        context_.y = view(node.first_output, false);
        context_.outputs = node.n_outputs == 1 ? std::span(&context_.y, 1) : output_views(node);
        context_.variant = 0;
        context_.n_amounts = 0;
        context_.bases = tally_.amount_base_.room(kMaxAmounts);
        context_.n_extents = 0;
    }

    void add_entry(NodeId id, const NodeRecord& node) {
        Entry& entry = *tally_.entries_.room(1);
        entry.site = id;
        entry.name = node.name;
        entry.scope = node.scope;
        entry.origin = node.origin;
        entry.amounts_begin = static_cast<std::uint32_t>(tally_.amount_base_.size());
        entry.extents_begin = static_cast<std::uint32_t>(tally_.extents_.size()) - context_.n_extents;
        entry.dtypes = row_dtypes(context_.inputs);
        entry.op = node.op;
        entry.phase = context_.phase;
        entry.variant = context_.variant;
        entry.signature = signature(node.op);
        tally_.entries_.commit(1);
        tally_.amount_base_.commit(context_.n_amounts);
    }

    // The number of the sequence of tags just emitted; mostly that of the last node of the same op.
    std::uint32_t signature(Op op) {
        LastSignature& last = last_signature_[op_row(op)];
        const std::uint32_t n = context_.n_amounts;
        if (last.n != n || std::memcmp(last.tags.data(), context_.tags.data(), n * sizeof(AmountTag)) != 0)
            [[unlikely]] {
            const std::span<const AmountTag> tags(context_.tags.data(), n);
            const auto known = std::ranges::find_if(tally_.signatures_,
                                                    [&](const auto& each) { return std::ranges::equal(each, tags); });
            last.id = static_cast<std::uint32_t>(known - tally_.signatures_.begin());
            last.n = n;
            last.tags = context_.tags;
            if (known == tally_.signatures_.end()) tally_.signatures_.emplace_back(tags.begin(), tags.end());
        }
        return last.id;
    }

    void infer(const OpRule& rule, const NodeRecord& node) {
        infer_.attrs = context_.attrs;
        infer_.inputs = context_.inputs;
        infer_.rule = &rule;
        shape_.clear();
        rule.infer(infer_);
        write_outputs(node);
    }

    // What was just inferred, as the dims of a node's outputs.
    void write_outputs(const NodeRecord& node) {
        if (shape_.n_outputs() != node.n_outputs) [[unlikely]]
            throw ShapeError("has another number of outputs once dims are bound");
        for (std::uint32_t output = 0; output < node.n_outputs; ++output) {
            const TensorRecord& y = graph_.tensor_record(node.first_output + output);
            const std::span<const ExprRef> dims = shape_.dims(output);
            if (dims.size() != y.rank) [[unlikely]]
                throw ShapeError("an output has another number of dims once dims are bound");
            ExprRef* place = walk_dims_ + y.dims_begin;
            for (std::size_t i = 0; i < dims.size(); ++i) {
                if (dims[i].is_small() && dims[i].bits() < 0) [[unlikely]]
                    throw ShapeError("a dim is negative once dims are bound");
                place[i] = dims[i];
            }
        }
    }

    [[nodiscard]] std::span<const TensorView> output_views(const NodeRecord& node) {
        outputs_.clear();
        for (std::uint32_t i = 0; i < node.n_outputs; ++i) outputs_.push_back(view(node.first_output + i, false));
        return outputs_;
    }

    // Of the first input that is no weight; of the first weight, else of the second operand; of the sums (by attribute,
    // else as the output); of the output. One stands in for a missing other.
    [[nodiscard]] RowDTypes row_dtypes(std::span<const TensorView> inputs) const {
        const DType out = context_.y.dtype;
        RowDTypes dtypes{out, out, out, out};
        bool seen_input = false, seen_weight = false, seen_second = false;
        for (const TensorView& t : inputs) {
            if (!t.given()) continue;
            if (t.weight) {
                if (!seen_weight) dtypes.weight = t.dtype, seen_weight = true;
            } else if (!seen_input) {
                dtypes.input = t.dtype, seen_input = true;
            } else if (!seen_weight && !seen_second) {
                dtypes.weight = t.dtype, seen_second = true;
            }
        }
        if (!seen_input) dtypes.input = dtypes.weight;
        if (!seen_weight && !seen_second) dtypes.weight = dtypes.input;
        if (const auto sums = context_.attrs.scalar(AttrKey::kAccumulate))
            dtypes.accumulate = static_cast<DType>(sums->value());
        return dtypes;
    }

    // Weights of a block, or those that one token goes through: its own, those of each per_call frame times its
    // repeats, those of a shared callee once.
    ExprRef parameters(BlockId block, const TallyBlock& record, ExprRef TallyBlock::* which) {
        ExprStore& exprs = tally_.exprs_;
        ExprRef total;
        for (const TensorId id : graph_.block_parameters(block)) {
            const ExprRef each = elements(dims_of(id).data(), dims_of(id).size());
            total = exprs.add(total, which == &TallyBlock::active ? exprs.scale(each, graph_.active(id)) : each);
        }
        std::unordered_set<std::uint32_t> shared;
        for (std::uint32_t i = record.frames_begin; i < record.frames_end; ++i) {
            const Frame& frame = tally_.frames_[i];
            const ExprRef each = tally_.blocks_[frame.block].*which;
            if (frame.kind == FrameKind::kRecompute) continue;
            if (frame.params == Params::kPerCall)
                total = exprs.add(total, tally_.over_runs(exprs, frame, each));
            else if (shared.insert(frame.block).second)
                total = exprs.add(total, each);
        }
        return total;
    }

    const Graph& graph_;
    const OpRule* rules_ = all_rules().data();
    bool bound_;
    std::span<const Binding> bindings_;
    Tally tally_;
    AttrPool attrs_;  // bound copies, when dims are bound
    const AttrPool* pool_ = &graph_.attrs();
    Column<ExprRef> dims_;
    const ExprRef* graph_dims_ = graph_.all_dims().data();
    const ExprRef* own_dims_ = graph_dims_;  // walk_dims_ when dims are bound
    ExprRef* walk_dims_ = nullptr;
    std::vector<std::optional<ExprRef>> substitution_;  // by id of the expression
    std::vector<std::uint32_t> position_;               // graph block -> tally block
    std::vector<TensorView> views_ = std::vector<TensorView>(8);
    std::vector<TensorView> outputs_;
    ShapeWriter shape_;
    struct LastSignature {
        std::uint32_t n = kNoTensor;  // of none yet
        std::uint32_t id = 0;
        std::array<AmountTag, kMaxAmounts> tags{};
    };
    std::array<LastSignature, kOpCount + 1> last_signature_{};  // by op_row
    InferContext infer_{.exprs = tally_.exprs_, .attrs = {}, .inputs = {}, .out = shape_};
    CountContext context_{.exprs = tally_.exprs_, .extents = tally_.extents_};
};

Tally walk(const Graph& graph, std::span<const Binding> bindings) { return Walker(graph, bindings).run(); }

}  // namespace flopcore
