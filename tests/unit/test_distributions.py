"""Distributions: parameters, quantiles and probabilities, samples."""

import math
from fractions import Fraction

import numpy as np
import pytest

import flopcore as fc
from flopcore import program_inputs as fc_program
from flopcore.distributions import (
    Beta,
    Discrete,
    Fixed,
    Gamma,
    GaussianCopula,
    Histogram,
    LogNormal,
    LogUniform,
    Mixture,
    Normal,
    Pert,
    Quantiles,
    Sample,
    Triangular,
    Truncated,
    Uniform,
    as_distribution,
)
from flopcore.distributions.table import linear_table

CONTINUOUS = [Normal(10, 2), LogNormal(1e24, 0.7), Uniform(-3, 5), LogUniform(0.01, 1e4)]


@pytest.mark.parametrize("distribution", CONTINUOUS, ids=repr)
def test_cdf_undoes_ppf(distribution):
    q = np.array([1e-6, 0.01, 0.3, 0.5, 0.8, 0.999])
    assert np.allclose(distribution.cdf(distribution.ppf(q)), q, rtol=1e-9, atol=0)
    assert np.all(np.diff(distribution.ppf(q)) > 0)
    assert isinstance(distribution.ppf(0.3), float)
    assert isinstance(distribution.cdf(0.3), float)


@pytest.mark.parametrize(
    ("distribution", "low", "high"),
    [
        (Normal(10, 2), -math.inf, math.inf),
        (LogNormal(1e24, 0.7), 0, math.inf),
        (Uniform(-3, 5), -3, 5),
        (LogUniform(0.01, 1e4), 0.01, 1e4),
        (Fixed(4), 4, 4),
    ],
    ids=repr,
)
def test_ends(distribution, low, high):
    assert distribution.ppf(np.array([0.0, 1.0])).tolist() == [low, high]
    assert distribution.cdf(np.array([-1e300, 1e300])).tolist() == [0, 1]
    with pytest.raises(ValueError, match="probabilities"):
        distribution.ppf([0.5, 1.1])
    with pytest.raises(ValueError, match="probabilities"):
        distribution.ppf(math.nan)


@pytest.mark.parametrize("distribution", CONTINUOUS, ids=repr)
def test_samples_follow_the_cdf_and_repeat(distribution):
    n = 20_001
    sample = distribution.sample(n, rng=0)
    assert np.array_equal(sample, distribution.sample(n, rng=0))
    assert np.array_equal(sample[:100], distribution.sample(100, rng=0))
    u = np.sort(distribution.cdf(sample))
    distance = max(np.max(u - np.arange(n) / n), np.max((np.arange(n) + 1) / n - u))
    # Kolmogorov: P(sqrt(n) D > 2.7) is about 9e-7.
    assert math.sqrt(n) * distance < 2.7
    assert distribution.sample(0, rng=0).shape == (0,)
    with pytest.raises(ValueError, match="n=-1"):
        distribution.sample(-1)


def test_lognormal_from_an_interval():
    d = LogNormal.from_interval(1e12, 2e13)
    assert d.cdf(1e12) == pytest.approx(0.05, rel=1e-12)
    assert d.cdf(2e13) == pytest.approx(0.95, rel=1e-12)
    assert d.median == pytest.approx(math.sqrt(2e25), rel=1e-15)
    assert d.interval() == pytest.approx((1e12, 2e13), rel=1e-12)
    narrow = LogNormal.from_interval(1e12, 2e13, level=0.5)
    assert narrow.interval(0.5) == pytest.approx((1e12, 2e13), rel=1e-12)
    assert narrow.sigma > d.sigma


def test_fixed_is_exact():
    assert Fixed(3.8e25).value == 38 * 10**24
    assert Fixed(10**400).value == 10**400
    assert Fixed(7).sample(3, rng=1).tolist() == [7, 7, 7]


