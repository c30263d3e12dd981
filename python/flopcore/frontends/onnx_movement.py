"""Rules for ONNX ops that move data, cast it, or change its shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from flopcore.errors import DataError
from flopcore.expr import ceildiv, clamp, maximum, minimum
from flopcore.graph import AttrValue

from .onnx_build import Builder, Result, Rule
from .onnx_shapes import axes_of, integers, product, slice_arguments, with_ones
from .onnx_values import Node, Size, Value, dtype_name, whole
from .unsupported import NotCountable

__all__: list[str] = []

_END = 10**9  # exporters write an end of at least this for "to the end"


def _reshape(b: Builder, node: Node) -> Result:
    x = node.input(0)
    target = node.input(1).elements
    if target is None:
        raise NotCountable("a shape computed from data")
    shape: list[Size] = []
    for i, size in enumerate(target):
        if isinstance(size, int) and size == 0 and not node.integer("allowzero", 0):
            if i >= x.rank:
                raise DataError(f"{node.describe()}: a 0 copies dim {i}, the input has {x.rank} dims")
            size = x.shape[i]
        shape.append(size)
    return b.emit(node, "reshape", [x], {"shape": shape})


def _flatten(b: Builder, node: Node) -> Result:
    x = node.input(0)
    axis = node.integer("axis", 1)
    if not -x.rank <= axis <= x.rank:
        raise DataError(f"{node.describe()}: axis {axis} is out of range for {x.rank} dims")
    axis = axis + x.rank if axis < 0 else axis
    return b.emit(node, "reshape", [x], {"shape": [product(x.shape[:axis]), product(x.shape[axis:])]})


def _squeeze(b: Builder, node: Node) -> Result:
    x, axes = node.input(0), axes_of(node)
    if axes is None and node.optional(1) is not None:
        raise NotCountable("axes computed from data")
    if axes is None:
        if not all(isinstance(size, int) for size in x.shape):
            raise NotCountable("Squeeze without axes over named dims, which may be 1")
        gone = {i for i, size in enumerate(x.shape) if size == 1}
    else:
        gone = {node.axis(axis, x.rank) for axis in axes}
    for axis in gone:
        if isinstance(x.shape[axis], int) and x.shape[axis] != 1:
            raise DataError(f"{node.describe()}: dim {axis} is {x.shape[axis]}, only 1 can be squeezed")
        if not isinstance(x.shape[axis], int):
            raise NotCountable(f"Squeeze of the named dim {x.shape[axis]}: bind it with at=")
    return b.emit(node, "reshape", [x], {"shape": [size for i, size in enumerate(x.shape) if i not in gone]})


def _unsqueeze(b: Builder, node: Node) -> Result:
    x, axes = node.input(0), axes_of(node)
    if axes is None:
        raise NotCountable("axes computed from data")
    return b.emit(node, "reshape", [x], {"shape": list(with_ones(node, x.shape, axes))})


def _transpose(b: Builder, node: Node) -> Result:
    x = node.input(0)
    permutation = node.integers("perm")
    order = list(range(x.rank))[::-1] if permutation is None else list(permutation)
    return b.emit(node, "transpose", [x], {"permutation": order})


def _concat(b: Builder, node: Node) -> Result:
    first = node.input(0)
    axis = node.axis(node.integer("axis"), first.rank)
    if len(node.inputs) == 1:
        return first
    return b.emit(node, "concat", [node.input(i) for i in range(len(node.inputs))], {"axis": axis})


def _slice(b: Builder, node: Node) -> Result:
    cuts = slice_arguments(node)
    if cuts is None:
        raise NotCountable("bounds computed from data")
    result: Value = node.input(0)
    for axis, start, stop, step in cuts:
        size = result.shape[axis]
        if step < 0:
            result, start, stop, step = (
                b.emit(node, "flip", [result], {"axes": [axis]}),
                *_flipped(start, stop, step, size),
            )
        length = whole(stop - start)
        if b.counts_runs(start) and isinstance(length, int) and length > 0:
            start, stop = 0, length  # a window that moves from run to run is taken to stay inside
        first = _bound(start, size)
        last = _bound(stop, size)
        if first != 0:  # sizes are not negative, which a formula of dims may not show
            last = whole(maximum(first, last))
        if first == 0 and last == size and step == 1:
            continue
        result = b.emit(node, "slice", [result], {"axis": axis, "start": first, "stop": last, "step": step})
    return result


def _flipped(start: Size, stop: Size, step: int, size: Size) -> tuple[Size, Size, int]:
    """Return the slice of a flipped dim that one with a negative step is of the dim."""
    if not isinstance(start, int) or not isinstance(stop, int) or not isinstance(size, int):
        raise NotCountable(f"a slice with step {step} over dims that are not bound")
    first, last, _ = slice(start, stop, step).indices(size)
    return size - 1 - first, size - 1 - last, -step


def _bound(index: Size, size: Size) -> Size:
    """Return a slice bound within [0, size]."""
    if isinstance(index, int):
        if index == 0:
            return 0
        if index >= _END and not isinstance(size, int):
            return size
        if index < 0:
            return whole(clamp(size + index, 0, size)) if index > -_END or isinstance(size, int) else 0
        return whole(minimum(index, size))
    return whole(clamp(index, 0, size))


def _split(b: Builder, node: Node) -> Sequence[Result]:
    x = node.input(0)
    axis = node.axis(node.integer("axis", 0), x.rank)
    sizes: Sequence[Size] | None = node.integers("split")
    given = node.optional(1)
    if given is not None:
        sizes = given.elements
        if sizes is None:
            raise NotCountable("sizes computed from data")
    if sizes is None:
        parts = node.integer("num_outputs", len(node.outputs))
        if parts != len(node.outputs):
            raise DataError(f"{node.describe()}: num_outputs is {parts}, the node has {len(node.outputs)}")
        size = x.shape[axis]
        part = whole(ceildiv(size, parts))
        sizes = [*[part] * (parts - 1), whole(size - part * (parts - 1))]
    if len(sizes) < len(node.outputs):
        raise DataError(f"{node.describe()}: {len(sizes)} sizes for {len(node.outputs)} outputs")
    return [x] if len(sizes) == 1 else b.emit_all(node, "split", [x], {"axis": axis, "sizes": list(sizes)})


def _expand(b: Builder, node: Node) -> Result:
    shape = node.input(1).elements
    if shape is None:
        raise NotCountable("a shape computed from data")
    return b.emit(node, "expand", [node.input(0)], {"shape": list(shape)})


def _tile(b: Builder, node: Node) -> Result:
    repeats = node.input(1).elements
    if repeats is None:
        raise NotCountable("repeats computed from data")
    return b.emit(node, "tile", [node.input(0)], {"repeats": list(repeats)})


def _pad(b: Builder, node: Node) -> Result:
    x = node.input(0)
    given: Sequence[Size] | None
    given = node.integers("pads") if node.opset < 11 else node.input(1).elements
    axes: Sequence[int] | None = range(x.rank)
    if node.optional(3) is not None:
        axes = integers(node.optional(3))
    if given is None or axes is None:
        raise NotCountable("padding computed from data")
    if len(given) != 2 * len(axes):
        raise DataError(f"{node.describe()}: {len(given)} pads for {len(axes)} axes")
    pads: list[Size] = [0] * (2 * x.rank)
    for i, axis in enumerate(axes):
        at = node.axis(axis, x.rank)
        pads[at], pads[x.rank + at] = given[i], given[len(axes) + i]
    return b.emit(node, "pad", [x], {"padding": pads})


def _center_crop_pad(b: Builder, node: Node) -> Result:
    x, target = node.input(0), node.input(1).elements
    if target is None:
        raise NotCountable("a shape computed from data")
    axes = node.integers("axes") or tuple(range(x.rank))
    if len(target) != len(axes):
        raise DataError(f"{node.describe()}: {len(target)} sizes for {len(axes)} axes")
    pads: list[Size] = [0] * (2 * x.rank)
    for axis, size in zip(axes, target, strict=True):
        at = node.axis(axis, x.rank)
        more = whole(size - x.shape[at])
        pads[at] = whole(more // 2)
        pads[x.rank + at] = whole(more - pads[at])
    return b.emit(node, "pad", [x], {"padding": pads})


def _blocks(op: str) -> Rule:
    return lambda b, node: b.emit(node, op, [node.input(0)], {"block": node.integer("blocksize")})


def _trilu(b: Builder, node: Node) -> Result:
    return b.emit(node, "triu" if node.integer("upper", 1) else "tril", [node.input(0)])


def _reverse_sequence(b: Builder, node: Node) -> Result:
    attrs: dict[str, AttrValue] = {"axis": node.integer("batch_axis", 1), "time_axis": node.integer("time_axis", 0)}
    return b.emit(node, "reverse_sequence", [node.input(0), node.input(1)], attrs)


# --------------------------------------------------------------------------------- one op or another of ours
def _cast(b: Builder, node: Node) -> Result:
    x, target = node.input(0), dtype_name(node.integer("to"), "the target of a Cast")
    return x if target == x.dtype else b.emit(node, "cast", [x], {"dtype": target})


def _cast_like(b: Builder, node: Node) -> Result:
    x, target = node.input(0), node.input(1).dtype
    return x if target == x.dtype else b.emit(node, "cast", [x], {"dtype": target})


def _swish(b: Builder, node: Node) -> Value:
    x = node.input(0)
    if node.number("alpha", 1.0) == 1.0:
        return b.emit(node, "silu", [x])
    scaled = b.emit(node, "mul", [x, Value("alpha", x.dtype, ())])
    return b.emit(node, "mul", [x, b.emit(node, "sigmoid", [scaled])])


def _swiglu(b: Builder, node: Node) -> Result:
    return b.emit(node, "mul", [_swish(b, node), node.input(1)])


def _clip(b: Builder, node: Node) -> Result:
    if node.opset < 11:
        low, high = node.attributes.get("min") is not None, node.attributes.get("max") is not None
    else:
        low, high = node.optional(1) is not None, node.optional(2) is not None
    if not low and not high:
        return node.input(0)
    return b.emit(node, "clamp", [node.input(0)], {"bounds": "both" if low and high else "low" if low else "high"})


def _shrink(b: Builder, node: Node) -> Result:
    return b.emit(node, "hard_shrink" if node.number("bias", 0.0) == 0.0 else "soft_shrink", [node.input(0)])


def _mod(b: Builder, node: Node) -> Result:
    return b.emit(node, "fmod" if node.integer("fmod", 0) else "remainder", [node.input(0), node.input(1)])


def _bit_shift(b: Builder, node: Node) -> Result:
    direction = node.text("direction", "")
    if direction not in ("LEFT", "RIGHT"):
        raise DataError(f"{node.describe()}: direction must be LEFT or RIGHT, is {direction!r}")
    return b.emit(node, f"shift_{direction.lower()}", [node.input(0), node.input(1)])


def _sum(b: Builder, node: Node) -> Result:
    tensors = node.tensors()
    return b.emit(node, "add" if len(tensors) == 2 else "add_n", tensors) if len(tensors) > 1 else node.input(0)


def _dropout(b: Builder, node: Node) -> Sequence[Result]:
    x, training = node.input(0), node.optional(2)
    if training is None or integers(training) == (0,):
        return [x, Value(node.outputs[1] if len(node.outputs) > 1 else "", "bool", x.shape)]
    number = Value("number", x.dtype, ())
    drawn = b.emit(node, "random_uniform", [], {"shape": list(x.shape), "dtype": x.dtype})
    mask = b.emit(node, "greater_equal", [drawn, number])
    kept = b.emit(node, "where", [mask, x, number])
    return [b.emit(node, "mul", [kept, number]), mask]


def _bit_cast(b: Builder, node: Node) -> Result:
    target = dtype_name(node.integer("to"), "the target of a BitCast")
    return b.emit(node, "cast", [node.input(0)], {"dtype": target})


def _same(b: Builder, node: Node) -> Result:
    return node.any_input(0)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "BitCast": _bit_cast,
        "BitShift": _bit_shift,
        "Cast": _cast,
        "CastLike": _cast_like,
        "CenterCropPad": _center_crop_pad,
        "Clip": _clip,
        "Concat": _concat,
        "DepthToSpace": _blocks("depth_to_space"),
        "Dropout": _dropout,
        "Expand": _expand,
        "Flatten": _flatten,
        "Identity": _same,
        "Mod": _mod,
        "Pad": _pad,
        "Reshape": _reshape,
        "ReverseSequence": _reverse_sequence,
        "Shrink": _shrink,
        "Slice": _slice,
        "SpaceToDepth": _blocks("space_to_depth"),
        "Split": _split,
        "Squeeze": _squeeze,
        "Sum": _sum,
        "SwiGLU": _swiglu,
        "Swish": _swish,
        "Tile": _tile,
        "Transpose": _transpose,
        "Trilu": _trilu,
        "Unsqueeze": _unsqueeze,
    }
)
