// matmul, linear, dot_general, ragged_matmul, sparse_matmul, bilinear: dot products of length k are k multiply-adds.
#include <algorithm>

#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

enum Ragged : std::int64_t { kRaggedRows, kRaggedInner, kRaggedColumns };  // order of the choices in the table

void emit_dots(CountContext& context, ExprRef outputs, ExprRef length) {
    context.emit(Feature::kMac, context.exprs.mul(outputs, length));
    context.emit(Feature::kOutputs, outputs);
}

// A bias of one number per output feature, if it is given.
void emit_bias(CountContext& context, std::size_t input) {
    if (!given(context.inputs, input)) return;
    context.flag(Variant::kBias);
    context.emit(Feature::kAdd, context.y.elements);
}

void require_bias(InferContext& context, std::size_t input, ExprRef size) {
    if (!given(context.inputs, input)) return;
    const TensorView& bias = context.inputs[input];
    if (bias.rank != 1) shape_error("bias must be [out], is " + shape_text(context.exprs, bias));
    require_equal(context.exprs, bias.dim(0), size, "the sizes of bias and of the output");
}

void push_all(InferContext& context, std::span<const ExprRef> dims) {
    for (const ExprRef dim : dims) context.out.push(dim);
}

// Axes of one operand by a list attribute, none twice; empty when it is left out.
std::vector<int> axes_of(InferContext& context, AttrKey key, const TensorView& t) {
    std::vector<int> axes;
    for (const ExprRef axis : context.attrs.list(key).value_or(std::span<const ExprRef>{})) {
        axes.push_back(resolve_axis(axis.value(), t.rank));
        if (std::count(axes.begin(), axes.end(), axes.back()) > 1) shape_error("an operand's axis is named twice");
    }
    return axes;
}

// The dim that the groups cut.
ExprRef ragged_dim(std::int64_t ragged, const TensorView& x, const TensorView& weight) {
    if (ragged == kRaggedColumns) return weight.dim(-1);
    return x.dim(ragged == kRaggedRows ? -2 : -1);
}

}  // namespace

void infer_matmul(InferContext& context) {
    require_same_dtype(context.inputs[0], context.inputs[1]);
    infer_matmul_shape(context, result_dtype(context, context.inputs[0].dtype));
}

void infer_matmul_shape(InferContext& context, DType dtype) {
    const TensorView &a = context.inputs[0], &b = context.inputs[1];
    require_rank(a, 1, "the left operand");
    require_rank(b, 1, "the right operand");
    const ExprRef length = a.dim(-1);
    require_equal(context.exprs, length, b.rank == 1 ? b.dim(0) : b.dim(-2), "the sizes summed over");
    require_not_empty(length, "the dim summed over");
    context.out.begin(dtype);
    if (a.rank > 2 || b.rank > 2)
        push_broadcast(context, a.shape().first(a.rank > 2 ? a.rank - 2U : 0),
                       b.shape().first(b.rank > 2 ? b.rank - 2U : 0));
    if (a.rank > 1) context.out.push(a.dim(-2));
    if (b.rank > 1) context.out.push(b.dim(-1));
}

void count_matmul(CountContext& context) {
    if (context.inputs[1].rank == 1) context.flag(Variant::kVector);
    emit_dots(context, context.y.elements, context.inputs[0].dim(-1));
}

void infer_linear(InferContext& context) {
    const TensorView &x = context.inputs[0], &weight = context.inputs[1];
    require_rank(x, 1, "x");
    if (weight.rank != 2) shape_error("weight must be [out, in], is " + shape_text(context.exprs, weight));
    require_equal(context.exprs, x.dim(-1), weight.dim(1), "the last dim of x and the in size of weight");
    require_not_empty(x.dim(-1), "the dim summed over");
    require_bias(context, 2, weight.dim(0));
    context.out.begin(result_dtype(context, x.dtype));
    for (int i = 0; i + 1 < x.rank; ++i) context.out.push(x.dims[i]);
    context.out.push(weight.dim(0));
}

void count_linear(CountContext& context) {
    emit_dots(context, context.y.elements, context.inputs[0].dim(-1));
    emit_bias(context, 2);
}

