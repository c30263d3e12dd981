"""Sensitivity of nodes and expressions: closed forms, and the same model as a function of arrays."""

import math
from itertools import combinations

import numpy as np
import pytest

import flopcore as fc
from flopcore import _core, program
from flopcore.distributions import Discrete, Fixed, LogNormal, LogUniform, Normal, Uniform

G_OF = {"a": 0, "b": 1, "c": 4.5, "d": 9}
UNIT = dict.fromkeys(G_OF, Uniform(0, 1))


def g_node(weights=G_OF):
    product = fc.constant(1)
    for name, weight in weights.items():
        x = fc.variable(name, Uniform(0, 1))
        product = product * ((program.maximum(4 * x - 2, 2 - 4 * x) + weight) / fc.constant(1 + weight))
    return product


def g_function(x):
    return np.prod([(np.abs(4 * x[n] - 2) + a) / (1 + a) for n, a in G_OF.items()], axis=0)


def g_shares():
    parts = [1 / (3 * (1 + a) ** 2) for a in G_OF.values()]
    variance = math.prod(1 + v for v in parts) - 1
    total = [v * math.prod(1 + w for w in parts[:i] + parts[i + 1 :]) / variance for i, v in enumerate(parts)]
    return parts, variance, [v / variance for v in parts], total


@pytest.mark.parametrize("sampler", ["sobol", "philox"])
def test_closed_forms_and_the_same_model_in_numpy(sampler):
    _, variance, first, total = g_shares()
    options = {"n": 1 << 14, "rng": 3, "sampler": sampler}
    found = fc.sobol_indices(g_node(), **options)
    same = fc.sobol_indices(g_function, UNIT, **options)
    for value, error, truth in zip(
        found.first + found.total, found.first_error + found.total_error, first + total, strict=True
    ):
        assert abs(value - truth) < 6 * error + 1e-3
        assert error < 0.05
    assert found.variance == pytest.approx(variance, rel=0.1)
    assert (found.names, found.evaluations, found.sampler) == (tuple(G_OF), 6 << 14, sampler)
    # The same draws, up to a bit of the uniforms.
    for name in ("first", "first_error", "total", "total_error", "mean", "variance"):
        assert getattr(found, name) == pytest.approx(getattr(same, name), rel=1e-9, abs=1e-11), name


def test_the_number_of_threads_changes_nothing():
    for sampler, n in (("sobol", 1 << 12), ("philox", 64 * 77)):
        one = fc.sobol_indices(g_node(), n=n, rng=1, sampler=sampler, threads=1)
        assert one == fc.sobol_indices(g_node(), n=n, rng=1, sampler=sampler, threads=3)
    assert fc.shapley_effects(g_node(), n=256, rng=1, threads=1) == fc.shapley_effects(g_node(), n=256, rng=1)


def test_a_normal_product_by_its_logarithm():
    x, y = fc.variable("x", LogNormal(1e10, 0.5)), fc.variable("y", LogNormal(3, 1.0))
    found = fc.sobol_indices(fc.program.log10(6 * x * y), n=1 << 14, rng=0)
    assert found.first == pytest.approx((0.2, 0.8), abs=6 * max(found.first_error) + 1e-3)
    assert sum(found.total) == pytest.approx(1, abs=0.02)


def test_variables_of_entities_are_one_input():
    each = fc.variable("each", Normal(0, 1), per="entity")
    shared = fc.variable("shared", Normal(0, 2))
    found = fc.sobol_indices(program.total(each) + shared, entities=["p", "q", "r"], n=64 * 200, rng=0)
    assert found.sampler == "philox"
    shares = dict(zip(found.names, found.first, strict=True))
    errors = dict(zip(found.names, found.first_error, strict=True))
    assert abs(shares["each"] - 3 / 7) < 6 * errors["each"]
    assert abs(shares["shared"] - 4 / 7) < 6 * errors["shared"]


def test_a_count_over_a_line():
    flop = (
        fc.column([1, 2, 3])
        * fc.variable("bias", LogNormal(1, 0.5))
        * fc.variable("e", LogNormal(1, 0.2), per="entity")
    )
    found = fc.shapley_effects(program.count(flop > 2), entities=["p", "q", "r"], n=64 * 100, rng=0)
    effects = dict(zip(found.names, found.effects, strict=True))
    assert effects["bias"] > 0.6
    assert sum(found.effects) == pytest.approx(1, abs=1e-12)


