"""Where the values of a program end: counters, each a question that is answered by integers which add up exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, frexp, isfinite, ldexp

import numpy as np
from numpy.typing import NDArray

from .distributions import log10_exact
from .program import Node, as_log10, constant, log10
from .program_bounds import bounds_of
from .program_exact import exact_values
from .program_plan import CoreSink
from .program_result import AlongResult
from .quantity import Number, parse_quantity
from .sink_results import (
    Axis,
    ConfusionResult,
    CountResult,
    ExceedResult,
    MomentsResult,
    QuantileResult,
    SinkResult,
    TableResult,
)
from .sweep_plan import Precision
from .thresholds import Threshold

__all__ = ["Along", "Category", "Confusion", "CountAbove", "Exceed", "Moments", "Quantiles", "Sink", "Table"]

_QUANTUM_BITS = 46  # kLargestQuantum of cpp/src/program_counters.hpp


class Sink(ABC):
    """A question to a program, and how its counters are read."""

    __slots__ = ()

    @abstractmethod
    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""

    @abstractmethod
    def read(
        self, entities: tuple[str, ...], draws: int, counts: NDArray[np.int64], sums: Sequence[int], core: CoreSink
    ) -> SinkResult:
        """Return the result in these counters."""


@dataclass(frozen=True, slots=True)
class Along:
    """The same question in several scenarios: conventions, readings, years ....

    Scenarios draw the same numbers for the same variable names, so differences are known better than levels.

    Parameters
    ----------
    dim : str
        Name of the dimension.
    sinks : mapping of label to Sink or Along
        One question for each label; all of one kind.
    """

    dim: str
    sinks: Mapping[Hashable, Sink | Along]

    def __post_init__(self) -> None:
        """Refuse an empty dimension."""
        if not self.sinks:
            raise ValueError(f"Along({self.dim!r}): expected at least one label")


@dataclass(frozen=True, slots=True)
class Category:
    """A node that is 0, 1, ... and what its values are called.

    Parameters
    ----------
    name : str
        Name of the dimension in results.
    node : Node
        The value; a comparison is 0 or 1.
    labels : sequence
        Labels of 0, 1, ....
    """

    name: str
    node: Node
    labels: Sequence[Hashable] = (False, True)

    @property
    def axis(self) -> Axis:
        """The dimension and its labels."""
        return Axis(self.name, tuple(self.labels))


def _sorted(thresholds: Sequence[Threshold]) -> tuple[list[Threshold], NDArray[np.intp]]:
    """Return the thresholds ascending, and where each of the given ones went."""
    lines = tuple(thresholds)
    if not lines:
        raise ValueError("thresholds: expected at least one")
    for line in lines:
        if not isinstance(line, Threshold):
            raise TypeError(f"thresholds: {line!r} is not a Threshold")
    if len({line.name for line in lines}) < len(lines):
        raise ValueError("thresholds: two of them have the same name")
    order = sorted(range(len(lines)), key=lambda t: (Fraction(lines[t].value), lines[t].comparator == ">"))
    return [lines[t] for t in order], np.argsort(order)


def _limits(
    value: Node, lines: Sequence[Threshold], n_entities: int, precision: Precision
) -> tuple[Node, NDArray[np.float64]]:
    """Return what to compare with ``>``, and with what: exact where no draw is needed.

    Thresholds are rounded once, in the precision. One that equals a known value rounds to the same number, which ``>=``
    passes and ``>`` does not.
    """
    exact = exact_values(value, n_entities)
    drawn = as_log10(value)
    real = np.float32 if precision == "single" else np.float64
    numbers = [log10_exact(line.value) if drawn is not None else Fraction(line.value) for line in lines]
    try:
        rounded = np.array([float(number) for number in numbers]).astype(real)
    except OverflowError:
        raise ValueError("a threshold exceeds the range of float64; compare logarithms") from None
    strict = np.array([line.comparator == ">" for line in lines])
    below = np.nextafter(rounded, real(-np.inf))
    row: NDArray[np.float64] = np.maximum.accumulate(np.where(strict, rounded, below)).astype(np.float64)
    if all(known is None for known in exact):
        return (value if drawn is None else drawn), row
    rows = np.tile(row, (len(exact), 1))
    for m, known in enumerate(exact):
        if known is not None:
            rows[m] = [-np.inf if line.is_exceeded_by(known) else np.inf for line in lines]
    if all(known is not None for known in exact):
        return constant(0), rows.reshape(-1)
    return (value if drawn is None else drawn), rows.reshape(-1)


@dataclass(frozen=True, slots=True)
class Exceed(Sink):
    """How often a value is over each threshold.

    Parameters
    ----------
    value : Node
        Of the study; of entities: how often each of them is over.
    thresholds : sequence of Threshold
        Exact lines with their comparators, in any order.
    by : Category, optional
        Of the study: count apart for each of its values.
    """

    value: Node
    thresholds: Sequence[Threshold]
    by: Category | None = None

    def __post_init__(self) -> None:
        """Check the lines, and that a category is of the study."""
        _sorted(self.thresholds)
        if self.by is not None and "entity" in (self.value.scope, self.by.node.scope):
            raise ValueError("by: Exceed counts by category for values of the study; for entities use Table")

    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""
        lines, _ = _sorted(self.thresholds)
        node, numbers = _limits(self.value, lines, len(entities), precision)
        inputs = (node,) if self.by is None else (node, self.by.node)
        n_categories = 1 if self.by is None else len(self.by.labels)
        if n_categories == 1:
            inputs = inputs[:1]
        return CoreSink(
            "exceed",
            inputs,
            of_entities=self.value.scope == "entity",
            n_categories=n_categories,
            numbers=numbers,
            n_thresholds=len(lines),
        )

    def read(
        self, entities: tuple[str, ...], draws: int, counts: NDArray[np.int64], sums: Sequence[int], core: CoreSink
    ) -> SinkResult:
        """Return the result in these counters."""
        passed = counts.reshape(-1, core.n_thresholds + 1)
        rows: Axis | None = None
        if core.of_entities:
            rows = Axis("entity", entities)
        elif self.by is not None:
            rows = self.by.axis
        return ExceedResult(rows, tuple(self.thresholds), passed.sum(axis=1), _over(passed, self.thresholds))


def _over(passed: NDArray[np.int64], thresholds: Sequence[Threshold]) -> NDArray[np.int64]:
    """Return rows over each threshold, in the order given, from rows by number of thresholds passed."""
    above = passed[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    return np.ascontiguousarray(above[:, _sorted(thresholds)[1]])


@dataclass(frozen=True, slots=True)
class CountAbove(Sink):
    """How many entities are over each threshold in a draw: the whole distribution; and how often each entity is.

    Parameters
    ----------
    value : Node
        Of entities.
    thresholds : sequence of Threshold
        Exact lines with their comparators, in any order.
    groups : mapping of str to sequence of labels, optional
        Counts apart for groups of entities: for each dimension (year, group, ...) a label for each entity.
    joint : bool
        Also how the counts of any two groups and thresholds vary together.
    """

    value: Node
    thresholds: Sequence[Threshold]
    groups: Mapping[str, Sequence[Hashable]] | None = None
    joint: bool = False

    def __post_init__(self) -> None:
        """Check the lines, and that the value is of entities."""
        _sorted(self.thresholds)
        if self.value.scope != "entity":
            raise ValueError("CountAbove: expected a value of entities; use Exceed for a value of the study")

    def _axes(self) -> tuple[Axis, ...]:
        return tuple(Axis(dim, tuple(dict.fromkeys(labels))) for dim, labels in (self.groups or {}).items())

    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""
        lines, _ = _sorted(self.thresholds)
        node, numbers = _limits(self.value, lines, len(entities), precision)
        axes = self._axes()
        group = np.zeros(len(entities), dtype=np.uint32)
        for axis, labels in zip(axes, (self.groups or {}).values(), strict=True):
            if len(labels) != len(entities):
                raise ValueError(f"groups: {len(labels)} labels of {axis.dim!r} for {len(entities)} entities")
            place = {label: i for i, label in enumerate(axis.labels)}
            group = group * len(axis.labels) + np.array([place[label] for label in labels], dtype=np.uint32)
        return CoreSink(
            "exceed",
            (node,),
            of_entities=True,
            numbers=numbers,
            n_thresholds=len(lines),
            group=group.astype(np.uint32),
            n_groups=int(np.prod([len(axis.labels) for axis in axes], dtype=np.int64)),
            joint=self.joint,
        )

    def read(
        self, entities: tuple[str, ...], draws: int, counts: NDArray[np.int64], sums: Sequence[int], core: CoreSink
    ) -> SinkResult:
        """Return the result in these counters."""
        n, place = core.n_thresholds, _sorted(self.thresholds)[1]
        passed = counts[: len(entities) * (n + 1)].reshape(-1, n + 1)
        histograms, begin = [], passed.size
        for size in np.bincount(core.group, minlength=core.n_groups):
            end = begin + n * (int(size) + 1)
            histograms.append(np.ascontiguousarray(counts[begin:end].reshape(n, -1)[place]))
            begin = end
        width = n * core.n_groups
        joint = None
        if self.joint:
            joint = np.empty((width, width), dtype=object)
            joint[np.triu_indices(width)] = list(sums)
            joint.T[np.triu_indices(width)] = list(sums)
            order = [g * n + int(t) for g in range(core.n_groups) for t in place]
            joint = joint[np.ix_(order, order)]
        return CountResult(
            rows=Axis("entity", entities),
            thresholds=tuple(self.thresholds),
            n_rows=passed.sum(axis=1),
            exceed_counts=_over(passed, self.thresholds),
            groups=self._axes(),
            histograms=tuple(histograms),
            products=joint,
        )


@dataclass(frozen=True, slots=True)
class Table(Sink):
    """How often each combination of categories occurs, per draw, or per draw and entity if one is of entities.

    Parameters
    ----------
    categories : sequence of Category
        Nodes that are 0, 1, ...; ``count(x > line)`` is one with labels 0 to the number of entities.
    """

    categories: Sequence[Category]

    def __post_init__(self) -> None:
        """Refuse none."""
        if not self.categories:
            raise ValueError("Table: expected at least one category")

    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""
        return CoreSink(
            "table",
            tuple(category.node for category in self.categories),
            of_entities=any(category.node.scope == "entity" for category in self.categories),
            numbers=np.array([len(category.labels) for category in self.categories], dtype=np.float64),
        )

    def read(
        self, entities: tuple[str, ...], draws: int, counts: NDArray[np.int64], sums: Sequence[int], core: CoreSink
    ) -> SinkResult:
        """Return the result in these counters."""
        axes = tuple(category.axis for category in self.categories)
        return TableResult(axes, counts.reshape([len(axis.labels) for axis in axes]))


@dataclass(frozen=True, slots=True)
class Confusion(Sink):
    """How often a label is given rightly and wrongly: the four counts, over draws and entities.

    Parameters
    ----------
    label : Node
        What a rule says of an entity, such as "over the threshold"; 0 or 1.
    truth : Node
        What is so, such as "risky"; 0 or 1.
    """

    label: Node
    truth: Node

    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""
        return Table((Category("truth", self.truth), Category("label", self.label))).lower(entities, precision)

    def read(
        self, entities: tuple[str, ...], draws: int, counts: NDArray[np.int64], sums: Sequence[int], core: CoreSink
    ) -> SinkResult:
        """Return the result in these counters."""
        axes = (Axis("truth", (False, True)), Axis("label", (False, True)))
        return ConfusionResult(axes, counts.reshape(2, 2))


@dataclass(frozen=True, slots=True)
class Moments(Sink):
    """Means, variances and covariances of values, from exact sums in fixed point.

    Parameters
    ----------
    values : mapping of str to Node
        What to sum; take ``log10(x)`` for the log10 space.
    by : Category, optional
        Sums apart for each of its values: what given-data sensitivity needs.
    max_abs : mapping of str to number, optional
        Largest magnitude of a value, where the program's own bounds are infinite or needlessly wide. A draw beyond it
        is an error.

    Notes
    -----
    A value is rounded to a multiple of a power of two, the smallest with 2^46 multiples up to max_abs; the rounding
    adds at most 2^-47 max_abs to any mean.
    """

    values: Mapping[str, Node]
    by: Category | None = None
    max_abs: Mapping[str, Number | float | str] | None = None

    def __post_init__(self) -> None:
        """Refuse none, and a bound of an unknown value."""
        unknown = set(self.max_abs or {}) - set(self.values)
        if not self.values or unknown:
            raise ValueError(f"Moments: expected values, and max_abs of them only, not of {sorted(unknown)}")

    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""
        given = {name: abs(float(parse_quantity(bound))) for name, bound in (self.max_abs or {}).items()}
        units = []
        for (name, _), bounds in zip(
            self.values.items(), bounds_of(list(self.values.values()), len(entities)), strict=True
        ):
            bound = given.get(name, max(abs(bounds[0]), abs(bounds[1])))
            if not isfinite(bound):
                raise ValueError(f"Moments: {name!r} has no bounds; give max_abs={{{name!r}: ...}} or take log10 of it")
            # Single precision rounds more than the bounds allow for.
            units.append(ldexp(1.0, frexp(max(bound, 2.0**-800) * (1 + 2.0**-10))[1] - _QUANTUM_BITS))
        nodes = tuple(self.values.values())
        n_categories = 1 if self.by is None else len(self.by.labels)
        of_entities = any(node.scope == "entity" for node in nodes)
        if self.by is not None and n_categories > 1:
            nodes += (self.by.node,)
            of_entities |= self.by.node.scope == "entity"
        return CoreSink(
            "moments",
            nodes,
            of_entities=of_entities,
            apart=of_entities,
            n_categories=n_categories,
            numbers=np.array(units),
        )

    def read(
        self, entities: tuple[str, ...], draws: int, counts: NDArray[np.int64], sums: Sequence[int], core: CoreSink
    ) -> SinkResult:
        """Return the result in these counters."""
        k, axes = len(self.values), []
        if core.of_entities:
            axes.append(Axis("entity", entities))
        if self.by is not None:
            axes.append(self.by.axis)
        shape = [len(axis.labels) for axis in axes]
        cells = np.array(list(sums), dtype=object).reshape(-1, k + k * (k + 1) // 2)
        units = [Fraction(unit) for unit in core.numbers]
        totals = np.empty((len(cells), k), dtype=object)
        products = np.empty((len(cells), k, k), dtype=object)
        for c, cell in enumerate(cells):
            totals[c] = [cell[a] * units[a] for a in range(k)]
            for a, b, value in zip(*np.triu_indices(k), cell[k:], strict=True):
                products[c, a, b] = products[c, b, a] = value * units[a] * units[b]
        return MomentsResult(
            tuple(axes),
            tuple(self.values),
            counts.reshape(shape),
            totals.reshape([*shape, k]),
            products.reshape([*shape, k, k]),
        )


@dataclass(frozen=True, slots=True)
class Quantiles(Sink):
    """Quantiles of a value with their Monte Carlo error, from a histogram with fixed bins.

    Parameters
    ----------
    value : Node
        Of the study; of entities: one histogram for each of them.
    q : sequence of numbers
        Which quantiles, each in (0, 1).
    space : {"log10", "linear"}
        In which the bins are equally wide.
    bins : int
        How many.
    low, high : number, optional
        Ends of the bins, in units of the value; by default the program's own bounds.
    """

    value: Node
    q: Sequence[float | Fraction | str] = ("0.05", "0.5", "0.95")
    space: str = "log10"
    bins: int = 16384
    low: Number | float | str | None = None
    high: Number | float | str | None = None

    def __post_init__(self) -> None:
        """Check the choices."""
        if self.space not in ("log10", "linear"):
            raise ValueError(f"space={self.space!r}: expected 'log10' or 'linear'")
        if isinstance(self.bins, bool) or not isinstance(self.bins, int) or not 1 <= self.bins <= 2**23:
            raise ValueError(f"bins={self.bins!r}: expected 1 to 2^23")
        shares = [Fraction(parse_quantity(q, name="q")) for q in self.q]
        if not shares or not all(0 < share < 1 for share in shares):
            raise ValueError(f"q={self.q!r}: expected shares between 0 and 1")

    def _range(self, node: Node, n_entities: int) -> tuple[float, float]:
        (low, high) = bounds_of([node], n_entities)[0]
        for name, given in (("low", self.low), ("high", self.high)):
            if given is None:
                continue
            end = parse_quantity(given, name=name)
            if self.space == "log10" and end <= 0:
                raise ValueError(f"{name}={given!r}: not positive, so it has no place on a logarithmic axis")
            number = float(log10_exact(end)) if self.space == "log10" else float(end)
            low, high = (number, high) if name == "low" else (low, number)
        if not (isfinite(low) and isfinite(high)):
            raise ValueError("Quantiles: the value has no bounds; give low= and high=")
        if low > high:
            raise ValueError(f"Quantiles: low={self.low!r} is above high={self.high!r}")
        return low, high

    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""
        node = log10(self.value) if self.space == "log10" else self.value
        low, high = self._range(node, len(entities))
        # A power of two bins per unit: an edge is then a short binary number, the same on every machine.
        width = max((high - low) / self.bins, 2.0**-1000, (abs(low) + abs(high)) * 2.0**-40)
        fraction, exponent = frexp(width)
        per_unit = ldexp(1.0, (1 if fraction == 0.5 else 0) - exponent)
        first = np.floor(low * per_unit)
        n_bins = ceil(high * per_unit - first) + 1
        of_entities = self.value.scope == "entity"
        return CoreSink(
            "histogram",
            (node,),
            of_entities=of_entities,
            apart=of_entities,
            numbers=np.array([first / per_unit, per_unit, n_bins]),
        )

    def read(
        self, entities: tuple[str, ...], draws: int, counts: NDArray[np.int64], sums: Sequence[int], core: CoreSink
    ) -> SinkResult:
        """Return the result in these counters."""
        rows = Axis("entity", entities) if core.of_entities else None
        low, per_unit, n_bins = core.numbers
        shares = tuple(Fraction(parse_quantity(q)) for q in self.q)
        table = counts.reshape(-1, int(n_bins) + 2)
        return QuantileResult(rows, shares, self.space, float(low), float(per_unit), table)


def flatten(sinks: Mapping[str, Sink | Along]) -> list[tuple[str, Sink]]:
    """Return the sinks one by one, named by what they answer and in which scenario."""
    flat: list[tuple[str, Sink]] = []
    pending = [(name, sink) for name, sink in reversed(list(sinks.items()))]
    while pending:
        name, sink = pending.pop()
        if isinstance(sink, Along):
            pending += [(f"{name}[{sink.dim}={label}]", inner) for label, inner in reversed(list(sink.sinks.items()))]
        else:
            flat.append((name, sink))
    return flat


def nest(sinks: Mapping[str, Sink | Along], results: Iterator[SinkResult]) -> dict[str, SinkResult | AlongResult]:
    """Return the results of `flatten`'s sinks in the shape of the sinks."""
    return {name: _nest(sink, results) for name, sink in sinks.items()}


def _nest(sink: Sink | Along, results: Iterator[SinkResult]) -> SinkResult | AlongResult:
    if not isinstance(sink, Along):
        return next(results)
    return AlongResult(Axis(sink.dim, tuple(sink.sinks)), tuple(_nest(one, results) for one in sink.sinks.values()))
