"""Decoder-only language models with mixtures of experts: which config keys mean what, family by family."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from flopcore.architectures.experts import Experts
from flopcore.architectures.transformer import Decoder, Latent
from flopcore.errors import DataError
from flopcore.graph import Graph

from .huggingface_config import Config, short
from .huggingface_decoders import attention_keys, build, decoder_keys, qwen_window, window, windowed
from .huggingface_keys import (
    activation,
    causal_head,
    dtype,
    layer_flags,
    listed_layers,
    no_training_noise,
    task_of,
    tied,
)
from .huggingface_kin import turned_layers

__all__: list[str] = []


def _qwen_moe(config: Config, spec: Decoder, *, number: int, per_token: int, shared: int) -> Graph:
    no_training_noise(config)
    step = config.size("decoder_sparse_step", 1)
    experts = Experts(
        number=config.size("num_experts", config.size("num_local_experts", number)),
        per_token=config.size("num_experts_per_tok", per_token),
        intermediate=config.size("moe_intermediate_size"),
        shared_intermediate=config.size("shared_expert_intermediate_size", shared) if shared else 0,
        shared_gate=bool(shared),
        shared_name="shared_expert",
        renormalised=config.flag("norm_topk_prob", False),
    )
    sparse = layer_flags(config, "mlp_only_layers", spec.layers, lambda layer: (layer + 1) % step == 0)
    return build(config, qwen_window(config, replace(spec, experts=experts, sparse=sparse)))


def qwen2_moe(config: Config) -> Graph:
    """Return the graph of a `qwen2_moe` config."""
    spec = replace(decoder_keys(config, kv_heads=16), qkv_bias=config.flag("qkv_bias", True))
    return _qwen_moe(config, spec, number=60, per_token=4, shared=5632)


def qwen3_moe(config: Config) -> Graph:
    """Return the graph of a `qwen3_moe` config."""
    bias = config.flag("attention_bias", False)
    spec = replace(decoder_keys(config, kv_heads=4), qkv_bias=bias, out_bias=bias, qk_norm="head")
    return _qwen_moe(config, spec, number=128, per_token=8, shared=0)


def gpt_oss(config: Config) -> Graph:
    """Return the graph of a `gpt_oss` config."""
    no_training_noise(config)
    for key in ("swiglu_limit", "swiglu_alpha", "initial_context_length", "experts_per_token"):
        config.get(key)
    bias = config.flag("attention_bias", True)
    spec = decoder_keys(config, kv_heads=8, head_dim=64)
    experts = Experts(
        number=config.size("num_local_experts", 128),
        per_token=config.size("num_experts_per_tok", 4),
        intermediate=spec.intermediate,
        score="softmax_chosen",
        renormalised=False,
        bias=True,
        gate="clamped",
    )
    return build(
        config,
        replace(
            spec,
            qkv_bias=bias,
            out_bias=bias,
            sinks=True,
            window=window(config, default=128),
            windowed=windowed(config, spec.layers, lambda layer: layer % 2 == 0),
            experts=experts,
            router="router",
        ),
    )


def experts_keys(
    config: Config, key: str, number: int, per_token: int, *, per_token_key: str = "num_experts_per_tok", **fields: Any
) -> Experts:
    """Return experts whose number stands under a key; the defaults are a family's own."""
    experts, chosen = config.even(key, number), config.even(per_token_key, per_token)
    if chosen > experts:
        raise DataError(f"{config.label}: {per_token_key}={chosen} is more than the {experts} experts")
    return Experts(number=experts, per_token=chosen, **fields)


def glm4_moe(config: Config) -> Graph:
    """Return the graph of a `glm4_moe` config: the main model, without layers that predict further tokens."""
    for key in ("num_nextn_predict_layers", "num_mtp_layers"):
        config.get(key)
    spec = decoder_keys(config, kv_heads=8, rotary=0.5)
    normed: Literal["none", "head"] = "head" if config.flag("use_qk_norm", False) else "none"
    spec = replace(spec, qkv_bias=config.flag("attention_bias", False), qk_norm=normed)
    return build(config, _after_deepseek(config, spec, dense=1, number=128, per_token=8, renormalised=True))