void infer_dot_general(InferContext& context) {
    const TensorView &a = context.inputs[0], &b = context.inputs[1];
    const auto batch_a = axes_of(context, AttrKey::kLhsBatch, a), batch_b = axes_of(context, AttrKey::kRhsBatch, b);
    auto used_a = axes_of(context, AttrKey::kLhsContract, a), used_b = axes_of(context, AttrKey::kRhsContract, b);
    if (batch_a.size() != batch_b.size() || used_a.size() != used_b.size())
        shape_error("both operands need as many batch axes, and as many contracted axes");
    for (std::size_t i = 0; i < used_a.size(); ++i) {
        require_equal(context.exprs, a.dim(used_a[i]), b.dim(used_b[i]), "the sizes summed over");
        require_not_empty(a.dim(used_a[i]), "the dim summed over");
    }
    context.out.begin(result_dtype(context, a.dtype));
    for (std::size_t i = 0; i < batch_a.size(); ++i) {
        require_equal(context.exprs, a.dim(batch_a[i]), b.dim(batch_b[i]), "the batch sizes");
        context.out.push(a.dim(batch_a[i]));
    }
    const auto push_free = [&](const TensorView& t, std::vector<int>& used, const std::vector<int>& batch) {
        for (const int axis : batch) {
            if (std::ranges::find(used, axis) != used.end()) shape_error("an axis is both batch and contracted");
            used.push_back(axis);
        }
        for (int i = 0; i < t.rank; ++i)
            if (std::ranges::find(used, i) == used.end()) context.out.push(t.dim(i));
    };
    push_free(a, used_a, batch_a);
    push_free(b, used_b, batch_b);
}

void count_dot_general(CountContext& context) {
    const TensorView& a = context.inputs[0];
    ExprRef length = one();
    for (const ExprRef axis : context.attrs.list(AttrKey::kLhsContract).value_or(std::span<const ExprRef>{}))
        length = context.exprs.mul(length, a.dim(resolve_axis(axis.value(), a.rank)));
    emit_dots(context, context.y.elements, length);
}

void infer_ragged_matmul(InferContext& context) {
    const TensorView &x = context.inputs[0], &weight = context.inputs[1], &sizes = context.inputs[2];
    const std::int64_t ragged = context.attrs.integer(AttrKey::kRagged);
    if (x.rank != (ragged == kRaggedColumns ? 3 : 2) || weight.rank != (ragged == kRaggedRows ? 3 : 2))
        shape_error("ragged rows take [T, K] x [G, K, N], inner [M, T] x [T, N], columns [G, M, K] x [K, T], got " +
                    shape_text(context.exprs, x) + " and " + shape_text(context.exprs, weight));
    if (sizes.rank != 1) shape_error("group_sizes must be [G], is " + shape_text(context.exprs, sizes));
    const ExprRef groups = sizes.dim(0);
    require_same_dtype(x, weight);
    require_equal(context.exprs, x.dim(-1), weight.dim(-2), "the sizes summed over");
    if (ragged != kRaggedInner)
        require_equal(context.exprs, groups, ragged == kRaggedRows ? weight.dim(0) : x.dim(0), "the group counts");
    require_not_empty(x.dim(-1), "the dim summed over");
    const std::int64_t top_k = context.attrs.integer(AttrKey::kTopK);
    if (top_k < 1) shape_error("top_k is " + std::to_string(top_k) + ", must be 1 or more");
    (void)exact_quotient(context.exprs, ragged_dim(ragged, x, weight), ExprRef::small(top_k), "the ragged dim");
    context.out.begin(result_dtype(context, x.dtype));
    if (ragged == kRaggedInner) context.out.push(groups);
    context.out.push(x.dim(-2));
    context.out.push(weight.dim(-1));
}

