"""Sinks against closed forms and the draws themselves; labels, thresholds, and what they refuse."""

import math
from fractions import Fraction

import numpy as np
import pytest

import flopcore as fc
from flopcore import program as p
from flopcore.distributions import Discrete, LogNormal, Normal, Uniform

KEYS = tuple(f"m{i}" for i in range(9))
LINES = [fc.Threshold("hi", 10**26, ">="), fc.Threshold("lo", 10**24, ">"), fc.Threshold("mid", 10**25, ">")]


def population():
    return fc.variable("C", [LogNormal(10.0 ** (23 + i / 3), 1.0) for i in range(9)])


def sweep(entities=KEYS, draws=4000, rng=2, **sinks):
    return fc.sweep(fc.Program(sinks, entities), draws=draws, rng=rng)


def values(draws=4000, **nodes):
    return fc.draw_values(nodes, draws=draws, entities=KEYS, rng=2)


def test_counts_are_those_of_the_draws():
    x = population()
    years = [2023, 2024, 2025] * 3
    kinds = ["open", "closed", "open"] * 3
    result = sweep(c=fc.CountAbove(x, LINES, groups={"year": years, "kind": kinds}, joint=True))["c"]
    v = values(x=x)["x"]
    over = np.stack([v >= 1e26, v > 1e24, v > 1e25], axis=1)  # entity, threshold, draw
    assert np.array_equal(result.exceed_counts, over.sum(axis=2))
    assert result.n_rows.tolist() == [4000] * 9
    assert result.probability()[4] == pytest.approx(over[4].mean(axis=1))
    counts = []
    for year in (2023, 2024, 2025):
        for kind in ("open", "closed"):
            chosen = [y == year and k == kind for y, k in zip(years, kinds, strict=True)]
            counts.append(over[chosen].sum(axis=0))
    counts = np.array(counts).reshape(3, 2, 3, 4000)
    assert result.expected() == pytest.approx(counts.mean(axis=-1))
    assert result.count_sd() == pytest.approx(counts.std(axis=-1, ddof=1))
    assert result.mc_error() == pytest.approx(counts.std(axis=-1, ddof=1) / math.sqrt(4000))
    for q in (0.05, 0.5, 0.95):
        expected = np.quantile(counts, q, axis=-1, method="inverted_cdf")
        assert np.array_equal(result.count_quantile(q), expected)
    assert result.count_covariance() == pytest.approx(np.cov(counts.reshape(18, 4000)))
    assert [axis.dim for axis in result.groups] == ["year", "kind"]


def test_exceedance_of_the_study_by_category():
    x, which = fc.variable("t", LogNormal(1e25, 2.0)), fc.switch("which", ["1/3", "2/3"])
    result = sweep((), e=fc.Exceed(x * fc.lookup(which, [1, 2]), LINES, by=fc.Category("scope", which, ("own", "all"))))
    v = fc.draw_values({"x": x * fc.lookup(which, [1, 2]), "w": which}, draws=4000, rng=2)
    for k, label in enumerate(("own", "all")):
        chosen = v["x"][v["w"] == k]
        expected = [(chosen >= 1e26).sum(), (chosen > 1e24).sum(), (chosen > 1e25).sum()]
        assert result["e"].rows.labels[k] == label
        assert result["e"].exceed_counts[k].tolist() == expected
        assert result["e"].n_rows[k] == len(chosen)


def test_tables_are_joint_distributions():
    x = population()
    low, high = p.count(x > 10**24), p.count(x > 10**26)
    sink = fc.Table([fc.Category("low", low, range(10)), fc.Category("high", high, range(10))])
    result = sweep(t=sink)["t"]
    v = values(low=low, high=high)
    assert np.array_equal(result.counts, np.histogram2d(v["low"], v["high"], bins=[np.arange(11) - 0.5] * 2)[0])
    assert result.share().sum() == pytest.approx(1)


