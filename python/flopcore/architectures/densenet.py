"""DenseNet: every layer of a block reads all that came before it (Huang et al. 2016, arXiv 1608.06993)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .conv_modules import ConvModules

__all__ = ["densenet"]

# Growth rate, channels of the first convolution, layers of each block (table 1; 161 is that of the authors' code).
_DENSENETS: Mapping[int, tuple[int, int, tuple[int, int, int, int]]] = MappingProxyType(
    {
        121: (32, 64, (6, 12, 24, 16)),
        161: (48, 96, (6, 12, 36, 24)),
        169: (32, 64, (6, 12, 32, 32)),
        201: (32, 64, (6, 12, 48, 32)),
    }
)
_BOTTLENECK = 4  # channels of the 1x1 convolution, in growth rates


def densenet(
    depth: int = 121,
    *,
    classes: int = 1000,
    image_size: int = 224,
    batch: int | Expr = 1,
    dtype: str = "float32",
) -> Graph:
    """Return the graph of a DenseNet in inference.

    Parameters
    ----------
    depth
        121, 161, 169 or 201.
    classes, image_size, batch, dtype
        Outputs, height and width of the image, images at a time, and the number format of everything.

    Returns
    -------
    Graph
        Scopes and names are those of torchvision; running statistics of batch norms are constants.

    Examples
    --------
    >>> from flopcore.architectures.densenet import densenet
    >>> densenet(121).parameters
    7978856
    """
    if depth not in _DENSENETS:
        raise ValueError(f"depth must be one of {', '.join(map(str, _DENSENETS))}, is {depth!r}")
    growth, channels, blocks = _DENSENETS[depth]
    net = ConvModules(f"densenet{depth}", dtype)
    x = net.graph.input("x", (batch, 3, image_size, image_size), dtype)
    x = net.conv(x, "features.conv0", channels, 7, stride=2, padding=3, bias=False)
    x = net.relu(net.norm(x, "features.norm0"), "features.relu0")
    x = net.max_pool(x, "features.pool0", 3, stride=2, padding=1)
    for block, n_layers in enumerate(blocks, start=1):
        parts = [x]
        for layer in range(1, n_layers + 1):
            parts.append(_layer(net, parts, f"features.denseblock{block}.denselayer{layer}", growth))
        x = net.concat(parts, f"features.denseblock{block}")
        channels += n_layers * growth
        if block < len(blocks):
            channels //= 2
            name = f"features.transition{block}"
            x = net.relu(net.norm(x, f"{name}.norm"), f"{name}.relu")
            x = net.conv(x, f"{name}.conv", channels, 1, bias=False)
            with net.graph.scope(f"{name}.pool"):
                x = net.graph.average_pool(x, 2, name=f"{name}.pool")
    x = net.graph.relu(net.norm(x, "features.norm5"), name="relu")
    x = net.graph.flatten(net.graph.global_average_pool(x, name="pool"), axis=1, name="flatten")
    net.graph.output(net.linear(x, "classifier", classes))
    return net.graph


def _layer(net: ConvModules, parts: list[Tensor], name: str, growth: int) -> Tensor:
    x = net.concat(parts, name) if len(parts) > 1 else parts[0]
    x = net.relu(net.norm(x, f"{name}.norm1"), f"{name}.relu1")
    x = net.conv(x, f"{name}.conv1", _BOTTLENECK * growth, 1, bias=False)
    x = net.relu(net.norm(x, f"{name}.norm2"), f"{name}.relu2")
    return net.conv(x, f"{name}.conv2", growth, 3, padding=1, bias=False)
