"""Growth fitted under each definition of frontier, on a population whose line is known."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from flopcore.study.growth import FRONTIERS, fit_growth, frontier_models
from flopcore.study.population import Population

BUNDLED = Population.bundled()
START = dt.date(2019, 1, 1)


def population(logs: list[float], *, step: int = 73, developers: str = "AB") -> Population:
    models = tuple(
        replace(
            BUNDLED.models[0],
            key=f"m{i:03}",
            date=START + dt.timedelta(days=step * i),
            developer=developers[i % len(developers)],
            training_flop=round(10**log),
            derivation=None,
        )
        for i, log in enumerate(logs)
    )
    return Population("known", models, BUNDLED.bands)


def test_a_line_without_noise_is_found_exactly() -> None:
    """Four times a year: 73 days are a fifth of 365, the year has 365.25."""
    factor = 4.0
    logs = [23 + np.log10(factor) * 73 * i / 365.25 for i in range(30)]
    (fit,) = fit_growth(population(logs), frontiers=["all"], since=START, thresholds=["1e27"]).fits
    assert fit.per_year == pytest.approx(factor, rel=1e-9)
    assert fit.doubling_months == pytest.approx(6.0, rel=1e-9)
    assert (fit.n, fit.sd) == (30, pytest.approx(0, abs=1e-9))
    days = 4 / np.log10(factor) * 365.25
    (crossing,) = fit.crossings
    assert crossing.day is not None
    assert abs((dt.date.fromisoformat(crossing.day) - START).days - days) <= 1
    assert fit.years[0].year == 2024
    assert fit.years[0].p50 == pytest.approx(10 ** (23 + np.log10(factor) * (2024.5 - 2019.0)), rel=0.01)


def test_the_interval_of_the_growth_covers_as_often_as_it_says() -> None:
    """90 %, 300 populations of 40: binomial bounds of false alarm below 1e-6 (t instead of normal costs 1 %)."""
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(300):
        logs = [23 + 0.5 * 73 * i / 365.25 + 0.4 * float(rng.standard_normal()) for i in range(40)]
        (fit,) = fit_growth(population(logs), frontiers=["all"], since=START, thresholds=[]).fits
        covered += fit.per_year_p05 <= 10**0.5 <= fit.per_year_p95
    assert 240 <= covered <= 292


def test_each_definition_takes_the_models_it_says() -> None:
    """Developers take turns: A 20, 24, 23; B 22, 21, 25."""
    models = population([20, 22, 24, 21, 23, 25])
    chosen = {name: [m.key for m in frontier_models(models, name, START)] for name in FRONTIERS}
    assert chosen["all"] == [f"m00{i}" for i in range(6)]
    assert chosen["record"] == ["m000", "m001", "m002", "m005"]
    assert chosen["organisation"] == ["m000", "m001", "m002", "m005"]
    assert chosen["top10"] == chosen["all"]
    assert chosen["over1e23"] == ["m002", "m004", "m005"]
    later = frontier_models(models, "record", START + dt.timedelta(days=1))
    assert [m.key for m in later] == ["m001", "m002", "m005"]  # the first one still sets the bar
    same_day = population([24, 23], step=0)
    assert len(frontier_models(same_day, "record", START)) == 2


def test_too_few_models_are_said_to_be_so_and_bad_names_refused() -> None:
    result = fit_growth(population([23, 24, 25]), frontiers=["all", "record"])
    assert (result.fits, result.skipped) == ((), ("all", "record"))
    assert "No definition" in result.reading[0]
    with pytest.raises(ValueError, match="one of all, record"):
        fit_growth(frontiers=["best"])
    with pytest.raises(ValueError, match="every line is positive"):
        fit_growth(thresholds=[0])


def test_growth_of_the_bundled_population_depends_on_the_definition() -> None:
    fits = {fit.frontier: fit for fit in fit_growth().fits}
    # Published: 4 to 5 a year for frontier models, 2 for models over 1e23 (other tables, so only roughly).
    assert 3.5 < fits["record"].per_year < 7
    assert fits["over1e23"].per_year < fits["top10"].per_year
