"""Recipes of norms, ops over axes or along one, losses."""

from __future__ import annotations

from typing import Any

from flopcore.specification import specification

from .recipe import IDS, INTEGERS, Dim, Recipe, Value, words

OPS = specification().ops


def of_family(*families: str) -> list[str]:
    return [name for name, op in OPS.items() if op.family in families]


def along_axis(r: Recipe, op: str) -> Value:
    spec = OPS[op]
    x = r.any_tensor()
    axis, written = r.axis(len(x.dims))
    if op == "sort" and not x.is_static(axis):  # the comparisons of a sort have no closed form in a symbol
        x = r.leaf([r.dim(), r.size(1, 9)], dtype=r.dtype())
        axis, written = 1, -1
    attrs: dict[str, Any] = {}
    for key, kind in spec.attrs.items():
        options = words(kind) or [written]
        if key in spec.defaults and (key != "axis" or axis == len(x.dims) - 1):
            r.option(attrs, key, options)
        else:
            attrs[key] = r.pick(options)
    return r.several(op, [x], attrs, [x.dims] * len(spec.outputs))[0]


def top_k(r: Recipe, op: str) -> Value:
    x = r.any_tensor()
    axis, written = r.axis(len(x.dims))
    size: Dim = r.choose.integer(0, x.least[axis])
    if isinstance(x.dims[axis], str) and r.flip():
        size = x.dims[axis] or 0
    attrs = {"size": size, **({} if axis == len(x.dims) - 1 and r.flip() else {"axis": written})}
    dims = [*x.dims[:axis], size, *x.dims[axis + 1 :]]
    return r.several(op, [x], attrs, [dims, dims])[0]


def glu(r: Recipe, op: str) -> Value:
    dims = [r.dim() for _ in range(r.size(1, 3))]
    axis, written = r.axis(len(dims))
    half = dims[axis]
    x = r.leaf([*dims[:axis], 2 * half if isinstance(half, int) else f"2*({half})", *dims[axis + 1 :]], dtype=r.dtype())
    attrs: dict[str, Any] = {} if axis == len(dims) - 1 and r.flip() else {"axis": written}
    r.option(attrs, "activation", words(OPS[op].attrs["activation"]))
    return r.node(op, [x], attrs, dims)


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


def channel_norm(r: Recipe, op: str) -> Value:
    x = r.image(r.size(1, 3))
    channels = x.dims[1]
    assert isinstance(channels, int)
    attrs = {"groups": r.pick([g for g in (1, 2, 4) if channels % g == 0])} if op == "group_norm" else {}
    return r.node(op, [x, *(r.weight([channels], x.dtype) for _ in range(2))], attrs, x.dims)


def local_response_norm(r: Recipe, op: str) -> Value:
    x = r.any_tensor(2)
    return r.node(op, [x], {"size": r.size(1, 7)}, x.dims)


def weight_norm(r: Recipe, op: str) -> Value:
    v = r.known_tensor()
    axis, written = r.axis(len(v.dims))
    return r.node(op, [v, r.leaf([v.texts[axis]], dtype=v.dtype)], {"axis": written}, v.dims)


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
    dims = [1 if axis in axes else dim for axis, dim in enumerate(x.dims) if keep or axis not in axes]
    return r.node(op, [x], attrs, dims)


def loss(r: Recipe, op: str) -> Value:
    x = r.known_tensor(0)
    attrs: dict[str, Any] = {}
    r.option(attrs, "reduction", ("mean", "sum", "none"))
    target = x if r.chance(6) else r.leaf(x.texts, dtype=x.dtype)
    return r.node(op, [x, target], attrs, x.dims if attrs.get("reduction") == "none" else [])


def class_loss(r: Recipe, op: str) -> Value:
    x = r.known_tensor()
    axis = min(len(x.dims) - 1, 1)
    dims = x.texts
    classes = dims.pop(axis)
    attrs: dict[str, Any] = {}
    r.option(attrs, "reduction", ("mean", "sum", "none"))
    inputs = [x, r.leaf(dims, dtype=r.pick(IDS)), r.weight([classes], x.dtype)]
    return r.node(op, inputs, attrs, dims if attrs.get("reduction") == "none" else [])


def histogram(r: Recipe, op: str) -> Value:
    size = r.dim()
    return r.node(op, [r.any_tensor(0, dtypes=INTEGERS if op == "bincount" else ())], {"size": size}, [size])


def unique(r: Recipe, op: str) -> Value:
    dims: list[Dim] = [r.size() for _ in range(r.choose.integer(0, 2))]
    size = r.dim()
    attrs: dict[str, Any] = {"size": size}
    result: list[Dim] = [size]
    if dims and r.flip():
        axis, written = r.axis(len(dims))
        attrs["axes"], result = [written], [*dims[:axis], size, *dims[axis + 1 :]]
    elif r.flip():
        attrs["axes"] = []
    return r.node(op, [r.leaf(dims, dtype=r.dtype())], attrs, result)


def searchsorted(r: Recipe, op: str) -> Value:
    values = r.any_tensor(0)
    return r.node(op, [r.leaf([r.choose.integer(0, 20)], dtype=values.dtype), values], {}, values.dims)


RECIPES = {
    **dict.fromkeys(of_family("reduce"), reduce),
    **dict.fromkeys(of_family("along_axis", "values_and_indices"), along_axis),
    **dict.fromkeys(of_family("loss"), loss),
    **dict.fromkeys(of_family("class_loss"), class_loss),
    "top_k": top_k, "glu": glu, "batch_norm": batch_norm, "layer_norm": row_norm, "rms_norm": row_norm,
    "group_norm": channel_norm, "instance_norm": channel_norm, "local_response_norm": local_response_norm,
    "weight_norm": weight_norm, "bincount": histogram, "histogram": histogram, "unique": unique,
    "searchsorted": searchsorted,
}  # fmt: skip
