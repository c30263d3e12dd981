"""The module tree: what each module costs and holds sums to the whole, repeats are one module."""

from __future__ import annotations

from fractions import Fraction

import pytest

import flopcore as fc
from flopcore.reference.verification import verify
from weight_files import LLAMA


def test_tree_sums_to_the_count_and_the_parameters() -> None:
    graph = fc.from_huggingface(LLAMA)
    at = {"batch": 2, "seq": 16}
    tree = fc.module_tree(graph, "all-arithmetic", at=at)
    assert tree.cost == fc.count(graph, at=at).flop("all-arithmetic")
    assert tree.parameters == graph.parameters
    for _, module in tree.walk():
        if module.children:
            assert sum(child.cost for child in module.children) <= module.cost
            assert sum(child.parameters for child in module.children) <= module.parameters


def test_modules_stand_in_the_order_of_use_and_repeats_are_one() -> None:
    tree = fc.module_tree(fc.from_huggingface(LLAMA), at={"batch": 1, "seq": 1})
    paths = [module.path for _, module in tree.walk()]
    assert paths[:4] == ["", "model", "model.embed_tokens", "model.layers"]
    assert paths[4] == "model.layers.[0..1]"
    assert paths[-2:] == ["model.norm", "lm_head"]
    found = {module.path: module for _, module in tree.walk()}
    layer = found["model.layers.[0..1].mlp.gate_proj"]
    assert (layer.name, layer.cost, layer.parameters) == ("gate_proj", 2 * 256 * 512, 2 * 256 * 512)
    assert found["lm_head"].parameters == 320 * 256


def test_depth_leaves_deeper_modules_out() -> None:
    tree = fc.module_tree(fc.from_huggingface(LLAMA))
    assert max(level for level, _ in tree.walk(2)) == 2
    assert [module.path for _, module in tree.walk(0)] == [""]


def test_costs_are_expressions_while_dims_are_open() -> None:
    graph = fc.from_huggingface(LLAMA)
    assert str(fc.module_tree(graph).cost) == str(fc.count(graph).flop())


def test_shared_weights_count_once_and_own_weights_each_time() -> None:
    for params, expected in (("shared", 12), ("per_call", 60)):
        graph = fc.Graph("m")
        block = graph.subgraph("block")
        x = block.input("x", (2, 4))
        with block.scope("f"):
            y = block.matmul(x, block.parameter("w", (4, 3)))
            block.output(block.matmul(y, block.constant((3, 4))))
        graph.call(block, [graph.input("x", (2, 4))], times=5, params=params, scope="layers")  # type: ignore[arg-type]
        tree = fc.module_tree(graph)
        assert tree.parameters == graph.parameters == expected
        assert tree.cost == fc.count(graph).flop() == 5 * 48


def test_unknown_convention() -> None:
    with pytest.raises(fc.ConventionError, match="mac"):
        fc.module_tree(fc.from_huggingface(LLAMA), "mac")


def test_idle_experts_are_not_active() -> None:
    graph = fc.Graph("m")
    layer = graph.subgraph("layer")
    x = layer.input("x", (2, 4))
    with layer.scope("experts"):
        layer.output(layer.matmul(x, layer.parameter("w", (4, 4), active=Fraction(3, 8))))
    graph.call(layer, [graph.input("x", (2, 4))], times=5, scope="layers")
    with graph.scope("head"):
        graph.linear(graph.input("y", (2, 4)), graph.parameter("w", (7, 4)))
    tree = fc.module_tree(graph)
    found = {module.path: (module.parameters, module.active_parameters) for _, module in tree.walk()}
    assert found["layers.[0..4].experts"] == (5 * 16, 5 * 6)
    assert found[""] == (graph.parameters, graph.active_parameters) == (5 * 16 + 28, 5 * 6 + 28)
    verify(graph, fc.count(graph), fc.convention("macs"), at={})
    for active in (0, Fraction(9, 8), -1):
        with pytest.raises(fc.DataError, match="over 0 and at most 1"):
            graph.parameter("w", (8,), active=active)
