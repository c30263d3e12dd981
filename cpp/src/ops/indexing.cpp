// Ops that pick elements by index or place them: gather, scatter, one-hot, and what depends on data.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

// Throws unless the last dim of indices holds tuples into x behind `batch` common dims; returns their length.
std::size_t tuple_length(InferContext& context, const TensorView& x, const TensorView& indices, std::int64_t batch) {
    require_rank(indices, 1, "indices");
    if (batch < 0 || batch >= indices.rank || batch > x.rank)
        shape_error("batch_dims is " + std::to_string(batch) + ", which x or indices do not have");
    for (int i = 0; i < batch; ++i)
        require_equal(context.exprs, x.dims[i], indices.dims[i], "the batch dims of x and indices");
    const ExprRef length = indices.dim(-1);
    if (!length.is_small() || length.value() < 1 || length.value() > x.rank - batch)
        shape_error("the last dim of indices must be 1 to " + std::to_string(x.rank - batch) + ", is " +
                    context.exprs.text(length));
    return static_cast<std::size_t>(length.value());
}

void require_fit(InferContext& context, std::span<const ExprRef> wanted, const TensorView& updates) {
    if (updates.rank != wanted.size())
        shape_error("updates must have " + std::to_string(wanted.size()) + " dims, is " +
                    shape_text(context.exprs, updates));
    for (std::size_t i = 0; i < wanted.size(); ++i)
        require_equal(context.exprs, updates.dims[i], wanted[i], "the sizes of updates and of what they replace");
}

int axis_of(InferContext& context) {
    return resolve_axis(context.attrs.integer(AttrKey::kAxis), context.inputs[0].rank);
}

}  // namespace

void infer_gather(InferContext& context) {
    const TensorView &x = context.inputs[0], &indices = context.inputs[1];
    const int axis = axis_of(context);
    context.out.begin(x.dtype);
    for (int i = 0; i < axis; ++i) context.out.push(x.dims[i]);
    for (const ExprRef dim : indices.shape()) context.out.push(dim);
    for (int i = axis + 1; i < x.rank; ++i) context.out.push(x.dims[i]);
}

void infer_take_along(InferContext& context) {
    const TensorView &x = context.inputs[0], &indices = context.inputs[1];
    (void)axis_of(context);
    if (indices.rank != x.rank) shape_error("indices must have as many dims as x");
    push_shape(context, indices.shape(), x.dtype);
}

void infer_gather_nd(InferContext& context) {
    const TensorView &x = context.inputs[0], &indices = context.inputs[1];
    const std::int64_t batch = context.attrs.integer(AttrKey::kBatchDims);
    const std::size_t length = tuple_length(context, x, indices, batch);
    context.out.begin(x.dtype);
    for (int i = 0; i + 1 < indices.rank; ++i) context.out.push(indices.dims[i]);
    for (std::size_t i = static_cast<std::size_t>(batch) + length; i < x.rank; ++i) context.out.push(x.dims[i]);
}

void infer_scatter(InferContext& context) {
    const TensorView &x = context.inputs[0], &indices = context.inputs[1];
    (void)axis_of(context);
    if (indices.rank != x.rank) shape_error("indices must have as many dims as x");
    require_same_shape(context.exprs, indices, context.inputs[2], "indices and updates");
    infer_same(context);
}

void infer_scatter_nd(InferContext& context) {
    const TensorView &x = context.inputs[0], &indices = context.inputs[1];
    const std::size_t length = tuple_length(context, x, indices, 0);
    std::vector<ExprRef> wanted(indices.shape().begin(), indices.shape().end() - 1);
    for (std::size_t i = length; i < x.rank; ++i) wanted.push_back(x.dims[i]);
    require_fit(context, wanted, context.inputs[2]);
    infer_same(context);
}

void infer_index_update(InferContext& context) {
    const TensorView &x = context.inputs[0], &indices = context.inputs[1];
    const int axis = axis_of(context);
    if (indices.rank != 1) shape_error("indices must be a vector, is " + shape_text(context.exprs, indices));
    std::vector<ExprRef> wanted(x.shape().begin(), x.shape().end());
    wanted[static_cast<std::size_t>(axis)] = indices.dim(0);
    require_fit(context, wanted, context.inputs[2]);
    infer_same(context);
}

