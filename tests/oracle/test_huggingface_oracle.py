"""transformers as oracle: the parameters of its own model of a config, and FlopCounterMode's count of that model."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import flopcore as fc
from flopcore.frontends.huggingface_families import FAMILIES
from flopcore.reference.verification import verify

os.environ["HF_HUB_OFFLINE"] = "1"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra 'oracle'")
    flop_counter = pytest.importorskip("torch.utils.flop_counter", reason="needs the extra 'oracle'")
    transformers = pytest.importorskip("transformers", reason="needs the extra 'oracle'")

BATCH, SEQ, DECODER_SEQ = 2, 16, 12
SIZES = {"batch": BATCH, "seq": SEQ, "decoder_seq": DECODER_SEQ, "texts": BATCH, "images": BATCH}
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
SMALL_BART = {
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 96,
    "decoder_ffn_dim": 80,
    "max_position_embeddings": 40,
    "vocab_size": 50,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
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
DINO = {key: size for key, size in VISION.items() if key != "intermediate_size"}

QWEN_MOE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 40}
TWO_LAYERS = {"num_hidden_layers": 2}
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
GLM_MOE = {"n_routed_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 40, "n_shared_experts": 1}
LLAMA4 = {
    "head_dim": 16,
    "num_local_experts": 6,
    "num_experts_per_tok": 2,
    "intermediate_size_mlp": 72,
    "num_hidden_layers": 5,
}
MAMBA = {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 50, "state_size": 6}
HYBRID = {"mamba_d_state": 6, "mamba_d_conv": 3, "num_hidden_layers": 4}
JAMBA = HYBRID | {"attn_layer_period": 3, "attn_layer_offset": 1, "num_experts": 6, "num_experts_per_tok": 2}
BAMBA = HYBRID | {"mamba_n_heads": 8, "mamba_n_groups": 2, "mamba_chunk_size": 6}
GRANITE_HYBRID = BAMBA | {
    "layer_types": ["linear_attention", "full_attention", "linear_attention", "linear_attention"],
    "num_local_experts": 6,
    "num_experts_per_tok": 2,
    "shared_intermediate_size": 40,
}
NEMOTRON_H = {
    "layers_block_type": ["linear_attention", "mlp", "full_attention", "moe", "linear_attention"],
    "head_dim": 24,
    "ssm_state_size": 6,
    "mamba_num_heads": 8,
    "mamba_head_dim": 16,
    "n_groups": 2,
    "chunk_size": 6,
    "n_routed_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 40,
    "moe_shared_expert_intermediate_size": 44,
}
QWEN3_NEXT = {
    "num_hidden_layers": 5,
    "head_dim": 24,
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 40,
    "shared_expert_intermediate_size": 48,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 12,
    "linear_value_head_dim": 10,
}
DISTIL = {"vocab_size": 50, "dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 96, "max_position_embeddings": 40}
DEBERTA = {
    "relative_attention": True,
    "pos_att_type": "p2c|c2p",
    "position_buckets": 6,
    "position_biased_input": False,
    "max_relative_positions": -1,
}
DBRX = {
    "d_model": 64,
    "n_heads": 4,
    "n_layers": 2,
    "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 10000.0},
    "ffn_config": {"ffn_hidden_size": 40, "moe_num_experts": 6, "moe_top_k": 2, "hidden_size": 64},
}
ERNIE = {"moe_num_experts": 6, "moe_k": 2, "moe_intermediate_size": 40}
SMALL_GPT = {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 40}
NEO = {"hidden_size": 64, "num_layers": 3, "num_heads": 4, "window_size": 5, "max_position_embeddings": 40}
ENCODERS = (
    "Albert", "Bert", "Camembert", "Data2VecText", "DebertaV2", "DeiT", "Electra", "MPNet", "Roberta", "ViT"
)  # fmt: skip
OWN_KEYS = (
    "Siglip",
    "SiglipText",
    "SiglipVision",
    "Dinov2",
    "Dinov2WithRegisters",
    "Bart",
    "MBart",
    "Pegasus",
    "Marian",
    "M2M100",
    "DistilBert",
    "Mamba",
    "FalconMamba",
    "Mamba2",
    "MT5",
    "T5",
    "UMT5",
    "Whisper",
    "CLIP",
    "CLIPText",
    "CLIPVision",
)

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
    ("Albert", "Model", {"embedding_size": 24}),
    ("Albert", "ForMaskedLM", {"embedding_size": 24}),
    ("Albert", "ForSequenceClassification", {"embedding_size": 24, "num_labels": 3}),
    ("Albert", "ForQuestionAnswering", {"embedding_size": 64}),
    ("Camembert", "ForMaskedLM", {"pad_token_id": 1}),
    ("Data2VecText", "Model", {"pad_token_id": 1}),
    ("DebertaV2", "Model", DEBERTA | {"share_att_key": True, "norm_rel_ebd": "layer_norm", "embedding_size": 24}),
    ("DebertaV2", "ForSequenceClassification", DEBERTA | {"type_vocab_size": 2, "position_biased_input": True}),
    ("DebertaV2", "ForMaskedLM", {"relative_attention": False}),
    ("DistilBert", "Model", DISTIL),
    ("DistilBert", "ForMaskedLM", DISTIL),
    ("DistilBert", "ForSequenceClassification", DISTIL),
    ("Electra", "ForPreTraining", {"embedding_size": 24}),
    ("Electra", "ForMaskedLM", {"embedding_size": 24}),
    ("Electra", "ForSequenceClassification", {"embedding_size": 64, "num_labels": 3}),
    ("MPNet", "Model", {}),
    ("MPNet", "ForMaskedLM", {}),
    ("MPNet", "ForTokenClassification", {"num_labels": 5}),
    ("Roberta", "Model", {"pad_token_id": 1}),
    ("Roberta", "ForMaskedLM", {"pad_token_id": 1}),
    ("Roberta", "ForSequenceClassification", {"num_labels": 3, "pad_token_id": 1}),
    ("ViT", "ForImageClassification", {"image_size": 32, "patch_size": 8, "num_labels": 7}),
    ("ViT", "Model", {"image_size": 33, "patch_size": 8, "qkv_bias": False}),
    ("DeiT", "ForImageClassification", {"image_size": 32, "patch_size": 8, "num_labels": 7}),
    ("DeiT", "ForImageClassificationWithTeacher", {"image_size": 32, "patch_size": 8, "num_labels": 7}),
    ("DeiT", "Model", {"image_size": 32, "patch_size": 16}),
    ("Phi", "ForCausalLM", {"qk_layernorm": True}),
    ("BioGpt", "ForCausalLM", {"max_position_embeddings": 40}),
    ("Bloom", "ForCausalLM", {}),
    ("CodeGen", "ForCausalLM", SMALL_GPT | {"rotary_dim": 8}),
    ("Falcon", "ForCausalLM", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    ("Falcon", "ForCausalLM", {"alibi": True, "bias": True}),
    ("Falcon", "Model", {"multi_query": False, "parallel_attn": False, "ffn_hidden_size": 72}),
    ("GPTBigCode", "ForCausalLM", SMALL_GPT),
    ("GPTBigCode", "Model", SMALL_GPT | {"multi_query": False, "n_inner": 72}),
    ("GPTNeo", "ForCausalLM", NEO | {"attention_types": [[["global", "local"], 1], [["global"], 1]]}),
    ("GPTJ", "ForCausalLM", SMALL_GPT | {"rotary_dim": 8}),
    ("Mpt", "ForCausalLM", {"d_model": 64, "n_heads": 4, "n_layers": 3, "attn_config": {"clip_qkv": 8.0}}),
    ("OPT", "ForCausalLM", {"max_position_embeddings": 40, "ffn_dim": 96}),
    (
        "OPT",
        "ForCausalLM",
        {
            "do_layer_norm_before": False,
            "ffn_dim": 96,
            "max_position_embeddings": 40,
            "word_embed_proj_dim": 24,
            "enable_bias": False,
        },
    ),
    ("Persimmon", "ForCausalLM", {}),
    ("Apertus", "ForCausalLM", {}),
    ("Jais2", "ForCausalLM", {}),
    ("Ministral3", "ForCausalLM", {"head_dim": 24, "sliding_window": 5}),
    ("NanoChat", "ForCausalLM", {}),
    ("VaultGemma", "ForCausalLM", {"head_dim": 32, "sliding_window": 6}),
    ("Dbrx", "ForCausalLM", DBRX),
    ("Ernie4_5_Moe", "ForCausalLM", ERNIE),
    ("ExaoneMoe", "ForCausalLM", QWEN_MOE | {"head_dim": 16, "sliding_window": 5, "n_group": 2}),
    ("FlexOlmo", "ForCausalLM", {"num_experts": 6, "num_experts_per_tok": 2}),
    ("GraniteMoeShared", "ForCausalLM", {"num_local_experts": 6, "shared_intermediate_size": 40}),
    ("HunYuanMoEV1", "ForCausalLM", {"num_experts": 6, "moe_topk": 2, "head_dim": 16}),
    ("MiniMaxM2", "ForCausalLM", {"num_local_experts": 6, "num_experts_per_tok": 2, "head_dim": 16}),
    ("Phimoe", "ForCausalLM", {"num_local_experts": 6, "lm_head_bias": True}),
    ("SolarOpen", "ForCausalLM", GLM_MOE | {"head_dim": 16}),
    ("Glm4MoeLite", "ForCausalLM", DEEPSEEK | {"mlp_layer_types": ["dense", "sparse"]} | TWO_LAYERS),
    ("Olmoe", "Model", {"num_experts": 6, "num_experts_per_tok": 2, "clip_qkv": 8.0}),
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
    ("Arcee", "ForCausalLM", {"attention_bias": True, "mlp_bias": True}),
    ("Cohere", "ForCausalLM", {"use_qk_norm": True}),
    ("Cohere", "Model", {"attention_bias": True}),
    ("Cohere2", "ForCausalLM", {"sliding_window": 5, "num_hidden_layers": 5}),
    ("Ernie4_5", "ForCausalLM", {"head_dim": 24, "use_bias": True}),
    ("Exaone4", "ForCausalLM", {"sliding_window": 5, "num_hidden_layers": 5}),
    ("Exaone4", "ForCausalLM", {"sliding_window": None, "layer_types": ["full_attention"] * 3}),
    ("Glm", "ForCausalLM", {"head_dim": 24}),
    ("Glm4", "ForCausalLM", {"head_dim": 24, "attention_bias": False}),
    ("GPTNeoX", "ForCausalLM", {}),
    ("GPTNeoX", "Model", {"use_parallel_residual": False, "attention_bias": False}),
    ("Helium", "ForCausalLM", {"head_dim": 16, "attention_bias": True, "mlp_bias": True}),
    ("HunYuanDenseV1", "ForCausalLM", {"head_dim": 16}),
    ("Ministral", "ForCausalLM", {"head_dim": 24, "sliding_window": 5}),
    ("Nemotron", "ForCausalLM", {"head_dim": 16, "attention_bias": True}),
    ("Olmo", "ForCausalLM", {}),
    ("Olmo3", "ForCausalLM", {"sliding_window": 5, "num_hidden_layers": 5}),
    ("SeedOss", "ForCausalLM", {"head_dim": 24}),
    ("SeedOss", "ForCausalLM", {"head_dim": 24, "attention_out_bias": True, "mlp_bias": True, "attention_bias": False}),
    ("SmolLM3", "ForCausalLM", {"num_hidden_layers": 5}),
    ("SmolLM3", "ForCausalLM", {"use_sliding_window": True, "sliding_window": 5, "no_rope_layers": [1, 0, 1]}),
    ("StableLm", "ForCausalLM", {"use_qkv_bias": True}),
    ("StableLm", "ForCausalLM", {"qk_layernorm": True, "use_parallel_residual": True}),
    ("Olmoe", "ForCausalLM", {"num_experts": 6, "num_experts_per_tok": 2}),
    ("GraniteMoe", "ForCausalLM", {"num_local_experts": 6}),
    ("Glm4Moe", "ForCausalLM", GLM_MOE | {"use_qk_norm": True, "head_dim": 16}),
    ("Dots1", "ForCausalLM", GLM_MOE | {"head_dim": 16, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 2}),
    ("Dots1", "ForCausalLM", GLM_MOE | {"head_dim": 16, "sliding_window": 5, "max_window_layers": 1}),
    ("DeepseekV2", "ForCausalLM", DEEPSEEK | {"topk_method": "greedy"}),
    ("DeepseekV2", "ForCausalLM", DEEPSEEK | {"topk_method": "group_limited_greedy", "q_lora_rank": None}),
    ("Llama4", "ForCausalLM", LLAMA4),
    (
        "Llama4",
        "ForCausalLM",
        LLAMA4 | {"interleave_moe_layer_step": 2, "use_qk_norm": False, "attention_chunk_size": 4},
    ),
    ("Mamba", "ForCausalLM", MAMBA),
    ("Mamba", "Model", MAMBA | {"use_bias": True, "use_conv_bias": False, "time_step_rank": 5}),
    ("FalconMamba", "ForCausalLM", MAMBA),
    ("Mamba2", "ForCausalLM", MAMBA | {"num_heads": 16, "head_dim": 8, "n_groups": 2, "chunk_size": 5}),
    ("Mamba2", "Model", MAMBA | {"num_heads": 16, "head_dim": 8, "n_groups": 16, "chunk_size": 64, "use_bias": True}),
    ("Jamba", "ForCausalLM", JAMBA),
    ("Jamba", "Model", JAMBA | {"num_experts": 1, "mamba_proj_bias": True, "mamba_dt_rank": 7}),
    ("Bamba", "ForCausalLM", BAMBA | {"attn_layer_indices": [1], "attention_bias": True, "mlp_bias": True}),
    ("FalconH1", "ForCausalLM", BAMBA | {"mamba_d_ssm": 96, "projectors_bias": True}),
    ("FalconH1", "ForCausalLM", BAMBA | {"mamba_d_ssm": None, "mamba_rms_norm": True, "mamba_proj_bias": True}),
    ("GraniteMoeHybrid", "ForCausalLM", GRANITE_HYBRID),
    ("GraniteMoeHybrid", "ForCausalLM", GRANITE_HYBRID | {"num_local_experts": 0, "position_embedding_type": "rope"}),
    ("NemotronH", "ForCausalLM", NEMOTRON_H),
    ("NemotronH", "ForCausalLM", NEMOTRON_H | {"moe_latent_size": 24, "use_bias": True, "n_group": 2}),
    ("Qwen3Next", "ForCausalLM", QWEN3_NEXT | {"layer_types": ["linear_attention", "full_attention"]} | TWO_LAYERS),
    ("Qwen3Next", "ForCausalLM", QWEN3_NEXT),
    ("Qwen3Next", "Model", QWEN3_NEXT | {"mlp_only_layers": [0], "decoder_sparse_step": 2}),
    ("T5", "ForConditionalGeneration", SMALL_T5),
    ("T5", "ForConditionalGeneration", SMALL_T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    ("T5", "Model", SMALL_T5 | {"num_decoder_layers": 4}),
    ("T5", "EncoderModel", SMALL_T5),
    ("Bart", "ForConditionalGeneration", SMALL_BART),
    ("Bart", "Model", SMALL_BART | {"decoder_layers": 3}),
    ("MBart", "ForConditionalGeneration", SMALL_BART | {"scale_embedding": True}),
    ("Pegasus", "ForConditionalGeneration", SMALL_BART),
    ("Marian", "MTModel", SMALL_BART),
    ("M2M100", "ForConditionalGeneration", SMALL_BART),
    ("MT5", "ForConditionalGeneration", SMALL_T5),
    ("UMT5", "ForConditionalGeneration", SMALL_T5),
    ("UMT5", "EncoderModel", SMALL_T5),
    ("Whisper", "ForConditionalGeneration", SMALL_WHISPER),
    ("Whisper", "Model", SMALL_WHISPER | {"encoder_layers": 3, "decoder_attention_heads": 2}),
    ("CLIP", "Model", {"text_config": TEXT, "vision_config": VISION, "projection_dim": 48}),
    ("Siglip", "Model", {"text_config": TEXT, "vision_config": VISION}),
    ("SiglipText", "Model", TEXT | {"projection_size": 48}),
    ("SiglipVision", "Model", VISION),
    ("SiglipVision", "Model", VISION | {"vision_use_head": False}),
    ("Dinov2", "ForImageClassification", DINO | {"use_swiglu_ffn": True, "use_mask_token": False, "num_labels": 7}),
    ("Dinov2", "Model", DINO),
    ("Dinov2WithRegisters", "ForImageClassification", DINO | {"num_labels": 7}),
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


def settings_of(family: str) -> Any:
    return getattr(transformers, f"{family}TextConfig" if family in ("Gemma3", "Llama4") else f"{family}Config")


def make(family: str, task: str, keys: dict[str, Any], layers: int = 3) -> tuple[Any, dict[str, Any]]:
    """A small model with eager attention, and the content of its config.json."""
    base = ENCODER if family in ENCODERS else {} if family in OWN_KEYS else DECODER
    settings = settings_of(family)
    base = base | {"num_hidden_layers": layers}
    known = settings().to_dict()
    config = settings(**{key: value for key, value in base.items() if key in known and value is not None} | keys)
    config._attn_implementation = "eager"
    config._experts_implementation = "batched_mm"
    model = getattr(transformers, f"{family}{task}")(config).eval().requires_grad_(False)
    return model, config.to_dict() | {"architectures": [f"{family}{task}"], "num_labels": config.num_labels}


def inputs_of(config: dict[str, Any]) -> dict[str, Any]:
    """What a model of this config is run on."""
    ids = torch.zeros(BATCH, SEQ, dtype=torch.long)
    mask = torch.ones_like(ids)
    pixels = torch.zeros(BATCH, 3, 32, 32)
    kind = config["model_type"]
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if kind == "whisper":
        frames = 2 * config["max_source_positions"]
        inputs = {"input_features": torch.zeros(BATCH, config["num_mel_bins"], frames), "decoder_input_ids": ids}
    elif kind in ("bart", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5", "umt5") and not config["architectures"][
        0
    ].endswith("EncoderModel"):
        inputs |= {"decoder_input_ids": ids[:, :DECODER_SEQ]}
    elif kind in ("clip", "siglip"):
        inputs |= {"pixel_values": pixels}
    elif "image_size" in config:
        inputs = {"pixel_values": torch.zeros(BATCH, 3, config["image_size"], config["image_size"])}
    return inputs


def measured(model: Any, config: dict[str, Any]) -> int:
    """FLOP by FlopCounterMode."""
    with torch.no_grad(), flop_counter.FlopCounterMode(display=False) as counter:
        model(**inputs_of(config), return_dict=False)
    return int(counter.get_total_flops())


def rules(family: str) -> fc.Convention:
    """Multiply-adds; of Llama 4 those of all experts, which transformers runs on every token."""
    macs = fc.convention("macs")
    return replace(macs, extents={**macs.extents, "experts": "nominal"}) if family == "Llama4" else macs


@pytest.mark.parametrize(
    ("keys", "layers"),
    [
        ({}, [True, True, True, False, True]),
        ({"no_rope_layers": [1, 0, 0, 1, 1]}, [True, False, False, True, True]),
        ({"layer_types": [*["full_attention"] * 4, "chunked_attention"]}, [False] * 4 + [True]),
    ],
)
def test_chunks_of_llama_4_are_the_mask_of_transformers(keys: dict[str, Any], layers: list[bool]) -> None:
    _, config = make("Llama4", "ForCausalLM", LLAMA4 | keys | {"attention_chunk_size": 4})
    kinds = [kind == "chunked_attention" for kind in config["layer_types"]]
    masking = importlib.import_module("transformers.masking_utils")
    masks = masking.causal_mask_function, masking.chunked_causal_mask_function(4, torch.zeros(1, dtype=int))
    sizes = {"batch_size": 1, "q_length": 11, "kv_length": 11, "allow_is_causal_skip": False}
    seen = [int(masking.sdpa_mask(mask_function=mask, **sizes).sum()) for mask in masks]
    assert seen == [66, 26]
    tally = fc.count(fc.from_huggingface(config), at={"batch": 1, "seq": 11})
    used = sum(
        frame.times * row.extents[0].used
        for frame in tally.frames()
        for row in tally.rows()
        if (row.block, row.op, row.feature) == (frame.block, "attention", "mac")
    )
    assert kinds == layers
    assert used == sum(seen[kind] for kind in layers)


@pytest.fixture
def exported_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gated delta rule as torch.export writes it: products with an inverse, which eager mode solves instead."""
    name = "transformers.models.qwen3_next.modeling_qwen3_next"
    monkeypatch.setattr(importlib.import_module(name), "is_torchdynamo_exporting", lambda: True)


