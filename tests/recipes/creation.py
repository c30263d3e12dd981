"""Recipes of ops that make tensors, from nothing or like another."""

from __future__ import annotations

from typing import Any

from .recipe import FLOATS, Recipe, Value
from .reduction import of_family


def filled(r: Recipe, op: str) -> Value:
    shape = [r.dim() for _ in range(2 if op == "eye" else r.choose.integer(0, 3))]
    return r.node(op, [], {"shape": shape, "dtype": r.pick(FLOATS)}, shape)


def steps(r: Recipe, op: str) -> Value:
    size = r.dim()
    return r.node(op, [], {"size": size, "dtype": r.pick(FLOATS)}, [size])


def like(r: Recipe, op: str) -> Value:
    x = r.any_tensor(0)
    return r.node(op, [x], {}, x.dims)


def dropout(r: Recipe, op: str) -> Value:
    x = r.any_tensor(0)
    attrs: dict[str, Any] = {}
    r.option(attrs, "mode", ("eval", "train"))
    r.option(attrs, "ratio", ("0", "1", "0.1", "1/3"))
    return r.node(op, [x], attrs, x.dims)


def multinomial(r: Recipe, op: str) -> Value:
    x, size = r.known_tensor(2, 2), r.dim()
    return r.node(op, [x], {"size": size}, [x.dims[0], size])


RECIPES = {
    **dict.fromkeys(of_family("copy"), like),
    **dict.fromkeys(("full", "eye", *of_family("random")), filled),
    "arange": steps, "linspace": steps, "bernoulli": like, "multinomial": multinomial, "dropout": dropout,
}  # fmt: skip
