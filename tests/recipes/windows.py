"""Recipes of pools, im2col and back, resampling."""

from __future__ import annotations

from math import prod
from typing import Any

from flopcore.reference.dims import windows as positions

from .contraction import windowed, windows
from .recipe import IDS, Dim, Recipe, Value
from .reduction import of_family


def pool(r: Recipe, op: str) -> Value:
    x = r.image(r.size(1, 3))
    attrs, kernel = windows(r, op, x)
    attrs["kernel"] = kernel
    r.option(attrs, "ceil_mode", (True, False))
    channels = x.dims[1]
    assert channels is not None
    return windowed(r, op, [x], attrs, channels)


def unfold(r: Recipe, op: str) -> Value:
    x = r.image(r.size(1, 3))
    attrs, kernel = windows(r, op, x)
    channels = x.dims[1]
    assert isinstance(channels, int)
    return r.node(op, [x], attrs | {"kernel": kernel}, [x.dims[0], channels * prod(kernel), None])


def fold(r: Recipe, op: str) -> Value:
    n = r.size(1, 3)
    size = [r.size(3, 6) for _ in range(n)]
    kernel = [r.size(1, 3) for _ in range(n)]
    attrs: dict[str, Any] = {"output_size": size, "kernel": kernel}
    full = {"stride": [1] * n, "dilation": [1] * n, "padding": [0] * (2 * n)}
    r.option(attrs, "stride", [[r.size(1, 2) for _ in range(n)]])
    r.option(attrs, "dilation", [[1 for _ in range(n)]])
    r.option(attrs, "padding", [[r.choose.integer(0, k - 1) for k in kernel * 2]])
    a = full | attrs
    columns = prod(
        positions(size[i], kernel[i], a["stride"][i], a["dilation"][i], a["padding"][i], a["padding"][n + i], False)
        for i in range(n)
    )
    batch, channels = r.dim(), r.size(1, 3)
    x = r.leaf([batch, channels * prod(kernel), columns], dtype=r.dtype())
    return r.node(op, [x], attrs, [batch, channels, *size])


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


def resize(r: Recipe, op: str) -> Value:
    x = r.image(r.size(1, 3))
    sizes = [r.spatial() for _ in x.dims[2:]]
    inputs = [x]
    if op == "max_unpool":
        x = r.leaf([r.dim(), r.size(), *(r.spatial() for _ in sizes)], dtype=r.dtype())
        inputs = [x, r.leaf(x.texts, dtype=r.pick(IDS))]
    attrs: dict[str, Any] = {"output_size": sizes}
    if op in ("interpolate_linear", "interpolate_cubic"):
        r.option(attrs, "antialias", (True, False))
    return r.node(op, inputs, attrs, [*x.dims[:2], *sizes])


def fractional(r: Recipe, op: str) -> Value:
    x = r.image(r.size(1, 3))
    kernel = [r.size(1, min(3, size)) for size in x.least[2:]]
    sizes = [r.size(1, size - k + 1) for size, k in zip(x.least[2:], kernel, strict=True)]
    return r.node(op, [x], {"kernel": kernel, "output_size": sizes}, [*x.dims[:2], *sizes])


def grid_sample(r: Recipe, op: str) -> Value:
    n = r.size(1, 3)
    batch: Dim = r.dim()
    x = r.leaf([batch, r.size(), *(r.spatial() for _ in range(n))], dtype=r.dtype())
    places = [r.dim() for _ in range(n)]
    attrs: dict[str, Any] = {}
    r.option(attrs, "mode", ("linear", "nearest", "cubic"))
    return r.node(op, [x, r.leaf([batch, *places, n], dtype="float32")], attrs, [*x.dims[:2], *places])


def roi_align(r: Recipe, op: str) -> Value:
    x, n_boxes, size = r.image(2), r.dim(), [r.size(), r.size()]
    inputs = [x, r.leaf([n_boxes, 4], dtype="float32"), r.leaf([n_boxes], dtype=r.pick(IDS))]
    return r.node(
        op, inputs, {"output_size": size, "sampling_ratio": r.choose.integer(0, 3)}, [n_boxes, x.dims[1], *size]
    )


def nms(r: Recipe, op: str) -> Value:
    batch, n_boxes, size = r.dim(), r.dim(), r.dim()
    boxes = r.leaf([batch, n_boxes, 4], dtype="float32")
    return r.node(op, [boxes, r.leaf([batch, r.dim(), n_boxes], dtype="float32")], {"size": size}, [size, 3])


RECIPES = {
    **dict.fromkeys(of_family("pool"), pool),
    **dict.fromkeys(("interpolate_nearest", "interpolate_linear", "interpolate_cubic", "max_unpool"), resize),
    "adaptive_average_pool": adaptive, "adaptive_max_pool": adaptive, "fractional_max_pool": fractional,
    "unfold": unfold, "fold": fold, "grid_sample": grid_sample, "roi_align": roi_align, "nms": nms,
}  # fmt: skip
