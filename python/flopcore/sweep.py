"""Sweep uncertain FLOP totals against thresholds; relies on the core for draws and counts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil, sqrt
from operator import index
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from . import _core
from .distributions import DIGITS, LN10, Distribution, Fixed, LogTerm, Seed, log10_exact, philox_key, seed_sequence
from .quantity import Number, parse_quantity
from .thresholds import Threshold

__all__ = ["Entity", "Factor", "Precision", "SweepResult", "draw_totals", "sweep"]

Precision = Literal["double", "single"]

_KINDS = {"normal": 0, "uniform": 1, "log_linear": 2}
_MAX_POWER = 64
_MAX_DRAWS = 1 << 49
_PROGRESS_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Factor:
    """One uncertain input of an entity's FLOP total, raised to a power.

    Parameters
    ----------
    name : str
        Name of the input: together with the entity's key the address of its random numbers.
    distribution : Distribution
        What is known of it.
    power : int
        Exponent, not zero; -1 divides.
    shared : bool
        True: one draw serves all entities of the study that have a shared factor of this name.
    """

    name: str
    distribution: Distribution
    power: int = 1
    shared: bool = False

    def __post_init__(self) -> None:
        """Check the fields."""
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"factor name {self.name!r}: expected a text that is not empty")
        if not isinstance(self.distribution, Distribution):
            raise TypeError(
                f"factor {self.name!r}: {self.distribution!r} is not a Distribution; use Fixed for a number"
            )
        if isinstance(self.power, bool) or not isinstance(self.power, int):
            raise TypeError(f"factor {self.name!r}: power={self.power!r} is not an int")
        if self.power == 0 or abs(self.power) > _MAX_POWER:
            raise ValueError(f"factor {self.name!r}: power={self.power}; expected 1 to {_MAX_POWER} or its negative")
        if not isinstance(self.shared, bool):
            raise TypeError(f"factor {self.name!r}: shared={self.shared!r} is not a bool")


@dataclass(frozen=True, slots=True)
class Entity:
    """Something with an uncertain FLOP total: ``coefficient`` times the product of its factors' powers.

    Parameters
    ----------
    key : str
        Unique in a study; the address of the entity's random numbers, so that dropping another entity moves nothing.
    factors : tuple of Factor
        Inputs, in any order.
    coefficient : int, Fraction or float
        Known multiplier, exact; a float stands for its shortest decimal text.

    Examples
    --------
    >>> from flopcore.distributions import LogNormal
    >>> Entity("m", (Factor("N", LogNormal(7e10, 0.1)), Factor("D", LogNormal(15e12, 0.2))), 6).coefficient
    6
    """

    key: str
    factors: tuple[Factor, ...] = ()
    coefficient: Number = 1

    def __post_init__(self) -> None:
        """Check the fields."""
        if not isinstance(self.key, str) or not self.key:
            raise ValueError(f"entity key {self.key!r}: expected a text that is not empty")
        factors = tuple(self.factors)
        for factor in factors:
            if not isinstance(factor, Factor):
                raise TypeError(f"entity {self.key!r}: {factor!r} is not a Factor")
        names = [factor.name for factor in factors]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"entity {self.key!r}: two factors are named {name!r}")
        coefficient = parse_quantity(self.coefficient, name=f"entity {self.key!r}: coefficient")
        if coefficient <= 0:
            raise ValueError(f"entity {self.key!r}: coefficient {coefficient} is not positive")
        object.__setattr__(self, "factors", factors)
        object.__setattr__(self, "coefficient", coefficient)

    def exact_value(self) -> Number | None:
        """Return the exact total when every factor is Fixed, otherwise None."""
        value = Fraction(self.coefficient)
        for factor in self.factors:
            if not isinstance(factor.distribution, Fixed):
                return None
            factor.distribution.log10_term()  # refuses what is not positive
            value *= Fraction(factor.distribution.value) ** factor.power
        return value.numerator if value.denominator == 1 else value


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
        return np.array([total / self.draws for total, _ in self._moments()])

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
            [sqrt(Fraction(n * squares - total * total, n * (n - 1))) for total, squares in self._moments()]
        )

    def mc_error(self) -> NDArray[np.float64]:
        """Return the Monte Carlo standard error of `expected`."""
        return self.count_sd() / sqrt(self.draws)

    def _moments(self) -> list[tuple[int, int]]:
        """Return the exact sum and sum of squares of the counts, per threshold."""
        moments = []
        for row in self.count_histogram:
            pairs = [(int(count), int(row[count])) for count in np.flatnonzero(row)]
            moments.append((sum(c * n for c, n in pairs), sum(c * c * n for c, n in pairs)))
        return moments

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


@dataclass(slots=True)
class _Columns:
    """Terms as the columns the core takes."""

    stream: list[int] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)
    half: list[float] = field(default_factory=list)

    def append(self, stream: int, term: LogTerm, power: int) -> None:
        self.stream.append(stream)
        self.kind.append(_KINDS[term.kind])
        self.scale.append(power * term.scale)
        self.half.append(term.half)

    def arrays(
        self,
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
        return (
            np.array(self.stream, dtype=np.uint64),
            np.array(self.kind, dtype=np.uint8),
            np.array(self.scale, dtype=np.float64),
            np.array(self.half, dtype=np.float64),
        )


class _Streams:
    """Hands out stream numbers and refuses a collision of two addresses."""

    def __init__(self) -> None:
        self._taken: dict[int, tuple[str, str]] = {}

    def number(self, variable: str, entity: str) -> int:
        stream = _core.stream_hash("factor", variable, entity)
        holder = self._taken.setdefault(stream, (variable, entity))
        if holder != (variable, entity):
            raise ValueError(f"the random streams of {(variable, entity)} and {holder} collide; rename one of them")
        return stream


def _split(values: Sequence[Decimal]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the nearest doubles and what they miss."""
    high = [float(v) for v in values]
    with localcontext(DIGITS):
        return np.array(high), np.array([float(v - Decimal(h)) for v, h in zip(values, high, strict=True)])


