// Convolutions: dot products over windows, of which taps that fall on padding (or are cropped away) are an extent.
#include <algorithm>
#include <type_traits>

#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

enum AutoPadding : std::int64_t { kExplicit, kValid, kSameUpper, kSameLower };  // order of the choices in the table

constexpr std::int64_t kMostUnrolled = 1024;                // taps along one dim that are added up term by term
constexpr std::int64_t kPlainSize = std::int64_t{1} << 40;  // below, taps are counted in plain integers unchecked

// The arithmetic of an ExprStore on integers that are known to be far from 2^63.
struct PlainNumbers {
    [[nodiscard]] static std::int64_t number(std::int64_t value) { return value; }
    [[nodiscard]] static std::int64_t add(std::int64_t a, std::int64_t b) { return a + b; }
    [[nodiscard]] static std::int64_t sub(std::int64_t a, std::int64_t b) { return a - b; }
    [[nodiscard]] static std::int64_t mul(std::int64_t a, std::int64_t b) { return a * b; }
    [[nodiscard]] static std::int64_t min(std::int64_t a, std::int64_t b) { return std::min(a, b); }
    [[nodiscard]] static std::int64_t max(std::int64_t a, std::int64_t b) { return std::max(a, b); }
    [[nodiscard]] static std::int64_t floordiv(std::int64_t a, std::int64_t b) {
        return b == 1 ? a : a >= 0 ? a / b : -((b - 1 - a) / b);
    }
    [[nodiscard]] static std::int64_t ceildiv(std::int64_t a, std::int64_t b) { return -floordiv(-a, b); }
};

struct ExactNumbers {
    ExprStore& exprs;
    [[nodiscard]] static ExprRef number(std::int64_t value) { return ExprRef::small(value); }
    [[nodiscard]] ExprRef add(ExprRef a, ExprRef b) const { return exprs.add(a, b); }
    [[nodiscard]] ExprRef sub(ExprRef a, ExprRef b) const { return exprs.sub(a, b); }
    [[nodiscard]] ExprRef mul(ExprRef a, ExprRef b) const { return exprs.mul(a, b); }
    [[nodiscard]] ExprRef min(ExprRef a, ExprRef b) const { return exprs.min(a, b); }
    [[nodiscard]] ExprRef max(ExprRef a, ExprRef b) const { return exprs.max(a, b); }
    [[nodiscard]] ExprRef floordiv(ExprRef a, ExprRef b) const { return exprs.floordiv(a, b); }
    [[nodiscard]] ExprRef ceildiv(ExprRef a, ExprRef b) const { return exprs.ceildiv(a, b); }
};

// Positions of the tap at this offset (dilation x tap): from the first at which it has passed the begin padding,
// ceil((begin - offset) / stride), to the last before it leaves the other end; high(offset) is the one after that.
template <class Numbers, class N, class High>
N tap_positions(const Numbers& numbers, const Window& w, N begin, N offset, High high) {
    const N none = Numbers::number(0);
    const N low = numbers.max(numbers.ceildiv(numbers.sub(begin, offset), Numbers::number(w.stride)), none);
    return numbers.max(numbers.sub(high(offset), low), none);
}

// Their sum over all taps.
template <class Numbers, class N, class High>
N taps_inside(const Numbers& numbers, const Window& w, N begin, High high) {
    if constexpr (std::is_same_v<Numbers, ExactNumbers>) {
        if (w.kernel > kMostUnrolled) {
            ExprStore& exprs = numbers.exprs;
            const ExprRef tap = exprs.symbol({.name = "tap", .min = 0, .max = w.kernel - 1, .multiple_of = 1});
            const ExprRef offset = exprs.mul(tap, ExprRef::small(w.dilation));
            const ExprRef body = tap_positions(numbers, w, begin, offset, high);
            return exprs.sum(body, "tap", ExprRef(), ExprRef::small(w.kernel));
        }
    }
    N used = Numbers::number(0);
    for (std::int64_t tap = 0; tap < w.kernel; ++tap)
        used = numbers.add(used, tap_positions(numbers, w, begin, Numbers::number(tap * w.dilation), high));
    return used;
}

// rule(numbers, size), in plain integers where they do.
template <class Rule>
ExprRef of_size(ExprStore& exprs, const Window& w, ExprRef size, Rule rule) {
    if (size.is_small() && size.value() < kPlainSize && w.kernel <= kMostUnrolled)
        return ExprRef::small(rule(PlainNumbers{}, size.value()));
    return rule(ExactNumbers{exprs}, size);
}

bool is_same(const AttrView& attrs) { return attrs.integer(AttrKey::kAutoPadding) >= kSameUpper; }

