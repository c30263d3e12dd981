"""A small recipe for each op: how to put a random valid node of it into a graph. An op without one fails a test."""

from __future__ import annotations

from collections.abc import Callable

from . import contraction, creation, elementwise, indexing, matrices, movement, products, recurrence, reduction, windows
from .recipe import Recipe, Value

MODULES = (contraction, creation, elementwise, indexing, matrices, movement, products, recurrence, reduction, windows)
OPS: dict[str, Callable[[Recipe, str], Value]] = {
    name: make for module in MODULES for name, make in module.RECIPES.items()
}
NAMES = sorted(OPS)


def add_any(r: Recipe) -> Value:
    """Add a node of an op picked at random."""
    op = r.pick(NAMES)
    return OPS[op](r, op)