def test_expressions_of_uncertain_dims():
    tokens, width = fc.dim("tokens"), fc.dim("width")
    inputs = {"tokens": LogUniform(1, 100), "width": LogUniform(1, 10)}
    found = fc.sobol_indices(6 * tokens * width, inputs, n=1 << 12, rng=0)
    same = fc.sobol_indices(lambda x: 6 * x["tokens"] * x["width"], inputs, n=1 << 12, rng=0)
    assert sorted(found.names) == sorted(same.names)
    for name, value in zip(found.names, found.total, strict=True):
        assert value == pytest.approx(same.total[same.names.index(name)], rel=1e-6)
    known = fc.sobol_indices(6 * tokens * width, {"tokens": LogUniform(1, 100), "width": 8}, n=128, rng=0)
    assert known.names == ("tokens",)
    assert known.first == pytest.approx((1,), abs=0.2)


def test_shapley_effects_of_the_g_function():
    parts, variance, *_ = g_shares()
    exact = np.zeros(4)
    for k in range(1, 5):
        for u in combinations(range(4), k):
            exact[list(u)] += math.prod(parts[i] for i in u) / k / variance
    found = fc.shapley_effects(g_node(), n=1 << 12, rng=2)
    assert found.method == "exact"
    for effect, error, truth in zip(found.effects, found.errors, exact, strict=True):
        assert abs(effect - truth) < 6 * error + 1e-3
    same = fc.shapley_effects(g_function, UNIT, n=1 << 12, rng=2)
    assert found.effects == pytest.approx(same.effects, rel=1e-9)
    assert found.evaluations == same.evaluations == 16 << 12


def test_shapley_effects_of_many_inputs():
    added = fc.constant(0)
    for i in range(13):
        added = added + fc.variable(f"x{i}", Normal(0, 1 + i))
    found = fc.shapley_effects(added, n=256, permutations=4, rng=0)
    variances = np.array([(1 + i) ** 2 for i in range(13)])
    assert found.method == "permutations"
    for effect, error, truth in zip(found.effects, found.errors, variances / variances.sum(), strict=True):
        assert abs(effect - truth) < 6 * error + 5e-3


def test_tornado_takes_quantiles():
    inputs = {"a": Uniform(0, 1), "b": LogNormal(1, 1), "c": Discrete([1, 2, 3]), "d": Fixed(2)}
    a, b, c, d = (fc.variable(name, distribution) for name, distribution in inputs.items())
    found = fc.tornado(a - 3 * b + c * d, low=0.1, high=0.8)
    same = fc.tornado(lambda x: x["a"] - 3 * x["b"] + x["c"] * x["d"], inputs, low=0.1, high=0.8)
    assert [swing.name for swing in found] == [swing.name for swing in same] == ["b", "c", "a", "d"]
    for one, other in zip(found, same, strict=True):
        assert (one.at_low, one.at_high) == pytest.approx((other.at_low, other.at_high), rel=1e-9)
    each = fc.variable("each", Uniform(0, 1), per="entity")
    assert fc.tornado(program.total(each), entities=["p", "q"])[0].at_high == pytest.approx(1.9)


def test_categories_from_draws_that_are_not_stored():
    reading = fc.switch("reading", ["1/4", "1/4", "1/2"])
    y = fc.lookup(reading, [0, 2, 7]) + fc.variable("noise", Normal(0, 2))
    category = fc.Category("reading", reading, ("a", "b", "c"))
    found = fc.first_order_of_categories(y, category, n=64 * 99, rng=4)
    assert abs(found.share - 9.25 / 13.25) < 6 * found.error
    draws = fc.draw_values({"y": y, "g": reading}, draws=64 * 99, rng=4)
    assert found == fc.first_order_of_categories(draws["y"], draws["g"].astype(int))


def test_a_sweep_gives_the_share_of_a_category():
    reading = fc.switch("reading", ["1/4", "3/4"])
    y = fc.lookup(reading, [0, 2]) + fc.variable("noise", Normal(0, 1))
    each = y + fc.variable("own", Uniform(0, 1), per="entity")
    category = fc.Category("reading", reading, ("a", "b"))
    sinks = {
        "y": fc.Moments({"y": y, "half": y / 2, "none": 0 * y}, by=category),
        "each": fc.Moments({"x": each}, by=category),
    }
    found = fc.sweep(fc.Program(sinks, ["p", "q"]), draws=64 * 20, rng=4)
    same = fc.first_order_of_categories(y, category, n=64 * 20, rng=4)
    assert found["y"].first_order()[:2] == pytest.approx([same.share] * 2, rel=1e-9)
    assert math.isnan(found["y"].first_order()[2])
    # Normal within a category, so the delta method holds; a jackknife of 64 batches knows an error to 9 %.
    assert found["y"].first_order_error()[:2] == pytest.approx([same.error] * 2, rel=0.5)
    assert math.isnan(found["y"].first_order_error()[2])
    assert found["each"].first_order_error().shape == (2, 1)
    for plain in (fc.Moments({"y": y}), fc.Moments({"x": each})):
        with pytest.raises(ValueError, match="no category"):
            fc.sweep(fc.Program({"m": plain}, ["p", "q"]), draws=64, rng=4)["m"].first_order()
    assert found["each"].first_order().shape == (2, 1)
    assert found["each"].first_order()[0] == pytest.approx(same.share * 1.75 / (1.75 + 1 / 12), abs=0.05)


