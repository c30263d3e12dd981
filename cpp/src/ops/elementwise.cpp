// The rule of the elementwise ops: inputs broadcast, and each element of the output costs the same.
#include "elementwise.hpp"

#include <algorithm>

#include "shapes.hpp"

namespace flopcore::ops {

void infer_elementwise(InferContext& context) {
    const auto inputs = context.inputs;
    context.out.begin(result_dtype(context));
    if (inputs.size() == 1) {
        for (const ExprRef dim : inputs[0].shape()) context.out.push(dim);
        return;
    }
    if (inputs.size() == 2) return push_broadcast(context, inputs[0].shape(), inputs[1].shape());
    std::array<ExprRef, kMaxRank> wide;
    std::size_t rank = inputs[0].rank;
    std::ranges::copy(inputs[0].shape(), wide.begin());
    for (const TensorView& t : inputs.subspan(1)) {
        const std::size_t before = rank;
        if (t.rank > rank) {  // keep the dims so far at the end
            std::shift_right(wide.begin(), wide.begin() + t.rank, static_cast<std::ptrdiff_t>(t.rank - before));
            std::ranges::copy(t.shape().first(t.rank - before), wide.begin());
            rank = t.rank;
        }
        for (std::size_t i = 0; i < std::min<std::size_t>(before, t.rank); ++i) {
            ExprRef& dim = wide[rank - 1 - i];
            dim = broadcast_dim(context.exprs, dim, t.dims[t.rank - 1U - i]);
        }
    }
    for (std::size_t i = 0; i < rank; ++i) context.out.push(wide[i]);
}

void count_per_output(CountContext& context) {
    const ExprRef elements = context.y.elements;
    for (const Charge& charge : context.rule->charges.span())
        context.emit(charge.feature,
                     charge.count == 1 ? elements : context.exprs.mul(elements, ExprRef::small(charge.count)));
}

// count_per_output() reads nothing of a charge but its feature and count.
static_assert(std::ranges::all_of(elementwise::kRules, [](const OpRule& rule) {
    return rule.count != &count_per_output || std::ranges::all_of(rule.charges.span(), [](const Charge& charge) {
               return charge.per == Per::kOutput && charge.when.kind == When::Kind::kAlways;
           });
}));

}  // namespace flopcore::ops
