"""The forecast from yearly budgets: against the reference, closed forms, and what was computed from its recipe."""

from __future__ import annotations

import csv
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from flopcore import _core
from flopcore.errors import DataError
from flopcore.reference.allocation import BudgetYear, lognormal_between, simulate
from flopcore.study.allocation import Allocation, allocation_spec, yearly_budgets
from flopcore.study.allocation_run import AllocationResult, run_allocation
from flopcore.study.epoch import read_epoch
from flopcore.study.renewal import continuum_count, renewal_count
from flopcore.sweep_run import rel_error

SHARED = Path(__file__).parents[3] / "shared" / "data"
DRAWS = 100_000
MODEL = Allocation.bundled()
LINES = [10**25, 10**26, 10**27]
WIDTHS = [Fraction(1, 2), 1, Fraction(3, 2)]
ENDS = (89, 180, 272, 364)


@pytest.fixture(scope="module")
def result() -> AllocationResult:
    return run_allocation(draws=DRAWS, rng=5)


def counts(histograms: np.ndarray) -> list[list[int]]:
    """Histograms [year, axis, count] of a single draw as counts."""
    return [[int(np.flatnonzero(row)[0]) for row in year] for year in histograms]


def test_each_simulation_is_that_of_the_reference() -> None:
    """The core skips bins that cannot count; the reference draws every model of every year."""
    plan = allocation_spec(MODEL, thresholds=LINES, widths=WIDTHS, key=[3, 4]).build()
    years = []
    for year in (*(y for y, _ in MODEL.history), *MODEL.years):
        flop, power = MODEL.budget(year)
        largest: tuple[str, *tuple[float, ...]] = lognormal_between(0.05, 0.5, 4)
        if year < MODEL.first_year:
            largest = ("uniform", 0.05, 0.5)
        elif year == MODEL.first_year:
            largest = ("fixed", 3.8e25)
        leap = int(year % 4 == 0)
        years.append(BudgetYear(str(year), float(flop), power, largest, [day + leap for day in ENDS]))
    rejected = 0
    for draw in (0, 1, 2, 3, 127, 128, 1000, 99_999):
        expected = simulate(
            years,
            key=(3, 4),
            draw=draw,
            growth=(float(MODEL.growth), 0.5),
            gradient=(0.9, 1.1),
            log10_ratio=(-8.0, -6.0),
            n_bins=19,
            thresholds=[float(line) for line in LINES],
            widths=[0.5, 1.0, 1.5],
        )
        per_year, cumulative, frontier, _, redrawn = plan.evaluate(draw, draw + 1, 1)
        assert counts(per_year) == expected.over[7:]
        assert counts(frontier) == expected.near[7:]
        assert redrawn.tolist() == expected.rejected
        rejected += sum(expected.rejected)
        totals = np.cumsum([[0, 0, expected.over[7][2]], *expected.over[8:]], axis=0)
        assert counts(cumulative) == totals.tolist()
    assert rejected > 0


def test_counts_add_up_over_ranges() -> None:
    plan = allocation_spec(MODEL, thresholds=LINES, widths=WIDTHS, key=[1, 2]).build()
    whole = plan.evaluate(70, 1_300, 2)
    parts = [plan.evaluate(a, b, 1) for a, b in ((70, 71), (71, 128), (128, 129), (129, 1_300))]
    for t, total in enumerate(whole):
        assert np.array_equal(total, sum(part[t] for part in parts))
    assert all(array.sum() == 0 for array in plan.evaluate(5, 5, 1))


def test_a_checkpoint_an_executor_and_a_rule_change_nothing_but_the_time(tmp_path: Path) -> None:
    options = {"thresholds": ["1e25", "1e26"], "rng": 4}
    expected = run_allocation(draws=3_000, **options)  # type: ignore[arg-type]
    first = run_allocation(draws=1_000, checkpoint=tmp_path, **options)  # type: ignore[arg-type]
    resumed = run_allocation(draws=3_000, checkpoint=tmp_path, **options)  # type: ignore[arg-type]
    assert first.draws == 1_000
    assert resumed.to_dict() == expected.to_dict()
    with ThreadPoolExecutor(2) as pool:
        assert run_allocation(draws=3_000, executor=pool, **options).to_dict() == expected.to_dict()  # type: ignore[arg-type]
    with pytest.raises(DataError, match="another study"):
        run_allocation(draws=3_000, checkpoint=tmp_path, rng=5)
    early = run_allocation(draws=10**9, until=rel_error(0.5), thresholds=["1e25"], rng=4)
    assert early.draws < 10**6


