"""An explanation adds up to the count, names the rule of every row, and bounds what was left out."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest

import flopcore as fc
from flopcore.architectures import cnn
from flopcore.explanation import BOUND


@pytest.fixture(scope="module")
def tally() -> fc.Tally:
    return fc.count(cnn.resnet(18, image_size=64))


@pytest.mark.parametrize("name", fc.conventions())
def test_charges_sum_to_the_count_and_every_node_is_accounted_for(tally: fc.Tally, name: str) -> None:
    found = tally.explain(name)
    assert found.total == tally.flop(name) == sum(charge.price for charge in found.charges)
    assert all(charge.price == sum(charge.terms.values()) for charge in found.charges)
    nodes = [*(charge.kind.nodes for charge in found.charges), *(row.kind.nodes for row in found.uncounted)]
    assert sum(nodes) == found.coverage.nodes
    assert sum(row.at_most for row in found.uncounted) == (found.coverage.operations - found.coverage.priced_operations)
    prices = [charge.price for charge in found.charges]
    assert prices == sorted(prices, reverse=True)


def test_the_rule_of_each_charge_is_named(tally: fc.Tally) -> None:
    found = tally.explain("fvcore-0.1.5")
    by_op = {charge.kind.op: charge for charge in found.charges}
    assert by_op["conv"].rule is None
    assert by_op["batch_norm"].reason == "batchnorm_flop_jit: 2 with affine parameters"
    assert by_op["batch_norm"].rule == found.convention.rule_of("batch_norm", variant=("affine",))
    assert by_op["batch_norm"].terms == {"out_elems": by_op["batch_norm"].price}
    (relu,) = [row for row in found.uncounted if row.kind.op == "relu"]
    assert relu.reason == "no feature of this op has a weight"


def test_what_is_left_out_is_bounded_by_all_its_operations(tally: fc.Tally) -> None:
    everything = tally.flop(BOUND, by="op")
    found = tally.explain("macs")
    assert {row.kind.op: row.at_most for row in found.uncounted if row.at_most} == {
        op: price for op, price in everything.items() if op not in ("conv", "linear")
    }
    assert [row.at_most for row in found.uncounted] == sorted((row.at_most for row in found.uncounted), reverse=True)
    assert found.coverage.share == 1 - sum(row.at_most for row in found.uncounted) / Fraction(sum(everything.values()))
    (flat,) = [row for row in found.uncounted if row.kind.op == "flatten"]
    assert (flat.at_most, flat.bytes) == (0, 0)


def test_an_assumption_says_what_the_other_choice_gives() -> None:
    graph = fc.Graph()
    q = graph.input("q", (1, 2, 10, 8))
    graph.attention(q, q, q, causal="top_left")
    tally = fc.count(graph)
    (assumed,) = tally.explain("macs").assumptions
    assert (assumed.extent, assumed.taken, assumed.grades) == ("causal", "nominal", ("exact",))
    assert (tally.flop("macs"), assumed.otherwise) == (2 * 100 * 16, 2 * 55 * 16)
    (other,) = tally.explain("all-arithmetic").assumptions
    assert other.taken == "used"
    assert other.otherwise > tally.flop("all-arithmetic")


def test_notes_are_those_of_the_ops_in_the_graph_and_of_the_convention(tally: fc.Tally) -> None:
    notes = tally.explain("thop-0.1.1").notes
    assert any(note.startswith("conv: taps that fall on padding") for note in notes)
    assert any(note.startswith("thop-0.1.1/measured: THOP hooks modules") for note in notes)
    assert not any(note.startswith("attention:") for note in notes)


def test_a_phase_that_is_not_priced_is_the_reason_given(tally: fc.Tally) -> None:
    found = tally.explain(replace(fc.convention("macs"), phases=("grad_input",)))
    assert found.total == 0
    assert {row.reason for row in found.uncounted} == {"the phase forward is not priced"}
    assert found.coverage.share == 0


def test_open_dims_stay_open_and_bind() -> None:
    batch = fc.dim("batch")
    tally = fc.count(cnn.resnet(18, image_size=64, batch=batch))
    found = tally.explain("macs")
    assert found.total == tally.flop("macs")
    assert found.coverage.share is None
    bound = tally.explain("macs", at={"batch": 2})
    assert bound.total == tally.flop("macs", at={"batch": 2})
    assert bound.coverage.share is not None
    with pytest.raises(fc.DataError, match="no dim 'seq'"):
        tally.explain("macs", at={"seq": 2})


def test_an_empty_graph_has_nothing_to_explain() -> None:
    found = fc.count(fc.Graph()).explain("macs")
    assert (found.total, found.charges, found.uncounted, found.coverage.share) == (0, (), (), None)


def test_it_prints_as_plain_data(tally: fc.Tally) -> None:
    data = tally.explain("thop-0.1.1").to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["total"] == tally.flop("thop-0.1.1")


def square(graph: fc.Graph, name: str) -> fc.Graph:
    """A block: one product of a 4 x 4 matrix with itself."""
    block = graph.subgraph(name)
    x = block.input("x", (4, 4))
    block.output(block.matmul(x, x))
    return block


def test_work_done_again_is_a_kind_of_its_own() -> None:
    graph = fc.Graph()
    block = square(graph, "layer")
    x = graph.input("x", (4, 4))
    graph.call(block, [x], times=3)
    graph.recompute(block, [x])
    found = fc.count(graph).explain("hardware")
    assert [(charge.kind.phase, charge.kind.nodes, charge.price) for charge in found.charges] == [
        ("forward", 1, 3 * 2 * 64),
        ("recompute", 1, 2 * 64),
    ]
    (left,) = fc.count(graph).explain("model").uncounted
    assert (left.kind.phase, left.at_most, left.reason) == ("recompute", 2 * 64, "the phase recompute is not priced")
    assert fc.count(graph).explain("model").total == fc.count(graph).flop("model") == 3 * 2 * 64


def test_of_an_if_the_bound_has_all_arms() -> None:
    graph = fc.Graph()
    x = graph.input("x", (4, 4))
    idle = graph.subgraph("idle")
    y = idle.input("x", (4, 4))
    idle.output(idle.relu(y))
    graph.cond([(square(graph, "busy"), [x]), (idle, [x])])
    found = fc.count(graph).explain("macs")
    assert (found.total, found.coverage.operations) == (64, 128 + 16)
    assert fc.count(graph).bytes().writes == 64


def test_a_block_that_never_runs_is_no_kind() -> None:
    graph = fc.Graph()
    square(graph, "unused")
    graph.relu(graph.input("x", (4,)))
    assert [kind.op for kind in fc.count(graph).kinds()] == ["relu"]
    assert fc.count(graph).explain("macs").total == 0


def test_it_prints_as_text() -> None:
    graph = fc.Graph()
    x = graph.input("x", (8, 16))
    graph.relu(graph.linear(x, graph.parameter("w", (4, 16)), graph.parameter("b", (4,))))
    assert str(fc.count(graph).explain("macs")).splitlines()[:4] == [
        "macs: 512 MAC",
        "  linear bias: 512, general weights",
        "not counted:",
        "  relu: at most 32, no feature of this op has a weight",
    ]


def test_an_op_of_the_users_own_is_explained_by_its_name() -> None:
    def count(inputs: object, outputs: list[fc.TensorType], attrs: object) -> dict[str, object]:
        return {"mac": 5 * outputs[0].n}

    fc.register_op("test.five", infer=lambda inputs, attrs: inputs[0], count=count)
    try:
        graph = fc.Graph()
        graph.op("test.five", [graph.input("x", (8,))])
        found = fc.count(graph).explain("macs")
        assert [(charge.kind.op, charge.price) for charge in found.charges] == [("test.five", 40)]
    finally:
        fc.unregister_op("test.five")
