"""One simulation of a forecast from yearly budgets, step by step as the recipe says: every year, bin and model.

The definition that the core's block sampler, which skips what cannot count, is held against. Random words are addressed
by (purpose, variable, year and bin) and, for the n-th attempt or model, by the attempt field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist

from .philox import draw_word, stream_hash

__all__ = ["BudgetYear", "Simulation", "lognormal_between", "simulate"]

_PURPOSE = "budget_allocation"


@dataclass(frozen=True, slots=True)
class BudgetYear:
    """A year's budget before growth, the power of the growth, and how its largest model is drawn.

    `largest` is ``("fixed", FLOP)``, ``("uniform", low, high)`` of the budget, or ``("lognormal", mean, sd, p_low,
    p_high)`` of the logarithm of the share, cut to those probabilities.
    """

    label: str
    budget: float
    power: int
    largest: tuple[str, *tuple[float, ...]]
    period_ends: Sequence[int]


@dataclass(frozen=True, slots=True)
class Simulation:
    """Models over each threshold and near the frontier, per year."""

    over: list[list[int]]
    near: list[list[int]]
    rejected: list[int]


def simulate(
    years: Sequence[BudgetYear],
    *,
    key: tuple[int, int],
    draw: int,
    growth: tuple[float, float],
    gradient: tuple[float, float],
    log10_ratio: tuple[float, float],
    n_bins: int,
    thresholds: Sequence[float],
    widths: Sequence[float],
) -> Simulation:
    """Return one simulation.

    Parameters
    ----------
    key, draw : of the random numbers
    growth : (mean, sd)
    gradient, log10_ratio : (low, high)
    widths : orders of magnitude
    """

    def uniform(variable: str, entity: str, attempt: int) -> float:
        return (draw_word(key, stream_hash(_PURPOSE, variable, entity), draw, "double", attempt) + 0.5) * 2.0**-53

    def coarse(variable: str, entity: str, attempt: int) -> float:
        return (draw_word(key, stream_hash(_PURPOSE, variable, entity), draw, "single", attempt) + 0.5) * 2.0**-32

    factor = growth[0] + growth[1] * NormalDist().inv_cdf(uniform("growth", "", 0))
    result = Simulation([], [], [])
    record = 0.0
    for year in years:
        budget = year.budget * factor**year.power
        attempt = 0
        while True:
            share = _share(year, budget, uniform("largest_share", year.label, attempt))
            ratio = _between(log10_ratio, uniform("size_ratio", year.label, attempt))
            k = _between(gradient, uniform("gradient", year.label, attempt))
            edges = [10.0 ** (ratio * j / n_bins) for j in range(n_bins + 1)]  # the largest first
            parts = [edges[j] ** k - edges[j + 1] ** k for j in range(n_bins)]
            fits = all(part > edges[j] * share for j, part in enumerate(parts))
            if fits and edges[-1] ** k > edges[-1] * share:
                break
            attempt += 1
        models: list[tuple[float, int]] = []
        days = year.period_ends[-1] + 1
        for j in range(n_bins):
            entity, left, n = f"{year.label}/{j}", parts[j] * budget, 0
            while left > 0.0:
                u = coarse("size", entity, n)
                size = min(_between((edges[j + 1], edges[j]), u) * share * budget, left)
                models.append((size, int(coarse("date", entity, n) * days)))
                left -= size
                n += 1
        result.over.append([sum(size >= line for size, _ in models) for line in thresholds])
        result.near.append([_near(models, year.period_ends, record, 10.0**width) for width in widths])
        result.rejected.append(attempt)
        record = max(record, *(size for size, _ in models))
    return result


def _near(models: Sequence[tuple[float, int]], ends: Sequence[int], record: float, factor: float) -> int:
    """Count, over the periods of a year, the models near the largest one out before the period's last day."""
    count, before = 0, -1
    for end in ends:
        largest = max([record, *(size for size, day in models if day < end)])
        count += sum(before < day <= end and size != largest and size * factor >= largest for size, day in models)
        before = end
    return count


def _share(year: BudgetYear, budget: float, u: float) -> float:
    kind, *numbers = year.largest
    if kind == "fixed":
        return numbers[0] / budget
    if kind == "uniform":
        return _between((numbers[0], numbers[1]), u)
    mean, sd, p_low, p_high = numbers
    return exp(mean + sd * NormalDist().inv_cdf(_between((p_low, p_high), u)))


def _between(bounds: tuple[float, float], u: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * u


def lognormal_between(low: float, high: float, sds: float) -> tuple[str, float, float, float, float]:
    """Return the lognormal whose logarithm is centred between two bounds, `sds` deviations apart, cut to them."""
    normal = NormalDist()
    return (
        "lognormal",
        (log(low) + log(high)) / 2,
        (log(high) - log(low)) / sds,
        normal.cdf(-sds / 2),
        normal.cdf(sds / 2),
    )
