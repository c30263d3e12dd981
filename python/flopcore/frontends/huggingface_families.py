"""Which config keys mean what, family by family, with the defaults that transformers gives to absent ones.

Each function takes a config and returns the graph; what a family can ask for and is not built here is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from flopcore.architectures.encoder import BertEncoder, VisionEncoder, bert, vit
from flopcore.architectures.gpt2 import GPT2, gpt2
from flopcore.architectures.modules import Activation
from flopcore.architectures.transformer import Decoder, decoder
from flopcore.errors import DataError, UnsupportedOp
from flopcore.expr import Dim, dim
from flopcore.graph import Graph

from .huggingface_config import Config, short

__all__: list[str] = []

_ORIGIN = "huggingface"
_ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "silu": "silu",
        "swish": "silu",
        "gelu": "gelu",
        "gelu_new": "gelu_tanh",
        "gelu_pytorch_tanh": "gelu_tanh",
        "quick_gelu": "quick_gelu",
        "relu": "relu",
    }
)
_DTYPES = frozenset({"float32", "float16", "bfloat16", "float64"})


# -------------------------------------------------------------------------------------------- what families share
def _activation(config: Config, key: str, default: str) -> Activation:
    name = config.text(key, default)
    if name not in _ACTIVATIONS:
        raise UnsupportedOp(f"{config.label}: {key} {name!r} is not known; known: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]


def _dtype(config: Config) -> str:
    older = config.text("torch_dtype", "float32")
    dtype = config.text("dtype", older).removeprefix("torch.")
    if dtype not in _DTYPES:
        raise DataError(f"{config.label}: dtype {short(dtype)} is not known; known: {', '.join(sorted(_DTYPES))}")
    return dtype


def _task(config: Config, tasks: Mapping[str, str], default: str) -> str:
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


def _causal_head(config: Config) -> Literal["logits", "none"]:
    return "none" if _task(config, {"ForCausalLM": "", "LMHeadModel": "", "Model": "none"}, "") else "logits"


def _tied(config: Config, default: bool) -> Literal["tied", "separate"]:
    return "tied" if config.flag("tie_word_embeddings", default) else "separate"


def _classes(config: Config) -> int:
    names = config.get("id2label")
    if isinstance(names, Mapping) and names:
        return len(names)
    return config.size("num_labels", 2)


def _seq(most: int | None) -> Dim:
    return dim("seq", max=most)


def _heads_divide(config: Config, heads: int, hidden: int, key: str) -> None:
    if hidden % heads:
        raise DataError(f"{config.label}: {key}={heads} does not divide the hidden size {hidden}")


# -------------------------------------------------------------------------------- decoders with rotary positions
def _decoder(
    config: Config, *, kv_heads: int | None = None, head_dim: int | None = None, rotary: float = 1.0
) -> Decoder:
    """Return what all of them have in common; the arguments are a family's own defaults."""
    config.fixed("pretraining_tp", (1,), "slices of tensor-parallel pretraining are not built")
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    if head_dim is None and config.get("head_dim") is None:
        _heads_divide(config, heads, hidden, "num_attention_heads")
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
        activation=_activation(config, "hidden_act", "silu"),
        embeddings=_tied(config, False),
        head=_causal_head(config),
        dtype=_dtype(config),
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
    """Return the sliding window. Up to its length it changes nothing, and longer sequences are refused."""
    if config.has("sliding_window") and config.get("sliding_window") is None:
        return None
    return config.size("sliding_window", default) if default is not None or config.has("sliding_window") else None


def _qwen_window(config: Config) -> int | None:
    """Return the window of a family in which `sliding_window` alone does not turn it on."""
    window, used = _window(config, default=4096), config.flag("use_sliding_window", False)
    types = config.get("layer_types")
    if types is not None:
        kinds = {"full_attention", "sliding_attention"}
        if not isinstance(types, list) or any(kind not in kinds for kind in types):
            raise UnsupportedOp(f"{config.label}: layer_types {short(types)}; known: {', '.join(sorted(kinds))}")
        return window if "sliding_attention" in types else None
    return window if used else None


