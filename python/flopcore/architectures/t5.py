"""T5: an encoder and a decoder over tokens, positions as a bias on scores (Raffel et al. 2019, arXiv 1910.10683)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .modules import Activation, Modules

__all__ = ["T5", "t5"]


@dataclass(frozen=True, slots=True, kw_only=True)
class T5:
    """What a T5 is made of.

    Parameters
    ----------
    encoder_layers, decoder_layers
        Number of layers of each side.
    hidden, intermediate, heads, head_dim, vocab, buckets
        Width of the residual stream and inside the feed-forward, heads and the width of one, rows of the shared
        embedding, and of the table of relative positions.
    positions
        Whether all layers of a side share the table of the first, or each has its own (UMT5).
    activation, feed_forward
        Non-linearity, and whether it stands between two matrices (``"plain"``) or gates a third (``"gated"``, T5 1.1).
    embeddings
        ``"tied"`` when the output layer reads the embedding.
    scaled_output
        Whether the hidden states are multiplied by a number before the output layer, as where it is tied.
    head
        Logits over the vocabulary, the hidden states of the decoder, or the encoder alone.
    dtype
        Number format of weights and activations.
    """

    encoder_layers: int
    decoder_layers: int
    hidden: int
    intermediate: int
    heads: int
    head_dim: int
    vocab: int
    buckets: int = 32
    positions: Literal["first_layer", "each_layer"] = "first_layer"
    activation: Activation = "relu"
    feed_forward: Literal["plain", "gated"] = "plain"
    embeddings: Literal["tied", "separate"] = "tied"
    scaled_output: bool = True
    head: Literal["logits", "none", "encoder"] = "logits"
    dtype: str = "float32"


def t5(
    spec: T5,
    *,
    batch: int | Expr,
    seq: int | Expr,
    decoder_seq: int | Expr,
    name: str = "t5",
    origin: str = "builder",
) -> Graph:
    """Return the graph of one forward pass over whole sequences, without a cache.

    Parameters
    ----------
    spec
        The model.
    batch, seq, decoder_seq
        Sequences at a time, tokens the encoder reads, and tokens the decoder writes; integers or dims.
    name, origin
        Of the graph, and of its nodes.

    Returns
    -------
    Graph
        Inputs ``input_ids`` [batch, seq] and ``decoder_input_ids`` [batch, decoder_seq]; scopes are those of
        transformers, but that each side's table of relative positions stands outside of its first layer.

    Examples
    --------
    >>> from flopcore.architectures.t5 import T5, t5
    >>> spec = T5(encoder_layers=6, decoder_layers=6, hidden=512, intermediate=2048, heads=8, head_dim=64, vocab=32128)
    >>> t5(spec, batch=1, seq=128, decoder_seq=128).parameters
    60506624
    """
    graph = Graph(name)
    modules = Modules(graph, spec.dtype, origin)
    ids = graph.input("input_ids", (batch, seq), "int64", origin=origin)
    x, table = modules.embedding(ids, "shared", spec.vocab, spec.hidden)
    with graph.scope("encoder"):
        x = _stack(modules, spec, [x], spec.encoder_layers)
    if spec.head == "encoder":
        graph.output(x)
        return graph
    written = graph.input("decoder_input_ids", (batch, decoder_seq), "int64", origin=origin)
    y = graph.embedding(table, written, name="shared", origin=origin)
    with graph.scope("decoder"):
        y = _stack(modules, spec, [y, x], spec.decoder_layers)
    if spec.head == "logits":
        tied = spec.embeddings == "tied"
        if spec.scaled_output:
            y = modules.mul(y, modules.constant("scale"), "scale")
        y = modules.linear(y, "lm_head", spec.vocab, bias=False, weight=table if tied else None)
    graph.output(y)
    return graph


def _positions(modules: Modules, spec: T5, x: Tensor, name: str) -> Tensor:
    """Return the bias [1, heads, seq, seq] that a table gives to each pair of positions."""
    seq = x.shape[1]
    pairs = modules.constant("relative_positions", (seq, seq), "int64")
    bias, _ = modules.embedding(pairs, name, spec.buckets, spec.heads)
    bias = modules.turn(bias, (2, 0, 1), "position_bias")
    return modules.shaped(bias, (1, spec.heads, seq, seq), "position_bias")


def _stack(outer: Modules, spec: T5, args: list[Tensor], layers: int) -> Tensor:
    """Place all layers of one side; a second argument is what the encoder made, which the layers attend to."""
    decodes, table = len(args) == 2, "layer.0.SelfAttention.relative_attention_bias"
    block = outer.graph.subgraph("decoder_layer" if decodes else "encoder_layer")
    modules = outer.within(block)
    shared = [_positions(outer, spec, args[0], f"block.0.{table}")] if spec.positions == "first_layer" else []
    x, *encoder = [
        block.input(name, arg.shape, spec.dtype, origin=outer.origin)
        for name, arg in zip(("hidden", "encoder_hidden"), args, strict=False)
    ]
    given = [block.input("position_bias", each.shape, spec.dtype, origin=outer.origin) for each in shared]
    bias = given[0] if given else _positions(modules, spec, x, table)
    with block.scope("layer.0"):
        y = modules.rms_norm(x, "layer_norm")
        with block.scope("SelfAttention"):
            y = _attention(modules, spec, y, y, bias, "top_left" if decodes else "none")
        x = modules.add(x, y)
    for encoded in encoder:
        with block.scope("layer.1"):
            y = modules.rms_norm(x, "layer_norm")
            with block.scope("EncDecAttention"):
                y = _attention(modules, spec, y, encoded, None, "none")
            x = modules.add(x, y)
    with block.scope(f"layer.{len(args)}"):
        y = modules.rms_norm(x, "layer_norm")
        with block.scope("DenseReluDense"):
            if spec.feed_forward == "gated":
                gate = modules.activate(modules.linear(y, "wi_0", spec.intermediate, bias=False), spec.activation)
                y = modules.mul(gate, modules.linear(y, "wi_1", spec.intermediate, bias=False), "gate")
            else:
                y = modules.activate(modules.linear(y, "wi", spec.intermediate, bias=False), spec.activation)
            y = modules.linear(y, "wo", spec.hidden, bias=False)
        block.output(modules.add(x, y))
    called = outer.graph.call(block, [*args, *shared], times=layers, scope="block", origin=outer.origin)
    assert isinstance(called, Tensor)
    return outer.rms_norm(called, "final_layer_norm")


def _attention(
    modules: Modules, spec: T5, x: Tensor, source: Tensor, bias: Tensor | None, causal: Literal["none", "top_left"]
) -> Tensor:
    width = spec.heads * spec.head_dim
    query, key, value = (
        modules.heads_first(modules.split_heads(modules.linear(y, part, width, bias=False), spec.heads, part), part)
        for part, y in (("q", x), ("k", source), ("v", source))
    )
    return modules.linear(modules.attend(query, key, value, causal, mask=bias), "o", spec.hidden, bias=False)
