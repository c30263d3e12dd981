"""GGUF files as graphs: their metadata describe the model as a config.json does, in words of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

from flopcore.errors import DataError, UnsupportedOp
from flopcore.graph import Graph

from .huggingface import from_huggingface
from .weights import Weights, check_parameters, read_weights

__all__ = ["from_gguf"]

# Architectures of GGUF (llama.cpp, gguf-py constants MODEL_ARCH_NAMES) and the model_type that computes the same.
_MODEL_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "gemma": "gemma",
        "llama": "llama",
        "olmo2": "olmo2",
        "phi3": "phi3",
        "qwen2": "qwen2",
        "qwen3": "qwen3",
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
    }
)

# What a config.json says by a key, a GGUF file says by having the tensor.
_BIASES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "llama": {"attention_bias": "blk.0.attn_q.bias", "mlp_bias": "blk.0.ffn_up.bias"},
        "qwen3": {"attention_bias": "blk.0.attn_q.bias"},
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
    config: dict[str, object] = {
        "model_type": _MODEL_TYPES[architecture],
        "vocab_size": table.shape[0],
        "tie_word_embeddings": "output.weight" not in tensors,
        "dtype": "bfloat16",
    }
    for key, name in _KEYS.items():
        value = metadata.get(f"{architecture}.{key}")
        if value is None and key in ("embedding_length", "block_count", "feed_forward_length", "attention.head_count"):
            raise DataError(f"{weights.path}: key '{architecture}.{key}' is missing")
        if value is not None:
            config[name] = value
    if has_experts := metadata.get(f"{architecture}.expert_count"):
        raise UnsupportedOp(f"{weights.path}: {architecture} with {has_experts} experts is not built from GGUF")
    turned, width = metadata.get(f"{architecture}.rope.dimension_count"), config.get("head_dim")
    if isinstance(turned, int) and isinstance(width, int) and turned != width:
        config["partial_rotary_factor"] = turned / width
    for key, tensor in _BIASES.get(architecture, {}).items():
        config[key] = tensor in tensors
    return config
