"""Families that differ from Llama in a few fields: a row of data for each, and one reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from flopcore.architectures.transformer import Decoder
from flopcore.errors import DataError
from flopcore.graph import Graph

from .huggingface_config import Config, short
from .huggingface_decoders import build, decoder_keys, window, windowed
from .huggingface_keys import activation, tied

__all__: list[str] = []

_OWN_BIASES: Mapping[str, str] = MappingProxyType(
    {"qkv_bias": "attention_bias", "out_bias": "attention_bias", "mlp_bias": "mlp_bias"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kin:
    """How a family differs from Llama.

    Parameters
    ----------
    kv_heads, head_dim, rotary, is_tied, activation
        Defaults of `num_key_value_heads`, `head_dim`, `partial_rotary_factor`, `tie_word_embeddings`, `hidden_act`.
    biases, biased
        The config key of each bias of the decoder, and those that are on where the key is absent.
    sliding, every
        Default of `sliding_window` (0: none; None: the family has no such key), and which layer is not windowed,
        counted from 1.
    windowed_turn
        Whether, where there are windows, only windowed layers have rotary positions.
    flags
        For each config key that switches fields of the decoder: its default, and the fields where it is on.
    fields
        Other fields of the decoder.
    neutral, refused
        Keys that change no count, and keys that must be absent or off.
    present
        For each config key that switches fields of the decoder by being there and not null: those fields.
    other_names
        What the family calls keys of Llama.
    inner
        How often the hidden size is the width of the feed-forward, where the config does not say it.
    positions
        Whether positions turn queries and keys, are rows of a table, or are told otherwise.
    """

    kv_heads: int | None = None
    head_dim: int | None = None
    rotary: float = 1.0
    is_tied: bool = False
    activation: str = "silu"
    biases: Mapping[str, str] = field(default_factory=lambda: _OWN_BIASES)
    biased: tuple[str, ...] = ()
    sliding: int | None = None
    every: int = 0
    windowed_turn: bool = False
    flags: Mapping[str, tuple[bool, Mapping[str, Any]]] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    neutral: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    present: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    other_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inner: int = 0
    positions: Literal["rotary", "learned", "none"] = "rotary"


_ATTENTION = {"qkv_bias": "attention_bias", "out_bias": "attention_bias"}
_PLAIN = {"feed_forward": "plain", "names": "nemotron"}
CLIPPED: Mapping[str, Mapping[str, Any]] = {"clip_qkv": {"clipped": True}}
_AFTER = {"norm_place": "after"}
_GLM: Mapping[str, Any] = {
    "kv_heads": 2,
    "head_dim": 128,
    "rotary": 0.5,
    "biases": {"qkv_bias": "attention_bias"},
    "biased": ("qkv_bias",),
}
_COHERE = {"norm": "layer_scale", "residual": "parallel", "logits_scale": True}

KIN: Mapping[str, Kin] = MappingProxyType(
    {
        "apertus": Kin(
            activation="xielu", biases=_ATTENTION, fields=_PLAIN | {"qk_norm": "head", "names": "apertus"},
            neutral=("mlp_bias",),
        ),
        "arcee": Kin(activation="relu2", fields=_PLAIN),
        "cohere": Kin(
            is_tied=True, biases=_ATTENTION, flags={"use_qk_norm": (False, {"qk_norm": "heads"})}, fields=_COHERE,
            neutral=("logit_scale",),
        ),
        "cohere2": Kin(
            is_tied=True, biases=_ATTENTION, sliding=4096, every=4, windowed_turn=True, fields=_COHERE,
            neutral=("logit_scale",),
        ),
        "ernie4_5": Kin(
            kv_heads=2, head_dim=128, is_tied=True,
            biases={"qkv_bias": "use_bias", "out_bias": "use_bias", "mlp_bias": "use_bias"},
        ),
        "exaone4": Kin(
            biases={}, sliding=4096, every=4, windowed_turn=True, fields=_AFTER | {"qk_norm": "head"},
        ),
        "glm": Kin(**_GLM, fields={"feed_forward": "fused"}),
        "glm4": Kin(**_GLM, fields={"feed_forward": "fused", "norm_place": "both", "names": "glm4"}),
        "gpt_neox": Kin(
            rotary=0.25, activation="gelu", biases=_ATTENTION, biased=("qkv_bias", "out_bias"),
            flags={"use_parallel_residual": (True, {"residual": "parallel_norms"})},
            fields={
                "projections": "fused", "feed_forward": "plain", "mlp_bias": True, "norm": "layer", "names": "gpt_neox"
            },
            neutral=("rotary_pct", "rotary_emb_base", "num_key_value_heads", "head_dim"),
        ),
        "helium": Kin(head_dim=128, biases={"qkv_bias": "attention_bias", "mlp_bias": "mlp_bias"}),
        "hunyuan_v1_dense": Kin(biases=_ATTENTION, fields={"qk_norm": "head"}),
        "jais2": Kin(
            activation="relu2", biased=("qkv_bias", "out_bias", "mlp_bias"), fields=_PLAIN | {"norm": "layer"},
        ),
        "ministral": Kin(kv_heads=8, biases={}, sliding=4096),
        "ministral3": Kin(kv_heads=8, head_dim=128, biases={}, sliding=0, fields={"tempered": True}),
        "nanochat": Kin(
            activation="relu2", biases=_ATTENTION,
            fields={
                "feed_forward": "plain", "norm": "rms_plain", "qk_norm": "turned", "embedding_norm": True,
                "names": "nanochat",
            },
            present={"final_logit_softcapping": {"logits_softcap": True}},
        ),
        "nemotron": Kin(rotary=0.5, activation="relu2", fields=_PLAIN | {"norm": "layer_offset"}),
        "olmo": Kin(biases=_ATTENTION, fields={"norm": "layer_plain"}, present=CLIPPED),
        "olmo2": Kin(biases=_ATTENTION, fields=_AFTER | {"qk_norm": "projection"}),
        "olmo3": Kin(biases=_ATTENTION, sliding=4096, every=4, fields=_AFTER | {"qk_norm": "projection"}),
        "seed_oss": Kin(
            kv_heads=8, head_dim=128, biased=("qkv_bias",),
            biases={"qkv_bias": "attention_bias", "out_bias": "attention_out_bias", "mlp_bias": "mlp_bias"},
        ),
        "smollm3": Kin(kv_heads=4, is_tied=True),
        "stablelm": Kin(
            rotary=0.25, biases={"qkv_bias": "use_qkv_bias"}, fields={"norm": "layer"},
            flags={
                "qk_layernorm": (False, {"qk_norm": "heads"}),
                "use_parallel_residual": (False, {"residual": "parallel"}),
            },
        ),
    }
)  # fmt: skip


def kin(config: Config) -> Graph:
    """Return the graph of a config whose family is a row of `KIN`."""
    return build(config, kin_decoder(config, KIN[config.text("model_type")]))


def kin_decoder(config: Config, row: Kin) -> Decoder:
    """Return the decoder that a config and the row of its family describe."""
    config.also(row.other_names)
    for key in row.neutral:
        config.get(key)
    for key in row.refused:
        config.fixed(key, (False,), "it is not built")
    rotary = config.get("rotary_pct") if "rotary_pct" in row.neutral else None
    spec = decoder_keys(
        config,
        kv_heads=row.kv_heads,
        head_dim=row.head_dim,
        rotary=rotary if isinstance(rotary, float) else row.rotary,
        turns=row.positions == "rotary",
        inner=row.inner,
    )
    if row.positions == "learned":
        spec = replace(spec, positions=config.size("max_position_embeddings"))
    fields: dict[str, Any] = dict(row.fields)
    for key, (default, switched) in row.flags.items():
        if config.flag(key, default):
            fields.update(switched)
    fields |= {name: config.flag(key, name in row.biased) for name, key in row.biases.items()}
    for key, switched in row.present.items():
        if config.get(key) is not None:
            fields.update(switched)
    turned = turned_layers(config, spec.layers) if config.text("model_type") == "smollm3" else ()
    if turned:
        used = config.flag("use_sliding_window", False) and config.get("sliding_window") is not None
        fields["windowed"] = windowed(config, spec.layers, lambda layer: used and not turned[layer])
        fields["window"] = window(config) if used else None
    if row.sliding is not None:
        width = window(config, default=row.sliding or None)
        given = config.get("sliding_window_pattern")
        every = given if isinstance(given, int) and given > 0 else row.every
        layers = windowed(config, spec.layers, lambda layer: not every or (layer + 1) % every != 0)
        fields |= {"window": width, "windowed": layers}
        turned = layers if row.windowed_turn and width is not None else ()
    return replace(
        spec,
        **fields,
        turned=turned or spec.turned,
        activation=activation(config, "hidden_act", row.activation),
        embeddings=tied(config, row.is_tied),
    )


def turned_layers(config: Config, layers: int) -> tuple[bool, ...]:
    """Return which layers have rotary positions: as `no_rope_layers` says (1: it has), else all but each fourth."""
    given = config.get("no_rope_layers")
    every = config.size("no_rope_layer_interval", 4)
    if not given:
        return tuple((layer + 1) % every != 0 for layer in range(layers))
    if not isinstance(given, list) or len(given) != layers or any(each not in (0, 1) for each in given):
        raise DataError(f"{config.label}: no_rope_layers must be {layers} numbers 0 or 1, is {short(given)}")
    return tuple(bool(each) for each in given)
