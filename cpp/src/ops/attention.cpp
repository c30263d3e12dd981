// Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762, equation 1): two contractions and a softmax
// over a score matrix of S x T per head, of which a causal mask leaves part unused.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

enum Causal : std::int64_t { kNotCausal, kTopLeft, kBottomRight };  // order of the choices in the table

}  // namespace

void infer_attention(InferContext& context) {
    const TensorView &q = context.inputs[0], &k = context.inputs[1], &v = context.inputs[2];
    for (const TensorView* t : {&q, &k, &v})
        if (t->rank != 4) shape_error("q, k and v must be [B, H, S, D], got " + shape_text(context.exprs, *t));
    require_same_dtype(q, k);
    require_same_dtype(q, v);
    require_equal(context.exprs, q.dim(0), k.dim(0), "the batch sizes of q and k");
    require_equal(context.exprs, q.dim(0), v.dim(0), "the batch sizes of q and v");
    require_equal(context.exprs, k.dim(1), v.dim(1), "the head counts of k and v");
    require_equal(context.exprs, q.dim(3), k.dim(3), "the head sizes of q and k");
    require_equal(context.exprs, k.dim(2), v.dim(2), "the lengths of k and v");
    require_not_empty(q.dim(3), "the head size");
    require_not_empty(k.dim(2), "the length of k");
    const auto heads = context.exprs.as_integer(q.dim(1)), kv_heads = context.exprs.as_integer(k.dim(1));
    if (heads && kv_heads ? (*kv_heads < 1 || *heads % *kv_heads != 0) : q.dim(1) != k.dim(1))
        shape_error("query heads must be a multiple of key heads: " + context.exprs.text(q.dim(1)) + " and " +
                    context.exprs.text(k.dim(1)));
    if (context.inputs.size() > 3 && context.inputs[3].given()) {
        const TensorView& mask = context.inputs[3];
        const std::array<ExprRef, 4> scores{q.dim(0), q.dim(1), q.dim(2), k.dim(2)};
        if (mask.rank > 4) shape_error("mask must broadcast to [B, H, S, T]");
        for (int i = 1; i <= mask.rank; ++i)
            if (!is_one(mask.dim(-i)))
                require_equal(context.exprs, mask.dim(-i), scores[static_cast<std::size_t>(4 - i)],
                              "the sizes of mask and of the scores");
    }
    context.out.begin(q.dtype);
    context.out.push(q.dim(0));
    context.out.push(q.dim(1));
    context.out.push(q.dim(2));
    context.out.push(v.dim(3));
}

void count_attention(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &q = context.inputs[0], &k = context.inputs[1], &v = context.inputs[2];
    const ExprRef length = q.dim(2), keys = k.dim(2);
    const ExprRef pairs = exprs.mul(length, keys);
    const std::int64_t causal = context.attrs.integer(AttrKey::kCausal);
    ExprRef heads = exprs.mul(q.dim(0), q.dim(1));
    const ExprRef score_rows = exprs.mul(heads, length);
    ExprRef rows = score_rows;
    ExtentId scores = kNoExtent, active = kNoExtent;  // entries of the score matrix, and rows that have any
    if (causal == kNotCausal) {
        heads = exprs.mul(heads, pairs);  // nothing is left out: the pairs go into the base
    } else {
        context.flag(Variant::kCausal);
        const ExprRef m = length == keys ? length : exprs.min(length, keys);
        ExprRef used;
        if (causal == kTopLeft) {  // row i sees min(i + 1, T) keys
            used = exprs.add(exprs.scale(exprs.mul(m, exprs.add(m, one())), {1, 2}),
                             exprs.mul(exprs.sub(length, m), keys));
        } else {  // the last row sees all T keys, each earlier row one fewer, down to none
            used = exprs.sub(exprs.mul(m, keys), exprs.scale(exprs.mul(m, exprs.sub(m, one())), {1, 2}));
        }
        scores = context.add_extent({ExtentKind::kCausal, Grade::kExact, pairs, used});
        if (causal == kBottomRight) {  // with S > T the first S - T rows are masked whole
            active = context.add_extent({ExtentKind::kCausal, Grade::kExact, length, m});
            rows = heads;
        }
    }
    const bool mask = context.inputs.size() > 3 && context.inputs[3].given();
    if (mask) context.flag(Variant::kMask);
    if (q.dim(1) != k.dim(1)) context.flag(Variant::kGqa);

    context.emit(Feature::kMac, exprs.mul(heads, exprs.add(q.dim(3), v.dim(3))), scores);
    context.emit(Feature::kOutputs, heads, scores);                                       // one dot product per score
    context.emit(Feature::kOutputs, exprs.mul(rows, v.dim(3)), active);                   // and one per output element
    context.emit(Feature::kMul, heads, scores);                                           // scale
    context.emit(Feature::kAdd, exprs.mul(heads, ExprRef::small(mask ? 3 : 2)), scores);  // - max, sum, + mask
    context.emit(Feature::kAdd, exprs.negate(rows), active);  // a sum of n terms is n - 1 additions
    context.emit(Feature::kCmp, heads, scores);
    context.emit(Feature::kCmp, exprs.negate(rows), active);
    context.emit(Feature::kExp, heads, scores);
    context.emit(Feature::kDiv, heads, scores);
    context.emit(Feature::kRows, score_rows);
}

}  // namespace flopcore::ops
