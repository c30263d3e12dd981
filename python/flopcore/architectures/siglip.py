"""SigLIP: towers over text and images that see in both directions (Zhai et al. 2023, arXiv 2303.15343)."""

from __future__ import annotations

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .clip import ClipText, ClipVision, clip_layers
from .modules import Modules

__all__ = ["siglip", "siglip_text", "siglip_vision"]


def siglip(
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
        The two towers, each of them without what CLIP alone has: a causal mask, a class token.
    width
        Of the common space, which is that of the vision tower.
    texts, images, seq
        How many of each, and tokens of a text; integers or dims.
    dtype, origin
        Number format of weights and activations, and origin of the nodes.

    Returns
    -------
    Graph
        Inputs ``pixel_values`` [images, channels, image, image] and ``input_ids`` [texts, seq]; output [texts, images].
    """
    graph = Graph("siglip")
    modules = Modules(graph, dtype, origin)
    with graph.scope("vision_model"):
        pooled = _pooled(modules, vision, _vision(modules, vision, images))
    with graph.scope("text_model"):
        words = _text(modules, text, texts, seq, width)[1]
    sides = [modules.unit(side, "norm") for side in (words, pooled)]
    scores = graph.matmul(sides[0], modules.turn(sides[1], (1, 0), "scores"), name="scores", origin=origin)
    scale = graph.op("exp", [modules.parameter("logit_scale", 1)], name="scale", origin=origin)
    graph.output(modules.add(modules.mul(scores, scale, "scale"), modules.parameter("logit_bias", 1), "bias"))
    return graph


def siglip_text(
    spec: ClipText, *, batch: int | Expr, seq: int | Expr, width: int, dtype: str = "float32", origin: str = "builder"
) -> Graph:
    """Return the graph of the tower over text, whose last token is projected to `width`."""
    graph = Graph("siglip_text_model")
    graph.output(*_text(Modules(graph, dtype, origin), spec, batch, seq, width))
    return graph


def siglip_vision(
    spec: ClipVision, *, batch: int | Expr, pooled: bool = True, dtype: str = "float32", origin: str = "builder"
) -> Graph:
    """Return the graph of the tower over images, with the head that pools them or without."""
    graph = Graph("siglip_vision_model")
    modules = Modules(graph, dtype, origin)
    x = _vision(modules, spec, batch)
    graph.output(*((x, _pooled(modules, spec, x)) if pooled else (x,)))
    return graph


def _text(modules: Modules, spec: ClipText, batch: int | Expr, seq: int | Expr, width: int) -> tuple[Tensor, Tensor]:
    """Return the hidden states, and the projected one of the last token of each text."""
    graph, origin = modules.graph, modules.origin
    ids = graph.input("input_ids", (batch, seq), "int64", origin=origin)
    places = modules.constant("position_ids", (seq,), "int64")
    with graph.scope("embeddings"):
        x, _ = modules.embedding(ids, "token_embedding", spec.vocab, spec.hidden)
        positions, _ = modules.embedding(places, "position_embedding", spec.positions, spec.hidden)
        x = modules.add(x, positions, "add_positions")
    x = modules.layer_norm(clip_layers(modules, spec, x, "none"), "final_layer_norm")
    # Any one token is as much work as the last.
    return x, modules.linear(modules.first_token(x), "head", width, bias=True)


def _vision(modules: Modules, spec: ClipVision, batch: int | Expr) -> Tensor:
    """Return the hidden states of the patches."""
    graph, origin = modules.graph, modules.origin
    pixels = graph.input("pixel_values", (batch, spec.channels, spec.image, spec.image), modules.dtype, origin=origin)
    n_patches = (spec.image // spec.patch) ** 2
    with graph.scope("embeddings"):
        with graph.scope("patch_embedding"):
            weight = modules.parameter("weight", spec.hidden, spec.channels, spec.patch, spec.patch)
            bias = modules.parameter("bias", spec.hidden)
            x = graph.conv(pixels, weight, bias, stride=spec.patch, name="patch_embedding", origin=origin)
        x = modules.turn(graph.flatten(x, axis=2, name="patches", origin=origin), (0, 2, 1), "patches")
        places = modules.constant("position_ids", (n_patches,), "int64")
        positions, _ = modules.embedding(places, "position_embedding", n_patches, spec.hidden)
        x = modules.add(x, positions, "add_positions")
    return modules.layer_norm(clip_layers(modules, spec, x, "none"), "post_layernorm")


def _pooled(modules: Modules, spec: ClipVision, x: Tensor) -> Tensor:
    """Return what one learned query reads of the patches, through a feed-forward of its own."""
    graph = modules.graph
    batch = x.shape[0]
    with graph.scope("head"):
        row = modules.constant("probe_ids", (batch, 1), "int64")
        probe, _ = modules.embedding(row, "probe", 1, spec.hidden)
        with graph.scope("attention"):
            query, key, value = (
                modules.heads_first(
                    modules.split_heads(modules.linear(y, part, spec.hidden, bias=True), spec.heads, part), part
                )
                for part, y in (("q", probe), ("k", x), ("v", x))
            )
            y = modules.linear(modules.attend(query, key, value, "none"), "out_proj", spec.hidden, bias=True)
        z = modules.layer_norm(y, "layernorm")
        with graph.scope("mlp"):
            z = modules.activate(modules.linear(z, "fc1", spec.intermediate, bias=True), spec.activation)
            z = modules.linear(z, "fc2", spec.hidden, bias=True)
        return modules.first_token(modules.add(y, z))
