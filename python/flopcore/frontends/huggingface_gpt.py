"""Decoders of before Llama and their kin: positions learned or by a slope, plain feed-forwards, names of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from flopcore.architectures.transformer import Decoder
from flopcore.errors import DataError
from flopcore.graph import Graph

from .huggingface_config import Config, short
from .huggingface_decoders import build
from .huggingface_kin import Kin, kin_decoder

__all__: list[str] = []

_ALL = {"qkv_bias": True, "out_bias": True, "mlp_bias": True}
_PLAIN: Mapping[str, Any] = {"feed_forward": "plain", "norm": "layer"}
_FUSED: Mapping[str, Any] = {**_PLAIN, "projections": "fused"}
_GPT_NAMES: Mapping[str, tuple[str, ...]] = {
    "hidden_size": ("n_embd",), "num_hidden_layers": ("n_layer",), "num_attention_heads": ("n_head",),
    "intermediate_size": ("n_inner",), "max_position_embeddings": ("n_positions",),
    "hidden_act": ("activation_function",),
}  # fmt: skip
_GPTJ: Mapping[str, Any] = {
    "inner": 4, "activation": "gelu_new", "biases": {}, "other_names": _GPT_NAMES, "positions": "none",
}  # fmt: skip
_GPTJ_FIELDS: Mapping[str, Any] = {**_PLAIN, "mlp_bias": True, "residual": "parallel", "head_bias": True}

_ROWS: Mapping[str, Kin] = MappingProxyType(
    {
        "biogpt": Kin(
            is_tied=True, activation="gelu", biases={}, positions="learned",
            flags={"scale_embedding": (True, {"embedding_scale": True})},
            fields={**_PLAIN, **_ALL, "reserved": 2, "names": "biogpt"}, neutral=("layerdrop",),
        ),
        "bloom": Kin(
            is_tied=True, activation="gelu_new", biases={}, inner=4, positions="none",
            other_names={
                "hidden_size": ("n_embed",), "num_hidden_layers": ("n_layer",), "num_attention_heads": ("n_head",),
            },
            fields={**_FUSED, **_ALL, "alibi": True, "embedding_norm": True, "names": "bloom"},
            neutral=("attention_softmax_in_fp32", "bias_dropout_fusion", "masked_softmax_fusion", "seq_length",
                     "offset_alibi", "skip_bias_add", "skip_bias_add_qkv", "unk_token_id", "n_inner"),
            refused=("apply_residual_connection_post_layernorm", "slow_but_exact"),
        ),
        "codegen": Kin(**_GPTJ, fields={**_GPTJ_FIELDS, "projections": "fused", "names": "codegen"}),
        "falcon": Kin(
            is_tied=True, activation="gelu", inner=4,
            biases={"qkv_bias": "bias", "out_bias": "bias", "mlp_bias": "bias"},
            other_names={
                "hidden_size": ("n_embed",), "num_hidden_layers": ("n_layer",), "num_attention_heads": ("n_head",),
                "intermediate_size": ("ffn_hidden_size",), "hidden_act": ("activation",),
            },
            fields={**_FUSED, "names": "falcon"}, neutral=("apply_residual_connection_post_layernorm",),
        ),
        "gpt_bigcode": Kin(
            is_tied=True, activation="gelu_pytorch_tanh", inner=4, biases={}, other_names=_GPT_NAMES,
            positions="learned",
            fields={**_FUSED, **_ALL, "names": "gpt_bigcode"},
            neutral=("attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "scale_attn_weights",
                     "inference_runner", "max_batch_size", "max_sequence_length", "pad_key_length",
                     "pre_allocate_kv_cache", "validate_runner_input"),
            refused=("add_cross_attention",),
        ),
        "gpt_neo": Kin(
            is_tied=True, activation="gelu_new", inner=4, biases={}, positions="learned",
            other_names={
                "num_hidden_layers": ("num_layers",), "num_attention_heads": ("num_heads",),
                "hidden_act": ("activation_function",),
            },
            fields={**_PLAIN, "out_bias": True, "mlp_bias": True, "names": "gpt_neo"}, neutral=("embed_dropout",),
        ),
        "gptj": Kin(**_GPTJ, fields={**_GPTJ_FIELDS, "names": "gptj"}),
        "mpt": Kin(
            is_tied=True, activation="gelu", inner=4, biases={}, positions="none",
            other_names={
                "hidden_size": ("d_model",), "num_hidden_layers": ("n_layers",), "num_attention_heads": ("n_heads",),
            },
            fields={**_FUSED, "norm": "layer_scale", "alibi": True, "names": "mpt"},
            neutral=("max_seq_len", "resid_pdrop", "emb_pdrop", "learned_pos_emb", "init_device", "embedding_fraction",
                     "norm_type", "no_bias", "tokenizer_name", "verbose", "init_config", "ffn_config"),
            refused=("logit_scale",),
        ),
        "opt": Kin(
            is_tied=True, activation="relu", positions="learned",
            biases={"qkv_bias": "enable_bias", "out_bias": "enable_bias", "mlp_bias": "enable_bias"},
            biased=("qkv_bias", "out_bias", "mlp_bias"),
            other_names={"intermediate_size": ("ffn_dim",), "hidden_act": ("activation_function",)},
            fields={**_PLAIN, "reserved": 2, "names": "opt"}, neutral=("layerdrop",),
        ),
        "persimmon": Kin(
            activation="relu2", rotary=0.5, biases={}, flags={"qk_layernorm": (True, {"qk_norm": "head_layer"})},
            fields={**_FUSED, **_ALL, "names": "persimmon"},
        ),
    }
)  # fmt: skip


def _falcon(config: Config, spec: Decoder) -> Decoder:
    """Return a Falcon: keys and values for all heads or one, or for groups of them in the later form."""
    later, parallel = config.flag("new_decoder_architecture", False), config.flag("parallel_attn", True)
    groups, single = config.size("num_kv_heads", spec.heads), config.flag("multi_query", True)
    shared = groups if later else 1 if single else spec.heads
    if spec.heads % shared:
        raise DataError(f"{config.label}: num_kv_heads={shared} does not divide num_attention_heads={spec.heads}")
    spec = replace(spec, kv_heads=shared, residual="parallel" if parallel or later else "sequential")
    if later and config.size("num_ln_in_parallel_attn", 2) == 2:
        spec = replace(spec, residual="parallel_norms", names="falcon_parallel")
    if config.flag("alibi", False):
        spec = replace(spec, alibi=True, turned=(False,) * spec.layers)
    return spec


def _bigcode(config: Config, spec: Decoder) -> Decoder:
    """Return a GPT-BigCode, whose heads share one key and value or none."""
    return replace(spec, kv_heads=1 if config.flag("multi_query", True) else spec.heads)


def _gpt_neo(config: Config, spec: Decoder) -> Decoder:
    """Return a GPT-Neo, whose layers see all tokens or the last few, as a list of [kinds, times] says."""
    config.get("attention_layers")  # the same list, expanded
    kinds: list[object] = []
    given = config.get("attention_types") or [[["global", "local"], 12]]
    for entry in given if isinstance(given, list) else [given]:
        names, times = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
        if not isinstance(names, list) or not isinstance(times, int) or not 0 < times <= spec.layers:
            raise DataError(f"{config.label}: attention_types {short(given)} must be lists of [kinds, times]")
        kinds += names * times
    if len(kinds) != spec.layers or any(kind not in ("global", "local") for kind in kinds):
        raise DataError(
            f"{config.label}: attention_types {short(given)} must name global or local for each of {spec.layers} layers"
        )
    return replace(spec, window=config.size("window_size", 256), windowed=tuple(kind == "local" for kind in kinds))


def _gptj(config: Config, spec: Decoder) -> Decoder:
    """Return a GPT-J, of whose heads the first `rotary_dim` places are turned."""
    return replace(spec, rotary_dim=config.size("rotary_dim", 64), turned=())


def _mpt(config: Config, spec: Decoder) -> Decoder:
    """Return an MPT, as transformers reads it: always a slope per head, never a bias."""
    attention = config.part("attn_config")
    for key in ("alibi", "alibi_bias_max", "attn_impl", "attn_uses_sequence_id", "softmax_scale", "attn_type"):
        attention.get(key)
    attention.fixed("attn_type", ("multihead_attention",), "another kind of attention is not built")
    attention.fixed("prefix_lm", (False,), "prefixes that are read in both directions are not built")
    attention.fixed("qk_ln", (False,), "layer norms of queries and keys are not built")
    config.fixed("expansion_ratio", (4,), "another width of the feed-forward is not built")
    return replace(spec, clipped=attention.get("clip_qkv") is not None)


def _opt(config: Config, spec: Decoder) -> Decoder:
    """Return an OPT; that with 350M parameters norms after each sublayer and has narrower embeddings."""
    width, before = config.size("word_embed_proj_dim", spec.hidden), config.flag("do_layer_norm_before", True)
    return replace(
        spec,
        embedding=width if width != spec.hidden else None,
        norm="layer" if config.flag("layer_norm_elementwise_affine", True) else "layer_plain",
        norm_place="before" if before else "joined",
        final_norm=before and not config.flag("_remove_final_layer_norm", False),
    )


_FURTHER: Mapping[str, Callable[[Config, Decoder], Decoder]] = MappingProxyType(
    {
        "codegen": _gptj,
        "falcon": _falcon,
        "gpt_bigcode": _bigcode,
        "gpt_neo": _gpt_neo,
        "gptj": _gptj,
        "mpt": _mpt,
        "opt": _opt,
    }
)
GPT = tuple(_ROWS)


def gpt(config: Config) -> Graph:
    """Return the graph of a config whose family is one of `GPT`."""
    family = config.text("model_type")
    spec = kin_decoder(config, _ROWS[family])
    return build(config, _FURTHER[family](config, spec) if family in _FURTHER else spec)
