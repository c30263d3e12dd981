"""Operators of PyTorch that move, pick or make elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from flopcore.graph import DimLike, Tensor

from .torch_call import Call, Handler
from .unsupported import NotCountable

__all__: list[str] = []


def _view(call: Call) -> Tensor:
    return call.reshape(call.args[0], call.shape)


def _transpose(call: Call) -> Tensor:
    x = call.args[0]
    if x.id in call.stored:
        return call.reshape(x, call.shape)  # a sparse matrix is read the other way
    rank = len(x.shape)
    order = list(range(rank))
    if rank > 1:
        first, second = (call.args[1], call.args[2]) if len(call.args) > 2 else (0, 1)
        order[first], order[second] = order[second], order[first]
    return call.op("transpose", [x], permutation=order)  # type: ignore[no-any-return]


def _permute(call: Call) -> Tensor:
    x, order = call.args[0], call.args[1]
    return call.op("transpose", [x], permutation=[each % len(x.shape) for each in order])  # type: ignore[no-any-return]


def _move_dims(call: Call) -> Tensor:
    """Some dims at other places, the rest in their order."""
    x, source, target = call.args[:3]
    rank = len(x.shape)
    sources, targets = (
        [each % rank for each in ([dims] if isinstance(dims, int) else dims)] for dims in (source, target)
    )
    rest = iter(axis for axis in range(rank) if axis not in sources)
    order = [sources[targets.index(place)] if place in targets else next(rest) for place in range(rank)]
    return x if order == list(range(rank)) else call.op("transpose", [x], permutation=order)  # type: ignore[no-any-return]


def _concat(call: Call) -> Tensor:
    tensors = [each for each in call.args[0] if tuple(each.shape) != (0,)]
    axis = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)
    return call.op("concat", [call.cast(each, call.dtype) for each in tensors], axis=axis)  # type: ignore[no-any-return]


def _stack(call: Call) -> Tensor:
    axis = call.get("dim", 0) % len(call.shape)
    return call.op("stack", [call.cast(each, call.dtype) for each in call.args[0]], axis=axis)  # type: ignore[no-any-return]


def _slice(call: Call) -> Tensor:
    """x[start:end:step]: the length that torch infers says where the slice ends, after clamping."""
    x, axis = call.args[0], call.get("dim", 0) % len(call.args[0].shape)
    size, step, length = x.shape[axis], call.get("step", 1), call.shape[axis]
    if step == 1 and str(length) == str(size):
        return x  # type: ignore[no-any-return]
    if step == 1 and call.get("end", _END) in (None, _END):
        return call.op("slice", [x], axis=axis, start=size - length, stop=size)  # type: ignore[no-any-return]
    start = _place(call.get("start"), size)
    reach = 0 if length == 0 else (length - 1) * step + 1
    return call.op("slice", [x], axis=axis, start=start, stop=start + reach, step=step)  # type: ignore[no-any-return]


_END = 2**63 - 1  # how torch writes a slice without an end


def _place(start: Any, size: DimLike) -> Any:
    """Return where a slice begins: counted from the end if negative, and inside of the dim."""
    if start is None or isinstance(start, Tensor):
        return 0  # a place that the data tells does not change how much is taken
    highest = start if isinstance(start, int) else start.bounds()[1]
    if highest is not None and highest < 0:
        start = start + size
    return min(max(start, 0), size) if isinstance(start, int) and isinstance(size, int) else start


def _slice_scatter(call: Call) -> Tensor:
    """X with a slice of one dim replaced."""
    x, part = call.args[:2]
    if call.get("step", 1) != 1:
        raise NotCountable("a step between the places that are replaced")
    axis = call.get("dim", 0) % len(x.shape)
    return _replaced(call, part, axis, _place(call.get("start"), x.shape[axis]))


def _select_scatter(call: Call) -> Tensor:
    """X with one entry of a dim replaced."""
    x, part, axis, index = call.args[:4]
    axis %= len(x.shape)
    part = call.reshape(part, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return _replaced(call, part, axis, _place(index, x.shape[axis]))


def _replaced(call: Call, part: Tensor, axis: int, start: Any) -> Tensor:
    """The first argument with a part of one dim replaced: what is before it, the new part, what is after."""
    x = call.args[0]
    rest = [(0, start), (start + part.shape[axis], x.shape[axis])]
    before, after = (
        [call.op("slice", [x], axis=axis, start=low, stop=high, step=1)] if str(low) != str(high) else []
        for low, high in rest
    )
    parts = [*before, call.cast(part, x.dtype), *after]
    return call.op("concat", parts, axis=axis) if len(parts) > 1 else parts[0]  # type: ignore[no-any-return]


def _reinterpreted(call: Call) -> Tensor:
    """Pairs of numbers as complex ones, or the other way round: the same bits, no work."""
    return call.constant(call.shape, call.dtype)


def _polar(call: Call) -> Tensor:
    """Radius times cosine and sine of the angle."""
    radius, angle = call.args[:2]
    for op in ("cos", "sin"):
        call.op("mul", [radius, call.op(op, [angle])])
    return _reinterpreted(call)


def _select(call: Call) -> Tensor:
    x, axis, index = call.args
    axis %= len(x.shape)
    index = _place(index, x.shape[axis])
    part = call.op("slice", [x], axis=axis, start=index, stop=index + 1, step=1)
    return call.reshape(part, call.shape)


def _split(call: Call) -> list[Tensor]:
    x = call.args[0]
    axis = call.get("dim", 0) % len(x.shape)
    sizes = [each[0][axis] for each in call.outputs if each is not None]
    return list(call.ops("split", [x], axis=axis, sizes=sizes))


def _unbind(call: Call) -> list[Tensor]:
    x = call.args[0]
    return list(call.ops("unbind", [x], axis=call.get("dim", 0) % len(x.shape)))


def _embedding(call: Call) -> Tensor:
    return call.op("embedding", [call.tensor("weight"), call.tensor("indices")])  # type: ignore[no-any-return]


def _embedding_bag(call: Call) -> Any:
    """Rows added within bags: how many rows there are counts, not which bag they are in."""
    weight, ids, offsets = call.args[:3]
    bags = offsets.shape[0] - (1 if call.get("include_last_offset", False) else 0)
    rows = ids.shape[0]
    if not isinstance(rows, int) or not isinstance(bags, int) or rows % max(bags, 1) or not bags:
        raise NotCountable("bags that do not have equal lengths on average")
    mode = ("sum", "mean", "max")[call.get("mode", 0)]
    found = call.op("embedding_bag", [weight, call.reshape(ids, (bags, rows // bags))], mode=mode)
    return [found, *(None if each is None else call.constant(*each) for each in call.outputs[1:])]


def _grid_sample(call: Call) -> Tensor:
    mode = ("linear", "nearest", "cubic")[call.get("interpolation_mode", 0)]
    return call.op("grid_sample", list(call.args[:2]), mode=mode)  # type: ignore[no-any-return]


def _full(call: Call) -> Tensor:
    found: Tensor = call.op("full", [], shape=list(call.shape), dtype=call.dtype)
    return found


def _full_like(call: Call) -> Tensor:
    """A tensor like another that holds one value; of other dtype or shape it is made anew."""
    x = call.args[0]
    same = x.dtype == call.dtype and tuple(map(str, x.shape)) == tuple(map(str, call.shape))
    return call.op("fill_like", [x]) if same else _full(call)


def _uninitialised(call: Call) -> Tensor:
    """Memory as it is found: nothing is computed and nothing written."""
    return call.constant(call.shape)


def _steps(op: str) -> Handler:
    return lambda call: call.op(op, [], size=call.shape[0], dtype=call.dtype)


def _logspace(call: Call) -> Tensor:
    return call.op("pow", [call.constant(), _steps("linspace")(call)])  # type: ignore[no-any-return]


def _eye(call: Call) -> Tensor:
    found: Tensor = call.op("eye", [], shape=list(call.shape), dtype=call.dtype)
    return found


def _expand(call: Call) -> Tensor:
    found: Tensor = call.op("expand", [call.args[0]], shape=list(call.shape))
    return found


def _repeated(call: Call) -> Tensor:
    """Each slice as often as the others; how often may be a tensor, whose sum the shape tells."""
    x, axis = call.args[0], call.get("dim")
    if axis is None:
        x, axis = call.reshape(x, (prod(x.shape),)), 0
    times = call.get("repeats")
    if isinstance(times, Tensor):
        return call.op("gather", [x, call.constant((call.shape[axis],), "int64")], axis=axis)  # type: ignore[no-any-return]
    return call.op("repeat_interleave", [x], axis=axis % len(x.shape), size=times)  # type: ignore[no-any-return]


def _tile(call: Call) -> Tensor:
    x, repeats = call.args[0], list(call.args[1])
    x = call.reshape(x, [1] * (len(repeats) - len(x.shape)) + list(x.shape))
    found: Tensor = call.op("tile", [x], repeats=[1] * (len(x.shape) - len(repeats)) + repeats)
    return found


def _cast(call: Call) -> Tensor:
    """Another dtype; nothing if it is the same, unless a copy is asked for."""
    x = call.args[0]
    assert isinstance(x, Tensor)
    return _clone(call) if call.get("copy", False) else call.cast(x, call.dtype)


def _clone(call: Call) -> Tensor:
    """A copy, which a conversion is too."""
    x = call.args[0]
    return call.op("clone", [x]) if x.dtype == call.dtype else call.cast(x, call.dtype)


def _copy(call: Call) -> Tensor:
    """What stands in one tensor is overwritten by another, broadcast and converted."""
    source: Tensor = call.op("expand", [call.args[1]], shape=list(call.shape))
    return call.op("clone", [source]) if source.dtype == call.dtype else call.cast(source, call.dtype)


def _nothing(call: Call) -> None:
    return None


def _index(call: Call) -> Tensor:
    """x[i, :, j ...]: tensors of places broadcast with each other, None keeps a dim whole."""
    x, places = call.args[0], list(call.args[1])
    if isinstance(places[0], Tensor) and places[0].dtype == "bool" and len(places) == 1:
        return _masked(call, x, places[0])
    if any(isinstance(each, Tensor) and each.dtype == "bool" for each in places):
        raise NotCountable("a mask of some dims among other places")
    given = [axis for axis, each in enumerate(places) if each is not None]
    if len(given) == 1:
        found: Tensor = call.op("gather", [x, places[given[0]]], axis=given[0])
        return call.reshape(found, call.shape)
    # Places in several dims: one pick for each element of the output.
    flat = call.reshape(x, (prod(x.shape),))
    picks = call.constant(call.shape, "int64")
    return call.op("gather", [flat, picks], axis=0)  # type: ignore[no-any-return]


def _picked(call: Call) -> Tensor:
    """One pick for each element of the output, wherever it stands (diagonals, windows, strides)."""
    x = call.args[0]
    flat = call.reshape(x, (prod(x.shape),))
    return call.op("gather", [flat, call.constant(call.shape, "int64")], axis=0)  # type: ignore[no-any-return]


def _masked(call: Call, x: Tensor, mask: Tensor) -> Tensor:
    """What a mask keeps: it is searched, and the rest of the dims is picked; how much that is is a dim."""
    if len(mask.shape) == len(x.shape):
        return call.op("masked_select", [x, mask], size=call.shape[0])  # type: ignore[no-any-return]
    kept = call.op("masked_select", [call.constant(mask.shape, "int64"), mask], size=call.shape[0])
    rows = call.reshape(x, (prod(mask.shape), *x.shape[len(mask.shape) :]))
    return call.op("gather", [rows, kept], axis=0)  # type: ignore[no-any-return]


def _masked_select(call: Call) -> Tensor:
    x, mask = call.args[:2]
    shape = mask.shape if len(mask.shape) > len(x.shape) else x.shape
    x, mask = (call.op("expand", [each], shape=list(shape)) for each in (x, mask))
    return _masked(call, x, mask)


def _overwritten(call: Call) -> Tensor:
    """A copy in which a slice, a row or a diagonal is replaced."""
    x, updates = call.args[:2]
    count = prod(updates.shape)
    flat, places = call.reshape(x, (prod(x.shape),)), call.constant((count,), "int64")
    source = call.cast(call.reshape(updates, (count,)), x.dtype)
    found = call.op("index_update", [flat, places, source], axis=0, reduction="none")
    return call.reshape(found, x.shape)


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


_REDUCTIONS = {"sum": "add", "mean": "add", "prod": "mul", "amax": "max", "amin": "min"}


def _scatter_reduce(call: Call) -> Tensor:
    """Updates joined with what stands at their places; a mean counts how many there are, and divides."""
    x, axis, places, updates = call.args[:4]
    kind, axis = call.get("reduce"), axis % max(len(x.shape), 1)
    attrs: dict[str, Any] = {"axis": axis, "reduction": _REDUCTIONS[kind]}
    found: Tensor = call.op("scatter", [x, places, updates], **attrs)
    if kind == "mean":
        counts = call.op("scatter", [call.constant(x.shape), places, call.constant(places.shape)], **attrs)
        found = call.op("div", [found, counts])
    return found


def _masked_scatter(call: Call) -> Tensor:
    """The next element of another tensor wherever a mask holds."""
    x, mask, source = call.args[:3]
    flat = call.reshape(source, (prod(source.shape),))
    next_ones = call.op("gather", [flat, call.constant(call.shape, "int64")], axis=0)
    return call.op("where", [call.op("expand", [mask], shape=list(call.shape)), next_ones, x])  # type: ignore[no-any-return]


def _diagonal_matrix(call: Call) -> Tensor:
    if call.get("diagonal", 0) != 0:
        raise NotCountable("a diagonal beside the main one")
    return call.op("diag", [call.args[0]])  # type: ignore[no-any-return]


def _broadcast(call: Call) -> list[Tensor]:
    return [call.op("expand", [each], shape=list(call.shape)) for each in call.args[0]]


def _index_add(call: Call) -> Tensor:
    x, axis, places, updates = call.args[:4]
    if not x.shape:
        raise NotCountable("places in a single number")
    reduction = "add" if call.name == "index_add" else "none"
    found: Tensor = call.op("index_update", [x, places, updates], axis=axis % len(x.shape), reduction=reduction)
    return found


def _index_put(call: Call) -> Tensor:
    """x[i, j ...] = values: one assignment (or addition) for each element that is put."""
    x, places, values = call.args[:3]
    tensors = [each for each in places if isinstance(each, Tensor)]
    reduction = "add" if call.get("accumulate", False) else "none"
    if len(tensors) == len(x.shape) and not any(each.dtype == "bool" for each in tensors):
        return _put_elements(call, x, tensors, values, reduction)
    if len(tensors) != 1 or tensors[0].dtype == "bool":
        raise NotCountable("places in some of several dims, or a mask")
    axis = places.index(tensors[0])
    shape = [*x.shape[:axis], *tensors[0].shape, *x.shape[axis + 1 :]]
    values = call.op("expand", [call.cast(values, x.dtype)], shape=shape)
    found: Tensor = call.op("index_update", [x, tensors[0], values], axis=axis, reduction=reduction)
    return found


def _put_elements(call: Call, x: Tensor, places: Sequence[Tensor], values: Tensor, reduction: str) -> Tensor:
    """Places in every dim, broadcast with each other."""
    rank = max(len(each.shape) for each in places)
    shape: list[DimLike] = [1] * rank
    for each in places:
        for i, size in enumerate(each.shape, start=rank - len(each.shape)):
            shape[i] = size if shape[i] == 1 else shape[i]
    source = call.op("expand", [call.cast(values, x.dtype)], shape=shape)
    count = prod(shape)
    flat, where = call.reshape(x, (prod(x.shape),)), call.constant((count,), "int64")
    found = call.op("index_update", [flat, where, call.reshape(source, (count,))], axis=0, reduction=reduction)
    return call.reshape(found, x.shape)


def _columns(call: Call) -> Tensor:
    """Windows as columns (`torch.nn.Unfold`), or columns added up in an image (`torch.nn.Fold`)."""
    x, folds = call.args[0], call.name == "col2im"
    n = len(call.get("kernel_size"))
    batched = x if len(x.shape) == (3 if folds else n + 2) else call.reshape(x, (1, *x.shape))
    attrs: dict[str, Any] = {name: list(call.get(name)) for name in ("stride", "dilation")}
    padding = list(call.get("padding"))
    attrs |= {"kernel": list(call.get("kernel_size")), "padding": [*padding, *padding]}
    if folds:
        attrs["output_size"] = list(call.get("output_size"))
    return call.reshape(call.op("fold" if folds else "unfold", [batched], **attrs), call.shape)


def _windows_added(call: Call) -> Tensor:
    """Windows along a dim, added up where they overlap: the gradient of `unfold`, and how `istft` ends."""
    updates, size = call.args[0], prod(call.shape)
    count = prod(updates.shape)
    table, places = call.constant((size,)), call.constant((count,), "int64")
    found = call.op("index_update", [table, places, call.reshape(updates, (count,))], axis=0, reduction="add")
    return call.reshape(found, call.shape)


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


# Layouts are not followed: `contiguous` after a transpose is the movement that the transpose counts.
_CONVERSIONS = """
    contiguous detach alias lift_fresh positive to type_as float half bfloat16 double _autocast_to_full_precision
    requires_grad real resolve_conj resolve_neg
