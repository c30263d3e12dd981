"""Decoder-only language models with rotary positions: which config keys mean what, family by family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from flopcore.architectures.transformer import Decoder, decoder
from flopcore.errors import DataError, UnsupportedOp
from flopcore.expr import dim
from flopcore.graph import Graph

from .huggingface_config import Config, short
from .huggingface_keys import ORIGIN, activation, causal_head, dtype, heads_divide, seq_dim, tied

__all__: list[str] = []


def decoder_keys(
    config: Config,
    *,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    rotary: float = 1.0,
    turns: bool = True,
    inner: int = 0,
) -> Decoder:
    """Return what all of them have in common; the arguments are a family's own defaults.

    Without `turns` there are no rotary positions; the width of the feed-forward is `inner` times the hidden size where
    the config has none.
    """
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
        intermediate=config.size("intermediate_size", inner * hidden or None),
        vocab=config.size("vocab_size"),
        heads=heads,
        kv_heads=shared,
        head_dim=width,
        rotary_dim=_rotary_dim(config, width, rotary) if turns else None,
        turned=() if turns else (False,) * config.size("num_hidden_layers"),
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


def window(config: Config, *, default: int | None = None) -> int | None:
    """Return the sliding window: how many positions a query sees, itself among them."""
    if config.has("sliding_window") and config.get("sliding_window") is None:
        return None
    return config.size("sliding_window", default) if default is not None or config.has("sliding_window") else None


def windowed(
    config: Config, layers: int, pattern: Callable[[int], bool], kind: str = "sliding_attention"
) -> tuple[bool, ...]:
    """Return which layers are of a kind: as `layer_types` says, else by the family's pattern over their numbers."""
    types = config.get("layer_types")
    if types is None:
        return tuple(pattern(layer) for layer in range(layers))
    kinds = ["full_attention", kind]
    if not isinstance(types, list) or any(each not in kinds for each in types):
        raise UnsupportedOp(f"{config.label}: layer_types {short(types)}; known: {', '.join(sorted(kinds))}")
    if len(types) != layers:
        raise DataError(f"{config.label}: layer_types has {len(types)} entries for {layers} layers")
    return tuple(each == kind for each in types)


def qwen_window(config: Config, spec: Decoder) -> Decoder:
    """Windows of a family in which `sliding_window` alone does not turn them on: layers from `max_window_layers`."""
    used = config.flag("use_sliding_window", False)
    first = config.get("max_window_layers")
    start = first if isinstance(first, int) else 28
    layers = windowed(config, spec.layers, lambda layer: used and layer >= start)
    if any(layers):
        return replace(spec, window=window(config, default=4096), windowed=layers)
    config.get("sliding_window")  # it may be 0 where no layer has a window
    return spec


def attention_keys(config: Config, spec: Decoder, *, bias: bool = False) -> Decoder:
    """Return a decoder whose projections all have a bias or none, as `attention_bias` says."""
    biased = config.flag("attention_bias", bias)
    return replace(spec, qkv_bias=biased, out_bias=biased)


def build(config: Config, spec: Decoder) -> Graph:
    """Return the graph of a decoder with symbolic batch and sequence."""
    return decoder(spec, batch=dim("batch"), seq=seq_dim(spec.positions), name=config.text("model_type"), origin=ORIGIN)


