"""Hugging Face `config.json` files as graphs: no weights, no torch, no transformers."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from flopcore.architectures.transformer import Activation, Decoder, decoder
from flopcore.errors import DataError, UnsupportedOp
from flopcore.expr import dim
from flopcore.graph import Graph

__all__ = ["from_huggingface"]

_MAX_BYTES = 16 * 2**20
_MAX_SIZE = 2**40  # of any one number of a config; far above every model

_ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "silu": "silu",
        "swish": "silu",
        "gelu": "gelu",
        "gelu_new": "gelu_tanh",
        "gelu_pytorch_tanh": "gelu_tanh",
        "relu": "relu",
    }
)
_DTYPES = frozenset({"float32", "float16", "bfloat16", "float64"})

# Keys that do not change what one forward pass computes: training, generation, tokens, angles, bookkeeping.
_NEUTRAL_KEYS = """
    _attn_implementation _name_or_path add_cross_attention architectures attention_dropout attn_implementation auto_map
    bad_words_ids begin_suppress_tokens bos_token_id chunk_size_feed_forward classifier_dropout
    cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample early_stopping
    encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty finetuning_task forced_bos_token_id
    forced_eos_token_id id2label initializer_range is_decoder is_encoder_decoder label2id length_penalty
    max_length max_position_embeddings max_window_layers min_length model_type no_repeat_ngram_size num_beam_groups
    num_beams num_labels num_return_sequences original_max_position_embeddings output_attentions output_hidden_states
    output_scores pad_token_id prefix problem_type remove_invalid_values repetition_penalty return_dict
    return_dict_in_generate rms_norm_eps rope_parameters rope_scaling rope_theta sep_token_id suppress_tokens
    task_specific_params temperature tf_legacy_loss tokenizer_class top_k top_p torchscript transformers_version
    typical_p unsloth_fixed unsloth_version use_bfloat16 use_cache