def test_confusion_counts_and_rates():
    x, risk = population(), fc.variable("risk", Uniform(0, 1), per="entity")
    result = sweep(c=fc.Confusion(label=x > 10**25, truth=risk > "0.7"))["c"]
    v = values(label=x > 10**25, truth=risk > "0.7")
    label, truth = v["label"] == 1, v["truth"] == 1
    assert result.counts.tolist() == [
        [int((~truth & ~label).sum()), int((~truth & label).sum())],
        [int((truth & ~label).sum()), int((truth & label).sum())],
    ]
    assert result.false_positive_rate() == (~truth & label).sum() / (~truth).sum()
    assert result.false_negative_rate() == (truth & ~label).sum() / truth.sum()
    assert result.positive_predictive_value() == (truth & label).sum() / label.sum()
    rates = [result.false_positive_rate(), result.false_negative_rate(), result.positive_predictive_value()]
    assert result.rates().tolist() == rates
    shares = np.array(rates)
    wholes = np.array([(~truth).sum(), truth.sum(), label.sum()])
    assert result.rate_errors() == pytest.approx(np.sqrt(shares * (1 - shares) / wholes))
    assert [m.name for m in result.measures()] == ["rows", "share", "rate"]
    never = sweep(c=fc.Confusion(x > 10**25, fc.column([0] * 9)))["c"]
    assert math.isnan(never.false_negative_rate())


def test_errors_of_counts_are_the_spread_of_runs():
    x = population()
    runs = [
        fc.sweep(fc.Program({"c": fc.CountAbove(x, LINES[:1])}, KEYS), draws=400, rng=seed)["c"] for seed in range(200)
    ]
    sds = np.array([run.count_sd()[0] for run in runs])
    told = np.mean([run.count_sd_error()[0] for run in runs])
    # The spread of 200 normals is known to 5 %; six of them.
    assert abs(sds.std(ddof=1) / told - 1) < 0.3
    for run in runs[:3]:
        low, high = (run.count_quantile(0.5 + sign * 0.5 / 20)[0] for sign in (-1, 1))
        assert run.count_quantile_error(0.5)[0] == (high - low) / 2
    known = sweep(c=fc.CountAbove(fc.column([10**30] * 9), LINES[:1]))["c"]
    assert known.count_sd_error().tolist() == [0.0]
    assert known.count_quantile_error("0.95").tolist() == [0.0]


def test_moments_are_exact_sums():
    x, y = fc.variable("x", Normal(3, 2)), fc.variable("y", Uniform(-1, 5))
    which = fc.switch("w", ["1/2", "0", "1/2"])
    result = sweep(
        (),
        m=fc.Moments({"x": x, "xy": x * y, "which": which}),
        by=fc.Moments({"x": x}, by=fc.Category("w", which, "abc")),
    )
    v = fc.draw_values({"x": x, "xy": x * y, "w": which}, draws=4000, rng=2)
    table = np.array([v["x"], v["xy"], v["w"]])
    assert result["m"].mean() == pytest.approx(table.mean(axis=1), rel=1e-11)
    assert result["m"].covariance() == pytest.approx(np.cov(table), rel=1e-9)
    assert result["m"].sd() == pytest.approx(table.std(axis=1, ddof=1), rel=1e-9)
    assert result["m"].totals[2] == sum(Fraction(w) for w in v["w"])  # whole numbers are not rounded
    assert result["by"].n_rows.tolist() == [(v["w"] == k).sum() for k in range(3)]
    assert result["by"].mean()[:, 0] == pytest.approx(
        [v["x"][v["w"] == 0].mean(), math.nan, v["x"][v["w"] == 2].mean()], nan_ok=True
    )
    assert np.isnan(result["by"].covariance()[1]).all()
    each = sweep(m=fc.Moments({"l": p.log10(population())}))["m"]
    assert each.mean()[:, 0] == pytest.approx(np.log10(values(x=population())["x"]).mean(axis=1), rel=1e-12)


@pytest.mark.parametrize("space", ["log10", "linear"])
def test_quantiles_are_close_to_the_closed_form(space):
    n, sigma = 400_000, 0.8
    x = 6 * fc.variable("N", LogNormal(7e10, 0.5)) * fc.variable("D", LogNormal(15e12, math.sqrt(sigma**2 - 0.25)))
    shares = ("0.001", "0.05", "0.5", "0.95", "0.999")
    options = {} if space == "log10" else {"high": 3e26}
    result = sweep((), n, q=fc.Quantiles(x, shares, space=space, bins=2**16, **options))["q"]
    exact = LogNormal(6 * 7e10 * 15e12, sigma).ppf([float(q) for q in shares])
    width = result.bin_width * (exact * math.log(10) if space == "log10" else 1)
    # Six standard errors; the seed is fixed.
    assert np.all(abs(result.quantile() - exact) <= 6 * result.quantile_error() + width)
    density = np.exp(-(np.log(exact / exact[2]) ** 2) / 2 / sigma**2) / (exact * sigma * math.sqrt(2 * math.pi))
    rows = np.array([math.sqrt(n * float(q) * (1 - float(q))) for q in shares])
    # The error is read from the 2 x rows draws within one standard error: six standard deviations of their number.
    assert np.all(abs(result.quantile_error() / (rows / n / density) - 1) <= 6 / np.sqrt(2 * rows))
    assert result.outside().tolist() == [0, 0]


