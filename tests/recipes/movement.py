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


def embedding(r: Recipe, op: str) -> Value:
    weight = r.leaf([r.size(1, 50), r.dim()], dtype=r.dtype(), kind="parameter")
    ids = r.leaf([r.dim() for _ in range(r.choose.integer(0, 2))], dtype=r.pick(IDS), kind="input")
    return r.node(op, [weight, ids], {}, [*ids.dims, weight.dims[1]])


RECIPES = {
    "reshape": reshape, "flatten": flatten, "transpose": transpose, "concat": concat, "slice": slice_,
    "split": split,    "embedding": embedding,
}  # fmt: skip
