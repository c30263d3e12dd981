"""The libraries of the formats as oracle: files they write are read to the same names, shapes and sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import flopcore as fc
from flopcore.frontends import gguf_header
from weight_files import LLAMA_GGUF, llama_gguf_tensors

gguf = pytest.importorskip("gguf", reason="needs the extra 'oracle'")
safetensors = pytest.importorskip("safetensors.numpy", reason="needs the extra 'oracle'")


def test_safetensors_written_by_its_library(tmp_path: Path) -> None:
    arrays = {
        "a": np.zeros((3, 4), np.float32),
        "b": np.zeros((5,), np.int64),
        "c": np.zeros((), np.float16),
        "d": np.zeros((0, 7), np.uint8),
    }
    safetensors.save_file(arrays, tmp_path / "a.safetensors", metadata={"format": "np"})
    found = fc.read_weights(tmp_path / "a.safetensors")
    assert {name: (tensor.shape, tensor.dtype, tensor.n_bytes) for name, tensor in found.tensors.items()} == {
        name: (array.shape, array.dtype.name, array.nbytes) for name, array in arrays.items()
    }
    assert found.metadata == {"format": "np"}


def test_gguf_written_by_its_library(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_embedding_length(256)
    writer.add_block_count(2)
    writer.add_feed_forward_length(512)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_token_list([f"t{i}" for i in range(320)])
    writer.add_array("test.scores", [0.5] * 100)
    for name, (kind, shape) in llama_gguf_tensors("f16").items():
        if kind == "q8_0":
            blocks = np.zeros((*shape[:-1], shape[-1] // 32 * 34), np.uint8)
            writer.add_tensor(name, blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, np.zeros(shape, np.float16 if kind == "f16" else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found, reader = fc.read_weights(tmp_path / "a.gguf"), gguf.GGUFReader(tmp_path / "a.gguf")
    assert {name: (tensor.elements, tensor.n_bytes) for name, tensor in found.tensors.items()} == {
        tensor.name: (int(tensor.n_elements), int(tensor.n_bytes)) for tensor in reader.tensors
    }
    assert found.tensors["blk.0.ffn_up.weight"].shape == (512, 256)
    assert fc.load_model(tmp_path / "a.gguf").parameters == found.parameters
    assert LLAMA_GGUF["llama.block_count"] == found.metadata["llama.block_count"]


def test_block_sizes_of_every_format_are_those_of_the_library() -> None:
    ours = {number: (per_block, n_bytes) for number, (_, per_block, n_bytes) in gguf_header.TYPES.items()}
    theirs = {int(number): sizes for number, sizes in gguf.constants.GGML_QUANT_SIZES.items()}
    assert {number: theirs[number] for number in ours} == ours
    assert not [int(number) for number in theirs if number not in ours]
