"""Sobol' points in up to 64 dimensions, plain or with Owen's scrambling; direction numbers of Joe and Kuo (2008)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import _core
from .distributions import Seed, seed_sequence

__all__ = ["MAX_DIMS", "directions", "scramble_seeds", "sobol_points"]

MAX_DIMS = 64
_BITS = 32


@cache
def directions() -> NDArray[np.uint32]:
    """Return the direction numbers, dimensions x 32, from the table's polynomials and first numbers."""
    text = (Path(__file__).parent / "data" / "sobol.json").read_text(encoding="utf-8")
    rows = []
    for dimension in json.loads(text)["dimensions"]:
        numbers, polynomial = list(dimension["initial"]), int(dimension["polynomial"])
        degree = len(numbers)
        while len(numbers) < _BITS:
            if degree == 0:
                numbers.append(1)
                continue
            # m_k = 2 a_1 m_(k-1) ^ 4 a_2 m_(k-2) ^ ... ^ 2^s m_(k-s) ^ m_(k-s)
            number = numbers[-degree]
            for j in range(1, degree + 1):
                if polynomial >> (degree - j) & 1:
                    number ^= numbers[-j] << j
            numbers.append(number)
        rows.append([number << (_BITS - 1 - k) for k, number in enumerate(numbers)])
    return np.array(rows, dtype=np.uint32)


def scramble_seeds(seed: np.random.SeedSequence, n_dims: int) -> NDArray[np.uint32]:
    """Return the seed of each dimension's scramble."""
    return np.array(seed.generate_state(n_dims, np.uint32), dtype=np.uint32)


def sobol_points(
    n_dims: int, n: int, *, first: int = 0, scramble: bool = True, rng: Seed = None
) -> NDArray[np.float64]:
    """Return Sobol' points, dimensions x points, in (0, 1).

    Parameters
    ----------
    n_dims : int
        1 to 64.
    n, first : int
        How many points, and the number of the first; whole powers of two are balanced.
    scramble : bool
        Permute the binary digits of each dimension at random (Owen 1995, by Burley's hash, 2020): every point is then
        uniform, and the spread of estimates between scrambles is their error.
    rng : int, sequence of int, SeedSequence or None
        Seed of the scramble.

    Examples
    --------
    >>> sobol_points(2, 4, scramble=False)
    array([[1.16415322e-10, 5.00000000e-01, 2.50000000e-01, 7.50000000e-01],
           [1.16415322e-10, 5.00000000e-01, 7.50000000e-01, 2.50000000e-01]])
    """
    if not 1 <= n_dims <= MAX_DIMS:
        raise ValueError(f"n_dims={n_dims}: Sobol' points have 1 to {MAX_DIMS} dimensions; use Philox beyond")
    if n < 0 or first < 0 or first + n > 1 << _BITS:
        raise ValueError(f"first={first}, n={n}: points are numbered from 0 to 2^32 - 1")
    seeds = scramble_seeds(seed_sequence(rng), n_dims if scramble else 0)
    words = _core.sobol_points(directions()[:n_dims], first, n, seeds)
    return (words.astype(np.float64) + 0.5) * 2.0**-_BITS
