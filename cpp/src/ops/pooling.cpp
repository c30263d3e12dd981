// Pools: windows of a maximum or a mean.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

std::span<const ExprRef> kernel_of(const AttrView& attrs) { return *attrs.list(AttrKey::kKernel); }

void require_spatial(InferContext& context, const TensorView& x) {
    if (x.rank < 3 || x.rank > 5)
        shape_error("x must be [N, C, *spatial] with 1 to 3 spatial dims, is " + shape_text(context.exprs, x));
}

// Sum of the window lengths over one dim: window i is [floor(i in / out), ceil((i + 1) in / out)). The floors sum to
// F, the ceilings to F + in + out - gcd(in, out).
ExprRef adaptive_taps(ExprStore& exprs, ExprRef in, ExprRef out) {
    if (is_one(out) || in == out) return in;
    const auto known_in = exprs.as_integer(in), known_out = exprs.as_integer(out);
    if (known_in && known_out) {
        // in + out - gcd(in, out), and the gcd is what is left of the denominator of in / out
        const Int128 divisor = *known_out / make_rational(*known_in, *known_out).den;
        return exprs.constant(checked_sub(checked_add(*known_in, *known_out), divisor));
    }
    const ExprRef step = exprs.floordiv(in, out);
    if (exprs.mul(step, out) == in) return in;
    shape_error("window lengths of an adaptive pool from " + exprs.text(in) + " to " + exprs.text(out) +
                " have no closed form; bind the dim with at=");
}

void count_windows(CountContext& context, Feature combine, bool mean) {
    ExprStore& exprs = context.exprs;
    const ExprRef outputs = context.y.elements;
    const ExprRef taps = product(exprs, kernel_of(context.attrs));
    context.emit(combine, exprs.mul(outputs, exprs.sub(taps, one())));
    if (mean) context.emit(Feature::kDiv, outputs);
    context.emit(Feature::kKernelElems, exprs.mul(outputs, taps));
}

}  // namespace

void infer_pool(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_spatial(context, x);
    const std::size_t n = x.rank - 2U;
    const auto kernel = kernel_of(context.attrs);
    if (kernel.size() != n)
        shape_error("kernel has " + std::to_string(kernel.size()) + " numbers, x has " + std::to_string(n) +
                    " spatial dims");
    const bool ceil_mode = context.attrs.integer(AttrKey::kCeilMode) == 1;
    context.out.begin(x.dtype);
    context.out.push(x.dim(0));
    context.out.push(x.dim(1));
    const Windows windows(context.attrs, n);
    for (std::size_t i = 0; i < n; ++i)
        context.out.push(window_count(context.exprs, x.dims[2 + i], windows.at(i, kernel[i]), ceil_mode));
}

void count_max_pool(CountContext& context) { count_windows(context, Feature::kCmp, false); }

void count_average_pool(CountContext& context) { count_windows(context, Feature::kAdd, true); }

void infer_adaptive_pool(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_spatial(context, x);
    const auto size = *context.attrs.list(AttrKey::kOutputSize);
    if (size.size() != x.rank - 2U)
        shape_error("output_size has " + std::to_string(size.size()) + " numbers, x has " + std::to_string(x.rank - 2) +
                    " spatial dims");
    context.out.begin(x.dtype);
    context.out.push(x.dim(0));
    context.out.push(x.dim(1));
    for (std::size_t i = 0; i < size.size(); ++i) {
        require_not_empty(x.dims[2 + i], "a spatial dim");
        require_not_empty(size[i], "output_size");
        context.out.push(size[i]);
    }
}

void count_adaptive_average_pool(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[0], &y = context.y;
    ExprRef taps = exprs.mul(x.dim(0), x.dim(1));
    bool global = true;
    for (int i = 2; i < x.rank; ++i) {
        taps = exprs.mul(taps, adaptive_taps(exprs, x.dims[i], y.dims[i]));
        global = global && is_one(y.dims[i]);
    }
    if (global) context.flag(Variant::kGlobal);
    const ExprRef outputs = y.elements;
    context.emit(Feature::kAdd, exprs.sub(taps, outputs));
    context.emit(Feature::kDiv, outputs);
    context.emit(Feature::kKernelElems, taps);
}

}  // namespace flopcore::ops
