// Recurrences over time: RNN, GRU, LSTM, state-space scans, the gated delta rule, and associative scans.
#include "rules.hpp"
#include "shapes.hpp"

namespace flopcore::ops {
namespace {

ExprRef times(CountContext& context, ExprRef a, std::int64_t count) {
    return context.exprs.mul(a, ExprRef::small(count));
}

// Throws unless a given tensor has exactly these dims; dims that are null may be any.
void require_shape(InferContext& context, std::size_t input, std::initializer_list<ExprRef> dims, const char* what) {
    if (!given(context.inputs, input)) return;
    const TensorView& t = context.inputs[input];
    if (t.rank != dims.size()) shape_error(std::string(what) + " has shape " + shape_text(context.exprs, t));
    int i = 0;
    for (const ExprRef dim : dims) require_equal(context.exprs, t.dim(i++), dim, what);
}

void push_like(InferContext& context, const TensorView& t) {
    context.out.begin(context.inputs[0].dtype);
    for (const ExprRef dim : t.shape()) context.out.push(dim);
}

// What one step of a cell takes beside its products, per hidden unit.
struct Cell {
    std::int64_t gates, sigmoids, tanhs, muls, adds;
};
constexpr Cell kRnn{1, 0, 1, 0, 0};
constexpr Cell kGru{3, 2, 1, 3, 2};   // r (R h), z h, (1 - z) n; 1 - z, the sum
constexpr Cell kLstm{4, 3, 2, 3, 1};  // f c, i g, o tanh(c); the sum

enum Slot : std::size_t { kX, kWeight, kRecurrent, kBias, kHidden, kCell, kProjection, kPeephole };

ExprRef hidden_size(ExprStore& exprs, const TensorView& weight, const Cell& cell) {
    const ExprRef gates = ExprRef::small(cell.gates), hidden = exprs.floordiv(weight.dim(1), gates);
    require_equal(exprs, exprs.mul(hidden, gates), weight.dim(1), "the rows of weight and the gates");
    return hidden;
}

void infer_cell(InferContext& context, const Cell& cell) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[kX], &weight = context.inputs[kWeight], &r = context.inputs[kRecurrent];
    if (x.rank != 3 || weight.rank != 3 || r.rank != 3)
        shape_error("x must be [L, B, I], weight [directions, gates H, I], recurrent [directions, gates H, H]");
    const ExprRef directions = weight.dim(0), batch = x.dim(1), rows = weight.dim(1), out = r.dim(2);
    const ExprRef hidden = hidden_size(exprs, weight, cell);
    if (directions != one() && directions != ExprRef::small(2)) shape_error("directions must be 1 or 2");
    require_not_empty(x.dim(2), "the input size");
    require_not_empty(hidden, "the hidden size");
    require_equal(exprs, x.dim(2), weight.dim(2), "the sizes of x and of the columns of weight");
    require_shape(context, kRecurrent, {directions, rows, out}, "recurrent");
    if (given(context.inputs, kBias)) {
        const TensorView& bias = context.inputs[kBias];
        if (bias.rank != 2 || bias.dim(0) != directions ||
            (exprs.equal(bias.dim(1), rows) != true &&
             exprs.equal(bias.dim(1), exprs.mul(rows, ExprRef::small(2))) != true))
            shape_error("bias must be [directions, gates H], or twice as long for two, is " + shape_text(exprs, bias));
    }
    require_shape(context, kHidden, {directions, batch, out}, "the first hidden state");
    require_shape(context, kCell, {directions, batch, hidden}, "the first cell state");
    require_shape(context, kProjection, {directions, out, hidden}, "projection");
    require_shape(context, kPeephole, {directions, exprs.mul(hidden, ExprRef::small(3))}, "peephole");
    if (!given(context.inputs, kProjection))
        require_equal(exprs, out, hidden, "the columns of recurrent and the hidden size");
    context.out.begin(x.dtype);
    for (const ExprRef dim : {x.dim(0), batch, exprs.mul(directions, out)}) context.out.push(dim);
    context.out.begin(x.dtype);
    for (const ExprRef dim : {directions, batch, out}) context.out.push(dim);
    if (cell.gates != kLstm.gates) return;
    context.out.begin(x.dtype);
    for (const ExprRef dim : {directions, batch, hidden}) context.out.push(dim);
}

void count_cell(CountContext& context, const Cell& cell) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[kX], &weight = context.inputs[kWeight], &r = context.inputs[kRecurrent];
    const ExprRef steps = product(exprs, std::array{x.dim(0), x.dim(1), weight.dim(0)});
    const ExprRef rows = weight.dim(1), hidden = hidden_size(exprs, weight, cell);
    const ExprRef units = exprs.mul(steps, hidden);
    const bool projected = given(context.inputs, kProjection), peephole = given(context.inputs, kPeephole);
    ExprRef macs = exprs.mul(rows, exprs.add(x.dim(2), r.dim(2))), dots = times(context, rows, 2), adds = rows;
    if (projected) {
        macs = exprs.add(macs, exprs.mul(r.dim(2), hidden));
        dots = exprs.add(dots, r.dim(2));
    }
    if (given(context.inputs, kBias)) {
        context.flag(Variant::kBias);
        adds = exprs.add(adds, context.inputs[kBias].dim(1));
    }
    const std::int64_t watched = peephole ? 3 : 0;
    const bool relu = cell.gates == kRnn.gates && context.attrs.integer(AttrKey::kActivation) == 1;
    context.emit(Feature::kMac, exprs.mul(steps, macs));
    context.emit(Feature::kOutputs, exprs.mul(steps, dots));
    context.emit(Feature::kAdd,
                 exprs.add(exprs.mul(steps, adds), times(context, units, cell.adds + cell.sigmoids + watched)));
    context.emit(Feature::kMul, times(context, units, cell.muls + watched));
    context.emit(Feature::kExp, times(context, units, cell.sigmoids));
    context.emit(Feature::kDiv, times(context, units, cell.sigmoids));
    context.emit(relu ? Feature::kCmp : Feature::kTanh, times(context, units, cell.tanhs));
}

}  // namespace

