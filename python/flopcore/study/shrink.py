"""Empirical Bayes for uncertain figures: what a population tells about the error of each of its members."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import sqrt

__all__ = ["Figure", "Prior", "fit_prior"]

_LEAST = 10
_DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class Figure:
    """A published figure: its date, its log10, and the standard deviation of its error in log10."""

    date: dt.date
    log10: float
    sd: float


@dataclass(frozen=True, slots=True)
class Prior:
    """Where the true log10 FLOP of a model of some date lies before its own figure is seen: normal around a line.

    Parameters
    ----------
    origin : date
        Mean date of the figures the line was fitted to.
    log10_at_origin, log10_per_year : float
        The line.
    sd : float
        Standard deviation of the truth around it.
    """

    origin: dt.date
    log10_at_origin: float
    log10_per_year: float
    sd: float

    def mean(self, day: dt.date) -> float:
        """Return the line's value on a day."""
        return self.log10_at_origin + self.log10_per_year * ((day - self.origin).days / _DAYS_PER_YEAR)

    def posterior(self, figure: Figure) -> tuple[float, float]:
        """Return mean and standard deviation of the true log10, given the figure and the prior.

        Notes
        -----
        With w = sd^2 / (sd^2 + figure.sd^2): mean w y + (1 - w) m, standard deviation sqrt(w) figure.sd.
        """
        if figure.sd == 0.0:
            return figure.log10, 0.0
        weight = self.sd * self.sd / (self.sd * self.sd + figure.sd * figure.sd)
        return weight * figure.log10 + (1.0 - weight) * self.mean(figure.date), sqrt(weight) * figure.sd

    def factor(self, figure: Figure) -> tuple[float, float]:
        """Return the median of truth / figure, and the standard deviation of its log10."""
        mean, sd = self.posterior(figure)
        return float(Decimal(10) ** (Decimal(mean) - Decimal(figure.log10))), sd

    def to_dict(self) -> dict[str, object]:
        """Return the prior as JSON types."""
        return {
            "origin": self.origin.isoformat(),
            "log10_at_origin": self.log10_at_origin,
            "log10_per_year": self.log10_per_year,
            "sd": self.sd,
        }


def fit_prior(figures: Sequence[Figure]) -> Prior:
    """Return the prior that figures of known error suggest: least squares on the date, variance by moments.

    Parameters
    ----------
    figures : sequence of Figure
        At least ten.

    Raises
    ------
    ValueError
        Too few figures, or all of one date.

    Notes
    -----
    The residual variance (n - 2 degrees of freedom) is that of the truth plus the mean variance of the errors; the
    prior's is what remains after taking off the latter, and at least a hundredth of the whole. Only + - * / and
    square roots of doubles are used, so the fit has the same bits on every machine.
    """
    n = len(figures)
    if n < _LEAST:
        raise ValueError(f"shrinking needs at least {_LEAST} models with a figure, this population has {n}")
    origin = dt.date.fromordinal(round(sum(figure.date.toordinal() for figure in figures) / n))
    years = [(figure.date - origin).days / _DAYS_PER_YEAR for figure in figures]
    year = sum(years) / n
    mean = sum(figure.log10 for figure in figures) / n
    spread = sum((t - year) * (t - year) for t in years)
    if spread == 0.0:
        raise ValueError("shrinking needs models of more than one date")
    slope = sum((t - year) * figure.log10 for t, figure in zip(years, figures, strict=True)) / spread
    residuals = [figure.log10 - mean - slope * (t - year) for t, figure in zip(years, figures, strict=True)]
    variance = sum(r * r for r in residuals) / (n - 2)
    error = sum(figure.sd * figure.sd for figure in figures) / n
    return Prior(origin, mean - slope * year, slope, sqrt(max(variance - error, variance / 100)))
