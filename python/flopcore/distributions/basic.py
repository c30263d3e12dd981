"""Distributions in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from flopcore import _core
from flopcore.quantity import Number, parse_quantity

from .base import (
    DIGITS,
    LN10,
    ROOT_TWO_PI,
    Distribution,
    LogTerm,
    Quantile,
    Values,
    as_array,
    log10_exact,
    normal_quantile,
    number,
    ordered,
    positive,
    probabilities,
    tail_of,
    two_quantiles,
)

__all__ = ["Fixed", "LogNormal", "LogUniform", "Normal", "Uniform"]


@dataclass(frozen=True, slots=True)
class Fixed(Distribution):
    """A known value, kept exact: an int, a Fraction, or a float by its shortest decimal text.

    Examples
    --------
    >>> Fixed(3.8e25).value == 38 * 10**24
    True
    """

    value: Number

    def __post_init__(self) -> None:
        """Make the value exact."""
        object.__setattr__(self, "value", parse_quantity(self.value, name="Fixed: value"))

    def ppf(self, q: ArrayLike) -> Values:
        """Return the value at every probability."""
        return np.full(probabilities(q).shape, float(self.value))[()]

    def cdf(self, x: ArrayLike) -> Values:
        """Return 1 where x reaches the value, 0 below."""
        return np.where(as_array(x) >= float(self.value), 1.0, 0.0)[()]

    def pdf(self, x: ArrayLike) -> Values:
        """Return infinity at the value, 0 elsewhere."""
        return np.where(as_array(x) == float(self.value), np.inf, 0.0)[()]

    def mean(self) -> float:
        """Return the value."""
        return float(self.value)

    def var(self) -> float:
        """Return 0."""
        return 0.0

    def kinks(self) -> tuple[float, ...]:
        """Return the value."""
        return (float(self.value),)

    def cdf_below(self, x: float) -> float:
        """Return 1 above the value, else 0."""
        return 1.0 if x > float(self.value) else 0.0

    def linear_term(self) -> LogTerm:
        """Return a constant."""
        value = Fraction(self.value)
        return LogTerm("constant", DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator)))

    def log10_term(self) -> LogTerm:
        """Return a constant."""
        if self.value <= 0:
            raise ValueError(f"{self!r} is not positive: it has no logarithm")
        return LogTerm("constant", log10_exact(self.value))


@dataclass(frozen=True, slots=True)
class Normal(Distribution):
    """A normal variable.

    Parameters
    ----------
    mu : float
        Mean.
    sigma : float
        Standard deviation, above 0.

    Examples
    --------
    >>> Normal(10, 2).ppf(0.5)
    np.float64(10.0)
    """

    mu: float
    sigma: float

    def __post_init__(self) -> None:
        """Check the parameters."""
        object.__setattr__(self, "mu", number(self.mu, "Normal", "mu"))
        object.__setattr__(self, "sigma", positive(self.sigma, "Normal", "sigma"))

    @classmethod
    def from_mean_sd(cls, mean: float, sd: float) -> Normal:
        """Return the normal variable with this mean and standard deviation."""
        return cls(mean, sd)

    @classmethod
    def from_interval(cls, low: float, high: float, level: float = 0.90) -> Normal:
        """Return the normal variable whose central interval of probability `level` is [low, high]."""
        tail = tail_of(level, "Normal")
        return cls.from_quantiles((tail, low), (1.0 - tail, high))

    @classmethod
    def from_quantiles(cls, first: Quantile, second: Quantile) -> Normal:
        """Return the normal variable with these two quantiles, each (probability, value)."""
        (p, x), (q, y) = two_quantiles(first, second, "Normal")
        below, above = normal_quantile(p), normal_quantile(q)
        sigma = (y - x) / (above - below)
        return cls(x - sigma * below, sigma)

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles; 0 and 1 give infinities."""
        return (self.mu + self.sigma * _core.norm_ppf(probabilities(q)))[()]

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        return _core.norm_cdf((as_array(x) - self.mu) / self.sigma)[()]

    def sf(self, x: ArrayLike) -> Values:
        """Return upper tail probabilities, without loss far out."""
        return _core.norm_cdf((self.mu - as_array(x)) / self.sigma)[()]

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability."""
        z = _core.norm_ppf(p)
        return self.mu + self.sigma * (-z if upper else z)

    def pdf(self, x: ArrayLike) -> Values:
        """Return densities."""
        z = (as_array(x) - self.mu) / self.sigma
        return (_core.exp(-0.5 * z * z) / (self.sigma * ROOT_TWO_PI))[()]

    def mean(self) -> float:
        """Return the mean."""
        return self.mu

    def var(self) -> float:
        """Return the square of the standard deviation."""
        return self.sigma * self.sigma

    def linear_term(self) -> LogTerm:
        """Return a normal term."""
        return LogTerm("normal", Decimal(self.mu), self.sigma)

    def log10_term(self) -> LogTerm:
        """Refuse: a normal variable may be negative."""
        raise ValueError(f"{self!r} may be negative, so it cannot be a factor of a FLOP count; use LogNormal")


@dataclass(frozen=True, slots=True)
class LogNormal(Distribution):
    """A variable whose logarithm is normal.

    Parameters
    ----------
    median : float
        Its median, above 0.
    sigma : float
        Standard deviation of its natural logarithm, above 0.

    Examples
    --------
    >>> tokens = LogNormal.from_interval(1e12, 2e13)
    >>> round(float(tokens.cdf(2e13)), 12)
    0.95
    """

    median: float
    sigma: float

    def __post_init__(self) -> None:
        """Check the parameters."""
        object.__setattr__(self, "median", positive(self.median, "LogNormal", "median"))
        object.__setattr__(self, "sigma", positive(self.sigma, "LogNormal", "sigma"))

    @classmethod
    def from_interval(cls, low: float | Fraction, high: float | Fraction, level: float = 0.90) -> LogNormal:
        """Return the lognormal whose central interval of probability `level` is [low, high]."""
        bottom, top = positive(low, "LogNormal", "low"), positive(high, "LogNormal", "high")
        ordered(bottom, top, "LogNormal")
        z = -normal_quantile(tail_of(level, "LogNormal"))
        with localcontext(DIGITS):
            median = (Decimal(bottom) * Decimal(top)).sqrt()
            sigma = (Decimal(top) / Decimal(bottom)).ln() / (2 * Decimal(z))
        return cls(float(median), float(sigma))

    @classmethod
    def from_mean_sd(cls, mean: float, sd: float) -> LogNormal:
        """Return the lognormal with this mean and standard deviation."""
        centre, spread = positive(mean, "LogNormal", "mean"), positive(sd, "LogNormal", "sd")
        with localcontext(DIGITS):
            square = 1 + (Decimal(spread) / Decimal(centre)) ** 2
            return cls(float(Decimal(centre) / square.sqrt()), float(square.ln().sqrt()))

    @classmethod
    def from_quantiles(cls, first: Quantile, second: Quantile) -> LogNormal:
        """Return the lognormal with these two quantiles, each (probability, value)."""
        (p, x), (q, y) = two_quantiles(first, second, "LogNormal")
        positive(x, "LogNormal", "value")
        below, above = normal_quantile(p), normal_quantile(q)
        with localcontext(DIGITS):
            sigma = (Decimal(y) / Decimal(x)).ln() / (Decimal(above) - Decimal(below))
            return cls(float(Decimal(x) * (-sigma * Decimal(below)).exp()), float(sigma))

    def interval(self, level: float = 0.90) -> tuple[float, float]:
        """Return the central interval of this probability."""
        tail = tail_of(level, "LogNormal")
        low, high = self.ppf(np.array([tail, 1.0 - tail]))
        return float(low), float(high)

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        return (self.median * _core.exp(self.sigma * _core.norm_ppf(probabilities(q))))[()]

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities; 0 at and below zero."""
        ratio = as_array(x) / self.median
        return np.where(ratio > 0.0, _core.norm_cdf(_core.log(np.where(ratio > 0.0, ratio, 1.0)) / self.sigma), 0.0)[()]

    def sf(self, x: ArrayLike) -> Values:
        """Return upper tail probabilities, without loss far out."""
        ratio = as_array(x) / self.median
        inside = np.where(ratio > 0.0, ratio, 1.0)
        return np.where(ratio > 0.0, _core.norm_cdf(-_core.log(inside) / self.sigma), 1.0)[()]

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability."""
        z = _core.norm_ppf(p)
        return self.median * _core.exp(self.sigma * (-z if upper else z))

    def pdf(self, x: ArrayLike) -> Values:
        """Return densities; 0 at and below zero."""
        points = as_array(x)
        inside = np.where(points > 0.0, points, self.median)
        z = _core.log(inside / self.median) / self.sigma
        return np.where(points > 0.0, _core.exp(-0.5 * z * z) / (inside * (self.sigma * ROOT_TWO_PI)), 0.0)[()]

    def mean(self) -> float:
        """Return ``median * exp(sigma^2 / 2)``."""
        with localcontext(DIGITS):
            return float(Decimal(self.median) * (Decimal(self.sigma) ** 2 / 2).exp())

    def var(self) -> float:
        """Return ``mean^2 (exp(sigma^2) - 1)``."""
        with localcontext(DIGITS):
            square = (Decimal(self.sigma) ** 2).exp()
            return float(Decimal(self.median) ** 2 * square * (square - 1))

    def log10_term(self) -> LogTerm:
        """Return a normal term: log10 of the variable has standard deviation sigma / ln 10."""
        return LogTerm("normal", DIGITS.log10(Decimal(self.median)), self.sigma / LN10)


@dataclass(frozen=True, slots=True)
class Uniform(Distribution):
    """A variable spread evenly over [low, high]."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the parameters."""
        object.__setattr__(self, "low", number(self.low, "Uniform", "low"))
        object.__setattr__(self, "high", number(self.high, "Uniform", "high"))
        ordered(self.low, self.high, "Uniform")

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        p = probabilities(q)
        return (self.low * (1.0 - p) + self.high * p)[()]

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        return np.clip((as_array(x) - self.low) / (self.high - self.low), 0.0, 1.0)[()]

    @classmethod
    def from_interval(cls, low: float, high: float, level: float = 0.90) -> Uniform:
        """Return the uniform variable whose central interval of probability `level` is [low, high]."""
        tail = tail_of(level, "Uniform")
        return cls.from_quantiles((tail, low), (1.0 - tail, high))

    @classmethod
    def from_mean_sd(cls, mean: float, sd: float) -> Uniform:
        """Return the uniform variable with this mean and standard deviation."""
        half = positive(sd, "Uniform", "sd") * sqrt(3.0)
        return cls(number(mean, "Uniform", "mean") - half, mean + half)

    @classmethod
    def from_quantiles(cls, first: Quantile, second: Quantile) -> Uniform:
        """Return the uniform variable with these two quantiles, each (probability, value)."""
        (p, x), (q, y) = two_quantiles(first, second, "Uniform")
        width = (y - x) / (q - p)
        return cls(x - p * width, x + (1.0 - p) * width)

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability."""
        width = p * (self.high - self.low)
        return self.high - width if upper else self.low + width

    def pdf(self, x: ArrayLike) -> Values:
        """Return densities."""
        points = as_array(x)
        return np.where((points >= self.low) & (points <= self.high), 1.0 / (self.high - self.low), 0.0)[()]

    def mean(self) -> float:
        """Return the middle."""
        return self.low + (self.high - self.low) / 2

    def var(self) -> float:
        """Return a twelfth of the squared width."""
        return (self.high - self.low) ** 2 / 12.0

    def kinks(self) -> tuple[float, ...]:
        """Return both ends."""
        return (self.low, self.high)

    def linear_term(self) -> LogTerm:
        """Return a uniform term around the middle."""
        with localcontext(DIGITS):
            low, high = Decimal(self.low), Decimal(self.high)
            return LogTerm("uniform", (low + high) / 2, float((high - low) / 2))

    def log10_term(self) -> LogTerm:
        """Return log10(middle) and a log-linear term."""
        if self.low <= 0:
            raise ValueError(f"{self!r} reaches {self.low!r}: a factor of a FLOP count must be positive")
        with localcontext(DIGITS):
            low, high = Decimal(self.low), Decimal(self.high)
            middle = (low + high) / 2
            half = float((high - low) / (2 * middle))
            return LogTerm("log_linear", middle.log10(), 1.0 / LN10, half)


@dataclass(frozen=True, slots=True)
class LogUniform(Distribution):
    """A variable whose logarithm is spread evenly over [log low, log high]."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the parameters."""
        object.__setattr__(self, "low", positive(self.low, "LogUniform", "low"))
        object.__setattr__(self, "high", positive(self.high, "LogUniform", "high"))
        ordered(self.low, self.high, "LogUniform")

    @classmethod
    def from_interval(cls, low: float, high: float, level: float = 0.90) -> LogUniform:
        """Return the log-uniform variable whose central interval of probability `level` is [low, high]."""
        tail = tail_of(level, "LogUniform")
        return cls.from_quantiles((tail, low), (1.0 - tail, high))

    @classmethod
    def from_quantiles(cls, first: Quantile, second: Quantile) -> LogUniform:
        """Return the log-uniform variable with these two quantiles, each (probability, value)."""
        (p, x), (q, y) = two_quantiles(first, second, "LogUniform")
        positive(x, "LogUniform", "value")
        with localcontext(DIGITS):
            width = (Decimal(y) / Decimal(x)).ln() / (Decimal(q) - Decimal(p))
            return cls(
                float(Decimal(x) * (-width * Decimal(p)).exp()), float(Decimal(y) * (width * Decimal(1 - q)).exp())
            )

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return quantiles by tail probability."""
        width = self._log_width()
        return self.high * _core.exp(-width * p) if upper else self.low * _core.exp(width * p)

    def pdf(self, x: ArrayLike) -> Values:
        """Return densities."""
        points = as_array(x)
        inside = (points >= self.low) & (points <= self.high)
        return np.where(inside, 1.0 / (np.where(inside, points, 1.0) * self._log_width()), 0.0)[()]

    def mean(self) -> float:
        """Return ``(high - low) / ln(high / low)``."""
        return (self.high - self.low) / self._log_width()

    def var(self) -> float:
        """Return ``(high^2 - low^2) / (2 ln(high / low)) - mean^2``."""
        with localcontext(DIGITS):
            low, high = Decimal(self.low), Decimal(self.high)
            width = (high / low).ln()
            return float((high * high - low * low) / (2 * width) - ((high - low) / width) ** 2)

    def kinks(self) -> tuple[float, ...]:
        """Return both ends."""
        return (self.low, self.high)

    def _log_width(self) -> float:
        with localcontext(DIGITS):
            return float((Decimal(self.high) / Decimal(self.low)).ln())

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        p = probabilities(q)
        inside = np.clip(self.low * _core.exp(self._log_width() * p), self.low, self.high)
        return np.where(p == 1.0, self.high, inside)[()]

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        inside = np.clip(as_array(x), self.low, self.high)
        return np.clip(_core.log(inside / self.low) / self._log_width(), 0.0, 1.0)[()]

    def log10_term(self) -> LogTerm:
        """Return a uniform term around the middle of the logarithms."""
        low, high = DIGITS.log10(Decimal(self.low)), DIGITS.log10(Decimal(self.high))
        with localcontext(DIGITS):
            return LogTerm("uniform", (low + high) / 2, float((high - low) / 2))
