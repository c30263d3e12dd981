"""The C++ core counts every graph as the reference does: each row, extent, repeat, parameter and price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flopcore as fc
from agreement import Seeded, check, graph_of, point_of
from core_graphs import build
from flopcore.conventions import convention, conventions
from flopcore.errors import GraphError, ShapeError
from flopcore.reference import Row, count, price
from random_graphs import SYMBOLS, Chooser, Recipe, add_any, random_graph, random_point

NOMINAL = dict.fromkeys(("causal", "window", "padding_taps", "experts", "capacity", "sparsity", "dropout"), "nominal")
USED = dict.fromkeys(NOMINAL, "used")


class Drawn:
    """Choices that Hypothesis makes, and shrinks when a check fails."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def integer(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))


def totals(rows: list[Row], extents: dict[str, str] = NOMINAL) -> dict[str, int]:
    result: Counter[str] = Counter()
    for row in rows:
        result[row.feature] += row.amount(extents)
    return dict(result)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_graph_is_found_that_they_count_differently(data: st.DataObject) -> None:
    check(Drawn(data))


@pytest.mark.parametrize("seed", range(20))
def test_every_convention_prices_as_the_reference_does(seed: int) -> None:
    choose = Seeded(seed)
    recipe = random_graph(choose)
    graph = graph_of(recipe)
    at = point_of(graph, choose)
    tally, rows = fc.count(graph), count(recipe.data(), at=at)
    for name in conventions():
        expected = price(rows, convention(name))
        assert tally.flop(name, at=at) == expected
        for by in ("op", "module", "dtype", "phase", "feature"):  # which arm is dearer may depend on dims
            parts = (fc.count(graph, at=at) if recipe.seen["if"] else tally).flop(name, at=at, by=by)
            assert sum(parts.values()) == expected  # type: ignore[misc]
    if recipe.seen["if"]:
        return
    by_op = tally.flop("all-arithmetic", at=at, by="op")
    by_dtype = tally.flop("all-arithmetic", at=at, by="dtype")
    keys: list[tuple[dict[str, Any], Callable[[Row], str]]] = [
        (by_op, lambda row: row.op),
        (by_dtype, lambda row: row.dtype),
    ]
    for groups, key in keys:
        for group in groups:
            own = [row for row in rows if key(row) == group]
            assert groups[group] == price(own, convention("all-arithmetic"))


@pytest.mark.parametrize("seed", range(50))
def test_binding_some_dims_before_and_some_after_is_the_same(seed: int) -> None:
    choose = Seeded(seed)
    recipe = random_graph(choose, symbolic=True)
    graph = graph_of(recipe)
    at = point_of(graph, choose)
    first = {name: value for name, value in at.items() if choose.integer(0, 1)}
    for name in ("macs", "all-arithmetic"):
        expected = price(count(recipe.data(), at=at), convention(name))
        assert fc.count(graph).flop(name, at=at) == expected
        assert fc.count(graph, at=first).flop(name, at=at) == expected
        assert fc.count(graph, at=at).flop(name) == expected


def renumbered(data: dict[str, Any], shift: int) -> dict[str, Any]:
    """The same graph under other tensor numbers and names; only of its main block."""
    nodes = [
        node | {
            "inputs": [None if number is None else number + shift for number in node.get("inputs", [])],
            "outputs": [number + shift for number in node["outputs"]],
            "name": f"renamed{shift}_{node['name']}",
        }
        for node in data["nodes"]
    ]  # fmt: skip
    tensors = {number + shift: leaf for number, leaf in data["tensors"].items()}
    outputs = [number + shift for number in data["blocks"][0]["outputs"]]
    return {"nodes": nodes, "tensors": tensors, "blocks": [{"name": "main", "outputs": outputs}]}


def flat_graph(seed: int, *, symbolic: bool) -> tuple[dict[str, Any], Seeded]:
    """A random graph without calls."""
    choose = Seeded(seed)
    recipe = Recipe(choose, symbolic)
    recipe.leaf([recipe.dim(), recipe.dim()], dtype="float32", kind="input")
    for _ in range(10):
        add_any(recipe)
    return recipe.data(), choose


def core_totals(data: dict[str, Any], at: dict[str, int]) -> list[object]:
    graph = build(data, SYMBOLS)
    tally = fc.count(graph, at={name: value for name, value in at.items() if name in graph.dims})
    features: Counter[str] = Counter()
    for row in tally.rows():
        amount = row.base
        for extent in row.extents:
            amount *= extent.used  # type: ignore[operator]
        features[row.feature] += amount  # type: ignore[assignment]
    return [tally.parameters, dict(features), tally.flop("macs"), tally.flop("all-arithmetic")]


