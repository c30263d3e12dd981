"""Correlated inputs by a Gaussian copula: marginals as they are, ranks correlated as asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flopcore import _core

from .base import DIGITS, Distribution, Seed, Values, philox_key, seed_sequence

__all__ = ["GaussianCopula"]

_PI = Decimal("3.1415926535897932384626433832795028841971693993751")


def _pearson(spearman: float) -> float:
    """Return ``2 sin(pi rho / 6)``, rounded once: the correlation of normals whose ranks correlate by rho."""
    with localcontext(DIGITS):
        x = _PI * Decimal(spearman) / 6
        term = total = x
        k = 1
        while abs(term) > Decimal(10) ** -45:
            term *= -x * x / ((k + 1) * (k + 2))
            total += term
            k += 2
        return float(2 * total)


@dataclass(frozen=True, slots=True, init=False)
class GaussianCopula:
    """How inputs depend on each other: normal scores, correlated so that ranks have the Spearman matrix asked for.

    Parameters
    ----------
    names : sequence of str
        Names of the inputs.
    spearman : array, inputs x inputs
        Rank correlations: symmetric, ones on the diagonal, positive definite as Pearson correlations
        ``2 sin(pi rho / 6)`` of normal scores (Kruskal 1958).

    Raises
    ------
    ValueError
        If the matrix is none of that; a matrix that is not positive definite is named with its smallest eigenvalue.

    Examples
    --------
    >>> GaussianCopula(["N", "D"], [[1, 0.5], [0.5, 1]]).pearson[0, 1].round(6)
    np.float64(0.517638)
    """

    names: tuple[str, ...]
    spearman: NDArray[np.float64]
    pearson: NDArray[np.float64]
    factor: NDArray[np.float64]

    def __init__(self, names: Sequence[str], spearman: ArrayLike) -> None:
        kept = tuple(names)
        matrix = np.array(spearman, dtype=np.float64)
        if len(set(kept)) != len(kept) or not kept:
            raise ValueError(f"names={list(kept)!r}: expected distinct names, at least one")
        if matrix.shape != (len(kept), len(kept)):
            raise ValueError(f"spearman has shape {matrix.shape}; expected {len(kept)} x {len(kept)}")
        if not bool(np.all(np.isfinite(matrix))) or not bool(np.all(np.abs(matrix) <= 1.0)):
            raise ValueError("spearman: correlations must be between -1 and 1")
        if not bool(np.all(matrix == matrix.T)) or not bool(np.all(np.diag(matrix) == 1.0)):
            raise ValueError("spearman: expected a symmetric matrix with ones on the diagonal")
        pearson = np.array(
            [[1.0 if i == j else _pearson(rho) for j, rho in enumerate(row)] for i, row in enumerate(matrix)]
        )
        factor = _cholesky(pearson, kept)
        for array in (matrix, pearson, factor):
            array.flags.writeable = False
        for name, value in (("names", kept), ("spearman", matrix), ("pearson", pearson), ("factor", factor)):
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, GaussianCopula)
            and self.names == other.names
            and np.array_equal(self.spearman, other.spearman)
        )

    def __hash__(self) -> int:
        return hash((self.names, self.spearman.tobytes()))

    def scores(self, independent: Mapping[str, Values]) -> dict[str, Values]:
        """Return correlated normal scores from independent ones of each name: each a sum in the order of the names."""
        found = {}
        for i, name in enumerate(self.names):
            total = self.factor[i, 0] * independent[self.names[0]]
            for j in range(1, i + 1):
                total = total + self.factor[i, j] * independent[self.names[j]]
            found[name] = total
        return found

    def sample(self, distributions: Mapping[str, Distribution], n: int, *, rng: Seed = None) -> dict[str, Values]:
        """Return `n` joint draws of the inputs.

        Parameters
        ----------
        distributions : mapping of str to Distribution
            The marginal of each name.
        n : int
            How many.
        rng : int, sequence of int, SeedSequence or None
            Seed.
        """
        missing = set(self.names) ^ set(distributions)
        if missing:
            raise ValueError(f"distributions: {sorted(missing)} are not in both the copula and the distributions")
        if n < 0:
            raise ValueError(f"n={n}: expected a count of draws")
        key = philox_key(seed_sequence(rng))
        independent = {}
        for name in self.names:
            words = _core.philox_words(key, _core.stream_hash("copula", name, ""), 0, (n + 1) // 2).reshape(-1, 2)
            pairs = (words[:, 0].astype(np.uint64) << np.uint64(20)) | (words[:, 1] >> np.uint32(12)).astype(np.uint64)
            independent[name] = _core.norm_ppf((pairs[:n].astype(np.float64) + 0.5) * 2.0**-52)
        return {name: at_score(distributions[name], z) for name, z in self.scores(independent).items()}


def at_score(distribution: Distribution, z: Values) -> Values:
    """Return the quantiles of a distribution at the probabilities of standard normal scores."""
    tail = np.clip(_core.norm_cdf(-np.abs(z)), 2.0**-1000, 0.5)
    below = distribution.tail_quantile(tail, upper=False)
    return np.where(z < 0.0, below, distribution.tail_quantile(tail, upper=True))


def _cholesky(matrix: NDArray[np.float64], names: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the lower triangular factor, in plain double arithmetic: the same on every machine."""
    n = len(names)
    rows = matrix.tolist()
    factor = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = rows[i][j]
            for k in range(j):
                rest -= factor[i][k] * factor[j][k]
            if i != j:
                factor[i][j] = rest / factor[j][j]
            elif rest > 1e-12:
                factor[i][i] = sqrt(rest)
            else:
                smallest = float(np.linalg.eigvalsh(matrix)[0])
                raise ValueError(
                    f"spearman: the matrix of {', '.join(names[: i + 1])} is not positive definite (least eigenvalue "
                    f"of its normal scores {smallest:.3g}); bring the correlations of {names[i]!r} nearer 0"
                )
    return np.array(factor)
