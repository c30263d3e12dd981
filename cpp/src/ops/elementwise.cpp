// Elementwise ops: rows of one table under one shared rule.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

struct PerElement {
    Feature feature;
    std::int64_t count;
};

template <Op op>
constexpr auto per_element() {
    using F = Feature;
    if constexpr (op == Op::kAdd || op == Op::kSub)
        return std::array{PerElement{F::kAdd, 1}};
    else if constexpr (op == Op::kMul)
        return std::array{PerElement{F::kMul, 1}};
    else if constexpr (op == Op::kDiv)
        return std::array{PerElement{F::kDiv, 1}};
    else if constexpr (op == Op::kRelu)
        return std::array{PerElement{F::kCmp, 1}};
    else if constexpr (op == Op::kGelu)
        return std::array{PerElement{F::kMul, 3}, PerElement{F::kAdd, 1}, PerElement{F::kErf, 1}};
    else if constexpr (op == Op::kSilu)
        return std::array{PerElement{F::kExp, 1}, PerElement{F::kAdd, 1}, PerElement{F::kDiv, 1},
                          PerElement{F::kMul, 1}};
    else if constexpr (op == Op::kSigmoid)
        return std::array{PerElement{F::kExp, 1}, PerElement{F::kAdd, 1}, PerElement{F::kDiv, 1}};
    else if constexpr (op == Op::kTanh)
        return std::array{PerElement{F::kTanh, 1}};
    else
        return std::array{PerElement{F::kMove, 1}};
}
constexpr std::array kGeluTanh{PerElement{Feature::kMul, 6}, PerElement{Feature::kAdd, 2},
                               PerElement{Feature::kTanh, 1}};

void emit_all(CountContext& context, std::span<const PerElement> amounts) {
    const ExprRef elements = context.y.elements;
    for (const auto& [feature, count] : amounts)
        context.emit(feature, count == 1 ? elements : context.exprs.mul(elements, ExprRef::small(count)));
}

void push_shape(InferContext& context, DType dtype) {
    context.out.begin(dtype);
    for (const ExprRef dim : context.inputs[0].shape()) context.out.push(dim);
}

}  // namespace

void infer_binary(InferContext& context) {
    const TensorView &a = context.inputs[0], &b = context.inputs[1];
    require_same_dtype(a, b);
    context.out.begin(a.dtype);
    push_broadcast(context, a.shape(), b.shape());
}

void infer_unary(InferContext& context) { push_shape(context, context.inputs[0].dtype); }

void infer_cast(InferContext& context) {
    push_shape(context, static_cast<DType>(context.attrs.integer(AttrKey::kDtype)));
}

template <Op op>
void count_elementwise(CountContext& context) {
    if constexpr (op == Op::kGelu) {
        if (context.attrs.integer(AttrKey::kApproximate) == 1) {
            context.flag(Variant::kTanh);
            return emit_all(context, kGeluTanh);
        }
    }
    static constexpr auto kAmounts = per_element<op>();
    emit_all(context, kAmounts);
}
template void count_elementwise<Op::kAdd>(CountContext&);
template void count_elementwise<Op::kSub>(CountContext&);
template void count_elementwise<Op::kMul>(CountContext&);
template void count_elementwise<Op::kDiv>(CountContext&);
template void count_elementwise<Op::kRelu>(CountContext&);
template void count_elementwise<Op::kGelu>(CountContext&);
template void count_elementwise<Op::kSilu>(CountContext&);
template void count_elementwise<Op::kSigmoid>(CountContext&);
template void count_elementwise<Op::kTanh>(CountContext&);
template void count_elementwise<Op::kCast>(CountContext&);

}  // namespace flopcore::ops
