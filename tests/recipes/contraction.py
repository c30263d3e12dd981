"""Recipes of matmul, linear, conv and attention."""

from __future__ import annotations

from math import prod
from typing import Any

from .recipe import IDS, Dim, Recipe, Value


def result_dtypes(r: Recipe) -> dict[str, Any]:
    """Perhaps a dtype of the result, and of the sums."""
    return {key: r.pick(("int8", "int32", "float32")) for key in ("dtype", "accumulate") if r.chance(3)}


def matmul(r: Recipe, op: str) -> Value:
    a = r.existing(
        lambda value: value.known and 1 <= len(value.dims) <= 3 and 0 not in value.least and prod(value.least) < 10**4,
        lambda: r.leaf([r.dim() for _ in range(r.size(1, 3))], dtype=r.dtype()),
    )
    dims = a.texts
    kind = r.pick(("vector", "matrix", "batched", "stretched"))
    r.mark(op, left=min(len(dims), 3), right=kind)
    out = r.dim()
    if kind == "vector":
        return r.node(op, [a, r.leaf([dims[-1]], dtype=a.dtype)], result_dtypes(r), dims[:-1])
    lead: list[Dim] = []
    if kind == "batched":
        lead = [*([r.size()] if r.flip() else []), *dims[:-2]]
    if kind == "stretched":
        lead = [1] * len(dims[:-2]) or [1]
    b = r.leaf([*lead, dims[-1], out], dtype=a.dtype)
    batch = lead if len(lead) > len(dims) - 2 else dims[:-2]
    return r.node(op, [a, b], result_dtypes(r), [*batch, *dims[-2:-1], out])


def linear(r: Recipe, op: str) -> Value:
    x = r.existing(
        lambda value: len(value.dims) >= 1 and value.dims[-1] is not None and 0 not in value.least
        and prod(value.least) < 10**4,
        lambda: r.any_tensor(),
    )  # fmt: skip
    if x.dims[-1] is None:
        x = r.leaf([r.size(), r.size()], dtype="float32")
    width, out = x.dims[-1], r.size()
    assert width is not None
    weight = r.leaf([out, width], dtype=r.pick((x.dtype, "int8")), kind=r.pick(("parameter", "input", "constant")))
    bias = r.weight([out], x.dtype)
    inputs = [x, weight, *([bias] if bias is not None or r.flip() else [])]
    return r.node(op, inputs, result_dtypes(r), [*x.dims[:-1], out])