"""
_NEUTRAL = frozenset(_NEUTRAL_KEYS.split())


def from_huggingface(config: str | os.PathLike[str] | Mapping[str, object]) -> Graph:
    """Return the graph of one forward pass of the language model that a `config.json` describes.

    Parameters
    ----------
    config
        The file, the directory that holds it as ``config.json``, or its content as a dict.

    Returns
    -------
    Graph
        Dims ``batch`` and ``seq``: whole sequences are read at once, every position gets logits, and there is no
        cache. Module scopes are those of transformers, the layers are one block, and origins are ``huggingface``.

    Raises
    ------
    DataError
        If the file cannot be read, or a key is missing or has no sensible value; the message names file and key.
    UnsupportedOp
        If the ``model_type`` or something it asks for is not known here; the message lists the known ones.

    Warns
    -----
    UserWarning
        If the config has keys that are unknown here and could change the count.

    Examples
    --------
    >>> import flopcore as fc
    >>> config = {
    ...     "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    ...     "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
    ... }
    >>> fc.from_huggingface(config).parameters
    86848
    """
    reader = _Config(*_load(config))
    model_type = reader.text("model_type")
    family = _FAMILIES.get(model_type)
    if family is None:
        known = ", ".join(sorted(_FAMILIES))
        raise UnsupportedOp(f"{reader.label}: model_type {model_type!r} is not known; known: {known}")
    spec = family(reader)
    unread = reader.unread()
    if unread:
        warnings.warn(
            f"{reader.label}: keys that are not understood and could change the count: {', '.join(unread)}",
            stacklevel=2,
        )
    return decoder(spec, batch=dim("batch"), seq=dim("seq"), name=model_type, origin="huggingface")


def _load(config: str | os.PathLike[str] | Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
    if isinstance(config, Mapping):
        return "config", config
    path = Path(config)
    if path.is_dir():
        path = path / "config.json"
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path}: {path.stat().st_size} bytes is too long for a config")
        content = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: the top level must be an object, is {type(content).__name__}")
    return str(path), content


class _Config:
    """The keys of one config, with errors that name file and key; remembers what was read."""

    def __init__(self, label: str, content: Mapping[str, object]) -> None:
        self.label = label
        self._content = content
        self._read: set[str] = set()

    def unread(self) -> list[str]:
        """Return the keys that nothing has looked at, are not known to be neutral, and turn something on."""
        unknown = self._content.keys() - self._read - _NEUTRAL
        return sorted(str(key) for key in unknown if self._content[key] not in (None, False))

    def has(self, key: str) -> bool:
        """Return whether the key is there, null or not."""
        self._read.add(key)
        return key in self._content

    def get(self, key: str) -> object:
        """Return a raw value, None where it is absent."""
        self._read.add(key)
        return self._content.get(key)

    def size(self, key: str, default: int | None = None) -> int:
        """Return a positive integer; absent and null give the default, which None makes an error."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise DataError(f"{self.label}: key {key!r} is missing")
        if isinstance(value, bool) or not isinstance(value, int):
            raise DataError(f"{self.label}: key {key!r} must be an integer, is {_short(value)}")
        if not 1 <= value <= _MAX_SIZE:
            raise DataError(f"{self.label}: key {key!r} must be from 1 to 2**40, is {_short(value)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false; absent and null give the default."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise DataError(f"{self.label}: key {key!r} must be true or false, is {_short(value)}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; absent and null give the default, which None makes an error."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            told = "is missing" if value is None else f"must be a text, is {_short(value)}"
            raise DataError(f"{self.label}: key {key!r} {told}")
        return value

    def choice(self, key: str, default: str, known: Mapping[str, Activation]) -> Activation:
        """Return what a name stands for."""
        value = self.text(key, default)
        if value not in known:
            raise UnsupportedOp(f"{self.label}: {key} {value!r} is not known; known: {', '.join(known)}")
        return known[value]

    def fixed(self, key: str, allowed: tuple[object, ...], why: str) -> None:
        """Refuse a value that would ask for something that is not built."""
        value = self.get(key)
        if value is not None and value not in allowed:
            raise UnsupportedOp(f"{self.label}: {key}={_short(value)}: {why}")


def _short(value: object) -> str:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."


def _decoder(
    config: _Config,
    *,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    qkv_bias: bool = False,
    out_bias: bool = False,
    mlp_bias: bool = False,
    qk_norm: bool = False,
) -> Decoder:
    """Return what all families have in common; the arguments are a family's own defaults."""
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    if head_dim is None and config.get("head_dim") is None and hidden % heads:
        raise DataError(f"{config.label}: num_attention_heads={heads} does not divide hidden_size={hidden}")
    width = config.size("head_dim", head_dim or max(hidden // heads, 1))
    shared = config.size("num_key_value_heads", kv_heads or heads)
    if heads % shared:
        raise DataError(f"{config.label}: num_key_value_heads={shared} does not divide num_attention_heads={heads}")
    if width % 2:
        raise DataError(f"{config.label}: head_dim={width} is odd; rotary positions turn pairs")
    _rotary_in_full(config)
    return Decoder(
        layers=config.size("num_hidden_layers"),
        hidden=hidden,
        intermediate=config.size("intermediate_size"),
        vocab=config.size("vocab_size"),
        heads=heads,
        kv_heads=shared,
        head_dim=width,
        activation=config.choice("hidden_act", "silu", _ACTIVATIONS),
        qkv_bias=qkv_bias,
        out_bias=out_bias,
        mlp_bias=mlp_bias,
        qk_norm=qk_norm,
        embeddings="tied" if config.flag("tie_word_embeddings", False) else "separate",
        head=_head(config),
        dtype=_dtype(config),
    )


def _rotary_in_full(config: _Config) -> None:
    """Refuse a rotation of a part of each head."""
    config.fixed("partial_rotary_factor", (1, 1.0), "a rotation of a part of each head is not built")
    parameters = config.get("rope_parameters")
    if isinstance(parameters, Mapping) and parameters.get("partial_rotary_factor", 1) not in (1, 1.0):
        raise UnsupportedOp(f"{config.label}: rope_parameters: a rotation of a part of each head is not built")


def _no_window(config: _Config) -> None:
    """Refuse attention in a sliding window, which `sliding_window` alone does not turn on in these families."""
    config.get("sliding_window")
    config.fixed("use_sliding_window", (False,), "attention in a sliding window is not built")
    types = config.get("layer_types")
    if types is not None and (not isinstance(types, list) or any(kind != "full_attention" for kind in types)):
        raise UnsupportedOp(f"{config.label}: layer_types: only 'full_attention' is built")


def _head(config: _Config) -> Literal["logits", "none"]:
    classes = config.get("architectures")
    if classes is None:
        return "logits"
    if not isinstance(classes, list) or len(classes) != 1 or not isinstance(classes[0], str):
        raise DataError(f"{config.label}: key 'architectures' must be a list of one name, is {_short(classes)}")
    if classes[0].endswith("ForCausalLM"):
        return "logits"
    if classes[0].endswith("Model"):
        return "none"
    raise UnsupportedOp(f"{config.label}: architecture {classes[0]!r} is not built; a ...ForCausalLM or ...Model is")


def _dtype(config: _Config) -> str:
    older = config.text("torch_dtype", "float32")
    dtype = config.text("dtype", older).removeprefix("torch.")
    if dtype not in _DTYPES:
        raise DataError(f"{config.label}: dtype {_short(dtype)} is not known; known: {', '.join(sorted(_DTYPES))}")
    return dtype


# --------------------------------------------------------------------------------------- one function per family
def _llama(config: _Config) -> Decoder:
    config.fixed("pretraining_tp", (1,), "slices of tensor-parallel pretraining are not built")
    bias = config.flag("attention_bias", False)
    return _decoder(config, qkv_bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias", False))


def _mistral(config: _Config) -> Decoder:
    # An absent key is a window too: the family's default is 4096.
    if not config.has("sliding_window") or config.get("sliding_window") is not None:
        raise UnsupportedOp(f"{config.label}: attention in a sliding window is not built; null turns it off")
    return _decoder(config, kv_heads=8)


def _qwen2(config: _Config) -> Decoder:
    _no_window(config)
    return _decoder(config, kv_heads=32, qkv_bias=True)


def _qwen3(config: _Config) -> Decoder:
    _no_window(config)
    bias = config.flag("attention_bias", False)
    return _decoder(config, kv_heads=32, head_dim=128, qkv_bias=bias, out_bias=bias, qk_norm=True)


_FAMILIES: Mapping[str, Callable[[_Config], Decoder]] = MappingProxyType(
    {"llama": _llama, "mistral": _mistral, "qwen2": _qwen2, "qwen3": _qwen3}
)
