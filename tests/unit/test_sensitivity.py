"""Indices against the closed forms of Ishigami and the g-function, and what is undefined."""

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from flopcore import _core
from flopcore.distributions import Discrete, LogNormal, Normal, Uniform
from flopcore.given_data import first_order_of_categories, variance_split
from flopcore.pick_freeze import UNIT as UNIT_OF_SUMS
from flopcore.pick_freeze import whole_numbers
from flopcore.sensitivity import shapley_effects, sobol_indices, tornado

ISHIGAMI = dict.fromkeys(("x1", "x2", "x3"), Uniform(-math.pi, math.pi))
G_OF = {"a": 0.0, "b": 1.0, "c": 4.5, "d": 9.0}
UNIT = dict.fromkeys(G_OF, Uniform(0, 1))
MANY = {f"x{i}": Uniform(0, 1) for i in range(33)}


def ishigami(x):
    return np.sin(x["x1"]) + 7 * np.sin(x["x2"]) ** 2 + 0.1 * x["x3"] ** 4 * np.sin(x["x1"])


def ishigami_shares():
    v1 = 0.5 * (1 + 0.1 * math.pi**4 / 5) ** 2
    v2 = 49 / 8
    v13 = 0.01 * math.pi**8 * 8 / 225
    return v1, v2, v13, v1 + v2 + v13


def g_function(x):
    return np.prod([(np.abs(4 * x[n] - 2) + a) / (1 + a) for n, a in G_OF.items()], axis=0)


def g_shares():
    parts = {n: 1 / (3 * (1 + a) ** 2) for n, a in G_OF.items()}
    variance = math.prod(1 + v for v in parts.values()) - 1
    first = [v / variance for v in parts.values()]
    total = [v * math.prod(1 + w for m, w in parts.items() if m != n) / variance for n, v in parts.items()]
    return parts, variance, first, total


@pytest.mark.parametrize("sampler", ["sobol", "philox"])
def test_ishigami(sampler):
    v1, v2, v13, variance = ishigami_shares()
    found = sobol_indices(ishigami, ISHIGAMI, n=1 << 14, rng=0, sampler=sampler)
    exact = [v1 / variance, v2 / variance, 0, (v1 + v13) / variance, v2 / variance, v13 / variance]
    errors = [*found.first_error, *found.total_error]
    # Six standard errors, and what 64 batches of 256 Sobol' points may leave of bias.
    for value, error, truth in zip([*found.first, *found.total], errors, exact, strict=True):
        assert abs(value - truth) < 6 * error + 1e-3
        assert error < 0.03
    assert found.variance == pytest.approx(variance, rel=0.05)
    assert found.evaluations == 5 << 14


def test_g_function():
    _, variance, first, total = g_shares()
    found = sobol_indices(g_function, UNIT, n=1 << 14, rng=1)
    assert np.allclose(found.first, first, atol=6 * max(found.first_error))
    assert np.allclose(found.total, total, atol=6 * max(found.total_error))
    assert found.variance == pytest.approx(variance, rel=0.02)
    assert "+-" in str(found)


def test_the_same_seed_gives_the_same_bits():
    first = sobol_indices(g_function, UNIT, n=1 << 10, rng=5)
    assert first == sobol_indices(g_function, UNIT, n=1 << 10, rng=5)
    assert first != sobol_indices(g_function, UNIT, n=1 << 10, rng=6)


def test_shapley_effects_of_the_g_function():
    parts, variance, *_ = g_shares()
    # The variance of a set of interactions is shared evenly among its inputs.
    exact = dict.fromkeys(parts, 0.0)
    for k in range(1, 5):
        for u in combinations(parts, k):
            for n in u:
                exact[n] += math.prod(parts[m] for m in u) / k / variance
    found = shapley_effects(g_function, UNIT, n=1 << 12, rng=2)
    assert found.method == "exact"
    assert sum(found.effects) == pytest.approx(1, abs=1e-12)
    for effect, error, truth in zip(found.effects, found.errors, exact.values(), strict=True):
        assert abs(effect - truth) < 6 * error + 1e-3


def test_shapley_effects_of_many_inputs():
    inputs = {f"x{i}": Normal(0, 1 + i) for i in range(13)}
    found = shapley_effects(
        lambda x: np.sum([x[name] for name in inputs], axis=0), inputs, n=256, permutations=4, rng=0
    )
    variances = np.array([(1 + i) ** 2 for i in range(13)])
    assert found.method == "permutations"
    for effect, error, truth in zip(found.effects, found.errors, variances / variances.sum(), strict=True):
        assert abs(effect - truth) < 6 * error + 5e-3


