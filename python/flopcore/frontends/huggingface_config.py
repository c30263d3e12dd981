"""One `config.json`: reading it, and its keys with errors that name file and key."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from flopcore.errors import DataError, UnsupportedOp

__all__: list[str] = []

_MAX_BYTES = 16 * 2**20
_MAX_SIZE = 2**40  # of any one number of a config; far above every model
_MAX_LAYERS = 2**16  # what a layer is made of is told one by one

# Keys that do not change what one forward pass computes: training, generation, tokens, angles, bookkeeping.
_NEUTRAL_KEYS = """
    _attn_implementation _name_or_path activation_dropout add_cross_attention apply_spec_augment architectures
    attention_dropout attention_probs_dropout_prob attn_implementation attn_pdrop auto_map bad_words_ids
    begin_suppress_tokens bos_token_id cache_implementation chunk_size_feed_forward classifier_dropout
    classifier_proj_size cross_attention_hidden_size decoder_layerdrop decoder_start_token_id diversity_penalty
    do_sample dropout dropout_rate early_stopping embd_pdrop embedding_dropout encoder_layerdrop
    encoder_no_repeat_ngram_size encoder_stride eod_token_id eos_token_id exponential_decay_length_penalty
    finetuning_task forced_bos_token_id forced_eos_token_id gradient_checkpointing hidden_dropout hidden_dropout_prob
    id2label init_std initializer_factor initializer_range is_decoder is_encoder_decoder label2id layer_norm_eps
    layer_norm_epsilon length_penalty mask_feature_length mask_feature_min_masks mask_feature_prob mask_time_length
    mask_time_min_masks mask_time_prob max_length max_position_embeddings max_window_layers median_filter_width
    min_length model_type n_ctx n_positions no_repeat_ngram_size norm_eps norm_epsilon num_beam_groups num_beams
    num_labels num_return_sequences original_max_position_embeddings output_attentions output_hidden_states
    output_past output_scores pad_token_id prefix pretraining_tp problem_type relative_attention_max_distance
    remove_invalid_values reorder_and_upcast_attn repetition_penalty resid_pdrop residual_dropout return_dict
    return_dict_in_generate rms_norm_eps rope_parameters rope_scaling rope_theta sep_token_id summary_activation
    summary_first_dropout summary_proj_to_labels summary_type summary_use_proj suppress_tokens task_specific_params
    temperature tf_legacy_loss tokenizer_class top_k top_p torchscript transformers_version typical_p unsloth_fixed
    unsloth_version use_bfloat16 use_cache use_weighted_layer_sum
"""
_NEUTRAL = frozenset(_NEUTRAL_KEYS.split())


def json_problem(error: ValueError | RecursionError) -> str:
    """Return what is wrong with text that the parser of JSON refused."""
    if isinstance(error, RecursionError):
        return "not JSON: lists and objects nest too deep"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return f"not JSON: {error}"
    return "not JSON: a number has more than 4300 digits"  # the one other ValueError of the parser: Python's limit


def load(config: str | os.PathLike[str] | Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
    """Return the label and the content of a config: a file, a directory with a config.json, or a dict."""
    if isinstance(config, Mapping):
        return "config", config
    path = Path(config)
    if path.is_dir():
        path = path / "config.json"
        if not path.exists():
            raise DataError(f"{Path(config)}: a directory without a config.json")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path}: {path.stat().st_size} bytes is too long for a config")
        content = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: {json_problem(error)}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: the top level must be an object, is {type(content).__name__}")
    return str(path), content


class Config:
    """The keys of one config, with errors that name file and key; remembers what was read."""

    def __init__(self, label: str, content: Mapping[str, object], *, task: str = "") -> None:
        self.label = label
        self.task = task
        self._content = content
        self._read: set[str] = set()
        self._parts: dict[str, Config] = {}
        self._others: Mapping[str, tuple[str, ...]] = {}

    def also(self, others: Mapping[str, tuple[str, ...]]) -> None:
        """Take other names for keys: from now on the first of them that is there stands for the key."""
        self._others = others

    def name(self, key: str) -> str:
        """Return what the config calls a key."""
        others = self._others.get(key, ())
        return next((other for other in others if self._content.get(other) is not None), key)

    def unread(self) -> list[str]:
        """Return the keys that nothing has looked at, are not known to be neutral, and turn something on."""
        unknown = self._content.keys() - self._read - _NEUTRAL
        told = [str(key) for key in unknown if self._content[key] not in (None, False)]
        for key, part in self._parts.items():
            if key != "quantization_config":  # how weights are stored: as many, and as many products
                told += [f"{key}.{name}" for name in part.unread()]
        return sorted(told)

    def has(self, key: str) -> bool:
        """Return whether the key is there, null or not."""
        self._read.add(self.name(key))
        return self.name(key) in self._content

    def get(self, key: str) -> object:
        """Return a raw value, None where it is absent."""
        self._read.update((key, *self._others.get(key, ())))
        return self._content.get(self.name(key))

    def part(self, key: str) -> Config:
        """Return the config that stands under a key; absent and null give an empty one."""
        value = self.get(key)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise DataError(f"{self.label}: key {key!r} must be an object, is {short(value)}")
        found = Config(f"{self.label}: {key}", value)
        self._parts[key] = found
        return found

    def size(self, key: str, default: int | None = None) -> int:
        """Return a positive integer; absent and null give the default, which None makes an error."""
        value, key = self.get(key), self.name(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise DataError(f"{self.label}: key {key!r} is missing")
        if isinstance(value, bool) or not isinstance(value, int):
            raise DataError(f"{self.label}: key {key!r} must be an integer, is {short(value)}")
        most, told = (_MAX_LAYERS, str(_MAX_LAYERS)) if "layer" in key else (_MAX_SIZE, "2**40")
        if not 1 <= value <= most:
            raise DataError(f"{self.label}: key {key!r} must be from 1 to {told}, is {short(value)}")
        return value

    def even(self, key: str, default: int | None = None) -> int:
        """Return a positive integer, said once or for each layer alike."""
        value = self.get(key)
        if not isinstance(value, list):
            return self.size(key, default)
        if not value or any(each != value[0] for each in value):
            raise UnsupportedOp(f"{self.label}: {key}={short(value)}: layers that differ in it are not built")
        return Config(self.label, {key: value[0]}).size(key)

    def whole(self, key: str, default: int) -> int:
        """Return an integer from 0 on; absent and null give the default."""
        return 0 if self.get(key) == 0 and not isinstance(self.get(key), bool) else self.size(key, default)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false; absent and null give the default."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise DataError(f"{self.label}: key {key!r} must be true or false, is {short(value)}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; absent and null give the default, which None makes an error."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            told = "is missing" if value is None else f"must be a text, is {short(value)}"
            raise DataError(f"{self.label}: key {key!r} {told}")
        return value

    def fixed(self, key: str, allowed: Sequence[object], why: str) -> None:
        """Refuse a value that would ask for something that is not built."""
        value = self.get(key)
        if value is not None and value not in allowed:
            raise UnsupportedOp(f"{self.label}: {key}={short(value)}: {why}")


def short(value: object) -> str:
    """Return a value as JSON, cut to a line."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."
