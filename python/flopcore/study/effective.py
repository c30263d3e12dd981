"""What a fixed line in training FLOP misses: gains at inference time, and algorithms that need less for the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flopcore import _core
from flopcore.distributions import DIGITS, LogUniform, Seed, Uniform
from flopcore.thresholds import Threshold

__all__ = [
    "DOUBLINGS",
    "INFERENCE_GAIN",
    "Doubling",
    "Missed",
    "Staleness",
    "missed_by_progress",
    "missed_models",
    "staleness",
]

Values = NDArray[np.float64]

_DAYS_PER_MONTH = 365.25 / 12

INFERENCE_GAIN = LogUniform(5, 20)
"""Compute that would train a model as good as this one with tools, search and prompting at inference time, over its
own: five to twenty times (Davidson et al. 2023, arXiv:2312.07413, as the essay quotes it in section 3.1.1)."""


@dataclass(frozen=True, slots=True)
class Doubling:
    """Months in which the compute for a fixed loss halves: a median and a central interval, of probability `level`.

    Read as a lognormal of two halves around the median, each with the spread that its end of the interval asks for.
    """

    name: str
    median: float
    low: float
    high: float
    level: float
    source: str

    def ppf(self, q: ArrayLike) -> Values:
        """Return the quantile at each probability."""
        z = _core.norm_ppf(np.asarray(q, dtype=np.float64))
        edge = _core.norm_ppf(np.array((1.0 + self.level) / 2))
        below, above = _core.log(np.array([self.median / self.low, self.high / self.median])) / edge
        return self.median * _core.exp(np.where(z < 0.0, below, above) * z)


DOUBLINGS = (
    Doubling("8 months (95 %: 5 to 14)", 8, 5, 14, 0.95, "Ho et al., arXiv:2403.05812v1"),
    Doubling("8 months (90 %: 2 to 22)", 8, 2, 22, 0.90, "Ho et al., NeurIPS 2024"),
)
"""Both published intervals of algorithmic progress in language models."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Models under a line whose effective compute is over it.

    `missed` is their mean number, `p05` and `p95` its percentiles; `rate` is their share of all models whose effective
    compute is over the line (the false negative rate of the line, if effective compute is what matters), and `point`
    the number by the figures with the gain at its middle.
    """

    cause: str
    policy: str
    point: int
    missed: float
    p05: int
    p95: int
    effective: float
    rate: float | None

    def to_dict(self) -> dict[str, object]:
        """Return the count as JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Staleness:
    """By what factor a line is too high after so many months without an update: 2^(U / tau)."""

    doubling: str
    months: float
    p05: float
    p50: float
    p95: float

    def to_dict(self) -> dict[str, object]:
        """Return the factor as JSON types."""
        return asdict(self)


def missed_models(
    cause: str,
    values: Values,
    effective: Values,
    figures: Sequence[Fraction],
    gain: Sequence[Fraction],
    line: Threshold,
) -> Missed:
    """Return how many models a line misses.

    Parameters
    ----------
    values, effective : array of float64, models x draws
        FLOP, and effective FLOP.
    figures, gain : sequence of Fraction
        Published figures, and the gain at its middle for each.
    """
    cut = float(line.value)
    over, really = values > cut, effective > cut
    missed = np.sort((really & ~over).sum(axis=0)).tolist()
    n = len(missed)
    total, all_over = sum(missed), int(really.sum())
    return Missed(
        cause=cause,
        policy=line.name,
        point=sum(
            line.is_exceeded_by(figure * factor) and not line.is_exceeded_by(figure)
            for figure, factor in zip(figures, gain, strict=True)
        ),
        missed=total / n,
        p05=missed[max(1, ceil(n / 20)) - 1],
        p95=missed[max(1, ceil(19 * n / 20)) - 1],
        effective=all_over / n,
        rate=total / all_over if all_over else None,
    )


def missed_by_progress(
    values: Values,
    figures: Sequence[Fraction],
    dates: Sequence[dt.date],
    lines: Sequence[Threshold],
    *,
    reference: dt.date,
    rng: Seed = None,
) -> tuple[Missed, ...]:
    """Return what each line, set at `reference`, misses later: effective FLOP is C 2^(months since / tau).

    tau is one draw for all models, from each of `DOUBLINGS`; models before the reference date gain nothing.
    """
    months = [max(0.0, (day - reference).days / _DAYS_PER_MONTH) for day in dates]
    found = []
    for doubling in DOUBLINGS:
        tau = doubling.ppf(Uniform(0, 1).sample(values.shape[1], rng=rng))
        exponent = np.array(months)[:, None] / tau[None, :]
        effective = values * _core.exp(exponent * _LN2)
        gain = [_power_of_two(m / doubling.median) for m in months]
        found += [
            missed_models(f"algorithmic progress, {doubling.name}", values, effective, figures, gain, line)
            for line in lines
        ]
    return tuple(found)


def staleness(months: Sequence[float] = (6, 12, 24, 36)) -> tuple[Staleness, ...]:
    """Return 2^(U / tau) for uncertain tau after each number of months, for both published intervals.

    The factor falls in tau, so its quantile at q is that at the quantile 1 - q of tau: no sampling.

    Examples
    --------
    >>> [round(found.p50, 2) for found in staleness([12])]
    [2.83, 2.83]
    """
    return tuple(
        Staleness(
            doubling.name,
            float(u),
            *(float(_power_of_two(u / float(doubling.ppf(q)))) for q in (0.95, 0.5, 0.05)),
        )
        for doubling in DOUBLINGS
        for u in months
    )


def _power_of_two(exponent: float) -> Fraction:
    return Fraction(DIGITS.power(2, Decimal(exponent)))


_LN2 = float(DIGITS.ln(Decimal(2)))
