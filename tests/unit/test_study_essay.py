"""The essay's further questions, each against what is known by hand or by another formula."""

from __future__ import annotations

import datetime as dt
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from flopcore.distributions import LogNormal
from flopcore.study.censored import censored_counts
from flopcore.study.claims import skewness
from flopcore.study.counting import (
    FACTORS,
    Counted,
    count_by_factor,
    count_mixed,
    headline,
    mixed_factors,
    probabilities,
)
from flopcore.study.effective import DOUBLINGS, missed_by_progress, missed_models, staleness
from flopcore.study.epoch import read_epoch
from flopcore.study.gaming import bunching, dodge
from flopcore.study.hooker import HookerResult, run_hooker
from flopcore.study.index import METRICS, risk_index
from flopcore.study.poisson_binomial import count_law
from flopcore.study.population import Population
from flopcore.study.rules import Cohorts, MovingFloor, OfIndex, OfYear, Static, default_rules
from flopcore.study.screening import compare_rules, roc_curve
from flopcore.study.shrink import Figure, Prior, fit_prior
from flopcore.sweep import Entity, Factor, sweep
from flopcore.thresholds import Threshold

SHARED = Path(__file__).parents[3] / "shared" / "data"
BUNDLED = Population.bundled()
LINE = Threshold("line", 10**25, ">=")
COHORTS = Cohorts((2023,) * 4 + (2024,) * 4, ("a", "a", "b", "b") * 2)
FIGURES = [Fraction(f) for f in (1, 2, 30, 4, 50, 60, 70, 800)]


# The exact law of a count


def test_the_law_of_a_count_is_that_of_every_outcome() -> None:
    probabilities = [0.1, 0.5, 0.9, 0.25]
    law = count_law(probabilities)
    direct = [0.0] * 5
    for outcome in range(16):
        bits = [outcome >> i & 1 for i in range(4)]
        direct[sum(bits)] += math.prod(p if bit else 1 - p for p, bit in zip(probabilities, bits, strict=True))
    assert law.pmf.tolist() == pytest.approx(direct)
    assert law.mean == pytest.approx(sum(probabilities))
    assert law.sd**2 == pytest.approx(sum(p * (1 - p) for p in probabilities))
    assert (law.quantile(0.0), law.quantile(1.0), law.quantile(0.5)) == (0, 4, 2)
    assert count_law([]).pmf.tolist() == [1.0]
    with pytest.raises(ValueError, match=r"probabilities\[1\]=1.5"):
        count_law([0.5, 1.5])


def test_an_independent_count_sweep_agrees_with_the_exact_law() -> None:
    """Every cell of the histogram within five standard errors: false alarm below 6e-7 each, 41 cells."""
    draws = 200_000
    entities = [Entity(f"m{i}", (Factor("C", LogNormal(10.0 ** (24.0 + i / 20), 0.4 + i / 40)),)) for i in range(40)]
    counts = sweep(entities, [LINE], draws=draws, rng=3).count_histogram[0]
    ln10 = math.log(10)
    models = [Counted(f"m{i}", 10**24, 24.0 + i / 20, (0.4 + i / 40) / ln10, "x") for i in range(40)]
    law = count_law([0.5 * math.erfc((25 - m.log10_median) / m.sd / math.sqrt(2)) for m in models])
    for count, p in zip(counts.tolist(), law.pmf.tolist(), strict=True):
        assert abs(count - draws * p) < 5 * math.sqrt(max(draws * p * (1 - p), 5))


# Rules


def test_rules_capture_what_they_say() -> None:
    everyone = Static(Threshold("x", 50, ">="))
    assert everyone.members(FIGURES, COHORTS).tolist() == [False] * 4 + [True] * 4
    half = OfYear(default_rules([])[0].rule)  # type: ignore[attr-defined]
    assert half.members(FIGURES, COHORTS).tolist() == [False, False, True, False] + [False] * 3 + [True]
    by_class = OfYear(half.rule, by_class=True)
    assert by_class.members(FIGURES, COHORTS).tolist() == [False, True, True, False, False, True, False, True]
    floor = MovingFloor(30, 2023, 2)
    assert floor.members(FIGURES, COHORTS).tolist() == [False, False, True, False, False, True, True, True]
    assert floor.cut(FIGURES, COHORTS, 2025, "a") == 120
    assert half.cut(FIGURES, COHORTS, 2030, "a") is None


