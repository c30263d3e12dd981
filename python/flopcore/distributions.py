"""Distributions of uncertain inputs, sampled by inverse CDF; relies on the core's own log, exp and normal functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .quantity import Number, parse_quantity

__all__ = ["Distribution", "Fixed", "LogNormal", "LogTerm", "LogUniform", "Normal", "Seed", "Uniform"]

Seed: TypeAlias = int | Sequence[int] | np.random.SeedSequence | None
"""What ``rng=`` takes: an integer (0 is a seed like any other), several, a SeedSequence, or None for fresh entropy."""

Values: TypeAlias = NDArray[np.float64]

DIGITS = Context(prec=50)
"""Decimal arithmetic for constants of a plan: the same digits on every machine."""
LN10 = float(DIGITS.ln(Decimal(10)))


@lru_cache(maxsize=65536)
def log10_exact(value: Number) -> Decimal:
    """Return log10 of a positive exact number to 49 digits, the same on every machine (libm is not)."""
    return DIGITS.subtract(DIGITS.log10(Decimal(value.numerator)), DIGITS.log10(Decimal(value.denominator)))


@dataclass(frozen=True, slots=True)
class LogTerm:
    """How log10 of a variable comes from a random word: ``offset`` plus a centred term that the core draws.

    Parameters
    ----------
    kind : {"constant", "normal", "uniform", "log_linear"}
        Nothing, ``scale * z``, ``scale * (2 u - 1)``, or ``scale * ln(1 + half * (2 u - 1))``.
    offset : Decimal
        Constant part.
    scale, half : float
        As above.
    """

    kind: Literal["constant", "normal", "uniform", "log_linear"]
    offset: Decimal
    scale: float = 0.0
    half: float = 0.0


def _number(value: object, owner: str, name: str) -> float:
    """Return a finite float, or say what was wrong with it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction, np.integer, np.floating)):
        raise TypeError(f"{owner}: {name}={value!r} is not a number")
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{owner}: {name}={value!r} is not finite")
    return number


def _positive(value: object, owner: str, name: str) -> float:
    """Return a finite float above zero."""
    number = _number(value, owner, name)
    if number <= 0:
        raise ValueError(f"{owner}: {name}={value!r} is not positive")
    return number


def _ordered(low: float, high: float, owner: str) -> None:
    """Refuse an interval that is empty or a point."""
    if not low < high:
        raise ValueError(f"{owner}: low={low!r} is not below high={high!r}; use Fixed for a known value")


def _array(x: ArrayLike) -> Values:
    return np.array(x, dtype=np.float64, order="C")


def _probabilities(q: ArrayLike) -> Values:
    array = _array(q)
    if not bool(np.all((array >= 0.0) & (array <= 1.0))):
        raise ValueError("q: probabilities must lie in [0, 1]")
    return array


def seed_sequence(rng: Seed) -> np.random.SeedSequence:
    """Return the SeedSequence that ``rng=`` means; None gives fresh entropy."""
    if isinstance(rng, np.random.SeedSequence):
        return rng
    if rng is None:
        return np.random.SeedSequence()
    if isinstance(rng, (bool, str)) or not isinstance(rng, (int, np.integer, Sequence)):
        raise TypeError(f"rng={rng!r}: expected an int, a sequence of ints, a SeedSequence or None")
    return np.random.SeedSequence(rng if isinstance(rng, Sequence) else int(rng))


def philox_key(seed: np.random.SeedSequence) -> list[int]:
    """Return the two key words of a study: ``seed.generate_state(2, numpy.uint32)``."""
    return [int(word) for word in seed.generate_state(2, np.uint32)]


class Distribution(ABC):
    """A distribution of one real variable, known by its quantile function."""

    __slots__ = ()

    @abstractmethod
    def ppf(self, q: ArrayLike) -> Values:
        """Return the quantile at each probability in [0, 1]."""

    @abstractmethod
    def cdf(self, x: ArrayLike) -> Values:
        """Return the probability of a value of at most each x."""

    @abstractmethod
    def log10_term(self) -> LogTerm:
        """Return how log10 of the variable is drawn; ValueError if it may be zero or negative."""

    def linear_term(self) -> LogTerm:
        """Return how the variable itself is drawn, for those that are offset + term; ValueError for the others."""
        raise ValueError(f"{self!r} is drawn by its logarithm only")

    def sample(self, n: int, *, rng: Seed = None) -> Values:
        """Return `n` independent draws: ``ppf`` at Philox uniforms ``(k + 1/2) 2^-52``.

        Parameters
        ----------
        n : int
            How many.
        rng : int, sequence of int, SeedSequence or None
            Seed; the same seed gives the same draws on every machine.
        """
        if n < 0:
            raise ValueError(f"n={n}: expected a count of draws")
        words = _core.philox_words(
            philox_key(seed_sequence(rng)), _core.stream_hash("sample", "", ""), 0, (n + 1) // 2
        ).reshape(-1, 2)
        integers = (words[:, 0].astype(np.uint64) << np.uint64(20)) | (words[:, 1] >> np.uint32(12)).astype(np.uint64)
        return self.ppf((integers[:n].astype(np.float64) + 0.5) * 2.0**-52)


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
        return np.full(_probabilities(q).shape, float(self.value))[()]

    def cdf(self, x: ArrayLike) -> Values:
        """Return 1 where x reaches the value, 0 below."""
        return np.where(_array(x) >= float(self.value), 1.0, 0.0)[()]

    def log10_term(self) -> LogTerm:
        """Return a constant."""
        if self.value <= 0:
            raise ValueError(f"{self!r} is not positive: it has no logarithm")
        return LogTerm("constant", log10_exact(self.value))

    def linear_term(self) -> LogTerm:
        """Return a constant."""
        value = Fraction(self.value)
        return LogTerm("constant", DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator)))


