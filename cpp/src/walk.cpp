#include "flopcore/walk.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "flopcore/error_context.hpp"
#include "flopcore/expr_numbers.hpp"
#include "flopcore/formulas.hpp"
#include "flopcore/rule.hpp"

namespace flopcore {

// Amounts to reserve per node; more are found in networks of norms alone. Pages that are not used cost nothing.
constexpr std::size_t kUsualAmounts = 10;

// What nodes have in common but for their sizes (op, attributes, and rank, dtype and weight of each tensor), with all
// that follows from it: worked out once, and a node is then recognised by comparing a word per tensor.
struct Form {
    // What makes a form; words are those of TensorRecord, kNoTensor for an input that is not given.
    const OpRule* rule;
    std::uint32_t attrs, origin, n_outputs;
    std::vector<std::uint32_t> words;

    OpRule user{};  // the rule of an op of the user's
    std::vector<TensorView> inputs{}, outputs{};
    std::vector<const ExprRef*> dims{};  // what dims_begin of an input counts from
    RowDTypes dtypes{};
    CountContext count;                     // as it is but for amounts, extents and flags
    std::uint32_t kind = kNoKind;           // of the last entry
    std::uint32_t n_tags = 0, variant = 0;  // of that kind
    alignas(8) std::array<AmountTag, kMaxAmounts> tags{};

