"""Operators of PyTorch that move, pick or make elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from flopcore.expr import Expr
from flopcore.graph import DimLike, Tensor

from .torch_call import Call, Handler, NotCountable

__all__: list[str] = []


def _view(call: Call) -> Tensor:
    return call.reshape(call.args[0], call.shape)


def _transpose(call: Call) -> Tensor:
    x = call.args[0]
    rank = len(x.shape)
    order = list(range(rank))
    if rank > 1:
        first, second = (call.args[1], call.args[2]) if len(call.args) > 2 else (0, 1)
        order[first], order[second] = order[second], order[first]
    return call.op("transpose", [x], permutation=order)  # type: ignore[no-any-return]


def _permute(call: Call) -> Tensor:
    x, order = call.args[0], call.args[1]
    return call.op("transpose", [x], permutation=[each % len(x.shape) for each in order])  # type: ignore[no-any-return]


def _concat(call: Call) -> Tensor:
    tensors = [each for each in call.args[0] if tuple(each.shape) != (0,)]
    axis = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)
    return call.op("concat", [call.cast(each, call.dtype) for each in tensors], axis=axis)  # type: ignore[no-any-return]


def _stack(call: Call) -> Tensor:
    axis = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)
    axis %= len(call.shape)
    parts = []
    for each in call.args[0]:
        shape = list(each.shape)
        shape.insert(axis, 1)
        parts.append(call.reshape(each, shape))
    return call.op("concat", parts, axis=axis)  # type: ignore[no-any-return]


def _slice(call: Call) -> Tensor:
    x, axis = call.args[0], call.get("dim", 0) % len(call.args[0].shape)
    size, step = x.shape[axis], call.get("step", 1)
    start, stop = call.get("start"), call.get("end")
    start = 0 if start is None else start
    if isinstance(start, int) and start < 0:
        start = size + start
    length = call.shape[axis]
    if step == 1 and str(length) == str(size):
        return x  # type: ignore[no-any-return]
    del stop  # torch has clamped it: the length says where the slice ends
    end = start + length if step == 1 else start + (length - 1) * step + 1
    return call.op("slice", [x], axis=axis, start=start, stop=end, step=step)  # type: ignore[no-any-return]


def _select(call: Call) -> Tensor:
    x, axis, index = call.args
    axis %= len(x.shape)
    if isinstance(index, int) and index < 0:
        index = x.shape[axis] + index
    part = call.op("slice", [x], axis=axis, start=index, stop=index + 1, step=1)
    return call.reshape(part, call.shape)


def _parts(call: Call, x: Tensor, axis: int, sizes: Sequence[DimLike]) -> list[Tensor]:
    axis %= len(x.shape)
    found: list[Tensor] = []
    start: DimLike = 0
    for size in sizes:
        stop = start + size
        assert isinstance(stop, int | Expr)
        found.append(call.op("slice", [x], axis=axis, start=start, stop=stop, step=1))
        start = stop
    return found


def _split(call: Call) -> list[Tensor]:
    x = call.args[0]
    axis = call.get("dim", 0) % len(x.shape)
    return _parts(call, x, axis, [each[0][axis] for each in call.outputs if each is not None])


def _unbind(call: Call) -> list[Tensor]:
    x = call.args[0]
    axis = call.get("dim", 0) % len(x.shape)
    parts = _parts(call, x, axis, [1] * len(call.outputs))
    return [call.reshape(part, each[0]) for part, each in zip(parts, call.outputs, strict=True) if each is not None]


def _embedding(call: Call) -> Tensor:
    return call.op("embedding", [call.tensor("weight"), call.tensor("indices")])  # type: ignore[no-any-return]


def _filled(call: Call) -> Tensor:
    return call.constant(call.shape)


def _expand(call: Call) -> Tensor:
    found: Tensor = call.op("expand", [call.args[0]], shape=list(call.shape))
    return found


def _tile(call: Call) -> Tensor:
    x, repeats = call.args[0], list(call.args[1])
    x = call.reshape(x, [1] * (len(repeats) - len(x.shape)) + list(x.shape))
    found: Tensor = call.op("tile", [x], repeats=[1] * (len(x.shape) - len(repeats)) + repeats)
    return found


def _cast(call: Call) -> Tensor:
    x = call.args[0]
    assert isinstance(x, Tensor)
    return call.cast(x, call.dtype)


def _nothing(call: Call) -> None:
    return None


def _index(call: Call) -> Tensor:
    """x[i, :, j ...]: tensors of places broadcast with each other, None keeps a dim whole."""
    x, places = call.args[0], list(call.args[1])
    if any(isinstance(each, Tensor) and each.dtype == "bool" for each in places):
        raise NotCountable("the number of elements that a mask keeps depends on the data")
    given = [axis for axis, each in enumerate(places) if each is not None]
    if len(given) == 1:
        found: Tensor = call.op("gather", [x, places[given[0]]], axis=given[0])
        return call.reshape(found, call.shape)
    # Places in several dims: one pick for each element of the output.
    flat = call.reshape(x, (prod(x.shape),))
    picks = call.constant(call.shape, "int64")
    return call.op("gather", [flat, picks], axis=0)  # type: ignore[no-any-return]


def _index_select(call: Call) -> Tensor:
    x, axis, places = call.args[:3]
    found: Tensor = call.op("gather", [x, places], axis=axis % len(x.shape))
    return found


def _take_along(call: Call) -> Tensor:
    x, axis, places = call.args[:3]
    found: Tensor = call.op("take_along", [x, places], axis=axis % max(len(x.shape), 1))
    return found


def _scatter(call: Call) -> Tensor:
    x, axis, places, updates = call.args[:4]
    if not isinstance(updates, Tensor):
        updates = call.constant(places.shape, x.dtype)
    if tuple(map(str, updates.shape)) != tuple(map(str, places.shape)):
        raise NotCountable("updates of another shape than their places")
    reduction = "add" if call.name == "scatter_add" else "none"
    found: Tensor = call.op("scatter", [x, places, updates], axis=axis % max(len(x.shape), 1), reduction=reduction)
    return found


def _index_add(call: Call) -> Tensor:
    x, axis, places, updates = call.args[:4]
    reduction = "add" if call.name == "index_add" else "none"
    found: Tensor = call.op("index_update", [x, places, updates], axis=axis % len(x.shape), reduction=reduction)
    return found


def _index_put(call: Call) -> Tensor:
    """x[i, j ...] = values: one assignment (or addition) for each element that is put."""
    x, places, values = call.args[:3]
    tensors = [each for each in places if isinstance(each, Tensor)]
    if len(tensors) != 1 or tensors[0].dtype == "bool":
        raise NotCountable("places in several dims, or a mask")
    axis = places.index(tensors[0])
    shape = [*x.shape[:axis], *tensors[0].shape, *x.shape[axis + 1 :]]
    values = call.op("expand", [call.cast(values, x.dtype)], shape=shape)
    reduction = "add" if call.get("accumulate", False) else "none"
    found: Tensor = call.op("index_update", [x, tensors[0], values], axis=axis, reduction=reduction)
    return found


def _one_hot(call: Call) -> Tensor:
    found: Tensor = call.op("one_hot", [call.args[0]], axis=-1, size=call.shape[-1], dtype=call.dtype)
    return found


def _pad(call: Call) -> Tensor:
    """Torch lists (begin, end) from the last dim backwards."""
    x, sizes = call.args[0], list(call.args[1])
    rank = len(x.shape)
    begins: list[Any] = [0] * rank
    ends: list[Any] = [0] * rank
    for i in range(len(sizes) // 2):
        begins[rank - 1 - i], ends[rank - 1 - i] = sizes[2 * i], sizes[2 * i + 1]
    found: Tensor = call.op("pad", [x], padding=[*begins, *ends])
    return found


def _moved(op: str, argument: str) -> Handler:
    def handle(call: Call) -> Tensor:
        x, axes = call.args[0], call.get(argument) or list(range(len(call.shape)))
        axes = [axes] if isinstance(axes, int) else axes
        found: Tensor = call.op(op, [x], axes=[each % len(x.shape) for each in axes])
        return found

    return handle


def _triangle(op: str) -> Handler:
    return lambda call: call.op(op, [call.args[0]])


def _random(op: str) -> Handler:
    return lambda call: call.op(op, [], shape=list(call.shape), dtype=call.dtype)


_COPIES = """
    contiguous clone detach detach_copy alias lift_fresh_copy lift_fresh positive _to_copy to type_as float half
    bfloat16 double _autocast_to_full_precision requires_grad real fill copy
