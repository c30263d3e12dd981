"""Sobol' points in sweeps: smaller errors that are true, and the same bits however the draws are cut."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import flopcore as fc
from flopcore import program as p
from flopcore.distributions import (
    Discrete,
    Fixed,
    GaussianCopula,
    LogNormal,
    Normal,
    Triangular,
    Uniform,
    philox_key,
    seed_sequence,
)
from flopcore.program_plan import compile_program
from flopcore.sinks import flatten
from flopcore.sweep_population import totals_of
from flopcore.sweep_replicates import ReplicatedSpec, points_of

KEYS = tuple(f"m{i}" for i in range(5))


def program(**more):
    """Inputs of the study (two of them correlated), of groups and of entities."""
    a, b = fc.variable("a", Uniform(0, 1)), fc.variable("b", LogNormal(1e24, 1.0))
    pair = fc.correlated(
        GaussianCopula(["c", "d"], [[1, 0.5], [0.5, 1]]), {"c": Normal(0, 1), "d": Triangular(1, 2, 4)}
    )
    lab = fc.variable("lab", LogNormal(1, 0.1), per=["x", "y", "x", "y", "y"])
    own = fc.variable("own", LogNormal(1, 0.3), per="entity")
    line = [fc.Threshold("line", 10**24, ">=")]
    return fc.Program(
        {
            "mean": fc.Moments({"a": a, "c": pair["c"], "ad": a * pair["d"]}),
            "over": fc.Exceed(b * pair["d"], line),
            "counts": fc.CountAbove(b * lab * own, line),
            "share": fc.Table([fc.Category("a", p.floor(3 * a), range(3))]),
            "q": fc.Quantiles(b),
            **more,
        },
        KEYS,
    )


def sweep(draws=1 << 12, **options):
    return fc.sweep(program(), draws=draws, rng=5, sampler="sobol", **options)


def test_errors_are_smaller_than_those_of_independent_draws_and_true():
    points = fc.sweep(program(), draws=1 << 15, rng=2, sampler="sobol")
    independent = fc.sweep(program(), draws=1 << 15, rng=2)
    assert np.all(points["mean"].mc_error() < 0.1 * independent["mean"].mc_error())
    assert points["share"].share_error()[0] < 0.1 * independent["share"].share_error()[0]
    assert np.all(points["q"].quantile_error() < 0.5 * independent["q"].quantile_error())
    # 32 replicates: a t statistic with 31 degrees of freedom is beyond 7.5 once in 5e7.
    off = abs(points["mean"].mean()[:2] - [0.5, 0.0])
    assert np.all(off <= 7.5 * points["mean"].mc_error()[:2])
    exact = LogNormal(1e24, 1.0).ppf([0.05, 0.5, 0.95])
    width = exact * (10 ** points["q"].bin_width - 1)
    assert np.all(abs(points["q"].quantile() - exact) <= 7.5 * points["q"].quantile_error() + width)
    assert np.all(abs(points["share"].share() - 1 / 3) <= 7.5 * points["share"].share_error())


def test_the_spread_of_estimates_over_seeds_is_the_error_that_is_told():
    results = [fc.sweep(program(), draws=1 << 10, rng=seed, sampler="sobol") for seed in range(24)]
    means = np.array([result["mean"].mean() for result in results])
    told = np.array([result["mean"].mc_error() for result in results])
    ratio = means.var(axis=0, ddof=1) / (told**2).mean(axis=0)
    # Chi-square with 23 degrees of freedom over its mean: beyond (0.1, 3.2) less than once in 10^6.
    assert np.all((ratio > 0.1) & (ratio < 3.2))


def test_the_same_bits_for_threads_executors_progress_and_resume(tmp_path):
    whole = sweep()
    for threads in (1, 2, 3):
        assert sweep(threads=threads).state() == whole.state()
    with ThreadPoolExecutor(2) as pool:
        assert sweep(executor=pool).state() == whole.state()
    seen = []
    assert sweep(progress=lambda done, total: seen.append(done)).state() == whole.state()
    assert seen[-1] == 1 << 12
    sweep(1000, checkpoint=tmp_path)
    assert sweep(checkpoint=tmp_path).state() == whole.state()
    with pytest.raises(fc.DataError, match="another study"):
        fc.sweep(program(), draws=1 << 12, rng=5, checkpoint=tmp_path)
    assert sweep().state() != fc.sweep(program(), draws=1 << 12, rng=6, sampler="sobol").state()


@pytest.mark.parametrize("precision", ["double", "single"])
def test_the_same_bits_for_every_isa_and_cut(every_isa, precision):
    flat = [(name, sink.lower(KEYS, precision)) for name, sink in flatten(program().sinks)]
    compiled = compile_program(flat, KEYS, philox_key(seed_sequence(5)), precision, {"a": 0, "b": 3, "c": 1, "d": 7})
    plan = ReplicatedSpec(compiled, 4).build()
    whole = plan.evaluate(0, 2003, 1)
    before = fc._core.isa()
    fc._core.select_isa("base")
    expected = plan.evaluate(0, 2003, 2)
    fc._core.select_isa(before)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(whole, expected, strict=True))
    for n in (2, 7, 1000):
        ends = np.linspace(0, 2003, n + 1).astype(int)
        parts = [plan.evaluate(int(a), int(b), 1) for a, b in itertools.pairwise(ends)]
        assert sum(part[0] for part in parts).tobytes() == whole[0].tobytes()
        value = np.array([1 << 32 * k for k in range(4)], dtype=object)
        assert np.array_equal(sum(part[1] for part in parts) @ value, whole[1] @ value)


def test_dimensions_are_pinned_and_recorded():
    by_name = sweep()
    assert by_name.evidence()["sampler"] == {"sobol": {"a": 0, "b": 1, "c": 2, "d": 3}, "replicates": 32}
    more = program(z=fc.Moments({"0": fc.variable("0", Uniform(0, 1))}))
    pinned = fc.Sobol({"a": 0, "b": 1, "c": 2, "d": 3})
    result = fc.sweep(more, draws=1 << 12, rng=5, sampler=pinned)
    for name in ("mean", "over", "counts", "share", "q"):
        assert result[name].state() == by_name[name].state()
    moved = fc.sweep(more, draws=1 << 12, rng=5, sampler="sobol")  # "0" now comes first
    assert moved["mean"].state() != by_name["mean"].state()
    # What is not named stays independent: the draws of a sweep without Sobol' points, at recorded indices.
    only = fc.sweep(program(), draws=1 << 12, rng=5, sampler=fc.Sobol(["b"], replicates=2))
    assert only["mean"].mc_error()[0] > 1e-3


def test_until_asks_at_powers_of_two(tmp_path):
    rule = fc.rel_error(0.0005)
    question = fc.Program({"m": fc.Moments({"x": fc.variable("a", Uniform(0, 1)) * fc.variable("b", Uniform(0, 1))})})

    def run(**options):
        return fc.sweep(question, draws=1 << 24, rng=1, sampler="sobol", until=rule, **options)

    result = run()
    assert result.draws == 1 << 16
    assert result["m"].mc_error()[0] < 0.0005 * 0.25
    assert abs(result["m"].mean()[0] - 0.25) < 7.5 * result["m"].mc_error()[0]
    assert run(checkpoint=tmp_path).state() == run(checkpoint=tmp_path).state() == result.state()
    assert fc.sweep(question, draws=1 << 24, rng=1, until=rule).draws > 1 << 20


def test_points_of_replicates_are_those_of_the_draws():
    for draws in (0, 1, 31, 32, 33, 1000):
        assert [points_of(draws, r, 32) for r in range(32)] == [len(range(r, draws, 32)) for r in range(32)]


def test_results_are_saved_with_their_replicates(tmp_path):
    result = sweep()
    result.save(tmp_path / "r.npz")
    loaded = fc.ProgramResult.load(tmp_path / "r.npz")
    assert loaded.state() == result.state()
    assert loaded.sampler == result.sampler
    assert np.array_equal(loaded["mean"].mc_error(), result["mean"].mc_error())
    scenarios = fc.Along("case", {1: program().sinks["mean"], 2: program().sinks["mean"]})
    along = fc.sweep(fc.Program({"m": scenarios}), draws=64, rng=0, sampler="sobol")["m"]
    assert len(along[1].replicates) == 32


MANY = fc.Program(
    {"m": fc.Moments({"s": sum((fc.variable(f"x{i}", Uniform(0, 1)) for i in range(65)), fc.constant(0))})}
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fc.sweep(MANY, sampler="sobol"), "there are 65 inputs of the study"),
        (lambda: fc.sweep(MANY, sampler="halton"), "expected 'philox', 'sobol' or Sobol"),
        (lambda: fc.sweep(MANY, draws=31, sampler=fc.Sobol(["x1"])), "at least one for each of 32 replicates"),
        (lambda: fc.sweep(MANY, sampler=fc.Sobol(["x1", "y"])), r"no input of the study is named \['y'\]"),
        (
            lambda: fc.sweep(
                fc.Program({"e": fc.Moments({"x": fc.variable("x", Uniform(0, 1), per="entity")})}, KEYS),
                sampler="sobol",
            ),
            "0 inputs of the study",
        ),
        (
            lambda: fc.sweep([fc.Entity("m")], [fc.Threshold("t", 1)], sampler="sobol"),
            "there are 0 inputs of the study",
        ),
        (lambda: fc.Sobol(["a", "a"]), "distinct names"),
        (lambda: fc.Sobol({"a": 1, "b": 1}), "distinct names"),
        (lambda: fc.Sobol([]), "at least one"),
        (lambda: fc.Sobol("ab"), "sequence of names"),
        (lambda: fc.Sobol({"a": 64}), "there are 64, from 0"),
        (lambda: fc.Sobol({"a": -1}), "there are 64, from 0"),
        (lambda: fc.Sobol(replicates=12), "power of two"),
        (lambda: fc.Sobol(replicates=1), "power of two"),
    ],
)
def test_bad_input_is_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_hard_integral_of_many_dimensions_converges():
    # The mean of a product of sixteen uniforms over (1/2, 3/2) is 1.
    x = fc.constant(1)
    for i in range(16):
        x = x * fc.variable(f"x{i}", Uniform(0.5, 1.5))
    question = fc.Program({"m": fc.Moments({"x": x})})
    errors = {}
    for sampler in ("philox", "sobol"):
        result = fc.sweep(question, draws=1 << 16, rng=9, sampler=sampler)["m"]
        errors[sampler] = float(result.mc_error()[0])
        assert abs(result.mean()[0] - 1) < 7.5 * errors[sampler]
    assert errors["sobol"] < 0.5 * errors["philox"]
    assert math.isfinite(errors["sobol"])


FACTOR = fc.Factor
SHARED = FACTOR("growth", LogNormal(1, 0.6), shared=True)
LAB = FACTOR("lab", LogNormal(1, 0.4), group="A")
POPULATION = [
    fc.Entity("a", (SHARED, FACTOR("u", Uniform(0.5, 2), 2)), 10**25),
    fc.Entity(
        "b", (FACTOR("growth", LogNormal(1, 0.6), -1, shared=True), LAB, FACTOR("t", Triangular(1, 2, 3))), 10**25
    ),
    fc.Entity("c", (FACTOR("lab", LogNormal(1, 0.4), 3, group="A"), FACTOR("d", Discrete([1, "4/3"]))), 2 * 10**25),
    fc.Entity("d", (FACTOR("lab", LogNormal(1, 0.4), group="B"),), 9 * 10**25),
    fc.Entity("known", (FACTOR("k", Fixed("1/3"), -1),), 10**25),
]
OVER = [fc.Threshold("high", 10**26, ">="), fc.Threshold("low", 10**25)]


def test_a_population_as_a_program_draws_the_same_numbers():
    own = fc.sweep(POPULATION, OVER, draws=20_000, rng=5)
    sinks = {"c": fc.CountAbove(totals_of(POPULATION), OVER)}
    same = fc.sweep(fc.Program(sinks, [entity.key for entity in POPULATION]), draws=20_000, rng=5)["c"]
    assert same.exceed_counts.tolist() == own.exceed_counts.tolist()
    assert same.histograms[0].tolist() == own.count_histogram.tolist()


def test_shared_factors_of_a_population_are_drawn_by_sobol_points(tmp_path):
    found = fc.sweep(POPULATION, OVER, draws=2**13, rng=5, sampler="sobol")
    assert found.sampler.dimension_of() == {"growth": 0}
    assert fc.sweep(POPULATION, OVER, draws=2**13, rng=5, sampler="sobol", threads=1).exceed_counts.tolist() == (
        found.exceed_counts.tolist()
    )
    alone = fc.Entity("alone", (SHARED,), 10**25)
    points = fc.sweep([alone], OVER[1:], draws=2**13, rng=5, sampler="sobol")
    plain = fc.sweep([alone], OVER[1:], draws=2**13, rng=5)
    assert abs(points.probability()[0, 0] - 0.5) < 6 * points.probability_error()[0, 0] + 1 / 256
    assert points.probability_error()[0, 0] < plain.probability_error()[0, 0] / 5
    for error in ("mc_error", "count_sd_error"):
        assert getattr(points, error)()[0] < getattr(plain, error)()[0]
    found.save(tmp_path / "r.npz")
    loaded = fc.SweepResult.load(tmp_path / "r.npz")
    assert loaded.mc_error().tolist() == found.mc_error().tolist()
    assert loaded.evidence() == found.evidence()
    assert loaded.evidence()["sampler"] == {"sobol": {"growth": 0}, "replicates": 32}


@pytest.mark.parametrize(
    ("population", "message"),
    [
        ([fc.Entity("x", (LAB,)), fc.Entity("y", (FACTOR("lab", LogNormal(1, 1)),))], "'lab' is of a group in one"),
        ([fc.Entity("x", (SHARED,)), fc.Entity("y", (FACTOR("growth", LogNormal(1, 1), shared=True),))], "in another"),
        ([fc.Entity("x", (SHARED, FACTOR("n", Normal(0, 1))))], "may be negative"),
    ],
)
def test_a_population_without_sobol_points_says_why(population, message):
    with pytest.raises(ValueError, match=message):
        fc.sweep(population, OVER, draws=2**10, rng=5, sampler="sobol")
