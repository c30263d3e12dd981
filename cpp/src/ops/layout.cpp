// Ops that arrange or make elements without computing with them, and dropout, which leaves some out.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

std::int64_t block_of(InferContext& context, const TensorView& x) {
    const std::int64_t block = context.attrs.integer(AttrKey::kBlock);
    if (x.rank != 4 || block < 1 || block > (std::int64_t{1} << 30))
        shape_error("x must be [N, C, H, W] and block 1 or more, got " + shape_text(context.exprs, x) + " and " +
                    std::to_string(block));
    return block;
}

void require_not_negative(const ExprStore& exprs, ExprRef size, const char* what) {
    require_at_most(exprs, ExprRef(), size, what);
}

}  // namespace

void infer_same(InferContext& context) { push_shape(context, context.inputs[0].shape(), result_dtype(context)); }

void infer_same_axes(InferContext& context) {
    (void)axis_mask(*context.attrs.list(AttrKey::kAxes), context.inputs[0].rank);
    infer_same(context);
}

void infer_matrix(InferContext& context) {
    require_rank(context.inputs[0], 2, "x");
    infer_same(context);
}

void infer_squeeze(InferContext& context) {
    const TensorView& x = context.inputs[0];
    const std::uint64_t mask = axis_mask(*context.attrs.list(AttrKey::kAxes), x.rank);
    context.out.begin(x.dtype);
    for (int i = 0; i < x.rank; ++i)
        if ((mask >> i) & 1U)
            require_equal(context.exprs, x.dims[i], one(), "a squeezed dim and 1");
        else
            context.out.push(x.dims[i]);
}

void infer_unsqueeze(InferContext& context) {
    const TensorView& x = context.inputs[0];
    const auto axes = *context.attrs.list(AttrKey::kAxes);
    const std::size_t rank = x.rank + axes.size();
    if (rank > kMaxRank) shape_error("a tensor has at most 64 dims");
    const std::uint64_t mask = axis_mask(axes, static_cast<int>(rank));
    context.out.begin(x.dtype);
    for (std::size_t i = 0, next = 0; i < rank; ++i) context.out.push((mask >> i) & 1U ? one() : x.dims[next++]);
}

void infer_expand(InferContext& context) {
    const auto shape = *context.attrs.list(AttrKey::kShape);
    for (const ExprRef dim : shape) require_not_negative(context.exprs, dim, "0 and a dim");
    context.out.begin(context.inputs[0].dtype);
    push_broadcast(context, context.inputs[0].shape(), shape);
}

void infer_tile(InferContext& context) {
    const TensorView& x = context.inputs[0];
    const auto repeats = *context.attrs.list(AttrKey::kRepeats);
    if (repeats.size() != x.rank) shape_error("repeats needs one number per dim of x");
    context.out.begin(x.dtype);
    for (std::size_t i = 0; i < repeats.size(); ++i) {
        require_not_negative(context.exprs, repeats[i], "0 and repeats");
        context.out.push(context.exprs.mul(x.dims[i], repeats[i]));
    }
}

void infer_repeat_interleave(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_rank(x, 1, "x");
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
    const ExprRef times = *context.attrs.scalar(AttrKey::kSize);
    require_not_negative(context.exprs, times, "0 and size");
    context.out.begin(x.dtype);
    for (int i = 0; i < x.rank; ++i) context.out.push(i == axis ? context.exprs.mul(x.dims[i], times) : x.dims[i]);
}

void infer_pad(InferContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView& x = context.inputs[0];
    const auto padding = *context.attrs.list(AttrKey::kPadding);
    if (padding.size() != 2U * x.rank) shape_error("padding needs a begin and an end per dim of x");
    context.out.begin(x.dtype);
    for (std::size_t i = 0; i < x.rank; ++i) {
        const ExprRef size = exprs.add(exprs.add(x.dims[i], padding[i]), padding[x.rank + i]);
        require_not_negative(exprs, size, "0 and a padded dim");
        context.out.push(size);
    }
}

void infer_stack(InferContext& context) {
    const TensorView& first = context.inputs[0];
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), first.rank + 1);
    for (const TensorView& t : context.inputs) require_same_shape(context.exprs, first, t, "tensors to stack");
    context.out.begin(first.dtype);
    for (int i = 0; i <= first.rank; ++i) {
        if (i == axis) context.out.push(ExprRef::small(static_cast<std::int64_t>(context.inputs.size())));
        if (i < first.rank) context.out.push(first.dims[i]);
    }
}

