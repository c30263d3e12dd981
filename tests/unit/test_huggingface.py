"""config.json of the Llama family: exact parameters, multiply-adds in closed form, errors that name the key."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

import flopcore as fc

# As published by Meta for Llama 3.1 8B.
LLAMA_8B: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}
QWEN3_8B: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "max_window_layers": 36,
    "model_type": "qwen3",
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
    "vocab_size": 151936,
}
QWEN2_HALF_B: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 896,
    "intermediate_size": 4864,
    "model_type": "qwen2",
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
    "vocab_size": 151936,
}
MISTRAL_7B: dict[str, Any] = {
    "architectures": ["MistralForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "model_type": "mistral",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "sliding_window": None,
    "torch_dtype": "bfloat16",
    "vocab_size": 32768,
}
SMALL: dict[str, Any] = LLAMA_8B | {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "vocab_size": 50,
}


def macs(config: dict[str, Any], batch: int, seq: int) -> int:
    """Multiply-adds of a forward pass, every position reading every other (attention nominal)."""
    hidden, layers, heads = (config[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads"))
    width = config.get("head_dim", hidden // heads)
    per_token = layers * (
        2 * hidden * heads * width  # queries, and back
        + 2 * hidden * config["num_key_value_heads"] * width  # keys and values
        + 3 * hidden * config["intermediate_size"]
    )
    per_token += hidden * config["vocab_size"]
    attention = layers * heads * seq * seq * 2 * width  # scores, and their mix of the values
    return batch * (seq * per_token + attention)


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (LLAMA_8B, 8_030_261_248),
        (QWEN3_8B, 8_190_735_360),
        (QWEN2_HALF_B, 494_032_768),
        (MISTRAL_7B, 7_248_023_552),
    ],
    ids=["llama-3.1-8b", "qwen3-8b", "qwen2-0.5b", "mistral-7b-v0.3"],
)
def test_parameters_and_multiply_adds_are_exact(config: dict[str, Any], parameters: int) -> None:
    graph = fc.from_huggingface(config)
    assert graph.parameters == parameters
    tally = fc.count(graph)
    for batch, seq in ((1, 1), (1, 8192), (3, 17)):
        assert tally.flop("macs", at={"batch": batch, "seq": seq}) == macs(config, batch, seq)


def test_the_count_is_a_polynomial_in_batch_and_seq() -> None:
    cost = fc.count(fc.from_huggingface(LLAMA_8B)).flop("macs")
    assert isinstance(cost, fc.Expr)
    assert [dim.name for dim in cost.free_dims] == ["batch", "seq"]
    assert (cost.degree("batch"), cost.degree("seq")) == (1, 2)


def test_each_layer_does_the_textbook_elementwise_work() -> None:
    tally = fc.count(fc.from_huggingface(SMALL | {"num_hidden_layers": 1}), at={"batch": 2, "seq": 5})
    amounts: dict[tuple[str, str], int] = {}
    for row in tally.rows():
        assert isinstance(row.base, int)
        amounts[row.op, row.feature] = amounts.get((row.op, row.feature), 0) + row.base
    tokens, hidden, gate, rotated = 2 * 5, 64, 96, (4 + 2) * 16
    # Two products, half a sum and half a difference per rotated element; one product per element of the gate.
    assert amounts["mul", "mul"] == tokens * (2 * rotated + gate)
    assert amounts["sub", "add"] == tokens * rotated // 2
    assert amounts["add", "add"] == tokens * (2 * hidden + rotated // 2)
    assert amounts["rms_norm", "rsqrt"] == 3 * tokens
    assert amounts["silu", "exp"] == tokens * gate
    assert amounts["embedding", "gather"] == tokens * hidden
    assert amounts["attention", "rows"] == 2 * 4 * 5


def test_tied_embeddings_count_once() -> None:
    separate = fc.from_huggingface(SMALL).parameters
    tied = fc.from_huggingface(SMALL | {"tie_word_embeddings": True}).parameters
    assert isinstance(separate, int)
    assert isinstance(tied, int)
    assert separate - tied == 50 * 64


def test_biases_and_head_norms_count() -> None:
    def parameters(**more: object) -> int:
        count = fc.from_huggingface(SMALL | more).parameters
        assert isinstance(count, int)
        return count

    plain = parameters()
    assert parameters(attention_bias=True) - plain == 3 * (64 + 32 + 32 + 64)
    assert parameters(mlp_bias=True) - plain == 3 * (96 + 96 + 64)
    assert parameters(head_dim=32) - plain == 3 * (2 * 64 * 64 + 2 * 64 * 32)
    qwen3 = parameters(model_type="qwen3", head_dim=16, pretraining_tp=None)
    assert qwen3 - plain == 3 * (16 + 16)


def test_scopes_are_those_of_transformers() -> None:
    by_module = fc.count(fc.from_huggingface(SMALL), at={"batch": 1, "seq": 4}).flop("macs", by="module")
    assert isinstance(by_module, dict)
    assert by_module["model.layers.[0..2].self_attn.q_proj"] == 3 * 4 * 64 * 64
    assert by_module["lm_head"] == 4 * 64 * 50


def test_the_bare_model_has_no_output_layer() -> None:
    graph = fc.from_huggingface(SMALL | {"architectures": ["LlamaModel"]})
    assert graph.parameters == fc.from_huggingface(SMALL | {"tie_word_embeddings": True}).parameters


def test_file_directory_and_dict_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL), "utf-8")
    expected = fc.from_huggingface(SMALL).parameters
    assert fc.from_huggingface(tmp_path).parameters == expected
    assert fc.from_huggingface(str(tmp_path / "config.json")).parameters == expected
    assert fc.load_model(tmp_path / "config.json").parameters == expected


# --------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_size": None}, "'hidden_size' is missing"),
        ({"hidden_size": "64"}, "'hidden_size' must be an integer, is \"64\""),
        ({"hidden_size": 64.0}, "'hidden_size' must be an integer, is 64.0"),
        ({"hidden_size": True}, "'hidden_size' must be an integer, is true"),
        ({"num_hidden_layers": 0}, "'num_hidden_layers' must be from 1 to"),
        ({"vocab_size": 10**30}, "'vocab_size' must be from 1 to"),
        ({"vocab_size": -5}, "'vocab_size' must be from 1 to"),
        ({"num_attention_heads": 5, "num_key_value_heads": 5}, "=5 does not divide the hidden size 64"),
        ({"num_key_value_heads": 3}, "num_key_value_heads=3 does not divide"),
        ({"head_dim": 15}, "15 of head_dim=15 are turned"),
        ({"mlp_bias": 1}, "'mlp_bias' must be true or false, is 1"),
        ({"torch_dtype": "int3"}, 'dtype "int3" is not known'),
        ({"architectures": "LlamaForCausalLM"}, "'architectures' must be a list of one name"),
        ({"model_type": None}, "'model_type' is missing"),
        ({"partial_rotary_factor": 0}, "'partial_rotary_factor' must be over 0 and at most 1, is 0"),
        ({"model_type": "mistral", "sliding_window": -1}, "'sliding_window' must be from 1 to"),
        ({"model_type": "gpt_neo", "attention_types": [[["local"], 2]]}, "must name global or local for each of 3"),
        ({"model_type": "gptj", "n_layer": 0}, "'n_layer' must be from 1 to"),
        (
            {"model_type": "falcon", "new_decoder_architecture": True, "num_kv_heads": 3},
            "num_kv_heads=3 does not divide",
        ),
        (
            {"model_type": "exaone_moe", "num_experts": 4, "moe_intermediate_size": 8},
            "num_experts_per_tok=8 is more than the 4 experts",
        ),
    ],
)
def test_bad_values_name_the_key(change: dict[str, object], words: str) -> None:
    with pytest.raises(fc.DataError, match=f"config: .*{words}"):
        fc.from_huggingface(SMALL | change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"model_type": "brontosaurus"},
            "'brontosaurus' is not known; known: .*bert, .*clip, clip_text_model",
        ),
        ({"hidden_act": "snake"}, "hidden_act 'snake' is not known"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "LlamaForSequenceClassification"),
        ({"model_type": "qwen3", "layer_types": ["linear_attention"]}, "full_attention"),
        ({"model_type": "qwen3", "layer_types": [["full_attention"]]}, "full_attention"),
        ({"model_type": "jamba", "layers_block_type": [["mamba"]]}, "known: attention, full_attention"),
        ({"model_type": "hunyuan_v1_moe", "moe_topk": [2, 3, 2]}, "layers that differ in it"),
        ({"model_type": "bloom", "apply_residual_connection_post_layernorm": True}, "it is not built"),
        ({"model_type": "deberta-v2", "conv_kernel_size": 3}, "a convolution after the first layer"),
        ({"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": True}, "a scale per layer"),
        ({"model_type": "bert", "position_embedding_type": "relative_key"}, "relative positions"),
        ({"model_type": "bert", "is_decoder": True}, "as a decoder"),
    ],
)
def test_what_is_not_built_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(fc.UnsupportedOp, match=words):
        fc.from_huggingface(SMALL | change)


def visible_pairs(seq: int, window: int | None) -> int:
    """Pairs of a query and a key it sees, key by key."""
    return sum(1 for i in range(seq) for j in range(i + 1) if window is None or i - j < window)


@pytest.mark.parametrize(
    ("keys", "windows"),
    [
        ({"model_type": "mistral", "sliding_window": 32}, [32, 32]),
        ({"model_type": "mistral", "sliding_window": None}, [None, None]),
        ({"model_type": "mistral"}, [4096, 4096]),
        ({"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": True, "max_window_layers": 1}, [None, 32]),
        ({"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": False}, [None, None]),
        (
            {"model_type": "qwen3", "sliding_window": 8, "layer_types": ["full_attention", "sliding_attention"]},
            [None, 8],
        ),
        ({"model_type": "phi3", "sliding_window": 32}, [32, 32]),
        ({"model_type": "phi3"}, [None, None]),
        ({"model_type": "gemma2", "sliding_window": 8, "head_dim": 16}, [8, None]),
    ],
    ids=lambda part: part["model_type"] if isinstance(part, dict) else "",
)
def test_windows_are_an_extent_of_the_layers_that_have_them(keys: dict[str, object], windows: list[int | None]) -> None:
    graph = fc.from_huggingface(SMALL | {"num_hidden_layers": 2} | keys)
    tally = fc.count(graph, at={"batch": 1, "seq": 40})
    used = {}
    for row in tally.rows():
        if row.op == "attention" and row.feature == "mac":
            (extent,) = row.extents
            assert extent.nominal == 40 * 40
            used[row.block] = extent.used
    counts = [visible_pairs(40, window) for window in windows]
    times = {frame.block: frame.times for frame in tally.frames()}
    assert sum(used[block] * times[block] for block in used) == sum(counts)


def test_layer_types_must_name_every_layer() -> None:
    with pytest.raises(fc.DataError, match="layer_types has 1 entries for 3 layers"):
        fc.from_huggingface(SMALL | {"model_type": "qwen3", "layer_types": ["full_attention"]})


# Parameters as published: the GPT-2 release, BERT (arXiv 1810.04805: 110M and 340M), and the hubs' model cards.
def test_other_families_have_their_published_parameters() -> None:
    encoder = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
    bert = encoder | {"model_type": "bert", "vocab_size": 30522, "architectures": ["BertModel"]}
    assert fc.from_huggingface(bert).parameters == 109_482_240
    assert fc.from_huggingface(bert | {"architectures": ["BertForMaskedLM"]}).parameters == 109_514_298
    assert fc.from_huggingface({"model_type": "gpt2"}).parameters == 124_439_808
    assert fc.from_huggingface({"model_type": "vit", "num_labels": 1000}).parameters == 86_567_656
    gemma = {
        "model_type": "gemma",
        "hidden_size": 2048,
        "intermediate_size": 16384,
        "num_attention_heads": 8,
        "num_hidden_layers": 18,
        "num_key_value_heads": 1,
        "vocab_size": 256000,
    }
    assert fc.from_huggingface(gemma).parameters == 2_506_172_416
    phi4 = {
        "model_type": "phi3",
        "hidden_size": 5120,
        "intermediate_size": 17920,
        "num_attention_heads": 40,
        "num_hidden_layers": 40,
        "num_key_value_heads": 10,
        "vocab_size": 100352,
    }
    assert fc.from_huggingface(phi4).parameters == 14_659_507_200


def test_a_vision_transformer_has_no_sequence() -> None:
    cost = fc.count(fc.from_huggingface({"model_type": "vit", "num_labels": 1000})).flop("macs")
    assert cost == 17_563_828_224 * fc.dim("batch")  # torchvision prints 17.564 GMAC


def test_learned_positions_bound_the_sequence() -> None:
    assert fc.from_huggingface({"model_type": "gpt2"}).dims["seq"][1] == 1024


def test_unknown_keys_that_could_count_are_reported() -> None:
    with pytest.warns(UserWarning, match="could change the count: extra_branch, num_local_experts"):
        fc.from_huggingface(SMALL | {"num_local_experts": 8, "extra_branch": True, "unused": None, "off": False})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fc.from_huggingface(SMALL | {"temperature": 1.0, "rope_scaling": {"factor": 8.0}, "id2label": {"0": "a"}})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1]", "must be an object"),
        ("[" * 100_000, "not JSON: .* nest too deep"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "not JSON: a number has more than 4300 digits"),
    ],
    ids=["empty", "cut short", "list", "deep", "long number"],
)
def test_files_that_are_no_config(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content, "utf-8")
    with pytest.raises(fc.DataError, match=rf"config\.json.*{words}"):
        fc.from_huggingface(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(fc.DataError, match=rf"^{tmp_path}: a directory without a config\.json$"):
        fc.from_huggingface(tmp_path)
    with pytest.raises(fc.DataError, match=r"config\.json: No such file"):
        fc.from_huggingface(tmp_path / "config.json")


def test_a_task_overrides_the_architecture_of_the_config() -> None:
    bare = fc.from_huggingface(SMALL, task="feature-extraction").parameters
    assert bare == fc.from_huggingface(SMALL | {"architectures": ["LlamaModel"]}).parameters
    assert (
        fc.from_huggingface(SMALL | {"architectures": ["LlamaModel"]}, "text-generation").parameters == bare + 50 * 64
    )
    assert fc.from_huggingface({"model_type": "gpt2"}, "text-generation").parameters == 124_439_808
    with pytest.raises(fc.UnsupportedOp, match="'ForMaskedLM' is not built; built are"):
        fc.from_huggingface(SMALL, "fill-mask")
    with pytest.raises(ValueError, match="task must be one of feature-extraction"):
        fc.from_huggingface(SMALL, "chess")  # type: ignore[arg-type]


def test_layers_of_albert_share_their_weights() -> None:
    config = {
        "model_type": "albert", "embedding_size": 128, "hidden_size": 768, "intermediate_size": 3072,
        "num_attention_heads": 12, "vocab_size": 30000, "architectures": ["AlbertModel"],
    }  # fmt: skip
    graphs = [fc.from_huggingface(config | {"num_hidden_layers": layers}) for layers in (1, 12)]
    # ALBERT base has 12M parameters (arXiv 1909.11942, table 1), however many layers run.
    assert [graph.parameters for graph in graphs] == [11_683_584, 11_683_584]
    at = {"batch": 1, "seq": 128}
    one, twelve = (fc.count(graph, at=at).flop("macs", by="module") for graph in graphs)
    widest = [
        sum(cost for path, cost in parts.items() if path.endswith("intermediate.dense")) for parts in (one, twelve)
    ]
    assert widest == [128 * 768 * 3072, 12 * 128 * 768 * 3072]
