"""GGUF files of families without experts and with: what the header says in its own words is what the config says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import flopcore as fc
import weight_files as wf

BASE: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 256, "vocab_size": 100,
    "dtype": "bfloat16",
}  # fmt: skip
GROUPS = {"num_key_value_heads": 2}
BIAS = {"blk.0.attn_q.bias": (64,)}
HEAD_NORM = {"blk.0.attn_q_norm.weight": (16,)}
MOE = {"expert_count": 8, "expert_used_count": 2}

# architecture, keys of the header, tensors that tell something, config.json of the same model
CASES: list[tuple[str, dict[str, object], dict[str, tuple[int, ...]], dict[str, Any]]] = [
    ("bloom", {"attention.head_count_kv": 4}, {}, {"model_type": "bloom"}),
    (
        "cohere2", {"attention.sliding_window": 5}, {},
        {"model_type": "cohere2", "sliding_window": 5, "tie_word_embeddings": True} | GROUPS,
    ),
    ("command-r", {}, HEAD_NORM, {"model_type": "cohere", "use_qk_norm": True} | GROUPS),
    (
        "ernie4_5", {"attention.key_length": 16}, BIAS,
        {"model_type": "ernie4_5", "head_dim": 16, "use_bias": True} | GROUPS,
    ),
    ("exaone4", {}, {}, {"model_type": "exaone4", "sliding_window": None} | GROUPS),
    (
        "falcon", {}, {"blk.0.attn_norm_2.weight": (64,)},
        {"model_type": "falcon", "new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    ("falcon", {"attention.head_count_kv": 1}, {}, {"model_type": "falcon"}),
    (
        "glm4", {"rope.dimension_count": 8, "attention.key_length": 16}, {"blk.0.attn_qkv.bias": (128,)},
        {"model_type": "glm4", "head_dim": 16, "attention_bias": True} | GROUPS,
    ),
    ("gptj", {"rope.dimension_count": 8, "attention.head_count_kv": 4}, {}, {"model_type": "gptj", "rotary_dim": 8}),
    (
        "gptneox", {"rope.dimension_count": 16, "use_parallel_residual": False}, {"blk.0.attn_qkv.bias": (192,)},
        {"model_type": "gpt_neox", "rotary_pct": 1.0, "use_parallel_residual": False} | GROUPS,
    ),
    ("granite", {}, BIAS, {"model_type": "granite", "attention_bias": True} | GROUPS),
    ("granitemoe", MOE, {}, {"model_type": "granitemoe", "num_local_experts": 8} | GROUPS),
    (
        "granitemoe", MOE | {"expert_shared_feed_forward_length": 40}, {},
        {"model_type": "granitemoeshared", "num_local_experts": 8, "shared_intermediate_size": 40} | GROUPS,
    ),
    ("hunyuan-dense", {}, {}, {"model_type": "hunyuan_v1_dense"} | GROUPS),
    ("hunyuan-moe", MOE, {}, {"model_type": "hunyuan_v1_moe", "num_experts": 8, "moe_topk": 2} | GROUPS),
    (
        "minimax-m2", MOE | {"rope.dimension_count": 8, "attention.key_length": 16},
        {"blk.0.exp_probs_b.bias": (8,)},
        {
            "model_type": "minimax_m2", "head_dim": 16, "num_local_experts": 8, "num_experts_per_tok": 2,
            "partial_rotary_factor": 0.5,
        } | GROUPS,
    ),
    (
        "mpt", {"attention.clamp_kqv": 8.0, "attention.head_count_kv": 4}, {},
        {"model_type": "mpt", "attn_config": {"clip_qkv": 8.0}},
    ),
    ("nemotron", {"rope.dimension_count": 8}, {}, {"model_type": "nemotron", "head_dim": 16} | GROUPS),
    ("olmo", {"attention.clamp_kqv": 8.0}, {}, {"model_type": "olmo", "clip_qkv": 8.0} | GROUPS),
    ("phi2", {"rope.dimension_count": 8, "attention.head_count_kv": 4}, {}, {"model_type": "phi"}),
    (
        "phimoe", MOE, BIAS | {"output.bias": (100,)},
        {"model_type": "phimoe", "num_local_experts": 8, "attention_bias": True, "lm_head_bias": True} | GROUPS,
    ),
    (
        "stablelm", {"rope.dimension_count": 4, "use_parallel_residual": True}, BIAS,
        {"model_type": "stablelm", "use_qkv_bias": True, "use_parallel_residual": True} | GROUPS,
    ),
    (
        "starcoder", {"attention.head_count_kv": 1}, {"position_embd.weight": (40, 64)},
        {"model_type": "gpt_bigcode", "max_position_embeddings": 40},
    ),
    (
        "dots1",
        MOE | {"expert_feed_forward_length": 32, "expert_shared_count": 1, "leading_dense_block_count": 1,
               "expert_weights_norm": True, "attention.key_length": 16},
        {},
        {
            "model_type": "dots1", "head_dim": 16, "n_routed_experts": 8, "num_experts_per_tok": 2,
            "moe_intermediate_size": 32, "n_shared_experts": 1, "first_k_dense_replace": 1, "norm_topk_prob": True,
        } | GROUPS,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("architecture", "keys", "telling", "config"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)]
)
def test_gguf_says_what_the_config_says(
    architecture: str,
    keys: dict[str, object],
    telling: dict[str, tuple[int, ...]],
    config: dict[str, Any],
    tmp_path: Path,
) -> None:
    tied = config.get("tie_word_embeddings", False)
    same = fc.from_huggingface(BASE | {"tie_word_embeddings": tied} | config)
    base = {
        "embedding_length": 64, "block_count": 4, "attention.head_count": 4, "attention.head_count_kv": 2,
        "feed_forward_length": 256,
    }  # fmt: skip
    metadata = {f"{architecture}.{key}": value for key, value in (base | keys).items()}
    tensors = {"token_embd.weight": (100, 64)} | telling
    if not tied:
        tensors["output.weight"] = (100, 64)
    path = wf.write_gguf(tmp_path / "a.gguf", {}, {name: ("bf16", shape) for name, shape in tensors.items()})
    # The other tensors are told by one: their names are not read, their number is checked.
    tensors["blk.0.others.weight"] = (same.parameters - fc.read_weights(path).parameters,)  # type: ignore[operator]
    path = wf.write_gguf(
        tmp_path / "b.gguf",
        {"general.architecture": architecture} | metadata,
        {name: ("bf16", shape) for name, shape in tensors.items()},
    )
    graph = fc.from_gguf(path)
    assert (graph.parameters, graph.active_parameters) == (same.parameters, same.active_parameters)
    assert str(fc.count(graph).flop()) == str(fc.count(same).flop())
