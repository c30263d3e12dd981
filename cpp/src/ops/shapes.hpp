// Shape arithmetic that several rules share: exact on ints, symbolic on dims, an error where nobody can tell.
#pragma once

#include <string>

#include "flopcore/rule.hpp"

namespace flopcore::ops {

[[noreturn]] void shape_error(const std::string& message);
[[nodiscard]] std::string shape_text(const ExprStore& exprs, const TensorView& t);

[[nodiscard]] constexpr ExprRef one() { return ExprRef::small(1); }
[[nodiscard]] constexpr bool is_one(ExprRef dim) { return dim == one(); }
[[nodiscard]] constexpr bool is_zero(ExprRef dim) { return dim == ExprRef(); }

// Returns if the dims are equal in another way, else throws.
void require_equal_slow(const ExprStore& exprs, ExprRef a, ExprRef b, const char* what);
// Throws unless the two dims are known to be equal; `what` names them.
inline void require_equal(const ExprStore& exprs, ExprRef a, ExprRef b, const char* what) {
    if (a != b) require_equal_slow(exprs, a, b, what);
}
// A reduction over a dim that is the constant 0 has no value that anyone agrees on.
void require_not_empty(ExprRef dim, const char* what);
void require_rank(const TensorView& t, int at_least, const char* what);
void require_same_dtype(const TensorView& a, const TensorView& b);

void require_same_shape(const ExprStore& exprs, const TensorView& a, const TensorView& b, const char* what);
// Throws unless low <= high is known; `what` names them.
void require_at_most(const ExprStore& exprs, ExprRef low, ExprRef high, const char* what);
// Throws unless input i, if it is given, is a vector of so many elements.
void require_vector(const InferContext& context, std::size_t i, ExprRef size, const char* what);
// dim / divisor; throws unless the division is known to be exact. `what` names the dim.
[[nodiscard]] ExprRef exact_quotient(ExprStore& exprs, ExprRef dim, ExprRef divisor, const char* what);

// A size that must be a number, because what is counted (`what`) has no closed form in a symbol.
[[nodiscard]] std::int64_t known_size(ExprStore& exprs, ExprRef size, const char* what);

// Dtype of the output: what the attribute says, else this one.
[[nodiscard]] inline DType result_dtype(const InferContext& context, DType otherwise) {
    const auto dtype = context.attrs.scalar(AttrKey::kDtype);
    return dtype ? static_cast<DType>(dtype->value()) : otherwise;
}

// Begins an output of this shape.
void push_shape(InferContext& context, std::span<const ExprRef> shape, DType dtype);

// Most outputs of an op that has one for each slice of a tensor.
inline constexpr std::int64_t kMaxOutputs = 1 << 16;

// The broadcast of two dims (NumPy rules).
[[nodiscard]] ExprRef broadcast_dim(const ExprStore& exprs, ExprRef a, ExprRef b);
// Pushes the broadcast of two shapes given without their last `skip` dims.
void push_broadcast(InferContext& context, std::span<const ExprRef> a, std::span<const ExprRef> b);
// An axis attribute counted from the end when negative; throws when out of range.
[[nodiscard]] int resolve_axis(std::int64_t axis, int rank);
// Bit i is set when axis i is listed; throws when one is listed twice.
[[nodiscard]] std::uint64_t axis_mask(std::span<const ExprRef> axes, int rank);

// One spatial dim of a convolution or pool: sizes are plain integers, `size` may be symbolic.
struct Window {
    std::int64_t kernel, stride, dilation, pad_begin, pad_end;
};
// The attributes stride, dilation and padding over n spatial dims; absent means 1, 1, 0. Throws on numbers out of
// range, unless they were checked before.
class Windows {
  public:
    Windows(const AttrView& attrs, std::size_t n, bool checked = false);
    [[nodiscard]] Window at(std::size_t i, ExprRef kernel) const;

  private:
    std::span<const ExprRef> stride_, dilation_, padding_;
    std::size_t n_;
};
[[nodiscard]] ExprRef window_count(ExprStore& exprs, ExprRef size, const Window& window, bool ceil_mode);

[[nodiscard]] inline bool given(std::span<const TensorView> inputs, std::size_t i) {
    return i < inputs.size() && inputs[i].given();
}

// Throws unless 0 <= share <= 1.
void require_share(const ExprStore& exprs, ExprRef share, const std::string& what = "density");

// How many elements of a matrix a sparse operand stores: by nnz or pattern exactly, by density as expected. Throws
// unless exactly one of the three attributes is given and fits.
struct Sparsity {
    Sparsity(const AttrView& attrs, ExprStore& exprs, std::span<const ExprRef> matrix);
    Grade grade = Grade::kExact;
    ExprRef used;
};

[[nodiscard]] inline ExprRef product(ExprStore& exprs, std::span<const ExprRef> dims) { return exprs.multiply(dims); }

}  // namespace flopcore::ops
