"""Encoders: BERT and RoBERTa over tokens, ViT over patches of an image. They share their layer but for the norms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .modules import Activation, Modules

__all__ = ["BertEncoder", "VisionEncoder", "bert", "vit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BertEncoder:
    """What a BERT (Devlin et al. 2018, arXiv 1810.04805), RoBERTa or ALBERT (Lan et al. 2019, 1909.11942) is made of.

    Parameters
    ----------
    layers, hidden, intermediate, heads, vocab, positions, token_types
        Layers, width of the residual stream and inside the feed-forward, heads, and rows of the three embeddings.
    activation
        Non-linearity of the feed-forward, and of the head that predicts tokens.
    family
        ``"bert"``, ``"roberta"`` or ``"albert"``: their heads differ, and all layers of ALBERT share their weights.
    embedding
        Width of the embeddings where it is not that of the residual stream (ALBERT).
    head
        What follows the last layer: ``"none"`` the pooled first token, ``"tokens"`` logits over the vocabulary,
        ``"sequence"`` classes of the first token, ``"each_token"`` classes of every token, ``"span"`` start and end.
    classes
        Number of classes where the head has them.
    embeddings
        ``"tied"`` when the head over the vocabulary reads the input embedding.
    dtype
        Number format of weights and activations.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    vocab: int
    positions: int
    token_types: int
    activation: Activation = "gelu"
    family: Literal["bert", "roberta", "albert"] = "bert"
    embedding: int | None = None
    head: Literal["none", "tokens", "sequence", "each_token", "span"] = "none"
    classes: int = 2
    embeddings: Literal["tied", "separate"] = "tied"
    dtype: str = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionEncoder:
    """What a vision transformer is made of (Dosovitskiy et al. 2020, arXiv 2010.11929).

    Parameters
    ----------
    layers, hidden, intermediate, heads
        Layers, width of the residual stream and inside the feed-forward, heads.
    image, patch, channels
        Height and width of the image and of a patch, and channels of the image.
    qkv_bias
        Whether the projections to queries, keys and values have a bias.
    activation
        Non-linearity of the feed-forward.
    family
        ``"vit"``, or ``"deit"`` with a second token for distillation (Touvron et al. 2020, arXiv 2012.12877).
    head
        ``"pooled"`` the first token through a layer with tanh, ``"classes"`` logits, ``"two_heads"`` the mean of the
        logits of both tokens, or ``"none"`` hidden states.
    classes
        Number of classes where the head has them.
    dtype
        Number format of weights and activations.
    """

    layers: int = 12
    hidden: int = 768
    intermediate: int = 3072
    heads: int = 12
    image: int = 224
    patch: int = 16
    channels: int = 3
    qkv_bias: bool = True
    activation: Activation = "gelu"
    family: Literal["vit", "deit"] = "vit"
    head: Literal["pooled", "classes", "two_heads", "none"] = "classes"
    classes: int = 1000
    dtype: str = "float32"


def bert(
    spec: BertEncoder, *, batch: int | Expr, seq: int | Expr, name: str = "bert", origin: str = "builder"
) -> Graph:
    """Return the graph of one forward pass over whole sequences without padding.

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
        Inputs ``input_ids`` and ``token_type_ids`` [batch, seq]. Scopes are those of transformers.
    """
    graph = Graph(name)
    modules = Modules(graph, spec.dtype, origin)
    ids = graph.input("input_ids", (batch, seq), "int64", origin=origin)
    types = graph.input("token_type_ids", (batch, seq), "int64", origin=origin)
    places = modules.constant("position_ids", (seq,), "int64")
    with graph.scope(spec.family):
        with graph.scope("embeddings"):
            width = spec.embedding or spec.hidden
            x, table = modules.embedding(ids, "word_embeddings", spec.vocab, width)
            kinds, _ = modules.embedding(types, "token_type_embeddings", spec.token_types, width)
            positions, _ = modules.embedding(places, "position_embeddings", spec.positions, width)
            x = modules.add(modules.add(x, kinds, "add_types"), positions, "add_positions")
            x = modules.layer_norm(x, "LayerNorm")
        if spec.embedding is not None:
            x = modules.linear(x, "encoder.embedding_hidden_mapping_in", spec.hidden, bias=True)
        shared = spec.family == "albert"
        x = _layers(modules, spec, x, "encoder.albert_layer_groups.0" if shared else "encoder.layer")
        if spec.head == "none" or (spec.head == "sequence" and spec.family != "roberta"):
            dense = "pooler" if shared else "pooler.dense"
            pooled = modules.linear(modules.first_token(x), dense, spec.hidden, bias=True)
            pooled = modules.activate(pooled, "tanh", "pooler")
        else:
            pooled = x
    graph.output(*((x, pooled) if spec.head == "none" else [_bert_head(modules, spec, x, pooled, table)]))
    return graph


# What the head that predicts tokens is called: its first layer, the norm in it, and the place of its output layer.
_TOKEN_HEADS = {
    "albert": ("predictions", "LayerNorm", "predictions"),
    "bert": ("cls.predictions.transform", "LayerNorm", "cls.predictions"),
    "roberta": ("lm_head", "layer_norm", "lm_head"),
}


