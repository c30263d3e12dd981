"""Recipes of ops that move or rename data."""

from __future__ import annotations

from math import prod
from typing import Any

from .recipe import IDS, Dim, Recipe, Value


def reshape(r: Recipe, op: str) -> Value:
    x = r.any_tensor(0)
    if x.known and x.is_static(*range(len(x.dims))) and r.flip():
        total = prod(x.least)
        factor = r.pick([f for f in range(1, total + 1) if total % f == 0][:6])
        shape: list[Any] = r.pick(([factor, total // factor], [-1, factor], [total], [1, -1]))
        r.mark(op, free=-1 in shape)
        return r.node(op, [x], {"shape": shape}, [None if size == -1 else size for size in shape])
    if x.known and x.dims and r.flip():
        shape = [*x.dims, 1] if r.flip() else [1, *x.dims]
        r.mark(op, free=False)
        return r.node(op, [x], {"shape": shape}, shape)
    r.mark(op, free=True)
    shape = r.pick(([-1], [1, -1], [-1, 1]))
    return r.node(op, [x], {"shape": shape}, [None if size == -1 else size for size in shape])


def flatten(r: Recipe, op: str) -> Value:
    x = r.any_tensor(2)
    rank = len(x.dims)
    begin = r.choose.integer(0, rank - 1)
    end = r.choose.integer(begin, rank - 1)
    if rank == 2 and r.chance(3):
        begin, end, attrs = 1, 1, dict[str, Any]()
    elif end == rank - 1 and r.flip():
        attrs = {"axis": begin - rank if r.flip() else begin}
    else:
        attrs = {"axis": begin - rank if r.flip() else begin, "end_axis": end - rank if r.flip() else end}
    r.mark(op, several=end > begin)
    middle = x.dims[begin] if begin == end else None
    return r.node(op, [x], attrs, [*x.dims[:begin], middle, *x.dims[end + 1 :]])


def transpose(r: Recipe, op: str) -> Value:
    x = r.any_tensor(1, 5)
    left = list(range(len(x.dims)))
    order = [left.pop(r.choose.integer(0, len(left) - 1)) for _ in range(len(left))]
    return r.node(op, [x], {"permutation": order}, [x.dims[axis] for axis in order])


def concat(r: Recipe, op: str) -> Value:
    x = r.existing(
        lambda value: value.known and len(value.dims) >= 1, lambda: r.leaf([r.dim(), r.dim()], dtype=r.dtype())
    )
    axis, written = r.axis(len(x.dims))
    parts = [x]
    for _ in range(r.choose.integer(0, 3)):
        dims = x.texts
        dims[axis] = r.dim()
        parts.append(x if r.chance(4) else r.leaf(dims, dtype=x.dtype))
    sizes = [part.dims[axis] for part in parts]
    static = all(isinstance(size, int) for size in sizes)
    joined: Dim = sum(s for s in sizes if isinstance(s, int)) if static else " + ".join(str(s) for s in sizes)
    r.mark(op, parts=len(parts))
    return r.node(op, parts, {"axis": written}, [*x.dims[:axis], joined, *x.dims[axis + 1 :]])


def slice_(r: Recipe, op: str) -> Value:
    x = r.any_tensor()
    axis, written = r.axis(len(x.dims))
    stop = r.choose.integer(0, x.least[axis])
    start = r.choose.integer(0, stop)
    attrs: dict[str, Any] = {"axis": written, "start": start, "stop": stop}
    size: Dim | None = None
    symbol = x.dims[axis]
    if isinstance(symbol, str) and r.flip():
        attrs["stop"] = symbol
    if r.flip():
        attrs["step"] = r.size(1, 3)
    if isinstance(attrs["stop"], int):
        size = -(-(stop - start) // attrs.get("step", 1))
    r.mark(op, symbolic=isinstance(attrs["stop"], str), empty=start == stop)
    return r.node(op, [x], attrs, [*x.dims[:axis], size, *x.dims[axis + 1 :]])


def split(r: Recipe, op: str) -> Value:
    x = r.known_tensor()
    axis, written = r.axis(len(x.dims))
    size = x.texts[axis]
    first = r.choose.integer(0, size) if isinstance(size, int) else 0
    sizes: list[Dim] = [first, size - first] if isinstance(size, int) else [size]
    sizes += [0] if r.flip() else []
    r.mark(op, parts=len(sizes))
    dims = [[part if i == axis else dim for i, dim in enumerate(x.texts)] for part in sizes]
    return r.several(op, [x], {"axis": written, "sizes": sizes}, dims)[-1]


def squeeze(r: Recipe, op: str) -> Value:
    dims: list[Dim] = [1 if r.flip() else r.dim() for _ in range(r.size(1, 4))]
    axes = [axis for axis, dim in enumerate(dims) if dim == 1 and r.flip()]
    written = [axis - len(dims) if r.flip() else axis for axis in axes]
    x = r.leaf(dims, dtype=r.dtype())
    return r.node(op, [x], {"axes": written}, [dim for axis, dim in enumerate(dims) if axis not in axes])


def unsqueeze(r: Recipe, op: str) -> Value:
    x = r.any_tensor(0, 3)
    rank = len(x.dims) + r.size(0, 2)
    left = list(range(rank))
    axes = [left.pop(r.choose.integer(0, len(left) - 1)) for _ in range(rank - len(x.dims))]
    old = iter(x.dims)
    dims = [1 if axis in axes else next(old) for axis in range(rank)]
    return r.node(op, [x], {"axes": [axis - rank if r.flip() else axis for axis in axes]}, dims)


def expand(r: Recipe, op: str) -> Value:
    wide = [r.dim() for _ in range(r.size(1, 4))]
    dims: list[Dim] = [1 if r.flip() else dim for dim in wide][r.choose.integer(0, len(wide)) :]
    shape: list[Dim] = []  # a 1 keeps what x has
    for place, dim in enumerate(wide, start=-len(wide)):
        shape.append(1 if -place <= len(dims) and dims[place] == dim and r.flip() else dim)
    return r.node(op, [r.leaf(dims, dtype=r.dtype())], {"shape": shape}, wide)


def unbind(r: Recipe, op: str) -> Value:
    dims, parts = [r.dim() for _ in range(r.choose.integer(0, 3))], r.size()
    axis, written = r.axis(len(dims) + 1)
    x = r.leaf([*dims[:axis], parts, *dims[axis:]], dtype=r.dtype())
    return r.several(op, [x], {"axis": written}, [dims] * parts)[0]


def meshgrid(r: Recipe, op: str) -> Value:
    sizes, dtype = [r.dim() for _ in range(r.size(1, 3))], r.dtype()
    return r.several(op, [r.leaf([size], dtype=dtype) for size in sizes], {}, [sizes] * len(sizes))[0]


def same(r: Recipe, op: str) -> Value:
    x = r.any_tensor(2 if op in ("tril", "triu") else 0)
    axes = [axis - len(x.dims) if r.flip() else axis for axis in range(len(x.dims)) if r.flip()]
    return r.node(op, [x], {"axes": axes} if op in ("flip", "roll") else {}, x.dims)


def size_of(r: Recipe, op: str) -> Value:
    x = r.any_tensor(0)
    return r.node(op, [x], {}, [len(x.dims)] if op == "shape_of" else [])


def times(a: Dim, b: Dim) -> Dim:
    return a * b if isinstance(a, int) and isinstance(b, int) else f"({a})*({b})"


def tile(r: Recipe, op: str) -> Value:
    x = r.known_tensor(0)
    repeats = [r.pick((0, 1, 2, r.dim())) for _ in x.dims]
    return r.node(op, [x], {"repeats": repeats}, [times(dim, n) for dim, n in zip(x.texts, repeats, strict=True)])


def repeat_interleave(r: Recipe, op: str) -> Value:
    x = r.known_tensor()
    axis, written = r.axis(len(x.dims))
    n, dims = r.dim(), x.texts
    dims[axis] = times(dims[axis], n)
    return r.node(op, [x], {"axis": written, "size": n}, dims)


def pad(r: Recipe, op: str) -> Value:
    x = r.known_tensor(0)
    begin: list[Dim] = [r.pick((0, 1, r.dim(), -r.choose.integer(0, size))) for size in x.least]
    end: list[Dim] = [r.size(0, 2) for _ in x.dims]
    dims: list[Dim | None] = [
        sum((dim, b, e)) if isinstance(dim, int) and isinstance(b, int) and isinstance(e, int) else None
        for dim, b, e in zip(x.texts, begin, end, strict=True)
    ]
    return r.node(op, [x], {"padding": begin + end}, dims)


def stack(r: Recipe, op: str) -> Value:
    x = r.known_tensor(0, 3)
    parts = [x, *(x if r.flip() else r.leaf(x.texts, dtype=x.dtype) for _ in range(r.choose.integer(0, 3)))]
    axis, written = r.axis(len(x.dims) + 1)
    return r.node(op, parts, {"axis": written}, [*x.dims[:axis], len(parts), *x.dims[axis:]])


def diag(r: Recipe, op: str) -> Value:
    x = r.known_tensor(1, 2)
    return r.node(op, [x], {}, [x.dims[0]] * 2 if len(x.dims) == 1 else [None])


def blocks(r: Recipe, op: str) -> Value:
    block, small, channels = r.size(1, 3), [r.size(), r.size()], r.size()
    large = [block * size for size in small]
    batch: Dim = r.dim()
    few: list[Dim] = [batch, channels, *large]
    many: list[Dim] = [batch, channels * block * block, *small]
    before, after = (few, many) if op == "space_to_depth" else (many, few)
    return r.node(op, [r.leaf(before, dtype=r.dtype())], {"block": block}, after)


def reverse_sequence(r: Recipe, op: str) -> Value:
    x = r.known_tensor(2)
    attrs: dict[str, Any] = {}
    if r.flip():
        attrs["time_axis"] = r.pick((0, -len(x.dims)))
    if r.flip():
        attrs["axis"] = r.choose.integer(1, len(x.dims) - 1)
    return r.node(op, [x, r.leaf([x.texts[attrs.get("axis", 1)]], dtype=r.pick(IDS))], attrs, x.dims)


RECIPES = {
    "reshape": reshape, "flatten": flatten, "transpose": transpose, "concat": concat, "slice": slice_, "split": split,
    "squeeze": squeeze, "unsqueeze": unsqueeze, "expand": expand, "unbind": unbind, "meshgrid": meshgrid,
    "flip": same, "roll": same, "tril": same, "triu": same, "shape_of": size_of, "size_of": size_of, "tile": tile,
    "repeat_interleave": repeat_interleave, "pad": pad, "stack": stack, "diag": diag, "space_to_depth": blocks,
    "depth_to_space": blocks, "reverse_sequence": reverse_sequence,
}  # fmt: skip