@pytest.mark.usefixtures("exported_form")
@pytest.mark.parametrize(("family", "task", "keys"), CASES, ids=lambda part: part if isinstance(part, str) else "")
def test_parameters_and_flop_equal_those_of_transformers(family: str, task: str, keys: dict[str, Any]) -> None:
    model, config = make(family, task, keys)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no key of these families is unknown
        graph = fc.from_huggingface(config)
    assert graph.parameters == sum(weight.numel() for weight in model.parameters())
    at = {name: SIZES[name] for name in graph.dims}
    tally = fc.count(graph, at=at)
    # The convention torch-2.13 itself has no formula for grouped products.
    macs = tally.flop(rules(family))
    assert isinstance(macs, int)
    assert 2 * macs == measured(model, config)
    verify(graph, tally, fc.convention("all-arithmetic"), at=at)  # our own reference implementation agrees


def test_every_family_is_compared() -> None:
    covered = {settings_of(family).model_type for family, _, _ in CASES}
    # These are built as roberta and deepseek_v3 are; a llama4 config holds a llama4_text one.
    assert FAMILIES.keys() - covered == {"xlm-roberta", "kimi_k2", "llama4"}


class Wrapped(torch.nn.Module):  # type: ignore[misc, name-defined]
    """One call of a model with its inputs by name, the first output alone."""

    def __init__(self, model: Any, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *inputs: Any) -> Any:
        return self.model(**dict(zip(self.names, inputs, strict=True)), return_dict=False)[0]


