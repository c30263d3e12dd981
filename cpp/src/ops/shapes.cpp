#include "shapes.hpp"

#include <algorithm>

namespace flopcore::ops {

void shape_error(const std::string& message) { throw ShapeError(message); }

std::string shape_text(const ExprStore& exprs, const TensorView& t) {
    std::string text = "[";
    for (const ExprRef dim : t.shape()) text += (text.size() > 1 ? ", " : "") + exprs.text(dim);
    return text + "]";
}

void require_equal_slow(const ExprStore& exprs, ExprRef a, ExprRef b, const char* what) {
    const auto known = exprs.equal(a, b);
    if (known == true) return;
    const std::string pair = exprs.text(a) + " and " + exprs.text(b);
    if (known == false) shape_error(std::string(what) + " differ: " + pair);
    shape_error(std::string(what) + " may differ: " + pair + "; use the same dim, or bind them with at=");
}

void require_not_empty(ExprRef dim, const char* what) {
    if (is_zero(dim)) shape_error(std::string(what) + " is empty (a dim of size 0)");
}

void require_rank(const TensorView& t, int at_least, const char* what) {
    if (t.rank < at_least)
        shape_error(std::string(what) + " has " + std::to_string(t.rank) + " dims, needs " + std::to_string(at_least) +
                    " or more");
}

void require_same_dtype(const TensorView& a, const TensorView& b) {
    if (a.dtype != b.dtype)
        shape_error("dtypes differ: " + std::string(info(a.dtype).name) + " and " + std::string(info(b.dtype).name) +
                    "; cast one of them first");
}

void require_same_shape(const ExprStore& exprs, const TensorView& a, const TensorView& b, const char* what) {
    if (a.rank != b.rank)
        shape_error(std::string(what) + " have different shapes: " + shape_text(exprs, a) + " and " +
                    shape_text(exprs, b));
    for (int i = 0; i < a.rank; ++i) require_equal(exprs, a.dims[i], b.dims[i], what);
}

void require_at_most(const ExprStore& exprs, ExprRef low, ExprRef high, const char* what) {
    if (low == high || exprs.less_equal(low, high) == true) return;
    shape_error(std::string(what) + " must not fall: " + exprs.text(low) + " and " + exprs.text(high));
}

void require_vector(const InferContext& context, std::size_t i, ExprRef size, const char* what) {
    if (i >= context.inputs.size() || !context.inputs[i].given()) return;
    const TensorView& t = context.inputs[i];
    if (t.rank != 1) shape_error(std::string(what) + " must be a vector, is " + shape_text(context.exprs, t));
    require_equal(context.exprs, t.dim(0), size, what);
}

ExprRef exact_quotient(ExprStore& exprs, ExprRef dim, ExprRef divisor, const char* what) {
    if (is_zero(divisor)) shape_error(std::string(what) + " is divided by 0");
    const ExprRef quotient = exprs.floordiv(dim, divisor);
    if (const ExprRef back = exprs.mul(quotient, divisor); back != dim && exprs.equal(back, dim) != true)
        shape_error(std::string(what) + " is " + exprs.text(dim) + ", which is not known to be a multiple of " +
                    exprs.text(divisor));
    return quotient;
}

std::int64_t known_size(ExprStore& exprs, ExprRef size, const char* what) {
    const auto known = exprs.as_integer(size);
    if (!known || *known < 0 || *known >= (Int128{1} << 62))
        shape_error(std::string(what) + " of " + exprs.text(size) +
                    " elements have no closed form; bind the dim with at=");
    return static_cast<std::int64_t>(*known);
}

void push_shape(InferContext& context, std::span<const ExprRef> shape, DType dtype) {
    context.out.begin(dtype);
    for (const ExprRef dim : shape) context.out.push(dim);
}

ExprRef broadcast_dim(const ExprStore& exprs, ExprRef a, ExprRef b) {
    if (a == b || is_one(b)) return a;
    if (is_one(a)) return b;
    require_equal(exprs, a, b, "sizes to broadcast");
    return a;
}

void push_broadcast(InferContext& context, std::span<const ExprRef> a, std::span<const ExprRef> b) {
    if (a.size() < b.size()) std::swap(a, b);
    const std::size_t lead = a.size() - b.size();
    for (std::size_t i = 0; i < lead; ++i) context.out.push(a[i]);
    for (std::size_t i = lead; i < a.size(); ++i) context.out.push(broadcast_dim(context.exprs, a[i], b[i - lead]));
}

int resolve_axis(std::int64_t axis, int rank) {
    if (axis < -rank || axis >= rank)
        shape_error("axis " + std::to_string(axis) + " is out of range for " + std::to_string(rank) + " dims");
    return static_cast<int>(axis < 0 ? axis + rank : axis);
}

std::uint64_t axis_mask(std::span<const ExprRef> axes, int rank) {
    std::uint64_t mask = 0;
    for (const ExprRef axis : axes) {
        const std::uint64_t bit = std::uint64_t{1} << resolve_axis(axis.value(), rank);
        if (mask & bit) shape_error("axis " + std::to_string(axis.value()) + " is listed twice");
        mask |= bit;
    }
    return mask;
}

void require_share(const ExprStore& exprs, ExprRef share, const std::string& what) {
    if (!exprs.is_constant(share)) shape_error(what + " must be a number, not " + exprs.text(share));
    const Rational value = exprs.constant_value(share);
    if (value.num < 0 || value.num > value.den) shape_error(what + " is " + exprs.text(share) + ", must be 0 to 1");
}

Sparsity::Sparsity(const AttrView& attrs, ExprStore& exprs, std::span<const ExprRef> matrix) {
    const auto nnz = attrs.scalar(AttrKey::kNnz), density = attrs.scalar(AttrKey::kDensity);
    const auto pattern = attrs.list(AttrKey::kPattern);
    if (int{nnz.has_value()} + int{density.has_value()} + int{pattern.has_value()} != 1)
        shape_error("give one of nnz, density and pattern");
    const ExprRef all = exprs.mul(matrix[0], matrix[1]);
    if (nnz) {
        if (exprs.less_equal(ExprRef(), *nnz) == false || exprs.less_equal(*nnz, all) == false)
            shape_error("nnz is " + exprs.text(*nnz) + ", must be 0 to " + exprs.text(all));
        used = *nnz;
    } else if (density) {
        require_share(exprs, *density);
        used = exprs.mul(all, *density);
        grade = Grade::kExpected;
    } else {
        const std::span<const ExprRef> nm = *pattern;
        if (nm.size() != 2 || nm[0].value() < 0 || nm[1].value() < 1 || nm[0].value() > nm[1].value())
            shape_error("pattern [n, m] keeps n of each m elements: 0 <= n <= m");
        if (all.is_small() && all.value() % nm[1].value() != 0)
            shape_error("a matrix of " + exprs.text(all) + " elements has no groups of " + exprs.text(nm[1]));
        used = exprs.scale(all, make_rational(nm[0].value(), nm[1].value()));
    }
}

namespace {

constexpr std::int64_t kMaxWindow = std::int64_t{1} << 30;  // far beyond any model; keeps products in 64 bits

[[noreturn]] void reject(AttrKey key, const std::string& why) {
    shape_error(std::string(kAttrKeys[static_cast<std::size_t>(key)]) + " " + why);
}

// The values of a list attribute of `expected` numbers, each at least low; empty when it is not given.
std::span<const ExprRef> window_list(const AttrView& attrs, AttrKey key, std::size_t expected, std::int64_t low,
                                     bool checked) {
    const std::span<const ExprRef> list = attrs.list(key).value_or(std::span<const ExprRef>{});
    if (checked || list.empty()) return list;
    if (list.size() != expected)
        reject(key, "has " + std::to_string(list.size()) + " numbers, needs " + std::to_string(expected));
    for (const ExprRef value : list)
        if (value.value() < low || value.value() > kMaxWindow) [[unlikely]]
            reject(key,
                   "is " + std::to_string(value.value()) + ", must be between " + std::to_string(low) + " and 2^30");
    return list;
}

}  // namespace

Windows::Windows(const AttrView& attrs, std::size_t n, bool checked)
    : stride_(window_list(attrs, AttrKey::kStride, n, 1, checked)),
      dilation_(window_list(attrs, AttrKey::kDilation, n, 1, checked)),
      padding_(window_list(attrs, AttrKey::kPadding, 2 * n, 0, checked)),
      n_(n) {}

Window Windows::at(std::size_t i, ExprRef kernel) const {
    if (!kernel.is_small() || kernel.value() < 1 || kernel.value() > kMaxWindow)
        shape_error("kernel sizes must be integers between 1 and 2^30");
    return {kernel.value(), stride_.empty() ? 1 : stride_[i].value(), dilation_.empty() ? 1 : dilation_[i].value(),
            padding_.empty() ? 0 : padding_[i].value(), padding_.empty() ? 0 : padding_[i + n_].value()};
}

ExprRef window_count(ExprStore& exprs, ExprRef size, const Window& w, bool ceil_mode) {
    const std::int64_t extent = w.dilation * (w.kernel - 1) + 1;  // what one window spans
    const std::int64_t margin = w.pad_begin + w.pad_end - extent;
    // With ceil_mode the last window may hang over the end, but must start inside the input or its begin padding.
    if (size.is_small() && size.value() + margin < (ceil_mode ? 1 - w.stride : 0)) [[unlikely]]
        shape_error("a window spans " + std::to_string(extent) + ", the padded input only " +
                    std::to_string(size.value() + margin + extent));
    if (ceil_mode && w.pad_end >= extent)
        shape_error("end padding must be smaller than the window when ceil_mode is set");
    if (size.is_small()) {
        const std::int64_t room = size.value() + margin;
        if (!ceil_mode) return ExprRef::small(room / w.stride + 1);
        const std::int64_t starts = (size.value() + w.pad_begin + w.stride - 1) / w.stride;
        if (starts == 0) shape_error("no window starts inside an empty input");
        return ExprRef::small(std::min((room + w.stride - 1) / w.stride + 1, starts));
    }
    const ExprRef stride = ExprRef::small(w.stride);
    const ExprRef room = exprs.add(size, ExprRef::small(margin));
    if (!ceil_mode) return exprs.add(exprs.floordiv(room, stride), one());
    const ExprRef starts = exprs.ceildiv(exprs.add(size, ExprRef::small(w.pad_begin)), stride);
    return exprs.min(exprs.add(exprs.ceildiv(room, stride), one()), starts);
}

}  // namespace flopcore::ops