@pytest.mark.parametrize("seed", range(40))
def test_counts_are_additive_over_disjoint_graphs(seed: int) -> None:
    (first, choose), (second, _) = flat_graph(seed, symbolic=True), flat_graph(seed + 1000, symbolic=True)
    at = random_point(choose)
    other = renumbered(second, 10_000)
    union = {"nodes": first["nodes"] + other["nodes"], "tensors": first["tensors"] | other["tensors"], "blocks": [{}]}
    a, b, both = core_totals(first, at), core_totals(second, at), core_totals(union, at)
    for one, two, sum_of_both in zip(a, b, both, strict=True):
        if isinstance(one, dict):
            assert Counter(one) + Counter(two) == Counter(sum_of_both)  # type: ignore[arg-type]
        else:
            assert one + two == sum_of_both  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(40))
def test_counts_do_not_depend_on_names_or_on_the_order_of_nodes(seed: int) -> None:
    data, choose = flat_graph(seed, symbolic=True)
    at = random_point(choose)
    left, made, order = list(data["nodes"]), set(), []
    while left:
        ready = [node for node in left if all(number is None or number in made for number in node.get("inputs", []))]
        chosen = ready[choose.integer(0, len(ready) - 1)]
        left.remove(chosen)
        made |= set(chosen["outputs"])
        order.append(chosen)
    assert core_totals(renumbered(data | {"nodes": order}, 500), at) == core_totals(data, at)


@pytest.mark.parametrize("seed", range(60))
def test_no_feature_shrinks_when_a_dim_grows(seed: int) -> None:
    choose = Seeded(seed)
    recipe = random_graph(choose, symbolic=True)
    graph = graph_of(recipe)
    at = point_of(graph, choose)
    tally = fc.count(graph)
    for name in at:
        more = at | {name: at[name] + SYMBOLS[name][1]}
        for extents in (NOMINAL, USED):
            small, large = (totals(count(recipe.data(), at=point), extents) for point in (at, more))
            assert all(large[feature] >= amount for feature, amount in small.items())
        for rule in ("macs", "all-arithmetic"):
            assert tally.flop(rule, at=more) >= tally.flop(rule, at=at)  # type: ignore[operator]


def spoiled(data: dict[str, Any], choose: Chooser) -> None:
    """Change one size of a leaf or one number of an attribute, which may or may not leave the graph valid."""
    attrs = [node for node in data["nodes"] if node.get("attrs")]
    if attrs and choose.integer(0, 1):
        node = attrs[choose.integer(0, len(attrs) - 1)]
        keys = sorted(node["attrs"])
        key = keys[choose.integer(0, len(keys) - 1)]
        value = node["attrs"][key]
        step = choose.integer(-3, 3)
        if isinstance(value, list) and value and choose.integer(0, 3):
            index = choose.integer(0, len(value) - 1)
            node["attrs"][key] = [item + step if at == index else item for at, item in enumerate(value)]
        elif isinstance(value, list):
            node["attrs"][key] = value + value[:1]
        elif isinstance(value, int) and not isinstance(value, bool):
            node["attrs"][key] = value + step
        return
    numbers = sorted(data["tensors"])
    leaf = data["tensors"][numbers[choose.integer(0, len(numbers) - 1)]]
    if leaf["shape"] and choose.integer(0, 4):
        index = choose.integer(0, len(leaf["shape"]) - 1)
        leaf["shape"][index] = max(leaf["shape"][index] + choose.integer(-2, 2), 0)
    else:
        leaf["shape"].append(choose.integer(0, 2))


def counted(data: dict[str, Any]) -> list[Row] | None:
    try:
        return count(data)
    except (ShapeError, GraphError):
        return None


def accepted(data: dict[str, Any]) -> bool:
    try:
        build(data)
    except (ShapeError, GraphError):
        return False
    return True


@pytest.mark.parametrize("start", range(0, 1000, 100))
def test_both_refuse_the_same_graphs(start: int) -> None:
    refused = 0
    for seed in range(start, start + 100):
        choose = Seeded(seed)
        recipe = random_graph(choose, n_nodes=4, symbolic=False)
        data = recipe.data()
        spoiled(data, choose)
        rows = counted(data)
        refused += rows is None
        assert (rows is not None) == accepted(data), (
            f"seed {seed}: the reference says {'no' if rows is None else 'yes'}"
        )
        if rows is not None:
            assert fc.count(build(data)).flop("macs") == price(rows, convention("macs")), f"seed {seed}"
    assert 20 <= refused <= 90
