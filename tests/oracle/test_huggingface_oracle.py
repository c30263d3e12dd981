"""transformers as oracle: the parameters of its own model of a config, and FlopCounterMode's count of that model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import flopcore as fc
from flopcore.reference.verification import verify

os.environ["HF_HUB_OFFLINE"] = "1"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra 'oracle'")
    flop_counter = pytest.importorskip("torch.utils.flop_counter", reason="needs the extra 'oracle'")
    transformers = pytest.importorskip("transformers", reason="needs the extra 'oracle'")

BATCH, SEQ, DECODER_SEQ = 2, 16, 12
DECODER = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 50,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ENCODER = DECODER | {"num_key_value_heads": None, "max_position_embeddings": 40}

SMALL_T5 = {"d_model": 64, "d_kv": 24, "d_ff": 96, "num_layers": 2, "num_heads": 4, "vocab_size": 50}
SMALL_WHISPER = {
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 96,
    "decoder_ffn_dim": 80,
    "max_source_positions": 20,
    "max_target_positions": 40,
    "num_mel_bins": 10,
    "vocab_size": 50,
    "pad_token_id": 0,
}
TOWER = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = TOWER | {"vocab_size": 50, "max_position_embeddings": 40, "bos_token_id": 1, "eos_token_id": 2}
VISION = TOWER | {"image_size": 32, "patch_size": 8}

QWEN_MOE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 40}
DEEPSEEK = {
    "num_key_value_heads": 4,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 40,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
    "n_group": 4,
    "topk_group": 2,
    "q_lora_rank": 28,
    "kv_lora_rank": 20,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "v_head_dim": 10,
}
OWN_KEYS = ("T5", "Whisper", "CLIP", "CLIPText", "CLIPVision")

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("Llama", "ForCausalLM", {"attention_bias": True, "mlp_bias": True}),
    ("Llama", "ForCausalLM", {"tie_word_embeddings": True, "head_dim": 24}),
    ("Llama", "Model", {}),
    ("Mistral", "ForCausalLM", {"sliding_window": None}),
    ("Mistral", "ForCausalLM", {"sliding_window": 16}),
    ("Qwen2", "ForCausalLM", {}),
    ("Qwen2", "ForCausalLM", {"use_sliding_window": True, "sliding_window": 20, "max_window_layers": 1}),
    ("Qwen3", "ForCausalLM", {"attention_bias": True, "head_dim": 32}),
    ("Gemma", "ForCausalLM", {"head_dim": 32}),
    ("Granite", "ForCausalLM", {"embedding_multiplier": 12.0, "logits_scaling": 8.0}),
    ("Olmo2", "ForCausalLM", {}),
    ("Phi3", "ForCausalLM", {}),
    (
        "Phi3",
        "ForCausalLM",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}},
    ),
    ("Phi", "ForCausalLM", {"intermediate_size": 100}),
    ("Starcoder2", "ForCausalLM", {}),
    ("Starcoder2", "ForCausalLM", {"use_bias": False, "tie_word_embeddings": False}),
    ("GPT2", "LMHeadModel", {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 40}),
    ("GPT2", "Model", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_inner": 100}),
    ("Bert", "Model", {}),
    ("Bert", "ForMaskedLM", {}),
    ("Bert", "ForSequenceClassification", {"num_labels": 3}),
    ("Bert", "ForTokenClassification", {"num_labels": 5}),
    ("Bert", "ForQuestionAnswering", {"hidden_act": "gelu_new"}),
    ("Roberta", "Model", {"pad_token_id": 1}),
    ("Roberta", "ForMaskedLM", {"pad_token_id": 1}),
    ("Roberta", "ForSequenceClassification", {"num_labels": 3, "pad_token_id": 1}),
    ("ViT", "ForImageClassification", {"image_size": 32, "patch_size": 8, "num_labels": 7}),
    ("ViT", "Model", {"image_size": 33, "patch_size": 8, "qkv_bias": False}),
    ("DeiT", "ForImageClassification", {"image_size": 32, "patch_size": 8, "num_labels": 7}),
    ("DeiT", "ForImageClassificationWithTeacher", {"image_size": 32, "patch_size": 8, "num_labels": 7}),
    ("DeiT", "Model", {"image_size": 32, "patch_size": 16}),
    ("Gemma2", "ForCausalLM", {"head_dim": 32, "sliding_window": 6}),
    ("Gemma2", "ForCausalLM", {"head_dim": 32, "attn_logit_softcapping": None, "final_logit_softcapping": None}),
    ("Gemma3", "ForCausalLM", {"head_dim": 32, "sliding_window": 6, "num_hidden_layers": 7}),
    ("Mixtral", "ForCausalLM", {"num_local_experts": 6, "num_experts_per_tok": 3}),
    ("Mixtral", "ForCausalLM", {"sliding_window": 5}),
    ("Qwen2Moe", "ForCausalLM", QWEN_MOE | {"shared_expert_intermediate_size": 48}),
    ("Qwen2Moe", "ForCausalLM", QWEN_MOE | {"mlp_only_layers": [1], "norm_topk_prob": True}),
    ("Qwen3Moe", "ForCausalLM", QWEN_MOE | {"decoder_sparse_step": 2, "head_dim": 24}),
    ("GptOss", "ForCausalLM", {"num_local_experts": 6, "num_experts_per_tok": 2, "head_dim": 16, "sliding_window": 5}),
    ("DeepseekV3", "ForCausalLM", DEEPSEEK),
    ("DeepseekV3", "ForCausalLM", DEEPSEEK | {"q_lora_rank": None, "n_group": 1, "topk_group": 1}),
    ("T5", "ForConditionalGeneration", SMALL_T5),
    ("T5", "ForConditionalGeneration", SMALL_T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    ("T5", "Model", SMALL_T5 | {"num_decoder_layers": 4}),
    ("T5", "EncoderModel", SMALL_T5),
    ("Whisper", "ForConditionalGeneration", SMALL_WHISPER),
    ("Whisper", "Model", SMALL_WHISPER | {"encoder_layers": 3, "decoder_attention_heads": 2}),
    ("CLIP", "Model", {"text_config": TEXT, "vision_config": VISION, "projection_dim": 48}),
    ("CLIPText", "Model", TEXT),
    ("CLIPText", "ModelWithProjection", TEXT | {"projection_dim": 24}),
    ("CLIPVision", "Model", VISION),
    ("CLIPVision", "ModelWithProjection", VISION | {"projection_dim": 24}),
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def make(family: str, task: str, keys: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A small model with eager attention, and the content of its config.json."""
    base = ENCODER if family in ("Bert", "Roberta", "ViT", "DeiT") else {} if family in OWN_KEYS else DECODER
    settings = getattr(transformers, "Gemma3TextConfig" if family == "Gemma3" else f"{family}Config")
    known = settings().to_dict()
    config = settings(**{key: value for key, value in base.items() if key in known and value is not None} | keys)
    config._attn_implementation = "eager"
    config._experts_implementation = "batched_mm"
    model = getattr(transformers, f"{family}{task}")(config).eval()
    return model, config.to_dict() | {"architectures": [f"{family}{task}"], "num_labels": config.num_labels}