def _limits(offsets: Sequence[Decimal], thresholds: Sequence[Threshold]) -> NDArray[np.float64]:
    """Return log10(threshold) - offset, entities x thresholds, rounded once; >= becomes > at the double below."""
    t_high, t_low = _split([log10_exact(threshold.value) for threshold in thresholds])
    o_high, o_low = (part[:, None] for part in _split(offsets))
    difference = t_high - o_high
    back = difference + o_high
    rest = (t_high - back) + ((back - difference) - o_high)  # exact: Knuth's two-sum of t_high and -o_high
    limits = difference + (rest + (t_low - o_low))
    at_or_above = np.array([threshold.comparator == ">=" for threshold in thresholds])
    limits = np.where(at_or_above, np.nextafter(limits, -np.inf), limits)
    # Distinct thresholds may round to one double; a count of passed thresholds needs them in order.
    ascending: NDArray[np.float64] = np.maximum.accumulate(limits, axis=1)
    return ascending


def _log10_term(entity: Entity, factor: Factor) -> LogTerm:
    """Return the factor's term, or say which factor of which entity has none."""
    try:
        return factor.distribution.log10_term()
    except ValueError as error:
        raise ValueError(f"entity {entity.key!r}, factor {factor.name!r}: {error}") from None


def _offset(entity: Entity) -> Decimal:
    """Return the constant part of log10 of the entity's total."""
    with localcontext(DIGITS):
        return log10_exact(entity.coefficient) + sum(
            (factor.power * _log10_term(entity, factor).offset for factor in entity.factors), Decimal(0)
        )


