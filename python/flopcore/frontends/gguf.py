"""GGUF files as graphs: their metadata describe the model as a config.json does, in words of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

from flopcore.errors import DataError, UnsupportedOp
from flopcore.graph import Graph

from .huggingface import from_huggingface
from .weights import StoredTensor, Weights, check_parameters, read_weights

__all__ = ["from_gguf"]

# Architectures of GGUF (llama.cpp, gguf-py constants MODEL_ARCH_NAMES) and the model_type that computes the same.
_MODEL_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "arcee": "arcee",
        "bloom": "bloom",
        "cohere2": "cohere2",
        "command-r": "cohere",
        "deepseek2": "deepseek_v2",
        "dots1": "dots1",
        "ernie4_5": "ernie4_5",
        "exaone4": "exaone4",
        "falcon": "falcon",
        "gemma": "gemma",
        "gemma2": "gemma2",
        "gemma3": "gemma3_text",
        "glm4": "glm4",
        "gpt-oss": "gpt_oss",
        "gptj": "gptj",
        "gptneox": "gpt_neox",
        "granite": "granite",
        "granitemoe": "granitemoe",
        "hunyuan-dense": "hunyuan_v1_dense",
        "hunyuan-moe": "hunyuan_v1_moe",
        "llama": "llama",
        "minimax-m2": "minimax_m2",
        "mpt": "mpt",
        "nemotron": "nemotron",
        "olmo": "olmo",
        "olmo2": "olmo2",
        "olmoe": "olmoe",
        "phi2": "phi",
        "phi3": "phi3",
        "phimoe": "phimoe",
        "qwen2": "qwen2",
        "qwen2moe": "qwen2_moe",
        "qwen3": "qwen3",
        "qwen3moe": "qwen3_moe",
        "seed_oss": "seed_oss",
        "smollm3": "smollm3",
        "stablelm": "stablelm",
        "starcoder": "gpt_bigcode",
        "starcoder2": "starcoder2",
    }
)

# Keys under the architecture's name, and what a config.json calls them.
_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "embedding_length": "hidden_size",
        "block_count": "num_hidden_layers",
        "feed_forward_length": "intermediate_size",
        "attention.head_count": "num_attention_heads",
        "attention.head_count_kv": "num_key_value_heads",
        "attention.key_length": "head_dim",
        "attention.sliding_window": "sliding_window",
        "expert_used_count": "num_experts_per_tok",
        "expert_feed_forward_length": "moe_intermediate_size",
        "use_parallel_residual": "use_parallel_residual",
    }
)
_REQUIRED = ("embedding_length", "block_count", "attention.head_count")
# What the number of experts is called, of the families that have them.
_EXPERTS: Mapping[str, str] = MappingProxyType(
    {
        "deepseek_v2": "n_routed_experts",
        "deepseek_v3": "n_routed_experts",
        "dots1": "n_routed_experts",
        "gpt_oss": "num_local_experts",
        "granitemoe": "num_local_experts",
        "granitemoeshared": "num_local_experts",
        "hunyuan_v1_moe": "num_experts",
        "minimax_m2": "num_local_experts",
        "phimoe": "num_local_experts",
        "mixtral": "num_local_experts",
        "olmoe": "num_experts",
        "qwen2_moe": "num_experts",
        "qwen3_moe": "num_experts",
    }
)
# Of latent attention: head_dim is made of two parts, and keys and values come from a latent.
_LATENT: Mapping[str, str] = MappingProxyType(
    {
        "attention.q_lora_rank": "q_lora_rank",
        "attention.kv_lora_rank": "kv_lora_rank",
        "attention.value_length": "v_head_dim",
        "rope.dimension_count": "qk_rope_head_dim",
        "leading_dense_block_count": "first_k_dense_replace",
        "expert_shared_count": "n_shared_experts",
        "expert_group_count": "n_group",
        "expert_group_used_count": "topk_group",
    }
)

# Families whose experts are as wide as their config says of the whole feed-forward.
_ONE_WIDTH = ("gpt_oss", "granitemoe", "granitemoeshared", "hunyuan_v1_moe", "minimax_m2", "mixtral", "phimoe")
# What a config.json says by a key, a GGUF file says by having the tensor.
_ATTENTION = {"attention_bias": "blk.0.attn_q.bias"}
_BOTH = {**_ATTENTION, "mlp_bias": "blk.0.ffn_up.bias"}
_TENSORS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "command-r": {**_ATTENTION, "use_qk_norm": "blk.0.attn_q_norm.weight"},
        "cohere2": _ATTENTION,
        "dots1": _ATTENTION,
        "ernie4_5": {"use_bias": "blk.0.attn_q.bias"},
        "falcon": {"bias": "blk.0.attn_qkv.bias", "new_decoder_architecture": "blk.0.attn_norm_2.weight"},
        "glm4": _ATTENTION,
        "gptneox": {"attention_bias": "blk.0.attn_qkv.bias"},
        "granite": _BOTH,
        "granitemoe": _ATTENTION,
        "hunyuan-dense": _ATTENTION,
        "hunyuan-moe": _ATTENTION,
        "nemotron": _BOTH,
        "olmo": _ATTENTION,
        "phimoe": {**_ATTENTION, "lm_head_bias": "output.bias"},
        "stablelm": {"use_qkv_bias": "blk.0.attn_q.bias", "qk_layernorm": "blk.0.attn_q_norm.weight"},
        "llama": _BOTH,
        "qwen3": _ATTENTION,
        "starcoder2": {"use_bias": "blk.0.attn_q.bias"},
    }
)


def from_gguf(path: str | os.PathLike[str]) -> Graph:
    """Return the graph of one forward pass of the language model in a GGUF file, from its header alone.

    Parameters
    ----------
    path
        The file. Only metadata and tensor descriptions are read, no tensor.

    Returns
    -------
    Graph
        As `from_huggingface` builds it for the same model, with symbolic dims ``batch`` and ``seq``. Its weights are
        checked against the tensors of the file. They are taken in the number format in which products are computed
        (bfloat16): blocks of a quantised file are expanded first, and what the file stores is told by `read_weights`.

    Raises
    ------
    DataError
        If the file is cut short or contradicts itself, a key is missing, or its tensors are not those of the model.
    UnsupportedOp
        If the architecture is not known here; the message lists the known ones.
    """
    weights = read_weights(path)
    if weights.format != "gguf":
        raise DataError(f"{path}: not a GGUF file")
    graph = from_huggingface(_config(weights))
    check_parameters(graph, weights)
    return graph


def _config(weights: Weights) -> dict[str, object]:
    """Return the config.json that describes the same model."""
    metadata, tensors = weights.metadata, weights.tensors
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in _MODEL_TYPES:
        known = ", ".join(sorted(_MODEL_TYPES))
        raise UnsupportedOp(f"{weights.path}: GGUF architecture {architecture!r} is not known; known: {known}")
    table = tensors.get("token_embd.weight")
    if table is None or len(table.shape) != 2:
        raise DataError(f"{weights.path}: tensor 'token_embd.weight' must be there and have two dims")
    experts = metadata.get(f"{architecture}.expert_count")
    model_type = _MODEL_TYPES[architecture]
    beside = metadata.get(f"{architecture}.expert_shared_feed_forward_length")
    if model_type == "llama" and experts:
        model_type = "mixtral"  # llama.cpp has one architecture for both
    if model_type == "granitemoe" and beside:
        model_type = "granitemoeshared"
    if model_type == "deepseek_v2" and any(name.endswith(".exp_probs_b.bias") for name in tensors):
        model_type = "deepseek_v3"  # the same for these two; version 3 alone corrects the choice of experts
    config: dict[str, object] = {
        "model_type": model_type,
        "vocab_size": table.shape[0],
        "tie_word_embeddings": "output.weight" not in tensors,
        "dtype": "bfloat16",
    }
    for key, name in _KEYS.items():
        value = metadata.get(f"{architecture}.{key}")
        if value is None and key in _REQUIRED:
            raise DataError(f"{weights.path}: key '{architecture}.{key}' is missing")
        if value is not None:
            config[name] = value
    if experts:
        if model_type not in _EXPERTS:
            raise UnsupportedOp(f"{weights.path}: {architecture} with {experts} experts is not built from GGUF")
        config[_EXPERTS[model_type]] = experts
        if model_type in _ONE_WIDTH:
            config["intermediate_size"] = config.pop("moe_intermediate_size", config.get("intermediate_size"))
    if model_type == "granitemoeshared":
        config["shared_intermediate_size"] = beside
    shared = tensors.get("blk.0.ffn_up_shexp.weight")
    if model_type == "qwen2_moe" and shared is not None:
        config["shared_expert_intermediate_size"] = shared.shape[0]
    for key, tensor in _TENSORS.get(architecture, {}).items():
        config[key] = tensor in tensors or tensor.replace("attn_q.", "attn_qkv.") in tensors
    if architecture == "deepseek2":
        config |= _latent(weights, metadata, model_type)
        config.pop("head_dim", None)
    else:
        config |= _own_words(metadata, tensors, architecture, config)
    if "intermediate_size" not in config:
        raise DataError(f"{weights.path}: key '{architecture}.feed_forward_length' is missing")
    return config


def _own_words(
    metadata: Mapping[str, object], tensors: Mapping[str, StoredTensor], architecture: str, config: dict[str, object]
) -> dict[str, object]:
    """Return what some families say in a config.json by keys of their own."""
    found: dict[str, object] = {}
    hidden, heads, shared = (config.get(key) for key in ("hidden_size", "num_attention_heads", "num_key_value_heads"))
    turned, width = metadata.get(f"{architecture}.rope.dimension_count"), config.get("head_dim")
    if width is None and isinstance(hidden, int) and isinstance(heads, int) and heads > 0:
        width = hidden // heads
    if isinstance(turned, int) and isinstance(width, int) and width > 0:
        found |= {"rotary_dim": turned} if architecture == "gptj" else {"partial_rotary_factor": turned / width}
    positions = tensors.get("position_embd.weight")
    if positions is not None:
        found["max_position_embeddings"] = positions.shape[0]
    bound = metadata.get(f"{architecture}.attention.clamp_kqv") or None
    match architecture:
        case "falcon":
            found |= {"num_kv_heads": shared, "multi_query": shared == 1}
        case "starcoder":
            found["multi_query"] = shared == 1
        case "exaone4" if "sliding_window" not in config:
            found["sliding_window"] = None
        case "hunyuan-moe":
            found["moe_topk"] = config.pop("num_experts_per_tok", None)
        case "mpt":
            found["attn_config"] = {"clip_qkv": bound}
        case "olmo":
            found["clip_qkv"] = bound
        case "dots1":
            names = {"leading_dense_block_count": "first_k_dense_replace", "expert_shared_count": "n_shared_experts"}
            found |= {name: metadata.get(f"dots1.{key}") for key, name in names.items()}
            found["norm_topk_prob"] = bool(metadata.get("dots1.expert_weights_norm", False))
    return found


def _latent(weights: Weights, metadata: Mapping[str, object], model_type: str) -> dict[str, object]:
    """Return the keys of latent attention and of the choice of experts; the multi-query form says its widths apart."""
    config: dict[str, object] = {"q_lora_rank": None}
    for key, name in _LATENT.items():
        value = metadata.get(f"deepseek2.{key}")
        if value is not None:
            config[name] = value
    whole = metadata.get("deepseek2.attention.key_length_mla", metadata.get("deepseek2.attention.key_length"))
    config["v_head_dim"] = metadata.get("deepseek2.attention.value_length_mla", config.get("v_head_dim"))
    turned = config.get("qk_rope_head_dim")
    if not isinstance(whole, int) or not isinstance(turned, int) or whole <= turned:
        raise DataError(f"{weights.path}: keys are {whole!r} wide, of which {turned!r} are turned")
    config["qk_nope_head_dim"] = whole - turned
    if model_type == "deepseek_v3":
        config["norm_topk_prob"] = bool(metadata.get("deepseek2.expert_weights_norm", True))
        return {"n_group": 1, "topk_group": 1} | config
    return config
