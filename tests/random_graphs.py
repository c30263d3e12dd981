"""Random valid graphs over every op and attribute, as the plain data that `flopcore.reference` reads.

What a node of each op may look like stands in `recipes`; here they are put together, with blocks and calls.
"""

from __future__ import annotations

from collections.abc import Sequence

from recipes import NAMES, OPS, add_any
from recipes.recipe import SYMBOLS, Chooser, Dim, Recipe, Value, choices

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
    """A block of its own, called once or twice from the current one, and perhaps again from a later one."""
    caller = r.block
    x = r.existing(
        lambda value: value.known and len(value.dims) >= 1, lambda: r.leaf([r.dim(), r.dim()], dtype="float32")
    )
    dims = x.texts
    r.blocks.append({"name": f"body{len(r.blocks)}", "outputs": []})
    callee = r.block = len(r.blocks) - 1
    r.values[callee] = []
    inner = r.leaf(dims, dtype=x.dtype, kind="input")
    for _ in range(r.size(1, 3)):
        if depth < 2 and r.chance(5):
            body(r, depth + 1)
            r.mark("call", nested=True)
        else:
            add_any(r)
    outputs = [inner, r.values[callee][-1]][r.choose.integer(0, 1) :]
    r.blocks[callee]["outputs"] = [value.number for value in outputs]
    r.block = caller
    for _ in range(r.size(1, 2)):
        call(r, callee, x, outputs)
    r.mark("call", nested=False)
    # A block may be called again from another one, on an argument of the same shape.
    again = [other for other in r.callable_blocks if other[1].dims == x.dims and other[1].dtype == x.dtype]
    r.mark("call", again=bool(again))
    if again:
        other, _, results = r.pick(again)
        call(r, other, x, results)
    r.callable_blocks.append((callee, inner, outputs))


def call(r: Recipe, callee: int, x: Value, outputs: Sequence[Value]) -> None:
    """A call of a finished block from the current one."""
    numbers = [r.new_number() for _ in outputs]
    times: Dim = r.pick(("depth", "seq", "2*depth + 1")) if r.symbolic and r.flip() else r.choose.integer(0, 5)
    params = r.pick(("per_call", "shared"))
    r.mark("call", times="symbol" if isinstance(times, str) else "int", params=params)
    r.seen["call"] += 1
    node = {"op": "call", "block": r.block, "callee": callee, "times": times, "params": params}
    r.nodes.append(
        node | {"inputs": [x.number], "outputs": numbers, "name": f"call{callee}", "scope": r.pick(r.scopes)}
    )
    for number, value in zip(numbers, outputs, strict=True):
        r.values[r.block].append(Value(number, value.dims, value.least, value.dtype))


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
