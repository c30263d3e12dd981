"""Intervals that contain every value a program can draw: for units of sums and ranges of histograms."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from . import _core
from .program import Node, Rank
from .program_inputs import Source
from .sweep_plan import Terms

__all__ = ["bounds_of"]

Interval: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]

_SLACK = 1e-9
"""Relative, on both sides: far more than all rounding of an operation, in double precision."""


def bounds_of(nodes: Sequence[Node], n_entities: int) -> list[tuple[float, float]]:
    """Return, per node, an interval that contains its values in all draws and entities; infinite where none is known.

    Draws are bounded: the largest random word is a quantile below 1.
    """
    known: dict[int, Interval] = {}
    pending = list(nodes)
    while pending:
        node = pending[-1]
        missing = [arg for arg in node.args if id(arg) not in known]
        if id(node) in known or not missing:
            pending.pop()
            known.setdefault(id(node), _widened(_interval(node, [known[id(arg)] for arg in node.args], n_entities)))
        else:
            pending += missing
    return [(float(known[id(node)][0].min()), float(known[id(node)][1].max())) for node in nodes]


def _widened(interval: Interval) -> Interval:
    low, high = interval
    bad = np.isnan(low) | np.isnan(high)
    low, high = np.where(bad, -np.inf, low), np.where(bad, np.inf, high)
    with np.errstate(invalid="ignore"):
        slack = np.where(np.isinf(low) | np.isinf(high), 0.0, _SLACK * np.maximum(abs(low), abs(high)))
    return low - slack, high + slack


def _hull(candidates: Sequence[NDArray[np.float64]]) -> Interval:
    stacked = np.stack(np.broadcast_arrays(*candidates))
    return stacked.min(axis=0), stacked.max(axis=0)


def _interval(node: Node, args: list[Interval], n_entities: int) -> Interval:
    if node.known is not None:
        with np.errstate(over="ignore"):
            values = np.array([_float(value) for value in node.known])
        return values, values
    with np.errstate(all="ignore"):
        if node.op == "total":
            low, high = (np.broadcast_to(end, (n_entities,)).sum(keepdims=True) for end in args[0])
            return low, high
        return _RULES.get(node.op, _everything)(node, args)


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def _everything(node: Node, args: list[Interval]) -> Interval:
    return np.array([-np.inf]), np.array([np.inf])


def _draw(node: Node, args: list[Interval]) -> Interval:
    source = cast("Source", node.payload)
    ends = []
    for distribution in source.distributions:
        term = distribution.log10_term() if source.space == "log10" else distribution.linear_term()
        offset = float(term.offset)
        if term.kind == "constant":
            ends.append((offset, offset))
            continue
        if node.op == "couple" and term.kind == "normal":
            reach = term.scale * float(np.maximum(abs(args[0][0]), abs(args[0][1])).max())
            ends.append((offset - reach, offset + reach))
            continue
        words = np.array([0, 2**53 - 1], dtype=np.uint64)
        if term.table is not None:
            ends.append((float(term.table.fields[0, 8]), float(term.table.fields[-1, 9])))
            continue
        columns = Terms()
        columns.append(0, term, 1)
        _, kind, scale, half, *_ = columns.arrays()
        values = offset + _core.term_values(int(kind[0]), float(scale[0]), float(half[0]), False, words)
        ends.append((float(values.min()), float(values.max())))
    array = np.array(ends)
    return array[:, 0], array[:, 1]


def _add(node: Node, args: list[Interval]) -> Interval:
    (a, b), (c, d) = args
    return a + c, b + d


def _sub(node: Node, args: list[Interval]) -> Interval:
    (a, b), (c, d) = args
    return a - d, b - c


def _mul(node: Node, args: list[Interval]) -> Interval:
    products = [np.where((x == 0) | (y == 0), 0.0, x * y) for x in args[0] for y in args[1]]
    return _hull(products)


def _div(node: Node, args: list[Interval]) -> Interval:
    (a, b), (c, d) = args
    around_zero = (c <= 0) & (d >= 0)
    low, high = _hull([a / c, a / d, b / c, b / d])
    return np.where(around_zero, -np.inf, low), np.where(around_zero, np.inf, high)


def _min(node: Node, args: list[Interval]) -> Interval:
    return np.minimum(args[0][0], args[1][0]), np.minimum(args[0][1], args[1][1])


def _max(node: Node, args: list[Interval]) -> Interval:
    return np.maximum(args[0][0], args[1][0]), np.maximum(args[0][1], args[1][1])


def _truth(node: Node, args: list[Interval]) -> Interval:
    return np.array([0.0]), np.array([1.0])


def _select(node: Node, args: list[Interval]) -> Interval:
    return _hull([*args[1], *args[2]])


def _lookup(node: Node, args: list[Interval]) -> Interval:
    entries = [float(entry) for entry in cast("tuple[Fraction, ...]", node.payload)]
    return np.array([min(entries)]), np.array([max(entries)])


def _log(node: Node, args: list[Interval]) -> Interval:
    natural = [np.where(end > 0, _core.log(np.maximum(end, 1e-300)), -np.inf) for end in args[0]]
    scale = 1.0 if node.op == "log" else 1.0 / float(_core.log(np.array([10.0]))[0])
    return natural[0] * scale, np.where(np.isinf(args[0][1]), np.inf, natural[1] * scale)


def _exp(node: Node, args: list[Interval]) -> Interval:
    scale = 1.0 if node.op == "exp" else float(_core.log(np.array([10.0]))[0])
    return _core.exp(np.ascontiguousarray(args[0][0] * scale)), _core.exp(np.ascontiguousarray(args[0][1] * scale))


def _sqrt(node: Node, args: list[Interval]) -> Interval:
    return np.sqrt(np.maximum(args[0][0], 0.0)), np.sqrt(args[0][1])


def _floor(node: Node, args: list[Interval]) -> Interval:
    return np.floor(args[0][0]), np.floor(args[0][1])


def _extreme(node: Node, args: list[Interval]) -> Interval:
    return np.array([args[0][0].min()]), np.array([args[0][1].max()])


def _rank(node: Node, args: list[Interval]) -> Interval:
    low, high = args[0]
    among = cast("Rank", node.payload).among
    if among is not None and len(low) > 1:
        low, high = low[list(among)], high[list(among)]
    return np.array([low.min()]), np.array([high.max()])


_RULES = {
    "draw": _draw,
    "couple": _draw,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "min": _min,
    "max": _max,
    "less": _truth,
    "less_equal": _truth,
    "equal": _truth,
    "select": _select,
    "lookup": _lookup,
    "log": _log,
    "log10": _log,
    "exp": _exp,
    "exp10": _exp,
    "sqrt": _sqrt,
    "floor": _floor,
    "highest": _extreme,
    "lowest": _extreme,
    "rank": _rank,
}
