"""Rules for the Fourier transforms of ONNX, counted by their definition, and for the determinant."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flopcore.errors import DataError

from .onnx_build import Builder, Result, Rule
from .onnx_shapes import integers
from .onnx_values import Node, Size, Value, whole
from .unsupported import NotCountable

__all__: list[str] = []


def _fourier(b: Builder, node: Node, x: Value, length: Size, lines: Size) -> Value:
    """Return the transform of [..., length, 1 or 2] as [..., lines, 2].

    By its definition: a product with the matrix of cosines and one with that of sines, twice that and two sums where
    the input is complex. A fast algorithm does less, and which one a length takes is not in the file.
    """
    size, parts = x.shape[-2:]
    if parts not in (1, 2):
        raise DataError(f"{node.describe()}: the last dim must be 1 (real) or 2 (complex), is {parts}")
    order = [x.rank - 1, *range(x.rank - 1)]
    planes = b.emit(node, "transpose", [x], {"permutation": order})  # [parts, ..., size]
    if size != length:
        more = whole(length - size)  # zeros after, or a cut
        planes = b.emit(node, "pad", [planes], {"padding": [0] * (2 * x.rank - 1) + [more]})
    table = Value("waves", x.dtype, (length, lines))
    if parts == 1:
        waves = [b.emit(node, "matmul", [planes, table]) for _ in range(2)]
        joined = b.emit(node, "concat", waves, {"axis": 0})
    else:
        real, imaginary = (b.emit(node, "matmul", [planes, table]) for _ in range(2))
        joined = b.emit(node, "add", [real, imaginary])
    return b.emit(node, "transpose", [joined], {"permutation": [*range(1, x.rank), 0]})


def _dft(b: Builder, node: Node) -> Result:
    x, given = node.input(0), node.optional(1)
    if node.opset >= 20:
        axis = integers(node.optional(2)) if node.optional(2) is not None else (-2,)
    else:
        axis = (node.integer("axis", 1),)
    if axis is None or len(axis) != 1:
        raise NotCountable("an axis computed from data")
    at = node.axis(axis[0], x.rank)
    if at == x.rank - 1:
        raise DataError(f"{node.describe()}: axis {axis[0]} is that of real and imaginary parts")
    length = x.shape[at] if given is None else given.elements[0] if given.elements else None
    if length is None:
        raise NotCountable("a length computed from data")
    inverse, onesided = node.integer("inverse", 0) != 0, node.integer("onesided", 0) != 0
    lines = whole(length // 2 + 1) if onesided and not inverse else length
    if onesided and inverse:  # half of the lines come in, the others mirror them
        length, lines = x.shape[at], whole(2 * (x.shape[at] - 1)) if given is None else length
    order = [*(i for i in range(x.rank - 1) if i != at), at, x.rank - 1]
    back = [order.index(i) for i in range(x.rank)]
    same = order == sorted(order)
    moved = x if same else b.emit(node, "transpose", [x], {"permutation": order})
    y = _fourier(b, node, moved, length, lines)
    if onesided and inverse:  # the result is real
        y = b.emit(node, "slice", [y], {"axis": y.rank - 1, "start": 0, "stop": 1, "step": 1})
    return y if same else b.emit(node, "transpose", [y], {"permutation": back})


def _stft(b: Builder, node: Node) -> Result:
    x, step, window, frame = node.input(0), node.input(1), node.optional(2), node.optional(3)
    hop = integers(step)
    length = (frame.elements[0] if frame.elements else None) if frame is not None else None
    if length is None and window is not None:
        length = window.shape[0]
    if hop is None or length is None:
        raise NotCountable("a frame length or step computed from data")
    if x.rank == 2:
        x = b.emit(node, "reshape", [x], {"shape": [*x.shape, 1]})
    _, size, parts = x.shape
    n_frames = whole((size - length) // hop[0] + 1)
    taken = Value("positions", "int64", (n_frames, length))
    frames = b.emit(node, "gather", [x, taken], {"axis": 1})  # [batch, frames, length, parts]
    if window is not None:
        shaped = b.emit(node, "reshape", [window], {"shape": [length, 1]})
        frames = b.emit(node, "mul", [frames, shaped])
    lines = whole(length // 2 + 1) if node.integer("onesided", 1) and parts == 1 else length
    return _fourier(b, node, frames, length, lines)


def _det(b: Builder, node: Node) -> Result:
    return b.emit(node, "determinant", [node.input(0)])


RULES: Mapping[str, Rule] = MappingProxyType({"DFT": _dft, "Det": _det, "STFT": _stft})
