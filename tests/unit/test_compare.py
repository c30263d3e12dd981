"""Conventions side by side: totals are those of a tally, and the differences add up."""

from __future__ import annotations

import itertools
import json

import pytest

import flopcore as fc
from flopcore.architectures import cnn

PEERS = ["macs", "torch-2.13", "pycls", "fvcore-0.1.5", "thop-0.1.1", "deepspeed-0.19", "all-arithmetic", "onnx-tool"]


@pytest.fixture(scope="module")
def comparison() -> fc.Comparison:
    return fc.compare(cnn.resnet(18, image_size=64), PEERS)


def test_totals_are_those_of_the_tally(comparison: fc.Comparison) -> None:
    tally = fc.count(cnn.resnet(18, image_size=64))
    assert comparison.totals == tuple(tally.flop(name) for name in PEERS)


def test_differences_sum_to_the_difference_of_the_totals(comparison: fc.Comparison) -> None:
    for left, right in itertools.permutations(range(len(PEERS)), 2):
        rows = comparison.explain(PEERS[left], PEERS[right])
        assert sum(row.difference for row in rows) == comparison.totals[right] - comparison.totals[left]
        sizes = [abs(row.difference) for row in rows]
        assert sizes == sorted(sizes, reverse=True)
        assert 0 not in sizes


def test_batch_norm_is_what_makes_resnet50_4_13_g() -> None:
    """The 4.13 G often printed: THOP charges 4 per element of an affine batch norm."""
    rows = fc.compare(cnn.resnet(50), ["macs", "thop-0.1.1"]).explain("macs", "thop-0.1.1")
    assert [(row.op, row.variant, row.feature, row.left, row.right) for row in rows] == [
        ("batch_norm", ("affine",), "out_elems", 0, 44455936),
        ("adaptive_average_pool", ("global",), "in_elems", 0, 100352),
        ("adaptive_average_pool", ("global",), "out_elems", 0, 2048),
    ]


def test_repeated_blocks_and_extents_are_counted() -> None:
    graph = fc.Graph()
    body = graph.subgraph("layer")
    q = body.input("q", (1, 2, fc.dim("seq"), 8))
    body.output(body.attention(q, q, q, causal="top_left"))
    x = graph.input("x", (1, 2, fc.dim("seq"), 8))
    graph.call(body, [x], times=5)
    at = {"seq": 7}
    result = fc.compare(graph, ["macs", "all-arithmetic"], at=at)
    tally = fc.count(graph)
    assert result.totals == (tally.flop("macs", at=at), tally.flop("all-arithmetic", at=at))
    (mac,) = [row for row in result.explain("macs", "all-arithmetic") if row.feature == "mac"]
    assert (mac.left, mac.right) == (5 * 2 * 49 * 16, 2 * 5 * 2 * 28 * 16)


def test_an_empty_graph_costs_nothing() -> None:
    result = fc.compare(fc.Graph(), ["macs", "all-arithmetic"])
    assert result.totals == (0, 0)
    assert result.explain("macs", "all-arithmetic") == ()


def test_a_comparison_prints_as_plain_data() -> None:
    graph = fc.Graph()
    graph.relu(graph.input("x", (4,)))
    data = fc.compare(graph, ["macs", "all-arithmetic"]).to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["pairs"] == [
        {
            "left": "macs",
            "right": "all-arithmetic",
            "rows": [
                {
                    "op": "relu", "variant": [], "phase": "forward", "feature": "cmp",
                    "left": 0, "right": 4, "difference": 4,
                }
            ],
        }
    ]  # fmt: skip


def test_ops_sum_to_the_totals_and_the_largest_disagreement_comes_first(comparison: fc.Comparison) -> None:
    for index, total in enumerate(comparison.totals):
        assert sum(prices[index] for prices in comparison.by_op.values()) == total
    spreads = [max(prices) - min(prices) for prices in comparison.by_op.values()]
    assert spreads == sorted(spreads, reverse=True)
    lines = str(comparison).splitlines()
    assert len(lines) == 2 + len(comparison.by_op)
    assert f"{comparison.totals[0]:,}" in lines[1]


def test_what_cannot_be_compared_is_said() -> None:
    graph = fc.Graph()
    graph.relu(graph.input("x", (fc.dim("batch"),)))
    with pytest.raises(fc.DataError, match="bind 'batch' with at="):
        fc.compare(graph, ["macs"])
    with pytest.raises(fc.DataError, match="at least one"):
        fc.compare(graph, [], at={"batch": 1})
    with pytest.raises(fc.ConventionError, match="no convention 'mac'"):
        fc.compare(graph, ["mac"], at={"batch": 1})
    for one in ("macs", fc.convention("macs")):
        with pytest.raises(TypeError, match=r"must be a list, such as \['macs'\]"):
            fc.compare(graph, one, at={"batch": 1})
    for wrong in (None, 3):
        with pytest.raises(TypeError, match=f"a convention is a name, .* not {wrong}"):
            fc.count(graph).flop(wrong)
    with pytest.raises(
        fc.ConventionError, match="'kind' is no known grouping; known: op, module, dtype, phase, feature"
    ):
        fc.count(graph).flop(by="kind")
    with pytest.raises(fc.DataError, match=r"torch-2\.13/measured was not compared; the comparison has macs"):
        fc.compare(graph, ["macs"], at={"batch": 1}).explain("macs", "torch-2.13")
