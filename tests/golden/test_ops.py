"""What one node of each op counts: the reference and the specification stay where ops.json says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import flopcore as fc
from core_graphs import build
from flopcore.specification import specification

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = json.loads((HERE / "ops.json").read_text(encoding="utf-8"))["cases"]
NAMES = [f"{case['op']}-{number}" for number, case in enumerate(CASES)]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_ops", HERE / "make_ops.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = script()


def test_every_op_has_a_case() -> None:
    assert {case["op"] for case in CASES} == {name for name, op in specification().ops.items() if not op.leaf}


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_reference_counts_what_it_counted(case: dict[str, Any]) -> None:
    expected = {key: case[key] for key in ("outputs", "variant", "dtypes", "rows")}
    assert json.loads(json.dumps(MAKE.answer(case))) == expected


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_core_counts_the_same(case: dict[str, Any]) -> None:
    graph = build(MAKE.graph_data(case))
    node = list(graph.nodes())[-1]
    assert [list(graph.tensor(number).shape) for number in node["outputs"]] == case["outputs"]
    rows: dict[tuple[str, str], list[Any]] = {}
    for row in fc.count(graph).rows():
        extents = [[extent.kind, extent.nominal, extent.used] for extent in row.extents]
        entry = rows.setdefault((row.feature, str(extents)), [row.feature, 0, *extents])
        entry[1] += row.base
        assert (list(row.variant), list(row.dtypes)) == (case["variant"], case["dtypes"])
    assert sorted(row for row in rows.values() if row[1]) == case["rows"]


@pytest.fixture(scope="module")
def all_ops() -> fc.Tally:
    """The tally of one graph that holds the node of every case."""
    nodes: list[dict[str, Any]] = []
    tensors: dict[int, Any] = {}
    for case in CASES:
        data, first = MAKE.graph_data(case), 1 + max(tensors, default=-1)
        for node in data["nodes"]:
            moved = {
                key: [None if number is None else first + number for number in node.get(key, [])]
                for key in ("inputs", "outputs")
            }
            nodes.append(node | moved)
            tensors |= dict.fromkeys(moved["outputs"], None)
        tensors |= {first + number: tensor for number, tensor in data["tensors"].items()}
    return fc.count(build({"nodes": nodes, "tensors": {key: one for key, one in tensors.items() if one}}))


@pytest.mark.parametrize("name", fc.conventions())
def test_a_convention_prices_every_op_or_says_why_not(name: str, all_ops: fc.Tally) -> None:
    found = all_ops.explain(name)
    ops = {row.kind.op for row in (*found.charges, *found.uncounted)}
    assert ops == {op for op, spec in specification().ops.items() if not spec.leaf}
    assert all(len(row.reason) > 5 for row in found.uncounted)
    # Of ops that multiply and add, the file itself says it, unless it leaves multiply-adds as such without a weight.
    convention = fc.convention(name)
    if convention.weights[specification().features.index("mac")]:
        silent = {
            row.kind.op for row in found.uncounted
            if convention.rule_of(row.kind.op, variant=row.kind.variant, origin=row.kind.origin, dtype=row.kind.dtype,
                                  phase=row.kind.phase) is None
        }  # fmt: skip
        assert not silent & {row.op for row in all_ops.rows() if row.feature == "mac"} - {"associative_scan", "einsum"}
    assert found.coverage.nodes == len(CASES)
    assert found.total == sum(charge.price for charge in found.charges) == all_ops.flop(name)
