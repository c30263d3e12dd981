"""Decoder-only language models with rotary positions: which config keys mean what, family by family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from flopcore.architectures.experts import Experts
from flopcore.architectures.transformer import Decoder, Latent, decoder
from flopcore.errors import DataError, UnsupportedOp
from flopcore.expr import dim
from flopcore.graph import Graph

from .huggingface_config import Config, short
from .huggingface_keys import ORIGIN, activation, causal_head, dtype, heads_divide, tied

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
    """Return the sliding window: how many positions a query sees, itself among them."""
    if config.has("sliding_window") and config.get("sliding_window") is None:
        return None
    return config.size("sliding_window", default) if default is not None or config.has("sliding_window") else None


def _windowed(config: Config, layers: int, pattern: Callable[[int], bool]) -> tuple[bool, ...]:
    """Return which layers are windowed: as `layer_types` says, else by the family's pattern over their numbers."""
    types = config.get("layer_types")
    if types is None:
        return tuple(pattern(layer) for layer in range(layers))
    kinds = {"full_attention", "sliding_attention"}
    if not isinstance(types, list) or any(kind not in kinds for kind in types):
        raise UnsupportedOp(f"{config.label}: layer_types {short(types)}; known: {', '.join(sorted(kinds))}")
    if len(types) != layers:
        raise DataError(f"{config.label}: layer_types has {len(types)} entries for {layers} layers")
    return tuple(kind == "sliding_attention" for kind in types)


def _qwen_window(config: Config, spec: Decoder) -> Decoder:
    """Windows of a family in which `sliding_window` alone does not turn them on: layers from `max_window_layers`."""
    used = config.flag("use_sliding_window", False)
    first = config.get("max_window_layers")
    start = first if isinstance(first, int) else 28
    windowed = _windowed(config, spec.layers, lambda layer: used and layer >= start)
    if any(windowed):
        return replace(spec, window=_window(config, default=4096), windowed=windowed)
    config.get("sliding_window")  # it may be 0 where no layer has a window
    return spec


def _build(config: Config, spec: Decoder) -> Graph:
    return decoder(spec, batch=dim("batch"), seq=dim("seq"), name=config.text("model_type"), origin=ORIGIN)


