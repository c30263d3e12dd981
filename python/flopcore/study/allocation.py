"""A forecast of model counts from yearly compute budgets: its parameters, and the plan they make for the core.

The recipe is Kumar and Manning's (arXiv:2504.16138): training compute grows from year to year, the largest model takes
a random share of it, and the rest is spent on smaller models until nothing is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Literal, get_args

import numpy as np

from flopcore import _core
from flopcore.datafile import Row, read_bundled
from flopcore.distributions import DIGITS
from flopcore.quantity import Number, exact, parse_quantity

from .population import Population

__all__ = ["Allocation", "AllocationSpec", "Published", "Shape", "allocation_spec", "yearly_budgets"]

Shape = Literal["lognormal", "uniform"]
Range = tuple[Number, Number]

_KINDS = {"fixed": 0, "uniform": 1, "lognormal": 2}
_QUARTERS = (89, 180, 272, 364)  # last days of the quarters of a year of 365 days, counted from 0
_MAX_COUNT = 4095
GROUPS = 100
"""Equal intervals of probability of each input, for its share of the variance."""


@dataclass(frozen=True, slots=True)
class Published:
    """Percentiles that a forecast's authors printed, each the sum of yearly percentiles."""

    threshold: Number
    year: int
    p05: int
    p50: int
    p95: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """The parameters of a forecast from yearly budgets; change them with `dataclasses.replace` or `with_knobs`.

    Parameters
    ----------
    name, source : str
        Which forecast this is.
    history : tuple of (year, FLOP)
        Training FLOP spent per year, in order of time; the last year is the base of the growth.
    first_year : int
        First year of the forecast.
    total_over_training : int or Fraction
        All compute over training compute in the base year.
    growth_weight, growth_history, growth_total, growth_share : int or Fraction
        Growth per year is ``weight * history + (1 - weight) * total * share``.
    growth_sd : int or Fraction
        Standard deviation of the one normal draw that a simulation adds to the growth.
    growth_floor : int, Fraction or None
        Growth below it is not drawn (the normal is cut); None is no floor, as published.
    training_share : tuple of int or Fraction
        Share of all compute that goes to training, per forecast year: as many as there are years.
    largest_share : (low, high)
        Bounds of the largest model's share of a year's training compute, independent from year to year.
    largest_share_shape : {"lognormal", "uniform"}
        Between the bounds, in the forecast years; the years of the history are uniform.
    largest_share_sds : int or Fraction
        The width of the bounds in standard deviations of the lognormal.
    first_year_largest : int, Fraction or None
        FLOP of the largest model of the first year, where it is known.
    gradient : (low, high)
        Uniform per year: models up to a share m of the largest get the share m^k of the budget.
    log10_size_ratio : (low, high)
        Uniform per year: log10 of the smallest over the largest model.
    size_edges : int
        Edges of the size bins, equal in logarithm.
    observed : tuple of (threshold, count)
        Models over a threshold up to the end of the first year, in place of the simulated ones of that year.
    left_out : tuple of str
        Names of models that `yearly_budgets` leaves out of a population.
    published : tuple of Published
        What the authors printed.

    Examples
    --------
    >>> model = Allocation.bundled()
    >>> float(model.growth)
    3.9375
    >>> float(model.with_knobs({"growth_sd": "0.25", "gradient": "1..1.1"}).growth_sd)
    0.25
    """

    name: str
    source: str
    history: tuple[tuple[int, Number], ...]
    first_year: int
    total_over_training: Number
    growth_weight: Number
    growth_history: Number
    growth_total: Number
    growth_share: Number
    growth_sd: Number
    training_share: tuple[Number, ...]
    largest_share: Range
    largest_share_shape: Shape
    largest_share_sds: Number
    gradient: Range
    log10_size_ratio: Range
    size_edges: int
    first_year_largest: Number | None = None
    growth_floor: Number | None = None
    observed: tuple[tuple[Number, int], ...] = ()
    left_out: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        """Refuse parameters that no simulation can use."""
        if not self.history or list(self.history) != sorted(self.history) or self.history[-1][0] >= self.first_year:
            raise ValueError(f"history={self.history}: years in order of time, all before first_year={self.first_year}")
        if any(flop <= 0 for _, flop in self.history):
            raise ValueError("history: every year's FLOP is positive; leave out a year without models")
        if not self.training_share or not all(0 < share <= 1 for share in self.training_share):
            raise ValueError(f"training_share={self.training_share}: one share in (0, 1] per forecast year")
        if not 0 < self.largest_share[0] <= self.largest_share[1] < 1:
            raise ValueError(f"largest_share={self.largest_share}: expected 0 < low <= high < 1")
        if self.largest_share_shape not in get_args(Shape):
            raise ValueError(f"largest_share_shape={self.largest_share_shape!r}: one of {', '.join(get_args(Shape))}")
        if self.largest_share_sds <= 0 or self.growth_sd < 0 or self.total_over_training <= 0:
            raise ValueError("largest_share_sds and total_over_training are positive, growth_sd is not negative")
        if not 0 < self.gradient[0] <= self.gradient[1]:
            raise ValueError(f"gradient={self.gradient}: expected 0 < low <= high")
        if not self.log10_size_ratio[0] <= self.log10_size_ratio[1] < 0:
            raise ValueError(f"log10_size_ratio={self.log10_size_ratio}: expected low <= high < 0")
        if self.size_edges < 2:
            raise ValueError(f"size_edges={self.size_edges}: at least 2")
        if self.growth_floor is not None and self.growth_floor > self.growth:
            raise ValueError(f"growth_floor={self.growth_floor} is above the mean growth {float(self.growth):g}")

    @classmethod
    def bundled(cls) -> Allocation:
        """Return Kumar and Manning's parameters (data/forecasts.toml)."""
        return _bundled()

    @property
    def growth(self) -> Number:
        """Mean factor per year."""
        weight = Fraction(self.growth_weight)
        return weight * self.growth_history + (1 - weight) * self.growth_total * self.growth_share

    @property
    def years(self) -> tuple[int, ...]:
        """The forecast years."""
        return tuple(range(self.first_year, self.first_year + len(self.training_share)))

    def budget(self, year: int) -> tuple[Number, int]:
        """Return a year's training FLOP before growth, and the power of the growth that multiplies it."""
        past = dict(self.history)
        if year in past:
            return past[year], 0
        last, flop = self.history[-1]
        return flop * self.total_over_training * self.training_share[year - self.first_year], year - last

    def offset(self, threshold: Number) -> int | None:
        """Return the observed number of models over a threshold up to the end of the first year, if it is known."""
        return dict(self.observed).get(threshold)

    def with_knobs(self, knobs: Mapping[str, str]) -> Allocation:
        """Return the parameters with some replaced, given as text: ``0.5``, ranges ``0.05..0.5``, lists ``0.4,0.3``.

        Raises
        ------
        ValueError
            An unknown parameter, or a text that is not of its kind.
        """
        return replace(self, **{name: _read_knob(name, text) for name, text in knobs.items()})  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, object]:
        """Return the parameters as JSON types."""
        made: dict[str, object] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in ("history", "observed"):
                made[item.name] = [[_json(key), _json(number)] for key, number in value]
            elif item.name == "published":
                made[item.name] = [
                    {"threshold": _json(p.threshold), "year": p.year, "p05": p.p05, "p50": p.p50, "p95": p.p95}
                    for p in value
                ]
            elif isinstance(value, tuple):
                made[item.name] = [_json(part) for part in value]
            else:
                made[item.name] = _json(value)
        return made


