"""Output shapes of ops that arrange, pick or make elements; see `flopcore.reference.shapes`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import cast

from flopcore.errors import ShapeError

from .dims import Attrs, Inputs, Shape, axis_of, broadcast, given, int_of, ints_of

__all__ = ["RULES"]


def _axes(attrs: Attrs, rank: int) -> list[int]:
    axes = [axis_of(axis, rank) for axis in ints_of(attrs, "axes")]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"axes {attrs['axes']} name a dim twice")
    return axes


def _size(attrs: Attrs) -> int:
    size = int_of(attrs, "size")
    if size < 0:
        raise ShapeError(f"size is {size}")
    return size


def _same(inputs: Inputs, attrs: Attrs) -> Shape:
    return given(inputs, 0)


def _dropout(inputs: Inputs, attrs: Attrs) -> Shape:
    if not 0 <= cast("Fraction", attrs["ratio"]) <= 1:
        raise ShapeError(f"ratio is {attrs['ratio']}")
    return given(inputs, 0)


def _same_axes(inputs: Inputs, attrs: Attrs) -> Shape:
    x = given(inputs, 0)
    _axes(attrs, len(x))
    return x


def _matrix(inputs: Inputs, attrs: Attrs) -> Shape:
    x = given(inputs, 0)
    if len(x) < 2:
        raise ShapeError(f"a triangle of {x}")
    return x


def _squeeze(inputs: Inputs, attrs: Attrs) -> Shape:
    x = given(inputs, 0)
    axes = _axes(attrs, len(x))
    if any(x[axis] != 1 for axis in axes):
        raise ShapeError(f"squeeze of {x} along {axes}")
    return tuple(size for axis, size in enumerate(x) if axis not in axes)


def _unsqueeze(inputs: Inputs, attrs: Attrs) -> Shape:
    x = list(given(inputs, 0))
    for axis in sorted(_axes(attrs, len(x) + len(ints_of(attrs, "axes")))):
        x.insert(axis, 1)
    return tuple(x)


def _expand(inputs: Inputs, attrs: Attrs) -> Shape:
    shape = tuple(ints_of(attrs, "shape"))
    if min(shape, default=0) < 0:
        raise ShapeError(f"expand to {shape}")
    return broadcast([given(inputs, 0), shape])


def _tile(inputs: Inputs, attrs: Attrs) -> Shape:
    x, repeats = given(inputs, 0), ints_of(attrs, "repeats")
    if len(repeats) != len(x) or min(repeats, default=0) < 0:
        raise ShapeError(f"tile of {x} by {repeats}")
    return tuple(size * times for size, times in zip(x, repeats, strict=True))


def _repeat_interleave(inputs: Inputs, attrs: Attrs) -> Shape:
    x, times = given(inputs, 0), int_of(attrs, "size")
    axis = axis_of(int_of(attrs, "axis"), len(x))
    if times < 0:
        raise ShapeError(f"repeat_interleave {times} times")
    return (*x[:axis], x[axis] * times, *x[axis + 1 :])


def _pad(inputs: Inputs, attrs: Attrs) -> Shape:
    x, padding = given(inputs, 0), ints_of(attrs, "padding")
    n = len(x)
    if len(padding) != 2 * n:
        raise ShapeError(f"pad of {x} by {padding}")
    shape = tuple(x[i] + padding[i] + padding[n + i] for i in range(n))
    if min(shape, default=0) < 0:
        raise ShapeError(f"pad of {x} by {padding} leaves {shape}")
    return shape


def _stack(inputs: Inputs, attrs: Attrs) -> Shape:
    shapes = [given(inputs, index) for index in range(len(inputs))]
    if len(set(shapes)) > 1:
        raise ShapeError(f"stack of {shapes}")
    axis = axis_of(int_of(attrs, "axis"), len(shapes[0]) + 1)
    return (*shapes[0][:axis], len(shapes), *shapes[0][axis:])


def _unbind(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    x = given(inputs, 0)
    axis = axis_of(int_of(attrs, "axis"), len(x))
    if x[axis] == 0:
        raise ShapeError("unbind of an empty axis")
    return [(*x[:axis], *x[axis + 1 :])] * x[axis]


def _meshgrid(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    shapes = [given(inputs, index) for index in range(len(inputs))]
    if any(len(shape) != 1 for shape in shapes):
        raise ShapeError(f"meshgrid of {shapes}")
    return [tuple(shape[0] for shape in shapes)] * len(shapes)


def _diag(inputs: Inputs, attrs: Attrs) -> Shape:
    x = given(inputs, 0)
    if len(x) not in (1, 2):
        raise ShapeError(f"the diagonal of {x}")
    return (x[0], x[0]) if len(x) == 1 else (min(x),)


def _blocks(inputs: Inputs, attrs: Attrs) -> tuple[Shape, int]:
    x, block = given(inputs, 0), int_of(attrs, "block")
    if len(x) != 4 or block < 1:
        raise ShapeError(f"{x} in blocks of {block}: expected [N, C, H, W]")
    return x, block


def _space_to_depth(inputs: Inputs, attrs: Attrs) -> Shape:
    x, block = _blocks(inputs, attrs)
    if x[2] % block or x[3] % block:
        raise ShapeError(f"space_to_depth of {x} in blocks of {block}")
    return (x[0], x[1] * block * block, x[2] // block, x[3] // block)


def _depth_to_space(inputs: Inputs, attrs: Attrs) -> Shape:
    x, block = _blocks(inputs, attrs)
    if x[1] % (block * block):
        raise ShapeError(f"depth_to_space of {x} in blocks of {block}")
    return (x[0], x[1] // (block * block), x[2] * block, x[3] * block)


def _reverse_sequence(inputs: Inputs, attrs: Attrs) -> Shape:
    x, lengths = given(inputs, 0), given(inputs, 1)
    batch, time = axis_of(int_of(attrs, "axis"), len(x)), axis_of(int_of(attrs, "time_axis"), len(x))
    if batch == time or lengths != (x[batch],):
        raise ShapeError(f"reverse_sequence of {x} with lengths {lengths}")
    return x


def _shape_of(inputs: Inputs, attrs: Attrs) -> Shape:
    return (len(given(inputs, 0)),)


def _scalar(inputs: Inputs, attrs: Attrs) -> Shape:
    given(inputs, 0)
    return ()


def _filled(inputs: Inputs, attrs: Attrs) -> Shape:
    shape = tuple(ints_of(attrs, "shape"))
    if min(shape, default=0) < 0:
        raise ShapeError(f"a tensor of shape {shape}")
    return shape


def _steps(inputs: Inputs, attrs: Attrs) -> Shape:
    return (_size(attrs),)


def _nonzero(inputs: Inputs, attrs: Attrs) -> Shape:
    return (len(given(inputs, 0)), _size(attrs))


def _masked_select(inputs: Inputs, attrs: Attrs) -> Shape:
    if given(inputs, 0) != given(inputs, 1):
        raise ShapeError(f"masked_select of {inputs[0]} by a mask {inputs[1]}")
    return (_size(attrs),)


def _gather(inputs: Inputs, attrs: Attrs) -> Shape:
    x, indices = given(inputs, 0), given(inputs, 1)
    axis = axis_of(int_of(attrs, "axis"), len(x))
    return (*x[:axis], *indices, *x[axis + 1 :])


def _take_along(inputs: Inputs, attrs: Attrs) -> Shape:
    x, indices = given(inputs, 0), given(inputs, 1)
    axis_of(int_of(attrs, "axis"), len(x))
    if len(indices) != len(x):
        raise ShapeError(f"take_along of {x} by {indices}")
    return indices


def _tuples(x: Shape, indices: Shape, batch: int = 0) -> Shape:
    """Return the dims of x that index tuples in the last dim of `indices` leave whole."""
    if not indices or not 0 <= batch < len(indices) or x[:batch] != indices[:batch]:
        raise ShapeError(f"index tuples {indices} into {x} with {batch} batch dims")
    if batch + indices[-1] > len(x) or indices[-1] < 1:
        raise ShapeError(f"index tuples of {indices[-1]} into {x}")
    return x[batch + indices[-1] :]


def _gather_nd(inputs: Inputs, attrs: Attrs) -> Shape:
    x, indices = given(inputs, 0), given(inputs, 1)
    return (*indices[:-1], *_tuples(x, indices, int_of(attrs, "batch_dims")))


def _scatter(inputs: Inputs, attrs: Attrs) -> Shape:
    x, indices, updates = given(inputs, 0), given(inputs, 1), given(inputs, 2)
    axis_of(int_of(attrs, "axis"), len(x))
    if len(indices) != len(x) or updates != indices:
        raise ShapeError(f"scatter of {updates} at {indices} into {x}")
    return x


def _scatter_nd(inputs: Inputs, attrs: Attrs) -> Shape:
    x, indices, updates = given(inputs, 0), given(inputs, 1), given(inputs, 2)
    if updates != (*indices[:-1], *_tuples(x, indices)):
        raise ShapeError(f"scatter_nd of {updates} at {indices} into {x}")
    return x


def _index_update(inputs: Inputs, attrs: Attrs) -> Shape:
    x, indices, updates = given(inputs, 0), given(inputs, 1), given(inputs, 2)
    axis = axis_of(int_of(attrs, "axis"), len(x))
    if len(indices) != 1 or updates != (*x[:axis], indices[0], *x[axis + 1 :]):
        raise ShapeError(f"index_update of {updates} at {indices} into {x}")
    return x


def _one_hot(inputs: Inputs, attrs: Attrs) -> Shape:
    ids = given(inputs, 0)
    axis = axis_of(int_of(attrs, "axis"), len(ids) + 1)
    return (*ids[:axis], _size(attrs), *ids[axis:])


RULES: Mapping[str, Callable[[Inputs, Attrs], Shape | list[Shape]]] = {
    "copy": _same,
    "random": _filled,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "expand": _expand,
    "flip": _same_axes,
    "roll": _same_axes,
    "tril": _matrix,
    "triu": _matrix,
    "tile": _tile,
    "repeat_interleave": _repeat_interleave,
    "pad": _pad,
    "stack": _stack,
    "unbind": _unbind,
    "meshgrid": _meshgrid,
    "diag": _diag,
    "space_to_depth": _space_to_depth,
    "depth_to_space": _depth_to_space,
    "reverse_sequence": _reverse_sequence,
    "shape_of": _shape_of,
    "size_of": _scalar,
    "full": _filled,
    "eye": _filled,
    "arange": _steps,
    "linspace": _steps,
    "nonzero": _nonzero,
    "masked_select": _masked_select,
    "gather": _gather,
    "take_along": _take_along,
    "gather_nd": _gather_nd,
    "scatter": _scatter,
    "scatter_nd": _scatter_nd,
    "index_update": _index_update,
    "one_hot": _one_hot,
    "bernoulli": _same,
    "dropout": _dropout,
}
"""By family, or by op where an op has a rule of its own."""
