// Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762, equation 1): two contractions and a softmax
// over a score matrix of S x T per head, of which a causal mask, a window, chunks or a sparse mask leave part unused.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

enum Causal : std::int64_t { kNotCausal, kTopLeft, kBottomRight };  // order of the choices in the table
enum Slot : std::size_t { kQuery, kKey, kValue, kMask, kSinks, kPastKey, kPastValue };

// A number that may be left out, or be -1.
std::optional<ExprRef> limit(const AttrView& attrs, AttrKey key) {
    const auto value = attrs.scalar(key);
    return value == ExprRef::small(-1) ? std::nullopt : value;
}

// The part of a score matrix of rows x columns that a causal mask and a window leave: row i sees the columns j with
// -left <= j - (i + offset) <= right, and those of the first `sinks` that are not to its right. Under chunks, it sees
// those of its own chunk alone: floor(j / chunk) = floor((i + offset) / chunk).
class Band {
  public:
    Band(ExprStore& exprs, const AttrView& attrs, ExprRef rows, ExprRef columns, ExprRef past)
        : exprs_(exprs), rows_(rows), columns_(columns) {
        causal_ = attrs.integer(AttrKey::kCausal);
        offset_ = causal_ == kBottomRight ? exprs.sub(columns, rows) : past;
        left_ = limit(attrs, AttrKey::kWindowLeft);
        right_ = causal_ != kNotCausal ? std::optional(ExprRef()) : limit(attrs, AttrKey::kWindowRight);
        if (left_) sinks_ = exprs.min(ExprRef::small(attrs.integer(AttrKey::kSinkTokens)), columns);
        chunk_ = limit(attrs, AttrKey::kChunk);
        windowed_ = left_ || chunk_ || (right_ && causal_ == kNotCausal);
    }
    [[nodiscard]] bool all() const { return !windowed_ && !right_; }
    [[nodiscard]] bool windowed() const { return windowed_; }

    // Entries that are left.
    [[nodiscard]] ExprRef pairs() const {
        if (!windowed_) return causal_pairs();
        if (chunk_) return chunk_pairs(*chunk_);
        if (rows_ == one()) return one_row();
        ExprRef seen = right_ ? below(exprs_.add(offset_, *right_), columns_) : exprs_.mul(rows_, columns_);
        if (!left_) return seen;
        const ExprRef before = exprs_.sub(offset_, exprs_.add(*left_, one()));
        seen = exprs_.sub(seen, below(before, columns_));
        return sinks_ == ExprRef() ? seen : exprs_.add(seen, below(before, sinks_));
    }

    // Rows that have any: a row is empty when its window lies wholly before the first column or after the last.
    [[nodiscard]] ExprRef rows() const {
        if (!windowed_) return causal_ == kBottomRight ? exprs_.min(rows_, columns_) : rows_;
        ExprRef first, end = rows_;
        if (chunk_) {  // positions from 0 to the end of the last chunk that has a column
            first = positive(exprs_.negate(offset_));
            if (exprs_.less_equal(exprs_.add(offset_, rows_), columns_) != true) {
                const ExprRef last = exprs_.mul(*chunk_, exprs_.ceildiv(columns_, *chunk_));
                end = exprs_.min(rows_, exprs_.sub(last, offset_));
            }
            return first == ExprRef() && end == rows_ ? rows_ : positive(exprs_.sub(end, first));
        }
        if (right_) first = positive(exprs_.negate(exprs_.add(offset_, *right_)));
        if (left_ && sinks_ == ExprRef()) end = exprs_.min(rows_, exprs_.sub(exprs_.add(columns_, *left_), offset_));
        return first == ExprRef() && end == rows_ ? rows_ : positive(exprs_.sub(end, first));
    }

  private:
    [[nodiscard]] ExprRef positive(ExprRef a) const { return exprs_.max(a, ExprRef()); }
    [[nodiscard]] ExprRef triangle(ExprRef n) const {
        return exprs_.scale(exprs_.mul(n, exprs_.add(n, one())), {1, 2});
    }

