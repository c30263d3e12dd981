"""What growth, errors of figures, the way of counting and the weights of an index each do to the headline counts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from flopcore import _core
from flopcore.distributions import Seed, philox_key, seed_sequence
from flopcore.thresholds import Threshold

from .counting import FACTORS
from .growth import Growth
from .reading import OPEN
from .rules import FLOOR, Cohorts
from .shares import FIRST, REFERENCE, Count, Influence, influence_of

__all__ = ["INPUTS", "Side", "Uncertain", "draw_factors", "draw_growth", "headline_influences", "sides_of"]

Values = NDArray[np.float64]
Members = NDArray[np.bool_]
Sets = tuple[Values, Values, Values]

GROWTH, ERROR, COUNTING, WEIGHTS = "growth", "estimate error", "way of counting", "index weights"
INPUTS = (GROWTH, ERROR, COUNTING, WEIGHTS)
"""The uncertain inputs of the headline counts."""

_YEAR = dt.timedelta(days=365)
_GROUPS = 20  # of the growth's values, for its share given the data
_NORMAL_95 = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The inputs, each as two independent sets of draws and a reference value (shapes: draws, draws and 1 at the end).

    Parameters
    ----------
    flop : arrays of float64, models x draws
        FLOP with its error; the reference is the figure.
    factor, growth : arrays of float64, draws
        Common factor of a way of counting, and factor of growth a year.
    top : arrays of bool, models x draws
        Whether a model is in the top of the index under drawn weights; the reference is the top by the mean score.
    """

    flop: Sets
    factor: Sets
    growth: Sets
    top: tuple[Members, Members, Members]


