"""Contractions of PyTorch: products of matrices, convolutions, attention, recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from flopcore.graph import DimLike, Tensor

from .torch_call import Call, Handler
from .unsupported import NotCountable

__all__: list[str] = []


def _matmul(call: Call) -> Tensor:
    return call.product(*call.args[:2])


def _linear(call: Call) -> Tensor:
    x, weight, bias = call.tensor("input"), call.tensor("weight"), call.get("bias")
    if weight.id in call.stored:
        found = call.op("sparse_matmul", [x, _turned(call, weight)], sparse="right", nnz=call.stored[weight.id])
        return found if bias is None else call.op("add", [found, bias])  # type: ignore[no-any-return]
    return call.op("linear", [x, weight, bias])  # type: ignore[no-any-return]


def _turned(call: Call, weight: Tensor) -> Tensor:
    """The transpose of a sparse or packed matrix: the same elements, read the other way."""
    return call.reshape(weight, (weight.shape[1], weight.shape[0]))


def _added_product(call: Call) -> Tensor:
    """Beta * input + alpha * (a @ b)."""
    term, a, b = call.args[:3]
    product = call.product(a, b)
    for factor, name in ((call.kwargs.get("alpha", 1), "product"), (call.kwargs.get("beta", 1), "term")):
        if factor == 0 and name == "term":
            return product
        if factor != 1:
            scaled = call.op("mul", [product if name == "product" else term, call.constant()])
            product, term = (scaled, term) if name == "product" else (product, scaled)
    return call.op("add", [product, term])  # type: ignore[no-any-return]


def _outer(call: Call) -> Tensor:
    a, b = call.args
    return call.op("mul", [call.reshape(a, (*a.shape, 1)), b])  # type: ignore[no-any-return]


def _conv(call: Call) -> Tensor:
    """conv1d, conv2d, conv3d, and convolution, which has them all."""
    x, weight, bias = call.tensor("input"), call.tensor("weight"), call.get("bias")
    if call.get("transposed", False):
        return _transposed(call, x, weight, bias)
    n = len(weight.shape) - 2
    stride, dilation = spread(call.get("stride", 1), n), spread(call.get("dilation", 1), n)
    padding = call.get("padding", 0)
    if padding == "same":
        total = [dilation[i] * (_int(weight.shape[2 + i]) - 1) for i in range(n)]
        padding = [each // 2 for each in total], [each - each // 2 for each in total]
    elif padding == "valid":
        padding = [0] * n, [0] * n
    else:
        padding = spread(padding, n), spread(padding, n)
    batched = x if len(x.shape) == n + 2 else call.reshape(x, (1, *x.shape))
    found = call.op(
        "conv",
        [batched, weight, bias],
        stride=stride,
        dilation=dilation,
        padding=[*padding[0], *padding[1]],
        groups=call.get("groups", 1),
    )
    return found if batched is x else call.reshape(found, call.shape)


def _transposed(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    n = len(weight.shape) - 2
    batched = x if len(x.shape) == n + 2 else call.reshape(x, (1, *x.shape))
    padding = spread(call.get("padding", 0), n)
    found = call.op(
        "conv_transpose",
        [batched, weight, bias],
        stride=spread(call.get("stride", 1), n),
        dilation=spread(call.get("dilation", 1), n),
        padding=[*padding, *padding],
        output_padding=spread(call.get("output_padding", 0), n),
        groups=call.get("groups", 1),
    )
    return found if batched is x else call.reshape(found, call.shape)


def _conv_transpose(call: Call) -> Tensor:
    return _transposed(call, call.tensor("input"), call.tensor("weight"), call.get("bias"))


def spread(value: Any, n: int) -> list[int]:
    """Return one number per spatial dim, as ints."""
    if isinstance(value, int):
        return [value] * n
    values = [_int(each) for each in value]
    return values * n if len(values) == 1 else values


def _int(size: DimLike) -> int:
    if not isinstance(size, int):
        raise NotCountable(f"the size {size} must be a number")
    return size


def _attention(call: Call) -> Tensor:
    """Scaled dot-product attention; leading dims other than batch and heads are folded into the batch."""
    q, k, v = call.tensor("query"), call.tensor("key"), call.tensor("value")
    mask = call.get("attn_mask")
    lead = q.shape[:-3] if len(q.shape) > 2 else ()
    batch = prod(lead[1:], start=lead[0]) if lead else 1

    def four(x: Tensor) -> Tensor:
        heads = x.shape[-3] if len(x.shape) > 2 else 1
        return call.reshape(x, (batch, heads, *x.shape[-2:]))

    if isinstance(mask, Tensor):
        if len(mask.shape) > 4:
            raise NotCountable("a mask of more than four dims")
        if mask.dtype != "bool" and mask.dtype != q.dtype:
            mask = call.cast(mask, q.dtype)
    causal = "top_left" if call.get("is_causal", False) else "none"
    found = call.op("attention", [four(q), four(k), four(v), mask], causal=causal)
    return call.reshape(found, call.shape)


def _grouped(call: Call) -> Tensor:
    """A matrix product per group of rows (mixture of experts): rows [N, K], one matrix [K, M] per group."""
    a, b = call.args[:2]
    if len(a.shape) != 2 or len(b.shape) != 3:
        raise NotCountable("groups of columns or of the contracted dim")
    sizes = call.args[2] if len(call.args) > 2 else call.kwargs.get("offs")
    if not isinstance(sizes, Tensor):
        raise NotCountable("groups without offsets")
    found: Tensor = call.op("ragged_matmul", [a, b, sizes], ragged="rows")
    return found


def _einsum(call: Call) -> Tensor:
    """Operands from left to right, or in the order of `path`."""
    equation, operands = call.args[:2]
    path = call.get("path")
    attrs: dict[str, Any] = {"equation": equation.replace(" ", "")}
    if path:
        attrs["path"] = list(path)
    found: Tensor = call.op("einsum", operands, **attrs)
    return found


def _bilinear(call: Call) -> Tensor:
    return call.op("bilinear", [*call.args[:3], call.get("bias")])  # type: ignore[no-any-return]


CONTRACTIONS: Mapping[str, Handler] = {
    **dict.fromkeys(["mm", "bmm", "matmul", "mv", "dot", "vdot"], _matmul),
    "linear": _linear,
    **dict.fromkeys(["addmm", "baddbmm", "addmv", "_sparse_addmm"], _added_product),
    "outer": _outer,
    "bilinear": _bilinear,
    "einsum": _einsum,
    **dict.fromkeys(["conv1d", "conv2d", "conv3d", "convolution"], _conv),
    **dict.fromkeys(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], _conv_transpose),
    "scaled_dot_product_attention": _attention,
    **dict.fromkeys(["_grouped_mm", "grouped_mm_fallback"], _grouped),
}
