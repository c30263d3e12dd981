"""Quantised operators of PyTorch: products of integers, and the conversions around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flopcore.graph import Tensor

from .torch_call import Call, Handler
from .unsupported import NotCountable

__all__: list[str] = []


def _quantize(call: Call) -> Tensor:
    """One scale, or one for each element along an axis."""
    x = call.args[0]
    axis, scale = call.get("axis"), call.get("scales", call.get("scale"))
    found: Tensor = call.op(
        "quantize_linear",
        [x, _scale(call, scale, x.dtype), _zero_point(call, call.dtype)],
        axis=0 if axis is None else axis,
        dtype=call.dtype,
    )
    return found


def _dequantize(call: Call) -> Tensor:
    x = call.args[0]
    axis, scale = call.get("axis"), call.get("scales", call.get("scale"))
    found: Tensor = call.op(
        "dequantize_linear",
        [x, _scale(call, scale, call.dtype), _zero_point(call, x.dtype)],
        axis=0 if axis is None else axis,
    )
    return found


def _scale(call: Call, scale: Any, dtype: str) -> Tensor:
    shape = scale.shape if isinstance(scale, Tensor) and scale.shape != (1,) else ()
    return call.constant(shape, dtype)


def _zero_point(call: Call, dtype: str) -> Tensor:
    return call.constant((), dtype)


def _extremes(call: Call) -> list[Tensor]:
    """Scale and zero point from the smallest and the greatest element."""
    x = call.args[0]
    axes = list(range(len(x.shape)))
    low, high = (call.op(f"reduce_{end}", [x], axes=axes, keepdims=False) for end in ("min", "max"))
    scale = call.op("div", [call.op("sub", [high, low]), call.constant((), x.dtype)])
    zero = call.op("round", [call.op("div", [low, scale])])
    outputs = [each for each in call.outputs if each is not None]
    return [
        call.reshape(call.cast(each, dtype), shape)
        for each, (shape, dtype) in zip((scale, zero), outputs, strict=False)
    ]


def _packed_linear(call: Call) -> Tensor:
    """A layer whose weight is packed: integers in, or floats that are quantised first by their own extremes."""
    x, (weight, bias) = call.args[0], call.args[1]
    matrix = call.reshape(weight, (weight.shape[1], weight.shape[0]))
    dynamic = "dynamic" in call.name
    if weight.dtype != "int8":
        return _activated(call, call.op("linear", [x, call.cast(weight, x.dtype), bias]))
    scale, zero = call.constant((), "float32"), call.constant((), "uint8")
    if dynamic:
        axes = list(range(len(x.shape)))
        for end in ("min", "max"):
            call.op(f"reduce_{end}", [x], axes=axes, keepdims=False)
        x = call.op("quantize_linear", [x, scale, zero], dtype="uint8")
    results = [None, None] if dynamic else [scale, zero]
    found: Tensor = call.op(
        "quantized_matmul", [x, matrix, zero, None, scale, scale, *results], dtype="float32" if dynamic else call.dtype
    )
    if bias is not None:
        found = call.op("add", [found, call.constant(bias.shape, found.dtype)])
    return _activated(call, found)


def _activated(call: Call, found: Tensor) -> Tensor:
    return call.op("relu", [found]) if "relu" in call.name else found


def _integer_product(call: Call) -> Tensor:
    found: Tensor = call.op("quantized_matmul", list(call.args[:2]), dtype=call.dtype)
    return found


def _weight_only(call: Call) -> Tensor:
    """Weights of 8 bits that are converted where they are read; one scale for each output."""
    x, weight, scales = call.args[:3]
    found = call.op("linear", [x, call.cast(weight, x.dtype), None])
    return call.op("mul", [found, call.cast(scales, x.dtype)])  # type: ignore[no-any-return]


def _scaled_product(call: Call) -> Tensor:
    """A product of floats of 8 bits, times the scales of both."""
    a, b = call.args[:2]
    if a.dtype != b.dtype:
        raise NotCountable("a product of two formats")
    found = call.op("matmul", [a, b], dtype=call.dtype, accumulate="float32")
    found = call.op("mul", [found, call.constant()])
    bias = call.get("bias")
    return found if bias is None else call.op("add", [found, call.cast(bias, call.dtype)])  # type: ignore[no-any-return]


QUANTISED: Mapping[str, Handler] = {
    **dict.fromkeys(["quantize_per_tensor", "quantize_per_channel"], _quantize),
    **dict.fromkeys(["dequantize", "dequantize_per_tensor", "dequantize_per_channel"], _dequantize),
    "choose_qparams": _extremes,
    **dict.fromkeys(
        [f"quantized_linear{end}" for end in ("", "_relu", "_dynamic", "_relu_dynamic", "_dynamic_fp16")],
        _packed_linear,
    ),
    "_int_mm": _integer_product,
    "_weight_int8pack_mm": _weight_only,
    "_scaled_mm": _scaled_product,
}
