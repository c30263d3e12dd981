"""Bounded and skewed shapes: triangular, PERT, beta, gamma."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import incomplete
from .base import Distribution, Values, as_array, number, ordered, positive, probabilities

__all__ = ["Beta", "Gamma", "Pert", "Triangular"]


def _tails(distribution: Distribution, q: ArrayLike, low: float, high: float) -> Values:
    """Return quantiles at probabilities in [0, 1] from those by tail probability."""
    p = probabilities(q)
    tail = np.where(p > 0.5, 1.0 - p, p)
    inside = np.where(tail > 0.0, tail, 0.5)
    below = distribution.tail_quantile(inside, upper=False)
    above = distribution.tail_quantile(inside, upper=True)
    return np.where(p == 0.0, low, np.where(p == 1.0, high, np.where(p > 0.5, above, below)))[()]


@dataclass(frozen=True, slots=True)
class Triangular(Distribution):
    """A density that rises in a line from low to the mode and falls in a line to high."""

    low: float
    mode: float
    high: float

    def __post_init__(self) -> None:
        """Check the parameters."""
        for name in ("low", "mode", "high"):
            object.__setattr__(self, name, number(getattr(self, name), "Triangular", name))
        ordered(self.low, self.high, "Triangular")
        if not self.low <= self.mode <= self.high:
            raise ValueError(f"Triangular: mode={self.mode!r} is outside [{self.low!r}, {self.high!r}]")

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability."""
        width, left, right = self.high - self.low, self.mode - self.low, self.high - self.mode
        if upper:
            rising = self.low + np.sqrt((1.0 - p) * width * left)
            return np.where(p * width <= right, self.high - np.sqrt(p * width * right), rising)
        falling = self.high - np.sqrt((1.0 - p) * width * right)
        return np.where(p * width <= left, self.low + np.sqrt(p * width * left), falling)

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        return _tails(self, q, self.low, self.high)

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        return (1.0 - self.sf(x) if self.mode == self.low else self._below(as_array(x)))[()]

    def _below(self, x: Values) -> Values:
        width, left, right = self.high - self.low, self.mode - self.low, self.high - self.mode
        inside = np.clip(x, self.low, self.high)
        rising = (inside - self.low) ** 2 / (width * left)
        falling = 1.0 - (self.high - inside) ** 2 / (width * right) if right > 0.0 else np.ones_like(inside)
        return np.where(inside <= self.mode, rising, falling)

    def sf(self, x: ArrayLike) -> Values:
        """Return upper tail probabilities."""
        width, left, right = self.high - self.low, self.mode - self.low, self.high - self.mode
        inside = np.clip(as_array(x), self.low, self.high)
        falling = (self.high - inside) ** 2 / (width * right) if right > 0.0 else np.zeros_like(inside)
        rising = 1.0 - (inside - self.low) ** 2 / (width * left) if left > 0.0 else np.ones_like(inside)
        return np.where(inside >= self.mode, falling, rising)[()]

    def pdf(self, x: ArrayLike) -> Values:
        """Return densities."""
        points = as_array(x)
        width, left, right = self.high - self.low, self.mode - self.low, self.high - self.mode
        rising = 2.0 * (points - self.low) / (width * left) if left > 0.0 else np.zeros_like(points)
        falling = 2.0 * (self.high - points) / (width * right) if right > 0.0 else np.zeros_like(points)
        inside = (points >= self.low) & (points <= self.high)
        density = np.where(points < self.mode, rising, np.where(points > self.mode, falling, 2.0 / width))
        return np.where(inside, density, 0.0)[()]

    def mean(self) -> float:
        """Return the mean of the three numbers."""
        return (self.low + self.mode + self.high) / 3.0

    def var(self) -> float:
        """Return ``(a^2 + b^2 + c^2 - ab - ac - bc) / 18``."""
        width, left, right = self.high - self.low, self.mode - self.low, self.high - self.mode
        return (width * width - left * right) / 18.0

    def kinks(self) -> tuple[float, ...]:
        """Return low, mode and high."""
        return (self.low, self.mode, self.high)


