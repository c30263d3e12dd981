"""Encoders over tokens: which config keys mean what, a row for each family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from flopcore.architectures.encoder import BertEncoder, Family, Relative, bert
from flopcore.errors import DataError
from flopcore.expr import dim
from flopcore.graph import Graph

from .huggingface_config import Config, short
from .huggingface_keys import ORIGIN, activation, classes, dtype, heads_divide, seq_dim, task_of, tied

__all__: list[str] = []

_TASKS: Mapping[str, Literal["none", "tokens", "sequence", "each_token", "span", "replaced"]] = MappingProxyType(
    {
        "ForMaskedLM": "tokens",
        "ForPreTraining": "replaced",
        "ForSequenceClassification": "sequence",
        "ForTokenClassification": "each_token",
        "ForQuestionAnswering": "span",
        "Model": "none",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kin:
    """How a family differs from BERT.

    Parameters
    ----------
    family
        Whose modules it has.
    types, embedding
        Defaults of `type_vocab_size`, and of `embedding_size` where the family has such a key.
    padded
        Whether positions are counted from `pad_token_id` + 1 on, so that no token reads the first rows of the table.
    activation
        Default of `hidden_act`.
    other_names, neutral, ones
        What the family calls keys of BERT, keys that change no count, and keys that must be 1.
    """

    family: Family
    types: int = 2
    embedding: int | None = None
    padded: bool = False
    activation: str = "gelu"
    other_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    neutral: tuple[str, ...] = ()
    ones: tuple[str, ...] = ()


_ROBERTA = _Kin(family="roberta", padded=True)
_ROWS: Mapping[str, _Kin] = MappingProxyType(
    {
        "albert": _Kin(
            family="albert", embedding=128, activation="gelu_new", ones=("num_hidden_groups", "inner_group_num"),
            neutral=("classifier_dropout_prob", "down_scale_factor", "gap_size", "net_structure_type",
                     "num_memory_blocks"),
        ),
        "bert": _Kin(family="bert"),
        "camembert": _ROBERTA,
        "data2vec-text": _ROBERTA,
        "deberta-v2": _Kin(
            family="deberta", types=0, neutral=("pooler_dropout", "pooler_hidden_size", "z_steps", "position_buckets"),
        ),
        "distilbert": _Kin(
            family="distilbert", types=0, neutral=("sinusoidal_pos_embds", "qa_dropout", "seq_classif_dropout"),
            other_names={
                "hidden_size": ("dim",), "num_attention_heads": ("n_heads",), "num_hidden_layers": ("n_layers",),
                "intermediate_size": ("hidden_dim",), "hidden_act": ("activation",),
            },
        ),
        "electra": _Kin(
            family="electra", embedding=128,
            neutral=("summary_last_dropout",),
        ),
        "mpnet": _Kin(family="mpnet", types=0, padded=True, neutral=("type_vocab_size",)),
        "roberta": _ROBERTA,
        "xlm-roberta": _ROBERTA,
    }
)  # fmt: skip
ENCODERS = tuple(_ROWS)


def encoder(config: Config) -> Graph:
    """Return the graph of a config whose family is one of `ENCODERS`."""
    name = config.text("model_type")
    row = _ROWS[name]
    config.also(row.other_names)
    for key in row.neutral:
        config.get(key)
    for key in row.ones:
        config.fixed(key, (1,), "layers that share weights in several groups are not built")
    config.fixed("is_decoder", (False,), f"{name} as a decoder is not built")
    config.fixed("position_embedding_type", ("absolute",), "relative positions are not built")
    hidden, heads, positions = (
        config.size("hidden_size"),
        config.size("num_attention_heads"),
        config.size("max_position_embeddings", 512),
    )
    heads_divide(config, heads, hidden, "num_attention_heads")
    padding = config.get("pad_token_id")
    reserved = (padding if isinstance(padding, int) else 1) + 1 if row.padded else 0
    if row.family == "mpnet":
        reserved = 2  # its padding is fixed
    if not 0 <= reserved < positions:
        raise DataError(f"{config.label}: max_position_embeddings={positions} leaves no position after pad_token_id")
    width = None if row.embedding is None else config.size("embedding_size", row.embedding)
    if row.family == "deberta":
        width = config.size("embedding_size", hidden)
    tasks = {end: task for end, task in _TASKS.items() if task != "replaced" or row.family == "electra"}
    spec = BertEncoder(
        layers=config.size("num_hidden_layers"),
        hidden=hidden,
        intermediate=config.size("intermediate_size"),
        heads=heads,
        vocab=config.size("vocab_size"),
        positions=positions if config.flag("position_biased_input", True) else 0,
        token_types=config.whole("type_vocab_size", row.types) if row.types or row.family == "deberta" else 0,
        activation=activation(config, "hidden_act", row.activation),
        family=row.family,
        embedding=width if width != hidden or row.family == "albert" else None,
        buckets=config.size("relative_attention_num_buckets", 32) if row.family == "mpnet" else 0,
        relative=_relative(config, positions) if row.family == "deberta" else None,
        head=next(task for task in _TASKS.values() if task == task_of(config, tasks, "none")),
        classes=classes(config),
        embeddings=tied(config, True),
        dtype=dtype(config),
    )
    return bert(spec, batch=dim("batch"), seq=seq_dim(positions - reserved), name=name, origin=ORIGIN)


def _relative(config: Config, positions: int) -> Relative | None:
    """Return how DeBERTa's positions join the scores; those that attend to nothing are not there."""
    config.fixed("conv_kernel_size", (0,), "a convolution after the first layer is not built")
    config.fixed("attention_head_size", (), "heads of another width are not built")
    config.fixed("legacy", (True,), "another head for tokens is not built")
    config.fixed("pooler_hidden_act", ("gelu",), "another activation of the pooler is not built")
    given = config.get("pos_att_type") or []
    names = given.lower().split("|") if isinstance(given, str) else given
    if not isinstance(names, list) or any(str(name).strip() not in ("c2p", "p2c", "p2p") for name in names):
        raise DataError(f"{config.label}: pos_att_type {short(given)} must be made of c2p and p2c")
    kinds = [str(name).strip() for name in names]
    normed = "layer_norm" in config.text("norm_rel_ebd", "none").lower().split("|")
    most = config.get("max_relative_positions")
    span = most if isinstance(most, int) and most > 0 else positions
    buckets = config.get("position_buckets")
    span = buckets if isinstance(buckets, int) and buckets > 0 else span
    shared = config.flag("share_att_key", False)
    if not config.flag("relative_attention", False):
        return None
    return Relative(
        span=span,
        content_to_position="c2p" in kinds,
        position_to_content="p2c" in kinds,
        shared=shared,
        normed=normed,
    )
