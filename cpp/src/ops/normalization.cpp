// softmax, batch norm, layer norm, RMS norm: independent rows, each centred, scaled or summed.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

void push_input_shape(InferContext& context) {
    context.out.begin(context.inputs[0].dtype);
    for (const ExprRef dim : context.inputs[0].shape()) context.out.push(dim);
}

bool given(std::span<const TensorView> inputs, std::size_t i) { return i < inputs.size() && inputs[i].given(); }

// Rows of a norm over the trailing dims: the product of the dims before them.
ExprRef leading_rows(CountContext& context) {
    const TensorView& x = context.inputs[0];
    const auto width = static_cast<std::size_t>(context.attrs.integer(AttrKey::kNormalizedNdim));
    return product(context.exprs, x.shape().first(x.rank - width));
}

void emit_product(CountContext& context, Feature feature, ExprRef elements, std::int64_t count) {
    context.emit(feature, context.exprs.mul(elements, ExprRef::small(count)));
}

}  // namespace

void infer_softmax(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_rank(x, 1, "x");
    require_not_empty(x.dim(resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank)), "the softmax axis");
    push_input_shape(context);
}

void count_softmax(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView& x = context.inputs[0];
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
    ExprRef rows = one();
    for (int i = 0; i < x.rank; ++i)
        if (i != axis) rows = exprs.mul(rows, x.dims[i]);
    const ExprRef elements = x.elements;
    context.emit(Feature::kCmp, exprs.sub(elements, rows));
    context.emit(Feature::kAdd, exprs.sub(exprs.mul(elements, ExprRef::small(2)), rows));
    context.emit(Feature::kExp, elements);
    context.emit(Feature::kDiv, elements);
    context.emit(Feature::kRows, rows);
}

void infer_batch_norm(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_rank(x, 2, "x");
    for (std::size_t i = 1; i < context.inputs.size(); ++i) {
        const TensorView& t = context.inputs[i];
        if (!t.given()) continue;
        if (t.rank != 1) shape_error("scale, offset and statistics must be [C], got " + shape_text(context.exprs, t));
        require_equal(context.exprs, t.dim(0), x.dim(1),
                      "the sizes of scale, offset or statistics and of the channels");
    }
    if (context.attrs.integer(AttrKey::kMode) == 1)
        for (int i = 0; i < x.rank; ++i)
            if (i != 1) require_not_empty(x.dims[i], "a batch to take statistics of");
    push_input_shape(context);
}

void count_batch_norm(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const ExprRef elements = context.inputs[0].elements, channels = context.inputs[0].dim(1);
    const bool train = context.attrs.integer(AttrKey::kMode) == 1;
    const bool gamma = given(context.inputs, 1), beta = given(context.inputs, 2);
    if (gamma) context.flag(Variant::kAffine);
    if (train) context.flag(Variant::kTrain);
    ExprRef adds = exprs.add(exprs.mul(elements, ExprRef::small(beta ? 2 : 1)), channels);
    if (train) adds = exprs.add(adds, exprs.mul(exprs.sub(elements, channels), ExprRef::small(2)));
    context.emit(Feature::kAdd, adds);
    emit_product(context, Feature::kMul, elements, 1 + (gamma ? 1 : 0) + (train ? 1 : 0));
    if (train) emit_product(context, Feature::kDiv, channels, 2);
    context.emit(Feature::kRsqrt, channels);
    context.emit(Feature::kRows, channels);
}

void infer_row_norm(InferContext& context) {
    const TensorView& x = context.inputs[0];
    const std::int64_t width = context.attrs.integer(AttrKey::kNormalizedNdim);
    if (width < 1 || width > x.rank)
        shape_error("normalized_ndim is " + std::to_string(width) + ", must be between 1 and the rank " +
                    std::to_string(x.rank));
    for (int i = 1; i <= width; ++i) require_not_empty(x.dim(-i), "a normalised dim");
    for (std::size_t i = 1; i < context.inputs.size(); ++i) {
        const TensorView& t = context.inputs[i];
        if (!t.given()) continue;
        if (t.rank != width)
            shape_error("scale and offset must have the normalised dims, got " + shape_text(context.exprs, t));
        for (int j = 1; j <= width; ++j)
            require_equal(context.exprs, t.dim(-j), x.dim(-j),
                          "the sizes of scale or offset and of the normalised dims");
    }
    push_input_shape(context);
}

void count_layer_norm(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const ExprRef elements = context.inputs[0].elements, rows = leading_rows(context);
    const bool gamma = given(context.inputs, 1), beta = given(context.inputs, 2);
    if (gamma) context.flag(Variant::kAffine);
    context.emit(Feature::kAdd, exprs.sub(exprs.mul(elements, ExprRef::small(beta ? 4 : 3)), rows));
    emit_product(context, Feature::kMul, elements, gamma ? 3 : 2);
    emit_product(context, Feature::kDiv, rows, 2);
    context.emit(Feature::kRsqrt, rows);
    context.emit(Feature::kRows, rows);
}

void count_rms_norm(CountContext& context) {
    const ExprRef elements = context.inputs[0].elements, rows = leading_rows(context);
    const bool gamma = given(context.inputs, 1);
    if (gamma) context.flag(Variant::kAffine);
    context.emit(Feature::kAdd, elements);
    emit_product(context, Feature::kMul, elements, gamma ? 3 : 2);
    context.emit(Feature::kDiv, rows);
    context.emit(Feature::kRsqrt, rows);
    context.emit(Feature::kRows, rows);
}

}  // namespace flopcore::ops