def yearly_budgets(
    population: Population, *, first: int, last: int, left_out: Sequence[str] = ()
) -> tuple[tuple[int, Number], ...]:
    """Return the training FLOP of a population per year: the sum of its notable models' figures.

    Parameters
    ----------
    population : Population
        Models that the table says are not notable do not count; where it says nothing, all do.
    first, last : int
        Years, both included; one without a figure is left out.
    left_out : sequence of str
        Names of models that do not count.
    """
    totals: dict[int, Fraction] = {}
    for model in population:
        if model.training_flop is None or model.notable is False or model.name in left_out:
            continue
        if first <= model.date.year <= last:
            totals[model.date.year] = totals.get(model.date.year, Fraction(0)) + model.training_flop
    return tuple((year, exact(totals[year])) for year in sorted(totals))


@dataclass(frozen=True, slots=True)
class AllocationSpec:
    """A plan of the block sampler `budget_allocation` as data; the fields are those of AllocationInputs in the core."""

    key: tuple[int, int]
    growth: tuple[float, float, float]
    gradient: tuple[float, float]
    log10_ratio: tuple[float, float]
    n_bins: int
    thresholds: tuple[float, ...]
    width_factors: tuple[float, ...]
    cumulate_from: tuple[int, ...]
    years: tuple[tuple[str, float, int, int, float, float, float, float, list[int], bool], ...]

    def build(self, redrawn: Sequence[str] = (), other_key: tuple[int, int] = (0, 0)) -> _core.BudgetAllocation:
        """Return the core's plan; the random numbers of the inputs `redrawn` are those of the other key."""
        return _core.BudgetAllocation(
            key=self.key,
            growth=self.growth,
            gradient=self.gradient,
            log10_ratio=self.log10_ratio,
            n_bins=self.n_bins,
            thresholds=self.thresholds,
            width_factors=self.width_factors,
            cumulate_from=self.cumulate_from,
            max_count=_MAX_COUNT,
            n_groups=GROUPS,
            years=self.years,
            other_key=other_key,
            redrawn=redrawn,
        )

    def digest(self) -> str:
        """Return SHA-256 over everything that the counts of a range of draws depend on."""
        text = f"flopcore budget_allocation, stream {_core.stream_version}, {_MAX_COUNT}, {GROUPS}, {self!r}"
        return hashlib.sha256(text.encode()).hexdigest()


