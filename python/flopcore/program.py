"""What is computed in each draw: a graph of values over uncertain variables, a population's columns and constants.

A `Node` is a value of the study (one a draw) or of its entities (one a draw and entity). Nodes are built from the
inputs of `program_inputs`, `column` and `constant` with Python's operators and the functions below, and are immutable.
What is known without a draw is computed here, in exact fractions; logarithms of known numbers have 50 digits.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil
from typing import Literal, TypeAlias, cast

from .distributions import DIGITS
from .program_exact import EXACT
from .quantity import Number, parse_quantity

__all__ = [
    "Node",
    "Operand",
    "Scope",
    "check_size",
    "column",
    "constant",
    "count",
    "exp",
    "exp10",
    "floor",
    "largest",
    "largest_k",
    "log",
    "log10",
    "lookup",
    "maximum",
    "minimum",
    "percentile",
    "smallest",
    "sqrt",
    "total",
    "where",
]

Operand: TypeAlias = "Node | int | float | str | Decimal | Fraction"
"""A node, or an exact number: a float stands for its shortest decimal text."""

Scope: TypeAlias = Literal["study", "entity"]

_MAX_POWER = 64
_MAX_EXACT_POWER = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A value computed in each draw; see the functions of this module.

    Parameters
    ----------
    op : str
        What is done.
    args : tuple of Node
        With what.
    payload : hashable
        Constants of the operation: the exact value of a constant, the name and distributions of a variable ....
    scope : {"study", "entity"}
        Whether there is one value a draw or one a draw and entity.
    size : int
        Number of entities, where known; 0 elsewhere.
    """

    op: str
    args: tuple[Node, ...]
    payload: Hashable
    scope: Scope
    size: int = 0

    def __add__(self, other: Operand) -> Node:
        return _apply("add", self, other)

    def __radd__(self, other: Operand) -> Node:
        return _apply("add", other, self)

    def __sub__(self, other: Operand) -> Node:
        return _apply("sub", self, other)

    def __rsub__(self, other: Operand) -> Node:
        return _apply("sub", other, self)

    def __mul__(self, other: Operand) -> Node:
        return _apply("mul", self, other)

    def __rmul__(self, other: Operand) -> Node:
        return _apply("mul", other, self)

    def __truediv__(self, other: Operand) -> Node:
        return _apply("div", self, other)

    def __rtruediv__(self, other: Operand) -> Node:
        return _apply("div", other, self)

    def __floordiv__(self, other: Operand) -> Node:
        return floor(self / other)

    def __neg__(self) -> Node:
        return _apply("mul", self, -1)

    def __pow__(self, other: Operand) -> Node:
        return _power(self, as_node(other))

    def __rpow__(self, other: Operand) -> Node:
        return _power(as_node(other), self)

    def __lt__(self, other: Operand) -> Node:
        return _compare("less", self, other)

    def __le__(self, other: Operand) -> Node:
        return _compare("less_equal", self, other)

    def __gt__(self, other: Operand) -> Node:
        return _compare("less", other, self)

    def __ge__(self, other: Operand) -> Node:
        return _compare("less_equal", other, self)

    def equals(self, other: Operand) -> Node:
        """Return whether both are equal, as 1 or 0 (``==`` of nodes says whether they are the same object)."""
        return _compare("equal", self, other)

    def __and__(self, other: Operand) -> Node:
        return _apply("min", self, other)

    def __or__(self, other: Operand) -> Node:
        return _apply("max", self, other)

    def __invert__(self) -> Node:
        return _apply("sub", 1, self)

    def __bool__(self) -> bool:
        raise TypeError("whether a node is true differs between draws; use where(), & and |")

    def __repr__(self) -> str:
        head = f"{self.payload!r}" if self.op == "constant" else str(getattr(self.payload, "name", ""))
        return f"<Node {self.op} {head}".rstrip() + f" of {self.scope}>"

    @property
    def known(self) -> tuple[Fraction, ...] | None:
        """The exact values if no draw is needed: one, or one an entity."""
        return self.payload if self.op in ("constant", "column") else None  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Rank:
    """An order statistic: the k-th largest, or the value at a share, of some of `size` entities (None: of all)."""

    at: int | Fraction
    among: tuple[int, ...] | None
    size: int = 0

    def place(self, n_entities: int) -> tuple[int, tuple[int, ...]]:
        """Return the rank from the smallest, from 0, and the entities it is taken of."""
        if self.size not in (0, n_entities):
            raise ValueError(f"among: {self.size} truth values for {n_entities} entities")
        members = tuple(range(n_entities)) if self.among is None else self.among
        rank = len(members) - self.at if isinstance(self.at, int) else ceil(self.at * len(members)) - 1
        if rank < 0:
            raise ValueError(f"k={self.at}: there are only {len(members)} entities")
        return rank, members


