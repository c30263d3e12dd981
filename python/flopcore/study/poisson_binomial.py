"""The exact distribution of a count of independent events: the check without variance of every count sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

__all__ = ["CountLaw", "count_law"]


@dataclass(frozen=True, slots=True, eq=False)
class CountLaw:
    """Probability of each count 0 ... n."""

    pmf: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Expected count."""
        return fsum(k * p for k, p in enumerate(self.pmf.tolist()))

    @property
    def sd(self) -> float:
        """Standard deviation of the count."""
        mean = self.mean
        return sqrt(fsum((k - mean) * (k - mean) * p for k, p in enumerate(self.pmf.tolist())))

    def quantile(self, q: float) -> int:
        """Return the smallest count that is not exceeded with probability at least q."""
        total = 0.0
        for count, p in enumerate(self.pmf.tolist()):
            total += p
            if total >= q:
                return count
        return len(self.pmf) - 1


def count_law(probabilities: Sequence[float]) -> CountLaw:
    """Return the Poisson-binomial law of how many of independent events happen, by convolution.

    Parameters
    ----------
    probabilities : sequence of float
        Of each event.

    Examples
    --------
    >>> count_law([0.5, 0.5]).pmf.tolist()
    [0.25, 0.5, 0.25]
    """
    pmf = np.zeros(len(probabilities) + 1)
    pmf[0] = 1.0
    for n, p in enumerate(probabilities, start=1):
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"probabilities[{n - 1}]={p!r}: expected a number in [0, 1]")
        pmf[1 : n + 1] = pmf[1 : n + 1] * (1.0 - p) + pmf[:n] * p
        pmf[0] *= 1.0 - p
    pmf.flags.writeable = False
    return CountLaw(pmf)
