// A mixture-of-experts block: router, choice of experts, their feed-forward networks, and what runs for every token.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

enum Slot : std::size_t { kX, kRouter, kUp, kDown, kGate, kSharedUp, kSharedDown, kSharedGate };
enum Activation : std::int64_t { kRelu, kGelu, kSilu };  // order of the choices in the table
enum Dispatch : std::int64_t { kGather, kEinsum };

void require_matrix(InferContext& context, std::size_t input, std::initializer_list<ExprRef> dims, const char* what) {
    if (!given(context.inputs, input)) return;
    const TensorView& t = context.inputs[input];
    if (t.rank != dims.size()) shape_error(std::string(what) + " has shape " + shape_text(context.exprs, t));
    int i = 0;
    for (const ExprRef dim : dims) require_equal(context.exprs, t.dim(i++), dim, what);
}

// Slots of each expert, if they are limited.
std::optional<ExprRef> capacity_of(const AttrView& attrs) {
    const auto capacity = attrs.scalar(AttrKey::kCapacity);
    return capacity == ExprRef::small(-1) ? std::nullopt : capacity;
}

struct Charge {
    Feature feature;
    std::int64_t count;
};
std::span<const Charge> activation_of(std::int64_t kind) {
    static constexpr Charge kReluCost[] = {{Feature::kCmp, 1}};
    static constexpr Charge kGeluCost[] = {{Feature::kMul, 3}, {Feature::kAdd, 1}, {Feature::kErf, 1}};
    static constexpr Charge kSiluCost[] = {
        {Feature::kMul, 1}, {Feature::kAdd, 1}, {Feature::kExp, 1}, {Feature::kDiv, 1}};
    if (kind == kRelu) return kReluCost;
    return kind == kGelu ? std::span<const Charge>(kGeluCost) : std::span<const Charge>(kSiluCost);
}

}  // namespace

void infer_mixture_of_experts(InferContext& context) {
    const TensorView &x = context.inputs[kX], &router = context.inputs[kRouter], &up = context.inputs[kUp];
    require_rank(x, 1, "x");
    if (router.rank != 2 || up.rank != 3) shape_error("router must be [E, D], up [E, F, D]");
    const ExprRef experts = router.dim(0), width = x.dim(-1), inner = up.dim(1);
    require_not_empty(width, "the dim summed over");
    require_not_empty(inner, "the inner size of the experts");
    require_matrix(context, kRouter, {experts, width}, "router");
    require_matrix(context, kUp, {experts, inner, width}, "up");
    require_matrix(context, kDown, {experts, width, inner}, "down");
    require_matrix(context, kGate, {experts, inner, width}, "gate");
    if (given(context.inputs, kSharedUp) != given(context.inputs, kSharedDown) ||
        (given(context.inputs, kSharedGate) && !given(context.inputs, kSharedUp)))
        shape_error("shared_up and shared_down come together, shared_gate with them");
    if (given(context.inputs, kSharedUp)) {
        const TensorView& shared = context.inputs[kSharedUp];
        if (shared.rank != 2) shape_error("shared_up must be [S, D]");
        require_not_empty(shared.dim(0), "the inner size of the shared experts");
        require_matrix(context, kSharedUp, {shared.dim(0), width}, "shared_up");
        require_matrix(context, kSharedDown, {width, shared.dim(0)}, "shared_down");
        require_matrix(context, kSharedGate, {shared.dim(0), width}, "shared_gate");
    }
    const std::int64_t top_k = context.attrs.integer(AttrKey::kTopK);
    if (top_k < 1 || context.exprs.less_equal(ExprRef::small(top_k), experts) == false)
        shape_error("top_k is " + std::to_string(top_k) + " of " + context.exprs.text(experts) + " experts");
    const auto capacity = capacity_of(context.attrs);
    if (capacity && context.exprs.less_equal(ExprRef(), *capacity) == false) shape_error("capacity is negative");
    if (context.attrs.integer(AttrKey::kDispatch) == kEinsum && !capacity)
        shape_error("dispatch by einsum needs a capacity");
    context.out.begin(x.dtype);
    for (const ExprRef dim : x.shape()) context.out.push(dim);
}

