"""What a distribution is, and how its numbers are checked; relies on the core's own log, exp and normal functions.

Everything is drawn by inverse CDF. Quantiles near 0 and 1 are asked for by their *tail probability*, so that both ends
are equally fine: ``tail_quantile(p, upper=True)`` is the quantile at 1 - p, without computing 1 - p.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from math import sqrt
from operator import index
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flopcore import _core
from flopcore.quantity import Number

if TYPE_CHECKING:
    from .table import QuantileTable

__all__ = ["Distribution", "LogTerm", "Seed"]

Seed: TypeAlias = int | Sequence[int] | np.random.SeedSequence | None
"""What ``rng=`` takes: an integer (0 is a seed like any other), several, a SeedSequence, or None for fresh entropy."""

Values: TypeAlias = NDArray[np.float64]
Quantile: TypeAlias = tuple[float, float]
"""A probability and the value there."""
Joint: TypeAlias = tuple[float | Fraction, bool]
"""A tail probability, and whether it is that of the upper tail."""

DIGITS = Context(prec=50)
"""Decimal arithmetic for constants of a plan: the same digits on every machine."""
LN10 = float(DIGITS.ln(Decimal(10)))
ROOT_TWO_PI = 2.5066282746310002


@lru_cache(maxsize=65536)
def log10_exact(value: Number) -> Decimal:
    """Return log10 of a positive exact number to 49 digits, the same on every machine (libm is not)."""
    return DIGITS.subtract(DIGITS.log10(Decimal(value.numerator)), DIGITS.log10(Decimal(value.denominator)))


@dataclass(frozen=True, slots=True)
class LogTerm:
    """How a variable, or its log10, comes from a random word: ``offset`` plus a centred term that the core draws.

    Parameters
    ----------
    kind : {"constant", "normal", "uniform", "log_linear", "table"}
        Nothing, ``scale * z``, ``scale * (2 u - 1)``, ``scale * ln(1 + half * (2 u - 1))``, or ``scale`` times the
        table's quantile.
    offset : Decimal
        Constant part.
    scale, half : float
        As above.
    table : QuantileTable or None
        As above.
    """

    kind: Literal["constant", "normal", "uniform", "log_linear", "table"]
    offset: Decimal
    scale: float = 0.0
    half: float = 0.0
    table: QuantileTable | None = None


def number(value: object, owner: str, name: str) -> float:
    """Return a finite float, or say what was wrong with it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction, np.integer, np.floating)):
        raise TypeError(f"{owner}: {name}={value!r} is not a number")
    found = float(value)
    if not np.isfinite(found):
        raise ValueError(f"{owner}: {name}={value!r} is not finite")
    return found


def positive(value: object, owner: str, name: str) -> float:
    """Return a finite float above zero."""
    found = number(value, owner, name)
    if found <= 0:
        raise ValueError(f"{owner}: {name}={value!r} is not positive")
    return found


def ordered(low: float, high: float, owner: str) -> None:
    """Refuse an interval that is empty or a point."""
    if not low < high:
        raise ValueError(f"{owner}: low={low!r} is not below high={high!r}; use Fixed for a known value")


def tail_of(level: object, owner: str) -> float:
    """Return the probability on either side of a central interval."""
    inside = number(level, owner, "level")
    if not 0.0 < inside < 1.0:
        raise ValueError(f"{owner}: level={level!r} is not between 0 and 1")
    return (1.0 - inside) / 2


def two_quantiles(first: Quantile, second: Quantile, owner: str) -> tuple[Quantile, Quantile]:
    """Return the two quantiles in ascending order, or say why no distribution has them."""
    (p, x), (q, y) = sorted((number(p, owner, "probability"), number(x, owner, "value")) for p, x in (first, second))
    if not 0.0 < p < q < 1.0:
        raise ValueError(f"{owner}: probabilities {p!r} and {q!r} are not distinct and between 0 and 1")
    ordered(x, y, owner)
    return (p, x), (q, y)


def normal_quantile(q: float) -> float:
    """Return the standard normal quantile."""
    return float(_core.norm_ppf(np.array(q)))


def as_array(x: ArrayLike) -> Values:
    return np.array(x, dtype=np.float64, order="C")


def probabilities(q: ArrayLike) -> Values:
    array = as_array(q)
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
    words = [index(word) for word in rng] if isinstance(rng, Sequence) else [index(rng)]
    if not words or min(words) < 0:
        raise ValueError(f"rng={rng!r}: a seed is 0 or positive, and a sequence of them is not empty")
    return np.random.SeedSequence(words if isinstance(rng, Sequence) else words[0])


def philox_key(seed: np.random.SeedSequence) -> list[int]:
    """Return the two key words of a study: ``seed.generate_state(2, numpy.uint32)``."""
    return [int(word) for word in seed.generate_state(2, np.uint32)]


class Distribution(ABC):
    """A distribution of one real variable, known by its quantile function."""

    __slots__ = ()

    @abstractmethod
    def ppf(self, q: ArrayLike) -> Values:
        """Return the quantile at each probability in [0, 1]: the smallest x with ``cdf(x) >= q``."""

    @abstractmethod
    def cdf(self, x: ArrayLike) -> Values:
        """Return the probability of a value of at most each x."""

    @abstractmethod
    def pdf(self, x: ArrayLike) -> Values:
        """Return the density at each x: infinite at a point mass, NaN where it is not known."""

    @abstractmethod
    def mean(self) -> float:
        """Return the expected value."""

    @abstractmethod
    def var(self) -> float:
        """Return the variance."""

    def sd(self) -> float:
        """Return the standard deviation."""
        return sqrt(self.var())

    def sf(self, x: ArrayLike) -> Values:
        """Return the probability of a value above each x."""
        return (1.0 - self.cdf(x))[()]

    def tail_quantile(self, p: Values, *, upper: bool) -> Values:
        """Return the quantiles at probabilities `p` in (0, 1/2], or at 1 - p."""
        return self.ppf(1.0 - p if upper else p)

    def kinks(self) -> tuple[float, ...]:
        """Return the values, inside the support, where the CDF jumps or has no derivative."""
        return ()

    def cdf_below(self, x: float) -> float:
        """Return the probability of a value below x."""
        return float(self.cdf(x))

    def joints(self) -> tuple[Joint, ...]:
        """Return the probabilities where the quantile function jumps or has no derivative, as tails."""
        found = []
        for kink in self.kinks():
            for below, above in ((self.cdf_below(kink), 1.0 - self.cdf_below(kink)), (self.cdf(kink), self.sf(kink))):
                found.append((float(below), False) if below <= 0.5 else (float(above), True))
        return tuple(found)

    def log10_term(self) -> LogTerm:
        """Return how log10 of the variable is drawn; ValueError if it may be zero or negative."""
        from .table import log10_table

        return LogTerm("table", Decimal(0), 1.0, table=log10_table(self))

    def linear_term(self) -> LogTerm:
        """Return how the variable itself is drawn."""
        from .table import linear_table

        return LogTerm("table", Decimal(0), 1.0, table=linear_table(self))

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