def _build(config: Config, spec: Decoder, window: int | None = None) -> Graph:
    return decoder(spec, batch=dim("batch"), seq=_seq(window), name=config.text("model_type"), origin=_ORIGIN)


def _llama(config: Config) -> Graph:
    bias = config.flag("attention_bias", False)
    spec = replace(_decoder(config), qkv_bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias", False))
    return _build(config, spec)


def _mistral(config: Config) -> Graph:
    return _build(config, _decoder(config, kv_heads=8), _window(config, default=4096))


def _qwen2(config: Config) -> Graph:
    return _build(config, replace(_decoder(config, kv_heads=32), qkv_bias=True), _qwen_window(config))


def _qwen3(config: Config) -> Graph:
    bias = config.flag("attention_bias", False)
    spec = _decoder(config, kv_heads=32, head_dim=128)
    return _build(config, replace(spec, qkv_bias=bias, out_bias=bias, qk_norm="head"), _qwen_window(config))


def _gemma(config: Config) -> Graph:
    config.fixed("use_bidirectional_attention", (False,), "attention in both directions is not built")
    bias = config.flag("attention_bias", False)
    # An early key held the exact GELU, which the model never used; the later one overrides it.
    config.get("hidden_act")
    spec = replace(
        _decoder(config, kv_heads=16, head_dim=256),
        activation=_activation(config, "hidden_activation", "gelu_pytorch_tanh"),
        qkv_bias=bias,
        out_bias=bias,
        norm="rms_offset",
        embedding_scale=True,
        embeddings=_tied(config, True),
    )
    return _build(config, spec)


def _granite(config: Config) -> Graph:
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


def _olmo2(config: Config) -> Graph:
    bias = config.flag("attention_bias", False)
    spec = replace(_decoder(config), qkv_bias=bias, out_bias=bias, norm_place="after", qk_norm="projection")
    return _build(config, spec)


def _phi(config: Config) -> Graph:
    config.fixed("qk_layernorm", (False,), "layer norms of queries and keys are not built")
    spec = replace(
        _decoder(config, rotary=0.5),
        activation=_activation(config, "hidden_act", "gelu_new"),
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


def _phi3(config: Config) -> Graph:
    spec = replace(_decoder(config), projections="fused", feed_forward="fused")
    return _build(config, spec, _window(config))


def _starcoder2(config: Config) -> Graph:
    bias = config.flag("use_bias", True)
    spec = replace(
        _decoder(config, kv_heads=2),
        activation=_activation(config, "hidden_act", "gelu_pytorch_tanh"),
        qkv_bias=bias,
        out_bias=bias,
        mlp_bias=bias,
        norm="layer",
        feed_forward="plain",
        embeddings=_tied(config, True),
        names="starcoder",
    )
    return _build(config, spec, _window(config))


# -------------------------------------------------------------------------------------------------- other models
def _gpt2(config: Config) -> Graph:
    config.fixed("add_cross_attention", (False,), "cross attention is not built")
    config.fixed("scale_attn_weights", (True,), "attention without its scale is not built")
    config.fixed("scale_attn_by_inverse_layer_idx", (False,), "a scale per layer is not built")
    hidden, heads, positions = config.size("n_embd", 768), config.size("n_head", 12), config.size("n_positions", 1024)
    _heads_divide(config, heads, hidden, "n_head")
    spec = GPT2(
        layers=config.size("n_layer", 12),
        hidden=hidden,
        intermediate=config.size("n_inner", 4 * hidden),
        heads=heads,
        vocab=config.size("vocab_size", 50257),
        positions=positions,
        activation=_activation(config, "activation_function", "gelu_new"),
        embeddings=_tied(config, True),
        head=_causal_head(config),
        dtype=_dtype(config),
    )
    return gpt2(spec, batch=dim("batch"), seq=_seq(positions), origin=_ORIGIN)


_BERT_TASKS: Mapping[str, Literal["none", "tokens", "sequence", "each_token", "span"]] = MappingProxyType(
    {
        "ForMaskedLM": "tokens",
        "ForSequenceClassification": "sequence",
        "ForTokenClassification": "each_token",
        "ForQuestionAnswering": "span",
        "Model": "none",
    }
)


def _bert(config: Config) -> Graph:
    return _bert_like(config, "bert", reserved=0)


def _roberta(config: Config) -> Graph:
    # Positions are counted from pad_token_id + 1 on, so the first rows of the table are never read.
    padding = config.get("pad_token_id")
    return _bert_like(config, "roberta", reserved=(padding if isinstance(padding, int) else 1) + 1)


def _bert_like(config: Config, family: Literal["bert", "roberta"], *, reserved: int) -> Graph:
    config.fixed("is_decoder", (False,), "BERT as a decoder is not built")
    config.fixed("position_embedding_type", ("absolute",), "relative positions are not built")
    hidden, heads, positions = (
        config.size("hidden_size"),
        config.size("num_attention_heads"),
        config.size("max_position_embeddings", 512),
    )
    _heads_divide(config, heads, hidden, "num_attention_heads")
    if not 0 <= reserved < positions:
        raise DataError(f"{config.label}: max_position_embeddings={positions} leaves no position after pad_token_id")
    spec = BertEncoder(
        layers=config.size("num_hidden_layers"),
        hidden=hidden,
        intermediate=config.size("intermediate_size"),
        heads=heads,
        vocab=config.size("vocab_size"),
        positions=positions,
        token_types=config.size("type_vocab_size", 2),
        activation=_activation(config, "hidden_act", "gelu"),
        family=family,
        head=next(task for task in _BERT_TASKS.values() if task == _task(config, _BERT_TASKS, "none")),
        classes=_classes(config),
        embeddings=_tied(config, True),
        dtype=_dtype(config),
    )
    return bert(spec, batch=dim("batch"), seq=_seq(positions - reserved), name=family, origin=_ORIGIN)


_VISION_TASKS: Mapping[str, Literal["pooled", "classes", "two_heads"]] = MappingProxyType(
    {"ForImageClassification": "classes", "ForImageClassificationWithTeacher": "two_heads", "Model": "pooled"}
)


def _vit(config: Config) -> Graph:
    return _vision(config, "vit")


def _deit(config: Config) -> Graph:
    return _vision(config, "deit")


def _vision(config: Config, family: Literal["vit", "deit"]) -> Graph:
    config.fixed("pooler_act", ("tanh",), "another activation of the pooler is not built")
    hidden, heads = config.size("hidden_size", 768), config.size("num_attention_heads", 12)
    _heads_divide(config, heads, hidden, "num_attention_heads")
    config.fixed("pooler_output_size", (hidden,), "a pooler of another width is not built")
    image, patch = config.size("image_size", 224), config.size("patch_size", 16)
    if patch > image:
        raise DataError(f"{config.label}: patch_size={patch} is larger than image_size={image}")
    tasks = {end: task for end, task in _VISION_TASKS.items() if family == "deit" or task != "two_heads"}
    task = _task(config, tasks, "classes")
    spec = VisionEncoder(
        layers=config.size("num_hidden_layers", 12),
        hidden=hidden,
        intermediate=config.size("intermediate_size", 3072),
        heads=heads,
        image=image,
        patch=patch,
        channels=config.size("num_channels", 3),
        qkv_bias=config.flag("qkv_bias", True),
        activation=_activation(config, "hidden_act", "gelu"),
        family=family,
        head=next(head for head in _VISION_TASKS.values() if head == task),
        classes=_classes(config),
        dtype=_dtype(config),
    )
    return vit(spec, batch=dim("batch"), name=family, origin=_ORIGIN)


FAMILIES: Mapping[str, Callable[[Config], Graph]] = MappingProxyType(
    {
        "bert": _bert,
        "deit": _deit,
        "gemma": _gemma,
        "gpt2": _gpt2,
        "granite": _granite,
        "llama": _llama,
        "mistral": _mistral,
        "olmo2": _olmo2,
        "phi": _phi,
        "phi3": _phi3,
        "qwen2": _qwen2,
        "qwen3": _qwen3,
        "roberta": _roberta,
        "starcoder2": _starcoder2,
        "vit": _vit,
        "xlm-roberta": _roberta,
    }
)
