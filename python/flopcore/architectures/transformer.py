"""Decoder-only transformers: one description of the family, one builder.

The layers are one block that is called as many times as there are layers, each call with weights of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

__all__ = ["Activation", "Decoder", "decoder"]

Activation: TypeAlias = Literal["silu", "gelu", "gelu_tanh", "relu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """What a decoder-only transformer with rotary positions, RMS norms and a gated feed-forward is made of.

    Parameters
    ----------
    layers, hidden, intermediate, vocab
        Number of layers, width of the residual stream, width inside the feed-forward, and of the vocabulary.
    heads, kv_heads, head_dim
        Query heads, the key-value heads they share, and the width of one head.
    activation
        Non-linearity of the feed-forward's gate.
    qkv_bias, out_bias, mlp_bias
        Whether the projections to queries, keys and values, the one back, and the feed-forward's have a bias.
    qk_norm
        Whether each query and key head passes an RMS norm before the rotation.
    embeddings
        ``"tied"`` when the output layer reads the input embedding, which is then counted once.
    head
        Whether the model ends in logits over the vocabulary or in the normed hidden states.
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
    activation: Activation = "silu"
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    embeddings: Literal["tied", "separate"] = "separate"
    head: Literal["logits", "none"] = "logits"
    dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "intermediate", "vocab", "heads", "kv_heads", "head_dim"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, is {value!r}")
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads={self.kv_heads} does not divide heads={self.heads}")
        if self.head_dim % 2:
            raise ValueError(f"head_dim={self.head_dim} is odd; rotary positions turn pairs")


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
    builder = _Builder(graph, spec, origin)
    ids = graph.input("input_ids", (batch, seq), "int64", origin=origin)
    with graph.scope("model.embed_tokens"):
        table = builder.parameter("weight", spec.vocab, spec.hidden)
        x = graph.embedding(table, ids, name="embed_tokens", origin=origin)
    angles = (seq, spec.head_dim // 2)
    cos = graph.constant(angles, spec.dtype, name="cos", origin=origin)
    sin = graph.constant(angles, spec.dtype, name="sin", origin=origin)
    layer = _layer(graph, spec, batch, seq, origin)
    called = graph.call(layer, [x, cos, sin], times=spec.layers, scope="model.layers", name="layers", origin=origin)
    assert isinstance(called, Tensor)
    x = builder.norm(called, "model.norm")
    if spec.head == "logits" and spec.embeddings == "tied":
        with graph.scope("lm_head"):
            x = graph.linear(x, table, name="lm_head", origin=origin)
    elif spec.head == "logits":
        x = builder.linear(x, "lm_head", spec.vocab, bias=False)
    graph.output(x)
    return graph


def _layer(graph: Graph, spec: Decoder, batch: int | Expr, seq: int | Expr, origin: str) -> Graph:
    block = graph.subgraph("layer")
    builder = _Builder(block, spec, origin)
    x = block.input("hidden", (batch, seq, spec.hidden), spec.dtype, origin=origin)
    cos = block.input("cos", (seq, spec.head_dim // 2), spec.dtype, origin=origin)
    sin = block.input("sin", (seq, spec.head_dim // 2), spec.dtype, origin=origin)
    normed = builder.norm(x, "input_layernorm")
    with block.scope("self_attn"):
        attended = builder.attention(normed, cos, sin, batch, seq)
    x = block.add(x, attended, name="residual", origin=origin)
    normed = builder.norm(x, "post_attention_layernorm")
    with block.scope("mlp"):
        fed = builder.feed_forward(normed)
    block.output(block.add(x, fed, name="residual", origin=origin))
    return block


class _Builder:
    """Places modules with their weights in one block."""

    def __init__(self, graph: Graph, spec: Decoder, origin: str) -> None:
        self._graph = graph
        self._spec = spec
        self._origin = origin

    def parameter(self, name: str, *shape: int) -> Tensor:
        return self._graph.parameter(name, shape, self._spec.dtype, origin=self._origin)

    def linear(self, x: Tensor, name: str, out: int, *, bias: bool) -> Tensor:
        width = x.shape[-1]
        assert isinstance(width, int)
        with self._graph.scope(name):
            weight = self.parameter("weight", out, width)
            term = self.parameter("bias", out) if bias else None
            return self._graph.linear(x, weight, term, name=name, origin=self._origin)

    def norm(self, x: Tensor, name: str) -> Tensor:
        width = x.shape[-1]
        assert isinstance(width, int)
        with self._graph.scope(name):
            return self._graph.rms_norm(x, self.parameter("weight", width), name=name, origin=self._origin)

    def attention(self, x: Tensor, cos: Tensor, sin: Tensor, batch: int | Expr, seq: int | Expr) -> Tensor:
        graph, spec, origin = self._graph, self._spec, self._origin

        def heads(name: str, count: int) -> Tensor:
            flat = self.linear(x, f"{name}_proj", count * spec.head_dim, bias=spec.qkv_bias)
            split = graph.reshape(flat, (batch, seq, count, spec.head_dim), name=name, origin=origin)
            if spec.qk_norm and name != "v":
                split = self.norm(split, f"{name}_norm")
            return graph.transpose(split, (0, 2, 1, 3), name=name, origin=origin)

        query = self.rotate(heads("q", spec.heads), cos, sin)
        key = self.rotate(heads("k", spec.kv_heads), cos, sin)
        value = heads("v", spec.kv_heads)
        mixed = graph.attention(query, key, value, causal="top_left", name="attention", origin=origin)
        joined = graph.transpose(mixed, (0, 2, 1, 3), name="join_heads", origin=origin)
        flat = graph.reshape(joined, (batch, seq, spec.heads * spec.head_dim), name="join_heads", origin=origin)
        return self.linear(flat, "o_proj", spec.hidden, bias=spec.out_bias)

    def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Turn each pair (i, i + half) of a head by its angle (Su et al. 2021, arXiv 2104.09864, equation 34)."""
        graph, origin, half = self._graph, self._origin, self._spec.head_dim // 2
        first = graph.slice(x, axis=3, start=0, stop=half, name="rotary", origin=origin)
        second = graph.slice(x, axis=3, start=half, stop=2 * half, name="rotary", origin=origin)

        def product(a: Tensor, b: Tensor) -> Tensor:
            return graph.mul(a, b, name="rotary", origin=origin)

        turned = [
            graph.sub(product(first, cos), product(second, sin), name="rotary", origin=origin),
            graph.add(product(second, cos), product(first, sin), name="rotary", origin=origin),
        ]
        return graph.concat(turned, axis=3, name="rotary", origin=origin)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Gated: down(activation(gate(x)) * up(x)) (Shazeer 2020, arXiv 2002.05202, equation 6)."""
        graph, spec, origin = self._graph, self._spec, self._origin
        gate = self.linear(x, "gate_proj", spec.intermediate, bias=spec.mlp_bias)
        up = self.linear(x, "up_proj", spec.intermediate, bias=spec.mlp_bias)
        with graph.scope("act_fn"):
            gate = self.activate(gate)
        product = graph.mul(gate, up, name="gate", origin=origin)
        return self.linear(product, "down_proj", spec.hidden, bias=spec.mlp_bias)

    def activate(self, x: Tensor) -> Tensor:
        graph, origin = self._graph, self._origin
        match self._spec.activation:
            case "silu":
                return graph.silu(x, name="act_fn", origin=origin)
            case "relu":
                return graph.relu(x, name="act_fn", origin=origin)
            case "gelu":
                return graph.gelu(x, name="act_fn", origin=origin)
            case "gelu_tanh":
                return graph.gelu(x, approximate="tanh", name="act_fn", origin=origin)
