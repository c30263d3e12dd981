"""What is swept: entities with uncertain factors, and their plan as the arrays that the core takes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product
from math import prod
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import _core
from .distributions import DIGITS, Discrete, Distribution, Fixed, LogTerm, QuantileTable, log10_exact
from .quantity import Number, parse_quantity
from .thresholds import Threshold, separating

__all__ = ["Entity", "Factor", "PlanSpec", "Precision", "ascending", "log10_offset", "make_plan"]

Precision: TypeAlias = Literal["double", "single"]

_KINDS = {"normal": 0, "uniform": 1, "log_linear": 2, "table": 3}
_MAX_POWER = 64
_MOST_TOTALS = 64
TermColumns: TypeAlias = tuple[
    NDArray[np.uint64],
    NDArray[np.uint8],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.uint64],
    NDArray[np.float64],
]


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
    group : str
        Not empty: one draw serves all entities that have a factor of this name and group.
    """

    name: str
    distribution: Distribution
    power: int = 1
    shared: bool = False
    group: str = ""

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
        if not isinstance(self.group, str) or (self.shared and self.group):
            raise ValueError(f"factor {self.name!r}: group={self.group!r}; expected a text, and not shared=True too")


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
class PlanSpec:
    """A plan as data: it can be sent to another process and named by a digest.

    The fields are those of ``SweepInputs`` in cpp/include/flopcore/sweep.hpp.
    """

    key: tuple[int, int]
    precision: Precision
    shared: TermColumns
    own: TermColumns
    own_begin: NDArray[np.uint64]
    use_terms: NDArray[np.uint32]
    use_factors: NDArray[np.float64]
    uses_begin: NDArray[np.uint64]
    thresholds: NDArray[np.float64]

    def build(self) -> _core.SweepPlan:
        """Return the core's plan."""
        return _core.SweepPlan(
            key=self.key,
            single=self.precision == "single",
            shared=self.shared,
            own=self.own,
            own_begin=self.own_begin,
            use_terms=self.use_terms,
            use_factors=self.use_factors,
            uses_begin=self.uses_begin,
            thresholds=self.thresholds,
        )

    def digest(self) -> str:
        """Return SHA-256 over everything that the counts of a range of draws depend on."""
        state = hashlib.sha256(f"flopcore sweep, stream {_core.stream_version}, {self.precision}, {self.key}".encode())
        for array in (
            *self.shared,
            *self.own,
            self.own_begin,
            self.use_terms,
            self.use_factors,
            self.uses_begin,
            self.thresholds,
        ):
            state.update(f"{array.dtype.str}{array.shape}".encode())
            state.update(array.tobytes())
        return state.hexdigest()


@dataclass(slots=True)
class Terms:
    """Terms as the columns the core takes."""

    stream: list[int] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)
    half: list[float] = field(default_factory=list)
    tables: list[QuantileTable] = field(default_factory=list)
    _places: dict[int, int] = field(default_factory=dict)

    def append(self, stream: int, term: LogTerm, power: int) -> None:
        self.stream.append(stream)
        self.kind.append(_KINDS[term.kind])
        self.scale.append(power * term.scale)
        if term.table is None:
            self.half.append(term.half)
            return
        place = self._places.setdefault(id(term.table), len(self.tables))
        if place == len(self.tables):
            self.tables.append(term.table)
        self.half.append(float(place))

    def arrays(self) -> TermColumns:
        return (
            np.array(self.stream, dtype=np.uint64),
            np.array(self.kind, dtype=np.uint8),
            np.array(self.scale, dtype=np.float64),
            np.array(self.half, dtype=np.float64),
            np.concatenate([np.array([], dtype=np.uint64), *(table.words() for table in self.tables)]),
            np.concatenate([np.array([], dtype=np.float64), *(table.fields.ravel() for table in self.tables)]),
        )


class Streams:
    """Hands out stream numbers and refuses a collision of two addresses."""

    def __init__(self) -> None:
        self._taken: dict[int, tuple[str, str, str]] = {}

    def number(self, variable: str, entity: str, purpose: str = "factor") -> int:
        stream = _core.stream_hash(purpose, variable, entity)
        address = (purpose, variable, entity)
        holder = self._taken.setdefault(stream, address)
        if holder != address:
            raise ValueError(f"the random streams of {address} and {holder} collide; rename one of them")
        return stream


def ascending(thresholds: Sequence[Threshold]) -> tuple[list[Threshold], NDArray[np.intp]]:
    """Return the thresholds ascending, and where each of the given ones went.

    Raises
    ------
    TypeError
        For what is not a sequence of Threshold.
    ValueError
        For none, and for two of one name.
    """
    if isinstance(thresholds, Threshold):
        raise TypeError(f"thresholds={thresholds!r}: expected a sequence of them")
    lines = tuple(thresholds)
    if not lines:
        raise ValueError("thresholds: expected at least one")
    for line in lines:
        if not isinstance(line, Threshold):
            raise TypeError(f"thresholds: {line!r} is not a Threshold; write Threshold('name', {line!r})")
    names = [line.name for line in lines]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"thresholds: two of them have the same name {twice!r}")
    order = sorted(range(len(lines)), key=lambda t: (Fraction(lines[t].value), lines[t].comparator == ">"))
    return [lines[t] for t in order], np.argsort(order)


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