    // A causal mask alone: as `below`, in the plainer terms of m = min(rows, columns).
    [[nodiscard]] ExprRef causal_pairs() const {
        const ExprRef m = rows_ == columns_ ? rows_ : exprs_.min(rows_, columns_);
        if (causal_ == kBottomRight)  // the last row sees all columns, each earlier row one fewer, down to none
            return exprs_.sub(exprs_.mul(m, columns_), triangle(exprs_.sub(m, one())));
        if (offset_ == ExprRef())  // row i sees min(i + 1, columns)
            return exprs_.add(triangle(m), exprs_.mul(exprs_.sub(rows_, m), columns_));
        return below(offset_, columns_);
    }

    // The entries (i, j) of rows x columns with j - i <= d: row i has clamp(i + d + 1, 0, columns), and the sum of
    // clamp(x, 0, c) over all x <= n is triangle(clamp(n, 0, c)) + c max(0, n - c).
    [[nodiscard]] ExprRef below(ExprRef d, ExprRef columns) const {
        const auto sum_to = [&](ExprRef n) {
            const ExprRef clamped = exprs_.min(positive(n), columns);
            return exprs_.add(triangle(clamped), exprs_.mul(columns, positive(exprs_.sub(n, columns))));
        };
        return exprs_.sub(sum_to(exprs_.add(d, rows_)), sum_to(d));
    }

    // The pairs of the rows at the positions below offset + rows less those below offset.
    [[nodiscard]] ExprRef chunk_pairs(ExprRef chunk) const {
        const auto start = [&](ExprRef n) { return exprs_.mul(chunk, exprs_.floordiv(n, chunk)); };
        const ExprRef end = exprs_.add(offset_, rows_), whole = start(columns_);
        const ExprRef left_over = exprs_.sub(columns_, whole);  // columns of the last chunk, if it is not whole
        if (right_ && rows_ == one() && exprs_.less_equal(end, columns_) == true)
            return exprs_.sub(end, start(offset_));  // one query, as in decoding
        // Causal: a row is at column p < columns and sees p mod chunk + 1 of them, or stands beyond the last column
        // in its chunk and sees all of that.
        const auto causal_to = [&](ExprRef n) {
            const ExprRef inside = exprs_.min(positive(n), columns_), chunks = exprs_.floordiv(inside, chunk);
            const ExprRef sum = exprs_.add(exprs_.mul(chunks, triangle(chunk)),
                                           triangle(exprs_.sub(inside, exprs_.mul(chunks, chunk))));
            if (exprs_.less_equal(n, columns_) == true) return sum;
            const ExprRef beyond = exprs_.min(positive(exprs_.sub(n, columns_)), exprs_.sub(chunk, left_over));
            return exprs_.add(sum, exprs_.mul(left_over, beyond));
        };
        // Otherwise a row sees its whole chunk, or what there is of the last one.
        const auto whole_to = [&](ExprRef n) {
            const ExprRef last = n == columns_ ? left_over : exprs_.min(positive(exprs_.sub(n, whole)), chunk);
            const ExprRef before = n == columns_ ? whole : exprs_.min(positive(n), whole);
            return exprs_.add(exprs_.mul(chunk, before), exprs_.mul(left_over, last));
        };
        return right_ ? exprs_.sub(causal_to(end), causal_to(offset_)) : exprs_.sub(whole_to(end), whole_to(offset_));
    }

    // One query, as in decoding: from the first visible column to the last.
    [[nodiscard]] ExprRef one_row() const {
        const ExprRef end = right_ ? exprs_.min(columns_, exprs_.add(offset_, exprs_.add(*right_, one()))) : columns_;
        if (!left_) return positive(end);
        const ExprRef begin = positive(exprs_.sub(offset_, *left_));
        const ExprRef seen = positive(exprs_.sub(end, begin));
        return sinks_ == ExprRef() ? seen : exprs_.add(seen, exprs_.min(begin, positive(exprs_.min(sinks_, end))));
    }

