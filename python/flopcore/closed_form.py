"""Probabilities of products of lognormals and one uniform, in decimal arithmetic: the same bits on every machine.

The ``decimal`` module rounds ``ln``, ``exp`` and ``sqrt`` correctly, so nothing here depends on a CPU's libm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import cache

from .quantity import Interval, Number, exact

__all__ = ["COVERAGE", "Product", "geometric_mean", "lognormal_sigma", "normal_cdf", "normal_quantile"]

COVERAGE = Fraction(9, 10)
"""Probability of the central interval that ``low..high`` stands for."""

_CONTEXT = Context(prec=60)
_FAR = 15  # beyond this many standard deviations a tail is below 1e-50 and taken as nothing
_TWO_PI = Decimal("6.283185307179586476925286766559005768394338798750211641949889184615632812572418")
_BISECTIONS = 80


@dataclass(frozen=True, slots=True)
class Product:
    """The distribution of ``scale * L * U``: L lognormal with median 1, U uniform on ``[low, high]`` or absent.

    Parameters
    ----------
    scale : int or Fraction
        Product of the exact inputs and of the medians of the lognormal ones.
    variance : Decimal
        Variance of ln L; 0 when no input is lognormal.
    low, high : int, Fraction or None
        Ends of U, both or neither.
    """

    scale: Number
    variance: Decimal
    low: Number | None = None
    high: Number | None = None

    @classmethod
    def of(cls, factors: Iterable[Number | Interval], bounded: Number | Interval = 1) -> Product:
        """Return the product of exact or lognormal (90 % interval) factors and of one exact or uniform factor."""
        scale = Fraction(1)
        variance = Decimal(0)
        with localcontext(_CONTEXT):
            for factor in factors:
                if isinstance(factor, Interval):
                    scale *= geometric_mean(factor)
                    variance += lognormal_sigma(factor) ** 2
                else:
                    scale *= factor
        if isinstance(bounded, Interval):
            return cls(scale, variance, bounded.low, bounded.high)
        return cls(scale * bounded, variance)

    @property
    def is_exact(self) -> bool:
        """Whether nothing is uncertain."""
        return self.variance == 0 and self.low is None

    @property
    def median(self) -> Number:
        """The product at the median of each factor: exact where all are, to the nearest whole number otherwise."""
        scale = Fraction(self.scale)
        if self.is_exact:
            return exact(scale)
        if self.low is not None and self.high is not None:
            scale *= (Fraction(self.low) + self.high) / 2
        return round(scale)

    def probability_above(self, line: Number, *, at_line: bool = False) -> float:
        """Return P(product > line), or P(product >= line) with `at_line`; they differ for exact products only.

        Notes
        -----
        With m = ln(line / scale) and s^2 the variance of ln L: Phi(-m / s) without U; with U the integral of
        Phi((ln u - m) / s) over [low, high] by parts, u Phi((ln u - m) / s) - e^(m + s^2 / 2) Phi((ln u - m) / s - s).
        """
        if self.is_exact:
            return float(self.scale >= line if at_line else self.scale > line)
        with localcontext(_CONTEXT):
            return float(self._above(_ln(Fraction(line) / self.scale)))

    def quantile(self, probability: Fraction) -> float:
        """Return the value with that probability below it.

        Raises
        ------
        ValueError
            `probability` is not between 0 and 1.
        """
        if not 0 < probability < 1:
            raise ValueError(f"probability={probability}: expected a number between 0 and 1")
        if self.is_exact:
            return float(self.scale)
        if self.low is None or self.high is None:
            with localcontext(_CONTEXT):
                return float(_decimal(self.scale) * (self.variance.sqrt() * normal_quantile(probability)).exp())
        if self.variance == 0:
            return float(Fraction(self.scale) * (self.low + (Fraction(self.high) - self.low) * probability))
        with localcontext(_CONTEXT):
            reach = _FAR * self.variance.sqrt()
            below, above = _ln(self.low) - reach, _ln(self.high) + reach
            target = 1 - _decimal(probability)
            for _ in range(_BISECTIONS):
                middle = (below + above) / 2
                if self._above(middle) > target:
                    below = middle
                else:
                    above = middle
            return float(_decimal(self.scale) * ((below + above) / 2).exp())

    def _above(self, m: Decimal) -> Decimal:
        sigma = self.variance.sqrt()
        if self.low is None or self.high is None:
            return normal_cdf(-m / sigma)
        low, high = _decimal(self.low), _decimal(self.high)
        line = m.exp()
        if not sigma:
            return min(max((high - line) / (high - low), Decimal(0)), Decimal(1))
        return (self._integral(high, m, line, sigma) - self._integral(low, m, line, sigma)) / (high - low)

    def _integral(self, u: Decimal, m: Decimal, line: Decimal, sigma: Decimal) -> Decimal:
        z = (u.ln() - m) / sigma
        return u * normal_cdf(z) - line * (self.variance / 2).exp() * normal_cdf(z - sigma)


def geometric_mean(interval: Interval) -> Fraction:
    """Return the square root of low * high, the median of the lognormal, to 30 digits.

    Examples
    --------
    >>> geometric_mean(Interval(1, 4))
    Fraction(2, 1)
    """
    with localcontext(_CONTEXT) as context:
        root = (_decimal(interval.low) * _decimal(interval.high)).sqrt()
        context.prec = 30
        return Fraction(+root)


def normal_cdf(x: Decimal) -> Decimal:
    """Return the probability that a standard normal variate is below `x`, to 1e-50.

    Notes
    -----
    1/2 + phi(x) (x + x^3 / 3 + x^5 / (3 * 5) + ...): all terms of one sign, so nothing cancels.
    """
    with localcontext(_CONTEXT):
        if abs(x) > _FAR:
            return Decimal(int(x > 0))
        square = x * x
        term = total = x
        odd = 1
        while abs(term) > Decimal("1e-58") * abs(total):
            odd += 2
            term = term * square / odd
            total += term
        return Decimal("0.5") + total * _normal_pdf(x)


@cache
def normal_quantile(probability: Fraction) -> Decimal:
    """Return the x that a standard normal variate is below with that probability (Newton from 0, monotone)."""
    if probability < Fraction(1, 2):
        return normal_quantile(1 - probability).copy_negate()
    with localcontext(_CONTEXT):
        target, x = _decimal(probability), Decimal(0)
        while True:
            step = (target - normal_cdf(x)) / _normal_pdf(x)
            x += step
            if abs(step) < Decimal("1e-40"):
                return x


def _normal_pdf(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / _TWO_PI.sqrt()


def lognormal_sigma(interval: Interval, coverage: Fraction = COVERAGE) -> Decimal:
    """Return the standard deviation of ln X for the lognormal whose central interval of that probability is given.

    Half the logarithmic width over the normal quantile of the upper end.
    """
    with localcontext(_CONTEXT):
        return _ln(Fraction(interval.high) / interval.low) / (2 * normal_quantile((1 + coverage) / 2))


def _ln(value: Number) -> Decimal:
    return _decimal(value).ln()


def _decimal(value: Number) -> Decimal:
    fraction = Fraction(value)
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)
