"""Quantile functions as tables of polynomials: how the core draws what has no closed form.

A table holds rows, each for a range of random words of 53 bits: a polynomial of degree 5 in the tail probability, and
the least and largest value of the row, which no draw leaves, so that the table is monotone. Rows are halved until the
polynomial meets the quantile function to the tolerance at points between its nodes; near 0 and 1 rows span octaves of
the tail probability. A jump of the quantile function (a point mass) lies between two rows, at the exact word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flopcore import _core

from .base import LN10, Distribution, Joint, Values

__all__ = ["TOLERANCE", "QuantileTable", "linear_table", "log10_table", "quantile_table", "step_table"]

TOLERANCE = 1e-10
"""Largest error of a table: of log10, or of a value relative to its magnitude plus the interquartile range."""

_BITS = 53
_MOST_ROWS = 1 << 17
_HALF = 1 << (_BITS - 1)
# Nodes near those of Chebyshev on [0, 1], both ends included, and the points between them where a row is checked.
_NODES = (0.0, 0.0955, 0.3455, 0.6545, 0.9045, 1.0)
_CHECKS = (0.0443, 0.2169, 0.5, 0.7831, 0.9557)

TailQuantile = Callable[[Values, bool], Values]


@dataclass(frozen=True, slots=True, eq=False)
class QuantileTable:
    """A table as the core takes it.

    Parameters
    ----------
    starts : NDArray[np.uint64]
        First word of each row, ascending from 0.
    fields : NDArray[np.float64]
        Rows x 10: origin and scale of the variable (twice the tail probability), six powers, highest first, least and
        largest value.
    """

    starts: NDArray[np.uint64]
    fields: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"QuantileTable({self.starts.size} rows)"

    def words(self) -> NDArray[np.uint64]:
        """Return the number of rows, then their starts."""
        return np.concatenate([np.array([self.starts.size], dtype=np.uint64), self.starts])

    def values(self, words: NDArray[np.uint64], *, single: bool = False) -> Values:
        """Return what the core draws at these words, of 53 bits, or of 32 in single precision."""
        return _core.quantile_values(self.words(), self.fields.ravel(), single, words)

    def moments(self) -> tuple[float, float]:
        """Return mean and variance, the polynomials integrated exactly."""
        ends = np.append(self.starts[1:], np.uint64(1 << _BITS))
        shares = [float(Fraction(int(b) - int(a), 1 << _BITS)) for a, b in zip(self.starts, ends, strict=True)]
        middle = float(self.values(np.array([_HALF], dtype=np.uint64))[0])
        first = second = 0.0
        for share, field in zip(shares, self.fields.tolist(), strict=True):
            # A row whose scale is 0 is constant; all others span s from 0 to 1 but for half a word.
            powers = [*field[2:7], field[7] - middle]
            square = [0.0] * 11
            for i, a in enumerate(powers):
                for j, b in enumerate(powers):
                    square[i + j] += a * b
            if field[1] == 0.0:
                first += share * powers[-1]
                second += share * powers[-1] ** 2
            else:
                first += share * sum(c / (6 - i) for i, c in enumerate(powers))
                second += share * sum(c / (11 - i) for i, c in enumerate(square))
        return middle + first, second - first * first


def _interpolation() -> tuple[tuple[float, ...], ...]:
    """Return the matrix that takes values at the nodes to powers of s, highest first, from exact fractions."""
    nodes = [Fraction(str(node)) for node in _NODES]
    columns = []
    for i, node in enumerate(nodes):
        powers, scale = [Fraction(1)], Fraction(1)
        for j, other in enumerate(nodes):
            if i != j:
                powers = [a - other * b for a, b in zip([*powers, Fraction(0)], [Fraction(0), *powers], strict=True)]
                scale *= node - other
        columns.append([float(c / scale) for c in powers])
    return tuple(zip(*columns, strict=True))


_TO_POWERS = _interpolation()


def first_word(probability: Fraction) -> int:
    """Return the first word w with (w + 1/2) / 2^53 above a probability."""
    return int(max(0, min(1 << _BITS, (probability * (1 << _BITS) - Fraction(1, 2)).__floor__() + 1)))


def _cuts(joints: Sequence[Joint], *, upper: bool) -> list[int]:
    """Return where rows of one side begin and end, as distances in words from the near end: octaves and joints."""
    cuts = {0, *(1 << k for k in range(_BITS))}
    for tail, of_upper in joints:
        exact = Fraction(tail)
        word = first_word(Fraction(1) - exact if of_upper else exact)
        cuts.add(min(max((1 << _BITS) - word if upper else word, 0), _HALF))
    return sorted(cuts)


def quantile_table(
    tail_quantile: TailQuantile, tolerance: Callable[[Values], Values], joints: Sequence[Joint] = ()
) -> QuantileTable:
    """Return the table of a quantile function.

    Parameters
    ----------
    tail_quantile : callable
        Quantiles at tail probabilities in (0, 1/2], and whether of the upper tail.
    tolerance : callable
        Largest error allowed at each value.
    joints : sequence of (tail probability, upper)
        Where the function jumps or has a kink.
    """
    starts: list[Values] = []
    fields: list[Values] = []
    for upper in (False, True):
        cuts = np.array(_cuts(joints, upper=upper), dtype=np.float64)
        low, high = cuts[:-1], cuts[1:]
        while low.size:
            if low.size > _MOST_ROWS:
                raise ValueError("its quantile function is too rough")
            rows, good = _fit(tail_quantile, tolerance, low, high, upper=upper)
            starts.append(2.0**_BITS - high[good] if upper else low[good])
            fields.append(rows[good])
            low, high = low[~good], high[~good]
            middle = np.floor((low + high) / 2)
            low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    first, every = np.concatenate(starts), np.concatenate(fields)
    order = np.argsort(first, kind="stable")
    every = every[order]
    # Rounding in the quantile function may make neighbours overlap by an ulp.
    every[:, 8] = np.maximum.accumulate(every[:, 8])
    every[:, 9] = np.maximum.accumulate(np.maximum(every[:, 9], every[:, 8]))
    every[1:, 8] = np.maximum(every[1:, 8], every[:-1, 9])
    every[:, 9] = np.maximum(every[:, 9], every[:, 8])
    return _table(first[order].astype(np.uint64), every)


def _table(starts: NDArray[np.uint64], fields: Values) -> QuantileTable:
    starts.flags.writeable = fields.flags.writeable = False
    return QuantileTable(starts, fields)


def _fit(
    tail_quantile: TailQuantile, tolerance: Callable[[Values], Values], low: Values, high: Values, *, upper: bool
) -> tuple[Values, NDArray[np.bool_]]:
    """Return rows for words [low, high) from the near end, and which of them are good enough."""
    scale = 2.0**-_BITS
    begin, end = (2.0 * low + 1.0) * scale, (2.0 * high - 1.0) * scale  # twice the tail probability of the end words
    width = end - begin
    at = [begin + node * width for node in (*_NODES, *_CHECKS)]
    values = [tail_quantile(o / 2.0, upper) for o in at]
    if not all(bool(np.all(np.isfinite(v))) for v in values):
        raise ValueError("its quantiles are not finite")
    base = values[0]
    powers = []
    for line in _TO_POWERS:
        total = np.zeros_like(base)
        for weight, value in zip(line, values, strict=False):
            total = total + weight * (value - base)
        powers.append(total)
    powers[-1] = base
    few = high - low <= 1.0
    good = np.ones(low.size, dtype=np.bool_)
    ends = (np.minimum(values[0], values[5]), np.maximum(values[0], values[5]))
    inner = [values[0], *(values[6 + i // 2] if i % 2 == 0 else values[1 + i // 2] for i in range(9)), values[5]]
    sign = -1.0 if upper else 1.0
    for earlier, later in pairwise(inner):
        good &= sign * (later - earlier) >= -tolerance(earlier)
    for node, value in zip(_CHECKS, values[6:], strict=True):
        found = powers[0]
        for power in powers[1:]:
            found = found * node + power
        found = np.clip(found, *ends)
        good &= np.abs(found - value) <= tolerance(value)
    per_unit = np.divide(1.0, width, out=np.zeros_like(width), where=~few)
    for k in range(5):
        powers[k] = np.where(few, 0.0, powers[k])
    return np.stack([begin, per_unit, *powers, *ends], axis=1), good | few


def step_table(cumulative: Sequence[Fraction], values: Sequence[float]) -> QuantileTable:
    """Return the table of point masses at ascending values, whose cumulative probabilities are exact."""
    starts = [0, *(first_word(c) for c in cumulative[:-1])]
    kept = [
        (start, value)
        for i, (start, value) in enumerate(zip(starts, values, strict=True))
        if start < (starts[i + 1] if i + 1 < len(starts) else 1 << _BITS)
    ]
    fields = np.zeros((len(kept), 10))
    fields[:, 7] = fields[:, 8] = fields[:, 9] = [value for _, value in kept]
    return _table(np.array([start for start, _ in kept], dtype=np.uint64), fields)


@lru_cache(maxsize=256)
def linear_table(distribution: Distribution) -> QuantileTable:
    """Return the table of a distribution's values, to `TOLERANCE` of magnitude plus interquartile range."""
    quarter = np.array([0.25])
    spread = float(
        (distribution.tail_quantile(quarter, upper=True) - distribution.tail_quantile(quarter, upper=False))[0]
    )
    try:
        return quantile_table(
            lambda p, upper: distribution.tail_quantile(p, upper=upper),
            lambda x: TOLERANCE / 2 * (np.abs(x) + spread),
            distribution.joints(),
        )
    except ValueError as error:
        raise ValueError(f"{distribution!r} cannot be tabulated: {error}") from None


@lru_cache(maxsize=256)
def log10_table(distribution: Distribution) -> QuantileTable:
    """Return the table of log10 of a positive distribution, to `TOLERANCE`."""

    def log_quantile(p: Values, upper: bool) -> Values:
        x = distribution.tail_quantile(p, upper=upper)
        if bool(np.any(x <= 0.0)):
            raise ValueError("it may be zero or negative, so it has no logarithm")
        return _core.log(x) / LN10

    try:
        return quantile_table(log_quantile, lambda x: np.full_like(x, TOLERANCE / 2), distribution.joints())
    except ValueError as error:
        raise ValueError(f"{distribution!r} cannot be tabulated: {error}") from None
