"""Formulas of a form are learnt after 256 nodes: large graphs count as the same nodes do in small ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

import flopcore as fc

MANY = 256  # nodes of one form before formulas are asked for
Size = int | fc.Expr
Shape = tuple[Size, ...]
Spec = tuple[str, tuple[Shape | None, ...], dict[str, object]]
Family = Callable[[random.Random, Callable[[], Size]], Spec]
WEIGHTS = {"matmul": {1}, "linear": {1, 2}, "conv": {1, 2}, "layer_norm": {1, 2}, "batch_norm": {1, 2, 3, 4}}


def build(specs: Sequence[Spec]) -> fc.Graph:
    """A graph of nodes that share nothing."""
    graph = fc.Graph()
    for op, shapes, attrs in specs:
        tensors = [
            None if shape is None else (graph.parameter if i in WEIGHTS.get(op, ()) else graph.input)("", shape)
            for i, shape in enumerate(shapes)
        ]
        graph.op(op, tensors, attrs)
    return graph


def rows(graph: fc.Graph, at: dict[str, int] | None = None) -> list[tuple[object, ...]]:
    """All rows but their sites, in order."""
    own = {name: value for name, value in (at or {}).items() if name in graph.dims}
    return [
        (row.op, row.variant, row.dtypes, row.feature, row.base, row.extents) for row in fc.count(graph, at=own).rows()
    ]


def contraction(rng: random.Random, size: Callable[[], Size]) -> Spec:
    a, b, c, s = size(), size(), size(), size()
    return rng.choice(
        [
            ("matmul", ((s, a, b), (b, c)), {}),
            ("matmul", ((a, b), (b,)), {}),
            ("linear", ((s, a), (b, a), (b,)), {}),
            ("linear", ((s, a), (b, a), None), {}),
        ]
    )


def convolution(rng: random.Random, size: Callable[[], Size]) -> Spec:
    n, c, out, h, w = (size() for _ in range(5))
    kernel = rng.choice([1, 3, 5])
    attrs: dict[str, object] = {"padding": [kernel // 2] * 4}
    if rng.random() < 0.3:
        attrs = {"stride": [2, 1], "padding": [1, 0, 2, 1]}
    return "conv", ((n, c, h + 4, w + 4), (out, c, kernel, kernel)), attrs


def elementwise(rng: random.Random, size: Callable[[], Size]) -> Spec:
    a, b, c = size(), size(), size()
    return rng.choice(
        [
            ("add", ((a, b, c), (c,)), {}),
            ("mul", ((a, 1, c), (1, b, c)), {}),
            ("mul", ((a, b, c), (a, b, c)), {}),
            ("gelu", ((a, b),), {}),
            ("cast", ((a, b),), {"dtype": "int8"}),
        ]
    )


def norm(rng: random.Random, size: Callable[[], Size]) -> Spec:
    a, b, c = size(), size(), size()
    return rng.choice(
        [
            ("layer_norm", ((a, b, c), (c,), (c,)), {}),
            ("layer_norm", ((a, b, c), None, None), {"normalized_ndim": 2}),
            ("batch_norm", ((a, b, c), (b,), (b,), (b,), (b,)), {}),
            ("softmax", ((a, b, c),), {"axis": -1}),
            ("reduce_mean", ((a, b, c),), {"axes": [1], "keepdims": False}),
            ("transpose", ((a, b, c),), {"permutation": [2, 0, 1]}),
        ]
    )


def in_parts(specs: Sequence[Spec], at: dict[str, int] | None = None) -> list[tuple[object, ...]]:
    """The same rows from graphs too small for formulas."""
    return [row for i in range(0, len(specs), MANY - 1) for row in rows(build(specs[i : i + MANY - 1]), at)]


@pytest.mark.parametrize(("family", "forms"), [(contraction, 4), (convolution, 4), (elementwise, 5), (norm, 6)])
def test_many_nodes_count_as_few(family: Family, forms: int) -> None:
    """Sizes of 1 and coincidences among them, sizes of every kind, and products beyond 64 bits."""
    rng = random.Random(forms)
    specs = [family(rng, lambda: rng.randint(1, rng.choice([2, 9, 40, 2**20]))) for _ in range((forms + 1) * MANY)]
    assert rows(build(specs)) == in_parts(specs)


@pytest.mark.parametrize(("family", "forms"), [(contraction, 4), (convolution, 4), (elementwise, 5), (norm, 6)])
def test_many_symbolic_nodes_count_as_few(family: Family, forms: int) -> None:
    """Symbols of every least value, sums, multiples and quotients of them, among numbers."""
    rng = random.Random(forms)
    a, b, c, d = (fc.dim(name, min=least) for name, least in (("a", 0), ("b", 1), ("c", 2), ("d", 40)))
    sizes: list[Size] = [1, 2, 7, 40, 2**20, 2**23, a, b, b, b, c, c, d, d, 3 * c, b * d, d - 20, b + c, d // 2]
    specs = [family(rng, lambda: rng.choice(sizes)) for _ in range((forms + 1) * MANY)]
    assert rows(build(specs)) == in_parts(specs)
    some = {"b": 5, "d": 40}
    assert rows(build(specs), some) == in_parts(specs, some)


def test_bound_dims_count_as_numbers_do() -> None:
    """Dims bound to different numbers follow formulas as leaves of numbers do."""
    rng = random.Random(1)
    names = [f"s{i}" for i in range(9)]
    at = {name: 2 + 5 * i for i, name in enumerate(names)}

    def one(size: Callable[[], Size]) -> list[Spec]:
        s, a, b = size(), rng.randint(1, 30), rng.randint(1, 30)
        return [("matmul", ((s, a, b), (b, s)), {}), ("conv", ((s, a, s, 9), (b, a, 3, 3)), {"padding": [1] * 4})]

    picks = [rng.choice(names) for _ in range(3 * MANY)]
    symbolic = [spec for name in picks for spec in one(lambda name=name: fc.dim(name, min=2))]
    rng = random.Random(1)
    picks = [rng.choice(names) for _ in range(3 * MANY)]
    numbers = [spec for name in picks for spec in one(lambda name=name: at[name])]
    assert rows(build(symbolic), at) == rows(build(numbers)) == in_parts(numbers)


def test_shapes_that_do_not_fit_are_found_after_formulas_hold() -> None:
    """A node whose window no longer fits once dims are bound is an error however many fitted before it."""
    side = fc.dim("side", min=1)
    specs: list[Spec] = [("conv", ((1, 2, 5 + i % 7, 9), (3, 2, 3, 3)), {}) for i in range(2 * MANY)]
    graph = build([*specs, ("conv", ((1, 2, side, 9), (3, 2, 3, 3)), {})])
    assert fc.count(graph, at={"side": 3}).flop("macs") > 0
    with pytest.raises(fc.ShapeError, match="a window spans 3, the padded input only 2"):
        fc.count(graph, at={"side": 2})


def test_products_of_a_dim_bound_to_nothing_vanish() -> None:
    """An empty batch among many: no rows where an amount is 0."""
    batch = fc.dim("batch", min=0)
    specs: list[Spec] = [("add", ((2 + i % 5, 7), (7,)), {}) for i in range(2 * MANY)]
    tally = fc.count(build([*specs, ("add", ((batch, 7), (7,)), {})]), at={"batch": 0})
    every = list(tally.rows())
    last = [row.feature for row in every if row.site == every[-1].site]
    assert last == ["in_elems", "bytes_read"]
