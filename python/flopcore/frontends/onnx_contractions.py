"""Rules for matrix products, convolutions, attention and recurrent layers of ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from flopcore.errors import DataError
from flopcore.graph import AttrValue

from .onnx_build import Builder, Result, Rule
from .onnx_values import Node, Value, dtype_name, whole
from .onnx_windows import kernel_of, window
from .unsupported import NotCountable

__all__: list[str] = []


def _gemm(b: Builder, node: Node) -> Result:
    x, y, c = node.input(0), node.input(1), node.optional(2)
    if x.rank != 2 or y.rank != 2:
        raise DataError(f"{node.describe()}: operands must have 2 dims, have {x.rank} and {y.rank}")
    a = b.emit(node, "transpose", [x], {"permutation": [1, 0]}) if node.integer("transA", 0) else x
    transposed = node.integer("transB", 0) != 0
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    # A constant matrix may be stored either way round: laid out [out, in] it is a linear layer.
    weight = None
    if y.learned != "never":
        weight = b.weight(node, y) if transposed else b.transposed_weight(node, y)
    if weight is not None:
        out = y.shape[0] if transposed else y.shape[1]
        fused = c is not None and c.learned != "never" and c.shape == (out,) and alpha == beta == 1.0
        bias = b.weight(node, c) if c is not None and fused else None
        result = b.emit(node, "linear", [a, weight, bias])
        c = None if fused else c
    else:
        right: Value = b.emit(node, "transpose", [y], {"permutation": [1, 0]}) if transposed else y
        result = b.emit(node, "matmul", [a, right])
    if alpha != 1.0:
        result = b.emit(node, "mul", [result, _scalar(b, node, result.dtype)])
    if c is not None:
        addend = b.weight(node, c)
        if beta != 1.0:
            addend = b.emit(node, "mul", [addend, _scalar(b, node, result.dtype)])
        result = b.emit(node, "add", [result, addend])
    return result


def _scalar(b: Builder, node: Node, dtype: str) -> Value:
    return Value(node.name, dtype, ())


def _conv(b: Builder, node: Node) -> Result:
    x, weight = node.input(0), node.input(1)
    attrs = window(node, x.shape[2:], kernel_of(node, weight), named=True) | {"groups": node.integer("group", 1)}
    bias = node.optional(2)
    return b.emit(node, "conv", [x, b.weight(node, weight), None if bias is None else b.weight(node, bias)], attrs)


def _conv_transpose(b: Builder, node: Node) -> Result:
    x, weight, bias = node.input(0), node.input(1), node.optional(2)
    kernel = kernel_of(node, weight)
    rank = len(kernel)
    stride = node.integers("strides") or (1,) * rank
    dilation = node.integers("dilations") or (1,) * rank
    more = list(node.integers("output_padding") or (0,) * rank)
    pads = list(node.integers("pads") or (0,) * (2 * rank))
    if not len(stride) == len(dilation) == len(more) == rank == x.rank - 2 or len(pads) != 2 * rank:
        raise DataError(f"{node.describe()}: its window attributes must fit {x.rank - 2} spatial dims")
    auto, wanted = node.text("auto_pad", "NOTSET"), node.integers("output_shape")
    if wanted is not None or auto in ("SAME_UPPER", "SAME_LOWER"):
        # The output is given, or is the input times the stride: the padding is what makes it so.
        for i, size in enumerate(x.shape[2:]):
            out = size * stride[i] if wanted is None else wanted[len(wanted) - rank + i]
            total = whole(stride[i] * (size - 1) + more[i] + (kernel[i] - 1) * dilation[i] + 1 - out)
            if not isinstance(total, int):
                raise NotCountable("output_shape over a named dim: bind it with at=")
            more[i] += max(-total, 0)  # the output is wider than the taps reach
            less, rest = max(total, 0) // 2, max(total, 0) - max(total, 0) // 2
            pads[i], pads[rank + i] = (less, rest) if auto == "SAME_UPPER" else (rest, less)
    elif auto == "VALID":
        pads = [0] * (2 * rank)
    attrs: dict[str, AttrValue] = {"stride": list(stride), "dilation": list(dilation), "padding": pads}
    attrs |= {"output_padding": more, "groups": node.integer("group", 1)}
    inputs = [x, b.weight(node, weight), None if bias is None else b.weight(node, bias)]
    return b.emit(node, "conv_transpose", inputs, attrs)


def _einsum(b: Builder, node: Node) -> Result:
    equation = node.text("equation", "")
    return b.emit(node, "einsum", [b.weight(node, value) for value in node.tensors()], {"equation": equation})


# ----------------------------------------------------------------------------------------------- integers
def _matmul_integer(b: Builder, node: Node) -> Result:
    inputs = [node.input(0), b.weight(node, node.input(1)), node.optional(2), node.optional(3)]
    return b.emit(node, "quantized_matmul", inputs, {"dtype": "int32"})


def _qlinear_matmul(b: Builder, node: Node) -> Result:
    x, x_scale, x_zero, y, y_scale, y_zero, scale, zero = (node.optional(i) for i in range(8))
    dtype = node.input(7).dtype
    return b.emit(node, "quantized_matmul", [x, y, x_zero, y_zero, x_scale, y_scale, scale, zero], {"dtype": dtype})


def _conv_integer(b: Builder, node: Node) -> Result:
    x, weight = node.input(0), node.input(1)
    attrs = window(node, x.shape[2:], kernel_of(node, weight), named=True) | {
        "groups": node.integer("group", 1),
        "dtype": "int32",
    }
    inputs = [x, b.weight(node, weight), None, node.optional(2), node.optional(3)]
    return b.emit(node, "quantized_conv", inputs, attrs)


def _qlinear_conv(b: Builder, node: Node) -> Result:
    x, x_scale, x_zero, weight, w_scale, w_zero, scale, zero, bias = (node.optional(i) for i in range(9))
    if x is None or weight is None or zero is None:
        raise DataError(f"{node.describe()}: an input is missing")
    attrs = window(node, x.shape[2:], kernel_of(node, weight), named=True) | {
        "groups": node.integer("group", 1),
        "dtype": zero.dtype,
    }
    inputs = [x, weight, bias, x_zero, w_zero, x_scale, w_scale, scale, zero]
    return b.emit(node, "quantized_conv", inputs, attrs)


def _scale_attrs(node: Node) -> dict[str, AttrValue]:
    x = node.input(0)
    axis = node.axis(node.integer("axis", 1), x.rank) if node.input(1).rank else 0
    return {"axis": axis, "block_size": node.integer("block_size", 0)}


def _quantize(b: Builder, node: Node) -> Result:
    zero, code = node.optional(2), node.integer("output_dtype", 0)
    dtype = zero.dtype if zero is not None else dtype_name(code, "its output") if code else "uint8"
    return b.emit(node, "quantize_linear", [node.input(0), node.input(1), zero], _scale_attrs(node) | {"dtype": dtype})


def _dequantize(b: Builder, node: Node) -> Result:
    return b.emit(node, "dequantize_linear", [node.input(0), node.input(1), node.optional(2)], _scale_attrs(node))


def _dynamic_quantize(b: Builder, node: Node) -> Sequence[Result]:
    return b.emit_all(node, "dynamic_quantize_linear", [node.input(0)])


# ---------------------------------------------------------------------------------------------- attention
def _heads(b: Builder, node: Node, value: Value, attribute: str) -> Value:
    """Return [batch, heads, length, width] of a tensor that may be [batch, length, heads * width]."""
    if value.rank == 4:
        return value
    count = node.integer(attribute)
    batch, length, width = value.shape
    if isinstance(width, int) and (count < 1 or width % count):
        raise DataError(f"{node.describe()}: {attribute}={count} does not divide {width}")
    split = b.emit(node, "reshape", [value], {"shape": [batch, length, count, whole(width // count)]})
    return b.emit(node, "transpose", [split], {"permutation": [0, 2, 1, 3]})


def _attention(b: Builder, node: Node) -> Sequence[Result]:
    left, right = node.integer("left_window_size", -1), node.integer("right_window_size", -1)
    packed = node.input(0).rank == 3
    query = _heads(b, node, node.input(0), "q_num_heads")
    key, value = (_heads(b, node, node.input(i), "kv_num_heads") for i in (1, 2))
    cached = node.optional(4) is not None
    if cached:  # the new positions follow those of the cache
        key, value = (b.emit(node, "concat", [node.input(3 + i), x], {"axis": 2}) for i, x in ((1, key), (2, value)))
    # With a cache the first new query sees the positions before it; one that is passed whole is taken to be full.
    aligned = "bottom_right" if cached or node.optional(6) is not None else "top_left"
    causal = aligned if node.integer("is_causal", 0) else "none"
    if causal == "none" and aligned == "bottom_right" and max(left, right) >= 0:
        raise NotCountable("Attention with a window over a cache that is not causal")
    mask = node.optional(3)
    if mask is not None and mask.rank > 0 and mask.shape[-1] not in (1, key.shape[2]):  # what it lacks is masked
        short = whole(key.shape[2] - mask.shape[-1])
        mask = b.emit(node, "pad", [mask], {"padding": [0] * (2 * mask.rank - 1) + [short]})
    attrs: dict[str, AttrValue] = {"causal": causal, "window_left": max(left, -1)}
    if causal == "none":  # else no key to the right is seen anyway
        attrs["window_right"] = max(right, -1)
    attrs["softcap"] = node.number("softcap", 0.0) != 0.0
    result = b.emit(node, "attention", [query, key, value, mask], attrs)
    batch, heads, length, width = result.shape
    if packed:
        joined = b.emit(node, "transpose", [result], {"permutation": [0, 2, 1, 3]})
        result = b.emit(node, "reshape", [joined], {"shape": [batch, length, whole(heads * width)]})
    scores = (
        Value(node.outputs[3], query.dtype, (batch, heads, length, key.shape[2])) if len(node.outputs) > 3 else None
    )
    return [result, key, value, scores]


def _rotary(b: Builder, node: Node) -> Result:
    """Pairs of features turned by an angle: four products and two sums for each pair, the rest passed on."""
    x, cos, sin, positions = node.input(0), node.input(1), node.input(2), node.optional(3)
    shape = x.shape
    if x.rank == 3:
        count = node.integer("num_heads")
        if count < 1:
            raise DataError(f"{node.describe()}: num_heads is {count}")
        x = b.emit(node, "reshape", [x], {"shape": [shape[0], shape[1], count, whole(shape[2] // count)]})
    if positions is not None:
        cos, sin = (b.emit(node, "gather", [table, positions], {"axis": 0}) for table in (cos, sin))
    turned = node.integer("rotary_embedding_dim", 0) or x.shape[3]
    half = whole(turned // 2)
    heads_last = len(shape) == 3
    angles = [cos.shape[0], cos.shape[1], 1, half] if heads_last else [cos.shape[0], 1, cos.shape[1], half]
    cos, sin = (b.emit(node, "reshape", [table], {"shape": list(angles)}) for table in (cos, sin))
    rest = whole(x.shape[3] - turned)
    sizes = [half, half] if rest == 0 else [half, half, rest]
    one, two, *passed = b.emit_all(node, "split", [x], {"axis": 3, "sizes": sizes})
    real = b.emit(node, "sub", [b.emit(node, "mul", [one, cos]), b.emit(node, "mul", [two, sin])])
    imaginary = b.emit(node, "add", [b.emit(node, "mul", [one, sin]), b.emit(node, "mul", [two, cos])])
    result = b.emit(node, "concat", [real, imaginary, *passed], {"axis": 3})
    return b.emit(node, "reshape", [result], {"shape": list(shape)}) if heads_last else result


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "Attention": _attention,
        "Conv": _conv,
        "ConvInteger": _conv_integer,
        "ConvTranspose": _conv_transpose,
        "DequantizeLinear": _dequantize,
        "DynamicQuantizeLinear": _dynamic_quantize,
        "Einsum": _einsum,
        "Gemm": _gemm,
        "MatMulInteger": _matmul_integer,
        "QLinearConv": _qlinear_conv,
        "QLinearMatMul": _qlinear_matmul,
        "QuantizeLinear": _quantize,
        "RotaryEmbedding": _rotary,
    }
)