def as_node(value: Operand) -> Node:
    return value if isinstance(value, Node) else constant(value)


def check_size(node: Node, n_entities: int, what: str = "") -> None:
    """Refuse a value of entities, or one made of such, that does not fit the number of entities."""
    seen: set[int] = set()
    pending = [node]
    while pending:
        top = pending.pop()
        if id(top) in seen:
            continue
        seen.add(id(top))
        pending += top.args
        if top.scope == "entity" and n_entities == 0:
            raise ValueError(f"{what}a value of entities needs a program with entities=")
        if top.scope == "entity" and top.size not in (0, n_entities):
            raise ValueError(f"{what}a column or variable has {top.size} values, the program has {n_entities} entities")
        if isinstance(top.payload, Rank):
            top.payload.place(n_entities)


def _known(values: Sequence[Fraction], scope: Scope) -> Node:
    exact = tuple(values)
    return Node("column" if scope == "entity" else "constant", (), exact, scope, len(exact) if scope == "entity" else 0)


def constant(value: Number | float | str | Decimal) -> Node:
    """Return a known number, exact.

    Examples
    --------
    >>> (constant(6) * "7e10").known
    (Fraction(420000000000, 1),)
    """
    return _known([Fraction(parse_quantity(value, name="constant"))], "study")


def column(values: Sequence[Number | float | str | Decimal]) -> Node:
    """Return a known number of each entity, in the order of the program's entities.

    Raises
    ------
    ValueError
        For an empty column or a value that is not a finite number.
    """
    exact = [Fraction(parse_quantity(value, name=f"column[{m}]")) for m, value in enumerate(values)]
    if not exact:
        raise ValueError("column: expected a value for each entity")
    return _known(exact, "entity")


def _apply(op: str, *operands: Operand, payload: Hashable = None) -> Node:
    """Return the operation, done at once where all operands are known."""
    args = tuple(as_node(operand) for operand in operands)
    sizes = {arg.size for arg in args if arg.size}
    if len(sizes) > 1:
        raise ValueError(f"{op}: columns of {' and '.join(map(str, sorted(sizes)))} entities do not fit together")
    scope: Scope = "entity" if any(arg.scope == "entity" for arg in args) else "study"
    size = max(sizes, default=0)
    knowns = [arg.known for arg in args]
    if all(known is not None for known in knowns):
        n = max(size, 1)
        rows = zip(*(known if len(known) == n else known * n for known in knowns if known is not None), strict=True)
        try:
            with localcontext(DIGITS):
                return _known([EXACT[op](*row) for row in rows], scope)
        except (ArithmeticError, ValueError) as error:
            raise ValueError(f"{op} of known numbers is not finite ({type(error).__name__})") from None
    if op == "pow_int":
        return _multiplied(args[0], int(knowns[1][0]) if knowns[1] else 0)
    return Node(op, args, payload, scope, size)


