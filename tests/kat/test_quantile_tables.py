"""Quantile functions, and the tables drawn from, against mpmath over the whole range of words."""

import mpmath as mp
import numpy as np
import pytest

from flopcore.distributions import (
    Beta,
    Discrete,
    Gamma,
    Histogram,
    LogNormal,
    Mixture,
    Normal,
    Pert,
    Sample,
    Triangular,
    Truncated,
    Uniform,
)
from flopcore.distributions.table import TOLERANCE, linear_table, log10_table

mp.mp.dps = 40
TOP = 2**53
WORDS = sorted(
    {0, 1, 2, TOP - 1, TOP - 2, TOP // 2 - 1, TOP // 2}
    | {2**k for k in range(0, 53, 5)}
    | {TOP - 1 - 2**k for k in range(0, 53, 5)}
    | {int(w) for w in np.random.default_rng(3).integers(0, TOP, 15, dtype=np.uint64)}
)


def gamma_tail(shape, x, upper):
    return mp.gammainc(shape, x, mp.inf, regularized=True) if upper else mp.gammainc(shape, 0, x, regularized=True)


def beta_tail(a, b, x, upper):
    return mp.betainc(b, a, 0, 1 - x, regularized=True) if upper else mp.betainc(a, b, 0, x, regularized=True)


def normal_tail(x, upper):
    return mp.erfc(x / mp.sqrt(2)) / 2 if upper else mp.erfc(-x / mp.sqrt(2)) / 2


def truncated_tail(x, upper):
    """Of a standard normal variable in [-1, 9]."""
    inside = normal_tail(mp.mpf(-1), True) - normal_tail(mp.mpf(9), True)
    mass = normal_tail(x, True) - normal_tail(mp.mpf(9), True)
    return mass / inside if upper else (normal_tail(x, False) - normal_tail(mp.mpf(-1), False)) / inside


def mixed_tail(x, upper):
    """Of a quarter normal(0, 1) and three quarters normal(3, 2)."""
    return normal_tail(x, upper) / 4 + 3 * normal_tail((x - 3) / 2, upper) / 4


def triangular_tail(x, upper):
    if upper:
        return (7 - x) ** 2 / 30 if x >= 2 else 1 - (x - 1) ** 2 / 6
    return (x - 1) ** 2 / 6 if x <= 2 else 1 - (7 - x) ** 2 / 30


CASES = [
    (Gamma(2.5), lambda x, upper: gamma_tail(mp.mpf("2.5"), x, upper)),
    (Gamma(0.25), lambda x, upper: gamma_tail(mp.mpf("0.25"), x, upper)),
    (Gamma(900), lambda x, upper: gamma_tail(mp.mpf(900), x, upper)),
    (Beta(2, 3), lambda x, upper: beta_tail(mp.mpf(2), mp.mpf(3), x, upper)),
    (Beta(0.5, 40), lambda x, upper: beta_tail(mp.mpf("0.5"), mp.mpf(40), x, upper)),
    (Pert(0, 0.25, 1), lambda x, upper: beta_tail(mp.mpf(2), mp.mpf(4), x, upper)),
    (Triangular(1, 2, 7), triangular_tail),
    (Truncated(Normal(0, 1), -1, 9), truncated_tail),
    (Mixture((Normal(0, 1), Normal(3, 2)), (1, 3)), mixed_tail),
]


@pytest.mark.parametrize(("distribution", "tail_of"), CASES, ids=lambda case: repr(case) if not callable(case) else "")
def test_table_against_mpmath(distribution, tail_of):
    table = linear_table(distribution)
    values = table.values(np.array(WORDS, dtype=np.uint64))
    assert np.all(np.diff(values) >= 0)
    quarters = distribution.ppf(np.array([0.25, 0.75]))
    spread = quarters[1] - quarters[0]
    for word, value in zip(WORDS, values, strict=True):
        upper = word >= TOP // 2
        p = (2 * mp.mpf(min(word, TOP - 1 - word)) + 1) / (2 * TOP)
        bound = mp.mpf(TOLERANCE) * (abs(value) + spread)
        below, above = mp.mpf(float(value)) - bound, mp.mpf(float(value)) + bound
        low, high = (distribution.ppf(0.0), distribution.ppf(1.0))
        # The true quantile lies within the bound when the tail probabilities on either side of it enclose p.
        first = tail_of(max(below, mp.mpf(float(low))), upper)
        second = tail_of(min(above, mp.mpf(float(high))), upper)
        assert min(first, second) <= p * (1 + mp.mpf(10) ** -15)
        assert p * (1 - mp.mpf(10) ** -15) <= max(first, second)


@pytest.mark.parametrize("distribution", [Gamma(0.25), Beta(2, 3), LogNormal(5, 2), Uniform(1, 9)], ids=repr)
def test_logarithms_meet_the_tolerance(distribution):
    words = np.array(WORDS, dtype=np.uint64)
    values = log10_table(distribution).values(words)
    tails = np.minimum(words, np.uint64(TOP - 1) - words).astype(np.float64)
    p = (2 * tails + 1) / 2 / TOP
    upper = words >= TOP // 2
    exact = np.where(upper, distribution.tail_quantile(p, upper=True), distribution.tail_quantile(p, upper=False))
    errors = [abs(mp.mpf(float(v)) - mp.log10(mp.mpf(float(x)))) for v, x in zip(values, exact, strict=True)]
    assert max(errors) <= TOLERANCE


def test_single_precision_reads_the_same_table():
    table = linear_table(Gamma(2.5))
    words = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 1], dtype=np.uint64)
    exact = [Gamma(2.5).ppf((float(w) + 0.5) / 2**32) for w in words]
    # The table is within 1e-10 of magnitude plus interquartile range (2.0), and a float within 6e-8 of it.
    assert np.allclose(table.values(words, single=True), exact, rtol=1e-7, atol=3e-10)


@pytest.mark.parametrize(
    "distribution", [Discrete([3, 1, 2], ["1/3", "1/3", "1/3"]), Sample([2.0, 1.0, 1.0])], ids=repr
)
def test_point_masses_change_at_the_exact_word(distribution):
    table = distribution.linear_term().table
    for cumulative, value in zip(distribution.cumulative()[:-1], distribution.masses(), strict=False):
        last = int(cumulative * TOP - 0.5)  # the last word with (w + 1/2) / 2^53 <= the probability
        found = table.values(np.array([last, last + 1], dtype=np.uint64))
        assert found[0] == value < found[1]


def test_histogram_is_linear_inside_its_bins():
    histogram = Histogram((0, 1, 2, 4), (1, 0, 3))
    assert np.allclose(histogram.ppf([0.125, 0.25, 0.2500001, 0.625, 1]), [0.5, 1, 2, 3, 4], atol=1e-6)
    assert linear_table(histogram).values(np.array([TOP // 8], dtype=np.uint64)) == pytest.approx(0.5, abs=1e-10)
