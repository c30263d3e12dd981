"""A basis prices as the tally does, under every choice, and stays small."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest

import flopcore as fc
from core_graphs import build
from random_graphs import SYMBOLS, random_graph, random_point


class Seeded:
    """Choices of a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)


def network(depth: int = 4) -> fc.Graph:
    g = fc.Graph()
    batch, seq = fc.dim("batch"), fc.dim("seq")
    layer = g.subgraph("layer")
    x = layer.input("x", (batch, 8, seq, 16))
    y = layer.attention(x, x, x, causal="top_left")
    y = layer.gelu(layer.linear(y, layer.parameter("w", (16, 16)), layer.parameter("b", (16,))))
    layer.output(layer.softmax(layer.add(x, y)))
    x = g.input("x", (batch, 8, seq, 16))
    g.recompute(layer, [x])
    g.loop(layer, [x], times=fc.dim("steps", min=0))
    g.call(layer, [x], times=depth)
    g.cond([(layer, [x]), (identity(g, x), [x])], probabilities=["0.25", "0.75"])
    return g


def identity(g: fc.Graph, x: fc.Tensor) -> fc.Graph:
    block = g.subgraph("identity")
    block.output(block.input("x", x.shape, x.dtype))
    return block


def switches() -> list[fc.Convention]:
    """Every convention there is, without its rounding, and variations of one in extents, phases, branches, weights."""
    chosen = [
        replace(one, overrides=tuple(replace(rule, printed=None) for rule in one.overrides))
        for one in map(fc.convention, fc.conventions())
    ]
    base = fc.convention("all-arithmetic")
    for causal, branches, phases in product(
        ("nominal", "used"), ("probability", "max", "min", "both"), (("forward",), ("forward", "recompute"))
    ):
        extents = {**base.extents, "causal": causal}
        chosen.append(replace(base, extents=extents, branches=branches, phases=phases))
    half = tuple(Fraction(weight, 3) for weight in base.weights)
    return [*chosen, replace(base, weights=half)]


def test_every_choice_is_priced_exactly_as_an_expression():
    tally, chosen = fc.count(network()), switches()
    basis = tally.basis(chosen)
    assert len(basis.columns) <= 64
    assert len(basis.weights) == len(chosen)
    at = {"batch": 3, "seq": 50, "steps": 5}
    bound = basis.at(at)
    for place, choice in enumerate(chosen):
        assert basis.price(place) == tally.flop(choice)
        assert bound.price(place) == tally.flop(choice, at=at)


@pytest.mark.parametrize("seed", range(30))
def test_random_graphs_fold_exactly(seed: int):
    choose = Seeded(seed)
    recipe = random_graph(choose, n_nodes=20)
    graph = build(recipe.data(), SYMBOLS if recipe.symbolic else None)
    at = {name: value for name, value in random_point(choose).items() if name in graph.dims}
    chosen = switches()
    for tally in (fc.count(graph), fc.count(graph, at=at)):
        basis = tally.basis(chosen)
        assert len(basis.columns) <= 64
        for place, choice in enumerate(chosen):
            assert _at(basis.price(place), at) == tally.flop(choice, at=at)


def _at(value: object, at: dict[str, int]) -> object:
    return value.at(at, on_unknown="ignore") if isinstance(value, fc.Expr) else value


def test_rows_in_one_proportion_are_one_column():
    tally = fc.count(network())
    basis = tally.basis(["macs", "model"])
    assert len(basis.columns) <= 4
    assert tally.basis(["macs"]).columns == (tally.flop("macs"),)
    assert tally.basis(["macs", "macs"]).weights == ((1,), (1,))
    empty = fc.count(fc.Graph()).basis(["macs", "model"])
    assert (empty.columns, empty.weights, empty.price("macs")) == ((), ((), ()), 0)


def test_more_proportions_than_columns_are_folded_to_the_rank():
    """100 kinds of rows, each weighed at random under 5 choices: as many columns as choices, still exact."""
    g = fc.Graph()
    ops = ["relu", "exp", "log", "sin", "sqrt", "tanh", "erf", "sigmoid", "abs", "neg"]
    for number, op in enumerate(ops * 12):
        g.op(op, [g.input("x", (fc.dim(f"n{number % 7}"), number + 1))], origin=f"made:{number}")
    base, choose = fc.convention("all-arithmetic"), Seeded(1)
    origins = [f"made:{number}" for number in range(len(ops) * 12)]
    template = fc.convention("fp-only").overrides[0]
    chosen = []
    for _ in range(5):
        overrides = tuple(
            replace(template, op=(), variant=(), dtype=(), phase=(), origin=(origin,),
                    weights=tuple(Fraction(choose.integer(1, 99)) for _ in base.weights))
            for origin in origins
        )  # fmt: skip
        chosen.append(replace(base, overrides=overrides))
    tally = fc.count(g)
    basis = tally.basis(chosen)
    assert len(basis.columns) == 5
    for place, choice in enumerate(chosen):
        assert basis.price(place) == tally.flop(choice)


def test_a_million_nodes_of_repeated_blocks_stay_small():
    """1,000 layers of 1,000 nodes: the tally holds 1,000 entries, and is priced in a moment."""
    g = fc.Graph()
    layer = g.subgraph("layer")
    x = layer.input("x", (fc.dim("batch"), 64))
    for _ in range(500):
        x = layer.relu(layer.linear(x, layer.parameter("w", (64, 64))))
    layer.output(x)
    g.call(layer, [g.input("x", (fc.dim("batch"), 64))], times=1000)
    tally = fc.count(g)
    assert tally.core.n_entries == 1000
    assert tally.core.memory_bytes < 500_000
    assert tally.flop("macs", at={"batch": 1}) == 500_000 * 64 * 64
    assert tally.basis(["macs", "hardware"]).price(0) == tally.flop("macs")


def test_a_choice_is_named_or_numbered():
    basis = fc.count(network()).basis(["macs", "model", "model"])
    assert basis.price("macs") == basis.price(0)
    with pytest.raises(fc.ConventionError, match="'model' is 2 of the choices"):
        basis.price("model")
    with pytest.raises(fc.ConventionError, match="there is no convention 'nope'"):
        fc.count(network()).basis(["nope"])
