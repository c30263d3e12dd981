// Ops that combine elements over axes or along one: reductions, softmax, running sums, sorting, gated units.
#include <bit>

#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

// Bit i is set when axis i is reduced; no axes attribute means all of them.
std::uint64_t reduced_axes(const AttrView& attrs, int rank) {
    const auto axes = attrs.list(AttrKey::kAxes);
    if (!axes) return rank == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << rank) - 1;
    return axis_mask(*axes, rank);
}

int axis_of(const AttrView& attrs, const TensorView& x) { return resolve_axis(attrs.integer(AttrKey::kAxis), x.rank); }

ExprRef rows_along(ExprStore& exprs, const TensorView& x, int axis) {
    ExprRef rows = one();
    for (int i = 0; i < x.rank; ++i)
        if (i != axis) rows = exprs.mul(rows, x.dims[i]);
    return rows;
}

// Merging n elements takes at most n k - 2^k + 1 comparisons, k = ceil(log2 n) (Knuth, TAOCP 3, 5.2.4).
ExprRef merge_comparisons(ExprStore& exprs, ExprRef size) {
    const std::int64_t n = known_size(exprs, size, "the comparisons of a sort");
    if (n == 0) return {};
    const auto levels = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(n - 1)));
    return exprs.constant(Int128{n} * levels - (Int128{1} << levels) + 1);
}

}  // namespace

void infer_reduce(InferContext& context) {
    const TensorView& x = context.inputs[0];
    const std::uint64_t mask = reduced_axes(context.attrs, x.rank);
    const bool keep = context.attrs.integer(AttrKey::kKeepdims) == 1;
    context.out.begin(result_dtype(context));
    for (int i = 0; i < x.rank; ++i) {
        const bool reduced = (mask >> i) & 1U;
        if (reduced) require_not_empty(x.dims[i], "a reduced axis");
        if (!reduced) context.out.push(x.dims[i]);
        if (reduced && keep) context.out.push(one());
    }
}

void infer_along_axis(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_rank(x, 1, "x");
    require_not_empty(x.dim(axis_of(context.attrs, x)), "the axis");
    push_shape(context, x.shape(), x.dtype);
}

void infer_values_and_indices(InferContext& context) {
    infer_along_axis(context);
    push_shape(context, context.inputs[0].shape(), DType::kInt64);
}

void measure_along_axis(CountContext& context, Sizes& sizes) {
    const TensorView& x = context.inputs[0];
    size_of(sizes, Per::kRow) = rows_along(context.exprs, x, axis_of(context.attrs, x));
}

void measure_sort(CountContext& context, Sizes& sizes) {
    measure_along_axis(context, sizes);
    const TensorView& x = context.inputs[0];
    size_of(sizes, Per::kTap) = context.exprs.mul(size_of(sizes, Per::kRow),
                                                  merge_comparisons(context.exprs, x.dim(axis_of(context.attrs, x))));
}

void infer_top_k(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_rank(x, 1, "x");
    const int axis = axis_of(context.attrs, x);
    const ExprRef size = *context.attrs.scalar(AttrKey::kSize);
    require_not_empty(x.dims[axis], "the axis");
    require_at_most(context.exprs, ExprRef(), size, "0 and size");
    require_at_most(context.exprs, size, x.dims[axis], "size and the dim it is picked from");
    for (const DType dtype : {x.dtype, DType::kInt64}) {
        context.out.begin(dtype);
        for (int i = 0; i < x.rank; ++i) context.out.push(i == axis ? size : x.dims[i]);
    }
}

// Selection takes n - i comparisons for the i-th of k elements: k n - k (k + 1) / 2.
void measure_top_k(CountContext& context, Sizes& sizes) {
    ExprStore& exprs = context.exprs;
    measure_along_axis(context, sizes);
    const TensorView& x = context.inputs[0];
    const ExprRef k = *context.attrs.scalar(AttrKey::kSize);
    const ExprRef each = exprs.sub(exprs.mul(k, x.dim(axis_of(context.attrs, x))),
                                   exprs.scale(exprs.mul(k, exprs.add(k, one())), {1, 2}));
    size_of(sizes, Per::kTap) = exprs.mul(size_of(sizes, Per::kRow), each);
}

void infer_glu(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_rank(x, 1, "x");
    const int axis = axis_of(context.attrs, x);
    require_not_empty(x.dims[axis], "the axis");
    const ExprRef half = exact_quotient(context.exprs, x.dims[axis], ExprRef::small(2), "the dim that is halved");
    context.out.begin(x.dtype);
    for (int i = 0; i < x.rank; ++i) context.out.push(i == axis ? half : x.dims[i]);
}

void infer_sized_vector(InferContext& context) {
    context.out.begin(result_dtype(context));
    context.out.push(*context.attrs.scalar(AttrKey::kSize));
}

namespace {

// The axis whose slices are compared, if it is one.
std::optional<int> compared_axis(const AttrView& attrs, const TensorView& x) {
    const auto axes = attrs.list(AttrKey::kAxes);
    if (!axes || axes->empty()) return std::nullopt;
    if (axes->size() > 1) shape_error("axes names one axis whose slices are compared, or none");
    return resolve_axis(axes->front().value(), x.rank);
}

}  // namespace

void infer_unique(InferContext& context) {
    const TensorView& x = context.inputs[0];
    const auto axis = compared_axis(context.attrs, x);
    if (!axis) return infer_sized_vector(context);
    context.out.begin(x.dtype);
    for (int i = 0; i < x.rank; ++i) context.out.push(i == *axis ? *context.attrs.scalar(AttrKey::kSize) : x.dims[i]);
}

// Sort, then compare neighbours: elements, or slices, which differ at their last element at the latest.
void measure_unique(CountContext& context, Sizes& sizes) {
    ExprStore& exprs = context.exprs;
    const TensorView& x = context.inputs[0];
    const auto axis = compared_axis(context.attrs, x);
    const ExprRef n = axis ? x.dims[*axis] : x.elements;
    ExprRef length = one();
    for (int i = 0; axis && i < x.rank; ++i)
        if (i != *axis) length = exprs.mul(length, x.dims[i]);
    size_of(sizes, Per::kTap) = exprs.mul(length, merge_comparisons(exprs, n));
    size_of(sizes, Per::kRow) = is_zero(n) ? n : exprs.mul(length, exprs.sub(n, one()));
}

void infer_searchsorted(InferContext& context) {
    if (context.inputs[0].rank != 1)
        shape_error("sorted must be a vector, is " + shape_text(context.exprs, context.inputs[0]));
    push_shape(context, context.inputs[1].shape(), DType::kInt64);
}

// A search among n sorted elements takes at most floor(log2 n) + 1 comparisons (Knuth, TAOCP 3, 6.2.1).
void measure_searchsorted(CountContext& context, Sizes& sizes) {
    const std::int64_t n = known_size(context.exprs, context.inputs[0].elements, "the steps of a search");
    size_of(sizes, Per::kTap) =
        context.exprs.mul(context.inputs[1].elements,
                          ExprRef::small(static_cast<std::int64_t>(std::bit_width(static_cast<std::uint64_t>(n)))));
}

}  // namespace flopcore::ops