def windows(r: Recipe, op: str, x: Value) -> tuple[dict[str, Any], list[int]]:
    """Attributes of a sliding window that fits into every dim of x,, the kernel; what says nothing may be left out."""
    n = len(x.dims) - 2
    dilation = [r.pick((1, 1, 2)) for _ in range(n)]
    kernel = [
        r.choose.integer(1, max(1, min(3, (size - 1) // d + 1))) for size, d in zip(x.least[2:], dilation, strict=True)
    ]
    stride = [r.pick((1, 1, 2, 3)) for _ in range(n)]
    begin = [r.choose.integer(0, k - 1) for k in kernel]
    end = begin if r.flip() else [r.choose.integer(0, k - 1) for k in kernel]
    attrs: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": begin + end}
    r.mark(op, dims=n, strided=max(stride) > 1, dilated=max(dilation) > 1, asymmetric=begin != end)
    for key in ("stride", "dilation", "padding"):
        if not any(attrs[key]) or (key != "padding" and max(attrs[key]) == 1):
            attrs.pop(key) if r.flip() else None
    if r.symbolic:
        r.mark(op, symbolic=not x.is_static(*range(2, len(x.dims))))
    return attrs, kernel


def static_sizes(x: Value, value: Value) -> list[Dim | None]:
    """Dims of a windowed output: those that follow from plain numbers are numbers."""
    return [size if isinstance(dim, int) else None for dim, size in zip(x.dims[2:], value.least[2:], strict=True)]


def windowed(r: Recipe, op: str, inputs: list[Value | None], attrs: dict[str, Any], channels: Dim) -> Value:
    """A node over sliding windows, whose spatial dims are known where those of x are numbers."""
    x = inputs[0]
    assert x is not None
    made = r.several(op, inputs, attrs)
    for place, value in enumerate(made, start=-len(made)):
        dims = (x.dims[0], channels, *static_sizes(x, value))
        r.values[r.block][place] = made[place] = Value(value.number, dims, value.least, value.dtype)
    return made[0]


def auto_padding(r: Recipe, attrs: dict[str, Any], x: Value, kernel: list[int]) -> None:
    """Instead of padding, perhaps a mode: valid where the bare window fits, the same size always."""
    dilation = attrs.get("dilation") or [1] * len(kernel)
    modes = ["explicit", "explicit", "same_upper", "same_lower"]
    if all(size > d * (k - 1) for size, k, d in zip(x.least[2:], kernel, dilation, strict=True)):
        modes.append("valid")
    mode = r.pick(modes)
    if mode != "explicit":
        attrs.pop("padding", None)
    if mode != "explicit" or r.flip():
        attrs["auto_padding"] = mode


def conv(r: Recipe, op: str) -> Value:
    x = r.image(r.size(1, 3))
    channels = x.dims[1]
    assert isinstance(channels, int)
    groups = r.pick([g for g in range(1, channels + 1) if channels % g == 0])
    out = groups * r.size(1, 3)
    attrs, kernel = windows(r, op, x)
    auto_padding(r, attrs, x, kernel)
    if groups > 1 or r.flip():
        attrs["groups"] = groups
    weight = r.leaf([out, channels // groups, *kernel], dtype=x.dtype, kind=r.pick(("parameter", "constant")))
    bias = r.weight([out], x.dtype)
    r.mark(op, grouped=groups > 1)
    return windowed(r, op, [x, weight, bias], attrs | result_dtypes(r), out)


def attention_band(r: Recipe, attrs: dict[str, Any]) -> None:
    """A window, or the density of a mask, as far as the causal attribute lets it be."""
    bare = attrs.get("causal", "none") == "none"
    kind = r.pick(("all", "window", "window", "chunk", "density", "blocks"))
    if kind == "window":
        r.option(attrs, "window_left", (-1, 0, 1, 3, r.dim()))
    if kind == "window" and bare:
        r.option(attrs, "window_right", (-1, 0, 2, r.dim()))
    if kind == "chunk":
        r.option(attrs, "chunk", (-1, 1, 2, 3, r.dim()))
    if kind == "density" and bare:
        attrs["density"] = r.pick(("0.5", "1", "0", "1/3"))
    if kind == "blocks" and bare:
        attrs["blocks"] = r.pick((-1, 0, 1, 3, r.dim()))
    r.option(attrs, "block", (1, 2, 16))
    r.option(attrs, "sink_tokens", (0, 1, 3))
    r.option(attrs, "softcap", (True, False))


def attention(r: Recipe, op: str) -> Value:
    dtype = r.dtype()
    batch, queries, width, value_width = r.dim(), r.dim(), r.size(), r.size()
    keys = queries if r.flip() else r.dim()
    past = r.dim() if r.chance(3) else None
    kv_heads = r.size(1, 3)
    heads = kv_heads * r.pick((1, 1, 2, 3))
    q = r.leaf([batch, heads, queries, width], dtype=dtype)
    k = r.leaf([batch, kv_heads, keys, width], dtype=dtype)
    v = r.leaf([batch, kv_heads, keys, value_width], dtype=dtype)
    inputs: list[Value | None] = [q, k, v]
    if r.flip():
        full: list[Dim] = [batch, heads, queries, keys if past is None else f"{past} + {keys}"]
        mask = [1 if r.chance(3) else dim for dim in full[r.choose.integer(0, 4) :]]
        inputs.append(r.leaf(mask, dtype=r.pick(("bool", dtype))))
    inputs += [None] * (4 - len(inputs))
    inputs.append(r.leaf([heads], dtype="float32", kind="parameter") if r.chance(3) else None)
    if past is not None:
        inputs += [r.leaf([batch, kv_heads, past, size], dtype=dtype) for size in (width, value_width)]
    attrs: dict[str, Any] = {}
    r.option(attrs, "causal", ("none", "top_left", "bottom_right"))
    attention_band(r, attrs)
    r.mark(op, gqa=heads != kv_heads, cross=queries != keys)
    return r.node(op, inputs, attrs, [batch, heads, queries, value_width])


def paged_attention(r: Recipe, op: str) -> Value:
    batch, queries, width, pages, page = r.dim(), r.dim(), r.size(), r.size(1, 3), r.size(1, 4)
    kv_heads = r.size(1, 2)
    heads, dtype = kv_heads * r.pick((1, 2)), r.dtype()
    attrs: dict[str, Any] = {}
    if isinstance(queries, int) and queries <= pages * page and r.flip():
        attrs["size"] = r.choose.integer(queries, pages * page)
    r.option(attrs, "size", (-1,)) if "size" not in attrs else None
    pool, value_width = r.dim(), r.size()
    k, v = (r.leaf([pool, kv_heads, page, size], dtype=dtype) for size in (width, value_width))
    q, table = r.leaf([batch, heads, queries, width], dtype=dtype), r.leaf([batch, pages], dtype=r.pick(IDS))
    return r.node(op, [q, k, v, table], attrs, [batch, heads, queries, value_width])


def deform_conv(r: Recipe, op: str) -> Value:
    x = r.image(2)
    batch, channels = x.dims[0] or r.size(), x.dims[1]
    assert isinstance(channels, int)
    groups, parts = (r.pick([g for g in range(1, channels + 1) if channels % g == 0]) for _ in range(2))
    attrs, kernel = windows(r, op, x)
    if x.dims[0] is None or not x.is_static(2, 3):  # the shape of the offsets must be known
        x = r.leaf([batch, channels, *x.least[2:]], dtype=x.dtype)
    if groups > 1 or r.flip():
        attrs["groups"] = groups
    stride, dilation, padding = (
        attrs.get(key, [least] * n) for key, least, n in (("stride", 1, 2), ("dilation", 1, 2), ("padding", 0, 4))
    )
    sizes = [
        (x.least[2 + i] + padding[i] + padding[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i in range(2)
    ]
    taps, out = kernel[0] * kernel[1], groups * r.size(1, 3)
    weight = r.leaf([out, channels // groups, *kernel], dtype=x.dtype, kind="parameter")
    offset = r.leaf([batch, 2 * parts * taps, *sizes], dtype=x.dtype)
    mask = r.leaf([batch, parts * taps, *sizes], dtype=x.dtype) if r.flip() else None
    r.mark(op, parts=parts > 1, grouped=groups > 1)
    inputs = [x, weight, offset, r.weight([out], x.dtype), mask]
    return r.node(op, inputs, attrs | result_dtypes(r), [batch, out, *sizes])


RECIPES = {
    "matmul": matmul, "linear": linear, "conv": conv, "attention": attention, "paged_attention": paged_attention,
    "deform_conv": deform_conv,
}  # fmt: skip
