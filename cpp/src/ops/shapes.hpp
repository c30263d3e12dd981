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

// The broadcast of two dims (NumPy rules).
[[nodiscard]] ExprRef broadcast_dim(const ExprStore& exprs, ExprRef a, ExprRef b);
// Pushes the broadcast of two shapes given without their last `skip` dims.
void push_broadcast(InferContext& context, std::span<const ExprRef> a, std::span<const ExprRef> b);
// An axis attribute counted from the end when negative; throws when out of range.
[[nodiscard]] int resolve_axis(std::int64_t axis, int rank);

// One spatial dim of a convolution or pool: sizes are plain integers, `size` may be symbolic.
struct Window {
    std::int64_t kernel, stride, dilation, pad_begin, pad_end;
};
// The attributes stride, dilation and padding over n spatial dims; absent means 1, 1, 0. Throws on numbers out of
// range.
class Windows {
  public:
    Windows(const AttrView& attrs, std::size_t n);
    [[nodiscard]] Window at(std::size_t i, ExprRef kernel) const;

  private:
    std::span<const ExprRef> stride_, dilation_, padding_;
    std::size_t n_;
};
[[nodiscard]] ExprRef window_count(ExprStore& exprs, ExprRef size, const Window& window, bool ceil_mode);

[[nodiscard]] inline ExprRef product(ExprStore& exprs, std::span<const ExprRef> dims) {
    ExprRef result = one();
    for (const ExprRef dim : dims) result = exprs.mul(result, dim);
    return result;
}

}  // namespace flopcore::ops
