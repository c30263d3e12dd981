"""Language models with recurrent layers, alone or between attention: which config keys mean what, family by family."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from flopcore.architectures.recurrent import GatedDelta, Mamba, Mamba2
from flopcore.architectures.transformer import Decoder, Mixer
from flopcore.errors import DataError, UnsupportedOp
from flopcore.graph import Graph

from .huggingface_config import Config, short
from .huggingface_decoders import attention_keys, build, decoder_keys
from .huggingface_keys import activation, causal_head, dtype, layer_flags, no_training_noise, tied
from .huggingface_mixtures import experts_keys

__all__: list[str] = []

# What configs call the kinds of layers, old names among them.
_MIXERS: dict[str, Mixer] = {
    "attention": "attention", "full_attention": "attention", "linear_attention": "recurrent", "mamba": "recurrent",
    "mamba2": "recurrent",
}  # fmt: skip
_BOTH: tuple[Mixer, ...] = ("both",)
_RECURRENT: tuple[Mixer, ...] = ("recurrent",)
_NO_COUNT = """
    time_step_min time_step_max time_step_floor time_step_limit time_step_scale time_step_init_scheme
    rescale_prenorm_residual residual_in_fp32 use_mambapy use_falcon_mambapy use_associative_scan use_mamba_kernels
    num_logits_to_keep mixer_rms_eps z_loss_coefficient mamba_ssm_cache_dtype mamba_dt_min mamba_dt_max mamba_dt_limit
    mamba_dt_init_floor mamba_expand moe_shared_expert_overlap sliding_window mamba_use_mlp
