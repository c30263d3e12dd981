"""The executable definition of counting: pure Python over exact ints, written from ops.toml and not from the C++."""

from __future__ import annotations

from .counting import Extent, Row, count, count_active_parameters, count_parameters, price
from .graph import Block, Graph, Node, Run, Tensor
from .verification import VerificationError, verify

__all__ = [
    "Block",
    "Extent",
    "Graph",
    "Node",
    "Row",
    "Run",
    "Tensor",
    "VerificationError",
    "count",
    "count_active_parameters",
    "count_parameters",
    "price",
    "verify",
]
