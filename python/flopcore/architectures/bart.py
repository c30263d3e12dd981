"""BART and its kin: an encoder and a decoder with layer norms, linear layers with biases and absolute positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .modules import Activation, Causal, Modules

__all__ = ["Bart", "Side", "bart", "place_side"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The layers of an encoder or a decoder.

    Parameters
    ----------
    layers, heads, hidden, intermediate
        Layers, heads, width of the residual stream, and inside the feed-forward.
    activation
        Non-linearity of the feed-forward.
    norm_place
        Whether norms stand ``"before"`` a sublayer, or are taken of the sum ``"after"`` it.
    key_bias
        Whether the projection to keys has a bias, as all others have.
    """

    layers: int
    heads: int
    hidden: int
    intermediate: int
    activation: Activation = "gelu"
    norm_place: Literal["before", "after"] = "before"
    key_bias: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Bart:
    """What a BART (Lewis et al. 2019, arXiv 1910.13461), mBART, Pegasus, Marian or M2M-100 is made of.

    Parameters
    ----------
    encoder, decoder
        The two sides; of one width.
    vocab
        Rows of the embedding that both share.
    positions
        Rows of each side's table of positions; 0 where positions are computed.
    embedding_norm, final_norm
        Whether each side norms its embeddings, and what its layers give.
    embedding_scale
        Whether embeddings are multiplied by a number.
    embeddings
        ``"tied"`` when the output layer reads the embedding.
    head
        Logits over the vocabulary, or the hidden states of the decoder.
    logits_bias
        Whether a fixed bias joins the logits.
    dtype
        Number format of weights and activations.
    """

    encoder: Side
    decoder: Side
    vocab: int
    positions: int
    embedding_norm: bool = True
    final_norm: bool = False
    embedding_scale: bool = False
    embeddings: Literal["tied", "separate"] = "tied"
    head: Literal["logits", "none"] = "logits"
    logits_bias: bool = True
    dtype: str = "float32"


def bart(
    spec: Bart,
    *,
    batch: int | Expr,
    seq: int | Expr,
    decoder_seq: int | Expr,
    name: str = "bart",
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
        Inputs ``input_ids`` [batch, seq] and ``decoder_input_ids`` [batch, decoder_seq].
    """
    graph = Graph(name)
    modules = Modules(graph, spec.dtype, origin)
    ids = graph.input("input_ids", (batch, seq), "int64", origin=origin)
    written = graph.input("decoder_input_ids", (batch, decoder_seq), "int64", origin=origin)
    x, table = modules.embedding(ids, "model.shared", spec.vocab, spec.encoder.hidden)
    y = graph.embedding(table, written, name="shared", origin=origin)
    with graph.scope("model.encoder"):
        x = _around(modules, spec, spec.encoder, x, [])
    with graph.scope("model.decoder"):
        y = _around(modules, spec, spec.decoder, y, [x])
    if spec.head == "logits":
        tied = table if spec.embeddings == "tied" else None
        y = modules.linear(y, "lm_head", spec.vocab, bias=False, weight=tied)
        if spec.logits_bias:
            y = modules.add(y, modules.constant("final_logits_bias", (1, spec.vocab)), "final_logits_bias")
    graph.output(y)
    return graph


def _around(modules: Modules, spec: Bart, side: Side, x: Tensor, encoded: list[Tensor]) -> Tensor:
    """Return what one side makes of embedded tokens."""
    seq = x.shape[1]
    if spec.embedding_scale:
        x = modules.mul(x, modules.constant("scale"), "scale")
    if spec.positions:
        places = modules.constant("position_ids", (seq,), "int64")
        rows, _ = modules.embedding(places, "embed_positions", spec.positions, side.hidden)
    else:
        rows = modules.constant("embed_positions", (seq, side.hidden))
    x = modules.add(x, rows, "add_positions")
    if spec.embedding_norm:
        x = modules.layer_norm(x, "layernorm_embedding")
    x = place_side(modules, side, [x, *encoded])
    return modules.layer_norm(x, "layer_norm") if spec.final_norm else x


def place_side(outer: Modules, side: Side, args: Sequence[Tensor]) -> Tensor:
    """Place all layers of one side; a second argument is what the encoder made, which the layers attend to."""
    decodes = len(args) == 2
    block = outer.graph.subgraph("decoder_layer" if decodes else "encoder_layer")
    modules = outer.within(block)
    x, *encoded = [block.input(f"hidden{i}", arg.shape, outer.dtype, origin=outer.origin) for i, arg in enumerate(args)]
    before = side.norm_place == "before"

    def attend(x: Tensor, source: Tensor | None, name: str, causal: Causal) -> Tensor:
        y = modules.layer_norm(x, f"{name}_layer_norm") if before else x
        with block.scope(name):
            y = _attention(modules, side, y, y if source is None else source, causal)
        x = modules.add(x, y)
        return x if before else modules.layer_norm(x, f"{name}_layer_norm")

    x = attend(x, None, "self_attn", "top_left" if decodes else "none")
    for source in encoded:
        x = attend(x, source, "encoder_attn", "none")
    y = modules.layer_norm(x, "final_layer_norm") if before else x
    y = modules.activate(modules.linear(y, "fc1", side.intermediate, bias=True), side.activation)
    x = modules.add(x, modules.linear(y, "fc2", side.hidden, bias=True))
    block.output(x if before else modules.layer_norm(x, "final_layer_norm"))
    called = outer.graph.call(block, list(args), times=side.layers, scope="layers", origin=outer.origin)
    assert isinstance(called, Tensor)
    return called


def _attention(modules: Modules, side: Side, x: Tensor, source: Tensor, causal: Causal) -> Tensor:
    query, key, value = (
        modules.heads_first(
            modules.split_heads(modules.linear(y, name, side.hidden, bias=bias), side.heads, name), name
        )
        for name, y, bias in (("q_proj", x, True), ("k_proj", source, side.key_bias), ("v_proj", source, True))
    )
    return modules.linear(modules.attend(query, key, value, causal), "out_proj", side.hidden, bias=True)
