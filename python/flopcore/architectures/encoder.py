"""Encoders: BERT and its kin over tokens, ViT over patches of an image. They share their layer but for the norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .modules import Activation, Modules

__all__ = ["FORMS", "BertEncoder", "Family", "Relative", "VisionEncoder", "bert", "vit"]

Family: TypeAlias = Literal["albert", "bert", "deberta", "distilbert", "electra", "mpnet", "roberta"]


@dataclass(frozen=True, slots=True)
class Form:
    """What a family calls its modules, and what its heads are.

    Parameters
    ----------
    layers, inside, parts, back, norms, feed
        The layers; in one: where attention is, its projections, the one back, the norms, the feed-forward's matrices.
    widen
        The projection from the width of the embeddings.
    tokens
        Of the head that predicts tokens: its first layer, the norm in it, and the output layer.
    pooler
        The layer that pools the first token for whoever reads the model without a head; none where it is empty.
    classes
        First layer of the head that classifies a sequence and its non-linearity, where it reads the first token
        itself, and its output layer.
    """

    layers: str = "encoder.layer"
    inside: str = "attention.self"
    parts: tuple[str, str, str] = ("query", "key", "value")
    back: str = "attention.output.dense"
    norms: tuple[str, str] = ("attention.output.LayerNorm", "output.LayerNorm")
    feed: tuple[str, str] = ("intermediate.dense", "output.dense")
    widen: str = ""
    tokens: tuple[str, str, str] = (
        "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.decoder",
    )  # fmt: skip
    pooler: str = ""
    classes: tuple[str, Activation, str] | None = None


_LM_HEAD = ("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder")
FORMS: Mapping[Family, Form] = MappingProxyType(
    {
        "albert": Form(
            layers="encoder.albert_layer_groups.0", widen="encoder.embedding_hidden_mapping_in", pooler="pooler",
            tokens=("predictions.dense", "predictions.LayerNorm", "predictions.decoder"),
        ),
        "bert": Form(pooler="pooler.dense"),
        "deberta": Form(
            parts=("query_proj", "key_proj", "value_proj"), widen="embeddings.embed_proj",
            classes=("pooler.dense", "gelu", "classifier"),
        ),
        "distilbert": Form(
            layers="transformer.layer", inside="attention", parts=("q_lin", "k_lin", "v_lin"), back="attention.out_lin",
            norms=("sa_layer_norm", "output_layer_norm"), feed=("ffn.lin1", "ffn.lin2"),
            tokens=("vocab_transform", "vocab_layer_norm", "vocab_projector"),
            classes=("pre_classifier", "relu", "classifier"),
        ),
        "electra": Form(
            widen="embeddings_project", classes=("classifier.dense", "gelu", "classifier.out_proj"),
            tokens=("generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head"),
        ),
        "mpnet": Form(
            inside="attention.attn", parts=("q", "k", "v"), back="attention.attn.o", pooler="pooler.dense",
            norms=("attention.LayerNorm", "output.LayerNorm"), tokens=_LM_HEAD,
            classes=("classifier.dense", "tanh", "classifier.out_proj"),
        ),
        "roberta": Form(
            pooler="pooler.dense", tokens=_LM_HEAD, classes=("classifier.dense", "tanh", "classifier.out_proj")
        ),
    }
)  # fmt: skip
_VIT = Form(inside="attention.attention", norms=("layernorm_before", "layernorm_after"))
_DINO = Form(
    inside="attention", parts=("q_proj", "k_proj", "v_proj"), back="attention.o_proj", norms=("norm1", "norm2"),
    feed=("mlp.fc1", "mlp.fc2"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """Attention in which content and relative positions meet (He et al. 2020, arXiv 2006.03654, section 3.1).

    Parameters
    ----------
    span
        Distances told apart on each side: the table has twice as many rows.
    content_to_position, position_to_content
        Whether queries of content meet keys of positions, and the other way round.
    shared
        Whether the matrices of content make these too.
    normed
        Whether the table is normed.
    """

    span: int
    content_to_position: bool = True
    position_to_content: bool = True
    shared: bool = False
    normed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BertEncoder:
    """What a BERT (Devlin et al. 2018, arXiv 1810.04805) or one of its kin is made of.

    Kin are RoBERTa, ALBERT (Lan et al. 2019, arXiv 1909.11942), DistilBERT, ELECTRA, MPNet and DeBERTa.

    Parameters
    ----------
    layers, hidden, intermediate, heads, vocab, positions, token_types
        Layers, width of the residual stream and inside the feed-forward, heads, and rows of the three embeddings; 0
        where there is none.
    activation
        Non-linearity of the feed-forward, and of the head that predicts tokens.
    family
        Whose names the modules have, one of `FORMS`; heads differ, and all layers of ALBERT share their weights.
    embedding
        Width of the embeddings where it is not that of the residual stream.
    buckets
        Rows of a table of relative positions that all layers add to their scores (MPNet); 0 where there is none.
    relative
        How content and relative positions attend to each other (DeBERTa).
    head
        What follows the last layer: ``"none"`` the pooled first token where the family pools, ``"tokens"`` logits over
        the vocabulary, ``"sequence"`` classes of the first token, ``"each_token"`` classes of every token, ``"span"``
        start and end, ``"replaced"`` whether each token was replaced (ELECTRA).
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
    family: Family = "bert"
    embedding: int | None = None
    buckets: int = 0
    relative: Relative | None = None
    head: Literal["none", "tokens", "sequence", "each_token", "span", "replaced"] = "none"
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
        ``"vit"``, ``"deit"`` with a second token for distillation (Touvron et al. 2020, arXiv 2012.12877), or
        ``"dinov2"`` (Oquab et al. 2023, arXiv 2304.07193), which multiplies what joins the residual stream by weights.
    registers, mask_token
        Further tokens without a position (dinov2), and whether there is a token for masked patches, which is not read.
    feed_forward
        ``"plain"`` with two matrices, or ``"gated"`` with three (the largest dinov2).
    head
        ``"pooled"`` the first token through a layer with tanh, ``"classes"`` logits, ``"two_heads"`` the mean of the
        logits of both tokens, ``"joined"`` logits of the first token and the mean of the patches, or ``"none"`` hidden
        states.
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
    family: Literal["vit", "deit", "dinov2"] = "vit"
    registers: int = 0
    mask_token: bool = False
    feed_forward: Literal["plain", "gated"] = "plain"
    head: Literal["pooled", "classes", "two_heads", "joined", "none"] = "classes"
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
    modules, form = Modules(graph, spec.dtype, origin), FORMS[spec.family]
    ids = graph.input("input_ids", (batch, seq), "int64", origin=origin)
    types = graph.input("token_type_ids", (batch, seq), "int64", origin=origin) if spec.token_types else None
    places = modules.constant("position_ids", (seq,), "int64")
    with graph.scope(spec.family):
        with graph.scope("embeddings"):
            width = spec.embedding or spec.hidden
            x, table = modules.embedding(ids, "word_embeddings", spec.vocab, width)
            if types is not None:
                kinds, _ = modules.embedding(types, "token_type_embeddings", spec.token_types, width)
                x = modules.add(x, kinds, "add_types")
            if spec.positions:
                positions, _ = modules.embedding(places, "position_embeddings", spec.positions, width)
                x = modules.add(x, positions, "add_positions")
        if spec.embedding is not None and spec.relative is not None:
            x = modules.linear(x, form.widen, spec.hidden, bias=False)
        x = modules.layer_norm(x, "embeddings.LayerNorm")
        if spec.embedding is not None and spec.relative is None:
            x = modules.linear(x, form.widen, spec.hidden, bias=True)
        x = _layers(modules, spec, x, form, _beside(modules, spec, seq))
        pooled = x
        if form.pooler and (spec.head == "none" or (spec.head == "sequence" and form.classes is None)):
            pooled = modules.linear(modules.first_token(x), form.pooler, spec.hidden, bias=True)
            pooled = modules.activate(pooled, "tanh", "pooler")
    if spec.head == "none":
        graph.output(*((x, pooled) if form.pooler else (x,)))
    else:
        graph.output(_bert_head(modules, spec, form, x, pooled, table))
    return graph


