"""What a program's values can be without a draw: exact fractions, and logarithms of known numbers to 50 digits."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import prod
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from .distributions import DIGITS, Discrete, Fixed, log10_exact

if TYPE_CHECKING:
    from .distributions import Distribution
    from .program import Node
    from .program_inputs import Source

__all__ = ["EXACT", "Support", "supports_of"]

_T = TypeVar("_T")
Support: TypeAlias = tuple[Fraction, ...] | None
"""The values something can take, ascending; None where they are not few."""
_MOST_VALUES = 64
_ANY: tuple[Fraction, ...] = ()
_BOTH = (Fraction(0), Fraction(1))
_TRUTHS = ("less", "less_equal", "equal")


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


def supports_of(node: Node, n_entities: int) -> list[Support]:
    """Return the values that each entity, or the study's one value, can take: a superset where inputs stand twice."""
    done: dict[int, list[Support]] = {}
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
                done[id(top)] = _supports(top, drawn, [done[id(arg)] for arg in operands], n)
        else:
            pending += missing
    return done[id(node)]


def _spread(values: Sequence[_T], n: int) -> list[_T]:
    return list(values) * (n if len(values) == 1 else 1)


def _supports(node: Node, drawn: Node, args: list[list[Support]], n: int) -> list[Support]:
    if node.known is not None:
        return [(value,) for value in _spread(node.known, n)]
    if drawn.op == "draw":
        source = cast("Source", drawn.payload)
        if source.space == "log10" and drawn is node:
            return [None] * n
        return [_masses(d) for d in _spread(source.distributions, n)]
    if node.op == "lookup":
        entries = tuple(sorted(set(cast("tuple[Fraction, ...]", node.payload))))
        return [entries if len(entries) <= _MOST_VALUES else None] * n
    if node.op in _NOT_EXACT or node.op not in EXACT:
        return [None] * n
    if node.op in _TRUTHS:
        args = [[support or _ANY for support in arg] for arg in args]
    return [_combined(node.op, row) for row in zip(*(_spread(arg, n) for arg in args), strict=True)]


def _masses(distribution: Distribution) -> Support:
    if isinstance(distribution, Fixed):
        return (Fraction(distribution.value),)
    if isinstance(distribution, Discrete) and len(distribution.values) <= _MOST_VALUES:
        return tuple(map(Fraction, distribution.values))
    return None


def _combined(op: str, row: Sequence[Support]) -> Support:
    """Return what an operation can give for any values of its operands."""
    if op in _TRUTHS and any(support is _ANY for support in row):
        return _BOTH
    if op == "select" and row[0] is None and row[1] is not None and row[2] is not None:
        return tuple(sorted({*row[1], *row[2]}))
    supports = [support for support in row if support is not None]
    if len(supports) < len(row) or prod(map(len, supports)) > _MOST_VALUES:
        return None
    try:
        return tuple(sorted({EXACT[op](*numbers) for numbers in product(*supports)}))
    except ZeroDivisionError:  # the draws will show an infinity
        return None