def llama(config: Config) -> Graph:
    """Return the graph of a `llama` config."""
    bias = config.flag("attention_bias", False)
    spec = replace(decoder_keys(config), qkv_bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias", False))
    return build(config, spec)


def mistral(config: Config) -> Graph:
    """Return the graph of a `mistral` config."""
    return build(config, replace(decoder_keys(config, kv_heads=8), window=window(config, default=4096)))


def qwen2(config: Config) -> Graph:
    """Return the graph of a `qwen2` config."""
    return build(config, qwen_window(config, replace(decoder_keys(config, kv_heads=32), qkv_bias=True)))


def qwen3(config: Config) -> Graph:
    """Return the graph of a `qwen3` config."""
    bias = config.flag("attention_bias", False)
    spec = decoder_keys(config, kv_heads=32, head_dim=128)
    return build(config, qwen_window(config, replace(spec, qkv_bias=bias, out_bias=bias, qk_norm="head")))


def gemma(config: Config) -> Graph:
    """Return the graph of a `gemma` config."""
    config.fixed("use_bidirectional_attention", (False,), "attention in both directions is not built")
    bias = config.flag("attention_bias", False)
    # An early key held the exact GELU, which the model never used; the later one overrides it.
    config.get("hidden_act")
    spec = replace(
        decoder_keys(config, kv_heads=16, head_dim=256),
        activation=activation(config, "hidden_activation", "gelu_pytorch_tanh"),
        qkv_bias=bias,
        out_bias=bias,
        norm="rms_offset",
        embedding_scale=True,
        embeddings=tied(config, True),
    )
    return build(config, spec)


def granite(config: Config) -> Graph:
    """Return the graph of a `granite` config."""
    for key in ("embedding_multiplier", "residual_multiplier", "logits_scaling", "attention_multiplier"):
        config.get(key)  # a product is computed whatever the number
    bias = config.flag("attention_bias", False)
    spec = replace(
        decoder_keys(config),
        qkv_bias=bias,
        out_bias=bias,
        mlp_bias=config.flag("mlp_bias", False),
        embedding_scale=True,
        residual_scale=True,
        logits_scale=True,
    )
    return build(config, spec)


def phi(config: Config) -> Graph:
    """Return the graph of a `phi` config."""
    spec = replace(
        decoder_keys(config, rotary=0.5),
        activation=activation(config, "hidden_act", "gelu_new"),
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        norm="layer",
        residual="parallel",
        feed_forward="plain",
        head_bias=True,
        qk_norm="head_layer" if config.flag("qk_layernorm", False) else "none",
        names="phi",
    )
    return build(config, spec)


def phi3(config: Config) -> Graph:
    """Return the graph of a `phi3` config."""
    spec = replace(decoder_keys(config), projections="fused", feed_forward="fused")
    return build(config, replace(spec, window=window(config)))


def starcoder2(config: Config) -> Graph:
    """Return the graph of a `starcoder2` config."""
    bias = config.flag("use_bias", True)
    spec = replace(
        decoder_keys(config, kv_heads=2),
        activation=activation(config, "hidden_act", "gelu_pytorch_tanh"),
        qkv_bias=bias,
        out_bias=bias,
        mlp_bias=bias,
        norm="layer",
        feed_forward="plain",
        embeddings=tied(config, True),
        names="starcoder",
    )
    return build(config, replace(spec, window=window(config)))


def gemma2(config: Config) -> Graph:
    """Return the graph of a `gemma2` config."""
    return build(config, _later_gemma(config, lambda layer: layer % 2 == 0, kv_heads=4))


def gemma3(config: Config) -> Graph:
    """Return the graph of a `gemma3_text` config."""
    every = config.size("sliding_window_pattern", config.size("_sliding_window_pattern", 6))
    spec = _later_gemma(config, lambda layer: (layer + 1) % every != 0, kv_heads=4)
    return build(config, replace(spec, qk_norm="head"))


def vaultgemma(config: Config) -> Graph:
    """Return the graph of a `vaultgemma` config: Gemma 2 without norms after sublayers."""
    spec = _later_gemma(config, lambda layer: layer % 2 == 0, kv_heads=4)
    return build(config, replace(spec, norm_place="before"))


def _later_gemma(config: Config, pattern: Callable[[int], bool], *, kv_heads: int) -> Decoder:
    config.fixed("use_bidirectional_attention", (False,), "attention in both directions is not built")
    bias = config.flag("attention_bias", False)
    config.get("hidden_act")
    config.get("query_pre_attn_scalar")  # the scale is a product whatever the number
    spec = decoder_keys(config, kv_heads=kv_heads, head_dim=256)
    return replace(
        spec,
        activation=activation(config, "hidden_activation", "gelu_pytorch_tanh"),
        qkv_bias=bias,
        out_bias=bias,
        norm="rms_offset",
        norm_place="both",
        names="gemma2",
        embedding_scale=True,
        embeddings=tied(config, True),
        window=window(config, default=4096),
        windowed=windowed(config, spec.layers, pattern),
        softcap=_capped(config, "attn_logit_softcapping"),
        logits_softcap=_capped(config, "final_logit_softcapping"),
    )


def _capped(config: Config, key: str) -> bool:
    """Return whether a bound is set; Gemma 2 and VaultGemma set both where the key is absent, Gemma 3 neither."""
    if not config.has(key):
        return config.text("model_type") in ("gemma2", "vaultgemma")
    return config.get(key) is not None
