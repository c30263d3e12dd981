"""Hypothesis holds sensitivity to the reference: the program's draws and values, and the indices made of them."""

from itertools import combinations

import hypothesis
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import flopcore as fc
from flopcore import program as p
from flopcore.distributions import Uniform, philox_key, seed_sequence
from flopcore.pick_freeze import BATCHES
from flopcore.reference import program as reference
from flopcore.reference import sensitivity as formulas
from flopcore.reference import sobol as points
from flopcore.sobol import scramble_seeds, sobol_points

KEYS = ("a", "b")
N = 2 * BATCHES
# Drawn as they are, which is cheap in fractions: variates have tests of their own.
DISTRIBUTIONS = st.builds(Uniform, st.floats(-10, -0.01), st.floats(0.01, 10))
OUTPUTS = st.builds(
    lambda seed, mean, scale, digits: np.round(np.random.default_rng(seed).normal(mean, scale, N), digits).tolist(),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 1e9]),
    st.sampled_from([1e-5, 1.0, 1e6]),
    st.sampled_from([0, 3, 15]),  # with few digits many are equal
)


@st.composite
def models(draw):
    """A value of the study over three or four inputs, one of them of entities."""
    x, y, z = (fc.variable(name, draw(DISTRIBUTIONS)) for name in "xyz")
    each = fc.variable("each", draw(DISTRIBUTIONS), per="entity")
    joined = draw(st.sampled_from([p.total, p.largest, lambda e: p.count(e > 0)]))(each)
    nodes = [x, y, x * y, p.minimum(y, joined), p.where(x < y, joined, 2 * z), x - z]
    picked = draw(st.lists(st.sampled_from(nodes), min_size=2, max_size=4))
    value = picked[0]
    for node in picked[1:]:
        value = draw(st.sampled_from([p.maximum, lambda a, b: a + b, lambda a, b: a * b]))(value, node)
    return value


def outputs(model, seed, second):
    key = tuple(philox_key(seed_sequence(seed)))
    return [reference.Evaluator(KEYS, key, "double", row, second=second).values(model)[0] for row in range(N)]


@settings(max_examples=5, deadline=None)
@given(models(), st.integers(0, 99))
def test_sobol_indices_of_programs(model, seed):
    found = fc.sobol_indices(model, entities=KEYS, n=N, rng=seed, sampler="philox")
    a, b = outputs(model, seed, ()), outputs(model, seed, found.names)
    mixed = [outputs(model, seed, (name,)) for name in found.names]
    if len({*a, *b}) == 1:
        assert found.reason
        return
    first, total, variance = formulas.sobol_indices(a, b, mixed)
    assert (found.first, found.total) == (tuple(map(float, first[0])), tuple(map(float, total[0])))
    assert found.variance == float(variance)
    first, total, _ = formulas.sobol_indices(a, b, mixed, BATCHES)
    for errors, batches in ((found.first_error, first), (found.total_error, total)):
        for error, estimates in zip(errors, zip(*batches, strict=True), strict=True):
            truth = formulas.standard_error(estimates)
            assert abs(error - truth) <= 1e-9 * truth


@settings(max_examples=3, deadline=None)
@given(models(), st.integers(0, 99))
def test_shapley_effects_of_programs(model, seed):
    found = fc.shapley_effects(model, entities=KEYS, n=N, rng=seed, sampler="philox")
    d = len(found.names)
    start = outputs(model, seed, ())
    at = {
        frozenset(u): outputs(model, seed, [found.names[i] for i in u])
        for k in range(1, d + 1)
        for u in combinations(range(d), k)
    }
    if found.reason:
        assert len({*start}) == 1 or all(row == start for row in at.values())
        return
    assert found.effects == tuple(map(float, formulas.shapley_effects(start, at, d)))


@settings(max_examples=15, deadline=None)
@hypothesis.example([1e-5 / (k + 3) for k in range(N)], [0.0] * N, [[float(k % 5 - 2) for k in range(N)]])
@given(OUTPUTS, OUTPUTS, st.lists(OUTPUTS, min_size=1, max_size=3))
def test_sobol_indices_of_functions(a, b, mixed):
    """Any outputs at all: the formulas know nothing of where they come from."""
    hypothesis.assume(len({*a, *b}) > 1)
    replayed = iter(map(np.array, [a, b, *mixed]))
    inputs = {f"x{i}": Uniform(0, 1) for i in range(len(mixed))}
    found = fc.sobol_indices(lambda _: next(replayed), inputs, n=N, rng=0)
    first, total, variance = formulas.sobol_indices(a, b, mixed)
    assert (found.first, found.total) == (tuple(map(float, first[0])), tuple(map(float, total[0])))
    assert found.variance == float(variance)


@settings(max_examples=5, deadline=None)
@given(
    OUTPUTS,
    st.builds(
        lambda seed, n: np.random.default_rng(seed).integers(0, n, N).tolist(), st.integers(0, 99), st.integers(1, 3)
    ),
)
def test_shares_of_categories(outputs, categories):
    hypothesis.assume(len(set(outputs[2:])) > 3)
    found = fc.first_order_of_categories(outputs, categories)
    assert found.share == float(formulas.between_share(outputs, categories))
    if not found.reason:
        left_out = [
            formulas.between_share(outputs[:k] + outputs[k + 2 :], categories[:k] + categories[k + 2 :])
            for k in range(0, N, 2)
        ]
        truth = formulas.jackknife_error(left_out)
        assert abs(found.error - truth) <= 1e-6 * truth + 1e-12


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 64), st.integers(0, 2**32 - 40), st.integers(0, 33), st.integers(0, 2**64), st.booleans())
def test_sobol_points(n_dims, first, n, seed, scramble):
    found = sobol_points(n_dims, n, first=first, scramble=scramble, rng=seed)
    seeds = scramble_seeds(seed_sequence(seed), n_dims).tolist()
    for dim in {0, n_dims - 1}:
        words = [points.sobol_word(dim, first + k) for k in range(n)]
        words = [points.owen_scramble(word, seeds[dim]) if scramble else word for word in words]
        assert found[dim].tolist() == [(word + 0.5) / 2**32 for word in words]