@dataclass(frozen=True, slots=True)
class Beta(Distribution):
    """A beta variable of shapes a and b, stretched from [0, 1] to [low, high].

    Its quantile function has no closed form: it is inverted by Newton's method, relative error 1e-11 from the nearer
    end, and drawn from a table.

    Examples
    --------
    >>> round(float(Beta(2, 3).ppf(0.5)), 9)
    0.385727568
    """

    a: float
    b: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        for name in ("a", "b"):
            shape = positive(getattr(self, name), "Beta", name)
            if not incomplete.MIN_SHAPE <= shape <= incomplete.MAX_SHAPE:
                raise ValueError(f"Beta: {name}={shape!r} is outside [0.001, 10000]")
            object.__setattr__(self, name, shape)
        for name in ("low", "high"):
            object.__setattr__(self, name, number(getattr(self, name), "Beta", name))
        ordered(self.low, self.high, "Beta")

    @classmethod
    def from_mean_sd(cls, mean: float, sd: float, low: float = 0.0, high: float = 1.0) -> Beta:
        """Return the beta variable on [low, high] with this mean and standard deviation."""
        width = number(high, "Beta", "high") - number(low, "Beta", "low")
        ordered(low, high, "Beta")
        m, s = (number(mean, "Beta", "mean") - low) / width, positive(sd, "Beta", "sd") / width
        size = m * (1.0 - m) / (s * s) - 1.0
        if not 0.0 < m < 1.0 or size <= 0.0:
            raise ValueError(f"Beta: no distribution on [{low!r}, {high!r}] has mean={mean!r} and sd={sd!r}")
        return cls(m * size, (1.0 - m) * size, low, high)

    def _unit(self, x: ArrayLike) -> tuple[NDArray[np.bool_], Values, Values]:
        """Return which points are inside, and their distances from the ends as shares of the width."""
        points, width = as_array(x), self.high - self.low
        inside = (points > self.low) & (points < self.high)
        return (
            inside,
            np.where(inside, (points - self.low) / width, 0.5),
            np.where(inside, (self.high - points) / width, 0.5),
        )

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability."""
        x, y = incomplete.beta_quantile(self.a, self.b, p, upper=upper)
        width = self.high - self.low
        return np.where(x < y, self.low + x * width, self.high - y * width)

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        return _tails(self, q, self.low, self.high)

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        inside, u, v = self._unit(x)
        lower, _, _ = incomplete.beta_tails(self.a, self.b, u, v)
        return np.where(inside, lower, np.where(as_array(x) >= self.high, 1.0, 0.0))[()]

    def sf(self, x: ArrayLike) -> Values:
        """Return upper tail probabilities."""
        inside, u, v = self._unit(x)
        _, upper, _ = incomplete.beta_tails(self.a, self.b, u, v)
        return np.where(inside, upper, np.where(as_array(x) >= self.high, 0.0, 1.0))[()]

    def pdf(self, x: ArrayLike) -> Values:
        """Return densities inside (low, high); 0 elsewhere."""
        inside, u, v = self._unit(x)
        density = incomplete.beta_tails(self.a, self.b, u, v)[2] / (u * v * (self.high - self.low))
        return np.where(inside, density, 0.0)[()]

    def mean(self) -> float:
        """Return ``low + (high - low) a / (a + b)``."""
        return self.low + (self.high - self.low) * self.a / (self.a + self.b)

    def var(self) -> float:
        """Return ``(high - low)^2 a b / ((a + b)^2 (a + b + 1))``."""
        size = self.a + self.b
        return (self.high - self.low) ** 2 * self.a * self.b / (size * size * (size + 1.0))

    def kinks(self) -> tuple[float, ...]:
        """Return both ends."""
        return (self.low, self.high)


@dataclass(frozen=True, slots=True)
class Pert(Distribution):
    """A beta variable with this mode on [low, high]: shapes ``1 + weight (mode - low) / (high - low)`` and its mirror.

    Parameters
    ----------
    low, mode, high : float
        Least, most likely and greatest value.
    weight : float
        How strongly the mode pulls; 4 gives the mean (low + 4 mode + high) / 6 (Clark 1962).
    """

    low: float
    mode: float
    high: float
    weight: float = 4.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        for name in ("low", "mode", "high"):
            object.__setattr__(self, name, number(getattr(self, name), "Pert", name))
        object.__setattr__(self, "weight", positive(self.weight, "Pert", "weight"))
        ordered(self.low, self.high, "Pert")
        if not self.low <= self.mode <= self.high:
            raise ValueError(f"Pert: mode={self.mode!r} is outside [{self.low!r}, {self.high!r}]")

    def beta(self) -> Beta:
        """Return the same as a beta variable."""
        width = self.high - self.low
        left, right = (self.mode - self.low) / width, (self.high - self.mode) / width
        return Beta(1.0 + self.weight * left, 1.0 + self.weight * right, self.low, self.high)

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability."""
        return self.beta().tail_quantile(p, upper=upper)

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        return self.beta().ppf(q)

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        return self.beta().cdf(x)

    def sf(self, x: ArrayLike) -> Values:
        """Return upper tail probabilities."""
        return self.beta().sf(x)

    def pdf(self, x: ArrayLike) -> Values:
        """Return densities."""
        return self.beta().pdf(x)

    def mean(self) -> float:
        """Return ``(low + weight mode + high) / (weight + 2)``."""
        return self.beta().mean()

    def var(self) -> float:
        """Return the variance."""
        return self.beta().var()

    def kinks(self) -> tuple[float, ...]:
        """Return both ends."""
        return (self.low, self.high)