void infer_rnn(InferContext& context) { infer_cell(context, kRnn); }
void count_rnn(CountContext& context) { count_cell(context, kRnn); }
void infer_gru(InferContext& context) { infer_cell(context, kGru); }
void count_gru(CountContext& context) { count_cell(context, kGru); }
void infer_lstm(InferContext& context) { infer_cell(context, kLstm); }
void count_lstm(CountContext& context) { count_cell(context, kLstm); }

void infer_selective_scan(InferContext& context) {
    const TensorView &u = context.inputs[0], &a = context.inputs[2];
    if (u.rank != 3 || a.rank != 2) shape_error("u must be [B, L, D], a [D, N]");
    const ExprRef batch = u.dim(0), length = u.dim(1), width = u.dim(2), state = a.dim(1);
    require_not_empty(state, "the state size");
    require_shape(context, 1, {batch, length, width}, "delta");
    require_shape(context, 2, {width, state}, "a");
    require_shape(context, 3, {batch, length, state}, "b");
    require_shape(context, 4, {batch, length, state}, "c");
    require_shape(context, 5, {width}, "d");
    require_shape(context, 6, {batch, length, width}, "z");
    require_shape(context, 7, {width}, "delta_bias");
    push_like(context, u);
}

void count_selective_scan(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const ExprRef outputs = context.y.elements, states = exprs.mul(outputs, context.inputs[2].dim(1));
    const bool skip = given(context.inputs, 5), gate = given(context.inputs, 6), bias = given(context.inputs, 7);
    const bool softplus = context.attrs.integer(AttrKey::kSoftplus) != 0;
    context.emit(Feature::kMac, times(context, states, 2));  // h = exp(delta a) h + delta u b; y = c h
    context.emit(Feature::kOutputs, outputs);
    context.emit(Feature::kMul,
                 exprs.add(times(context, states, 2), times(context, outputs, 1 + (skip ? 1 : 0) + (gate ? 2 : 0))));
    context.emit(Feature::kExp, exprs.add(states, times(context, outputs, (gate ? 1 : 0) + (softplus ? 1 : 0))));
    context.emit(Feature::kAdd,
                 times(context, outputs, (skip ? 1 : 0) + (gate ? 1 : 0) + (bias ? 1 : 0) + (softplus ? 1 : 0)));
    context.emit(Feature::kLog, times(context, outputs, softplus ? 1 : 0));
    context.emit(Feature::kDiv, times(context, outputs, gate ? 1 : 0));
}

