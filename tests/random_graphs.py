"""Random valid graphs over every op and attribute, as the plain data that `flopcore.reference` reads.

What a node of each op may look like stands in `recipes`; here they are put together, with blocks and calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from recipes import NAMES, OPS, add_any
from recipes.recipe import SYMBOLS, Chooser, Dim, Recipe, Value, choices, least

__all__ = [
    "NAMES",
    "OPS",
    "SYMBOLS",
    "Chooser",
    "Recipe",
    "Value",
    "add_any",
    "choices",
    "random_graph",
    "random_point",
]


def body(r: Recipe, depth: int = 0) -> None:
    """A block of its own, run once or twice from the current one, and perhaps again from a later one."""
    caller = r.block
    x = r.existing(
        lambda value: value.known and len(value.dims) >= 1, lambda: r.leaf([r.dim(), r.dim()], dtype="float32")
    )
    callee = r.block = len(r.blocks)
    r.blocks.append({"name": f"body{callee}", "outputs": []})
    r.values[callee] = []
    inner = r.leaf(x.texts, dtype=x.dtype, kind="input")
    indexed = r.symbolic and r.chance(4) and not any("step" in str(dim) for dim in x.dims)
    if indexed:
        r.indexed_blocks.add(callee)
    for _ in range(r.size(1, 3)):
        if depth < 2 and r.chance(5):
            body(r, depth + 1)
            r.mark("call", nested=True)
        else:
            add_any(r)
    outputs = [inner] if indexed else [inner, r.values[callee][-1]][r.choose.integer(0, 1) :]
    r.blocks[callee]["outputs"] = [value.number for value in outputs]
    r.block = caller
    for _ in range(r.size(1, 2)):
        run(r, callee, x, outputs)
    r.mark("call", nested=False)
    # A block may be called again from another one, on an argument of the same shape.
    again = [other for other in r.callable_blocks if other[1].dims == x.dims and other[1].dtype == x.dtype]
    r.mark("call", again=bool(again))
    if again:
        other, _, results = r.pick(again)
        run(r, other, x, results)
    if not indexed:
        r.callable_blocks.append((callee, inner, outputs))


def run(r: Recipe, callee: int, x: Value, outputs: Sequence[Value]) -> None:
    """A finished block run from the current one, in one of the ways there are."""
    if callee in r.indexed_blocks:
        return loop(r, callee, x, outputs, index="step")
    ways = [call, call, recompute]
    if all(value.known for value in outputs):
        ways += [loop, choice]
    return r.pick(ways)(r, callee, x, outputs)


def add_runs(
    r: Recipe, op: str, runs: list[dict[str, Any]], inputs: list[Value], outputs: Sequence[tuple[Sequence[Any], str]]
) -> None:
    """Add the node; `outputs` are the dims and dtypes it returns."""
    numbers = [r.new_number() for _ in outputs]
    r.seen[op] += 1
    r.nodes.append({
        "op": op, "block": r.block, "inputs": [value.number for value in inputs], "outputs": numbers, "runs": runs,
        "name": f"{op}{numbers[0]}", "scope": r.pick(r.scopes),
    })  # fmt: skip
    for number, (dims, dtype) in zip(numbers, outputs, strict=True):
        r.values[r.block].append(Value(number, tuple(dims), tuple(least(dim) for dim in dims), dtype))


def some_times(r: Recipe) -> Dim:
    return r.pick(("depth", "seq", "2*depth + 1")) if r.symbolic and r.flip() else r.choose.integer(0, 5)


def call(r: Recipe, callee: int, x: Value, outputs: Sequence[Value]) -> None:
    times, params = some_times(r), r.pick(("per_call", "shared"))
    r.mark("call", times="symbol" if isinstance(times, str) else "int", params=params)
    as_outputs(r, "call", [{"block": callee, "times": times, "params": params}], [x], outputs)


def recompute(r: Recipe, callee: int, x: Value, outputs: Sequence[Value]) -> None:
    as_outputs(r, "recompute", [{"block": callee}], [x], outputs)


def as_outputs(r: Recipe, op: str, runs: list[dict[str, Any]], inputs: list[Value], outputs: Sequence[Value]) -> None:
    """A node that returns what its block does, unknown dims included."""
    add_runs(r, op, runs, inputs, [((), value.dtype) for value in outputs])
    made = r.values[r.block][-len(outputs) :]
    r.values[r.block][-len(outputs) :] = [
        Value(one.number, value.dims, value.least, value.dtype) for one, value in zip(made, outputs, strict=True)
    ]


def loop(r: Recipe, callee: int, x: Value, outputs: Sequence[Value], *, index: str = "") -> None:
    """A loop or scan: x is state if it comes back first, else it is a slice or an invariant."""
    times, params = some_times(r), r.pick(("per_call", "shared"))
    if index:  # each run is counted on its own, and weights whose size depends on the run are not shared
        inside = any(run.get("index") for node in r.nodes if node["block"] == callee for run in node.get("runs", []))
        times, params = r.pick(("depth", 0, 1, 3, 2 if inside else 70)), "per_call"
    spec: dict[str, Any] = {"block": callee, "times": times, "params": params, "index": index}
    state = len(outputs) > 1 or outputs[0].number == r.values[callee][0].number
    argument = x
    if state:
        spec["n_state"] = 1
    elif r.flip():
        axis = r.choose.integer(0, len(x.dims))
        spec["slice_axes"] = [axis]
        argument = r.leaf([*x.texts[:axis], times, *x.texts[axis:]], dtype=x.dtype)
    results: list[tuple[Sequence[Any], str]] = [(x.dims, x.dtype)] if state else []
    stacked = outputs[1:] if state else outputs
    spec["stack_axes"] = [r.choose.integer(0, len(value.dims)) for value in stacked]
    for value, axis in zip(stacked, spec["stack_axes"], strict=True):
        results.append(([*value.dims[:axis], times, *value.dims[axis:]], value.dtype))
    r.mark("loop", state=state, slices="slice_axes" in spec, stacked=bool(stacked), index=bool(index), params=params)
    add_runs(r, "loop", [spec], [argument], results)


def choice(r: Recipe, callee: int, x: Value, outputs: Sequence[Value]) -> None:
    """An if: a block, and one that does little and returns the same."""
    caller = r.block
    other = r.block = len(r.blocks)
    r.blocks.append({"name": f"arm{other}", "outputs": []})
    r.values[other] = []
    r.leaf(x.texts, dtype=x.dtype, kind="input")
    cheap = [r.leaf(value.texts, dtype=value.dtype, kind="constant") for value in outputs]
    if r.flip():
        cheap[0] = r.node("relu", [cheap[0]], None, cheap[0].dims)
    r.blocks[other]["outputs"] = [value.number for value in cheap]
    r.block = caller
    arms = [callee, other] if r.flip() else [other, callee, callee]
    chances = [Fraction(1, 3), Fraction(2, 3)] if len(arms) == 2 else [Fraction(1, 2), Fraction(1, 2), 0]
    params = r.pick(("per_call", "shared"))
    runs = [{"block": arm, "params": params, "probability": p} for arm, p in zip(arms, chances, strict=True)]
    r.mark("if", arms=len(arms), params=params)
    add_runs(r, "if", runs, [x] * len(arms), [(value.dims, value.dtype) for value in outputs])


def random_graph(choose: Chooser, *, n_nodes: int = 12, symbolic: bool | None = None) -> Recipe:
    """Return a random graph of about `n_nodes` nodes."""
    recipe = Recipe(choose, choose.integer(0, 1) == 1 if symbolic is None else symbolic)
    recipe.leaf([recipe.dim(), recipe.dim()], dtype="float32", kind="input")
    for _ in range(n_nodes):
        if recipe.chance(12):
            body(recipe)
        else:
            add_any(recipe)
    recipe.blocks[0]["outputs"] = [recipe.values[0][-1].number]
    return recipe


def random_point(choose: Chooser) -> dict[str, int]:
    """Return a value for every symbol."""
    return {name: low + step * choose.integer(0, 4) for name, (low, step) in SYMBOLS.items()}
