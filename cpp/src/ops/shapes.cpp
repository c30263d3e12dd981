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

namespace {

constexpr std::int64_t kMaxWindow = std::int64_t{1} << 30;  // far beyond any model; keeps products in 64 bits

[[noreturn]] void reject(AttrKey key, const std::string& why) {
    shape_error(std::string(kAttrKeys[static_cast<std::size_t>(key)]) + " " + why);
}

// The values of a list attribute of `expected` numbers, each at least low; empty when it is not given.
std::span<const ExprRef> window_list(const AttrView& attrs, AttrKey key, std::size_t expected, std::int64_t low) {
    const auto list = attrs.list(key);
    if (!list || list->empty()) return {};
    if (list->size() != expected)
        reject(key, "has " + std::to_string(list->size()) + " numbers, needs " + std::to_string(expected));
    for (const ExprRef value : *list)
        if (value.value() < low || value.value() > kMaxWindow) [[unlikely]]
            reject(key,
                   "is " + std::to_string(value.value()) + ", must be between " + std::to_string(low) + " and 2^30");
    return *list;
}

}  // namespace

Windows::Windows(const AttrView& attrs, std::size_t n)
    : stride_(window_list(attrs, AttrKey::kStride, n, 1)),
      dilation_(window_list(attrs, AttrKey::kDilation, n, 1)),
      padding_(window_list(attrs, AttrKey::kPadding, 2 * n, 0)),
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
