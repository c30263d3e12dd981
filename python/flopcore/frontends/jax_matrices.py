"""Fourier transforms and linear algebra of JAX."""

from __future__ import annotations

from collections.abc import Mapping

from flopcore.graph import Tensor

from .jax_equation import Equation, Handler, number
from .unsupported import NotCountable

__all__: list[str] = []


def _fft(eqn: Equation) -> Tensor:
    """One transform for each of the last dims; of real numbers half of the last one is kept, and padded to go back."""
    x, kind, lengths = eqn.inputs[0], str(eqn.given["fft_type"]).rpartition(".")[2], eqn.given["fft_lengths"]
    rank = len(x.shape)
    names = {"0": "FFT", "1": "IFFT", "2": "RFFT", "3": "IRFFT"}
    kind, last = names.get(kind, kind), rank - 1
    form = eqn.dtype if kind != "IRFFT" else x.dtype
    others = range(rank - len(lengths), last)
    if kind == "RFFT":
        x = eqn.op("fft", [x], axis=last, onesided=True, dtype=form)
    for axis in others:
        x = eqn.op("fft", [x], axis=axis, dtype=form)
    if kind == "IRFFT":
        missing = number(eqn.size(lengths[-1])) - number(x.shape[last])
        x = eqn.op("pad", [x], padding=[*[0] * rank, *[0] * last, missing])
    return x if kind == "RFFT" else eqn.op("fft", [x], axis=last, dtype=eqn.dtype)


def _cholesky(eqn: Equation) -> Tensor:
    found: Tensor = eqn.op("cholesky", [eqn.inputs[0]])
    return found


def _triangular_solve(eqn: Equation) -> Tensor:
    """Solutions stand in columns, or in rows of the transposed system."""
    a, b = eqn.inputs
    rank = len(b.shape)
    turned = [*range(rank - 2), rank - 1, rank - 2]
    left = eqn.given["left_side"]
    found: Tensor = eqn.op(
        "triangular_solve",
        [a, b if left else eqn.transpose(b, turned)],
        unit_diagonal=bool(eqn.given["unit_diagonal"]),
    )
    return found if left else eqn.transpose(found, turned)


def _lu(eqn: Equation) -> list[Tensor]:
    """Factors, pivots, and the order of the rows that they make."""
    factors, pivots = eqn.ops("lu_factor", [eqn.inputs[0]])
    return [factors, pivots, eqn.constant(*eqn.outputs[2])]


def _qr(eqn: Equation) -> list[Tensor]:
    *_, rows, columns = eqn.inputs[0].shape
    if eqn.given.get("pivoting", False) or number(rows) < number(columns):
        raise NotCountable("pivots, or more columns than rows")
    if eqn.given.get("full_matrices", False) and rows != columns:
        raise NotCountable("a complete basis")
    return list(eqn.ops("qr", [eqn.inputs[0]]))


def _svd(eqn: Equation) -> list[Tensor]:
    """Values, then vectors; of a wide matrix those of its transpose."""
    x = eqn.inputs[0]
    rank = len(x.shape)
    rows, columns = number(x.shape[-2]), number(x.shape[-1])
    if not eqn.given.get("compute_uv", True):
        raise NotCountable("singular values alone, which are found by another iteration")
    if eqn.given.get("full_matrices", True) and rows != columns:
        raise NotCountable("a complete basis")
    turned = [*range(rank - 2), rank - 1, rank - 2]
    u, values, v = eqn.ops("svd", [x if rows >= columns else eqn.transpose(x, turned)])
    return [values, u, v] if rows >= columns else [values, v, eqn.transpose(u, turned)]


def _eigh(eqn: Equation) -> list[Tensor]:
    values, vectors = eqn.ops("eigh", [eqn.inputs[0]])
    return [vectors, values]


MATRICES: Mapping[str, Handler] = {
    "fft": _fft,
    "cholesky": _cholesky,
    "triangular_solve": _triangular_solve,
    "lu": _lu,
    "qr": _qr,
    "svd": _svd,
    "eigh": _eigh,
}
