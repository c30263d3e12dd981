"""Headers of weight files: names, shapes and number formats of tensors, without reading one byte of the tensors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType

from flopcore.errors import DataError
from flopcore.graph import Graph

from .gguf_header import read_gguf_header

__all__ = ["StoredTensor", "Weights", "read_weights"]

_MAX_HEADER = 100_000_000  # bytes of JSON: the limit of the safetensors library itself
_MAX_SIZE = 2**62
_MAX_INDEX = 64 * 2**20
_SHARDS = 4096

# Number formats of safetensors and the bits of one element (format documentation, 0.6).
_SAFETENSORS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "BOOL": ("bool", 8),
        "U8": ("uint8", 8),
        "I8": ("int8", 8),
        "F8_E4M3": ("float8_e4m3", 8),
        "F8_E5M2": ("float8_e5m2", 8),
        "F8_E8M0": ("float8_e8m0", 8),
        "F4": ("float4_e2m1", 4),
        "I16": ("int16", 16),
        "U16": ("uint16", 16),
        "F16": ("float16", 16),
        "BF16": ("bfloat16", 16),
        "I32": ("int32", 32),
        "U32": ("uint32", 32),
        "F32": ("float32", 32),
        "I64": ("int64", 64),
        "U64": ("uint64", 64),
        "F64": ("float64", 64),
        "C64": ("complex64", 64),
    }
)

# Tensors of a checkpoint that no gradient changes: angles, masks, positions, corrections of the choice of experts.
_BUFFERS = (
    "e_score_correction_bias",
    "exp_probs_b.bias",
    "rotary_emb.inv_freq",
    "attn.bias",
    "attn.masked_bias",
    "position_ids",
    "rope_freqs.weight",
)


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a weight file.

    Attributes
    ----------
    shape : tuple of int
        Outermost dim first (GGUF files store them the other way round).
    dtype : str
        Number format in storage: ``"bfloat16"``, or a block format of GGUF such as ``"q4_k"``.
    n_bytes : int
        Size in the file.
    """

    shape: tuple[int, ...]
    dtype: str
    n_bytes: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Weights:
    """What the header of a weight file says.

    Attributes
    ----------
    path : str
        The file, or the index of the shards.
    format : str
        ``"safetensors"`` or ``"gguf"``.
    tensors : mapping of str to StoredTensor
        By name, in the order of the file.
    metadata : mapping of str to object
        Key-value pairs of the file; of a GGUF array longer than 64 only its length.
    """

    path: str
    format: str
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, object]

    @property
    def parameters(self) -> int:
        """Number of stored elements that are weights: all but angles, masks and positions."""
        return sum(tensor.elements for name, tensor in self.tensors.items() if not name.endswith(_BUFFERS))

    @property
    def dtypes(self) -> dict[str, int]:
        """Number of elements of each number format, largest first."""
        sums: dict[str, int] = {}
        for tensor in self.tensors.values():
            sums[tensor.dtype] = sums.get(tensor.dtype, 0) + tensor.elements
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    def __repr__(self) -> str:
        return f"Weights({self.path!r}, {self.format}, {len(self.tensors)} tensors, {self.parameters} parameters)"


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """Return the tensors that a weight file holds, from its header alone.

    Parameters
    ----------
    path
        A ``.safetensors`` or GGUF file, the index of a sharded checkpoint (``model.safetensors.index.json``), or a
        directory that holds one of them.

    Returns
    -------
    Weights
        Names, shapes and number formats, exact; no topology (a GGUF file has one: `from_gguf` builds the graph).

    Raises
    ------
    DataError
        If the file cannot be read, is cut short, or its header contradicts itself; the message names file and tensor.

    Notes
    -----
    safetensors: 8 bytes little-endian length, then a JSON object (format documentation of the safetensors project).
    GGUF: the specification in the ggml repository, ``docs/gguf.md``, versions 2 and 3.
    """
    place = Path(path)
    try:
        if place.is_dir():
            place = _inside(place)
        if place.name.endswith(".index.json"):
            return _read_index(place)
        with place.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise DataError(f"{place}: {error.strerror or error}") from error
    if magic in (b"GGUF", b"FUGG"):
        return _read_gguf(place)
    tensors, metadata = _read_safetensors(place)
    return Weights(str(place), "safetensors", MappingProxyType(tensors), MappingProxyType(metadata))


def check_parameters(graph: Graph, weights: Weights) -> None:
    """Raise DataError if a graph has not as many parameters as a file has weights.

    An output layer that is stored although the graph ties it to the input embedding is no difference.
    """
    stored, built = weights.parameters, graph.parameters
    head = weights.tensors.get("lm_head.weight", weights.tensors.get("output.weight"))
    if stored == built or (head is not None and stored - head.elements == built):
        return
    raise DataError(
        f"{weights.path}: the file holds {stored} weights, the model that is described has {built}: the description "
        "is of another model, or the file stores some in another form"
    )


