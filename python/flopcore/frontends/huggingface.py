"""Hugging Face `config.json` files as graphs: no weights, no torch, no transformers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from flopcore.errors import DataError, FlopcoreError, UnsupportedOp
from flopcore.graph import Graph

from .huggingface_config import Config, load
from .huggingface_families import FAMILIES
from .weights import check_parameters, has_weights, read_weights

__all__ = ["from_huggingface"]


Task: TypeAlias = Literal[
    "feature-extraction",
    "fill-mask",
    "image-classification",
    "multi-token-prediction",
    "question-answering",
    "speech-recognition",
    "text-classification",
    "text-generation",
    "text2text-generation",
    "token-classification",
]
# How the class that does it is called: what `architectures` would hold.
_TASKS: Mapping[str, str] = MappingProxyType(
    {
        "feature-extraction": "Model",
        "fill-mask": "ForMaskedLM",
        "image-classification": "ForImageClassification",
        "multi-token-prediction": "ForCausalLM",
        "question-answering": "ForQuestionAnswering",
        "speech-recognition": "ForConditionalGeneration",
        "text-classification": "ForSequenceClassification",
        "text-generation": "ForCausalLM",
        "text2text-generation": "ForConditionalGeneration",
        "token-classification": "ForTokenClassification",
    }
)


def from_huggingface(
    config: str | os.PathLike[str] | Mapping[str, object],
    task: Task | None = None,
    *,
    weights: Literal["check", "ignore"] = "check",
) -> Graph:
    """Return the graph of one forward pass of the language model that a `config.json` describes.

    Parameters
    ----------
    config
        The file, the directory that holds it as ``config.json``, or its content as a dict.
    task
        What the model ends in; None as the config's `architectures` say, and without these what the family is for.
        ``"multi-token-prediction"`` adds the layers of DeepSeek-V3 that predict further tokens, which it is trained
        with and which a forward pass for one token leaves out.
    weights
        Of a directory that holds safetensors too, whether their number of weights must be that of the graph. Files of
        quantised weights (the config has a ``quantization_config``) pack several into one element and are not held
        against it; the graph has the number format in which the config says that products are computed.

    Returns
    -------
    Graph
        Dims ``batch`` and ``seq``: whole sequences are read at once, every position gets logits, and there is no
        cache. Module scopes are those of transformers, the layers are one block, and origins are ``huggingface``.

    Raises
    ------
    DataError
        If the file cannot be read, a key is missing or has no sensible value, or the weights beside it are those of
        another model; the message names file and key.
    ValueError
        If the task is none of those listed.
    UnsupportedOp
        If the ``model_type``, the task, or something else that is asked for is not known here; the message lists the
        known ones.

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
    if weights not in ("check", "ignore"):
        raise ValueError(f"weights must be 'check' or 'ignore', is {weights!r}")
    if task is not None and task not in _TASKS:
        raise ValueError(f"task must be one of {', '.join(_TASKS)}, is {task!r}")
    label, content = load(config)
    reader = Config(label, content if task is None else {**content, "architectures": [_TASKS[task]]}, task=task or "")
    model_type = reader.text("model_type")
    family = FAMILIES.get(model_type)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise UnsupportedOp(f"{reader.label}: model_type {model_type!r} is not known; known: {known}")
    if task == "multi-token-prediction" and model_type != "deepseek_v3":
        raise UnsupportedOp(f"{label}: {model_type} with layers that predict further tokens is not built")
    quantised = bool(reader.part("quantization_config").text("quant_method", ""))
    try:
        graph = family(reader)
    except FlopcoreError:
        raise
    except ValueError as error:  # a description of an architecture that contradicts itself
        raise DataError(f"{reader.label}: {error}") from error
    unread = reader.unread()
    if unread:
        warnings.warn(
            f"{reader.label}: keys that are not understood and could change the count: {', '.join(unread)}",
            stacklevel=2,
        )
    if weights == "check" and not isinstance(config, Mapping) and not quantised:
        directory = Path(config)
        if directory.is_dir() and has_weights(directory):
            check_parameters(graph, read_weights(directory))
    return graph
