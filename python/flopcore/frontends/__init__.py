"""Front-ends: foreign model formats become graphs. They make build calls and never count."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from flopcore.errors import DataError
from flopcore.graph import Graph

from .gguf import from_gguf
from .huggingface import from_huggingface
from .jax import from_jax
from .onnx import from_onnx
from .torch import from_torch, is_exported_program
from .torch_record import record_torch
from .unsupported import OnUnsupported
from .weights import StoredTensor, Weights, read_weights

__all__ = [
    "StoredTensor",
    "Weights",
    "from_gguf",
    "from_huggingface",
    "from_jax",
    "from_onnx",
    "from_torch",
    "load_model",
    "read_weights",
    "record_torch",
]


def load_model(
    path: str | os.PathLike[str],
    *,
    at: Mapping[str, int] | None = None,
    on_unsupported: OnUnsupported = "error",
) -> Graph:
    """Return the graph of a model file, whatever its format; the content decides, not the name.

    Parameters
    ----------
    path
        An ONNX model, a Hugging Face ``config.json``, a directory that holds one, a GGUF file, or a program that
        `torch.export` saved (which needs torch).
    at
        Sizes of dims to bind while reading, for a format in which shapes can depend on them (ONNX). Leave dims that
        can stay symbolic to `flopcore.count`.
    on_unsupported
        What to do about ops without a rule in an ONNX model or an exported program, as `from_onnx` and `from_torch`
        take it; the other formats have none.

    Returns
    -------
    Graph
        As `from_onnx`, `from_huggingface`, `from_gguf` or `from_torch` builds it.

    Raises
    ------
    DataError
        If the path cannot be read, or holds none of them; a safetensors file has no topology.
    """
    place = Path(path)
    begin = b"" if place.is_dir() else _begin(place)
    if place.is_dir() or begin.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        _no_dims(place, at, "a config")
        return from_huggingface(place)
    if begin[:4] in (b"GGUF", b"FUGG"):
        _no_dims(place, at, "a GGUF file")
        return from_gguf(place)
    if begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") < 2**40:
        raise DataError(
            f"{place}: a safetensors file holds tensors and no model; name the config.json or the directory of both "
            "(flopcore.read_weights reads what tensors it has)"
        )
    if begin[:2] == b"PK" and is_exported_program(place):
        _no_dims(place, at, "an exported program")
        return from_torch(place, on_unsupported=on_unsupported)
    return from_onnx(place, at=at, on_unsupported=on_unsupported)


def _no_dims(place: Path, at: Mapping[str, int] | None, what: str) -> None:
    if at:
        raise DataError(f"{place}: the dims of {what} stay symbolic; bind {', '.join(at)} when counting")


def _begin(path: Path) -> bytes:
    """Return the first bytes of a file; of none, nothing: from_onnx says what is wrong with it."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