@dataclass(frozen=True, slots=True)
class Side:
    """A model whose side of a rule is open, and the inputs that carry it across."""

    key: str
    policy: str
    under: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the finding as JSON types."""
        return {**asdict(self), "under": list(self.under)}


def _uniforms(name: str, draws: int, rng: Seed) -> Values:
    words = _core.philox_words(
        philox_key(seed_sequence(rng)), _core.stream_hash("study", "influence", name), 0, (draws + 3) // 4
    )
    uniform: Values = (words.ravel()[:draws].astype(np.float64) + 0.5) * 2.0**-32
    return uniform


def draw_growth(fits: Sequence[Growth], draws: int, *, rng: Seed = None) -> Values:
    """Return factors of growth a year: a definition of frontier at random, then its slope within its own error.

    Without any fit the growth is that of the moving floor, without spread.
    """
    if not fits:
        return np.full(draws, float(FLOOR.per_year))
    log = _core.log(np.array([[fit.per_year, fit.per_year_p05, fit.per_year_p95] for fit in fits]))
    chosen = log[(_uniforms("definition of frontier", draws, rng) * len(fits)).astype(np.int64)]
    z = _core.norm_ppf(_uniforms("slope", draws, rng))
    growth: Values = _core.exp(chosen[:, 0] + z * (chosen[:, 2] - chosen[:, 1]) / (2.0 * _NORMAL_95))
    return growth


def draw_factors(draws: int, *, rng: Seed = None, factors: Sequence[Fraction] = FACTORS) -> Values:
    """Return a common factor of the way of counting for each draw, each equally likely."""
    table: Values = np.array([float(factor) for factor in factors])
    return table[(_uniforms(COUNTING, draws, rng) * len(factors)).astype(np.int64)]


def headline_influences(
    inputs: Uncertain, cohorts: Cohorts, dates: Sequence[dt.date], lines: Sequence[Threshold]
) -> tuple[Influence, ...]:
    """Return what each input does to each headline count.

    The counts are: models over each line; over it a year on, if the models of the last twelve months came again with a
    year's growth; of the index's top over it; and models and the index's top over the moving floor of `rules.FLOOR`,
    whose yearly factor is the growth.
    """
    last = max(dates)
    recent = [m for m, day in enumerate(dates) if day > last - _YEAR]

    def pick(sets: Sets, chosen: Mapping[str, int], name: str) -> Values:
        return sets[chosen.get(name, REFERENCE)]

    def over(line: Threshold, chosen: Mapping[str, int]) -> Members:
        cut = float(line.value) / pick(inputs.factor, chosen, COUNTING)
        flop = pick(inputs.flop, chosen, ERROR)
        members: Members = flop >= cut if line.comparator == ">=" else flop > cut
        return members

    def over_floor(chosen: Mapping[str, int]) -> Members:
        flop, factor = pick(inputs.flop, chosen, ERROR), pick(inputs.factor, chosen, COUNTING)
        log = _core.log(pick(inputs.growth, chosen, GROWTH))
        width = max(flop.shape[1], factor.size, log.size)
        found = np.zeros((flop.shape[0], width), dtype=np.bool_)
        for (year, _), some in cohorts.groups(by_class=False).items():
            found[some] = flop[some] >= float(FLOOR.value) * _core.exp((year - FLOOR.year) * log) / factor
        return found

    def a_year_on(line: Threshold) -> Count:
        def count(chosen: Mapping[str, int]) -> NDArray[np.int64]:
            cut = float(line.value) / pick(inputs.factor, chosen, COUNTING) / pick(inputs.growth, chosen, GROWTH)
            flop = pick(inputs.flop, chosen, ERROR)[recent]
            return _number(flop >= cut if line.comparator == ">=" else flop > cut)

        return count

    def in_top(members: Members, chosen: Mapping[str, int]) -> NDArray[np.int64]:
        return _number(members & inputs.top[chosen.get(WEIGHTS, REFERENCE)])

    headlines: list[tuple[str, tuple[str, ...], Count]] = []
    for line in lines:
        headlines += [
            (f"over {line.name}", (ERROR, COUNTING), lambda c, t=line: _number(over(t, c))),  # type: ignore[misc]
            (f"over {line.name} a year on", (GROWTH, ERROR, COUNTING), a_year_on(line)),
            (f"index's top over {line.name}", (ERROR, COUNTING, WEIGHTS), lambda c, t=line: in_top(over(t, c), c)),  # type: ignore[misc]
        ]
    headlines += [
        ("over the moving floor", (GROWTH, ERROR, COUNTING), lambda c: _number(over_floor(c))),
        ("index's top over the moving floor", INPUTS, lambda c: in_top(over_floor(c), c)),
    ]
    groups = {GROWTH: _bins(inputs.growth[FIRST]), COUNTING: np.unique(inputs.factor[FIRST], return_inverse=True)[1]}
    return tuple(influence_of(name, named, count, groups) for name, named, count in headlines)


def _number(members: Members) -> NDArray[np.int64]:
    """Return how many models there are in each draw."""
    number: NDArray[np.int64] = members.sum(axis=0)
    return number


def _bins(values: Values) -> NDArray[np.int64]:
    """Return the group of each value, of groups of as many values each in order of size."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    bins: NDArray[np.int64] = ranks * _GROUPS // len(values)
    return bins


def sides_of(
    keys: Sequence[str],
    figures: Sequence[Fraction],
    cohorts: Cohorts,
    growth: Values,
    top_probability: Mapping[str, float],
    factors: Sequence[Fraction] = FACTORS,
) -> tuple[Side, ...]:
    """Return the models whose side of the moving floor or of the index's top is open, and under what.

    The floor is taken at the ends of the growth's central 90 % and, at its median, with each factor on every figure;
    a place in the index's top is open where between 5 % and 95 % of the weights give it.
    """
    ordered = np.sort(growth).tolist()
    low, middle, high = (ordered[int(q * (len(ordered) - 1))] for q in (0.05, 0.5, 0.95))
    found = []
    for key, figure, year in zip(keys, figures, cohorts.years, strict=True):

        def over(rate: float, factor: Fraction, figure: Fraction = figure, year: int = year) -> bool:
            return figure * factor >= Fraction(FLOOR.value) * Fraction(rate) ** (year - FLOOR.year)

        under = [GROWTH] if over(low, Fraction(1)) != over(high, Fraction(1)) else []
        under += [f"every figure x {factor}" for factor in factors if over(middle, factor) != over(middle, Fraction(1))]
        if under:
            found.append(Side(key, "moving floor", tuple(under)))
        if OPEN[0] < top_probability.get(key, 0.0) < OPEN[1]:
            found.append(Side(key, "top of the risk index", (WEIGHTS,)))
    return tuple(found)
