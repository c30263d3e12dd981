"""MobileNetV2: inverted residuals, wide in the middle and convolved channel by channel (Sandler et al. 2018)."""

from __future__ import annotations

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .conv_modules import ConvModules

__all__ = ["mobilenet_v2"]

# Expansion, channels, repeats and first stride of each group of blocks (arXiv 1801.04381, table 2).
_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_FIRST, _LAST = 32, 1280


def mobilenet_v2(*, classes: int = 1000, image_size: int = 224, batch: int | Expr = 1, dtype: str = "float32") -> Graph:
    """Return the graph of a MobileNetV2 of width 1 in inference.

    Parameters
    ----------
    classes, image_size, batch, dtype
        Outputs, height and width of the image, images at a time, and the number format of everything.

    Returns
    -------
    Graph
        Scopes and names are those of torchvision; running statistics of batch norms are constants, and dropout, which
        passes its input on, is left out.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.architectures.mobilenet import mobilenet_v2
    >>> fc.count(mobilenet_v2()).flop("macs")
    300774272
    """
    net = ConvModules("mobilenet_v2", dtype)
    x = net.graph.input("x", (batch, 3, image_size, image_size), dtype)
    x = _convolved(net, x, "features.0", _FIRST, 3, stride=2)
    place = 1
    for expansion, channels, repeats, first_stride in _BLOCKS:
        for index in range(repeats):
            x = _block(net, x, f"features.{place}", channels, first_stride if index == 0 else 1, expansion)
            place += 1
    x = _convolved(net, x, f"features.{place}", _LAST, 1)
    with net.graph.scope("pool"):
        x = net.graph.flatten(net.graph.global_average_pool(x, name="pool"), axis=1, name="flatten")
    net.graph.output(net.linear(x, "classifier.1", classes))
    return net.graph


def _block(net: ConvModules, x: Tensor, name: str, channels: int, stride: int, expansion: int) -> Tensor:
    """Widen, convolve each channel by itself, narrow without a non-linearity; what went in is added if it fits."""
    inner, place = x, 0
    width = x.shape[1]
    assert isinstance(width, int)
    width *= expansion
    if expansion != 1:
        inner = _convolved(net, inner, f"{name}.conv.{place}", width, 1)
        place += 1
    inner = _convolved(net, inner, f"{name}.conv.{place}", width, 3, stride=stride, groups=width)
    inner = net.conv(inner, f"{name}.conv.{place + 1}", channels, 1, bias=False)
    inner = net.norm(inner, f"{name}.conv.{place + 2}")
    if stride != 1 or x.shape[1] != channels:
        return inner
    with net.graph.scope(name):
        return net.graph.add(x, inner, name=f"{name}.add")


def _convolved(
    net: ConvModules, x: Tensor, name: str, channels: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> Tensor:
    """A convolution, its norm and ReLU6, as torchvision numbers them inside `name`."""
    x = net.conv(x, f"{name}.0", channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return net.relu6(net.norm(x, f"{name}.1"), f"{name}.2")