def llama(config: Config) -> Graph:
    """Return the graph of a `llama` config."""
    bias = config.flag("attention_bias", False)
    spec = replace(_decoder(config), qkv_bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias", False))
    return _build(config, spec)


def mistral(config: Config) -> Graph:
    """Return the graph of a `mistral` config."""
    return _build(config, replace(_decoder(config, kv_heads=8), window=_window(config, default=4096)))


def qwen2(config: Config) -> Graph:
    """Return the graph of a `qwen2` config."""
    return _build(config, _qwen_window(config, replace(_decoder(config, kv_heads=32), qkv_bias=True)))


def qwen3(config: Config) -> Graph:
    """Return the graph of a `qwen3` config."""
    bias = config.flag("attention_bias", False)
    spec = _decoder(config, kv_heads=32, head_dim=128)
    return _build(config, _qwen_window(config, replace(spec, qkv_bias=bias, out_bias=bias, qk_norm="head")))


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
    return _build(config, replace(spec, window=_window(config)))


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
    return _build(config, replace(spec, window=_window(config)))


def gemma2(config: Config) -> Graph:
    """Return the graph of a `gemma2` config."""
    return _build(config, _later_gemma(config, lambda layer: layer % 2 == 0, kv_heads=4))


def gemma3(config: Config) -> Graph:
    """Return the graph of a `gemma3_text` config."""
    every = config.size("sliding_window_pattern", config.size("_sliding_window_pattern", 6))
    spec = _later_gemma(config, lambda layer: (layer + 1) % every != 0, kv_heads=4)
    return _build(config, replace(spec, qk_norm="head"))


def _later_gemma(config: Config, pattern: Callable[[int], bool], *, kv_heads: int) -> Decoder:
    config.fixed("use_bidirectional_attention", (False,), "attention in both directions is not built")
    bias = config.flag("attention_bias", False)
    config.get("hidden_act")
    config.get("query_pre_attn_scalar")  # the scale is a product whatever the number
    spec = _decoder(config, kv_heads=kv_heads, head_dim=256)
    return replace(
        spec,
        activation=activation(config, "hidden_activation", "gelu_pytorch_tanh"),
        qkv_bias=bias,
        out_bias=bias,
        norm="rms_offset",
        norm_place="both",
        embedding_scale=True,
        embeddings=tied(config, True),
        window=_window(config, default=4096),
        windowed=_windowed(config, spec.layers, pattern),
        softcap=_capped(config, "attn_logit_softcapping"),
        logits_softcap=_capped(config, "final_logit_softcapping"),
    )


def _capped(config: Config, key: str) -> bool:
    """Return whether a bound is set; Gemma 2 sets both where the key is absent, Gemma 3 neither."""
    if not config.has(key):
        return config.text("model_type") == "gemma2"
    return config.get(key) is not None


# ------------------------------------------------------------------------------------------- mixtures of experts
def mixtral(config: Config) -> Graph:
    """Return the graph of a `mixtral` config."""
    _no_training_noise(config)
    experts = Experts(
        number=config.size("num_local_experts", 8),
        per_token=config.size("num_experts_per_tok", 2),
        intermediate=config.size("intermediate_size"),
    )
    return _build(config, replace(_decoder(config, kv_heads=8), window=_window(config), experts=experts))


def _no_training_noise(config: Config) -> None:
    for key in ("router_jitter_noise", "router_aux_loss_coef", "output_router_logits", "aux_loss_alpha", "seq_aux"):
        config.get(key)
    config.get("num_local_experts")  # another name of num_experts and n_routed_experts


def _qwen_moe(config: Config, spec: Decoder, *, number: int, per_token: int, shared: int) -> Graph:
    _no_training_noise(config)
    step = config.size("decoder_sparse_step", 1)
    dense = config.get("mlp_only_layers") or []
    if not isinstance(dense, list):
        raise DataError(f"{config.label}: key 'mlp_only_layers' must be a list, is {short(dense)}")
    experts = Experts(
        number=config.size("num_experts", config.size("num_local_experts", number)),
        per_token=config.size("num_experts_per_tok", per_token),
        intermediate=config.size("moe_intermediate_size"),
        shared_intermediate=config.size("shared_expert_intermediate_size", shared) if shared else 0,
        shared_gate=bool(shared),
        renormalised=config.flag("norm_topk_prob", False),
    )
    sparse = tuple(layer not in dense and (layer + 1) % step == 0 for layer in range(spec.layers))
    return _build(config, _qwen_window(config, replace(spec, experts=experts, sparse=sparse)))


def qwen2_moe(config: Config) -> Graph:
    """Return the graph of a `qwen2_moe` config."""
    spec = replace(_decoder(config, kv_heads=16), qkv_bias=config.flag("qkv_bias", True))
    return _qwen_moe(config, spec, number=60, per_token=4, shared=5632)


def qwen3_moe(config: Config) -> Graph:
    """Return the graph of a `qwen3_moe` config."""
    bias = config.flag("attention_bias", False)
    spec = replace(_decoder(config, kv_heads=4), qkv_bias=bias, out_bias=bias, qk_norm="head")
    return _qwen_moe(config, spec, number=128, per_token=8, shared=0)


def gpt_oss(config: Config) -> Graph:
    """Return the graph of a `gpt_oss` config."""
    _no_training_noise(config)
    for key in ("swiglu_limit", "swiglu_alpha", "initial_context_length", "experts_per_token"):
        config.get(key)
    bias = config.flag("attention_bias", True)
    spec = _decoder(config, kv_heads=8, head_dim=64)
    experts = Experts(
        number=config.size("num_local_experts", 128),
        per_token=config.size("num_experts_per_tok", 4),
        intermediate=spec.intermediate,
        score="softmax_chosen",
        renormalised=False,
        bias=True,
        gate="clamped",
    )
    return _build(
        config,
        replace(
            spec,
            qkv_bias=bias,
            out_bias=bias,
            sinks=True,
            window=_window(config, default=128),
            windowed=_windowed(config, spec.layers, lambda layer: layer % 2 == 0),
            experts=experts,
            router="router",
        ),
    )


def deepseek_v3(config: Config) -> Graph:
    """Return the graph of a `deepseek_v3` config: the main model; layers that predict further tokens are left out."""
    _no_training_noise(config)
    config.fixed("topk_method", ("noaux_tc",), "another choice of experts is not built")
    config.fixed("scoring_func", ("sigmoid",), "another score of experts is not built")
    config.fixed("moe_layer_freq", (1,), "mixtures in some layers alone are not built")
    config.fixed("pretraining_tp", (1,), "slices of tensor-parallel pretraining are not built")
    config.fixed("attention_bias", (False,), "biases of latent attention are not built")
    for key in ("rope_interleave", "ep_size", "num_nextn_predict_layers", "head_dim", "qk_head_dim"):
        config.get(key)
    return _build(config, _deepseek(config, score="sigmoid", groups=8, groups_per_token=4, corrected=True))


def _deepseek(
    config: Config, *, score: Literal["softmax", "sigmoid"], groups: int, groups_per_token: int, corrected: bool
) -> Decoder:
    plain, turned = config.size("qk_nope_head_dim", 128), config.size("qk_rope_head_dim", 64)
    heads, layers = config.size("num_attention_heads", 128), config.size("num_hidden_layers")
    config.get("num_key_value_heads")  # each head has keys and values of its own, expanded from the latent
    query_rank = config.get("q_lora_rank") is not None or not config.has("q_lora_rank")
    moe_width = config.size("moe_intermediate_size", 2048)
    shared = config.size("n_shared_experts", 1)
    dense = config.get("first_k_dense_replace")
    first = dense if isinstance(dense, int) and not isinstance(dense, bool) else 3
    return Decoder(
        layers=layers,
        hidden=config.size("hidden_size"),
        intermediate=config.size("intermediate_size"),
        vocab=config.size("vocab_size"),
        heads=heads,
        kv_heads=heads,
        head_dim=plain + turned,
        rotary_dim=turned,
        activation=activation(config, "hidden_act", "silu"),
        latent=Latent(
            query_rank=config.size("q_lora_rank", 1536) if query_rank else None,
            rank=config.size("kv_lora_rank", 512),
            plain_dim=plain,
            rotary_dim=turned,
            value_dim=config.size("v_head_dim", 128),
        ),
        experts=Experts(
            number=config.size("n_routed_experts", 256),
            per_token=config.size("num_experts_per_tok", 8),
            intermediate=moe_width,
            shared_intermediate=shared * moe_width,
            score=score,
            renormalised=config.flag("norm_topk_prob", True),
            scaled=config.get("routed_scaling_factor") is not None or not config.has("routed_scaling_factor"),
            groups=config.size("n_group", groups),
            groups_per_token=config.size("topk_group", groups_per_token),
            corrected=corrected,
        ),
        sparse=tuple(layer >= first for layer in range(layers)),
        embeddings=tied(config, False),
        head=causal_head(config),
        dtype=dtype(config),
    )
