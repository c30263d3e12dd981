"""Probabilities and quantiles of gamma and beta variables from the core, their constants from exact decimals."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import lru_cache

from flopcore import _core

from .base import DIGITS, Values

__all__ = ["MAX_SHAPE", "MIN_SHAPE", "beta_quantile", "beta_tails", "gamma_quantile", "gamma_tails"]

MIN_SHAPE, MAX_SHAPE = 1e-3, 1e4

_HALF_LN_TWO_PI = Decimal("0.91893853320467274178032973640561763986139747363778")
# B_2k / (2k (2k - 1)) of Stirling's series, k = 1, 2, ...
_STIRLING = ((1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188), (-691, 360360), (1, 156), (-3617, 122400))


@lru_cache(maxsize=4096)
def _log_gamma(x: float) -> Decimal:
    """Return ln gamma(x) of a positive number to 25 digits: Stirling's series, beyond 80 by recurrence."""
    with localcontext(DIGITS):
        z, product = Decimal(x), Decimal(1)
        while z < 80:
            product *= z
            z += 1
        tail = sum((Decimal(n) / d / z ** (2 * k + 1) for k, (n, d) in enumerate(_STIRLING)), Decimal(0))
        return (z - Decimal("0.5")) * z.ln() - z + _HALF_LN_TWO_PI + tail - product.ln()


def gamma_tails(shape: float, x: Values) -> tuple[Values, Values, Values]:
    """Return lower and upper probabilities of a gamma variable of scale 1 at x > 0, and x times its density."""
    return _core.gamma_tails(shape, float(_log_gamma(shape)), x)


def gamma_quantile(shape: float, p: Values, *, upper: bool) -> Values:
    """Return quantiles of a gamma variable of scale 1 by tail probability in (0, 1/2]."""
    return _core.gamma_quantiles(shape, float(_log_gamma(shape)), p, upper)


def _log_beta(a: float, b: float) -> float:
    with localcontext(DIGITS):
        return float(_log_gamma(a) + _log_gamma(b) - _log_gamma(a + b))


def beta_tails(a: float, b: float, x: Values, y: Values) -> tuple[Values, Values, Values]:
    """Return lower and upper probabilities of a beta variable at x, y = 1 - x > 0, and x y times its density."""
    return _core.beta_tails(a, b, _log_beta(a, b), x, y)


def beta_quantile(a: float, b: float, p: Values, *, upper: bool) -> tuple[Values, Values]:
    """Return quantiles x of a beta variable by tail probability in (0, 1/2], and 1 - x."""
    return _core.beta_quantiles(a, b, _log_beta(a, b), p, upper)
