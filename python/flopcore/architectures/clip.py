"""CLIP: a tower over text and a tower over images that meet in one space (Radford et al. 2021, arXiv 2103.00020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .modules import Activation, Modules

__all__ = ["ClipText", "ClipVision", "clip", "clip_layers", "clip_text", "clip_vision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipText:
    """The tower over text.

    Parameters
    ----------
    layers, hidden, intermediate, heads, vocab, positions
        Layers, width of the residual stream and inside the feed-forward, heads, rows of the two embeddings.
    activation
        Non-linearity of the feed-forward.
    """

    layers: int = 12
    hidden: int = 512
    intermediate: int = 2048
    heads: int = 8
    vocab: int = 49408
    positions: int = 77
    activation: Activation = "quick_gelu"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipVision:
    """The tower over images.

    Parameters
    ----------
    layers, hidden, intermediate, heads
        Layers, width of the residual stream and inside the feed-forward, heads.
    image, patch, channels
        Height and width of the image and of a patch, and channels of the image.
    activation
        Non-linearity of the feed-forward.
    """

    layers: int = 12
    hidden: int = 768
    intermediate: int = 3072
    heads: int = 12
    image: int = 224
    patch: int = 32
    channels: int = 3
    activation: Activation = "quick_gelu"


def clip(
    text: ClipText,
    vision: ClipVision,
    *,
    width: int,
    texts: int | Expr,
    images: int | Expr,
    seq: int | Expr,
    dtype: str = "float32",
    origin: str = "builder",
) -> Graph:
    """Return the graph that scores every text against every image.

    Parameters
    ----------
    text, vision
        The two towers.
    width
        Of the common space.
    texts, images, seq
        How many of each, and tokens of a text; integers or dims.
    dtype, origin
        Number format of weights and activations, and origin of the nodes.

    Returns
    -------
    Graph
        Inputs ``input_ids`` [texts, seq] and ``pixel_values`` [images, channels, image, image]; output [texts, images].
    """
    graph = Graph("clip")
    modules = Modules(graph, dtype, origin)
    with graph.scope("vision_model"):
        image = _vision(modules, vision, images)[1]
    with graph.scope("text_model"):
        words = _text(modules, text, texts, seq)[1]
    sides = []
    for name, side in (("text_projection", words), ("visual_projection", image)):
        side = modules.linear(side, name, width, bias=False)
        sides.append(modules.unit(side, "norm"))
    transposed = graph.transpose(sides[1], (1, 0), name="scores", origin=origin)
    scores = graph.matmul(sides[0], transposed, name="scores", origin=origin)
    scale = graph.op("exp", [modules.parameter("logit_scale")], name="scale", origin=origin)
    graph.output(modules.mul(scores, scale, "scale"))
    return graph


def clip_text(
    spec: ClipText,
    *,
    batch: int | Expr,
    seq: int | Expr,
    width: int | None = None,
    dtype: str = "float32",
    origin: str = "builder",
) -> Graph:
    """Return the graph of the tower over text, projected to `width` if one is given."""
    graph = Graph("clip_text_model")
    modules = Modules(graph, dtype, origin)
    with graph.scope("text_model"):
        x, pooled = _text(modules, spec, batch, seq)
    graph.output(x, pooled if width is None else modules.linear(pooled, "text_projection", width, bias=False))
    return graph


def clip_vision(
    spec: ClipVision,
    *,
    batch: int | Expr,
    width: int | None = None,
    dtype: str = "float32",
    origin: str = "builder",
) -> Graph:
    """Return the graph of the tower over images, projected to `width` if one is given."""
    graph = Graph("clip_vision_model")
    modules = Modules(graph, dtype, origin)
    with graph.scope("vision_model"):
        x, pooled = _vision(modules, spec, batch)
    graph.output(x, pooled if width is None else modules.linear(pooled, "visual_projection", width, bias=False))
    return graph


def _text(modules: Modules, spec: ClipText, batch: int | Expr, seq: int | Expr) -> tuple[Tensor, Tensor]:
    """Return the hidden states, and that of the last token of each text."""
    graph = modules.graph
    ids = graph.input("input_ids", (batch, seq), "int64", origin=modules.origin)
    places = modules.constant("position_ids", (seq,), "int64")
    with graph.scope("embeddings"):
        x, _ = modules.embedding(ids, "token_embedding", spec.vocab, spec.hidden)
        positions, _ = modules.embedding(places, "position_embedding", spec.positions, spec.hidden)
        x = modules.add(x, positions, "add_positions")
    x = modules.layer_norm(clip_layers(modules, spec, x, "top_left"), "final_layer_norm")
    return x, modules.first_token(x)


def _vision(modules: Modules, spec: ClipVision, batch: int | Expr) -> tuple[Tensor, Tensor]:
    """Return the hidden states, and the normed one of the class token."""
    graph, origin = modules.graph, modules.origin
    pixels = graph.input(
        "pixel_values", (batch, spec.channels, spec.image, spec.image), modules.dtype, origin=modules.origin
    )
    n_patches = (spec.image // spec.patch) ** 2
    with graph.scope("embeddings"):
        with graph.scope("patch_embedding"):
            weight = modules.parameter("weight", spec.hidden, spec.channels, spec.patch, spec.patch)
            x = graph.conv(pixels, weight, stride=spec.patch, name="patch_embedding", origin=origin)
        x = graph.flatten(x, axis=2, name="patches", origin=origin)
        x = graph.transpose(x, (0, 2, 1), name="patches", origin=origin)
        row = modules.constant("class_ids", (batch, 1), "int64")
        token, _ = modules.embedding(row, "class_embedding", 1, spec.hidden)
        x = graph.concat([token, x], axis=1, name="with_class", origin=origin)
        places = modules.constant("position_ids", (n_patches + 1,), "int64")
        positions, _ = modules.embedding(places, "position_embedding", n_patches + 1, spec.hidden)
        x = modules.add(x, positions, "add_positions")
    x = clip_layers(modules, spec, modules.layer_norm(x, "pre_layrnorm"), "none")
    return x, modules.layer_norm(modules.first_token(x), "post_layernorm")


def clip_layers(
    outer: Modules, spec: ClipText | ClipVision, hidden: Tensor, causal: Literal["none", "top_left"]
) -> Tensor:
    """Return what all layers of a tower make of its embeddings."""
    block = outer.graph.subgraph("layer")
    modules = outer.within(block)
    x = block.input("hidden", hidden.shape, outer.dtype, origin=outer.origin)
    y = modules.layer_norm(x, "layer_norm1")
    with block.scope("self_attn"):
        query, key, value = (
            modules.heads_first(
                modules.split_heads(modules.linear(y, f"{part}_proj", spec.hidden, bias=True), spec.heads, part), part
            )
            for part in ("q", "k", "v")
        )
        y = modules.linear(modules.attend(query, key, value, causal), "out_proj", spec.hidden, bias=True)
    x = modules.add(x, y)
    y = modules.layer_norm(x, "layer_norm2")
    with block.scope("mlp"):
        y = modules.activate(modules.linear(y, "fc1", spec.intermediate, bias=True), spec.activation)
        y = modules.linear(y, "fc2", spec.hidden, bias=True)
    block.output(modules.add(x, y))
    called = outer.graph.call(block, [hidden], times=spec.layers, scope="encoder.layers", origin=outer.origin)
    assert isinstance(called, Tensor)
    return called
