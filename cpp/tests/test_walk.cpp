// walk, Tally and price together: counts worked out by hand.
#include <algorithm>

#include "check.hpp"
#include "flopcore/convention.hpp"
#include "flopcore/walk.hpp"

using namespace flopcore;

namespace {

ExprRef n(std::int64_t value) { return ExprRef::small(value); }

Convention charging(Feature feature, std::uint32_t used_extents = 0) {
    Convention convention{.name = "test", .unit = "MAC", .overrides = {}, .used_extents = used_extents};
    convention.weights[static_cast<std::size_t>(feature)] = {1, 1};
    return convention;
}

struct Model {
    Graph g;
    ExprRef batch = g.exprs().symbol({"batch", 1, std::nullopt, 1}),
            seq = g.exprs().symbol({"seq", 1, std::nullopt, 1});
};

// layers times: linear [batch, seq, 16] -> 16 with bias; then causal attention over 2 heads of 8.
Model transformer(std::int64_t layers) {
    Model m;
    const BlockId body = m.g.add_block("layer");
    const std::array<ExprRef, 3> hidden{m.batch, m.seq, n(16)};
    const TensorId h = m.g.add_leaf(Op::kInput, hidden, DType::kBfloat16, {.block = body});
    const TensorId w = m.g.add_leaf(Op::kParameter, std::array{n(16), n(16)}, DType::kBfloat16, {.block = body});
    const TensorId b = m.g.add_leaf(Op::kParameter, std::array{n(16)}, DType::kBfloat16, {.block = body});
    const auto add = [&](Op op, std::initializer_list<TensorId> inputs, std::initializer_list<AttrInput> attrs = {}) {
        const std::uint32_t set = m.g.intern_attrs(op, std::span<const AttrInput>(attrs.begin(), attrs.size()));
        return m.g
            .node(m.g.add_node(op, std::span<const TensorId>(inputs.begin(), inputs.size()), set, {.block = body}))
            .first_output;
    };
    const TensorId y = add(Op::kLinear, {h, w, b});
    const TensorId split = add(Op::kReshape, {y}, {{"shape", std::vector<ExprRef>{m.batch, m.seq, n(2), n(8)}}});
    const TensorId q = add(Op::kTranspose, {split}, {{"permutation", std::vector<ExprRef>{n(0), n(2), n(1), n(3)}}});
    const TensorId z = add(Op::kAttention, {q, q, q}, {{"causal", std::string_view("top_left")}});
    const TensorId back = add(Op::kTranspose, {z}, {{"permutation", std::vector<ExprRef>{n(0), n(2), n(1), n(3)}}});
    const TensorId out = add(Op::kReshape, {back}, {{"shape", std::vector<ExprRef>{m.batch, m.seq, n(16)}}});
    m.g.finish(body, std::array{out});
    const TensorId x = m.g.add_leaf(Op::kInput, hidden, DType::kBfloat16, {});
    m.g.add_runs(Op::kCall, {{.block = body, .times = n(layers)}}, std::array{x}, {.scope = "layers"});
    return m;
}

void counts_symbolically_and_bound_alike() {
    const Model m = transformer(3);
    const std::array at{Binding{"batch", n(2)}, Binding{"seq", n(5)}};
    const Tally open = walk(m.g), bound = walk(m.g, at);
    const Cost cost = price(open, charging(Feature::kMac));
    // 3 x (batch seq 16 16 + batch 2 seq seq (8 + 8))
    CHECK(cost.exprs.text(cost.total) == "96*batch*seq**2 + 768*batch*seq");
    CHECK((cost.exprs.evaluate(cost.total, at) == Rational{96 * 2 * 25 + 768 * 10, 1}));
    CHECK(price(bound, charging(Feature::kMac)).total == n(96 * 2 * 25 + 768 * 10));
    // A causal mask leaves seq (seq + 1) / 2 of the scores.
    const std::uint32_t causal = 1U << static_cast<unsigned>(ExtentKind::kCausal);
    CHECK(price(bound, charging(Feature::kMac, causal)).total == n(3 * (2 * 2 * 15 * 16) + 768 * 10));
    CHECK(open.parameters() == n(3 * (256 + 16)) && bound.parameters() == n(3 * (256 + 16)));
    CHECK(open.frames().size() == 1 && open.texts()[open.frames()[0].scope] == "layers.[0..2]");
}

// Enough nodes of one form for formulas: sizes of 1, coincidences among sizes, and products beyond 64 bits.
void counts_many_nodes_as_it_does_one() {
    Graph g;
    const auto node = [&](Op op, std::initializer_list<TensorId> inputs, std::initializer_list<AttrInput> attrs = {}) {
        const std::uint32_t set = g.intern_attrs(op, std::span<const AttrInput>(attrs.begin(), attrs.size()));
        static_cast<void>(g.add_node(op, std::span<const TensorId>(inputs.begin(), inputs.size()), set, {}));
    };
    std::uint32_t state = 1;
    const auto size = [&state] {
        state = state * 1664525U + 1013904223U;
        const std::uint32_t high = state >> 16;
        return std::int64_t{high % 50 == 0 ? std::int64_t{1} << 24 : 1 + high % 12};
    };
    Int128 macs = 0, taps = 0;
    for (int i = 0; i < 2000; ++i) {
        const std::int64_t rows = size(), inner = size(), columns = size(), side = size(), kernel = i % 2 == 0 ? 3 : 5;
        const TensorId x = g.add_leaf(Op::kInput, std::array{n(rows), n(inner)}, DType::kFloat32, {});
        const TensorId w = g.add_leaf(Op::kParameter, std::array{n(columns), n(inner)}, DType::kFloat32, {});
        node(Op::kLinear, {x, w});
        macs += Int128{rows} * inner * columns;
        const TensorId image = g.add_leaf(Op::kInput, std::array{n(1), n(inner), n(side)}, DType::kFloat32, {});
        const TensorId filter =
            g.add_leaf(Op::kParameter, std::array{n(columns), n(inner), n(kernel)}, DType::kFloat32, {});
        const std::int64_t pad = kernel / 2;
        node(Op::kConv, {image, filter}, {{"padding", std::vector<ExprRef>{n(pad), n(pad)}}});
        macs += Int128{columns} * inner * kernel * side;
        for (std::int64_t tap = -pad; tap <= pad; ++tap)  // outputs that a tap finds inside the image
            taps += Int128{columns} * inner * std::max<std::int64_t>(side - (tap < 0 ? -tap : tap), 0);
        taps += Int128{rows} * inner * columns;
    }
    const Tally tally = walk(g);
    const auto total = [&](std::uint32_t used) {
        const Cost cost = price(tally, charging(Feature::kMac, used));
        return cost.exprs.evaluate(cost.total, std::span<const Binding>{});
    };
    CHECK((total(0) == Rational{macs, 1}));
    CHECK((total(1U << static_cast<unsigned>(ExtentKind::kPaddingTaps)) == Rational{taps, 1}));
}

void groups_sum_to_the_total() {
    const Model m = transformer(2);
    const std::array at{Binding{"batch", n(2)}, Binding{"seq", n(5)}};
    const Tally tally = walk(m.g, at);
    Convention all{.name = "all", .unit = "FLOP", .overrides = {}};
    for (Rational& weight : all.weights) weight = {1, 3};
    all.overrides.push_back({.ops = {Op::kLinear},
                             .required = 1U << static_cast<unsigned>(Variant::kBias),
                             .forbidden = 0,
                             .origins = {},
                             .dtypes = {DType::kBfloat16},
                             .phases = {},
                             .weights = {}});
    all.overrides[0].weights[static_cast<std::size_t>(Feature::kAdd)] = {5, 2};
    const Cost whole = price(tally, all);
    for (const GroupBy by : {GroupBy::kOp, GroupBy::kModule, GroupBy::kDtype, GroupBy::kPhase, GroupBy::kFeature}) {
        Cost parts = price(tally, all, by);
        ExprRef sum;
        for (const auto& [name, value] : parts.groups) sum = parts.exprs.add(sum, value);
        CHECK(parts.exprs.constant_value(sum) == whole.exprs.constant_value(whole.total));
    }
    const Cost by_op = price(tally, all, GroupBy::kOp);
    const auto linear = std::ranges::find(by_op.groups, "linear", &std::pair<std::string, ExprRef>::first);
    CHECK(linear != by_op.groups.end() && linear->second == n(2 * 160 * 5 / 2));
}

void rejects_bad_bindings_and_overflow() {
    Model m = transformer(1);
    CHECK_THROWS(DataError, walk(m.g, std::array{Binding{"sequence", n(4)}}));
    CHECK_THROWS(DataError, walk(m.g, std::array{Binding{"seq", n(0)}}));
    Graph g;
    const ExprRef huge = n(std::int64_t{1} << 45);
    const TensorId a = g.add_leaf(Op::kInput, std::array{huge, huge}, DType::kFloat32, {});
    g.add_node(Op::kMatmul, std::array{a, a}, g.intern_attrs(Op::kMatmul, {}), {.name = "cube"});
    try {
        static_cast<void>(walk(g));
        CHECK(false);
    } catch (const OverflowError_& e) {
        CHECK(std::string_view(e.what()).starts_with("matmul node 'cube' (#1)"));
    }
}

void the_tally_outlives_the_graph() {
    const Tally tally = [] { return walk(transformer(4).g); }();
    CHECK(tally.describe(tally.entries()[0]) == "linear node (#3)");
    CHECK(tally.kinds().size() < tally.entries().size());
}

}  // namespace

int main() {
    counts_symbolically_and_bound_alike();
    counts_many_nodes_as_it_does_one();
    groups_sum_to_the_total();
    rejects_bad_bindings_and_overflow();
    the_tally_outlives_the_graph();
    return 0;
}
