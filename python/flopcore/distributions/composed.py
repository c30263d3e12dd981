"""Distributions made of others, of data, or of any object with a quantile function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flopcore import _core
from flopcore.quantity import Number, parse_quantity

from .basic import (
    DIGITS,
    Distribution,
    Fixed,
    Joint,
    LogNormal,
    LogTerm,
    LogUniform,
    Normal,
    Uniform,
    Values,
    as_array,
    log10_exact,
    number,
    probabilities,
)
from .shapes import Beta, Gamma, Triangular
from .table import QuantileTable, linear_table, step_table

__all__ = ["Discrete", "Histogram", "Mixture", "Quantiles", "Sample", "Truncated", "as_distribution"]


@runtime_checkable
class HasPpf(Protocol):
    """Anything that knows its quantile function."""

    def ppf(self, q: ArrayLike, /) -> object:
        """Return quantiles."""


def _split(q: ArrayLike) -> tuple[Values, Values, NDArray[np.bool_]]:
    """Return probabilities, the nearer tail of each (1/2 for the ends 0 and 1), and which are of the upper tail."""
    p = probabilities(q)
    tail = np.where(p > 0.5, 1.0 - p, p)
    return p, np.where(tail > 0.0, tail, 0.5), p > 0.5


def _nearest(distribution: Distribution, q: ArrayLike, low: float, high: float) -> Values:
    p, tail, upper = _split(q)
    inside = np.where(
        upper, distribution.tail_quantile(tail, upper=True), distribution.tail_quantile(tail, upper=False)
    )
    return np.where(p == 0.0, low, np.where(p == 1.0, high, inside))[()]


def _ends(distribution: Distribution) -> tuple[float, float]:
    """Return the support."""
    low, high = distribution.ppf(np.array([0.0, 1.0]))
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Truncated(Distribution):
    """Another distribution, given that its value lies in [low, high].

    Examples
    --------
    >>> Truncated(Normal(0, 1), low=0).ppf(0.0)
    np.float64(0.0)
    """

    distribution: Distribution
    low: float = -np.inf
    high: float = np.inf

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not isinstance(self.distribution, Distribution):
            raise TypeError(f"Truncated: {self.distribution!r} is not a Distribution")
        low, high = float(self.low), float(self.high)
        if not low < high:
            raise ValueError(f"Truncated: low={low!r} is not below high={high!r}")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        if not self._mass() > 0.0:
            raise ValueError(f"Truncated: {self.distribution!r} has no probability in [{low!r}, {high!r}]")

    def _outside(self) -> tuple[float, float]:
        """Return the probabilities below low and above high."""
        below = 0.0 if self.low == -np.inf else self.distribution.cdf_below(self.low)
        above = 0.0 if self.high == np.inf else float(self.distribution.sf(self.high))
        return below, above

    def _mass(self) -> float:
        below, above = self._outside()
        if below > 0.5:
            return float(self.distribution.sf(self.low)) - above
        if above > 0.5:
            return float(self.distribution.cdf(self.high)) - below
        return 1.0 - below - above

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability: those of the other distribution at the share p of what is inside."""
        (below, above), mass = self._outside(), self._mass()
        lower_tail = below + ((1.0 - p) if upper else p) * mass
        upper_tail = above + (p if upper else (1.0 - p)) * mass
        near = lower_tail <= upper_tail
        x = np.where(
            near,
            self.distribution.tail_quantile(np.where(near, np.minimum(lower_tail, 0.5), 0.5), upper=False),
            self.distribution.tail_quantile(np.where(near, 0.5, np.minimum(upper_tail, 0.5)), upper=True),
        )
        return np.clip(x, self.low, self.high)

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        low, high = _ends(self.distribution)
        return _nearest(self, q, max(self.low, low), min(self.high, high))

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        below, _ = self._outside()
        points = as_array(x)
        inside = np.clip((self.distribution.cdf(points) - below) / self._mass(), 0.0, 1.0)
        return np.where(points < self.low, 0.0, np.where(points >= self.high, 1.0, inside))[()]

    def sf(self, x: ArrayLike) -> Values:
        """Return upper tail probabilities."""
        _, above = self._outside()
        points = as_array(x)
        inside = np.clip((self.distribution.sf(points) - above) / self._mass(), 0.0, 1.0)
        return np.where(points < self.low, 1.0, np.where(points >= self.high, 0.0, inside))[()]

    def cdf_below(self, x: float) -> float:
        """Return the probability of a value below x."""
        below, _ = self._outside()
        if x <= self.low:
            return 0.0
        return 1.0 if x > self.high else min(1.0, (self.distribution.cdf_below(x) - below) / self._mass())

    def pdf(self, x: ArrayLike) -> Values:
        """Return densities."""
        points = as_array(x)
        inside = (points >= self.low) & (points <= self.high)
        return np.where(inside, self.distribution.pdf(points) / self._mass(), 0.0)[()]

    def mean(self) -> float:
        """Return the mean, integrated over the table that is drawn from."""
        return linear_table(self).moments()[0]

    def var(self) -> float:
        """Return the variance, integrated over the table that is drawn from."""
        return linear_table(self).moments()[1]

    def kinks(self) -> tuple[float, ...]:
        """Return those of the other distribution that are inside, and finite bounds."""
        inner = {kink for kink in self.distribution.kinks() if self.low < kink < self.high}
        return tuple(sorted(inner | {x for x in (self.low, self.high) if np.isfinite(x)}))


