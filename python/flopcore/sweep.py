"""Sweep programs, and populations against thresholds; relies on the core for draws and counts."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from decimal import localcontext
from fractions import Fraction
from operator import index
from typing import Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from . import _core
from .distributions import DIGITS, LN10, Seed, philox_key, seed_sequence
from .program import Node, check_size
from .program_plan import CoreSink, compile_program
from .program_result import ProgramResult
from .sink_results import CountResult, SinkResult, moments
from .sinks import Along, CountAbove, Sink, flatten, nest
from .sweep_plan import Entity, Factor, Precision, ascending, log10_offset, make_plan
from .sweep_population import totals_of
from .sweep_replicates import (
    ReplicatedPlan,
    ReplicatedSpec,
    Sobol,
    mean_of_replicates,
    points_of,
    resolve_sobol,
    shared_names,
)
from .sweep_result import SweepResult
from .sweep_run import (
    Counts,
    Mean,
    Plan,
    Progress,
    Spec,
    Stops,
    Totals,
    Until,
    doubling_stops,
    fixed_stops,
    rel_error,
    run,
)
from .thresholds import Threshold

__all__ = [
    "Entity",
    "Factor",
    "Precision",
    "Program",
    "Sampler",
    "Sobol",
    "SweepResult",
    "draw_totals",
    "draw_values",
    "rel_error",
    "sweep",
]

Sampler: TypeAlias = Literal["philox", "sobol"] | Sobol

_MAX_DRAWS = 1 << 49
_MOST_THREADS = 1 << 12
_LOOK = 256


@dataclass(frozen=True, slots=True)
class Program:
    """What is asked of uncertain values: sinks by name, and the keys of the entities they run over.

    Parameters
    ----------
    sinks : mapping of str to Sink or Along
        Questions; see :mod:`flopcore.sinks`.
    entities : sequence of str
        Keys, in the order of all columns; the addresses of the entities' random numbers.

    Raises
    ------
    ValueError
        For no sink, an empty key or one that stands twice.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.distributions import LogNormal
    >>> flop = fc.column(["1e25", "3e26"]) * fc.variable("error", LogNormal(1, 0.4), per="entity")
    >>> above = fc.CountAbove(flop, [fc.Threshold("1e26", 10**26)])
    >>> fc.sweep(Program({"above": above}, entities=["a", "b"]), draws=10_000, rng=0)["above"].expected().tolist()
    [0.9977]
    """

    sinks: Mapping[str, Sink | Along]
    entities: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check sinks and keys, and that they fit together."""
        if not isinstance(self.sinks, Mapping):
            raise TypeError(f"sinks={self.sinks!r}: expected a mapping of name to question")
        if not self.sinks:
            raise ValueError("a program needs at least one sink")
        for name in self.sinks:
            if not isinstance(name, str) or not name:
                raise TypeError(f"sink name {name!r}: expected a text that is not empty")
        if isinstance(self.entities, str):
            raise TypeError(f"entities={self.entities!r}: expected a sequence of keys")
        keys = tuple(self.entities)
        for key in keys:
            if not isinstance(key, str) or not key:
                raise ValueError(f"entity key {key!r}: expected a text that is not empty")
        _refuse_repeated(keys)
        for name, sink in flatten(self.sinks):
            for node in sink.nodes:
                check_size(node, len(keys), f"sink {name!r}: ")
        object.__setattr__(self, "entities", keys)


def _refuse_repeated(keys: tuple[str, ...]) -> None:
    for first, second in itertools.pairwise(sorted(keys)):
        if first == second:
            raise ValueError(f"two entities have the key {first!r}")