@dataclass(frozen=True, slots=True)
class Gamma(Distribution):
    """A gamma variable: density proportional to ``x^(shape - 1) exp(-x / scale)`` above 0.

    Inverted and drawn as `Beta` is.
    """

    shape: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        shape = positive(self.shape, "Gamma", "shape")
        if not incomplete.MIN_SHAPE <= shape <= incomplete.MAX_SHAPE:
            raise ValueError(f"Gamma: shape={shape!r} is outside [0.001, 10000]")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "scale", positive(self.scale, "Gamma", "scale"))

    @classmethod
    def from_mean_sd(cls, mean: float, sd: float) -> Gamma:
        """Return the gamma variable with this mean and standard deviation."""
        m, s = positive(mean, "Gamma", "mean"), positive(sd, "Gamma", "sd")
        return cls((m / s) ** 2, s * s / m)

    def _unit(self, x: ArrayLike) -> tuple[NDArray[np.bool_], Values]:
        points = as_array(x) / self.scale
        inside = points > 0.0
        return inside, np.where(inside, np.minimum(points, 1e6), 1.0)

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability."""
        return self.scale * incomplete.gamma_quantile(self.shape, p, upper=upper)

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        return _tails(self, q, 0.0, np.inf)

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities; 0 at and below zero."""
        inside, points = self._unit(x)
        return np.where(inside, incomplete.gamma_tails(self.shape, points)[0], 0.0)[()]

    def sf(self, x: ArrayLike) -> Values:
        """Return upper tail probabilities."""
        inside, points = self._unit(x)
        return np.where(inside, incomplete.gamma_tails(self.shape, points)[1], 1.0)[()]

    def pdf(self, x: ArrayLike) -> Values:
        """Return densities; 0 at and below zero."""
        inside, points = self._unit(x)
        return np.where(inside, incomplete.gamma_tails(self.shape, points)[2] / (points * self.scale), 0.0)[()]

    def mean(self) -> float:
        """Return ``shape * scale``."""
        return self.shape * self.scale

    def var(self) -> float:
        """Return ``shape * scale^2``."""
        return self.shape * self.scale * self.scale

    def kinks(self) -> tuple[float, ...]:
        """Return 0."""
        return (0.0,)
