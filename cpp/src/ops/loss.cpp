// Losses: a term per element or per target, kept, summed or averaged.
#include "attrs.hpp"
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

void push_loss(InferContext& context, std::span<const ExprRef> shape) {
    if (context.attrs.integer(AttrKey::kReduction) == kReductionNone)
        return push_shape(context, shape, context.inputs[0].dtype);
    for (const ExprRef dim : shape) require_not_empty(dim, "what a loss is reduced over");
    context.out.begin(context.inputs[0].dtype);
}

}  // namespace

void infer_loss(InferContext& context) {
    const TensorView &x = context.inputs[0], &target = context.inputs[1];
    require_same_shape(context.exprs, x, target, "x and target");
    push_loss(context, x.shape());
}

void infer_class_loss(InferContext& context) {
    const TensorView &x = context.inputs[0], &target = context.inputs[1];
    require_rank(x, 1, "x");
    const int axis = x.rank == 1 ? 0 : 1;
    if (target.rank != x.rank - 1)
        shape_error("target must be x without its class dim, x is " + shape_text(context.exprs, x) + ", target " +
                    shape_text(context.exprs, target));
    for (int i = 0; i < target.rank; ++i)
        require_equal(context.exprs, target.dims[i], x.dims[i < axis ? i : i + 1], "the sizes of x and target");
    require_not_empty(x.dims[axis], "the class dim");
    require_vector(context, 2, x.dims[axis], "weight");
    push_loss(context, target.shape());
}

void measure_targets(CountContext& context, Sizes& sizes) { size_of(sizes, Per::kRow) = context.inputs[1].elements; }

}  // namespace flopcore::ops