@overload
def sweep(
    study: Program,
    *,
    draws: int = ...,
    rng: Seed = ...,
    threads: int | None = ...,
    precision: Precision = ...,
    progress: Progress | None = ...,
    checkpoint: str | os.PathLike[str] | None = ...,
    executor: Executor | None = ...,
    until: Until | None = ...,
    sampler: Sampler = ...,
) -> ProgramResult: ...
@overload
def sweep(
    study: Sequence[Entity],
    thresholds: Sequence[Threshold],
    *,
    draws: int = ...,
    rng: Seed = ...,
    threads: int | None = ...,
    precision: Precision = ...,
    progress: Progress | None = ...,
    checkpoint: str | os.PathLike[str] | None = ...,
    executor: Executor | None = ...,
    until: Until | None = ...,
    sampler: Sampler = ...,
) -> SweepResult: ...
def sweep(
    study: Program | Sequence[Entity],
    thresholds: Sequence[Threshold] = (),
    *,
    draws: int = 1_000_000,
    rng: Seed = None,
    threads: int | None = None,
    precision: Precision = "double",
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    until: Until | None = None,
    sampler: Sampler = "philox",
) -> SweepResult | ProgramResult:
    """Return the answers of a program; or how often each entity, and how many per draw, are over each threshold.

    Parameters
    ----------
    study : Program or sequence of Entity
        What is asked; or a population of products of factors, with unique keys, for which the engine has a way of its
        own that is several times faster.
    thresholds : sequence of Threshold
        Of a population: exact lines with their comparators, in any order. A program has them in its sinks.
    draws : int
        Rows of the sweep: in each, every uncertain input has one value.
    rng : int, sequence of int, SeedSequence or None
        Seed; None takes fresh entropy, which the result records.
    threads : int or None
        At most this many threads; None means all CPUs that this process may use.
    precision : {"double", "single"}
        Of variates and of comparisons in log10 space; counts are exact integers either way.
    progress : callable, "bar" or None
        Called as ``progress(done, draws)`` a few times a second; "bar" draws a bar on stderr.
    checkpoint : path or None
        Directory that keeps the counts so far, written every few seconds and at the end. The same call after an
        interruption goes on from there; with more `draws` it extends a finished run.
    executor : concurrent.futures.Executor or None
        Runs ranges of draws, one thread each, in place of this process's threads. Ranges that it loses are sent again;
        what a broken or stalled one leaves is done here, with a warning.
    until : Until or None
        Ends the run early, for example ``rel_error(0.01)``; `draws` is then the most it may take. It is asked after
        fixed numbers of draws, so the outcome does not depend on speed.
    sampler : {"philox", "sobol"} or Sobol
        Independent draws; or, for the study's own inputs of a program and the shared factors of a population (64 at
        most), Owen-scrambled Sobol' points: 32 scrambles side by side, whose spread is every standard error of the
        result. Best at 32 times a power of two. A population is then run as a program, which takes longer.

    Returns
    -------
    ProgramResult or SweepResult
        A function of the study, thresholds, draws, seed, precision and stream version, and of nothing else.

    Raises
    ------
    ValueError
        For an empty population, repeated keys, a factor that may be zero or negative, unequal shared factors.
    DataError
        For a checkpoint of another study, or a draw that a sink cannot count (not a number, outside its categories).
    CountOverflowError
        When a sum of moments leaves 127 bits.
    OSError
        When the checkpoint cannot be written; found out before the first draw.

    Notes
    -----
    log10 of a total is compared with log10 of a threshold, both rounded; an entity whose inputs are all Fixed is
    compared exactly. A draw equal to the rounded line is over a ``>=`` line and not over a ``>`` line. See
    docs/NUMERICS.md.

    Examples
    --------
    >>> from flopcore.distributions import Fixed, LogNormal
    >>> lines = [Threshold("at", 10**26, ">="), Threshold("over", 10**26, ">")]
    >>> known = Entity("known", (Factor("C", Fixed(10**26)),))
    >>> guess = Entity("guess", (Factor("C", LogNormal(1e26, 0.5)),))
    >>> result = sweep([known, guess], lines, draws=10_000, rng=0)
    >>> result.exceed_counts[0].tolist()
    [10000, 0]
    """
    _check_precision(precision)
    options = _options(draws, threads, progress, checkpoint, executor, until)
    points = None if sampler == "philox" else Sobol() if sampler == "sobol" else sampler
    if points is not None and not isinstance(points, Sobol):
        raise ValueError(f"sampler={sampler!r}: expected 'philox', 'sobol' or Sobol(...)")
    seed = seed_sequence(rng)
    if isinstance(study, Program):
        if thresholds:
            raise ValueError("thresholds: a program has them in its sinks")
        return _sweep_program(study, seed, precision, options, points)
    if isinstance(study, Entity):
        raise TypeError(f"study: {study!r} is one Entity; expected a Program or a sequence of Entity")
    population = tuple(study)
    for entity in population:
        if not isinstance(entity, Entity):
            raise TypeError(f"study: {entity!r} is not an Entity; expected a Program or a sequence of Entity")
    if not population:
        raise ValueError("study: a sweep needs at least one entity")
    if points is not None:
        return _sweep_replicated(population, thresholds, seed, precision, options, points)
    return _sweep_population(population, thresholds, seed, precision, options)


