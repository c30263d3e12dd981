"""Programs and all their sinks: the same counters for every instruction set, thread count, cut and executor."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import flopcore as fc
from flopcore import _core
from flopcore import program as p
from flopcore.distributions import (
    Gamma,
    GaussianCopula,
    LogNormal,
    LogUniform,
    Normal,
    Triangular,
    Uniform,
    philox_key,
    seed_sequence,
)
from flopcore.program_plan import compile_program
from flopcore.sinks import flatten

KEYS = tuple(f"m{i}" for i in range(37))
LINES = [fc.Threshold(str(k), 10**22 * 7**k, ">=" if k % 2 else ">") for k in range(6)]


def program():
    """Every operation and every sink, values of the study and of entities, three stages."""
    size = fc.variable("C", [LogNormal(10.0 ** (22 + i / 9), 0.3 + i / 40) for i in range(len(KEYS))])
    bias, slope = fc.variable("bias", LogUniform(0.2, 6)), fc.variable("slope", Normal(0.1, 0.4))
    which = fc.switch("which", ["0.2", "0.5", "0.3"])
    weight = fc.column([1 + i % 5 for i in range(len(KEYS))])
    lab = fc.variable("lab", LogNormal(1, 0.2), per=[f"lab {i % 5}" for i in range(len(KEYS))])
    flop = size * bias * lab * fc.lookup(which, [1, 2, "0.75"])
    risk = p.exp(slope * p.log(weight + 1)) + p.sqrt(p.maximum(slope, 0)) + p.floor(3 * slope) / 7
    wide = p.log10(p.exp10(slope * 3) + weight) ** "1.5" - p.minimum(slope, weight)
    near = flop >= p.largest(flop) / 10
    copula = GaussianCopula(["params", "tokens", "efficiency"], [[1, 0.7, -0.2], [0.7, 1, 0.1], [-0.2, 0.1, 1]])
    marginals = {"params": LogNormal(1, 0.2), "tokens": Triangular(1, 2, 9), "efficiency": LogUniform(0.2, 0.6)}
    shared, own = (
        fc.correlated(copula, marginals),
        fc.correlated(
            GaussianCopula(["u", "v"], [[1, 0.5], [0.5, 1]]), {"u": Uniform(1, 2), "v": Gamma(2)}, per="entity"
        ),
    )
    flop = flop * shared["params"] * own["u"]
    cut = p.percentile(flop, "0.8", among=[i % 3 > 0 for i in range(len(KEYS))])
    return fc.Program(
        {
            "counts": fc.CountAbove(flop, LINES, groups={"year": [2020 + i % 4 for i in range(37)]}, joint=True),
            "per entity": fc.Exceed(risk, [fc.Threshold("1", 1), fc.Threshold("2", 2, ">=")]),
            "cut": fc.Exceed(cut, LINES, by=fc.Category("which", which, "abc")),
            "near": fc.Table([fc.Category("near", p.count(near), range(38)), fc.Category("which", which, "abc")]),
            "confusion": fc.Confusion(flop > cut, p.where(near, risk, 0) > 1),
            "correlated": fc.Moments({"D": shared["tokens"], "e": shared["efficiency"], "v": p.largest(own["v"])}),
            "moments": fc.Moments({"cut": p.log10(cut), "total": p.total(risk), "slope": slope}),
            "by": fc.Moments({"cut": p.log10(cut), "slope": slope}, by=fc.Category("which", which, "abc")),
            "entities": fc.Moments({"risk": risk, "wide": wide}, max_abs={"wide": 1000}),
            "quantiles": fc.Quantiles(flop, bins=500),
            "order": fc.Quantiles(p.largest_k(flop, 3)),
            "linear": fc.Quantiles(p.smallest(risk), space="linear", low=0, high=3, bins=100),
        },
        KEYS,
    )


def state(**options):
    return fc.sweep(program(), draws=3001, rng=4, **options).state()


@pytest.fixture(scope="module")
def expected():
    before = _core.isa()
    _core.select_isa("base")
    try:
        return {precision: state(precision=precision, threads=1) for precision in ("double", "single")}
    finally:
        _core.select_isa(before)


@pytest.mark.parametrize("precision", ["double", "single"])
def test_counters_do_not_depend_on_isa_or_threads(every_isa, precision, expected):
    for threads in (1, 2, 3):
        assert state(precision=precision, threads=threads) == expected[precision]


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("n_ranges", [1, 2, 7, 1000])
def test_counters_do_not_depend_on_the_partition(n_ranges, precision):
    flat = [(name, sink.lower(KEYS, precision)) for name, sink in flatten(program().sinks)]
    plan = compile_program(flat, KEYS, philox_key(seed_sequence(4)), precision).build()
    n_draws = 2003
    whole = plan.evaluate(0, n_draws, 1)
    ends = np.linspace(0, n_draws, n_ranges + 1).astype(int)
    parts = [plan.evaluate(int(a), int(b), 1) for a, b in itertools.pairwise(ends)]
    counts, limbs = (sum(part[k] for part in parts) for k in range(2))
    assert counts.tobytes() == whole[0].tobytes()
    weights = [1 << 32 * k for k in range(4)]
    for mine, other in zip(limbs.tolist(), whole[1].tolist(), strict=True):
        assert sum(a * w for a, w in zip(mine, weights, strict=True)) == sum(
            a * w for a, w in zip(other, weights, strict=True)
        )


@pytest.mark.parametrize("precision", ["double", "single"])
def test_counters_do_not_depend_on_executor_or_resume(expected, precision, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        assert state(precision=precision, executor=pool) == expected[precision]
        fc.sweep(program(), draws=1234, rng=4, precision=precision, checkpoint=tmp_path)
        fc.sweep(program(), draws=2001, rng=4, precision=precision, checkpoint=tmp_path, executor=pool)
    assert state(precision=precision, checkpoint=tmp_path, threads=3) == expected[precision]


def test_dropping_and_reordering_move_no_other_stream():
    x = fc.variable("C", Uniform(1, 2), per="entity")
    y = fc.variable("b", Normal(0, 1))
    lines = [fc.Threshold("t", "3/2")]

    def counts(keys, value):
        result = fc.sweep(fc.Program({"x": fc.Exceed(value, lines)}, keys), draws=2000, rng=1)
        return dict(zip(keys, result["x"].exceed_counts[:, 0].tolist(), strict=True))

    all_ = counts(KEYS, x + y * 0)
    fewer = counts(KEYS[::-3], y * 0 + x)
    assert fewer == {key: all_[key] for key in fewer}
    # Correlated inputs and ones of groups, too.
    copula = GaussianCopula(["x", "y"], [[1, 0.5], [0.5, 1]])

    def value(keys, reverse):
        pair = fc.correlated(copula, {"x": LogNormal(1, 0.5), "y": Gamma(2)}, per="entity")
        lab = fc.variable("lab", Uniform(0, 1), per=[f"lab {key[-1]}" for key in keys])
        parts = [pair["x"], pair["y"] * 0, lab]
        return sum(parts[::-1] if reverse else parts, fc.constant(0))

    all_ = counts(KEYS, value(KEYS, False))
    fewer = counts(KEYS[::-3], value(KEYS[::-3], True))
    assert set(all_.values()) != {0}
    assert fewer == {key: all_[key] for key in fewer}
