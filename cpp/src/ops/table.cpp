// The table of all rules, and the size features every op shares.
#include <algorithm>

#include "attrs.hpp"
#include "elementwise.hpp"
#include "flopcore/error.hpp"
#include "rules.hpp"

namespace flopcore {
namespace {

using K = AttrKey;
using A = AttrKind;
constexpr std::string_view kCausalChoices[] = {"none", "top_left", "bottom_right"};

constexpr AttrSpec kConv[] = {
    {K::kStride, A::kInts}, {K::kDilation, A::kInts}, {K::kPadding, A::kInts}, {K::kGroups, A::kInt, false, 1}};
constexpr AttrSpec kAttention[] = {{K::kCausal, A::kChoice, false, 0, kCausalChoices}};
constexpr AttrSpec kAxisLast[] = {{K::kAxis, A::kInt, false, -1}};
constexpr AttrSpec kRowNorm[] = {{K::kNormalizedNdim, A::kInt, false, 1}};
constexpr AttrSpec kPool[] = {{K::kKernel, A::kInts, true},
                              {K::kStride, A::kInts},
                              {K::kDilation, A::kInts},
                              {K::kPadding, A::kInts},
                              {K::kCeilMode, A::kBool}};
constexpr AttrSpec kAdaptive[] = {{K::kOutputSize, A::kDims, true}};
constexpr AttrSpec kReduce[] = {{K::kAxes, A::kInts}, {K::kKeepdims, A::kBool}};
constexpr AttrSpec kReshape[] = {{K::kShape, A::kDims, true}};
constexpr AttrSpec kFlatten[] = {{K::kAxis, A::kInt, false, 1}, {K::kEndAxis, A::kInt, false, -1}};
constexpr AttrSpec kTranspose[] = {{K::kPermutation, A::kInts, true}};
constexpr AttrSpec kConcat[] = {{K::kAxis, A::kInt, true}};
constexpr AttrSpec kSlice[] = {
    {K::kAxis, A::kInt, true}, {K::kStart, A::kDim, true}, {K::kStop, A::kDim, true}, {K::kStep, A::kInt, false, 1}};

constexpr AttrSpec kSplit[] = {{K::kAxis, A::kInt, true}, {K::kSizes, A::kDims, true}};

constexpr OpRule kOther[] = {
    {.op = Op::kInput, .min_inputs = 0, .max_inputs = 0},
    {.op = Op::kParameter, .min_inputs = 0, .max_inputs = 0},
    {.op = Op::kConstant, .min_inputs = 0, .max_inputs = 0},
    {Op::kMatmul, 2, 2, 0, false, {}, ops::infer_matmul, ops::count_matmul},
    {Op::kLinear, 2, 3, ops::slots({1, 2}), false, {}, ops::infer_linear, ops::count_linear},
    {Op::kConv, 2, 3, ops::slots({1, 2}), false, kConv, ops::infer_conv, ops::count_conv},
    {.op = Op::kAttention,
     .min_inputs = 3,
     .max_inputs = 4,
     .attrs = kAttention,
     .infer = ops::infer_attention,
     .count = ops::count_attention,
     .cache_slots = ops::slots({1, 2})},
    {Op::kSoftmax, 1, 1, 0, false, kAxisLast, ops::infer_softmax, ops::count_softmax},
    {Op::kBatchNorm, 1, 5, ops::slots({1, 2, 3, 4}), false, ops::kMode, ops::infer_batch_norm, ops::count_batch_norm},
    {Op::kLayerNorm, 1, 3, ops::slots({1, 2}), false, kRowNorm, ops::infer_row_norm, ops::count_layer_norm},
    {Op::kRmsNorm, 1, 2, ops::slots({1}), false, kRowNorm, ops::infer_row_norm, ops::count_rms_norm},
    {Op::kMaxPool, 1, 1, 0, false, kPool, ops::infer_pool, ops::count_max_pool},
    {Op::kAveragePool, 1, 1, 0, false, kPool, ops::infer_pool, ops::count_average_pool},
    {Op::kAdaptiveAveragePool, 1, 1, 0, false, kAdaptive, ops::infer_adaptive_pool, ops::count_adaptive_average_pool},
    {Op::kReduceSum, 1, 1, 0, false, kReduce, ops::infer_reduce, ops::count_reduce_sum},
    {Op::kReduceMean, 1, 1, 0, false, kReduce, ops::infer_reduce, ops::count_reduce_mean},
    {Op::kReduceMax, 1, 1, 0, false, kReduce, ops::infer_reduce, ops::count_reduce_max},
    {Op::kReshape, 1, 1, 0, true, kReshape, ops::infer_reshape, ops::count_view},
    {Op::kFlatten, 1, 1, 0, true, kFlatten, ops::infer_flatten, ops::count_view},
    {Op::kTranspose, 1, 1, 0, false, kTranspose, ops::infer_transpose, ops::count_move},
    {Op::kConcat, 1, 255, 0, false, kConcat, ops::infer_concat, ops::count_move, {}, {}, Result::kFirst, ops::kAlike},
    {Op::kSlice, 1, 1, 0, false, kSlice, ops::infer_slice, ops::count_move},
    {Op::kSplit, 1, 1, 0, false, kSplit, ops::infer_split, ops::count_move},
    {Op::kEmbedding,
     2,
     2,
     ops::slots({0}),
     false,
     {},
     ops::infer_embedding,
     ops::count_embedding,
     {},
     {},
     Result::kFirst,
     {.integers = 2}},
};

// All rules by Op; an op without one, or with two, does not compile.
constexpr auto kRules = [] {
    std::array<OpRule, static_cast<std::size_t>(Op::kCall)> rules{};
    std::size_t n = 0;
    for (const std::span<const OpRule> family : {std::span<const OpRule>(kOther), {ops::elementwise::kRules}})
        for (const OpRule& rule : family) {
            rules[static_cast<std::size_t>(rule.op)] = rule;
            ++n;
        }
    for (std::size_t i = 0; i < rules.size(); ++i)
        if (rules[i].op != static_cast<Op>(i) || n != rules.size()) throw "an op has no rule, or two";
    return rules;
}();

inline ExprRef bytes(ExprStore& exprs, ExprRef elements, DType dtype) {
    const unsigned bits = info(dtype).bits;
    return (bits & 7U) == 0 ? exprs.mul(elements, ExprRef::small(bits >> 3))
                            : exprs.ceildiv(exprs.mul(elements, ExprRef::small(bits)), ExprRef::small(8));
}

}  // namespace

const OpRule& rule_of(Op op) { return kRules[static_cast<std::size_t>(op)]; }

std::span<const OpRule> all_rules() { return kRules; }

Op op_from_name(std::string_view name) {
    const auto rule = std::ranges::find(kRules, name, [](const OpRule& each) { return op_name(each.op); });
    if (rule == std::end(kRules))
        throw UnsupportedOp("no rule for op '" + std::string(name) + "'; flopcore.ops() lists the ops that have one");
    return rule->op;
}

void count_node(const OpRule& rule, CountContext& context) {
    context.rule = &rule;
    rule.count(context);
    ExprStore& exprs = context.exprs;
    ExprRef out, written, in, weights, read, weights_read, cache;
    for (const TensorView& t : context.outputs) {
        out = exprs.add(out, t.elements);
        written = exprs.add(written, bytes(exprs, t.elements, t.dtype));
    }
    for (std::size_t i = 0; i < context.inputs.size(); ++i) {
        const TensorView& t = context.inputs[i];
        if (!t.given()) continue;
        const ExprRef size = bytes(exprs, t.elements, t.dtype);
        if (t.weight) {
            weights = exprs.add(weights, t.elements);
            weights_read = exprs.add(weights_read, size);
        } else {
            in = exprs.add(in, t.elements);
        }
        if ((rule.cache_slots >> i) & 1U) cache = exprs.add(cache, size);
        read = exprs.add(read, size);
    }
    if (rule.op == Op::kEmbedding) {  // reads the rows it gathers, not its whole table
        const TensorView &table = context.inputs[0], &ids = context.inputs[1];
        const ExprRef picked = bytes(exprs, out, table.dtype), picks = bytes(exprs, ids.elements, ids.dtype);
        read = exprs.add(picked, picks);
        weights_read = ids.weight ? read : picked;
    }
    // As emit(), with the position kept in a register.
    std::uint32_t n = context.n_amounts;
    const auto put = [&, bases = context.bases, tags = context.tags.data()](Feature feature, ExprRef size) {
        if (size == ExprRef()) return;
        bases[n] = size;
        tags[n++] = {feature, kNoExtent};
    };
    put(Feature::kOutElems, out);
    put(Feature::kInElems, in);
    put(Feature::kWeightElems, weights);
    if (!rule.view) {
        put(Feature::kBytesRead, read);
        put(Feature::kBytesWritten, written);
        put(Feature::kWeightBytes, weights_read);
        put(Feature::kCacheBytes, cache);
    }
    context.n_amounts = n;
}

}  // namespace flopcore
