"""The JSON documents of the command line, one function each; `data/schemas/` has their schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal, Protocol, TypeAlias, cast

from flopcore.conventions import Convention
from flopcore.expr import Expr

__all__ = [
    "Cost",
    "Document",
    "amount",
    "compare_document",
    "count_document",
    "diff_document",
    "priced",
    "show_document",
]

Cost: TypeAlias = int | Fraction | Expr
Document: TypeAlias = dict[str, object]


class _Printable(Protocol):
    def to_dict(self) -> Mapping[str, object]: ...


def amount(cost: Cost | None) -> int | str | None:
    """Return an exact integer as it is, a fraction or an expression as text."""
    return cost if cost is None or isinstance(cost, int) else str(cost)


def priced(convention: Convention, cost: Cost | None, polynomial: Cost | None) -> Document:
    """Return the fields `flop, unit, expr, convention`: the count with dims bound, and before they were."""
    return {
        "flop": cost if isinstance(cost, int) else None,
        "unit": convention.unit,
        "expr": None if polynomial is None else str(polynomial),
        "convention": {"name": convention.name, "version": convention.version, "digest": convention.digest},
    }


def count_document(
    model: str,
    convention: Convention,
    cost: Cost | None,
    polynomial: Cost | None,
    *,
    parameters: Cost | None,
    active: Cost | None,
    by: Mapping[str, Mapping[str, Cost]],
    unsupported: Mapping[str, int],
    dims: Mapping[str, int | None],
    verified: Cost | None,
    traffic: Mapping[str, _Printable] | None = None,
    explanation: _Printable | None = None,
    detail: Literal["all", "coverage"] = "all",
) -> Document:
    """Return the document of `flopcore count`.

    `verified` is the recount of `--verify`, `traffic` the bytes by op of `--bytes`; of an explanation only what was not
    counted is printed unless `detail` is ``"all"``.
    """
    shown = (
        ("charges", "assumptions", "notes", "uncounted", "coverage") if detail == "all" else ("uncounted", "coverage")
    )
    explained = None if explanation is None else explanation.to_dict()
    return {
        "schema": "flopcore.count/1",
        "model": model,
        **priced(convention, cost, polynomial),
        "parameters": amount(parameters),
        "active_parameters": amount(active),
        "by": {axis: {key: amount(part) for key, part in parts.items()} for axis, parts in by.items()},
        "unsupported": [{"op": op, "nodes": nodes} for op, nodes in sorted(unsupported.items())],
        "dims": dict(dims),
        "verified": amount(verified),
        "bytes": None if traffic is None else {op: dict(part.to_dict()) for op, part in traffic.items()},
        "explanation": None if explained is None else {field: explained[field] for field in shown},
    }


def compare_document(
    model: str,
    results: Sequence[tuple[Convention, Cost, Cost]],
    *,
    parameters: Cost,
    by: Mapping[str, Mapping[str, Cost]],
    dims: Mapping[str, int | None],
) -> Document:
    """Return the document of `flopcore compare`; a result is as `priced` takes it, `by` is op -> convention -> cost."""
    return {
        "schema": "flopcore.compare/1",
        "model": model,
        "parameters": amount(parameters),
        "results": [priced(*result) for result in results],
        "by": {op: {name: amount(part) for name, part in parts.items()} for op, parts in by.items()},
        "dims": dict(dims),
    }


def show_document(
    model: str,
    convention: Convention,
    modules: Sequence[tuple[int, str, str, Cost, Cost, Cost | None]],
    *,
    dims: Mapping[str, int | None],
) -> Document:
    """Return the document of `flopcore show`.

    A module is (level, name, path, cost, parameters, active parameters), the root first.
    """
    _, _, _, cost, parameters, active = modules[0]
    return {
        "schema": "flopcore.show/1",
        "model": model,
        **priced(convention, cost, cost),
        "parameters": amount(parameters),
        "active_parameters": amount(active),
        "modules": [
            {
                "level": level,
                "name": name,
                "path": path,
                "flop": cost if isinstance(cost, int) else None,
                "expr": str(cost),
                "parameters": amount(parameters),
                "active_parameters": amount(active),
            }
            for level, name, path, cost, parameters, active in modules
        ],
        "dims": dict(dims),
    }


def diff_document(model: str, comparison: Mapping[str, object], dims: Mapping[str, int | None]) -> Document:
    """Return the document of `flopcore diff`, of a comparison of two conventions."""
    (pair,) = cast("list[Document]", comparison["pairs"])
    return {
        "schema": "flopcore.diff/1",
        "model": model,
        "totals": comparison["totals"],
        "rows": pair["rows"],
        "dims": dict(dims),
    }
