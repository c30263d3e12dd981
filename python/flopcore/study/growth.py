"""How fast training compute grows: a line fitted under a stated definition of frontier, and extrapolated."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from math import sqrt

from flopcore.distributions import DIGITS, log10_exact
from flopcore.quantity import Number, parse_quantity

from .effective import Staleness, staleness
from .population import Model, Population

__all__ = ["FRONTIERS", "Crossing", "FrontierYear", "Growth", "GrowthResult", "fit_growth", "frontier_models"]

FRONTIERS = {
    "all": "every model with a figure",
    "record": "models larger than all before them",
    "top10": "models among the ten largest on their day",
    "organisation": "models larger than all before them of their developer",
    "over1e23": "models of 1e23 FLOP or more",
}
"""Definitions of frontier, by name."""

_DAYS_PER_YEAR = 365.25
_NORMAL_95 = 1.6448536269514722
_LEAST = 5
_FAR = dt.date(2100, 1, 1)


@dataclass(frozen=True, slots=True)
class FrontierYear:
    """FLOP of a model of the frontier in the middle of a year: the line, and a 90 % interval for a single model."""

    year: int
    p05: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """When the line passes a threshold, and when the ends of its 90 % band do; None beyond 2100."""

    threshold: int | float
    day: str | None
    earliest: str | None
    latest: str | None


@dataclass(frozen=True, slots=True)
class Growth:
    """A straight line of log10 FLOP in the date, by least squares.

    `per_year` is the factor of growth with its 90 % interval, `doubling_months` what that means, `sd` the spread of
    log10 FLOP around the line.
    """

    frontier: str
    definition: str
    n: int
    first: str
    last: str
    per_year: float
    per_year_p05: float
    per_year_p95: float
    doubling_months: float | None
    sd: float
    years: tuple[FrontierYear, ...]
    crossings: tuple[Crossing, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the fit as JSON types."""
        return {
            **asdict(self),
            "years": [asdict(year) for year in self.years],
            "crossings": [asdict(crossing) for crossing in self.crossings],
        }


@dataclass(frozen=True, slots=True)
class GrowthResult:
    """Fits under several definitions of frontier, and how fast a fixed line goes stale."""

    population: str
    digest: str
    since: dt.date
    fits: tuple[Growth, ...]
    skipped: tuple[str, ...]
    staleness: tuple[Staleness, ...]

    @property
    def reading(self) -> tuple[str, ...]:
        """Sentences computed from the result."""
        if not self.fits:
            return (f"No definition of frontier has {_LEAST} models since {self.since}.",)
        found = [f"{fit.frontier}: {fit.per_year:.2f} (n = {fit.n})" for fit in self.fits]
        low, high = min(fit.per_year for fit in self.fits), max(fit.per_year for fit in self.fits)
        return (
            f"Growth of training compute a year since {self.since}, by the definition of frontier: {', '.join(found)}.",
            f"The definition alone moves it between {low:.2f} and {high:.2f}.",
        )

    def to_dict(self) -> dict[str, object]:
        """Return the result in the schema ``flopcore.growth/1`` (data/schemas/growth.schema.json)."""
        return {
            "schema": "flopcore.growth/1",
            "study": "forecast",
            "population": self.population,
            "digest": self.digest,
            "since": self.since.isoformat(),
            "fits": [fit.to_dict() for fit in self.fits],
            "skipped": list(self.skipped),
            "staleness": [item.to_dict() for item in self.staleness],
            "reading": list(self.reading),
        }


def frontier_models(population: Population, frontier: str, since: dt.date) -> tuple[Model, ...]:
    """Return the models of a definition of frontier (`FRONTIERS`) that are out on `since` or later, in order of date.

    Models before that day set the bar that later ones must pass; of one day, each is held against the days before.
    """
    if frontier not in FRONTIERS:
        raise ValueError(f"frontier={frontier!r}: one of {', '.join(FRONTIERS)}")
    known = sorted((m for m in population if m.training_flop), key=lambda model: (model.date, model.key))
    chosen = []
    sizes: list[Number] = []  # of the models before the day, ascending
    best: dict[str, Number] = {}
    waiting: list[Model] = []
    for model in known:
        if waiting and waiting[0].date < model.date:
            for other in waiting:
                size = other.training_flop or 0
                insort(sizes, size)
                best[other.developer] = max(size, best.get(other.developer, 0))
            waiting = []
        if model.date >= since and _is_frontier(model, frontier, sizes, best):
            chosen.append(model)
        waiting.append(model)
    return tuple(chosen)


