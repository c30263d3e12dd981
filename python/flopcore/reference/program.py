"""Programs and their sinks, one draw at a time, in exact rationals rounded where the core rounds; bit for bit.

Nodes, distributions and sinks are taken by their attributes: nothing of the engine stands behind this. Slow by design.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from itertools import combinations_with_replacement
from types import MappingProxyType
from typing import Any

from . import sampling
from .philox import draw_word, stream_hash
from .sampling import Arithmetic, Precision
from .sobol import owen_scramble, sobol_word

__all__ = ["Evaluator", "bin_of", "count_above", "count_moments", "count_table", "word_of_score"]

Values = list[float]
"""One value, or one an entity."""

_DOUBLE = Arithmetic("double")
_LARGEST = {"double": Fraction(2**1024 - 2**970), "single": Fraction(2**128 - 2**103)}  # half an ulp beyond the last
_ORDER = {"less": operator.lt, "less_equal": operator.le, "equal": operator.eq}


class Evaluator:
    """Values of nodes in one draw.

    Parameters
    ----------
    entities : sequence of str
        Keys.
    key : (int, int)
        Of the study.
    precision : {"double", "single"}
        Of every value.
    draw : int
        Its number.
    dimensions : mapping of str to int
        Of Sobol' points, for the study's own inputs that they draw; the draw is then replicate 2^32 + point.
    second : collection of str
        Names of variables that are drawn with attempt 1: the second set of draws of a sensitivity run.
    """

    def __init__(
        self,
        entities: Sequence[str],
        key: tuple[int, int],
        precision: Precision,
        draw: int,
        dimensions: Mapping[str, int] = MappingProxyType({}),
        second: Collection[str] = (),
    ) -> None:
        self._entities, self._key, self._precision, self._draw = entities, key, precision, draw
        self._dimensions, self._second = dimensions, second
        self._done: dict[int, tuple[Any, Values]] = {}  # by identity; the node is kept, so that its id stays its own

    def values(self, node: Any) -> Values:
        """Return the value of the study, or of each entity."""
        if id(node) not in self._done:
            self._done[id(node)] = node, self._compute(node)
        return self._done[id(node)][1]

    def _round(self, value: Fraction | float) -> float:
        """Return the nearest number of the precision; beyond its largest an infinity."""
        if isinstance(value, float) and not math.isfinite(value):
            return value
        exact = Fraction(value)
        if abs(exact) >= _LARGEST[self._precision]:
            return math.copysign(math.inf, exact)
        return float(Arithmetic(self._precision).round(exact))

    def _compute(self, node: Any) -> Values:
        n = len(self._entities) if node.scope == "entity" else 1
        if node.op in ("constant", "column"):
            return [self._round(Fraction(float(value))) for value in node.payload]
        if node.op == "draw":
            return self._drawn(
                node.payload, node.payload.groups or (self._entities if node.scope == "entity" else [""])
            )
        args = [self.values(arg) for arg in node.args]
        if node.op == "couple":
            return self._drawn(node.payload, [""] * n, args[0])
        if node.op in ("total", "highest", "lowest", "rank"):
            return [self._over_entities(node, args[0])]
        rows = zip(*(arg if len(arg) == n else arg * n for arg in args), strict=True)
        return [self._operation(node, list(row)) for row in rows]

    def _drawn(self, source: Any, keys: Sequence[str], scores: Sequence[float] = ()) -> Values:
        """Return the input at each key's random words, or at the words of each one's normal score."""
        values = []
        arithmetic = Arithmetic(self._precision)
        purpose = "group" if source.groups else "factor"
        for m, key in enumerate(keys):
            distribution = source.distributions[m if len(source.distributions) > 1 else 0]
            term = distribution.log10_term() if source.space == "log10" else distribution.linear_term()
            offset = arithmetic.round(Fraction(float(term.offset)))
            if term.kind == "constant":
                values.append(float(offset))
                continue
            if scores and term.kind == "normal":
                values.append(
                    float(arithmetic.fma(arithmetic.round(Fraction(term.scale)), Fraction(scores[m]), offset))
                )
                continue
            if scores:
                word = word_of_score(scores[m], arithmetic.word_bits)
            else:
                attempt = int(source.name in self._second)
                stream = stream_hash(purpose, source.name, key)
                word = draw_word(self._key, stream, self._draw, self._precision, attempt)
            if not scores and not key and source.name in self._dimensions:
                word = self._sobol_word(source.name, word)
            extra: tuple[Any, ...] = (Fraction(term.half),) if term.kind == "log_linear" else ()
            if term.kind == "table":
                starts, rows = term.table.starts.tolist(), term.table.fields.tolist()
                extra = (starts, [[Fraction(x) for x in row] for row in rows])
            add = getattr(sampling, f"add_{term.kind}")
            values.append(float(add(self._precision, word, *extra, Fraction(term.scale), offset)))
        return values

    def _sobol_word(self, name: str, word: int) -> int:
        """Return the scrambled coordinate of the draw's point, and below its 32 bits those of the word."""
        replicate, point = divmod(self._draw, 2**32)
        seed = draw_word(self._key, stream_hash("scramble", name, ""), 4 * replicate, "single")
        high = owen_scramble(sobol_word(self._dimensions[name], point), seed)
        step: int = 1 << Arithmetic(self._precision).word_bits - 32
        return high * step + word % step

    def _over_entities(self, node: Any, values: Values) -> float:
        if node.op == "rank":
            rank, members = node.payload.place(len(self._entities))
            return float(sorted(values[m] for m in members)[rank])
        if node.op == "total":
            total = 0.0
            for value in values:
                total = self._arithmetic("add", total, value)
            return total
        return max(values) if node.op == "highest" else min(values)

    def _operation(self, node: Any, row: Values) -> float:
        op = node.op
        if any(math.isnan(value) for value in row) and op != "select":
            return math.nan
        match op:
            case "add" | "sub" | "mul" | "div":
                return self._arithmetic(op, row[0], row[1])
            case "min":
                return min(row)
            case "max":
                return max(row)
            case "less" | "less_equal" | "equal":
                return float(_ORDER[op](*row))
            case "select":
                return row[0] if math.isnan(row[0]) else row[1] if row[0] != 0 else row[2]
            case "lookup":
                return self._round(Fraction(float(node.payload[int(row[0])])))
            case "floor":
                return float(math.floor(row[0])) if math.isfinite(row[0]) else row[0]
            case "sqrt":
                return self._round(math.sqrt(row[0]) if row[0] >= 0 else math.nan)
            case "pow":
                return self._round(_pow(*row))
        return self._round(_FUNCTIONS[op](row[0]))

    def _arithmetic(self, op: str, a: float, b: float) -> float:
        if math.isnan(a) or math.isnan(b):
            return math.nan
        if op == "div" and b == 0:
            return math.nan if a == 0 else math.copysign(math.inf, a) * math.copysign(1, b)
        if not (math.isfinite(a) and math.isfinite(b)):
            return {"add": a + b, "sub": a - b, "mul": a * b}[op] if op != "div" else a / b
        x, y = Fraction(a), Fraction(b)
        exact = {"add": x + y, "sub": x - y, "mul": x * y}[op] if op != "div" else x / y
        rounded = self._round(exact)
        if rounded == 0 and exact == 0:  # the sign of a zero is that of IEEE 754
            return {"add": a + b, "sub": a - b, "mul": a * b}[op] if op != "div" else a / b
        return math.copysign(rounded, exact)