"""
_CLONES = "clone detach_copy alias_copy lift_fresh_copy _to_copy"
_CHECKS = """
    _assert_tensor_metadata _assert_scalar _assert_async sym_constrain_range sym_constrain_range_for_size
    _check_is_size
"""
_VIEWS = """
    view _unsafe_view reshape flatten unflatten unsqueeze squeeze view_as reshape_as ravel atleast_1d atleast_2d
    atleast_3d
"""
_SPLITS = "split split_with_sizes chunk tensor_split unsafe_chunk unsafe_split unsafe_split_with_sizes"
_PICKS = "diagonal diagonal_copy unfold unfold_copy as_strided as_strided_copy take"
_FULL = "zeros ones full new_zeros new_ones new_full scalar_tensor tensor tril_indices triu_indices"
_FULL_LIKE = "zeros_like ones_like full_like fill zero"
_UNINITIALISED = "empty empty_like empty_strided empty_permuted new_empty new_empty_strided"

LAYOUT: Mapping[str, Handler] = {
    **dict.fromkeys(_VIEWS.split(), _view),
    **dict.fromkeys(["expand", "expand_as", "broadcast_to"], _expand),
    **dict.fromkeys(["repeat", "tile"], _tile),
    "repeat_interleave": _repeated,
    **dict.fromkeys(_CONVERSIONS.split(), _cast),
    **dict.fromkeys(_CLONES.split(), _clone),
    "copy": _copy,
    **dict.fromkeys(_CHECKS.split(), _nothing),
    **dict.fromkeys(["transpose", "t", "numpy_T", "mT", "swapaxes"], _transpose),
    **dict.fromkeys(["permute", "permute_copy"], _permute),
    **dict.fromkeys(["movedim", "moveaxis"], _move_dims),
    **dict.fromkeys(["cat", "concat", "concatenate"], _concat),
    "stack": _stack,
    **dict.fromkeys(["slice", "narrow", "narrow_copy"], _slice),
    "slice_scatter": _slice_scatter,
    "select_scatter": _select_scatter,
    **dict.fromkeys(["view_as_complex", "view_as_real"], _reinterpreted),
    "polar": _polar,
    **dict.fromkeys(["select", "select_copy"], _select),
    **dict.fromkeys(_SPLITS.split(), _split),
    "unbind": _unbind,
    "embedding": _embedding,
    **dict.fromkeys(["index", "_unsafe_index"], _index),
    **dict.fromkeys(_PICKS.split(), _picked),
    **dict.fromkeys(["select_scatter", "diagonal_scatter", "as_strided_scatter"], _overwritten),
    "masked_select": _masked_select,
    **dict.fromkeys(["embedding_bag", "_embedding_bag", "_embedding_bag_forward_only"], _embedding_bag),
    **dict.fromkeys(["grid_sampler", "grid_sampler_2d", "grid_sampler_3d"], _grid_sample),
    "index_select": _index_select,
    "gather": _take_along,
    **dict.fromkeys(["scatter", "scatter_add"], _scatter),
    "scatter_reduce": _scatter_reduce,
    "masked_scatter": _masked_scatter,
    "broadcast_tensors": _broadcast,
    "diag": _diagonal_matrix,
    **dict.fromkeys(["index_add", "index_copy"], _index_add),
    **dict.fromkeys(["index_put", "_unsafe_index_put"], _index_put),
    **dict.fromkeys(["im2col", "col2im"], _columns),
    "unfold_backward": _windows_added,
    "one_hot": _one_hot,
    **dict.fromkeys(["pad", "constant_pad_nd", "reflection_pad2d", "replication_pad2d"], _pad),
    "roll": _moved("roll", "dims"),
    "flip": _moved("flip", "dims"),
    "tril": _triangle("tril"),
    "triu": _triangle("triu"),
    **dict.fromkeys(["rand", "rand_like", "uniform", "exponential", "cauchy"], _random("random_uniform")),
    **dict.fromkeys(["randn", "randn_like", "normal", "normal_functional", "log_normal"], _random("random_normal")),
    **dict.fromkeys(["randint", "randint_like", "random", "geometric", "randperm"], _random("random_integers")),
    **dict.fromkeys(_FULL.split(), _full),
    **dict.fromkeys(_FULL_LIKE.split(), _full_like),
    **dict.fromkeys(_UNINITIALISED.split(), _uninitialised),
    "arange": _steps("arange"),
    "linspace": _steps("linspace"),
    "logspace": _logspace,
    "eye": _eye,
}
