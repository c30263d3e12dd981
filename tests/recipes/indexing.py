"""Recipes of ops that pick elements by index or place them."""

from __future__ import annotations

from typing import Any

from flopcore.specification import specification

from .recipe import IDS, INTEGERS, Dim, Recipe, Value, words


def ids(r: Recipe, dims: list[Dim]) -> Value:
    return r.leaf(dims, dtype=r.pick(IDS))


def embedding(r: Recipe, op: str) -> Value:
    weight = r.leaf([r.size(1, 50), r.dim()], dtype=r.dtype(), kind="parameter")
    picked = r.leaf([r.dim() for _ in range(r.choose.integer(0, 2))], dtype=r.pick(IDS), kind="input")
    return r.node(op, [weight, picked], {}, [*picked.dims, weight.dims[1]])


def embedding_bag(r: Recipe, op: str) -> Value:
    weight, bags = r.leaf([r.size(1, 50), r.dim()], dtype=r.dtype(), kind="parameter"), r.dim()
    attrs: dict[str, Any] = {}
    r.option(attrs, "mode", ("mean", "sum", "max"))
    return r.node(op, [weight, ids(r, [bags, r.dim()])], attrs, [bags, weight.dims[1]])


def gather(r: Recipe, op: str) -> Value:
    x = r.any_tensor()
    axis, written = r.axis(len(x.dims))
    dims = [r.dim() for _ in range(r.choose.integer(0, 2))]
    return r.node(op, [x, ids(r, dims)], {"axis": written}, [*x.dims[:axis], *dims, *x.dims[axis + 1 :]])


def take_along(r: Recipe, op: str) -> Value:
    x = r.any_tensor()
    dims = [r.dim() for _ in x.dims]
    return r.node(op, [x, ids(r, dims)], {"axis": r.axis(len(dims))[1]}, dims)


def tuples(r: Recipe, x: Value, batch: int) -> tuple[list[Dim], list[Dim]]:
    """Dims of the places that index tuples stand in, and of the slices they leave, behind some batch dims."""
    length = r.choose.integer(1, len(x.dims) - batch)
    return [*x.texts[:batch], *(r.dim() for _ in range(r.choose.integer(0, 2)))], x.texts[batch + length :]


def gather_nd(r: Recipe, op: str) -> Value:
    x = r.known_tensor(2, 4)
    attrs: dict[str, Any] = {}
    r.option(attrs, "batch_dims", (0, 1))
    batch = attrs.get("batch_dims", 0)
    places, rest = tuples(r, x, batch)
    indices = ids(r, [*places, len(x.dims) - batch - len(rest)])
    return r.node(op, [x, indices], attrs, [*places, *rest])


def placed(r: Recipe, op: str, x: Value, indices: Value, updates: list[Dim], attrs: dict[str, Any]) -> Value:
    if not r.chance(5):
        attrs["reduction"] = r.pick(words(specification().ops[op].attrs["reduction"]))
    return r.node(op, [x, indices, r.leaf(updates, dtype=x.dtype)], attrs, x.dims)


def scatter(r: Recipe, op: str) -> Value:
    x = r.any_tensor()
    dims = [r.dim() for _ in x.dims]
    return placed(r, op, x, ids(r, dims), dims, {"axis": r.axis(len(dims))[1]})


def scatter_nd(r: Recipe, op: str) -> Value:
    x = r.known_tensor()
    places, rest = tuples(r, x, 0)
    return placed(r, op, x, ids(r, [*places, len(x.dims) - len(rest)]), [*places, *rest], {})


def index_update(r: Recipe, op: str) -> Value:
    x = r.known_tensor()
    axis, written = r.axis(len(x.dims))
    dims, n = x.texts, r.dim()
    dims[axis] = n
    return placed(r, op, x, ids(r, [n]), dims, {"axis": written})


def one_hot(r: Recipe, op: str) -> Value:
    x, size = r.any_tensor(0, 3, dtypes=INTEGERS), r.dim()
    axis, written = r.axis(len(x.dims) + 1)
    attrs: dict[str, Any] = {"size": size, "dtype": r.pick(("float32", "int8"))}
    if axis < len(x.dims) or r.flip():
        attrs["axis"] = written
    return r.node(op, [x], attrs, [*x.dims[:axis], size, *x.dims[axis:]])


def nonzero(r: Recipe, op: str) -> Value:
    x, size = r.any_tensor(0), r.dim()
    return r.node(op, [x], {"size": size}, [len(x.dims), size])


def masked_select(r: Recipe, op: str) -> Value:
    x, size = r.known_tensor(0), r.dim()
    return r.node(op, [x, r.leaf(x.texts, dtype="bool")], {"size": size}, [size])


RECIPES = {
    "embedding": embedding, "embedding_bag": embedding_bag, "gather": gather, "take_along": take_along,
    "gather_nd": gather_nd, "scatter": scatter, "scatter_nd": scatter_nd, "index_update": index_update,
    "one_hot": one_hot, "nonzero": nonzero, "masked_select": masked_select,
}  # fmt: skip
