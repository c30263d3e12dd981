// Windows over spatial dims: pools, im2col and back, resampling at other positions.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

std::span<const ExprRef> kernel_of(const AttrView& attrs) { return *attrs.list(AttrKey::kKernel); }

void require_spatial(InferContext& context, const TensorView& x) {
    if (x.rank < 3 || x.rank > 5)
        shape_error("x must be [N, C, *spatial] with 1 to 3 spatial dims, is " + shape_text(context.exprs, x));
}

void require_per_dim(std::span<const ExprRef> numbers, const char* what, std::size_t n) {
    if (numbers.size() != n)
        shape_error(std::string(what) + " has " + std::to_string(numbers.size()) + " numbers, x has " +
                    std::to_string(n) + " spatial dims");
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

// Window positions along spatial dim i of x [N, C, *spatial].
ExprRef positions(InferContext& context, const Windows& windows, std::span<const ExprRef> spatial, std::size_t i,
                  bool ceil_mode) {
    return window_count(context.exprs, spatial[i], windows.at(i, kernel_of(context.attrs)[i]), ceil_mode);
}

void push_pooled(InferContext& context, DType dtype) {
    const TensorView& x = context.inputs[0];
    require_spatial(context, x);
    const std::size_t n = x.rank - 2U;
    require_per_dim(kernel_of(context.attrs), "kernel", n);
    const bool ceil_mode = context.attrs.integer(AttrKey::kCeilMode) == 1;
    context.out.begin(dtype);
    context.out.push(x.dim(0));
    context.out.push(x.dim(1));
    const Windows windows(context.attrs, n);
    for (std::size_t i = 0; i < n; ++i)
        context.out.push(positions(context, windows, x.shape().subspan(2), i, ceil_mode));
}

}  // namespace

void infer_pool(InferContext& context) { push_pooled(context, context.inputs[0].dtype); }

void infer_pool_with_indices(InferContext& context) {
    infer_pool(context);
    push_pooled(context, DType::kInt64);
}

void measure_windows(CountContext& context, Sizes& sizes) {
    size_of(sizes, Per::kTap) = context.exprs.mul(context.y.elements, product(context.exprs, kernel_of(context.attrs)));
}

void infer_resize(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_spatial(context, x);
    const auto size = *context.attrs.list(AttrKey::kOutputSize);
    require_per_dim(size, "output_size", x.rank - 2U);
    context.out.begin(x.dtype);
    context.out.push(x.dim(0));
    context.out.push(x.dim(1));
    for (std::size_t i = 0; i < size.size(); ++i) {
        require_not_empty(x.dims[2 + i], "a spatial dim");
        require_not_empty(size[i], "output_size");
        context.out.push(size[i]);
    }
}

void measure_adaptive(CountContext& context, Sizes& sizes) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[0], &y = context.y;
    ExprRef taps = exprs.mul(x.dim(0), x.dim(1));
    bool global = true;
    for (int i = 2; i < x.rank; ++i) {
        taps = exprs.mul(taps, adaptive_taps(exprs, x.dims[i], y.dims[i]));
        global = global && is_one(y.dims[i]);
    }
    if (global) context.flag(Variant::kGlobal);
    size_of(sizes, Per::kTap) = taps;
}

namespace {

// 2 r neighbours per spatial dim; a filter against aliasing is as much wider as the dim shrinks.
void measure_neighbours(CountContext& context, Sizes& sizes, std::int64_t r, bool widened) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[0], &y = context.y;
    ExprRef taps = y.elements;
    for (int i = 2; i < y.rank; ++i) {
        ExprRef half = ExprRef::small(r);
        if (widened && x.dims[i] != y.dims[i])
            half = exprs.ceildiv(exprs.mul(half, exprs.max(x.dims[i], y.dims[i])), y.dims[i]);
        taps = exprs.mul(taps, exprs.mul(half, ExprRef::small(2)));
    }
    size_of(sizes, Per::kTap) = taps;
}

bool widened(const CountContext& context) { return context.attrs.integer(AttrKey::kAntialias) == 1; }

}  // namespace

void measure_linear(CountContext& context, Sizes& sizes) { measure_neighbours(context, sizes, 1, widened(context)); }
void measure_cubic(CountContext& context, Sizes& sizes) { measure_neighbours(context, sizes, 2, widened(context)); }

void infer_max_unpool(InferContext& context) {
    require_same_shape(context.exprs, context.inputs[0], context.inputs[1], "x and indices");
    infer_resize(context);
}

void infer_fractional_max_pool(InferContext& context) {
    infer_resize(context);
    const TensorView& x = context.inputs[0];
    const auto kernel = kernel_of(context.attrs), size = *context.attrs.list(AttrKey::kOutputSize);
    require_per_dim(kernel, "kernel", x.rank - 2U);
    for (std::size_t i = 0; i < kernel.size(); ++i) {
        if (kernel[i].value() < 1 || size[i].value() < 1) shape_error("kernel and output_size must be 1 or more");
        require_at_most(context.exprs, context.exprs.add(size[i], context.exprs.sub(kernel[i], one())), x.dims[2 + i],
                        "output_size + kernel - 1 and the dim that is pooled");
    }
}

