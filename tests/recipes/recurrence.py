"""Recipes of recurrences, scans, mixtures of experts and decompositions of matrices."""

from __future__ import annotations

from typing import Any

from .recipe import Dim, Recipe, Value


def layer(r: Recipe, op: str) -> Value:
    """A recurrent layer of any cell."""
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[op]
    length, batch, width, hidden, directions = r.dim(), r.dim(), r.dim(), r.size(), r.size(1, 2)
    out, dtype = hidden, r.dtype()
    projected = op == "lstm" and r.flip()
    if projected:
        out = r.size()
    x = r.leaf([length, batch, width], dtype=dtype)
    weight = r.leaf([directions, gates * hidden, width], dtype=dtype, kind="parameter")
    recurrent = r.leaf([directions, gates * hidden, out], dtype=dtype, kind="parameter")
    bias = r.weight([directions, r.size(1, 2) * gates * hidden], dtype)
    first = r.leaf([directions, batch, out], dtype=dtype) if r.flip() else None
    inputs: list[Value | None] = [x, weight, recurrent, bias, first]
    dims: list[list[Dim | None]] = [[length, batch, directions * out], [directions, batch, out]]
    attrs: dict[str, Any] = {}
    if op == "rnn":
        r.option(attrs, "activation", ("tanh", "relu"))
    if op == "lstm":
        inputs.append(r.leaf([directions, batch, hidden], dtype=dtype) if r.flip() else None)
        inputs.append(r.leaf([directions, out, hidden], dtype=dtype, kind="parameter") if projected else None)
        inputs.append(r.weight([directions, 3 * hidden], dtype))
        dims.append([directions, batch, hidden])
    return r.several(op, inputs, attrs, dims)[0]


def optional(r: Recipe, dims: list[Dim], dtype: str) -> Value | None:
    return r.leaf(dims, dtype=dtype) if r.flip() else None


def selective_scan(r: Recipe, op: str) -> Value:
    batch, length, width, state, dtype = r.dim(), r.dim(), r.dim(), r.size(), r.dtype()
    whole: list[Dim] = [batch, length, width]
    u, delta = r.leaf(whole, dtype=dtype), r.leaf(whole, dtype=dtype)
    a = r.leaf([width, state], dtype="float32", kind="parameter")
    b, c = (r.leaf([batch, length, state], dtype=dtype) for _ in range(2))
    inputs = [u, delta, a, b, c, r.weight([width], dtype), optional(r, whole, dtype), r.weight([width], dtype)]
    attrs: dict[str, Any] = {}
    r.option(attrs, "softplus", (True, False))
    return r.node(op, inputs, attrs, whole)


def state_space_dual(r: Recipe, op: str) -> Value:
    batch, length, groups, width, state, dtype = r.dim(), r.dim(), r.size(1, 2), r.dim(), r.size(), r.dtype()
    heads = groups * r.size(1, 3)
    x, dt = r.leaf([batch, length, heads, width], dtype=dtype), r.leaf([batch, length, heads], dtype=dtype)
    a = r.leaf([heads], dtype="float32", kind="parameter")
    b, c = (r.leaf([batch, length, groups, state], dtype=dtype) for _ in range(2))
    attrs: dict[str, Any] = {}
    r.option(attrs, "chunk", (1, 2, 3, 8))
    return r.node(op, [x, dt, a, b, c, r.weight([heads], dtype)], attrs, x.dims)


def gated_delta_rule(r: Recipe, op: str) -> Value:
    batch, length, heads, dtype = r.dim(), r.dim(), r.dim(), r.dtype()
    lead: list[Dim] = [batch, length, heads]
    key = r.dim()
    q, k, v = (r.leaf([*lead, size], dtype=dtype) for size in (key, key, r.dim()))
    attrs: dict[str, Any] = {}
    r.option(attrs, "chunk", (0, 1, 2, 3, 8))
    return r.node(op, [q, k, v, r.leaf(lead, dtype=dtype), optional(r, lead, dtype)], attrs, v.dims)


def associative_scan(r: Recipe, op: str) -> Value:
    x = r.known_tensor()
    attrs: dict[str, Any] = {}
    r.option(attrs, "axis", (r.axis(len(x.dims))[1],))
    r.option(attrs, "combine", ("add", "mul", "max"))
    r.option(attrs, "algorithm", ("sequential", "recursive", "doubling"))
    return r.node(op, [x, optional(r, x.texts, x.dtype)], attrs, x.dims)


def mixture_of_experts(r: Recipe, op: str) -> Value:
    experts, width, inner, dtype = r.size(2, 5), r.dim(), r.dim(), r.dtype()
    x = r.leaf([*(r.dim() for _ in range(r.choose.integer(0, 2))), width], dtype=dtype)
    router = r.leaf([experts, width], dtype=dtype)
    up, down = r.leaf([experts, inner, width], dtype=dtype), r.leaf([experts, width, inner], dtype=dtype)
    inputs: list[Value | None] = [x, router, up, down, optional(r, [experts, inner, width], dtype), None, None, None]
    if r.flip():
        size = r.size()
        inputs[5:7] = [r.leaf([size, width], dtype=dtype), r.leaf([width, size], dtype=dtype)]
        inputs[7] = optional(r, [size, width], dtype)
    attrs: dict[str, Any] = {"top_k": r.size(1, experts)}
    if r.flip():
        attrs["capacity"] = r.pick((0, 1, 3, r.dim()))
    r.option(attrs, "activation", ("relu", "gelu", "silu"))
    r.option(attrs, "scoring", ("softmax", "sigmoid"))
    r.option(attrs, "dispatch", ("gather", "einsum") if "capacity" in attrs else ("gather",))
    return r.node(op, inputs, attrs, x.dims)


RECIPES = {
    "rnn": layer, "gru": layer, "lstm": layer, "selective_scan": selective_scan, "state_space_dual": state_space_dual,
    "gated_delta_rule": gated_delta_rule, "associative_scan": associative_scan,
    "mixture_of_experts": mixture_of_experts,
}  # fmt: skip