void infer_state_space_dual(InferContext& context) {
    const TensorView &x = context.inputs[0], &b = context.inputs[3];
    if (x.rank != 4 || b.rank != 4) shape_error("x must be [B, L, H, P], b [B, L, G, N]");
    if (context.attrs.integer(AttrKey::kChunk) < 1) shape_error("chunk must be 1 or more");
    const ExprRef batch = x.dim(0), length = x.dim(1), heads = x.dim(2), groups = b.dim(2), state = b.dim(3);
    require_not_empty(state, "the state size");
    require_not_empty(groups, "the groups");
    const ExprRef per_group = context.exprs.floordiv(heads, groups);
    require_equal(context.exprs, context.exprs.mul(per_group, groups), heads, "the heads and a multiple of the groups");
    require_shape(context, 1, {batch, length, heads}, "dt");
    require_shape(context, 2, {heads}, "a");
    require_shape(context, 3, {batch, length, groups, state}, "b");
    require_shape(context, 4, {batch, length, groups, state}, "c");
    require_shape(context, 5, {heads}, "d");
    push_like(context, x);
}

void count_state_space_dual(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView &x = context.inputs[0], &b = context.inputs[3];
    const ExprRef batch = x.dim(0), length = x.dim(1), heads = x.dim(2), width = x.dim(3), state = b.dim(3);
    const std::int64_t chunk = context.attrs.integer(AttrKey::kChunk);
    const ExprRef full = exprs.floordiv(length, ExprRef::small(chunk)),
                  rest = exprs.sub(length, times(context, full, chunk));
    const ExprRef pairs =
        exprs.add(exprs.mul(full, exprs.mul(ExprRef::small(chunk), ExprRef::small(chunk))), exprs.mul(rest, rest));
    // Of q x q scores in a chunk, q (q + 1) / 2 are causal; all chunks together that is (pairs + length) / 2.
    const ExtentId scores =
        context.add_extent({ExtentKind::kCausal, Grade::kExact, pairs, exprs.scale(exprs.add(pairs, length), {1, 2})});
    const ExprRef chunks = exprs.ceildiv(length, ExprRef::small(chunk));
    const ExprRef rows = exprs.mul(batch, heads), tokens = exprs.mul(rows, length), outputs = context.y.elements;
    const ExprRef states = exprs.mul(exprs.mul(rows, width), state);
    const ExprRef groups = exprs.mul(batch, b.dim(2));
    const bool skip = given(context.inputs, 5);
    context.emit(Feature::kMac, exprs.add(exprs.mul(groups, state), exprs.mul(rows, width)), scores);
    context.emit(Feature::kMac, exprs.mul(states, exprs.add(times(context, length, 2), chunks)));
    context.emit(Feature::kOutputs, groups, scores);
    context.emit(Feature::kOutputs, exprs.add(times(context, outputs, 2), exprs.mul(states, chunks)));
    context.emit(Feature::kExp, rows, scores);  // decay between two steps
    context.emit(Feature::kExp, exprs.add(times(context, tokens, 2), exprs.mul(rows, chunks)));
    context.emit(Feature::kMul, rows, scores);
    context.emit(Feature::kMul, exprs.add(times(context, outputs, skip ? 4 : 3), tokens));
    context.emit(Feature::kAdd, rows, scores);
    context.emit(Feature::kAdd, exprs.add(times(context, outputs, skip ? 2 : 1), tokens));
}

