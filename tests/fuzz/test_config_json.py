"""Damaged and hostile configs give a graph or one of our errors: never a crash, a hang, or memory out of proportion."""

from __future__ import annotations

import json
import random
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flopcore as fc

SAMPLES: list[dict[str, Any]] = [
    {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 96,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rope_parameters": {"partial_rotary_factor": 1.0},
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": 50,
    },
    {
        "model_type": "qwen3",
        "layer_types": ["full_attention", "sliding_attention", "full_attention"],
        "sliding_window": 4,
        "use_sliding_window": True,
    },
    {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 40, "activation_function": "gelu"},
    {
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
    },
    {"model_type": "roberta", "architectures": ["RobertaModel"], "pad_token_id": 1, "max_position_embeddings": 10},
    {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 3},
    {
        "model_type": "deepseek_v3",
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "first_k_dense_replace": 1,
        "n_group": 4,
        "topk_group": 2,
        "q_lora_rank": None,
        "kv_lora_rank": 8,
        "qk_nope_head_dim": 6,
        "qk_rope_head_dim": 4,
        "v_head_dim": 6,
        "norm_topk_prob": True,
    },
    {"model_type": "mamba2", "num_heads": 16, "head_dim": 8, "n_groups": 2, "state_size": 4, "chunk_size": 5},
    {"model_type": "jamba", "attn_layer_period": 3, "attn_layer_offset": 1, "mamba_d_state": 4, "num_experts": 4},
    {
        "model_type": "nemotron_h",
        "hybrid_override_pattern": "M-*E",
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "n_groups": 2,
        "ssm_state_size": 4,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
    },
    {
        "model_type": "qwen3_next",
        "full_attention_interval": 2,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 4,
        "mlp_only_layers": [1],
    },
    {"model_type": "llama4_text", "num_local_experts": 4, "no_rope_layers": [1, 0, 1], "moe_layers": [0, 2]},
    {"model_type": "cohere2", "sliding_window": 4, "sliding_window_pattern": 2, "logit_scale": 0.25},
    {"model_type": "vit", "image_size": 32, "patch_size": 8, "id2label": {"0": "a", "1": "b"}, "qkv_bias": True},
]
FILL = {key: value for key, value in SAMPLES[0].items() if key.startswith(("hidden_size", "num_", "inter", "vocab"))}
HOSTILE: list[object] = [
    None, True, False, 0, 1, -1, 2, 3, 2**31, 2**40, 2**63, 10**30, -(2**70), 0.0, 0.5, 1e308, float("nan"),
    float("inf"), "", "4096", "silu", "Ж" * 40, [], [1], ["x"], {}, {"factor": 8}, [[[]]],
    {"partial_rotary_factor": float("nan")},
]  # fmt: skip


def outcome(config: object) -> object:
    """Read and count; the polynomial, or the class of our error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return str(fc.count(fc.from_huggingface(config)).flop("macs"))  # type: ignore[arg-type]
        except fc.FlopcoreError as error:
            return type(error)


def mutations(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Without end: keys dropped, values replaced by hostile ones, families crossed."""
    while True:
        config = FILL | rng.choice(SAMPLES)
        for _ in range(rng.randint(1, 3)):
            key = rng.choice(sorted(config))
            match rng.randrange(4):
                case 0:
                    del config[key]
                case 1:
                    config[key] = rng.choice(HOSTILE)
                case 2:
                    config |= rng.choice(SAMPLES)
                case _:
                    config[rng.choice(["head_dim", "sliding_window", "num_labels", "extra"])] = rng.choice(HOSTILE)
        yield config


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: str(sample["model_type"]))
def test_the_samples_themselves_count(sample: dict[str, Any]) -> None:
    assert "batch" in str(outcome(FILL | sample))


@pytest.mark.parametrize("seed", range(3))
def test_mutated_configs_end_in_a_result_or_our_error(seed: int) -> None:
    deadline = time.monotonic() + 30
    for _, config in zip(range(1000), mutations(random.Random(seed)), strict=False):
        outcome(config)
        assert time.monotonic() < deadline


def test_mutated_text_ends_in_a_result_or_our_error(tmp_path: Path) -> None:
    rng = random.Random(9)
    text = json.dumps(SAMPLES[0]).encode()
    path = tmp_path / "config.json"
    for _ in range(1000):
        data = bytearray(text)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        path.write_bytes(bytes(data))
        outcome(path)


def test_numbers_of_many_digits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "llama", "hidden_size": ' + "9" * 100_000 + "}", "utf-8")
    with pytest.raises(fc.DataError, match="not JSON"):
        fc.from_huggingface(path)
