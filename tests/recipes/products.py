"""Recipes of general, ragged, sparse, bilinear and quantised products, and of transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .contraction import auto_padding, result_dtypes, windowed, windows
from .recipe import Dim, Recipe, Value


def conv_transpose(r: Recipe, op: str) -> Value:
    n = r.size(1, 2)
    x = r.image(n)
    channels = x.dims[1]
    assert isinstance(channels, int)
    groups = r.pick([g for g in range(1, channels + 1) if channels % g == 0])
    out = r.size(1, 3)
    stride, dilation = [r.size(1, 3) for _ in range(n)], [r.size(1, 2) for _ in range(n)]
    kernel = [r.size(1, 3) for _ in range(n)]
    extra = [r.choose.integer(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)]
    # Cropping no more than the kernel adds leaves something of any input.
    padding = [r.choose.integer(0, d * (k - 1) // 2) for _ in range(2) for d, k in zip(dilation, kernel, strict=True)]
    attrs: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": padding, "output_padding": extra}
    for key, plain in (("stride", 1), ("dilation", 1), ("padding", 0), ("output_padding", 0)):
        if set(attrs[key]) == {plain} and r.flip():
            del attrs[key]
    if groups > 1 or r.flip():
        attrs["groups"] = groups
    weight = r.leaf([channels, out, *kernel], dtype=x.dtype, kind=r.pick(("parameter", "constant")))
    bias = r.weight([out * groups], x.dtype)
    r.mark(op, cropped=max(padding) > 0, extra=max(extra) > 0, grouped=groups > 1)
    return windowed(r, op, [x, weight, bias], attrs | result_dtypes(r), out * groups)


def dot_general(r: Recipe, op: str) -> Value:
    dtypes = [r.dtype()] * 2 if r.flip() else [r.dtype(), r.dtype()]
    kinds = {kind: [r.dim() for _ in range(r.choose.integer(0, 2))] for kind in ("batch", "used", "left", "right")}
    operands, places = [], []
    for own, dtype in zip(("left", "right"), dtypes, strict=True):
        named = [(kind, i) for kind in ("batch", "used", own) for i in range(len(kinds[kind]))]
        order = [named.pop(r.choose.integer(0, len(named) - 1)) for _ in range(len(named))]
        operands.append(r.leaf([kinds[kind][i] for kind, i in order], dtype=dtype))
        places.append({place: axis for axis, place in enumerate(order)})
    attrs: dict[str, Any] = {}
    for side, where in zip(("lhs", "rhs"), places, strict=True):
        for kind, key in (("batch", f"{side}_batch"), ("used", f"{side}_contract")):
            axes = [where[kind, i] - (len(where) if r.flip() else 0) for i in range(len(kinds[kind]))]
            if axes or r.flip():
                attrs[key] = axes
    dims = list(kinds["batch"])
    for own, where in zip(("left", "right"), places, strict=True):
        dims += [kinds[own][i] for kind, i in sorted(where, key=lambda place: where[place]) if kind == own]
    return r.node(op, operands, attrs | result_dtypes(r), dims)


def einsum(r: Recipe, op: str) -> Value:
    if r.chance(4):  # the two layouts of the flag `transposed`, and one that is neither
        a, b, c, d, dtype = r.dim(), r.dim(), r.dim(), r.dim(), r.dtype()
        equation, right, out = r.pick(
            (
                ("xYz, xYw->xzw", [a, b, d], [a, c, d]),
                ("abc,adc->adb", [a, d, c], [a, d, b]),
                ("abc,acd->abd", [a, c, d], [a, b, d]),
            )
        )
        r.mark(op, transposed=equation != "abc,acd->abd")
        operands = [r.leaf([a, b, c], dtype=dtype), r.leaf(right, dtype=dtype)]
        return r.node(op, operands, {"equation": equation} | result_dtypes(r), out)
    sizes = {letter: r.dim() for letter in "abCd"}
    terms = ["".join(letter for letter in sizes if r.flip()) for _ in range(r.size(1, 4))]
    lead: list[Dim] = [r.dim() for _ in range(r.choose.integer(0, 2))] if r.chance(3) else []
    if len(terms) == 1 and terms[0] and r.flip():
        terms[0] += terms[0][0]  # a diagonal
    dtype = r.dtype()
    operands, written, hidden = [], [], 0
    for term in terms:
        ahead = lead[r.choose.integer(0, len(lead)) :]
        hidden = max(hidden, len(ahead))
        dims = [1 if r.chance(6) else sizes[letter] for letter in term]
        operands.append(r.leaf([*ahead, *dims], dtype=dtype))
        written.append(("..." if lead else "") + term)
    whole = "".join(terms)
    kept = [letter for letter in sizes if letter in whole and r.flip()]
    explicit = r.flip()
    equation = ("," if r.flip() else ", ").join(written)
    if explicit:
        equation += "->" + ("..." if lead else "") + "".join(kept)
    else:
        kept = [letter for letter in sizes if whole.count(letter) == 1]
    attrs: dict[str, Any] = {"equation": equation}
    if len(terms) > 1 and r.flip():
        attrs["path"] = []
        for left in range(len(terms), 1, -1):
            i = r.choose.integer(0, left - 1)
            attrs["path"] += [i, (i + r.size(1, left - 1)) % left]
    r.mark(op, operands=len(terms), ellipsis=bool(lead), output="given" if explicit else "implied")
    return r.node(op, operands, attrs | result_dtypes(r), [None] * (hidden + len(kept)))


def ragged_matmul(r: Recipe, op: str) -> Value:
    ragged, dtype = r.pick(("rows", "inner", "columns")), r.dtype()
    groups, rows, inner, columns = r.size(1, 4), r.dim(), r.dim(), r.dim()
    top_k = r.pick((1, 1, 2, 3))
    if top_k > 1:
        rows, inner, columns = (
            (top_k * size if isinstance(size, int) else f"{top_k} * ({size})") if cut == ragged else size
            for cut, size in (("rows", rows), ("inner", inner), ("columns", columns))
        )
    x = r.leaf([groups, rows, inner] if ragged == "columns" else [rows, inner], dtype=dtype)
    weight = r.leaf([groups, inner, columns] if ragged == "rows" else [inner, columns], dtype=dtype)
    sizes = r.leaf([groups], dtype="int32")
    attrs: dict[str, Any] = {} if ragged == "rows" and r.flip() else {"ragged": ragged}
    if top_k > 1 or r.flip():
        attrs["top_k"] = top_k
    dims = [groups, rows, columns] if ragged == "inner" else [rows, columns]
    return r.node(op, [x, weight, sizes], attrs | result_dtypes(r), dims)


def sparse_matmul(r: Recipe, op: str) -> Value:
    side, dtype = r.pick(("left", "right")), r.dtype()
    rows, inner, columns = r.dim(), r.dim(), r.dim()
    how = r.pick(("nnz", "density", "pattern"))
    attrs: dict[str, Any] = {"nnz": 0}
    if how == "pattern":
        inner = r.pick((2, 4, "2*batch" if r.symbolic else 6))
        attrs = {"pattern": [r.choose.integer(0, 2), 2]}
    elif how == "density":
        attrs = {"density": r.pick(("0", "1", "0.125", "1/3", "7/10"))}
    elif r.flip():  # one in each row
        attrs = {"nnz": rows if side == "left" else inner}
    lead: list[Dim] = [r.size() for _ in range(r.choose.integer(0, 1))]
    vector = r.chance(3)
    if side == "left":
        a = r.leaf([rows, inner], dtype=dtype)
        b = r.leaf([inner] if vector else [*lead, inner, columns], dtype=dtype)
        dims = [rows] if vector else [*lead, rows, columns]
    else:
        a = r.leaf([inner] if vector else [*lead, rows, inner], dtype=dtype)
        b = r.leaf([inner, columns], dtype=dtype)
        dims = [columns] if vector else [*lead, rows, columns]
    if side == "right" or r.flip():
        attrs["sparse"] = side
    r.mark(op, vector=vector)
    return r.node(op, [a, b], attrs | result_dtypes(r), dims)


def bilinear(r: Recipe, op: str) -> Value:
    lead, first, second, out = [r.dim() for _ in range(r.choose.integer(0, 2))], r.dim(), r.dim(), r.size()
    dtype = r.dtype()
    a, b = r.leaf([*lead, first], dtype=dtype), r.leaf([*lead, second], dtype=dtype)
    weight = r.leaf([out, first, second], dtype=dtype)
    return r.node(op, [a, b, weight, r.weight([out], dtype)], result_dtypes(r), [*lead, out])


def scales(r: Recipe, sizes: Sequence[Dim]) -> list[Value | None]:
    """Optional scales and zero points: a number, or a vector of this size."""
    return [
        r.leaf([] if r.flip() else [r.pick((1, size))], dtype="float32", kind="constant") if r.flip() else None
        for size in sizes
    ]


def quantized_matmul(r: Recipe, op: str) -> Value:
    rows, inner, columns = r.dim(), r.dim(), r.dim()
    a, b = r.leaf([r.size(), rows, inner], dtype="uint8"), r.leaf([inner, columns], dtype="int8")
    inputs = [a, b, *scales(r, (rows, columns, rows, columns, 1, 1))]
    return r.node(op, inputs, result_dtypes(r), [a.dims[0], rows, columns])


def quantized_conv(r: Recipe, op: str) -> Value:
    x = r.image(r.size(1, 2))
    out, channels = r.size(), x.dims[1]
    assert channels is not None
    attrs, kernel = windows(r, op, x)
    auto_padding(r, attrs, x, kernel)
    r.option(attrs, "groups", (1,))
    weight = r.leaf([out, channels, *kernel], dtype="int8", kind="parameter")
    bias = r.weight([out], "int32")
    inputs = [x, weight, bias, *scales(r, (1, out, 1, out, 1, 1))]
    return windowed(r, op, inputs, attrs | result_dtypes(r), out)


def linear_quantization(r: Recipe, op: str) -> Value:
    x = r.any_tensor()
    axis = r.choose.integer(-len(x.dims), len(x.dims) - 1)
    kind = r.pick(("tensor", "axis", "block")) if x.known else "tensor"
    attrs: dict[str, Any] = {"axis": axis}
    dims: list[Any] = [[], [1]][r.choose.integer(0, 1)]
    if kind == "axis":
        dims = [x.dims[axis]]
    if kind == "block":
        size = x.dims[axis]
        block = r.size(1, 3) if isinstance(size, int) else 1
        attrs["block_size"] = block
        dims = list(x.dims)
        dims[axis] = -(-size // block) if isinstance(size, int) else size
    if kind == "tensor" and r.flip():
        attrs = {}
    scale = r.leaf(dims, dtype=r.pick(("float32", "float16")))
    zero = r.leaf(dims, dtype="int8") if r.flip() else None
    r.mark(op, scale=kind)
    if op == "quantize_linear":
        r.option(attrs, "dtype", ("uint8", "int8", "int4"))
    return r.node(op, [x, scale, zero], attrs, x.dims)


def dynamic_quantization(r: Recipe, op: str) -> Value:
    x = r.known_tensor()
    shared = [axis for axis in range(len(x.dims)) if r.flip()]
    attrs: dict[str, Any] = {}
    if r.chance(3):
        shared = list(range(len(x.dims)))
    if len(shared) < len(x.dims) or r.flip():
        attrs["axes"] = [axis - (len(x.dims) if r.flip() else 0) for axis in shared]
    r.option(attrs, "dtype", ("uint8", "int8", "uint16"))
    scales = [dim for axis, dim in enumerate(x.texts) if axis not in shared]
    return r.several(op, [x], attrs, [x.texts, scales, scales])[0]


RECIPES = {
    "conv_transpose": conv_transpose, "dot_general": dot_general, "einsum": einsum, "ragged_matmul": ragged_matmul,
    "sparse_matmul": sparse_matmul, "bilinear": bilinear, "quantized_matmul": quantized_matmul,
    "quantized_conv": quantized_conv, "quantize_linear": linear_quantization, "dequantize_linear": linear_quantization,
    "dynamic_quantize_linear": dynamic_quantization,
}  # fmt: skip