def measured(model: Any, config: dict[str, Any]) -> int:
    """FLOP by FlopCounterMode."""
    ids = torch.zeros(BATCH, SEQ, dtype=torch.long)
    mask = torch.ones_like(ids)
    pixels = torch.zeros(BATCH, 3, 32, 32)
    kind = config["model_type"]
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if kind == "whisper":
        frames = 2 * config["max_source_positions"]
        inputs = {"input_features": torch.zeros(BATCH, config["num_mel_bins"], frames), "decoder_input_ids": ids}
    elif kind == "t5" and config["architectures"] != ["T5EncoderModel"]:
        inputs |= {"decoder_input_ids": ids[:, :DECODER_SEQ]}
    elif kind == "clip":
        inputs |= {"pixel_values": pixels}
    elif "image_size" in config:
        inputs = {"pixel_values": torch.zeros(BATCH, 3, config["image_size"], config["image_size"])}
    with torch.no_grad(), flop_counter.FlopCounterMode(display=False) as counter:
        model(**inputs, return_dict=False)
    return int(counter.get_total_flops())


@pytest.mark.parametrize(("family", "task", "keys"), CASES, ids=lambda part: part if isinstance(part, str) else "")
def test_parameters_and_flop_equal_those_of_transformers(family: str, task: str, keys: dict[str, Any]) -> None:
    model, config = make(family, task, keys)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no key of these families is unknown
        graph = fc.from_huggingface(config)
    assert graph.parameters == sum(weight.numel() for weight in model.parameters())
    sizes = {"batch": BATCH, "seq": SEQ, "decoder_seq": DECODER_SEQ, "texts": BATCH, "images": BATCH}
    at = {name: sizes[name] for name in graph.dims}
    tally = fc.count(graph, at=at)
    macs = tally.flop("macs")  # torch-2.13 itself has no formula for grouped products
    assert isinstance(macs, int)
    assert 2 * macs == measured(model, config)
    verify(graph, tally, fc.convention("all-arithmetic"), at=at)  # our own reference implementation agrees
