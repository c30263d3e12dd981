"""Exact expressions over dims as values of a program."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import cast

from .expr import Expr, parts
from .program import Node, Operand, as_node, constant, maximum, minimum
from .quantity import Number

__all__ = ["from_expr"]


def from_expr(expr: Expr | Number, at: Mapping[str, Operand]) -> Node:
    """Return the value of an exact expression at uncertain dims.

    Parameters
    ----------
    expr : Expr, int or Fraction
        A count, such as ``tally.flop(...)``; sums without a closed form are refused.
    at : mapping of str to Node or number
        What each dim is; dims are taken as they are drawn, not rounded to whole numbers.

    Raises
    ------
    ValueError
        If a dim is missing, or the expression holds a sum.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.distributions import LogUniform
    >>> tokens = fc.dim("batch") * fc.dim("seq")
    >>> from_expr(6 * tokens, {"batch": 8, "seq": fc.variable("seq", LogUniform(1024, 8192))})
    <Node mul of study>
    """
    return _from_expr(expr, at, {})


def _from_expr(expr: Expr | Number, at: Mapping[str, Operand], done: dict[Expr, Node]) -> Node:
    terms: list[Node] = []
    for coefficient, factors in parts(expr):
        product = constant(coefficient)
        for atom, exponent in factors:
            if atom not in done:
                done[atom] = _from_atom(atom, at, done)
            power = done[atom] ** exponent
            product = power if product.known == (Fraction(1),) else product * power
        terms.append(product)
    result = terms[0] if terms else constant(0)
    for term in terms[1:]:
        result = result + term
    return result


def _from_atom(atom: Expr, at: Mapping[str, Operand], done: dict[Expr, Node]) -> Node:
    head = atom._value.head()
    assert head is not None
    kind = head[0]
    if kind == "dim":
        name = str(head[1][0])
        if name not in at:
            raise ValueError(f"from_expr: dim {name!r} is missing; give at={{{name!r}: ...}}")
        return as_node(at[name])
    if kind not in ("floordiv", "min", "max"):
        raise ValueError(f"from_expr: {atom} is a sum without a closed form; bind its dims first")
    nodes = [_from_expr(cast("Expr | Number", argument), at, done) for argument in head[1]]
    if kind == "floordiv":
        return nodes[0] // nodes[1]
    result = nodes[0]
    for node in nodes[1:]:
        result = (minimum if kind == "min" else maximum)(result, node)
    return result
