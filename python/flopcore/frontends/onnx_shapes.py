"""Small integer tensors that ONNX files compute shapes with: their values are followed, symbols included.

A rule takes a node and returns the elements and shape of its output, or None where they are not known. Such nodes work
on at most 64 integers, so they are left out of the graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from flopcore._core import OnnxTensor
from flopcore.errors import DataError
from flopcore.expr import maximum, minimum

from .onnx_values import DTYPES, FLOATING, Node, Size, Value, whole

__all__: list[str] = []

MAX_ELEMENTS = 64
Elements: TypeAlias = tuple[tuple[Size, ...], tuple[Size, ...]]  # values in row-major order, shape
_Rule: TypeAlias = Callable[[Node], Elements | None]


def _known(node: Node) -> list[Value] | None:
    """Return the inputs if all are given and known, by following them: stored floats alone are data, not shapes."""
    values = [value for value in node.inputs if value is not None and value.kind == "tensor"]
    if len(values) != len(node.inputs) or all(value.elements is None for value in values):
        return None
    return values if all(_held(value) is not None for value in values) else None


def _held(value: Value) -> tuple[Size, ...] | None:
    """Return the elements of a value, those of stored floats too where they are whole numbers."""
    if value.elements is not None or value.numbers is None:
        return value.elements
    if len(value.numbers) != product(value.shape) or not all(number.is_integer() for number in value.numbers):
        return None
    return tuple(int(number) for number in value.numbers)


def _elements(value: Value) -> tuple[Size, ...]:
    return _held(value) or ()


def _array(value: Value) -> NDArray[np.object_] | None:
    """Return the elements of a value in its shape."""
    held, sizes = _held(value), [size for size in value.shape if isinstance(size, int)]
    if held is None or len(sizes) != value.rank or math.prod(sizes) != len(held):
        return None
    flat = np.empty(len(held), object)
    flat[:] = held
    return flat.reshape(sizes)


def _from_array(array: NDArray[np.object_]) -> Elements:
    return tuple(array.ravel().tolist()), array.shape


def integers(value: Value | None) -> tuple[int, ...] | None:
    """Return the elements of a value if all are plain integers."""
    if value is None or value.elements is None:
        return None
    plain = tuple(element for element in value.elements if isinstance(element, int))
    return plain if len(plain) == len(value.elements) else None


def numbers(value: Value) -> Size | float | None:
    """Return the one number that a value holds, where it is known."""
    if value.elements is not None:
        return value.elements[0] if len(value.elements) == 1 else None
    return value.numbers[0] if value.numbers is not None and len(value.numbers) == 1 else None


def span(node: Node, size: int, start: int, stop: int, step: int) -> range:
    """Return the indices that ONNX Slice takes of one axis."""
    if step == 0:
        raise DataError(f"{node.describe()}: a step of 0")
    return range(*slice(start, stop, step).indices(size))


def _shape(node: Node) -> Elements | None:
    shape = node.input(0).shape
    end = node.attributes.get("end")
    stop = end if isinstance(end, int) else len(shape)
    picked = shape[slice(node.integer("start", 0), stop)]
    return picked, (len(picked),)


def _size(node: Node) -> Elements | None:
    return (product(node.input(0).shape),), ()


def product(sizes: Sequence[Size]) -> Size:
    """Return the product of sizes."""
    result: Size = 1
    for size in sizes:
        result = whole(result * size)
    return result


def _same(node: Node) -> Elements | None:
    value = node.input(0)
    return (value.elements, value.shape) if value.elements is not None else None


def _cast(node: Node) -> Elements | None:
    known = _same(node)
    target = DTYPES.get(node.integer("to"), "")
    if known is None or target in ("int64", "int32"):
        return known
    if target == "bool":
        values = integers(node.input(0))
        return None if values is None else (tuple(int(value != 0) for value in values), known[1])
    return known if target in ("float32", "float64") else None


def _truth(compute: Callable[[int, int], int]) -> _Rule:
    return _binary(_plain(compute))


def _unary(compute: Callable[[Size], Size | None]) -> _Rule:
    def rule(node: Node) -> Elements | None:
        known = _same(node)
        if known is None:
            return None
        values = [compute(value) for value in known[0]]
        found = tuple(value for value in values if value is not None)
        return (found, known[1]) if len(found) == len(values) else None

    return rule


def _reduce(compute: Callable[[Sequence[Size]], Size | None]) -> _Rule:
    def rule(node: Node) -> Elements | None:
        value, axes = node.input(0), axes_of(node)
        if value.elements is None or value.rank != 1 or (axes is not None and axes not in ((0,), (-1,))):
            return None
        if axes is None and node.optional(1) is not None:
            return None
        result = compute(value.elements) if value.elements else None
        return None if result is None else ((result,), (1,) if node.integer("keepdims", 1) else ())

    return rule


def _plain_of(compute: Callable[[Sequence[int]], int]) -> Callable[[Sequence[Size]], Size | None]:
    def rule(values: Sequence[Size]) -> Size | None:
        plain = [value for value in values if isinstance(value, int)]
        return compute(plain) if len(plain) == len(values) else None

    return rule


def _sum(values: Sequence[Size]) -> Size:
    total: Size = 0
    for value in values:
        total = whole(total + value)
    return total


def _expand(node: Node) -> Elements | None:
    value, shape = node.input(0), integers(node.optional(1))
    if value.elements is None or shape is None or len(value.elements) != 1 or value.rank > 1 or len(shape) != 1:
        return None
    return (value.elements * shape[0], shape) if 0 < shape[0] <= MAX_ELEMENTS else None


def _tile(node: Node) -> Elements | None:
    value, repeats = node.input(0), integers(node.optional(1))
    if value.elements is None or value.rank != 1 or repeats is None or len(repeats) != 1:
        return None
    count = repeats[0]
    if not 0 <= count * len(value.elements) <= MAX_ELEMENTS:
        return None
    return value.elements * count, (count * len(value.elements),)


def _gather(node: Node) -> Elements | None:
    known = _known(node)
    data = _array(known[0]) if known is not None else None
    indices = integers(node.input(1))
    if data is None or indices is None or data.ndim == 0:
        return None
    axis = node.axis(node.integer("axis", 0), data.ndim)
    for index in indices:
        if not -data.shape[axis] <= index < data.shape[axis]:
            raise DataError(f"{node.describe()}: index {index} is out of range for {data.shape[axis]} elements")
    where = np.array(indices, np.int64).reshape([size for size in node.input(1).shape if isinstance(size, int)])
    # Of one element NumPy makes the element itself.
    taken = np.take(data, where, axis)
    return _from_array(taken) if isinstance(taken, np.ndarray) else ((taken,), ())


def _concat(node: Node) -> Elements | None:
    known = _known(node)
    arrays = [_array(value) for value in known] if known is not None else []
    found = [array for array in arrays if array is not None]
    if not found or len(found) != len(arrays) or any(array.ndim != found[0].ndim for array in found):
        return None
    axis = node.axis(node.integer("axis"), found[0].ndim)
    others = {(*array.shape[:axis], *array.shape[axis + 1 :]) for array in found}
    return _from_array(np.concatenate(found, axis)) if len(others) == 1 else None


def _transpose(node: Node) -> Elements | None:
    known = _known(node)
    array = _array(known[0]) if known is not None else None
    if array is None:
        return None
    order = node.integers("perm") or tuple(range(array.ndim))[::-1]
    return _from_array(array.transpose(order)) if sorted(order) == [*range(array.ndim)] else None


def _reshape(node: Node) -> Elements | None:
    known = _known(node)
    target = integers(node.optional(1))
    if known is None or target is None:
        return None
    elements = _elements(known[0])
    shape = list(target)
    if shape.count(-1) == 1:
        rest = math.prod(size for size in shape if size != -1)
        if rest == 0 or len(elements) % rest:
            return None
        shape[shape.index(-1)] = len(elements) // rest
    return (elements, tuple(shape)) if math.prod(shape) == len(elements) and min(shape, default=0) >= 0 else None


def _unsqueeze(node: Node) -> Elements | None:
    value = node.input(0)
    axes = axes_of(node)
    if value.elements is None or axes is None:
        return None
    return value.elements, with_ones(node, value.shape, axes)


def with_ones(node: Node, shape: tuple[Size, ...], axes: tuple[int, ...]) -> tuple[Size, ...]:
    """Return a shape with dims of 1 put in at these axes of the result."""
    rank = len(shape) + len(axes)
    added = {node.axis(axis, rank) for axis in axes}
    if len(added) != len(axes):
        raise DataError(f"{node.describe()}: an axis appears twice")
    sizes = iter(shape)
    return tuple(1 if i in added else next(sizes) for i in range(rank))


def _squeeze(node: Node) -> Elements | None:
    value = node.input(0)
    if value.elements is None:
        return None
    axes = axes_of(node)
    gone = {i for i, size in enumerate(value.shape) if size == 1} if axes is None else {*axes}
    gone = {node.axis(axis, value.rank) for axis in gone}
    return value.elements, tuple(size for i, size in enumerate(value.shape) if i not in gone)


def axes_of(node: Node) -> tuple[int, ...] | None:
    """Return the axes of a node: an attribute at first, the second input in later opsets."""
    axes = node.integers("axes")
    if axes is None and node.optional(1) is not None:
        return integers(node.optional(1))
    return axes


def slice_arguments(node: Node) -> list[tuple[int, Size, Size, int]] | None:
    """Return (axis, start, stop, step) of each axis that Slice cuts, or None where they are not known."""
    rank = node.input(0).rank
    steps: tuple[int, ...] | None
    axes: tuple[int, ...] | None
    starts: tuple[Size, ...] | None
    stops: tuple[Size, ...] | None
    if node.opset < 10:
        starts, stops, axes, steps = node.integers("starts"), node.integers("ends"), node.integers("axes"), None
    else:
        starts, stops = node.input(1).elements, node.input(2).elements
        axes, steps = integers(node.optional(3)), integers(node.optional(4))
        if (node.optional(3) is not None and axes is None) or (node.optional(4) is not None and steps is None):
            return None
    if starts is None or stops is None:
        return None
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(stops) == len(axes) == len(steps):
        raise DataError(f"{node.describe()}: starts, ends, axes and steps differ in length")
    return [
        (node.axis(axis, rank), start, stop, step)
        for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True)
    ]


def _slice(node: Node) -> Elements | None:
    value = node.input(0)
    cuts = slice_arguments(node) if value.elements is not None else None
    array = _array(value)
    if cuts is None or array is None:
        return None
    for axis, start, stop, step in cuts:
        if not isinstance(start, int) or not isinstance(stop, int):
            return None
        taken = span(node, array.shape[axis], start, stop, step)
        array = array.take(taken, axis) if len(taken) else array.take(range(0), axis)
    return _from_array(array)


def _broadcast(node: Node, compute: Callable[[Size, Size], Size | None]) -> Elements | None:
    """Apply an operation to two known tensors of rank 0 or 1."""
    known = _known(node)
    if known is None or len(known) != 2 or any(value.rank > 1 for value in known):
        return None
    a, b = _elements(known[0]), _elements(known[1])
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise DataError(f"{node.describe()}: {len(a)} and {len(b)} elements do not broadcast")
    length = len(b) if len(a) == 1 else len(a)
    a = a * length if len(a) == 1 else a
    b = b * length if len(b) == 1 else b
    results = [compute(x, y) for x, y in zip(a, b, strict=True)]
    if any(isinstance(result, int) and not -(2**63) <= result < 2**63 for result in results):
        raise DataError(f"{node.describe()}: an element does not fit int64")
    values = tuple(result for result in results if result is not None)
    if len(values) != len(results):
        return None
    return values, () if known[0].rank == known[1].rank == 0 else (length,)


def _div(node: Node) -> Elements | None:
    """Divide: numbers that were cast to float only where nothing is left over."""
    return _broadcast(node, _divide_exactly if node.input(0).dtype.startswith(FLOATING) else _divide)


def _divide_exactly(a: Size, b: Size) -> Size | None:
    if not isinstance(a, int) or not isinstance(b, int) or b == 0 or a % b:
        return None
    return a // b


def _mod(node: Node) -> Elements | None:
    divisors = integers(node.optional(1))
    if node.integer("fmod", 0) or divisors is None or 0 in divisors:
        return None
    return _broadcast(node, _plain(lambda a, b: a % b))


def _divide(a: Size, b: Size) -> Size | None:
    """Divide as ONNX does integers, towards zero; sizes are not negative, so symbols round down."""
    if isinstance(a, int) and isinstance(b, int):
        if b == 0:
            return None
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if isinstance(b, int) and b <= 0:
        return None
    return whole(a // b)


def _equal(a: Size, b: Size) -> Size | None:
    difference = whole(a - b)
    return int(difference == 0) if isinstance(difference, int) else None


def _plain(compute: Callable[[int, int], int]) -> Callable[[Size, Size], Size | None]:
    def both(a: Size, b: Size) -> Size | None:
        return compute(a, b) if isinstance(a, int) and isinstance(b, int) else None

    return both


def _binary(compute: Callable[[Size, Size], Size | None]) -> _Rule:
    return lambda node: _broadcast(node, compute)


def _range(node: Node) -> Elements | None:
    bounds = [integers(value) for value in node.inputs]
    flat = [bound[0] for bound in bounds if bound is not None and len(bound) == 1]
    if len(flat) != 3 or flat[2] == 0:
        return None
    values = range(flat[0], flat[1], flat[2])
    return None if values[MAX_ELEMENTS:] else (tuple(values), (len(values),))


def _constant_of_shape(node: Node) -> Elements | None:
    fill = node.attributes.get("value")
    shape = integers(node.input(0))
    values = getattr(fill, "values", None)
    if shape is None or len(shape) > 1 or not isinstance(values, tuple) or len(values) != 1:
        return None
    length = shape[0] if shape else 1
    return (values * length, shape) if 0 <= length <= MAX_ELEMENTS else None


def _where(node: Node) -> Elements | None:
    known = _known(node)
    if known is None or len(known) != 3 or any(value.rank > 1 for value in known):
        return None
    length = max(len(_elements(value)) for value in known)
    if any(len(_elements(value)) not in (1, length) for value in known):
        return None
    test, yes, no = (_elements(value) * (length if len(_elements(value)) == 1 else 1) for value in known)
    if not all(isinstance(flag, int) for flag in test):
        return None
    picked = tuple(y if flag else n for flag, y, n in zip(test, yes, no, strict=True))
    return picked, () if all(value.rank == 0 for value in known) else (length,)


RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        "Abs": _unary(lambda a: abs(a) if isinstance(a, int) else None),
        "Add": _binary(lambda a, b: whole(a + b)),
        "And": _truth(lambda a, b: int(a != 0 and b != 0)),
        "Cast": _cast,
        "Ceil": _same,
        "Concat": _concat,
        "ConstantOfShape": _constant_of_shape,
        "Div": _div,
        "Equal": _binary(_equal),
        "Expand": _expand,
        "Floor": _same,
        "Gather": _gather,
        "Greater": _truth(lambda a, b: int(a > b)),
        "GreaterOrEqual": _truth(lambda a, b: int(a >= b)),
        "Identity": _same,
        "Less": _truth(lambda a, b: int(a < b)),
        "LessOrEqual": _truth(lambda a, b: int(a <= b)),
        "Max": _binary(lambda a, b: whole(maximum(a, b))),
        "Min": _binary(lambda a, b: whole(minimum(a, b))),
        "Mod": _mod,
        "Mul": _binary(lambda a, b: whole(a * b)),
        "Neg": _unary(lambda a: whole(-a)),
        "Not": _unary(lambda a: int(a == 0) if isinstance(a, int) else None),
        "Or": _truth(lambda a, b: int(a != 0 or b != 0)),
        "Range": _range,
        "ReduceMax": _reduce(_plain_of(max)),
        "ReduceMin": _reduce(_plain_of(min)),
        "ReduceProd": _reduce(product),
        "ReduceSum": _reduce(_sum),
        "Reshape": _reshape,
        "Shape": _shape,
        "Size": _size,
        "Slice": _slice,
        "Squeeze": _squeeze,
        "Sub": _binary(lambda a, b: whole(a - b)),
        "Tile": _tile,
        "Unsqueeze": _unsqueeze,
        "Transpose": _transpose,
        "Where": _where,
        "Xor": _truth(lambda a, b: int((a != 0) != (b != 0))),
    }
)


def result_dtype(node: Node) -> str:
    """Return the dtype of an output whose elements are known."""
    if node.op in ("Shape", "Size"):
        return "int64"
    if node.op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        return "bool"
    if node.op == "Cast":
        return DTYPES[node.integer("to")]
    if node.op == "ConstantOfShape":
        fill = node.attributes["value"]
        return DTYPES[fill.dtype] if isinstance(fill, OnnxTensor) else "int64"
    return node.input(1 if node.op == "Where" else 0).dtype