def _is_frontier(model: Model, frontier: str, sizes: Sequence[Number], best: Mapping[str, Number]) -> bool:
    flop = model.training_flop or 0
    if frontier == "all":
        return True
    if frontier == "over1e23":
        return flop >= 10**23
    if frontier == "organisation":
        return flop > best.get(model.developer, 0)
    return len(sizes) - bisect_left(sizes, flop) < (10 if frontier == "top10" else 1)


def fit_growth(
    population: Population | None = None,
    *,
    frontiers: Iterable[str] = tuple(FRONTIERS),
    since: dt.date = dt.date(2018, 1, 1),
    thresholds: Iterable[Number | str] = (10**26, 10**27, 10**28),
    ahead: int = 4,
) -> GrowthResult:
    """Return the growth of training compute under each definition of frontier, and where it leads.

    Parameters
    ----------
    population : Population, optional
        The bundled table when absent.
    frontiers : iterable of str
        Of `FRONTIERS`.
    since : date
        Models from that day on are fitted.
    thresholds : iterable of int, Fraction or str
        Lines whose crossing is asked for.
    ahead : int
        Years beyond the last model to extrapolate to.

    Raises
    ------
    ValueError
        An unknown definition, or a threshold that is no positive number.

    Notes
    -----
    y = a + b t by least squares; the 90 % band of the line is y +- 1.645 s sqrt(1 / n + (t - mean)^2 / S), that of a
    single model adds s^2. The errors of single figures are part of s. An extrapolation says what happens if nothing
    changes; it knows no budget, chip or law.
    """
    table = Population.bundled() if population is None else population
    lines = [parse_quantity(line, name="threshold") for line in thresholds]
    if any(line <= 0 for line in lines):
        raise ValueError("thresholds: every line is positive")
    fits, skipped = [], []
    for frontier in frontiers:
        models = frontier_models(table, frontier, since)
        if len({model.date for model in models}) < _LEAST:
            skipped.append(frontier)
        else:
            fits.append(_fit(frontier, models, lines, ahead))
    return GrowthResult(table.name, table.digest, since, tuple(fits), tuple(skipped), staleness())


def _fit(frontier: str, models: Sequence[Model], lines: Sequence[Number], ahead: int) -> Growth:
    n = len(models)
    times = [_year(model.date) for model in models]
    logs = [float(log10_exact(model.training_flop)) for model in models if model.training_flop is not None]
    t0, y0 = sum(times) / n, sum(logs) / n
    s = sum((t - t0) * (t - t0) for t in times)
    slope = sum((t - t0) * (y - y0) for t, y in zip(times, logs, strict=True)) / s
    rest = [y - y0 - slope * (t - t0) for t, y in zip(times, logs, strict=True)]
    sd = sqrt(sum(r * r for r in rest) / (n - 2))
    error = sd / sqrt(s)

    def at(t: float) -> float:
        return y0 + slope * (t - t0)

    def half(t: float, single: float) -> float:
        return _NORMAL_95 * sd * sqrt(single + 1 / n + (t - t0) * (t - t0) / s)

    def crossing(line: Number) -> Crossing:
        target = float(log10_exact(line))
        days = []
        for sign in (0.0, 1.0, -1.0):
            low, high = t0 - 100.0, _year(_FAR)
            for _ in range(60):  # the band widens more slowly than the line climbs, or it never crosses
                middle = (low + high) / 2
                low, high = (middle, high) if at(middle) + sign * half(middle, 0.0) < target else (low, middle)
            days.append(None if high >= _year(_FAR) - 0.01 else _day(high))
        return Crossing(line if isinstance(line, int) else float(line), days[0], days[1], days[2])

    last = models[-1].date.year
    return Growth(
        frontier=frontier,
        definition=FRONTIERS[frontier],
        n=n,
        first=models[0].date.isoformat(),
        last=models[-1].date.isoformat(),
        per_year=_power(slope),
        per_year_p05=_power(slope - _NORMAL_95 * error),
        per_year_p95=_power(slope + _NORMAL_95 * error),
        doubling_months=12 * _LOG10_2 / slope if slope > 0 else None,
        sd=sd,
        years=tuple(
            FrontierYear(
                year,
                _power(at(year + 0.5) - half(year + 0.5, 1.0)),
                _power(at(year + 0.5)),
                _power(at(year + 0.5) + half(year + 0.5, 1.0)),
            )
            for year in range(last, last + ahead + 1)
        ),
        crossings=tuple(crossing(line) for line in lines),
    )


def _year(day: dt.date) -> float:
    return 1970.0 + (day - dt.date(1970, 1, 1)).days / _DAYS_PER_YEAR


def _day(year: float) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(days=round((year - 1970.0) * _DAYS_PER_YEAR))).isoformat()


def _power(log10: float) -> float:
    return float(DIGITS.power(10, Decimal(log10)))


_LOG10_2 = float(DIGITS.log10(Decimal(2)))
