"""FasterNet: convolutions over a quarter of the channels, the rest passes (Chen et al. 2023, arXiv 2303.03667)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .conv_modules import ConvModules

__all__ = ["fasternet"]

Variant: TypeAlias = Literal["T0", "T1", "T2", "S", "M", "L"]

# Channels of the first stage, blocks of each stage, activation (table 7 of the paper).
_FASTERNETS: Mapping[str, tuple[int, tuple[int, int, int, int], str]] = MappingProxyType(
    {
        "T0": (40, (1, 2, 8, 2), "gelu"),
        "T1": (64, (1, 2, 8, 2), "gelu"),
        "T2": (96, (1, 2, 8, 2), "relu"),
        "S": (128, (1, 2, 13, 2), "relu"),
        "M": (144, (3, 4, 18, 3), "relu"),
        "L": (192, (3, 4, 18, 3), "relu"),
    }
)
_PARTIAL = 4  # one channel in four is convolved
_EXPANSION = 2
_FEATURES = 1280


def fasternet(
    variant: Variant = "T0",
    *,
    classes: int = 1000,
    image_size: int = 224,
    batch: int | Expr = 1,
    dtype: str = "float32",
) -> Graph:
    """Return the graph of a FasterNet in inference.

    Parameters
    ----------
    variant
        ``"T0"``, ``"T1"``, ``"T2"``, ``"S"``, ``"M"`` or ``"L"``.
    classes, image_size, batch, dtype
        Outputs, height and width of the image, images at a time, and the number format of everything.

    Returns
    -------
    Graph
        Scopes and names are those of the authors' code; running statistics of batch norms are constants.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.architectures.fasternet import fasternet
    >>> fc.count(fasternet("T0")).flop("macs")
    335422720
    """
    if variant not in _FASTERNETS:
        raise ValueError(f"variant must be one of {', '.join(_FASTERNETS)}, is {variant!r}")
    channels, depths, activation = _FASTERNETS[variant]
    net = ConvModules(f"fasternet_{variant.lower()}", dtype)
    x = net.graph.input("x", (batch, 3, image_size, image_size), dtype)
    x = net.norm(net.conv(x, "patch_embed.proj", channels, 4, stride=4, bias=False), "patch_embed.norm")
    for stage, n_blocks in enumerate(depths):
        if stage > 0:
            channels *= 2
            name = f"stages.{2 * stage - 1}"
            x = net.norm(net.conv(x, f"{name}.reduction", channels, 2, stride=2, bias=False), f"{name}.norm")
        for block in range(n_blocks):
            x = _block(net, x, f"stages.{2 * stage}.blocks.{block}", channels, activation)
    x = net.conv(net.average_pool(x, "avgpool_pre_head.0", 1), "avgpool_pre_head.1", _FEATURES, 1, bias=False)
    x = _activate(net, x, "avgpool_pre_head.2", activation)
    net.graph.output(net.linear(net.graph.flatten(x, axis=1, name="flatten"), "head", classes))
    return net.graph


def _block(net: ConvModules, x: Tensor, name: str, channels: int, activation: str) -> Tensor:
    graph, some = net.graph, channels // _PARTIAL
    with graph.scope(f"{name}.spatial_mixing"):
        left = graph.slice(x, axis=1, start=0, stop=some, name="split")
        right = graph.slice(x, axis=1, start=some, stop=channels, name="split")
    left = net.conv(left, f"{name}.spatial_mixing.partial_conv3", some, 3, padding=1, bias=False)
    mixed = net.concat([left, right], f"{name}.spatial_mixing")
    inner = net.norm(net.conv(mixed, f"{name}.mlp.0", _EXPANSION * channels, 1, bias=False), f"{name}.mlp.1")
    inner = _activate(net, inner, f"{name}.mlp.2", activation)
    out = net.conv(inner, f"{name}.mlp.3", channels, 1, bias=False)
    with graph.scope(name):
        return graph.add(x, out, name="residual")


def _activate(net: ConvModules, x: Tensor, name: str, activation: str) -> Tensor:
    if activation == "relu":
        return net.relu(x, name)
    with net.graph.scope(name):
        return net.graph.gelu(x, name=name)
