// Integer and quantised contractions, and the conversions around them (Jacob et al. 2018, arXiv 1712.05877, section 2).
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

// Scales and zero points of one operand: a number, or one per row, column or channel.
void require_vector(InferContext& context, std::size_t input, ExprRef size, const char* what) {
    if (!given(context.inputs, input)) return;
    const TensorView& t = context.inputs[input];
    if (t.rank > 1)
        shape_error(std::string(what) + " must be a number or a vector, is " + shape_text(context.exprs, t));
    if (t.rank == 1 && !is_one(t.dim(0))) require_equal(context.exprs, t.dim(0), size, what);
}

// y = saturate(round(sum * scale) + zero point), as far as it is asked for.
void emit_requantize(CountContext& context, bool any_scale, bool y_scale, bool y_zero) {
    const ExprRef outputs = context.y.elements;
    if (any_scale) context.emit(Feature::kMul, outputs);
    if (y_zero) context.emit(Feature::kAdd, outputs);
    if (!y_scale) return;
    context.emit(Feature::kRound, outputs);
    context.emit(Feature::kCmp, context.exprs.mul(outputs, ExprRef::small(2)));
}

void emit_zero_points(CountContext& context, std::size_t first) {
    for (const std::size_t operand : {0U, 1U})
        if (given(context.inputs, first + operand)) context.emit(Feature::kAdd, context.inputs[operand].elements);
}

// One number per element along `axis`, or per block of it; or one for all.
void require_scale(InferContext& context, const TensorView& scale, const char* what) {
    const TensorView& x = context.inputs[0];
    const std::int64_t block = context.attrs.integer(AttrKey::kBlockSize);
    if (block < 0) shape_error("block_size must be 0 or more");
    if (block > 0) {
        const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
        if (scale.rank != x.rank) shape_error(std::string(what) + " of blocks needs as many dims as x");
        for (int i = 0; i < x.rank; ++i)
            require_equal(context.exprs, scale.dim(i),
                          i == axis ? context.exprs.ceildiv(x.dim(i), ExprRef::small(block)) : x.dim(i), what);
    } else if (scale.rank == 1 && !is_one(scale.dim(0))) {
        const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
        require_equal(context.exprs, scale.dim(0), x.dim(axis), what);
    } else if (scale.rank > 1) {
        shape_error(std::string(what) + " must be a number, a vector along axis, or one per block with block_size");
    }
}

void infer_linear_quantization(InferContext& context, DType dtype) {
    require_scale(context, context.inputs[1], "the sizes of scale");
    if (given(context.inputs, 2)) require_scale(context, context.inputs[2], "the sizes of the zero point");
    context.out.begin(dtype);
    for (const ExprRef dim : context.inputs[0].shape()) context.out.push(dim);
}

}  // namespace

void infer_quantized_matmul(InferContext& context) {
    const TensorView &a = context.inputs[0], &b = context.inputs[1];
    infer_matmul_shape(context, static_cast<DType>(context.attrs.integer(AttrKey::kDtype)));
    const ExprRef rows = a.rank > 1 ? a.dim(-2) : one(), columns = b.rank > 1 ? b.dim(-1) : one();
    for (const std::size_t i : {2U, 4U}) require_vector(context, i, rows, "scale and zero point of a");
    for (const std::size_t i : {3U, 5U}) require_vector(context, i, columns, "scale and zero point of b");
    for (const std::size_t i : {6U, 7U}) require_vector(context, i, one(), "scale and zero point of y");
}

void count_quantized_matmul(CountContext& context) {
    count_matmul(context);
    emit_zero_points(context, 2);
    const auto& inputs = context.inputs;
    emit_requantize(context, given(inputs, 4) || given(inputs, 5) || given(inputs, 6), given(inputs, 6),
                    given(inputs, 7));
}

void infer_quantized_conv(InferContext& context) {
    infer_conv_shape(context, static_cast<DType>(context.attrs.integer(AttrKey::kDtype)));
    const ExprRef channels = context.inputs[1].dim(0);
    for (const std::size_t i : {3U, 5U}) require_vector(context, i, one(), "scale and zero point of x");
    for (const std::size_t i : {4U, 6U}) require_vector(context, i, channels, "scale and zero point of weight");
    for (const std::size_t i : {7U, 8U}) require_vector(context, i, one(), "scale and zero point of y");
}

void count_quantized_conv(CountContext& context) {
    count_conv(context);
    emit_zero_points(context, 3);
    const auto& inputs = context.inputs;
    emit_requantize(context, given(inputs, 5) || given(inputs, 6) || given(inputs, 7), given(inputs, 7),
                    given(inputs, 8));
}

void infer_quantize(InferContext& context) {
    infer_linear_quantization(context, static_cast<DType>(context.attrs.integer(AttrKey::kDtype)));
}

void count_quantize(CountContext& context) {
    context.emit(Feature::kDiv, context.y.elements);
    emit_requantize(context, false, true, given(context.inputs, 2));
}

void infer_dequantize(InferContext& context) { infer_linear_quantization(context, context.inputs[1].dtype); }

void count_dequantize(CountContext& context) {
    context.emit(Feature::kMul, context.y.elements);
    if (given(context.inputs, 2)) context.emit(Feature::kAdd, context.y.elements);
}

// y like x, then a scale and a zero point for each group of elements that share them.
void infer_dynamic_quantize(InferContext& context) {
    const TensorView& x = context.inputs[0];
    const auto axes = context.attrs.list(AttrKey::kAxes);
    const std::uint64_t shared = axes ? axis_mask(*axes, x.rank) : ~std::uint64_t{0};
    const auto dtype = static_cast<DType>(context.attrs.integer(AttrKey::kDtype));
    for (int i = 0; i < x.rank; ++i)
        if ((shared >> i & 1U) != 0) require_not_empty(x.dim(i), "a dim that shares a scale");
    push_shape(context, x.shape(), dtype);
    for (const DType each : {x.dtype, dtype}) {
        context.out.begin(each);
        for (int i = 0; i < x.rank; ++i)
            if ((shared >> i & 1U) == 0) context.out.push(x.dim(i));
    }
}

void count_dynamic_quantize(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const ExprRef n = context.y.elements, groups = context.outputs[1].elements;
    const auto twice = [&](ExprRef a) { return exprs.mul(a, ExprRef::small(2)); };
    // Both extremes with 0 among them, their difference; scale and zero point; then as quantize_linear.
    context.emit(Feature::kCmp, twice(exprs.add(twice(n), groups)));
    context.emit(Feature::kAdd, exprs.add(n, twice(groups)));
    context.emit(Feature::kDiv, exprs.add(n, twice(groups)));
    context.emit(Feature::kRound, exprs.add(n, groups));
    context.emit(Feature::kRows, groups);
}

}  // namespace flopcore::ops