bool is_padded(const AttrView& attrs) {
    if (attrs.integer(AttrKey::kAutoPadding) != kExplicit) return is_same(attrs);
    const auto padding = attrs.list(AttrKey::kPadding);
    return padding && std::ranges::any_of(*padding, [](ExprRef each) { return each != ExprRef(); });
}

// Total padding of a dim such that a window of this span has ceil(size / stride) positions.
template <class Numbers, class N>
N same_padding(const Numbers& numbers, N size, std::int64_t span, N stride) {
    const N reach = numbers.mul(numbers.sub(numbers.ceildiv(size, stride), Numbers::number(1)), stride);
    return numbers.max(numbers.sub(numbers.add(reach, Numbers::number(span)), size), Numbers::number(0));
}

// The windows of a convolution, or (transposed) of the convolution whose gradient it is.
class ConvWindows {
  public:
    // Unchecked where the rule has inferred the shape with them before.
    ConvWindows(const AttrView& attrs, std::size_t n, bool checked = false)
        : windows_(attrs, n, checked), mode_(attrs.integer(AttrKey::kAutoPadding)) {
        if (checked || mode_ == kExplicit) return;
        const auto padding = attrs.list(AttrKey::kPadding);
        if (padding && is_padded_list(*padding)) shape_error("padding is given, so auto_padding must be explicit");
    }

    [[nodiscard]] ExprRef positions(ExprStore& exprs, std::size_t i, ExprRef size, ExprRef kernel) const {
        const Window w = windows_.at(i, kernel);
        if (mode_ < kSameUpper) return window_count(exprs, size, w, false);
        require_not_empty(size, "a spatial dim");
        return exprs.ceildiv(size, ExprRef::small(w.stride));
    }

    [[nodiscard]] ExprRef used(ExprStore& exprs, std::size_t i, ExprRef size, ExprRef kernel) const {
        const Window w = windows_.at(i, kernel);
        return of_size(exprs, w, size, [&](const auto& numbers, auto n) { return used(numbers, w, n); });
    }

  private:
    template <class Numbers, class N>
    [[nodiscard]] N used(const Numbers& numbers, const Window& w, N size) const {
        const std::int64_t span = w.dilation * (w.kernel - 1);
        const N stride = Numbers::number(w.stride), one = Numbers::number(1), two = Numbers::number(2);
        N begin = Numbers::number(w.pad_begin), slack = Numbers::number(w.pad_begin + w.pad_end - span);
        if (mode_ >= kSameUpper) {
            const N total = same_padding(numbers, size, span + 1, stride);
            begin = mode_ == kSameUpper ? numbers.floordiv(total, two) : numbers.ceildiv(total, two);
            slack = Numbers::number(0);
        }
        // The last position starts at or before size - 1 + slack, so it bounds every tap together with the far end.
        const N last = numbers.sub(size, one);
        return taps_inside(numbers, w, begin, [&](N offset) {
            const N end = numbers.add(last, numbers.min(numbers.sub(begin, offset), slack));
            return numbers.add(numbers.floordiv(end, stride), one);
        });
    }

    static bool is_padded_list(std::span<const ExprRef> padding) {
        return std::ranges::any_of(padding, [](ExprRef each) { return each != ExprRef(); });
    }
    Windows windows_;
    std::int64_t mode_;
};

std::span<const ExprRef> output_padding(const AttrView& attrs, std::size_t n) {
    const auto list = attrs.list(AttrKey::kOutputPadding);
    if (!list || list->empty()) return {};
    if (list->size() != n)
        shape_error("output_padding has " + std::to_string(list->size()) + " numbers, needs " + std::to_string(n));
    return *list;
}

std::int64_t require_conv(InferContext& context, const TensorView& x, const TensorView& weight, bool transposed) {
    if (x.rank < 3 || x.rank > 5)
        shape_error("x must be [N, C, *spatial] with 1 to 3 spatial dims, is " + shape_text(context.exprs, x));
    if (weight.rank != x.rank)
        shape_error(std::string("weight must be ") +
                    (transposed ? "[C, out / groups, *kernel]" : "[out, C / groups, *kernel]") + " with " +
                    std::to_string(x.rank) + " dims, is " + shape_text(context.exprs, weight));
    const std::int64_t groups = context.attrs.integer(AttrKey::kGroups);
    if (groups < 1) shape_error("groups is " + std::to_string(groups) + ", must be 1 or more");
    const ExprRef channels = transposed ? weight.dim(0) : context.exprs.mul(weight.dim(1), ExprRef::small(groups));
    if (x.dim(1) != channels && context.exprs.equal(x.dim(1), channels) != true)
        shape_error("weight has " + context.exprs.text(weight.dim(transposed ? 0 : 1)) + " input channels" +
                    (groups > 1 && !transposed ? " in each of " + std::to_string(groups) + " groups" : "") +
                    ", tensor has " + context.exprs.text(x.dim(1)) + "; check groups=");
    const ExprRef divided = weight.dim(0);
    if (divided.is_small() && divided.value() % groups != 0)
        shape_error(std::to_string(divided.value()) + (transposed ? " input" : " output") +
                    " channels do not divide into " + std::to_string(groups) + " groups");
    require_not_empty(transposed ? weight.dim(0) : weight.dim(1), "the input channel dim");
    return groups;
}