def test_members_by_figure_and_by_draw_are_the_same_rule() -> None:
    values = np.array([[float(f)] * 3 for f in FIGURES])
    rules = (*default_rules([LINE, Threshold("low", 3)]), MovingFloor(30, 2023, 2))
    for rule in rules:
        members = rule.members(FIGURES, COHORTS)
        assert np.array_equal(rule.captured(values, COHORTS), np.repeat(members[:, None], 3, axis=1)), rule.name


def test_percentile_rules_are_exactly_invariant_under_a_common_factor() -> None:
    """On the bundled figures, for factors that round in any floating-point arithmetic."""
    models = [model for model in BUNDLED if model.training_flop]
    figures = [Fraction(model.training_flop or 0) for model in models]
    cohorts = Cohorts(tuple(m.date.year for m in models), tuple(m.domain for m in models))
    for rule in default_rules([]):
        if isinstance(rule, MovingFloor):
            continue
        expected = rule.members(figures, cohorts).tolist()
        assert any(expected)
        for factor in (Fraction(1, 3), Fraction(4, 3), Fraction(10**30 + 1, 7**40), Fraction(2)):
            assert rule.members([figure * factor for figure in figures], cohorts).tolist() == expected


def test_reports_give_rates_burden_churn_and_equal_burden() -> None:
    """Static line at 50: captures the four models of 2024; the index's top are two of them and one of 2023."""
    label = np.array([True, False, False, False, True, False, False, True])
    values = np.array([[float(f)] for f in FIGURES])
    (report,) = compare_rules(
        [Static(Threshold("x", 50, ">="))], FIGURES, values, COHORTS, label, label[:, None], FACTORS, np.ones((8, 1))
    )
    assert (report.burden.point, report.burden.mean, report.chance) == (4, 4, 0.5)
    assert report.coverage.point == pytest.approx(2 / 3)
    assert report.false_negative_rate.point == pytest.approx(1 / 3)
    assert report.false_positive_rate.point == pytest.approx(2 / 5)
    assert report.ppv.point == pytest.approx(1 / 2)
    assert report.youden_j.point == pytest.approx(2 / 3 - 2 / 5)
    assert report.static_coverage == report.coverage.point  # it is the largest four
    assert report.static_youden_j == pytest.approx(report.youden_j.point)
    assert (report.churn, report.mixed) == (0.0, 0.0)
    assert report.common == 3  # half: 50, 60 and 70 fall below; the others move fewer
    assert report.per_year == ((2023, 0), (2024, 4))
    assert report.per_class == (("a", 2), ("b", 2))


def test_churn_is_the_share_that_the_next_line_lets_go() -> None:
    """Top tenth of 2023 is the model of 30 FLOP; the line of 2024 lies above it. 2025 has no line."""
    label = np.zeros(8, dtype=bool)
    values = np.array([[float(f)] for f in FIGURES])
    rules = [default_rules([])[0], OfIndex("i", ~label), Static(Threshold("none", 10**9))]
    reports = compare_rules(rules, FIGURES, values, COHORTS, label, label[:, None], FACTORS, np.ones((8, 1)))
    assert [report.churn for report in reports] == [1.0, 0.0, None]
    assert reports[0].coverage.point is reports[0].static_youden_j is None  # nothing is in the top
    assert reports[2].ppv.point is None  # nothing is captured


