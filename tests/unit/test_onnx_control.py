"""If, Loop, Scan, sequences and optionals of ONNX files become blocks with exact counts, or are followed away."""

from __future__ import annotations

import pytest

import flopcore as fc
import onnx_writer as ow

TRUE = ow.tensor("yes", [], "bool", [1])


def counted(
    nodes: list[bytes],
    inputs: list[bytes],
    outputs: list[str],
    stored: list[bytes] | None = None,
    at: dict[str, int] | None = None,
) -> fc.Graph:
    return fc.from_onnx(ow.model(nodes, inputs, outputs, stored or []), at=at)


def arms(then: list[bytes], other: list[bytes]) -> bytes:
    """An If over a condition fed from outside; each arm makes r."""
    bodies = {"then_branch": ow.graph(then, [], ["r"]), "else_branch": ow.graph(other, [], ["r"])}
    return ow.node("If", ["flag"], ["y"], "choose", "", **bodies)


FLAG = ow.value("flag", [], "bool")


def test_the_dearer_arm_of_an_if_is_priced_and_weights_of_both_arms_count() -> None:
    choose = arms(
        [ow.node("MatMul", ["x", "w"], ["r"])],
        [ow.node("MatMul", ["x", "v"], ["h"]), ow.node("MatMul", ["h", "w"], ["r"])],
    )
    stored = [ow.tensor("w", [8, 8]), ow.tensor("v", [8, 8])]
    graph = counted([choose], [FLAG, ow.value("x", ["n", 8])], ["y"], stored)
    assert graph.parameters == 128
    assert fc.count(graph).flop("macs") == 2 * 64 * fc.dim("n")


def test_a_known_condition_leaves_one_arm() -> None:
    then = ow.graph([ow.node("Relu", ["x"], ["r"])], [], ["r"])
    other = ow.graph([ow.node("MatMul", ["x", "x"], ["r"])], [], ["r"])
    node = ow.node("If", ["yes"], ["y"], "choose", then_branch=then, else_branch=other)
    graph = counted([node], [ow.value("x", [4, 4])], ["y"], [TRUE])
    tally = fc.count(graph)
    assert (tally.flop("macs"), tally.flop("all-arithmetic")) == (0, 16)


def test_arms_of_different_sizes_give_a_dim_of_their_own() -> None:
    choose = arms([ow.node("Relu", ["x"], ["r"])], [ow.node("Concat", ["x", "x"], ["r"], axis=0)])
    nodes = [choose, ow.node("MatMul", ["y", "w"], ["z"])]
    inputs, stored = [FLAG, ow.value("x", [4, 8])], [ow.tensor("w", [8, 3])]
    graph = counted(nodes, inputs, ["z"], stored)
    assert str(fc.count(graph).flop("macs")) == "24*y_dim0"
    assert fc.count(counted(nodes, inputs, ["z"], stored, at={"y_dim0": 4})).flop("macs") == 96


def loop(body: list[bytes], states: list[str], results: list[str], trips: str = "trips", more: str = "on") -> bytes:
    """A Loop whose body takes i, on and s0.., and returns on and the results."""
    taken = [ow.value("i", [], "int64"), ow.value("on", [], "bool")]
    taken += [ow.value(f"s{k}", None) for k in range(len(states))]
    graph = ow.graph(body, taken, [more, *results])
    return ow.node("Loop", [trips, "", *states], [f"y{k}" for k in range(len(results))], "again", body=graph)


def test_a_loop_is_its_body_times_the_trip_count() -> None:
    body = [ow.node("MatMul", ["s0", "w"], ["t0"]), ow.node("ReduceSum", ["t0"], ["total"], keepdims=0)]
    stored = [ow.tensor("trips", [], "int64", [10]), ow.tensor("w", [8, 8])]
    graph = counted([loop(body, ["x"], ["t0", "total"])], [ow.value("x", [2, 8])], ["y0", "y1"], stored)
    assert fc.count(graph).flop("macs") == 10 * 2 * 64
    assert graph.parameters == 64
    assert [graph.core.shape(i) for i in graph.core.block_outputs(0)] == [(2, 8), (10,)]