def _scaled(p: Fraction, shifted: Fraction) -> float:
    n = int(shifted - 3 * 2**51) + 2048
    first, second = n >> 1, n - (n >> 1)
    once = _DOUBLE.round(p * Fraction(2) ** (first - 1024))
    exact = once * Fraction(2) ** (second - 1024)
    return math.inf if exact >= _LARGEST["double"] else float(_DOUBLE.round(exact))


def _number(text: str) -> Fraction:
    return Fraction(float.fromhex(text))


def _exp(x: float) -> float:
    y = Fraction(min(max(x, -800.0), 800.0))
    shifted = _DOUBLE.round(_DOUBLE.round(y * _number("0x1.71547652b82fep0")) + 3 * 2**51)
    n = shifted - 3 * 2**51
    r = _DOUBLE.fma(-n, _number("0x1.abc9e3b39803fp-56"), _DOUBLE.fma(-n, _number("0x1.62e42fefa39efp-1"), y))
    return _scaled(_DOUBLE.polynomial("exp", r), shifted)


def _exp10(x: float) -> float:
    y = Fraction(min(max(x, -400.0), 400.0))
    shifted = _DOUBLE.round(_DOUBLE.round(y * _number("0x1.a934f0979a371p+1")) + 3 * 2**51)
    n = shifted - 3 * 2**51
    r = _DOUBLE.fma(-n, _number("-0x1.9dc1da994fd21p-59"), _DOUBLE.fma(-n, _number("0x1.34413509f79ffp-2"), y))
    return _scaled(_DOUBLE.polynomial("exp", _DOUBLE.round(r * _number("0x1.26bb1bbb55516p+1"))), shifted)