    ExprStore& exprs_;
    ExprRef rows_, columns_, offset_, sinks_;
    std::int64_t causal_;
    std::optional<ExprRef> left_, right_, chunk_;
    bool windowed_;
};

ExprRef past_length(std::span<const TensorView> inputs) {
    return given(inputs, kPastKey) ? inputs[kPastKey].dim(2) : ExprRef();
}

void require_window(InferContext& context) {
    const AttrView& attrs = context.attrs;
    bool window = false;
    for (const AttrKey key : {AttrKey::kWindowLeft, AttrKey::kWindowRight}) {
        const auto value = attrs.scalar(key);
        if (!value || *value == ExprRef::small(-1)) continue;
        window = true;
        if (value->is_small() && value->value() < 0) shape_error("a window is -1 (unbounded), or 0 or more");
        if (key == AttrKey::kWindowRight && attrs.integer(AttrKey::kCausal) != kNotCausal)
            shape_error("window_right is 0 where attention is causal; leave it out");
    }
    if (attrs.integer(AttrKey::kSinkTokens) < 0) shape_error("sink_tokens must be 0 or more");
    if (const auto chunk = limit(attrs, AttrKey::kChunk)) {
        if (context.exprs.less_equal(ExprRef::small(1), *chunk) == false) shape_error("chunk must be 1 or more");
        if (window) shape_error("a query sees its chunk or its window: give one");
        window = true;
    }
    const auto density = attrs.scalar(AttrKey::kDensity), blocks = limit(attrs, AttrKey::kBlocks);
    if (density) require_share(context.exprs, *density);
    if (blocks && context.exprs.less_equal(ExprRef(), *blocks) == false) shape_error("blocks is negative");
    if (attrs.integer(AttrKey::kBlock) < 1) shape_error("block must be 1 or more");
    if ((density || blocks) && (window || attrs.integer(AttrKey::kCausal) != kNotCausal || (density && blocks)))
        shape_error("density and blocks are of a mask of any shape: give one, without causal, window or chunk");
}

}  // namespace

void infer_attention(InferContext& context) {
    const TensorView &q = context.inputs[kQuery], &k = context.inputs[kKey], &v = context.inputs[kValue];
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
    if (given(context.inputs, kPastKey) != given(context.inputs, kPastValue))
        shape_error("past_k and past_v come together");
    if (given(context.inputs, kPastKey)) {
        const TensorView &past_k = context.inputs[kPastKey], &past_v = context.inputs[kPastValue];
        for (const auto& [past, now] : {std::pair(&past_k, &k), std::pair(&past_v, &v)}) {
            if (past->rank != 4) shape_error("past_k and past_v must be [B, H_kv, P, D]");
            require_same_dtype(*past, *now);
            for (const int i : {0, 1, 3})
                require_equal(context.exprs, past->dim(i), now->dim(i), "the sizes of the cache and of what joins it");
        }
        require_equal(context.exprs, past_k.dim(2), past_v.dim(2), "the lengths of past_k and past_v");
    }
    if (given(context.inputs, kMask)) {
        const TensorView& mask = context.inputs[kMask];
        const ExprRef keys = context.exprs.add(past_length(context.inputs), k.dim(2));
        const std::array<ExprRef, 4> scores{q.dim(0), q.dim(1), q.dim(2), keys};
        if (mask.rank > 4) shape_error("mask must broadcast to [B, H, S, T]");
        for (int i = 1; i <= mask.rank; ++i)
            if (!is_one(mask.dim(-i)))
                require_equal(context.exprs, mask.dim(-i), scores[static_cast<std::size_t>(4 - i)],
                              "the sizes of mask and of the scores");
    }
    if (given(context.inputs, kSinks)) {
        const TensorView& sinks = context.inputs[kSinks];
        if (sinks.rank != 1) shape_error("sinks must be [H], is " + shape_text(context.exprs, sinks));
        require_equal(context.exprs, sinks.dim(0), q.dim(1), "the sizes of sinks and of the query heads");
    }
    require_window(context);
    context.out.begin(q.dtype);
    context.out.push(q.dim(0));
    context.out.push(q.dim(1));
    context.out.push(q.dim(2));
    context.out.push(v.dim(3));
}

