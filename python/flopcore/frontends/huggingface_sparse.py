"""Mixtures of experts that are a row each: how their decoder differs from Llama's, and what their experts are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from flopcore.errors import DataError
from flopcore.graph import Graph

from .huggingface_config import Config
from .huggingface_decoders import build
from .huggingface_keys import listed_layers, no_training_noise
from .huggingface_kin import CLIPPED, Kin, kin_decoder
from .huggingface_mixtures import experts_keys

__all__: list[str] = []

_ATTENTION = {"qkv_bias": "attention_bias", "out_bias": "attention_bias"}
_GRANITE = Kin(
    biases=_ATTENTION,
    neutral=("embedding_multiplier", "residual_multiplier", "logits_scaling", "attention_multiplier"),
    fields={"embedding_scale": True, "residual_scale": True, "logits_scale": True, "router": "router"},
)  # fmt: skip
_V3: Mapping[str, Any] = {"score": "sigmoid", "corrected": True}


def _all(config: Config, layers: int) -> tuple[bool, ...]:
    return (True,) * layers


def _spaced(config: Config, layers: int) -> tuple[bool, ...]:
    """Return which layers have experts: each so many, from a first to a last one."""
    first, step, last = config.whole("moe_layer_start_index", 1), config.size("moe_layer_interval", 1), layers - 1
    if config.get("moe_layer_end_index") != -1:
        last = config.whole("moe_layer_end_index", last)
    return tuple(first <= layer <= last and (layer + 1) % step == 0 for layer in range(layers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparse:
    """How a family differs from Llama, and what its experts are.

    Parameters
    ----------
    kin
        The decoder around the experts.
    number, per_token
        Keys of how many experts there are and how many a token goes through, with their defaults.
    width
        Key of the width of an expert.
    shared, shared_width
        Key of how many experts every token goes through, with its default, or of their width together.
    renormalised
        Default of `norm_topk_prob`; None where the family has no such key.
    groups
        Whether `n_group` and `topk_group` choose groups of experts first.
    layers
        Which layers have experts.
    experts
        Other fields of the experts.
    """

    kin: Kin
    number: tuple[str, int]
    per_token: tuple[str, int]
    width: str = "intermediate_size"
    shared: tuple[str, int] | None = None
    shared_width: str = ""
    renormalised: bool | None = None
    groups: bool = False
    layers: Callable[[Config, int], tuple[bool, ...]] = _all
    experts: Mapping[str, Any] = field(default_factory=dict)


_ROWS: Mapping[str, Sparse] = MappingProxyType(
    {
        "ernie4_5_moe": Sparse(
            kin=Kin(kv_heads=4, is_tied=True, biases={}, refused=("use_bias",), neutral=("moe_norm_min",)),
            number=("moe_num_experts", 64), per_token=("moe_k", 6), width="moe_intermediate_size",
            shared=("moe_num_shared_experts", 2), layers=_spaced, experts={"corrected": True, "correction": "weight"},
        ),
        "exaone_moe": Sparse(
            kin=Kin(
                biases={}, sliding=4096, every=4, windowed_turn=True, fields={"qk_norm": "head"},
                neutral=("routed_scaling_factor",),
            ),
            number=("num_experts", 64), per_token=("num_experts_per_tok", 8), width="moe_intermediate_size",
            shared=("num_shared_experts", 1), renormalised=True, groups=True, layers=listed_layers,
            experts={**_V3, "scaled": True},
        ),
        "flex_olmo": Sparse(
            kin=Kin(biases=_ATTENTION, fields={"norm_place": "after", "qk_norm": "projection"}),
            number=("num_experts", 7), per_token=("num_experts_per_tok", 5), renormalised=False,
        ),
        "granitemoe": Sparse(
            kin=_GRANITE, number=("num_local_experts", 8), per_token=("num_experts_per_tok", 2),
            experts={"score": "softmax_chosen", "renormalised": False},
        ),
        "granitemoeshared": Sparse(
            kin=_GRANITE, number=("num_local_experts", 8), per_token=("num_experts_per_tok", 2),
            shared_width="shared_intermediate_size",
            experts={"score": "softmax_chosen", "renormalised": False, "shared_name": "shared_mlp"},
        ),
        "hunyuan_v1_moe": Sparse(
            kin=Kin(
                biases=_ATTENTION, fields={"qk_norm": "head", "router": "gate.wg"},
                neutral=("moe_intermediate_size", "num_shared_expert", "use_qk_norm", "mlp_bias", "norm_topk_prob",
                         "routed_scaling_factor", "moe_random_routing_dropped_token", "moe_drop_tokens",
                         "cla_share_factor", "use_mixed_mlp_moe", "capacity_factor", "group_limited_greedy", "n_group",
                         "topk_group"),
                refused=("use_cla", "moe_layer_num_skipped"),
            ),
            number=("num_experts", 1), per_token=("moe_topk", 1), shared=("", 1),
            experts={"shared_name": "shared_mlp"},
        ),
        "minimax_m2": Sparse(
            kin=Kin(
                kv_heads=8, head_dim=128, biases={}, fields={"qk_norm": "projection"},
                neutral=("scoring_func", "use_qk_norm", "qk_norm_type", "use_routing_bias", "attn_type_list", "use_mtp",
                         "num_mtp_modules", "mtp_transformer_layers", "rotary_dim", "mlp_intermediate_size",
                         "layernorm_full_attention_beta", "layernorm_linear_attention_beta", "layernorm_mlp_beta",
                         "shared_moe_mode"),
                refused=("shared_intermediate_size",),
            ),
            number=("num_local_experts", 256), per_token=("num_experts_per_tok", 8), experts=_V3,
        ),
        "mixtral": Sparse(
            kin=Kin(kv_heads=8, biases={}, sliding=0),
            number=("num_local_experts", 8), per_token=("num_experts_per_tok", 2),
        ),
        "olmoe": Sparse(
            kin=Kin(biases=_ATTENTION, present=CLIPPED, fields={"qk_norm": "projection"}),
            number=("num_experts", 64), per_token=("num_experts_per_tok", 8), renormalised=False,
        ),
        "phimoe": Sparse(
            kin=Kin(
                kv_heads=8, biases=_ATTENTION, sliding=0, fields={"norm": "layer", "router": "router"},
                flags={"lm_head_bias": (False, {"head_bias": True})}, neutral=("input_jitter_noise",),
            ),
            number=("num_local_experts", 16), per_token=("num_experts_per_tok", 2),
            experts={"score": "each_choice", "renormalised": False},
        ),
        "solar_open": Sparse(
            kin=Kin(
                kv_heads=8, head_dim=128, biases={"qkv_bias": "attention_bias"}, inner=1,
                neutral=("routed_scaling_factor", "intermediate_size"),
            ),
            number=("n_routed_experts", 128), per_token=("num_experts_per_tok", 8), width="moe_intermediate_size",
            shared=("n_shared_experts", 1), renormalised=True, groups=True, experts={**_V3, "scaled": True},
        ),
    }
)  # fmt: skip
SPARSE = tuple(_ROWS)


def sparse(config: Config) -> Graph:
    """Return the graph of a config whose family is one of `SPARSE`."""
    row = _ROWS[config.text("model_type")]
    no_training_noise(config)
    spec = kin_decoder(config, row.kin)
    layers = row.layers(config, spec.layers)
    fields = dict(row.experts)
    width = config.even(row.width)
    fields["shared_intermediate"] = config.size(row.shared_width) if row.shared_width else 0
    if row.shared is not None:
        key, default = row.shared
        fields["shared_intermediate"] = width * (config.whole(key, default) if key else default)
    if row.renormalised is not None:
        fields["renormalised"] = config.flag("norm_topk_prob", row.renormalised)
    if row.groups:
        fields |= {"groups": config.size("n_group", 1), "groups_per_token": config.size("topk_group", 1)}
    experts = experts_keys(
        config, *row.number, row.per_token[1], per_token_key=row.per_token[0], intermediate=width, **fields
    )
    return build(config, replace(spec, experts=experts, sparse=layers))


def dbrx(config: Config) -> Graph:
    """Return the graph of a `dbrx` config, which says of attention and experts in parts of their own."""
    row = Kin(
        inner=4, biases={},
        other_names={
            "hidden_size": ("d_model",), "num_hidden_layers": ("n_layers",), "num_attention_heads": ("n_heads",),
        },
        fields={
            "projections": "fused", "norm": "layer_scale", "router": "router.layer", "names": "dbrx",
        },
        neutral=("max_seq_len", "resid_pdrop", "emb_pdrop"),
    )  # fmt: skip
    no_training_noise(config)
    spec = kin_decoder(config, row)
    attention, network = config.part("attn_config"), config.part("ffn_config")
    for part, keys in (
        (attention, "rope_theta attn_pdrop"),
        (network, "moe_jitter_eps moe_loss_weight hidden_size moe_expert_parallelism uniform_expert_assignment"),
    ):
        for key in keys.split():
            part.get(key)
    network.fixed("ffn_act_fn", ({"name": "silu"},), "another activation of experts is not built")
    groups = attention.size("kv_n_heads", 1)
    if spec.heads % groups:
        raise DataError(f"{attention.label}: kv_n_heads={groups} does not divide n_heads={spec.heads}")
    experts = experts_keys(
        network, "moe_num_experts", 4, 1, per_token_key="moe_top_k",
        intermediate=network.size("ffn_hidden_size", 3584),
        renormalised=network.get("moe_normalize_expert_weights") is not None
        or not network.has("moe_normalize_expert_weights"),
    )  # fmt: skip
    return build(config, replace(spec, kv_heads=groups, clipped=attention.get("clip_qkv") is not None, experts=experts))
