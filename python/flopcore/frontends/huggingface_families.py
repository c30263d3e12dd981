"""Which config keys mean what, family by family, with the defaults that transformers gives to absent ones.

Each function takes a config and returns the graph; what a family can ask for and is not built here is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from flopcore.architectures.clip import ClipText, ClipVision, clip, clip_text, clip_vision
from flopcore.architectures.encoder import VisionEncoder, vit
from flopcore.architectures.gpt2 import GPT2, gpt2
from flopcore.architectures.siglip import siglip, siglip_text, siglip_vision
from flopcore.errors import DataError
from flopcore.expr import dim
from flopcore.graph import Graph

from . import huggingface_decoders as decoders
from . import huggingface_hybrids as hybrids
from . import huggingface_mixtures as mixtures
from . import huggingface_translators as translators
from .huggingface_config import Config
from .huggingface_encoders import ENCODERS, encoder
from .huggingface_gpt import GPT, gpt
from .huggingface_keys import (
    ORIGIN,
    activation,
    causal_head,
    classes,
    dtype,
    heads_divide,
    seq_dim,
    task_of,
    tied,
)
from .huggingface_kin import KIN, kin
from .huggingface_sparse import SPARSE, dbrx, sparse

__all__: list[str] = []


def _gpt2(config: Config) -> Graph:
    config.fixed("add_cross_attention", (False,), "cross attention is not built")
    config.fixed("scale_attn_weights", (True,), "attention without its scale is not built")
    config.fixed("scale_attn_by_inverse_layer_idx", (False,), "a scale per layer is not built")
    hidden, heads, positions = config.size("n_embd", 768), config.size("n_head", 12), config.size("n_positions", 1024)
    heads_divide(config, heads, hidden, "n_head")
    spec = GPT2(
        layers=config.size("n_layer", 12),
        hidden=hidden,
        intermediate=config.size("n_inner", 4 * hidden),
        heads=heads,
        vocab=config.size("vocab_size", 50257),
        positions=positions,
        activation=activation(config, "activation_function", "gelu_new"),
        embeddings=tied(config, True),
        head=causal_head(config),
        dtype=dtype(config),
    )
    return gpt2(spec, batch=dim("batch"), seq=seq_dim(positions), origin=ORIGIN)


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
    heads_divide(config, heads, hidden, "num_attention_heads")
    config.fixed("pooler_output_size", (hidden,), "a pooler of another width is not built")
    image, patch = config.size("image_size", 224), config.size("patch_size", 16)
    if patch > image:
        raise DataError(f"{config.label}: patch_size={patch} is larger than image_size={image}")
    tasks = {end: task for end, task in _VISION_TASKS.items() if family == "deit" or task != "two_heads"}
    task = task_of(config, tasks, "classes")
    spec = VisionEncoder(
        layers=config.size("num_hidden_layers", 12),
        hidden=hidden,
        intermediate=config.size("intermediate_size", 3072),
        heads=heads,
        image=image,
        patch=patch,
        channels=config.size("num_channels", 3),
        qkv_bias=config.flag("qkv_bias", True),
        activation=activation(config, "hidden_act", "gelu"),
        family=family,
        head=next(head for head in _VISION_TASKS.values() if head == task),
        classes=classes(config),
        dtype=dtype(config),
    )
    return vit(spec, batch=dim("batch"), name=family, origin=ORIGIN)


# ----------------------------------------------------------------------------------------------- text and images
def _clip_text_spec(
    config: Config,
    hidden: int = 512,
    heads: int = 8,
    vocab: int = 49408,
    positions: int = 77,
    activation_default: str = "quick_gelu",
) -> ClipText:
    """Return a tower over text; the defaults are those of a family, and the feed-forward four times as wide."""
    width, heads = config.size("hidden_size", hidden), config.size("num_attention_heads", heads)
    heads_divide(config, heads, width, "num_attention_heads")
    return ClipText(
        layers=config.size("num_hidden_layers", 12),
        hidden=width,
        intermediate=config.size("intermediate_size", 4 * hidden),
        heads=heads,
        vocab=config.size("vocab_size", vocab),
        positions=config.size("max_position_embeddings", positions),
        activation=activation(config, "hidden_act", activation_default),
    )


def _clip_vision_spec(config: Config, patch: int = 32, activation_default: str = "quick_gelu") -> ClipVision:
    """Return a tower over images; the defaults are those of a family."""
    hidden, heads = config.size("hidden_size", 768), config.size("num_attention_heads", 12)
    heads_divide(config, heads, hidden, "num_attention_heads")
    image, patch = config.size("image_size", 224), config.size("patch_size", patch)
    if patch > image:
        raise DataError(f"{config.label}: patch_size={patch} is larger than image_size={image}")
    return ClipVision(
        layers=config.size("num_hidden_layers", 12),
        hidden=hidden,
        intermediate=config.size("intermediate_size", 3072),
        heads=heads,
        image=image,
        patch=patch,
        channels=config.size("num_channels", 3),
        activation=activation(config, "hidden_act", activation_default),
    )


def _clip(config: Config) -> Graph:
    task_of(config, {"CLIPModel": ""}, "")
    parts = [config.part("text_config"), config.part("vision_config")]
    for part in parts:
        part.get("projection_dim")  # of the towers alone; the model has one of its own
    text, vision = _clip_text_spec(parts[0]), _clip_vision_spec(parts[1])
    config.get("logit_scale_init_value")
    return clip(
        text,
        vision,
        width=config.size("projection_dim", 512),
        texts=dim("texts"),
        images=dim("images"),
        seq=seq_dim(text.positions),
        dtype=dtype(config),
        origin=ORIGIN,
    )


def _projected(config: Config) -> int | None:
    width = config.size("projection_dim", 512)
    return width if task_of(config, {"ModelWithProjection": "projected", "Model": ""}, "") else None


def _clip_text(config: Config) -> Graph:
    spec, width = _clip_text_spec(config), _projected(config)
    return clip_text(
        spec, batch=dim("batch"), seq=seq_dim(spec.positions), width=width, dtype=dtype(config), origin=ORIGIN
    )


def _clip_vision(config: Config) -> Graph:
    return clip_vision(
        _clip_vision_spec(config), batch=dim("batch"), width=_projected(config), dtype=dtype(config), origin=ORIGIN
    )


def _dinov2(config: Config) -> Graph:
    registers = config.text("model_type") == "dinov2_with_registers"
    for key in (
        "layerscale_value", "drop_path_rate", "out_features", "out_indices", "stage_names", "apply_layernorm",
        "reshape_hidden_states", "_out_features", "_out_indices", "hidden_act",
    ):  # fmt: skip
        config.get(key)
    hidden, heads = config.size("hidden_size", 768), config.size("num_attention_heads", 12)
    heads_divide(config, heads, hidden, "num_attention_heads")
    image, patch = config.size("image_size", 224), config.size("patch_size", 16 if registers else 14)
    if patch > image:
        raise DataError(f"{config.label}: patch_size={patch} is larger than image_size={image}")
    gated, width = config.flag("use_swiglu_ffn", False), hidden * config.size("mlp_ratio", 4)
    task = task_of(config, {"ForImageClassification": "joined", "Model": "none"}, "none")
    spec = VisionEncoder(
        layers=config.size("num_hidden_layers", 12),
        hidden=hidden,
        intermediate=-(-(2 * width // 3) // 8) * 8 if gated else width,
        heads=heads,
        image=image,
        patch=patch,
        channels=config.size("num_channels", 3),
        qkv_bias=config.flag("qkv_bias", True),
        activation="silu" if gated else activation(config, "hidden_act", "gelu"),
        family="dinov2",
        registers=config.size("num_register_tokens", 4) if registers else 0,
        mask_token=registers or config.flag("use_mask_token", True),
        feed_forward="gated" if gated else "plain",
        head="joined" if task == "joined" else "none",
        classes=classes(config),
        dtype=dtype(config),
    )
    return vit(spec, batch=dim("batch"), name=config.text("model_type"), origin=ORIGIN)


_SIGLIP_TEXT = (768, 12, 32000, 64, "gelu_pytorch_tanh")
_SIGLIP_VISION = (16, "gelu_pytorch_tanh")


def _siglip(config: Config) -> Graph:
    task_of(config, {"SiglipModel": ""}, "")
    words, images = config.part("text_config"), config.part("vision_config")
    images.fixed("vision_use_head", (True,), "a model without the head that pools images is not built")
    text, vision = _clip_text_spec(words, *_SIGLIP_TEXT), _clip_vision_spec(images, *_SIGLIP_VISION)
    width = words.size("projection_size", text.hidden)
    if width != vision.hidden:
        raise DataError(f"{config.label}: projection_size={width} is not the width {vision.hidden} of the vision tower")
    return siglip(
        text,
        vision,
        width=width,
        texts=dim("texts"),
        images=dim("images"),
        seq=seq_dim(text.positions),
        dtype=dtype(config),
        origin=ORIGIN,
    )


def _siglip_text(config: Config) -> Graph:
    task_of(config, {"Model": ""}, "")
    spec = _clip_text_spec(config, *_SIGLIP_TEXT)
    width, seq = config.size("projection_size", spec.hidden), seq_dim(spec.positions)
    return siglip_text(spec, batch=dim("batch"), seq=seq, width=width, dtype=dtype(config), origin=ORIGIN)


def _siglip_vision(config: Config) -> Graph:
    task_of(config, {"Model": ""}, "")
    pooled, spec = config.flag("vision_use_head", True), _clip_vision_spec(config, *_SIGLIP_VISION)
    return siglip_vision(spec, batch=dim("batch"), pooled=pooled, dtype=dtype(config), origin=ORIGIN)


FAMILIES: Mapping[str, Callable[[Config], Graph]] = MappingProxyType(
    {
        **dict.fromkeys(KIN, kin),
        **dict.fromkeys(GPT, gpt),
        **dict.fromkeys(SPARSE, sparse),
        "bamba": hybrids.bamba,
        "falcon_h1": hybrids.falcon_h1,
        "falcon_mamba": hybrids.falcon_mamba,
        "granitemoehybrid": hybrids.granitemoehybrid,
        "jamba": hybrids.jamba,
        "mamba": hybrids.mamba,
        "mamba2": hybrids.mamba2,
        "nemotron_h": hybrids.nemotron_h,
        "qwen3_next": hybrids.qwen3_next,
        **dict.fromkeys(ENCODERS, encoder),
        "clip": _clip,
        "dbrx": dbrx,
        "clip_text_model": _clip_text,
        "clip_vision_model": _clip_vision,
        "deit": _deit,
        "dinov2": _dinov2,
        "dinov2_with_registers": _dinov2,
        "siglip": _siglip,
        "siglip_text_model": _siglip_text,
        "siglip_vision_model": _siglip_vision,
        **dict.fromkeys(translators.BARTS, translators.bart_like),
        "deepseek_v3": mixtures.deepseek_v3,
        "glm4_moe_lite": mixtures.glm4_moe_lite,
        "kimi_k2": mixtures.deepseek_v3,
        "gemma": decoders.gemma,
        "gemma2": decoders.gemma2,
        "gemma3_text": decoders.gemma3,
        "deepseek_v2": mixtures.deepseek_v2,
        "dots1": mixtures.dots1,
        "glm4_moe": mixtures.glm4_moe,
        "llama4": mixtures.llama4_with_text,
        "llama4_text": mixtures.llama4,
        "gpt_oss": mixtures.gpt_oss,
        "gpt2": _gpt2,
        "granite": decoders.granite,
        "llama": decoders.llama,
        "mistral": decoders.mistral,
        "phi": decoders.phi,
        "phi3": decoders.phi3,
        "qwen2": decoders.qwen2,
        "qwen2_moe": mixtures.qwen2_moe,
        "qwen3": decoders.qwen3,
        "qwen3_moe": mixtures.qwen3_moe,
        "starcoder2": decoders.starcoder2,
        **dict.fromkeys(("t5", "mt5", "umt5"), translators.t5_like),
        "vit": _vit,
        "whisper": translators.whisper_model,
        "vaultgemma": decoders.vaultgemma,
    }
)