def single(budget: float, share: float, k: float, edges: int, ratio: float = -7.0) -> _core.BudgetAllocation:
    """One year whose inputs are all known."""
    return _core.BudgetAllocation(
        key=[1, 1],
        growth=(1.0, 0.0, 0.0),
        gradient=(k, k),
        log10_ratio=(ratio, ratio),
        n_bins=edges - 1,
        thresholds=[1e25, 3.3e26, 1e28],
        width_factors=[10.0],
        cumulate_from=[0, 0, 0],
        max_count=4095,
        n_groups=1,
        years=[("y", budget, 0, 1, share, share, 0.0, 1.0, [364], True)],
    )


def moments(histogram: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error."""
    n, k = histogram.sum(), np.arange(len(histogram))
    mean = float((histogram * k).sum() / n)
    return mean, math.sqrt((float((histogram * k * k).sum() / n) - mean * mean) / n)


@pytest.mark.parametrize(("share", "k", "edges"), [(0.05, 1.0, 20), (0.05, 0.93, 12), (0.08, 1.07, 9), (0.03, 1.0, 40)])
def test_renewal_theory_agrees_with_the_simulation(share: float, k: float, edges: int) -> None:
    """Where a bin holds many models; per comparison false alarm < 6e-7."""
    budget, n = 9.58e28, 20_000
    histograms = single(budget, share, k, edges).evaluate(0, n, 1)[0][0]
    for t, line in enumerate((1e25, 3.3e26, 1e28)):
        mean, error = moments(histograms[t])
        theory = renewal_count(line, budget, share, k, log10_size_ratio=-7.0, bins=edges - 1)
        # What the asymptotic mean leaves out falls as exp(-2 pi^2 cv^2 n): below 1e-4 a bin for the fewest models here.
        assert abs(mean - theory) < 5 * error + 1e-4 * edges, (line, mean, theory)


def test_the_excess_over_the_continuum_is_the_remainder_of_each_bin() -> None:
    """s / (2 mu^2) a bin: 2/3 for wide bins, 1/2 for narrow ones; none in the closed form."""
    budget, share = 1e30, 0.02
    for edges, ratio in ((4, -6.0), (60, -6.0)):
        q = 10 ** (ratio / (edges - 1))
        mean, square = (1 + q) / 2, (1 + q + q * q) / 3
        theory = renewal_count(1.0, budget, share, 1.0, log10_size_ratio=ratio, bins=edges - 1)
        spent = (edges - 1) * (1 - q) / share / mean  # bins spend their budget on models of mean size mu
        assert theory - spent == pytest.approx((edges - 1) * square / (2 * mean * mean), rel=1e-9)


def test_the_continuum_is_the_integral_of_the_density() -> None:
    for k in (0.9, 0.99999999, 1.0, 1.1):
        share, budget, line = 0.2, 1e28, 1e25
        m = np.exp(np.linspace(math.log(line / (share * budget)), 0.0, 200_001))
        density = k * m ** (k - 1) / share  # per unit of ln m
        integral = float(((density[1:] + density[:-1]) / 2 * np.diff(np.log(m))).sum())
        assert float(continuum_count(line, budget, share, k)) == pytest.approx(integral, rel=1e-8)
    assert float(continuum_count(1e25, 1e25, 0.5, 1.0)) == 0.0


def test_the_continuum_mean_is_near_the_simulated_one(result: AllocationResult) -> None:
    """The bins add 0.5 to 0.67 models each, the rejection takes a little: up to 8 % more where a count is large."""
    for count in result.per_year:
        assert count.continuum is not None
        if count.mean > 5:
            assert -0.01 < count.mean / count.continuum - 1 < 0.08


def test_published_sums_and_joint_percentiles(result: AllocationResult) -> None:
    """1e25 to the end of 2028 as computed apart from this code: summed 104/171/299, joint 133/179/244."""
    style, joint = result.style(10**25, 2028), result.total(10**25, 2028)
    assert style is not None
    assert joint is not None
    # Five standard errors of a percentile at 100,000 draws are under a model a year.
    assert (style.p05, style.p50, style.p95) == pytest.approx((104, 171, 299), abs=4)
    assert (joint.p05, joint.p50, joint.p95) == pytest.approx((133, 179, 244), abs=1)
    other = result.total(10**26, 2028)
    assert other is not None
    assert (other.p05, other.p50, other.p95) == pytest.approx((54, 84, 123), abs=1)
    for line, offset in MODEL.observed:
        first = result.total(line, 2024)
        assert first is not None
        assert (first.p05, first.mean, first.mc_error) == (offset, offset, 0)
    assert "times as wide), the 90 % interval of the total" in result.reading[0]


def test_joint_mean_is_the_sum_of_yearly_means(result: AllocationResult) -> None:
    for line in (10**25, 10**26, 10**27):
        years = [c.mean for c in result.per_year if c.axis == line and c.year > 2024]
        total = result.total(line, 2028)
        assert total is not None
        assert total.mean == pytest.approx((MODEL.offset(line) or 0) + sum(years), rel=1e-12)


def test_an_unobserved_threshold_counts_the_first_year_too() -> None:
    model = replace(MODEL, observed=())
    found = run_allocation(model, thresholds=["1e25"], draws=500, rng=1)
    first, yearly = found.total(10**25, 2024), found.per_year[0]
    style = found.style(10**25, 2024)
    assert first is not None
    assert style is not None
    assert first.mean == yearly.mean > 10
    assert style.p50 == yearly.p50


def test_percentile_intervals_hold_the_percentile_of_a_longer_run(result: AllocationResult) -> None:
    """95 % intervals of 24 percentiles at 2,000 draws: order statistics of counts cover at least that often."""
    short = run_allocation(thresholds=["1e25", "1e26"], draws=2_000, rng=2)
    missed = 0
    long = [count for count in result.joint if count.axis in (10**25, 10**26)]
    for truth, found in zip(long[2:], short.joint[2:], strict=True):
        for percentile, (low, high) in zip((truth.p05, truth.p50, truth.p95), found.interval, strict=True):
            missed += not low <= percentile <= high
    assert missed <= 8  # false alarm below 1e-5 were they independent and just 95 %


def test_variance_shares(result: AllocationResult) -> None:
    """Shares computed apart from this code at 200,000 draws, for the total over 1e25 and 1e26."""
    found = {(share.threshold, share.input): share.share for share in result.sensitivity}
    known = {
        (10**25, "largest_share 2028"): 0.345,
        (10**25, "largest_share 2027"): 0.203,
        (10**25, "growth"): 0.186,
        (10**25, "largest_share 2026"): 0.120,
        (10**25, "gradient 2028"): 0.023,
        (10**26, "growth"): 0.432,
        (10**26, "largest_share 2028"): 0.333,
    }
    for key, share in known.items():
        # The estimate's standard error is about sqrt(2 S (1 - S) / draws) + its bias: below 0.003 at either size.
        assert found[key] == pytest.approx(share, abs=0.015), key
    assert 0.9 < sum(s.share for s in result.sensitivity if s.threshold == 10**25) < 1.0


def test_total_shares(result: AllocationResult) -> None:
    """At least the first order, for inputs that depend on no other; above 1 in all, as inputs share interactions."""
    for line in (10**25, 10**26):
        found = {share.input: share for share in result.sensitivity if share.threshold == line}
        for name in ("growth", "sizes"):
            error = found[name].total_error
            assert error is not None
            assert found[name].total > found[name].share - 6 * (error + result.draws**-0.5), name
        errors = sum(share.total_error or 0.0 for share in found.values())
        assert 1.0 - 6 * errors < sum(share.total for share in found.values()) < 1.3
        assert found["gradient 2024"].total == 0.0  # the observed count stands for that year


def test_total_shares_of_two_inputs_are_what_the_other_leaves() -> None:
    """With growth and the sizes of models alone at random: total order of one is 1 less first order of the other."""
    alone = MODEL.with_knobs({"largest_share": "0.2..0.2", "gradient": "1..1", "log10_size_ratio": "-7..-7"})
    found = run_allocation(alone, thresholds=["1e26"], draws=30_000, rng=4)
    share = {share.input: share for share in found.sensitivity}
    slack = 6 * (3_000**-0.5 + (share["growth"].total_error or 0.0))
    assert share["sizes"].total > 0.05
    assert share["growth"].total == pytest.approx(1 - share["sizes"].share, abs=slack)
    assert share["sizes"].total == pytest.approx(1 - share["growth"].share, abs=slack)
    assert all(s.total == 0.0 for name, s in share.items() if name not in ("growth", "sizes"))
    still = replace(alone, growth_sd=0)
    one = {s.input: s for s in run_allocation(still, thresholds=["1e26"], draws=20_000, rng=4).sensitivity}
    assert one["growth"].total == 0.0
    assert one["sizes"].total == pytest.approx(1.0, abs=6 * (one["sizes"].total_error or 0.0) + 6 * 2_000**-0.5)


def test_a_redrawn_input_follows_its_distribution_given_the_others() -> None:
    """A Gibbs step: totals move, their law does not. Mean differences of 5 inputs within 6 standard errors."""
    spec = allocation_spec(MODEL, thresholds=[10**25], widths=[1], key=[3, 4])
    base = spec.build().totals(0, 8_000, 1)[:, 0]
    for name in ("growth", "largest_share 2028", "size_ratio 2028", "gradient 2028", "sizes"):
        gain = spec.build((name,), (5, 6)).totals(0, 8_000, 1)[:, 0] - base
        assert gain.any(), name
        assert abs(gain.mean()) < 6 * gain.std() / math.sqrt(len(gain)), name
    with pytest.raises(DataError, match="no input 'gradient 2029' to draw again"):
        spec.build(("gradient 2029",), (5, 6))


def test_growth_floor_and_scenarios_move_the_count_as_they_must() -> None:
    def mean(model: Allocation) -> float:
        total = run_allocation(model, thresholds=["1e26"], draws=4_000, rng=2).total(10**26, 2028)
        assert total is not None
        return total.mean

    base = mean(MODEL)
    assert mean(MODEL.with_knobs({"growth_share": "1.5"})) > base + 3
    assert mean(MODEL.with_knobs({"training_share": "0.4,0.4,0.4,0.2,0.2"})) < base - 3
    assert mean(MODEL.with_knobs({"largest_share_shape": "uniform"})) < base - 3
    assert mean(MODEL.with_knobs({"growth_floor": "3.9"})) > base + 3


def test_low_growth_is_an_error_that_says_what_to_do_and_a_floor_helps() -> None:
    """The first year's largest model is known, so a low growth leaves no budget for it: the authors' code hangs."""
    wide = MODEL.with_knobs({"growth_sd": "1.5"})
    with pytest.raises(DataError, match=r"draw \d+: .* set a floor to it"):
        run_allocation(wide, draws=2_000, rng=1)
    floored = run_allocation(replace(wide, growth_floor=2), draws=2_000, rng=1)
    assert floored.draws == 2_000


def test_bad_parameters_are_refused() -> None:
    for knobs, message in (
        ({"growth_sdd": "1"}, "no parameter 'growth_sdd'"),
        ({"growth_sd": "a"}, "not a number"),
        ({"size_edges": "2.5"}, "whole number"),
        ({"largest_share": "0.5..0.05"}, "low <= high"),
        ({"largest_share": "0.5"}, "range such as"),
        ({"largest_share_shape": "normal"}, "one of lognormal, uniform"),
        ({"training_share": "0.4,1.4"}, "one share in"),
        ({"gradient": "0..1"}, "0 < low"),
        ({"log10_size_ratio": "-8..1"}, "high < 0"),
        ({"size_edges": "1"}, "at least 2"),
        ({"history": "2024:1e26"}, "before first_year"),
        ({"growth_floor": "9"}, "above the mean growth"),
    ):
        with pytest.raises(ValueError, match=message):
            MODEL.with_knobs(knobs)
    with pytest.raises(ValueError, match="draws=0"):
        run_allocation(draws=0)
    with pytest.raises(ValueError, match="thresholds: at least one"):
        run_allocation(thresholds=[])
    with pytest.raises(ValueError, match="threads=0"):
        run_allocation(threads=0)


def test_the_core_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(DataError, match=r"the largest model's share .* is too small"):
        single(1e28, 1e-7, 1.0, 2).evaluate(0, 1, 1)
    with pytest.raises(DataError, match="exceed max_count=4095; raise it"):
        single(1e30, 2e-4, 1.0, 4).evaluate(0, 1, 1)
    with pytest.raises(DataError, match="not a range"):
        single(1e28, 0.1, 1.0, 4).evaluate(2, 1, 1)


@pytest.mark.skipif(not SHARED.exists(), reason="this machine lacks the shared data")
def test_history_is_that_of_the_published_table() -> None:
    """296 models of Epoch AI's notable table of 2025-02-24; the loader drops junk digits below a millionth."""
    table = read_epoch(SHARED / "epoch_notable_2025-02-24.csv")
    found = yearly_budgets(table, first=2017, last=2023, left_out=MODEL.left_out)
    assert [year for year, _ in found] == [year for year, _ in MODEL.history]
    for (_, flop), (_, published) in zip(found, MODEL.history, strict=True):
        assert float(flop) == pytest.approx(float(published), rel=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="this machine lacks the shared data")
def test_means_agree_with_the_oracle_at_every_year_threshold_and_width() -> None:
    """Independent simulations of the published recipe; 40 comparisons, each a false alarm below 7e-5 at four
    standard errors (seed fixed)."""
    found = run_allocation(draws=200_000, rng=7)
    for file, axis, ours in (("per_year", "threshold", found.per_year), ("frontier", "width", found.frontier)):
        means = {(count.year, float(count.axis)): count for count in ours}
        with (SHARED / f"kumar_manning_means_{file}.csv").open(newline="") as rows:
            for row in csv.DictReader(rows):
                count = means.pop((int(row["year"]), float(row[axis])))
                error = math.hypot(count.mc_error, float(row["se"]))
                # A count seen in no draw may have been seen once in a longer run.
                assert abs(count.mean - float(row["mean"])) <= max(4 * error, 1e-5), row
        assert not means