def test_variance_over_scenarios_from_draws_that_are_not_stored():
    x = fc.variable("x", Normal(1, 1))
    scenarios = {"strict": x + 3, "lax": 2 * x}
    found = fc.variance_split(scenarios, {"strict": 1, "lax": 3}, n=64 * 50, rng=5)
    assert abs(found.between - 3 / 4) < 0.3
    assert found.share_error < 0.02
    assert abs(found.share_between - 0.75 / 4) < 6 * found.share_error
    assert found == fc.variance_split(fc.draw_values(scenarios, draws=64 * 50, rng=5), {"strict": 1, "lax": 3})


def test_what_does_not_vary_is_undefined_with_a_reason():
    x = fc.variable("x", Uniform(0, 1))
    for found in (fc.sobol_indices(0 * x + 3, n=128, rng=0), fc.shapley_effects(0 * x, n=128, rng=0)):
        assert found.reason == "the output does not vary"
        assert math.isnan(getattr(found, "first", getattr(found, "effects", None))[0])
    still = fc.first_order_of_categories(0 * x, fc.Category("x", x < 2), n=128, rng=0)
    assert (still.reason, still.counts) == ("the output does not vary", (0, 128))
    assert math.isnan(fc.variance_split({"one": 0 * x}, n=128, rng=0).share_error)


X = fc.variable("x", Uniform(0, 1))
EACH = fc.variable("each", Uniform(0, 1), per="entity")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fc.sobol_indices(EACH, entities=["p"], n=128), ValueError, "take total, count or a rank"),
        (lambda: fc.sobol_indices(X, {"x": Uniform(0, 1)}, n=128), ValueError, "variables of its own"),
        (lambda: fc.sobol_indices(fc.constant(1), n=128), ValueError, "at least one"),
        (lambda: fc.sobol_indices(fc.dim("w") * 2, {}, n=128), ValueError, "dim 'w' is missing"),
        (lambda: fc.sobol_indices(program.log(X - 2), n=128), _core.DataError, "not a finite number"),
        (
            lambda: fc.sobol_indices(program.total(EACH), entities=["p"], n=128, sampler="sobol"),
            ValueError,
            "use sampler='philox'",
        ),
        (lambda: fc.first_order_of_categories(X, [0, 1]), TypeError, "a node and a Category, or two arrays"),
        (
            lambda: fc.first_order_of_categories(X, fc.Category("half", 2 * X), n=128),
            ValueError,
            "128 of 128 draws are not whole numbers from 0 to 1",
        ),
        (lambda: fc.variance_split({"one": X, "two": [1.0]}, n=128), TypeError, "nodes only, or arrays only"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_second_order_is_what_two_inputs_do_together():
    x, y, z = (fc.variable(name, Uniform(0, 1)) for name in "xyz")
    product = (x - "1/2") * (y - "1/2") + x + z  # variances 1/144, 1/12 and 1/12
    found = fc.sobol_indices(product, order=2, n=1 << 13, rng=0)
    assert (found.names, found.evaluations) == (("x", "y", "z"), 8 << 13)
    exact = np.array([[np.nan, 1 / 25, 0], [1 / 25, np.nan, 0], [0, 0, np.nan]])
    distance = np.abs(np.array(found.second) - exact) / np.array(found.second_error)
    assert np.nanmax(distance) < 6
    assert np.isnan(np.diagonal(distance)).all()
    assert "x x y:" in str(found)
    alike = fc.sobol_indices(
        lambda v: (v["x"] - 0.5) * (v["y"] - 0.5) + v["x"] + v["z"],
        {name: Uniform(0, 1) for name in "xyz"},
        order=2,
        n=1 << 13,
        rng=0,
    )
    assert np.allclose(alike.second, found.second, rtol=0, atol=1e-6, equal_nan=True)
    alone = fc.sobol_indices(product, n=1 << 13, rng=0)
    assert alone.total == found.total
    assert alone.second == ()
    with pytest.raises(ValueError, match="order=3, 3 inputs: expected 1, or 2"):
        fc.sobol_indices(product, order=3, n=128)