def _multiplied(base: Node, exponent: int) -> Node:
    """Return a power by repeated squaring."""
    if exponent < 0:
        return 1 / _multiplied(base, -exponent)
    result: Node | None = None
    while exponent:
        if exponent & 1:
            result = base if result is None else result * base
        exponent >>= 1
        base = base * base if exponent else base
    return constant(1) if result is None else result


def _power(base: Node, exponent: Node) -> Node:
    known = exponent.known
    if known is not None and len(set(known)) == 1 and exponent.scope == "study":
        (value,) = set(known)
        if value.denominator == 1 and abs(value) <= (_MAX_POWER if base.known is None else _MAX_EXACT_POWER):
            return _apply("pow_int", base, exponent)
        if value == Fraction(1, 2):
            return sqrt(base)
    log = as_log10(base)
    return exp10(log * exponent) if log is not None else _apply("pow", base, exponent)


def _compare(op: str, first: Operand, second: Operand) -> Node:
    """Return a comparison, of logarithms where both sides have them: they are drawn, the values would cost an exp."""
    a, b = as_node(first), as_node(second)
    if a.known is None or b.known is None:
        log_a, log_b = as_log10(a), as_log10(b)
        if log_a is not None and log_b is not None:
            return _apply(op, log_a, log_b)
    return _apply(op, a, b)


_LOG_OF = {"mul": "add", "div": "sub", "min": "min", "max": "max", "highest": "highest", "lowest": "lowest"}


def _logged(node: Node) -> tuple[Node, ...] | None:
    """Return the operands whose logarithms that of the node is made of; None if it is not made of logarithms."""
    known = node.known
    if known is not None:
        return () if all(value > 0 for value in known) else None
    if node.op in ("exp10", "lookup"):
        return () if node.op == "exp10" or min(cast("tuple[Fraction, ...]", node.payload)) > 0 else None
    if node.op in _LOG_OF or node.op in ("sqrt", "rank"):
        return node.args
    return node.args[1:] if node.op == "select" else None


def _log_from(node: Node, logs: list[Node]) -> Node:
    """Return the logarithm of a node from those of the operands that `_logged` names."""
    if node.known is not None:
        return _apply("log10", node)
    if node.op == "exp10":
        return node.args[0]
    if node.op == "sqrt":
        return logs[0] / 2
    if node.op == "lookup":
        entries = tuple(EXACT["log10"](entry) for entry in cast("tuple[Fraction, ...]", node.payload))
        return Node("lookup", node.args, entries, node.scope, node.size)
    if node.op in ("highest", "lowest", "rank"):
        return Node(node.op, tuple(logs), node.payload, node.scope, node.size)
    return _apply("select", node.args[0], *logs) if node.op == "select" else _apply(_LOG_OF[node.op], *logs)


def as_log10(node: Node) -> Node | None:
    """Return log10 of a node that is built from drawn logarithms and positive numbers, else None."""
    logs: dict[int, Node] = {}
    pending = [node]
    while pending:
        top = pending[-1]
        if id(top) in logs:
            pending.pop()
            continue
        operands = _logged(top)
        if operands is None:
            return None
        missing = [operand for operand in operands if id(operand) not in logs]
        if missing:
            pending += missing
        else:
            logs[id(top)] = _log_from(top, [logs[id(operand)] for operand in operands])
    return logs[id(node)]


def log10(x: Operand) -> Node:
    """Return log10, without a detour through the value where the value is a product of drawn logarithms."""
    node = as_node(x)
    drawn = as_log10(node)
    return drawn if drawn is not None else _apply("log10", node)


def log(x: Operand) -> Node:
    """Return the natural logarithm."""
    return _apply("log", x)


def exp(x: Operand) -> Node:
    """Return e^x."""
    return _apply("exp", x)


def exp10(x: Operand) -> Node:
    """Return 10^x."""
    return _apply("exp10", x)


def sqrt(x: Operand) -> Node:
    """Return the square root."""
    return _apply("sqrt", x)


