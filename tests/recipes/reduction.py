"""Recipes of norms, softmax, pools and reductions."""

from __future__ import annotations

from math import prod
from typing import Any

from .contraction import windowed, windows
from .recipe import Recipe, Value


def along_axis(r: Recipe, op: str) -> Value:
    x = r.any_tensor()
    attrs: dict[str, Any] = {}
    r.option(attrs, "axis", [r.axis(len(x.dims))[1]])
    return r.node(op, [x], attrs, x.dims)


def batch_norm(r: Recipe, op: str) -> Value:
    x = r.existing(
        lambda value: 2 <= len(value.dims) <= 5 and value.dims[1] is not None and min(value.least) > 0,
        lambda: r.leaf([r.dim(), r.dim(), *(r.dim() for _ in range(r.choose.integer(0, 2)))], dtype=r.dtype()),
    )
    channels = x.dims[1]
    assert channels is not None
    vectors = [r.weight([channels], x.dtype, one_in=3) for _ in range(4)]
    attrs: dict[str, Any] = {}
    r.option(attrs, "mode", ("eval", "train"))
    return r.node(op, [x, *vectors], attrs, x.dims)


def row_norm(r: Recipe, op: str) -> Value:
    x = r.existing(
        lambda value: value.known and 1 <= len(value.dims) <= 4 and min(value.least) > 0,
        lambda: r.leaf([r.dim() for _ in range(r.size(1, 4))], dtype=r.dtype()),
    )
    count = r.choose.integer(1, len(x.dims))
    weights = [r.weight(x.texts[-count:], x.dtype) for _ in range(2 if op == "layer_norm" else 1)]
    r.mark(op, several=count > 1)
    attrs = {"normalized_ndim": count} if count > 1 or r.flip() else {}
    return r.node(op, [x, *weights], attrs, x.dims)


def pool(r: Recipe, op: str) -> Value:
    x = r.image(r.size(1, 3))
    attrs, kernel = windows(r, op, x)
    attrs["kernel"] = kernel
    r.option(attrs, "ceil_mode", (True, False))
    channels = x.dims[1]
    assert channels is not None
    return windowed(r, op, [x], attrs, channels)


def adaptive(r: Recipe, op: str) -> Value:
    n = r.size(1, 3)
    x = r.existing(
        lambda value: len(value.dims) == n + 2 and value.known and min(value.least) > 0 and prod(value.least) < 10**5,
        lambda: r.leaf([r.dim(), r.size(), *(r.spatial() for _ in range(n))], dtype=r.dtype()),
    )
    # Window lengths have no closed form in a symbol unless the parts are all equal.
    sizes: list[int] = [
        r.pick((1, r.size(1, 6))) if isinstance(dim, int) else (r.pick((1, 2, 4)) if dim == "side" else 1)
        for dim in x.dims[2:]
    ]
    if r.chance(3):
        sizes = [1] * n
    r.mark(op, dims=n, **{"global": max(sizes) == 1})
    return r.node(op, [x], {"output_size": sizes}, [*x.dims[:2], *sizes])


def reduce(r: Recipe, op: str) -> Value:
    x = r.any_tensor(0)
    axes = [axis for axis in range(len(x.dims)) if r.flip()]
    attrs: dict[str, Any] = {}
    r.option(attrs, "keepdims", (True, False))
    if r.chance(4):
        axes = list(range(len(x.dims)))
    if len(axes) < len(x.dims) or r.flip():
        attrs["axes"] = [axis - len(x.dims) if r.flip() else axis for axis in axes]
    keep = attrs.get("keepdims", False)
    return r.node(
        op, [x], attrs, [1 if axis in axes else dim for axis, dim in enumerate(x.dims) if keep or axis not in axes]
    )


RECIPES = {
    "softmax": along_axis, "batch_norm": batch_norm, "layer_norm": row_norm, "rms_norm": row_norm,
    "max_pool": pool, "average_pool": pool, "adaptive_average_pool": adaptive,
    "reduce_sum": reduce, "reduce_mean": reduce, "reduce_max": reduce,
}  # fmt: skip