void count_attention(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &q = context.inputs[kQuery], &k = context.inputs[kKey], &v = context.inputs[kValue];
    const ExprRef past = past_length(context.inputs);
    const ExprRef length = q.dim(2), keys = exprs.add(past, k.dim(2));
    const ExprRef pairs = exprs.mul(length, keys);
    ExprRef heads = exprs.mul(q.dim(0), q.dim(1));
    const ExprRef score_rows = exprs.mul(heads, length);
    ExprRef rows = score_rows;
    ExtentId scores = kNoExtent, active = kNoExtent;  // entries of the score matrix, and rows that have any
    const Band band(exprs, context.attrs, length, keys, past);
    if (context.attrs.integer(AttrKey::kCausal) != kNotCausal) context.flag(Variant::kCausal);
    if (const auto density = context.attrs.scalar(AttrKey::kDensity)) {
        const ExprRef kept = exprs.mul(pairs, *density);
        scores = context.add_extent({ExtentKind::kSparsity, Grade::kExpected, pairs, kept});
        active = context.add_extent({ExtentKind::kSparsity, Grade::kBound, length, exprs.min(length, kept)});
        rows = heads;
    } else if (const auto blocks = limit(context.attrs, AttrKey::kBlocks)) {  // squares that a kernel computes whole
        const ExprRef side = ExprRef::small(context.attrs.integer(AttrKey::kBlock));
        const ExprRef kept = exprs.min(pairs, exprs.mul(*blocks, exprs.mul(side, side)));
        scores = context.add_extent({ExtentKind::kSparsity, Grade::kExact, pairs, kept});
        active = context.add_extent({ExtentKind::kSparsity, Grade::kBound, length, exprs.min(length, kept)});
        rows = heads;
    } else if (band.all()) {
        heads = exprs.mul(heads, pairs);  // nothing is left out: the pairs go into the base
    } else {
        const ExtentKind kind = band.windowed() ? ExtentKind::kWindow : ExtentKind::kCausal;
        scores = context.add_extent({kind, Grade::kExact, pairs, band.pairs()});
        if (band.windowed() || context.attrs.integer(AttrKey::kCausal) == kBottomRight) {
            active = context.add_extent({kind, Grade::kExact, length, band.rows()});
            rows = heads;
        }
    }
    const bool mask = given(context.inputs, kMask), sinks = given(context.inputs, kSinks);
    if (mask) context.flag(Variant::kMask);
    if (q.dim(1) != k.dim(1)) context.flag(Variant::kGqa);
    const bool softcap = context.attrs.integer(AttrKey::kSoftcap) != 0;
    const auto times = [&](ExprRef a, std::int64_t count) { return exprs.mul(a, ExprRef::small(count)); };

    context.emit(Feature::kMac, exprs.mul(heads, exprs.add(q.dim(3), v.dim(3))), scores);
    context.emit(Feature::kOutputs, heads, scores);                      // one dot product per score
    context.emit(Feature::kOutputs, exprs.mul(rows, v.dim(3)), active);  // and one per output element
    context.emit(Feature::kMul, times(heads, softcap ? 2 : 1), scores);  // scale; times the cap
    context.emit(Feature::kAdd, times(heads, mask ? 3 : 2), scores);     // - max, sum, + mask
    context.emit(Feature::kCmp, heads, scores);
    context.emit(Feature::kExp, heads, scores);
    context.emit(Feature::kDiv, times(heads, softcap ? 2 : 1), scores);  // by the sum; by the cap
    if (softcap) context.emit(Feature::kTanh, heads, scores);
    if (sinks) {  // one more term under the sum of each row: - max, exp
        context.emit(Feature::kAdd, rows, active);
        context.emit(Feature::kExp, rows, active);
    } else {
        context.emit(Feature::kAdd, exprs.negate(rows), active);  // a sum of n terms is n - 1 additions
        context.emit(Feature::kCmp, exprs.negate(rows), active);
    }
    context.emit(Feature::kRows, score_rows);
}

