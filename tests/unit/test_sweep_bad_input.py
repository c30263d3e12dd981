"""What a sweep is given wrongly: one clear error, before any work; and what looks wrong and is not."""

import math

import numpy as np
import pytest

import flopcore as fc
from flopcore.distributions import (
    Beta,
    Discrete,
    Gamma,
    GaussianCopula,
    Histogram,
    LogNormal,
    LogUniform,
    Mixture,
    Normal,
    Pert,
    Sample,
    Triangular,
    Truncated,
    Uniform,
)

NAN, INF = math.nan, math.inf
LINES = [fc.Threshold("high", 10**25), fc.Threshold("low", 10**24)]
X = fc.variable("x", LogNormal(1e24, 1))
ENTITY = fc.Entity("m", (fc.Factor("x", LogNormal(1e24, 1)),))
PROGRAM = fc.Program({"p": fc.Exceed(X, LINES)})


def sweep(study=PROGRAM, **options):
    return fc.sweep(study, **{"draws": 100, "rng": 0, **options})


def _largest(among):
    return fc.program.largest_k(_entity_values(), 1, among=among)


def _along(a, b):
    return fc.Along("way", {"a": a, "b": b})


def _entity_values():
    return fc.column(["1e15", "1e27"]) * fc.variable("error", LogNormal(1, 1), per="entity")