def _beside(modules: Modules, spec: BertEncoder, seq: int | Expr) -> list[Tensor]:
    """Return what all layers read beside the hidden states: the bias of scores, or the table of relative positions."""
    if spec.buckets:
        pairs = modules.constant("relative_positions", (seq, seq), "int64")
        bias, _ = modules.embedding(pairs, "encoder.relative_attention_bias", spec.buckets, spec.heads)
        return [modules.shaped(modules.turn(bias, (2, 0, 1), "bias"), (1, spec.heads, seq, seq), "bias")]
    if spec.relative is None:
        return []
    with modules.graph.scope("encoder.rel_embeddings"):
        table = modules.parameter("weight", 2 * spec.relative.span, spec.hidden)
    return [modules.layer_norm(table, "encoder.LayerNorm") if spec.relative.normed else table]


def _bert_head(modules: Modules, spec: BertEncoder, form: Form, x: Tensor, pooled: Tensor, table: Tensor) -> Tensor:
    match spec.head:
        case "tokens":
            dense, norm, place = form.tokens
            x = modules.linear(x, dense, spec.embedding or spec.hidden, bias=True)
            x = modules.layer_norm(modules.activate(x, "gelu" if spec.family == "electra" else spec.activation), norm)
            tied = table if spec.embeddings == "tied" else None
            return modules.linear(x, place, spec.vocab, bias=True, weight=tied)
        case "sequence" if form.classes is not None:
            dense, kind, out = form.classes
            x = modules.activate(modules.linear(modules.first_token(x), dense, spec.hidden, bias=True), kind, dense)
            return modules.linear(x, out, spec.classes, bias=True)
        case "sequence":
            return modules.linear(pooled, "classifier", spec.classes, bias=True)
        case "replaced":
            x = modules.linear(x, "discriminator_predictions.dense", spec.hidden, bias=True)
            x = modules.activate(x, spec.activation)
            return modules.linear(x, "discriminator_predictions.dense_prediction", 1, bias=True)
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
            if spec.mask_token:
                modules.parameter("mask_token", 1, spec.hidden)
            if spec.registers:
                rows = modules.constant("register_ids", (batch, spec.registers), "int64")
                further, _ = modules.embedding(rows, "register_tokens", spec.registers, spec.hidden)
                ends = [modules.cut(x, 1, 0, 1), further, modules.cut(x, 1, 1, side * side + 1)]
                x = graph.concat(ends, axis=1, name="with_registers", origin=origin)
        x = _layers(modules, spec, x, _DINO if spec.family == "dinov2" else _VIT, [])
        x = modules.layer_norm(x, "layernorm")
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
    elif spec.head == "joined":
        first = spec.registers + 1
        patches = modules.cut(x, 1, first, first + side * side, "patches")
        mean = graph.op("reduce_mean", [patches], {"axes": [1]}, name="mean", origin=origin)
        assert isinstance(mean, Tensor)
        both = graph.concat([modules.first_token(x), mean], axis=1, name="joined", origin=origin)
        graph.output(modules.linear(both, "classifier", spec.classes, bias=True))
    elif spec.head == "none":
        graph.output(x)
    return graph


