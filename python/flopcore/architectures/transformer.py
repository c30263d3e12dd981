"""Decoder-only transformers with rotary positions: one description of the family, one builder.

Equal layers that follow each other are one block that is called as often as there are, each call with weights of its
own; layers that differ (a window, a mixture of experts) are blocks of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .decoder_names import NAMES
from .experts import Experts, mixture
from .modules import Activation, Modules
from .recurrent import Recurrent, recurrent_mixer

__all__ = ["Decoder", "Latent", "Mixer", "decoder"]

_Each = TypeVar("_Each")
Mixer: TypeAlias = Literal["attention", "recurrent", "both", "none"]


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
        Number of layers, width of the residual stream, width inside the feed-forward (0 where there is none), and of
        the vocabulary.
    heads, kv_heads, head_dim
        Query heads, the key-value heads they share, and the width of one head; 0 where there is no attention.
    rotary_dim, turned
        How much of each head is turned, None all of it; and in which layers, without `turned` in all.
    activation
        Non-linearity of the feed-forward.
    feed_forward
        ``"gated"`` with three matrices, ``"fused"`` with gate and up in one, or ``"plain"`` with two.
    positions, reserved, alibi
        Rows of a table of learned positions that joins the embedding, those of them that no token reads beside, or
        whether a slope per head times the key's position joins the scores (ALiBi, Press et al. 2021, arXiv 2108.12409).
    embedding, embedding_norm
        Width of the embedding where it is projected to and from that of the residual stream, and whether it is normed.
    mixers, recurrent
        What mixes the positions of each layer: attention (all of them without `mixers`), the recurrent mixer, both on
        the same input, or nothing.
    fed
        Which layers have a feed-forward or a mixture of experts; without `fed` all have.
    projections
        Whether queries, keys and values have three matrices or one.
    qkv_bias, out_bias, mlp_bias
        Whether the projections to queries, keys and values, the one back, and the feed-forward's have a bias.
    norm
        ``"rms"``, ``"rms_offset"`` (its factor is 1 + weight), ``"layer"`` (with weight and bias), ``"layer_offset"``
        (with 1 + weight and bias), ``"layer_scale"`` (with weight), or ``"rms_plain"`` and ``"layer_plain"``.
    norm_place, final_norm
        ``"before"`` each sublayer, ``"after"`` it, before its result joins the residual stream, ``"both"``, or
        ``"joined"`` after that; and whether the last layer is followed by a norm.
    residual
        ``"sequential"`` sublayers, or both ``"parallel"`` on the same normed input, or ``"parallel_norms"`` on one
        normed for each.
    qk_norm
        An RMS norm before the rotation over each ``"head"``, or over the whole ``"projection"``; a layer norm with
        weights for each of the ``"heads"``, or over each with common weights and biases, ``"head_layer"``; or an RMS
        norm after the rotation without weights, ``"turned"``, or with those of a head, ``"turned_head"``.
    clipped
        Whether queries, keys and values are bounded.
    gated, tempered
        Whether what attention gives is multiplied by a sigmoid of a projection of its own (Qwen3-Next), and whether
        queries of layers that are not turned are multiplied by a number for each position (Llama 4).
    window, chunk, windowed
        How many positions a query of a windowed layer sees, itself among them; or how long the chunks of positions are
        of which it sees its own (Llama 4); and which layers are windowed: without `windowed` all, if there is either.
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
    further
        How many tokens beyond the next one are predicted, each by a layer of its own that reads what the one before
        gives and the token's embedding (DeepSeek-V3, arXiv 2412.19437, section 2.2); table and output layer are shared.
    names
        Whose names the modules have, one of `NAMES`.
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
    turned: tuple[bool, ...] = ()
    positions: int | None = None
    reserved: int = 0
    alibi: bool = False
    embedding: int | None = None
    embedding_norm: bool = False
    mixers: tuple[Mixer, ...] = ()
    recurrent: Recurrent | None = None
    fed: tuple[bool, ...] = ()
    activation: Activation = "silu"
    feed_forward: Literal["gated", "fused", "plain"] = "gated"
    projections: Literal["separate", "fused"] = "separate"
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    norm: Literal["rms", "rms_offset", "rms_plain", "layer", "layer_offset", "layer_scale", "layer_plain"] = "rms"
    norm_place: Literal["before", "after", "both", "joined"] = "before"
    final_norm: bool = True
    residual: Literal["sequential", "parallel", "parallel_norms"] = "sequential"
    qk_norm: Literal["none", "head", "heads", "head_layer", "projection", "turned", "turned_head"] = "none"
    clipped: bool = False
    gated: bool = False
    tempered: bool = False
    window: int | None = None
    chunk: int | None = None
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
    further: int = 0
    names: str = "llama"
    dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        needed = ["layers", "hidden", "vocab"]
        if any(kind.attends for kind in self.kinds):
            needed += ["heads", "kv_heads", "head_dim"]
        if any(kind.feed == "dense" for kind in self.kinds):
            needed.append("intermediate")
        for name in needed:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, is {value!r}")
        if self.heads and self.heads % self.kv_heads:
            raise ValueError(f"kv_heads={self.kv_heads} does not divide heads={self.heads}")
        if self.recurrent is None and any(kind.mixer in ("recurrent", "both") for kind in self.kinds):
            raise ValueError("mixers name a recurrent mixer, and recurrent= is not given")
        turned = self.rotary_dim or (self.latent.rotary_dim if self.latent is not None else self.head_dim)
        if self.turns and (not 0 < 2 * self.n_angles <= self.head_dim or 2 * self.n_angles != turned):
            raise ValueError(
                f"rotary_dim={self.rotary_dim} must be even, positive and at most head_dim={self.head_dim}"
            )

    @property
    def turns(self) -> bool:
        """Return whether any layer has rotary positions."""
        return any(kind.turned for kind in self.kinds)

    @property
    def n_angles(self) -> int:
        """Return the number of pairs that are turned in each head."""
        if self.latent is not None:
            return self.latent.rotary_dim // 2
        return (self.head_dim if self.rotary_dim is None else self.rotary_dim) // 2

    @property
    def kinds(self) -> list[LayerKind]:
        """Return what each layer is made of."""

        def column(name: str, given: tuple[_Each, ...], default: _Each) -> tuple[_Each, ...]:
            if len(given) not in (0, self.layers):
                raise ValueError(f"{name} has {len(given)} entries for {self.layers} layers")
            return given or (default,) * self.layers

        each: Mixer = "attention"
        columns = zip(
            column("mixers", self.mixers, each), column("windowed", self.windowed, True),
            column("turned", self.turned, True), column("fed", self.fed, True), column("sparse", self.sparse, True),
            strict=True,
        )  # fmt: skip
        return [self._kind(*flags) for flags in columns]

    def _kind(self, mixer: Mixer, windowed: bool, turned: bool, fed: bool, sparse: bool) -> LayerKind:
        attends = mixer in ("attention", "both")
        feed: Literal["dense", "experts"] = "experts" if self.experts is not None and sparse else "dense"
        bounded = self.window is not None or self.chunk is not None
        return LayerKind(mixer, attends and bounded and windowed, attends and turned, feed if fed else "none")


class LayerKind(NamedTuple):
    """What one layer is made of; layers of one kind are one block."""

    mixer: Mixer
    windowed: bool
    turned: bool
    feed: Literal["dense", "experts", "none"]

    @property
    def attends(self) -> bool:
        """Whether the layer has attention."""
        return self.mixer in ("attention", "both")

    @property
    def label(self) -> str:
        """Return a name for the block."""
        marks = (
            (self.mixer != "attention", self.mixer), (self.windowed, "windowed"),
            (self.attends and not self.turned, "unturned"), (self.feed == "experts", "sparse"),
        )  # fmt: skip
        return "_".join(["layer", *(mark for holds, mark in marks if holds)])


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
    names = NAMES[spec.names]
    ids = graph.input("input_ids", (batch, seq), "int64", origin=origin)
    x, table = modules.embedding(ids, names.embedding, spec.vocab, spec.embedding or spec.hidden)
    if spec.embedding_scale:
        x = modules.mul(x, modules.constant("scale"), "scale")
    if spec.embedding is not None:
        x = modules.linear(x, names.project[0], spec.hidden, bias=False)
    if spec.positions is not None:
        places = modules.constant("position_ids", (seq,), "int64")
        rows, _ = modules.embedding(places, names.positions, spec.positions + spec.reserved, spec.hidden)
        x = modules.add(x, rows, "add_positions")
    if spec.embedding_norm:
        x = _norm(modules, spec, x, names.embedding_norm)
    angles = [modules.constant(part, (seq, spec.n_angles)) for part in ("cos", "sin")] if spec.turns else []
    blocks: dict[LayerKind, Graph] = {}
    first = 0
    for kind, equal in groupby(spec.kinds):
        if kind not in blocks:
            blocks[kind] = _layer(modules, spec, x, angles, kind)
        count = len(list(equal))
        place = str(first) if count == 1 else f"[{first}..{first + count - 1}]"
        scope = f"{names.layers}.{place}"
        called = graph.call(blocks[kind], [x, *angles], times=count, scope=scope, origin=origin)
        assert isinstance(called, Tensor)
        x, first = called, first + count
    weight = table if spec.embeddings == "tied" else None
    if spec.head == "logits" and weight is None:
        with graph.scope(names.head):
            weight = modules.parameter("weight", spec.vocab, spec.embedding or spec.hidden)
    last = _norm(modules, spec, x, names.final_norm) if spec.final_norm else x
    if spec.embedding is not None:
        last = modules.linear(last, names.project[1], spec.embedding, bias=False)
    outputs = [_logits(modules, spec, last, weight)]
    for number in range(spec.layers, spec.layers + spec.further):
        with graph.scope(f"{names.layers}.{number}"):
            token = graph.embedding(table, ids, name="embed_tokens", origin=origin)
            pair = [_norm(modules, spec, token, "enorm"), _norm(modules, spec, x, "hnorm")]
            joint = graph.concat(pair, axis=2, name="eh_proj", origin=origin)
            x = modules.linear(joint, "eh_proj", spec.hidden, bias=False)
            called = graph.call(blocks[spec.kinds[-1]], [x, *angles], origin=origin)
            assert isinstance(called, Tensor)
            x = called
            outputs.append(_logits(modules, spec, _norm(modules, spec, x, "shared_head.norm"), weight))
    graph.output(*outputs)
    return graph


def _logits(modules: Modules, spec: Decoder, x: Tensor, weight: Tensor | None) -> Tensor:
    """Return the logits of normed hidden states, or these themselves where the model ends in them."""
    if spec.head == "none":
        return x
    graph, origin = modules.graph, modules.origin
    x = modules.linear(x, NAMES[spec.names].head, spec.vocab, bias=spec.head_bias, weight=weight)
    if spec.logits_scale:
        x = graph.div(x, modules.constant("scale"), name="scale", origin=origin)
    if spec.logits_softcap:
        x = graph.div(x, modules.constant("cap"), name="softcap", origin=origin)
        x = modules.mul(graph.tanh(x, name="softcap", origin=origin), modules.constant("cap"), "softcap")
    return x


def _layer(outer: Modules, spec: Decoder, hidden: Tensor, angles: Sequence[Tensor], kind: LayerKind) -> Graph:
    """Return the block of one layer."""
    block = outer.graph.subgraph(kind.label)
    modules, names = outer.within(block), NAMES[spec.names]
    x = block.input("hidden", hidden.shape, spec.dtype, origin=outer.origin)
    cos_sin = [
        block.input(name, each.shape, spec.dtype, origin=outer.origin)
        for name, each in zip(("cos", "sin"), angles, strict=False)
    ]

    def attention(y: Tensor) -> Tensor:
        attend = _attention if spec.latent is None else _latent_attention
        with block.scope(names.attention):
            return attend(modules, spec, y, cos_sin, kind)

    def mix(y: Tensor) -> Tensor:
        if kind.mixer == "attention" or spec.recurrent is None:
            return attention(y)
        with block.scope(names.recurrent):
            mixed = recurrent_mixer(modules, spec.recurrent, y, "silu")
        if kind.mixer == "recurrent":
            return mixed
        left, right = (modules.mul(part, modules.constant("scale"), "scale") for part in (mixed, attention(y)))
        return modules.add(left, right, "join")

    def feed_forward(y: Tensor) -> Tensor:
        with block.scope(names.feed):
            if kind.feed == "experts" and spec.experts is not None:
                return mixture(modules, spec.experts, y, spec.activation, router=spec.router)
            return _mlp(modules, spec, y)

    def sublayer(x: Tensor, inner: Callable[[Tensor], Tensor], before: str, after: str) -> Tensor:
        y = inner(_norm(modules, spec, x, before) if spec.norm_place in ("before", "both") else x)
        if spec.norm_place in ("after", "both"):
            y = _norm(modules, spec, y, after)
        if spec.residual_scale:
            y = modules.mul(y, modules.constant("scale"), "scale")
        x = modules.add(x, y)
        return _norm(modules, spec, x, before) if spec.norm_place == "joined" else x

    before_mixer, after_mixer, before_feed, after_feed = names.norms
    if spec.residual != "sequential":
        normed = _norm(modules, spec, x, before_mixer)
        y = mix(normed)
        if spec.residual == "parallel_norms":
            normed = _norm(modules, spec, x, before_feed)
        block.output(modules.add(modules.add(y, feed_forward(normed)), x))
        return block
    if kind.mixer != "none":
        x = sublayer(x, mix, before_mixer, after_mixer)
    if kind.feed != "none":
        x = sublayer(x, feed_forward, before_feed, after_feed)
    block.output(x)
    return block


def _norm(modules: Modules, spec: Decoder, x: Tensor, name: str) -> Tensor:
    form, _, variant = spec.norm.partition("_")
    if form == "layer":
        plain, bias = variant == "plain", variant in ("", "offset")
        return modules.layer_norm(x, name, weight=not plain, bias=bias, offset=variant == "offset")
    return modules.rms_norm(x, name, weight=variant != "plain", offset=variant == "offset")


def _attend(modules: Modules, spec: Decoder, q: Tensor, k: Tensor, v: Tensor, windowed: bool) -> Tensor:
    sinks = modules.parameter("sinks", spec.heads) if spec.sinks else None
    window, chunk = (spec.window, spec.chunk) if windowed else (None, None)
    mask = modules.constant("alibi", (1, spec.heads, 1, k.shape[2])) if spec.alibi else None
    return modules.attend(q, k, v, "top_left", mask=mask, window=window, chunk=chunk, softcap=spec.softcap, sinks=sinks)


def _latent_attention(modules: Modules, spec: Decoder, x: Tensor, cos_sin: Sequence[Tensor], kind: LayerKind) -> Tensor:
    """Queries, keys and values by way of latents; the turned part of the key is one for all heads."""
    latent = spec.latent
    assert latent is not None
    cos, sin = cos_sin
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
    mixed = _attend(modules, spec, query, key, value, kind.windowed)
    return modules.linear(mixed, "o_proj", spec.hidden, bias=spec.out_bias)


def _attention(modules: Modules, spec: Decoder, x: Tensor, cos_sin: Sequence[Tensor], kind: LayerKind) -> Tensor:
    names = NAMES[spec.names]
    wide, narrow = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    gate = None
    if spec.projections == "fused":
        joint = modules.linear(x, names.joint, wide + 2 * narrow, bias=spec.qkv_bias)
        ends = (0, wide, wide + narrow, wide + 2 * narrow)
        flat = [modules.part(joint, start, stop) for start, stop in pairwise(ends)]
    else:
        sizes = (("q", wide * (2 if spec.gated else 1)), ("k", narrow), ("v", narrow))
        flat = [modules.linear(x, f"{part}_proj", size, bias=spec.qkv_bias) for part, size in sizes]
        if spec.gated:
            gate = modules.activate(modules.part(flat[0], wide, 2 * wide), "sigmoid", "gate")
            flat[0] = modules.part(flat[0], 0, wide)
    if spec.clipped:
        flat = [modules.clamp(each, "clip") for each in flat]

    def heads(y: Tensor, part: str, count: int) -> Tensor:
        offset = spec.norm == "rms_offset"
        if part == "v":
            return modules.heads_first(modules.split_heads(y, count, part), part)
        if spec.qk_norm == "projection":
            y = modules.rms_norm(y, f"{part}_norm")
        y = modules.split_heads(y, count, part)
        if spec.qk_norm == "head":
            y = modules.rms_norm(y, f"{part}_norm", offset=offset)
        elif spec.qk_norm == "head_layer":
            y = modules.layer_norm(y, f"{part}_layernorm")
        elif spec.qk_norm == "heads":
            y = modules.layer_norm(y, f"{part}_norm", weight=False, bias=False)
            with modules.graph.scope(f"{part}_norm"):
                y = modules.mul(y, modules.parameter("weight", count, spec.head_dim), f"{part}_norm")
        y = modules.heads_first(y, part)
        if not kind.turned:
            tempered = spec.tempered and part == "q"
            return modules.mul(y, modules.constant("scales", (y.shape[2], 1)), part) if tempered else y
        y = modules.rotate(y, *cos_sin)
        if spec.qk_norm == "turned_head":
            return modules.rms_norm(y, f"{part}_norm")
        return modules.rms_norm(y, "qk_norm", weight=False) if spec.qk_norm == "turned" else y

    query, key = heads(flat[0], "q", spec.heads), heads(flat[1], "k", spec.kv_heads)
    mixed = _attend(modules, spec, query, key, heads(flat[2], "v", spec.kv_heads), kind.windowed)
    if gate is not None:
        mixed = modules.mul(mixed, gate, "gate")
    return modules.linear(mixed, names.back, spec.hidden, bias=spec.out_bias)


def _mlp(modules: Modules, spec: Decoder, x: Tensor) -> Tensor:
    """Gated: down(activation(gate(x)) * up(x)) (Shazeer 2020, arXiv 2002.05202, equation 6)."""
    if spec.feed_forward == "plain":
        into, back = NAMES[spec.names].plain
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
