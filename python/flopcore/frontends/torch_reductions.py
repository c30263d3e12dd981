"""Norms, pooling, reductions and sorting of PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf, prod
from typing import Any

from flopcore.graph import DimLike, Tensor

from .torch_call import Call, Handler
from .torch_contractions import spread
from .unsupported import NotCountable

__all__: list[str] = []


def _softmax(call: Call) -> Tensor:
    x, axis = call.args[0], call.args[1]
    return call.op("softmax", [call.cast(x, call.dtype)], axis=axis)  # type: ignore[no-any-return]


def _layer_norm(call: Call) -> Any:
    x, sizes = call.args[0], call.get("normalized_shape")
    found = call.op("layer_norm", [x, call.get("weight"), call.get("bias")], normalized_ndim=len(sizes))
    return _with_statistics(call, found)


def _rms_norm(call: Call) -> Tensor:
    x, sizes = call.args[0], call.get("normalized_shape")
    return call.op("rms_norm", [x, call.get("weight")], normalized_ndim=len(sizes))  # type: ignore[no-any-return]


def _batch_norm(call: Call) -> Any:
    x = call.args[0]
    training = bool(call.get("training", call.get("train", False)))
    inputs = [x, call.get("weight"), call.get("bias"), call.get("running_mean"), call.get("running_var")]
    if training:
        inputs[3:] = [None, None]
    return _with_statistics(call, call.op("batch_norm", inputs, mode="train" if training else "eval"))


def _with_statistics(call: Call, found: Tensor) -> Any:
    """Return the output, and constants for the statistics that a native operator gives beside it."""
    rest = [None if each is None else call.constant(each[0], each[1]) for each in call.outputs[1:]]
    return [found, *rest] if rest else found


def _pool(op: str) -> Handler:
    def handle(call: Call) -> Any:
        x, kernel = call.args[0], call.get("kernel_size")
        n = int(call.name.removesuffix("_with_indices")[-2])
        sizes = spread(kernel, n)
        stride = call.get("stride")
        padding = spread(call.get("padding", 0), n)
        batched = x if len(x.shape) == n + 2 else call.reshape(x, (1, *x.shape))
        found = call.op(
            op,
            [batched],
            kernel=sizes,
            stride=sizes if not stride else spread(stride, n),
            padding=[*padding, *padding],
            dilation=spread(call.get("dilation", 1), n),
            ceil_mode=bool(call.get("ceil_mode", False)),
        )
        return _with_statistics(call, found if batched is x else call.reshape(found, call.shape))

    return handle


def _adaptive_average(call: Call) -> Tensor:
    x, size = call.args[0], call.args[1]
    sizes = _spread_sizes(size, x, len(call.shape) - 2)
    return call.op("adaptive_average_pool", [x], output_size=sizes)  # type: ignore[no-any-return]


# ---------------------------------------------------------------------------------------------------- reductions
def _reduce(op: str) -> Handler:
    def handle(call: Call) -> Tensor:
        x = call.args[0]
        axes = call.get("dim")
        axes = list(range(len(x.shape))) if axes is None or axes == [] else [axes] if isinstance(axes, int) else axes
        rank = len(x.shape)
        if not axes or rank == 0:
            return call.cast(x, call.dtype)
        return call.op(  # type: ignore[no-any-return]
            op,
            [call.cast(x, call.dtype)],
            axes=[each % rank for each in axes],
            keepdims=bool(call.get("keepdim", False)),
        )

    return handle


def _extreme(op: str) -> Handler:
    """Max and min: of all elements, of two tensors, or along a dim with the places."""

    def handle(call: Call) -> Any:
        if len(call.outputs) == 2:
            if not call.args[0].shape:
                return _with_statistics(call, call.args[0])
            axis, keep = call.get("dim"), bool(call.get("keepdim", False))
            values = call.op(
                f"reduce_{op}", [call.args[0]], axes=[axis % max(len(call.args[0].shape), 1)], keepdims=keep
            )
            return _with_statistics(call, values)
        if len(call.args) > 1 and isinstance(call.args[1], Tensor):
            return call.op(f"{op}imum", [call.cast(each, call.dtype) for each in call.args[:2]])
        return _reduce(f"reduce_{op}")(call)

    return handle


def _arg(op: str) -> Handler:
    def handle(call: Call) -> Tensor:
        x, axis = call.args[0], call.get("dim")
        if not x.shape:
            return call.constant()
        axes = list(range(len(x.shape))) if axis is None else [axis % len(x.shape)]
        found: Tensor = call.op(op, [x], axes=axes, keepdims=bool(call.get("keepdim", False)))
        return call.reshape(found, call.shape)

    return handle


def _flag(op: str) -> Handler:
    def handle(call: Call) -> Tensor:
        x, axis = call.cast(call.args[0], "bool"), call.get("dim")
        rank = len(x.shape)
        if rank == 0:
            return x
        axes = (
            list(range(rank)) if axis is None else [each % rank for each in ([axis] if isinstance(axis, int) else axis)]
        )
        found: Tensor = call.op(op, [x], axes=axes, keepdims=bool(call.get("keepdim", False)))
        return found

    return handle


def _along(op: str) -> Handler:
    def handle(call: Call) -> Any:
        x = call.cast(call.args[0], call.dtype)
        return call.op(op, [x], axis=call.get("dim", -1) % len(x.shape)) if x.shape else x

    return handle


def _along_with_places(op: str) -> Handler:
    return lambda call: call.ops(op, [call.args[0]], axis=call.get("dim", -1) % max(len(call.args[0].shape), 1))


def _sort(call: Call) -> Any:
    found = call.ops("sort", [call.args[0]], axis=call.get("dim", -1) % len(call.shape))
    return found[1] if call.name == "argsort" else found


def _top_k(call: Call) -> Any:
    return call.ops("top_k", [call.args[0]], axis=call.get("dim", -1) % len(call.shape), size=call.get("k"))


def _group_norm(call: Call) -> Any:
    x, weight, bias = call.args[0], call.get("weight"), call.get("bias")
    groups = call.get("num_groups", call.get("group"))
    return _with_statistics(call, call.op("group_norm", [x, weight, bias], groups=groups))


def _instance_norm(call: Call) -> Tensor:
    """With statistics of its own for each sample, or the running ones, which are one set for all samples."""
    inputs = [call.args[0], call.get("weight"), call.get("bias")]
    found: Tensor
    if call.get("use_input_stats", True):
        found = call.op("instance_norm", inputs)
    else:
        found = call.op("batch_norm", [*inputs, call.get("running_mean"), call.get("running_var")], mode="eval")
    return found


def _adaptive_max(call: Call) -> Any:
    x, size = call.args[:2]
    n = len(call.shape) - 2
    sizes = _spread_sizes(size, x, n)
    return _with_statistics(call, call.op("adaptive_max_pool", [x], output_size=sizes))


def _spread_sizes(size: Any, x: Tensor, n: int) -> list[DimLike]:
    sizes = [size] * n if isinstance(size, int) else list(size)
    return [x.shape[2 + i] if each is None else each for i, each in enumerate(sizes)]


def _interpolate(op: str, **attrs: bool) -> Handler:
    def handle(call: Call) -> Tensor:
        found: Tensor = call.op(op, [call.args[0]], output_size=list(call.shape[2:]), **attrs)
        return found

    return handle


def _unique(call: Call) -> list[Any]:
    """Different elements, or slices along a dim; where they stand and how often costs nothing more."""
    x, axis = call.args[0], call.get("dim") if call.name == "unique_dim" else None
    axes = [] if axis is None else [axis % len(x.shape)]
    found = call.op("unique", [x], size=call.shape[axes[0] if axes else 0], axes=axes)
    return [found, *(None if each is None else call.constant(*each) for each in call.outputs[1:])]


_NORMS = {0: "count_nonzero", 1: "reduce_l1", 2: "reduce_l2"}


def _norm(call: Call) -> Tensor:
    """A norm over all elements or some axes: the greatest or smallest magnitude, the number that are not 0, a root."""
    order = call.get("ord", call.get("p", 2))
    order = 2 if order is None else order
    if order in (inf, -inf):
        magnitude = replace(call, args=[call.op("abs", [call.args[0]]), *call.args[1:]])
        return _reduce("reduce_max" if order > 0 else "reduce_min")(magnitude)  # type: ignore[no-any-return]
    found: Tensor = _reduce(_NORMS.get(order, "reduce_lp"))(call)
    return call.cast(found, call.dtype)


def _moments(op: str) -> Handler:
    """A variance and the mean that it is found with."""
    return lambda call: [_reduce(op)(call), *(call.constant(*each) for each in call.outputs[1:] if each is not None)]


def _ordered(call: Call) -> Any:
    """An element by its rank (median, k-th value, mode): what stands there when all are sorted."""
    x, axis = call.args[0], call.get("dim", -1)
    if len(call.outputs) == 1:
        x, axis = call.reshape(x, (prod(x.shape),)), 0
    if not x.shape:
        return _with_statistics(call, x)
    axis %= len(x.shape)
    values, _ = call.ops("sort", [x], axis=axis)
    picked = call.op("slice", [values], axis=axis, start=0, stop=1)
    return _with_statistics(call, call.reshape(picked, call.shape))


def _search(call: Call) -> Tensor:
    ordered, values = (call.args[1], call.args[0]) if call.name == "bucketize" else call.args[:2]
    if len(ordered.shape) != 1:
        raise NotCountable("a search in several rows")
    if not isinstance(values, Tensor):
        values = call.constant((), ordered.dtype)
    found: Tensor = call.op("searchsorted", [ordered, values])
    return call.cast(found, call.dtype)


def _multinomial(call: Call) -> Tensor:
    x = call.args[0]
    rows = x if len(x.shape) == 2 else call.reshape(x, (1, x.shape[0]))
    return call.reshape(call.op("multinomial", [rows], size=call.shape[-1]), call.shape)


def _histogram(call: Call) -> Tensor:
    found: Tensor = call.op("histogram", [call.args[0]], size=call.get("bins", 100))
    return found


def _bincount(call: Call) -> Tensor:
    found: Tensor = call.op("bincount", [call.args[0]], size=call.shape[0])
    return found


def _loss(op: str) -> Handler:
    def handle(call: Call) -> Tensor:
        reduction = ("none", "mean", "sum")[call.get("reduction", 1)]
        inputs = [call.args[0], call.args[1]]
        if op == "cross_entropy_loss" and "float" in inputs[1].dtype:
            return _soft_cross_entropy(call, reduction)
        if op in ("cross_entropy_loss", "nll_loss"):
            inputs.append(call.get("weight"))
        found: Tensor = call.op(op, inputs, reduction=reduction)
        return found

    return handle


def _soft_cross_entropy(call: Call, reduction: str) -> Tensor:
    """Classes by their chances: -sum of chance times log-softmax over dim 1 (dim 0 of a single sample)."""
    x, chances = call.args[:2]
    axis = min(1, len(x.shape) - 1)
    terms = call.op("mul", [call.op("log_softmax", [x], axis=axis), chances])
    axes = [axis] if reduction == "none" else list(range(len(x.shape)))
    found = call.op("neg", [call.op("reduce_sum", [terms], axes=axes, keepdims=False)])
    return call.op("div", [found, call.constant()]) if reduction == "mean" else found  # type: ignore[no-any-return]


def _weight_norm(call: Call) -> Any:
    """A matrix as lengths times directions, one length for each entry along a dim."""
    v, g = call.args[:2]
    axis = call.get("dim", 0) % len(v.shape)
    found = call.op("weight_norm", [v, call.reshape(g, (v.shape[axis],))], axis=axis)
    return _with_statistics(call, found)


def _distances(call: Call) -> Tensor:
    """Distances of every row of one matrix from every row of another, by their differences."""
    a, b = call.args[:2]
    a, b = call.reshape(a, (*a.shape[:-1], 1, a.shape[-1])), call.reshape(b, (*b.shape[:-2], 1, *b.shape[-2:]))
    return _length(call, call.op("sub", [a, b]), call.get("p", 2.0))


def _length(call: Call, x: Tensor, order: Any, *, keepdims: bool = False) -> Tensor:
    axes, op = [len(x.shape) - 1], _NORMS.get(order, "reduce_lp")
    if order == inf:
        x, op = call.op("abs", [x]), "reduce_max"
    return call.op(op, [x], axes=axes, keepdims=keepdims)  # type: ignore[no-any-return]


def _distance(call: Call) -> Tensor:
    """Distance of rows side by side; a small number is added to each difference."""
    gaps = call.op("add", [call.op("sub", list(call.args[:2])), call.constant()])
    return _length(call, gaps, call.get("p", 2.0), keepdims=bool(call.get("keepdim", False)))


def _distances_within(call: Call) -> Tensor:
    """Distances of each pair of rows of one matrix."""
    width = call.args[0].shape[-1]
    pairs = [call.constant((call.shape[0], width)) for _ in range(2)]
    return _length(call, call.op("sub", pairs), call.get("p", 2.0))


REDUCTIONS: Mapping[str, Handler] = {
    **dict.fromkeys(["softmax", "_softmax"], _softmax),
    **dict.fromkeys(["log_softmax", "_log_softmax"], _along("log_softmax")),
    **dict.fromkeys(["layer_norm", "native_layer_norm"], _layer_norm),
    "rms_norm": _rms_norm,
    **dict.fromkeys(["_weight_norm", "_weight_norm_interface"], _weight_norm),
    **dict.fromkeys(["cdist", "_cdist_forward", "_euclidean_dist"], _distances),
    "pairwise_distance": _distance,
    **dict.fromkeys(["pdist", "_pdist_forward"], _distances_within),
    **dict.fromkeys(["group_norm", "native_group_norm"], _group_norm),
    "instance_norm": _instance_norm,
    **dict.fromkeys(["batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm"], _batch_norm),
    **dict.fromkeys([f"max_pool{n}d{end}" for n in (1, 2, 3) for end in ("", "_with_indices")], _pool("max_pool")),
    **dict.fromkeys([f"avg_pool{n}d" for n in (1, 2, 3)], _pool("average_pool")),
    **dict.fromkeys([f"{mark}adaptive_avg_pool{n}d" for n in (1, 2, 3) for mark in ("", "_")], _adaptive_average),
    **dict.fromkeys([f"adaptive_max_pool{n}d" for n in (1, 2, 3)], _adaptive_max),
    **dict.fromkeys([f"upsample_nearest{n}d" for n in (1, 2, 3)], _interpolate("interpolate_nearest")),
    **dict.fromkeys(
        ["upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"], _interpolate("interpolate_linear")
    ),
    "upsample_bicubic2d": _interpolate("interpolate_cubic"),
    "_upsample_bilinear2d_aa": _interpolate("interpolate_linear", antialias=True),
    "_upsample_bicubic2d_aa": _interpolate("interpolate_cubic", antialias=True),
    **dict.fromkeys(["_unique2", "unique_dim"], _unique),
    "sum": _reduce("reduce_sum"),
    "mean": _reduce("reduce_mean"),
    "prod": _reduce("reduce_prod"),
    "var": _reduce("reduce_var"),
    "std": _reduce("reduce_std"),
    "amax": _reduce("reduce_max"),
    "amin": _reduce("reduce_min"),
    "logsumexp": _reduce("reduce_log_sum_exp"),
    **dict.fromkeys(["norm", "linalg_vector_norm"], _norm),
    "max": _extreme("max"),
    "min": _extreme("min"),
    "argmax": _arg("argmax"),
    "argmin": _arg("argmin"),
    "any": _flag("reduce_any"),
    "all": _flag("reduce_all"),
    "cumsum": _along("cumsum"),
    "cumprod": _along("cumprod"),
    "logcumsumexp": _along("logcumsumexp"),
    "cummax": _along_with_places("cummax"),
    "cummin": _along_with_places("cummin"),
    **dict.fromkeys(["sort", "argsort"], _sort),
    "topk": _top_k,
    **dict.fromkeys(["var_mean"], _moments("reduce_var")),
    **dict.fromkeys(["std_mean"], _moments("reduce_std")),
    **dict.fromkeys(["median", "nanmedian", "kthvalue", "mode"], _ordered),
    **dict.fromkeys(["searchsorted", "bucketize"], _search),
    "count_nonzero": _reduce("count_nonzero"),
    "multinomial": _multinomial,
    "histc": _histogram,
    "bincount": _bincount,
    "cross_entropy_loss": _loss("cross_entropy_loss"),
    **dict.fromkeys(["nll_loss", "nll_loss2d", "nll_loss_nd"], _loss("nll_loss")),
    "mse_loss": _loss("mse_loss"),
    "l1_loss": _loss("l1_loss"),
    "huber_loss": _loss("huber_loss"),
    "smooth_l1_loss": _loss("smooth_l1_loss"),
    "binary_cross_entropy": _loss("bce_loss"),
    "binary_cross_entropy_with_logits": _loss("bce_with_logits_loss"),
}