def dots1(config: Config) -> Graph:
    """Return the graph of a `dots1` config."""
    spec = attention_keys(config, decoder_keys(config, kv_heads=32))
    width, first = window(config, default=4096), config.get("max_window_layers")
    start = first if isinstance(first, int) else 62
    layers = windowed(config, spec.layers, lambda layer: width is not None and layer >= start)
    spec = replace(spec, qk_norm="head", window=width if any(layers) else None, windowed=layers)
    return build(config, _after_deepseek(config, spec, dense=0, number=None, per_token=None, renormalised=False))


def _after_deepseek(
    config: Config, spec: Decoder, *, dense: int, number: int | None, per_token: int | None, renormalised: bool
) -> Decoder:
    """Return a decoder with plain attention whose experts are chosen as DeepSeek-V3 chooses them."""
    no_training_noise(config)
    config.fixed("topk_method", ("noaux_tc",), "another choice of experts is not built")
    config.fixed("scoring_func", ("sigmoid",), "another score of experts is not built")
    width = config.size("moe_intermediate_size", 1408)
    shared = config.size("n_shared_experts", 1) if config.get("n_shared_experts") is not None or dense else 0
    groups = config.size("n_group", 1)
    experts = experts_keys(
        config, "n_routed_experts", number or config.size("n_routed_experts"),
        per_token or config.size("num_experts_per_tok"), intermediate=width, shared_intermediate=shared * width,
        score="sigmoid", renormalised=config.flag("norm_topk_prob", renormalised), scaled=True, groups=groups,
        groups_per_token=config.size("topk_group", 1), corrected=True,
    )  # fmt: skip
    config.get("routed_scaling_factor")
    first = config.whole("first_k_dense_replace", dense)
    return replace(spec, experts=experts, sparse=tuple(layer >= first for layer in range(spec.layers)))


def llama4(config: Config) -> Graph:
    """Return the graph of a `llama4_text` config: each token goes through its experts, not through all of them.

    Queries of the layers with rotary positions, or those that `layer_types` calls chunked, see their own chunk of
    `attention_chunk_size` positions alone.
    """
    no_training_noise(config)
    for key in ("attn_scale", "floor_scale", "for_llm_compressor"):
        config.get(key)
    spec = attention_keys(config, decoder_keys(config, kv_heads=8, head_dim=128))
    step = config.size("interleave_moe_layer_step", 1)
    given = config.get("moe_layers")
    sparse = [layer % step == step - 1 for layer in range(spec.layers)]
    if given is not None:
        if not isinstance(given, list):
            raise DataError(f"{config.label}: key 'moe_layers' must be a list, is {short(given)}")
        sparse = [layer in given for layer in range(spec.layers)]
    experts = experts_keys(
        config, "num_local_experts", 16, 1, intermediate=spec.intermediate, shared_intermediate=spec.intermediate,
        score="sigmoid", renormalised=False, weighted_input=True, shared_name="shared_expert",
    )  # fmt: skip
    normed: Literal["none", "turned"] = "turned" if config.flag("use_qk_norm", True) else "none"
    turned = turned_layers(config, spec.layers)
    unbroken = config.has("attention_chunk_size") and config.get("attention_chunk_size") is None
    spec = replace(
        spec,
        intermediate=config.size("intermediate_size_mlp", 16384),
        turned=turned,
        windowed=windowed(config, spec.layers, lambda layer: turned[layer], "chunked_attention"),
        chunk=None if unbroken else config.size("attention_chunk_size", 8192),
        tempered=config.flag("attn_temperature_tuning", True),
        qk_norm=normed,
        experts=experts,
        sparse=tuple(sparse),
        router="router",
        names="llama4",
    )
    return build(config, spec)


def llama4_with_text(config: Config) -> Graph:
    """Return the graph of the language model of a `llama4` config; its tower of images is left out."""
    task_of(config, {"ForConditionalGeneration": "", "ForCausalLM": ""}, "")
    for key in ("vision_config", "boi_token_index", "eoi_token_index", "image_token_index", "tie_word_embeddings"):
        config.get(key)
    return llama4(config.part("text_config"))


def deepseek_v2(config: Config) -> Graph:
    """Return the graph of a `deepseek_v2` config."""
    no_training_noise(config)
    method = config.text("topk_method", "greedy")
    config.fixed("topk_method", ("greedy", "group_limited_greedy"), "another choice of experts is not built")
    config.fixed("scoring_func", ("softmax",), "another score of experts is not built")
    config.fixed("moe_layer_freq", (1,), "mixtures in some layers alone are not built")
    config.fixed("attention_bias", (False,), "biases of latent attention are not built")
    config.fixed("norm_topk_prob", (False,), "the model does not divide the weights by their sum")
    for key in ("rope_interleave", "ep_size", "head_dim", "qk_head_dim", "mlp_bias", "moe_layer_freq", "n_group"):
        config.get(key)
    config.get("topk_group")
    spec = _deepseek(config, V2, grouped=method != "greedy")
    return build(config, spec)


