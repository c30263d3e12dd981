"""Mixers in the place of attention whose cost is linear in the sequence: Mamba, Mamba 2 and the gated delta rule.

They are built step for step as transformers computes them without kernels of its own, so that both have the same
products. `flopcore.ops()` has an op for each as the papers define it: `selective_scan`, `state_space_dual` and
`gated_delta_rule`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal, TypeAlias

from flopcore.expr import Expr, dim
from flopcore.graph import DimLike, Tensor

from .modules import Activation, Modules

__all__ = ["GatedDelta", "Mamba", "Mamba2", "Recurrent", "recurrent_mixer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba:
    """A selective state space (Gu and Dao 2023, arXiv 2312.00752), token by token.

    Parameters
    ----------
    inner, state, rank, kernel
        Channels, states of each, width that time steps are made of, and taps of the convolution.
    conv_bias, bias
        Whether the convolution and the projections in and out have a bias.
    norms
        RMS norms of time steps and of the matrices B and C: ``"none"``, with ``"weights"`` (Jamba), or ``"plain"``.
    """

    inner: int
    state: int
    rank: int
    kernel: int
    conv_bias: bool = True
    bias: bool = False
    norms: Literal["none", "weights", "plain"] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2:
    """A state space with a scalar decay per head (Dao and Gu 2024, arXiv 2405.21060, section 6), chunk by chunk.

    Parameters
    ----------
    heads, head_dim, groups, state, kernel, chunk
        Heads and their width, groups that share B and C, states, taps of the convolution, and tokens of a chunk. The
        sequence is padded to whole chunks.
    conv_bias, bias, out_bias
        Whether the convolution and the projections in and out have a bias.
    norm
        Whether the gated result is normed, or gated alone.
    scaled
        Whether parts of the projection, and its input, are multiplied by numbers (Falcon-H1).
    """

    heads: int
    head_dim: int
    groups: int
    state: int
    kernel: int
    chunk: int
    conv_bias: bool = True
    bias: bool = False
    out_bias: bool = False
    norm: bool = True
    scaled: bool = False

    def __post_init__(self) -> None:
        if self.heads % self.groups:
            raise ValueError(f"groups={self.groups} does not divide heads={self.heads}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDelta:
    """A linear attention by the gated delta rule (Yang et al. 2024, arXiv 2412.06464), chunk by chunk.

    Parameters
    ----------
    key_heads, value_heads, key_dim, value_dim, kernel, chunk
        Heads of queries and keys, heads of values, their widths, taps of the convolution, and tokens of a chunk. The
        sequence is padded to whole chunks.
    """

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int
    chunk: int = 64

    def __post_init__(self) -> None:
        if self.value_heads % self.key_heads:
            raise ValueError(f"key_heads={self.key_heads} does not divide value_heads={self.value_heads}")


Recurrent: TypeAlias = Mamba | Mamba2 | GatedDelta


def recurrent_mixer(modules: Modules, spec: Recurrent, x: Tensor, activation: Activation) -> Tensor:
    """Return the mixed positions of [batch, seq, hidden]; their work is that of the whole sequence at once."""
    match spec:
        case Mamba():
            return _mamba(modules, spec, x, activation)
        case Mamba2():
            return _mamba2(modules, spec, x, activation)
        case GatedDelta():
            return _gated_delta(modules, spec, x, activation)


def _conv(modules: Modules, x: Tensor, kernel: int, activation: Activation, *, bias: bool) -> Tensor:
    """Convolve each channel of [batch, channels, seq] over the past; the taps before the first token are padding."""
    graph, origin = modules.graph, modules.origin
    channels, seq = x.shape[1:]
    assert isinstance(channels, int)
    with graph.scope("conv1d"):
        weight = modules.parameter("weight", channels, 1, kernel)
        term = modules.parameter("bias", channels) if bias else None
        both = graph.conv(x, weight, term, padding=kernel - 1, groups=channels, name="conv1d", origin=origin)
    return modules.activate(modules.cut(both, 2, 0, seq), activation, "act")


def _softplus(modules: Modules, x: Tensor) -> Tensor:
    return modules.graph.op("softplus", [x], name="time_step", origin=modules.origin)


def _decay(modules: Modules, *shape: int) -> Tensor:
    """Return -exp(A_log): the decays, which are parameters."""
    graph, origin = modules.graph, modules.origin
    rates = graph.op("exp", [modules.parameter("A_log", *shape)], name="decay", origin=origin)
    return graph.op("neg", [rates], name="decay", origin=origin)


def _mamba(modules: Modules, spec: Mamba, x: Tensor, activation: Activation) -> Tensor:
    graph, origin = modules.graph, modules.origin
    batch, seq, hidden = x.shape
    assert isinstance(hidden, int)
    joint = modules.turn(modules.linear(x, "in_proj", 2 * spec.inner, bias=spec.bias), (0, 2, 1))
    u, gate = modules.cut(joint, 1, 0, spec.inner), modules.cut(joint, 1, spec.inner, 2 * spec.inner)
    u = _conv(modules, u, spec.kernel, activation, bias=spec.conv_bias)
    chosen = modules.linear(modules.turn(u, (0, 2, 1)), "x_proj", spec.rank + 2 * spec.state, bias=False)
    ends = (0, spec.rank, spec.rank + spec.state, spec.rank + 2 * spec.state)
    step, b, c = (modules.part(chosen, start, stop) for start, stop in pairwise(ends))
    if spec.norms != "none":
        step, b, c = (
            modules.rms_norm(part, f"{name}_layernorm", weight=spec.norms == "weights")
            for part, name in ((step, "dt"), (b, "b"), (c, "c"))
        )
    with graph.scope("dt_proj"):
        weight, bias = modules.parameter("weight", spec.inner, spec.rank), modules.parameter("bias", spec.inner)
        step = graph.matmul(weight, modules.turn(step, (0, 2, 1)), name="dt_proj", origin=origin)
        step = modules.add(step, modules.shaped(bias, (spec.inner, 1)), "dt_proj")
    steps = modules.shaped(_softplus(modules, step), (batch, spec.inner, seq, 1))
    decay = modules.shaped(_decay(modules, spec.inner, spec.state), (spec.inner, 1, spec.state))
    kept = graph.op("exp", [modules.mul(decay, steps, "decay")], name="decay", origin=origin)
    added = modules.mul(steps, modules.shaped(b, (batch, 1, seq, spec.state)), "input")
    added = modules.mul(added, modules.shaped(u, (batch, spec.inner, seq, 1)), "input")
    body = graph.subgraph("step")
    inside = modules.within(body)
    plane = (batch, spec.inner, spec.state)
    state, keep, more = (body.input(name, plane, x.dtype, origin=origin) for name in ("state", "keep", "more"))
    read = body.input("read", (batch, spec.state), x.dtype, origin=origin)
    new = inside.add(inside.mul(keep, state, "state"), more, "state")
    out = body.matmul(new, inside.shaped(read, (batch, spec.state, 1)), name="read", origin=origin)
    body.output(new, inside.shaped(out, (batch, spec.inner)))
    zero = modules.constant("state", plane)
    _, y = graph.scan(body, [zero], [kept, added, c], axis=[2, 2, 1], out_axis=2, name="scan", origin=origin)
    skip = modules.shaped(modules.parameter("D", spec.inner), (spec.inner, 1))
    y = modules.add(y, modules.mul(u, skip, "skip"), "skip")
    y = modules.mul(y, modules.activate(gate, "silu", "act"), "gate")
    return modules.linear(modules.turn(y, (0, 2, 1)), "out_proj", hidden, bias=spec.bias)


def _mamba2(modules: Modules, spec: Mamba2, x: Tensor, activation: Activation) -> Tensor:
    graph, origin = modules.graph, modules.origin
    batch, seq, hidden = x.shape
    assert isinstance(hidden, int)
    inner, shared = spec.heads * spec.head_dim, spec.groups * spec.state
    width = inner + 2 * shared
    if spec.scaled:
        x = modules.mul(x, modules.constant("scale"), "scale")
    joint = modules.linear(x, "in_proj", inner + width + spec.heads, bias=spec.bias)
    if spec.scaled:
        joint = modules.mul(joint, modules.constant("scales", (inner + width + spec.heads,)), "scale")
    gate = modules.part(joint, 0, inner)
    step = modules.part(joint, inner + width, inner + width + spec.heads)
    mixed = modules.turn(modules.part(joint, inner, inner + width), (0, 2, 1))
    mixed = modules.turn(_conv(modules, mixed, spec.kernel, activation, bias=spec.conv_bias), (0, 2, 1))
    u = modules.shaped(modules.part(mixed, 0, inner), (batch, seq, spec.heads, spec.head_dim))
    b, c = (
        modules.repeat(modules.shaped(modules.part(mixed, start, start + shared), (batch, seq, spec.groups, -1)), 2, n)
        for start, n in ((inner, spec.heads // spec.groups), (inner + shared, spec.heads // spec.groups))
    )
    step = _softplus(modules, modules.add(step, modules.parameter("dt_bias", spec.heads), "time_step"))
    step = graph.op("clamp", [step], {"bounds": "both"}, name="time_step", origin=origin)
    decay = _decay(modules, spec.heads)
    skip = modules.mul(u, modules.shaped(modules.parameter("D", spec.heads), (spec.heads, 1)), "skip")
    y = modules.add(_state_space(modules, spec, u, step, decay, b, c), skip, "skip")
    y = modules.shaped(y, (batch, seq, inner))
    y = modules.mul(y, modules.activate(gate, "silu", "act"), "gate")
    if spec.norm:
        with graph.scope("norm"):
            weight = modules.parameter("weight", inner)
            grouped = modules.shaped(y, (batch, seq, spec.groups, inner // spec.groups))
            normed = modules.shaped(graph.rms_norm(grouped, name="norm", origin=origin), (batch, seq, inner))
            y = modules.mul(normed, weight, "norm")
    return modules.linear(y, "out_proj", hidden, bias=spec.out_bias)


def _chunks(modules: Modules, x: Tensor, seq_axis: int, chunk: int) -> Tensor:
    """Return x with the axis of the sequence padded to whole chunks and cut into [chunks, chunk]."""
    seq = x.shape[seq_axis]
    n_chunks = _n_chunks(seq, chunk)
    x = _grow(modules, x, seq_axis, n_chunks * chunk - seq)
    shape = (*x.shape[:seq_axis], n_chunks, chunk, *x.shape[seq_axis + 1 :])
    return modules.shaped(x, shape)


def _unpad(modules: Modules, x: Tensor, axis: int, seq: DimLike) -> Tensor:
    return _grow(modules, x, axis, seq - x.shape[axis])


def _grow(modules: Modules, x: Tensor, axis: int, more: int | Fraction | Expr) -> Tensor:
    """Return x with places after its end along one axis, fewer if `more` is negative."""
    if more == 0:
        return x
    padding: list[DimLike] = [0] * (2 * len(x.shape))
    padding[len(x.shape) + axis] = _size(more)
    return modules.graph.op("pad", [x], {"padding": padding}, name="pad", origin=modules.origin)


def _n_chunks(seq: DimLike, chunk: int) -> int | Expr:
    return _size((seq + (chunk - 1)) // chunk)


def _size(value: int | Fraction | Expr) -> int | Expr:
    assert not isinstance(value, Fraction)
    return value


def _state_space(
    modules: Modules, spec: Mamba2, u: Tensor, step: Tensor, decay: Tensor, b: Tensor, c: Tensor
) -> Tensor:
    """Listing 1 of the paper: scores within chunks, the state each chunk adds, and what it reads of those before.

    u is [batch, seq, heads, width], step [batch, seq, heads], decay [heads], b and c [batch, seq, heads, state].
    """
    graph, origin = modules.graph, modules.origin

    def product(equation: str, left: Tensor, right: Tensor, name: str) -> Tensor:
        return graph.einsum(equation, left, right, name=name, origin=origin)

    def exp(x: Tensor) -> Tensor:
        return graph.op("exp", [x], name="decay", origin=origin)

    def sums(x: Tensor, axis: int) -> Tensor:
        return graph.op("cumsum", [x], {"axis": axis}, name="decay", origin=origin)

    batch, seq, heads, width = u.shape
    chunk, n_chunks = spec.chunk, _n_chunks(seq, spec.chunk)
    u = modules.mul(u, modules.shaped(step, (batch, seq, heads, 1)), "discretise")
    rates = modules.mul(step, decay, "discretise")
    u, rates, b, c = (_chunks(modules, each, 1, chunk) for each in (u, rates, b, c))
    rates = modules.turn(rates, (0, 3, 1, 2))  # [batch, heads, chunks, chunk]
    total = sums(rates, 3)
    plane = (batch, heads, n_chunks, chunk, chunk)
    spread = graph.op(
        "expand", [modules.shaped(rates, (*plane[:4], 1))], {"shape": list(plane)}, name="decay", origin=origin
    )
    within = modules.turn(exp(sums(spread, 3)), (0, 2, 3, 4, 1))
    scores = modules.mul(product("bclhn,bcshn->bclsh", c, b, "scores"), within, "scores")
    inside = product("bclsh,bcshp->bclhp", scores, u, "within")
    last = modules.cut(total, 3, chunk - 1, chunk)
    left = exp(graph.sub(last, total, name="decay", origin=origin))
    factor = modules.shaped(modules.turn(left, (0, 2, 3, 1)), (batch, n_chunks, chunk, heads, 1))
    states = product("bclhn,bclhp->bchpn", modules.mul(b, factor, "states"), u, "states")
    zero = modules.constant("state", (batch, 1, spec.heads, spec.head_dim, spec.state))
    states = graph.concat([zero, states], axis=1, name="states", origin=origin)
    n_states = _size(n_chunks + 1)
    ends = graph.op(
        "pad", [modules.shaped(last, (batch, heads, n_chunks))], {"padding": [0, 0, 1, 0, 0, 0]}, name="decay",
        origin=origin,
    )  # fmt: skip
    square = {"shape": [batch, heads, n_states, n_states]}
    ends = graph.op("expand", [modules.shaped(ends, (batch, heads, n_states, 1))], square, name="decay", origin=origin)
    between = modules.turn(exp(sums(ends, 2)), (0, 3, 2, 1))
    states = modules.cut(product("bzch,bzhpn->bchpn", between, states, "carry"), 1, 0, n_chunks)
    before = product("bclhn,bchpn->bclhp", c, states, "read")
    factor = modules.shaped(modules.turn(exp(total), (0, 2, 3, 1)), (batch, n_chunks, chunk, heads, 1))
    y = modules.add(inside, modules.mul(before, factor, "read"), "join")
    return _unpad(modules, modules.shaped(y, (batch, _size(n_chunks * chunk), heads, width)), 1, seq)


def _gated_delta(modules: Modules, spec: GatedDelta, x: Tensor, activation: Activation) -> Tensor:
    graph, origin = modules.graph, modules.origin
    batch, seq, hidden = x.shape
    assert isinstance(hidden, int)
    keys, values = spec.key_heads * spec.key_dim, spec.value_heads * spec.value_dim
    joint = modules.linear(x, "in_proj_qkvz", 2 * keys + 2 * values, bias=False)
    gates = modules.linear(x, "in_proj_ba", 2 * spec.value_heads, bias=False)
    mixed = modules.turn(modules.part(joint, 0, 2 * keys + values), (0, 2, 1))
    mixed = modules.turn(_conv(modules, mixed, spec.kernel, activation, bias=False), (0, 2, 1))
    z = modules.shaped(
        modules.part(joint, 2 * keys + values, 2 * keys + 2 * values), (batch, seq, spec.value_heads, spec.value_dim)
    )
    q, k = (
        modules.shaped(modules.part(mixed, start, start + keys), (batch, seq, spec.key_heads, spec.key_dim))
        for start in (0, keys)
    )
    v = modules.shaped(modules.part(mixed, 2 * keys, 2 * keys + values), (batch, seq, spec.value_heads, spec.value_dim))
    beta = modules.activate(modules.part(gates, 0, spec.value_heads), "sigmoid", "beta")
    step = modules.part(gates, spec.value_heads, 2 * spec.value_heads)
    step = _softplus(modules, modules.add(step, modules.parameter("dt_bias", spec.value_heads), "time_step"))
    decay = modules.mul(_decay(modules, spec.value_heads), step, "decay")
    repeats = spec.value_heads // spec.key_heads
    q, k = (modules.turn(modules.repeat(each, 2, repeats), (0, 2, 1, 3)) for each in (q, k))
    q, k = (_unit(modules, each) for each in (q, k))
    v, beta, decay = modules.turn(v, (0, 2, 1, 3)), modules.turn(beta, (0, 2, 1)), modules.turn(decay, (0, 2, 1))
    y = _delta_rule(modules, spec, modules.mul(q, modules.constant("scale"), "q"), k, v, beta, decay)
    y = modules.turn(y, (0, 2, 1, 3))
    with graph.scope("norm"):
        weight = modules.parameter("weight", spec.value_dim)
        y = graph.rms_norm(y, weight, name="norm", origin=origin)
        y = modules.mul(y, modules.activate(z, "silu", "act"), "gate")
    return modules.linear(modules.shaped(y, (batch, seq, values)), "out_proj", hidden, bias=False)


def _unit(modules: Modules, x: Tensor) -> Tensor:
    """Return x divided by its length along the last dim."""
    graph, origin = modules.graph, modules.origin
    length = graph.op("reduce_sum_square", [x], {"axes": [-1], "keepdims": True}, name="unit", origin=origin)
    inverse = graph.op("rsqrt", [length], name="unit", origin=origin)
    return modules.mul(x, inverse, "unit")


def _delta_rule(
    modules: Modules, spec: GatedDelta, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, decay: Tensor
) -> Tensor:
    """Several updates at once by the UT transform (arXiv 2412.06464, section 3.3), then chunk after chunk.

    q, k and v are [batch, heads, seq, width], beta and decay [batch, heads, seq].
    """
    graph, origin = modules.graph, modules.origin

    def product(left: Tensor, right: Tensor, name: str) -> Tensor:
        return graph.matmul(left, right, name=name, origin=origin)

    def exp(x: Tensor) -> Tensor:
        return graph.op("exp", [x], name="decay", origin=origin)

    def column(x: Tensor) -> Tensor:
        return modules.shaped(x, (*x.shape, 1))

    batch, heads, seq, _ = q.shape
    chunk, n_chunks = spec.chunk, _n_chunks(seq, spec.chunk)
    q, k, v, beta, decay = (_chunks(modules, each, 2, chunk) for each in (q, k, v, beta, decay))
    kb, vb = modules.mul(k, column(beta), "beta"), modules.mul(v, column(beta), "beta")
    total = graph.op("cumsum", [decay], {"axis": 3}, name="decay", origin=origin)
    rows = modules.shaped(total, (batch, heads, n_chunks, 1, chunk))
    pairs = exp(graph.sub(column(total), rows, name="decay", origin=origin))
    flat = modules.turn(k, (0, 1, 2, 4, 3))
    system = modules.mul(product(kb, flat, "system"), pairs, "system")
    scores = modules.mul(product(q, flat, "scores"), pairs, "scores")
    reading = modules.mul(kb, column(exp(total)), "reading")
    system = _inverse(modules, graph.op("neg", [system], name="system", origin=origin), chunk)
    new, known = product(system, vb, "new"), product(system, reading, "known")
    q = modules.mul(q, column(exp(total)), "q")
    last = modules.cut(total, 3, chunk - 1, chunk)
    k = modules.mul(k, column(exp(graph.sub(last, total, name="decay", origin=origin))), "k")
    kept = column(exp(last))
    body = graph.subgraph("chunk")
    inside = modules.within(body)

    def given(name: str, *shape: DimLike) -> Tensor:
        return body.input(name, (batch, heads, *shape), q.dtype, origin=origin)

    def inner_product(left: Tensor, right: Tensor, name: str) -> Tensor:
        return body.matmul(left, right, name=name, origin=origin)

    key, value = spec.key_dim, spec.value_dim
    state, fresh, seen = given("state", key, value), given("new", chunk, value), given("known", chunk, key)
    query, score = given("q", chunk, key), given("scores", chunk, chunk)
    keys, keep = given("k", chunk, key), given("keep", 1, 1)
    fresh = body.sub(fresh, inner_product(seen, state, "known"), name="new", origin=origin)
    out = inside.add(inner_product(query, state, "read"), inner_product(score, fresh, "within"), "join")
    write = inner_product(inside.turn(keys, (0, 1, 3, 2)), fresh, "write")
    body.output(inside.add(inside.mul(state, keep, "state"), write, "state"), out)
    zero = modules.constant("state", (batch, heads, key, value))
    cut = [new, known, q, scores, k, kept]
    _, y = graph.scan(body, [zero], cut, axis=2, out_axis=2, name="scan", origin=origin)
    return _unpad(modules, modules.shaped(y, (batch, heads, _size(n_chunks * chunk), value)), 2, seq)


def _inverse(modules: Modules, system: Tensor, chunk: int) -> Tensor:
    """Return (1 - system)^-1 of strictly lower triangular [..., chunk, chunk] by substitution, row after row."""
    graph, origin = modules.graph, modules.origin
    lead = system.shape[:3]
    index = dim("row", min=0)
    body = graph.subgraph("row")
    inside = modules.within(body)
    rows = body.input("system", system.shape, system.dtype, origin=origin)
    size = _size(index + 1)  # of the row that is done in this run; it and those above are parts of the system
    row, above = (inside.constant(name, (*lead, size, n)) for name, n in (("row", 1), ("above", size)))
    terms = body.reduce_sum(inside.mul(row, above, "substitute"), 3, name="substitute", origin=origin)
    inside.add(inside.shaped(row, (*lead, size)), terms, "substitute")
    body.output(rows)
    (solved,) = graph.loop(body, [system], times=chunk - 1, index=index, name="substitute", origin=origin)
    return modules.add(solved, modules.constant("one", (chunk, chunk)), "system")
