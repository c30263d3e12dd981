from __future__ import annotations

import csv
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from flopcore.distributions import LogNormal, Uniform
from flopcore.study.dynamic import RULES, TopShare, WithinOrders, count_dynamic
from flopcore.study.hooker import run_hooker
from flopcore.study.scenario import Scenario
from flopcore.sweep import Entity, Factor, draw_totals, sweep
from flopcore.thresholds import Threshold

SHARED = Path(__file__).parents[3] / "shared" / "data" / "epoch_notable_2025-02-24.csv"

# Cut-offs of the top 10 % and 5 % of a year on the Epoch AI file of February 2025, from the project's facts.
CUTOFFS = {
    2019: (41, "2.20e+22", "3.30e+22", 5),
    2020: (36, "4.03e+22", "8.95e+22", 4),
    2021: (60, "3.55e+23", "6.52e+23", 6),
    2022: (54, "5.32e+23", "2.53e+24", 6),
    2023: (57, "4.24e+24", "1.22e+25", 6),
    2024: (36, "2.73e+25", "3.69e+25", 4),
}


def exact_draws(figures: list[int], n: int = 3) -> np.ndarray:
    return np.repeat(np.array(figures, dtype=float)[:, None], n, axis=1)


def test_a_top_share_interpolates_and_includes_the_cutoff() -> None:
    figures = list(range(1, 12))
    (count,) = count_dynamic(figures, exact_draws(figures), [TopShare(Fraction(1, 10))])
    assert count.cutoff == 10
    assert (count.point, count.p05, count.expected) == (2, 2, 2.0)
    (count,) = count_dynamic(figures[:10], exact_draws(figures[:10]), [TopShare(Fraction(1, 10))])
    assert count.cutoff == pytest.approx(np.percentile(figures[:10], 90), rel=1e-15)
    assert count.point == 1


def test_within_orders_counts_the_largest_and_its_neighbours() -> None:
    figures = [10**20, 10**24, 4 * 10**24, 10**25]
    counts = count_dynamic(figures, exact_draws(figures), [WithinOrders(Fraction(n, 2)) for n in (1, 2, 10)])
    assert [count.point for count in counts] == [2, 3, 4]
    assert counts[1].cutoff == 1e24
    with pytest.raises(ValueError, match="half orders"):
        WithinOrders(Fraction(1, 3))


def test_one_model_is_always_captured() -> None:
    for count in count_dynamic([10**25], exact_draws([10**25])):
        assert (count.point, count.p05, count.p95) == (1, 1, 1)
        assert count.rule


def test_a_common_scenario_changes_no_membership() -> None:
    plain, doubled = (run_hooker(draws=2000, rng=0, scenario=Scenario("x", factor)) for factor in (1, 2))
    for before, after in zip(plain.dynamic, doubled.dynamic, strict=True):
        for a, b in zip(before.counts, after.counts, strict=True):
            assert (a.point, a.expected, a.p05, a.p50, a.p95) == (b.point, b.expected, b.p05, b.p50, b.p95)
            assert b.cutoff == 2 * a.cutoff


def test_the_study_has_every_rule_for_every_year() -> None:
    result = run_hooker(draws=1000, rng=0)
    assert [year.year for year in result.dynamic] == [int(group.label) for group in result.per_year]
    for year in result.dynamic:
        assert [count.rule for count in year.counts] == [rule.name for rule in RULES]
        assert all(1 <= count.p05 <= count.p50 <= count.p95 <= year.n_models for count in year.counts)
        assert all(count.cutoff_p05 <= count.cutoff_p50 <= count.cutoff_p95 for count in year.counts)


def test_draws_are_the_ones_the_sweep_counts() -> None:
    entities = [
        Entity("a", (Factor("C", LogNormal(1.0, 0.7)),), 3 * 10**25),
        Entity("b", (Factor("C", LogNormal(1.0, 0.7)), Factor("u", Uniform(0.3, 0.5))), 10**26),
        Entity("c", (Factor("s", LogNormal(1.0, 0.2), shared=True),), 10**25),
        Entity("known", (), 10**25),
    ]
    lines = [Threshold("low", 10**25, ">="), Threshold("high", 3 * 10**25)]
    values = draw_totals(entities, draws=5000, rng=3)
    counts = sweep(entities, lines, draws=5000, rng=3).exceed_counts
    assert np.array_equal(counts[:, 0], (values >= 1e25).sum(axis=1))
    assert np.array_equal(counts[:, 1], (values > 3e25).sum(axis=1))
    assert np.array_equal(values[:, :10], draw_totals(entities, draws=10, rng=3))
    with pytest.raises(ValueError, match="at least one"):
        draw_totals([], draws=1)


def test_cutoffs_of_an_independent_table() -> None:
    if not SHARED.exists():
        pytest.skip("this machine has no shared/data beside the checkout")
    years: dict[int, list[int]] = defaultdict(list)
    with SHARED.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["Training compute (FLOP)"]:
                years[int(row["Publication date"][:4])].append(int(float(row["Training compute (FLOP)"])))
    for year, (n, ten, five, captured) in CUTOFFS.items():
        figures = years[year]
        top, higher = count_dynamic(figures, exact_draws(figures, 1), RULES[:2])
        assert len(figures) == n
        assert (f"{top.cutoff:.2e}", f"{higher.cutoff:.2e}", top.point) == (ten, five, captured)
