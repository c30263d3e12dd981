"""Rules for ONNX ops that make data from nothing but shapes and numbers: constants, ranges, random draws, tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from flopcore._core import OnnxTensor
from flopcore.expr import Expr, ceildiv, maximum

from .onnx_build import Builder, Result, Rule
from .onnx_shapes import MAX_ELEMENTS, integers, numbers
from .onnx_values import FLOATING, Node, Size, Value, dtype_name, literal_learned, whole
from .unsupported import NotCountable

__all__: list[str] = []


def _constant(b: Builder, node: Node) -> Result:
    attributes = node.attributes
    value = attributes.get("value")
    if isinstance(value, OnnxTensor):
        return b.literal(node, value, node.outputs[0])
    if "value_int" in attributes:
        return Value(node.outputs[0], "int64", (), elements=(node.integer("value_int"),))
    if "value_float" in attributes:
        single = Value(node.outputs[0], "float32", ())
        single.numbers = (node.number("value_float", 0.0),)
        return single
    numbers = node.integers("value_ints")
    if numbers is not None:
        elements = numbers if len(numbers) <= MAX_ELEMENTS else None
        return Value(node.outputs[0], "int64", (len(numbers),), elements=elements)
    floats = attributes.get("value_floats")
    if isinstance(floats, tuple):
        several = Value(node.outputs[0], "float32", (len(floats),), learned=literal_learned((len(floats),)))
        several.numbers = tuple(each for each in floats if isinstance(each, float))[:MAX_ELEMENTS]
        return several
    raise NotCountable("a Constant of text or of a sparse tensor")


def _constant_of_shape(b: Builder, node: Node) -> Result:
    shape = node.input(0)
    if shape.elements is None:
        raise NotCountable("a shape computed from data")
    fill = node.attributes.get("value")
    dtype = dtype_name(fill.dtype, "its value") if isinstance(fill, OnnxTensor) else "float32"
    # Files without payloads make their weights so: of a fixed shape, written in the file.
    sizes = integers(shape)
    learned = "never" if sizes is None or not dtype.startswith(FLOATING) else literal_learned(sizes)
    return Value(node.outputs[0], dtype, shape.elements, learned=learned)


def _eye_like(b: Builder, node: Node) -> Result:
    x = node.input(0)
    return b.emit(node, "eye", [], {"shape": list(x.shape), "dtype": _dtype(node, x.dtype)})


def _dtype(node: Node, default: str) -> str:
    """Return the dtype that the attribute of this name asks for."""
    code = node.integer("dtype", 0)
    return dtype_name(code, "its dtype") if code else default


def _steps(first: Size | float | None, last: Size | float | None, by: Size | float | None) -> Size | None:
    """Return how many steps lead from first to last, where that is known."""
    if isinstance(by, Expr) or not by or first is None or last is None:
        return None
    if isinstance(first, Expr) or isinstance(last, Expr):
        if isinstance(by, float) or isinstance(first, float) or isinstance(last, float):
            return None
        return whole(maximum(ceildiv(last - first, by) if by > 0 else ceildiv(first - last, -by), 0))
    return max(math.ceil((Fraction(last) - Fraction(first)) / Fraction(by)), 0)


def _range(b: Builder, node: Node) -> Result:
    start, limit, step = (node.input(i) for i in range(3))
    size = _steps(*(numbers(value) for value in (start, limit, step)))
    if size is None:
        size = b.size(None, f"{node.label()}_dim0", least=0)
    return b.emit(node, "arange", [], {"size": size, "dtype": start.dtype})


def _random(op: str) -> Rule:
    def rule(b: Builder, node: Node) -> Result:
        return b.emit(node, op, [], {"shape": list(node.integers("shape") or ()), "dtype": _dtype(node, "float32")})

    return rule


def _random_like(op: str) -> Rule:
    def rule(b: Builder, node: Node) -> Result:
        x = node.input(0)
        return b.emit(node, op, [], {"shape": list(x.shape), "dtype": _dtype(node, x.dtype)})

    return rule


def _draw(b: Builder, node: Node, drawn: Value, default: str) -> Result:
    dtype = _dtype(node, default)
    return drawn if drawn.dtype == dtype else b.emit(node, "cast", [drawn], {"dtype": dtype})


def _bernoulli(b: Builder, node: Node) -> Result:
    x = node.input(0)
    return _draw(b, node, b.emit(node, "bernoulli", [x]), x.dtype)


def _multinomial(b: Builder, node: Node) -> Result:
    drawn = b.emit(node, "multinomial", [node.input(0)], {"size": node.integer("sample_size", 1)})
    return _draw(b, node, drawn, "int32")


def _signal_window(n_cosines: int) -> Rule:
    """A sum of cosines of the angle 2 pi n / size: angle by a product and a division, then a0 - a1 cos + a2 cos 2."""

    def rule(b: Builder, node: Node) -> Result:
        given = node.input(0).elements
        size = given[0] if given else b.size(None, f"{node.label()}_dim0")
        dtype = dtype_name(node.integer("output_datatype", 1), "its output")
        number = Value("number", dtype, ())
        steps = b.emit(node, "arange", [], {"size": size, "dtype": dtype})
        angle = b.emit(node, "div", [b.emit(node, "mul", [steps, number]), number])
        total: Value = number
        for i in range(n_cosines):
            turned = angle if i == 0 else b.emit(node, "mul", [angle, number])
            wave = b.emit(node, "mul", [b.emit(node, "cos", [turned]), number])
            total = b.emit(node, "add" if i else "sub", [total, wave])
        return total

    return rule


def _mel_weights(b: Builder, node: Node) -> Result:
    """Triangles on a grid of frequencies and mel bins: two slopes, the lower of them, and 0 where that is negative."""
    bins, length = node.input(0).elements, node.input(1).elements
    n_bins = bins[0] if bins else b.size(None, f"{node.label()}_dim1")
    n_lines = whole(length[0] // 2 + 1) if length else b.size(None, f"{node.label()}_dim0")
    dtype = dtype_name(node.integer("output_datatype", 1), "its output")
    lines = b.emit(node, "arange", [], {"size": n_lines, "dtype": dtype})
    column = b.emit(node, "reshape", [lines], {"shape": [n_lines, 1]})
    slopes = []
    for _ in range(2):
        distance = b.emit(node, "sub", [column, Value("edge", dtype, (n_bins,))])
        slopes.append(b.emit(node, "div", [distance, Value("width", dtype, (n_bins,))]))
    return b.emit(node, "relu", [b.emit(node, "minimum", slopes)])


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "Bernoulli": _bernoulli,
        "BlackmanWindow": _signal_window(2),
        "Constant": _constant,
        "ConstantOfShape": _constant_of_shape,
        "EyeLike": _eye_like,
        "HammingWindow": _signal_window(1),
        "HannWindow": _signal_window(1),
        "MelWeightMatrix": _mel_weights,
        "Multinomial": _multinomial,
        "RandomNormal": _random("random_normal"),
        "RandomNormalLike": _random_like("random_normal"),
        "RandomUniform": _random("random_uniform"),
        "RandomUniformLike": _random_like("random_uniform"),
        "Range": _range,
    }
)
