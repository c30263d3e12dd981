"""The rule of each ONNX op, by domain: rows of `onnx_table` and functions of the modules by family.

A rule sees the node with its inputs looked up and a builder that places tensors; it returns the outputs in order. It
raises `NotCountable` with the reason when the graph has no op for what the node asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flopcore.graph import AttrValue

from . import (
    onnx_contractions,
    onnx_control,
    onnx_indexing,
    onnx_ml,
    onnx_movement,
    onnx_norms,
    onnx_preview,
    onnx_recurrent,
    onnx_sampling,
    onnx_sources,
    onnx_transforms,
    onnx_trees,
)
from .onnx_build import Builder, Result, Rule
from .onnx_table import PLAIN, ROWS, WEIGHT_SLOTS, Row
from .onnx_values import Node

__all__: list[str] = []


def _plain(onnx: str, op: str, n_inputs: int) -> Rule:
    slot = WEIGHT_SLOTS.get(onnx)

    def rule(b: Builder, node: Node) -> Result:
        inputs = [node.input(i) for i in range(n_inputs or len(node.inputs))]
        if slot is not None:
            b.weight(node, inputs[slot])
        return b.emit(node, op, inputs)

    return rule


def _row(row: Row) -> Rule:
    def rule(b: Builder, node: Node) -> Result:
        inputs = [node.optional(i) for i in range(min(row.inputs, len(node.inputs)))]
        for slot in row.weights:
            if slot < len(inputs) and (value := inputs[slot]) is not None:
                b.weight(node, value)
        attrs: dict[str, AttrValue] = {}
        for key, (name, kind, default) in row.attrs.items():
            if kind == "text":
                assert isinstance(default, str)
                attrs[key] = node.text(name, default)
            else:
                assert isinstance(default, int)
                number = node.integer(name, default)
                attrs[key] = node.axis(number, node.input(0).rank) if kind == "axis" else number
                if kind == "flag":
                    attrs[key] = number != 0
        return b.emit(node, row.op, inputs, attrs)

    return rule


OPS: Mapping[str, Mapping[str, Rule]] = MappingProxyType(
    {
        "": {op: _plain(op, *ours) for op, ours in PLAIN.items()}
        | {op: _row(row) for op, row in ROWS.items()}
        | dict(onnx_contractions.RULES)
        | dict(onnx_norms.RULES)
        | dict(onnx_movement.RULES)
        | dict(onnx_indexing.RULES)
        | dict(onnx_recurrent.RULES)
        | dict(onnx_sampling.RULES)
        | dict(onnx_sources.RULES)
        | dict(onnx_transforms.RULES)
        | dict(onnx_control.RULES),
        "ai.onnx.ml": {**onnx_ml.RULES, **onnx_trees.RULES},
        "ai.onnx.preview": onnx_preview.ATTENTION,
        "ai.onnx.preview.training": onnx_preview.TRAINING,
    }
)
