"""How many models a yearly budget buys, in closed form: without bins, and with the bins of the published recipe.

Notation: L the largest model's share of the budget A, k the gradient (models up to a share m of the largest get the
share m^k of A), T a threshold. Relies on the core's exp and log, so that the last bit is the same on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flopcore import _core
from flopcore.distributions import LN10

__all__ = ["continuum_count", "renewal_count"]

Values = NDArray[np.float64]

_SMALL = 1e-5


def continuum_count(threshold: ArrayLike, budget: ArrayLike, share: ArrayLike, gradient: ArrayLike) -> Values:
    """Return the number of models above a threshold when the budget is spent without bins; arguments broadcast.

    Parameters
    ----------
    threshold, budget : array of float64, FLOP
        T and A.
    share, gradient : array of float64
        L and k.

    Notes
    -----
    The budget share m^k of models up to m L A buys ``k m^(k-2) dm / L`` models of size m L A, so
    N(> T) = k / (1 - k) ((T / (L A))^(k-1) - 1) / L, and ln(L A / T) / L at k = 1; 0 where T exceeds L A.

    Examples
    --------
    >>> round(float(continuum_count(1e25, 9.58e28, 0.1581, 1.0)), 1)
    46.3
    """
    line, total, largest, k = np.broadcast_arrays(
        *(np.asarray(x, np.float64) for x in (threshold, budget, share, gradient))
    )
    fraction = np.minimum(line / (largest * total), 1.0)
    log = _core.log(fraction)
    z = (k - 1.0) * log
    near = np.abs(z) < _SMALL
    # (e^z - 1) / z: e^z - 1 loses its digits where z is small.
    growth = np.where(near, 1.0 + z / 2 + z * z / 6, (_core.exp(z) - 1.0) / np.where(near, 1.0, z))
    count: Values = -k * log * growth / largest
    return count


def renewal_count(
    threshold: float, budget: float, share: float, gradient: float, *, log10_size_ratio: float, bins: int
) -> float:
    """Return the mean number of models above a threshold under the published recipe, by renewal theory.

    Parameters
    ----------
    threshold, budget : float
        FLOP.
    share, gradient : float
        L and k.
    log10_size_ratio : float
        log10 of the smallest over the largest model, below 0.
    bins : int
        Number of size bins.

    Notes
    -----
    In units of its upper edge a bin draws sizes uniform on (q, 1), of mean mu and mean square s, until their sum
    reaches B. For large B the number of draws has mean B / mu + s / (2 mu^2); the draw that reaches B is length-biased
    (density x f(x) / mu), and what is left of it has density (1 - F(x)) / mu. The recipe counts the remainder as a
    model, which is the excess over the continuum: about 0.5 to 0.67 models a bin.
    """
    q = float(_core.exp(np.array(log10_size_ratio * LN10 / bins)))
    qk = float(_core.exp(np.array(gradient * log10_size_ratio * LN10 / bins)))
    mean, square = (1 + q) / 2, (1 + q + q * q) / 3
    upper, allowance, total = share * budget, (1 - qk) / share, 0.0
    for _ in range(bins):
        t = threshold / upper
        if t < 1:
            draws = allowance / mean + square / (2 * mean * mean)
            if t > q:
                over, cut_over = (1 - t) / (1 - q), (1 - t * t) / (2 * (1 - q) * mean)
                rest_over = (1 - t) * (1 - t) / (2 * (1 - q) * mean)
            else:
                over, cut_over = 1.0, 1.0
                rest_over = (q - t + (1 - q) / 2) / mean
            total += draws * over - cut_over + rest_over
        upper *= q
        allowance *= qk / q
    return total
