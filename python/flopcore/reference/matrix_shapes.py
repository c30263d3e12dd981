"""Output shapes of factorisations, solves and transforms; see `flopcore.reference.shapes`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flopcore.errors import ShapeError

from .dims import Attrs, Inputs, Shape, axis_of, given, int_of, require_elements

__all__ = ["RULES"]


def _square(inputs: Inputs, attrs: Attrs) -> Shape:
    x = given(inputs, 0)
    if len(x) < 2 or x[-1] != x[-2]:
        raise ShapeError(f"{x} holds no square matrices")
    return x


def _determinant(inputs: Inputs, attrs: Attrs) -> Shape:
    x = _square(inputs, attrs)
    require_elements(x[-1], "a determinant")
    return x[:-2]


def _eigh(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    x = _square(inputs, attrs)
    return [x[:-1], x]


def _solve(inputs: Inputs, attrs: Attrs) -> Shape:
    a, b = _square(inputs, attrs), given(inputs, 1)
    if len(b) != len(a) or b[:-1] != a[:-1]:
        raise ShapeError(f"a solve with {a} and right-hand sides {b}")
    return b


def _lu_factor(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    a = given(inputs, 0)
    if len(a) < 2:
        raise ShapeError(f"{a} holds no matrices")
    return [a, (*a[:-2], min(a[-2:]))]


def _tall(inputs: Inputs) -> Shape:
    x = given(inputs, 0)
    if len(x) < 2 or x[-1] > x[-2] or x[-2] == 0:
        raise ShapeError(f"{x}: expected [*, m, n] with n <= m")
    return x


def _qr(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    x = _tall(inputs)
    return [x, (*x[:-2], x[-1], x[-1])]


def _svd(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    x = _tall(inputs)
    return [x, (*x[:-2], x[-1]), (*x[:-2], x[-1], x[-1])]


def _fft(inputs: Inputs, attrs: Attrs) -> Shape:
    x = given(inputs, 0)
    axis = axis_of(int_of(attrs, "axis"), len(x))
    require_elements(x[axis], "a transform")
    return (*x[:axis], x[axis] // 2 + 1, *x[axis + 1 :]) if attrs["onesided"] else x


def _stft(inputs: Inputs, attrs: Attrs) -> Shape:
    x, size, step = given(inputs, 0), int_of(attrs, "size"), int_of(attrs, "step")
    if not x or size < 1 or step < 1 or x[-1] < size or inputs[1] not in (None, (size,)):
        raise ShapeError(f"stft of {x} in frames of {size}, {step} apart, window {inputs[1]}")
    return (*x[:-1], (x[-1] - size) // step + 1, size // 2 + 1 if attrs["onesided"] else size)


RULES: Mapping[str, Callable[[Inputs, Attrs], Shape | list[Shape]]] = {
    "square_matrix": _square,
    "determinant": _determinant,
    "eigh": _eigh,
    "solve": _solve,
    "triangular_solve": _solve,
    "lu_factor": _lu_factor,
    "qr": _qr,
    "svd": _svd,
    "fft": _fft,
    "stft": _stft,
}
"""By family, or by op where an op has a rule of its own."""
