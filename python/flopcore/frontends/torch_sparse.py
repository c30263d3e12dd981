"""Sparse layouts of PyTorch: how many elements a tensor holds, and which operators take that into account."""

from __future__ import annotations

from typing import Any

from .torch_call import Call
from .unsupported import NotCountable

__all__: list[str] = []

_TAKES_SPARSE = frozenset(["mm", "matmul", "mv", "linear", "addmm", "addmv", "_sparse_addmm", "t", "detach", "alias"])


def is_sparse(torch: Any, tensor: Any) -> bool:
    """Return whether a tensor holds some of its elements only."""
    return isinstance(tensor, torch.Tensor) and tensor.layout not in (torch.strided, torch._mkldnn)


def n_stored(torch: Any, tensor: Any) -> int:
    """Return how many elements a sparse tensor holds, 0 of a fake one or of nothing."""
    if not is_sparse(torch, tensor):
        return 0
    values = tensor._values() if tensor.layout is torch.sparse_coo else tensor.values()
    return int(values.numel())


def check_dense(call: Call) -> None:
    """Refuse an operator that would take a sparse tensor for a dense one."""
    if call.stored and call.name not in _TAKES_SPARSE and any(map(call.stored.__contains__, call.reads())):
        raise NotCountable("a sparse tensor")