"""
_CHECKS = """
    _assert_tensor_metadata _assert_scalar _assert_async sym_constrain_range sym_constrain_range_for_size
    _check_is_size
"""
_MAKERS = """
    arange zeros ones full empty zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty
    scalar_tensor linspace eye tensor
"""

LAYOUT: Mapping[str, Handler] = {
    **dict.fromkeys(
        ["view", "_unsafe_view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "view_as", "reshape_as"],
        _view,
    ),
    **dict.fromkeys(["expand", "expand_as", "broadcast_to"], _expand),
    **dict.fromkeys(["repeat", "tile"], _tile),
    **dict.fromkeys(
        _COPIES.split(),
        _cast,
    ),
    **dict.fromkeys(
        _CHECKS.split(),
        _nothing,
    ),
    **dict.fromkeys(["transpose", "t", "numpy_T", "mT", "swapaxes"], _transpose),
    "permute": _permute,
    **dict.fromkeys(["cat", "concat", "concatenate"], _concat),
    "stack": _stack,
    **dict.fromkeys(["slice", "narrow"], _slice),
    "select": _select,
    **dict.fromkeys(["split", "split_with_sizes", "chunk", "tensor_split"], _split),
    "unbind": _unbind,
    "embedding": _embedding,
    "index": _index,
    "index_select": _index_select,
    "gather": _take_along,
    **dict.fromkeys(["scatter", "scatter_add"], _scatter),
    **dict.fromkeys(["index_add", "index_copy"], _index_add),
    "index_put": _index_put,
    "one_hot": _one_hot,
    **dict.fromkeys(["pad", "constant_pad_nd", "reflection_pad2d", "replication_pad2d"], _pad),
    "roll": _moved("roll", "dims"),
    "flip": _moved("flip", "dims"),
    "tril": _triangle("tril"),
    "triu": _triangle("triu"),
    **dict.fromkeys(["rand", "rand_like"], _random("random_uniform")),
    **dict.fromkeys(["randn", "randn_like"], _random("random_normal")),
    **dict.fromkeys(
        _MAKERS.split(),
        _filled,
    ),
}