void infer_gated_delta_rule(InferContext& context) {
    const TensorView &q = context.inputs[0], &v = context.inputs[2];
    if (q.rank != 4 || v.rank != 4) shape_error("q and k must be [B, L, H, K], v [B, L, H, V]");
    const ExprRef batch = q.dim(0), length = q.dim(1), heads = q.dim(2);
    require_not_empty(q.dim(3), "the key size");
    require_shape(context, 1, {batch, length, heads, q.dim(3)}, "k");
    require_shape(context, 2, {batch, length, heads, v.dim(3)}, "v");
    require_shape(context, 3, {batch, length, heads}, "beta");
    require_shape(context, 4, {batch, length, heads}, "decay");
    if (context.attrs.integer(AttrKey::kChunk) < 0) shape_error("chunk must be 0 or more");
    push_like(context, v);
}

namespace {

// In chunks of C: T = (I + tril(diag(beta) K K^T, -1))^-1 diag(beta) by forward substitution, W = T K, U = T V - W S;
// O = Q S + tril(Q K^T) U, S + K^T U (Yang et al. 2024, arXiv 2406.06484, section 3.2).
void count_chunked_delta_rule(CountContext& context, ExprRef states, bool decay) {
    ExprStore& exprs = context.exprs;
    const TensorView &q = context.inputs[0], &v = context.inputs[2];
    const std::int64_t chunk = context.attrs.integer(AttrKey::kChunk);
    const ExprRef length = q.dim(1), heads = exprs.mul(q.dim(0), q.dim(2)), key = q.dim(3), value = v.dim(3);
    const ExprRef full = exprs.floordiv(length, ExprRef::small(chunk)),
                  rest = exprs.sub(length, times(context, full, chunk));
    const auto all_chunks = [&](std::int64_t of_one, ExprRef of_rest) {
        return exprs.add(times(context, full, of_one), of_rest);
    };
    const ExprRef pairs = all_chunks(chunk * chunk, exprs.mul(rest, rest));
    const ExprRef before = exprs.mul(rest, exprs.sub(rest, one()));
    const ExprRef solved = all_chunks(chunk * (chunk - 1) * (chunk - 2) / 6,
                                      exprs.scale(exprs.mul(before, exprs.sub(rest, ExprRef::small(2))), {1, 6}));
    const ExtentId scores =
        context.add_extent({ExtentKind::kCausal, Grade::kExact, pairs, exprs.scale(exprs.add(pairs, length), {1, 2})});
    const ExtentId strict =
        context.add_extent({ExtentKind::kCausal, Grade::kExact, pairs, exprs.scale(exprs.sub(pairs, length), {1, 2})});
    const ExprRef tokens = exprs.mul(heads, length), outputs = context.y.elements;
    const ExprRef chunks = exprs.mul(heads, exprs.ceildiv(length, ExprRef::small(chunk)));
    const ExprRef moved = exprs.mul(chunks, exprs.mul(key, value));  // states handed on
    context.emit(Feature::kMac, exprs.mul(heads, times(context, exprs.add(key, value), 2)), scores);
    context.emit(Feature::kMac, exprs.mul(heads, key), strict);
    context.emit(Feature::kMac, exprs.add(times(context, states, 3), exprs.mul(heads, solved)));
    context.emit(Feature::kOutputs, heads, scores);
    context.emit(Feature::kOutputs, times(context, heads, 2), strict);
    context.emit(Feature::kOutputs, exprs.add(exprs.add(exprs.mul(tokens, key), times(context, outputs, 4)), moved));
    context.emit(Feature::kMul, times(context, heads, decay ? 2 : 1), scores);
    context.emit(Feature::kMul, times(context, heads, decay ? 2 : 1), strict);
    context.emit(Feature::kAdd, exprs.add(times(context, outputs, 2),
                                          decay ? exprs.sub(times(context, tokens, 2), chunks) : ExprRef()));
    if (!decay) return;
    context.emit(Feature::kMul, exprs.add(times(context, exprs.mul(tokens, key), 3), moved));
    context.emit(Feature::kAdd, heads, scores);
    context.emit(Feature::kExp, heads, scores);
    context.emit(Feature::kExp, times(context, tokens, 2));
}

}  // namespace

