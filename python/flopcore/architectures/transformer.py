"""Decoder-only transformers with rotary positions: one description of the family, one builder.

Equal layers that follow each other are one block that is called as often as there are, each call with weights of its
own; layers that differ (a window, a mixture of experts) are blocks of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .experts import Experts, mixture
from .modules import Activation, Modules

__all__ = ["Decoder", "Latent", "decoder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), keys and values expanded.

    Parameters
    ----------
    query_rank
        Width of the latent that queries are made of; None makes them in one step.
    rank
        Width of the latent that keys and values are made of.
    plain_dim, rotary_dim, value_dim
        Widths of a head: the part of a key that is not turned, the part that is (one for all heads), and of a value.
    """

    query_rank: int | None
    rank: int
    plain_dim: int
    rotary_dim: int
    value_dim: int


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
        ``"before"`` each sublayer, ``"after"`` it, before its result joins the residual stream, or ``"both"``.
    residual
        ``"sequential"`` sublayers, or both ``"parallel"`` on the same normed input.
    qk_norm
        An RMS norm before the rotation over each ``"head"``, or over the whole ``"projection"``.
    window, windowed
        How many positions a query of a windowed layer sees, itself among them, and which layers are windowed; without
        `windowed` all are if there is a window.
    softcap, logits_softcap
        Whether scores, and logits, are bounded by a tanh (Gemma 2, arXiv 2408.00118, section 2).
    sinks
        Whether each head has a learned score that joins the sum of the softmax (gpt-oss).
    latent
        Multi-head latent attention in the place of keys and values per head.
    experts, sparse
        A mixture of experts in the place of the feed-forward, and which layers have it; without `sparse` all have.
    router
        Name of its router.
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
    norm_place: Literal["before", "after", "both"] = "before"
    residual: Literal["sequential", "parallel"] = "sequential"
    qk_norm: Literal["none", "head", "projection"] = "none"
    window: int | None = None
    windowed: tuple[bool, ...] = ()
    softcap: bool = False
    logits_softcap: bool = False
    sinks: bool = False
    latent: Latent | None = None
    experts: Experts | None = None
    sparse: tuple[bool, ...] = ()
    router: str = "gate"
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
        for name in ("windowed", "sparse"):
            if len(getattr(self, name)) not in (0, self.layers):
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {self.layers} layers")
        turned = self.rotary_dim or (self.latent.rotary_dim if self.latent is not None else self.head_dim)
        if not 0 < 2 * self.n_angles <= self.head_dim or 2 * self.n_angles != turned:
            raise ValueError(
                f"rotary_dim={self.rotary_dim} must be even, positive and at most head_dim={self.head_dim}"
            )

    @property
    def n_angles(self) -> int:
        """Return the number of pairs that are turned in each head."""
        if self.latent is not None:
            return self.latent.rotary_dim // 2
        return (self.head_dim if self.rotary_dim is None else self.rotary_dim) // 2

    @property
    def kinds(self) -> list[tuple[bool, bool]]:
        """Return, for each layer, whether it is windowed and whether it is a mixture of experts."""
        windowed = self.windowed or (self.window is not None,) * self.layers
        sparse = self.sparse or (self.experts is not None,) * self.layers
        return [
            (self.window is not None and a, self.experts is not None and b)
            for a, b in zip(windowed, sparse, strict=True)
        ]


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
    blocks: dict[tuple[bool, bool], Graph] = {}
    first = 0
    for kind, equal in groupby(spec.kinds):
        if kind not in blocks:
            blocks[kind] = _layer(modules, spec, x, cos, sin, *kind)
        count = len(list(equal))
        place = str(first) if count == 1 else f"[{first}..{first + count - 1}]"
        called = graph.call(blocks[kind], [x, cos, sin], times=count, scope=f"model.layers.{place}", origin=origin)
        assert isinstance(called, Tensor)
        x, first = called, first + count
    x = _norm(modules, spec, x, "model.final_layernorm" if spec.names == "phi" else "model.norm")
    if spec.head == "logits":
        tied = table if spec.embeddings == "tied" else None
        x = modules.linear(x, "lm_head", spec.vocab, bias=spec.head_bias, weight=tied)
        if spec.logits_scale:
            x = graph.div(x, modules.constant("scale"), name="scale", origin=origin)
        if spec.logits_softcap:
            x = graph.div(x, modules.constant("cap"), name="softcap", origin=origin)
            x = modules.mul(graph.tanh(x, name="softcap", origin=origin), modules.constant("cap"), "softcap")
    graph.output(x)
    return graph


