"""The module tree of a graph: what each module costs, and the weights it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TypeAlias

from .conventions import Convention, convention
from .count import Count, Frame, Tally
from .count import count as count_graph
from .expr import Expr, sum_over
from .graph import Graph

__all__ = ["Module", "module_tree"]


@dataclass(frozen=True, slots=True)
class Module:
    """One module with all it contains.

    Attributes
    ----------
    name : str
        Last part of its path; the root has the name of the graph. Repeats are one module, ``[0..31]``.
    path : str
        Module path from the root, dots between; empty at the root.
    cost : int, Fraction or Expr
        Price of its ops and those of its children, over all repeats, in the unit of the convention.
    parameters : int, Fraction or Expr
        Learned weights in it and its children; tied ones where they are first used.
    active_parameters : int, Fraction, Expr or None
        Those of them that one token goes through; None where that is not known (`Graph.unknown_routers`).
    children : tuple of Module
        In the order in which the graph uses them.
    """

    name: str
    path: str
    cost: Count
    parameters: Count
    active_parameters: Count | None
    children: tuple[Module, ...]

    def walk(self, depth: int | None = None) -> Iterator[tuple[int, Module]]:
        """Yield (level, module), this one first; children deeper than `depth` are left out."""
        stack = [(0, self)]
        while stack:
            level, module = stack.pop()
            yield level, module
            if depth is None or level < depth:
                stack.extend((level + 1, child) for child in reversed(module.children))


def module_tree(graph: Graph, convention_: str | Convention = "macs", *, at: Mapping[str, int] | None = None) -> Module:
    """Return the modules of a graph as a tree, with the cost and the parameters of each.

    Parameters
    ----------
    graph : Graph
        With module scopes, as front-ends make them.
    convention_ : str or Convention
        What counts as one operation.
    at : mapping of str to int, optional
        Values for symbolic dims; without them costs are expressions.

    Returns
    -------
    Module
        The root. Its cost is the total, its parameters are those of the graph.

    Raises
    ------
    ConventionError, DataError, ShapeError, CountOverflowError
        As `flopcore.count` and `Tally.flop` raise them.

    Examples
    --------
    >>> import flopcore as fc
    >>> g = fc.Graph("model")
    >>> x = g.input("x", (8, 64))
    >>> with g.scope("head"):
    ...     _ = g.linear(x, g.parameter("weight", (10, 64)))
    >>> tree = fc.module_tree(g)
    >>> [(level, module.path, module.cost, module.parameters) for level, module in tree.walk()]
    [(0, '', 5120, 640), (1, 'head', 5120, 640)]
    """
    chosen = convention(convention_)
    tally = count_graph(graph, at=at)
    blocks = _blocks(graph, tally, at or {})
    costs = tally.flop(chosen, by="module")
    sums = {path: _Sums(costs.get(path, 0), *sizes) for path, sizes in blocks[-1].items()}
    return _tree(graph.name, sums, knows_active=not tally.unknown_routers)


@dataclass(slots=True)
class _Sums:
    cost: Count = 0
    parameters: Count = 0
    active: Count = 0


_Sizes: TypeAlias = tuple[Count, Count]
"""Weights, and those of them that one token goes through."""


def _blocks(graph: Graph, tally: Tally, at: Mapping[str, int]) -> list[dict[str, _Sizes]]:
    """Return, for each block of a tally, its module paths in the order of use with the weights that stand at each.

    Of a block its own weights, and those of each block it repeats, times the repeats that have weights of their own.
    """
    numbers = _graph_blocks(graph, tally)
    at_site: dict[int, list[tuple[int, str, _Sizes]]] = {number: [] for number in numbers}
    for site, node in enumerate(graph.nodes()):
        scope, block = node["scope"], node["block"]
        assert isinstance(scope, str)
        assert isinstance(block, int)
        if block in at_site:
            at_site[block].append((site, scope, _sizes(graph, node, at)))
    frames: dict[int, list[Frame]] = {}
    for frame in tally.frames():
        frames.setdefault(frame.parent, []).append(frame)
    totals: list[dict[str, _Sizes]] = []
    for block, number in enumerate(numbers):  # callees stand before callers
        steps = [(site, {scope: sizes}) for site, scope, sizes in at_site[number]]
        shared: set[int] = set()
        for frame in frames.get(block, []):
            times: Count = frame.times
            if frame.params == "shared":
                times = 0 if frame.block in shared else 1
                shared.add(frame.block)
            if frame.kind == "recompute":
                times = 0
            repeated = {
                ".".join(part for part in (frame.scope, path) if part): (
                    _over_runs(frame, times, sizes[0]),
                    _over_runs(frame, times, sizes[1]),
                )
                for path, sizes in totals[frame.block].items()
            }
            steps.append((frame.site, repeated))
        sums: dict[str, _Sizes] = {}
        for _, step in sorted(steps, key=lambda each: each[0]):
            for path, (size, active) in step.items():
                before = sums.get(path, (0, 0))
                sums[path] = (before[0] + size, before[1] + active)
        totals.append(sums)
    return totals


def _over_runs(frame: Frame, times: Count, size: Count) -> Count:
    return sum_over(size, frame.index, 0, times) if frame.index else times * size


def _sizes(graph: Graph, node: Mapping[str, object], at: Mapping[str, int]) -> _Sizes:
    if node["op"] != "parameter":
        return 0, 0
    outputs, attrs = node["outputs"], node["attrs"]
    assert isinstance(outputs, list)
    assert isinstance(attrs, dict)
    size: Count = prod(graph.core.shape(outputs[0]))
    if isinstance(size, Expr) and at:
        size = size.at(at, on_unknown="ignore")
    active = size * attrs.get("active", 1)
    return size, active.numerator if isinstance(active, Fraction) and active.denominator == 1 else active


def _graph_blocks(graph: Graph, tally: Tally) -> list[int]:
    """Return the graph's number of each block of the tally; the last one is the graph itself."""
    numbers = [0] * len(tally.blocks())
    for frame in tally.frames():
        numbers[frame.block] = graph.core.node(frame.site)["runs"][frame.arm]["block"]
    return numbers


def _tree(name: str, sums: Mapping[str, _Sums], *, knows_active: bool) -> Module:
    """Hang every path below its parent; a parent holds the sum of what is under it."""
    children: dict[str, list[str]] = {"": []}
    total: dict[str, _Sums] = {"": _Sums()}
    for path, own in sums.items():
        parts = _parts(path)
        for depth in range(len(parts) + 1):
            place = ".".join(parts[:depth])
            if place not in total:
                total[place] = _Sums()
                children[place] = []
                children[".".join(parts[: depth - 1])].append(place)
            total[place].cost += own.cost
            total[place].parameters += own.parameters
            total[place].active += own.active
    built: dict[str, Module] = {}
    for path in sorted(total, key=lambda each: -len(_parts(each))):
        parts = _parts(path)
        built[path] = Module(
            name=parts[-1] if parts else name,
            path=path,
            cost=total[path].cost,
            parameters=total[path].parameters,
            active_parameters=total[path].active if knows_active else None,
            children=tuple(built[child] for child in children[path]),
        )
    return built[""]


def _parts(path: str) -> list[str]:
    """Split a path at its dots, but not inside a pattern such as [0..31]."""
    if not path:
        return []
    return [part.replace("\0", "..") for part in path.replace("..", "\0").split(".")]


def share(part: Count, whole: Count) -> Fraction | None:
    """Return a part of a whole, None where either is symbolic or the whole is 0."""
    if isinstance(part, Expr) or isinstance(whole, Expr) or whole == 0:
        return None
    return Fraction(part) / Fraction(whole)
