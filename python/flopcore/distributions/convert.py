"""Whatever stands for a distribution as one of ours: numbers, data, frozen scipy.stats, objects with a `ppf`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flopcore import _core
from flopcore.quantity import parse_quantity

from .base import Distribution, Values, as_array, probabilities
from .basic import Fixed, LogNormal, LogUniform, Normal, Uniform
from .composed import Truncated
from .empirical import Sample
from .shapes import Beta, Gamma, Triangular
from .table import linear_table

__all__ = ["Quantiles", "as_distribution"]


@runtime_checkable
class HasPpf(Protocol):
    """Anything that knows its quantile function."""

    def ppf(self, q: ArrayLike, /) -> object:
        """Return quantiles."""


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
