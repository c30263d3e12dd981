"""Signs and ways of staying under a line: bunching just below it, and data kept below the share a line asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np

from flopcore import _core
from flopcore.quantity import Number
from flopcore.thresholds import Threshold

__all__ = ["Bunching", "Dodge", "bunching", "dodge"]

_WINDOWS = (-4, -3, -2, -1, 1, 2, 3, 4)  # factors of two below and above a line; -1 is just below


@dataclass(frozen=True, slots=True)
class Bunching:
    """Models just below a line, (T / 2, T], against what the windows around lead one to expect.

    `expected` extends a straight line in log density through the seven other windows of a factor of two (three more
    below, four above); `p_value` is the Poisson probability of as many or more. A small one is a sign of models held
    back, or of figures rounded to the line, and not proof of either.
    """

    policy: str
    below: int
    above: int
    expected: float
    p_value: float

    def to_dict(self) -> dict[str, object]:
        """Return the count as JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Dodge:
    """Models of a modality that a lower line captures, by the share of that modality's data they would keep.

    The share falls by adding other data: a model of C FLOP then takes C / share. At a share above one half the lower
    line applies, at one half or less the general one.
    """

    share: float
    line: float
    captured: int
    keys: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the count as JSON types."""
        return {**asdict(self), "keys": list(self.keys)}


def bunching(figures: Sequence[Fraction], line: Threshold) -> Bunching:
    """Return how many figures lie just below a line, and how many were to be expected.

    Notes
    -----
    The density is fitted by least squares to log(count + 1/2) over the windows, which weighs small counts too much;
    it serves to find a jump, not to estimate a density.
    """
    counts = dict.fromkeys(_WINDOWS, 0)
    edges = {window: _edges(Fraction(line.value), window) for window in _WINDOWS}
    for figure in figures:
        for window, (low, high) in edges.items():
            counts[window] += low < figure <= high
    others = [window for window in _WINDOWS if window != -1]
    places = {window: window + 0.5 if window < 0 else window - 0.5 for window in _WINDOWS}
    logs = _core.log(np.array([counts[window] + 0.5 for window in others])).tolist()
    x0 = sum(places[window] for window in others) / len(others)
    y0 = sum(logs) / len(logs)
    slope = sum((places[w] - x0) * (y - y0) for w, y in zip(others, logs, strict=True)) / sum(
        (places[w] - x0) * (places[w] - x0) for w in others
    )
    expected = max(0.0, float(_core.exp(np.array(y0 + slope * (places[-1] - x0)))) - 0.5)
    return Bunching(line.name, counts[-1], counts[1], expected, _poisson_tail(counts[-1], expected))


def _edges(line: Fraction, window: int) -> tuple[Fraction, Fraction]:
    """Return the edges of a window: of (T / 2, T] for -1, of (T, 2 T] for 1."""
    low = window if window < 0 else window - 1
    return line * Fraction(2) ** low, line * Fraction(2) ** (low + 1)


def _poisson_tail(count: int, mean: float) -> float:
    """Return the probability of `count` or more."""
    term = float(_core.exp(np.array(-mean)))
    below = 0.0
    for k in range(count):
        below += term
        term *= mean / (k + 1)
    return max(0.0, 1.0 - below)


def dodge(
    models: Sequence[tuple[str, Number]],
    *,
    specific: Number = 10**23,
    general: Number = 10**26,
    shares: Sequence[Fraction] = (
        Fraction(1),
        Fraction(3, 4),
        Fraction(51, 100),
        Fraction(1, 2),
        Fraction(1, 4),
        Fraction(1, 10),
    ),
) -> tuple[Dodge, ...]:
    """Return which models (key, FLOP) of a modality are captured when only a share of their data is of it.

    The lines are those of the US order of October 2023 (biological sequence data: 10^23, otherwise 10^26), in the
    essay's section 3.1.5.
    """
    found = []
    for share in shares:
        line = specific if share > Fraction(1, 2) else general
        keys = tuple(key for key, flop in models if Fraction(flop) / share > line)
        found.append(Dodge(float(share), float(line), len(keys), keys))
    return tuple(found)