// What a scatter writes or combines.
void measure_updates(CountContext& context, Sizes& sizes) { size_of(sizes, Per::kTap) = context.inputs[2].elements; }

void infer_embedding_bag(InferContext& context) {
    const TensorView &weight = context.inputs[0], &ids = context.inputs[1];
    if (weight.rank != 2 || ids.rank != 2)
        shape_error("weight must be [V, D] and ids [B, L], are " + shape_text(context.exprs, weight) + " and " +
                    shape_text(context.exprs, ids));
    require_not_empty(ids.dim(1), "a bag");
    context.out.begin(weight.dtype);
    context.out.push(ids.dim(0));
    context.out.push(weight.dim(1));
}

void measure_bags(CountContext& context, Sizes& sizes) {
    size_of(sizes, Per::kTap) = context.exprs.mul(context.inputs[1].elements, context.inputs[0].dim(1));
}

void infer_one_hot(InferContext& context) {
    const TensorView& ids = context.inputs[0];
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), ids.rank + 1);
    context.out.begin(result_dtype(context));
    for (int i = 0; i <= ids.rank; ++i) {
        if (i == axis) context.out.push(*context.attrs.scalar(AttrKey::kSize));
        if (i < ids.rank) context.out.push(ids.dims[i]);
    }
}

void infer_nonzero(InferContext& context) {
    context.out.begin(DType::kInt64);
    context.out.push(ExprRef::small(context.inputs[0].rank));
    context.out.push(*context.attrs.scalar(AttrKey::kSize));
}

void infer_masked_select(InferContext& context) {
    require_same_shape(context.exprs, context.inputs[0], context.inputs[1], "x and mask");
    infer_sized_vector(context);
}

void infer_nms(InferContext& context) {
    const TensorView &boxes = context.inputs[0], &scores = context.inputs[1];
    if (boxes.rank != 3 || scores.rank != 3)
        shape_error("boxes must be [B, N, 4] and scores [B, C, N], are " + shape_text(context.exprs, boxes) + " and " +
                    shape_text(context.exprs, scores));
    require_equal(context.exprs, boxes.dim(2), ExprRef::small(4), "the last dim of boxes and 4");
    require_equal(context.exprs, boxes.dim(0), scores.dim(0), "the batch sizes of boxes and scores");
    require_equal(context.exprs, boxes.dim(1), scores.dim(2), "the numbers of boxes and scores");
    context.out.begin(DType::kInt64);
    context.out.push(*context.attrs.scalar(AttrKey::kSize));
    context.out.push(ExprRef::small(3));
}

// Taps are pairs of boxes of a class, rows are boxes.
void measure_nms(CountContext& context, Sizes& sizes) {
    ExprStore& exprs = context.exprs;
    const TensorView &boxes = context.inputs[0], &scores = context.inputs[1];
    const ExprRef n = boxes.dim(1);
    size_of(sizes, Per::kTap) =
        exprs.mul(exprs.mul(scores.dim(0), scores.dim(1)), exprs.scale(exprs.mul(n, exprs.sub(n, one())), {1, 2}));
    size_of(sizes, Per::kRow) = exprs.mul(boxes.dim(0), n);
}

void infer_multinomial(InferContext& context) {
    const TensorView& x = context.inputs[0];
    if (x.rank != 2) shape_error("x must be [N, classes], is " + shape_text(context.exprs, x));
    require_not_empty(x.dim(1), "a choice");
    context.out.begin(DType::kInt64);
    context.out.push(x.dim(0));
    context.out.push(*context.attrs.scalar(AttrKey::kSize));
}

void measure_multinomial(CountContext& context, Sizes& sizes) {
    const TensorView& x = context.inputs[0];
    size_of(sizes, Per::kRow) = x.dim(0);
    size_of(sizes, Per::kTap) = context.exprs.mul(context.y.elements, context.exprs.sub(x.dim(1), one()));
}

}  // namespace flopcore::ops