void infer_paged_attention(InferContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &q = context.inputs[0], &k = context.inputs[1], &v = context.inputs[2], &table = context.inputs[3];
    for (const TensorView* t : {&q, &k, &v})
        if (t->rank != 4) shape_error("q must be [B, H, S, D], pages [P, H_kv, size, D]");
    if (table.rank != 2) shape_error("the block table must be [B, pages], is " + shape_text(exprs, table));
    require_same_dtype(q, k);
    require_same_dtype(q, v);
    require_equal(exprs, q.dim(0), table.dim(0), "the batch sizes of q and of the block table");
    for (const int i : {0, 1, 2}) require_equal(exprs, k.dim(i), v.dim(i), "the sizes of the pages of k and v");
    require_equal(exprs, q.dim(3), k.dim(3), "the head sizes of q and k");
    require_not_empty(q.dim(3), "the head size");
    require_not_empty(k.dim(2), "a page");
    require_not_empty(table.dim(1), "the list of pages");
    (void)exact_quotient(exprs, q.dim(1), k.dim(1), "the number of query heads");
    if (const auto keys = limit(context.attrs, AttrKey::kSize)) {
        require_at_most(exprs, q.dim(2), *keys, "the queries and the keys of a sequence");
        require_at_most(exprs, *keys, exprs.mul(table.dim(1), k.dim(2)), "the keys of a sequence and its pages");
    }
    context.out.begin(q.dtype);
    for (const int i : {0, 1, 2}) context.out.push(q.dim(i));
    context.out.push(v.dim(3));
}

// As attention, aligned bottom right, over the keys that a sequence has in its pages.
void count_paged_attention(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &q = context.inputs[0], &k = context.inputs[1], &v = context.inputs[2], &table = context.inputs[3];
    const ExprRef length = q.dim(2), slots = exprs.mul(table.dim(1), k.dim(2)), room = exprs.mul(length, slots);
    const ExprRef heads = exprs.mul(q.dim(0), q.dim(1)), rows = exprs.mul(heads, length);
    ExtentId scores = kNoExtent;
    ExprRef base = exprs.mul(heads, room);
    if (const auto keys = limit(context.attrs, AttrKey::kSize)) {
        // The last query sees all keys, each earlier one a key fewer.
        const ExprRef unseen = exprs.scale(exprs.mul(length, exprs.sub(length, one())), {1, 2});
        const ExprRef seen = exprs.sub(exprs.mul(length, *keys), unseen);
        scores = context.add_extent({ExtentKind::kCapacity, Grade::kExact, room, seen});
        base = heads;
    }
    if (q.dim(1) != k.dim(1)) context.flag(Variant::kGqa);
    context.emit(Feature::kMac, exprs.mul(base, exprs.add(q.dim(3), v.dim(3))), scores);
    context.emit(Feature::kOutputs, base, scores);
    context.emit(Feature::kOutputs, exprs.mul(rows, v.dim(3)));
    for (const Feature feature : {Feature::kMul, Feature::kCmp, Feature::kExp, Feature::kDiv})
        context.emit(feature, base, scores);
    context.emit(Feature::kAdd, exprs.mul(base, ExprRef::small(2)), scores);
    context.emit(Feature::kAdd, exprs.negate(rows));
    context.emit(Feature::kCmp, exprs.negate(rows));
    context.emit(Feature::kGather, table.elements);
    context.emit(Feature::kRows, rows);
}

}  // namespace flopcore::ops
