"""Einstein summation over plain ints: what an equation means, and what contracting pair by pair costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from flopcore.errors import ShapeError

from .dims import Shape, broadcast, require_elements

__all__ = ["Equation", "contraction", "parse"]


@dataclass(frozen=True, slots=True)
class Equation:
    """Labels of each operand and of the output, and the size of each; dims of an ellipsis are "...1" (the last) on."""

    operands: tuple[tuple[str, ...], ...]
    output: tuple[str, ...]
    sizes: Mapping[str, int]


def parse(equation: str, shapes: Sequence[Shape]) -> Equation:
    """Return the meaning of an equation over operands of these shapes.

    Raises
    ------
    ShapeError
        If it does not fit them.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ShapeError(f"einsum {equation!r} of {len(shapes)} operands")
    operands = [_labels(term, len(shape)) for term, shape in zip(terms, shapes, strict=True)]
    hidden = max(sum(label.startswith("...") for label in labels) for labels in operands)
    every = [label for labels in operands for label in labels]
    sizes: dict[str, int] = {}
    for labels, shape in zip(operands, shapes, strict=True):
        for label, size in zip(labels, shape, strict=True):
            sizes[label] = broadcast([(sizes[label],), (size,)])[0] if label in sizes else size
    if arrow:
        output = _labels(right, len(right.replace("...", "")) + (hidden if "..." in right else 0))
        if hidden and "..." not in right:
            raise ShapeError(f"einsum {equation!r}: the output has no ellipsis")
    else:
        once = sorted(label for label in set(every) if len(label) == 1 and every.count(label) == 1)
        output = (*(f"...{hidden - i}" for i in range(hidden)), *once)
    if len(set(output)) < len(output) or set(output) - set(every):
        raise ShapeError(f"einsum {equation!r}: the output has a label twice, or one that no operand has")
    for label in set(every) - set(output):
        require_elements(sizes[label], "einsum")
    return Equation(tuple(operands), output, sizes)


def _labels(term: str, rank: int) -> tuple[str, ...]:
    before, dots, after = term.partition("...")
    hidden = rank - len(before) - len(after)
    if not all(letter.isascii() and letter.isalpha() for letter in before + after):
        raise ShapeError(f"einsum: {term!r} holds more than letters and an ellipsis")
    if hidden < 0 or (hidden and not dots):
        raise ShapeError(f"einsum: {term!r} for {rank} dims")
    return (*before, *(f"...{hidden - i}" for i in range(hidden)), *after)


def contraction(equation: Equation, path: Sequence[int]) -> dict[str, int]:
    """Return what contracting the operands pair by pair takes, by feature.

    Parameters
    ----------
    equation
        See `parse`.
    path
        Positions of the two operands of each step among those left, the result going to the end; empty: the first
        two, then their result and the third, and so on.

    Notes
    -----
    A step runs over all labels of both operands: as multiply-adds if any of them is summed there, because no operand
    left and not the output has it, otherwise as products. One operand alone is summed, or its elements are moved.
    """
    total = dict.fromkeys(("mac", "outputs", "mul", "add", "move"), 0)

    def size(labels: set[str]) -> int:
        return prod(equation.sizes[label] for label in labels)

    left = [set(labels) for labels in equation.operands]
    output = set(equation.output)
    if len(left) == 1:
        summed = bool(left[0] - output)
        total["add" if summed else "move"] = size(left[0]) - size(output) if summed else size(output)
    steps = list(zip(path[::2], path[1::2], strict=True)) or [(0, 1)] * (len(left) - 1)
    for i, j in steps if len(left) > 1 else ():
        both = left[i] | left[j]
        left = [labels for position, labels in enumerate(left) if position not in (i, j)]
        result = both & output.union(*left)
        left = [*left, result] if path else [result, *left]
        if both - result:
            total["mac"] += size(both)
            total["outputs"] += size(result)
        else:
            total["mul"] += size(both)
    return total
