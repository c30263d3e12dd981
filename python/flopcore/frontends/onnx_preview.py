"""Rules for the ops of the preview domains that have a definition: attention with bodies, steps of optimisers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from flopcore._core import OnnxGraph
from flopcore.errors import DataError

from .onnx_build import Builder, Result, Rule
from .onnx_values import DTYPES, Node, Value

__all__: list[str] = []


def _flex_attention(b: Builder, node: Node) -> Result:
    """Attention, and what its bodies do to all scores and to all that the softmax makes of them."""
    query, key, value = (node.input(i) for i in range(3))
    result = b.emit(node, "attention", [query, key, value], {"causal": "none"})
    usual = "float64" if query.dtype == "float64" else "float32"
    precision = node.integer("softmax_precision", 0)
    dtype = DTYPES.get(precision, usual) if precision else usual
    for name in ("score_mod", "prob_mod"):
        body = node.attributes.get(name)
        if isinstance(body, OnnxGraph):
            b.written_out(node, body, [Value(name, dtype, (*query.shape[:3], key.shape[2]))])
    return result


class _Step:
    """Element by element, one step of an optimiser for one parameter."""

    def __init__(self, b: Builder, node: Node, like: Value) -> None:
        self._b = b
        self._node = node
        self.rate = Value("rate", like.dtype, ())

    def __call__(self, op: str, *inputs: Value) -> Value:
        return self._b.emit(self._node, op, list(inputs))

    def regularised(self, x: Value, gradient: Value) -> Value:
        """Return gradient + norm_coefficient x."""
        return self("add", self("mul", x, self.rate), gradient)

    def mean(self, old: Value, new: Value) -> Value:
        """Return a old + b new."""
        return self("add", self("mul", old, self.rate), self("mul", new, self.rate))

    def moved(self, x: Value, direction: Value) -> Value:
        """Return x - rate direction."""
        return self("sub", x, self("mul", direction, self.rate))


def _columns(node: Node, n_state: int) -> list[list[Value]]:
    """Return what there is of each parameter: itself, its gradient, and so many running values."""
    tensors = node.tensors()[2:]
    per = n_state + 2
    if not tensors or len(tensors) % per:
        raise DataError(f"{node.describe()}: {len(tensors)} tensors after R and T, expected {per} for each parameter")
    n = len(tensors) // per
    return [tensors[i::n] for i in range(n)]


def _turned(results: Sequence[Sequence[Value]]) -> list[Result]:
    return [each for column in zip(*results, strict=True) for each in column]


def _adagrad(b: Builder, node: Node) -> Sequence[Result]:
    results = []
    for x, gradient, squares in _columns(node, 1):
        step = _Step(b, node, x)
        direction = step.regularised(x, gradient)
        squares = step("add", squares, step("mul", direction, direction))
        scale = step("add", step("sqrt", squares), step.rate)
        results.append([step.moved(x, step("div", direction, scale)), squares])
    return _turned(results)


def _adam(b: Builder, node: Node) -> Sequence[Result]:
    results = []
    for x, gradient, mean, squares in _columns(node, 2):
        step = _Step(b, node, x)
        direction = step.regularised(x, gradient)
        mean = step.mean(mean, direction)
        squares = step.mean(squares, step("mul", direction, direction))
        scale = step("add", step("sqrt", squares), step.rate)
        moved = step.moved(x, step("div", mean, scale))
        results.append([step("mul", moved, step.rate), mean, squares])  # norm_coefficient_post
    return _turned(results)


def _momentum(b: Builder, node: Node) -> Sequence[Result]:
    mode, results = node.text("mode", "standard"), []
    if mode not in ("standard", "nesterov"):
        raise DataError(f"{node.describe()}: mode must be standard or nesterov, is {mode!r}")
    for x, gradient, speed in _columns(node, 1):
        step = _Step(b, node, x)
        direction = step.regularised(x, gradient)
        speed = step.mean(speed, direction)
        ahead = step("add", direction, step("mul", speed, step.rate)) if mode == "nesterov" else speed
        results.append([step.moved(x, ahead), speed])
    return _turned(results)


ATTENTION: Mapping[str, Rule] = MappingProxyType({"FlexAttention": _flex_attention})
TRAINING: Mapping[str, Rule] = MappingProxyType({"Adagrad": _adagrad, "Adam": _adam, "Momentum": _momentum})
