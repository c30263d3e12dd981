"""Decoder-only language models with rotary positions: which config keys mean what, family by family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flopcore.architectures.transformer import Decoder, decoder
from flopcore.errors import DataError, UnsupportedOp
from flopcore.expr import dim
from flopcore.graph import Graph

from .huggingface_config import Config, short
from .huggingface_keys import ORIGIN, activation, causal_head, dtype, heads_divide, seq_dim, tied

__all__: list[str] = []


def _decoder(
    config: Config, *, kv_heads: int | None = None, head_dim: int | None = None, rotary: float = 1.0
) -> Decoder:
    """Return what all of them have in common; the arguments are a family's own defaults."""
    config.fixed("pretraining_tp", (1,), "slices of tensor-parallel pretraining are not built")
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    if head_dim is None and config.get("head_dim") is None:
        heads_divide(config, heads, hidden, "num_attention_heads")
    width = config.size("head_dim", head_dim or max(hidden // heads, 1))
    shared = config.size("num_key_value_heads", kv_heads or heads)
    if heads % shared:
        raise DataError(f"{config.label}: num_key_value_heads={shared} does not divide num_attention_heads={heads}")
    return Decoder(
        layers=config.size("num_hidden_layers"),
        hidden=hidden,
        intermediate=config.size("intermediate_size"),
        vocab=config.size("vocab_size"),
        heads=heads,
        kv_heads=shared,
        head_dim=width,
        rotary_dim=_rotary_dim(config, width, rotary),
        activation=activation(config, "hidden_act", "silu"),
        embeddings=tied(config, False),
        head=causal_head(config),
        dtype=dtype(config),
    )


def _rotary_dim(config: Config, width: int, default: float) -> int:
    parameters = config.get("rope_parameters")
    older = config.get("partial_rotary_factor")
    newer = parameters.get("partial_rotary_factor") if isinstance(parameters, Mapping) else None
    factor = default if older is None and newer is None else newer if older is None else older
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 1:
        raise DataError(f"{config.label}: key 'partial_rotary_factor' must be over 0 and at most 1, is {short(factor)}")
    turned = int(width * factor)
    if turned < 2 or turned % 2:
        raise DataError(f"{config.label}: {turned} of head_dim={width} are turned; rotary positions turn pairs")
    return turned


def _window(config: Config, *, default: int | None = None) -> int | None:
    """Return the sliding window. Up to its length it changes nothing, and longer sequences are refused."""
    if config.has("sliding_window") and config.get("sliding_window") is None:
        return None
    return config.size("sliding_window", default) if default is not None or config.has("sliding_window") else None


def _qwen_window(config: Config) -> int | None:
    """Return the window of a family in which `sliding_window` alone does not turn it on."""
    window, used = _window(config, default=4096), config.flag("use_sliding_window", False)
    types = config.get("layer_types")
    if types is not None:
        kinds = {"full_attention", "sliding_attention"}
        if not isinstance(types, list) or any(kind not in kinds for kind in types):
            raise UnsupportedOp(f"{config.label}: layer_types {short(types)}; known: {', '.join(sorted(kinds))}")
        return window if "sliding_attention" in types else None
    return window if used else None


def _build(config: Config, spec: Decoder, window: int | None = None) -> Graph:
    return decoder(spec, batch=dim("batch"), seq=seq_dim(window), name=config.text("model_type"), origin=ORIGIN)


def llama(config: Config) -> Graph:
    """Return the graph of a `llama` config."""
    bias = config.flag("attention_bias", False)
    spec = replace(_decoder(config), qkv_bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias", False))
    return _build(config, spec)


def mistral(config: Config) -> Graph:
    """Return the graph of a `mistral` config."""
    return _build(config, _decoder(config, kv_heads=8), _window(config, default=4096))


def qwen2(config: Config) -> Graph:
    """Return the graph of a `qwen2` config."""
    return _build(config, replace(_decoder(config, kv_heads=32), qkv_bias=True), _qwen_window(config))


def qwen3(config: Config) -> Graph:
    """Return the graph of a `qwen3` config."""
    bias = config.flag("attention_bias", False)
    spec = _decoder(config, kv_heads=32, head_dim=128)
    return _build(config, replace(spec, qkv_bias=bias, out_bias=bias, qk_norm="head"), _qwen_window(config))


def gemma(config: Config) -> Graph:
    """Return the graph of a `gemma` config."""
    config.fixed("use_bidirectional_attention", (False,), "attention in both directions is not built")
    bias = config.flag("attention_bias", False)
    # An early key held the exact GELU, which the model never used; the later one overrides it.
    config.get("hidden_act")
    spec = replace(
        _decoder(config, kv_heads=16, head_dim=256),
        activation=activation(config, "hidden_activation", "gelu_pytorch_tanh"),
        qkv_bias=bias,
        out_bias=bias,
        norm="rms_offset",
        embedding_scale=True,
        embeddings=tied(config, True),
    )
    return _build(config, spec)


def granite(config: Config) -> Graph:
    """Return the graph of a `granite` config."""
    for key in ("embedding_multiplier", "residual_multiplier", "logits_scaling", "attention_multiplier"):
        config.get(key)  # a product is computed whatever the number
    bias = config.flag("attention_bias", False)
    spec = replace(
        _decoder(config),
        qkv_bias=bias,
        out_bias=bias,
        mlp_bias=config.flag("mlp_bias", False),
        embedding_scale=True,
        residual_scale=True,
        logits_scale=True,
    )
    return _build(config, spec)


def olmo2(config: Config) -> Graph:
    """Return the graph of a `olmo2` config."""
    bias = config.flag("attention_bias", False)
    spec = replace(_decoder(config), qkv_bias=bias, out_bias=bias, norm_place="after", qk_norm="projection")
    return _build(config, spec)


def phi(config: Config) -> Graph:
    """Return the graph of a `phi` config."""
    config.fixed("qk_layernorm", (False,), "layer norms of queries and keys are not built")
    spec = replace(
        _decoder(config, rotary=0.5),
        activation=activation(config, "hidden_act", "gelu_new"),
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        norm="layer",
        residual="parallel",
        feed_forward="plain",
        head_bias=True,
        names="phi",
    )
    return _build(config, spec)


def phi3(config: Config) -> Graph:
    """Return the graph of a `phi3` config."""
    spec = replace(_decoder(config), projections="fused", feed_forward="fused")
    return _build(config, spec, _window(config))


def starcoder2(config: Config) -> Graph:
    """Return the graph of a `starcoder2` config."""
    bias = config.flag("use_bias", True)
    spec = replace(
        _decoder(config, kv_heads=2),
        activation=activation(config, "hidden_act", "gelu_pytorch_tanh"),
        qkv_bias=bias,
        out_bias=bias,
        mlp_bias=bias,
        norm="layer",
        feed_forward="plain",
        embeddings=tied(config, True),
        names="starcoder",
    )
    return _build(config, spec, _window(config))
