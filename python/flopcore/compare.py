"""One walk priced under several conventions, and which rows make two of them differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations

from .conventions import Convention, chosen, convention
from .count import count
from .errors import DataError
from .explanation import by_kind
from .graph import Graph

__all__ = ["Comparison", "Difference", "compare"]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a kind of row is worth under two conventions.

    Attributes
    ----------
    op, variant, phase, feature
        The rows: their op, its flags, their phase, and the feature that is priced.
    left, right
        Their price under each convention, in its unit.
    """

    op: str
    variant: tuple[str, ...]
    phase: str
    feature: str
    left: int | Fraction
    right: int | Fraction

    @property
    def difference(self) -> int | Fraction:
        """Right minus left."""
        return _plain(Fraction(self.right - self.left))

    def to_dict(self) -> dict[str, object]:
        """Return it as plain data; fractions are text."""
        return {
            "op": self.op,
            "variant": list(self.variant),
            "phase": self.phase,
            "feature": self.feature,
            "left": _text(self.left),
            "right": _text(self.right),
            "difference": _text(self.difference),
        }


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
    _prices: Mapping[tuple[str, tuple[str, ...], str, str], tuple[int | Fraction, ...]] = field(repr=False, hash=False)

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
            Difference(op, variant, phase, feature, prices[first], prices[second])
            for (op, variant, phase, feature), prices in self._prices.items()
            if prices[first] != prices[second]
        ]
        return tuple(sorted(found, key=_largest_first))

    @property
    def by_op(self) -> dict[str, tuple[int | Fraction, ...]]:
        """Each op's price under each convention; the op they disagree on most comes first."""
        sums: dict[str, list[int | Fraction]] = {}
        for (op, *_), prices in self._prices.items():
            row = sums.setdefault(op, [0] * len(prices))
            for index, price in enumerate(prices):
                row[index] += price
        plain = {op: tuple(_plain(Fraction(value)) for value in row) for op, row in sums.items()}
        return dict(sorted(plain.items(), key=lambda item: (min(item[1]) - max(item[1]), item[0])))

    def __str__(self) -> str:
        head = ["", *(f"{one.name} [{one.unit}]" for one in self.conventions)]
        rows = [head, ["total", *map(_grouped, self.totals)]]
        rows += [[op, *map(_grouped, prices)] for op, prices in self.by_op.items()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )

    def to_dict(self) -> dict[str, object]:
        """Return totals and, for each pair of conventions in order, the rows that explain the difference."""
        pairs = combinations([one.name for one in self.conventions], 2)
        return {
            "schema": "flopcore.comparison/1",
            "totals": [
                {
                    "convention": one.name,
                    "version": one.version,
                    "digest": one.digest,
                    "unit": one.unit,
                    "total": _text(total),
                }
                for one, total in zip(self.conventions, self.totals, strict=True)
            ],
            "pairs": [
                {"left": left, "right": right, "rows": [row.to_dict() for row in self.explain(left, right)]}
                for left, right in pairs
            ],
        }

    def _place(self, wanted: str | Convention) -> int:
        name = convention(wanted).name
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
    >>> print(result)
            macs [MAC]  pycls/intended [MAC]
    total          512                   544
    linear         512                   544
    """
    priced = chosen(conventions)
    if not priced:
        raise DataError("compare needs at least one convention")
    tally = count(graph, at=at)
    left_open = sorted(set(graph.dims) - set(at or {}))
    if left_open:
        raise DataError(f"compare works on numbers; bind {', '.join(map(repr, left_open))} with at=")
    kinds = tally.kinds()
    prices: dict[tuple[str, tuple[str, ...], str, str], list[int | Fraction]] = {}
    for index, one in enumerate(priced):
        for kind, terms in zip(kinds, by_kind(tally.core, one, {}), strict=True):
            for feature, price in terms.items():
                sums = prices.setdefault((kind.op, kind.variant, kind.phase, feature), [0] * len(priced))
                sums[index] += _number(price)
    exact = {key: tuple(_plain(Fraction(value)) for value in sums) for key, sums in prices.items()}
    return Comparison(priced, tuple(_number(tally.flop(one)) for one in priced), exact)


def _number(amount: object) -> int | Fraction:
    if not isinstance(amount, int | Fraction):
        raise DataError(f"{amount} is not a number; bind every dim with at=")
    return amount


def _largest_first(row: Difference) -> tuple[Fraction, str, tuple[str, ...], str, str]:
    return (-abs(Fraction(row.difference)), row.op, row.variant, row.phase, row.feature)


def _grouped(value: int | Fraction) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _text(value: int | Fraction) -> int | str:
    return value if isinstance(value, int) else str(value)


def _plain(value: Fraction) -> int | Fraction:
    return int(value) if value.denominator == 1 else value
