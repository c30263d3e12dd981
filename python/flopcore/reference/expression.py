"""Evaluates the expressions of ops.toml, and of symbolic dims, over exact integers: a small, safe part of Python."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import TypeAlias

from flopcore.errors import DataError

__all__ = [
    *("FUNCTIONS", "Function", "Value", "adaptive_taps", "bisection_steps", "evaluate", "inside_taps"),
    *("merge_comparisons", "same_begin", "visible_pairs", "visible_rows"),
]

Value: TypeAlias = "int | Fraction | bool | str | list[Value] | range | None"
Function: TypeAlias = Callable[..., Value]


def adaptive_taps(size: int, output_size: int) -> int:
    """Return the summed window lengths of an adaptive pool over one dim.

    Window i covers positions floor(i size / output_size) to ceil((i + 1) size / output_size).
    """
    total = 0
    for i in range(output_size):
        begin = i * size // output_size
        end = -(-(i + 1) * size // output_size)
        total += end - begin
    return total


def merge_comparisons(size: int) -> int:
    """Return the most comparisons that merging takes to sort so many elements: n k - 2^k + 1, k = ceil(log2 n)."""
    levels = max(size - 1, 0).bit_length()
    return size * levels - 2**levels + 1 if size else 0


def bisection_steps(size: int) -> int:
    """Return the most comparisons of a search among so many sorted elements: floor(log2 n) + 1, 0 for none."""
    return size.bit_length()


def inside_taps(positions: int, size: int, kernel: int, stride: int, dilation: int, begin: int) -> int:
    """Return how many taps of a sliding window over one dim fall on one of `size` places.

    Position p and tap t fall on place p stride + t dilation - begin; each tap has a range of positions that do.
    """
    total = 0
    for tap in range(kernel):
        offset = tap * dilation - begin
        first, end = max(-(offset // stride), 0), min((size - 1 - offset) // stride + 1, positions)
        total += max(end - first, 0)
    return total


def same_begin(size: int, kernel: int, stride: int, dilation: int, mode: str) -> int:
    """Return the begin padding of one dim that makes ceil(size / stride) positions of a window.

    The padding in all is what the last position needs; `same_upper` puts an odd place at the end.
    """
    last = (-(-size // stride) - 1) * stride
    total = max(last + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2 if mode == "same_upper" else total - total // 2


def _visible(rows: int, columns: int, offset: int, left: int, right: int, sinks: int) -> Iterator[tuple[int, int, int]]:
    """Yield runs of rows of a score matrix: how many, and how many columns the first and the last of them see.

    Row i sees column j if i + offset - left <= j <= i + offset + right (-1 stands for no limit), or if j is not right
    of that and below `sinks`. Between the rows yielded the number of columns is linear in the row.
    """

    def seen(row: int) -> int:
        first = max(row + offset - left, 0) if left >= 0 else 0
        end = min(row + offset + right + 1, columns) if right >= 0 else columns
        return max(end - first, 0) + max(min(sinks, first, end), 0)

    bends = {left, left + sinks, left + columns, -right - 1, columns - right - 1, sinks - right - 1}
    cuts = {max(min(bend - offset + near, rows), 0) for bend in bends for near in (-1, 0, 1, 2)} | {0, rows}
    for begin, end in pairwise(sorted(cuts)):
        yield end - begin, seen(begin), seen(end - 1)


def _in_chunks(
    rows: int, columns: int, offset: int, left: int, right: int, sinks: int, chunk: int
) -> Iterator[tuple[int, int, int]]:
    """Yield the runs of `_visible`; with a chunk, those of each chunk of positions, whose columns alone it sees."""
    if chunk < 1:
        yield from _visible(rows, columns, offset, left, right, sinks)
        return
    for begin in range(0, columns, chunk):
        first, end = max(begin, offset), min(begin + chunk, offset + rows)
        if first < end:
            yield from _visible(end - first, min(chunk, columns - begin), first - begin, left, right, sinks)


def visible_pairs(rows: int, columns: int, offset: int, left: int, right: int, sinks: int, chunk: int) -> int:
    """Return the entries of a score matrix that a mask, a window or chunks leave; see `_in_chunks`."""
    runs = _in_chunks(rows, columns, offset, left, right, sinks, chunk)
    return sum(n * (first + last) for n, first, last in runs) // 2


def visible_rows(rows: int, columns: int, offset: int, left: int, right: int, sinks: int, chunk: int) -> int:
    """Return the rows of a score matrix that see any column; see `_in_chunks`."""
    runs = _in_chunks(rows, columns, offset, left, right, sinks, chunk)
    return sum(n for n, first, last in runs if first or last)


FUNCTIONS: Mapping[str, Function] = {
    "prod": prod,
    "len": len,
    "min": min,
    "max": max,
    "range": range,
    "sum": sum,
    "ceil": lambda x: -(-x // 1),
    "adaptive_taps": adaptive_taps,
    "merge_comparisons": merge_comparisons,
    "bisection_steps": bisection_steps,
    "inside_taps": inside_taps,
    "same_begin": same_begin,
    "visible_pairs": visible_pairs,
    "visible_rows": visible_rows,
    "ceil_log2": lambda size: max(size - 1, 0).bit_length(),
}


def evaluate(expression: str, names: Mapping[str, Value], functions: Mapping[str, Function] = FUNCTIONS) -> Value:
    """Return the value of an expression.

    Parameters
    ----------
    expression
        Python syntax: numbers, text, names, calls of the given functions, subscripts, ``+ - * / // % **``,
        comparisons, ``and or not``, ``a if c else b``, lists, list comprehensions over one name.
    names
        The value of each name.
    functions
        What may be called.

    Raises
    ------
    DataError
        If the expression uses anything else, or a name without a value.
    """
    return _Evaluation(expression, functions).of(_parsed(expression), names)


@lru_cache(maxsize=1024)
def _parsed(expression: str) -> ast.expr:
    try:
        return ast.parse(expression, mode="eval").body
    except SyntaxError as caught:
        raise DataError(f"cannot read the expression {expression!r}: {caught.msg}") from None


class _Evaluation:
    """One evaluation; every kind of node that is allowed has a branch here, all others are errors."""

    def __init__(self, expression: str, functions: Mapping[str, Function]) -> None:
        self._expression = expression
        self._functions = functions

    def of(self, node: ast.expr, names: Mapping[str, Value]) -> Value:
        match node:
            case ast.Constant(value=bool() | int() | str() as value):
                return value
            case ast.Name(id=name):
                if name not in names:
                    raise DataError(f"no value for {name!r} in the expression {self._expression!r}")
                return names[name]
            case ast.BinOp(left=left, op=operator, right=right):
                return self._binary(operator, self._number(left, names), self._number(right, names))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._number(operand, names)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.of(operand, names)
            case ast.BoolOp(op=ast.And(), values=values):
                return all(self.of(value, names) for value in values)
            case ast.BoolOp(op=ast.Or(), values=values):
                return any(self.of(value, names) for value in values)
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return self._compare(operator, self.of(left, names), self.of(right, names))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.of(body if self.of(test, names) else orelse, names)
            case ast.List(elts=items):
                return [self.of(item, names) for item in items]
            case ast.Subscript(value=value, slice=index):
                return self._item(self.of(value, names), self._number(index, names))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in self._functions:
                # A bare name that has no value stands for itself: n(x) is told "x", not the tensor.
                return self._functions[name](*(self._argument(argument, names) for argument in arguments))
            case ast.ListComp(elt=body, generators=[generator]) | ast.GeneratorExp(elt=body, generators=[generator]):
                return self._comprehension(body, generator, names)
        raise DataError(f"{ast.unparse(node)!r} is not allowed in the expression {self._expression!r}")

    def _argument(self, node: ast.expr, names: Mapping[str, Value]) -> Value:
        if isinstance(node, ast.Name) and node.id not in names:
            return node.id
        return self.of(node, names)

    def _number(self, node: ast.expr, names: Mapping[str, Value]) -> int | Fraction:
        value = self.of(node, names)
        if not isinstance(value, int | Fraction):
            raise DataError(f"{ast.unparse(node)!r} is no number in the expression {self._expression!r}")
        return value

    def _binary(self, operator: ast.operator, left: int | Fraction, right: int | Fraction) -> int | Fraction:
        if isinstance(operator, ast.Div | ast.FloorDiv | ast.Mod) and right == 0:
            raise DataError(f"division by zero in the expression {self._expression!r}")
        match operator:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.FloorDiv():
                return left // right
            case ast.Mod():
                return left % right
            case ast.Div():
                quotient = Fraction(left) / Fraction(right)
                return int(quotient) if quotient.denominator == 1 else quotient
            case ast.Pow() if isinstance(right, int) and 0 <= right <= 64:
                return left**right
        raise DataError(f"an operator is not allowed in the expression {self._expression!r}")

    def _compare(self, operator: ast.cmpop, left: Value, right: Value) -> bool:
        if isinstance(operator, ast.Eq):
            return left == right
        if isinstance(operator, ast.NotEq):
            return left != right
        if isinstance(left, int | Fraction) and isinstance(right, int | Fraction):
            match operator:
                case ast.Lt():
                    return left < right
                case ast.LtE():
                    return left <= right
                case ast.Gt():
                    return left > right
                case ast.GtE():
                    return left >= right
        raise DataError(f"a comparison is not allowed in the expression {self._expression!r}")

    def _item(self, value: Value, index: int | Fraction) -> Value:
        if not isinstance(value, list) or not isinstance(index, int) or not -len(value) <= index < len(value):
            raise DataError(f"no such item in the expression {self._expression!r}")
        return value[index]

    def _comprehension(self, body: ast.expr, generator: ast.comprehension, names: Mapping[str, Value]) -> list[Value]:
        items = self.of(generator.iter, names)
        if not isinstance(generator.target, ast.Name) or generator.ifs or not isinstance(items, list | range):
            raise DataError(f"a comprehension is not allowed in the expression {self._expression!r}")
        return [self.of(body, {**names, generator.target.id: item}) for item in items]
