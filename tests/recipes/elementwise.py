"""Recipes of the elementwise ops: all made from their rows in ops.toml."""

from __future__ import annotations

from typing import Any

from flopcore.specification import specification

from .recipe import FLOATS, INTEGERS, Dim, Recipe, Value, words


def operand(r: Recipe, dims: list[Dim], dtype: str, kind: str = "") -> tuple[Value, list[Dim]]:
    """A tensor that broadcasts with one of these dims, and the dims of both together."""
    shape = r.pick(("same", "stretched", "shorter", "longer"))
    if shape == "stretched":
        return r.leaf([1 if r.flip() else dim for dim in dims], dtype=dtype, kind=kind), dims
    if shape == "shorter":
        return r.leaf(dims[r.choose.integer(0, len(dims)) :], dtype=dtype, kind=kind), dims
    if shape == "longer":
        wide = [r.size(), *dims]
        return r.leaf(wide, dtype=dtype, kind=kind), wide
    return r.leaf(dims, dtype=dtype, kind=kind), dims


def elementwise(r: Recipe, op: str) -> Value:
    spec = specification().ops[op]
    rules = spec.accepts
    allowed = INTEGERS if rules.integers else ()
    attrs: dict[str, Any] = {}
    for key, kind in spec.attrs.items():
        options = words(kind) or FLOATS
        if key in spec.defaults:
            r.option(attrs, key, options)
        else:
            attrs[key] = r.pick(options)
    x = r.known_tensor(0, dtypes=allowed) if len(spec.inputs) > 1 or r.flip() else r.any_tensor(0, dtypes=allowed)
    slots = [slot.rstrip("*") for slot in spec.inputs] * (r.size(1, 4) if spec.inputs[0].endswith("*") else 1)
    if len(slots) == 1:
        return r.node(op, [x], attrs, x.dims)
    if not x.known:
        x = r.leaf([r.dim(), r.dim()], dtype=x.dtype)
    same = "*" in rules.alike or spec.inputs[0].endswith("*")
    if same and r.chance(5):
        return r.node(op, [x] * len(slots), attrs, x.dims)
    dims = x.texts
    at = r.pick([index for index, slot in enumerate(slots) if x.dtype == "bool" or slot not in rules.bools])
    inputs: list[Value] = []
    for index, slot in enumerate(slots):
        is_bool = slot in rules.bools
        if index == at:
            inputs.append(x)
            continue
        dtype = "bool" if is_bool else x.dtype if same or slot in rules.alike else r.pick(FLOATS)
        value, dims = operand(r, dims, dtype)
        inputs.append(value)
    return r.node(op, inputs, attrs, dims)


RECIPES = {name: elementwise for name, op in specification().ops.items() if op.family == "elementwise"}
