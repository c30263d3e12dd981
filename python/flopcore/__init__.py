"""Exact FLOP counts under any named convention, and what they say about compute thresholds."""

from __future__ import annotations

from ._core import version as __version__
from .accelerators import Accelerator, accelerator, accelerators
from .basis import Basis
from .build import BuildInfo, build_info
from .compare import Comparison, Difference, compare
from .conventions import Convention, convention, conventions
from .count import Extent, Row, Tally, Traffic, count
from .errors import (
    ConventionError,
    CountOverflowError,
    DataError,
    FlopcoreError,
    GraphError,
    ShapeError,
    UnsupportedNodes,
    UnsupportedOp,
)
from .explanation import Explanation
from .expr import Dim, Expr, ceildiv, clamp, dim, maximum, minimum, sum_over
from .frontends import (
    StoredTensor,
    Weights,
    from_gguf,
    from_huggingface,
    from_jax,
    from_onnx,
    from_torch,
    load_model,
    read_weights,
    record_torch,
)
from .given_data import first_order_of_categories, variance_split
from .graph import Graph, Tensor, ops
from .module_tree import Module, module_tree
from .program import Node, column, constant, lookup, where
from .program_expr import from_expr
from .program_inputs import correlated, switch, variable
from .program_result import ProgramResult
from .rounded_sinks import Moments, Quantiles
from .sensitivity import shapley_effects, sobol_indices, tornado
from .sinks import Along, Category, Confusion, CountAbove, Exceed, Table
from .sobol import sobol_points
from .study.allocation import Allocation
from .study.allocation_run import AllocationResult, run_allocation
from .study.capability import read_capability, with_capability
from .study.epoch import read_epoch
from .study.estimate import Estimate, estimate_from_graph, estimate_from_hardware, estimate_from_parameters
from .study.growth import GrowthResult, fit_growth
from .study.hooker import HookerResult, IndexOptions, run_hooker
from .study.impute import impute
from .study.index import risk_index
from .study.population import Bands, Population
from .study.scenario import Scenario
from .study.studyfile import Study
from .sweep import Entity, Factor, Program, Sobol, SweepResult, draw_values, rel_error, sweep
from .thresholds import Threshold, ThresholdPolicy, thresholds
from .user_ops import TensorType, register_op, unregister_op, user_ops

__all__ = [
    "Accelerator",
    "Allocation",
    "AllocationResult",
    "Along",
    "Bands",
    "Basis",
    "BuildInfo",
    "Category",
    "Comparison",
    "Confusion",
    "Convention",
    "ConventionError",
    "CountAbove",
    "CountOverflowError",
    "DataError",
    "Difference",
    "Dim",
    "Entity",
    "Estimate",
    "Exceed",
    "Explanation",
    "Expr",
    "Extent",
    "Factor",
    "FlopcoreError",
    "Graph",
    "GraphError",
    "GrowthResult",
    "HookerResult",
    "IndexOptions",
    "Module",
    "Moments",
    "Node",
    "Population",
    "Program",
    "ProgramResult",
    "Quantiles",
    "Row",
    "Scenario",
    "ShapeError",
    "Sobol",
    "StoredTensor",
    "Study",
    "SweepResult",
    "Table",
    "Tally",
    "Tensor",
    "TensorType",
    "Threshold",
    "ThresholdPolicy",
    "Traffic",
    "UnsupportedNodes",
    "UnsupportedOp",
    "Weights",
    "__version__",
    "accelerator",
    "accelerators",
    "build_info",
    "ceildiv",
    "clamp",
    "column",
    "compare",
    "constant",
    "convention",
    "conventions",
    "correlated",
    "count",
    "dim",
    "draw_values",
    "estimate_from_graph",
    "estimate_from_hardware",
    "estimate_from_parameters",
    "first_order_of_categories",
    "fit_growth",
    "from_expr",
    "from_gguf",
    "from_huggingface",
    "from_jax",
    "from_onnx",
    "from_torch",
    "impute",
    "load_model",
    "lookup",
    "maximum",
    "minimum",
    "module_tree",
    "ops",
    "read_capability",
    "read_epoch",
    "read_weights",
    "record_torch",
    "register_op",
    "rel_error",
    "risk_index",
    "run_allocation",
    "run_hooker",
    "shapley_effects",
    "sobol_indices",
    "sobol_points",
    "sum_over",
    "sweep",
    "switch",
    "thresholds",
    "tornado",
    "unregister_op",
    "user_ops",
    "variable",
    "variance_split",
    "where",
    "with_capability",
]