"""


def _pass(config: Config, keys: str = _NO_COUNT) -> None:
    """Take note of keys that change no count."""
    for key in keys.split():
        config.get(key)


def _mixers(config: Config, key: str, layers: int) -> tuple[Mixer, ...] | None:
    names = config.get(key)
    if names is None:
        return None
    if not isinstance(names, list) or any(name not in [*_MIXERS] for name in names):
        raise UnsupportedOp(f"{config.label}: {key} {short(names)}; known: {', '.join(sorted(_MIXERS))}")
    if len(names) != layers:
        raise DataError(f"{config.label}: {key} has {len(names)} entries for {layers} layers")
    return tuple(_MIXERS[name] for name in names)


def _rank(config: Config, key: str, hidden: int) -> int:
    """Return the width that time steps are made of; ``"auto"`` is a sixteenth of the hidden size, rounded up."""
    return -(-hidden // 16) if config.get(key) in ("auto", None) else config.size(key)


def _bare(config: Config, recurrent: Mamba | Mamba2, hidden: int, *, is_tied: bool) -> Graph:
    """Build a model of recurrent layers alone."""
    layers = config.size("num_hidden_layers", 32 if isinstance(recurrent, Mamba) else 64)
    spec = Decoder(
        layers=layers,
        hidden=hidden,
        intermediate=0,
        vocab=config.size("vocab_size", 50280 if isinstance(recurrent, Mamba) else 32768),
        heads=0,
        kv_heads=0,
        head_dim=0,
        mixers=_RECURRENT * layers,
        recurrent=recurrent,
        fed=(False,) * layers,
        activation=activation(config, "hidden_act", "silu"),
        embeddings=tied(config, is_tied),
        head=causal_head(config),
        names="mamba",
        dtype=dtype(config),
    )
    return build(config, spec)


def mamba(config: Config, norms: Literal["none", "plain"] = "none") -> Graph:
    """Return the graph of a `mamba` config."""
    _pass(config)
    hidden = config.size("hidden_size", 768)
    inner = config.size("expand", 2) * hidden
    config.fixed("intermediate_size", (inner,), "another width than expand * hidden_size is not built")
    spec = Mamba(
        inner=inner,
        state=config.size("state_size", 16),
        rank=_rank(config, "time_step_rank", hidden),
        kernel=config.size("conv_kernel", 4),
        conv_bias=config.flag("use_conv_bias", True),
        bias=config.flag("use_bias", False),
        norms=norms,
    )
    return _bare(config, spec, hidden, is_tied=True)


def falcon_mamba(config: Config) -> Graph:
    """Return the graph of a `falcon_mamba` config."""
    return mamba(config, "plain")


def mamba2(config: Config) -> Graph:
    """Return the graph of a `mamba2` config."""
    _pass(config, _NO_COUNT + " time_step_rank")
    hidden, heads, width = config.size("hidden_size", 4096), config.size("num_heads", 128), config.size("head_dim", 64)
    config.fixed("expand", (heads * width / hidden,), "num_heads * head_dim must be expand * hidden_size")
    bias = config.flag("use_bias", False)
    spec = Mamba2(
        heads=heads,
        head_dim=width,
        groups=_groups(config, "n_groups", heads, 8),
        state=config.size("state_size", 128),
        kernel=config.size("conv_kernel", 4),
        chunk=config.size("chunk_size", 256),
        conv_bias=config.flag("use_conv_bias", True),
        bias=bias,
        out_bias=bias,
    )
    return _bare(config, spec, hidden, is_tied=False)


def _groups(config: Config, key: str, heads: int, default: int) -> int:
    groups = config.size(key, default)
    if heads % groups:
        raise DataError(f"{config.label}: {key}={groups} does not divide the {heads} heads of the state space")
    return groups


def _mamba2_of_hybrid(config: Config, hidden: int, *, norm: bool = True, inner: int | None = None) -> Mamba2:
    """Return the state space of Bamba and what follows its names."""
    heads = config.size("mamba_n_heads", 128)
    width = config.size("mamba_expand", 2) * hidden if inner is None else inner
    given = config.get("mamba_d_head")
    head_dim = width // heads if given in ("auto", None) else config.size("mamba_d_head")
    if head_dim * heads != width:
        raise DataError(f"{config.label}: {heads} heads of {head_dim} do not make the width {width} of the state space")
    bias = config.flag("mamba_proj_bias", False)
    return Mamba2(
        heads=heads,
        head_dim=head_dim,
        groups=_groups(config, "mamba_n_groups", heads, 1),
        state=config.size("mamba_d_state", 256),
        kernel=config.size("mamba_d_conv", 4),
        chunk=config.size("mamba_chunk_size", 256),
        conv_bias=config.flag("mamba_conv_bias", True),
        bias=bias,
        out_bias=bias,
        norm=norm,
    )


def jamba(config: Config) -> Graph:
    """Return the graph of a `jamba` config."""
    _pass(config)
    no_training_noise(config)
    spec = decoder_keys(config, kv_heads=8, turns=False)
    layers = range(spec.layers)
    period, offset = config.size("attn_layer_period", 8), config.whole("attn_layer_offset", 4)
    mixers: tuple[Mixer, ...] = tuple("attention" if i % period == offset else "recurrent" for i in layers)
    mixers = _mixers(config, "layers_block_type", spec.layers) or mixers
    every, first = config.size("expert_layer_period", 2), config.whole("expert_layer_offset", 1)
    number = config.size("num_experts", config.size("num_local_experts", 16))
    config.get("num_experts_per_tok")
    experts = None
    if number > 1:
        key = "num_experts" if config.get("num_experts") is not None else "num_local_experts"
        experts = experts_keys(config, key, 16, 2, intermediate=spec.intermediate, renormalised=False)
    recurrent = Mamba(
        inner=config.size("mamba_expand", 2) * spec.hidden,
        state=config.size("mamba_d_state", 16),
        rank=_rank(config, "mamba_dt_rank", spec.hidden),
        kernel=config.size("mamba_d_conv", 4),
        conv_bias=config.flag("mamba_conv_bias", True),
        bias=config.flag("mamba_proj_bias", False),
        norms="weights",
    )
    spec = replace(
        spec,
        turned=(False,) * spec.layers,
        mixers=mixers,
        recurrent=recurrent,
        experts=experts,
        sparse=tuple(i % every == first for i in layers),
        router="router",
        names="jamba",
    )
    return build(config, spec)


def bamba(config: Config) -> Graph:
    """Return the graph of a `bamba` config."""
    _pass(config)
    spec = decoder_keys(config, kv_heads=8, rotary=0.5)
    given = config.get("attn_layer_indices") or []
    if not isinstance(given, list):
        raise DataError(f"{config.label}: key 'attn_layer_indices' must be a list, is {short(given)}")
    mixers: tuple[Mixer, ...] = tuple("attention" if i in given else "recurrent" for i in range(spec.layers))
    spec = replace(
        attention_keys(config, spec),
        mlp_bias=config.flag("mlp_bias", False),
        mixers=_mixers(config, "layers_block_type", spec.layers) or mixers,
        recurrent=_mamba2_of_hybrid(config, spec.hidden),
        names="jamba",
    )
    return build(config, spec)


def falcon_h1(config: Config) -> Graph:
    """Return the graph of a `falcon_h1` config: attention and a state space side by side in each layer."""
    _pass(config)
    _pass(
        config,
        "lm_head_multiplier embedding_multiplier mlp_multipliers key_multiplier attention_out_multiplier "
        "attention_in_multiplier ssm_multipliers ssm_in_multiplier ssm_out_multiplier mamba_norm_before_gate",
    )
    spec = decoder_keys(config, kv_heads=8)
    config.fixed("layers_block_type", (["hybrid"] * spec.layers,), "other layers are not built")
    has_width = config.get("mamba_d_ssm") is not None or not config.has("mamba_d_ssm")
    inner = config.size("mamba_d_ssm", 1024) if has_width else None
    recurrent = _mamba2_of_hybrid(config, spec.hidden, norm=config.flag("mamba_rms_norm", False), inner=inner)
    spec = replace(
        attention_keys(config, spec),
        mlp_bias=config.flag("mlp_bias", False),
        mixers=_BOTH * spec.layers,
        recurrent=replace(recurrent, scaled=True, out_bias=config.flag("projectors_bias", False)),
        embedding_scale=True,
        logits_scale=True,
        names="jamba",
    )
    return build(config, spec)


def granitemoehybrid(config: Config) -> Graph:
    """Return the graph of a `granitemoehybrid` config."""
    _pass(config)
    no_training_noise(config)
    for key in ("embedding_multiplier", "residual_multiplier", "logits_scaling", "attention_multiplier", "init_method"):
        config.get(key)
    turns = config.get("position_embedding_type") == "rope"
    config.fixed("position_embedding_type", ("rope", "nope"), "other positions are not built")
    spec = decoder_keys(config, turns=turns)
    mixers = _mixers(config, "layer_types", spec.layers) or _mixers(config, "layers_block_type", spec.layers)
    shared = config.size("shared_intermediate_size", 1024)
    number = config.whole("num_local_experts", 8)
    config.get("num_experts_per_tok")
    experts = None
    if number:
        experts = experts_keys(
            config, "num_local_experts", 8, 2, intermediate=spec.intermediate, shared_intermediate=shared,
            score="softmax_chosen", renormalised=False, shared_name="shared_mlp",
        )  # fmt: skip
    mixers = mixers or _RECURRENT * spec.layers
    spec = replace(
        attention_keys(config, spec),
        intermediate=shared,
        feed_forward="fused",
        turned=(turns,) * spec.layers,
        mixers=mixers,
        recurrent=_mamba2_of_hybrid(config, spec.hidden) if "recurrent" in mixers else None,
        experts=experts,
        router="router",
        embedding_scale=True,
        residual_scale=True,
        logits_scale=True,
    )
    return build(config, spec)


_PATTERN = {"M": "mamba", "E": "moe", "*": "attention", "-": "mlp"}


def nemotron_h(config: Config) -> Graph:
    """Return the graph of a `nemotron_h` config: each layer is a state space, attention, or a feed-forward alone."""
    _pass(config, _NO_COUNT + " expand mtp_layers_block_type mtp_hybrid_override_pattern n_shared_experts")
    _pass(config, "num_hidden_layers num_nextn_predict_layers intermediate_size mamba_proj_bias attention_bias")
    config.fixed("attention_bias", (False,), "attention with biases is not built")
    no_training_noise(config)
    kinds = _nemotron_layers(config)
    names = {"linear_attention": "mamba", "full_attention": "attention"}
    kinds = [names.get(kind, kind) for kind in kinds]
    mixers: list[Mixer] = [_MIXERS.get(kind, "none") for kind in kinds]
    recurrent = experts = None
    if "recurrent" in mixers:
        inner = config.size("mamba_num_heads", 128)
        recurrent = Mamba2(
            heads=inner,
            head_dim=config.size("mamba_head_dim", 64),
            groups=_groups(config, "mamba_n_groups" if config.has("mamba_n_groups") else "n_groups", inner, 8),
            state=config.size("ssm_state_size", 128),
            kernel=config.size("mamba_d_conv", config.size("conv_kernel", 4)),
            chunk=config.size("mamba_chunk_size", config.size("chunk_size", 128)),
            conv_bias=config.flag("mamba_conv_bias", config.flag("use_conv_bias", True)),
            bias=config.flag("use_bias", False),
            out_bias=config.flag("use_bias", False),
        )
    bias = config.flag("mlp_bias", False)
    if "moe" in kinds:
        config.fixed("mlp_bias", (False,), "a mixture of experts with biases is not built")
        experts = experts_keys(
            config,
            "n_routed_experts",
            8,
            2,
            intermediate=config.size("moe_intermediate_size", 7688),
            shared_intermediate=config.size("moe_shared_expert_intermediate_size", 7688),
            score="sigmoid",
            renormalised=config.flag("norm_topk_prob", True),
            scaled=True,
            groups=config.size("n_group", 1),
            groups_per_token=config.size("topk_group", 1),
            corrected=True,
            form="plain",
            latent=None if config.get("moe_latent_size") is None else config.size("moe_latent_size"),
        )
    for key in ("n_routed_experts", "num_experts_per_tok", "moe_intermediate_size", "n_group", "topk_group"):
        config.get(key)
    _pass(config, "moe_shared_expert_intermediate_size moe_latent_size norm_topk_prob routed_scaling_factor")
    heads, kv_heads = config.size("num_attention_heads", 32), config.size("num_key_value_heads", 8)
    if heads % kv_heads:
        raise DataError(f"{config.label}: num_key_value_heads={kv_heads} does not divide num_attention_heads={heads}")
    config.get("mamba_hidden_act")
    spec = Decoder(
        layers=len(kinds),
        hidden=config.size("hidden_size", 4096),
        intermediate=config.size("intermediate_size", 21504),
        vocab=config.size("vocab_size", 131072),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=config.size("head_dim", 128),
        turned=(False,) * len(kinds),
        mixers=tuple(mixers),
        recurrent=recurrent,
        fed=tuple(mixer == "none" for mixer in mixers),
        activation=activation(config, "mlp_hidden_act", "relu2"),
        feed_forward="plain",
        mlp_bias=bias,
        experts=experts,
        sparse=tuple(kind == "moe" for kind in kinds),
        embeddings=tied(config, False),
        head=causal_head(config),
        names="nemotron_h",
        dtype=dtype(config),
    )
    return build(config, spec)


def _nemotron_layers(config: Config) -> list[str]:
    pattern = config.get("hybrid_override_pattern")
    if isinstance(pattern, str) and 0 < len(pattern) <= 2**16 and not set(pattern) - _PATTERN.keys():
        config.get("layers_block_type"), config.get("layer_types")
        return [_PATTERN[letter] for letter in pattern]
    if pattern is not None:
        raise DataError(
            f"{config.label}: hybrid_override_pattern {short(pattern)} must be made of {' '.join(_PATTERN)}"
        )
    names = config.get("layers_block_type") or config.get("layer_types")
    known = [*_MIXERS, "moe", "mlp"]
    if not isinstance(names, list) or not names or any(name not in known for name in names):
        raise DataError(f"{config.label}: layers_block_type {short(names)}; known: {', '.join(sorted(known))}")
    return list(names)


def qwen3_next(config: Config) -> Graph:
    """Return the graph of a `qwen3_next` config."""
    no_training_noise(config)
    config.get("full_attention_interval")
    spec = decoder_keys(config, kv_heads=2, head_dim=256, rotary=0.25)
    interval = config.size("full_attention_interval", 4)
    mixers: tuple[Mixer, ...] = tuple("recurrent" if (i + 1) % interval else "attention" for i in range(spec.layers))
    experts = experts_keys(
        config,
        "num_experts",
        512,
        10,
        intermediate=config.size("moe_intermediate_size", 512),
        shared_intermediate=config.size("shared_expert_intermediate_size", 512),
        shared_gate=True,
        shared_name="shared_expert",
        renormalised=config.flag("norm_topk_prob", True),
    )
    keys, values = config.size("linear_num_key_heads", 16), config.size("linear_num_value_heads", 32)
    if values % keys:
        raise DataError(f"{config.label}: linear_num_key_heads={keys} does not divide linear_num_value_heads={values}")
    recurrent = GatedDelta(
        key_heads=keys,
        value_heads=values,
        key_dim=config.size("linear_key_head_dim", 128),
        value_dim=config.size("linear_value_head_dim", 128),
        kernel=config.size("linear_conv_kernel_dim", 4),
    )
    step = config.size("decoder_sparse_step", 1)
    spec = replace(
        attention_keys(config, spec),
        norm="rms_offset",
        qk_norm="head",
        gated=True,
        mixers=_mixers(config, "layer_types", spec.layers) or mixers,
        recurrent=recurrent,
        experts=experts,
        sparse=layer_flags(config, "mlp_only_layers", spec.layers, lambda layer: (layer + 1) % step == 0),
        names="qwen3_next",
    )
    return build(config, spec)