def _sweep_replicated(
    population: tuple[Entity, ...],
    lines: Sequence[Threshold],
    seed: np.random.SeedSequence,
    precision: Precision,
    options: _Options,
    points: Sobol,
) -> SweepResult:
    """Sweep a population at Sobol' points, as a program."""
    _refuse_repeated(keys := tuple(entity.key for entity in population))
    program = Program({"counts": CountAbove(totals_of(population), lines)}, keys)
    found = _sweep_program(program, seed, precision, options, points)
    counts = found["counts"]
    assert isinstance(counts, CountResult)
    return SweepResult(
        entities=keys,
        thresholds=tuple(lines),
        draws=found.draws,
        exceed_counts=counts.exceed_counts,
        count_histogram=counts.histograms[0],
        precision=precision,
        seed=found.seed,
        spawn_key=found.spawn_key,
        stream_version=found.stream_version,
        plan_digest=found.plan_digest,
        versions=found.versions,
        elapsed=found.elapsed,
        sampler=found.sampler,
        replicated=counts,
    )


def _check_precision(precision: str) -> None:
    if precision not in ("double", "single"):
        raise ValueError(f"precision={precision!r}: expected 'double' or 'single'")


@dataclass(frozen=True, slots=True)
class _Options:
    """How a sweep is run; none of it changes a result but `draws` and `until`."""

    draws: int
    threads: int
    progress: Progress | None
    checkpoint: str | os.PathLike[str] | None
    executor: Executor | None
    until: Until | None


def _options(
    draws: int,
    threads: int | None,
    progress: Progress | None,
    checkpoint: str | os.PathLike[str] | None,
    executor: Executor | None,
    until: Until | None,
) -> _Options:
    """Return the options, each checked, so that a wrong one is an error before the work."""
    n_draws, n_threads = _whole("draws", draws), 1 if threads is None else _whole("threads", threads)
    if not 1 <= n_draws <= _MAX_DRAWS:
        raise ValueError(f"draws={draws}: expected 1 to 2^49")
    if n_threads < 1:
        raise ValueError(f"threads={threads}: expected None or at least 1")
    if not (progress is None or progress == "bar" or callable(progress)):
        raise TypeError(f"progress={progress!r}: expected a function of (done, draws), 'bar' or None")
    if not (checkpoint is None or isinstance(checkpoint, (str, os.PathLike))):
        raise TypeError(f"checkpoint={checkpoint!r}: expected the path of a directory, or None")
    if not (executor is None or callable(getattr(executor, "submit", None))):
        raise TypeError(f"executor={executor!r}: expected a concurrent.futures.Executor, or None")
    if not (until is None or callable(getattr(until, "reached", None))):
        raise TypeError(f"until={until!r}: expected a rule such as rel_error(0.01), or None")
    n_threads = 0 if threads is None else min(n_threads, _MOST_THREADS)
    return _Options(n_draws, n_threads, progress, checkpoint, executor, until)


def _whole(name: str, value: int) -> int:
    try:
        if not isinstance(value, bool):
            return index(value)
        raise TypeError
    except TypeError:
        raise TypeError(f"{name}={value!r}: expected a whole number, such as 10**6") from None


def _seed_fields(seed: np.random.SeedSequence) -> tuple[int | tuple[int, ...], tuple[int, ...]]:
    entropy = seed.entropy
    words = tuple(int(e) for e in entropy) if isinstance(entropy, Sequence) else int(entropy or 0)
    return words, tuple(int(k) for k in seed.spawn_key)


def _run(
    spec: Spec,
    zero: Counts,
    means: Callable[[Totals], list[Mean]],
    options: _Options,
    plan: Plan | None = None,
    *,
    stops: Stops = fixed_stops,
) -> Totals:
    return run(
        spec,
        zero,
        means,
        options.draws,
        threads=options.threads,
        progress=options.progress,
        checkpoint=options.checkpoint,
        executor=options.executor,
        until=options.until,
        plan=plan,
        stops=stops,
    )