def _inside(directory: Path) -> Path:
    for name in ("model.safetensors.index.json", "model.safetensors"):
        if (directory / name).is_file():
            return directory / name
    found = sorted(each for each in directory.iterdir() if each.suffix in (".safetensors", ".gguf"))
    if len(found) == 1:
        return found[0]
    told = f"{len(found)} weight files and no model.safetensors.index.json" if found else "no weight file"
    raise DataError(f"{directory}: {told}; name one .safetensors or .gguf file")


def has_weights(directory: Path) -> bool:
    """Return whether a directory holds a checkpoint under its usual names."""
    return any((directory / name).is_file() for name in ("model.safetensors.index.json", "model.safetensors"))


def _read_index(path: Path) -> Weights:
    if path.stat().st_size > _MAX_INDEX:
        raise DataError(f"{path}: {path.stat().st_size} bytes is too long for an index")
    index = _parse(path, path.read_bytes())
    places = index.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(each, str) for each in places.values()):
        raise DataError(f"{path}: key 'weight_map' must map names of tensors to files")
    shards = sorted(set(places.values()))
    if len(shards) > _SHARDS:
        raise DataError(f"{path}: {len(shards)} shards; at most {_SHARDS} are read")
    tensors: dict[str, StoredTensor] = {}
    metadata: dict[str, object] = {}
    for shard in shards:
        if Path(shard).name != shard:
            raise DataError(f"{path}: shard {shard!r} must be a file beside the index")
        found, more = _read_safetensors(path.parent / shard)
        if twice := found.keys() & tensors.keys():
            raise DataError(f"{path}: tensor {min(twice)!r} stands in two shards")
        tensors.update(found)
        metadata.update(more)
    if missing := sorted(places.keys() - tensors.keys()):
        raise DataError(f"{path}: tensor {missing[0]!r} is in no shard")
    return Weights(str(path), "safetensors", MappingProxyType(tensors), MappingProxyType(metadata))


def _read_safetensors(path: Path) -> tuple[dict[str, StoredTensor], dict[str, object]]:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            prefix = file.read(8)
            length = int.from_bytes(prefix, "little")
            if len(prefix) < 8 or not 2 <= length <= min(_MAX_HEADER, size - 8):
                raise DataError(
                    f"{path}: not a safetensors file, or cut short: {size} bytes, its header would take {length}"
                )
            header = _parse(path, file.read(length))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise DataError(f"{path}: __metadata__ must be an object")
    tensors: dict[str, StoredTensor] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        tensors[name], span = _safetensor(f"{path}: tensor {name!r}", entry)
        spans.append((*span, name))
    end = 0
    for begin, stop, name in sorted(spans):
        if begin != end:
            raise DataError(f"{path}: tensor {name!r} begins at byte {begin} of the data, the one before ends at {end}")
        end = stop
    if 8 + length + end != size:
        raise DataError(f"{path}: the header tells of {8 + length + end} bytes, the file has {size}; is it cut short?")
    return tensors, metadata


def _safetensor(where: str, entry: object) -> tuple[StoredTensor, tuple[int, int]]:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: must be an object with dtype, shape and data_offsets")
    stored = _SAFETENSORS.get(str(entry.get("dtype")))
    if stored is None:
        raise DataError(f"{where}: dtype {entry.get('dtype')!r} is not known; known: {', '.join(_SAFETENSORS)}")
    dtype, bits = stored
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or not all(_is_size(each) for each in shape):
        raise DataError(f"{where}: shape must be a list of sizes, is {shape!r}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_size(each) for each in offsets):
        raise DataError(f"{where}: data_offsets must be [begin, end], is {offsets!r}")
    n_bits = prod(shape) * bits
    if n_bits % 8 or offsets[1] - offsets[0] != n_bits // 8:
        given = offsets[1] - offsets[0]
        raise DataError(f"{where}: {shape} of {entry['dtype']} takes {n_bits} bits, data_offsets give {given} bytes")
    return StoredTensor(tuple(shape), dtype, n_bits // 8), (offsets[0], offsets[1])


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_SIZE


def _parse(path: Path, text: bytes) -> dict[str, object]:
    try:
        content = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON header: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: the header must be an object, is {type(content).__name__}")
    return content


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    content: dict[str, object] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {key!r} stands twice")
        content[key] = value
    return content


def _read_gguf(path: Path) -> Weights:
    header = read_gguf_header(path)
    tensors = {name: StoredTensor(shape, dtype, n_bytes) for name, (shape, dtype, n_bytes) in header.tensors.items()}
    return Weights(str(path), "gguf", MappingProxyType(tensors), MappingProxyType(header.metadata))
