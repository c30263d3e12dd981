"""The same bytes for every instruction set, thread count and length."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

import flopcore as fc
from flopcore import _core
from flopcore.distributions import LogNormal, LogUniform, Uniform, philox_key, seed_sequence
from flopcore.study.allocation import Allocation, allocation_spec
from flopcore.sweep_plan import make_plan

LENGTHS = [1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025, 3001]
FACTORS = [LogNormal(1e12, 0.8), Uniform(1e11, 9e12), LogUniform(1e10, 1e13)]
LINES = [fc.Threshold(str(k), 10**22 * 3**k, ">=") for k in range(9)]


def study():
    """Entities counted by words, by sums, with shared factors and ones of groups, and exactly."""
    entities = []
    for i, d in enumerate(FACTORS * 4):
        entities.append(
            fc.Entity(f"word-{i}", (fc.Factor("x", d, power=(-1) ** i),), 10 ** (24 + 12 * (-1) ** (i + 1)))
        )
        entities.append(
            fc.Entity(
                f"sum-{i}",
                (fc.Factor("x", d), fc.Factor("y", FACTORS[i % 2]), fc.Factor(f"z{i % 3}", d, -1, shared=i % 2 == 0)),
            )
        )
    grouped = [
        fc.Entity(f"lab-{i}", (fc.Factor("bias", FACTORS[i % 2], group=f"lab {i % 2}"), fc.Factor("x", FACTORS[2])))
        for i in range(5)
    ]
    return [*entities, *grouped, fc.Entity("known", (), 10**25)]


def reference(make):
    """What the base instruction set and one thread give."""
    before = _core.isa()
    _core.select_isa("base")
    try:
        return make(1)
    finally:
        _core.select_isa(before)


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("entities", [study(), study()[1:2], study()[:1]], ids=["many", "one-sum", "one-word"])
def test_counts_do_not_depend_on_isa_threads_or_cut(every_isa, precision, entities):
    def run(threads, **options):
        result = fc.sweep(entities, LINES, draws=5001, rng=9, precision=precision, threads=threads, **options)
        return result.exceed_counts.tobytes(), result.count_histogram.tobytes()

    expected = reference(run)
    for threads in (1, 2, 3):
        assert run(threads) == expected
    assert run(2, progress=lambda done, total: None) == expected


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("n_ranges", [2, 7, 1000])
def test_counts_do_not_depend_on_the_partition(n_ranges, precision):
    plan = make_plan(study(), LINES, philox_key(seed_sequence(9)), precision).build()
    expected = reference(lambda threads: [a.tobytes() for a in plan.evaluate(0, 2003, threads)])
    ends = np.linspace(0, 2003, n_ranges + 1).astype(int)
    parts = [plan.evaluate(int(a), int(b), 1 + k % 2) for k, (a, b) in enumerate(itertools.pairwise(ends))]
    assert [sum(part[k] for part in parts).tobytes() for k in range(2)] == expected


@pytest.mark.parametrize("precision", ["double", "single"])
def test_counts_do_not_depend_on_executor_or_resume(precision, tmp_path):
    def run(**options):
        result = fc.sweep(study(), LINES, rng=9, precision=precision, **{"draws": 9001, **options})
        return result.exceed_counts.tobytes(), result.count_histogram.tobytes()

    expected = run()
    with ThreadPoolExecutor(2) as pool:
        assert run(executor=pool) == expected
        run(draws=1234, executor=pool, checkpoint=tmp_path)
        run(draws=5001, threads=1, checkpoint=tmp_path)
        assert run(executor=pool, checkpoint=tmp_path) == expected


def test_a_block_sampler_does_not_depend_on_isa_or_threads(every_isa):
    plan = allocation_spec(
        Allocation.bundled(), thresholds=[10**25, 10**26], widths=[Fraction(1, 2), 1], key=[5, 6]
    ).build()

    def run(threads):
        return [array.tobytes() for array in plan.evaluate(3, 1_500, threads)]

    expected = reference(run)
    for threads in (1, 2, 3):
        assert run(threads) == expected


@pytest.mark.parametrize("single", [True, False], ids=["single", "double"])
@pytest.mark.parametrize("kind", range(3), ids=["normal", "uniform", "log_linear"])
def test_kernels_give_the_same_bytes_at_odd_lengths(every_isa, single, kind):
    words = np.random.default_rng(4).integers(0, 2**32 if single else 2**53, max(LENGTHS), dtype=np.uint64)
    # Enough words near the ends that every part of a long run has lanes in the tail.
    words[::97] >>= 20
    words[5::201] = (2**32 if single else 2**53) - 1 - (words[5::201] >> 18)
    for n in LENGTHS:
        expected = reference(lambda _, n=n: _core.term_values(kind, 0.7, 0.9, single, words[:n]).tobytes())
        assert _core.term_values(kind, 0.7, 0.9, single, words[:n]).tobytes() == expected


@pytest.mark.parametrize("name", ["norm_ppf", "norm_cdf", "exp", "log"])
def test_elementwise_functions_give_the_same_bytes(every_isa, name):
    x = np.random.default_rng(5).uniform(0, 1, 1023) ** 9
    if name in ("norm_cdf", "exp"):
        x = (x - 0.3) * 40
    for n in (1, 15, 16, 17, 1023):
        expected = reference(lambda _, n=n: getattr(_core, name)(x[:n]).tobytes())
        assert getattr(_core, name)(x[:n]).tobytes() == expected


def test_v3_is_worth_having():
    if "v3" not in _core.available_isas():
        pytest.skip("this machine lacks the instructions of v3")
    entities = [fc.Entity("m", tuple(fc.Factor(name, LogNormal(1e6, 0.7)) for name in "abcd"))]
    plan = make_plan(entities, LINES, [1, 2], "single").build()
    before = _core.isa()
    seconds = {}
    try:
        for isa in ("base", "v3") * 3:
            _core.select_isa(isa)
            began = time.process_time()
            plan.evaluate(0, 50_000, 1)
            seconds[isa] = min(seconds.get(isa, np.inf), time.process_time() - began)
    finally:
        _core.select_isa(before)
    # A wrong flag costs 20 to 50 times and passes every other test; a slow machine passes this one.
    assert seconds["base"] > 1.3 * seconds["v3"]
