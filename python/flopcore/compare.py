"""One walk priced under several conventions, and which rows make two of them differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from .conventions import Convention, convention
from .count import Tally, count
from .errors import DataError
from .graph import Graph
from .specification import specification

__all__ = ["Comparison", "Difference", "compare"]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a kind of row is worth under two conventions.

    Attributes
    ----------
    op, variant, feature
        The rows: their op, its flags, and the feature that is priced.
    left, right
        Their price under each convention, in its unit.
    """

    op: str
    variant: tuple[str, ...]
    feature: str
    left: int | Fraction
    right: int | Fraction

    @property
    def difference(self) -> int | Fraction:
        """Right minus left."""
        return _plain(Fraction(self.right - self.left))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A graph counted once and priced under several conventions; made by `compare`.

    Attributes
    ----------
    conventions
        The conventions, in the order they were given.
    totals
        The price under each, in its own unit.
    """

    conventions: tuple[Convention, ...]
    totals: tuple[int | Fraction, ...]
    _prices: Mapping[tuple[str, tuple[str, ...], str], tuple[int | Fraction, ...]] = field(repr=False, hash=False)

    def explain(self, left: str | Convention, right: str | Convention) -> tuple[Difference, ...]:
        """Return the kinds of rows that two conventions price differently, the largest difference first.

        The differences sum to the difference of the totals. Totals in MAC and in FLOP are compared as numbers: under
        ``macs`` and ``torch-2.13`` every contraction differs, by the factor two.

        Parameters
        ----------
        left, right
            Two of the conventions compared.

        Raises
        ------
        DataError
            If one of them was not compared.
        """
        first, second = self._place(left), self._place(right)
        found = [
            Difference(op, variant, feature, prices[first], prices[second])
            for (op, variant, feature), prices in self._prices.items()
            if prices[first] != prices[second]
        ]
        return tuple(sorted(found, key=lambda one: (-abs(Fraction(one.difference)), one.op, one.variant, one.feature)))

    def _place(self, wanted: str | Convention) -> int:
        name = wanted.name if isinstance(wanted, Convention) else convention(wanted).name
        names = [one.name for one in self.conventions]
        if name not in names:
            raise DataError(f"{name} was not compared; the comparison has {', '.join(names)}")
        return names.index(name)


def compare(
    graph: Graph, conventions: Sequence[str | Convention], *, at: Mapping[str, int] | None = None
) -> Comparison:
    """Walk a graph once and price it under several conventions.

    Parameters
    ----------
    graph
        What to count.
    conventions
        At least one name or convention.
    at
        A value for every symbolic dim.

    Raises
    ------
    ConventionError
        If a convention is unknown.
    DataError
        If a dim is left open, or no convention is given.

    Examples
    --------
    >>> import flopcore as fc
    >>> graph = fc.Graph()
    >>> x = graph.input("x", (8, 16))
    >>> y = graph.linear(x, graph.parameter("w", (4, 16)), graph.parameter("b", (4,)))
    >>> result = fc.compare(graph, ["macs", "pycls"])
    >>> result.totals
    (512, 544)
    >>> [(row.op, row.feature, row.difference) for row in result.explain("macs", "pycls")]
    [('linear', 'add', 32)]
    """
    chosen = tuple(one if isinstance(one, Convention) else convention(one) for one in conventions)
    if not chosen:
        raise DataError("compare needs at least one convention")
    tally = count(graph, at=at)
    left_open = sorted(set(graph.dims) - set(at or {}))
    if left_open:
        raise DataError(f"compare works on numbers; bind {', '.join(map(repr, left_open))} with at=")
    prices: dict[tuple[str, tuple[str, ...], str], list[Fraction]] = {}
    features = specification().features
    repeats = _repeats(tally)
    weights: dict[tuple[str, tuple[str, ...], str, str, str], list[tuple[int | Fraction, ...]]] = {}
    for row in tally.rows():
        kind = (row.op, row.variant, row.origin, row.dtypes[0], row.phase)
        if kind not in weights:
            weights[kind] = [
                one.weights_of(row.op, variant=row.variant, origin=row.origin, dtype=row.dtypes[0], phase=row.phase)
                for one in chosen
            ]
        place = features.index(row.feature)
        sums = prices.setdefault((row.op, row.variant, row.feature), [Fraction(0)] * len(chosen))
        for index, one in enumerate(chosen):
            weight = weights[kind][index][place]
            if weight:
                amount = repeats[row.block] * _number(row.base)
                for extent in row.extents:
                    amount *= _number(extent.used if one.extents[extent.kind] == "used" else extent.nominal)
                sums[index] += weight * amount
    exact = {key: tuple(_plain(value) for value in sums) for key, sums in prices.items()}
    totals = tuple(
        _plain(sum((Fraction(row[index]) for row in exact.values()), Fraction(0))) for index in range(len(chosen))
    )
    return Comparison(chosen, totals, exact)


def _repeats(tally: Tally) -> list[int]:
    """How often each block of a tally runs in all."""
    repeats = [0] * len(tally.blocks())
    repeats[-1] = 1
    for frame in sorted(tally.frames(), key=lambda one: -one.parent):
        repeats[frame.block] += repeats[frame.parent] * int(_number(frame.times))
    return repeats


def _number(amount: object) -> int | Fraction:
    if not isinstance(amount, int | Fraction):
        raise DataError(f"{amount} is not a number; bind every dim with at=")
    return amount


def _plain(value: Fraction) -> int | Fraction:
    return int(value) if value.denominator == 1 else value