def _weights(weights: Sequence[object] | None, n: int, owner: str) -> tuple[Fraction, ...]:
    """Return exact weights that sum to 1."""
    if weights is None:
        return (Fraction(1, n),) * n
    exact = [Fraction(parse_quantity(w, name=f"{owner}: weight")) for w in weights]  # type: ignore[arg-type]
    if len(exact) != n or min(exact) < 0 or sum(exact) <= 0:
        raise ValueError(f"{owner}: weights={list(weights)!r}: expected {n} numbers, none negative, not all 0")
    total = sum(exact)
    return tuple(w / total for w in exact)


@dataclass(frozen=True, slots=True)
class Mixture(Distribution):
    """One of several distributions, chosen with these probabilities.

    Parameters
    ----------
    components : sequence of Distribution
        At least one.
    weights : sequence of numbers, or None
        Relative weights; equal ones if None.
    """

    components: tuple[Distribution, ...]
    weights: tuple[Fraction, ...] | None = None

    def __post_init__(self) -> None:
        """Check the parameters and make the weights exact and sum to 1."""
        components = tuple(self.components)
        if not components:
            raise ValueError("Mixture: no component")
        for component in components:
            if not isinstance(component, Distribution):
                raise TypeError(f"Mixture: {component!r} is not a Distribution")
        object.__setattr__(self, "components", components)
        object.__setattr__(self, "weights", _weights(self.weights, len(components), "Mixture"))

    def _parts(self) -> list[tuple[float, Distribution]]:
        return [(float(w), d) for w, d in zip(self.weights or (), self.components, strict=True) if w > 0]

    def _sum(self, terms: Sequence[Values]) -> Values:
        total = np.zeros_like(terms[0])
        for (weight, _), term in zip(self._parts(), terms, strict=True):
            total = total + weight * term
        return total

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        return self._sum([as_array(d.cdf(x)) for _, d in self._parts()])[()]

    def sf(self, x: ArrayLike) -> Values:
        """Return upper tail probabilities."""
        return self._sum([as_array(d.sf(x)) for _, d in self._parts()])[()]

    def cdf_below(self, x: float) -> float:
        """Return the probability of a value below x."""
        return sum(w * d.cdf_below(x) for w, d in self._parts())

    def pdf(self, x: ArrayLike) -> Values:
        """Return densities."""
        return self._sum([as_array(d.pdf(x)) for _, d in self._parts()])[()]

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability: bisection between those of the components, to the last bit."""
        ends = [d.tail_quantile(p, upper=upper) for _, d in self._parts()]
        low, high = ends[0], ends[0]
        for end in ends[1:]:
            low, high = np.minimum(low, end), np.maximum(high, end)
        # The quantile is at most `high` and above, or at, `low`.
        for _ in range(2200):
            middle = low + (high - low) / 2
            if not bool(np.any((middle > low) & (middle < high))):
                break
            reached = self.sf(middle) <= p if upper else self.cdf(middle) >= p
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        reached = self.sf(low) <= p if upper else self.cdf(low) >= p
        return np.where(reached, low, high)

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        ends = [_ends(d) for _, d in self._parts()]
        return _nearest(self, q, min(low for low, _ in ends), max(high for _, high in ends))

    def mean(self) -> float:
        """Return the weighted mean."""
        return sum(w * d.mean() for w, d in self._parts())

    def var(self) -> float:
        """Return the variance within the components plus that between their means."""
        mean = self.mean()
        return sum(w * (d.var() + (d.mean() - mean) ** 2) for w, d in self._parts())

    def kinks(self) -> tuple[float, ...]:
        """Return those of the components."""
        return tuple(sorted({kink for _, d in self._parts() for kink in d.kinks()}))


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
        for value, weight in zip(values, _weights(self.weights, len(values), "Discrete"), strict=True):
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


@dataclass(frozen=True, slots=True)
class Histogram(Distribution):
    """Data known by counts in bins, spread evenly inside each.

    Parameters
    ----------
    edges : sequence of float
        Ascending, one more than bins.
    counts : sequence of numbers
        Relative weights of the bins, none negative.
    """

    edges: tuple[float, ...]
    counts: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        """Check the bins and make the weights sum to 1."""
        edges = tuple(number(x, "Histogram", "edge") for x in self.edges)
        if len(edges) < 2 or any(not a < b for a, b in pairwise(edges)):
            raise ValueError(f"Histogram: edges={list(edges)!r}: expected two or more that ascend")
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "counts", _weights(self.counts, len(edges) - 1, "Histogram"))

    def _mixture(self) -> Mixture:
        bins = tuple(Uniform(a, b) for a, b in pairwise(self.edges))
        return Mixture(bins, self.counts)

    def _lines(self) -> tuple[Values, Values, Values]:
        """Return edges, and exact probabilities below and above each, rounded once."""
        steps = [Fraction(0), *accumulate(self.counts)]
        return np.array(self.edges), np.array([float(s) for s in steps]), np.array([float(1 - s) for s in steps])

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability."""
        edges, below, above = self._lines()
        if upper:
            i = np.clip(np.searchsorted(-above, -p, side="left"), 1, edges.size - 1)
            share = (p - above[i]) / np.where(above[i - 1] > above[i], above[i - 1] - above[i], 1.0)
            return edges[i] - np.clip(share, 0.0, 1.0) * (edges[i] - edges[i - 1])
        i = np.clip(np.searchsorted(below, p, side="left"), 1, edges.size - 1)
        share = (p - below[i - 1]) / np.where(below[i] > below[i - 1], below[i] - below[i - 1], 1.0)
        return edges[i - 1] + np.clip(share, 0.0, 1.0) * (edges[i] - edges[i - 1])

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        filled = [i for i, c in enumerate(self.counts) if c > 0]
        return _nearest(self, q, self.edges[filled[0]], self.edges[filled[-1] + 1])

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        return self._mixture().cdf(x)

    def sf(self, x: ArrayLike) -> Values:
        """Return upper tail probabilities."""
        return self._mixture().sf(x)

    def pdf(self, x: ArrayLike) -> Values:
        """Return densities."""
        return self._mixture().pdf(x)

    def mean(self) -> float:
        """Return the mean."""
        return self._mixture().mean()

    def var(self) -> float:
        """Return the variance."""
        return self._mixture().var()

    def kinks(self) -> tuple[float, ...]:
        """Return the edges."""
        return self.edges

    def joints(self) -> tuple[Joint, ...]:
        """Return the exact probabilities of the edges."""
        steps = tuple(accumulate(self.counts))[:-1]
        return tuple((s, False) if 2 * s <= 1 else (1 - s, True) for s in steps)


