// Graph: an arena of tensors and nodes in blocks. Block 0 is the main program; a subgraph is another block that
// calls, loops and ifs run. Structure of arrays, 32-bit ids, append-only, inputs before outputs: a walk is a loop.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flopcore/amount.hpp"
#include "flopcore/attributes.hpp"
#include "flopcore/column.hpp"
#include "flopcore/dtype.hpp"
#include "flopcore/expr.hpp"
#include "flopcore/expr_numbers.hpp"
#include "flopcore/ids.hpp"
#include "flopcore/op.hpp"
#include "flopcore/rule.hpp"
#include "flopcore/run.hpp"
#include "flopcore/text_pool.hpp"

namespace flopcore {

struct Tensor {
    std::span<const ExprRef> dims;
    DType dtype;
    NodeId producer;
    [[nodiscard]] TensorView view() const {
        return {.dims = dims.data(), .rank = static_cast<std::uint8_t>(dims.size()), .dtype = dtype};
    }
};

struct Node {
    Op op;
    BlockId block;
    std::span<const TensorId> inputs;
    TensorId first_output;
    std::uint32_t n_outputs;
    std::uint32_t attrs;  // set in Graph::attrs()
    std::uint32_t name;   // texts
    std::uint32_t scope;
    std::uint32_t origin;
};

// How tensors and nodes lie in the arena: records that a walk reads whole, hence not split into columns.
struct TensorRecord {
    std::uint32_t dims_begin;
    std::uint8_t rank;
    DType dtype;
    bool parameter;
    bool plain_leaf;  // a leaf of numbers alone
    // All but where the dims lie, as one word.
    [[nodiscard]] std::uint32_t form() const {
        return static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(*this) >> 32);
    }
};
static_assert(sizeof(TensorRecord) == 8 && std::endian::native == std::endian::little);
struct NodeRecord {
    std::uint32_t inputs_begin, n_inputs;
    TensorId first_output;
    std::uint32_t n_outputs;
    std::uint32_t attrs;  // for a node that runs blocks, or of a user's op: its place in the list of them
    std::uint32_t name, scope, origin;
    BlockId block;
    Op op;
};

// What a user's op says of one node: its amounts, and which of its inputs are weights.
struct UserCount {
    std::vector<AmountTag> tags{};
    std::vector<ExprRef> bases{};  // as many
    std::vector<Extent> extents{};
    std::uint32_t weight_slots = 0;  // as in OpRule
};
struct UserOutput {
    std::vector<ExprRef> dims;
    DType dtype;
};

// Where and as what a node is added.
struct NodeLabel {
    BlockId block = 0;
    std::string_view name{};
    std::string_view scope{};
    std::string_view origin{};
};

// Columns of a bulk append: node i is ops[i] over inputs[offsets[i] .. offsets[i + 1]). Input ids are graph-wide; the
// outputs, several of one node side by side, take the next ids in order.
struct NodeColumns {
    std::span<const std::uint16_t> ops;
    std::span<const std::uint32_t> offsets;
    std::span<const std::uint32_t> inputs;
    std::span<const std::uint32_t> attrs;  // interned sets
};

// A size that some values of its dims make too small, or a fraction: the graph is none for those values.
struct OpenSize {
    ExprRef size;
    std::int64_t least;  // 1 for places of a window, else 0
    NodeId node;         // the first one that has it
    std::string what;    // "dim 2 of its output", "its number of runs", "an amount"
};

class Graph {
  public:
    Graph();

    [[nodiscard]] ExprStore& exprs() { return exprs_; }
    [[nodiscard]] const ExprStore& exprs() const { return exprs_; }

    [[nodiscard]] BlockId add_block(std::string_view name);
    // The outputs of a block; it can be called from then on, and not be added to.
    void finish(BlockId block, std::span<const TensorId> outputs);

    // op is kInput, kParameter or kConstant.
    TensorId add_leaf(Op op, std::span<const ExprRef> dims, DType dtype, const NodeLabel& label);
    // Which part of a parameter one token goes through, over 0 and at most 1: 2/8 where a router picks 2 of 8 experts.
    void set_active(TensorId parameter, Rational share);
    [[nodiscard]] Rational active(TensorId parameter) const;
    [[nodiscard]] bool all_active() const { return active_shares_.empty(); }
    // Leaves of one dtype, many at once: dims of leaf i are dims[offsets[i] .. offsets[i + 1]). Returns the first id.
    TensorId append_leaves(Op op, std::span<const std::uint32_t> offsets, std::span<const std::int64_t> dims,
                           DType dtype, BlockId block);
    // Infers the output shapes by the op's rule; throws ShapeError or GraphError with the node's name.
    NodeId add_node(Op op, std::span<const TensorId> inputs, std::uint32_t attrs, const NodeLabel& label);
    // op is kCall, kLoop or kRecompute with one run, or kIf with one per arm; inputs are those of the runs in order.
    // Arms have probabilities that sum to 1, or none.
    NodeId add_runs(Op op, std::vector<Run> runs, std::span<const TensorId> inputs, const NodeLabel& label);
    NodeId append_nodes(const NodeColumns& columns, BlockId block);
    // A node of an op that the caller has inferred and counted. Amounts must not be negative.
    NodeId add_user_node(std::string_view op, std::span<const TensorId> inputs, std::span<const UserOutput> outputs,
                         UserCount count, const NodeLabel& label);
    [[nodiscard]] std::uint32_t intern_attrs(Op op, std::span<const AttrInput> inputs);

