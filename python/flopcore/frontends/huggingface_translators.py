"""Models of an encoder and a decoder: which config keys mean what, family by family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from flopcore.architectures.bart import Bart, Side, bart
from flopcore.architectures.t5 import T5, t5
from flopcore.architectures.whisper import Whisper, whisper
from flopcore.errors import UnsupportedOp
from flopcore.expr import dim
from flopcore.graph import Graph

from .huggingface_config import Config
from .huggingface_keys import ORIGIN, activation, activation_named, dtype, heads_divide, seq_dim, task_of, tied

__all__: list[str] = []


def t5_like(config: Config) -> Graph:
    """Return the graph of a `t5`, `mt5` or `umt5` config."""
    kinds = {"ForConditionalGeneration": "logits", "EncoderModel": "encoder", "Model": "none"}
    form = config.text("feed_forward_proj", "relu" if config.text("model_type") == "t5" else "gated-gelu")
    gated, _, name = form.rpartition("-")
    for key in ("dense_act_fn", "is_gated_act"):  # both follow from feed_forward_proj
        config.get(key)
    if gated not in ("", "gated"):
        raise UnsupportedOp(f"{config.label}: feed_forward_proj {form!r} is not known; known: NAME and gated-NAME")
    family = config.text("model_type")
    first = family == "t5"  # its defaults are those of T5 1.0, the others' of T5 1.1
    layers, embeddings = config.size("num_layers", 6 if first else 8), tied(config, first)
    scaled = config.flag("scale_decoder_outputs", embeddings == "tied")
    spec = T5(
        encoder_layers=layers,
        decoder_layers=config.size("num_decoder_layers", layers),
        hidden=config.size("d_model", 512),
        intermediate=config.size("d_ff", 2048 if first else 1024),
        heads=config.size("num_heads", 8 if first else 6),
        head_dim=config.size("d_kv", 64),
        vocab=config.size("vocab_size", 32128),
        buckets=config.size("relative_attention_num_buckets", 32),
        # T5 1.1 says gated-gelu and means the approximation by tanh.
        activation="gelu_tanh" if form == "gated-gelu" else activation_named(config, name, "feed_forward_proj"),
        feed_forward="gated" if gated else "plain",
        embeddings=embeddings,
        scaled_output=scaled and family != "mt5",
        positions="each_layer" if family == "umt5" else "first_layer",
        head=next(end for end in ("logits", "encoder", "none") if end == task_of(config, kinds, "logits")),
        dtype=dtype(config),
    )
    return t5(spec, batch=dim("batch"), seq=dim("seq"), decoder_seq=dim("decoder_seq"), name=family, origin=ORIGIN)


def whisper_model(config: Config) -> Graph:
    """Return the graph of a `whisper` config."""
    config.fixed("scale_embedding", (False,), "a scaled embedding is not built")
    hidden = config.size("d_model", 384)
    heads = [config.size(f"{side}_attention_heads", 6) for side in ("encoder", "decoder")]
    for side, count in zip(("encoder", "decoder"), heads, strict=True):
        heads_divide(config, count, hidden, f"{side}_attention_heads")
    positions = config.size("max_target_positions", 448)
    spec = Whisper(
        encoder_layers=config.size("encoder_layers", 4),
        decoder_layers=config.size("decoder_layers", 4),
        encoder_heads=heads[0],
        decoder_heads=heads[1],
        encoder_intermediate=config.size("encoder_ffn_dim", 1536),
        decoder_intermediate=config.size("decoder_ffn_dim", 1536),
        hidden=hidden,
        vocab=config.size("vocab_size", 51865),
        mel_bins=config.size("num_mel_bins", 80),
        source_positions=config.size("max_source_positions", 1500),
        target_positions=positions,
        activation=activation(config, "activation_function", "gelu"),
        embeddings=tied(config, True),
        head="none" if task_of(config, {"ForConditionalGeneration": "", "Model": "none"}, "") else "logits",
        dtype=dtype(config),
    )
    return whisper(spec, batch=dim("batch"), seq=seq_dim(positions), origin=ORIGIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kin:
    """How a family differs from BART: rows of its tables of positions beside those that are read, norms, scale.

    Without `reserved` the positions are computed, and no weights.
    """

    reserved: int | None = 2
    norm_place: Literal["before", "after"] = "before"
    embedding_norm: bool = False
    activation: str = "gelu"
    scaled: bool = False
    logits_bias: bool = True


_BARTS: Mapping[str, _Kin] = MappingProxyType(
    {
        "bart": _Kin(norm_place="after", embedding_norm=True),
        "m2m_100": _Kin(reserved=None, activation="relu", scaled=True, logits_bias=False),
        "marian": _Kin(reserved=0, norm_place="after"),
        "mbart": _Kin(embedding_norm=True),
        "pegasus": _Kin(reserved=0),
    }
)
BARTS = tuple(_BARTS)


def bart_like(config: Config) -> Graph:
    """Return the graph of a config whose family is one of `BARTS`."""
    family = config.text("model_type")
    row = _BARTS[family]
    hidden, positions = config.size("d_model", 1024), config.size("max_position_embeddings", 1024)
    for key in (
        "num_hidden_layers",
        "share_encoder_decoder_embeddings",
        "decoder_vocab_size",
        "static_position_embeddings",
    ):
        config.get(key)
    config.fixed("share_encoder_decoder_embeddings", (True,), "two embeddings are not built")
    # Old files say of BART and its kin what the family's name says, and these alone are built.
    config.fixed("normalize_before", (row.norm_place == "before",), "norms in another place are not built")
    config.fixed("add_final_layer_norm", (row.norm_place == "before",), "norms in another place are not built")
    config.fixed("normalize_embedding", (row.embedding_norm,), "norms in another place are not built")
    for key in ("extra_pos_embeddings", "add_bias_logits", "force_bos_token_to_be_generated", "gradient_checkpointing"):
        config.get(key)

    def side(name: Literal["encoder", "decoder"]) -> Side:
        heads = config.size(f"{name}_attention_heads", 16)
        heads_divide(config, heads, hidden, f"{name}_attention_heads")
        return Side(
            layers=config.size(f"{name}_layers", 12),
            heads=heads,
            hidden=hidden,
            intermediate=config.size(f"{name}_ffn_dim", 4096),
            activation=activation(config, "activation_function", row.activation),
            norm_place=row.norm_place,
        )

    spec = Bart(
        encoder=side("encoder"),
        decoder=side("decoder"),
        vocab=config.size("vocab_size"),
        positions=0 if row.reserved is None else positions + row.reserved,
        embedding_norm=row.embedding_norm,
        final_norm=row.norm_place == "before",
        embedding_scale=config.flag("scale_embedding", row.scaled),
        embeddings=tied(config, True),
        head="none"
        if task_of(config, {"ForConditionalGeneration": "", "MTModel": "", "Model": "none"}, "")
        else "logits",
        logits_bias=row.logits_bias,
        dtype=dtype(config),
    )
    most = None if row.reserved is None else positions
    return bart(
        spec,
        batch=dim("batch"),
        seq=seq_dim(most),
        decoder_seq=dim("decoder_seq", max=most),
        name=family,
        origin=ORIGIN,
    )