def _layer(
    outer: Modules, spec: Decoder, hidden: Tensor, cos: Tensor, sin: Tensor, windowed: bool, sparse: bool
) -> Graph:
    """Return the block of one layer."""
    block = outer.graph.subgraph("layer" + "_windowed" * windowed + "_sparse" * sparse)
    modules = outer.within(block)
    x = block.input("hidden", hidden.shape, spec.dtype, origin=outer.origin)
    cosines = block.input("cos", cos.shape, spec.dtype, origin=outer.origin)
    sines = block.input("sin", sin.shape, spec.dtype, origin=outer.origin)

    def attention(y: Tensor) -> Tensor:
        attend = _attention if spec.latent is None else _latent_attention
        return attend(modules, spec, y, cosines, sines, windowed)

    def feed_forward(y: Tensor) -> Tensor:
        if sparse and spec.experts is not None:
            return mixture(modules, spec.experts, y, spec.activation, router=spec.router)
        return _mlp(modules, spec, y)

    def sublayer(x: Tensor, scope: str, before: str, after: str) -> Tensor:
        y = x if spec.norm_place == "after" else _norm(modules, spec, x, before)
        with block.scope(scope):
            y = attention(y) if scope == "self_attn" else feed_forward(y)
        if spec.norm_place != "before":
            y = _norm(modules, spec, y, after)
        if spec.residual_scale:
            y = modules.mul(y, modules.constant("scale"), "scale")
        return modules.add(x, y)

    if spec.residual == "parallel":
        normed = _norm(modules, spec, x, "input_layernorm")
        with block.scope("self_attn"):
            y = attention(normed)
        with block.scope("mlp"):
            z = feed_forward(normed)
        block.output(modules.add(modules.add(y, z), x))
        return block
    x = sublayer(x, "self_attn", "input_layernorm", "post_attention_layernorm")
    before = "pre_feedforward_layernorm" if spec.norm_place == "both" else "post_attention_layernorm"
    x = sublayer(x, "mlp", before, "post_feedforward_layernorm")
    block.output(x)
    return block


def _norm(modules: Modules, spec: Decoder, x: Tensor, name: str) -> Tensor:
    if spec.norm == "layer":
        return modules.layer_norm(x, name)
    return modules.rms_norm(x, name, offset=spec.norm == "rms_offset")


def _attend(modules: Modules, spec: Decoder, q: Tensor, k: Tensor, v: Tensor, windowed: bool) -> Tensor:
    sinks = modules.parameter("sinks", spec.heads) if spec.sinks else None
    window = spec.window if windowed else None
    return modules.attend(q, k, v, "top_left", window=window, softcap=spec.softcap, sinks=sinks)


def _latent_attention(modules: Modules, spec: Decoder, x: Tensor, cos: Tensor, sin: Tensor, windowed: bool) -> Tensor:
    """Queries, keys and values by way of latents; the turned part of the key is one for all heads."""
    latent = spec.latent
    assert latent is not None
    width = latent.plain_dim + latent.rotary_dim
    graph, origin = modules.graph, modules.origin
    if latent.query_rank is None:
        query = modules.linear(x, "q_proj", spec.heads * width, bias=False)
    else:
        query = modules.rms_norm(modules.linear(x, "q_a_proj", latent.query_rank, bias=spec.qkv_bias), "q_a_layernorm")
        query = modules.linear(query, "q_b_proj", spec.heads * width, bias=False)
    query = modules.heads_first(modules.split_heads(query, spec.heads, "q"), "q")
    turned = modules.rotate(modules.part(query, latent.plain_dim, width, "q"), cos, sin)
    query = graph.concat([modules.part(query, 0, latent.plain_dim, "q"), turned], axis=3, name="q", origin=origin)
    joint = modules.linear(x, "kv_a_proj_with_mqa", latent.rank + latent.rotary_dim, bias=spec.qkv_bias)
    pairs = modules.rms_norm(modules.part(joint, 0, latent.rank, "kv"), "kv_a_layernorm")
    pairs = modules.linear(pairs, "kv_b_proj", spec.heads * (latent.plain_dim + latent.value_dim), bias=False)
    pairs = modules.heads_first(modules.split_heads(pairs, spec.heads, "kv"), "kv")
    single = modules.part(joint, latent.rank, latent.rank + latent.rotary_dim, "k_rot")
    single = modules.rotate(modules.heads_first(modules.split_heads(single, 1, "k_rot"), "k_rot"), cos, sin)
    batch, _, seq, _ = single.shape
    spread = graph.op(
        "expand", [single], {"shape": [batch, spec.heads, seq, latent.rotary_dim]}, name="k_rot", origin=origin
    )
    assert isinstance(spread, Tensor)
    key = graph.concat([modules.part(pairs, 0, latent.plain_dim, "k"), spread], axis=3, name="k", origin=origin)
    value = modules.part(pairs, latent.plain_dim, latent.plain_dim + latent.value_dim, "v")
    mixed = _attend(modules, spec, query, key, value, windowed)
    return modules.linear(mixed, "o_proj", spec.hidden, bias=spec.out_bias)


def _attention(modules: Modules, spec: Decoder, x: Tensor, cos: Tensor, sin: Tensor, windowed: bool) -> Tensor:
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
    mixed = _attend(modules, spec, query, key, heads(flat[2], "v", spec.kv_heads), windowed)
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
