// matmul, linear, conv: dot products of length k are k multiply-adds each.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

void emit_dots(CountContext& context, ExprRef outputs, ExprRef length) {
    context.emit(Feature::kMac, context.exprs.mul(outputs, length));
    context.emit(Feature::kOutputs, outputs);
}

void emit_bias(CountContext& context, const TensorView& bias, ExprRef outputs) {
    if (!bias.given()) return;
    context.flag(Variant::kBias);
    context.emit(Feature::kAdd, outputs);
}

}  // namespace

void infer_matmul(InferContext& context) {
    const TensorView &a = context.inputs[0], &b = context.inputs[1];
    require_rank(a, 1, "the left operand");
    require_rank(b, 1, "the right operand");
    require_same_dtype(a, b);
    const ExprRef length = a.dim(-1);
    require_equal(context.exprs, length, b.rank == 1 ? b.dim(0) : b.dim(-2), "the sizes summed over");
    require_not_empty(length, "the dim summed over");
    context.out.begin(a.dtype);
    if (a.rank > 2 || b.rank > 2)
        push_broadcast(context, a.shape().first(a.rank > 2 ? a.rank - 2U : 0),
                       b.shape().first(b.rank > 2 ? b.rank - 2U : 0));
    if (a.rank > 1) context.out.push(a.dim(-2));
    if (b.rank > 1) context.out.push(b.dim(-1));
}

void count_matmul(CountContext& context) { emit_dots(context, context.y.elements, context.inputs[0].dim(-1)); }

void infer_linear(InferContext& context) {
    const TensorView &x = context.inputs[0], &weight = context.inputs[1];
    require_rank(x, 1, "x");
    if (weight.rank != 2) shape_error("weight must be [out, in], is " + shape_text(context.exprs, weight));
    require_equal(context.exprs, x.dim(-1), weight.dim(1), "the last dim of x and the in size of weight");
    require_not_empty(x.dim(-1), "the dim summed over");
    if (context.inputs.size() > 2 && context.inputs[2].given()) {
        const TensorView& bias = context.inputs[2];
        if (bias.rank != 1) shape_error("bias must be [out], is " + shape_text(context.exprs, bias));
        require_equal(context.exprs, bias.dim(0), weight.dim(0), "the sizes of bias and of the output");
    }
    context.out.begin(x.dtype);
    for (int i = 0; i + 1 < x.rank; ++i) context.out.push(x.dims[i]);
    context.out.push(weight.dim(0));
}

void count_linear(CountContext& context) {
    const ExprRef outputs = context.y.elements;
    emit_dots(context, outputs, context.inputs[0].dim(-1));
    if (context.inputs.size() > 2) emit_bias(context, context.inputs[2], outputs);
}

void infer_conv(InferContext& context) {
    const TensorView &x = context.inputs[0], &weight = context.inputs[1];
    if (x.rank < 3 || x.rank > 5)
        shape_error("x must be [N, C, *spatial] with 1 to 3 spatial dims, is " + shape_text(context.exprs, x));
    if (weight.rank != x.rank)
        shape_error("weight must be [out, C / groups, *kernel] with " + std::to_string(x.rank) + " dims, is " +
                    shape_text(context.exprs, weight));
    const std::int64_t groups = context.attrs.integer(AttrKey::kGroups);
    if (groups < 1) shape_error("groups is " + std::to_string(groups) + ", must be 1 or more");
    const ExprRef channels = context.exprs.mul(weight.dim(1), ExprRef::small(groups));
    if (x.dim(1) != channels && context.exprs.equal(x.dim(1), channels) != true)
        shape_error("weight has " + context.exprs.text(weight.dim(1)) + " input channels" +
                    (groups > 1 ? " in each of " + std::to_string(groups) + " groups" : "") + ", tensor has " +
                    context.exprs.text(x.dim(1)) + "; check groups=");
    const ExprRef out = weight.dim(0);
    if (out.is_small() && out.value() % groups != 0)
        shape_error(std::to_string(out.value()) + " output channels do not divide into " + std::to_string(groups) +
                    " groups");
    require_not_empty(weight.dim(1), "the input channel dim");
    if (context.inputs.size() > 2 && context.inputs[2].given()) {
        const TensorView& bias = context.inputs[2];
        if (bias.rank != 1) shape_error("bias must be [out], is " + shape_text(context.exprs, bias));
        require_equal(context.exprs, bias.dim(0), weight.dim(0), "the sizes of bias and of the output channels");
    }
    context.out.begin(x.dtype);
    context.out.push(x.dim(0));
    context.out.push(weight.dim(0));
    const std::size_t n = x.rank - 2U;
    const Windows windows(context.attrs, n);
    for (std::size_t i = 0; i < n; ++i)
        context.out.push(window_count(context.exprs, x.dims[2 + i], windows.at(i, weight.dims[2 + i]), false));
}

void count_conv(CountContext& context) {
    const ExprRef outputs = context.y.elements;
    emit_dots(context, outputs, product(context.exprs, context.inputs[1].shape().subspan(1)));
    if (context.inputs.size() > 2) emit_bias(context, context.inputs[2], outputs);
    if (context.attrs.integer(AttrKey::kGroups) > 1) context.flag(Variant::kGrouped);
}

}  // namespace flopcore::ops
