"""Point masses, and distributions of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flopcore.quantity import Number, parse_quantity

from .base import DIGITS, Distribution, Joint, LogTerm, Values, as_array, log10_exact, probabilities
from .table import QuantileTable, step_table

__all__ = ["Discrete", "Sample"]


def exact_weights(weights: Sequence[object] | None, n: int, owner: str) -> tuple[Fraction, ...]:
    """Return exact weights that sum to 1."""
    if weights is None:
        return (Fraction(1, n),) * n
    exact = [Fraction(parse_quantity(w, name=f"{owner}: weight")) for w in weights]  # type: ignore[arg-type]
    if len(exact) != n or min(exact) < 0 or sum(exact) <= 0:
        raise ValueError(f"{owner}: weights={list(weights)!r}: expected {n} numbers, none negative, not all 0")
    total = sum(exact)
    return tuple(w / total for w in exact)


@dataclass(frozen=True, slots=True)
class Discrete(Distribution):
    """Point masses: a switch between readings, conventions, or known values.

    Values and probabilities are exact. A sweep of an entity whose only uncertain input this is compares exactly.

    Parameters
    ----------
    values : sequence of numbers
        At least one; a float stands for its shortest decimal text. Equal values are merged.
    weights : sequence of numbers, or None
        Relative weights; equal ones if None.

    Examples
    --------
    >>> Discrete([1, 2], [3, 1])
    Discrete(values=(1, 2), weights=(Fraction(3, 4), Fraction(1, 4)))
    >>> Discrete([10, 20]).ppf([0.5, 0.51])
    array([10., 20.])
    """

    values: tuple[Number, ...]
    weights: tuple[Fraction, ...] | None = None

    def __post_init__(self) -> None:
        """Make values and weights exact and ascending."""
        values = [parse_quantity(v, name="Discrete: value") for v in self.values]
        if not values:
            raise ValueError("Discrete: no value")
        merged: dict[Number, Fraction] = {}
        for value, weight in zip(values, exact_weights(self.weights, len(values), "Discrete"), strict=True):
            merged[value] = merged.get(value, Fraction(0)) + weight
        kept = sorted((v, w) for v, w in merged.items() if w > 0)
        object.__setattr__(self, "values", tuple(v for v, _ in kept))
        object.__setattr__(self, "weights", tuple(w for _, w in kept))

    def cumulative(self) -> tuple[Fraction, ...]:
        """Return the exact probabilities of at most each value."""
        return tuple(accumulate(self.weights or ()))

    def masses(self) -> tuple[Number, ...]:
        """Return the distinct values, ascending."""
        return self.values

    def _points(self) -> Values:
        return np.array([float(v) for v in self.values])

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        steps = np.array([float(c) for c in self.cumulative()])
        return self._points()[np.minimum(np.searchsorted(steps, probabilities(q)), steps.size - 1)][()]

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability."""
        if not upper:
            return self.ppf(p)
        above = np.array([float(1 - c) for c in self.cumulative()])
        return self._points()[np.minimum(np.searchsorted(-above, -p), above.size - 1)]

    def _cumulated(self, x: ArrayLike, side: str) -> Values:
        steps = np.array([0.0, *(float(c) for c in self.cumulative())])
        return steps[np.searchsorted(self._points(), as_array(x), side=side)]  # type: ignore[call-overload]

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        return self._cumulated(x, "right")[()]

    def cdf_below(self, x: float) -> float:
        """Return the probability of a value below x."""
        return float(self._cumulated(x, "left"))

    def pdf(self, x: ArrayLike) -> Values:
        """Return infinity at the values, 0 elsewhere."""
        return np.where(np.isin(as_array(x), self._points()), np.inf, 0.0)[()]

    def mean(self) -> float:
        """Return the exact mean, rounded once."""
        return float(sum(w * v for v, w in zip(self.values, self.weights or (), strict=True)))

    def var(self) -> float:
        """Return the exact variance, rounded once."""
        pairs = list(zip(self.values, self.weights or (), strict=True))
        mean = sum(w * v for v, w in pairs)
        return float(sum(w * (v - mean) ** 2 for v, w in pairs))

    def kinks(self) -> tuple[float, ...]:
        """Return the values."""
        return tuple(self._points().tolist())

    def joints(self) -> tuple[Joint, ...]:
        """Return the exact cumulative probabilities."""
        return tuple((c, False) if 2 * c <= 1 else (1 - c, True) for c in self.cumulative()[:-1])

    def linear_term(self) -> LogTerm:
        """Return a table of the values."""
        return LogTerm("table", DIGITS.create_decimal(0), 1.0, table=_steps(self, logarithms=False))

    def log10_values(self) -> list[float]:
        """Return log10 of each value, rounded once, distinct where the values are."""
        if self.values[0] <= 0:
            raise ValueError(f"{self!r} may be zero or negative, so it has no logarithm")
        logs = [float(log10_exact(v)) for v in self.values]
        for i, (first, second) in enumerate(pairwise(logs)):
            logs[i + 1] = max(second, float(np.nextafter(max(first, logs[i]), np.inf)))
        return logs

    def log10_term(self) -> LogTerm:
        """Return a table of the logarithms."""
        return LogTerm("table", DIGITS.create_decimal(0), 1.0, table=_steps(self, logarithms=True))


