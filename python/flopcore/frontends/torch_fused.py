"""Operators that only a running program shows: fused kernels, and those of the backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flopcore.graph import Tensor

from .torch_call import Call, Handler
from .torch_contractions import spread
from .unsupported import NotCountable

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


def _recurrent_backward(call: Call) -> list[Tensor | None]:
    """Gradients of the kernel of one layer of `torch.nn.LSTM`, from the gates that it stored.

    A unit at a step: do = dh tanh(c); dc += dh o (1 - tanh(c)^2); di = dc g; dg = dc i; df = dc c'; dc' = dc f;
    of a sigmoid s: d s (1 - s); of tanh: d (1 - g^2); and dh takes the gradient of the next step. Then four products.
    """
    x, of_input, of_state = call.args[:3]
    steps, batch, width = x.shape
    hidden = of_state.shape[-1]
    rows, gates = steps * batch, of_input.shape[0]

    def made(*shape: Any) -> Tensor:
        return call.constant(shape, x.dtype)

    for op, times in (("mul", 16), ("add", 4), ("sub", 4), ("tanh", 1)):
        parts = [made(times, rows, gates // 4)] * (1 if op == "tanh" else 2)
        call.op(op, parts)
    grad = made(rows, gates)
    turned = call.op("transpose", [grad], permutation=[1, 0])
    grad_x = call.reshape(call.op("matmul", [grad, of_input]), (steps, batch, width))
    grad_state = call.op("matmul", [grad, of_state])
    grad_of_input = call.op("matmul", [turned, call.reshape(x, (rows, width))])
    grad_of_state = call.op("matmul", [turned, made(rows, hidden)])
    bias = call.op("reduce_sum", [grad], axes=[0], keepdims=False)
    first = call.op("slice", [grad_state], axis=0, start=0, stop=batch)
    ends = [None if each is None else call.reshape(first, each[0]) for each in call.outputs[5:6]]
    rest = [None if each is None else call.constant(*each) for each in call.outputs[6:]]
    return [grad_x, grad_of_input, grad_of_state, bias, bias, *ends, *rest]


def _pack(call: Call) -> list[Tensor | None]:
    """The steps that sequences of several lengths have, one after the other."""
    x = call.args[0]
    flat = call.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))
    picks = call.constant((call.shape[0],), "int64")
    return _statistics(call, call.op("gather", [flat, picks], axis=0))


def _self_attention(call: Call, x: Tensor, heads: int, weights: tuple[Tensor | None, ...]) -> Tensor:
    """Projections packed in one, attention over heads, the projection of their results; x is [batch, seq, width]."""
    of_input, of_input_bias, of_output, of_output_bias = weights
    mask = call.get("mask")
    batch, seq, width = x.shape
    if mask is not None:
        sides = {0: (1, 1, seq, seq), 1: (batch, 1, 1, seq)}.get(call.get("mask_type"))
        mask = mask if sides is None else call.reshape(mask, sides)
    size = call.get("embed_dim") // heads
    packed = call.reshape(call.op("linear", [x, of_input, of_input_bias]), (batch, seq, 3, heads, size))
    parts = call.ops("unbind", [call.op("transpose", [packed], permutation=[2, 0, 3, 1, 4])], axis=0)
    found = call.op("transpose", [call.op("attention", [*parts, mask])], permutation=[0, 2, 1, 3])
    result: Tensor = call.op("linear", [call.reshape(found, (batch, seq, width)), of_output, of_output_bias])
    return result


def _multi_head_attention(call: Call) -> list[Tensor | None]:
    """`torch.nn.MultiheadAttention` without gradients, as one kernel."""
    x = call.tensor("query")
    if call.tensor("key").id != x.id or call.tensor("value").id != x.id:
        raise NotCountable("attention over another sequence, as one kernel")
    names = ("qkv_weight", "qkv_bias", "proj_weight", "proj_bias")
    weights = tuple(call.get(name) for name in names)
    return _statistics(call, _self_attention(call, x, call.get("num_head"), weights))


def _encoder_layer(call: Call) -> Tensor:
    """`torch.nn.TransformerEncoderLayer` without gradients, as one kernel."""
    x = call.tensor("src")
    names = ("qkv_weight", "qkv_bias", "proj_weight", "proj_bias")
    weights = tuple(call.get(name) for name in names)

    def norm(x: Tensor, number: int) -> Tensor:
        scale, shift = call.get(f"norm_weight_{number}"), call.get(f"norm_bias_{number}")
        return call.op("layer_norm", [x, scale, shift], normalized_ndim=1)  # type: ignore[no-any-return]

    def network(x: Tensor) -> Tensor:
        inner = call.op("linear", [x, call.get("ffn_weight_1"), call.get("ffn_bias_1")])
        active = call.op("gelu" if call.get("use_gelu") else "relu", [inner])
        return call.op("linear", [active, call.get("ffn_weight_2"), call.get("ffn_bias_2")])  # type: ignore[no-any-return]

    first = call.get("norm_first")
    for number, part in ((1, lambda y: _self_attention(call, y, call.get("num_heads"), weights)), (2, network)):
        x = call.op("add", [x, part(norm(x, number) if first else x)])
        x = x if first else norm(x, number)
    return x


FUSED: Mapping[str, Handler] = {
    "mkldnn_rnn_layer_backward": _recurrent_backward,
    "_pack_padded_sequence": _pack,
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
    "_native_multi_head_attention": _multi_head_attention,
    "_transformer_encoder_layer_fwd": _encoder_layer,
    "convolution_backward": _convolution_backward,
    "embedding_dense_backward": _embedding_backward,
}
