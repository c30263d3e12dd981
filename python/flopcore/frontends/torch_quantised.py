"""Quantised operators of PyTorch: products of integers, and the conversions around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flopcore.graph import Tensor

from .torch_call import Call, Handler, Packed
from .torch_contractions import spread
from .unsupported import NotCountable

__all__: list[str] = []


def _converted(op: str) -> Handler:
    """To integers or from them: one scale, one for each entry of an axis, or one for each row (token)."""

    def handle(call: Call) -> Tensor:
        x, back = call.args[0], op == "dequantize_linear"
        axis, scale = call.get("axis"), call.get("scales", call.get("scale"))
        real, integer = (call.dtype, x.dtype) if back else (x.dtype, call.dtype)
        inputs = [x, _scale(call, scale, real), call.constant((), integer)]
        found: Tensor = call.op(op, inputs, axis=axis or 0, **({} if back else {"dtype": integer}))
        return found

    return handle


def _scale(call: Call, scale: Any, dtype: str) -> Tensor:
    return call.constant(scale.shape if isinstance(scale, Tensor) and "per_channel" in call.name else (), dtype)


def _extremes(call: Call) -> list[Tensor]:
    """Scale and zero point from the smallest and the greatest element: of all, or of each row (token)."""
    x = call.args[0]
    rows = "per_token" in call.name
    axes = [len(x.shape) - 1] if rows else list(range(len(x.shape)))
    low, high = (call.op(f"reduce_{end}", [x], axes=axes, keepdims=rows) for end in ("min", "max"))
    scale = call.op("div", [call.op("sub", [high, low]), call.constant((), x.dtype)])
    zero = call.op("round", [call.op("div", [low, scale])])
    outputs = [each for each in call.outputs if each is not None]
    return [
        call.reshape(call.cast(each, dtype), shape)
        for each, (shape, dtype) in zip((scale, zero), outputs, strict=False)
    ]


def _packed_linear(call: Call) -> Tensor:
    """A layer whose weight is packed: integers in, or floats that are quantised first by their own extremes."""
    packed = call.args[1]
    return _activated(call, _times_packed(call, call.args[0], packed, dynamic="dynamic" in call.name))


def _times_packed(call: Call, x: Tensor, packed: Packed, *, dynamic: bool, by_step: bool = False) -> Tensor:
    weight, bias = packed.weight, packed.bias
    if weight.dtype != "int8":
        return call.op("linear", [x, call.cast(weight, x.dtype), bias])  # type: ignore[no-any-return]
    matrix = call.reshape(weight, (weight.shape[1], weight.shape[0]))
    inputs = _rescaled(call, _by_extremes(call, x, by_step=by_step) if dynamic else x, matrix, dynamic=dynamic)
    found: Tensor = call.op("quantized_matmul", inputs, dtype="float32" if dynamic else call.dtype)
    if bias is not None:
        found = call.op("add", [found, call.constant(bias.shape, found.dtype)])
    return found


def _by_extremes(call: Call, x: Tensor, *, by_step: bool = False) -> Tensor:
    """Floats as integers between their smallest and their greatest, which may be those of each step (dim 0)."""
    for end in ("min", "max"):
        call.op(f"reduce_{end}", [x], axes=list(range(int(by_step), len(x.shape))), keepdims=False)
    scale, zero = call.constant((), "float32"), call.constant((), "uint8")
    return call.op("quantize_linear", [x, scale, zero], dtype="uint8")  # type: ignore[no-any-return]


def _rescaled(call: Call, x: Tensor, weight: Tensor, *, dynamic: bool) -> list[Tensor | None]:
    """Operands of a product with their scales, and that of the result if it is of integers too."""
    scale, zero = call.constant((), "float32"), call.constant((), "uint8")
    return [x, weight, zero, None, scale, scale, *([None, None] if dynamic else [scale, zero])]


def _packed_conv(call: Call) -> Tensor:
    """A convolution whose weight is packed."""
    x, packed = call.args[:2]
    if packed.settings.get("transpose"):
        raise NotCountable("a transposed convolution")
    n, dynamic = len(x.shape) - 2, "dynamic" in call.name
    shape = packed.weight.shape
    matrix = call.reshape(packed.weight, (*shape[:2], *shape[-n:]))  # one dim is packed as two, of which one is 1
    attrs = {name: spread(packed.settings[name][-n:], n) for name in ("stride", "padding", "dilation")}
    attrs["padding"] *= 2
    x, weight, *scales = _rescaled(call, _by_extremes(call, x) if dynamic else x, matrix, dynamic=dynamic)
    bias = None if packed.bias is None else call.constant(packed.bias.shape, "int32")
    inputs = [x, weight, bias, *scales]
    dtype = "float32" if dynamic else call.dtype
    return _activated(call, call.op("quantized_conv", inputs, groups=packed.settings["groups"], dtype=dtype, **attrs))


def _through_floats(op: str) -> Handler:
    """An op on floats, whose operands are dequantised and whose result is quantised again."""

    def handle(call: Call) -> Tensor:
        scale = call.constant((), "float32")
        operands = [each for each in call.args if isinstance(each, Tensor) and each.shape]
        floats = [
            call.op("dequantize_linear", [each, scale, call.constant((), each.dtype)])
            if each.dtype == call.dtype
            else each
            for each in operands
        ]
        if len(floats) == 1 and op in ("add", "mul"):
            floats.append(scale)
        found = _activated(call, call.op(op, floats))
        return call.op("quantize_linear", [found, scale, call.constant((), call.dtype)], dtype=call.dtype)  # type: ignore[no-any-return]

    return handle


def _joined(call: Call) -> Tensor:
    return _activated(call, call.op("concat", call.args[0], axis=call.get("dim", 0)))


# ------------------------------------------------------------------------------------------------- recurrent
_KINDS = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def _recurrent_layers(kind: str) -> Handler:
    """Layers with packed weights: the input of all steps in one product, the state of each step in its own."""

    def handle(call: Call) -> Any:
        x, params = call.args[0], call.args[2]
        n_layers, both, batch_first = call.args[4], call.args[7], call.args[8]
        if batch_first:
            x = call.op("transpose", [x], permutation=[1, 0, 2])
        directions = 2 if both else 1
        for layer in range(n_layers):
            results = [_layer(call, kind, x, params[layer * directions + side]) for side in range(directions)]
            x = results[0] if directions == 1 else call.op("concat", results, axis=2)
        rest = [call.constant(*each) for each in call.outputs[1:] if each is not None]
        return [call.op("transpose", [x], permutation=[1, 0, 2]) if batch_first else x, *rest]

    return handle


def _layer(call: Call, kind: str, x: Tensor, params: Sequence[Packed]) -> Tensor:
    of_input, of_state = params
    steps, batch, _ = x.shape
    hidden = of_state.weight.shape[1]
    state = call.constant((steps, batch, hidden), x.dtype)  # before each step
    parts = _times_packed(call, x, of_input, dynamic=True)
    return _gated(call, kind, parts, _times_packed(call, state, of_state, dynamic=True, by_step=True), state)


def _gated(call: Call, kind: str, a: Tensor, b: Tensor, state: Tensor) -> Tensor:
    """New states from the products with input and state, as in the ops lstm, gru and rnn."""
    if kind.startswith("rnn"):
        return call.op(kind.removeprefix("rnn_"), [call.op("add", [a, b])])  # type: ignore[no-any-return]
    axis, hidden = len(a.shape) - 1, state.shape[-1]
    if kind == "lstm":
        total = call.op("add", [a, b])
        i, f, g, o = call.ops("split", [total], axis=axis, sizes=[hidden] * 4)
        i, f, o = (call.op("sigmoid", [each]) for each in (i, f, o))
        g = call.op("tanh", [g])
        cell = call.op("add", [call.op("mul", [f, state]), call.op("mul", [i, g])])
        return call.op("mul", [o, call.op("tanh", [cell])])  # type: ignore[no-any-return]
    (ra, za, na), (rb, zb, nb) = (call.ops("split", [each], axis=axis, sizes=[hidden] * 3) for each in (a, b))
    r, z = (call.op("sigmoid", [call.op("add", [x, y])]) for x, y in ((ra, rb), (za, zb)))
    new = call.op("tanh", [call.op("add", [na, call.op("mul", [r, nb])])])
    return call.op("add", [call.op("mul", [z, call.op("sub", [state, new])]), new])  # type: ignore[no-any-return]


def _recurrent_cell(kind: str) -> Handler:
    """One step with packed weights."""

    def handle(call: Call) -> Any:
        x, state, of_input, of_state = call.args[:4]
        first = state[0] if isinstance(state, list) else state
        parts = _times_packed(call, x, of_input, dynamic=True)
        found = _gated(call, kind, parts, _times_packed(call, first, of_state, dynamic=True), first)
        return [found, call.constant(found.shape)] if isinstance(state, list) else found

    return handle


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
    **dict.fromkeys([f"quantize_per_{part}" for part in ("tensor", "channel", "token")], _converted("quantize_linear")),
    "dequantize": _converted("dequantize_linear"),
    **dict.fromkeys(
        [f"dequantize_per_{part}" for part in ("tensor", "channel", "token")], _converted("dequantize_linear")
    ),
    **dict.fromkeys(
        [
            "choose_qparams",
            "choose_qparams_symmetric",
            "choose_qparams_per_token",
            "choose_qparams_per_token_asymmetric",
        ],
        _extremes,
    ),
    **dict.fromkeys(
        [f"quantized_conv{n}d{end}" for n in (1, 2, 3) for end in ("", "_relu", "_dynamic")],
        _packed_conv,
    ),
    **{
        f"quantized_{op}{end}": _through_floats(op)
        for op in ("add", "mul")
        for end in ("", "_relu", "_scalar", "_scalar_relu")
    },
    **{f"quantized_batch_norm{n}d{end}": _through_floats("batch_norm") for n in (1, 2, 3) for end in ("", "_relu")},
    "quantized_hardswish": _through_floats("hard_swish"),
    "quantized_sigmoid": _through_floats("sigmoid"),
    "quantized_leaky_relu": _through_floats("leaky_relu"),
    **dict.fromkeys(["quantized_cat", "quantized_cat_relu"], _joined),
    **{f"quantized_{kind}": _recurrent_layers(kind) for kind in ("lstm", "gru")},
    **{f"quantized_quantized_{kind}_cell_dynamic": _recurrent_cell(kind) for kind in _KINDS},
    **dict.fromkeys(
        [f"quantized_linear{end}" for end in ("", "_relu", "_dynamic", "_relu_dynamic", "_dynamic_fp16")],
        _packed_linear,
    ),
    "_int_mm": _integer_product,
    "_weight_int8pack_mm": _weight_only,
    "_scaled_mm": _scaled_product,
}
