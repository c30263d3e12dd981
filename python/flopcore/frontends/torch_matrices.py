"""Fourier transforms and linear algebra of PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flopcore.graph import Tensor

from .torch_call import Call, Handler
from .unsupported import NotCountable

__all__: list[str] = []

_COMPLEX = {"float32": "complex64", "float64": "complex128"}


def _transform(call: Call) -> Tensor:
    """One transform for each dim; of real numbers half of the last one is kept, and padded again on the way back."""
    x, rank = call.args[0], len(call.args[0].shape)
    axes = call.get("dim")
    if axes is None:
        axes = [-2, -1] if call.name.endswith("2") else [-1] if call.name.endswith("t") else list(range(rank))
    axes = [each % rank for each in ([axes] if isinstance(axes, int) else axes)]
    backward = "irfft" in call.name or "c2r" in call.name
    halved = not backward and ("rfft" in call.name or ("r2c" in call.name and call.get("onesided", True)))
    given = call.get("n", call.get("s"))
    sizes: Sequence[Any] = [given] if isinstance(given, int) else given or [None] * len(axes)
    last = axes[-1]
    form = call.dtype if not backward else x.dtype if x.dtype.startswith("complex") else _COMPLEX[x.dtype]
    for axis in [last, *axes[:-1]] if halved else axes:
        size = sizes[axes.index(axis)]
        if backward and axis == last:
            size = call.shape[last]
        x = _padded(call, x, axis, size)
        if halved and axis == last:
            x = call.op("fft", [x], axis=axis, onesided=True, dtype=form)
        else:
            x = call.op("fft", [x], axis=axis, dtype=call.dtype if backward and axis == last else form)
    assert isinstance(x, Tensor)
    return x


def _padded(call: Call, x: Tensor, axis: int, size: Any) -> Tensor:
    if size is None or str(size) == str(x.shape[axis]):
        return x
    rank = len(x.shape)
    ends = [size - x.shape[axis] if i == axis else 0 for i in range(rank)]
    return call.op("pad", [x], padding=[*[0] * rank, *ends])  # type: ignore[no-any-return]


def _given(call: Call, *made: Any) -> Any:
    """Return what was made, and constants for the pivots, signs and error codes beside it."""
    rest = [None if each is None else call.constant(each[0], each[1]) for each in call.outputs[len(made) :]]
    return [*made, *rest] if len(call.outputs) > 1 else made[0]


def _one(op: str) -> Handler:
    return lambda call: _given(call, call.op(op, [call.args[0]]))


def _tall(call: Call) -> Tensor:
    x = call.args[0]
    assert isinstance(x, Tensor)
    if not isinstance(x.shape[-1], int) or not isinstance(x.shape[-2], int):
        raise NotCountable("a factorisation of a matrix of symbolic size")
    return x


def _qr(call: Call) -> Any:
    x = _tall(call)
    if call.get("mode", "reduced") != "reduced" or x.shape[-2] < x.shape[-1]:  # type: ignore[operator]
        raise NotCountable("a complete basis, or more columns than rows")
    return list(call.ops("qr", [x]))


def _svd(call: Call) -> Any:
    """Vectors, values, vectors; of a wide matrix those of its transpose."""
    x = _tall(call)
    wide = x.shape[-2] < x.shape[-1]  # type: ignore[operator]
    if call.get("full_matrices", call.name == "linalg_svd") and x.shape[-2] != x.shape[-1]:
        raise NotCountable("a complete basis")
    u, values, v = call.ops("svd", [_turned(call, x) if wide else x])
    return [v, values, _turned(call, u)] if wide else [u, values, v]


def _turned(call: Call, x: Tensor) -> Tensor:
    rank = len(x.shape)
    return call.op("transpose", [x], permutation=[*range(rank - 2), rank - 1, rank - 2])  # type: ignore[no-any-return]


def _eigh(call: Call) -> Any:
    return list(call.ops("eigh", [call.args[0]]))


def _solve(call: Call) -> Any:
    """Right-hand sides in columns; a vector is one."""
    a, b = call.args[:2]
    if not call.get("left", True):
        raise NotCountable("unknowns on the left")
    columns = b if len(b.shape) == len(a.shape) else call.reshape(b, (*b.shape, 1))
    return _given(call, call.reshape(call.op("solve", [a, columns]), call.shape))


def _triangular(call: Call) -> Any:
    a, b = call.args[:2] if call.name == "linalg_solve_triangular" else (call.args[1], call.args[0])
    unit = bool(call.get("unitriangular", False))
    if call.get("left", True):
        return _given(call, call.op("triangular_solve", [a, b], unit_diagonal=unit))
    return _turned(call, call.op("triangular_solve", [a, _turned(call, b)], unit_diagonal=unit))


def _lu_factor(call: Call) -> Any:
    return _given(call, *call.ops("lu_factor", [call.args[0]]))


def _window(call: Call) -> Tensor:
    """A - b cos(c n), with another cosine for Blackman's; Bartlett's is a triangle."""
    places = call.op("arange", [], size=call.shape[0], dtype=call.dtype)
    if call.name == "bartlett_window":
        return call.op("minimum", [call.op("mul", [places, call.constant()]), call.constant(call.shape)])  # type: ignore[no-any-return]
    for _ in range(2 if call.name == "blackman_window" else 1):
        wave = call.op("cos", [call.op("mul", [places, call.constant()])])
        found = call.op("sub", [call.constant(), call.op("mul", [wave, call.constant()])])
    return found  # type: ignore[no-any-return]


def _stft(call: Call) -> Tensor:
    """Transforms of frames, after padding at both ends if frames are centered; frequencies before frames."""
    x, size = call.args[0], call.get("n_fft")
    if call.get("center", False):
        rank = len(x.shape)
        ends = [0] * (rank - 1) + [size // 2]
        x = call.op("pad", [x], padding=[*ends, *ends])
    step = call.get("hop_length") or size // 4
    onesided = call.get("onesided")
    halved = onesided if onesided is not None else not x.dtype.startswith("complex")
    form = _COMPLEX.get(x.dtype, x.dtype)
    found = call.op("stft", [x, call.get("window")], size=size, step=step, onesided=halved, dtype=form)
    rank = len(found.shape)
    turned = call.op("transpose", [found], permutation=[*range(rank - 2), rank - 1, rank - 2])
    return turned if call.dtype == form else call.constant(call.shape)


def _log_determinant(call: Call) -> list[Any]:
    """Sign and logarithm of a determinant, and the factors beside it."""
    found = call.op("determinant", [call.args[0]])
    logarithm = call.op("log", [call.op("abs", [found])])
    rest = [None if each is None else call.constant(*each) for each in call.outputs[2:]]
    return [call.op("sign", [found]), logarithm, *rest]


def _cross(call: Call) -> Tensor:
    a, b = (call.op("expand", [each], shape=list(call.shape)) for each in call.args[:2])
    return call.op("sub", [call.op("mul", [a, b]), call.op("mul", [a, b])])  # type: ignore[no-any-return]


MATRICES: Mapping[str, Handler] = {
    **{
        f"fft_{inverse}{real}fft{dims}": _transform
        for inverse, real in (("", ""), ("i", ""), ("", "r"), ("i", "r"))
        for dims in ("", "2", "n")
    },
    **dict.fromkeys(["_fft_c2c", "_fft_r2c", "_fft_c2r"], _transform),
    "stft": _stft,
    **dict.fromkeys(["linalg_slogdet", "_linalg_slogdet", "slogdet"], _log_determinant),
    "linalg_cross": _cross,
    **dict.fromkeys(["hann_window", "hamming_window", "blackman_window", "bartlett_window"], _window),
    **dict.fromkeys(["cholesky", "linalg_cholesky", "linalg_cholesky_ex"], _one("cholesky")),
    **dict.fromkeys(["inverse", "linalg_inv", "linalg_inv_ex"], _one("inverse")),
    **dict.fromkeys(["det", "linalg_det", "_linalg_det"], _one("determinant")),
    "linalg_qr": _qr,
    **dict.fromkeys(["linalg_svd", "_linalg_svd"], _svd),
    **dict.fromkeys(["linalg_eigh", "_linalg_eigh"], _eigh),
    **dict.fromkeys(["linalg_solve", "linalg_solve_ex", "_linalg_solve_ex"], _solve),
    **dict.fromkeys(["triangular_solve", "linalg_solve_triangular"], _triangular),
    **dict.fromkeys(["linalg_lu_factor", "linalg_lu_factor_ex"], _lu_factor),
}
