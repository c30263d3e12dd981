"""Holds the core against the reference on many random graphs, and tells which ops and choices they showed.

``python tests/agreement.py [graphs]`` prints the table; tests/props/test_coverage.py fails on its gaps.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import flopcore as fc
from core_graphs import build
from flopcore.conventions import convention
from flopcore.reference import count, price, verify
from flopcore.specification import specification
from random_graphs import SYMBOLS, Chooser, Recipe, choices, random_graph, random_point

LEAST = 50
"""How often 20,000 graphs show each op at least; a fifth of it for each choice of an attribute or optional input."""
RUNS = (
    *("call", "loop", "if", "recompute", "loop state=False", "loop slices=True", "loop stacked=True"),
    *("loop index=True", "loop index=False", "loop params=shared", "if arms=2", "if arms=3"),
)


class Seeded:
    """Choices of a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)


def graph_of(recipe: Recipe) -> fc.Graph:
    return build(recipe.data(), SYMBOLS if recipe.symbolic else None)


def point_of(graph: fc.Graph, choose: Chooser) -> dict[str, int]:
    return {name: value for name, value in random_point(choose).items() if name in graph.dims}


def check(choose: Chooser, n_nodes: int = 12) -> Recipe:
    """Compare core and reference on one graph, symbolic or bound: each row, feature and extent, and totals."""
    recipe = random_graph(choose, n_nodes=n_nodes)
    graph = graph_of(recipe)
    at = point_of(graph, choose)
    tally = fc.count(graph) if recipe.flip() else fc.count(graph, at=at)
    verify(graph, tally, convention("all-arithmetic"), at=at)
    # The data the graph was made from, not what the core says the graph is.
    if price(count(recipe.data(), at=at), convention("macs")) != tally.flop("macs", at=at):
        raise AssertionError("the graph that the core describes is not the one it was given")
    return recipe


def seen_in(seeds: range, n_nodes: int = 5) -> Counter[str]:
    """Return what the graphs of some seeds show; an error names the seed."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        try:
            seen += check(Seeded(seed), n_nodes).seen
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    return seen


def seen_in_parallel(n_graphs: int) -> Counter[str]:
    """Return what the first so many graphs show, checked by all CPUs this process may use."""
    step = 500
    parts = [range(start, min(start + step, n_graphs)) for start in range(0, n_graphs, step)]
    seen: Counter[str] = Counter()
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        for part in pool.map(seen_in, parts):
            seen += part
    return seen


def wanted(least: int) -> dict[str, int]:
    """Return how often each op, each kind of run and each choice must be shown."""
    ops = [op for op in specification().ops.values() if not op.leaf]
    return (
        {op.name: least for op in ops}
        | dict.fromkeys(RUNS, least)
        | {choice: max(least // 5, 1) for op in ops for choice in choices(op)}
    )


def gaps(seen: Counter[str], least: int) -> list[str]:
    """Return what was shown less often than it must be."""
    return [f"{name}: {seen[name]} of {n}" for name, n in wanted(least).items() if seen[name] < n]


def table(seen: Counter[str]) -> str:
    """Return a line per op: how often it was shown, and how often each of its choices."""
    lines = [f"{'op':24} {'times':>6}  choices"]
    for op in specification().ops.values():
        shown = ", ".join(f"{choice.partition(' ')[2]} {seen[choice]}" for choice in choices(op))
        lines += [] if op.leaf else [f"{op.name:24} {seen[op.name]:6}  {shown}"]
    return "\n".join(lines)


if __name__ == "__main__":
    found = seen_in_parallel(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
    print(table(found))
    print("gaps:", "; ".join(gaps(found, LEAST)) or "none")
