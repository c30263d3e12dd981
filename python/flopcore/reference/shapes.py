"""Output shapes of every op over plain ints: NumPy's and PyTorch's documented rules, nothing shared with C++."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TypeAlias, cast

from flopcore.errors import ShapeError
from flopcore.specification import specification

from . import layout_shapes, reduction_shapes

__all__ = ["Attr", "Shape", "broadcast", "infer", "infer_all"]

Shape: TypeAlias = tuple[int, ...]
Attr: TypeAlias = "int | bool | str | list[int]"
Inputs: TypeAlias = Sequence[Shape | None]
Attrs: TypeAlias = Mapping[str, Attr]


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


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """Return the common shape of several shapes, aligned at the last dim, a 1 stretching to anything."""
    rank = max(len(shape) for shape in shapes)
    result = []
    for position in range(rank):
        sizes = {shape[position - rank] for shape in shapes if len(shape) >= rank - position}
        wide = sizes - {1}
        if len(wide) > 1:
            raise ShapeError(f"shapes {' and '.join(map(str, shapes))} do not broadcast")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def _given(inputs: Inputs, index: int) -> Shape:
    shape = inputs[index]
    if shape is None:
        raise ShapeError(f"input {index} is required")
    return shape


def _int(attrs: Attrs, key: str) -> int:
    return cast("int", attrs[key])


def _ints(attrs: Attrs, key: str) -> list[int]:
    return cast("list[int]", attrs[key])


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} does not exist in {rank} dims")
    return axis % rank


def _reduced(size: int, what: str) -> None:
    if size == 0:
        raise ShapeError(f"{what} is a reduction over no elements")


def _elementwise(inputs: Inputs, attrs: Attrs) -> Shape:
    return broadcast([_given(inputs, index) for index in range(len(inputs))])


def _matmul(inputs: Inputs, attrs: Attrs) -> Shape:
    a, b = _given(inputs, 0), _given(inputs, 1)
    if not a or not b:
        raise ShapeError("matmul needs at least one dim")
    left = (1, *a) if len(a) == 1 else a
    right = (*b, 1) if len(b) == 1 else b
    if left[-1] != right[-2]:
        raise ShapeError(f"matmul of {a} and {b}: {left[-1]} columns, {right[-2]} rows")
    _reduced(left[-1], "matmul")
    result = (*broadcast([left[:-2], right[:-2]]), left[-2], right[-1])
    if len(b) == 1:
        result = result[:-1]
    if len(a) == 1:
        result = (*result[:-2], result[-1]) if len(b) > 1 else result[:-1]
    return result


def _linear(inputs: Inputs, attrs: Attrs) -> Shape:
    x, weight, bias = _given(inputs, 0), _given(inputs, 1), inputs[2]
    if not x or len(weight) != 2 or x[-1] != weight[1]:
        raise ShapeError(f"linear of {x} with weight {weight}")
    if bias is not None and bias != (weight[0],):
        raise ShapeError(f"linear: bias {bias} for {weight[0]} outputs")
    _reduced(x[-1], "linear")
    return (*x[:-1], weight[0])


def _windows(size: int, kernel: int, stride: int, dilation: int, begin: int, end: int, ceil_mode: bool) -> int:
    """Return the number of window positions along one dim."""
    if kernel < 1 or stride < 1 or dilation < 1 or begin < 0 or end < 0:
        raise ShapeError(f"kernel {kernel}, stride {stride}, dilation {dilation}, padding {begin} and {end}")
    room = size + begin + end - dilation * (kernel - 1) - 1
    if ceil_mode and end > dilation * (kernel - 1):
        raise ShapeError(
            f"end padding {end} holds a window of {dilation * (kernel - 1) + 1}, which ceil_mode cannot have"
        )
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + begin:
        count -= 1
    if count < 1:
        raise ShapeError(
            f"a window of {dilation * (kernel - 1) + 1} does not fit into {size} padded by {begin} + {end}"
        )
    return count


def _slide(spatial: Shape, kernel: Sequence[int], attrs: Attrs, *, ceil_mode: bool) -> Shape:
    rank = len(spatial)
    stride, dilation, padding = _ints(attrs, "stride"), _ints(attrs, "dilation"), _ints(attrs, "padding")
    if not len(kernel) == len(stride) == len(dilation) == rank or len(padding) != 2 * rank:
        raise ShapeError(
            f"{rank} spatial dims; kernel {kernel}, stride {stride}, dilation {dilation}, padding {padding}"
        )
    return tuple(
        _windows(spatial[i], kernel[i], stride[i], dilation[i], padding[i], padding[rank + i], ceil_mode)
        for i in range(rank)
    )


def _conv(inputs: Inputs, attrs: Attrs) -> Shape:
    x, weight, bias = _given(inputs, 0), _given(inputs, 1), inputs[2]
    groups = _int(attrs, "groups")
    if len(x) not in (3, 4, 5) or len(weight) != len(x):
        raise ShapeError(f"conv of {x} with weight {weight}")
    if groups < 1 or weight[0] % groups or x[1] != weight[1] * groups:
        raise ShapeError(f"conv of {x} with weight {weight} in {groups} groups")
    if bias is not None and bias != (weight[0],):
        raise ShapeError(f"conv: bias {bias} for {weight[0]} outputs")
    _reduced(weight[1], "conv")
    return (x[0], weight[0], *_slide(x[2:], weight[2:], attrs, ceil_mode=False))


def _attention(inputs: Inputs, attrs: Attrs) -> Shape:
    q, k, v, mask = _given(inputs, 0), _given(inputs, 1), _given(inputs, 2), inputs[3]
    if not len(q) == len(k) == len(v) == 4:
        raise ShapeError(f"attention needs four dims: {q}, {k}, {v}")
    if not (q[0] == k[0] == v[0] and q[3] == k[3] and k[2] == v[2] and k[1] == v[1]):
        raise ShapeError(f"attention of {q}, {k}, {v}")
    if k[1] == 0 or q[1] % k[1]:
        raise ShapeError(f"attention: {q[1]} query heads, {k[1]} key heads")
    scores = (q[0], q[1], q[2], k[2])
    if mask is not None and (len(mask) > 4 or broadcast([mask, scores]) != scores):
        raise ShapeError(f"attention: mask {mask} for scores {scores}")
    _reduced(q[3], "attention (head size)")
    _reduced(k[2], "attention (keys)")
    return (*q[:3], v[3])


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
    **layout_shapes.RULES,
    **reduction_shapes.RULES,
    "matmul": _matmul,
    "linear": _linear,
    "conv": _conv,
    "attention": _attention,
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