@pytest.mark.parametrize("reason", ["no limit", "ends early"])
def test_a_trip_count_that_is_not_known_is_a_dim(reason: str) -> None:
    body = [ow.node("MatMul", ["s0", "w"], ["t0"]), ow.node("Not", ["on"], ["enough"])]
    node = loop(body, ["x"], ["t0"], *(("", "on") if reason == "no limit" else ("trips", "enough")))
    stored = [ow.tensor("trips", [], "int64", [10]), ow.tensor("w", [8, 8])]
    graph = counted([node], [ow.value("x", [2, 8])], ["y0"], stored)
    assert str(fc.count(graph).flop("macs")) == "128*again_trip_count"
    assert fc.count(counted([node], [ow.value("x", [2, 8])], ["y0"], stored, at={"again_trip_count": 0})).flop() == 0


def test_state_that_grows_with_each_run_is_summed_in_closed_form() -> None:
    body = [ow.node("Concat", ["s0", "token"], ["t0"], axis=0), ow.node("MatMul", ["t0", "w"], ["out"])]
    nodes = [loop(body, ["cache"], ["t0"])]
    stored = [ow.tensor("trips", [], "int64", [5]), ow.tensor("w", [8, 8])]
    inputs = [ow.value("cache", ["past", 8]), ow.value("token", [1, 8])]
    graph = counted(nodes, inputs, ["y0"], stored)
    (last,) = (graph.core.shape(i) for i in graph.core.block_outputs(0))
    assert last == (fc.dim("past") + 5, 8)
    for past in (1, 3, 100):
        assert fc.count(graph, at={"past": past}).flop("macs") == sum(64 * (past + run + 1) for run in range(5))


def test_a_counter_that_a_loop_carries_is_followed() -> None:
    body = [
        ow.node("Add", ["s0", "two"], ["t0"]),
        ow.node("Unsqueeze", ["s0", "zero"], ["rows"]),
        ow.node("Concat", ["rows", "eight"], ["shape"], axis=0),
        ow.node("ConstantOfShape", ["shape"], ["block"]),
        ow.node("MatMul", ["block", "w"], ["out"]),
    ]
    stored = [ow.tensor("trips", [], "int64", [4]), ow.tensor("w", [8, 8]), ow.tensor("start", [], "int64", [1])]
    stored += [ow.tensor("two", [], "int64", [2]), ow.tensor("zero", [1], "int64", [0])]
    stored += [ow.tensor("eight", [1], "int64", [8])]
    nodes = [loop(body, ["start"], ["t0"]), ow.node("Unsqueeze", ["y0", "zero"], ["n"])]
    nodes += [ow.node("Concat", ["n", "eight"], ["shape9"], axis=0), ow.node("ConstantOfShape", ["shape9"], ["y"])]
    graph = counted(nodes, [], ["y"], stored)
    assert fc.count(graph).flop("macs") == 64 * (1 + 3 + 5 + 7)
    assert graph.core.shape(graph.core.block_outputs(0)[0]) == (9, 8)


def test_state_that_changes_unevenly_is_not_countable() -> None:
    body = [ow.node("Concat", ["s0", "s0"], ["t0"], axis=0)]
    stored = [ow.tensor("trips", [], "int64", [5])]
    with pytest.raises(fc.UnsupportedOp, match=r"Loop x 1.*does not grow by the same sizes"):
        counted([loop(body, ["x"], ["t0"])], [ow.value("x", ["n", 8])], ["y0"], stored)