BAD = [
    # Bounds and parameters of distributions.
    (lambda: Uniform(NAN, 1), "low=nan is not finite"),
    (lambda: Uniform(0, INF), "high=inf is not finite"),
    (lambda: Uniform(2, 1), "low=2.0 is not below high=1.0"),
    (lambda: Uniform(1, 1), "use Fixed for a known value"),
    (lambda: LogUniform(3, 2), "low=3.0 is not below high=2.0"),
    (lambda: LogUniform(-1, 2), "low=-1 is not positive"),
    (lambda: LogNormal(NAN, 1), "median=nan is not finite"),
    (lambda: LogNormal(1, -1), "sigma=-1 is not positive"),
    (lambda: LogNormal.from_interval(5, 2), "low=5.0 is not below high=2.0"),
    (lambda: Normal.from_interval(NAN, 2), "nan is not finite"),
    (lambda: Normal(0, INF), "sigma=inf is not finite"),
    (lambda: Triangular(1, 5, 3), "mode=5.0 is outside"),
    (lambda: Pert(1, NAN, 3), "mode=nan is not finite"),
    (lambda: Beta(0, 1), "a=0 is not positive"),
    (lambda: Gamma(-1), "shape=-1 is not positive"),
    (lambda: Truncated(Normal(0, 1), low=2, high=1), "low=2.0 is not below high=1.0"),
    (lambda: Truncated(Normal(0, 1), low=NAN), "low=nan is not below"),
    (lambda: Mixture([Normal(0, 1)], [NAN]), "weight='nan': not a number"),
    (lambda: Discrete([1, 2], [-1, 2]), "none negative"),
    (lambda: Discrete([], []), "no value"),
    (lambda: Sample([1, NAN]), "all finite"),
    (lambda: Histogram([0, 1], [NAN]), "weight='nan': not a number"),
    (lambda: Normal(0, 1).ppf(NAN), r"must lie in \[0, 1\]"),
    (lambda: GaussianCopula(["a", "b"], [[1, 1], [1, 1]]), "not positive definite"),
    # Thresholds.
    (lambda: fc.Threshold("t", NAN), "not a number"),
    (lambda: fc.Threshold("t", INF), "not a number"),
    (lambda: fc.Threshold("t", -1), "not positive"),
    (lambda: fc.Threshold("t", 1, "<"), "comparator"),
    (lambda: fc.Exceed(X, []), "at least one"),
    (lambda: sweep(fc.Program({"p": fc.Exceed(X, [LINES[0], LINES[0]])})), "same name"),
    # The study.
    (lambda: fc.Program({}), "at least one sink"),
    (lambda: fc.Program({"p": fc.Exceed(X, LINES)}, ["a", "a"]), "two entities have the key 'a'"),
    (lambda: fc.Program({"p": fc.Exceed(X, LINES)}, [""]), "not empty"),
    (lambda: sweep([]), "at least one entity"),
    (lambda: fc.sweep([ENTITY], [], draws=1), "at least one"),
    (lambda: fc.sweep([ENTITY], [LINES[0], LINES[0]], draws=1), "same name 'high'"),
    (lambda: fc.Program({"p": fc.Exceed(_entity_values(), LINES)}), "sink 'p': .* needs a program with entities="),
    (lambda: fc.Program({"p": fc.Exceed(_entity_values(), LINES)}, ["a"]), "sink 'p': .* 2 values, .* 1 entities"),
    (lambda: sweep(fc.Program({"p": fc.Exceed(_largest([1]), LINES)}, ["a", "b"])), "among: 1 truth values for 2"),
    (lambda: fc.Category("k", X > 1, []), "distinct labels, at least one"),
    (lambda: fc.Category("k", X > 1, ["a", "a"]), "distinct labels"),
    (lambda: fc.Category("k", X > 1, range(10**9)), "at most 1048576"),
    (lambda: fc.Category("entity", X > 1), "take another name"),
    (lambda: fc.Table([fc.Category("k", X > 1), fc.Category("k", X > 2)]), "one name twice"),
    (lambda: fc.Along("year", {}), "at least one label"),
    (lambda: _along(fc.Exceed(X, LINES), fc.Exceed(X, LINES[:1])), "'a' and 'b' differ in kind or labels"),
    (lambda: _along(fc.Exceed(X, LINES), fc.Quantiles(X)), "differ in kind"),
    (lambda: fc.Moments({"x": X}, max_abs={"x": 0}), "above 0 to 1e300"),
    (lambda: fc.Moments({"x": X}, max_abs={"x": 10**400}), "above 0 to 1e300"),
    (lambda: fc.Quantiles(X, ["0.5", "1/2"]), "distinct shares"),
    (lambda: fc.sweep(PROGRAM, LINES, draws=1), "in its sinks"),
    # Options.
    (lambda: sweep(draws=0), r"draws=0: expected 1 to 2\^49"),
    (lambda: sweep(draws=-1), "draws=-1: expected"),
    (lambda: sweep(draws=2**50), "expected 1 to"),
    (lambda: sweep(threads=0), "threads=0: expected None or at least 1"),
    (lambda: sweep(precision="half"), "precision='half': expected"),
    (lambda: sweep(rng=-1), "rng=-1: a seed is 0 or positive"),
    (lambda: sweep(rng=[]), "is not empty"),
]
WRONG_TYPE = [
    (lambda: sweep(draws=1e6), "draws=1000000.0: expected a whole number"),
    (lambda: sweep(threads=1.5), "threads=1.5: expected a whole number"),
    (lambda: sweep(rng=0.5), "rng=0.5: expected an int"),
    (lambda: sweep(rng="0"), "rng='0': expected an int"),
    (lambda: sweep(draws=True), "draws=True: expected a whole number"),
    (lambda: fc.rel_error("0.01"), "rel_error.*expected a share"),
    (lambda: fc.sweep([ENTITY], [10**25], draws=1), "10000000000000000000000000 is not a Threshold"),
    (lambda: fc.sweep([ENTITY], LINES[0], draws=1), "expected a sequence of them"),
    (lambda: fc.sweep(ENTITY, LINES, draws=1), "is one Entity"),
    (lambda: fc.Program([fc.Exceed(X, LINES)]), "expected a mapping of name to question"),
    (lambda: fc.Program({"p": X}), "sink 'p': .* is not a question"),
    (lambda: fc.Program({1: fc.Exceed(X, LINES)}), "sink name 1"),
    (lambda: fc.Program({"p": fc.Exceed(X, LINES)}, "abc"), "entities='abc'"),
    (lambda: _along(X, X), "is not a question"),
    (lambda: fc.Exceed(1e25, LINES), "Exceed: 1e\\+25 is not a value of a program"),
    (lambda: fc.Table([X > 1]), "is not a Category"),
    (lambda: fc.Quantiles(X, 0.5), "expected a sequence of shares"),
    (lambda: fc.variable("v", 3), "3 is not a Distribution"),
    (lambda: sweep(progress="line"), "progress='line': expected a function"),
    (lambda: sweep(checkpoint=3), "checkpoint=3: expected the path"),
    (lambda: sweep(executor=4), "executor=4: expected a concurrent"),
    (lambda: sweep(until=0.01), r"until=0.01: expected a rule such as rel_error"),
    (lambda: fc.sweep("abc", LINES, draws=1), "study: 'a' is not an Entity"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_value_is_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("make", "message"), WRONG_TYPE, ids=[message for _, message in WRONG_TYPE])
def test_a_wrong_type_is_one_clear_error(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_seed_0_is_a_seed_like_any_other():
    zero = sweep(rng=0)
    assert zero.seed == 0
    assert zero.state() == sweep(rng=0).state() == sweep(rng=np.int64(0)).state()
    assert zero.state() != sweep(rng=1).state()
    assert sweep(rng=[0, 0]).seed == (0, 0)
    fresh = sweep(rng=None)
    assert sweep(rng=fresh.seed).state() == fresh.state()


@pytest.mark.parametrize("precision", ["double", "single"])
def test_thresholds_may_stand_in_any_order(precision):
    ascending = sweep(fc.Program({"p": fc.Exceed(X, LINES[::-1])}), precision=precision)["p"]
    descending = sweep(precision=precision)["p"]
    assert descending.exceed_counts[0].tolist() == ascending.exceed_counts[0].tolist()[::-1]
    counts = [fc.sweep([ENTITY], lines, draws=100, rng=0).exceed_counts[0].tolist() for lines in (LINES, LINES[::-1])]
    assert counts[0] == counts[1][::-1]


def test_a_draw_that_no_sink_can_count_names_the_sink():
    nan = fc.program.log(fc.variable("y", Normal(-5, 0.1)))
    for sink in (fc.Moments({"y": nan}, max_abs={"y": 1}), fc.Quantiles(nan, space="linear", low=0, high=1, bins=4)):
        with pytest.raises(fc.DataError, match="sink 'z'"):
            sweep(fc.Program({"z": sink}))


def _product(n):
    factors = [fc.variable(f"f{i}", LogNormal(1, 2)) for i in range(n)]
    return math.prod(factors[1:], start=factors[0])


@pytest.mark.parametrize(
    ("sink", "entities", "message"),
    [
        (fc.Moments({"flop": _product(4)}), (), r"'flop' is summed in units of .* give max_abs=\{'flop': 5e\+12\}"),
        (fc.Moments({"flop": _product(4)}, max_abs={"flop": 1e40}), (), "summed in units of"),
        (fc.Moments({"y": _entity_values()}), ["old", "new"], "values of entity 'old' are near"),
        (fc.Quantiles(_product(4), space="linear"), (), "half of the values lie between"),
    ],
)
def test_sums_and_bins_in_which_the_values_would_be_lost_are_refused(sink, entities, message):
    with pytest.raises(ValueError, match=message):
        sweep(fc.Program({"m": sink}, entities))


def test_a_sum_of_a_heavy_tail_is_right_where_it_is_not_refused():
    value = _product(4)
    sums = sweep(fc.Program({"m": fc.Moments({"x": value}, max_abs={"x": 5e12})}), draws=20_000)["m"]
    drawn = fc.draw_values({"x": value}, draws=20_000, rng=0)["x"]
    assert sums.mean()[0] == pytest.approx(drawn.mean(), rel=1e-3)
    assert sums.sd()[0] == pytest.approx(drawn.std(ddof=1), rel=1e-3)