# Compared above; what their layers are made of is exported with other families. (A weight that nothing reads, as the
# mask token of DINOv2 with registers, is not in an export.)
ALIKE = frozenset(
    """
    Apertus Bart BioGpt Camembert CodeGen Data2VecText Dinov2WithRegisters ExaoneMoe FlexOlmo Glm4MoeLite GPTJ
    GraniteMoeShared HunYuanMoEV1 Jais2 M2M100 MBart MiniMaxM2 Ministral3 Mpt MT5 NanoChat Pegasus Persimmon
    SiglipText SiglipVision SolarOpen VaultGemma
    """.split()  # noqa: SIM905
)
FIRST = {case[0]: case for case in reversed(CASES)}


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(FIRST.keys() - ALIKE - {"Dbrx"}))  # its loop over experts is not exported
def test_from_torch_of_the_same_config_has_the_same_count(family: str) -> None:
    _, task, keys = FIRST[family]
    with torch.device("meta"):
        model, config = make(family, task, keys, layers=2)
        inputs = inputs_of(config)
    exported = fc.from_torch(Wrapped(model, tuple(inputs)), tuple(inputs.values()))
    graph = fc.from_huggingface(config)
    assert (exported.parameters, exported.active_parameters) == (graph.parameters, graph.active_parameters)
    at = {name: SIZES[name] for name in graph.dims}
    assert fc.count(exported).flop(rules(family)) == fc.count(graph, at=at).flop(rules(family))
