"""Whisper: an encoder over sound and a decoder over tokens (Radford et al. 2022, arXiv 2212.04356)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .modules import Activation, Modules

__all__ = ["Whisper", "whisper"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisper:
    """What a Whisper is made of.

    Parameters
    ----------
    encoder_layers, decoder_layers, encoder_heads, decoder_heads, encoder_intermediate, decoder_intermediate
        Layers, heads and the width inside the feed-forward, of each side.
    hidden, vocab, mel_bins, source_positions, target_positions
        Width of the residual stream, rows of the token embedding, bands of the spectrogram, positions after the
        second convolution (half the frames), and positions of the decoder.
    activation
        Non-linearity of the feed-forward; that of the convolutions is the exact GELU.
    embeddings
        ``"tied"`` when the output layer reads the embedding.
    head
        Logits over the vocabulary, or the hidden states of the decoder.
    dtype
        Number format of weights and activations.
    """

    encoder_layers: int
    decoder_layers: int
    encoder_heads: int
    decoder_heads: int
    encoder_intermediate: int
    decoder_intermediate: int
    hidden: int
    vocab: int
    mel_bins: int = 80
    source_positions: int = 1500
    target_positions: int = 448
    activation: Activation = "gelu"
    embeddings: Literal["tied", "separate"] = "tied"
    head: Literal["logits", "none"] = "logits"
    dtype: str = "float32"


def whisper(
    spec: Whisper, *, batch: int | Expr, seq: int | Expr, name: str = "whisper", origin: str = "builder"
) -> Graph:
    """Return the graph of one forward pass: a whole window of sound, and `seq` tokens of its text, without a cache.

    Parameters
    ----------
    spec
        The model.
    batch, seq
        Windows at a time and tokens the decoder reads, integers or dims.
    name, origin
        Of the graph, and of its nodes.

    Returns
    -------
    Graph
        Inputs ``input_features`` [batch, mel_bins, 2 * source_positions] and ``decoder_input_ids`` [batch, seq].
    """
    graph = Graph(name)
    modules = Modules(graph, spec.dtype, origin)
    sound = graph.input("input_features", (batch, spec.mel_bins, 2 * spec.source_positions), spec.dtype, origin=origin)
    with graph.scope("model.encoder"):
        x = _convolution(modules, spec, sound, "conv1", 1)
        x = _convolution(modules, spec, x, "conv2", 2)
        x = graph.transpose(x, (0, 2, 1), name="frames", origin=origin)
        with graph.scope("embed_positions"):
            x = modules.add(x, modules.parameter("weight", spec.source_positions, spec.hidden), "add_positions")
        x = _stack(modules, spec, [x])
        x = modules.layer_norm(x, "layer_norm")
    ids = graph.input("decoder_input_ids", (batch, seq), "int64", origin=origin)
    places = modules.constant("position_ids", (seq,), "int64")
    with graph.scope("model.decoder"):
        y, table = modules.embedding(ids, "embed_tokens", spec.vocab, spec.hidden)
        positions, _ = modules.embedding(places, "embed_positions", spec.target_positions, spec.hidden)
        y = modules.add(y, positions, "add_positions")
        y = _stack(modules, spec, [y, x])
        y = modules.layer_norm(y, "layer_norm")
    if spec.head == "logits":
        tied = table if spec.embeddings == "tied" else None
        y = modules.linear(y, "proj_out", spec.vocab, bias=False, weight=tied)
    graph.output(y)
    return graph


def _convolution(modules: Modules, spec: Whisper, x: Tensor, name: str, stride: int) -> Tensor:
    channels = x.shape[1]
    assert isinstance(channels, int)
    graph = modules.graph
    with graph.scope(name):
        weight, bias = modules.parameter("weight", spec.hidden, channels, 3), modules.parameter("bias", spec.hidden)
        x = graph.conv(x, weight, bias, stride=stride, padding=1, name=name, origin=modules.origin)
    return modules.activate(x, "gelu", "gelu")


def _stack(outer: Modules, spec: Whisper, args: list[Tensor]) -> Tensor:
    """Place all layers of one side; a second argument is what the encoder made, which the layers attend to."""
    decoder = len(args) == 2
    block = outer.graph.subgraph("decoder_layer" if decoder else "encoder_layer")
    modules = outer.within(block)
    x, *encoded = [block.input(f"hidden{i}", arg.shape, spec.dtype, origin=outer.origin) for i, arg in enumerate(args)]
    heads = spec.decoder_heads if decoder else spec.encoder_heads
    y = modules.layer_norm(x, "self_attn_layer_norm")
    with block.scope("self_attn"):
        y = _attention(modules, spec, y, y, heads, "top_left" if decoder else "none")
    x = modules.add(x, y)
    for source in encoded:
        y = modules.layer_norm(x, "encoder_attn_layer_norm")
        with block.scope("encoder_attn"):
            y = _attention(modules, spec, y, source, heads, "none")
        x = modules.add(x, y)
    y = modules.layer_norm(x, "final_layer_norm")
    width = spec.decoder_intermediate if decoder else spec.encoder_intermediate
    y = modules.activate(modules.linear(y, "fc1", width, bias=True), spec.activation)
    block.output(modules.add(x, modules.linear(y, "fc2", spec.hidden, bias=True)))
    layers = spec.decoder_layers if decoder else spec.encoder_layers
    called = outer.graph.call(block, args, times=layers, scope="layers", origin=outer.origin)
    assert isinstance(called, Tensor)
    return called


def _attention(
    modules: Modules, spec: Whisper, x: Tensor, source: Tensor, heads: int, causal: Literal["none", "top_left"]
) -> Tensor:
    query, key, value = (
        modules.heads_first(
            modules.split_heads(modules.linear(y, f"{part}_proj", spec.hidden, bias=part != "k"), heads, part), part
        )
        for part, y in (("q", x), ("k", source), ("v", source))
    )
    return modules.linear(modules.attend(query, key, value, causal), "out_proj", spec.hidden, bias=True)
