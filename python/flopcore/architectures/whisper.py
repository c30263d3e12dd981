"""Whisper: an encoder over sound and a decoder over tokens (Radford et al. 2022, arXiv 2212.04356)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .bart import Side, place_side
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
        x = place_side(modules, _side(spec, "encoder"), [x])
        x = modules.layer_norm(x, "layer_norm")
    ids = graph.input("decoder_input_ids", (batch, seq), "int64", origin=origin)
    places = modules.constant("position_ids", (seq,), "int64")
    with graph.scope("model.decoder"):
        y, table = modules.embedding(ids, "embed_tokens", spec.vocab, spec.hidden)
        positions, _ = modules.embedding(places, "embed_positions", spec.target_positions, spec.hidden)
        y = modules.add(y, positions, "add_positions")
        y = place_side(modules, _side(spec, "decoder"), [y, x])
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


def _side(spec: Whisper, name: Literal["encoder", "decoder"]) -> Side:
    """Return the layers of one side: those of BART with norms before, and keys without a bias."""
    decodes = name == "decoder"
    return Side(
        layers=spec.decoder_layers if decodes else spec.encoder_layers,
        heads=spec.decoder_heads if decodes else spec.encoder_heads,
        hidden=spec.hidden,
        intermediate=spec.decoder_intermediate if decodes else spec.encoder_intermediate,
        activation=spec.activation,
        key_bias=False,
    )
