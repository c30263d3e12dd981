"""Front-ends: foreign model formats become graphs. They make build calls and never count."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from flopcore.errors import DataError
from flopcore.graph import Graph

from .huggingface import from_huggingface
from .onnx import from_onnx

__all__ = ["from_huggingface", "from_onnx", "load_model"]


def load_model(path: str | os.PathLike[str], *, at: Mapping[str, int] | None = None) -> Graph:
    """Return the graph of a model file, whatever its format; the content decides, not the name.

    Parameters
    ----------
    path
        An ONNX model, a Hugging Face ``config.json``, or a directory that holds one.
    at
        Sizes of dims to bind while reading, for a format in which shapes can depend on them (ONNX). Leave dims that
        can stay symbolic to `flopcore.count`.

    Returns
    -------
    Graph
        As `from_onnx` or `from_huggingface` builds it.

    Raises
    ------
    DataError
        If the path cannot be read, or holds neither.
    """
    place = Path(path)
    if place.is_dir() or _starts_as_json(place):
        if at:
            raise DataError(f"{place}: the dims of a config stay symbolic; bind {', '.join(at)} when counting")
        return from_huggingface(place)
    return from_onnx(place, at=at)


def _starts_as_json(path: Path) -> bool:
    """Return whether the first character that is not space opens an object: no ONNX file does so."""
    try:
        if not path.is_file():  # from_onnx says what it is
            return False
        with path.open("rb") as file:
            return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
