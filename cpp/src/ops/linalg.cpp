// Factorisations and solves of the matrices in the last two dims, and the discrete Fourier transform. Textbook counts
// (Golub and Van Loan 2013, Matrix Computations; LAPACK Working Note 41, appendix C), a product that is added or taken
// away as a mac; where a method iterates, the leading terms its source gives.
#include <bit>

#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

ExprRef times(ExprStore& exprs, ExprRef a, std::int64_t factor) { return exprs.mul(a, ExprRef::small(factor)); }
// n (n - 1) / 2
ExprRef pairs(ExprStore& exprs, ExprRef n) { return exprs.scale(exprs.mul(n, exprs.sub(n, one())), {1, 2}); }
// 1 + 4 + ... + (n - 1)^2
ExprRef squares(ExprStore& exprs, ExprRef n) {
    return exprs.scale(exprs.mul(exprs.mul(n, exprs.sub(n, one())), exprs.sub(times(exprs, n, 2), one())), {1, 6});
}
// n (n - 1) (n + 1) / 6
ExprRef tetrahedron(ExprStore& exprs, ExprRef n) {
    return exprs.scale(exprs.mul(exprs.mul(n, exprs.sub(n, one())), exprs.add(n, one())), {1, 6});
}

std::span<const ExprRef> batch_of(const TensorView& x) { return x.shape().first(x.rank - 2U); }

void require_square(const ExprStore& exprs, const TensorView& x) {
    require_rank(x, 2, "x");
    require_equal(exprs, x.dim(-2), x.dim(-1), "the sides of a square matrix");
}

void require_tall(const ExprStore& exprs, const TensorView& x) {
    require_rank(x, 2, "x");
    require_at_most(exprs, x.dim(-1), x.dim(-2), "columns and rows");
    require_not_empty(x.dim(-2), "a column");
}

void push_matrices(InferContext& context, DType dtype, std::span<const ExprRef> batch,
                   std::initializer_list<ExprRef> rest) {
    context.out.begin(dtype);
    for (const ExprRef dim : batch) context.out.push(dim);
    for (const ExprRef dim : rest) context.out.push(dim);
}

// What an elimination of n columns, and triangular solves with m right-hand sides, cost per matrix.
struct Elimination {
    ExprRef updates, divisions, comparisons;
};
Elimination eliminate(ExprStore& exprs, ExprRef n) { return {squares(exprs, n), pairs(exprs, n), pairs(exprs, n)}; }

void emit_per_matrix(CountContext& context, Feature feature, ExprRef each) {
    context.emit(feature, context.exprs.mul(product(context.exprs, batch_of(context.inputs[0])), each));
}

void emit(CountContext& context, const Elimination& work) {
    emit_per_matrix(context, Feature::kMac, work.updates);
    emit_per_matrix(context, Feature::kDiv, work.divisions);
    emit_per_matrix(context, Feature::kCmp, work.comparisons);
}

}  // namespace

void infer_square(InferContext& context) {
    require_square(context.exprs, context.inputs[0]);
    infer_same(context);
}

void infer_determinant(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_square(context.exprs, x);
    require_not_empty(x.dim(-1), "a matrix");
    push_matrices(context, x.dtype, batch_of(x), {});
}

void count_determinant(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const ExprRef n = context.inputs[0].dim(-1);
    emit(context, eliminate(exprs, n));
    emit_per_matrix(context, Feature::kMul, exprs.sub(n, one()));
}

namespace {

// LU and, for m right-hand sides, a unit lower and an upper triangular solve.
void count_with_solves(CountContext& context, ExprRef m) {
    ExprStore& exprs = context.exprs;
    const ExprRef n = context.inputs[0].dim(-1);
    Elimination work = eliminate(exprs, n);
    work.updates = exprs.add(work.updates, exprs.mul(times(exprs, m, 2), pairs(exprs, n)));
    work.divisions = exprs.add(work.divisions, exprs.mul(m, n));
    emit(context, work);
}

}  // namespace