void count_gated_delta_rule(CountContext& context) {
    ExprStore& exprs = context.exprs;
    const TensorView& q = context.inputs[0];
    const ExprRef outputs = context.y.elements, states = exprs.mul(outputs, q.dim(3));
    const bool decay = given(context.inputs, 4);
    if (context.attrs.integer(AttrKey::kChunk) > 0) return count_chunked_delta_rule(context, states, decay);
    context.emit(Feature::kMac, times(context, states, 3));  // k^T S; S + k (beta e)^T; q^T S
    context.emit(Feature::kOutputs, times(context, outputs, 2));
    context.emit(Feature::kAdd, outputs);
    context.emit(Feature::kMul, exprs.add(outputs, decay ? states : ExprRef()));
    if (decay) context.emit(Feature::kExp, context.inputs[4].elements);
}

void infer_associative_scan(InferContext& context) {
    const TensorView& x = context.inputs[0];
    (void)resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
    if (given(context.inputs, 1)) {
        const TensorView& gate = context.inputs[1];
        if (gate.rank != x.rank) shape_error("gate must have the shape of x");
        for (int i = 0; i < x.rank; ++i) require_equal(context.exprs, gate.dim(i), x.dim(i), "the sizes of gate and x");
    }
    push_like(context, x);
}

void count_associative_scan(CountContext& context) {
    enum Algorithm : std::int64_t { kSequential, kRecursive };  // order of the choices in the table
    ExprStore& exprs = context.exprs;
    const TensorView& x = context.inputs[0];
    const int axis = resolve_axis(context.attrs.integer(AttrKey::kAxis), x.rank);
    const ExprRef n = x.dim(axis);
    const std::int64_t algorithm = context.attrs.integer(AttrKey::kAlgorithm);
    ExprRef steps;
    if (algorithm == kSequential) {
        steps = exprs.max(exprs.sub(n, one()), ExprRef());
    } else {  // halves or doubles until one element is left, at most 62 times
        const auto most = exprs.bounds(n).high;
        for (unsigned level = 0; level < 62; ++level) {
            const std::int64_t reach = std::int64_t{1} << level;
            if (most && most->num <= Int128{reach} * most->den) break;
            const ExprRef left = algorithm == kRecursive ? exprs.sub(exprs.floordiv(n, ExprRef::small(reach)), one())
                                                         : exprs.sub(n, ExprRef::small(reach));
            steps = exprs.add(steps, exprs.max(left, ExprRef()));
        }
    }
    ExprRef rows = one();
    for (int i = 0; i < x.rank; ++i)
        if (i != axis) rows = exprs.mul(rows, x.dims[i]);
    const ExprRef joins = exprs.mul(rows, steps);
    if (given(context.inputs, 1)) {  // (a, x) then (a', x'): (a a', a' x + x')
        context.emit(Feature::kMac, joins);
        context.emit(Feature::kMul, joins);
        return;
    }
    constexpr std::array kJoins{Feature::kAdd, Feature::kMul, Feature::kCmp};
    context.emit(kJoins[static_cast<std::size_t>(context.attrs.integer(AttrKey::kCombine))], joins);
}

}  // namespace flopcore::ops
