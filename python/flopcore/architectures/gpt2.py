"""GPT-2: learned positions, layer norms, one matrix for queries, keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flopcore.expr import Expr
from flopcore.graph import Graph, Tensor

from .modules import Activation, Modules

__all__ = ["GPT2", "gpt2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GPT2:
    """The sizes of a GPT-2 (Radford et al. 2019); the defaults are those of its smallest version.

    Parameters
    ----------
    layers, hidden, intermediate, heads, vocab, positions
        Layers, width of the residual stream and inside the feed-forward, heads, vocabulary, learned positions.
    activation
        Non-linearity of the feed-forward.
    embeddings
        ``"tied"`` when the output layer reads the input embedding.
    head
        Whether the model ends in logits over the vocabulary or in the normed hidden states.
    dtype
        Number format of weights and activations.
    """

    layers: int = 12
    hidden: int = 768
    intermediate: int = 3072
    heads: int = 12
    vocab: int = 50257
    positions: int = 1024
    activation: Activation = "gelu_tanh"
    embeddings: Literal["tied", "separate"] = "tied"
    head: Literal["logits", "none"] = "logits"
    dtype: str = "float32"


def gpt2(spec: GPT2, *, batch: int | Expr, seq: int | Expr, name: str = "gpt2", origin: str = "builder") -> Graph:
    """Return the graph of one forward pass over whole sequences, without a cache.

    Parameters
    ----------
    spec
        The model.
    batch, seq
        Sequences at a time and tokens in each, integers or dims; at most ``spec.positions`` tokens.
    name, origin
        Of the graph, and of its nodes.

    Returns
    -------
    Graph
        Input ``input_ids`` [batch, seq]; output logits [batch, seq, vocab] or hidden states. Scopes are those of
        transformers.

    Examples
    --------
    >>> from flopcore.architectures.gpt2 import GPT2, gpt2
    >>> gpt2(GPT2(), batch=1, seq=8).parameters
    124439808
    """
    graph = Graph(name)
    modules = Modules(graph, spec.dtype, origin)
    ids = graph.input("input_ids", (batch, seq), "int64", origin=origin)
    x, table = modules.embedding(ids, "transformer.wte", spec.vocab, spec.hidden)
    places = modules.constant("position_ids", (seq,), "int64")
    positions, _ = modules.embedding(places, "transformer.wpe", spec.positions, spec.hidden)
    x = modules.add(x, positions, "add_positions")
    layer = _layer(modules, spec, x)
    called = graph.call(layer, [x], times=spec.layers, scope="transformer.h", origin=origin)
    assert isinstance(called, Tensor)
    x = modules.layer_norm(called, "transformer.ln_f")
    if spec.head == "logits":
        tied = table if spec.embeddings == "tied" else None
        x = modules.linear(x, "lm_head", spec.vocab, bias=False, weight=tied)
    graph.output(x)
    return graph


def _layer(outer: Modules, spec: GPT2, hidden: Tensor) -> Graph:
    block = outer.graph.subgraph("layer")
    modules = outer.within(block)
    x = block.input("hidden", hidden.shape, spec.dtype, origin=outer.origin)
    y = modules.layer_norm(x, "ln_1")
    with block.scope("attn"):
        joint = modules.linear(y, "c_attn", 3 * spec.hidden, bias=True)
        parts = [modules.part(joint, i * spec.hidden, (i + 1) * spec.hidden) for i in range(3)]
        query, key, value = (
            modules.heads_first(modules.split_heads(part, spec.heads, "heads"), "heads") for part in parts
        )
        y = modules.linear(modules.attend(query, key, value, "top_left"), "c_proj", spec.hidden, bias=True)
    x = modules.add(x, y)
    y = modules.layer_norm(x, "ln_2")
    with block.scope("mlp"):
        y = modules.activate(modules.linear(y, "c_fc", spec.intermediate, bias=True), spec.activation, "act")
        y = modules.linear(y, "c_proj", spec.hidden, bias=True)
    block.output(modules.add(x, y))
    return block
