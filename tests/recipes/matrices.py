"""Recipes of factorisations, solves and transforms."""

from __future__ import annotations

from typing import Any

from .recipe import Dim, Recipe, Value
from .reduction import of_family


def batch(r: Recipe) -> list[Dim]:
    return [r.dim() for _ in range(r.choose.integer(0, 2))]


def square(r: Recipe, op: str) -> Value:
    lead, n = batch(r), r.dim()
    x = r.leaf([*lead, n, n], dtype=r.dtype())
    dims = {"determinant": [lead], "eigh": [[*lead, n], [*lead, n, n]]}
    return r.several(op, [x], {}, dims.get(op, [[*lead, n, n]]))[0]


def solve(r: Recipe, op: str) -> Value:
    lead, n, m, dtype = batch(r), r.dim(), r.dim(), r.dtype()
    attrs: dict[str, Any] = {}
    if op == "triangular_solve":
        r.option(attrs, "unit_diagonal", (True, False))
    return r.node(op, [r.leaf([*lead, n, n], dtype=dtype), r.leaf([*lead, n, m], dtype=dtype)], attrs, [*lead, n, m])


def lu_factor(r: Recipe, op: str) -> Value:
    a = r.leaf([r.dim() for _ in range(r.size(2, 3))], dtype=r.dtype())
    return r.several(op, [a], {}, [a.dims, [*a.dims[:-2], None]])[0]


def tall(r: Recipe, op: str) -> Value:
    lead, (n, m) = batch(r), r.pick([(1, 3), (2, 2), (3, 5), ("batch", "2*batch"), ("seq", "seq + 1")])
    x = r.leaf([*lead, m, n] if r.symbolic else [*lead, 4, 3], dtype=r.dtype())
    m, n = x.texts[-2:]
    small: list[Dim] = [*lead, n]
    return r.several(op, [x], {}, [x.dims, *([small] if op == "svd" else []), [*small, n]])[0]


def fft(r: Recipe, op: str) -> Value:
    dims: list[Dim] = [r.dim() for _ in range(r.size(1, 3))]
    axis, written = r.axis(len(dims))
    n = r.size(1, 20)
    dims[axis] = n  # a symbolic axis has no closed form
    attrs: dict[str, Any] = {"dtype": r.pick(("complex64", "complex64", "float32"))}
    r.option(attrs, "onesided", (True, False))
    if axis < len(dims) - 1 or r.flip():
        attrs["axis"] = written
    x = r.leaf(dims, dtype=r.pick(("float32", "complex64")))
    return r.node(op, [x], attrs, [*dims[:axis], n // 2 + 1 if attrs.get("onesided") else n, *dims[axis + 1 :]])


def stft(r: Recipe, op: str) -> Value:
    size, step = r.size(1, 6), r.size(1, 3)
    length = size + r.choose.integer(0, 5)
    dims: list[Dim] = [*(r.dim() for _ in range(r.choose.integer(0, 2))), length]
    attrs: dict[str, Any] = {"size": size, "step": step, "dtype": "complex64"}
    r.option(attrs, "onesided", (True, False))
    x = r.leaf(dims, dtype=r.pick(("float32", "complex64")))
    lines = size // 2 + 1 if attrs.get("onesided", True) else size
    return r.node(op, [x, r.weight([size], "float32")], attrs, [*dims[:-1], (length - size) // step + 1, lines])


RECIPES = {
    **dict.fromkeys(of_family("square_matrix"), square),
    **dict.fromkeys(("solve", "triangular_solve"), solve),
    "lu_factor": lu_factor,
    **dict.fromkeys(("qr", "svd"), tall),
    "fft": fft,
    "stft": stft,
}
