"""Rules that say which models to look at: static and moving lines, top shares, nearness, an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import inf
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flopcore.quantity import Number
from flopcore.thresholds import Threshold

from .dynamic import TopShare, WithinOrders

__all__ = ["FLOOR", "Cohorts", "MovingFloor", "OfIndex", "OfYear", "Rule", "Static", "default_rules"]

Values = NDArray[np.float64]
Members = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cohorts:
    """Year and reference class of each model, in the order of the population."""

    years: tuple[int, ...]
    classes: tuple[str, ...]

    def groups(self, *, by_class: bool) -> dict[tuple[int, str], list[int]]:
        """Return the positions of the models of each year, or of each year and class."""
        return _groups(self, by_class)


@lru_cache(maxsize=8)
def _groups(cohorts: Cohorts, by_class: bool) -> dict[tuple[int, str], list[int]]:
    found: dict[tuple[int, str], list[int]] = {}
    for position, (year, name) in enumerate(zip(cohorts.years, cohorts.classes, strict=True)):
        found.setdefault((year, name if by_class else ""), []).append(position)
    return found


class Rule(Protocol):
    """A rule; `members` compares figures exactly, `captured` the draws of a sweep (models x draws)."""

    @property
    def name(self) -> str:
        """Label of the rule in results."""

    def members(self, figures: Sequence[Fraction], cohorts: Cohorts) -> Members:
        """Return which models the rule captures by their figures."""

    def captured(self, values: Values, cohorts: Cohorts) -> Members:
        """Return which models the rule captures in each draw, models x draws."""

    def cut(self, figures: Sequence[Fraction], cohorts: Cohorts, year: int, name: str) -> float | None:
        """Return the line of a year and class in FLOP, None where the year has none."""


@dataclass(frozen=True, slots=True)
class Static:
    """One line for all years."""

    threshold: Threshold

    @property
    def name(self) -> str:
        """Label of the rule in results."""
        return self.threshold.name

    def members(self, figures: Sequence[Fraction], cohorts: Cohorts) -> Members:
        """Return which figures are over the line, compared exactly."""
        return np.array([self.threshold.is_exceeded_by(figure) for figure in figures])

    def captured(self, values: Values, cohorts: Cohorts) -> Members:
        """Return which draws are over the line."""
        line = float(self.threshold.value)
        over: Members = values >= line if self.threshold.comparator == ">=" else values > line
        return over

    def cut(self, figures: Sequence[Fraction], cohorts: Cohorts, year: int, name: str) -> float | None:
        """Return the line."""
        return float(self.threshold.value)


@dataclass(frozen=True, slots=True)
class MovingFloor:
    """A line that rises by a fixed factor at each turn of the year."""

    value: Number
    year: int
    per_year: Number

    @property
    def name(self) -> str:
        """Label of the rule in results."""
        return f"{float(self.value):g} in {self.year}, x {float(self.per_year):g} a year"

    def of(self, year: int) -> Fraction:
        """Return the line of a year, exact."""
        return Fraction(self.value) * Fraction(self.per_year) ** (year - self.year)

    def members(self, figures: Sequence[Fraction], cohorts: Cohorts) -> Members:
        """Return which figures are at or above the line of their year, compared exactly."""
        return np.array([figure >= self.of(year) for figure, year in zip(figures, cohorts.years, strict=True)])

    def captured(self, values: Values, cohorts: Cohorts) -> Members:
        """Return which draws are at or above the line of their year."""
        lines = np.array([float(self.of(year)) for year in cohorts.years])
        over: Members = values >= lines[:, None]
        return over

    def cut(self, figures: Sequence[Fraction], cohorts: Cohorts, year: int, name: str) -> float | None:
        """Return the line of the year."""
        return float(self.of(year))


FLOOR = MovingFloor(10**25, 2024, 4)
"""10^25 in 2024, the year in which that line was adopted in the EU; by 4 a year, the growth of the frontier since 2018
(Epoch AI, May 2024)."""


@dataclass(frozen=True, slots=True)
class OfYear:
    """A top share or nearness to the largest, in the models of a year, or of a year and reference class."""

    rule: TopShare | WithinOrders
    by_class: bool = False

    @property
    def name(self) -> str:
        """Label of the rule in results."""
        return f"{self.rule.name} of the year{' and class' if self.by_class else ''}"

    def members(self, figures: Sequence[Fraction], cohorts: Cohorts) -> Members:
        """Return which figures the rule captures in their group, compared exactly."""
        found = np.zeros(len(figures), dtype=np.bool_)
        for positions in cohorts.groups(by_class=self.by_class).values():
            ascending = sorted(figures[p] for p in positions)
            least = ascending[-self.rule.captured(ascending)[1]]
            found[positions] = [figures[p] >= least for p in positions]
        return found

    def captured(self, values: Values, cohorts: Cohorts) -> Members:
        """Return which draws the rule captures in their group."""
        found = np.zeros(values.shape, dtype=np.bool_)
        for positions in cohorts.groups(by_class=self.by_class).values():
            some = values[positions]
            ascending = np.sort(np.ascontiguousarray(some.T), axis=1)
            found[positions] = some >= self.rule.cutoffs(ascending)[None, :]
        return found

    def cut(self, figures: Sequence[Fraction], cohorts: Cohorts, year: int, name: str) -> float | None:
        """Return the cut-off of the group by its figures."""
        positions = cohorts.groups(by_class=self.by_class).get((year, name if self.by_class else ""))
        return None if positions is None else self.rule.captured(sorted(figures[p] for p in positions))[0]


@dataclass(frozen=True, slots=True, eq=False)
class OfIndex:
    """The models that an index puts on top: members as given, the same in every draw of the FLOP."""

    name: str
    top: Members

    def members(self, figures: Sequence[Fraction], cohorts: Cohorts) -> Members:
        """Return the index's own choice."""
        return self.top

    def captured(self, values: Values, cohorts: Cohorts) -> Members:
        """Return the index's own choice in every draw."""
        return np.repeat(self.top[:, None], values.shape[1], axis=1)

    def cut(self, figures: Sequence[Fraction], cohorts: Cohorts, year: int, name: str) -> float | None:
        """Return infinity or its negative: the index does not look at FLOP."""
        return -inf


def default_rules(lines: Sequence[Threshold]) -> tuple[Rule, ...]:
    """Return the rules of the essay (section 5.2) beside the static lines."""
    return (
        *(Static(line) for line in lines),
        OfYear(TopShare(Fraction(1, 10))),
        OfYear(TopShare(Fraction(1, 20))),
        OfYear(TopShare(Fraction(1, 10)), by_class=True),
        OfYear(WithinOrders(Fraction(1))),
        OfYear(WithinOrders(Fraction(1, 2))),
        FLOOR,
    )
