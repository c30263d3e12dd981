// Sum, mean and maximum over axes: combining n elements into m takes n - m operations.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

// Bit i is set when axis i is reduced; no axes attribute means all of them.
std::uint64_t reduced_axes(const AttrView& attrs, int rank) {
    const auto axes = attrs.list(AttrKey::kAxes);
    if (!axes) return rank == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << rank) - 1;
    std::uint64_t mask = 0;
    for (const ExprRef axis : *axes) {
        const std::uint64_t bit = std::uint64_t{1} << resolve_axis(axis.value(), rank);
        if (mask & bit) shape_error("axis " + std::to_string(axis.value()) + " is listed twice");
        mask |= bit;
    }
    return mask;
}

void count_combine(CountContext& context, Feature combine) {
    const ExprRef out = context.y.elements;
    context.emit(combine, context.exprs.sub(context.inputs[0].elements, out));
    context.emit(Feature::kRows, out);
}

}  // namespace

void infer_reduce(InferContext& context) {
    const TensorView& x = context.inputs[0];
    const std::uint64_t mask = reduced_axes(context.attrs, x.rank);
    const bool keep = context.attrs.integer(AttrKey::kKeepdims) == 1;
    context.out.begin(x.dtype);
    for (int i = 0; i < x.rank; ++i) {
        const bool reduced = (mask >> i) & 1U;
        if (reduced) require_not_empty(x.dims[i], "a reduced axis");
        if (!reduced) context.out.push(x.dims[i]);
        if (reduced && keep) context.out.push(one());
    }
}

void count_reduce_sum(CountContext& context) { count_combine(context, Feature::kAdd); }

void count_reduce_mean(CountContext& context) {
    count_combine(context, Feature::kAdd);
    context.emit(Feature::kDiv, context.y.elements);
}

void count_reduce_max(CountContext& context) { count_combine(context, Feature::kCmp); }

}  // namespace flopcore::ops
