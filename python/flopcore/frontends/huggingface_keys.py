"""Keys that several families of models share, read with the defaults that transformers gives to absent ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from flopcore.architectures.modules import Activation
from flopcore.errors import DataError, UnsupportedOp
from flopcore.expr import Dim, dim

from .huggingface_config import Config, short

__all__: list[str] = []

ORIGIN = "huggingface"
_ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "silu": "silu",
        "swish": "silu",
        "gelu": "gelu",
        "gelu_new": "gelu_tanh",
        "gelu_pytorch_tanh": "gelu_tanh",
        "quick_gelu": "quick_gelu",
        "relu": "relu",
        "relu2": "relu2",
        "xielu": "xielu",
    }
)
_DTYPES = frozenset({"float32", "float16", "bfloat16", "float64"})


def activation(config: Config, key: str, default: str) -> Activation:
    """Return the activation that a key names."""
    return activation_named(config, config.text(key, default), key)


def activation_named(config: Config, name: str, key: str) -> Activation:
    """Return the activation of a name."""
    if name not in _ACTIVATIONS:
        raise UnsupportedOp(f"{config.label}: {key} {name!r} is not known; known: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]


def dtype(config: Config) -> str:
    """Return the number format of weights and activations."""
    older = config.text("torch_dtype", "float32")
    dtype = config.text("dtype", older).removeprefix("torch.")
    if dtype not in _DTYPES:
        raise DataError(f"{config.label}: dtype {short(dtype)} is not known; known: {', '.join(sorted(_DTYPES))}")
    return dtype


def task_of(config: Config, tasks: Mapping[str, str], default: str) -> str:
    """Return what the model ends in, by the end of its class name."""
    classes = config.get("architectures")
    if classes is None:
        return default
    if not isinstance(classes, list) or len(classes) != 1 or not isinstance(classes[0], str):
        raise DataError(f"{config.label}: key 'architectures' must be a list of one name, is {short(classes)}")
    for ending, task in tasks.items():
        if classes[0].endswith(ending):
            return task
    known = ", ".join(f"...{ending}" for ending in tasks)
    raise UnsupportedOp(f"{config.label}: architecture {classes[0]!r} is not built; built are {known}")


def causal_head(config: Config) -> Literal["logits", "none"]:
    """Return whether a language model ends in logits."""
    return "none" if task_of(config, {"ForCausalLM": "", "LMHeadModel": "", "Model": "none"}, "") else "logits"


def tied(config: Config, default: bool) -> Literal["tied", "separate"]:
    """Return whether the output layer reads the input embedding."""
    return "tied" if config.flag("tie_word_embeddings", default) else "separate"


def classes(config: Config) -> int:
    """Return the number of classes of a head."""
    names = config.get("id2label")
    if isinstance(names, Mapping) and names:
        return len(names)
    return config.size("num_labels", 2)


def seq_dim(most: int | None) -> Dim:
    """Return the dim of the sequence, bounded where the model's positions end."""
    return dim("seq", max=most)


def heads_divide(config: Config, heads: int, hidden: int, key: str) -> None:
    """Refuse heads that do not divide the hidden size."""
    if hidden % heads:
        raise DataError(f"{config.label}: {key}={heads} does not divide the hidden size {hidden}")


def layer_flags(config: Config, key: str, layers: int, pattern: Callable[[int], bool]) -> tuple[bool, ...]:
    """Return which layers follow a pattern and are not in the list under a key."""
    left_out = config.get(key) or []
    if not isinstance(left_out, list):
        raise DataError(f"{config.label}: key {key!r} must be a list, is {short(left_out)}")
    return tuple(layer not in left_out and pattern(layer) for layer in range(layers))


def listed_layers(config: Config, layers: int) -> tuple[bool, ...]:
    """Return which layers have experts: as `mlp_layer_types` says, else all after the first dense ones."""
    first, names = config.whole("first_k_dense_replace", 1), config.get("mlp_layer_types")
    if names is None:
        return tuple(layer >= first for layer in range(layers))
    if not isinstance(names, list) or any(name not in ("dense", "sparse") for name in names):
        raise UnsupportedOp(f"{config.label}: mlp_layer_types {short(names)}; known: dense, sparse")
    if len(names) != layers:
        raise DataError(f"{config.label}: mlp_layer_types has {len(names)} entries for {layers} layers")
    return tuple(name == "sparse" for name in names)


def no_training_noise(config: Config) -> None:
    """Take note of keys of mixtures that change no count of a forward pass."""
    for key in ("router_jitter_noise", "router_aux_loss_coef", "output_router_logits", "aux_loss_alpha", "seq_aux"):
        config.get(key)
    config.get("num_local_experts")  # another name of num_experts and n_routed_experts
