"""What families of decoder-only transformers call their modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["NAMES", "Names"]


@dataclass(frozen=True, slots=True)
class Names:
    """What a family calls its modules; norms: before and after the mixer, before and after the feed-forward."""

    embedding: str = "model.embed_tokens"
    layers: str = "model.layers"
    final_norm: str = "model.norm"
    head: str = "lm_head"
    attention: str = "self_attn"
    recurrent: str = "mamba"
    feed: str = "mlp"
    norms: tuple[str, str, str, str] = (
        "input_layernorm", "post_attention_layernorm", "post_attention_layernorm", "post_feedforward_layernorm",
    )  # fmt: skip
    positions: str = ""
    embedding_norm: str = ""
    project: tuple[str, str] = ("", "")
    joint: str = "qkv_proj"
    back: str = "o_proj"
    plain: tuple[str, str] = ("fc1", "fc2")


_SANDWICH = (
    "input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm",
)  # fmt: skip
_OPT = ("self_attn_layer_norm", "", "final_layer_norm", "")
_MEGATRON = ("dense_h_to_4h", "dense_4h_to_h")
_GPT: Mapping[str, Any] = {
    "embedding": "transformer.wte", "layers": "transformer.h", "final_norm": "transformer.ln_f",
    "norms": ("ln_1", "", "ln_2", ""),
}  # fmt: skip
_FALCON: Mapping[str, Any] = {
    "embedding": "transformer.word_embeddings", "layers": "transformer.h", "final_norm": "transformer.ln_f",
    "attention": "self_attention", "joint": "query_key_value", "back": "dense", "plain": _MEGATRON,
}  # fmt: skip
_PRE_FF = ("input_layernorm", "", "pre_ff_layernorm", "")
NAMES: Mapping[str, Names] = MappingProxyType(
    {
        "llama": Names(),
        "gemma2": Names(norms=_SANDWICH),
        "apertus": Names(
            norms=("attention_layernorm", "", "feedforward_layernorm", ""), plain=("up_proj", "down_proj")
        ),
        "biogpt": Names(
            embedding="biogpt.embed_tokens", positions="biogpt.embed_positions", layers="biogpt.layers",
            final_norm="biogpt.layer_norm", head="output_projection", feed="", norms=_OPT, back="out_proj",
        ),
        "bloom": Names(
            embedding="transformer.word_embeddings", embedding_norm="transformer.word_embeddings_layernorm",
            layers="transformer.h", final_norm="transformer.ln_f", attention="self_attention", joint="query_key_value",
            back="dense", plain=_MEGATRON,
        ),
        "codegen": Names(**_GPT, attention="attn", back="out_proj", plain=("fc_in", "fc_out")),
        "dbrx": Names(
            embedding="transformer.wte", layers="transformer.blocks", final_norm="transformer.norm_f",
            attention="norm_attn_norm.attn", norms=("norm_attn_norm.norm_1", "", "norm_attn_norm.norm_2", ""),
            feed="ffn", joint="Wqkv", back="out_proj",
        ),
        "falcon": Names(**_FALCON),
        "falcon_parallel": Names(**_FALCON, norms=("ln_attn", "", "ln_mlp", "")),
        "glm4": Names(
            norms=("input_layernorm", "post_self_attn_layernorm", "post_attention_layernorm", "post_mlp_layernorm")
        ),
        "gpt_neox": Names(
            embedding="gpt_neox.embed_in", layers="gpt_neox.layers", final_norm="gpt_neox.final_layer_norm",
            head="embed_out", attention="attention", joint="query_key_value", back="dense",
            plain=_MEGATRON,
        ),
        "gpt_neo": Names(
            **_GPT, positions="transformer.wpe", attention="attn.attention", back="out_proj", plain=("c_fc", "c_proj")
        ),
        "gpt_bigcode": Names(
            **_GPT, positions="transformer.wpe", attention="attn", joint="c_attn", back="c_proj",
            plain=("c_fc", "c_proj"),
        ),
        "gptj": Names(**_GPT, attention="attn", back="out_proj", plain=("fc_in", "fc_out")),
        "jamba": Names(final_norm="model.final_layernorm", feed="feed_forward", norms=_PRE_FF),
        "llama4": Names(feed="feed_forward"),
        "mamba": Names(
            embedding="backbone.embeddings", layers="backbone.layers", final_norm="backbone.norm_f",
            recurrent="mixer", norms=("norm", "", "", ""),
        ),
        "mpt": Names(
            embedding="transformer.wte", layers="transformer.blocks", final_norm="transformer.norm_f", attention="attn",
            feed="ffn", norms=("norm_1", "", "norm_2", ""), joint="Wqkv", back="out_proj",
            plain=("up_proj", "down_proj"),
        ),
        "nanochat": Names(embedding_norm="model.norm"),
        "nemotron": Names(plain=("up_proj", "down_proj")),
        "nemotron_h": Names(
            embedding="model.embeddings", final_norm="model.norm_f", attention="mixer", recurrent="mixer",
            feed="mixer", norms=("norm", "", "norm", ""), plain=("up_proj", "down_proj"),
        ),
        "opt": Names(
            embedding="model.decoder.embed_tokens", positions="model.decoder.embed_positions",
            project=("model.decoder.project_in", "model.decoder.project_out"), layers="model.decoder.layers",
            final_norm="model.decoder.final_layer_norm", feed="", norms=_OPT, back="out_proj",
        ),
        "persimmon": Names(
            final_norm="model.final_layernorm", joint="query_key_value", back="dense", plain=_MEGATRON
        ),
        "phi": Names(final_norm="model.final_layernorm", back="dense"),
        "qwen3_next": Names(recurrent="linear_attn"),
        "starcoder": Names(plain=("c_fc", "c_proj")),
    }
)  # fmt: skip
