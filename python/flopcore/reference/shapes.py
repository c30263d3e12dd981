"""Output shapes of every op over plain ints: NumPy's and PyTorch's documented rules, nothing shared with C++."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from flopcore.errors import ShapeError
from flopcore.specification import specification

from . import contraction_shapes, layout_shapes, matrix_shapes, recurrence_shapes, reduction_shapes
from .dims import Attr, Attrs, Inputs, Shape, broadcast
from .dims import axis_of as _axis
from .dims import given as _given
from .dims import int_of as _int
from .dims import ints_of as _ints
from .dims import require_elements as _reduced

__all__ = ["Attr", "Shape", "broadcast", "infer", "infer_all"]


def infer(op: str, inputs: Inputs, attrs: Attrs) -> Shape:
    """Return the shape of the first output of an op that is not a leaf.

    Parameters
    ----------
    op
        Name in ops.toml.
    inputs
        Shape of each input in the order of ops.toml; None where an optional one is not given.
    attrs
        Every attribute of the op (see `flopcore.reference.graph.complete_attrs`).

    Raises
    ------
    ShapeError
        If the op does not accept these shapes or attributes.
    """
    return infer_all(op, inputs, attrs)[0]


def infer_all(op: str, inputs: Inputs, attrs: Attrs) -> list[Shape]:
    """Return the shapes of all outputs of an op; see `infer`."""
    shapes = _rule(op)(inputs, attrs)
    return shapes if isinstance(shapes, list) else [shapes]


def _rule(op: str) -> Callable[[Inputs, Attrs], Shape | list[Shape]]:
    """Return the rule of an op, or of its family."""
    return _RULES[op if op in _RULES else specification().ops[op].family]


def _elementwise(inputs: Inputs, attrs: Attrs) -> Shape:
    return broadcast([_given(inputs, index) for index in range(len(inputs))])


def _batch_norm(inputs: Inputs, attrs: Attrs) -> Shape:
    x = _given(inputs, 0)
    if len(x) < 2:
        raise ShapeError(f"batch_norm of {x}: the channel is dim 1")
    for vector in inputs[1:]:
        if vector is not None and vector != (x[1],):
            raise ShapeError(f"batch_norm of {x} with a vector {vector}")
    if attrs["mode"] == "train":
        _reduced(prod(x) // max(x[1], 1), "batch_norm")
    return x


def _trailing_norm(inputs: Inputs, attrs: Attrs) -> Shape:
    x, count = _given(inputs, 0), _int(attrs, "normalized_ndim")
    if not 1 <= count <= len(x):
        raise ShapeError(f"{count} normalised dims of {x}")
    for weight in inputs[1:]:
        if weight is not None and weight != x[-count:]:
            raise ShapeError(f"norm over {x[-count:]} with a weight {weight}")
    _reduced(prod(x[-count:]), "norm")
    return x


def _reduce(inputs: Inputs, attrs: Attrs) -> Shape:
    x = _given(inputs, 0)
    axes = {_axis(axis, len(x)) for axis in _ints(attrs, "axes")}
    if len(axes) != len(_ints(attrs, "axes")):
        raise ShapeError(f"reduce: axes {attrs['axes']} name a dim twice")
    for axis in axes:
        _reduced(x[axis], "reduce")
    if attrs["keepdims"]:
        return tuple(1 if axis in axes else size for axis, size in enumerate(x))
    return tuple(size for axis, size in enumerate(x) if axis not in axes)


def _reshape(inputs: Inputs, attrs: Attrs) -> Shape:
    x, shape = _given(inputs, 0), _ints(attrs, "shape")
    known = prod(size for size in shape if size != -1)
    free = shape.count(-1)
    if free > 1 or min(shape, default=0) < -1:
        raise ShapeError(f"reshape to {shape}: one dim may be -1")
    if free == 0 and known != prod(x):
        raise ShapeError(f"reshape of {x} to {shape}")
    if free == 1 and (known == 0 or prod(x) % known):
        raise ShapeError(f"reshape of {x} to {shape}")
    return tuple(prod(x) // known if size == -1 else size for size in shape)


def _flatten(inputs: Inputs, attrs: Attrs) -> Shape:
    x = _given(inputs, 0)
    if not x:
        return (1,)
    begin, end = _axis(_int(attrs, "axis"), len(x)), _axis(_int(attrs, "end_axis"), len(x))
    if begin > end:
        raise ShapeError(f"flatten of {x} from {begin} to {end}")
    return (*x[:begin], prod(x[begin : end + 1]), *x[end + 1 :])


def _transpose(inputs: Inputs, attrs: Attrs) -> Shape:
    x = _given(inputs, 0)
    permutation = [_axis(position, len(x)) for position in _ints(attrs, "permutation")]
    if sorted(permutation) != list(range(len(x))):
        raise ShapeError(f"transpose of {x} by {permutation}")
    return tuple(x[position] for position in permutation)


def _concat(inputs: Inputs, attrs: Attrs) -> Shape:
    shapes = [_given(inputs, index) for index in range(len(inputs))]
    axis = _axis(_int(attrs, "axis"), len(shapes[0]))
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rest) > 1 or len({len(shape) for shape in shapes}) > 1:
        raise ShapeError(f"concat of {shapes} along {axis}")
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def _slice(inputs: Inputs, attrs: Attrs) -> Shape:
    x = _given(inputs, 0)
    axis = _axis(_int(attrs, "axis"), len(x))
    start, stop, step = _int(attrs, "start"), _int(attrs, "stop"), _int(attrs, "step")
    if step < 1 or not 0 <= start <= stop <= x[axis]:
        raise ShapeError(f"slice {start}:{stop}:{step} of a dim of size {x[axis]}")
    return (*x[:axis], -(-(stop - start) // step), *x[axis + 1 :])


def _split(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    x, sizes = _given(inputs, 0), _ints(attrs, "sizes")
    axis = _axis(_int(attrs, "axis"), len(x))
    if not sizes or min(sizes) < 0 or sum(sizes) != x[axis]:
        raise ShapeError(f"split of a dim of size {x[axis]} into {sizes}")
    return [(*x[:axis], size, *x[axis + 1 :]) for size in sizes]


def _embedding(inputs: Inputs, attrs: Attrs) -> Shape:
    weight, ids = _given(inputs, 0), _given(inputs, 1)
    if len(weight) != 2:
        raise ShapeError(f"embedding: weight {weight} has not two dims")
    return (*ids, weight[1])


# By op or family: one shape, or the list of those of several outputs.
_RULES: Mapping[str, Callable[[Inputs, Attrs], Shape | list[Shape]]] = {
    "elementwise": _elementwise,
    "reduce": _reduce,
    **contraction_shapes.RULES,
    **layout_shapes.RULES,
    **recurrence_shapes.RULES,
    **reduction_shapes.RULES,
    **matrix_shapes.RULES,
    "batch_norm": _batch_norm,
    "layer_norm": _trailing_norm,
    "rms_norm": _trailing_norm,
    "reshape": _reshape,
    "flatten": _flatten,
    "transpose": _transpose,
    "concat": _concat,
    "slice": _slice,
    "split": _split,
    "embedding": _embedding,
}
