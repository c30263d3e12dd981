"""Sinks whose counters are of rounded values: sums in fixed point, and histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, frexp, isfinite, ldexp

import numpy as np
from numpy.typing import NDArray

from .distributions import log10_exact
from .program import Node, log10
from .program_bounds import bounds_of
from .program_plan import CoreSink
from .quantity import Number, parse_quantity
from .sink_results import Axis, MomentsResult, QuantileResult, SinkResult
from .sinks import Category, Sink, as_value
from .sweep_plan import Precision

__all__ = ["Moments", "Quantiles"]

_QUANTUM_BITS = 46  # kLargestQuantum of cpp/src/program_counters.hpp
_LARGEST = 10**300
_LEAST_UNITS = 2.0**10  # of the mean magnitude of a value
_LEAST_BINS = 8  # of the middle half of the values


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
        for name, value in self.values.items():
            as_value(value, f"Moments: {name!r}")
        for name, bound in (self.max_abs or {}).items():
            if not 0 < parse_quantity(bound, name=f"max_abs of {name!r}") <= _LARGEST:
                raise ValueError(f"Moments: max_abs={{{name!r}: {bound!r}}}: expected a number from above 0 to 1e300")

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The values, and the category's."""
        return (*self.values.values(), *(() if self.by is None else (self.by.node,)))

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Category, if there is one, and value."""
        return (*(() if self.by is None else (self.by.axis,)), Axis("value", tuple(self.values)))

    def lower(self, entities: tuple[str, ...], precision: Precision) -> CoreSink:
        """Return the sink as the core takes it."""
        given = {name: float(parse_quantity(bound)) for name, bound in (self.max_abs or {}).items()}
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

    def check_resolution(self, core: CoreSink, drawn: Sequence[NDArray[np.float64]], entities: tuple[str, ...]) -> None:
        """Refuse a unit near the size of the values themselves: a mean is off by half a unit at most."""
        for name, unit, rows in zip(self.values, core.numbers.tolist(), drawn, strict=False):
            for m, row in enumerate(np.abs(rows)):
                row = row[np.isfinite(row)]
                size = float(row.mean()) if row.size else 0.0
                if 0 < size < unit * _LEAST_UNITS:
                    of = f" of entity {entities[m]!r}" if len(rows) > 1 else ""
                    most = size / _LEAST_UNITS * 2.0**_QUANTUM_BITS / 3  # a unit is a power of two, and this is rounded
                    raise ValueError(
                        f"Moments: {name!r} is summed in units of {unit:.2g}, so wide are its bounds, but the values"
                        f"{of} are near {size:.2g}; give max_abs={{{name!r}: {most:.0e}}} or less, or take log10 of it"
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
        as_value(self.value, "Quantiles")
        if self.space not in ("log10", "linear"):
            raise ValueError(f"space={self.space!r}: expected 'log10' or 'linear'")
        if isinstance(self.bins, bool) or not isinstance(self.bins, int) or not 1 <= self.bins <= 2**23:
            raise ValueError(f"bins={self.bins!r}: expected 1 to 2^23")
        if isinstance(self.q, (str, float, int, Fraction)):
            raise TypeError(f"q={self.q!r}: expected a sequence of shares, such as [{self.q!r}]")
        shares = self._shares()
        if len(set(shares)) < len(shares) or not shares or not all(0 < share < 1 for share in shares):
            raise ValueError(f"q={self.q!r}: expected distinct shares between 0 and 1")

    def _shares(self) -> tuple[Fraction, ...]:
        return tuple(Fraction(parse_quantity(q, name="q")) for q in self.q)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The value."""
        return (self.value,)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Quantile."""
        return (Axis("quantile", self._shares()),)

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

    def check_resolution(self, core: CoreSink, drawn: Sequence[NDArray[np.float64]], entities: tuple[str, ...]) -> None:
        """Refuse bins over the program's own bounds that most of the values would share."""
        if self.space == "log10" or not (self.low is None or self.high is None):
            return
        width = 1.0 / float(core.numbers[1])
        for m, row in enumerate(drawn[0]):
            low, high = np.quantile(row[np.isfinite(row)], (0.25, 0.75)).tolist() if np.isfinite(row).any() else (0, 0)
            if 0 < high - low < width * _LEAST_BINS:
                of = f" of entity {entities[m]!r}" if len(drawn[0]) > 1 else ""
                raise ValueError(
                    f"Quantiles: the bins are {width:.2g} wide, but half of the values{of} lie between {low:.4g} and "
                    f"{high:.4g}; give low= and high=, or take space='log10'"
                )

    def read(
        self, entities: tuple[str, ...], draws: int, counts: NDArray[np.int64], sums: Sequence[int], core: CoreSink
    ) -> SinkResult:
        """Return the result in these counters."""
        rows = Axis("entity", entities) if core.of_entities else None
        low, per_unit, n_bins = core.numbers
        table = counts.reshape(-1, int(n_bins) + 2)
        return QuantileResult(rows, self._shares(), self.space, float(low), float(per_unit), table)
