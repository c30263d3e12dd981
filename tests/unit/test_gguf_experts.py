"""GGUF files of mixtures of experts: the graph is that of their config.json, and their tensors are held against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import flopcore as fc
import weight_files as wf

HIDDEN, VOCAB, LAYERS, EXPERTS = 64, 100, 3, 8
Tensors = dict[str, tuple[str, tuple[int, ...]]]


def header(architecture: str, **keys: object) -> dict[str, object]:
    base = {
        "embedding_length": HIDDEN, "block_count": LAYERS, "attention.head_count": 4, "attention.head_count_kv": 2,
        "expert_count": EXPERTS, "expert_used_count": 2,
    }  # fmt: skip
    named = {f"{architecture}.{key}": value for key, value in (base | keys).items()}
    return {"general.architecture": architecture} | named


def tensors(blocks: list[dict[str, tuple[int, ...]]]) -> Tensors:
    whole = {"token_embd": (VOCAB, HIDDEN), "output_norm": (HIDDEN,), "output": (VOCAB, HIDDEN)}
    found: Tensors = {f"{name}.weight": ("bf16", shape) for name, shape in whole.items()}
    for number, block in enumerate(blocks):
        for name, shape in ({"attn_norm": (HIDDEN,), "ffn_norm": (HIDDEN,)} | block).items():
            full = name if name.endswith((".bias", ".weight")) else f"{name}.weight"
            found[f"blk.{number}.{full}"] = ("bf16", shape)
    return found


ATTENTION = {"attn_q": (64, 64), "attn_k": (32, 64), "attn_v": (32, 64), "attn_output": (64, 64)}


def experts(width: int) -> dict[str, tuple[int, ...]]:
    up = (EXPERTS, width, HIDDEN)
    return {"ffn_gate_inp": (EXPERTS, HIDDEN), "ffn_gate_exps": up, "ffn_up_exps": up, "ffn_down_exps": (8, 64, width)}


def network(width: int, mark: str = "") -> dict[str, tuple[int, ...]]:
    into = (width, HIDDEN)
    return {f"ffn_gate{mark}": into, f"ffn_up{mark}": into, f"ffn_down{mark}": (HIDDEN, width)}


LATENT = {
    "attn_q_a": (24, 64), "attn_q_a_norm": (24,), "attn_q_b": (4 * 18, 24), "attn_kv_a_mqa": (20 + 6, 64),
    "attn_kv_a_norm": (20,), "attn_kv_b": (4 * (12 + 10), 20), "attn_output": (64, 40),
}  # fmt: skip
LATENT_KEYS = {
    "attention.q_lora_rank": 24, "attention.kv_lora_rank": 20, "attention.key_length": 18,
    "attention.value_length": 10, "rope.dimension_count": 6, "leading_dense_block_count": 1,
    "expert_shared_count": 2, "expert_feed_forward_length": 32, "feed_forward_length": 96,
}  # fmt: skip
LATENT_CONFIG = {
    "intermediate_size": 96, "moe_intermediate_size": 32, "n_routed_experts": EXPERTS, "n_shared_experts": 2,
    "q_lora_rank": 24, "kv_lora_rank": 20, "qk_nope_head_dim": 12, "qk_rope_head_dim": 6, "v_head_dim": 10,
    "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
}  # fmt: skip
LATENT_BLOCKS = [LATENT | network(96)] + 2 * [LATENT | experts(32) | network(64, "_shexp")]
GPT_OSS = ATTENTION | experts(48) | {
    "attn_q.bias": (64,), "attn_k.bias": (32,), "attn_v.bias": (32,), "attn_output.bias": (64,), "attn_sinks": (4,),
    "ffn_gate_inp.bias": (8,), "ffn_gate_exps.bias": (8, 48), "ffn_up_exps.bias": (8, 48),
    "ffn_down_exps.bias": (8, 64),
}  # fmt: skip
HEAD_NORMS = {"attn_q_norm": (16,), "attn_k_norm": (16,)}
QWEN2_BIASES = {"attn_q.bias": (64,), "attn_k.bias": (32,), "attn_v.bias": (32,)}

# architecture, keys of the header, one dict of tensors per block, config.json of the same model
CASES: list[tuple[str, dict[str, object], list[dict[str, tuple[int, ...]]], dict[str, Any]]] = [
    (
        "llama", {"feed_forward_length": 48}, LAYERS * [ATTENTION | experts(48)],
        {"model_type": "mixtral", "intermediate_size": 48, "num_local_experts": EXPERTS},
    ),
    (
        "qwen2moe", {"feed_forward_length": 96, "expert_feed_forward_length": 32},
        LAYERS * [ATTENTION | QWEN2_BIASES | experts(32) | network(40, "_shexp") | {"ffn_gate_inp_shexp": (1, 64)}],
        {
            "model_type": "qwen2_moe", "intermediate_size": 96, "moe_intermediate_size": 32, "num_experts": EXPERTS,
            "shared_expert_intermediate_size": 40,
        },
    ),
    (
        "qwen3moe",
        {"feed_forward_length": 96, "expert_feed_forward_length": 32, "attention.key_length": 16},
        LAYERS * [ATTENTION | HEAD_NORMS | experts(32)],
        {
            "model_type": "qwen3_moe", "intermediate_size": 96, "moe_intermediate_size": 32, "num_experts": EXPERTS,
            "head_dim": 16,
        },
    ),
    (
        "gpt-oss",
        {"feed_forward_length": 48, "expert_feed_forward_length": 48, "attention.key_length": 16},
        LAYERS * [GPT_OSS],
        {"model_type": "gpt_oss", "intermediate_size": 48, "num_local_experts": EXPERTS, "head_dim": 16},
    ),
    ("deepseek2", LATENT_KEYS, LATENT_BLOCKS, LATENT_CONFIG | {"model_type": "deepseek_v2"}),
    (
        "deepseek2", LATENT_KEYS | {"expert_weights_norm": True},
        [LATENT_BLOCKS[0], *(block | {"exp_probs_b.bias": (8,)} for block in LATENT_BLOCKS[1:])],
        LATENT_CONFIG | {"model_type": "deepseek_v3"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("architecture", "keys", "blocks", "config"), CASES, ids=[case[3]["model_type"] for case in CASES]
)
def test_experts_of_gguf_are_those_of_the_config(
    architecture: str,
    keys: dict[str, object],
    blocks: list[dict[str, tuple[int, ...]]],
    config: dict[str, Any],
    tmp_path: Path,
) -> None:
    path = wf.write_gguf(tmp_path / "a.gguf", header(architecture, **keys), tensors(blocks))
    graph = fc.load_model(path)
    same = fc.from_huggingface(
        {
            "hidden_size": HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": VOCAB,
            "num_experts_per_tok": 2,
            "dtype": "bfloat16",
        }
        | config
    )
    assert graph.parameters == same.parameters == fc.read_weights(path).parameters
    assert graph.active_parameters == same.active_parameters < graph.parameters
    assert str(fc.count(graph).flop()) == str(fc.count(same).flop())


def test_experts_of_an_architecture_without_them(tmp_path: Path) -> None:
    path = wf.write_gguf(tmp_path / "a.gguf", header("qwen2", feed_forward_length=48), tensors([]))
    with pytest.raises(fc.UnsupportedOp, match="qwen2 with 8 experts"):
        fc.from_gguf(path)