def _outside(x: float) -> float:
    return -math.inf if x == 0 else x if x > 0 else math.nan


def _log(x: float) -> float:
    if not 0 < x < math.inf:
        return _outside(x)
    small = x < 2.0**-1000
    inside = _DOUBLE.log(Fraction(x) * (2**200 if small else 1))
    return float(_DOUBLE.round(inside - (_DOUBLE.round(200 * _number("0x1.62e42fefa39efp-1")) if small else 0)))


def _log10(x: float) -> float:
    if not 0 < x < math.inf:
        return _outside(x)
    small = x < 2.0**-1000
    e, f = _DOUBLE.split(Fraction(x) * (2**200 if small else 1))
    part = _DOUBLE.round(f * _DOUBLE.polynomial("log", f))
    last = _DOUBLE.round(part * _number("0x1.bcb7b1526e50ep-2"))
    return float(_DOUBLE.fma(Fraction(e - (200 if small else 0)), _number("0x1.34413509f79ffp-2"), last))


def _pow(x: float, y: float) -> float:
    if x == 0:
        return 0.0 if y > 0 else 1.0 if y == 0 else math.inf
    log = _log(x)
    if not (math.isfinite(log) and math.isfinite(y)):
        product = y * log
        return math.nan if math.isnan(product) else _exp(product)
    return _exp(float(_DOUBLE.round(Fraction(y) * Fraction(log))))


def word_of_score(score: float, bits: int) -> int:
    """Return the word at the probability of a standard normal score: steps of the tail, counted from the nearer end."""
    b = min(abs(Fraction(score)), Fraction(40))
    s = _DOUBLE.round(b * _number("0x1.6a09e667f3bcdp-1"))
    square = _DOUBLE.round(b * b)
    rest = _DOUBLE.fma(b, b, -square)
    t = _DOUBLE.round(_DOUBLE.round(s - Fraction(15, 4)) / _DOUBLE.round(s + Fraction(15, 4)))
    scaled = _DOUBLE.round(_DOUBLE.polynomial("erfc", t) / _DOUBLE.round(1 + 2 * s))
    exponential = Fraction(_exp(float(-square / 2)))
    product = _DOUBLE.round(scaled / 2 * exponential)
    tail = _DOUBLE.round(product * _DOUBLE.round(1 - rest / 2))
    steps = min(math.floor(tail * (1 << bits)), (1 << bits - 1) - 1)
    return steps if score < 0 else (1 << bits) - 1 - steps


_FUNCTIONS = {"exp": _exp, "exp10": _exp10, "log": _log, "log10": _log10}


def count_above(draws: Sequence[Values], limits: Sequence[Values]) -> tuple[list[list[int]], list[Counter[int]]]:
    """Return draws above each limit, [entity][limit], and per limit how often which number of entities is above.

    `draws` has the values of all entities in each draw, `limits` those of each entity.
    """
    exceeded = [[sum(row[m] > limit for row in draws) for limit in mine] for m, mine in enumerate(limits)]
    counts = [
        Counter(sum(x > mine[t] for x, mine in zip(row, limits, strict=True)) for row in draws)
        for t in range(len(limits[0]))
    ]
    return exceeded, counts


def count_table(draws: Sequence[tuple[float, ...]]) -> Counter[tuple[int, ...]]:
    """Return how often each combination of categories occurs."""
    return Counter(tuple(int(value) for value in row) for row in draws)


def count_moments(draws: Sequence[tuple[float, ...]], units: Sequence[Fraction]) -> tuple[list[int], list[int]]:
    """Return sums of values and of products of pairs, in units; each value is rounded half to even first."""
    quanta = [[round(Fraction(x) / unit) for x, unit in zip(row, units, strict=True)] for row in draws]
    totals = [sum(column) for column in zip(*quanta, strict=True)]
    pairs = combinations_with_replacement(range(len(units)), 2)
    return totals, [sum(row[a] * row[b] for row in quanta) for a, b in pairs]


def bin_of(x: float, low: float, per_unit: float, n_bins: int) -> int:
    """Return the bin of a value: 0 below all, n_bins + 1 at or above the end."""
    place = float(_DOUBLE.round(_DOUBLE.round(Fraction(x) - Fraction(low)) * Fraction(per_unit)))
    return 0 if place < 0 else n_bins + 1 if place >= n_bins else int(place) + 1