def _layers(
    outer: Modules, spec: BertEncoder | VisionEncoder, hidden: Tensor, form: Form, beside: list[Tensor]
) -> Tensor:
    """Place all layers: BERT norms the sum after each sublayer, ViT the input before it."""
    graph = outer.graph
    block = graph.subgraph("layer")
    modules = outer.within(block)
    x = block.input("hidden", hidden.shape, spec.dtype, origin=outer.origin)
    shared = [block.input("positions", each.shape, spec.dtype, origin=outer.origin) for each in beside]
    before = isinstance(spec, VisionEncoder)
    bias = spec.qkv_bias if isinstance(spec, VisionEncoder) else True
    y = modules.layer_norm(x, form.norms[0]) if before else x
    with block.scope(form.inside):
        if isinstance(spec, BertEncoder) and spec.relative is not None:
            y = _disentangled(modules, spec, spec.relative, y, shared[0], form)
        else:
            query, key, value = (_heads(modules, y, part, spec, bias=bias) for part in form.parts)
            y = modules.attend(query, key, value, "none", mask=shared[0] if shared else None)

    def joined(x: Tensor, y: Tensor, name: str) -> Tensor:
        if spec.family == "dinov2":
            with block.scope(name):
                y = modules.mul(y, modules.parameter("lambda1", spec.hidden), name)
        return modules.add(x, y)

    x = joined(x, modules.linear(y, form.back, spec.hidden, bias=True), "layer_scale1")
    if not before:
        x = modules.layer_norm(x, form.norms[0])
    y = modules.layer_norm(x, form.norms[1]) if before else x
    if isinstance(spec, VisionEncoder) and spec.feed_forward == "gated":
        gate = modules.activate(modules.linear(y, "mlp.gate_proj", spec.intermediate, bias=True), spec.activation)
        y = modules.mul(gate, modules.linear(y, "mlp.up_proj", spec.intermediate, bias=True), "gate")
        y = modules.linear(y, "mlp.down_proj", spec.hidden, bias=True)
    else:
        y = modules.activate(modules.linear(y, form.feed[0], spec.intermediate, bias=True), spec.activation)
        y = modules.linear(y, form.feed[1], spec.hidden, bias=True)
    x = joined(x, y, "layer_scale2")
    block.output(x if before else modules.layer_norm(x, form.norms[1]))
    called = graph.call(
        block, [hidden, *beside], times=spec.layers, scope=form.layers, origin=outer.origin,
        params="shared" if isinstance(spec, BertEncoder) and spec.family == "albert" else "per_call",
    )  # fmt: skip
    assert isinstance(called, Tensor)
    return called