def _plan(
    entities: Sequence[Entity], thresholds: Sequence[Threshold], key: list[int], precision: Precision
) -> _core.SweepPlan:
    """Return the core's plan; thresholds ascend."""
    streams = _Streams()
    shared_index: dict[str, tuple[int, Distribution]] = {}
    shared, own = _Columns(), _Columns()
    own_begin, uses_begin = [0], [0]
    use_terms: list[int] = []
    use_factors: list[float] = []
    offsets: list[Decimal] = []
    exact: dict[int, Number] = {}
    for m, entity in enumerate(entities):
        # By name: the order of addition, and so the last bit, does not depend on the order of writing.
        for factor in sorted(entity.factors, key=lambda f: f.name):
            term = _log10_term(entity, factor)
            if factor.shared:
                first = shared_index.setdefault(factor.name, (len(shared.stream), factor.distribution))
                if first[1] != factor.distribution:
                    raise ValueError(
                        f"entity {entity.key!r}: shared factor {factor.name!r} is {factor.distribution!r}, "
                        f"another entity has {first[1]!r}"
                    )
                if term.kind != "constant":
                    if first[0] == len(shared.stream):
                        shared.append(streams.number(factor.name, ""), term, 1)
                    use_terms.append(first[0])
                    use_factors.append(float(factor.power))
            elif term.kind != "constant":
                own.append(streams.number(factor.name, entity.key), term, factor.power)
        offsets.append(_offset(entity))
        own_begin.append(len(own.stream))
        uses_begin.append(len(use_terms))
        value = entity.exact_value()
        if value is not None:
            exact[m] = value
    limits = _limits(offsets, thresholds)
    for m, value in exact.items():
        limits[m] = [-np.inf if threshold.is_exceeded_by(value) else np.inf for threshold in thresholds]
    return _core.SweepPlan(
        key=key,
        single=precision == "single",
        shared=shared.arrays(),
        own=own.arrays(),
        own_begin=np.array(own_begin, dtype=np.uint64),
        use_terms=np.array(use_terms, dtype=np.uint32),
        use_factors=np.array(use_factors, dtype=np.float64),
        uses_begin=np.array(uses_begin, dtype=np.uint64),
        thresholds=limits,
    )


def _evaluate(
    plan: _core.SweepPlan, draws: int, threads: int, progress: Callable[[int, int], None] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the counts of all draws; with `progress`, range after range, which changes no count."""
    if progress is None:
        return plan.evaluate(0, draws, threads)
    done, size = 0, min(draws, 4096)
    exceeded, histogram = plan.evaluate(0, 0, threads)
    while done < draws:
        end = min(draws, done + size)
        began = time.perf_counter()
        more_exceeded, more_histogram = plan.evaluate(done, end, threads)
        spent = time.perf_counter() - began
        exceeded, histogram = exceeded + more_exceeded, histogram + more_histogram
        done = end
        progress(done, draws)
        if spent < _PROGRESS_SECONDS / 2:
            size *= 2
    return exceeded, histogram


def sweep(
    entities: Sequence[Entity],
    thresholds: Sequence[Threshold],
    *,
    draws: int = 1_000_000,
    rng: Seed = None,
    threads: int | None = None,
    precision: Precision = "double",
    progress: Callable[[int, int], None] | None = None,
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

    Returns
    -------
    SweepResult
        A function of the entities, thresholds, draws, seed, precision and stream version, and of nothing else.

    Raises
    ------
    ValueError
        For an empty population, repeated keys, a factor that may be zero or negative, unequal shared factors.

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
    plan = _plan(population, [lines[t] for t in order], philox_key(seed), precision)
    exceeded, histogram = _evaluate(plan, n_draws, 0 if threads is None else index(threads), progress)
    place = np.argsort(order)
    exceeded, histogram = np.ascontiguousarray(exceeded[:, place]), np.ascontiguousarray(histogram[place])
    exceeded.flags.writeable = histogram.flags.writeable = False
    entropy = seed.entropy
    return SweepResult(
        entities=keys,
        thresholds=lines,
        draws=n_draws,
        exceed_counts=exceeded,
        count_histogram=histogram,
        precision=precision,
        seed=tuple(int(e) for e in entropy) if isinstance(entropy, Sequence) else int(entropy or 0),
        spawn_key=tuple(int(k) for k in seed.spawn_key),
        stream_version=_core.stream_version,
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
    plan = _plan(population, [Threshold("any", 1)], philox_key(seed_sequence(rng)), precision)
    totals = np.empty((len(population), n_draws))
    for m, entity in enumerate(population):
        with localcontext(DIGITS):
            median = float(10 ** _offset(entity))
        value = entity.exact_value()
        totals[m] = float(value) if value is not None else median * _core.exp(LN10 * plan.values(m, 0, n_draws))
    totals.flags.writeable = False
    return totals