def allocation_spec(
    model: Allocation,
    *,
    thresholds: Sequence[Number],
    widths: Sequence[Number],
    key: list[int],
    retrodict: bool = False,
) -> AllocationSpec:
    """Return the plan of a forecast as data, or that of its retrodiction of the years of its history.

    Parameters
    ----------
    thresholds, widths : sequence of int or Fraction
        Lines in FLOP, and widths in orders of magnitude below the largest model so far; both ascend.
    key : list of two ints
        Of the random numbers.
    retrodict : bool
        Count the years of the history, whose largest shares are uniform, in place of the forecast years.
    """
    history = tuple(year for year, _ in model.history)
    years = history if retrodict else (*history, *model.years)
    first = 0 if retrodict else years.index(model.first_year)
    floor = model.growth_floor
    cut = 0.0
    if floor is not None and model.growth_sd:
        cut = float(_core.norm_cdf(np.array(float((floor - model.growth) / model.growth_sd))))
    return AllocationSpec(
        key=(key[0], key[1]),
        growth=(float(model.growth), float(model.growth_sd), cut),
        gradient=(float(model.gradient[0]), float(model.gradient[1])),
        log10_ratio=(float(model.log10_size_ratio[0]), float(model.log10_size_ratio[1])),
        n_bins=model.size_edges - 1,
        thresholds=tuple(float(line) for line in thresholds),
        width_factors=tuple(
            float(DIGITS.power(10, DIGITS.divide(width.numerator, width.denominator))) for width in widths
        ),
        cumulate_from=tuple(first + (not retrodict and model.offset(line) is not None) for line in thresholds),
        years=tuple(
            (
                str(year),
                *_budget(model, year),
                *_largest(model, year),
                _quarters(year),
                retrodict or year not in history,
            )
            for year in years
        ),
    )


def _budget(model: Allocation, year: int) -> tuple[float, int]:
    flop, power = model.budget(year)
    return float(flop), power


def _largest(model: Allocation, year: int) -> tuple[int, float, float, float, float]:
    """Return kind, two parameters and two probabilities; see BudgetYear in budget_allocation.hpp."""
    low, high = model.largest_share
    if year == model.first_year and model.first_year_largest is not None:
        return _KINDS["fixed"], float(model.first_year_largest), 0.0, 0.0, 1.0
    if year < model.first_year or model.largest_share_shape == "uniform" or low == high:
        return _KINDS["uniform"], float(low), float(high), 0.0, 1.0
    bottom, top = (DIGITS.ln(DIGITS.divide(end.numerator, end.denominator)) for end in (low, high))
    sds = float(model.largest_share_sds)
    p_low, p_high = _core.norm_cdf(np.array([-sds / 2, sds / 2]))
    return _KINDS["lognormal"], float((bottom + top) / 2), float((top - bottom) / Decimal(sds)), p_low, p_high


