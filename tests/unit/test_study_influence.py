"""What each uncertain input does to each headline count: known shares, exact laws, and what cannot matter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from flopcore.study.growth import fit_growth
from flopcore.study.hooker import HookerResult, IndexOptions, run_hooker
from flopcore.study.influence import draw_factors, draw_growth, sides_of
from flopcore.study.population import Population
from flopcore.study.rules import FLOOR, Cohorts
from flopcore.study.shares import FIRST, REFERENCE, influence_of

BUNDLED = Population.bundled()
COHORTS = Cohorts((2024, 2025, 2025), ("language",) * 3)


@pytest.fixture(scope="module")
def result() -> HookerResult:
    return run_hooker(draws=4000, rng=6)


def test_shares_of_a_known_function() -> None:
    """N = 3 a + b + a c of fair signs a, b, c: variances 9, 1 and, shared by a and c, 1; c alone does nothing."""
    rng = np.random.default_rng(4)
    n = 20_000
    signs = {name: 2 * rng.integers(0, 2, (2, n)) - 1 for name in "abc"}

    def count(chosen: Mapping[str, int]) -> NDArray[np.int64]:
        a, b, c = (
            np.zeros(1, dtype=np.int64) if chosen[name] == REFERENCE else signs[name][chosen[name]] for name in "abc"
        )
        return 3 * a + b + a * c

    found = influence_of("N", "abc", count, {"b": (signs["b"][FIRST] + 1) // 2})
    assert (found.headline, found.draws) == ("N", n)
    assert found.variance == pytest.approx(11, abs=0.3)
    expected = {"a": (9, 10, 9.5), "b": (1, 1, 1), "c": (0, 1, 0.5)}
    for effect in found.inputs:
        for value, error, share in zip(
            (effect.first_order, effect.total, effect.shapley),
            (effect.first_order_error, effect.total_error, effect.shapley_error),
            expected[effect.input],
            strict=True,
        ):
            assert error is not None
            assert 0 < error < 0.02
            assert value == pytest.approx(share / 11, abs=6 * error)
        assert effect.given_data == pytest.approx(expected[effect.input][0] / 11, abs=0.02)
    assert sum(effect.shapley for effect in found.inputs) == pytest.approx(1)


def test_a_count_that_does_not_vary_has_no_shares() -> None:
    found = influence_of("none", ("a", "b"), lambda chosen: np.zeros(1, dtype=np.int64))
    assert (found.mean, found.variance, found.inputs) == (0.0, 0.0, ())


def test_shares_over_a_static_line_are_the_exact_ones(result: HookerResult) -> None:
    """The closed form of `headline` knows the way of counting and the errors; six standard errors, or one in a
    hundred where the errors of different labels are added up."""
    found = {part.headline: part for part in result.essay.influence}
    for exact in result.essay.variance:
        part = found[f"over {exact.policy}"]
        effects = {effect.input: effect for effect in part.inputs}
        assert set(effects) == {"estimate error", "way of counting"}
        assert part.mean == pytest.approx(exact.mean, abs=6 * math.sqrt(exact.variance / part.draws))
        counting, errors = exact.inputs[0], exact.inputs[1:]
        way, error = effects["way of counting"], effects["estimate error"]
        for drawn, slack, truth in (
            (way.first_order, way.first_order_error, counting.first_order),
            (way.total, way.total_error, counting.total),
            (way.shapley, way.shapley_error, counting.shapley),
            (error.total, error.total_error, sum(item.total for item in errors)),
            (error.first_order, error.first_order_error, sum(item.first_order for item in errors)),
        ):
            assert slack is not None
            assert drawn == pytest.approx(truth, abs=6 * slack + 0.001)
        assert way.given_data == pytest.approx(counting.first_order, abs=0.05)


def test_each_headline_depends_on_the_inputs_it_names(result: HookerResult) -> None:
    found = {part.headline: [effect.input for effect in part.inputs] for part in result.essay.influence}
    assert len(found) == 3 * 4 + 2
    assert found["over >1e25 a year on"] == ["growth", "estimate error", "way of counting"]
    assert found["index's top over >1e25"] == ["estimate error", "way of counting", "index weights"]
    four = ["growth", "estimate error", "way of counting", "index weights"]
    assert found["index's top over the moving floor"] == four
    for part in result.essay.influence:
        assert sum(effect.shapley for effect in part.inputs) == pytest.approx(1)
    assert "What moves each headline count most" in " ".join(result.reading)


def test_given_weights_leave_nothing_for_the_weights_to_do() -> None:
    weights = IndexOptions(weights=(("data", 1), ("parameters", 1)))
    part = run_hooker(draws=500, rng=1, index=weights).essay.influence[-1]
    effects = {effect.input: effect for effect in part.inputs}
    assert effects["index weights"].total == pytest.approx(0, abs=1e-12)
    assert effects["index weights"].given_data == 0.0
    assert effects["growth"].total > 0.05


def test_growth_is_that_of_the_fits() -> None:
    (fit,) = fit_growth(BUNDLED, frontiers=["top10"]).fits
    n = 20_000
    log = np.log(draw_growth([fit], n, rng=2))
    sd = (math.log(fit.per_year_p95) - math.log(fit.per_year_p05)) / (2 * 1.6448536)
    assert log.mean() == pytest.approx(math.log(fit.per_year), abs=6 * sd / math.sqrt(n))
    assert log.std() == pytest.approx(sd, rel=6 / math.sqrt(2 * n))
    assert set(draw_growth([], 5).tolist()) == {4.0}
    factors = draw_factors(4000, rng=2)
    assert all(abs(int((factors == f).sum()) - 1000) < 6 * math.sqrt(750) for f in (0.5, 1.0, 4 / 3, 2.0))


def test_sides_name_the_inputs_that_carry_a_model_across() -> None:
    """The floor of 2025 is 2e25 to 4e25 over the growth's range, 3e25 in the middle; that of 2024 is 1e25 always."""
    figures = [Fraction(9 * 10**24), Fraction(35 * 10**24), Fraction(10**27)]
    growth = np.linspace(2, 4, 401)
    found = sides_of(["a", "b", "c"], figures, COHORTS, growth, {"c": 0.5, "a": 0.99})
    assert {(side.key, side.policy): side.under for side in found} == {
        ("a", "moving floor"): ("every figure x 4/3", "every figure x 2"),
        ("b", "moving floor"): ("growth", "every figure x 1/2"),
        ("c", "top of the risk index"): ("index weights",),
    }
    assert FLOOR.of(2025) == 4 * 10**25