def _sweep_population(
    population: tuple[Entity, ...],
    lines: Sequence[Threshold],
    seed: np.random.SeedSequence,
    precision: Precision,
    options: _Options,
) -> SweepResult:
    ordered, place = ascending(lines)
    keys = tuple(entity.key for entity in population)
    _refuse_repeated(keys)
    began = time.perf_counter()
    spec = make_plan(population, ordered, philox_key(seed), precision)
    n, m = len(lines), len(population)
    zero = (np.zeros((m, n), np.int64), np.zeros((n, m + 1), np.int64))

    def means(totals: Totals) -> list[Mean]:
        return [(totals.draws, Fraction(total), Fraction(squares)) for total, squares in moments(totals.counts[1])]

    totals = _run(spec, zero, means, options)
    exceeded = np.ascontiguousarray(totals.counts[0][:, place])
    histogram = np.ascontiguousarray(totals.counts[1][place])
    exceeded.flags.writeable = histogram.flags.writeable = False
    words, spawn_key = _seed_fields(seed)
    return SweepResult(
        entities=keys,
        thresholds=tuple(lines),
        draws=totals.draws,
        exceed_counts=exceeded,
        count_histogram=histogram,
        precision=precision,
        seed=words,
        spawn_key=spawn_key,
        stream_version=_core.stream_version,
        plan_digest=spec.digest(),
        versions=_versions(),
        elapsed=time.perf_counter() - began,
    )


def _versions() -> dict[str, str]:
    return {"flopcore": _core.version, "numpy": np.__version__}


def _sweep_program(
    program: Program, seed: np.random.SeedSequence, precision: Precision, options: _Options, points: Sobol | None
) -> ProgramResult:
    began = time.perf_counter()
    entities = tuple(program.entities)
    flat = flatten(program.sinks)
    lowered = [(name, sink.lower(entities, precision)) for name, sink in flat]
    if points is not None:
        points = resolve_sobol(points, shared_names(node for _, core in lowered for node in core.inputs))
        if options.draws < points.replicates:
            raise ValueError(f"draws={options.draws}: expected at least one for each of {points.replicates} replicates")
    _check_resolution(flat, lowered, entities, precision)
    compiled = compile_program(
        lowered, entities, philox_key(seed), precision, points.dimension_of() if points is not None else {}
    )
    plan = compiled.build()
    counts, sums = plan.counter_begins()

    def read(draws: int, counters: NDArray[np.int64], limbs: NDArray[np.int64]) -> list[SinkResult]:
        # Limbs of partial sums were added as they are; here their carries are resolved.
        exact = [a + (b << 32) + (c << 64) + (d << 96) for a, b, c, d in limbs.tolist()]
        return [
            sink.read(entities, draws, counters[counts[s] : counts[s + 1]], exact[sums[s] : sums[s + 1]], core)
            for s, ((_, sink), (_, core)) in enumerate(zip(flat, lowered, strict=True))
        ]

    zero: Counts = (np.zeros(counts[-1], np.int64), np.zeros((sums[-1], 4), np.int64))
    if points is None:
        totals = _run(
            compiled,
            zero,
            lambda t: [mean for result in read(t.draws, *t.counts) for mean in result.means()],
            options,
            plan,
        )
        results = read(totals.draws, *totals.counts)
    else:
        n = points.replicates

        def replicates(totals: Totals) -> list[list[SinkResult]]:
            each = zip(*totals.counts, strict=True)
            return [read(points_of(totals.draws, r, n), *part) for r, part in enumerate(each)]

        totals = _run(
            ReplicatedSpec(compiled, n),
            tuple(np.zeros((n, *array.shape), np.int64) for array in zero),
            lambda t: mean_of_replicates([[m for result in one for m in result.means()] for one in replicates(t)]),
            options,
            ReplicatedPlan(plan, n),
            stops=doubling_stops,
        )
        pooled = read(totals.draws, *(array.sum(axis=0) for array in totals.counts))
        apart = zip(*replicates(totals), strict=True)
        results = [replace(whole, replicates=parts) for whole, parts in zip(pooled, apart, strict=True)]
    for array in totals.counts:
        array.flags.writeable = False
    words, spawn_key = _seed_fields(seed)
    return ProgramResult(
        sinks=nest(program.sinks, iter(results)),
        draws=totals.draws,
        precision=precision,
        seed=words,
        spawn_key=spawn_key,
        stream_version=_core.stream_version,
        plan_digest=compiled.digest(),
        versions=_versions(),
        elapsed=time.perf_counter() - began,
        sampler=points,
    )


