// Ops that move or rename data: reshape, flatten, transpose, concat, slice, embedding.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {

void infer_reshape(InferContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView& x = context.inputs[0];
    const auto shape = *context.attrs.list(AttrKey::kShape);
    const ExprRef elements = product(exprs, x.shape());
    ExprRef known = one();
    bool open = false;
    for (const ExprRef dim : shape) {
        if (dim == ExprRef::small(-1)) {
            if (open) shape_error("only one dim of shape may be -1");
            open = true;
        } else {
            known = exprs.mul(known, dim);
        }
    }
    ExprRef rest = one();
    if (open) {
        if (is_zero(known)) shape_error("-1 is undetermined: the other dims hold 0 elements");
        rest = exprs.floordiv(elements, known);
        require_equal(exprs, elements, exprs.mul(rest, known), "the element counts before and after");
    } else {
        require_equal(exprs, elements, known, "the element counts before and after");
    }
    context.out.begin(x.dtype);
    for (const ExprRef dim : shape) context.out.push(dim == ExprRef::small(-1) ? rest : dim);
}

void infer_flatten(InferContext& context) {
    const TensorView& x = context.inputs[0];
    context.out.begin(x.dtype);
    if (x.rank == 0) return context.out.push(one());
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
    const int end = resolve_axis(context.attrs.integer(AttrKey::kEndAxis), x.rank);
    if (end < axis) shape_error("end_axis lies before axis");
    for (int i = 0; i < axis; ++i) context.out.push(x.dims[i]);
    context.out.push(product(
        context.exprs, x.shape().subspan(static_cast<std::size_t>(axis), static_cast<std::size_t>(end - axis + 1))));
    for (int i = end + 1; i < x.rank; ++i) context.out.push(x.dims[i]);
}

void infer_transpose(InferContext& context) {
    const TensorView& x = context.inputs[0];
    const auto permutation = *context.attrs.list(AttrKey::kPermutation);
    if (permutation.size() != x.rank)
        shape_error("permutation has " + std::to_string(permutation.size()) + " axes, x has " + std::to_string(x.rank));
    context.out.begin(x.dtype);
    std::uint64_t seen = 0;
    for (const ExprRef entry : permutation) {
        const int axis = resolve_axis(entry.value(), x.rank);
        if ((seen >> axis) & 1U) shape_error("permutation names axis " + std::to_string(axis) + " twice");
        seen |= std::uint64_t{1} << axis;
        context.out.push(x.dims[axis]);
    }
}

void infer_concat(InferContext& context) {
    const TensorView& first = context.inputs[0];
    require_rank(first, 1, "x");
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), first.rank);
    ExprRef size;
    for (const TensorView& t : context.inputs) {
        if (t.rank != first.rank) shape_error("tensors to concat have different numbers of dims");
        for (int i = 0; i < t.rank; ++i)
            if (i != axis) require_equal(context.exprs, t.dims[i], first.dims[i], "dims off the concat axis");
        size = context.exprs.add(size, t.dims[axis]);
    }
    context.out.begin(first.dtype);
    for (int i = 0; i < first.rank; ++i) context.out.push(i == axis ? size : first.dims[i]);
}

void infer_slice(InferContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView& x = context.inputs[0];
    require_rank(x, 1, "x");
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
    const ExprRef start = *context.attrs.scalar(AttrKey::kStart), stop = *context.attrs.scalar(AttrKey::kStop);
    const std::int64_t step = context.attrs.integer(AttrKey::kStep);
    if (step < 1) shape_error("step is " + std::to_string(step) + ", must be 1 or more");
    const auto in_order = [&](ExprRef low, ExprRef high) { return low == high || exprs.less_equal(low, high) == true; };
    if (!in_order(ExprRef(), start) || !in_order(start, stop) || !in_order(stop, x.dims[axis]))
        shape_error("slice needs 0 <= start <= stop <= size, got start " + exprs.text(start) + ", stop " +
                    exprs.text(stop) + ", size " + exprs.text(x.dims[axis]));
    const ExprRef length = exprs.sub(stop, start);
    context.out.begin(x.dtype);
    for (int i = 0; i < x.rank; ++i)
        context.out.push(i != axis ? x.dims[i] : step == 1 ? length : exprs.ceildiv(length, ExprRef::small(step)));
}

void infer_split(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_rank(x, 1, "x");
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
    const auto sizes = *context.attrs.list(AttrKey::kSizes);
    if (sizes.empty()) shape_error("sizes is empty; a split has one output or more");
    ExprRef total;
    for (const ExprRef size : sizes) {
        if (size.is_small() && size.value() < 0) shape_error("sizes holds " + std::to_string(size.value()));
        total = context.exprs.add(total, size);
        context.out.begin(x.dtype);
        for (int i = 0; i < x.rank; ++i) context.out.push(i == axis ? size : x.dims[i]);
    }
    require_equal(context.exprs, total, x.dims[axis], "the sum of sizes and the dim that is split");
}

void infer_embedding(InferContext& context) {
    const TensorView &weight = context.inputs[0], &ids = context.inputs[1];
    if (weight.rank != 2) shape_error("weight must be [V, D], is " + shape_text(context.exprs, weight));
    context.out.begin(weight.dtype);
    for (const ExprRef dim : ids.shape()) context.out.push(dim);
    context.out.push(weight.dim(1));
}

void count_view(CountContext&) {}

void count_move(CountContext& context) {
    ExprRef moved;
    for (const TensorView& t : context.outputs) moved = context.exprs.add(moved, t.elements);
    context.emit(Feature::kMove, moved);
}

}  // namespace flopcore::ops