void count_ragged_matmul(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[0], &weight = context.inputs[1];
    const std::int64_t ragged = context.attrs.integer(AttrKey::kRagged);
    // Every row (or term, or column) belongs to one group: the groups' sizes do not matter, only their sum.
    const ExprRef cut = ragged_dim(ragged, x, weight);
    const ExprRef tokens = exprs.floordiv(cut, ExprRef::small(context.attrs.integer(AttrKey::kTopK)));
    const ExtentId groups =
        context.add_extent({ExtentKind::kExperts, Grade::kExact, exprs.mul(tokens, context.inputs[2].dim(0)), cut});
    const ExprRef m = x.dim(-2), k = x.dim(-1), n = weight.dim(-1);
    switch (ragged) {
        case kRaggedRows:
            context.emit(Feature::kMac, exprs.mul(k, n), groups);
            context.emit(Feature::kOutputs, n, groups);
            context.emit(Feature::kKernelElems, k, groups);
            break;
        case kRaggedInner:
            context.emit(Feature::kMac, exprs.mul(m, n), groups);
            context.emit(Feature::kOutputs, context.y.elements);
            break;
        default:
            context.emit(Feature::kMac, exprs.mul(m, k), groups);
            context.emit(Feature::kOutputs, m, groups);
    }
}

void infer_sparse_matmul(InferContext& context) {
    const bool left = context.attrs.integer(AttrKey::kSparse) == 0;
    const TensorView& sparse = context.inputs[left ? 0 : 1];
    if (sparse.rank != 2) shape_error("the sparse operand must be a matrix, is " + shape_text(context.exprs, sparse));
    if (context.inputs[left ? 1 : 0].rank < 1) shape_error("the dense operand needs a dim");
    infer_matmul(context);
    const Sparsity sparsity(context.attrs, context.exprs, sparse.shape());
    (void)sparsity;
}

void count_sparse_matmul(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const bool left = context.attrs.integer(AttrKey::kSparse) == 0;
    const TensorView &sparse = context.inputs[left ? 0 : 1], &dense = context.inputs[left ? 1 : 0];
    const Sparsity sparsity(context.attrs, exprs, sparse.shape());
    const ExtentId kept = context.add_extent(
        {ExtentKind::kSparsity, sparsity.grade, exprs.mul(sparse.dim(0), sparse.dim(1)), sparsity.used});
    // Each stored element meets every row or column of the dense operand once.
    const int summed = left && dense.rank > 1 ? dense.rank - 2 : dense.rank - 1;
    ExprRef vectors = one();
    for (int i = 0; i < dense.rank; ++i)
        if (i != summed) vectors = exprs.mul(vectors, dense.dim(i));
    context.emit(Feature::kMac, vectors, kept);
    context.emit(Feature::kOutputs, context.y.elements);
}

void infer_bilinear(InferContext& context) {
    const TensorView &a = context.inputs[0], &b = context.inputs[1], &weight = context.inputs[2];
    if (weight.rank != 3 || a.rank < 1 || a.rank != b.rank)
        shape_error("bilinear takes [..., I], [..., J] and a weight [out, I, J]");
    require_same_dtype(a, b);
    for (int i = 0; i + 1 < a.rank; ++i) require_equal(context.exprs, a.dim(i), b.dim(i), "the leading dims");
    require_equal(context.exprs, a.dim(-1), weight.dim(1), "the last dim of the first operand and that of weight");
    require_equal(context.exprs, b.dim(-1), weight.dim(2), "the last dim of the second operand and that of weight");
    require_not_empty(a.dim(-1), "the dim summed over");
    require_not_empty(b.dim(-1), "the dim summed over");
    require_bias(context, 3, weight.dim(0));
    context.out.begin(result_dtype(context, a.dtype));
    push_all(context, a.shape().first(a.rank - 1U));
    context.out.push(weight.dim(0));
}

void count_bilinear(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const ExprRef outputs = context.y.elements, width = context.inputs[1].dim(-1);
    const ExprRef inner = exprs.mul(outputs, width);  // one row of a^T W per output, then a dot with b
    context.emit(Feature::kMac, exprs.mul(inner, exprs.add(context.inputs[0].dim(-1), one())));
    context.emit(Feature::kOutputs, exprs.add(inner, outputs));
    emit_bias(context, 3);
}

}  // namespace flopcore::ops
