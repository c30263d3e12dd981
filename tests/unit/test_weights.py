"""Headers of weight files: what is read, that it is held against the model, and one clear error for each defect."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

import flopcore as fc
import weight_files as wf


def test_safetensors_gives_names_shapes_and_formats(tmp_path: Path) -> None:
    path = wf.write_safetensors(
        tmp_path / "a.safetensors", {"w": ("BF16", (3, 4)), "scale": ("F32", ()), "rotary_emb.inv_freq": ("F32", (8,))}
    )
    found = fc.read_weights(path)
    assert found.format == "safetensors"
    assert found.tensors["w"] == fc.StoredTensor((3, 4), "bfloat16", 24)
    assert found.tensors["scale"].elements == 1
    assert found.parameters == 13  # the angles are no weights
    assert found.dtypes == {"bfloat16": 12, "float32": 9}


def test_a_sparse_file_of_many_gigabytes_is_read_by_its_header(tmp_path: Path) -> None:
    path = wf.write_safetensors(tmp_path / "a.safetensors", {"w": ("F16", (2**20, 2**13))})
    assert fc.read_weights(path).parameters == 2**33


def test_shards_are_read_through_their_index(tmp_path: Path) -> None:
    tensors = wf.llama_tensors()
    names = list(tensors)
    places = {name: f"model-0000{1 + (index > 9)}-of-00002.safetensors" for index, name in enumerate(names)}
    for shard in set(places.values()):
        wf.write_safetensors(tmp_path / shard, {name: tensors[name] for name in names if places[name] == shard})
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (tmp_path / "config.json").write_text(json.dumps(wf.LLAMA))
    assert list(fc.read_weights(tmp_path).tensors) == names
    assert fc.load_model(tmp_path).parameters == fc.read_weights(tmp_path).parameters
    (tmp_path / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(fc.DataError, match=r"model-00001-of-00002\.safetensors: No such file"):
        fc.read_weights(tmp_path)


def test_weights_beside_a_config_are_held_against_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(wf.LLAMA | {"num_hidden_layers": 3}))
    wf.write_safetensors(tmp_path / "model.safetensors", wf.llama_tensors())
    with pytest.raises(fc.DataError, match="the file holds 1344768 weights, the model that is described has 1935104"):
        fc.from_huggingface(tmp_path)
    assert fc.from_huggingface(tmp_path, weights="ignore").parameters == 1935104
    (tmp_path / "config.json").write_text(json.dumps(wf.LLAMA))
    assert fc.from_huggingface(tmp_path).parameters == 1344768
    # A tied output layer may be stored all the same.
    (tmp_path / "config.json").write_text(json.dumps(wf.LLAMA | {"tie_word_embeddings": True}))
    assert fc.from_huggingface(tmp_path).parameters == 1344768 - 320 * 256


def test_unknown_choice_of_weights() -> None:
    with pytest.raises(ValueError, match="'check' or 'ignore'"):
        fc.from_huggingface(wf.LLAMA, weights="maybe")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "size", "message"),
    [
        ({}, 5, "cut short"),
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, 12, "the file has .*cut short"),
        (
            {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
            None,
            "takes 64 bits, data_offsets give 4 bytes",
        ),
        ({"w": {"dtype": "F33", "shape": [2], "data_offsets": [0, 8]}}, None, "dtype 'F33' is not known"),
        ({"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, None, "shape must be a list of sizes"),
        ({"w": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}}, None, "shape must be a list of sizes"),
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}, None, r"data_offsets must be \[begin, end\]"),
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, None, "begins at byte 4 of the data"),
        ({"w": 3}, None, "must be an object with dtype"),
        ([1], None, "must be an object, is list"),
        ({"__metadata__": 1}, None, "__metadata__ must be an object"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_defects_of_safetensors(header: object, size: int | None, message: str, tmp_path: Path) -> None:
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + bytes(8)
    path = tmp_path / "a.safetensors"
    path.write_bytes(content if size is None else content[: size if size < 10 else len(content) - size + 8])
    with pytest.raises(fc.DataError, match=message) as caught:
        fc.read_weights(path)
    assert str(path) in str(caught.value)


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    entry = b'"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    text = b"{" + entry + b"," + entry + b"}"
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(fc.DataError, match="the key 'w' stands twice"):
        fc.read_weights(path)


def test_a_huge_header_length_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(fc.DataError, match="its header would take 4611686018427387904"):
        fc.read_weights(path)


def test_a_directory_must_tell_which_file(tmp_path: Path) -> None:
    with pytest.raises(fc.DataError, match="no weight file"):
        fc.read_weights(tmp_path)
    for name in ("a.safetensors", "b.safetensors"):
        wf.write_safetensors(tmp_path / name, {"w": ("F32", (1,))})
    with pytest.raises(fc.DataError, match=r"2 weight files and no model\.safetensors\.index\.json"):
        fc.read_weights(tmp_path)


def test_load_model_of_safetensors_says_what_is_missing(tmp_path: Path) -> None:
    path = wf.write_safetensors(tmp_path / "a.safetensors", {"w": ("F32", (1,))})
    with pytest.raises(fc.DataError, match="holds tensors and no model"):
        fc.load_model(path)


# ------------------------------------------------------------------------------------------------------------ GGUF
def test_gguf_is_the_model_of_its_config(tmp_path: Path) -> None:
    path = wf.write_gguf(tmp_path / "a.gguf", wf.LLAMA_GGUF, wf.llama_gguf_tensors())
    stored, graph = fc.read_weights(path), fc.load_model(path)
    assert stored.parameters == graph.parameters == 1344768
    assert stored.tensors["blk.0.ffn_up.weight"] == fc.StoredTensor((512, 256), "q4_k", 512 * 144)
    assert stored.dtypes["q4_k"] > stored.dtypes["q8_0"] > stored.dtypes["float32"]
    assert stored.metadata["general.name"] == "small"
    assert str(fc.count(graph).flop()) == str(fc.count(fc.from_huggingface(wf.LLAMA)).flop())


def test_gguf_of_a_big_endian_machine(tmp_path: Path) -> None:
    header, size = wf.gguf(wf.LLAMA_GGUF, wf.llama_gguf_tensors(), order=">")
    path = tmp_path / "a.gguf"
    path.write_bytes(header.ljust(size, b"\0"))
    assert fc.read_weights(path).parameters == 1344768


def test_gguf_of_another_model(tmp_path: Path) -> None:
    tensors = wf.llama_gguf_tensors()
    del tensors["blk.1.ffn_up.weight"]
    path = wf.write_gguf(tmp_path / "a.gguf", wf.LLAMA_GGUF, tensors)
    with pytest.raises(fc.DataError, match="the description is of another model"):
        fc.from_gguf(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"general.architecture": "brontosaurus"},
            "architecture 'brontosaurus' is not known; known: arcee, bloom, cohere2",
        ),
        ({"llama.block_count": None}, "key 'llama.block_count' is missing"),
        ({"general.alignment": 0}, "general.alignment is 0"),
        ({"llama.attention.head_count": "four"}, "'num_attention_heads' must be an integer"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_defects_of_gguf_metadata(change: dict[str, object], message: str, tmp_path: Path) -> None:
    metadata = {key: item for key, item in (wf.LLAMA_GGUF | change).items() if item is not None}
    path = wf.write_gguf(tmp_path / "a.gguf", metadata, wf.llama_gguf_tensors())
    with pytest.raises((fc.DataError, fc.UnsupportedOp), match=message):
        fc.from_gguf(path)


def test_gguf_cut_short_anywhere_is_an_error(tmp_path: Path) -> None:
    header, size = wf.gguf(wf.LLAMA_GGUF, wf.llama_gguf_tensors())
    path = tmp_path / "a.gguf"
    for length in [*range(0, 64), *range(64, len(header), 97), size - 1]:
        path.write_bytes(header[:length].ljust(0, b"\0") if length < len(header) else header.ljust(length, b"\0"))
        with pytest.raises(fc.DataError):
            fc.read_weights(path)


@pytest.mark.parametrize("at", [8, 16, 24], ids=["tensors", "pairs", "length"])
def test_absurd_numbers_in_gguf_allocate_nothing(at: int, tmp_path: Path) -> None:
    header, _ = wf.gguf(wf.LLAMA_GGUF, wf.llama_gguf_tensors())
    path = tmp_path / "a.gguf"
    path.write_bytes(header[:at] + struct.pack("<Q", 2**63) + header[at + 8 :])
    with pytest.raises(fc.DataError, match=r"at byte .* is 9223372036854775808, at most"):
        fc.read_weights(path)