def test_a_scan_runs_over_slices_and_stacks() -> None:
    taken = [ow.value("h", None), ow.value("x", None)]
    cell = [
        ow.node("MatMul", ["x", "w"], ["a"]),
        ow.node("MatMul", ["h", "u"], ["b"]),
        ow.node("Add", ["a", "b"], ["s"]),
        ow.node("Tanh", ["s"], ["next"]),
    ]
    body = ow.graph(cell, taken, ["next", "next"])
    node = ow.node("Scan", ["h0", "xs"], ["last", "all"], "rnn", body=body, num_scan_inputs=1, scan_input_axes=[1])
    inputs = [ow.value("h0", [2, 8]), ow.value("xs", [2, "time", 4])]
    graph = counted([node], inputs, ["last", "all"], [ow.tensor("w", [4, 8]), ow.tensor("u", [8, 8])])
    time = fc.dim("time")
    assert fc.count(graph).flop("macs") == 2 * (4 * 8 + 8 * 8) * time
    assert [graph.core.shape(i) for i in graph.core.block_outputs(0)] == [(2, 8), (time, 2, 8)]


def test_bodies_within_bodies_read_tensors_from_outside() -> None:
    inner = arms([ow.node("MatMul", ["x", "w"], ["r"])], [ow.node("Add", ["x", "s0"], ["r"])])
    body = [inner, ow.node("Add", ["y", "s0"], ["t0"])]
    stored = [ow.tensor("trips", [], "int64", [3]), ow.tensor("w", [8, 8])]
    graph = counted([loop(body, ["x"], ["t0"])], [FLAG, ow.value("x", [2, 8])], ["y0"], stored)
    assert fc.count(graph).flop("macs") == 3 * 2 * 64
    assert graph.parameters == 64


def test_a_body_may_not_read_what_nothing_makes() -> None:
    with pytest.raises(fc.GraphError, match="'lost' is read before it is made, or nothing makes it"):
        counted([arms([ow.node("Relu", ["lost"], ["r"])], [])], [FLAG], ["y"])


def test_sequences_are_followed() -> None:
    nodes = [
        ow.node("SplitToSequence", ["x"], ["parts"], axis=0),
        ow.node("SequenceInsert", ["parts", "x1"], ["more"]),
        ow.node("SequenceErase", ["more", "zero"], ["less"]),
        ow.node("SequenceLength", ["less"], ["n"]),
        ow.node("SequenceAt", ["less", "last"], ["one"]),
        ow.node("ConcatFromSequence", ["less"], ["all"], axis=0),
        ow.node("MatMul", ["all", "w"], ["y"]),
        ow.node("MatMul", ["one", "w"], ["z"]),
    ]
    stored = [ow.tensor("zero", [], "int64", [0]), ow.tensor("last", [], "int64", [-1]), ow.tensor("w", [4, 4])]
    graph = counted(nodes, [ow.value("x", [3, 4]), ow.value("x1", [7, 4])], ["y", "z", "n"], stored)
    assert fc.count(graph).flop("macs") == 16 * (2 + 7) + 16 * 7


def test_optionals_are_followed() -> None:
    nodes = [
        ow.node("Optional", ["x"], ["maybe"]),
        ow.node("OptionalHasElement", ["maybe"], ["flag"]),
        ow.node("OptionalGetElement", ["maybe"], ["there"]),
        arms([ow.node("MatMul", ["there", "there"], ["r"])], [ow.node("Relu", ["x"], ["r"])]),
    ]
    assert fc.count(counted(nodes, [ow.value("x", [3, 3])], ["y"])).flop("macs") == 27


def test_names_of_functions_do_not_reach_outside() -> None:
    body = [ow.node("Add", ["a", "x"], ["c"])]
    function = ow.function("own", "F", ["a"], ["c"], body)
    model = ow.model(
        [ow.node("F", ["x"], ["y"], "", "own")], [ow.value("x", [2])], ["y"], opsets={"own": 1}, functions=[function]
    )
    with pytest.raises(fc.GraphError, match="'x', which nothing makes"):
        fc.from_onnx(model)