def test_repr_says_what_to_type():
    for distribution in [*CONTINUOUS, Fixed(3)]:
        assert eval(repr(distribution)) == distribution


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(0, 0), "sigma=0 is not positive"),
        (lambda: Normal(math.nan, 1), "mu=nan is not finite"),
        (lambda: LogNormal(0, 1), "median=0 is not positive"),
        (lambda: LogNormal(1, math.inf), "sigma=inf is not finite"),
        (lambda: LogNormal.from_interval(2, 1), "low=2.0 is not below high=1.0"),
        (lambda: LogNormal.from_interval(1, 1), "use Fixed"),
        (lambda: LogNormal.from_interval(-1, 1), "low=-1 is not positive"),
        (lambda: LogNormal.from_interval(1, 2, level=1), "level=1"),
        (lambda: Uniform(1, 1), "not below"),
        (lambda: Uniform(2, math.nan), "high=nan is not finite"),
        (lambda: LogUniform(0, 1), "low=0 is not positive"),
        (lambda: LogUniform(3, 2), "not below"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_text_is_not_a_number():
    with pytest.raises(TypeError, match="median='1e24'"):
        LogNormal("1e24", 1)
    with pytest.raises(TypeError, match="mu=True"):
        Normal(True, 1)
    with pytest.raises(TypeError, match="rng="):
        Normal(0, 1).sample(1, rng="seed")


OTHERS = [
    Triangular(1, 2, 7),
    Pert(1, 2, 7),
    Beta(2, 3, -1, 4),
    Gamma(2.5, 3),
    Truncated(LogNormal(1, 1), 0.5, 4),
    Mixture((Normal(0, 1), Uniform(3, 4)), (1, 2)),
    Histogram((0, 1, 2, 4), (1, 0, 3)),
]


@pytest.mark.parametrize("distribution", OTHERS, ids=repr)
def test_the_others_agree_with_themselves(distribution):
    q = np.array([1e-9, 0.01, 0.24, 0.26, 0.5, 0.8, 0.999])
    x = distribution.ppf(q)
    assert np.all(np.diff(x) > 0)
    assert np.allclose(distribution.cdf(x), q, rtol=1e-9, atol=1e-15)
    assert np.allclose(distribution.sf(x), 1 - q, rtol=1e-9)
    step = 1e-5 * (x[4] - x[2])
    slope = (distribution.cdf(x[2:6] + step) - distribution.cdf(x[2:6] - step)) / (2 * step)
    assert np.allclose(distribution.pdf(x[2:6]), slope, rtol=1e-5)
    mean, var = linear_table(distribution).moments()
    assert distribution.mean() == pytest.approx(mean, rel=1e-9, abs=1e-9)
    assert distribution.var() == pytest.approx(var, rel=1e-8)
    assert distribution.sd() ** 2 == pytest.approx(distribution.var())
    sample = distribution.sample(20_001, rng=1)
    u = np.sort(distribution.cdf(sample))
    assert math.sqrt(20_001) * np.max(np.abs(u - np.arange(20_001) / 20_000)) < 2.7


@pytest.mark.parametrize("distribution", CONTINUOUS, ids=repr)
def test_moments_of_the_closed_forms(distribution):
    mean, var = linear_table(distribution).moments()
    assert distribution.mean() == pytest.approx(mean, rel=1e-8)
    assert distribution.var() == pytest.approx(var, rel=1e-6)
    x = distribution.ppf(np.array([0.2, 0.6]))
    step = 1e-6 * (x[1] - x[0])
    slope = (distribution.cdf(x + step) - distribution.cdf(x - step)) / (2 * step)
    assert np.allclose(distribution.pdf(x), slope, rtol=1e-5)
    assert np.allclose(distribution.sf(x), 1 - distribution.cdf(x))


@pytest.mark.parametrize("family", [Normal, LogNormal, Uniform, LogUniform])
def test_two_quantiles_or_an_interval(family):
    d = family.from_quantiles((0.9, 8.0), (0.2, 2.0))
    assert d.ppf([0.2, 0.9]) == pytest.approx([2.0, 8.0], rel=1e-12)
    assert family.from_interval(2.0, 8.0, 0.5).ppf([0.25, 0.75]) == pytest.approx([2.0, 8.0], rel=1e-12)
    with pytest.raises(ValueError, match="not distinct"):
        family.from_quantiles((0.2, 1.0), (0.2, 2.0))
    with pytest.raises(ValueError, match="not below"):
        family.from_quantiles((0.2, 3.0), (0.9, 2.0))


@pytest.mark.parametrize("family", [Normal, LogNormal, Uniform, Beta, Gamma])
def test_mean_and_sd(family):
    d = family.from_mean_sd(0.4, 0.1)
    assert (d.mean(), d.sd()) == (pytest.approx(0.4), pytest.approx(0.1))


def test_discrete_is_exact():
    d = Discrete([30, "1e25", 10], [1, 2, 1])
    assert d.values == (10, 30, 10**25)
    assert d.cumulative() == (Fraction(1, 4), Fraction(1, 2), Fraction(1))
    assert d.ppf([0, 0.25, 0.26, 0.5, 0.51, 1]).tolist() == [10, 10, 30, 30, 1e25, 1e25]
    assert d.cdf([9, 10, 29, 30, 1e26]).tolist() == [0, 0.25, 0.25, 0.5, 1]
    assert d.cdf_below(30) == 0.25
    assert d.mean() == float(Fraction(1, 4) * 40 + Fraction(10**25, 2))
    assert Discrete([1, 1, 2]).weights == (Fraction(2, 3), Fraction(1, 3))


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("power", [1, -1])
def test_a_switch_meets_its_threshold_exactly(precision, power):
    values = [10**25 - 1, 10**25, 10**25 + 1]
    entity = fc.Entity("m", (fc.Factor("reading", Discrete(values), power),), 10**50 if power < 0 else 1)
    line = 10**25
    lines = [fc.Threshold("above", line, ">"), fc.Threshold("at or above", line, ">=")]
    result = fc.sweep([entity], lines, draws=30_000, rng=1, precision=precision)
    above, at_or_above = result.probability()[0]
    # Six standard errors of a share of a third are 0.0163.
    assert abs(above - 1 / 3) < 0.017
    assert abs(at_or_above - 2 / 3) < 0.017


@pytest.mark.parametrize("precision", ["double", "single"])
def test_tables_in_a_sweep_follow_their_cdf(precision):
    lines = [fc.Threshold(str(k), k) for k in (1, 2, 4, 8, 16)]
    for d in [Gamma(2.5, 3), Triangular(1, 2, 17), Mixture((LogNormal(2, 1), Uniform(5, 6)), (1, 1))]:
        both = [
            fc.Entity("word", (fc.Factor("x", d),)),
            fc.Entity("sum", (fc.Factor("x", d), fc.Factor("y", LogNormal(1, 1e-9)))),
        ]
        result = fc.sweep(both, lines, draws=200_000, rng=2, precision=precision)
        exact = d.sf([1.0, 2.0, 4.0, 8.0, 16.0])
        error = np.sqrt(exact * (1 - exact) / 200_000) + 1e-9
        assert np.all(np.abs(result.probability() - exact) < 6 * error)


def test_program_draws_tables_and_point_masses():
    x = fc_program.variable("x", Gamma(2.5, 3))
    reading = fc_program.variable("reading", Discrete([10**25, 2 * 10**25]))
    assert x.scope == reading.scope == "study"


class OnlyPpf:
    """The least that can be tabulated: a Weibull variable of shape 2."""

    def ppf(self, q):
        return np.sqrt(-np.log1p(-np.asarray(q)))


def test_any_object_with_ppf_will_do():
    d = as_distribution(OnlyPpf())
    assert isinstance(d, Quantiles)
    # Without an isf the upper tail below 2^-16 is interpolated.
    assert d.mean() == pytest.approx(math.sqrt(math.pi) / 2, rel=1e-7)
    assert d.var() == pytest.approx(1 - math.pi / 4, rel=1e-6)
    assert d.cdf([0.5, 2.0]) == pytest.approx(1 - np.exp([-0.25, -4.0]), rel=1e-12)
    assert d.sf(0.5) == pytest.approx(math.exp(-0.25))
    assert np.isnan(d.pdf(1.0))
    assert as_distribution(np.array([2.0, 1.0])) == Sample((1.0, 2.0))
    assert as_distribution("3.8e25") == Fixed(38 * 10**24)
    with pytest.raises(TypeError, match="not a distribution"):
        as_distribution(object())
    with pytest.raises(TypeError, match="no method ppf"):
        Quantiles(3)


def test_copula_correlates_ranks():
    names, n = ["a", "b", "c"], 40_000
    spearman = [[1, 0.6, -0.3], [0.6, 1, 0.1], [-0.3, 0.1, 1]]
    copula = GaussianCopula(names, spearman)
    draws = copula.sample({"a": LogNormal(1, 1), "b": Gamma(0.5), "c": Uniform(0, 1)}, n, rng=0)
    ranks = np.argsort(np.argsort(np.array([draws[name] for name in names]), axis=1), axis=1)
    # The standard error of a rank correlation is at most 1 / sqrt(n) = 0.005.
    assert np.max(np.abs(np.corrcoef(ranks) - spearman)) < 0.03
    assert copula == GaussianCopula(names, spearman)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]], "not positive definite"),
        ([[1, 0.5, 0], [0.4, 1, 0], [0, 0, 1]], "symmetric"),
        ([[1, 0, 0], [0, 1, 0]], "shape"),
        ([[1, 2, 0], [2, 1, 0], [0, 0, 1]], "between -1 and 1"),
    ],
)
def test_copula_refuses(matrix, message):
    with pytest.raises(ValueError, match=message):
        GaussianCopula(["a", "b", "c"], matrix)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Triangular(1, 0, 2), "mode=0.0 is outside"),
        (lambda: Pert(1, 3, 2), "mode=3.0 is outside"),
        (lambda: Beta(0, 1), "a=0 is not positive"),
        (lambda: Beta(1e9, 1), "outside"),
        (lambda: Beta.from_mean_sd(0.5, 0.6), "no distribution"),
        (lambda: Gamma(1, -1), "scale=-1 is not positive"),
        (lambda: Truncated(Uniform(0, 1), 2, 3), "no probability"),
        (lambda: Truncated(Uniform(0, 1), 3, 2), "not below"),
        (lambda: Mixture(()), "no component"),
        (lambda: Mixture((Normal(0, 1),), (-1,)), "none negative"),
        (lambda: Discrete([]), "no value"),
        (lambda: Sample([math.nan]), "all finite"),
        (lambda: Histogram((1, 0), (1,)), "ascend"),
        (lambda: Normal(0, 1).log10_term(), "may be negative"),
        (lambda: Discrete([0, 1]).log10_term(), "zero or negative"),
        (lambda: Triangular(-1, 0, 1).log10_term(), "zero or negative"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