def test_a_constant_output_is_undefined_with_a_reason():
    for found in (
        sobol_indices(lambda x: 0 * x["a"], UNIT, n=128, rng=0),
        shapley_effects(lambda x: 0 * x["a"] + 3, UNIT, n=128, rng=0),
    ):
        assert found.reason == "the output does not vary"
        assert all(math.isnan(v) for v in getattr(found, "first", getattr(found, "effects", None)))


def test_a_large_mean_costs_no_digits():
    small = sobol_indices(g_function, UNIT, n=1 << 10, rng=3)
    large = sobol_indices(lambda x: g_function(x) + 2.0**20, UNIT, n=1 << 10, rng=3)
    assert large.total == pytest.approx(small.total, abs=1e-8)
    assert large.first == pytest.approx(small.first, abs=1e-8)


def test_first_order_of_categories():
    rng = np.random.default_rng(0)
    g = rng.integers(0, 4, 20_000)
    y = g + rng.normal(size=g.size)
    found = first_order_of_categories(y, g)
    truth = 1.25 / 2.25
    assert abs(found.share - truth) < 6 * found.error
    assert 0.001 < found.error < 0.01
    assert sum(found.counts) == g.size
    chance = first_order_of_categories(rng.normal(size=g.size), g)
    assert abs(chance.share) < 6 * chance.error
    assert first_order_of_categories(np.ones(500), g[:500]).reason == "the output does not vary"
    assert first_order_of_categories([1.0, 2.0], [0, 1]).reason.startswith("too few")
    with pytest.raises(ValueError, match="whole numbers"):
        first_order_of_categories([1.0], [0.5])


def test_tornado_orders_by_width():
    inputs = {"a": Uniform(0, 1), "b": LogNormal(1, 1), "c": Discrete([1, 2, 3])}
    swings = tornado(lambda x: x["a"] - 3 * x["b"] + x["c"], inputs)
    assert [s.name for s in swings] == ["b", "c", "a"]
    assert swings[2].at_high - swings[2].at_low == pytest.approx(0.9)
    with pytest.raises(ValueError, match="low below high"):
        tornado(lambda x: x["a"], UNIT, low=0.5, high=0.5)


def test_variance_split_is_exact():
    split = variance_split({"one": [1.0, 3.0], "two": [5.0, 9.0]}, {"one": 1, "two": 3})
    assert split.means == (2, 7)
    assert split.variances == (1, 4)
    assert (split.between, split.within) == (0.25 * 0.75 * 25, 3.25)
    assert variance_split({"one": [1.0, 1.0]}).reason == "the output does not vary"
    with pytest.raises(ValueError, match="none negative"):
        variance_split({"one": [1.0]}, {"one": -1})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sobol_indices(g_function, UNIT, n=1000, sampler="sobol"), "64 times a power of two"),
        (lambda: sobol_indices(g_function, UNIT, n=1000, sampler="philox"), "a multiple of 64"),
        (lambda: sobol_indices(g_function, UNIT, n=128, sampler="lhs"), "'sobol' or 'philox'"),
        (lambda: sobol_indices(g_function, {}), "at least one"),
        (lambda: sobol_indices(lambda x: x["a"][:1], UNIT, n=128), "shape"),
        (lambda: sobol_indices(lambda x: x["a"] * np.nan, UNIT, n=128), "not finite"),
        (lambda: sobol_indices(lambda x: x["x0"], MANY, n=128, sampler="sobol"), "philox"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_sums_are_exact_for_every_order():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 500)) * 2.0 ** rng.integers(-300, 300, (2, 500))
    pairs = np.array([(0, 2), (0, 1), (1, 1)], dtype=np.uint32)
    sums = _core.exact_sums(x, pairs)
    exact = [[Fraction(v) for v in row] for row in x.tolist()]
    assert [Fraction(total, UNIT_OF_SUMS) for total in whole_numbers(sums)] == [
        sum(exact[0]),
        sum(a * b for a, b in zip(*exact, strict=True)),
        sum(b * b for b in exact[1]),
    ]
    order = rng.permutation(500)
    assert np.array_equal(sums, _core.exact_sums(np.ascontiguousarray(x[:, order]), pairs))
    for bad in (np.inf, np.nan, 2.0**501):
        with pytest.raises(_core.DataError):
            _core.exact_sums(np.array([[bad]]), np.array([(0, 0)], dtype=np.uint32))
