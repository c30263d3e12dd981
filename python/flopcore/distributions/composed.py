"""Distributions made of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import Distribution, Joint, Values, as_array, number, probabilities
from .basic import Uniform
from .empirical import exact_weights
from .table import linear_table

__all__ = ["Histogram", "Mixture", "Truncated"]


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
    >>> from flopcore.distributions import Normal
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
        object.__setattr__(self, "weights", exact_weights(self.weights, len(components), "Mixture"))

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
        object.__setattr__(self, "counts", exact_weights(self.counts, len(edges) - 1, "Histogram"))

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
