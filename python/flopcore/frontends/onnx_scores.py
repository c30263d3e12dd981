"""What the models of ai.onnx.ml share: a matrix of features comes in, scores and labels go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flopcore.errors import DataError

from .onnx_build import Builder
from .onnx_values import Node, Value

__all__: list[str] = []

_POST: Mapping[str, Sequence[str]] = {
    "NONE": (),
    "LOGISTIC": ("sigmoid",),
    "PROBIT": ("erfinv",),
    "SOFTMAX": ("softmax",),
    "SOFTMAX_ZERO": ("softmax",),
}


def attribute_length(node: Node, name: str) -> int:
    """Return how many numbers an attribute lists."""
    listed = node.attributes.get(name)
    return len(listed) if isinstance(listed, tuple) else 0


def single(b: Builder, node: Node) -> Value:
    """Return the input as float32, which most of these ops compute in."""
    x = node.input(0)
    return x if x.dtype == "float32" else b.emit(node, "cast", [x], {"dtype": "float32"})


def matrix(b: Builder, node: Node, *, double: bool = False) -> Value:
    """Return the input as a float32 matrix, or a float64 one if it may be: one dim is one row."""
    x = node.input(0) if double and node.input(0).dtype == "float64" else single(b, node)
    if x.rank not in (1, 2):
        raise DataError(f"{node.describe()}: input must have 1 or 2 dims, has {x.rank}")
    return x if x.rank == 2 else b.emit(node, "reshape", [x], {"shape": [1, x.shape[0]]})


def post_transformed(b: Builder, node: Node, scores: Value, word: str | None = None) -> Value:
    """Return scores after the transform that a word names, that of the attribute if there is none."""
    word = node.text("post_transform", "NONE") if word is None else word
    if word not in _POST:
        raise DataError(f"{node.describe()}: post_transform must be one of {', '.join(_POST)}, is {word!r}")
    for op in _POST[word]:
        scores = b.emit(node, op, [scores])
    return scores


def two_classes(b: Builder, node: Node, scores: Value, n_classes: int) -> Value:
    """Return scores of all classes: one score tells two, the other being its negative."""
    if scores.shape[1] != 1 or n_classes != 2:
        return scores
    return b.emit(node, "concat", [b.emit(node, "neg", [scores]), scores], {"axis": 1})


def labels(b: Builder, node: Node, scores: Value) -> Value:
    """Return the class of the highest score."""
    if attribute_length(node, "classlabels_strings"):
        return Value(node.outputs[0], "", scores.shape[:1], kind="text")
    return b.emit(node, "argmax", [scores], {"axes": [1], "keepdims": False})
