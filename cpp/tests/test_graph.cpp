#include <algorithm>

#include "check.hpp"
#include "flopcore/graph.hpp"

using namespace flopcore;

namespace {

ExprRef n(std::int64_t value) { return ExprRef::small(value); }

TensorId leaf(Graph& g, Op op, std::initializer_list<ExprRef> dims, DType dtype = DType::kFloat32, BlockId block = 0) {
    return g.add_leaf(op, std::span<const ExprRef>(dims.begin(), dims.size()), dtype, {.block = block});
}

TensorId node(Graph& g, Op op, std::initializer_list<TensorId> inputs, std::initializer_list<AttrInput> attrs = {},
              const NodeLabel& label = {}) {
    const std::uint32_t set = g.intern_attrs(op, std::span<const AttrInput>(attrs.begin(), attrs.size()));
    return g.node(g.add_node(op, std::span<const TensorId>(inputs.begin(), inputs.size()), set, label)).first_output;
}

AttrInput ints(std::string_view name, std::vector<ExprRef> values) { return {name, std::move(values)}; }

bool shape_is(const Graph& g, TensorId id, std::initializer_list<ExprRef> dims) {
    const auto shape = g.tensor(id).dims;
    return std::equal(shape.begin(), shape.end(), dims.begin(), dims.end());
}

void infers_shapes() {
    Graph g;
    const TensorId x = leaf(g, Op::kInput, {n(2), n(3), n(32), n(30)});
    const TensorId w = leaf(g, Op::kParameter, {n(8), n(3), n(3), n(5)});
    const TensorId y =
        node(g, Op::kConv, {x, w}, {ints("stride", {n(2), n(2)}), ints("padding", {n(1), n(2), n(0), n(1)})});
    CHECK(shape_is(g, y, {n(2), n(8), n(16), n(15)}));
    const TensorId pooled = node(
        g, Op::kMaxPool, {y}, {ints("kernel", {n(3), n(3)}), ints("stride", {n(2), n(2)}), ints("ceil_mode", {n(1)})});
    CHECK(shape_is(g, pooled, {n(2), n(8), n(8), n(7)}));
    CHECK(shape_is(g, node(g, Op::kFlatten, {pooled}), {n(2), n(8 * 8 * 7)}));
    const TensorId a = leaf(g, Op::kInput, {n(2), n(3)}), b = leaf(g, Op::kInput, {n(3), n(4)});
    CHECK(shape_is(g, node(g, Op::kEinsum, {a, b}, {{"equation", std::string_view("ij,jk->ki")}}), {n(4), n(2)}));
    CHECK(shape_is(g, node(g, Op::kReshape, {y}, {ints("shape", {n(2), n(-1)})}), {n(2), n(8 * 16 * 15)}));
    CHECK(shape_is(g, node(g, Op::kReduceMean, {y}, {ints("axes", {n(-1)})}), {n(2), n(8), n(16)}));
}

void a_rejected_node_leaves_the_graph_as_it_was() {
    Graph g;
    const TensorId a = leaf(g, Op::kInput, {n(3)}), b = leaf(g, Op::kInput, {n(4)});
    const std::size_t nodes = g.n_nodes(), tensors = g.n_tensors();
    CHECK_THROWS(ShapeError, node(g, Op::kAdd, {a, b}));
    CHECK_THROWS(GraphError, node(g, Op::kAdd, {a}));
    CHECK_THROWS(GraphError, node(g, Op::kRelu, {TensorId{99}}));
    CHECK_THROWS(GraphError, node(g, Op::kAdd, {a, kNoTensor}));
    CHECK_THROWS(ShapeError, node(g, Op::kSoftmax, {a}, {ints("axis", {n(7)})}));
    CHECK_THROWS(ShapeError, node(g, Op::kRelu, {a}, {ints("slope", {n(1)})}));
    CHECK_THROWS(ShapeError, leaf(g, Op::kInput, {n(-1)}));
    CHECK(g.n_nodes() == nodes && g.n_tensors() == tensors && g.block_nodes(0).empty());
    CHECK(shape_is(g, node(g, Op::kRelu, {a}), {n(3)}));
}

void equal_attributes_are_stored_once() {
    Graph g;
    const AttrInput same[] = {ints("stride", {n(2)})}, other[] = {ints("stride", {n(3)})};
    CHECK(g.intern_attrs(Op::kConv, same) == g.intern_attrs(Op::kConv, same));
    CHECK(g.intern_attrs(Op::kConv, same) != g.intern_attrs(Op::kConv, other));
}

NodeId run(Graph& g, Op op, const Run& what, std::initializer_list<TensorId> inputs, const NodeLabel& label = {}) {
    return g.add_runs(op, {what}, std::span<const TensorId>(inputs.begin(), inputs.size()), label);
}

// A loop whose state grows by one row in each run, over a slice of x, with a stacked result.
void loops_carry_slice_and_stack() {
    Graph g;
    const ExprRef step = g.exprs().symbol({"step", 0, std::nullopt, 1}),
                  times = g.exprs().symbol({"t", 0, std::nullopt, 1});
    const BlockId body = g.add_block("body");
    const auto inner = [&](std::vector<ExprRef> dims) {
        return g.add_leaf(Op::kInput, dims, DType::kFloat32, {.block = body});
    };
    const TensorId state = inner({g.exprs().add(step, n(3)), n(2)}), slice = inner({n(1), n(2)});
    const TensorId grown =
        node(g, Op::kConcat, {state, slice}, {{"axis", std::vector<ExprRef>{n(0)}}}, {.block = body});
    g.finish(body, std::array{grown, slice});
    const TensorId x = leaf(g, Op::kInput, {n(3), n(2)});
    const std::vector<ExprRef> cut{n(1), n(2), times};
    const TensorId xs = g.add_leaf(Op::kInput, cut, DType::kFloat32, {});
    Run what{.block = body, .times = times, .index = step, .n_state = 1, .slice_axes = {2}, .stack_axes = {0}};
    const NodeId loop = run(g, Op::kLoop, what, {x, xs});
    const Node made = g.node(loop);
    CHECK(made.n_outputs == 2);
    CHECK(g.tensor(made.first_output).dims[0] == g.exprs().add(times, n(3)));
    CHECK(g.tensor(made.first_output + 1).dims[0] == times);
    const std::size_t before = g.n_tensors();
    what.stack_axes = {4};
    CHECK_THROWS(ShapeError, run(g, Op::kLoop, what, {x, xs}));
    what.n_state = 2;
    CHECK_THROWS(GraphError, run(g, Op::kLoop, what, {x, xs}));
    CHECK(g.n_tensors() == before);
}

void calls_need_finished_blocks_and_fitting_arguments() {
    Graph g;
    const BlockId body = g.add_block("body");
    const TensorId h = leaf(g, Op::kInput, {n(4)}, DType::kFloat32, body);
    const TensorId x = leaf(g, Op::kInput, {n(4)}), wide = leaf(g, Op::kInput, {n(5)});
    CHECK_THROWS(GraphError, run(g, Op::kCall, {.block = body}, {x}));
    const TensorId y = node(g, Op::kRelu, {h}, {}, {.block = body});
    CHECK_THROWS(GraphError, node(g, Op::kRelu, {h}));  // of another block
    g.finish(body, std::array{y});
    CHECK_THROWS(GraphError, node(g, Op::kRelu, {h}, {}, {.block = body}));
    CHECK_THROWS(ShapeError, run(g, Op::kCall, {.block = body}, {wide}));
    CHECK_THROWS(ShapeError, run(g, Op::kCall, {.block = body, .times = n(-2)}, {x}));
    const NodeId call = run(g, Op::kCall, {.block = body, .times = n(2)}, {x}, {.name = "twice"});
    CHECK(shape_is(g, g.node(call).first_output, {n(4)}));
    CHECK((g.reachable_blocks() == std::vector<BlockId>{body, 0}));
    CHECK(g.describe(call) == "call node 'twice' (#" + std::to_string(call) + ")");
}

void bulk_append_finds_cycles() {
    Graph g;
    const std::array<std::uint32_t, 2> offsets{0, 2};
    const std::array<std::int64_t, 2> dims{3, 4};
    const TensorId x = g.append_leaves(Op::kInput, offsets, dims, DType::kFloat32, 0);
    const auto relu = static_cast<std::uint16_t>(Op::kRelu);
    const std::uint32_t none = g.intern_attrs(Op::kRelu, {});
    const std::array<std::uint16_t, 2> ops{relu, relu};
    const std::array<std::uint32_t, 3> ends{0, 1, 2};
    const std::array<std::uint32_t, 2> sets{none, none};
    const std::array<std::uint32_t, 2> cyclic{x + 2, x + 1}, chain{x, x + 1};
    CHECK_THROWS(GraphError, g.append_nodes({ops, ends, cyclic, sets}, 0));
    g.append_nodes({ops, ends, chain, sets}, 0);
    CHECK(shape_is(g, x + 2, {n(3), n(4)}));
    CHECK_THROWS(DataError, g.append_nodes({ops, offsets, chain, sets}, 0));
}

}  // namespace

int main() {
    infers_shapes();
    a_rejected_node_leaves_the_graph_as_it_was();
    equal_attributes_are_stored_once();
    calls_need_finished_blocks_and_fitting_arguments();
    loops_carry_slice_and_stack();
    bulk_append_finds_cycles();
    return 0;
}
