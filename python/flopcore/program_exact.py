"""What a program's values are without a draw: exact fractions, and logarithms of known numbers to 50 digits."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar, cast

from .distributions import DIGITS, Fixed, log10_exact

if TYPE_CHECKING:
    from .program import Node
    from .program_inputs import Source

__all__ = ["EXACT", "exact_values"]

_T = TypeVar("_T")


EXACT: dict[str, Callable[..., Fraction]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "min": min,
    "max": max,
    "less": lambda a, b: Fraction(a < b),
    "less_equal": lambda a, b: Fraction(a <= b),
    "equal": lambda a, b: Fraction(a == b),
    "select": lambda c, a, b: a if c else b,
    "floor": lambda a: Fraction(a.numerator // a.denominator),
    "pow_int": lambda a, b: a ** int(b),
    "log10": lambda a: Fraction(log10_exact(a)),
    "log": lambda a: Fraction(DIGITS.subtract(_decimal_ln(a.numerator), _decimal_ln(a.denominator))),
    "exp": lambda a: Fraction(DIGITS.exp(_decimal(a))),
    "exp10": lambda a: Fraction(DIGITS.power(Decimal(10), _decimal(a))),
    "sqrt": lambda a: Fraction(DIGITS.sqrt(_decimal(a))),
    "pow": lambda a, b: Fraction(DIGITS.power(_decimal(a), _decimal(b))),
}


def _decimal(value: Fraction) -> Decimal:
    return DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator))


def _decimal_ln(value: int) -> Decimal:
    return DIGITS.ln(Decimal(value))


_NOT_EXACT = frozenset({"log10", "log", "exp", "exp10", "sqrt", "pow"})


def exact_values(node: Node, n_entities: int) -> list[Fraction | None]:
    """Return the exact value of each entity, or the one of the study, where all its inputs are known, else None."""
    done: dict[int, list[Fraction | None]] = {}
    pending = [node]
    while pending:
        top = pending[-1]
        # A variable drawn by its logarithm stands as exp10 of the draw; the logarithm of a known value is not exact.
        drawn = top.args[0] if top.op == "exp10" and top.args[0].op == "draw" else top
        operands = () if drawn.op == "draw" else top.args
        missing = [arg for arg in operands if id(arg) not in done]
        if id(top) in done or not missing:
            pending.pop()
            if id(top) not in done:
                n = n_entities if top.scope == "entity" else 1
                done[id(top)] = _exact_rows(top, drawn, [done[id(arg)] for arg in operands], n)
        else:
            pending += missing
    return done[id(node)]


def _spread(values: Sequence[_T], n: int) -> list[_T]:
    return list(values) * (n if len(values) == 1 else 1)


def _exact_rows(node: Node, drawn: Node, args: list[list[Fraction | None]], n: int) -> list[Fraction | None]:
    if node.known is not None:
        return list(_spread(node.known, n))
    if drawn.op == "draw":
        source = cast("Source", drawn.payload)
        if source.space == "log10" and drawn is node:
            return [None] * n
        each = _spread(source.distributions, n)
        return [Fraction(d.value) if isinstance(d, Fixed) else None for d in each]
    if node.op in _NOT_EXACT or node.op not in EXACT:
        return [None] * n
    rows: list[Fraction | None] = []
    for row in zip(*(_spread(arg, n) for arg in args), strict=True):
        numbers = [number for number in row if number is not None]
        try:
            rows.append(EXACT[node.op](*numbers) if len(numbers) == len(row) else None)
        except ZeroDivisionError:  # the draws will show an infinity
            rows.append(None)
    return rows
