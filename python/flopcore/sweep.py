"""Sweep uncertain FLOP totals against thresholds; relies on the core for draws and counts."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from decimal import localcontext
from fractions import Fraction
from math import ceil, sqrt
from operator import index

import numpy as np
from numpy.typing import NDArray

from . import _core
from .distributions import DIGITS, LN10, Seed, philox_key, seed_sequence
from .quantity import parse_quantity
from .sweep_plan import Entity, Factor, Precision, log10_offset, make_plan
from .sweep_run import Progress, Until, moments, rel_error, run
from .thresholds import Threshold

__all__ = ["Entity", "Factor", "Precision", "SweepResult", "draw_totals", "rel_error", "sweep"]

_MAX_DRAWS = 1 << 49


@dataclass(frozen=True, slots=True, eq=False)
class SweepResult:
    """Counts of draws above thresholds, and what is needed to repeat them.

    ``exceed_counts[m, t]`` is the number of draws in which entity m is over threshold t; ``count_histogram[t, c]`` the
    number of draws in which exactly c entities are over threshold t. Both are exact integers, read-only.
    """

    entities: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    draws: int
    exceed_counts: NDArray[np.int64]
    count_histogram: NDArray[np.int64]
    precision: Precision
    seed: int | tuple[int, ...]
    spawn_key: tuple[int, ...]
    stream_version: int
    plan_digest: str
    versions: dict[str, str]
    elapsed: float = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"SweepResult({len(self.entities)} entities, {len(self.thresholds)} thresholds, {self.draws} draws, "
            f"seed={self.seed})"
        )

    def probability(self) -> NDArray[np.float64]:
        """Return the share of draws over each threshold, entities x thresholds."""
        return self.exceed_counts / self.draws

    def probability_error(self) -> NDArray[np.float64]:
        """Return the Monte Carlo standard error of `probability`, entities x thresholds."""
        p = self.probability()
        return np.sqrt(p * (1.0 - p) / self.draws)

    def expected(self) -> NDArray[np.float64]:
        """Return the mean number of entities over each threshold."""
        return np.array([total / self.draws for total, _ in moments(self.count_histogram)])

    def count_quantile(self, q: float) -> NDArray[np.int64]:
        """Return, per threshold, the smallest count that at least a share `q` of the draws does not exceed."""
        share = Fraction(parse_quantity(q, name="q"))
        if not 0 <= share <= 1:
            raise ValueError(f"q={q!r}: expected a probability in [0, 1]")
        rank = max(1, ceil(share * self.draws))
        return np.array([int(np.searchsorted(np.cumsum(row), rank)) for row in self.count_histogram], dtype=np.int64)

    def count_sd(self) -> NDArray[np.float64]:
        """Return the standard deviation of the number of entities over each threshold (n - 1); NaN for one draw."""
        n = self.draws
        if n == 1:
            return np.full(len(self.thresholds), np.nan)
        return np.array(
            [
                sqrt(Fraction(n * squares - total * total, n * (n - 1)))
                for total, squares in moments(self.count_histogram)
            ]
        )

    def mc_error(self) -> NDArray[np.float64]:
        """Return the Monte Carlo standard error of `expected`."""
        return self.count_sd() / sqrt(self.draws)

    def to_dict(self) -> dict[str, object]:
        """Return the result as JSON types."""
        quantiles = {name: self.count_quantile(q) for name, q in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95))}
        expected, errors, deviations = self.expected(), self.mc_error(), self.count_sd()
        probability = self.probability()
        return {
            "draws": self.draws,
            "seed": list(self.seed) if isinstance(self.seed, tuple) else self.seed,
            "spawn_key": list(self.spawn_key),
            "stream_version": self.stream_version,
            "plan_digest": self.plan_digest,
            "precision": self.precision,
            "versions": dict(self.versions),
            "elapsed": self.elapsed,
            "thresholds": [
                {
                    "name": threshold.name,
                    "value": threshold.value if isinstance(threshold.value, int) else str(threshold.value),
                    "comparator": threshold.comparator,
                    "expected": float(expected[t]),
                    "sd": None if np.isnan(deviations[t]) else float(deviations[t]),
                    "mc_error": None if np.isnan(errors[t]) else float(errors[t]),
                    **{name: int(values[t]) for name, values in quantiles.items()},
                }
                for t, threshold in enumerate(self.thresholds)
            ],
            "entities": [
                {"key": key, "probability": [float(p) for p in probability[m]]} for m, key in enumerate(self.entities)
            ],
        }


def sweep(
    entities: Sequence[Entity],
    thresholds: Sequence[Threshold],
    *,
    draws: int = 1_000_000,
    rng: Seed = None,
    threads: int | None = None,
    precision: Precision = "double",
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    until: Until | None = None,
) -> SweepResult:
    """Return how often each entity, and how many entities per draw, are over each threshold.

    Parameters
    ----------
    entities : sequence of Entity
        The population; keys are unique.
    thresholds : sequence of Threshold
        Exact lines with their comparators, in any order.
    draws : int
        Rows of the sweep: in each, every uncertain input has one value.
    rng : int, sequence of int, SeedSequence or None
        Seed; None takes fresh entropy, which the result records.
    threads : int or None
        At most this many threads; None means all CPUs that this process may use.
    precision : {"double", "single"}
        Of variates and of comparisons in log10 space; counts are exact integers either way.
    progress : callable or None
        Called as ``progress(done, draws)`` a few times a second.
    checkpoint : path or None
        Directory that keeps the counts so far, written every few seconds and at the end. The same call after an
        interruption goes on from there; with more `draws` it extends a finished run.
    executor : concurrent.futures.Executor or None
        Runs ranges of draws, one thread each, in place of this process's threads. Ranges that a broken pool loses are
        done here, with a warning.
    until : Until or None
        Ends the run early, for example ``rel_error(0.01)``; `draws` is then the most it may take. It is asked after
        fixed numbers of draws, so the outcome does not depend on speed.

    Returns
    -------
    SweepResult
        A function of the entities, thresholds, draws, seed, precision and stream version, and of nothing else.

    Raises
    ------
    ValueError
        For an empty population, repeated keys, a factor that may be zero or negative, unequal shared factors.
    DataError
        For a checkpoint of another study.
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
    population, lines = tuple(entities), tuple(thresholds)
    n_draws = index(draws)
    if not 1 <= n_draws <= _MAX_DRAWS:
        raise ValueError(f"draws={draws}: expected 1 to 2^49")
    if threads is not None and index(threads) < 1:
        raise ValueError(f"threads={threads}: expected None or at least 1")
    if precision not in ("double", "single"):
        raise ValueError(f"precision={precision!r}: expected 'double' or 'single'")
    if not population or not lines:
        raise ValueError("a sweep needs at least one entity and one threshold")
    keys = tuple(entity.key for entity in population)
    for first, second in itertools.pairwise(sorted(keys)):
        if first == second:
            raise ValueError(f"two entities have the key {first!r}")
    seed = seed_sequence(rng)
    order = sorted(range(len(lines)), key=lambda t: (Fraction(lines[t].value), lines[t].comparator == ">"))
    began = time.perf_counter()
    spec = make_plan(population, [lines[t] for t in order], philox_key(seed), precision)
    totals = run(
        spec,
        n_draws,
        threads=0 if threads is None else index(threads),
        progress=progress,
        checkpoint=checkpoint,
        executor=executor,
        until=until,
    )
    place = np.argsort(order)
    exceeded = np.ascontiguousarray(totals.exceeded[:, place])
    histogram = np.ascontiguousarray(totals.histogram[place])
    exceeded.flags.writeable = histogram.flags.writeable = False
    entropy = seed.entropy
    return SweepResult(
        entities=keys,
        thresholds=lines,
        draws=totals.draws,
        exceed_counts=exceeded,
        count_histogram=histogram,
        precision=precision,
        seed=tuple(int(e) for e in entropy) if isinstance(entropy, Sequence) else int(entropy or 0),
        spawn_key=tuple(int(k) for k in seed.spawn_key),
        stream_version=_core.stream_version,
        plan_digest=spec.digest(),
        versions={"flopcore": _core.version, "numpy": np.__version__},
        elapsed=time.perf_counter() - began,
    )


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
