"""Windows of pools and of adaptive pools are PyTorch's, ceil_mode included."""

from __future__ import annotations

import itertools

import pytest

from flopcore.errors import ShapeError
from flopcore.reference.expression import adaptive_taps
from flopcore.reference.shapes import infer

torch = pytest.importorskip("torch", reason="needs the oracle extra")
F = torch.nn.functional


@pytest.mark.parametrize("size", range(1, 10))
def test_pools_have_the_windows_of_pytorch(size: int) -> None:
    x = torch.zeros(1, 1, size)
    for kernel, stride, dilation, padding, ceil_mode in itertools.product(
        (1, 2, 3, 4), (1, 2, 3), (1, 2), (0, 1, 2), (False, True)
    ):
        if padding > kernel // 2:
            continue  # PyTorch refuses what other frameworks accept
        attrs = {
            "kernel": [kernel], "stride": [stride], "dilation": [dilation], "padding": [padding] * 2,
            "ceil_mode": ceil_mode,
        }  # fmt: skip
        try:
            expected = F.max_pool1d(x, kernel, stride, padding, dilation, ceil_mode).shape
        except RuntimeError:
            with pytest.raises(ShapeError):
                infer("max_pool", [(1, 1, size)], attrs)
        else:
            assert infer("max_pool", [(1, 1, size)], attrs) == tuple(expected)


@pytest.mark.parametrize("size", range(1, 12))
def test_adaptive_pools_read_what_pytorch_reads(size: int) -> None:
    for output_size in range(1, 12):
        x = torch.ones(1, 1, size, requires_grad=True)
        y = F.adaptive_avg_pool1d(x, output_size)[0, 0]
        read = sum(int((torch.autograd.grad(part, x, retain_graph=True)[0] != 0).sum()) for part in y)
        assert adaptive_taps(size, output_size) == read