def deepseek_v3(config: Config) -> Graph:
    """Return the graph of a `deepseek_v3` config: the main model, and on demand layers that predict further tokens."""
    no_training_noise(config)
    config.fixed("topk_method", ("noaux_tc",), "another choice of experts is not built")
    config.fixed("scoring_func", ("sigmoid",), "another score of experts is not built")
    config.fixed("moe_layer_freq", (1,), "mixtures in some layers alone are not built")
    config.fixed("attention_bias", (False,), "biases of latent attention are not built")
    for key in ("rope_interleave", "ep_size", "num_nextn_predict_layers", "head_dim", "qk_head_dim"):
        config.get(key)
    further = config.size("num_nextn_predict_layers", 1) if config.task == "multi-token-prediction" else 0
    return build(config, replace(_deepseek(config, V3, grouped=True), further=further))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deepseek:
    """Defaults of a version, and how it scores experts."""

    score: Literal["softmax", "sigmoid"]
    heads: int
    number: int
    per_token: int | None
    moe_width: int
    shared: int
    dense: int
    groups: int
    groups_per_token: int
    renormalised: bool


def glm4_moe_lite(config: Config) -> Graph:
    """Return the graph of a `glm4_moe_lite` config: DeepSeek-V3 with sizes of its own."""
    no_training_noise(config)
    config.fixed("topk_method", ("noaux_tc",), "another choice of experts is not built")
    config.fixed("scoring_func", ("sigmoid",), "another score of experts is not built")
    config.fixed("attention_bias", (False,), "biases of latent attention are not built")
    for key in ("rope_interleave", "ep_size", "num_nextn_predict_layers", "head_dim", "qk_head_dim"):
        config.get(key)
    spec = _deepseek(config, LITE, grouped=True)
    return build(config, replace(spec, sparse=listed_layers(config, spec.layers)))


V2 = _Deepseek(
    score="softmax", heads=32, number=64, per_token=None, moe_width=1407, shared=2, dense=0, groups=1,
    groups_per_token=1, renormalised=False,
)  # fmt: skip
V3 = _Deepseek(
    score="sigmoid", heads=128, number=256, per_token=8, moe_width=2048, shared=1, dense=3, groups=8,
    groups_per_token=4, renormalised=True,
)  # fmt: skip


LITE = replace(V3, heads=20, number=64, per_token=4, moe_width=1536, dense=1, groups=1, groups_per_token=1)


def _deepseek(config: Config, version: _Deepseek, *, grouped: bool) -> Decoder:
    plain, turned = config.size("qk_nope_head_dim", 128), config.size("qk_rope_head_dim", 64)
    heads, layers = config.size("num_attention_heads", version.heads), config.size("num_hidden_layers")
    config.get("num_key_value_heads")  # each head has keys and values of its own, expanded from the latent
    query_rank = config.get("q_lora_rank") is not None or not config.has("q_lora_rank")
    moe_width = config.size("moe_intermediate_size", version.moe_width)
    shared = config.size("n_shared_experts", version.shared)
    first = config.whole("first_k_dense_replace", version.dense)
    groups = config.size("n_group", version.groups) if grouped else 1
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
        experts=experts_keys(
            config,
            "n_routed_experts",
            version.number,
            version.per_token or config.size("num_experts_per_tok"),
            intermediate=moe_width,
            shared_intermediate=shared * moe_width,
            score=version.score,
            renormalised=config.flag("norm_topk_prob", version.renormalised),
            scaled=config.get("routed_scaling_factor") is not None or not config.has("routed_scaling_factor"),
            groups=groups,
            groups_per_token=config.size("topk_group", version.groups_per_token) if grouped else 1,
            corrected=version.score == "sigmoid",
            best_of=2 if version.score == "sigmoid" else 1,
        ),
        sparse=tuple(layer >= first for layer in range(layers)),
        embeddings=tied(config, False),
        head=causal_head(config),
        dtype=dtype(config),
    )
