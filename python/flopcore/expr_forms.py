"""Expressions in the forms of others: JSON, sympy."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from . import _core
from .errors import DataError
from .expr import Dim, Expr, Operand, dim, maximum, minimum, parts, sum_over

if TYPE_CHECKING:
    import sympy

__all__ = ["from_json", "to_json", "to_sympy"]

_FORMAT = "flopcore.expr/1"


def to_json(expr: Expr) -> dict[str, object]:
    """Return the document of :meth:`flopcore.Expr.to_json`."""
    nodes: list[dict[str, object]] = []
    index: dict[Expr, int] = {}
    value = _terms(expr, nodes, index)
    dims = [
        {"name": name, "min": low, "max": high, "multiple_of": step} for name, low, high, step in expr._value.dims()
    ]
    return {"format": _FORMAT, "dims": dims, "nodes": nodes, "value": value}


def _terms(expr: Operand, nodes: list[dict[str, object]], index: dict[Expr, int]) -> list[object]:
    terms: list[object] = []
    for coefficient, factors in parts(expr):
        pairs = []
        for atom, exponent in factors:
            if atom not in index:
                head = atom._value.head()
                assert head is not None
                if head[0] == "dim":
                    node: dict[str, object] = {"dim": head[1][0]}
                elif head[0] == "index":
                    node = {"index": list(head[1])}
                else:
                    node = {head[0]: [_terms(argument, nodes, index) for argument in head[1]]}
                index[atom] = len(nodes)
                nodes.append(node)
            pairs.append([index[atom], exponent])
        terms.append([str(coefficient), pairs])
    return terms


def from_json(document: Mapping[str, object]) -> Operand:
    """Return the expression of a document of :meth:`flopcore.Expr.to_json`; anything else is a DataError."""
    if not isinstance(document, Mapping) or document.get("format") != _FORMAT:
        raise DataError(f"not an expression of format {_FORMAT}")
    try:
        return _read(document)
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"malformed expression of format {_FORMAT}: {error}") from error


def _read(document: Mapping[str, object]) -> Operand:
    nodes: list[Operand] = []

    def read_terms(terms: object) -> Operand:
        total: Operand = 0
        for coefficient, pairs in _list(terms):
            numerator, _, denominator = _text(coefficient).partition("/")
            product: Operand = Fraction(int(numerator), int(denominator or "1"))
            for node, exponent in _list(pairs):
                if not isinstance(node, int) or not 0 <= node < len(nodes):
                    raise DataError(f"a term refers to node {node!r}, which is not an earlier one")
                if isinstance(exponent, bool) or not isinstance(exponent, int) or exponent < 1:
                    raise DataError(f"an exponent must be a positive int, not {exponent!r}")
                product = _core.expr_mul(product, _core.expr_pow(nodes[node], exponent))
            total = _core.expr_add(total, product)
        return total

    dims = {
        _text(entry["name"]): dim(
            _text(entry["name"]), min=entry["min"], max=entry["max"], multiple_of=entry["multiple_of"]
        )
        for entry in _list(document["dims"])
    }
    for node in _list(document["nodes"]):
        if not isinstance(node, Mapping) or len(node) != 1:
            raise DataError(f"a node must be an object of one entry, not {node!r}")
        ((kind, body),) = node.items()
        if kind == "dim":
            nodes.append(dims[_text(body)])
            continue
        if kind == "index":
            level, low, high = _list(body)
            name = f"index {level} {low} {high}"
            while name in dims:
                name += "_"
            nodes.append(dim(name, min=-(2**62) if low is None else low, max=high))
            continue
        arguments = [read_terms(argument) for argument in _list(body)]
        if kind == "floordiv" and len(arguments) == 2:
            nodes.append(_core.expr_floordiv(*arguments))
        elif kind == "sum" and len(arguments) == 4 and isinstance(arguments[0], Dim):
            nodes.append(sum_over(arguments[1], arguments[0], arguments[2], arguments[3]))
        elif kind in ("min", "max") and arguments:
            nodes.append((minimum if kind == "min" else maximum)(*arguments))
        else:
            raise DataError(f"unknown node {kind!r} of {len(arguments)} arguments")
    return read_terms(document["value"])


def _list(value: object) -> list:  # type: ignore[type-arg]
    if not isinstance(value, list | tuple):
        raise DataError(f"expected a list, got {value!r}")
    return list(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f"expected text, got {value!r}")
    return value


def to_sympy(expr: Operand) -> sympy.Expr:
    """Return the expression in sympy, dims as integer symbols."""
    return _to_sympy(expr, {})


def _to_sympy(expr: Operand, known: dict[Expr, sympy.Expr]) -> sympy.Expr:
    try:
        import sympy
    except ImportError as error:
        raise ImportError("to_sympy() needs sympy: pip install sympy") from error
    total = []
    for coefficient, factors in parts(expr):
        product = [sympy.Rational(Fraction(coefficient).numerator, Fraction(coefficient).denominator)]
        for atom, exponent in factors:
            if atom not in known:
                head = atom._value.head()
                assert head is not None
                if head[0] == "dim":
                    name, low, *_ = head[1]
                    known[atom] = sympy.Symbol(name, integer=True, **({"positive": True} if low >= 1 else {}))
                elif head[0] == "index":
                    known[atom] = sympy.Dummy(f"i{head[1][0]}", integer=True)
                elif head[0] == "sum":
                    index, body, low_end, high_end = (_to_sympy(argument, known) for argument in head[1])
                    # sympy takes a sum from m to n < m - 1 as minus the terms between (Karr); ours is empty
                    known[atom] = sympy.Sum(body, (index, low_end, sympy.Max(low_end, high_end) - 1))
                else:
                    arguments = [_to_sympy(argument, known) for argument in head[1]]
                    known[atom] = (
                        sympy.floor(arguments[0] / arguments[1])
                        if head[0] == "floordiv"
                        else (sympy.Min if head[0] == "min" else sympy.Max)(*arguments)
                    )
            product.append(known[atom] ** exponent)
        total.append(sympy.Mul(*product))
    return sympy.Add(*total)