def _check_resolution(
    flat: Sequence[tuple[str, Sink]],
    lowered: Sequence[tuple[str, CoreSink]],
    entities: tuple[str, ...],
    precision: Precision,
) -> None:
    """Refuse units and bins that the values would be lost in, by a few draws of their own: one seed for all sweeps."""
    both = zip(flat, lowered, strict=True)
    looked = [(sink, core) for (_, sink), (_, core) in both if core.kind in ("moments", "histogram")]
    if not looked:
        return
    nodes = {str(i): node for i, node in enumerate(dict.fromkeys(n for _, core in looked for n in core.inputs))}
    values = draw_values(nodes, draws=_LOOK, entities=entities, rng=0, precision=precision)
    drawn = {id(node): np.atleast_2d(values[i]) for i, node in nodes.items()}
    for sink, core in looked:
        sink.check_resolution(core, [drawn[id(node)] for node in core.inputs], entities)


def draw_values(
    nodes: Mapping[str, Node],
    *,
    draws: int,
    begin: int = 0,
    entities: Sequence[str] = (),
    rng: Seed = None,
    precision: Precision = "double",
) -> dict[str, NDArray[np.float64]]:
    """Return the values themselves, the ones that `sweep` counts: each [draw], of entities [entity, draw].

    Parameters
    ----------
    nodes : mapping of str to Node
        What to draw.
    draws, begin : int
        How many draws, and the number of the first.
    entities, rng, precision
        As for :class:`Program` and :func:`sweep`.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.distributions import Uniform
    >>> draw_values({"x": fc.variable("x", Uniform(0, 1)) + 1}, draws=4, rng=0)["x"].shape
    (4,)
    """
    n_draws, first, keys = index(draws), index(begin), tuple(entities)
    if n_draws < 1 or first < 0 or not nodes:
        raise ValueError(f"draws={draws}, begin={begin}, {len(nodes)} nodes: expected at least 1, 0 and 1")
    _check_precision(precision)
    sinks = [(name, CoreSink("values", (node,), of_entities=node.scope == "entity")) for name, node in nodes.items()]
    plan = compile_program(sinks, keys, philox_key(seed_sequence(rng)), precision).build()
    values = {}
    for s, (name, node) in enumerate(nodes.items()):
        flat = plan.values(s, first, first + n_draws)
        values[name] = flat.reshape(len(keys), n_draws) if node.scope == "entity" else flat
    return values


def draw_totals(
    entities: Sequence[Entity], *, draws: int, rng: Seed = None, precision: Precision = "double"
) -> NDArray[np.float64]:
    """Return the FLOP total of each entity in each draw, entities x draws: the draws that `sweep` counts.

    For rules that need the values themselves, such as a percentile of the year; `sweep` counts far more draws in the
    same time and memory.

    Parameters
    ----------
    entities, draws, rng, precision
        As for :func:`sweep`.

    Examples
    --------
    >>> from flopcore.distributions import LogNormal
    >>> draw_totals([Entity("known", (), 10**25), Entity("guess", (Factor("C", LogNormal(1e25, 1)),))], draws=3).shape
    (2, 3)
    """
    population = tuple(entities)
    n_draws = index(draws)
    if n_draws < 1 or not population:
        raise ValueError(f"draws={draws}, {len(population)} entities: expected at least one of each")
    plan = make_plan(population, [Threshold("any", 1)], philox_key(seed_sequence(rng)), precision).build()
    totals = np.empty((len(population), n_draws))
    for m, entity in enumerate(population):
        with localcontext(DIGITS):
            median = float(10 ** log10_offset(entity))
        value = entity.exact_value()
        totals[m] = float(value) if value is not None else median * _core.exp(LN10 * plan.values(m, 0, n_draws))
    totals.flags.writeable = False
    return totals