void require_channels(InferContext& context, std::size_t input, ExprRef channels) {
    if (!given(context.inputs, input)) return;
    const TensorView& bias = context.inputs[input];
    if (bias.rank != 1) shape_error("bias must be [out], is " + shape_text(context.exprs, bias));
    require_equal(context.exprs, bias.dim(0), channels, "the sizes of bias and of the output channels");
}

void emit_flags(CountContext& context) {
    if (given(context.inputs, 2)) {
        context.flag(Variant::kBias);
        context.emit(Feature::kAdd, context.y.elements);
    }
    if (context.attrs.integer(AttrKey::kGroups) > 1) context.flag(Variant::kGrouped);
}

}  // namespace

void infer_conv(InferContext& context) { infer_conv_shape(context, result_dtype(context, context.inputs[0].dtype)); }

void infer_conv_shape(InferContext& context, DType dtype) {
    const TensorView &x = context.inputs[0], &weight = context.inputs[1];
    require_conv(context, x, weight, false);
    require_channels(context, 2, weight.dim(0));
    context.out.begin(dtype);
    context.out.push(x.dim(0));
    context.out.push(weight.dim(0));
    const std::size_t n = x.rank - 2U;
    const ConvWindows windows(context.attrs, n);
    for (std::size_t i = 0; i < n; ++i)
        context.out.push(windows.positions(context.exprs, i, x.dims[2 + i], weight.dims[2 + i]));
}

void count_conv(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[0], &weight = context.inputs[1], &y = context.y;
    if (!is_padded(context.attrs)) {
        context.emit(Feature::kMac, exprs.mul(y.elements, product(exprs, weight.shape().subspan(1))));
    } else {
        const std::size_t n = x.rank - 2U;
        const ConvWindows windows(context.attrs, n, true);
        ExprRef taps = one(), used = one();
        for (std::size_t i = 0; i < n; ++i) {
            taps = exprs.mul(taps, exprs.mul(y.dims[2 + i], weight.dims[2 + i]));
            used = exprs.mul(used, windows.used(exprs, i, x.dims[2 + i], weight.dims[2 + i]));
        }
        const ExtentId inside = context.add_extent({ExtentKind::kPaddingTaps, Grade::kExact, taps, used});
        context.emit(Feature::kMac, exprs.mul(x.dim(0), exprs.mul(weight.dim(0), weight.dim(1))), inside);
    }
    context.emit(Feature::kOutputs, y.elements);
    emit_flags(context);
}

void infer_deform_conv(InferContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[0], &weight = context.inputs[1], &offset = context.inputs[2];
    if (x.rank != 4 || offset.rank != 4) shape_error("x must be [N, C, H, W], offset [N, 2 * parts * taps, H', W']");
    require_conv(context, x, weight, false);
    require_channels(context, 3, weight.dim(0));
    const ExprRef taps = exprs.mul(weight.dim(2), weight.dim(3));
    const ExprRef parts =
        exact_quotient(exprs, offset.dim(1), exprs.mul(taps, ExprRef::small(2)), "the offset channels");
    (void)exact_quotient(exprs, x.dim(1), parts, "the channel count");
    context.out.begin(result_dtype(context, x.dtype));
    context.out.push(x.dim(0));
    context.out.push(weight.dim(0));
    const Windows windows(context.attrs, 2);
    std::array<ExprRef, 4> shifts{x.dim(0), exprs.mul(parts, taps)};
    for (std::size_t i = 0; i < 2; ++i) {
        const ExprRef size = window_count(exprs, x.dims[2 + i], windows.at(i, weight.dims[2 + i]), false);
        context.out.push(shifts[2 + i] = size);
        require_equal(exprs, offset.dims[2 + i], size, "the spatial sizes of offset and output");
    }
    require_equal(exprs, offset.dim(0), x.dim(0), "the batch sizes of offset and x");
    if (!given(context.inputs, 4)) return;
    const TensorView& mask = context.inputs[4];
    if (mask.rank != 4) shape_error("mask must be [N, parts * taps, H', W']");
    for (std::size_t i = 0; i < 4; ++i)
        require_equal(exprs, mask.dims[i], shifts[i], "the sizes of mask and of the shifted taps");
}