def test_the_curve_is_the_rank_statistic() -> None:
    label = np.array([False, True, False, False, True, False, True, True])
    figures = [Fraction(f) for f in (1, 2, 2, 3, 5, 6, 6, 9)]
    pairs = [
        (a > b) + 0.5 * (a == b)
        for a, x in zip(figures, label, strict=True)
        if x
        for b, y in zip(figures, label, strict=True)
        if not y
    ]
    curve = roc_curve(figures, label)
    assert curve.auc == pytest.approx(sum(pairs) / len(pairs))
    assert [point.threshold for point in curve.points] == [9, 6, 5, 3, 2, 1]
    assert curve.points[-1].coverage == curve.points[-1].false_positive_rate == 1
    assert curve.best is not None
    assert curve.best.youden_j == max(point.youden_j for point in curve.points)
    assert roc_curve(figures, np.zeros(8, dtype=bool)).auc is None


# The risk index


def test_the_index_standardises_within_class_and_year() -> None:
    """Compute grows by orders of magnitude a year; the index of a basket of compute alone does not see the year."""
    index = risk_index(
        BUNDLED.where(lambda m: m.training_flop is not None), metrics=["compute"], weights={"compute": 1}
    )
    scores = {model.key: model.score for model in index.models}
    by_year = {
        year: [scores[m.key] for m in BUNDLED if m.key in scores and m.domain == "language" and m.date.year == year]
        for year in (2022, 2023, 2024, 2025)
    }
    for some in by_year.values():
        assert sorted(some)[len(some) // 2] == pytest.approx(0, abs=0.3)
    assert index.top.sum() == index.k
    assert all(model.missing == () for model in index.models)


def test_weights_on_the_simplex_and_top_probabilities() -> None:
    index = risk_index(BUNDLED, metrics=["data", "open_weights", "modality"], draws=400, rng=1)
    assert index.top.sum(axis=0).tolist() == [index.k] * 400
    assert sum(model.top_probability for model in index.models) == pytest.approx(index.k)
    again = risk_index(BUNDLED, metrics=["data", "open_weights", "modality"], draws=400, rng=1)
    assert json.dumps(again.to_dict()) == json.dumps(index.to_dict())
    lacking = {model.key for model in index.models if "data" in model.missing}
    assert lacking == {m.key for m in BUNDLED if m.tokens is None and m.examples is None}
    excluded = risk_index(BUNDLED, metrics=["data", "open_weights", "modality"], missing="exclude", draws=2, rng=1)
    assert lacking <= set(excluded.excluded)
    assert len(excluded.models) + len(excluded.excluded) == len(BUNDLED)


def test_weights_uniform_on_the_simplex_have_the_means_and_variances_of_a_dirichlet() -> None:
    from flopcore.study.index import _weights

    n = 20_000
    w = _weights(["compute", "data", "cost"], None, n, 5)
    assert np.allclose(w.sum(axis=0), 1)
    # Dirichlet(1, 1, 1): mean 1/3, variance 1/18; six standard errors.
    assert np.all(np.abs(w.mean(axis=1) - 1 / 3) < 6 * math.sqrt(1 / 18 / n))
    assert np.all(np.abs(w.var(axis=1) - 1 / 18) < 0.003)


def test_a_bad_index_is_refused() -> None:
    for options, message in (
        ({"metrics": ["luck"]}, "'luck'; there are compute"),
        ({"metrics": []}, "none; there are"),
        ({"weights": {"compute": -1}}, "not negative"),
        ({"weights": {"compute": 0}}, "above zero"),
        ({"missing": "drop"}, "'exclude' or 'impute'"),
        ({"metrics": ["cost"], "missing": "exclude"}, "no model has all of cost"),
        ({"draws": 0}, "draws=0"),
    ):
        with pytest.raises(ValueError, match=message):
            risk_index(BUNDLED, **options)  # type: ignore[arg-type]
    assert set(METRICS) >= {"compute", "capability", "data", "modality", "open_weights", "cost"}


# Ways of counting


def test_variance_of_a_headline_is_that_of_a_simulation_of_ways_and_errors() -> None:
    models = [Counted(f"m{i}", 10**24, 24.4 + i / 10, 0.3, "ab"[i % 2]) for i in range(12)]
    part = headline(models, LINE)
    assert sum(share for _, share in part.shares) == pytest.approx(1)
    rng = np.random.default_rng(8)
    n = 200_000
    way = np.log10(np.array([float(f) for f in FACTORS]))[rng.integers(0, 4, n)]
    logs = np.array([m.log10_median for m in models])[:, None] + 0.3 * rng.standard_normal((12, n)) + way
    counts = (logs > 25).sum(axis=0)
    assert part.mean == pytest.approx(counts.mean(), abs=6 * counts.std() / math.sqrt(n))
    assert part.variance == pytest.approx(counts.var(), rel=6 * math.sqrt(2 / n) * 1.5)
    between = np.var([counts[way == w].mean() for w in set(way.tolist())])
    assert dict(part.shares)["way of counting"] == pytest.approx(between / counts.var(), abs=0.01)
    # The errors' first order: the variance of E[N | errors], the ways averaged out.
    ways = np.log10(np.array([float(f) for f in FACTORS]))
    averaged = np.mean([((logs - way + w) > 25) for w in ways], axis=0)
    inputs = {item.input: item for item in part.inputs}
    for label, rows in (("a", averaged[0::2]), ("b", averaged[1::2])):
        alone = rows.sum(axis=0).var() / counts.var()
        assert inputs[f"error of {label} figures"].first_order == pytest.approx(alone, abs=0.01)
    assert sum(item.shapley for item in part.inputs) == pytest.approx(1)
    assert all(item.first_order <= item.shapley <= item.total for item in part.inputs)


def test_mixed_counting_has_the_mean_of_the_common_ways_and_less_spread() -> None:
    models = [Counted(f"m{i}", 10**24, 24.4 + i / 10, 0.3, "x") for i in range(12)]
    common = [count_by_factor(models, LINE, factor) for factor in FACTORS]
    mixed = count_mixed(models, LINE)
    assert mixed.expected == pytest.approx(sum(c.expected for c in common) / 4)
    assert mixed.sd**2 < headline(models, LINE).variance
    factors = mixed_factors(["a", "b"], 4001, rng=3)
    assert set(factors[0]) == {float(f) for f in FACTORS}
    # Four equally likely values, 4,001 draws: six standard errors are 164.
    assert all(abs(int((factors == f).sum()) - 2000.5) < 6 * math.sqrt(8002 * 3 / 16) for f in map(float, FACTORS))
    assert np.array_equal(mixed_factors(["b"], 4001, rng=3)[0], factors[1])  # by name, not by place


# What a line misses


def test_missed_models_are_under_and_effectively_over() -> None:
    values = np.array([[8e24, 2e25], [2e24, 2e24]])
    found = missed_models("x", values, values * 10, [Fraction(10**24), Fraction(10**23)], [Fraction(10)] * 2, LINE)
    assert (found.missed, found.effective, found.point) == (1.5, 2.0, 1)
    assert found.rate == pytest.approx(0.75)


def test_progress_gains_nothing_before_the_reference_and_a_doubling_in_eight_months() -> None:
    values = np.full((2, 2001), 6e24)
    days = [dt.date(2024, 1, 1), dt.date(2025, 3, 1)]
    found = missed_by_progress(values, [Fraction(6 * 10**24)] * 2, days, [LINE], reference=dt.date(2024, 7, 1), rng=1)
    for item in found:
        assert item.point == 1  # the later one: 6e24 x 2
        assert item.missed + 0.0 == item.effective  # the earlier one gains nothing
    # 6e24 2^(8 / tau) > 1e25 where tau < 10.9 months.
    expected = [0.5 * (1 + math.erf(math.log(8 / math.log2(10 / 6) / 8) / s / math.sqrt(2))) for s in (
        math.log(14 / 8) / 1.95996, math.log(22 / 8) / 1.64485)]  # fmt: skip
    for item, p in zip(found, expected, strict=True):
        assert abs(item.missed - p) < 6 * math.sqrt(p * (1 - p) / 2001) + 0.01  # 8 months of 30.4 days


def test_staleness_of_a_year_is_2_83_at_eight_months() -> None:
    found = {(item.doubling, item.months): item for item in staleness()}
    for doubling in DOUBLINGS:
        year = found[doubling.name, 12.0]
        assert year.p50 == pytest.approx(2**1.5)
        assert doubling.ppf([(1 - doubling.level) / 2, 0.5, (1 + doubling.level) / 2]).tolist() == pytest.approx(
            [doubling.low, 8, doubling.high]
        )
    assert found[DOUBLINGS[1].name, 12.0].p05 == pytest.approx(2 ** (12 / 22))
    assert found[DOUBLINGS[1].name, 12.0].p95 == pytest.approx(2**6)


# Gaming


def test_bunching_sees_a_heap_below_the_line() -> None:
    spread = [Fraction(10**25) * Fraction(2) ** i / 10 for i in range(-4, 9)]
    heap = spread + [Fraction(98 * 10**23)] * 12
    calm, heaped = bunching(spread, LINE), bunching(heap, LINE)
    assert heaped.below == calm.below + 12
    assert heaped.p_value < 1e-6 < 0.05 < calm.p_value
    assert bunching([], LINE).p_value == 1.0


def test_a_half_of_other_data_escapes_the_biology_line() -> None:
    found = {item.share: item for item in dodge([("a", 6 * 10**23), ("b", 9 * 10**25), ("c", 10**22)])}
    assert found[1.0].keys == ("a", "b")
    assert found[0.51].keys == ("a", "b")
    assert found[0.5].keys == ("b",)  # it needs twice the compute, and that is over 1e26
    assert found[0.1].keys == ("b",)


# Missing figures


def test_censored_models_are_counted_by_the_trend_above_their_line() -> None:
    from dataclasses import replace

    prior = Prior(dt.date(2024, 1, 1), 23.5, 0.5, 0.8)
    model = replace(BUNDLED.models[0], key="dark", date=dt.date(2024, 1, 1), training_flop=None, possibly_over=10**23)
    lines = [Threshold("a", 10**22), Threshold("b", 10**24)]
    low, high = censored_counts([model, BUNDLED.models[0]], lines, prior)
    assert (low.n, low.expected) == (1, 1)

    def upper(x: float) -> float:
        return 0.5 * math.erfc((x - 23.5) / 0.8 / math.sqrt(2))

    assert high.expected == pytest.approx(upper(24) / upper(23))


def test_the_study_says_what_it_did_with_missing_figures(tmp_path: Path) -> None:
    header = (
        "Model,Publication date,Training compute (FLOP),Domain,Confidence,Possibly over 1e23 FLOP,Parameters,"
        "Training dataset size (total)"
    )
    rows = [
        f"m{i},202{i % 5}-03-0{i % 7 + 1},{(i + 1) * 10 ** (21 + i % 5)},Language,Likely,,{10 ** (8 + i % 4)},1e12"
        for i in range(20)
    ]
    rows += ["dark,2024-01-01,,Language,,True,,", "gap,2024-01-01,,Language,,,1e10,1e12"]
    path = tmp_path / "m.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    table = read_epoch(path)
    plain, filled, apart = (run_hooker(table, missing=m, draws=200, rng=0) for m in ("exclude", "impute", "censored"))  # type: ignore[arg-type]
    assert (plain.imputation, plain.censored) == ((), ())
    assert {way.way: way.filled for way in filled.imputation}["6ND"] == 1
    assert len(filled.models) == len(plain.models) + 1
    assert [item.key for item in filled.excluded] == ["dark"]
    assert [count.n for count in apart.censored] == [1] * 4
    assert apart.censored[0].expected == 1
    with pytest.raises(ValueError, match="missing='drop'"):
        run_hooker(table, missing="drop", draws=2)  # type: ignore[arg-type]


# Claims


def test_skewness_of_a_known_sample() -> None:
    found = skewness("x", [1, 10, 100, 1000, 10**6])
    assert found is not None
    logs = np.array([0, 1, 2, 3, 6.0])
    assert found.log10 == pytest.approx(((logs - logs.mean()) ** 3).mean() / logs.std() ** 3)
    assert skewness("x", [1, 1, 1]) is None


@pytest.fixture(scope="module")
def february_2025() -> HookerResult:
    path = SHARED / "epoch_notable_2025-02-24.csv"
    if not path.exists():
        pytest.skip("this machine has no shared/data beside the checkout")
    return run_hooker(read_epoch(path), comparators=(">=",), draws=2000, rng=0)


def test_the_way_of_counting_explains_77_percent(february_2025: HookerResult) -> None:
    """Equal weights on 1/2, 1, 4/3 and 2, at 1e25, as the project's facts have it; and exact counts beside them."""
    parts = {part.policy: dict(part.shares) for part in february_2025.essay.variance}
    assert parts[">=1e25"]["way of counting"] == pytest.approx(0.77, abs=0.02)
    known = {0.5: (10, 12.2), 1.0: (17, 18.3), 2.0: (25, 26.5)}
    for count in february_2025.essay.by_factor:
        if count.policy == ">=1e25" and count.factor in known:
            assert (count.point, round(count.expected, 1)) == known[count.factor]


def test_claims_and_skewness_equal_the_facts(february_2025: HookerResult) -> None:
    known = {
        "parameters": (596, 6.4, -0.84),
        "FLOP": (451, 19.7, -1.23),
        "data": (446, 5.1, -0.14),
        "time": (199, 3.8, -0.80),
    }
    for spread in february_2025.essay.skewness:
        assert (spread.n, round(spread.raw, 1), round(spread.log10, 2)) == known.pop(spread.quantity)
        assert spread.p_value < 1e-2
    assert not known
    claims = {claim.id: claim for claim in february_2025.essay.claims}
    assert [name for name, claim in claims.items() if claim.agrees] == [
        "H3",
        "H4",
        "H5",
        "H6",
        "H7",
        "H8",
        "H9",
        "H11",
        "H12",
    ]
    assert claims["H5"].computed.startswith("6.2; within a factor of 10 below the line: ")
    assert claims["H5"].computed.count(",") == 5  # six models
    assert claims["H10"].agrees is None  # the file has no active parameters


def test_a_synthetic_population_shows_the_coverage_of_naive_and_shrunk_counts() -> None:
    """Truth normal around a trend, figures of known error: the shrunk 90 % interval covers the true count as often as
    it says, the naive one is far too high in the tail. 200 populations; false alarm below 1e-6."""
    rng = np.random.default_rng(77)
    sd, line, n = math.log10(30) / 1.6448536, Threshold("x", 3162277660168379331998893), 200
    covered = {"resample": 0, "shrink": 0}
    excess = {"resample": 0.0, "shrink": 0.0}
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=10 * i) for i in range(80)]
    for _ in range(n):
        truth = 23.0 + 0.8 * rng.standard_normal(80)
        logs = truth + sd * rng.standard_normal(80)
        figures = [Figure(day, float(log10), sd) for day, log10 in zip(days, logs, strict=True)]
        prior = fit_prior(figures)
        over = int((truth > 24.5).sum())
        for how, moments in (
            ("resample", [(figure.log10, sd) for figure in figures]),
            ("shrink", [prior.posterior(figure) for figure in figures]),
        ):
            law = count_law(probabilities([Counted("m", 10, mean, width, "x") for mean, width in moments], line))
            covered[how] += law.quantile(0.05) <= over <= law.quantile(0.95)
            excess[how] += (law.mean - over) / n
    # Nominal 90 % with the prior estimated from 80 figures: 180 of 200, sd 4.2; the naive interval misses most.
    assert covered["shrink"] >= 155
    assert covered["resample"] < 60
    assert excess["resample"] > 4 > 1 > abs(excess["shrink"])
