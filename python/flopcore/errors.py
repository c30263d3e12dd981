"""The errors flopcore raises; each is also a built-in error, so both styles of ``except`` work."""

from __future__ import annotations

from ._core import (
    ConventionError,
    CountOverflowError,
    DataError,
    FlopcoreError,
    GraphError,
    ShapeError,
    UnsupportedOp,
)

__all__ = [
    "ConventionError",
    "CountOverflowError",
    "DataError",
    "FlopcoreError",
    "GraphError",
    "ShapeError",
    "UnsupportedOp",
]
