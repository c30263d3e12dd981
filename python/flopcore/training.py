"""Training compute from a few numbers, exact: parameters and tokens (6ND), or chips, hours and utilisation (NLHU)."""

from __future__ import annotations

from fractions import Fraction

from .accelerators import Accelerator, accelerator
from .quantity import Number, exact

__all__ = ["PETAFLOP_DAY", "SECONDS_PER_HOUR", "flop_from_hardware", "flop_from_parameters"]

PETAFLOP_DAY = 10**15 * 86_400
"""FLOP in one petaflop/s-day."""

SECONDS_PER_HOUR = 3600


def flop_from_parameters(params: Number, tokens: Number, *, epochs: Number = 1, factor: Number = 6) -> Number:
    """Return ``factor * params * tokens * epochs``, exact.

    Notes
    -----
    Six FLOP per parameter and token: two for the forward pass (one multiply-accumulate), four for the backward pass
    (Kaplan et al. 2020, arXiv:2001.08361, section 2.1). `params` are those active on a token. Attention scores,
    recomputation and embeddings are left out.

    Examples
    --------
    >>> flop_from_parameters(405 * 10**9, 15_600_000_000_000)
    37908000000000000000000000
    """
    return exact(Fraction(factor) * params * tokens * epochs)


def flop_from_hardware(
    chip: Accelerator | str, hours: Number, utilisation: Number, *, count: Number = 1, dtype: str | None = None
) -> Number:
    """Return ``count * hours * 3600 * peak rate * utilisation``, exact.

    `hours` are chip-hours in total; give `count` only when `hours` are those of one chip.

    Notes
    -----
    The hardware method N * L * H * U of the EU guidelines (annex A.2) and of Epoch AI: number of chips, length of
    the run, peak rate, utilisation.

    Examples
    --------
    >>> from fractions import Fraction
    >>> flop_from_hardware("a100", 200_000, Fraction(1, 2))
    112320000000000000000000
    """
    unit = chip if isinstance(chip, Accelerator) else accelerator(chip)
    return exact(Fraction(count) * hours * SECONDS_PER_HOUR * unit.rate(dtype) * utilisation)