void infer_unbind(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_rank(x, 1, "x");
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
    const ExprRef size = x.dims[axis];
    if (!size.is_small() || size.value() < 1 || size.value() > kMaxOutputs)
        shape_error("unbind needs an axis of 1 to " + std::to_string(kMaxOutputs) + " slices, it has " +
                    context.exprs.text(size));
    for (std::int64_t k = 0; k < size.value(); ++k) {
        context.out.begin(x.dtype);
        for (int i = 0; i < x.rank; ++i)
            if (i != axis) context.out.push(x.dims[i]);
    }
}

void infer_meshgrid(InferContext& context) {
    for (const TensorView& t : context.inputs)
        if (t.rank != 1) shape_error("meshgrid takes vectors, got " + shape_text(context.exprs, t));
    for (std::size_t k = 0; k < context.inputs.size(); ++k) {
        context.out.begin(context.inputs[0].dtype);
        for (const TensorView& t : context.inputs) context.out.push(t.dim(0));
    }
}

void infer_diag(InferContext& context) {
    const TensorView& x = context.inputs[0];
    if (x.rank != 1 && x.rank != 2) shape_error("x must be a vector or a matrix, is " + shape_text(context.exprs, x));
    context.out.begin(x.dtype);
    if (x.rank == 2) return context.out.push(x.dim(0) == x.dim(1) ? x.dim(0) : context.exprs.min(x.dim(0), x.dim(1)));
    context.out.push(x.dim(0));
    context.out.push(x.dim(0));
}

void infer_space_to_depth(InferContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView& x = context.inputs[0];
    const std::int64_t block = block_of(context, x);
    context.out.begin(x.dtype);
    context.out.push(x.dim(0));
    context.out.push(exprs.mul(x.dim(1), exprs.constant(Int128{block} * block)));
    for (const int i : {2, 3})
        context.out.push(exact_quotient(exprs, x.dim(i), ExprRef::small(block), "a spatial dim"));
}

void infer_depth_to_space(InferContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView& x = context.inputs[0];
    const std::int64_t block = block_of(context, x);
    context.out.begin(x.dtype);
    context.out.push(x.dim(0));
    context.out.push(exact_quotient(exprs, x.dim(1), exprs.constant(Int128{block} * block), "the channel dim"));
    for (const int i : {2, 3}) context.out.push(exprs.mul(x.dim(i), ExprRef::small(block)));
}

void infer_reverse_sequence(InferContext& context) {
    const TensorView& x = context.inputs[0];
    const int batch = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
    if (batch == resolve_axis(context.attrs.integer(AttrKey::kTimeAxis), x.rank))
        shape_error("axis and time_axis are the same");
    require_vector(context, 1, x.dims[batch], "lengths");
    infer_same(context);
}

void infer_shape_of(InferContext& context) {
    context.out.begin(DType::kInt64);
    context.out.push(ExprRef::small(context.inputs[0].rank));
}

void infer_size_of(InferContext& context) { context.out.begin(DType::kInt64); }

void infer_filled(InferContext& context) {
    const auto shape = *context.attrs.list(AttrKey::kShape);
    push_shape(context, shape, result_dtype(context));
}

void infer_dropout(InferContext& context) {
    if (const auto ratio = context.attrs.scalar(AttrKey::kRatio)) require_share(context.exprs, *ratio, "ratio");
    infer_same(context);
}

// In training each element is drawn, compared, masked and scaled; 1 - ratio of the products are of kept elements.
void count_dropout(CountContext& context) {
    if (context.attrs.integer(AttrKey::kMode) != 1) return;
    ExprStore& exprs = context.exprs;
    const ExprRef n = context.inputs[0].elements;
    const ExprRef ratio = context.attrs.scalar(AttrKey::kRatio).value_or(exprs.constant(Rational{1, 2}));
    context.flag(Variant::kTrain);
    context.emit(Feature::kRng, n);
    context.emit(Feature::kCmp, n);
    const ExprRef kept = exprs.mul(n, exprs.sub(one(), ratio));
    context.emit(Feature::kMul, ExprRef::small(2),
                 context.add_extent({ExtentKind::kDropout, Grade::kExpected, n, kept}));
}

}  // namespace flopcore::ops
