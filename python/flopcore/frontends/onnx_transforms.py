"""Rules for the Fourier transforms of ONNX and for the determinant."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flopcore.errors import DataError
from flopcore.graph import AttrValue

from .onnx_build import Builder, Result, Rule
from .onnx_shapes import integers
from .onnx_values import Node, Size, Value, whole
from .unsupported import NotCountable

__all__: list[str] = []


def _signal(b: Builder, node: Node) -> tuple[Value, str]:
    """Return the input without its last dim, and the dtype of complex numbers: pairs there are one, the same bits."""
    x = node.input(0)
    pair = "complex128" if x.dtype == "float64" else "complex64"
    if node.op == "STFT" and x.rank == 2:
        return x, pair
    parts = x.shape[-1]
    if parts == 2:
        return Value(f"{node.label()}.pairs", pair, x.shape[:-1]), pair
    if parts != 1:
        raise DataError(f"{node.describe()}: the last dim must be 1 (real) or 2 (complex), is {parts}")
    return b.emit(node, "reshape", [x], {"shape": list(x.shape[:-1])}), pair


def _pairs(node: Node, y: Value) -> Value:
    """Return complex numbers as pairs of real ones."""
    return Value(node.outputs[0], node.input(0).dtype, (*y.shape, 2))


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
    inverse, onesided = node.integer("inverse", 0) != 0, node.integer("onesided", 0) != 0
    to_real = inverse and onesided  # half of the lines come in, the others mirror them
    usual = whole(2 * (x.shape[at] - 1)) if to_real else x.shape[at]
    length = usual if given is None else given.elements[0] if given.elements else None
    if length is None:
        raise NotCountable("a length computed from data")
    signal, pair = _signal(b, node)
    if x.shape[at] != length:  # zeros after, or a cut
        ends: list[Size] = [whole(length - x.shape[at]) if i == at else 0 for i in range(signal.rank)]
        signal = b.emit(node, "pad", [signal], {"padding": [0] * signal.rank + ends})
    attrs: dict[str, AttrValue] = {"axis": at, "onesided": onesided and not inverse}
    y = b.emit(node, "fft", [signal], attrs | {"dtype": x.dtype if to_real else pair})
    return b.emit(node, "reshape", [y], {"shape": [*y.shape, 1]}) if to_real else _pairs(node, y)


def _stft(b: Builder, node: Node) -> Result:
    step, window, frame = integers(node.input(1)), node.optional(2), node.optional(3)
    length: Size | None = None
    if frame is not None:
        length = frame.elements[0] if frame.elements else None
    elif window is not None:
        length = window.shape[0]
    else:
        length = node.input(0).shape[1]
    if step is None or not isinstance(length, int):
        raise NotCountable("a frame length or step computed from data")
    signal, pair = _signal(b, node)
    onesided = node.integer("onesided", 1) != 0 and not signal.dtype.startswith("complex")
    attrs: dict[str, AttrValue] = {"size": length, "step": step[0], "onesided": onesided, "dtype": pair}
    return _pairs(node, b.emit(node, "stft", [signal, window], attrs))


def _det(b: Builder, node: Node) -> Result:
    return b.emit(node, "determinant", [node.input(0)])


RULES: Mapping[str, Rule] = MappingProxyType({"DFT": _dft, "Det": _det, "STFT": _stft})
