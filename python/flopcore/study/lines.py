"""Lines a population is held against, and what the sweep draws of each of its models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from flopcore.closed_form import lognormal_sigma
from flopcore.distributions import LN10, LogNormal, log10_exact
from flopcore.quantity import Interval, Number, exact, parse_quantity
from flopcore.sweep import Entity, Factor
from flopcore.thresholds import Comparator, Threshold, ThresholdPolicy

from .population import Bands, Model
from .scenario import Scenario
from .shrink import Figure, Prior

__all__ = ["Line", "entity_of", "figure_of", "figure_with_error", "make_lines", "sigma_of"]


@dataclass(frozen=True, slots=True)
class Line:
    """A static line and the reference classes it applies to (all when empty)."""

    threshold: Threshold
    domains: tuple[str, ...] = ()

    def covers(self, model: Model) -> bool:
        """Whether the line applies to a model's reference class."""
        return not self.domains or model.domain in self.domains


def make_lines(
    given: Iterable[Number | str | Threshold | ThresholdPolicy], comparators: Sequence[Comparator]
) -> tuple[Line, ...]:
    """Return the lines that a caller means: a bare number is one line for each comparator."""
    lines: list[Line] = []
    for item in given:
        if isinstance(item, ThresholdPolicy):
            if item.measures != "training_compute":
                raise ValueError(f"threshold {item.id!r} is a line for {item.measures}, not for training compute")
            lines.append(Line(item.threshold, item.domains))
        elif isinstance(item, Threshold):
            lines.append(Line(item))
        else:
            value = parse_quantity(item, name="threshold")
            lines.extend(Line(Threshold(f"{mark}{_short(value)}", value, mark)) for mark in comparators)
    if not lines:
        raise ValueError("a study needs at least one threshold")
    names = [line.threshold.name for line in lines]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"thresholds: {', '.join(twice)} given twice")
    return tuple(lines)


def _short(value: Number) -> str:
    """Return 1e25 for 10^25, 3.5e24 for 35 * 10^23, the plain number where that is no shorter."""
    text = str(value)
    if not isinstance(value, int) or len(text) < 5:
        return text
    digits = text.rstrip("0")
    return f"{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e{len(text) - 1}"


def figure_of(model: Model, scenario: Scenario) -> Number:
    """Return a model's figure under a way of counting, exact."""
    assert model.training_flop is not None
    return exact(Fraction(model.training_flop) * scenario.of(model.key))


def sigma_of(model: Model, bands: Bands) -> float:
    """Return the standard deviation of the natural logarithm of the figure's error."""
    return _sigma(Fraction(bands.of(model.confidence) if model.band is None else model.band), bands.coverage)


@cache
def _sigma(factor: Fraction, coverage: Fraction) -> float:
    return 0.0 if factor == 1 else float(lognormal_sigma(Interval(1 / factor, factor), coverage))


def figure_with_error(model: Model, bands: Bands, scenario: Scenario) -> Figure:
    """Return date, log10 and error of a model's figure."""
    return Figure(model.date, float(log10_exact(figure_of(model, scenario))), sigma_of(model, bands) / LN10)


def entity_of(model: Model, bands: Bands, scenario: Scenario, prior: Prior | None, *more: Factor) -> Entity:
    """Return what the sweep draws of a model: its figure times its error, and times further factors."""
    median, sigma = 1.0, sigma_of(model, bands)
    flop = figure_of(model, scenario)
    if flop == 0:  # a way of counting may find nothing to count: one FLOP is under every line
        return Entity(model.key)
    if sigma == 0.0:
        return Entity(model.key, more, flop)
    if prior is not None:
        median, sd = prior.factor(figure_with_error(model, bands, scenario))
        sigma = sd * LN10
    return Entity(model.key, (Factor("estimate", LogNormal(median, sigma)), *more), flop)
