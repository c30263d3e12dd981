"""Shares of a count's variance between groups of inputs, from every mixture of two independent sets of draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import comb, fsum, sqrt

import numpy as np
from numpy.typing import NDArray

__all__ = ["FIRST", "REFERENCE", "SECOND", "Count", "Influence", "InputEffect", "influence_of"]

FIRST, SECOND, REFERENCE = 0, 1, 2
"""Which draws an input takes: those of the first set, of the second, or its one reference value."""

Counts = NDArray[np.int64]
Count = Callable[[Mapping[str, int]], Counts]
"""Takes the set that each input's draws come from, gives a count for each draw (one for all where none varies)."""

_BATCHES = 16


@dataclass(frozen=True, slots=True)
class InputEffect:
    """What one input, or group of inputs, does to a count.

    Standard errors are of a jackknife over 16 batches, None of fewer draws.

    `first_order` and `total` are its Sobol indices, `shapley` its Shapley effect (they add up to 1). `given_data` is
    the first order as the plain sample shows it, between groups of the input's own values; of an input of many values,
    such as an error for each model, between the values that the count takes when this input alone varies, which is
    less than its first order.
    """

    input: str
    given_data: float
    first_order: float
    first_order_error: float | None
    total: float
    total_error: float | None
    shapley: float
    shapley_error: float | None


@dataclass(frozen=True, slots=True)
class Influence:
    """What the variance of a headline count is made of; no `inputs` where the count does not vary."""

    headline: str
    mean: float
    variance: float
    draws: int
    inputs: tuple[InputEffect, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the effects as JSON types."""
        return {**asdict(self), "inputs": [asdict(item) for item in self.inputs]}


def influence_of(
    headline: str, inputs: Sequence[str], count: Count, groups: Mapping[str, Counts] | None = None
) -> Influence:
    """Return the effects of independent inputs on a count.

    Parameters
    ----------
    headline : str
        What is counted.
    inputs : sequence of str
        At most a handful: the count is taken for all 2^k ways to draw each input from either set.
    count : callable
        The count for each draw.
    groups : mapping of str to array of int, optional
        The group of each draw of the first set, for inputs of a single value a draw.

    Notes
    -----
    With P(u) the mean of the product of two counts that share the inputs u and no others, over all such pairs of
    mixtures, Var(E[N | u]) = P(u) - P(none) (Sobol' 1993, each product taken 2^k times instead of once). The products
    are integers, so the result has the same bits everywhere.
    """
    k = len(inputs)
    full = (1 << k) - 1
    rows = [
        np.atleast_1d(count({name: mixture >> i & 1 for i, name in enumerate(inputs)})) for mixture in range(full + 1)
    ]
    table = np.array(np.broadcast_arrays(*rows), dtype=np.int64)
    n = table.shape[1]
    mean = int(table.sum()) / table.size
    ends = [n * b // _BATCHES for b in range(_BATCHES + 1)]
    grams = [table[:, low:high] @ table[:, low:high].T for low, high in pairwise(ends)]
    sizes = [high - low for low, high in pairwise(ends)]
    whole: Counts = np.sum(grams, axis=0)
    worth = _worth(whole, n, k)
    if worth[full] <= 0.0:
        return Influence(headline, mean, 0.0, n, ())
    left_out = [_worth(whole - gram, n - size, k) for gram, size in zip(grams, sizes, strict=True) if n > size]
    rest = [_indices(w, k) for w in left_out if w[full] > 0.0]
    effects = []
    for i, (name, found) in enumerate(zip(inputs, _indices(worth, k), strict=True)):
        by = (groups or {}).get(name)
        if by is None:
            alone = count({other: FIRST if other == name else REFERENCE for other in inputs})
            by = np.broadcast_to(np.atleast_1d(alone), (n,))
        errors = [_jackknife([other[i][j] for other in rest]) for j in range(3)]
        first, total, shapley = found
        effects.append(
            InputEffect(name, _given_data(table[0], by), first, errors[0], total, errors[1], shapley, errors[2])
        )
    return Influence(headline, mean, worth[full], n, tuple(effects))


def _worth(gram: Counts, n: int, k: int) -> list[float]:
    """Return Var(E[N | u]) for every set u of inputs, as a number whose bits name its members."""
    full = (1 << k) - 1
    products = [
        sum(int(gram[mixture, mixture ^ (full ^ u)]) for mixture in range(full + 1)) / ((full + 1) * n)
        for u in range(full + 1)
    ]
    return [product - products[0] for product in products]


def _indices(worth: Sequence[float], k: int) -> list[tuple[float, float, float]]:
    """Return first-order and total index and Shapley effect of each input."""
    full = (1 << k) - 1
    found = []
    for i in range(k):
        bit = 1 << i
        gains = [(worth[u | bit] - worth[u]) / (k * comb(k - 1, u.bit_count())) for u in range(full + 1) if not u & bit]
        found.append((worth[bit] / worth[full], 1.0 - worth[full ^ bit] / worth[full], fsum(gains) / worth[full]))
    return found


def _jackknife(left_out: Sequence[float]) -> float | None:
    n = len(left_out)
    if n < _BATCHES:
        return None
    mean = fsum(left_out) / n
    return sqrt((n - 1) / n * fsum((value - mean) ** 2 for value in left_out))


def _given_data(counts: Counts, by: Counts) -> float:
    """Return the share of the counts' variance that lies between the values of `by`, less its bias."""
    values, place = np.unique(by, return_inverse=True)
    n, groups = len(counts), len(values)
    sizes = np.bincount(place, minlength=groups).tolist()
    sums = [0] * groups
    for group in range(groups):
        sums[group] = int(counts[place == group].sum())
    squares, total = int((counts * counts).sum()), int(counts.sum())
    within_means = fsum(s * s / size for s, size in zip(sums, sizes, strict=True))
    between, within = within_means - total * total / n, squares - within_means
    if n <= groups or between + within <= 0.0:
        return 0.0
    return (between - (groups - 1) * within / (n - groups)) / (between + within)