def floor(x: Operand) -> Node:
    """Return the greatest whole number that is not above x."""
    return _apply("floor", x)


def minimum(x: Operand, y: Operand) -> Node:
    """Return the smaller of both."""
    return _apply("min", x, y)


def maximum(x: Operand, y: Operand) -> Node:
    """Return the larger of both."""
    return _apply("max", x, y)


def where(condition: Operand, yes: Operand, no: Operand) -> Node:
    """Return `yes` where the condition is not 0, else `no`."""
    return _apply("select", condition, yes, no)


def lookup(index: Node, table: Sequence[Number | float | str | Decimal]) -> Node:
    """Return the entry of a table of known numbers; an index that is no whole number below its length is an error.

    Raises
    ------
    ValueError
        For an empty table.
    """
    entries = tuple(Fraction(parse_quantity(value, name=f"lookup[{i}]")) for i, value in enumerate(table))
    if not entries:
        raise ValueError("lookup: expected a table of at least one number")
    known = index.known
    if known is None:
        return Node("lookup", (index,), entries, index.scope, index.size)
    if any(value.denominator != 1 or not 0 <= value < len(entries) for value in known):
        raise ValueError(f"lookup: an index is no whole number below {len(entries)}")
    return _known([entries[int(value)] for value in known], index.scope)


def _over_entities(op: str, x: Operand, payload: Hashable = None) -> Node:
    node = as_node(x)
    if node.scope != "entity":
        raise ValueError(f"{op}: {node!r} is one value a draw; expected a value of entities")
    known = node.known
    if known is None:
        return Node(op, (node,), payload, "study")
    if isinstance(payload, Rank):
        rank, members = payload.place(len(known))
        return _known([sorted(known[m] for m in members)[rank]], "study")
    return _known([{"total": sum, "highest": max, "lowest": min}[op](known)], "study")  # type: ignore[operator]


def total(x: Operand) -> Node:
    """Return the sum over the entities, in their order."""
    return _over_entities("total", x)


def count(condition: Operand) -> Node:
    """Return how many entities fulfil a condition."""
    return _over_entities("total", condition)


def largest(x: Operand) -> Node:
    """Return the largest value among the entities; ``x >= largest(x) / 10`` is "within an order of the largest"."""
    return _over_entities("highest", x)


def smallest(x: Operand) -> Node:
    """Return the smallest value among the entities."""
    return _over_entities("lowest", x)


def _rank(at: int | Fraction, among: Sequence[bool] | None) -> Rank:
    if among is None:
        return Rank(at, None)
    chosen = tuple(m for m, yes in enumerate(among) if yes)
    if not chosen:
        raise ValueError("among: no entity is chosen")
    return Rank(at, chosen, len(among))


def largest_k(x: Operand, k: int, *, among: Sequence[bool] | None = None) -> Node:
    """Return the k-th largest value among the entities, k = 1 being the largest.

    Parameters
    ----------
    x : Node
        A value of entities.
    k : int
        From 1 to the number of entities considered.
    among : sequence of bool, optional
        Which entities to consider, all by default.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k={k!r}: expected a whole number from 1")
    return _over_entities("rank", x, _rank(k, among))


def percentile(x: Operand, q: float | Fraction | str, *, among: Sequence[bool] | None = None) -> Node:
    """Return the smallest value that at least a share `q` of the entities does not exceed.

    Parameters
    ----------
    x : Node
        A value of entities.
    q : float, Fraction or str
        Share in (0, 1]: 0.95 for the line that the top 5 % are above.
    among : sequence of bool, optional
        Which entities to consider, such as those of one year and reference class; all by default.
    """
    share = Fraction(parse_quantity(q, name="q"))
    if not 0 < share <= 1:
        raise ValueError(f"q={q!r}: expected a share above 0, at most 1")
    return _over_entities("rank", x, _rank(share, among))
