"""Recurrent layers of PyTorch: one op for each layer and direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from flopcore.graph import Tensor

from .torch_call import Call, Handler
from .unsupported import NotCountable

__all__: list[str] = []

# Which op of ours, and its attributes.
_KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("lstm", {}),
    "gru": ("gru", {}),
    "rnn_tanh": ("rnn", {"activation": "tanh"}),
    "rnn_relu": ("rnn", {"activation": "relu"}),
}


def _one(
    call: Call, kind: str, x: Tensor, weights: Sequence[Tensor | None], state: Sequence[Tensor | None]
) -> tuple[Tensor, ...]:
    """One layer in one direction over [L, B, I]; weights are of the input, of the state, two biases, a projection."""
    op, attrs = _KINDS[kind]
    of_input, of_state, *rest = weights
    biases = [each for each in rest[:2] if each is not None]

    def alone(weight: Tensor | None) -> Tensor | None:
        return None if weight is None else call.reshape(weight, (1, *weight.shape))

    bias = call.op("concat", biases, axis=0) if len(biases) > 1 else biases[0] if biases else None
    inputs = [x, alone(of_input), alone(of_state), alone(bias), *state]
    if len(rest) > 2 and rest[2] is not None:
        inputs += [None] * (6 - len(inputs))
        inputs.append(alone(rest[2]))
    return call.ops(op, inputs, **attrs)


def _layers(kind: str) -> Handler:
    """Layers one after the other, each in one direction or both; of a packed sequence the steps that it has."""

    def handle(call: Call) -> Any:
        packed = "batch_sizes" in call.schema
        x = call.args[0]
        state = call.args[2] if packed else call.args[1]
        params, has_biases, n_layers, dropout, train, both = (call.args[2:] if not packed else call.args[3:])[:6]
        batch_first = not packed and bool(call.args[8])
        if packed:
            x = call.reshape(x, (x.shape[0], 1, x.shape[1]))
        elif batch_first:
            x = call.op("transpose", [x], permutation=[1, 0, 2])
        directions, firsts = 2 if both else 1, state if isinstance(state, list) else [state]
        starts = [[] if packed else _apart(call, each) for each in firsts]
        per_step = 2 + 2 * bool(has_biases) + (len(params) // (n_layers * directions) - 2 - 2 * bool(has_biases))
        lasts: list[list[Tensor]] = [[] for _ in firsts]
        for layer in range(n_layers):
            results = []
            for direction in range(directions):
                place = layer * directions + direction
                weights = list(params[place * per_step : (place + 1) * per_step])
                if not has_biases:
                    weights[2:2] = [None, None]
                y, *ends = _one(call, kind, x, weights, [each[place] for each in starts if each])
                results.append(y)
                for found, end in zip(lasts, ends, strict=True):
                    found.append(end)
            x = results[0] if directions == 1 else call.op("concat", results, axis=2)
            if train and dropout and layer + 1 < n_layers:
                x = call.op("dropout", [x], mode="train", ratio=Fraction(str(dropout)))
        if packed:
            x = call.reshape(x, (x.shape[0], x.shape[2]))
            rest = [call.constant(*each) for each in call.outputs[1:] if each is not None]
        else:
            rest = [each[0] if len(each) == 1 else call.op("concat", each, axis=0) for each in lasts]
        return [call.op("transpose", [x], permutation=[1, 0, 2]) if batch_first else x, *rest]

    return handle


def _apart(call: Call, state: Tensor) -> list[Tensor]:
    """The states that each layer and direction begins with."""
    parts = call.graph.op_outputs("unbind", [state], {"axis": 0}, name=call.label, origin=call.origin)
    return [call.reshape(part, (1, *part.shape)) for part in parts]


def _cell(kind: str) -> Handler:
    """One step."""

    def handle(call: Call) -> Any:
        x, state, *weights = call.args[:6]
        firsts = state if isinstance(state, list) else [state]
        starts = [call.reshape(each, (1, *each.shape)) for each in firsts]
        _, *ends = _one(call, kind, call.reshape(x, (1, *x.shape)), weights, starts)
        found = [call.reshape(each, each.shape[1:]) for each in ends]
        return found if kind == "lstm" else found[0]

    return handle


def _fused_layer(call: Call) -> Any:
    """The kernel that a CPU runs for a layer of `torch.nn.LSTM` in one direction; it gives a workspace too."""
    x, of_input, of_state, bias_input, bias_state, hidden, cell = call.args[:7]
    if not call.get("has_biases", True):
        bias_input = bias_state = None
    if call.get("mode") != 2:
        raise NotCountable("a kernel of another mode than LSTM")
    starts = [call.reshape(each, (1, *each.shape[-2:])) for each in (hidden, cell)]
    y, *ends = _one(call, "lstm", x, [of_input, of_state, bias_input, bias_state], starts)
    given = [each[0] for each in call.outputs[1:3] if each is not None]
    rest = [None if each is None else call.constant(*each) for each in call.outputs[3:]]
    return [y, *(call.reshape(end, shape) for end, shape in zip(ends, given, strict=True)), *rest]


RECURRENT: Mapping[str, Handler] = {
    **{kind: _layers(kind) for kind in _KINDS},
    **{f"{kind}_cell": _cell(kind) for kind in _KINDS},
    "mkldnn_rnn_layer": _fused_layer,
}