    [[nodiscard]] std::size_t n_nodes() const { return nodes_.size(); }
    [[nodiscard]] std::size_t n_tensors() const { return tensors_.size(); }
    [[nodiscard]] std::size_t n_blocks() const { return blocks_.size(); }
    [[nodiscard]] Tensor tensor(TensorId id) const;
    [[nodiscard]] Node node(NodeId id) const;
    [[nodiscard]] const UserCount& user_count(const NodeRecord& node) const { return user_counts_[node.attrs]; }
    // Names of the ops of users in this graph: that of op kOpCount + i.
    [[nodiscard]] const std::vector<std::string>& user_ops() const { return user_ops_; }
    [[nodiscard]] std::string_view name_of(Op op) const {
        return is_user(op) ? std::string_view(user_ops_[static_cast<std::size_t>(op) - kOpCount]) : op_name(op);
    }
    [[nodiscard]] std::span<const Run> runs(const NodeRecord& node) const { return runs_[node.attrs]; }
    [[nodiscard]] const AttrPool& attrs() const { return attrs_; }
    [[nodiscard]] const TextPool& texts() const { return texts_; }

    // Nodes that compute, in order; leaves are not among them.
    [[nodiscard]] std::span<const NodeId> block_nodes(BlockId block) const { return blocks_[block].nodes.span(); }
    [[nodiscard]] std::span<const TensorId> block_inputs(BlockId block) const { return blocks_[block].inputs.span(); }
    [[nodiscard]] std::span<const TensorId> block_outputs(BlockId block) const { return blocks_[block].outputs.span(); }
    [[nodiscard]] std::span<const TensorId> block_parameters(BlockId block) const {
        return blocks_[block].parameters.span();
    }
    [[nodiscard]] std::string_view block_name(BlockId block) const { return texts_[blocks_[block].name]; }
    [[nodiscard]] bool finished(BlockId block) const { return blocks_[block].finished != 0; }
    // Blocks that the main block runs, callees before callers, the main block last.
    [[nodiscard]] std::vector<BlockId> reachable_blocks() const;

    [[nodiscard]] std::span<const ExprRef> all_dims() const { return dims_.span(); }
    [[nodiscard]] const TensorRecord& tensor_record(TensorId id) const { return tensors_[id]; }
    [[nodiscard]] const NodeRecord& node_record(NodeId id) const { return nodes_[id]; }
    [[nodiscard]] std::span<const TensorId> node_inputs(const NodeRecord& node) const {
        return {inputs_.data() + node.inputs_begin, node.n_inputs};
    }
    [[nodiscard]] std::span<const TensorId> symbolic_leaves() const { return symbolic_leaves_.span(); }
    // Dims of the leaves, attributes and repeats, sorted by name, but for the indices of loops: what a walk may bind.
    [[nodiscard]] std::vector<Symbol> symbols() const;
    // Sizes that bounds alone do not show to be whole and large enough, each once; those with the index of a loop,
    // which are known only inside it, are not among them.
    [[nodiscard]] std::vector<OpenSize> open_sizes() const;
    // "conv node 'enc.3.conv' (#412)"
    [[nodiscard]] std::string describe(NodeId id) const;
    [[nodiscard]] std::size_t memory_bytes() const;

  private:
    struct Block {
        std::uint32_t name = 0;
        std::uint32_t finished = 0;  // order of finishing, from 1
        Column<NodeId> nodes, runs;
        Column<TensorId> inputs, outputs, parameters;
    };

    void note_symbolic(TensorId leaf);
    template <class What>
    void note_size(ExprRef size, std::int64_t least, NodeId node, What what);
    void note_sizes(NodeId id);
    void check_block(BlockId block) const;
    void check_inputs(std::span<const TensorId> inputs, BlockId block) const;
    NodeId push_node(Op op, std::span<const TensorId> inputs, std::uint32_t attrs, const NodeLabel& label);
    TensorId push_tensor(std::span<const ExprRef> dims, DType dtype, NodeId producer);
    void check_input_count(const OpRule& rule, std::span<const TensorId> inputs) const;
    void infer_outputs(NodeId id);
    void check_run(const Run& run) const;
    void check_user_count(const UserCount& count) const;
    void push_outputs(NodeId id);
    void drop_node(NodeId id);

    ExprStore exprs_;
    AttrPool attrs_;
    TextPool texts_;
    std::vector<Block> blocks_;
    std::uint32_t n_finished_ = 0;
    std::vector<std::vector<Run>> runs_;  // of each node that runs blocks
    std::vector<std::string> user_ops_;
    std::vector<UserCount> user_counts_;   // of each node of a user's op
    std::vector<Rational> active_shares_;  // of each parameter whose node has attrs: index + 1
    ShapeWriter shape_;                    // scratch of one inference
    Column<ExprRef> dims_;
    Column<TensorRecord> tensors_;
    Column<NodeId> producer_;  // of each tensor
    Column<NodeRecord> nodes_;
    Column<TensorId> inputs_;
    Column<TensorId> symbolic_leaves_;
    std::set<std::string> indices_;           // names of the symbols that count the runs of loops
    ExprNumbers leaf_exprs_;                  // the different dims of symbolic leaves
    std::array<ExprNumbers, 2> known_sizes_;  // that were looked at, by their least value
    std::vector<OpenSize> open_sizes_;        // of those, with the ones that have the index of a loop
};

// The runs of a node with the shapes around them, as `view` gives them.
class RunViews {
  public:
    RunViews(const Graph& graph, Op op, std::span<const Run> runs, std::span<const TensorId> arguments,
             const std::function<TensorView(TensorId)>& view);
    RunViews(const RunViews&) = delete;
    RunViews& operator=(const RunViews&) = delete;
    [[nodiscard]] std::span<const RunView> span() const { return runs_; }

  private:
    std::vector<TensorView> views_;
    std::vector<RunView> runs_;
};

}  // namespace flopcore
