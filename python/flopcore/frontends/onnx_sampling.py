"""Rules for ONNX ops that look between the places of an image: resizing, grids, regions, deformed windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType

from flopcore.errors import DataError
from flopcore.graph import AttrValue

from .onnx_build import Builder, Result, Rule
from .onnx_shapes import integers, product
from .onnx_values import Node, Size, Value, whole
from .onnx_windows import kernel_of, window
from .unsupported import NotCountable

__all__: list[str] = []


_MODES = {"bilinear": "linear", "bicubic": "cubic"}  # names of older opsets


def _target(b: Builder, node: Node) -> list[Size]:
    """Return the shape that Resize makes: given sizes, or sizes times scales, rounded down."""
    x = node.input(0)
    axes = node.integers("axes") or tuple(range(x.rank))
    shape = list(x.shape)
    sizes, at_scales = node.optional(3), 2 if node.opset >= 11 else 1
    scales: Sequence[float] | None = None
    if sizes is not None and sizes.shape != (0,):
        if sizes.elements is None:
            raise NotCountable("sizes computed from data")
        if len(sizes.elements) != len(axes):
            raise DataError(f"{node.describe()}: {len(sizes.elements)} sizes for {len(axes)} axes")
        policy = node.text("keep_aspect_ratio_policy", "stretch")
        given = dict(zip((node.axis(axis, x.rank) for axis in axes), sizes.elements, strict=True))
        if policy == "stretch":
            return [given.get(i, size) for i, size in enumerate(shape)]
        return _kept_ratio(node, shape, given, min if policy == "not_larger" else max)
    value = node.optional(at_scales)
    if node.opset < 9:
        listed = node.attributes.get("scales")
        scales = [each for each in listed if isinstance(each, float)] if isinstance(listed, tuple) else None
    elif value is not None:
        scales = value.numbers if value.elements is None else [float(each) for each in integers(value) or ()]
    if scales is None:
        raise NotCountable("scales computed from data")
    if len(scales) != len(axes):
        raise DataError(f"{node.describe()}: {len(scales)} scales for {len(axes)} axes")
    for axis, scale in zip(axes, scales, strict=True):
        at = node.axis(axis, x.rank)
        shape[at] = _scaled(node, shape[at], scale)
    return shape


def _scaled(node: Node, size: Size, scale: float) -> Size:
    if not 0 < scale < 2**31:
        raise DataError(f"{node.describe()}: a scale of {scale}")
    exact = Fraction(scale)
    return math.floor(size * exact) if isinstance(size, int) else whole(size * exact.numerator // exact.denominator)


def _kept_ratio(
    node: Node, shape: Sequence[Size], given: Mapping[int, Size], pick: Callable[[Iterable[Fraction]], Fraction]
) -> list[Size]:
    """Return a shape of the same proportions, no larger (or smaller) than the sizes given; halves round up."""
    plain = [(i, size, shape[i]) for i, size in given.items()]
    ratios = [Fraction(size, n) for _, size, n in plain if isinstance(size, int) and isinstance(n, int) and n > 0]
    if len(ratios) != len(plain):
        raise NotCountable("keep_aspect_ratio_policy over named dims: bind them with at=")
    scale = pick(ratios)
    return [
        math.floor(n * scale + Fraction(1, 2)) if i in given and isinstance(n, int) else n for i, n in enumerate(shape)
    ]


def _resize(b: Builder, node: Node) -> Result:
    x, mode = node.input(0), node.text("mode", "nearest")
    mode = _MODES.get(mode, mode)
    if mode not in ("nearest", "linear", "cubic"):
        raise DataError(f"{node.describe()}: mode must be nearest, linear or cubic, is {mode!r}")
    shape = _target(b, node)
    changed = [i for i in range(x.rank) if shape[i] != x.shape[i]]
    if not changed:
        return x
    op = f"interpolate_{mode}"
    filtered: dict[str, AttrValue] = {"antialias": True} if node.integer("antialias", 0) and mode != "nearest" else {}
    if min(changed) >= 2 and x.rank <= 5:
        return b.emit(node, op, [x], {"output_size": shape[2:]} | filtered)
    # The changed dims last, all others in one before them.
    others = [i for i in range(x.rank) if i not in changed]
    order = others + changed
    turned = order != sorted(order)
    if turned:
        x = b.emit(node, "transpose", [x], {"permutation": order})
        shape = [shape[i] for i in order]
    n = len(others)
    image = b.emit(node, "reshape", [x], {"shape": [1, product(x.shape[:n]), *x.shape[n:]]})
    result = b.emit(
        node, "reshape", [b.emit(node, op, [image], {"output_size": shape[n:]} | filtered)], {"shape": shape}
    )
    if not turned:
        return result
    return b.emit(node, "transpose", [result], {"permutation": [order.index(i) for i in range(x.rank)]})


def _grid_sample(b: Builder, node: Node) -> Result:
    mode = node.text("mode", "linear")
    return b.emit(node, "grid_sample", [node.input(0), node.input(1)], {"mode": _MODES.get(mode, mode)})


def _affine_grid(b: Builder, node: Node) -> Result:
    theta, size = node.input(0), node.input(1).elements
    if size is None:
        raise NotCountable("a size computed from data")
    places, dims = tuple(size[2:]), len(size) - 2
    grid = Value("places", theta.dtype, (1, product(places), dims + 1))
    turned = b.emit(node, "transpose", [theta], {"permutation": [0, 2, 1]})
    moved = b.emit(node, "matmul", [grid, turned])
    return b.emit(node, "reshape", [moved], {"shape": [size[0], *places, dims]})


def _roi_align(b: Builder, node: Node) -> Result:
    size = [node.integer("output_height", 1), node.integer("output_width", 1)]
    attrs: dict[str, AttrValue] = {"output_size": size, "sampling_ratio": max(node.integer("sampling_ratio", 0), 0)}
    return b.emit(node, "roi_align", [node.input(i) for i in range(3)], attrs)


def _max_roi_pool(b: Builder, node: Node) -> Result:
    """Maxima over the bins of each box: a bound, all boxes as large as the image, whose bins are those of a pool."""
    x, boxes, size = node.input(0), node.input(1), node.integers("pooled_shape")
    if x.rank != 4 or boxes.rank != 2 or size is None or len(size) != 2:
        raise DataError(f"{node.describe()}: it takes [N, C, H, W], [boxes, 5] and a pooled_shape of two numbers")
    parts = Value("parts", x.dtype, (boxes.shape[0], *x.shape[1:]))
    return b.emit(node, "adaptive_max_pool", [parts], {"output_size": list(size)})


def _col2im(b: Builder, node: Node) -> Result:
    x, image, block = node.input(0), integers(node.input(1)), integers(node.input(2))
    if image is None or block is None:
        raise NotCountable("a shape computed from data")
    attrs = window(node, image, block) | {"kernel": list(block), "output_size": list(image)}
    return b.emit(node, "fold", [x], attrs)


def _deform_conv(b: Builder, node: Node) -> Result:
    x, weight, offset = node.input(0), b.weight(node, node.input(1)), node.input(2)
    if x.rank != 4 or weight.rank != 4 or offset.rank != 4:
        raise NotCountable("DeformConv of other than two spatial dims")
    bias = node.optional(3)
    attrs = window(node, x.shape[2:], kernel_of(node, weight)) | {"groups": node.integer("group", 1)}
    inputs = [x, weight, offset, None if bias is None else b.weight(node, bias), node.optional(4)]
    return b.emit(node, "deform_conv", inputs, attrs)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "AffineGrid": _affine_grid,
        "Col2Im": _col2im,
        "DeformConv": _deform_conv,
        "GridSample": _grid_sample,
        "MaxRoiPool": _max_roi_pool,
        "Resize": _resize,
        "RoiAlign": _roi_align,
        "Upsample": _resize,
    }
)
