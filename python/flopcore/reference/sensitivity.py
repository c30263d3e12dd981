"""Indices of sensitivity from the formulas, in fractions.

Slow by design, and shares nothing with what it is held against: no sums of products, no weights of subsets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import permutations

__all__ = ["between_share", "jackknife_error", "shapley_effects", "sobol_indices", "standard_error"]


def _exact(values: Sequence[float]) -> list[Fraction]:
    return [Fraction(value) for value in values]


def _steps(start: Sequence[float], end: Sequence[float]) -> list[Fraction]:
    """Return the differences, each rounded once to float64."""
    return [Fraction(e - s) for s, e in zip(start, end, strict=True)]


def _mean(values: Iterable[Fraction]) -> Fraction:
    each = list(values)
    return sum(each, Fraction(0)) / len(each)


def _variance(values: Sequence[Fraction]) -> Fraction:
    middle = _mean(values)
    return _mean((value - middle) ** 2 for value in values)


def sobol_indices(
    a: Sequence[float], b: Sequence[float], mixed: Sequence[Sequence[float]], batches: int = 1
) -> tuple[list[list[Fraction]], list[list[Fraction]], Fraction]:
    """Return first-order and total indices of each batch, [batch][input], and the variance.

    Parameters
    ----------
    a, b : sequence of float
        Outputs f(A) and f(B).
    mixed : sequence of sequence of float
        For each input f(A with that input from B).
    batches : int
        Numerators are averaged over so many equal parts of the rows; mean and variance are always those of all rows.
    """
    variance = _variance(_exact([*a, *b]))
    # The mean of all outputs, those at mixtures as f(A) and the rounded step from there.
    ends = [Fraction(start) + step for row in mixed for start, step in zip(a, _steps(a, row), strict=True)]
    centre = _mean([*_exact([*a, *b]), *ends])
    size = len(a) // batches
    first, total = [], []
    for low in range(0, len(a), size):
        rows = range(low, low + size)
        steps = [_steps(a, row) for row in mixed]
        first.append([_mean((Fraction(b[k]) - centre) * step[k] for k in rows) / variance for step in steps])
        total.append([_mean(step[k] ** 2 for k in rows) / (2 * variance) for step in steps])
    return first, total, variance


def shapley_effects(start: Sequence[float], at: Mapping[frozenset[int], Sequence[float]], d: int) -> list[Fraction]:
    """Return the effects as the average over all orders in which the inputs may join.

    Parameters
    ----------
    start : sequence of float
        Outputs f(A).
    at : mapping of set of int to sequence of float
        For each set of inputs, but for the empty one, f(A with these inputs from B).
    d : int
        Number of inputs.
    """
    worth = {frozenset[int](): Fraction(0)}
    for u, outputs in at.items():
        worth[u] = _mean(step**2 for step in _steps(start, outputs)) / 2
    effects = [Fraction(0)] * d
    for order in permutations(range(d)):
        for k, i in enumerate(order):
            effects[i] += worth[frozenset(order[: k + 1])] - worth[frozenset(order[:k])]
    return [effect / sum(effects) for effect in effects]


def between_share(outputs: Sequence[float], categories: Sequence[int]) -> Fraction:
    """Return the share of the variance between categories, less what chance alone puts there."""
    y = _exact(outputs)
    groups = [[v for v, g in zip(y, categories, strict=True) if g == k] for k in sorted(set(categories))]
    middle = _mean(y)
    between = sum((len(group) * (_mean(group) - middle) ** 2 for group in groups), Fraction(0))
    within = sum((len(group) * _variance(group) for group in groups), Fraction(0))
    chance = (len(groups) - 1) * within / (len(y) - len(groups))
    return (between - chance) / (len(y) * _variance(y))


def standard_error(estimates: Sequence[Fraction]) -> float:
    """Return the standard error of the mean of independent estimates."""
    return math.sqrt(_variance(estimates) / (len(estimates) - 1))


def jackknife_error(left_out: Sequence[Fraction]) -> float:
    """Return the standard error of an estimate from those that leave out one batch each."""
    return math.sqrt((len(left_out) - 1) * _variance(left_out))