@lru_cache(maxsize=256)
def _steps(distribution: Discrete | Sample, *, logarithms: bool) -> QuantileTable:
    values = distribution.log10_values() if logarithms else [float(v) for v in distribution.masses()]
    return step_table(distribution.cumulative(), values)


@dataclass(frozen=True, slots=True)
class Sample(Distribution):
    """The empirical distribution of data: a point mass at each of them.

    Examples
    --------
    >>> Sample([3.0, 1.0, 2.0]).ppf(0.5)
    np.float64(2.0)
    """

    data: tuple[float, ...]
    _sorted: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check and sort the data."""
        data = np.sort(np.array(self.data, dtype=np.float64).ravel())
        if data.size == 0 or not bool(np.all(np.isfinite(data))):
            raise ValueError("Sample: expected at least one number, all finite")
        data.flags.writeable = False
        object.__setattr__(self, "data", tuple(data.tolist()))
        object.__setattr__(self, "_sorted", data)

    def __repr__(self) -> str:
        return f"Sample({list(self.data)!r})" if len(self.data) <= 8 else f"Sample(<{len(self.data)} numbers>)"

    def ppf(self, q: ArrayLike) -> Values:
        """Return the smallest of the data that at least a share q does not exceed."""
        n = self._sorted.size
        place = np.ceil(probabilities(q) * n).astype(np.int64) - 1
        return self._sorted[np.clip(place, 0, n - 1)][()]

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability."""
        n = self._sorted.size
        return self._sorted[np.clip(n - 1 - np.floor(p * n).astype(np.int64), 0, n - 1)] if upper else self.ppf(p)

    def cdf(self, x: ArrayLike) -> Values:
        """Return the share of the data at most each x."""
        return (np.searchsorted(self._sorted, as_array(x), side="right") / self._sorted.size)[()]

    def cdf_below(self, x: float) -> float:
        """Return the share of the data below x."""
        return float(np.searchsorted(self._sorted, x, side="left") / self._sorted.size)

    def pdf(self, x: ArrayLike) -> Values:
        """Return infinity at the data, 0 elsewhere."""
        return np.where(np.isin(as_array(x), self._sorted), np.inf, 0.0)[()]

    def mean(self) -> float:
        """Return the mean of the data, summed exactly."""
        return float(sum(map(Fraction, self.data)) / len(self.data))

    def var(self) -> float:
        """Return the mean squared distance from the mean, summed exactly."""
        exact = [Fraction(x) for x in self.data]
        mean = sum(exact) / len(exact)
        return float(sum((x - mean) ** 2 for x in exact) / len(exact))

    def kinks(self) -> tuple[float, ...]:
        """Return the data."""
        return self.data

    def masses(self) -> tuple[float, ...]:
        """Return the distinct data, ascending."""
        return tuple(np.unique(self._sorted).tolist())

    def cumulative(self) -> tuple[Fraction, ...]:
        """Return the exact shares of the data at most each of the distinct ones."""
        _, counts = np.unique(self._sorted, return_counts=True)
        return tuple(Fraction(int(c), self._sorted.size) for c in np.cumsum(counts))

    def log10_values(self) -> list[float]:
        """Return log10 of each of the distinct data, rounded once."""
        if self.data[0] <= 0:
            raise ValueError(f"{self!r} has data that are not positive, so it has no logarithm")
        return [float(log10_exact(Fraction(v))) for v in self.masses()]

    def linear_term(self) -> LogTerm:
        """Return a table of the data."""
        return LogTerm("table", DIGITS.create_decimal(0), 1.0, table=_steps(self, logarithms=False))

    def log10_term(self) -> LogTerm:
        """Return a table of the logarithms, each rounded once."""
        return LogTerm("table", DIGITS.create_decimal(0), 1.0, table=_steps(self, logarithms=True))
