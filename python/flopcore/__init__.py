"""Exact FLOP counts under any named convention, and what they say about compute thresholds."""

from __future__ import annotations

from ._core import version as __version__
from .errors import (
    ConventionError,
    CountOverflowError,
    DataError,
    FlopcoreError,
    GraphError,
    ShapeError,
    UnsupportedOp,
)
from .thresholds import Threshold, ThresholdPolicy, thresholds

__all__ = [
    "ConventionError",
    "CountOverflowError",
    "DataError",
    "FlopcoreError",
    "GraphError",
    "ShapeError",
    "Threshold",
    "ThresholdPolicy",
    "UnsupportedOp",
    "__version__",
    "thresholds",
]