void measure_fractional(CountContext& context, Sizes& sizes) {
    measure_windows(context, sizes);
    const TensorView& x = context.inputs[0];
    size_of(sizes, Per::kRow) = context.exprs.mul(context.exprs.mul(x.dim(0), x.dim(1)), ExprRef::small(x.rank - 2));
}

void infer_unfold(InferContext& context) {
    const TensorView& x = context.inputs[0];
    require_spatial(context, x);
    const std::size_t n = x.rank - 2U;
    const auto kernel = kernel_of(context.attrs);
    require_per_dim(kernel, "kernel", n);
    const Windows windows(context.attrs, n);
    ExprRef count = one();
    for (std::size_t i = 0; i < n; ++i)
        count = context.exprs.mul(count, positions(context, windows, x.shape().subspan(2), i, false));
    context.out.begin(x.dtype);
    context.out.push(x.dim(0));
    context.out.push(context.exprs.mul(x.dim(1), product(context.exprs, kernel)));
    context.out.push(count);
}

void infer_fold(InferContext& context) {
    const TensorView& x = context.inputs[0];
    const auto kernel = kernel_of(context.attrs), size = *context.attrs.list(AttrKey::kOutputSize);
    if (x.rank != 3 || size.empty() || size.size() > 3)
        shape_error("x must be [N, C * kernel, windows] and output_size 1 to 3 numbers, x is " +
                    shape_text(context.exprs, x));
    require_per_dim(kernel, "kernel", size.size());
    const Windows windows(context.attrs, size.size());
    ExprRef count = one();
    for (std::size_t i = 0; i < size.size(); ++i)
        count = context.exprs.mul(count, positions(context, windows, size, i, false));
    require_equal(context.exprs, x.dim(2), count, "the numbers of columns and of windows");
    context.out.begin(x.dtype);
    context.out.push(x.dim(0));
    context.out.push(exact_quotient(context.exprs, x.dim(1), product(context.exprs, kernel), "the channel dim"));
    for (const ExprRef dim : size) context.out.push(dim);
}

void infer_grid_sample(InferContext& context) {
    const TensorView &x = context.inputs[0], &grid = context.inputs[1];
    require_spatial(context, x);
    if (grid.rank != x.rank) shape_error("grid must be [N, *places, dims], is " + shape_text(context.exprs, grid));
    require_equal(context.exprs, x.dim(0), grid.dim(0), "the batch sizes of x and grid");
    require_equal(context.exprs, grid.dim(-1), ExprRef::small(x.rank - 2), "the last dim of grid and the spatial dims");
    context.out.begin(x.dtype);
    context.out.push(x.dim(0));
    context.out.push(x.dim(1));
    for (int i = 1; i + 1 < grid.rank; ++i) context.out.push(grid.dims[i]);
}

// Taps are the neighbours read, rows the numbers of the grid.
void measure_grid_sample(CountContext& context, Sizes& sizes) {
    switch (context.attrs.integer(AttrKey::kMode)) {
        case 0:
            measure_neighbours(context, sizes, 1, false);
            break;
        case 1:
            size_of(sizes, Per::kTap) = context.y.elements;
            break;
        default:
            measure_neighbours(context, sizes, 2, false);
    }
    size_of(sizes, Per::kRow) = context.inputs[1].elements;
}

void infer_roi_align(InferContext& context) {
    const TensorView &x = context.inputs[0], &boxes = context.inputs[1];
    const auto size = *context.attrs.list(AttrKey::kOutputSize);
    if (x.rank != 4 || boxes.rank != 2 || size.size() != 2)
        shape_error("x must be [N, C, H, W], boxes [R, 4] and output_size 2 numbers, got " +
                    shape_text(context.exprs, x) + " and " + shape_text(context.exprs, boxes));
    require_equal(context.exprs, boxes.dim(1), ExprRef::small(4), "the last dim of boxes and 4");
    require_vector(context, 2, boxes.dim(0), "batch_indices");
    const std::int64_t ratio = context.attrs.integer(AttrKey::kSamplingRatio);
    if (ratio < 0 || ratio > (std::int64_t{1} << 20) || size[0].value() < 1 || size[1].value() < 1)
        shape_error("output_size must be 1 or more, sampling_ratio too, or 0 to adapt to the box");
    context.out.begin(x.dtype);
    context.out.push(boxes.dim(0));
    context.out.push(x.dim(1));
    context.out.push(size[0]);
    context.out.push(size[1]);
}

// Four neighbours of each sample; where their number adapts to the box, as many as a box of the size of x takes.
void measure_samples(CountContext& context, Sizes& sizes) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[0], &y = context.y;
    ExprRef taps = exprs.mul(y.elements, ExprRef::small(4));
    const std::int64_t ratio = context.attrs.integer(AttrKey::kSamplingRatio);
    for (const int i : {2, 3})
        taps = exprs.mul(taps, ratio == 0 ? exprs.ceildiv(x.dims[i], y.dims[i]) : ExprRef::small(ratio));
    size_of(sizes, Per::kTap) = taps;
}

}  // namespace flopcore::ops