@dataclass(frozen=True, slots=True)
class Normal(Distribution):
    """A normal variable with this mean and standard deviation.

    Examples
    --------
    >>> Normal(10, 2).ppf(0.5)
    np.float64(10.0)
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        """Check the parameters."""
        object.__setattr__(self, "mean", _number(self.mean, "Normal", "mean"))
        object.__setattr__(self, "sd", _positive(self.sd, "Normal", "sd"))

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles; 0 and 1 give infinities."""
        return (self.mean + self.sd * _core.norm_ppf(_probabilities(q)))[()]

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        return _core.norm_cdf((_array(x) - self.mean) / self.sd)[()]

    def log10_term(self) -> LogTerm:
        """Refuse: a normal variable may be negative."""
        raise ValueError(f"{self!r} may be negative, so it cannot be a factor of a FLOP count; use LogNormal")

    def linear_term(self) -> LogTerm:
        """Return a normal term."""
        return LogTerm("normal", Decimal(self.mean), self.sd)


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
        object.__setattr__(self, "median", _positive(self.median, "LogNormal", "median"))
        object.__setattr__(self, "sigma", _positive(self.sigma, "LogNormal", "sigma"))

    @classmethod
    def from_interval(cls, low: float | Fraction, high: float | Fraction, level: float = 0.90) -> LogNormal:
        """Return the lognormal whose central interval of probability `level` is [low, high]."""
        bottom, top = _positive(low, "LogNormal", "low"), _positive(high, "LogNormal", "high")
        _ordered(bottom, top, "LogNormal")
        inside = _number(level, "LogNormal", "level")
        if not 0.0 < inside < 1.0:
            raise ValueError(f"LogNormal: level={level!r} is not between 0 and 1")
        z = float(-_core.norm_ppf(np.array((1.0 - inside) / 2)))
        with localcontext(DIGITS):
            median = (Decimal(bottom) * Decimal(top)).sqrt()
            sigma = (Decimal(top) / Decimal(bottom)).ln() / (2 * Decimal(z))
        return cls(float(median), float(sigma))

    def interval(self, level: float = 0.90) -> tuple[float, float]:
        """Return the central interval of this probability."""
        tail = (1.0 - level) / 2
        low, high = self.ppf(np.array([tail, 1.0 - tail]))
        return float(low), float(high)

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        return (self.median * _core.exp(self.sigma * _core.norm_ppf(_probabilities(q))))[()]

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities; 0 at and below zero."""
        ratio = _array(x) / self.median
        return np.where(ratio > 0.0, _core.norm_cdf(_core.log(np.where(ratio > 0.0, ratio, 1.0)) / self.sigma), 0.0)[()]

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
        object.__setattr__(self, "low", _number(self.low, "Uniform", "low"))
        object.__setattr__(self, "high", _number(self.high, "Uniform", "high"))
        _ordered(self.low, self.high, "Uniform")

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        p = _probabilities(q)
        return (self.low * (1.0 - p) + self.high * p)[()]

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        return np.clip((_array(x) - self.low) / (self.high - self.low), 0.0, 1.0)[()]

    def log10_term(self) -> LogTerm:
        """Return log10(middle) and a log-linear term."""
        if self.low <= 0:
            raise ValueError(f"{self!r} reaches {self.low!r}: a factor of a FLOP count must be positive")
        with localcontext(DIGITS):
            low, high = Decimal(self.low), Decimal(self.high)
            middle = (low + high) / 2
            half = float((high - low) / (2 * middle))
            return LogTerm("log_linear", middle.log10(), 1.0 / LN10, half)

    def linear_term(self) -> LogTerm:
        """Return a uniform term around the middle."""
        with localcontext(DIGITS):
            low, high = Decimal(self.low), Decimal(self.high)
            return LogTerm("uniform", (low + high) / 2, float((high - low) / 2))


@dataclass(frozen=True, slots=True)
class LogUniform(Distribution):
    """A variable whose logarithm is spread evenly over [log low, log high]."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the parameters."""
        object.__setattr__(self, "low", _positive(self.low, "LogUniform", "low"))
        object.__setattr__(self, "high", _positive(self.high, "LogUniform", "high"))
        _ordered(self.low, self.high, "LogUniform")

    def _log_width(self) -> float:
        with localcontext(DIGITS):
            return float((Decimal(self.high) / Decimal(self.low)).ln())

    def ppf(self, q: ArrayLike) -> Values:
        """Return quantiles."""
        p = _probabilities(q)
        inside = np.clip(self.low * _core.exp(self._log_width() * p), self.low, self.high)
        return np.where(p == 1.0, self.high, inside)[()]

    def cdf(self, x: ArrayLike) -> Values:
        """Return probabilities."""
        inside = np.clip(_array(x), self.low, self.high)
        return np.clip(_core.log(inside / self.low) / self._log_width(), 0.0, 1.0)[()]

    def log10_term(self) -> LogTerm:
        """Return a uniform term around the middle of the logarithms."""
        low, high = DIGITS.log10(Decimal(self.low)), DIGITS.log10(Decimal(self.high))
        with localcontext(DIGITS):
            return LogTerm("uniform", (low + high) / 2, float((high - low) / 2))
