"""Distributions: parameters, quantiles and probabilities, samples."""

import math

import numpy as np
import pytest

from flopcore.distributions import Fixed, LogNormal, LogUniform, Normal, Uniform

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
        (lambda: Normal(0, 0), "sd=0 is not positive"),
        (lambda: Normal(math.nan, 1), "mean=nan is not finite"),
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
    with pytest.raises(TypeError, match="mean=True"):
        Normal(True, 1)
    with pytest.raises(TypeError, match="rng="):
        Normal(0, 1).sample(1, rng="seed")
