"""Operators that only a running program shows: fused kernels, and those of the backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flopcore.graph import Tensor

from .torch_call import Call, Handler, NotCountable
from .torch_contractions import spread

__all__: list[str] = []


def _statistics(call: Call, *made: Tensor) -> list[Tensor | None]:
    """Return what was made, and constants for the other outputs of a fused kernel."""
    rest = call.outputs[len(made) :]
    return [*made, *(None if each is None else call.constant(each[0], each[1]) for each in rest)]


def _attention(call: Call) -> list[Tensor | None]:
    """A fused kernel of scaled dot-product attention, in any of its variants."""
    q, k, v = call.tensor("query"), call.tensor("key"), call.tensor("value")
    mask = call.get("attn_mask", call.get("attn_bias"))
    causal = "top_left" if call.get("is_causal", False) else "none"
    return _statistics(call, call.op("attention", [q, k, v, mask], causal=causal))


def _attention_backward(call: Call) -> list[Tensor | None]:
    """Gradients of attention from stored row statistics: five products, the scores computed again.

    Dao et al. 2022, arXiv 2205.14135, algorithm 4: S = Q K^T, dV = P^T dO, dP = dO V^T, dQ = dS K, dK = dS^T Q.
    """
    grad = call.args[0]
    q, k, v = call.tensor("query"), call.tensor("key"), call.tensor("value")

    def transposed(x: Tensor) -> Tensor:
        rank = len(x.shape)
        return call.op("transpose", [x], permutation=[*range(rank - 2), rank - 1, rank - 2])  # type: ignore[no-any-return]

    scores = call.op("matmul", [q, transposed(k)])
    weights = call.op("exp", [call.op("sub", [scores, call.constant(dtype=q.dtype)])])
    grad_v = call.op("matmul", [transposed(weights), grad])
    grad_weights = call.op("matmul", [grad, transposed(v)])
    rows = call.op("reduce_sum", [call.op("mul", [grad, grad])], axes=[len(grad.shape) - 1], keepdims=True)
    grad_scores = call.op("mul", [weights, call.op("sub", [grad_weights, rows])])
    grad_q = call.op("matmul", [grad_scores, k])
    grad_k = call.op("matmul", [transposed(grad_scores), q])
    return _statistics(call, grad_q, grad_k, grad_v)


def _convolution_backward(call: Call) -> list[Tensor | None]:
    """Gradients of a convolution: of its input a transposed one, of its weight a product over batch and places.

    Dumoulin and Visin 2016, arXiv 1603.07285, section 4; each costs as many multiply-adds as the convolution.
    """
    grad, x, weight = call.args[:3]
    if call.get("transposed", False):
        raise NotCountable("the gradient of a transposed convolution")
    groups = call.get("groups", 1)
    n = len(weight.shape) - 2
    stride, padding, dilation = (spread(call.get(name), n) for name in ("stride", "padding", "dilation"))
    mask = call.get("output_mask")
    made: list[Tensor | None] = [None, None, None]
    if mask[0]:
        left = [
            x.shape[2 + i]
            - ((grad.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1)
            for i in range(n)
        ]
        made[0] = call.op(
            "conv_transpose", [grad, weight, None], stride=stride, padding=[*padding, *padding], dilation=dilation,
            output_padding=left, groups=groups,
        )  # fmt: skip
    if mask[1]:
        # Rows are the outputs of a group, columns its taps, the sum runs over batch and places.
        places = grad.shape[0]
        taps = weight.shape[1]
        for i in range(n):
            places *= grad.shape[2 + i]
            taps *= weight.shape[2 + i]
        rows = call.reshape(grad, (groups, weight.shape[0] // groups, places))
        columns = call.constant((groups, places, taps), x.dtype)
        made[1] = call.reshape(call.op("matmul", [rows, columns]), weight.shape)
    if mask[2]:
        axes = [0, *range(2, len(grad.shape))]
        made[2] = call.op("reduce_sum", [grad], axes=axes, keepdims=False)
    return made


def _embedding_backward(call: Call) -> Any:
    """Rows of the gradient added into a table of zeros."""
    grad, ids = call.args[:2]
    width = grad.shape[-1]
    count = 1
    for size in ids.shape:
        count *= size
    table = call.constant()
    updates = call.reshape(grad, (count, width))
    places = call.reshape(ids, (count,))
    return call.op("index_update", [table, places, updates], axis=0, reduction="add")


FUSED: Mapping[str, Handler] = {
    **dict.fromkeys(
        [
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
            "_scaled_dot_product_fused_attention_overrideable",
        ],
        _attention,
    ),
    **dict.fromkeys(
        [
            "_scaled_dot_product_flash_attention_backward",
            "_scaled_dot_product_flash_attention_for_cpu_backward",
            "_scaled_dot_product_efficient_attention_backward",
            "_scaled_dot_product_cudnn_attention_backward",
            "_scaled_dot_product_fused_attention_overrideable_backward",
        ],
        _attention_backward,
    ),
    "convolution_backward": _convolution_backward,
    "embedding_dense_backward": _embedding_backward,
}