@dataclass(frozen=True, slots=True)
class Quantiles(Distribution):
    """Any object with a ``ppf``; its ``isf``, ``cdf``, ``sf`` and ``pdf`` are used where it has them.

    Without an ``isf`` the upper tail below 2^-16 is interpolated in ln p between powers of two (1 - p rounds).
    Its values are those of the library it comes from, on the machine that makes the table: only those of our own
    distributions are the same everywhere.
    """

    source: HasPpf

    def __post_init__(self) -> None:
        """Check the source."""
        if not callable(getattr(self.source, "ppf", None)):
            raise TypeError(f"Quantiles: {self.source!r} has no method ppf")

    def _ask(self, name: str, x: ArrayLike) -> Values | None:
        method = getattr(self.source, name, None)
        return np.asarray(method(x), dtype=np.float64) if callable(method) else None

    def ppf(self, q: ArrayLike) -> Values:
        """Return the source's quantiles."""
        return np.asarray(self.source.ppf(probabilities(q)), dtype=np.float64)[()]

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability; without an ``isf`` see the class."""
        found = self._ask("isf", p) if upper else None
        if found is not None:
            return found
        if not upper:
            return self.ppf(p)
        # 1 - p rounds: far out only the powers of two down to 2^-53 are asked for.
        power = 2.0 ** np.arange(-53, -15)
        ends = self.ppf(1.0 - power)
        place = np.clip(np.searchsorted(power, p, side="right"), 1, power.size - 1)
        share = np.clip(_core.log(p / power[place - 1]) / float(_core.log(np.array(2.0))), 0.0, 1.0)
        between = ends[place - 1] + share * (ends[place] - ends[place - 1])
        return np.where(p < power[-1], between, self.ppf(1.0 - np.maximum(p, power[-1])))

    def cdf(self, x: ArrayLike) -> Values:
        """Return the source's probabilities, or those found from its quantiles by bisection."""
        found = self._ask("cdf", x)
        if found is not None:
            return found[()]
        points = as_array(x)
        low, high = np.zeros_like(points), np.ones_like(points)
        for _ in range(60):
            middle = (low + high) / 2
            over = self.ppf(middle) > points
            low, high = np.where(over, low, middle), np.where(over, middle, high)
        return low[()]

    def sf(self, x: ArrayLike) -> Values:
        """Return the source's upper tail probabilities."""
        found = self._ask("sf", x)
        return (1.0 - self.cdf(x))[()] if found is None else found[()]

    def pdf(self, x: ArrayLike) -> Values:
        """Return the source's densities; NaN where it has none."""
        found = self._ask("pdf", x)
        return np.full(np.shape(x), np.nan)[()] if found is None else found[()]

    def mean(self) -> float:
        """Return the mean, integrated over the table that is drawn from."""
        return linear_table(self).moments()[0]

    def var(self) -> float:
        """Return the variance, integrated over the table that is drawn from."""
        return linear_table(self).moments()[1]


