"""Rules for ONNX layers that carry a state over time: LSTM, GRU, RNN, linear attention, a causal convolution.

Each is written out: the products with the input at once, then a loop over time with the products with the state. Padded
steps (sequence_lens) are counted as steps, and the gates' two biases as one, their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from flopcore.errors import DataError
from flopcore.graph import AttrValue

from .onnx_build import Builder, Loop, Result, Rule
from .onnx_values import Node, Size, Value, whole
from .unsupported import NotCountable

__all__: list[str] = []

# Activations by their names in ONNX, as ops of ours one after the other; "mul" and "add" are by a number.
_ACTIVATIONS: Mapping[str, Sequence[str]] = {
    "affine": ("mul", "add"),
    "elu": ("elu",),
    "hardsigmoid": ("hard_sigmoid",),
    "leakyrelu": ("leaky_relu",),
    "relu": ("relu",),
    "scaledtanh": ("mul", "tanh", "mul"),
    "sigmoid": ("sigmoid",),
    "softplus": ("softplus",),
    "softsign": ("softsign",),
    "tanh": ("tanh",),
    "thresholdedrelu": ("thresholded_relu",),
}


@dataclass(frozen=True, slots=True)
class _Cell:
    """What an LSTM, GRU or RNN is made of, all directions together."""

    b: Builder
    node: Node
    activations: tuple[Sequence[str], ...]
    clipped: bool

    def op(self, op: str, *inputs: Value, **attrs: AttrValue) -> Value:
        return self.b.emit(self.node, op, inputs, attrs)

    def parts(self, x: Value, n: int) -> list[Value]:
        """Return a tensor cut into n equal parts along its last dim."""
        if n == 1:
            return [x]
        size = whole(x.shape[-1] // n)
        return self.b.emit_all(self.node, "split", [x], {"axis": x.rank - 1, "sizes": [size] * n})

    def active(self, x: Value, which: int) -> Value:
        """Return a gate: its activation of what comes in, clipped where the node says so."""
        if self.clipped:
            x = self.op("clamp", x)
        for op in self.activations[which]:
            x = self.op(op, x, Value("number", x.dtype, ())) if op in ("add", "mul") else self.op(op, x)
        return x


_Step = Callable[[_Cell, Value, Sequence[Value], Sequence[Value]], list[Value]]


def _activations(node: Node, defaults: Sequence[str], n_directions: int) -> tuple[Sequence[str], ...]:
    listed = node.attributes.get("activations")
    given = listed if isinstance(listed, tuple) else ()
    names = [each.decode("utf-8", "replace") for each in given if isinstance(each, bytes)]
    names = names or [*defaults] * n_directions
    if len(names) != len(defaults) * n_directions:
        raise DataError(f"{node.describe()}: {len(names)} activations, needs {len(defaults)} per direction")
    chains = [_ACTIVATIONS.get(name.lower()) for name in names]
    found = [chain for chain in chains if chain is not None]
    if len(found) != len(names):
        raise DataError(f"{node.describe()}: activations must be among {', '.join(_ACTIVATIONS)}, are {names}")
    first = tuple(found[: len(defaults)])
    if n_directions == 2 and tuple(found[len(defaults) :]) != first:
        raise NotCountable("directions with different activations")
    return first


def _recurrent(defaults: Sequence[str], n_states: int, step: _Step) -> Rule:
    def rule(b: Builder, node: Node) -> Sequence[Result]:
        x, weight, recurrent, bias = node.input(0), node.input(1), node.input(2), node.optional(3)
        if x.rank != 3 or weight.rank != 3 or recurrent.rank != 3:
            raise DataError(f"{node.describe()}: X, W and R must have 3 dims")
        batch_first = node.integer("layout", 0) != 0
        n, rows, n_in = weight.shape
        if n not in (1, 2):
            raise DataError(f"{node.describe()}: W is for {n} directions, allowed: 1, 2")
        size = recurrent.shape[2]
        cell = _Cell(b, node, _activations(node, defaults, 1 if n == 1 else 2), node.attributes.get("clip") is not None)
        if batch_first:
            x = cell.op("transpose", x, permutation=[1, 0, 2])
        steps, batch = x.shape[:2]
        # All products with the input: [time, batch, directions * gates].
        table = cell.op("reshape", b.weight(node, weight), shape=[whole(n * rows), n_in])
        inputs = cell.op("linear", x, table)
        if bias is not None:
            pairs = cell.op("reshape", b.weight(node, bias), shape=[n, 2, rows])
            total = cell.op("reduce_sum", pairs, axes=[1])
            inputs = cell.op("add", inputs, cell.op("reshape", total, shape=[whole(n * rows)]))
        inputs = cell.op("reshape", inputs, shape=[steps, batch, n, rows])
        inputs = (
            cell.op("reshape", inputs, shape=[steps, 1, batch, rows])
            if n == 1
            else cell.op("transpose", inputs, permutation=[0, 2, 1, 3])
        )
        turned = cell.op("transpose", b.weight(node, recurrent), permutation=[0, 2, 1])
        frame = b.new_block(node, "step")
        states = [_initial(cell, node.optional(5 + i), (n, batch, size), batch_first) for i in range(n_states)]
        with b.inside(frame):
            own = [b.state(f"state{i}", x.dtype, (n, batch, size)) for i in range(n_states)]
            now = b.state("inputs", x.dtype, (n, batch, rows))
            made = step(cell, now, own, [turned])
        b.finish(frame, [*made, made[0]])
        results = b.add_loop(node, Loop(frame, steps, None, n_states, (0,), (0,)), [*states, inputs])
        *last, stacked = results
        if batch_first:
            stacked = cell.op("transpose", stacked, permutation=[2, 0, 1, 3])
            last = [cell.op("transpose", each, permutation=[1, 0, 2]) for each in last]
        return [stacked, *last]

    return rule


def _initial(cell: _Cell, given: Value | None, shape: tuple[Size, ...], batch_first: bool) -> Value:
    if given is None:
        return Value("zeros", cell.node.input(0).dtype, shape)
    return cell.op("transpose", given, permutation=[1, 0, 2]) if batch_first else given


def _lstm_step(cell: _Cell, x: Value, states: Sequence[Value], weights: Sequence[Value]) -> list[Value]:
    h, c = states
    i, o, f, g = cell.parts(cell.op("add", x, cell.op("matmul", h, weights[0])), 4)
    peeps: list[Value] = []
    if cell.node.optional(7) is not None:
        places = cell.node.input(7)
        wide = cell.op("reshape", cell.b.weight(cell.node, places), shape=[places.shape[0], 1, places.shape[1]])
        peeps = cell.parts(wide, 3)
        i, f = (cell.op("add", gate, cell.op("mul", peeps[at], c)) for gate, at in ((i, 0), (f, 2)))
    i = cell.active(i, 0)
    coupled = cell.node.integer("input_forget", 0) != 0
    f = cell.op("sub", Value("one", x.dtype, ()), i) if coupled else cell.active(f, 0)
    c = cell.op("add", cell.op("mul", f, c), cell.op("mul", i, cell.active(g, 1)))
    if peeps:
        o = cell.op("add", o, cell.op("mul", peeps[1], c))
    return [cell.op("mul", cell.active(o, 0), cell.active(c, 2)), c]


def _gru_step(cell: _Cell, x: Value, states: Sequence[Value], weights: Sequence[Value]) -> list[Value]:
    (h,) = states
    size = h.shape[2]
    after = cell.node.integer("linear_before_reset", 0) != 0
    new_x: Value
    if after:
        z_x, r_x, new_x = cell.parts(x, 3)
        z_h, r_h, new_h = cell.parts(cell.op("matmul", h, weights[0]), 3)
        z, r = cell.active(cell.op("add", z_x, z_h), 0), cell.active(cell.op("add", r_x, r_h), 0)
        new_h = cell.op("mul", r, new_h)
    else:
        split: dict[str, AttrValue] = {"axis": 2, "sizes": [whole(2 * size), size]}
        gates_w, new_w = cell.b.emit_all(cell.node, "split", [weights[0]], split)
        gates_x, new_x = cell.b.emit_all(cell.node, "split", [x], split)
        z, r = cell.parts(cell.active(cell.op("add", gates_x, cell.op("matmul", h, gates_w)), 0), 2)
        new_h = cell.op("matmul", cell.op("mul", r, h), new_w)
    new = cell.active(cell.op("add", new_x, new_h), 1)
    kept = cell.op("sub", Value("one", x.dtype, ()), z)
    return [cell.op("add", cell.op("mul", kept, new), cell.op("mul", z, h))]


def _rnn_step(cell: _Cell, x: Value, states: Sequence[Value], weights: Sequence[Value]) -> list[Value]:
    return [cell.active(cell.op("add", x, cell.op("matmul", states[0], weights[0])), 0)]


# ------------------------------------------------------------------------------------------ linear attention
def _linear_attention(b: Builder, node: Node) -> Sequence[Result]:
    """The recurrence, step by step, as ONNX defines it; chunked algorithms do other work for the same result."""
    rule = node.text("update_rule", "gated_delta")
    if rule not in ("linear", "gated", "delta", "gated_delta"):
        raise DataError(f"{node.describe()}: update_rule {rule!r} is not known")
    query, key, value = (node.input(i) for i in range(3))
    decay, beta = node.optional(4), node.optional(5)
    n_q, n_kv = node.integer("q_num_heads"), node.integer("kv_num_heads")
    if n_kv < 1 or n_q % n_kv:
        raise DataError(f"{node.describe()}: {n_q} query heads do not divide into {n_kv} groups")
    batch, steps, width = query.shape
    d_k, d_v = whole(width // n_q), whole(value.shape[2] // n_kv)
    cell = _Cell(b, node, (), False)
    gated, delta = rule in ("gated", "gated_delta"), rule in ("delta", "gated_delta")
    if (gated and decay is None) or (delta and beta is None):
        raise DataError(f"{node.describe()}: update_rule {rule!r} needs decay or beta, which is missing")
    past = node.optional(3)
    state = past if past is not None else Value("zeros", "float32", (batch, n_kv, d_k, d_v))
    if state.dtype != query.dtype:
        state = cell.op("cast", state, dtype=query.dtype)
    sequences = [query, key, value]
    sequences += [each for each, used in ((decay, gated), (beta, delta)) if used and each is not None]
    frame = b.new_block(node, "step")
    with b.inside(frame):
        memory = b.state("state", query.dtype, state.shape)
        q, k, v, *more = (b.state(x.name, x.dtype, (x.shape[0], x.shape[2])) for x in sequences)
        column = cell.op("reshape", k, shape=[batch, n_kv, d_k, 1])
        row = cell.op("reshape", v, shape=[batch, n_kv, 1, d_v])
        if gated:
            per_head = cell.op("reshape", more.pop(0), shape=[batch, n_kv, -1, 1])
            memory = cell.op("mul", memory, cell.op("exp", per_head))
        if delta:
            flat = cell.op("reshape", k, shape=[batch, n_kv, 1, d_k])
            missing = cell.op("sub", row, cell.op("matmul", flat, memory))
            row = cell.op("mul", missing, cell.op("reshape", more.pop(0), shape=[batch, -1, 1, 1]))
        memory = cell.op("add", memory, cell.op("matmul", column, row))
        heads = cell.op("reshape", q, shape=[batch, n_kv, n_q // n_kv, d_k])
        read = cell.op("mul", cell.op("matmul", heads, memory), Value("scale", query.dtype, ()))
        out = cell.op("reshape", read, shape=[batch, whole(n_q * d_v)])
    b.finish(frame, [memory, out])
    loop = Loop(frame, steps, None, 1, (1,) * len(sequences), (1,))
    last, stacked = b.add_loop(node, loop, [state, *sequences])
    return [stacked, last]


def _causal_conv(b: Builder, node: Node) -> Sequence[Result]:
    x, weight, bias, past = node.input(0), node.input(1), node.optional(2), node.optional(3)
    if x.rank != 3 or weight.rank != 3 or not isinstance(weight.shape[0], int):
        raise NotCountable("an input or weight that is not [N, C, length] with a known C")
    cell = _Cell(b, node, (), False)
    tail = whole(weight.shape[2] - 1)
    before = past if past is not None else Value("zeros", x.dtype, (x.shape[0], x.shape[1], tail))
    whole_x = b.emit(node, "concat", [before, x], {"axis": 2})
    inputs = [whole_x, b.weight(node, weight), None if bias is None else b.weight(node, bias)]
    y = b.emit(node, "conv", inputs, {"groups": weight.shape[0]})
    activation = node.text("activation", "none").lower()
    if activation in ("silu", "swish"):
        y = cell.op("silu", y)
    elif activation not in ("", "none"):
        raise DataError(f"{node.describe()}: activation {activation!r} is not known")
    if len(node.outputs) < 2 or not node.outputs[1]:
        return [y]
    length = x.shape[2]
    kept: dict[str, AttrValue] = {"axis": 2, "start": length, "stop": whole(length + tail), "step": 1}
    return [y, b.emit(node, "slice", [whole_x], kept)]


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "CausalConvWithState": _causal_conv,
        "GRU": _recurrent(("Sigmoid", "Tanh"), 1, _gru_step),
        "LSTM": _recurrent(("Sigmoid", "Tanh", "Tanh"), 2, _lstm_step),
        "LinearAttention": _linear_attention,
        "RNN": _recurrent(("Tanh",), 1, _rnn_step),
    }
)
