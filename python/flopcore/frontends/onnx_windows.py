"""Strides, dilations and padding of ONNX convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence

from flopcore.errors import DataError
from flopcore.graph import AttrValue

from .onnx_values import Node, Size, Value
from .unsupported import NotCountable

__all__: list[str] = []


def window(node: Node, spatial: Sequence[Size], kernel: Sequence[int], *, named: bool = False) -> dict[str, AttrValue]:
    """Return stride, dilation and padding of a convolution or pool, auto_pad resolved.

    Over named dims the padding may depend on the size: where `named`, the op of ours takes the rule in its place.
    """
    rank = len(kernel)
    stride = node.integers("strides") or (1,) * rank
    dilation = node.integers("dilations") or (1,) * rank
    pads = node.integers("pads") or (0,) * (2 * rank)
    if not len(spatial) == len(stride) == len(dilation) == rank or len(pads) != 2 * rank:
        raise DataError(f"{node.describe()}: kernel, strides, dilations and pads must fit {len(spatial)} spatial dims")
    auto = node.text("auto_pad", "NOTSET")
    if auto == "VALID":
        pads = (0,) * (2 * rank)
    elif named and auto in ("SAME_UPPER", "SAME_LOWER") and not all(isinstance(size, int) for size in spatial):
        return {"stride": list(stride), "dilation": list(dilation), "auto_padding": auto.lower()}
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        begins, ends = [], []
        for size, window, step, gap in zip(spatial, kernel, stride, dilation, strict=True):
            total = _same_padding(size, (window - 1) * gap + 1, step)
            less, more = total // 2, total - total // 2
            begins.append(less if auto == "SAME_UPPER" else more)
            ends.append(more if auto == "SAME_UPPER" else less)
        pads = (*begins, *ends)
    elif auto != "NOTSET":
        raise DataError(f"{node.describe()}: auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, is {auto!r}")
    return {"stride": list(stride), "dilation": list(dilation), "padding": list(pads)}


def kernel_of(node: Node, weight: Value) -> list[int]:
    """Return the sizes of the windows of a weight, which kernel_shape repeats."""
    kernel = [size for size in weight.shape[2:] if isinstance(size, int)]
    if len(kernel) != weight.rank - 2:
        raise NotCountable("a kernel of unknown size")
    if tuple(node.integers("kernel_shape") or kernel) != tuple(kernel):
        said = list(node.integers("kernel_shape") or ())
        raise DataError(f"{node.describe()}: kernel_shape is {said}, the weight has windows of {kernel}")
    return kernel


def _same_padding(size: Size, window: int, stride: int) -> int:
    """Return the padding that gives ceil(size / stride) outputs."""
    if isinstance(size, int):
        return max((-(-size // stride) - 1) * stride + window - size, 0)
    if stride == 1:
        return window - 1
    raise NotCountable(f"auto_pad=SAME with stride {stride} over the named dim {size}: bind it with at=")