void count_deform_conv(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[0], &weight = context.inputs[1], &offset = context.inputs[2];
    const TensorView& y = context.y;
    const auto times = [&](ExprRef a, std::int64_t count) { return exprs.mul(a, ExprRef::small(count)); };
    const ExprRef taps = exprs.mul(weight.dim(2), weight.dim(3)), places = exprs.mul(y.dim(2), y.dim(3));
    const ExprRef samples = exprs.mul(exprs.mul(exprs.mul(x.dim(0), x.dim(1)), taps), places);
    const bool bias = given(context.inputs, 3), mask = given(context.inputs, 4);
    context.emit(Feature::kMac, exprs.mul(y.elements, exprs.mul(weight.dim(1), taps)));
    context.emit(Feature::kOutputs, y.elements);
    // Each tap is a place moved by its offset, and the mean of the four elements around it.
    context.emit(Feature::kGather, times(samples, 4));
    context.emit(Feature::kMul, times(samples, mask ? 5 : 4));
    context.emit(Feature::kAdd,
                 exprs.add(exprs.add(times(samples, 3), offset.elements), bias ? y.elements : ExprRef()));
    context.emit(Feature::kRound, offset.elements);
    if (bias) context.flag(Variant::kBias);
    if (mask) context.flag(Variant::kMask);
    if (context.attrs.integer(AttrKey::kGroups) > 1) context.flag(Variant::kGrouped);
}

void infer_conv_transpose(InferContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[0], &weight = context.inputs[1];
    const std::int64_t groups = require_conv(context, x, weight, true);
    const ExprRef out = exprs.mul(weight.dim(1), ExprRef::small(groups));
    require_channels(context, 2, out);
    context.out.begin(result_dtype(context, x.dtype));
    context.out.push(x.dim(0));
    context.out.push(out);
    const std::size_t n = x.rank - 2U;
    const Windows windows(context.attrs, n);
    const auto extra = output_padding(context.attrs, n);
    for (std::size_t i = 0; i < n; ++i) {
        const Window w = windows.at(i, weight.dims[2 + i]);
        const std::int64_t more = extra.empty() ? 0 : extra[i].value();
        if (more < 0 || more >= std::max(w.stride, w.dilation))
            shape_error("output_padding is " + std::to_string(more) + ", must be smaller than stride or dilation");
        require_not_empty(x.dims[2 + i], "a spatial dim");
        const std::int64_t margin = w.dilation * (w.kernel - 1) + 1 + more - w.pad_begin - w.pad_end - w.stride;
        const ExprRef size = exprs.add(exprs.mul(x.dims[2 + i], ExprRef::small(w.stride)), ExprRef::small(margin));
        if (size.is_small() && size.value() < 1)
            shape_error("padding crops all of the output: its size would be " + std::to_string(size.value()));
        context.out.push(size);
    }
}

void count_conv_transpose(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[0], &weight = context.inputs[1];
    const std::size_t n = x.rank - 2U;
    const ExprRef each = product(exprs, weight.shape().subspan(1));  // products that one input element takes part in
    if (!is_padded(context.attrs)) {
        context.emit(Feature::kMac, exprs.mul(x.elements, each));
    } else {  // padding crops the output: what falls outside is never needed
        const Windows windows(context.attrs, n);
        const auto extra = output_padding(context.attrs, n);
        ExprRef taps = one(), used = one();
        for (std::size_t i = 0; i < n; ++i) {
            const ExprRef size = x.dims[2 + i];
            const Window w = windows.at(i, weight.dims[2 + i]);
            const std::int64_t room = w.dilation * (w.kernel - 1) - w.pad_end + (extra.empty() ? 0 : extra[i].value());
            taps = exprs.mul(taps, exprs.mul(size, weight.dims[2 + i]));
            used = exprs.mul(used, of_size(exprs, w, size, [&](const auto& numbers, auto whole) {
                                 const auto number = [&](std::int64_t value) { return numbers.number(value); };
                                 return taps_inside(numbers, w, number(w.pad_begin), [&](auto offset) {
                                     const auto beyond =
                                         numbers.floordiv(numbers.sub(number(room), offset), number(w.stride));
                                     return numbers.add(whole, numbers.min(beyond, number(0)));
                                 });
                             }));
        }
        const ExtentId inside = context.add_extent({ExtentKind::kPaddingTaps, Grade::kExact, taps, used});
        context.emit(Feature::kMac, exprs.mul(exprs.mul(x.dim(0), weight.dim(0)), weight.dim(1)), inside);
    }
    // What a convolution of this output and kernel would visit: torchprofile's (wrong) count.
    const ExprRef window = product(exprs, weight.shape().subspan(2));
    const ExprRef inputs = exprs.floordiv(weight.dim(0), ExprRef::small(context.attrs.integer(AttrKey::kGroups)));
    context.emit(Feature::kKernelElems, exprs.mul(context.y.elements, exprs.mul(inputs, window)));
    context.emit(Feature::kOutputs, context.y.elements);
    emit_flags(context);
}

}  // namespace flopcore::ops