void count_inverse(CountContext& context) { count_with_solves(context, context.inputs[0].dim(-1)); }

void infer_solve(InferContext& context) {
    const TensorView &a = context.inputs[0], &b = context.inputs[1];
    require_square(context.exprs, a);
    if (b.rank != a.rank)
        shape_error("b must be [*, n, m] with the batch dims of a, is " + shape_text(context.exprs, b));
    for (int i = 0; i + 1 < a.rank; ++i) require_equal(context.exprs, a.dims[i], b.dims[i], "the sizes of a and b");
    push_shape(context, b.shape(), b.dtype);
}

void count_solve(CountContext& context) { count_with_solves(context, context.inputs[1].dim(-1)); }

void count_cholesky(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const ExprRef n = context.inputs[0].dim(-1);
    emit_per_matrix(context, Feature::kMac, tetrahedron(exprs, n));
    emit_per_matrix(context, Feature::kDiv, pairs(exprs, n));
    emit_per_matrix(context, Feature::kSqrt, n);
}

void count_triangular_solve(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const ExprRef n = context.inputs[0].dim(-1), columns = context.inputs[1].dim(-1);
    emit_per_matrix(context, Feature::kMac, exprs.mul(columns, pairs(exprs, n)));
    if (context.attrs.integer(AttrKey::kUnitDiagonal) == 0)
        emit_per_matrix(context, Feature::kDiv, exprs.mul(columns, n));
}

void infer_lu_factor(InferContext& context) {
    const TensorView& a = context.inputs[0];
    require_rank(a, 2, "the matrix");
    push_shape(context, a.shape(), a.dtype);
    push_matrices(context, DType::kInt32, batch_of(a), {context.exprs.min(a.dim(-2), a.dim(-1))});
}

void count_lu_factor(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView& a = context.inputs[0];
    const ExprRef m = a.dim(-2), n = a.dim(-1), k = exprs.min(m, n);
    // Step i = 1 .. k picks a pivot of m - i + 1, divides the m - i below it, and updates (m - i) (n - i).
    const ExprRef after = exprs.add(k, one());
    const ExprRef sum = pairs(exprs, after);  // 1 + ... + k
    const ExprRef below = exprs.sub(exprs.mul(k, m), sum);
    const ExprRef updates =
        exprs.add(exprs.sub(exprs.mul(exprs.mul(k, m), n), exprs.mul(exprs.add(m, n), sum)), squares(exprs, after));
    emit(context, {updates, below, below});
}

void infer_qr(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_tall(context.exprs, x);
    push_shape(context, x.shape(), x.dtype);
    push_matrices(context, x.dtype, batch_of(x), {x.dim(-1), x.dim(-1)});
}

// Modified Gram-Schmidt (Golub and Van Loan, algorithm 5.2.6): each column is normalised, and taken out of the later.
void count_qr(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const ExprRef m = context.inputs[0].dim(-2), n = context.inputs[0].dim(-1);
    emit_per_matrix(context, Feature::kMac, exprs.mul(m, exprs.mul(n, n)));
    emit_per_matrix(context, Feature::kDiv, exprs.mul(m, n));
    emit_per_matrix(context, Feature::kSqrt, n);
}

void infer_eigh(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_square(context.exprs, x);
    push_matrices(context, x.dtype, batch_of(x), {x.dim(-1)});
    push_shape(context, x.shape(), x.dtype);
}

void count_eigh(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const ExprRef n = context.inputs[0].dim(-1);
    emit_per_matrix(context, Feature::kMul, times(exprs, exprs.mul(n, exprs.mul(n, n)), 9));
}

void infer_svd(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_tall(context.exprs, x);
    const ExprRef n = x.dim(-1);
    push_shape(context, x.shape(), x.dtype);
    push_matrices(context, x.dtype, batch_of(x), {n});
    push_matrices(context, x.dtype, batch_of(x), {n, n});
}