Source: TypeAlias = "Distribution | HasPpf | int | float | Fraction | str | Sequence[float] | NDArray[np.float64]"


def _scipy_parts(source: object) -> tuple[str, dict[str, float]] | None:
    """Return the name and parameters of a frozen distribution of scipy.stats, or None for anything else."""
    family = getattr(source, "dist", None)
    name, shapes = getattr(family, "name", None), getattr(family, "shapes", None)
    args, keywords = getattr(source, "args", None), getattr(source, "kwds", None)
    if not isinstance(name, str) or not isinstance(args, tuple) or not isinstance(keywords, Mapping):
        return None
    names = [*(shapes.replace(" ", "").split(",") if isinstance(shapes, str) and shapes else ()), "loc", "scale"]
    given: dict[str, float] = {"loc": 0.0, "scale": 1.0}
    for key, value in (*zip(names, args, strict=False), *keywords.items()):
        if np.ndim(value) != 0:
            raise TypeError(f"{source!r}: parameter {key} is an array; expected one distribution")
        given[key] = float(value)
    return name, given


def _from_scipy(name: str, p: dict[str, float]) -> Distribution | None:
    """Return our distribution of that name, or None where we have none that is the same."""
    loc, scale = p["loc"], p["scale"]
    if name == "norm":
        return Normal(loc, scale)
    if name == "uniform":
        return Uniform(loc, loc + scale)
    if name == "triang":
        return Triangular(loc, loc + p["c"] * scale, loc + scale)
    if name == "beta":
        return Beta(p["a"], p["b"], loc, loc + scale)
    if name == "truncnorm":
        return Truncated(Normal(loc, scale), loc + p["a"] * scale, loc + p["b"] * scale)
    if loc == 0.0:
        if name == "lognorm":
            return LogNormal(scale, p["s"])
        if name in ("loguniform", "reciprocal"):
            return LogUniform(p["a"] * scale, p["b"] * scale)
        if name == "gamma":
            return Gamma(p["a"], scale)
        if name == "expon":
            return Gamma(1.0, scale)
    return None


@lru_cache(maxsize=64)
def _point(value: int | float | Fraction | str) -> Fixed:
    return Fixed(parse_quantity(value, name="value"))


def as_distribution(source: Source) -> Distribution:
    """Return the distribution that something stands for.

    Parameters
    ----------
    source : Distribution, number, frozen scipy.stats distribution, object with ``ppf``, or one-dimensional array
        A number is known; of scipy.stats the normal, lognormal, uniform, log-uniform, triangular, beta, gamma,
        exponential and truncated normal become ours, anything else with a ``ppf`` is tabulated; an array is a sample.

    Examples
    --------
    >>> as_distribution(3)
    Fixed(value=3)
    >>> as_distribution([1.0, 2.0])
    Sample([1.0, 2.0])
    """
    if isinstance(source, Distribution):
        return source
    if isinstance(source, (int, float, Fraction, str)) and not isinstance(source, bool):
        return _point(source)
    frozen = _scipy_parts(source)
    ours = None if frozen is None else _from_scipy(*frozen)
    if ours is not None:
        return ours
    if isinstance(source, HasPpf):
        return Quantiles(source)
    if isinstance(source, (Sequence, np.ndarray)) and np.ndim(source) == 1:
        return Sample(tuple(np.asarray(source, dtype=np.float64).tolist()))
    raise TypeError(f"{source!r} is not a distribution, a number, an object with ppf or a one-dimensional array")
