"""Decoder-only transformers with rotary positions: one description of the family, one builder.

The layers are one block that is called as many times as there are layers, each call with weights of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .modules import Activation, Modules

__all__ = ["Decoder", "decoder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """What a decoder-only transformer with rotary positions is made of.

    Parameters
    ----------
    layers, hidden, intermediate, vocab
        Number of layers, width of the residual stream, width inside the feed-forward, and of the vocabulary.
    heads, kv_heads, head_dim
        Query heads, the key-value heads they share, and the width of one head.
    rotary_dim
        How much of each head is turned; None turns all of it.
    activation
        Non-linearity of the feed-forward.
    feed_forward
        ``"gated"`` with three matrices, ``"fused"`` with gate and up in one, or ``"plain"`` with two.
    projections
        Whether queries, keys and values have three matrices or one.
    qkv_bias, out_bias, mlp_bias
        Whether the projections to queries, keys and values, the one back, and the feed-forward's have a bias.
    norm
        ``"rms"``, ``"rms_offset"`` (its factor is 1 + weight), or ``"layer"`` (with weight and bias).
    norm_place
        ``"before"`` each sublayer, or ``"after"`` it, before its result joins the residual stream.
    residual
        ``"sequential"`` sublayers, or both ``"parallel"`` on the same normed input.
    qk_norm
        An RMS norm before the rotation over each ``"head"``, or over the whole ``"projection"``.
    embedding_scale, residual_scale, logits_scale
        Whether embeddings, what joins the residual stream, and logits are multiplied (logits: divided) by a number.
    embeddings
        ``"tied"`` when the output layer reads the input embedding, which is then counted once.
    head
        Whether the model ends in logits over the vocabulary or in the normed hidden states.
    head_bias
        Whether the output layer has a bias.
    names
        Whose names the modules have.
    dtype
        Number format of weights and activations.
    """

    layers: int
    hidden: int
    intermediate: int
    vocab: int
    heads: int
    kv_heads: int
    head_dim: int
    rotary_dim: int | None = None
    activation: Activation = "silu"
    feed_forward: Literal["gated", "fused", "plain"] = "gated"
    projections: Literal["separate", "fused"] = "separate"
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    norm: Literal["rms", "rms_offset", "layer"] = "rms"
    norm_place: Literal["before", "after"] = "before"
    residual: Literal["sequential", "parallel"] = "sequential"
    qk_norm: Literal["none", "head", "projection"] = "none"
    embedding_scale: bool = False
    residual_scale: bool = False
    logits_scale: bool = False
    embeddings: Literal["tied", "separate"] = "separate"
    head: Literal["logits", "none"] = "logits"
    head_bias: bool = False
    names: Literal["llama", "phi", "starcoder"] = "llama"
    dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "intermediate", "vocab", "heads", "kv_heads", "head_dim"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, is {value!r}")
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads={self.kv_heads} does not divide heads={self.heads}")
        if not 0 < 2 * self.n_angles <= self.head_dim or 2 * self.n_angles != (self.rotary_dim or self.head_dim):
            raise ValueError(
                f"rotary_dim={self.rotary_dim} must be even, positive and at most head_dim={self.head_dim}"
            )

    @property
    def n_angles(self) -> int:
        """Return the number of pairs that are turned in each head."""
        return (self.head_dim if self.rotary_dim is None else self.rotary_dim) // 2


def decoder(spec: Decoder, *, batch: int | Expr, seq: int | Expr, name: str = "", origin: str = "builder") -> Graph:
    """Return the graph of one forward pass over whole sequences, without a cache.

    Parameters
    ----------
    spec
        The model.
    batch, seq
        Sequences at a time and tokens in each, integers or dims.
    name, origin
        Of the graph, and of its nodes.

    Returns
    -------
    Graph
        Input ``input_ids`` [batch, seq]; output logits [batch, seq, vocab] or hidden states. The cosines and sines of
        the rotary embedding are constants: they depend on the position alone.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.architectures import transformer
    >>> spec = transformer.Decoder(
    ...     layers=2, hidden=64, intermediate=128, vocab=100, heads=4, kv_heads=2, head_dim=16
    ... )
    >>> transformer.decoder(spec, batch=1, seq=8).parameters
    86848
    """
    graph = Graph(name)
    modules = Modules(graph, spec.dtype, origin)
    ids = graph.input("input_ids", (batch, seq), "int64", origin=origin)
    x, table = modules.embedding(ids, "model.embed_tokens", spec.vocab, spec.hidden)
    if spec.embedding_scale:
        x = modules.mul(x, modules.constant("scale"), "scale")
    cos, sin = (modules.constant(part, (seq, spec.n_angles)) for part in ("cos", "sin"))
    called = graph.call(
        _layer(modules, spec, x, cos, sin),
        [x, cos, sin],
        times=spec.layers,
        scope="model.layers",
        origin=origin,
    )
    assert isinstance(called, Tensor)
    x = _norm(modules, spec, called, "model.final_layernorm" if spec.names == "phi" else "model.norm")
    if spec.head == "logits":
        tied = table if spec.embeddings == "tied" else None
        x = modules.linear(x, "lm_head", spec.vocab, bias=spec.head_bias, weight=tied)
        if spec.logits_scale:
            x = graph.div(x, modules.constant("scale"), name="scale", origin=origin)
    graph.output(x)
    return graph


def _layer(outer: Modules, spec: Decoder, hidden: Tensor, cos: Tensor, sin: Tensor) -> Graph:
    block = outer.graph.subgraph("layer")
    modules = outer.within(block)
    x = block.input("hidden", hidden.shape, spec.dtype, origin=outer.origin)
    cosines = block.input("cos", cos.shape, spec.dtype, origin=outer.origin)
    sines = block.input("sin", sin.shape, spec.dtype, origin=outer.origin)

    def sublayer(x: Tensor, scope: str, before: str, after: str) -> Tensor:
        y = _norm(modules, spec, x, before) if spec.norm_place == "before" else x
        with block.scope(scope):
            y = _attention(modules, spec, y, cosines, sines) if scope == "self_attn" else _mlp(modules, spec, y)
        if spec.norm_place == "after":
            y = _norm(modules, spec, y, after)
        if spec.residual_scale:
            y = modules.mul(y, modules.constant("scale"), "scale")
        return modules.add(x, y)

    if spec.residual == "parallel":
        normed = _norm(modules, spec, x, "input_layernorm")
        with block.scope("self_attn"):
            y = _attention(modules, spec, normed, cosines, sines)
        with block.scope("mlp"):
            z = _mlp(modules, spec, normed)
        block.output(modules.add(modules.add(y, z), x))
        return block
    x = sublayer(x, "self_attn", "input_layernorm", "post_attention_layernorm")
    x = sublayer(x, "mlp", "post_attention_layernorm", "post_feedforward_layernorm")
    block.output(x)
    return block


def _norm(modules: Modules, spec: Decoder, x: Tensor, name: str) -> Tensor:
    if spec.norm == "layer":
        return modules.layer_norm(x, name)
    return modules.rms_norm(x, name, offset=spec.norm == "rms_offset")


def _attention(modules: Modules, spec: Decoder, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    wide, narrow = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    if spec.projections == "fused":
        joint = modules.linear(x, "qkv_proj", wide + 2 * narrow, bias=spec.qkv_bias)
        ends = (0, wide, wide + narrow, wide + 2 * narrow)
        flat = [modules.part(joint, start, stop) for start, stop in pairwise(ends)]
    else:
        sizes = (("q", wide), ("k", narrow), ("v", narrow))
        flat = [modules.linear(x, f"{part}_proj", size, bias=spec.qkv_bias) for part, size in sizes]

    def heads(y: Tensor, part: str, count: int) -> Tensor:
        if spec.qk_norm == "projection" and part != "v":
            y = modules.rms_norm(y, f"{part}_norm")
        y = modules.split_heads(y, count, part)
        if spec.qk_norm == "head" and part != "v":
            y = modules.rms_norm(y, f"{part}_norm")
        return modules.heads_first(y, part)

    query, key = heads(flat[0], "q", spec.heads), heads(flat[1], "k", spec.kv_heads)
    query, key = modules.rotate(query, cos, sin), modules.rotate(key, cos, sin)
    mixed = modules.attend(query, key, heads(flat[2], "v", spec.kv_heads), "top_left")
    return modules.linear(mixed, "dense" if spec.names == "phi" else "o_proj", spec.hidden, bias=spec.out_bias)


def _mlp(modules: Modules, spec: Decoder, x: Tensor) -> Tensor:
    """Gated: down(activation(gate(x)) * up(x)) (Shazeer 2020, arXiv 2002.05202, equation 6)."""
    if spec.feed_forward == "plain":
        into, back = ("c_fc", "c_proj") if spec.names == "starcoder" else ("fc1", "fc2")
        inner = modules.activate(modules.linear(x, into, spec.intermediate, bias=spec.mlp_bias), spec.activation)
        return modules.linear(inner, back, spec.hidden, bias=spec.mlp_bias)
    if spec.feed_forward == "fused":
        joint = modules.linear(x, "gate_up_proj", 2 * spec.intermediate, bias=spec.mlp_bias)
        gate = modules.part(joint, 0, spec.intermediate)
        up = modules.part(joint, spec.intermediate, 2 * spec.intermediate)
    else:
        gate = modules.linear(x, "gate_proj", spec.intermediate, bias=spec.mlp_bias)
        up = modules.linear(x, "up_proj", spec.intermediate, bias=spec.mlp_bias)
    product = modules.mul(modules.activate(gate, spec.activation), up, "gate")
    return modules.linear(product, "down_proj", spec.hidden, bias=spec.mlp_bias)