def _bert_head(modules: Modules, spec: BertEncoder, x: Tensor, pooled: Tensor, table: Tensor) -> Tensor:
    match spec.head:
        case "tokens":
            transform, norm, place = _TOKEN_HEADS[spec.family]
            width = spec.embedding or spec.hidden
            x = modules.activate(modules.linear(x, f"{transform}.dense", width, bias=True), spec.activation)
            x = modules.layer_norm(x, f"{transform}.{norm}")
            tied = table if spec.embeddings == "tied" else None
            return modules.linear(x, f"{place}.decoder", spec.vocab, bias=True, weight=tied)
        case "sequence" if spec.family != "roberta":
            return modules.linear(pooled, "classifier", spec.classes, bias=True)
        case "sequence":
            x = modules.linear(modules.first_token(x), "classifier.dense", spec.hidden, bias=True)
            return modules.linear(
                modules.activate(x, "tanh", "classifier"), "classifier.out_proj", spec.classes, bias=True
            )
        case "span":
            return modules.linear(x, "qa_outputs", 2, bias=True)
        case _:
            return modules.linear(x, "classifier", spec.classes, bias=True)


def vit(spec: VisionEncoder, *, batch: int | Expr, name: str = "vit", origin: str = "builder") -> Graph:
    """Return the graph of one forward pass of a vision transformer.

    Parameters
    ----------
    spec
        The model.
    batch
        Images at a time, an integer or a dim.
    name, origin
        Of the graph, and of its nodes.

    Returns
    -------
    Graph
        Input ``pixel_values`` [batch, channels, image, image]. Scopes are those of transformers.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.architectures.encoder import VisionEncoder, vit
    >>> graph = vit(VisionEncoder(), batch=1)
    >>> graph.parameters, fc.count(graph).flop("macs")
    (86567656, 17563828224)
    """
    graph = Graph(name)
    modules = Modules(graph, spec.dtype, origin)
    side = spec.image // spec.patch
    pixels = graph.input("pixel_values", (batch, spec.channels, spec.image, spec.image), spec.dtype, origin=origin)
    tokens = ["cls_token", "distillation_token"] if spec.family == "deit" else ["cls_token"]
    with graph.scope(spec.family):
        with graph.scope("embeddings"):
            with graph.scope("patch_embeddings.projection"):
                weight = modules.parameter("weight", spec.hidden, spec.channels, spec.patch, spec.patch)
                bias = modules.parameter("bias", spec.hidden)
                x = graph.conv(pixels, weight, bias, stride=spec.patch, name="projection", origin=origin)
            x = graph.flatten(x, axis=2, name="patches", origin=origin)
            x = graph.transpose(x, (0, 2, 1), name="patches", origin=origin)
            # A special token is one row, copied for each image.
            row = modules.constant("token_ids", (batch, 1), "int64")
            special = [modules.embedding(row, token, 1, spec.hidden)[0] for token in tokens]
            x = graph.concat([*special, x], axis=1, name="with_tokens", origin=origin)
            table = modules.parameter("position_embeddings", side * side + len(tokens), spec.hidden)
            x = modules.add(x, table, "add_positions")
        x = modules.layer_norm(_layers(modules, spec, x, "encoder.layer"), "layernorm")
        if spec.head == "pooled":
            pooled = modules.linear(modules.first_token(x), "pooler.dense", spec.hidden, bias=True)
            graph.output(x, modules.activate(pooled, "tanh", "pooler"))
    if spec.head == "classes":
        graph.output(modules.linear(modules.first_token(x), "classifier", spec.classes, bias=True))
    elif spec.head == "two_heads":
        logits = modules.linear(modules.first_token(x), "cls_classifier", spec.classes, bias=True)
        second = graph.slice(x, axis=1, start=1, stop=2, name="second_token", origin=origin)
        second = graph.reshape(second, (batch, spec.hidden), name="second_token", origin=origin)
        others = modules.linear(second, "distillation_classifier", spec.classes, bias=True)
        both = modules.add(logits, others, "mean_of_heads")
        graph.output(graph.div(both, modules.constant("two"), name="mean_of_heads", origin=origin))
    elif spec.head == "none":
        graph.output(x)
    return graph


def _layers(outer: Modules, spec: BertEncoder | VisionEncoder, hidden: Tensor, scope: str) -> Tensor:
    """Place all layers: BERT norms the sum after each sublayer, ViT the input before it."""
    graph = outer.graph
    block = graph.subgraph("layer")
    modules = outer.within(block)
    x = block.input("hidden", hidden.shape, spec.dtype, origin=outer.origin)
    vision = isinstance(spec, VisionEncoder)
    bias = spec.qkv_bias if isinstance(spec, VisionEncoder) else True
    y = modules.layer_norm(x, "layernorm_before") if vision else x
    with block.scope("attention"):
        with block.scope("attention" if vision else "self"):
            query, key, value = (
                modules.heads_first(
                    modules.split_heads(modules.linear(y, part, spec.hidden, bias=bias), spec.heads, part), part
                )
                for part in ("query", "key", "value")
            )
            y = modules.attend(query, key, value, "none")
        x = modules.add(x, modules.linear(y, "output.dense", spec.hidden, bias=True))
        if not vision:
            x = modules.layer_norm(x, "output.LayerNorm")
    y = modules.layer_norm(x, "layernorm_after") if vision else x
    y = modules.activate(modules.linear(y, "intermediate.dense", spec.intermediate, bias=True), spec.activation)
    x = modules.add(x, modules.linear(y, "output.dense", spec.hidden, bias=True))
    block.output(x if vision else modules.layer_norm(x, "output.LayerNorm"))
    shared = not isinstance(spec, VisionEncoder) and spec.family == "albert"
    called = graph.call(
        block, [hidden], times=spec.layers, params="shared" if shared else "per_call", scope=scope, origin=outer.origin
    )
    assert isinstance(called, Tensor)
    return called