def test_which_models_change_side_under_what(result: HookerResult) -> None:
    flips = result.to_dict()["flips"]
    assert isinstance(flips, list)
    found = {(row["key"], row["policy"]): row["under"] for row in flips}
    probability = {m.model.key: dict(m.probability) for m in result.models}
    for (key, policy), under in found.items():
        if policy in probability[key]:
            assert ("error of its figure" in under) == (0.05 < probability[key][policy] < 0.95), (key, policy)
    assert "a multiply-accumulate is one operation" in found["pangu-ultra", ">1e25"]
    causes = {cause for under in found.values() for cause in under}
    assert {"growth", "index weights", "error of its figure", "idle experts count", "every figure x 1/2"} <= causes


def test_classes_of_a_year_add_up_to_the_year(result: HookerResult) -> None:
    by_year: dict[int, list[tuple[int, float]]] = {}
    for cell in result.per_year_domain:
        by_year.setdefault(cell.year, []).append((cell.group.counts[0].point, cell.group.counts[0].expected))
        assert cell.group.n_models == sum(
            (item.model.date.year, item.model.domain) == (cell.year, cell.group.label) for item in result.models
        )
    for year in result.per_year:
        parts = by_year[int(year.label)]
        assert sum(point for point, _ in parts) == year.counts[0].point
        assert sum(expected for _, expected in parts) == pytest.approx(year.counts[0].expected)
