"""Output shapes of norms, ops along one axis, losses, pools and sampling; see `flopcore.reference.shapes`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from flopcore.errors import ShapeError

from .dims import Attrs, Inputs, Shape, axis_of, given, int_of, ints_of, require_elements, windows

__all__ = ["RULES"]


def _axis(inputs: Inputs, attrs: Attrs) -> tuple[Shape, int]:
    x = given(inputs, 0)
    axis = axis_of(int_of(attrs, "axis"), len(x))
    require_elements(x[axis], "an op along an axis")
    return x, axis


def _along_axis(inputs: Inputs, attrs: Attrs) -> Shape:
    return _axis(inputs, attrs)[0]


def _values_and_indices(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    x, _ = _axis(inputs, attrs)
    return [x, x]


def _size(attrs: Attrs) -> int:
    size = int_of(attrs, "size")
    if size < 0:
        raise ShapeError(f"size is {size}")
    return size


def _top_k(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    x, axis = _axis(inputs, attrs)
    size = int_of(attrs, "size")
    if not 0 <= size <= x[axis]:
        raise ShapeError(f"the {size} largest of {x[axis]}")
    shape = (*x[:axis], size, *x[axis + 1 :])
    return [shape, shape]


def _glu(inputs: Inputs, attrs: Attrs) -> Shape:
    x, axis = _axis(inputs, attrs)
    if x[axis] % 2:
        raise ShapeError(f"glu halves a dim of {x[axis]}")
    return (*x[:axis], x[axis] // 2, *x[axis + 1 :])


def _vectors(inputs: Inputs, channels: int) -> None:
    for vector in inputs[1:]:
        if vector is not None and vector != (channels,):
            raise ShapeError(f"a vector {vector} for {channels} channels")


def _group_norm(inputs: Inputs, attrs: Attrs) -> Shape:
    x, groups = given(inputs, 0), int_of(attrs, "groups")
    if len(x) < 2 or groups < 1 or x[1] % groups:
        raise ShapeError(f"group_norm of {x} in {groups} groups")
    _vectors(inputs, x[1])
    require_elements(prod(x[1:]), "group_norm")
    return x


def _instance_norm(inputs: Inputs, attrs: Attrs) -> Shape:
    x = given(inputs, 0)
    if len(x) < 3:
        raise ShapeError(f"instance_norm of {x}: expected [N, C, *spatial]")
    _vectors(inputs, x[1])
    require_elements(prod(x[2:]), "instance_norm")
    return x


def _local_response_norm(inputs: Inputs, attrs: Attrs) -> Shape:
    x = given(inputs, 0)
    if len(x) < 2 or int_of(attrs, "size") < 1:
        raise ShapeError(f"local_response_norm of {x} over {attrs['size']} channels")
    return x


def _weight_norm(inputs: Inputs, attrs: Attrs) -> Shape:
    v, axis = _axis(inputs, attrs)
    if given(inputs, 1) != (v[axis],):
        raise ShapeError(f"weight_norm of {v} with lengths {inputs[1]}")
    require_elements(prod(v), "weight_norm")
    return v


def _loss(inputs: Inputs, attrs: Attrs) -> Shape:
    x, target = given(inputs, 0), given(inputs, 1)
    if x != target:
        raise ShapeError(f"a loss of {x} against {target}")
    return _reduced_loss(x, attrs)


def _class_loss(inputs: Inputs, attrs: Attrs) -> Shape:
    x, target, weight = given(inputs, 0), given(inputs, 1), inputs[2]
    if not x:
        raise ShapeError("a loss of classes needs a class dim")
    axis = min(len(x) - 1, 1)
    if target != (*x[:axis], *x[axis + 1 :]) or weight not in (None, (x[axis],)):
        raise ShapeError(f"a loss of {x} against {target} with class weights {weight}")
    require_elements(x[axis], "a loss of classes")
    return _reduced_loss(target, attrs)


def _reduced_loss(shape: Shape, attrs: Attrs) -> Shape:
    if attrs["reduction"] == "none":
        return shape
    require_elements(prod(shape), "a reduced loss")
    return ()


def _spatial(inputs: Inputs) -> Shape:
    x = given(inputs, 0)
    if len(x) not in (3, 4, 5):
        raise ShapeError(f"{x}: expected [N, C, *spatial]")
    return x


def _slid(inputs: Inputs, attrs: Attrs) -> Shape:
    x, kernel = _spatial(inputs), ints_of(attrs, "kernel")
    n = len(x) - 2
    stride, dilation, padding = (ints_of(attrs, key) for key in ("stride", "dilation", "padding"))
    if not len(kernel) == len(stride) == len(dilation) == n or len(padding) != 2 * n:
        raise ShapeError(f"{n} spatial dims; kernel {kernel}, stride {stride}, dilation {dilation}, padding {padding}")
    ceil_mode = bool(attrs.get("ceil_mode", False))
    return tuple(
        windows(x[2 + i], kernel[i], stride[i], dilation[i], padding[i], padding[n + i], ceil_mode) for i in range(n)
    )


def _pool(inputs: Inputs, attrs: Attrs) -> Shape:
    return (*_spatial(inputs)[:2], *_slid(inputs, attrs))


def _pool_with_indices(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    return [_pool(inputs, attrs)] * 2


def _unfold(inputs: Inputs, attrs: Attrs) -> Shape:
    x = _spatial(inputs)
    return (x[0], x[1] * prod(ints_of(attrs, "kernel")), prod(_slid(inputs, attrs)))


def _fold(inputs: Inputs, attrs: Attrs) -> Shape:
    x, size = given(inputs, 0), ints_of(attrs, "output_size")
    taps = prod(ints_of(attrs, "kernel"))
    if len(x) != 3 or not 1 <= len(size) <= 3 or taps < 1 or x[1] % taps:
        raise ShapeError(f"fold of {x} with windows of {taps}")
    image = (x[0], x[1] // taps, *size)
    n = len(size)
    full = {"stride": [1] * n, "dilation": [1] * n, "padding": [0] * (2 * n)}
    if prod(_slid([image], {**full, **attrs})) != x[2]:
        raise ShapeError(f"fold of {x} into {size}: another number of windows")
    return image


def _resized(inputs: Inputs, attrs: Attrs) -> Shape:
    x, size = _spatial(inputs), tuple(ints_of(attrs, "output_size"))
    if len(size) != len(x) - 2 or min(size) < 1:
        raise ShapeError(f"{x} to {size}")
    for dim in x[2:]:
        require_elements(dim, "a spatial dim")
    return (*x[:2], *size)


def _max_unpool(inputs: Inputs, attrs: Attrs) -> Shape:
    if given(inputs, 0) != given(inputs, 1):
        raise ShapeError(f"max_unpool of {inputs[0]} with indices {inputs[1]}")
    return _resized(inputs, attrs)


def _fractional_max_pool(inputs: Inputs, attrs: Attrs) -> Shape:
    y, kernel = _resized(inputs, attrs), ints_of(attrs, "kernel")
    x = given(inputs, 0)
    if len(kernel) != len(x) - 2 or min(kernel) < 1:
        raise ShapeError(f"fractional_max_pool of {x} with kernel {kernel}")
    for dim, out, size in zip(x[2:], y[2:], kernel, strict=True):
        if out + size - 1 > dim:
            raise ShapeError(f"{out} windows of {size} do not fit into {dim}")
    return y


def _grid_sample(inputs: Inputs, attrs: Attrs) -> Shape:
    x, grid = _spatial(inputs), given(inputs, 1)
    if len(grid) != len(x) or grid[0] != x[0] or grid[-1] != len(x) - 2:
        raise ShapeError(f"grid_sample of {x} at {grid}")
    return (*x[:2], *grid[1:-1])


def _roi_align(inputs: Inputs, attrs: Attrs) -> Shape:
    x, boxes, batch = given(inputs, 0), given(inputs, 1), given(inputs, 2)
    size = ints_of(attrs, "output_size")
    if len(x) != 4 or len(boxes) != 2 or boxes[1] != 4 or batch != (boxes[0],) or len(size) != 2 or min(size) < 1:
        raise ShapeError(f"roi_align of {x} at {boxes} to {size}")
    if int_of(attrs, "sampling_ratio") < 0:
        raise ShapeError("sampling_ratio is less than 0")
    return (boxes[0], x[1], *size)


def _embedding_bag(inputs: Inputs, attrs: Attrs) -> Shape:
    weight, ids = given(inputs, 0), given(inputs, 1)
    if len(weight) != 2 or len(ids) != 2:
        raise ShapeError(f"embedding_bag of {weight} with ids {ids}")
    require_elements(ids[1], "a bag")
    return (ids[0], weight[1])


def _nms(inputs: Inputs, attrs: Attrs) -> Shape:
    boxes, scores = given(inputs, 0), given(inputs, 1)
    if len(boxes) != 3 or len(scores) != 3 or boxes[2] != 4 or boxes[:2] != (scores[0], scores[2]):
        raise ShapeError(f"nms of boxes {boxes} with scores {scores}")
    return (_size(attrs), 3)


def _multinomial(inputs: Inputs, attrs: Attrs) -> Shape:
    p = given(inputs, 0)
    if len(p) != 2:
        raise ShapeError(f"multinomial of {p}: expected [N, classes]")
    require_elements(p[1], "a choice")
    return (p[0], _size(attrs))


def _bins(inputs: Inputs, attrs: Attrs) -> Shape:
    return (_size(attrs),)


def _unique(inputs: Inputs, attrs: Attrs) -> Shape:
    x, axes = given(inputs, 0), ints_of(attrs, "axes")
    if len(axes) > 1:
        raise ShapeError(f"unique along {axes}")
    if not axes:
        return _bins(inputs, attrs)
    axis = axis_of(axes[0], len(x))
    return (*x[:axis], _size(attrs), *x[axis + 1 :])


def _searchsorted(inputs: Inputs, attrs: Attrs) -> Shape:
    if len(given(inputs, 0)) != 1:
        raise ShapeError(f"searchsorted in {inputs[0]}: expected one dim")
    return given(inputs, 1)


RULES: Mapping[str, Callable[[Inputs, Attrs], Shape | list[Shape]]] = {
    "along_axis": _along_axis,
    "values_and_indices": _values_and_indices,
    "loss": _loss,
    "class_loss": _class_loss,
    "pool": _pool,
    "resize": _resized,
    "top_k": _top_k,
    "glu": _glu,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "local_response_norm": _local_response_norm,
    "weight_norm": _weight_norm,
    "max_pool_with_indices": _pool_with_indices,
    "max_unpool": _max_unpool,
    "fractional_max_pool": _fractional_max_pool,
    "unfold": _unfold,
    "fold": _fold,
    "grid_sample": _grid_sample,
    "roi_align": _roi_align,
    "embedding_bag": _embedding_bag,
    "nms": _nms,
    "multinomial": _multinomial,
    "bincount": _bins,
    "histogram": _bins,
    "unique": _unique,
    "searchsorted": _searchsorted,
}
"""By family, or by op where an op has a rule of its own."""