def test_a_quantile_outside_the_bins_is_nan():
    x = fc.variable("x", Uniform(0, 10))
    result = sweep((), q=fc.Quantiles(x, ("0.1", "0.5", "0.9"), space="linear", low=2, high=8, bins=64))["q"]
    low, middle, high = result.quantile()
    assert math.isnan(low)
    assert math.isnan(high)
    assert 4.5 < middle < 5.5
    v = fc.draw_values({"x": x}, draws=4000, rng=2)["x"]
    assert result.counts.sum() == 4000
    assert result.outside()[0] == (v < 2).sum()


def test_scenarios_share_their_draws():
    n, d = fc.variable("N", LogNormal(7e10, 0.3)), fc.variable("D", LogNormal(15e12, 0.3))
    lines = [fc.Threshold("5e24", 5 * 10**24)]
    sink = fc.Along(
        "convention",
        {k: fc.Along("reading", {r: fc.Exceed(k * n * d / r, lines) for r in (1, 2)}) for k in (6, 8)},
    )
    result = sweep((), s=sink)
    alone = sweep((), s=fc.Exceed(8 * n * d / 2, lines))
    assert result["s"][8][2].exceed_counts.tolist() == alone["s"].exceed_counts.tolist()
    (measure,) = result["s"].measures()
    assert [axis.dim for axis in measure.axes] == ["convention", "reading", "threshold"]
    assert measure.values.shape == measure.error.shape == (2, 2, 1)
    with pytest.raises(KeyError, match="convention is one of 6, 8"):
        result["s"][7]
    with pytest.raises(KeyError, match="the sinks are s"):
        result["t"]


def _x():
    return fc.variable("x", Uniform(0, 1))