def log10_offset(entity: Entity) -> Decimal:
    """Return the constant part of log10 of the entity's total."""
    with localcontext(DIGITS):
        return log10_exact(entity.coefficient) + sum(
            (factor.power * _log10_term(entity, factor).offset for factor in entity.factors), Decimal(0)
        )


def _totals(entity: Entity) -> tuple[Fraction, ...] | None:
    """Return the totals that an entity can have where its uncertain factors, two or more, all have few point masses."""
    uncertain = [factor for factor in entity.factors if not isinstance(factor.distribution, Fixed)]
    masses = [f.distribution.values for f in uncertain if isinstance(f.distribution, Discrete)]
    if not 2 <= len(masses) == len(uncertain) or prod(map(len, masses)) > _MOST_TOTALS:
        return None
    known = Entity(entity.key, tuple(f for f in entity.factors if f not in uncertain), entity.coefficient).exact_value()
    powers = [[Fraction(v) ** f.power for v in values] for f, values in zip(uncertain, masses, strict=True)]
    return tuple(sorted({prod(row, start=Fraction(known or 1)) for row in product(*powers)}))


def _switch(entity: Entity) -> Factor | None:
    """Return the entity's only uncertain factor when that has point masses and one entity to itself, otherwise None."""
    uncertain = [factor for factor in entity.factors if not isinstance(factor.distribution, Fixed)]
    return uncertain[0] if len(uncertain) == 1 and isinstance(uncertain[0].distribution, Discrete) else None


def _exact_limits(entity: Entity, switch: Factor, thresholds: Sequence[Threshold]) -> list[float]:
    """Return, per threshold, the largest drawn value at which the entity's exact total is not over it."""
    distribution = switch.distribution
    term = distribution.log10_term()
    if not isinstance(distribution, Discrete) or term.table is None:
        raise TypeError(f"entity {entity.key!r}, factor {switch.name!r}: {distribution!r} has no point masses")
    known = Entity(entity.key, tuple(f for f in entity.factors if f is not switch), entity.coefficient).exact_value()
    totals = [Fraction(value) ** switch.power * Fraction(known or 1) for value in distribution.values]
    drawn = [switch.power * x for x in distribution.log10_values()]
    return [
        max((x for x, total in zip(drawn, totals, strict=True) if not line.is_exceeded_by(total)), default=-np.inf)
        for line in thresholds
    ]


def make_plan(
    entities: Sequence[Entity], thresholds: Sequence[Threshold], key: list[int], precision: Precision
) -> PlanSpec:
    """Return the plan of a study; `thresholds` ascend, `key` is two words."""
    streams = Streams()
    shared_index: dict[tuple[str, str], tuple[int, Distribution]] = {}
    shared, own = Terms(), Terms()
    own_begin, uses_begin = [0], [0]
    use_terms: list[int] = []
    use_factors: list[float] = []
    offsets: list[Decimal] = []
    exact: dict[int, Number] = {}
    switched: dict[int, list[float]] = {}
    masses: dict[int, tuple[Fraction, ...]] = {}
    for m, entity in enumerate(entities):
        # By name: the order of addition, and so the last bit, does not depend on the order of writing.
        for factor in sorted(entity.factors, key=lambda f: f.name):
            term = _log10_term(entity, factor)
            if factor.shared or factor.group:
                place = (factor.name, factor.group)
                first = shared_index.setdefault(place, (len(shared.stream), factor.distribution))
                if first[1] != factor.distribution:
                    of_group = f" of group {factor.group!r}" if factor.group else ""
                    raise ValueError(
                        f"entity {entity.key!r}: shared factor {factor.name!r}{of_group} is {factor.distribution!r}, "
                        f"another entity has {first[1]!r}"
                    )
                if term.kind != "constant":
                    if first[0] == len(shared.stream):
                        purpose = "group" if factor.group else "factor"
                        shared.append(streams.number(factor.name, factor.group, purpose), term, 1)
                    use_terms.append(first[0])
                    use_factors.append(float(factor.power))
            elif term.kind != "constant":
                own.append(streams.number(factor.name, entity.key), term, factor.power)
        offsets.append(log10_offset(entity))
        own_begin.append(len(own.stream))
        uses_begin.append(len(use_terms))
        value = entity.exact_value()
        switch = _switch(entity)
        if value is not None:
            exact[m] = value
        elif switch is not None:
            switched[m] = _exact_limits(entity, switch, thresholds)
        elif (totals := _totals(entity)) is not None:
            masses[m] = totals
    limits = _limits(offsets, thresholds)
    for m, totals in masses.items():
        for t, line in enumerate(thresholds):
            between = separating(totals, line, precision == "single")
            if between is not None:
                with localcontext(DIGITS):
                    limits[m, t] = float(log10_exact(between) - offsets[m])
        limits[m] = np.maximum.accumulate(limits[m])
    for m, value in exact.items():
        limits[m] = [-np.inf if threshold.is_exceeded_by(value) else np.inf for threshold in thresholds]
    for m, row in switched.items():
        limits[m] = np.maximum.accumulate(row)
    return PlanSpec(
        key=(key[0], key[1]),
        precision=precision,
        shared=shared.arrays(),
        own=own.arrays(),
        own_begin=np.array(own_begin, dtype=np.uint64),
        use_terms=np.array(use_terms, dtype=np.uint32),
        use_factors=np.array(use_factors, dtype=np.float64),
        uses_begin=np.array(uses_begin, dtype=np.uint64),
        thresholds=limits,
    )
