"""Chi-square and Kolmogorov-Smirnov batteries on what sweeps draw, tails included.

Every seed is fixed. A test fails below a probability of 1e-9, and there are fewer than 200 of them: together they would
raise a false alarm with a probability below 1e-6.
"""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest

import flopcore as fc
from flopcore import _core
from flopcore.distributions import (
    Beta,
    Gamma,
    GaussianCopula,
    LogNormal,
    LogUniform,
    Normal,
    Pert,
    Triangular,
    Uniform,
    philox_key,
    seed_sequence,
)

FAMILIES = {
    "normal": Normal(3, 2),
    "lognormal": LogNormal(1e24, 1.3),
    "uniform over 0": Uniform(-2, 5),
    "uniform by its logarithm": Uniform(1, 40),
    "log-uniform": LogUniform(1e20, 1e26),
    "triangular": Triangular(1, 2, 9),
    "pert": Pert(-1, 2, 9),
    "gamma": Gamma(0.4, 3),
    "beta": Beta(2.5, 0.7),
}
ALARM = 1e-9
N = 1 << 17


def chi_square(counts, shares):
    """Return the probability of counts that differ as much from their shares."""
    counts, shares = np.asarray(counts, float).ravel(), np.asarray(shares, float).ravel()
    expected = counts.sum() * shares
    assert expected.min() >= 8
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return float(mp.gammainc((counts.size - 1) / 2, statistic / 2, mp.inf, regularized=True))


def kolmogorov(u):
    """Return the probability of a distance from uniformity as large (Kolmogorov's limit, an upper bound of it)."""
    n = u.size
    ordered = np.sort(u)
    distance = max(np.max(np.arange(1, n + 1) / n - ordered), np.max(ordered - np.arange(n) / n))
    return 2 * math.exp(-2 * n * distance**2)


def octaves(deepest):
    """Return edges at 2^-k and 1 - 2^-k, and the shares of the cells between them."""
    tails = 2.0 ** -np.arange(deepest, 1, -1)
    edges = np.concatenate([tails, [0.5], 1 - tails[::-1]])
    return edges, np.diff(np.concatenate([[0.0], edges, [1.0]]))


def drawn(nodes, precision="double", entities=(), n=N, rng=11):
    return fc.draw_values(nodes, draws=n, entities=entities, rng=rng, precision=precision)


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("name", FAMILIES)
def test_variates_follow_their_distribution(name, precision):
    u = FAMILIES[name].cdf(drawn({"x": fc.variable(name, FAMILIES[name])}, precision)["x"])
    assert kolmogorov(u) > ALARM
    cells = 256
    assert (
        chi_square(np.bincount((u * cells).astype(int).clip(0, cells - 1), minlength=cells), [1 / cells] * cells)
        > ALARM
    )
    edges, shares = octaves(13)
    assert chi_square(np.bincount(np.searchsorted(edges, u), minlength=shares.size), shares) > ALARM


@pytest.mark.parametrize("precision", ["double", "single"])
def test_neighbours_are_independent(precision):
    """Of one stream at several lags, of variables, of entities, of groups, and of seeds."""
    flat = Uniform(0, 1)
    keys = ("a", "b", "c")
    nodes = {
        "x": fc.variable("x", flat),
        "y": fc.variable("y", flat),
        "own": fc.variable("x", flat, per="entity"),
    }
    v = drawn(nodes, precision, keys)
    v |= drawn({"lab": fc.variable("x", flat, per=list(keys))}, precision, keys)
    other = drawn({"x": nodes["x"]}, precision, rng=12)["x"]
    pairs = [
        (v["x"], v["y"]),
        (v["x"], other),
        *itertools.combinations(v["own"], 2),
        *zip(v["own"], v["lab"], strict=True),
    ]
    pairs += [(v["x"][:-lag], v["x"][lag:]) for lag in (1, 2, 3, 4, 512, 1024)]
    pairs += [(v["x"], row) for row in v["own"]]
    for first, second in pairs:
        table = np.bincount((first * 24).astype(int) * 24 + (second * 24).astype(int), minlength=576)
        assert chi_square(table, [1 / 576] * 576) > ALARM


def test_correlated_scores_are_uniform_and_jointly_normal():
    copula = GaussianCopula(["x", "y"], [[1, -0.8], [-0.8, 1]])
    v = drawn(fc.correlated(copula, {"x": Uniform(0, 1), "y": Triangular(0, 1, 2)}))
    u = {"x": v["x"], "y": Triangular(0, 1, 2).cdf(v["y"])}
    for values in u.values():
        assert kolmogorov(values) > ALARM
    z, w = (_core.norm_ppf(np.ascontiguousarray(values)) for values in u.values())
    rho = float(copula.pearson[0, 1])
    rest = _core.norm_cdf((w - rho * z) / math.sqrt(1 - rho * rho))  # independent of z
    assert kolmogorov(rest) > ALARM
    table = np.bincount((u["x"] * 16).astype(int) * 16 + (rest * 16).astype(int), minlength=256)
    assert chi_square(table, [1 / 256] * 256) > ALARM


def test_every_bit_of_the_words_is_fair():
    """Of neighbouring blocks, streams, attempts and keys: counters that differ in one bit."""
    key = philox_key(seed_sequence(0))
    samples = {
        "blocks": _core.philox_words(key, 5, 0, 1 << 15),
        "streams": np.concatenate([_core.philox_words(key, s, 0, 1) for s in range(1 << 13)]),
        "attempts": np.concatenate([_core.philox_words(key, 5, 0, 1, a) for a in range(1 << 13)]),
        "keys": np.concatenate([_core.philox_words([k, 0], 5, 0, 1) for k in range(1 << 13)]),
    }
    for words in samples.values():
        n = words.size
        ones = [int(((words >> np.uint32(bit)) & 1).sum()) for bit in range(32)]
        # Binomial: each of 128 counts within 6.8 standard deviations, 1e-11 each.
        assert max(abs(count - n / 2) for count in ones) < 6.8 * math.sqrt(n) / 2
        bytes_ = np.bincount(np.ascontiguousarray(words).view(np.uint8).ravel(), minlength=256)
        assert chi_square(bytes_, [1 / 256] * 256) > ALARM


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("normal", "double"),
        ("normal", "single"),
        ("lognormal", "double"),
        ("lognormal", "single"),
        ("uniform by its logarithm", "double"),  # in float32 the octaves below its upper end are one number
        ("gamma", "single"),
    ],
)
def test_tails_at_a_hundred_million_draws(name, precision):
    edges, shares = octaves(22)
    distribution, n, shift = FAMILIES[name], 100_000_000, 100 if name == "normal" else 0  # thresholds are positive
    lines = distribution.ppf(edges) + shift
    if precision == "single":  # a line is rounded to float32, as it is compared
        lines = np.float32(lines).astype(float) if shift else 10.0 ** np.float32(np.log10(lines)).astype(float)
        shares = np.diff(np.concatenate([[0.0], distribution.cdf(lines - shift), [1.0]]))
    x = fc.variable(name, distribution) + shift if shift else fc.variable(name, distribution)
    question = fc.Exceed(x, [fc.Threshold(str(k), float(line)) for k, line in enumerate(lines)])
    above = fc.sweep(fc.Program({"x": question}), draws=n, rng=3, precision=precision)["x"].exceed_counts[0]
    assert chi_square(-np.diff(np.concatenate([[n], above, [0]])), shares) > ALARM
