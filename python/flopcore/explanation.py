"""Why a number is what it is: which rule priced what, what was assumed, what was left out and how much that can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, TypeAlias

from .conventions import Convention, convention
from .expr import Expr
from .specification import specification

if TYPE_CHECKING:
    from . import _core

__all__ = ["BOUND", "Assumption", "Charge", "Coverage", "Explanation", "Uncounted", "explain"]

Count: TypeAlias = int | Fraction | Expr

BOUND = "int-or-fp"
"""The convention that bounds what was not counted: every operation executed, each worth one, masked ones included; of
an if, all arms."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Nodes that no convention can tell apart: they have these properties in common.

    Attributes
    ----------
    op, variant, origin, dtype, phase
        Their op, flags, origin, dtype of the first input, and phase.
    nodes
        How many there are; one in a block that is repeated is one.
    example
        Module path and name of the first.
    """

    op: str
    variant: tuple[str, ...]
    origin: str
    dtype: str
    phase: str
    nodes: int
    example: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What nodes of one kind cost, and by which rule.

    Attributes
    ----------
    kind
        The nodes.
    price
        Their price, in the unit of the convention.
    rule
        Number of the override that matched, from 0, or None where the convention's general weights hold.
    reason
        What the convention's file says of that rule.
    terms
        The price by feature.
    """

    kind: Kind
    price: Count
    rule: int | None
    reason: str
    terms: Mapping[str, Count]


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Nodes that cost nothing under the convention.

    Attributes
    ----------
    kind
        The nodes.
    at_most
        How many operations they execute: what they can be worth at one each.
    bytes
        How many bytes they read and write.
    reason
        Why they are worth nothing.
    """

    kind: Kind
    at_most: Count
    bytes: Count
    reason: str


@dataclass(frozen=True, slots=True)
class Assumption:
    """A choice about work that may be left out.

    Attributes
    ----------
    extent
        The kind of extent, such as ``"causal"``.
    taken
        Whether it was priced in full (``"nominal"``) or as far as it is ``"used"``.
    grades
        How sure the used sizes are: ``"exact"``, ``"expected"``, ``"bound"``.
    otherwise
        The total if this choice, and nothing else, were made the other way.
    """

    extent: str
    taken: Literal["nominal", "used"]
    grades: tuple[str, ...]
    otherwise: Count


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a graph a convention prices.

    Attributes
    ----------
    nodes, priced_nodes
        Nodes that are no leaves, and those that cost something.
    operations, priced_operations
        Operations they execute (each worth one, see `BOUND`), and those of the priced nodes.
    """

    nodes: int
    priced_nodes: int
    operations: Count
    priced_operations: Count

    @property
    def share(self) -> Fraction | None:
        """Share of the operations that stand in priced nodes; None where a dim is open or there are none."""
        if not isinstance(self.operations, int | Fraction) or not isinstance(self.priced_operations, int | Fraction):
            return None
        return Fraction(self.priced_operations) / self.operations if self.operations else None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Made by `Tally.explain`.

    Attributes
    ----------
    convention
        The convention that priced.
    total
        The price, the sum of `charges`.
    charges
        Kinds of nodes that cost something, the dearest first where prices are numbers.
    uncounted
        Kinds that cost nothing, the largest bound first.
    assumptions
        One per kind of extent in the tally.
    notes
        What the rules of the ops, and the convention itself, say about themselves.
    coverage
        How much was priced.
    unsupported
        What the graph leaves out because no rule covers it: how many nodes of each foreign op. No bound is known.
    """

    convention: Convention
    total: Count
    charges: tuple[Charge, ...]
    uncounted: tuple[Uncounted, ...]
    assumptions: tuple[Assumption, ...]
    notes: tuple[str, ...]
    coverage: Coverage
    unsupported: Mapping[str, int]

    def __str__(self) -> str:
        lines = [f"{self.convention.name}: {_shown(self.total)} {self.convention.unit}"]
        lines += [
            f"  {_named(row.kind)}: {_shown(row.price)}, {row.reason or 'general weights'}" for row in self.charges
        ]
        lines += ["not counted:"] if self.uncounted else []
        lines += [f"  {_named(row.kind)}: at most {_shown(row.at_most)}, {row.reason}" for row in self.uncounted]
        lines += [f"not in the graph: {op} x {count}, no rule and no bound" for op, count in self.unsupported.items()]
        lines += [
            f"assumed: {one.extent} work as {one.taken}; otherwise {_shown(one.otherwise)}" for one in self.assumptions
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def to_dict(self) -> dict[str, object]:
        """Return all of it as plain data; fractions and expressions are text."""
        return {
            "schema": "flopcore.explanation/1",
            "convention": {
                "name": self.convention.name,
                "version": self.convention.version,
                "digest": self.convention.digest,
            },
            "unit": self.convention.unit,
            "total": _plain(self.total),
            "charges": [
                {
                    **_kind(charge.kind),
                    "price": _plain(charge.price),
                    "rule": charge.rule,
                    "reason": charge.reason,
                    "terms": {feature: _plain(price) for feature, price in charge.terms.items()},
                }
                for charge in self.charges
            ],
            "uncounted": [
                {
                    **_kind(row.kind),
                    "at_most": _plain(row.at_most),
                    "bytes": _plain(row.bytes),
                    "reason": row.reason,
                }
                for row in self.uncounted
            ],
            "assumptions": [
                {
                    "extent": one.extent,
                    "taken": one.taken,
                    "grades": list(one.grades),
                    "otherwise": _plain(one.otherwise),
                }
                for one in self.assumptions
            ],
            "notes": list(self.notes),
            "unsupported": [{"op": op, "nodes": nodes} for op, nodes in sorted(self.unsupported.items())],
            "coverage": {
                "bound": BOUND,
                "nodes": self.coverage.nodes,
                "priced_nodes": self.coverage.priced_nodes,
                "operations": _plain(self.coverage.operations),
                "priced_operations": _plain(self.coverage.priced_operations),
                "share": None if self.coverage.share is None else float(self.coverage.share),
            },
        }


def explain(
    tally: _core.Tally, chosen: Convention, *, at: Mapping[str, int], unsupported: Mapping[str, int]
) -> Explanation:
    """Return why a tally costs what it costs under a convention; see `Tally.explain`."""
    kinds = node_kinds(tally)
    prices = by_kind(tally, chosen, at)
    everything = replace(convention(BOUND), branches="both")
    bounds = [_sum(terms.values()) for terms in by_kind(tally, everything, at)]
    moved = [_sum(terms.values()) for terms in by_kind(tally, _bytes(chosen), at)]
    charges, uncounted = [], []
    priced_nodes = 0
    for kind, terms, bound, n_bytes in zip(kinds, prices, bounds, moved, strict=True):
        rule = chosen.rule_of(kind.op, variant=kind.variant, origin=kind.origin, dtype=kind.dtype, phase=kind.phase)
        if terms:
            priced_nodes += kind.nodes
            reason = "" if rule is None else chosen.overrides[rule].reason
            charges.append(Charge(kind, _sum(terms.values()), rule, reason, terms))
        else:
            uncounted.append(Uncounted(kind, bound, n_bytes, _why_not(chosen, kind, rule)))
    coverage = Coverage(
        nodes=sum(kind.nodes for kind in kinds),
        priced_nodes=priced_nodes,
        operations=_sum(bounds),
        priced_operations=_sum([bound for bound, terms in zip(bounds, prices, strict=True) if terms]),
    )
    return Explanation(
        convention=chosen,
        total=_sum([charge.price for charge in charges]),
        charges=tuple(sorted(charges, key=lambda one: _largest_first(one.price, one.kind))),
        uncounted=tuple(sorted(uncounted, key=lambda one: _largest_first(one.at_most, one.kind))),
        assumptions=_assumptions(tally, chosen, at),
        notes=_notes(chosen, kinds),
        coverage=coverage,
        unsupported=unsupported,
    )


def node_kinds(tally: _core.Tally) -> tuple[Kind, ...]:
    """Return the kinds of nodes of a tally, numbered as `by_kind` numbers them."""
    return tuple(
        Kind(
            op=row["op"],
            variant=row["variant"],
            origin=row["origin"],
            dtype=row["dtypes"][0],
            phase=row["phase"],
            nodes=row["n_entries"],
            example=".".join(part for part in (row["scope"], row["name"]) if part),
        )
        for row in tally.kinds()
    )


def by_kind(tally: _core.Tally, chosen: Convention, at: Mapping[str, int]) -> list[dict[str, Count]]:
    """Return what each kind of nodes costs, by feature; what costs nothing is left out."""
    prices: list[dict[str, Count]] = [{} for _ in tally.kinds()]
    _, groups = _price(tally, chosen)
    for name, price in groups.items():
        number, _, feature = name.partition(" ")
        bound = price.at(at, on_unknown="ignore") if at and isinstance(price, Expr) else price
        if bound != 0:
            prices[int(number)][feature] = bound
    return prices


def _price(tally: _core.Tally, chosen: Convention) -> tuple[Count, Mapping[str, Count]]:
    from . import _core

    return _core.price(tally, chosen.compiled(), "kind")


def _bytes(chosen: Convention) -> Convention:
    """Return a convention that charges one for each byte read or written."""
    weights = tuple(int(feature in ("bytes_read", "bytes_written")) for feature in specification().features)
    phases = convention(BOUND).phases
    return replace(
        chosen,
        weights=weights,
        overrides=(),
        phases=phases,
        precision={},
        branches="both",
        loops="every run",
        name="bytes",
    )


def _why_not(chosen: Convention, kind: Kind, rule: int | None) -> str:
    if kind.phase not in chosen.phases:
        return f"the phase {kind.phase} is not priced"
    if rule is not None:
        return chosen.overrides[rule].reason
    return "no feature of this op has a weight"


def _assumptions(tally: _core.Tally, chosen: Convention, at: Mapping[str, int]) -> tuple[Assumption, ...]:
    grades: dict[str, list[str]] = {}
    for kind, grade in tally.extent_kinds():
        grades.setdefault(kind, []).append(grade)
    found = []
    for kind, seen in grades.items():
        taken = chosen.extents[kind]
        other: Literal["nominal", "used"] = "used" if taken == "nominal" else "nominal"
        flipped = replace(chosen, extents={**chosen.extents, kind: other})
        otherwise = _sum([price for terms in by_kind(tally, flipped, at) for price in terms.values()])
        found.append(Assumption(kind, taken, tuple(seen), otherwise))
    return tuple(found)


def _notes(chosen: Convention, kinds: Sequence[Kind]) -> tuple[str, ...]:
    """Return the notes of the ops that stand in the graph, then those of the convention."""
    specs = specification().ops
    ops = dict.fromkeys(kind.op for kind in kinds if kind.op in specs)
    return (
        *(f"{op}: {note}" for op in ops for note in specs[op].notes),
        *(f"{chosen.name}: {note}" for note in chosen.notes),
    )


def _sum(prices: Iterable[Count]) -> Count:
    total: Count = 0
    for price in prices:
        total = total + price
    return int(total) if isinstance(total, Fraction) and total.denominator == 1 else total


def _largest_first(price: Count, kind: Kind) -> tuple[Fraction, str, tuple[str, ...], str]:
    size = -abs(Fraction(price)) if isinstance(price, int | Fraction) else Fraction(0)
    return (size, kind.op, kind.variant, kind.phase)


def _shown(value: Count) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _named(kind: Kind) -> str:
    return " ".join([kind.op, *kind.variant, *([] if kind.phase == "forward" else [kind.phase])])


def _plain(value: Count) -> int | str:
    return value if isinstance(value, int) else str(value)


def _kind(kind: Kind) -> dict[str, object]:
    return {
        "op": kind.op,
        "variant": list(kind.variant),
        "origin": kind.origin,
        "dtype": kind.dtype,
        "phase": kind.phase,
        "nodes": kind.nodes,
        "example": kind.example,
    }