def _heads(modules: Modules, x: Tensor, name: str, spec: BertEncoder | VisionEncoder, *, bias: bool) -> Tensor:
    """Return [batch, heads, seq, width] of a projection."""
    y = modules.linear(x, name, spec.hidden, bias=bias)
    return modules.heads_first(modules.split_heads(y, spec.heads, name), name)


def _disentangled(
    modules: Modules, spec: BertEncoder, relative: Relative, x: Tensor, table: Tensor, form: Form
) -> Tensor:
    """Return attention whose scores sum content to content, content to position and position to content."""
    graph, origin = modules.graph, modules.origin
    weights = {part: modules.matrix(part, spec.hidden, spec.hidden) for part in form.parts}

    def heads(y: Tensor, name: str, role: str) -> Tensor:
        if relative.shared or name in weights:
            made = graph.linear(y, *weights[role if relative.shared else name], name=role, origin=origin)
        else:
            made = modules.linear(y, name, spec.hidden, bias=True)
        return modules.heads_first(modules.split_heads(made, spec.heads, role), role)

    query, key, value = (heads(x, part, part) for part in form.parts)
    batch, n_heads, seq, _ = query.shape
    rows = modules.shaped(table, (1, *table.shape), "table")
    meetings = (
        (relative.content_to_position, query, "pos_key_proj", form.parts[1], (0, 1, 2, 3)),
        (relative.position_to_content, key, "pos_query_proj", form.parts[0], (0, 1, 3, 2)),
    )
    bias: Tensor | None = None
    for holds, content, name, role, order in meetings:
        if not holds:
            continue
        place = modules.turn(heads(rows, name, role), (0, 1, 3, 2), name)
        scores = graph.matmul(content, place, name=name, origin=origin)
        pairs = modules.constant("relative_positions", (batch, n_heads, seq, seq), "int64")
        picked = graph.op("take_along", [scores, pairs], {"axis": 3}, name=name, origin=origin)
        assert isinstance(picked, Tensor)
        picked = modules.turn(graph.div(picked, modules.constant("scale"), name=name, origin=origin), order, name)
        bias = picked if bias is None else modules.add(bias, picked, "bias")
    return modules.attend(query, key, value, "none", mask=bias)
