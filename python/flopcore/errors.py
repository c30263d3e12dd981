"""The errors flopcore raises; each is also a built-in error, so both styles of ``except`` work."""

from __future__ import annotations

from collections.abc import Mapping

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
    "UnsupportedNodes",
    "UnsupportedOp",
]


class UnsupportedNodes(UnsupportedOp):
    """A model holds ops that cannot be counted; `nodes` says how many of each."""

    def __init__(self, message: str, nodes: Mapping[str, int]) -> None:
        super().__init__(message)
        self.nodes = dict(nodes)