void count_mixture_of_experts(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[kX], &router = context.inputs[kRouter];
    const ExprRef experts = router.dim(0), width = x.dim(-1), inner = context.inputs[kUp].dim(1);
    const ExprRef tokens = product(exprs, x.shape().first(x.rank - 1U)), scores = exprs.mul(tokens, experts);
    const std::int64_t top_k = context.attrs.integer(AttrKey::kTopK);
    const auto times = [&](ExprRef a, std::int64_t count) { return exprs.mul(a, ExprRef::small(count)); };
    const ExprRef chosen = times(tokens, top_k);
    const auto capacity = capacity_of(context.attrs);
    ExtentId slots = kNoExtent;
    if (capacity) {
        const ExprRef room = exprs.mul(experts, *capacity);
        slots = context.add_extent({ExtentKind::kCapacity, Grade::kBound, room, exprs.min(chosen, room)});
    } else {
        slots = context.add_extent({ExtentKind::kExperts, Grade::kExact, scores, chosen});
    }
    const bool gate = given(context.inputs, kGate), shared_gate = given(context.inputs, kSharedGate);
    const bool by_einsum = context.attrs.integer(AttrKey::kDispatch) == kEinsum;
    const auto activation = activation_of(context.attrs.integer(AttrKey::kActivation));

    // For each token: the router, the choice, the shared experts, dispatch and combination.
    std::array<ExprRef, kFeatureCount> each{};
    const auto put = [&](Feature feature, ExprRef amount) {
        ExprRef& sum = each[static_cast<std::size_t>(feature)];
        sum = exprs.add(sum, amount);
    };
    put(Feature::kMac, exprs.mul(scores, width));
    put(Feature::kOutputs, scores);
    put(Feature::kExp, scores);
    put(Feature::kDiv, scores);
    put(Feature::kRows, tokens);
    if (context.attrs.integer(AttrKey::kScoring) == 0) {  // softmax
        put(Feature::kCmp, exprs.sub(scores, tokens));
        put(Feature::kAdd, exprs.sub(times(scores, 2), tokens));
    } else {
        put(Feature::kAdd, scores);
    }
    // The k largest by k passes over what is left, then their weights as shares.
    put(Feature::kCmp, exprs.sub(times(exprs.sub(scores, tokens), top_k), times(tokens, top_k * (top_k - 1) / 2)));
    put(Feature::kAdd, times(tokens, top_k - 1));
    put(Feature::kDiv, chosen);
    if (by_einsum) {
        put(Feature::kMac, times(exprs.mul(exprs.mul(scores, *capacity), width), 2));
    } else {
        put(Feature::kMove, exprs.mul(chosen, width));
        put(Feature::kMul, exprs.mul(chosen, width));
        put(Feature::kAdd, times(exprs.mul(tokens, width), top_k - 1));
    }
    if (given(context.inputs, kSharedUp)) {
        const ExprRef size = context.inputs[kSharedUp].dim(0), units = exprs.mul(tokens, size);
        put(Feature::kMac, times(exprs.mul(units, width), shared_gate ? 3 : 2));
        put(Feature::kOutputs, exprs.add(times(units, shared_gate ? 2 : 1), exprs.mul(tokens, width)));
        for (const Charge& charge : activation) put(charge.feature, times(units, charge.count));
        if (shared_gate) put(Feature::kMul, units);
        put(Feature::kAdd, exprs.mul(tokens, width));
    }
    for (std::size_t i = 0; i < each.size(); ++i) context.emit(static_cast<Feature>(i), each[i]);

    // For each slot of an expert: its network.
    context.emit(Feature::kMac, times(exprs.mul(inner, width), gate ? 3 : 2), slots);
    context.emit(Feature::kOutputs, exprs.add(times(inner, gate ? 2 : 1), width), slots);
    for (const Charge& charge : activation) context.emit(charge.feature, times(inner, charge.count), slots);
    if (gate) context.emit(Feature::kMul, inner, slots);
}

}  // namespace flopcore::ops
