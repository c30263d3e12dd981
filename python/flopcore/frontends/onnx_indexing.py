"""Rules for ONNX ops that pick elements by index, put them, or find which ones there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from flopcore.expr import maximum, minimum
from flopcore.graph import AttrValue

from .onnx_build import Builder, Result, Rule
from .onnx_shapes import integers, product
from .onnx_values import Node, Size, Value, whole

__all__: list[str] = []


def _gather(b: Builder, node: Node) -> Result:
    x, ids = node.input(0), node.input(1)
    axis = node.axis(node.integer("axis", 0), x.rank)
    picked = integers(ids)
    if picked is not None and ids.rank <= 1 and _consecutive(picked):
        size = x.shape[axis]
        first = picked[0] if picked[0] >= 0 else whole(size + picked[0])
        stop = whole(first + len(picked))
        # Where a dim may be too small for what is picked, the slice would be refused.
        if isinstance(size, int) or (maximum(first, 0) == first and minimum(stop, size) == stop):
            cut = b.emit(node, "slice", [x], {"axis": axis, "start": first, "stop": stop, "step": 1})
            if ids.rank == 1:
                return cut
            return b.emit(node, "reshape", [cut], {"shape": [*x.shape[:axis], *x.shape[axis + 1 :]]})
    if axis != 0 or x.rank != 2:
        return b.emit(node, "gather", [x, ids], {"axis": axis})
    return b.emit(node, "embedding", [b.weight(node, x), ids])


def _consecutive(indices: Sequence[int]) -> bool:
    same_sign = len({index >= 0 for index in indices}) == 1
    return same_sign and list(indices) == list(range(indices[0], indices[0] + len(indices)))


def _gather_elements(b: Builder, node: Node) -> Result:
    x = node.input(0)
    axis = node.axis(node.integer("axis", 0), x.rank)
    return b.emit(node, "take_along", [x, node.input(1)], {"axis": axis})


def _gather_nd(b: Builder, node: Node) -> Result:
    return b.emit(node, "gather_nd", [node.input(0), node.input(1)], {"batch_dims": node.integer("batch_dims", 0)})


def _scatter_elements(b: Builder, node: Node) -> Result:
    x = node.input(0)
    attrs: dict[str, AttrValue] = {
        "axis": node.axis(node.integer("axis", 0), x.rank),
        "reduction": node.text("reduction", "none"),
    }
    return b.emit(node, "scatter", [x, node.input(1), node.input(2)], attrs)


def _scatter_nd(b: Builder, node: Node) -> Result:
    attrs = {"reduction": node.text("reduction", "none")}
    return b.emit(node, "scatter_nd", [node.input(0), node.input(1), node.input(2)], attrs)


def _tensor_scatter(b: Builder, node: Node) -> Result:
    cache, update = node.input(0), node.input(1)
    axis = node.axis(node.integer("axis", -2), cache.rank)
    positions = Value("positions", "int64", (update.shape[axis],))
    return b.emit(node, "index_update", [cache, positions, update], {"axis": axis})


def _one_hot(b: Builder, node: Node) -> Result:
    ids, depth = node.input(0), node.input(1)
    size = depth.elements[0] if depth.elements else b.size(None, f"{node.label()}_depth")
    if not ids.dtype.startswith(("int", "uint")):
        ids = b.emit(node, "cast", [ids], {"dtype": "int64"})
    axis = node.axis(node.integer("axis", -1), ids.rank + 1)
    return b.emit(node, "one_hot", [ids], {"axis": axis, "size": size, "dtype": node.input(2).dtype})


def _found(b: Builder, node: Node, what: str) -> Size:
    """Return how many elements the data holds of a kind: a dim, to be bound with at=."""
    return b.size(None, f"{node.label()}_{what}", least=0)


def _non_zero(b: Builder, node: Node) -> Result:
    return b.emit(node, "nonzero", [node.input(0)], {"size": _found(b, node, "nonzero")})


def _compress(b: Builder, node: Node) -> Result:
    x, condition = node.input(0), node.input(1)
    flags = integers(condition)
    size = _found(b, node, "kept") if flags is None else sum(flag != 0 for flag in flags)
    if node.attributes.get("axis") is None:
        x = x if x.rank == 1 else b.emit(node, "reshape", [x], {"shape": [-1]})
        axis = 0
    else:
        axis = node.axis(node.integer("axis"), x.rank)
    return b.emit(node, "gather", [x, Value("kept", "int64", (size,))], {"axis": axis})


def _unique(b: Builder, node: Node) -> Sequence[Result]:
    """Different elements, or different slices along an axis, with where they stand and how often."""
    x, size = node.input(0), _found(b, node, "unique")
    attrs: dict[str, AttrValue] = {"size": size}
    n = product(x.shape)
    if node.attributes.get("axis") is not None and x.rank > 1:
        axis = node.axis(node.integer("axis"), x.rank)
        attrs["axes"], n = [axis], x.shape[axis]
    shapes = zip(node.outputs[1:], ((size,), (n,), (size,)), strict=False)
    return [b.emit(node, "unique", [x], attrs), *(Value(name, "int64", shape) for name, shape in shapes)]


def _non_max_suppression(b: Builder, node: Node) -> Result:
    return b.emit(node, "nms", [node.input(0), node.input(1)], {"size": _found(b, node, "boxes")})


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "Compress": _compress,
        "Gather": _gather,
        "GatherElements": _gather_elements,
        "GatherND": _gather_nd,
        "NonMaxSuppression": _non_max_suppression,
        "NonZero": _non_zero,
        "OneHot": _one_hot,
        "Scatter": _scatter_elements,
        "ScatterElements": _scatter_elements,
        "ScatterND": _scatter_nd,
        "TensorScatter": _tensor_scatter,
        "Unique": _unique,
    }
)
