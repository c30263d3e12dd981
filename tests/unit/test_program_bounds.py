"""Bounds contain all draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flopcore as fc
from flopcore import program as p
from flopcore.distributions import LogNormal, LogUniform, Normal, Uniform
from flopcore.program_bounds import bounds_of

KEYS = ("a", "b", "c")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.1, 20), st.floats(-3, 3))
def test_bounds_contain_every_draw(seed, sigma, shift):
    x, y = fc.variable("x", Normal(shift, sigma)), fc.variable("y", Uniform(shift, shift + 2), per="entity")
    z = fc.variable("z", [LogNormal(10, 0.1), LogUniform(1, 7), LogNormal(1e20, sigma)])
    nodes = {
        "x": x,
        "z": z,
        "sum": x + y * z,
        "difference": 3 - x * y,
        "ratio": y / (p.maximum(x, 0) + 1),
        "low": p.minimum(x, y),
        "exp": p.exp(y) + p.exp10(y),
        "log": p.log(z) - p.log10(z),
        "root": p.sqrt(p.maximum(y, 0)),
        "floor": p.floor(y) ** 3,
        "chosen": p.where(x > y, z, -1),
        "truth": (x > y) & (y > 0),
        "table": fc.lookup(p.where(x > 0, 1, 0), [5, -9]),
        "total": p.total(y),
        "known": p.total(y * 0 + fc.column([1, 2, 3])),
        "largest": p.largest(z),
        "rank": p.largest_k(z, 1, among=[True, True, False]),
    }
    values = fc.draw_values(nodes, draws=500, entities=KEYS, rng=seed)
    for (name, node), (low, high) in zip(nodes.items(), bounds_of(list(nodes.values()), 3), strict=True):
        assert np.all((low <= values[name]) & (values[name] <= high)), (name, node)


def test_what_has_no_bounds():
    x = fc.variable("x", Uniform(-1, 1))
    assert bounds_of([1 / x, p.log(x), (x + 2) ** x], 0) == [
        (-np.inf, np.inf),
        (-np.inf, pytest.approx(0, abs=1e-8)),
        (-np.inf, np.inf),
    ]
    assert bounds_of([p.log(-fc.variable("y", Uniform(1, 2)))], 0)[0][0] == -np.inf
