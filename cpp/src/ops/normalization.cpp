// Norms: independent rows, each centred, scaled or summed.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

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
    infer_same(context);
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
    infer_same(context);
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

namespace {

void infer_channel_norm(InferContext& context, int at_least, int first_reduced) {
    const TensorView& x = context.inputs[0];
    require_rank(x, at_least, "x");
    require_vector(context, 1, x.dim(1), "gamma");
    require_vector(context, 2, x.dim(1), "beta");
    for (int i = first_reduced; i < x.rank; ++i) require_not_empty(x.dims[i], "a normalised dim");
    infer_same(context);
}

}  // namespace

void infer_group_norm(InferContext& context) {
    infer_channel_norm(context, 2, 1);
    const std::int64_t groups = context.attrs.integer(AttrKey::kGroups);
    if (groups < 1) shape_error("groups is " + std::to_string(groups) + ", must be 1 or more");
    (void)exact_quotient(context.exprs, context.inputs[0].dim(1), ExprRef::small(groups), "the channel dim");
}

void measure_groups(CountContext& context, Sizes& sizes) {
    size_of(sizes, Per::kRow) =
        context.exprs.mul(context.inputs[0].dim(0), ExprRef::small(context.attrs.integer(AttrKey::kGroups)));
}

void infer_instance_norm(InferContext& context) { infer_channel_norm(context, 3, 2); }

void measure_channels(CountContext& context, Sizes& sizes) {
    size_of(sizes, Per::kRow) = context.exprs.mul(context.inputs[0].dim(0), context.inputs[0].dim(1));
}

void infer_local_response_norm(InferContext& context) {
    require_rank(context.inputs[0], 2, "x");
    const std::int64_t size = context.attrs.integer(AttrKey::kSize);
    if (size < 1) shape_error("size is " + std::to_string(size) + ", must be 1 or more");
    infer_same(context);
}

void measure_channel_windows(CountContext& context, Sizes& sizes) {
    size_of(sizes, Per::kTap) =
        context.exprs.mul(context.y.elements, ExprRef::small(context.attrs.integer(AttrKey::kSize)));
}

void infer_weight_norm(InferContext& context) {
    const TensorView& v = context.inputs[0];
    require_rank(v, 1, "v");
    const ExprRef rows = v.dim(resolve_axis(context.attrs.integer(AttrKey::kAxis), v.rank));
    require_vector(context, 1, rows, "g");
    for (const ExprRef dim : v.shape()) require_not_empty(dim, "a dim of v");
    infer_same(context);
}

void measure_weight_norm(CountContext& context, Sizes& sizes) {
    size_of(sizes, Per::kRow) = context.inputs[1].elements;
}

}  // namespace flopcore::ops