    std::optional<Formulas> formulas{};  // of many such nodes
    std::uint32_t formula_kind = kNoKind;
    std::uint32_t n_seen = 0, n_asked = 0;
};

// Nodes of one form before its rule is asked for formulas (which costs as much as some hundred nodes), and how often it
// is asked when they do not hold for all.
constexpr std::uint32_t kManyNodes = 256;
constexpr std::uint32_t kMaxAsked = 4;

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
        tally_.amounts_.reserve(n_nodes * kUsualAmounts);
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
        attrs_ = graph_.attrs();
        pool_ = &attrs_;
        for (ExprRef& value : attrs_.values()) value = substituted(value, bindings);
        for (const TensorId id : graph_.symbolic_leaves()) {
            const TensorRecord& leaf = graph_.tensor_record(id);
            const ExprRef* from = graph_dims_ + leaf.dims_begin;
            ExprRef* dims = walk_dims_ + leaf.dims_begin;
            std::int64_t negative = 0;
            for (std::size_t i = 0; i < leaf.rank; ++i) {
                dims[i] = substituted(from[i], bindings);
                negative |= dims[i].is_small() ? dims[i].bits() : 0;
            }
            if (negative < 0) [[unlikely]]
                reject_negative(id, {dims, leaf.rank});
        }
        bindings_ = bindings;
    }

    [[noreturn]] void reject_negative(TensorId leaf, std::span<const ExprRef> dims) const {
        std::size_t i = 0;
        while (!dims[i].is_small() || dims[i].value() >= 0) ++i;
        throw ShapeError(graph_.describe(graph_.tensor(leaf).producer) + ": dim " + std::to_string(i) + " is " +
                         std::to_string(dims[i].value()) + " once dims are bound");
    }

    ExprRef substituted(ExprRef value, std::span<const Binding> bindings) {
        if (value.is_small()) return value;
        const std::uint32_t number = substituted_.number(value);
        if (number == substitutes_.size()) substitutes_.push_back(tally_.exprs_.substitute(value, bindings));
        return substitutes_[number];
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
        return tally_.exprs_.multiply({dims, rank});
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
        Form& form = see_inputs(node);
        if (form.formulas && by_formulas(id, node, form)) return;
        if (bound_) infer(form, node);
        see_elements(form, node);
        count_node(*form.rule, form.count);
        add_entry(id, node, form);
        if (++form.n_seen % kManyNodes == 0 && form.n_asked < kMaxAsked) [[unlikely]]
            ask_formulas(form);
    }

    // The formulas of a form, from the node that was just walked.
    void ask_formulas(Form& form) {
        ++form.n_asked;
        std::optional<Formulas> found = Formulas::learn(*form.rule, form.count.attrs, form.inputs, tally_.exprs_,
                                                        form.formulas ? &*form.formulas : nullptr);
        if (!found || found->rank() != form.outputs.front().rank) return;
        form.formulas = std::move(found);
        form.formula_kind =
            number_of_kind(form, form.formulas->variant(), form.formulas->rows(), form.formulas->parts());
    }

    // Returns false, with nothing done, where they do not hold.
    bool by_formulas(NodeId id, const NodeRecord& node, const Form& form) {
        const Formulas& formulas = *form.formulas;
        ExprRef* dims = bound_ ? walk_dims_ + graph_.tensor_record(node.first_output).dims_begin : nullptr;
        if (!formulas.evaluate(form.inputs, tally_.exprs_, dims, tally_.amounts_.room(kMaxAmounts), extents_.data()))
            return false;
        for (std::size_t i = 0; i < formulas.n_extents(); ++i) tally_.extents_.push_back(extents_[i]);
        write_entry(id, node, form.formula_kind, formulas.n_amounts(), formulas.n_extents());
        return true;
    }

    // What the user's op said when the node was added, with the dims bound.
    void walk_user(NodeId id) {
        const NodeRecord& node = graph_.node_record(id);
        const UserCount& count = graph_.user_count(node);
        Form& form = see_inputs(node);
        if (bound_) {
            shape_.clear();
            for (std::uint32_t i = 0; i < node.n_outputs; ++i) {
                const Tensor y = graph_.tensor(node.first_output + i);
                shape_.begin(y.dtype);
                for (const ExprRef dim : y.dims) shape_.push(substituted(dim, bindings_));
            }
            write_outputs(node);
        }
        see_elements(form, node);
        const auto bound = [&](ExprRef amount) {
            if (bound_) amount = substituted(amount, bindings_);
            if (amount.is_small() && amount.value() < 0) throw ShapeError("an amount is negative once dims are bound");
            return amount;
        };
        for (const Extent& each : count.extents)
            (void)form.count.add_extent({each.kind, each.grade, bound(each.nominal), bound(each.used)});
        for (std::size_t i = 0; i < count.tags.size(); ++i)
            form.count.emit(count.tags[i].feature, bound(count.bases[i]), count.tags[i].extent);
        count_sizes(*form.rule, form.count);
        add_entry(id, node, form);
    }

    // The form of a node, with the dims of its inputs in place.
    Form& see_inputs(const NodeRecord& node) {
        const std::span<const TensorId> ids = graph_.node_inputs(node);
        const std::uint32_t last = ids.empty() || ids.back() == kNoTensor ? 0 : graph_.tensor_record(ids.back()).form();
        Form*& recent =
            recent_[(static_cast<std::uint32_t>(node.op) + 31 * attrs_of(node) + last + (last >> 11)) % recent_.size()];
        if (recent == nullptr || !place_inputs(*recent, node, ids)) [[unlikely]] {
            recent = &form_of(node, ids);
            const bool placed = place_inputs(*recent, node, ids);
            FLOPCORE_ASSERT(placed);
            (void)placed;
        }
        return *recent;
    }

    // What tells forms of one op apart beside their tensors: the attributes, or what a user's op says of its inputs.
    [[nodiscard]] std::uint32_t attrs_of(const NodeRecord& node) const {
        return is_user(node.op) ? graph_.user_count(node).weight_slots : node.attrs;
    }

    // Returns false when the node is of another form.
    bool place_inputs(Form& form, const NodeRecord& node, std::span<const TensorId> ids) {
        if (form.rule->op != node.op || form.attrs != attrs_of(node) || form.inputs.size() != ids.size() ||
            form.origin != node.origin)
            return false;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            if (ids[i] == kNoTensor) {
                if (form.words[i] != kNoTensor) return false;
                continue;
            }
            const TensorRecord& t = graph_.tensor_record(ids[i]);
            if (form.words[i] != t.form()) return false;
            form.inputs[i].dims = form.dims[i] + t.dims_begin;
        }
        return form.n_outputs == node.n_outputs &&
               form.words[ids.size()] == graph_.tensor_record(node.first_output).form();
    }

    Form& form_of(const NodeRecord& node, std::span<const TensorId> ids) {
        std::vector<std::uint32_t> words;
        for (const TensorId id : ids) words.push_back(id == kNoTensor ? kNoTensor : graph_.tensor_record(id).form());
        for (std::uint32_t i = 0; i < node.n_outputs; ++i)
            words.push_back(graph_.tensor_record(node.first_output + i).form());
        std::string key(reinterpret_cast<const char*>(words.data()), words.size() * sizeof(words[0]));
        for (const std::uint32_t each :
             {static_cast<std::uint32_t>(node.op), attrs_of(node), node.origin, node.n_outputs})
            key.append(reinterpret_cast<const char*>(&each), sizeof each);
        std::unique_ptr<Form>& known = forms_[key];
        if (!known) known = make_form(node, ids, std::move(words));
        return *known;
    }

    std::unique_ptr<Form> make_form(const NodeRecord& node, std::span<const TensorId> ids,
                                    std::vector<std::uint32_t> words) {
        auto form = std::make_unique<Form>(Form{.rule = nullptr,
                                                .attrs = attrs_of(node),
                                                .origin = node.origin,
                                                .n_outputs = node.n_outputs,
                                                .words = std::move(words),
                                                .count = {.exprs = tally_.exprs_, .extents = tally_.extents_}});
        if (is_user(node.op))
            form->user = {.op = node.op, .min_inputs = 0, .max_inputs = 0, .weight_slots = attrs_of(node)};
        form->rule = is_user(node.op) ? &form->user : &rules_[static_cast<std::size_t>(node.op)];
        const OpRule& rule = *form->rule;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            form->inputs.emplace_back();
            form->dims.push_back(nullptr);
            if (ids[i] == kNoTensor) continue;
            const TensorRecord& t = graph_.tensor_record(ids[i]);
            form->inputs[i] = {nullptr, t.rank, t.dtype, rule.weight_slot(i) || t.parameter, {}};
            // Bound dims are the walk's own, but for leaves of plain numbers.
            form->dims[i] = t.plain_leaf ? graph_dims_ : own_dims_;
        }
        for (std::uint32_t i = 0; i < node.n_outputs; ++i) {
            const TensorRecord& t = graph_.tensor_record(node.first_output + i);
            form->outputs.push_back({nullptr, t.rank, t.dtype, t.parameter, {}});
        }
        CountContext& count = form->count;
        count.rule = &rule;
        if (!is_user(node.op)) count.attrs = pool_->view(node.attrs);
        count.inputs = form->inputs;
        count.outputs = form->outputs;
        count.element_bytes = element_bytes(rule, *form);
        form->dtypes = row_dtypes(*form);
        return form;
    }

    static std::uint32_t element_bytes(const OpRule& rule, const Form& form) {
        const unsigned bits = info(form.outputs.front().dtype).bits;
        if (bits % 8 != 0 || rule.gathers || rule.cache_slots != 0) return 0;
        for (const TensorView& t : form.outputs)
            if (info(t.dtype).bits != bits) return 0;
        for (std::size_t i = 0; i < form.inputs.size(); ++i)
            if (form.words[i] != kNoTensor && info(form.inputs[i].dtype).bits != bits) return 0;
        return bits / 8;
    }

    // The sizes of a node's tensors, and room for what is counted of them.
    void see_elements(Form& form, const NodeRecord& node) {
        CountContext& count = form.count;
        for (TensorView& t : form.inputs)
            if (t.given()) t.elements = elements(t.dims, t.rank);
        for (std::uint32_t i = 0; i < form.n_outputs; ++i) {
            TensorView& y = form.outputs[i];
            y.dims = dims_of(graph_.tensor_record(node.first_output + i));
            y.elements = elements(y.dims, y.rank);
        }
        count.y = form.outputs.front();
        count.variant = 0;
        count.n_amounts = 0;
        count.bases = tally_.amounts_.room(kMaxAmounts);
        count.n_extents = 0;
    }

    void add_entry(NodeId id, const NodeRecord& node, Form& form) {
        const CountContext& count = form.count;
        if (form.n_tags != count.n_amounts || form.variant != count.variant || form.kind == kNoKind ||
            !same_tags(form.tags, count.tags, count.n_amounts)) [[unlikely]]
            note_kind(form);
        write_entry(id, node, form.kind, count.n_amounts, count.n_extents);
    }

    void write_entry(NodeId id, const NodeRecord& node, std::uint32_t kind, std::size_t n_amounts,
                     std::size_t n_extents) {
        Entry& entry = *tally_.entries_.room(1);
        entry.site = id;
        entry.name = node.name;
        entry.scope = node.scope;
        entry.kind = kind;
        entry.amounts_begin = static_cast<std::uint32_t>(tally_.amounts_.size());
        entry.extents_begin = static_cast<std::uint32_t>(tally_.extents_.size() - n_extents);
        tally_.entries_.commit(1);
        tally_.amounts_.commit(n_amounts);
    }

    static bool same_tags(const std::array<AmountTag, kMaxAmounts>& a, const std::array<AmountTag, kMaxAmounts>& b,
                          std::uint32_t n) {
        constexpr std::uint32_t kAtOnce = sizeof(std::uint64_t) / sizeof(AmountTag);
        static_assert(kMaxAmounts % kAtOnce == 0 && sizeof(AmountTag) == 2);
        const auto word = [](const std::array<AmountTag, kMaxAmounts>& tags, std::uint32_t i) {
            std::uint64_t bits;
            std::memcpy(&bits, tags.data() + i, sizeof bits);
            return bits;
        };
        std::uint32_t i = 0;
        for (; i + kAtOnce <= n; i += kAtOnce)
            if (word(a, i) != word(b, i)) return false;
        return i == n || (word(a, i) ^ word(b, i)) << (16 * (kAtOnce - (n - i))) == 0;
    }

    // The kind of what was just counted.
    void note_kind(Form& form) {
        const CountContext& count = form.count;
        form.n_tags = count.n_amounts;
        form.variant = count.variant;
        form.tags = count.tags;
        std::vector<RowTag> rows;
        std::vector<RowPart> parts;
        for (std::uint16_t i = 0; i < count.n_amounts; ++i) {
            rows.push_back({count.tags[i].feature, count.tags[i].extent, i, static_cast<std::uint16_t>(i + 1)});
            parts.push_back({i, 1});
        }
        form.kind = number_of_kind(form, count.variant, rows, parts);
    }

    std::uint32_t number_of_kind(const Form& form, std::uint32_t variant, std::span<const RowTag> rows,
                                 std::span<const RowPart> parts) {
        const Phase phase = form.count.phase;
        const auto known = std::ranges::find_if(tally_.kinds_, [&](const EntryKind& kind) {
            return kind.op == form.rule->op && kind.phase == phase && kind.variant == variant &&
                   kind.origin == form.origin && kind.dtypes == form.dtypes && std::ranges::equal(kind.rows, rows) &&
                   std::ranges::equal(kind.parts, parts);
        });
        const auto number = static_cast<std::uint32_t>(known - tally_.kinds_.begin());
        if (known == tally_.kinds_.end())
            tally_.kinds_.push_back({.op = form.rule->op,
                                     .phase = phase,
                                     .dtypes = form.dtypes,
                                     .variant = variant,
                                     .origin = form.origin,
                                     .rows = {rows.begin(), rows.end()},
                                     .parts = {parts.begin(), parts.end()}});
        return number;
    }

    void infer(Form& form, const NodeRecord& node) {
        InferContext context{tally_.exprs_, form.count.attrs, form.inputs, shape_, form.rule};
        shape_.clear();
        form.rule->infer(context);
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

    // Of the first input that is no weight; of the first weight, else of the second operand; of the sums (by attribute,
    // else as the output); of the output. One stands in for a missing other.
    static RowDTypes row_dtypes(const Form& form) {
        const DType out = form.outputs.front().dtype;
        RowDTypes dtypes{out, out, out, out};
        bool seen_input = false, seen_weight = false, seen_second = false;
        for (std::size_t i = 0; i < form.inputs.size(); ++i) {
            const TensorView& t = form.inputs[i];
            if (form.words[i] == kNoTensor) continue;
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
        if (const auto sums = form.count.attrs.scalar(AttrKey::kAccumulate))
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
    ExprNumbers substituted_;
    std::vector<ExprRef> substitutes_;     // of each of those
    std::vector<std::uint32_t> position_;  // graph block -> tally block
    ShapeWriter shape_;
    std::unordered_map<std::string, std::unique_ptr<Form>> forms_;  // by the bytes of what makes them
    std::array<Extent, Formulas::kMaxExtents> extents_{};           // of one node
    std::array<Form*, 1024> recent_{};  // by a few bits of what makes them; a guess, checked at each node
};

Tally walk(const Graph& graph, std::span<const Binding> bindings) { return Walker(graph, bindings).run(); }

}  // namespace flopcore
