// Decompositions and solves over batches of matrices, by the textbook algorithms (Golub and Van Loan 2013, Matrix
// Computations, sections 3.1, 3.4 and 4.2; LAPACK Working Note 41, appendix C).
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

ExprRef batch_of(ExprStore& exprs, const TensorView& a) { return product(exprs, a.shape().first(a.rank - 2U)); }

// n (n - 1) / 2 and n (n - 1) (n + 1) / 6.
ExprRef below_diagonal(ExprStore& exprs, ExprRef n) { return exprs.scale(exprs.mul(n, exprs.sub(n, one())), {1, 2}); }
ExprRef tetrahedron(ExprStore& exprs, ExprRef n) {
    return exprs.scale(exprs.mul(exprs.mul(n, exprs.sub(n, one())), exprs.add(n, one())), {1, 6});
}

void push_like(InferContext& context, const TensorView& t) {
    context.out.begin(t.dtype);
    for (const ExprRef dim : t.shape()) context.out.push(dim);
}

void require_square(InferContext& context, const TensorView& a) {
    require_rank(a, 2, "the matrix");
    require_equal(context.exprs, a.dim(-1), a.dim(-2), "the rows and columns of the matrix");
}

}  // namespace

void infer_cholesky(InferContext& context) {
    require_square(context, context.inputs[0]);
    push_like(context, context.inputs[0]);
}

void count_cholesky(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView& a = context.inputs[0];
    const ExprRef batch = batch_of(exprs, a), n = a.dim(-1);
    context.emit(Feature::kMac, exprs.mul(batch, tetrahedron(exprs, n)));
    context.emit(Feature::kDiv, exprs.mul(batch, below_diagonal(exprs, n)));
    context.emit(Feature::kSqrt, exprs.mul(batch, n));
}

void infer_triangular_solve(InferContext& context) {
    const TensorView &a = context.inputs[0], &b = context.inputs[1];
    require_square(context, a);
    require_same_dtype(a, b);
    if (b.rank != a.rank) shape_error("b must have as many dims as the matrix");
    for (int i = 0; i + 1 < a.rank; ++i)
        require_equal(context.exprs, a.dim(i), b.dim(i), "the batch sizes and rows of the matrix and of b");
    push_like(context, b);
}

void count_triangular_solve(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &a = context.inputs[0], &b = context.inputs[1];
    const ExprRef columns = exprs.mul(batch_of(exprs, a), b.dim(-1)), n = a.dim(-1);
    context.emit(Feature::kMac, exprs.mul(columns, below_diagonal(exprs, n)));
    if (context.attrs.integer(AttrKey::kUnitDiagonal) == 0) context.emit(Feature::kDiv, exprs.mul(columns, n));
}

void infer_lu_factor(InferContext& context) {
    const TensorView& a = context.inputs[0];
    require_rank(a, 2, "the matrix");
    push_like(context, a);
    context.out.begin(DType::kInt32);
    for (int i = 0; i + 2 < a.rank; ++i) context.out.push(a.dim(i));
    context.out.push(context.exprs.min(a.dim(-2), a.dim(-1)));
}

void count_lu_factor(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView& a = context.inputs[0];
    const ExprRef batch = batch_of(exprs, a), m = a.dim(-2), n = a.dim(-1), k = exprs.min(m, n);
    // Step i = 1 .. k picks a pivot of m - i + 1, divides the m - i below it, and updates (m - i) (n - i).
    const ExprRef sum = exprs.scale(exprs.mul(k, exprs.add(k, one())), {1, 2});
    const ExprRef squares = exprs.scale(
        exprs.mul(exprs.mul(k, exprs.add(k, one())), exprs.add(exprs.mul(k, ExprRef::small(2)), one())), {1, 6});
    const ExprRef below = exprs.sub(exprs.mul(k, m), sum);
    const ExprRef updates =
        exprs.add(exprs.sub(exprs.mul(exprs.mul(k, m), n), exprs.mul(exprs.add(m, n), sum)), squares);
    context.emit(Feature::kMac, exprs.mul(batch, updates));
    context.emit(Feature::kDiv, exprs.mul(batch, below));
    context.emit(Feature::kCmp, exprs.mul(batch, below));
}

}  // namespace flopcore::ops