void count_svd(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const ExprRef m = context.inputs[0].dim(-2), n = context.inputs[0].dim(-1);
    const ExprRef fourteen_m_and_eight_n = exprs.add(times(exprs, m, 14), times(exprs, n, 8));
    emit_per_matrix(context, Feature::kMul, exprs.mul(exprs.mul(n, n), fourteen_m_and_eight_n));
}

void infer_fft(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_rank(x, 1, "x");
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
    require_not_empty(x.dims[axis], "the axis");
    const bool half = context.attrs.integer(AttrKey::kOnesided) == 1;
    context.out.begin(result_dtype(context));
    for (int i = 0; i < x.rank; ++i)
        context.out.push(i == axis && half
                             ? context.exprs.add(context.exprs.floordiv(x.dims[i], ExprRef::small(2)), one())
                             : x.dims[i]);
}

// Radix 2: n / 2 butterflies on each of log2 n levels, each a complex product and two complex sums; of a real signal,
// or to one, the half of them that the symmetry of its spectrum does not give.
void emit_transforms(CountContext& context, ExprRef lines, std::int64_t n, ExprRef more_products) {
    ExprStore& exprs = context.exprs;
    const auto levels = static_cast<std::int64_t>(std::bit_width(static_cast<std::uint64_t>(n - 1)));
    const ExprRef steps = exprs.mul(ExprRef::small(n), ExprRef::small(levels));
    const bool half = !is_complex(context.inputs[0].dtype) || !is_complex(context.y.dtype);
    const ExprRef sums = times(exprs, steps, 3);
    const ExprRef per_line = half ? exprs.floordiv(sums, ExprRef::small(2)) : sums;
    context.emit(Feature::kMul, exprs.add(exprs.mul(lines, half ? steps : times(exprs, steps, 2)), more_products));
    context.emit(Feature::kAdd, exprs.mul(lines, per_line));
}

void count_fft(CountContext& context) {
    const TensorView& x = context.inputs[0];
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
    ExprRef lines = one();
    for (int i = 0; i < x.rank; ++i)
        if (i != axis) lines = context.exprs.mul(lines, x.dims[i]);
    emit_transforms(context, lines, known_size(context.exprs, x.dims[axis], "the levels of a transform"), ExprRef());
}

// Frames of `size` elements, `step` apart: [..., frames, lines].
void infer_stft(InferContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView& x = context.inputs[0];
    require_rank(x, 1, "x");
    const std::int64_t size = context.attrs.integer(AttrKey::kSize), step = context.attrs.integer(AttrKey::kStep);
    if (size < 1 || step < 1) shape_error("size and step must be 1 or more");
    const ExprRef frames = window_count(exprs, x.dim(-1), {size, step, 1, 0, 0}, false);
    require_vector(context, 1, ExprRef::small(size), "the sizes of window and frame");
    context.out.begin(result_dtype(context));
    for (const ExprRef dim : x.shape().first(x.rank - 1U)) context.out.push(dim);
    context.out.push(frames);
    context.out.push(ExprRef::small(context.attrs.integer(AttrKey::kOnesided) == 1 ? size / 2 + 1 : size));
}

void count_stft(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const std::int64_t size = context.attrs.integer(AttrKey::kSize);
    const TensorView& y = context.y;
    ExprRef frames = one();
    for (const ExprRef dim : y.shape().first(y.rank - 1U)) frames = exprs.mul(frames, dim);
    const ExprRef taken = exprs.mul(frames, ExprRef::small(size));
    context.emit(Feature::kMove, taken);
    const std::int64_t parts = is_complex(context.inputs[0].dtype) ? 2 : 1;  // the window is real
    emit_transforms(context, frames, size, given(context.inputs, 1) ? times(exprs, taken, parts) : ExprRef());
}

}  // namespace flopcore::ops
