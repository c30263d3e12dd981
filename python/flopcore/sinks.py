"""Where the values of a program end: counters, each a question that is answered by integers which add up exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .distributions import log10_exact
from .program import Node, as_log10, constant
from .program_exact import supports_of
from .program_plan import CoreSink
from .program_result import AlongResult
from .quantity import Number
from .sink_results import (
    Axis,
    ConfusionResult,
    CountResult,
    ExceedResult,
    SinkResult,
    TableResult,
    line_axis,
)
from .sweep_plan import Precision, ascending
from .thresholds import Threshold, separating

__all__ = ["Along", "Category", "Confusion", "CountAbove", "Exceed", "Sink", "Table", "as_value", "flatten", "nest"]

_MOST_LABELS = 1 << 20


class Sink(ABC):
    """A question to a program, and how its counters are read."""

    __slots__ = ()

    @property
    @abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """The values it is asked of."""

    @property
    @abstractmethod
    def axes(self) -> tuple[Axis, ...]:
        """The labelled dimensions of its results, those of entities left out."""

    @abstractmethod
    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""

    @abstractmethod
    def read(
        self, entities: tuple[str, ...], draws: int, counts: NDArray[np.int64], sums: Sequence[int], core: CoreSink
    ) -> SinkResult:
        """Return the result in these counters."""

    def check_resolution(self, core: CoreSink, drawn: Sequence[NDArray[np.float64]], entities: tuple[str, ...]) -> None:
        """Raise a ValueError where values such as these, [entity, draw] for each input, would be lost in rounding."""
        return  # nothing is rounded, but in sums and bins


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
        """Refuse an empty dimension, and scenarios whose results would not be labelled alike."""
        if not isinstance(self.sinks, Mapping) or not self.sinks:
            raise ValueError(f"Along({self.dim!r}): expected a mapping with at least one label")
        first, *others = ((label, _form(sink)) for label, sink in self.sinks.items())
        for label, form in others:
            if form != first[1]:
                raise ValueError(
                    f"Along({self.dim!r}): the questions of {first[0]!r} and {label!r} differ in kind or labels; "
                    "name lines, categories and values alike, or ask two questions"
                )


def _form(sink: Sink | Along) -> tuple[object, ...]:
    """Return what the results of two scenarios must have in common to stand in one table."""
    if isinstance(sink, Along):
        return (sink.dim, tuple(sink.sinks), _form(next(iter(sink.sinks.values()))))
    if not isinstance(sink, Sink):
        raise TypeError(f"{sink!r} is not a question; expected Exceed, CountAbove, Moments ... or Along")
    return (type(sink), sink.axes, any(node.scope == "entity" for node in sink.nodes))


def as_value(value: object, what: str) -> Node:
    """Return the value of a program, or say what is none."""
    if not isinstance(value, Node):
        raise TypeError(f"{what}: {value!r} is not a value of a program; make it of variable(), column(), constant()")
    return value


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

    def __post_init__(self) -> None:
        """Refuse what is no value, and labels that do not tell its values apart."""
        as_value(self.node, f"category {self.name!r}")
        if self.name == "entity":
            raise ValueError("category 'entity': that is the dimension of the program's entities; take another name")
        if len(self.labels) > _MOST_LABELS:
            raise ValueError(f"category {self.name!r}: {len(self.labels)} labels; at most {_MOST_LABELS}")
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"category {self.name!r}: expected distinct labels, at least one")

    @property
    def axis(self) -> Axis:
        """The dimension and its labels."""
        return Axis(self.name, tuple(self.labels))


def _limits(
    value: Node, lines: Sequence[Threshold], n_entities: int, precision: Precision
) -> tuple[Node, NDArray[np.float64]]:
    """Return what to compare with ``>``, and with what: exact where no draw is needed, or only draws of few values.

    Thresholds are rounded once, in the precision. A value that takes few values, one of them as good as on a threshold,
    is compared with a number between those over it and the others.
    """
    supports = supports_of(value, n_entities)
    drawn = as_log10(value)
    single = precision == "single"
    real = np.float32 if single else np.float64

    def rounded(numbers: Sequence[Number]) -> NDArray[np.floating[Any]]:
        placed = [log10_exact(number) if drawn is not None else Fraction(number) for number in numbers]
        return np.array([float(number) for number in placed]).astype(real)

    try:
        at = rounded([line.value for line in lines])
    except OverflowError:
        raise ValueError("a threshold exceeds the range of float64; compare logarithms") from None
    strict = np.array([line.comparator == ">" for line in lines])
    row = np.where(strict, at, np.nextafter(at, real(-np.inf)))
    rows = np.tile(row, (len(supports), 1))
    for m, points in enumerate(supports):
        if points is not None and len(points) == 1:
            rows[m] = [-np.inf if line.is_exceeded_by(points[0]) else np.inf for line in lines]
        elif points is not None:
            for t, line in enumerate(lines):
                between = separating(points, line, single)
                if between is not None:
                    rows[m, t] = rounded([between])[0]
    limits: NDArray[np.float64] = np.maximum.accumulate(rows, axis=1).astype(np.float64)
    if all(points is not None and len(points) == 1 for points in supports):
        return constant(0), limits.reshape(-1)
    shared = bool(np.all(limits == limits[:1]))
    return (value if drawn is None else drawn), limits[0] if shared else limits.reshape(-1)


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
        ascending(self.thresholds)
        as_value(self.value, "Exceed")
        if self.by is not None and "entity" in (self.value.scope, self.by.node.scope):
            raise ValueError("by: Exceed counts by category for values of the study; for entities use Table")

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The value, and the category's."""
        return (self.value,) if self.by is None else (self.value, self.by.node)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Category, if there is one, and threshold."""
        return (*(() if self.by is None else (self.by.axis,)), line_axis(self.thresholds))

    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""
        lines, _ = ascending(self.thresholds)
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
    return np.ascontiguousarray(above[:, ascending(thresholds)[1]])


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
        ascending(self.thresholds)
        if as_value(self.value, "CountAbove").scope != "entity":
            raise ValueError("CountAbove: expected a value of entities; use Exceed for a value of the study")

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The value."""
        return (self.value,)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Groups and threshold."""
        return (*self._group_axes(), line_axis(self.thresholds))

    def _group_axes(self) -> tuple[Axis, ...]:
        return tuple(Axis(dim, tuple(dict.fromkeys(labels))) for dim, labels in (self.groups or {}).items())

    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""
        lines, _ = ascending(self.thresholds)
        node, numbers = _limits(self.value, lines, len(entities), precision)
        axes = self._group_axes()
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
        n, place = core.n_thresholds, ascending(self.thresholds)[1]
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
            groups=self._group_axes(),
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
        """Refuse none, and two of one name."""
        if not self.categories:
            raise ValueError("Table: expected at least one category")
        for category in self.categories:
            if not isinstance(category, Category):
                raise TypeError(f"Table: {category!r} is not a Category; write Category('name', {category!r})")
        names = [category.name for category in self.categories]
        if len(set(names)) < len(names):
            raise ValueError(f"Table: categories {names} have one name twice")

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The categories' values."""
        return tuple(category.node for category in self.categories)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The categories."""
        return tuple(category.axis for category in self.categories)

    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""
        return CoreSink(
            "table",
            self.nodes,
            of_entities=any(node.scope == "entity" for node in self.nodes),
            numbers=np.array([len(category.labels) for category in self.categories], dtype=np.float64),
        )

    def read(
        self, entities: tuple[str, ...], draws: int, counts: NDArray[np.int64], sums: Sequence[int], core: CoreSink
    ) -> SinkResult:
        """Return the result in these counters."""
        return TableResult(self.axes, counts.reshape([len(axis.labels) for axis in self.axes]))


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

    def __post_init__(self) -> None:
        """Refuse what is no value."""
        self._table()

    def _table(self) -> Table:
        return Table((Category("truth", self.truth), Category("label", self.label)))

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Truth and label."""
        return (self.truth, self.label)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Truth and label."""
        return self._table().axes

    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""
        return self._table().lower(entities, precision)

    def read(
        self, entities: tuple[str, ...], draws: int, counts: NDArray[np.int64], sums: Sequence[int], core: CoreSink
    ) -> SinkResult:
        """Return the result in these counters."""
        return ConfusionResult(self.axes, counts.reshape(2, 2))


def flatten(sinks: Mapping[str, Sink | Along]) -> list[tuple[str, Sink]]:
    """Return the sinks one by one, named by what they answer and in which scenario."""
    flat: list[tuple[str, Sink]] = []
    pending = [(name, sink) for name, sink in reversed(list(sinks.items()))]
    while pending:
        name, sink = pending.pop()
        if isinstance(sink, Along):
            pending += [(f"{name}[{sink.dim}={label}]", inner) for label, inner in reversed(list(sink.sinks.items()))]
        elif isinstance(sink, Sink):
            flat.append((name, sink))
        else:
            raise TypeError(
                f"sink {name!r}: {sink!r} is not a question; expected Exceed, CountAbove, Moments ... or Along"
            )
    return flat


def nest(sinks: Mapping[str, Sink | Along], results: Iterator[SinkResult]) -> dict[str, SinkResult | AlongResult]:
    """Return the results of `flatten`'s sinks in the shape of the sinks."""
    return {name: _nest(sink, results) for name, sink in sinks.items()}


def _nest(sink: Sink | Along, results: Iterator[SinkResult]) -> SinkResult | AlongResult:
    if not isinstance(sink, Along):
        return next(results)
    return AlongResult(Axis(sink.dim, tuple(sink.sinks)), tuple(_nest(one, results) for one in sink.sinks.values()))