def _run(sink, **options):
    return fc.sweep(fc.Program({"s": sink}, **options), draws=10, rng=0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fc.Program({}), ValueError, "at least one sink"),
        (lambda: fc.Program({"a": fc.Exceed(_x(), LINES)}, ["a", "a"]), ValueError, "two entities have the key 'a'"),
        (lambda: fc.Program({"a": fc.Exceed(_x(), LINES)}, [""]), ValueError, "not empty"),
        (lambda: fc.Exceed(_x(), []), ValueError, "at least one"),
        (lambda: fc.Exceed(_x(), [1e25]), TypeError, "is not a Threshold"),
        (lambda: fc.Exceed(_x(), [LINES[0], LINES[0]]), ValueError, "same name"),
        (lambda: fc.Exceed(population(), LINES, by=fc.Category("x", _x())), ValueError, "use Table"),
        (lambda: fc.CountAbove(_x(), LINES), ValueError, "use Exceed"),
        (lambda: _run(fc.CountAbove(population(), LINES, groups={"year": [1]}), entities=KEYS), ValueError, "1 labels"),
        (lambda: fc.Table([]), ValueError, "at least one category"),
        (lambda: fc.Along("convention", {}), ValueError, "at least one label"),
        (lambda: fc.Moments({}), ValueError, "expected values"),
        (lambda: fc.Moments({"x": _x()}, max_abs={"y": 1}), ValueError, r"not of \['y'\]"),
        (lambda: fc.Quantiles(_x(), space="log"), ValueError, "'log10' or 'linear'"),
        (lambda: fc.Quantiles(_x(), [0]), ValueError, "between 0 and 1"),
        (lambda: fc.Quantiles(_x(), bins=0), ValueError, "bins=0"),
        (lambda: _run(fc.Quantiles(_x(), space="linear", low=2, high=1)), ValueError, "low=2 is above high=1"),
        (lambda: _run(fc.Quantiles(_x(), low=0)), ValueError, "low=0: not positive"),
        (lambda: _run(fc.Quantiles(1 / (_x() - "0.5"), space="linear")), ValueError, "no bounds"),
        (lambda: _run(fc.Moments({"x": 1 / (_x() - "0.5")})), ValueError, "'x' has no bounds"),
        (lambda: _run(fc.Moments({"x": _x()}, max_abs={"x": "0.001"})), fc.DataError, "sink 's': .*max_abs"),
        (lambda: _run(fc.Table([fc.Category("x", _x())])), fc.DataError, "sink 's': a category is not a whole number"),
        (lambda: _run(fc.Exceed(p.log(_x() - 2), LINES)), fc.DataError, "sink 's': a value is not a number"),
        (lambda: _run(fc.Quantiles(p.sqrt(_x() - 2), low=1, high=2)), fc.DataError, "is not a number"),
        (
            lambda: _run(fc.Exceed(fc.variable("n", Normal(0, 1)), [fc.Threshold("t", 10**400)])),
            ValueError,
            "range of float64",
        ),
        (lambda: fc.sweep(fc.Program({"s": fc.Exceed(_x(), LINES)}), LINES), ValueError, "has them in its sinks"),
        (lambda: fc.sweep(fc.Program({"s": fc.Exceed(_x(), LINES)}), draws=0), ValueError, "draws=0"),
        (lambda: fc.sweep(fc.Program({"s": fc.Exceed(_x(), LINES)}), precision="half"), ValueError, "precision='half'"),
    ],
)
def test_bad_input_is_one_clear_error(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_sums_of_the_largest_values_are_exact():
    x = fc.constant(2**46) + 0 * fc.variable("x", Uniform(0, 1))
    result = sweep((), 1000, m=fc.Moments({"x": x}))["m"]
    assert result.totals[0] == 1000 * 2**46
    assert result.products[0, 0] == 1000 * 2**92
    assert result.covariance()[0, 0] == 0


SWITCH = fc.switch("which", ["1/2", "1/2"])
ON_THE_LINE = {
    "lookup": lambda base, f: fc.constant(base) * fc.lookup(SWITCH, [1, f]),
    "discrete": lambda base, f: fc.constant(base) * fc.variable("which", Discrete([1, f])),
    "divided": lambda base, f: fc.constant(base) / fc.variable("which", Discrete([1, 1 / f])),
    "where": lambda base, f: p.where(SWITCH, fc.constant(base) * f, base),
    "sum": lambda base, f: fc.constant(base) / 3 + fc.variable("which", Discrete([base * 2 / 3, base * f - base / 3])),
    "twice": lambda base, f: base * fc.variable("which", Discrete([1, f])) * fc.variable("w", Discrete([1, 1 / f])),
}


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("make", ON_THE_LINE.values(), ids=ON_THE_LINE)
def test_values_of_few_draws_meet_a_threshold_exactly(make, precision):
    for base in (Fraction(75 * 10**23), Fraction(15 * 10**22), Fraction("33333333333333333333333333")):
        for f in (Fraction(4, 3), Fraction(5, 3), Fraction(1, 7), Fraction(3)):
            value, points = make(base, f), (base / f, base, base * f)
            line = base if make is ON_THE_LINE["twice"] else base * f
            lines = [fc.Threshold("over", line, ">"), fc.Threshold("at", line, ">=")]
            sinks = {"s": fc.Exceed(value, lines), "e": fc.CountAbove(fc.column([1, 1000]) * value, lines)}
            found = fc.sweep(fc.Program(sinks, ["a", "b"]), draws=100, rng=0, precision=precision)
            drawn = fc.draw_values({"v": value}, draws=100, rng=0, precision=precision)["v"]
            exact = [min(points, key=lambda point, x=x: abs(Fraction(x) - point)) for x in drawn.tolist()]
            assert set(exact) >= {line}
            over = [sum(x > line for x in exact), sum(x >= line for x in exact)]
            assert found["s"].exceed_counts[0].tolist() == found["e"].exceed_counts[0].tolist() == over
            assert found["e"].exceed_counts[1].tolist() == [100, 100]


@pytest.mark.parametrize("precision", ["double", "single"])
def test_products_of_switches_of_a_population_meet_a_threshold_exactly(precision):
    factors = (fc.Factor("a", Discrete([1, "4/3"])), fc.Factor("b", Discrete([1, "3/4"]), shared=True))
    lines = [fc.Threshold("over", 10**25, ">"), fc.Threshold("at", 10**25, ">=")]
    found = fc.sweep([fc.Entity("m", factors, 10**25)], lines, draws=2000, rng=0, precision=precision)
    assert found.probability()[0] == pytest.approx([0.25, 0.75], abs=0.06)
