"""What the variance of a forecast's total is made of: each input alone, and with all its interactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from flopcore.distributions import philox_key
from flopcore.quantity import Number

from .allocation import GROUPS, AllocationSpec

__all__ = ["MOST_SHARED_DRAWS", "SIZES", "Share", "allocation_shares"]

Counts = NDArray[np.int64]

SIZES = "sizes"
"""The input that stands for the sizes of all models of all years and bins."""

MOST_SHARED_DRAWS = 20_000
"""Draws that are run again for each input; fewer where a tenth of the forecast's is fewer."""

_BATCHES = 16


@dataclass(frozen=True, slots=True)
class Share:
    """Share of the variance of a running total that one input explains.

    Parameters
    ----------
    threshold : int or Fraction
        The total is that of the models over this line, in FLOP.
    input : str
        As the core names it, or `SIZES`.
    share : float
        First order: what the input explains alone.
    total : float
        Total order: what the input explains alone and in all interactions, so what is left when all others are known.
    total_error : float or None
        Standard error of `total`, from 16 batches; None of fewer draws.
    """

    threshold: Number
    input: str
    share: float
    total: float
    total_error: float | None

    def to_dict(self) -> dict[str, object]:
        """Return the share as JSON types."""
        line = self.threshold
        return {**asdict(self), "threshold": line if isinstance(line, int) else float(line)}


def allocation_shares(
    spec: AllocationSpec,
    lines: Sequence[Number],
    groups: Counts,
    variances: Sequence[float],
    seed: np.random.SeedSequence,
    draws: int,
    threads: int,
) -> tuple[Share, ...]:
    """Return the shares of each line's last running total.

    Parameters
    ----------
    spec : AllocationSpec
        The plan that was run.
    lines : sequence of int or Fraction
        Its thresholds in FLOP.
    groups : array of int64, shape (inputs, groups, 1 + lines)
        Draws and sums of the totals by group of each input, as the core gives them.
    variances : sequence of float
        Of the totals.
    seed : SeedSequence
        Of the run; the numbers that are drawn again come from a child of it.
    draws, threads : int
        Simulations of the run, and threads (0: all).

    Notes
    -----
    First order: the variance between the means of 100 intervals of equal probability, less its bias 99 / draws (of
    `SIZES`: the covariance of two runs that share the sizes alone). Total order: with N and N' the totals of two runs
    that share all inputs but one, E[(N - N')^2] / (2 Var N) (Jansen 1999), over at most `MOST_SHARED_DRAWS` draws.

    The largest share, the size ratio and the gradient of a year are drawn until every size bin can hold a model of its
    own, so they depend on each other. The total order of one of them is then what is left when all other inputs are
    known, these two among them (drawn given them, `SIZES` too); its first order is that of the accepted value alone.
    """
    names = spec.build().input_names
    n = min(max(1, draws // 10), MOST_SHARED_DRAWS)
    child = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 0))
    key = philox_key(child)
    narrow = replace(spec, width_factors=(1.0,))  # the frontier is not needed

    def totals(*redrawn: str) -> Counts:
        return narrow.build(redrawn, (key[0], key[1])).totals(0, n, threads)

    base, others = totals(), totals(*names)
    again = [totals(name) for name in names]
    sizes = totals(SIZES)
    found = []
    for t, (line, variance) in enumerate(zip(lines, variances, strict=True)):
        if variance == 0.0:
            found += [Share(line, name, 0.0, 0.0, 0.0) for name in (*names, SIZES)]
            continue
        for i, name in enumerate(names):
            first = _between(groups[i][:, [0, 1 + t]], draws) / variance - (GROUPS - 1) / draws
            found.append(Share(line, name, first, *_jansen(base[:, t], again[i][:, t], variance)))
        alone = _covariance(base[:, t], others[:, t]) / variance
        found.append(Share(line, SIZES, alone, *_jansen(base[:, t], sizes[:, t], variance)))
    return tuple(found)


def _between(cells: Counts, draws: int) -> float:
    """Return sum_g n_g (mean_g - mean)^2 / n, exactly until the last division; cells are (draws, sum)."""
    held = [(int(n), int(s)) for n, s in cells if n]
    everything = sum(s for _, s in held)
    return float((sum(Fraction(s * s, n) for n, s in held) - Fraction(everything * everything, draws)) / draws)


def _covariance(one: Counts, other: Counts) -> float:
    n = len(one)
    return float(Fraction(n * int((one * other).sum()) - int(one.sum()) * int(other.sum()), n * n))


def _jansen(one: Counts, other: Counts, variance: float) -> tuple[float, float | None]:
    """Return half the mean squared difference over the variance, and its standard error over batches."""
    squares = (one - other) ** 2
    n = len(squares)
    whole = int(squares.sum()) / (2 * n * variance)
    if n < _BATCHES:
        return whole, None
    ends = [n * b // _BATCHES for b in range(_BATCHES + 1)]
    parts = [int(squares[low:high].sum()) / (2 * (high - low) * variance) for low, high in pairwise(ends)]
    mean = fsum(parts) / _BATCHES
    return whole, sqrt(fsum((part - mean) ** 2 for part in parts) / (_BATCHES * (_BATCHES - 1)))
