"""The header of a GGUF file (ggml repository, docs/gguf.md, versions 2 and 3): metadata and tensor descriptions.

Sizes are bounded before anything is allocated: nothing in the file can ask for more than the file is long.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import MappingProxyType

from flopcore.errors import DataError

__all__: list[str] = []

_LONGEST_ARRAY = 64  # longer arrays (token lists) are stepped over; their length is kept
_MAX_TEXT = 2**20
_MAX_DEPTH = 4
_MAX_SIZE = 2**62

# Number formats of tensors: id -> (name, elements of a block, bytes of a block); ggml.h enum ggml_type and the block
# structs of ggml-common.h. Ids that are missing were removed from the format.
TYPES: Mapping[int, tuple[str, int, int]] = MappingProxyType(
    {
        0: ("float32", 1, 4),
        1: ("float16", 1, 2),
        2: ("q4_0", 32, 18),
        3: ("q4_1", 32, 20),
        6: ("q5_0", 32, 22),
        7: ("q5_1", 32, 24),
        8: ("q8_0", 32, 34),
        9: ("q8_1", 32, 40),
        10: ("q2_k", 256, 84),
        11: ("q3_k", 256, 110),
        12: ("q4_k", 256, 144),
        13: ("q5_k", 256, 176),
        14: ("q6_k", 256, 210),
        15: ("q8_k", 256, 292),
        16: ("iq2_xxs", 256, 66),
        17: ("iq2_xs", 256, 74),
        18: ("iq3_xxs", 256, 98),
        19: ("iq1_s", 256, 50),
        20: ("iq4_nl", 32, 18),
        21: ("iq3_s", 256, 110),
        22: ("iq2_s", 256, 82),
        23: ("iq4_xs", 256, 136),
        24: ("int8", 1, 1),
        25: ("int16", 1, 2),
        26: ("int32", 1, 4),
        27: ("int64", 1, 8),
        28: ("float64", 1, 8),
        29: ("iq1_m", 256, 56),
        30: ("bfloat16", 1, 2),
        34: ("tq1_0", 256, 54),
        35: ("tq2_0", 256, 66),
        39: ("mxfp4", 32, 17),
        40: ("nvfp4", 64, 36),
        41: ("q1_0", 128, 18),
    }
)

_SCALARS: Mapping[int, str] = MappingProxyType(
    {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
)
_TEXT, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class ArrayLength:
    """An array of the metadata that was stepped over."""

    length: int


@dataclass(slots=True)
class GgufHeader:
    """Metadata, and (shape, dtype, bytes) of each tensor, outermost dim first."""

    metadata: dict[str, object] = field(default_factory=dict)
    tensors: dict[str, tuple[tuple[int, ...], str, int]] = field(default_factory=dict)


class _Reader:
    """A position in the bytes of one file; every step is checked against its end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.at = 4
        self.order = "<"

    def fail(self, what: str) -> DataError:
        return DataError(f"{self.path}: at byte {self.at}: {what}")

    def skip(self, size: int) -> None:
        if size > len(self.data) - self.at:
            raise self.fail(f"{size} bytes follow by the header, the file ends before; is it cut short?")
        self.at += size

    def scalar(self, code: str) -> int | float | bool:
        at, size = self.at, struct.calcsize(code)
        self.skip(size)
        value: int | float | bool = struct.unpack_from(self.order + code, self.data, at)[0]
        return value

    def integer(self, code: str, most: int, what: str) -> int:
        value = self.scalar(code)
        if not isinstance(value, int) or value > most:
            raise self.fail(f"{what} is {value}, at most {most} is possible")
        return value

    def text(self) -> str:
        length = self.integer("Q", _MAX_TEXT, "the length of a text")
        at = self.at
        self.skip(length)
        try:
            return self.data[at : self.at].decode()
        except UnicodeDecodeError as error:
            raise self.fail(f"a text is not UTF-8: {error}") from error

    def value(self, kind: int, depth: int = 0) -> object:
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind == _TEXT:
            return self.text()
        if kind == _ARRAY and depth < _MAX_DEPTH:
            return self.array(depth)
        raise self.fail(f"a value of unknown type {kind}")

    def array(self, depth: int) -> object:
        kind = self.integer("I", 2**32, "an array's type")
        length = self.integer("Q", len(self.data), "an array's length")
        if length <= _LONGEST_ARRAY:
            return [self.value(kind, depth + 1) for _ in range(length)]
        if kind in _SCALARS:
            self.skip(length * struct.calcsize(_SCALARS[kind]))
        elif kind == _TEXT:
            for _ in range(length):
                self.skip(self.integer("Q", _MAX_TEXT, "the length of a text"))
        else:
            for _ in range(length):
                self.value(kind, depth + 1)
        return ArrayLength(length)

    def many(self, count: int, what: str, read: Callable[[], tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for _ in range(count):
            name, value = read()
            if name in found:
                raise self.fail(f"{what} {name!r} stands twice")
            found[name] = value
        return found


def read_gguf_header(path: Path) -> GgufHeader:
    """Return metadata and tensor descriptions; DataError with file and byte where they make no sense."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parse(_Reader(path, data))
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: {error}") from error


def _parse(reader: _Reader) -> GgufHeader:
    version = reader.scalar("I")
    if isinstance(version, int) and version > 2**16:  # a file of a big-endian machine
        reader.order, reader.at = ">", 4
        version = reader.scalar("I")
    if version not in (2, 3):
        raise reader.fail(f"GGUF version {version} is not known; known: 2, 3")
    # A tensor's description takes 24 bytes or more, a pair of the metadata 13.
    n_tensors = reader.integer("Q", len(reader.data) // 24, "the number of tensors")
    n_pairs = reader.integer("Q", len(reader.data) // 13, "the number of metadata pairs")
    header = GgufHeader(metadata=reader.many(n_pairs, "key", lambda: _pair(reader)))
    alignment = header.metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment > 2**20:
        raise reader.fail(f"general.alignment is {alignment!r}")
    ends: dict[str, int] = {}
    for _ in range(n_tensors):
        name, tensor, offset = _tensor(reader)
        if name in header.tensors:
            raise reader.fail(f"tensor {name!r} stands twice")
        header.tensors[name] = tensor
        ends[name] = offset + tensor[2]
    begin = -(-reader.at // alignment) * alignment
    for name, end in ends.items():
        if begin + end > len(reader.data):
            raise DataError(
                f"{reader.path}: tensor {name!r} would end at byte {begin + end}, the file has {len(reader.data)}; "
                "is it cut short?"
            )
    return header


def _pair(reader: _Reader) -> tuple[str, object]:
    key = reader.text()
    return key, reader.value(reader.integer("I", 2**32, "a value's type"))


def _tensor(reader: _Reader) -> tuple[str, tuple[tuple[int, ...], str, int], int]:
    name = reader.text()
    rank = reader.integer("I", 4, f"the rank of {name!r}")
    shape = tuple(reader.integer("Q", _MAX_SIZE, f"a dim of {name!r}") for _ in range(rank))[::-1]
    number = reader.integer("I", 2**32, f"the type of {name!r}")
    if number not in TYPES:
        raise reader.fail(f"tensor {name!r} has the unknown type {number}")
    dtype, per_block, n_bytes = TYPES[number]
    if (shape[-1] if shape else 1) % per_block:
        raise reader.fail(f"tensor {name!r}: rows of {shape[-1]} are no whole blocks of {per_block} ({dtype})")
    offset = reader.integer("Q", _MAX_SIZE, f"the offset of {name!r}")
    return name, (shape, dtype, prod(shape) // per_block * n_bytes), offset
