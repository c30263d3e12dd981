"""Sizes, shapes and attributes as the shape rules of the reference read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TypeAlias, cast

from flopcore.errors import ShapeError

__all__ = [
    *("Attr", "Attrs", "Inputs", "Shape", "axis_of", "broadcast", "given", "int_of", "ints_of", "require_elements"),
    "windows",
]

Shape: TypeAlias = tuple[int, ...]
Attr: TypeAlias = "int | bool | str | Fraction | list[int]"
Inputs: TypeAlias = Sequence[Shape | None]
Attrs: TypeAlias = Mapping[str, Attr]


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """Return the common shape of several shapes, aligned at the last dim, a 1 stretching to anything."""
    rank = max(len(shape) for shape in shapes)
    result = []
    for position in range(rank):
        sizes = {shape[position - rank] for shape in shapes if len(shape) >= rank - position}
        wide = sizes - {1}
        if len(wide) > 1:
            raise ShapeError(f"shapes {' and '.join(map(str, shapes))} do not broadcast")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def given(inputs: Inputs, index: int) -> Shape:
    """Return the shape of an input that must be there."""
    shape = inputs[index]
    if shape is None:
        raise ShapeError(f"input {index} is required")
    return shape


def int_of(attrs: Attrs, key: str) -> int:
    """Return an attribute that is an int."""
    return cast("int", attrs[key])


def ints_of(attrs: Attrs, key: str) -> list[int]:
    """Return an attribute that is a list of ints."""
    return cast("list[int]", attrs[key])


def axis_of(axis: int, rank: int) -> int:
    """Return an axis counted from the front."""
    if not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} does not exist in {rank} dims")
    return axis % rank


def require_elements(size: int, what: str) -> None:
    """Refuse a reduction over no elements."""
    if size == 0:
        raise ShapeError(f"{what} is a reduction over no elements")


def windows(size: int, kernel: int, stride: int, dilation: int, begin: int, end: int, ceil_mode: bool) -> int:
    """Return the number of window positions along one dim."""
    if kernel < 1 or stride < 1 or dilation < 1 or begin < 0 or end < 0:
        raise ShapeError(f"kernel {kernel}, stride {stride}, dilation {dilation}, padding {begin} and {end}")
    room = size + begin + end - dilation * (kernel - 1) - 1
    if ceil_mode and end > dilation * (kernel - 1):
        raise ShapeError(
            f"end padding {end} holds a window of {dilation * (kernel - 1) + 1}, which ceil_mode cannot have"
        )
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + begin:
        count -= 1
    if count < 1:
        raise ShapeError(
            f"a window of {dilation * (kernel - 1) + 1} does not fit into {size} padded by {begin} + {end}"
        )
    return count
