"""Every op that the onnx package knows has a rule or a reason; its models for backends get the shapes it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import flopcore as fc
from flopcore.frontends import onnx_ops, onnx_shapes, onnx_table

onnx = pytest.importorskip("onnx", reason="needs the extra 'oracle'")


def known() -> set[tuple[str, str]]:
    """Ops with a rule."""
    followed = {("", op) for op in onnx_shapes.RULES}
    return followed | {(domain, op) for domain, rules in onnx_ops.OPS.items() for op in rules}


def test_every_schema_has_a_rule_or_a_reason() -> None:
    schemas = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas()}
    assert len(schemas) > 220
    reasons = onnx_table.NO_ARITHMETIC
    assert sorted(schemas - known() - set(reasons)) == []
    assert sorted((known() | set(reasons)) - schemas) == [], "an op that onnx does not know"
    assert sorted(known() & set(reasons)) == []
    assert all(len(reason) > 20 for reason in reasons.values())


def test_the_newest_opset_is_read() -> None:
    newest = onnx.defs.onnx_opset_version()
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 3]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", newest)])
    assert fc.count(fc.from_onnx(model.SerializeToString())).flop("all-arithmetic") == 6


def test_rows_of_the_table_name_ops_of_ours() -> None:
    ours = set(fc.ops())
    assert {op for op, _ in onnx_table.PLAIN.values()} <= ours
    assert {row.op for row in onnx_table.ROWS.values()} <= ours


# What the models below may be refused for: by what the message says.
REFUSED = (
    *onnx_table.NO_ARITHMETIC.values(),
    "whose length is not known",  # a sequence or an optional is fed from outside
    "is text and no tensor",
    "is sequence and no tensor",
    "is optional and no tensor",
    "opset 1 of the default domain",
    "Scan of opset 8",
)
# An input of no elements, whose size 0 we take for unknown; sizes of an affine grid that an If decides on.
OWN_WAY = ("test_reshape_allowzero_reordered", "test_affine_grid_2d", "test_affine_grid_3d")


def frozen(model: Any, inputs: Sequence[Any]) -> Any:
    """The model with its small inputs of one dim or none as constants, as exporters write shapes and axes."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.input[:]
    for value, data in zip(model.graph.input, inputs, strict=True):
        array = np.asarray(data) if isinstance(data, np.generic | np.ndarray) else None
        small = array is not None and array.size <= 64 and array.ndim <= 1
        if array is not None and small and array.dtype in (np.int64, np.int32, np.bool_, np.float32):
            fixed.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
        else:
            fixed.graph.input.append(value)
    return fixed


def flat(values: Sequence[Any]) -> list[tuple[int, ...]]:
    """Shapes of results, those of sequences one by one."""
    shapes: list[tuple[int, ...]] = []
    for value in values:
        if isinstance(value, list | tuple):
            shapes += flat(value)
        elif isinstance(value, onnx.TensorProto):
            shapes.append(tuple(value.dims))
        elif value is not None:
            shapes.append(np.shape(value))
    return shapes


def fits(ours: tuple[int | fc.Expr, ...], theirs: tuple[int, ...]) -> bool:
    """Whether each size is theirs, or one that only the data tells."""
    return len(ours) == len(theirs) and all(not isinstance(a, int) or a == b for a, b in zip(ours, theirs, strict=True))


def outcome(model: Any, expected: Sequence[tuple[int, ...]]) -> str:
    """Nothing if the model is counted with these shapes, or what is wrong."""
    try:
        graph = fc.from_onnx(model.SerializeToString())
        fc.count(graph).flop("all-arithmetic")
    except fc.FlopcoreError as error:
        return str(error)
    shapes = [graph.core.shape(number) for number in graph.core.block_outputs(0)]
    same = len(shapes) == len(expected) and all(map(fits, shapes, expected))
    return "" if same else f"shapes {shapes} instead of {expected}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_models_for_backends_get_the_shapes_that_onnx_computed() -> None:
    cases = pytest.importorskip("onnx.backend.test.case.node", reason="needs the extra 'oracle'").collect_testcases(
        None
    )
    wrong, right = {}, 0
    for case in cases:
        if case.model is None:
            continue
        inputs, outputs = case.data_sets[0]
        expected = flat(outputs)
        problem = outcome(case.model, expected)
        if problem and not problem.startswith("shapes"):
            problem = outcome(frozen(case.model, inputs), expected)
        if not problem:
            right += 1
        elif not any(reason in problem for reason in REFUSED) and not case.name.startswith(OWN_WAY):
            wrong[case.name] = problem
    assert wrong == {}
    assert right > 1800
