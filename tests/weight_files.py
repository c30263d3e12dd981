"""Writers of small weight files, from their specifications: safetensors and GGUF with the tensors left as holes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

SAFETENSORS_BITS = {"F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "I64": 64, "U8": 8, "BOOL": 8, "F4": 4}
GGUF_TYPES = {"f32": (0, 1, 4), "f16": (1, 1, 2), "q8_0": (8, 32, 34), "q4_k": (12, 256, 144), "bf16": (30, 1, 2)}


def safetensors(
    tensors: Mapping[str, tuple[str, Sequence[int]]], metadata: Mapping[str, str] | None = None
) -> tuple[bytes, int]:
    """The header of these tensors, and how long the file must be: (header, size)."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (dtype, shape) in tensors.items():
        size = prod(shape) * SAFETENSORS_BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text, 8 + len(text) + end


def write_safetensors(path: Path, tensors: Mapping[str, tuple[str, Sequence[int]]]) -> Path:
    header, size = safetensors(tensors)
    path.write_bytes(header)
    with path.open("r+b") as file:
        file.truncate(size)  # a hole: no disk is used however large the model is
    return path


def gguf(
    metadata: Mapping[str, object], tensors: Mapping[str, tuple[str, Sequence[int]]], *, order: str = "<"
) -> tuple[bytes, int]:
    def text(value: str) -> bytes:
        return struct.pack(order + "Q", len(value.encode())) + value.encode()

    def value(item: object) -> bytes:
        match item:
            case bool():
                return struct.pack(order + "I?", 7, item)
            case int():
                return struct.pack(order + "II", 4, item)
            case float():
                return struct.pack(order + "If", 6, item)
            case str():
                return struct.pack(order + "I", 8) + text(item)
            case list():
                kind = 8 if isinstance(item[0], str) else 5
                body = b"".join(text(each) if kind == 8 else struct.pack(order + "i", each) for each in item)
                return struct.pack(order + "IIQ", 9, kind, len(item)) + body
        raise TypeError(item)

    out = b"GGUF" + struct.pack(order + "IQQ", 3, len(tensors), len(metadata))
    out += b"".join(text(key) + value(item) for key, item in metadata.items())
    offset = 0
    for name, (kind, shape) in tensors.items():
        number, per_block, n_bytes = GGUF_TYPES[kind]
        out += text(name) + struct.pack(order + "I", len(shape))
        out += struct.pack(f"{order}{len(shape)}Q", *reversed(shape)) + struct.pack(order + "IQ", number, offset)
        offset += -(-prod(shape) // per_block * n_bytes // 32) * 32
    return out, -(-len(out) // 32) * 32 + offset


def write_gguf(path: Path, metadata: Mapping[str, object], tensors: Mapping[str, tuple[str, Sequence[int]]]) -> Path:
    header, size = gguf(metadata, tensors)
    path.write_bytes(header)
    with path.open("r+b") as file:
        file.truncate(size)
    return path


LLAMA = {
    "model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 320,
}  # fmt: skip


def llama_tensors(dtype: str = "BF16") -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors of the checkpoint of LLAMA, under the names of transformers."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {"model.embed_tokens.weight": (dtype, (320, 256))}
    for layer in range(2):
        for name, shape in {
            "self_attn.q_proj": (256, 256), "self_attn.k_proj": (128, 256), "self_attn.v_proj": (128, 256),
            "self_attn.o_proj": (256, 256), "mlp.gate_proj": (512, 256), "mlp.up_proj": (512, 256),
            "mlp.down_proj": (256, 512), "input_layernorm": (256,), "post_attention_layernorm": (256,),
        }.items():  # fmt: skip
            tensors[f"model.layers.{layer}.{name}.weight"] = (dtype, shape)
    return tensors | {"model.norm.weight": (dtype, (256,)), "lm_head.weight": (dtype, (320, 256))}


LLAMA_GGUF = {
    "general.architecture": "llama", "general.name": "small", "llama.embedding_length": 256, "llama.block_count": 2,
    "llama.feed_forward_length": 512, "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
    "llama.rope.freq_base": 1e4, "tokenizer.ggml.tokens": [f"t{i}" for i in range(320)], "test.flag": True,
}  # fmt: skip


def llama_gguf_tensors(kind: str = "q4_k") -> dict[str, tuple[str, tuple[int, ...]]]:
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {"token_embd.weight": (kind, (320, 256))}
    for layer in range(2):
        for name, shape in {
            "attn_q": (256, 256), "attn_k": (128, 256), "attn_v": (128, 256), "attn_output": (256, 256),
            "ffn_gate": (512, 256), "ffn_up": (512, 256), "ffn_down": (256, 512),
        }.items():  # fmt: skip
            tensors[f"blk.{layer}.{name}.weight"] = (kind, shape)
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{layer}.{name}.weight"] = ("f32", (256,))
    return tensors | {"output_norm.weight": ("f32", (256,)), "output.weight": ("q8_0", (320, 256))}
