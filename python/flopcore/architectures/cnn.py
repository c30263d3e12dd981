"""Convolutional networks as torchvision defines them: AlexNet, VGG, SqueezeNet, ResNet.

Module scopes and node names are those of torchvision. Dropout is left out: in inference it passes its input on.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .conv_modules import ConvModules

__all__ = ["alexnet", "resnet", "squeezenet", "vgg"]

# Blocks per stage, and whether a block is a bottleneck (He et al. 2015, arXiv 1512.03385, table 1).
_RESNETS: Mapping[int, tuple[tuple[int, int, int, int], bool]] = MappingProxyType(
    {
        18: ((2, 2, 2, 2), False),
        34: ((3, 4, 6, 3), False),
        50: ((3, 4, 6, 3), True),
        101: ((3, 4, 23, 3), True),
        152: ((3, 8, 36, 3), True),
    }
)
# Convolutions per stage (Simonyan and Zisserman 2014, arXiv 1409.1556, table 1: A, B, D, E).
_VGGS: Mapping[int, tuple[int, int, int, int, int]] = MappingProxyType(
    {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
)


def resnet(
    depth: int = 50,
    *,
    stride_in: Literal["3x3", "1x1"] = "3x3",
    pool: Literal["adaptive", "average"] = "adaptive",
    classes: int = 1000,
    image_size: int = 224,
    batch: int | Expr = 1,
    dtype: str = "float32",
) -> Graph:
    """Return the graph of a ResNet in inference.

    Parameters
    ----------
    depth
        18, 34, 50, 101 or 152.
    stride_in
        Which convolution of a bottleneck halves the resolution: ``"3x3"`` as torchvision does (called v1.5), or
        ``"1x1"`` as the paper does. Depths 18 and 34 have no bottleneck and are the same under both.
    pool
        The last pooling: to one position whatever the size (``"adaptive"``, as torchvision), or a window of the size
        that is left (``"average"``, as most ONNX files). Equal work; some conventions price them differently.
    classes, image_size, batch, dtype
        Outputs, height and width of the image, images at a time, and the number format of everything.

    Returns
    -------
    Graph
        Scopes and names are those of torchvision; running statistics of batch norms are constants.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.architectures import cnn
    >>> fc.count(cnn.resnet(50)).flop("macs")
    4089184256
    >>> cnn.resnet(50).parameters
    25557032
    """
    if depth not in _RESNETS:
        raise ValueError(f"depth must be one of {', '.join(map(str, _RESNETS))}, is {depth!r}")
    if stride_in not in ("3x3", "1x1"):
        raise ValueError(f"stride_in must be '3x3' or '1x1', is {stride_in!r}")
    if pool not in ("adaptive", "average"):
        raise ValueError(f"pool must be 'adaptive' or 'average', is {pool!r}")
    blocks, bottleneck = _RESNETS[depth]
    net = ConvModules(f"resnet{depth}", dtype)
    x = net.graph.input("x", (batch, 3, image_size, image_size), dtype)
    x = net.relu(net.norm(net.conv(x, "conv1", 64, 7, stride=2, padding=3, bias=False), "bn1"), "relu")
    x = net.max_pool(x, "maxpool", 3, stride=2, padding=1)
    for stage, n_blocks in enumerate(blocks):
        for index in range(n_blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            x = _residual(net, x, f"layer{stage + 1}.{index}", 64 << stage, stride, stride_in, bottleneck)
    x = net.average_pool(x, "avgpool", 1 if pool == "adaptive" else None)
    x = net.graph.flatten(x, axis=1, name="flatten")
    net.graph.output(net.linear(x, "fc", classes))
    return net.graph


def _residual(
    net: ConvModules, x: Tensor, name: str, width: int, stride: int, stride_in: str, bottleneck: bool
) -> Tensor:
    out = 4 * width if bottleneck else width
    shortcut = x
    # (kernel, channels, stride) of each convolution.
    if bottleneck:
        first, second = (1, stride) if stride_in == "3x3" else (stride, 1)
        convs = [(1, width, first), (3, width, second), (1, out, 1)]
    else:
        convs = [(3, width, stride), (3, out, 1)]
    for i, (kernel, channels, step) in enumerate(convs, start=1):
        x = net.conv(x, f"{name}.conv{i}", channels, kernel, stride=step, padding=kernel // 2, bias=False)
        x = net.norm(x, f"{name}.bn{i}")
        if i < len(convs):
            x = net.relu(x, f"{name}.relu")
    if stride != 1 or shortcut.shape[1] != out:
        shortcut = net.conv(shortcut, f"{name}.downsample.0", out, 1, stride=stride, bias=False)
        shortcut = net.norm(shortcut, f"{name}.downsample.1")
    with net.graph.scope(name):
        x = net.graph.add(x, shortcut, name=f"{name}.add")
    return net.relu(x, f"{name}.relu")


def vgg(
    depth: int = 16,
    *,
    batch_norm: Literal["none", "eval"] = "none",
    pool: Literal["adaptive", "none"] = "adaptive",
    classes: int = 1000,
    image_size: int = 224,
    batch: int | Expr = 1,
    dtype: str = "float32",
) -> Graph:
    """Return the graph of a VGG network in inference.

    Parameters
    ----------
    depth
        11, 13, 16 or 19: configurations A, B, D and E of the paper.
    batch_norm
        ``"eval"`` puts a batch norm after each convolution, as torchvision's ``vgg16_bn`` has it.
    pool
        Whether the features pass an adaptive pooling to 7 x 7, as in torchvision; at 224 pixels it changes nothing.
        Without it the size of the first linear layer follows the image.
    classes, image_size, batch, dtype
        Outputs, height and width of the image, images at a time, and the number format of everything.

    Returns
    -------
    Graph
        Scopes and names are those of torchvision.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.architectures import cnn
    >>> fc.count(cnn.vgg(19)).flop("macs")
    19632062464
    >>> cnn.vgg(16).parameters
    138357544
    """
    if depth not in _VGGS:
        raise ValueError(f"depth must be one of {', '.join(map(str, _VGGS))}, is {depth!r}")
    if batch_norm not in ("none", "eval"):
        raise ValueError(f"batch_norm must be 'none' or 'eval', is {batch_norm!r}")
    if pool not in ("adaptive", "none"):
        raise ValueError(f"pool must be 'adaptive' or 'none', is {pool!r}")
    net = ConvModules(f"vgg{depth}" + ("_bn" if batch_norm == "eval" else ""), dtype)
    x = net.graph.input("x", (batch, 3, image_size, image_size), dtype)
    layer = 0
    for stage, n_convs in enumerate(_VGGS[depth]):
        for _ in range(n_convs):
            x = net.conv(x, f"features.{layer}", min(64 << stage, 512), 3, padding=1)
            layer += 1
            if batch_norm == "eval":
                x = net.norm(x, f"features.{layer}")
                layer += 1
            x = net.relu(x, f"features.{layer}")
            layer += 1
        x = net.max_pool(x, f"features.{layer}", 2, stride=2)
        layer += 1
    if pool == "adaptive":
        x = net.average_pool(x, "avgpool", 7)
    x = net.graph.flatten(x, axis=1, name="flatten")
    for index, width in ((0, 4096), (3, 4096)):  # torchvision counts the ReLU and the dropout in between
        x = net.relu(net.linear(x, f"classifier.{index}", width), f"classifier.{index + 1}")
    net.graph.output(net.linear(x, "classifier.6", classes))
    return net.graph


def alexnet(*, classes: int = 1000, image_size: int = 224, batch: int | Expr = 1, dtype: str = "float32") -> Graph:
    """Return the graph of torchvision's AlexNet (Krizhevsky 2014, arXiv 1404.5997) in inference.

    Parameters
    ----------
    classes, image_size, batch, dtype
        Outputs, height and width of the image, images at a time, and the number format of everything.

    Returns
    -------
    Graph
        Scopes and names are those of torchvision.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.architectures import cnn
    >>> fc.count(cnn.alexnet()).flop("macs")
    714188480
    """
    net = ConvModules("alexnet", dtype)
    x = net.graph.input("x", (batch, 3, image_size, image_size), dtype)
    # (place, channels, kernel, stride, padding), and whether a pooling follows.
    for place, channels, kernel, stride, padding, pooled in (
        (0, 64, 11, 4, 2, True),
        (3, 192, 5, 1, 2, True),
        (6, 384, 3, 1, 1, False),
        (8, 256, 3, 1, 1, False),
        (10, 256, 3, 1, 1, True),
    ):
        x = net.conv(x, f"features.{place}", channels, kernel, stride=stride, padding=padding)
        x = net.relu(x, f"features.{place + 1}")
        if pooled:
            x = net.max_pool(x, f"features.{place + 2}", 3, stride=2)
    x = net.graph.flatten(net.average_pool(x, "avgpool", 6), axis=1, name="flatten")
    for place in (1, 4):
        x = net.relu(net.linear(x, f"classifier.{place}", 4096), f"classifier.{place + 1}")
    net.graph.output(net.linear(x, "classifier.6", classes))
    return net.graph


# Squeeze and expand channels of each fire module; None is a pooling (Iandola et al. 2016, arXiv 1602.07360, table 1).
_SQUEEZENETS: Mapping[str, tuple[int, int, tuple[tuple[int, int] | None, ...]]] = MappingProxyType(
    {
        "1.0": (
            96,
            7,
            (None, (16, 64), (16, 64), (32, 128), None, (32, 128), (48, 192), (48, 192), (64, 256), None, (64, 256)),
        ),
        "1.1": (
            64,
            3,
            (None, (16, 64), (16, 64), None, (32, 128), (32, 128), None, (48, 192), (48, 192), (64, 256), (64, 256)),
        ),
    }
)


def squeezenet(
    version: Literal["1.0", "1.1"] = "1.0",
    *,
    classes: int = 1000,
    image_size: int = 224,
    batch: int | Expr = 1,
    dtype: str = "float32",
) -> Graph:
    """Return the graph of a SqueezeNet in inference.

    Parameters
    ----------
    version
        ``"1.0"`` of the paper, or ``"1.1"``, which pools earlier.
    classes, image_size, batch, dtype
        Outputs, height and width of the image, images at a time, and the number format of everything.

    Returns
    -------
    Graph
        Scopes and names are those of torchvision.

    Examples
    --------
    >>> from flopcore.architectures import cnn
    >>> cnn.squeezenet("1.1").parameters
    1235496
    """
    if version not in _SQUEEZENETS:
        raise ValueError(f"version must be one of {', '.join(_SQUEEZENETS)}, is {version!r}")
    channels, kernel, stages = _SQUEEZENETS[version]
    net = ConvModules(f"squeezenet{version}", dtype)
    x = net.graph.input("x", (batch, 3, image_size, image_size), dtype)
    x = net.relu(net.conv(x, "features.0", channels, kernel, stride=2), "features.1")
    for place, fire in enumerate(stages, start=2):
        name = f"features.{place}"
        if fire is None:
            x = net.max_pool(x, name, 3, stride=2, ceil_mode=True)
            continue
        squeeze, expand = fire
        x = net.relu(net.conv(x, f"{name}.squeeze", squeeze, 1), f"{name}.squeeze_activation")
        narrow = net.relu(net.conv(x, f"{name}.expand1x1", expand, 1), f"{name}.expand1x1_activation")
        wide = net.relu(net.conv(x, f"{name}.expand3x3", expand, 3, padding=1), f"{name}.expand3x3_activation")
        x = net.concat([narrow, wide], name)
    x = net.relu(net.conv(x, "classifier.1", classes, 1), "classifier.2")
    x = net.average_pool(x, "classifier.3", 1)
    net.graph.output(net.graph.flatten(x, axis=1, name="flatten"))
    return net.graph