def _quarters(year: int) -> list[int]:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return [day + leap for day in _QUARTERS]


@cache
def _bundled() -> Allocation:
    file = read_bundled("forecasts.toml")
    found = [_read(row) for row in file.rows("forecast")]
    file.check()
    return Allocation(**found[0])  # type: ignore[arg-type]


def _read(row: Row) -> dict[str, object]:
    values: dict[str, object] = {}
    for name in _READERS:
        row.seen.add(name)
        if name in row.entry:
            try:
                values[name] = _read_knob(name, row.entry[name])
            except (TypeError, ValueError) as error:
                row.fail(name, str(error), "see docs/DATA.md")
        elif name not in _OPTIONAL:
            row.fail(name, "is missing", f"add {name} = ...")
    row.done()
    return values


def _read_knob(name: str, raw: object) -> object:
    """Return a parameter from text or from a TOML value."""
    if name not in _READERS:
        raise ValueError(f"no parameter {name!r}; there are {', '.join(_READERS)}")
    try:
        return _READERS[name](raw)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={raw!r}: {error}") from None


def _number(raw: object) -> Number:
    if not isinstance(raw, int | float | str | Fraction):
        raise ValueError("expected a number")
    return parse_quantity(raw)


def _optional(raw: object) -> Number | None:
    return None if raw in ("", "none") else _number(raw)


def _whole(raw: object) -> int:
    value = _number(raw)
    if not isinstance(value, int):
        raise ValueError("expected a whole number")
    return value


def _numbers(raw: object) -> tuple[Number, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError("expected numbers such as 0.4,0.3")
    return tuple(_number(part) for part in parts)


def _range(raw: object) -> Range:
    parts = raw.split("..") if isinstance(raw, str) else raw
    if isinstance(parts, list | tuple) and len(parts) == 2:
        return _number(parts[0]), _number(parts[1])
    raise ValueError("expected a range such as 0.05..0.5")


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw:
        raise ValueError("expected a text")
    return raw


def _names(raw: object) -> tuple[str, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError("expected names")
    return tuple(_text(part) for part in parts)


def _pairs(raw: object) -> tuple[tuple[Number, Number], ...]:
    """Read a table {key = number}, or text key:number,key:number."""
    if isinstance(raw, str):
        raw = dict(part.split(":") for part in raw.split(","))
    if not isinstance(raw, Mapping):
        raise ValueError("expected pairs such as 1e25:24,1e26:0")
    return tuple((_number(key), _number(value)) for key, value in raw.items())


def _published(raw: object) -> tuple[Published, ...]:
    if not isinstance(raw, list) or not all(isinstance(item, Mapping) for item in raw):
        raise ValueError("expected rows of threshold, year, p05, p50, p95")
    return tuple(
        Published(_number(item["threshold"]), *(_whole(item[name]) for name in ("year", "p05", "p50", "p95")))
        for item in raw
    )


def _json(value: object) -> object:
    return float(value) if isinstance(value, Fraction) else value


_READERS: dict[str, Callable[[object], object]] = {
    "name": _text,
    "source": _text,
    "first_year": _whole,
    "history": _pairs,
    "total_over_training": _number,
    "growth_weight": _number,
    "growth_history": _number,
    "growth_total": _number,
    "growth_share": _number,
    "growth_sd": _number,
    "growth_floor": _optional,
    "training_share": _numbers,
    "largest_share": _range,
    "largest_share_shape": _text,
    "largest_share_sds": _number,
    "first_year_largest": _optional,
    "gradient": _range,
    "log10_size_ratio": _range,
    "size_edges": _whole,
    "observed": _pairs,
    "left_out": _names,
    "published": _published,
}
_OPTIONAL = ("growth_floor", "first_year_largest", "observed", "left_out", "published")
