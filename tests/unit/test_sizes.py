"""A polynomial count holds where the graph is one: elsewhere binding refuses, as building from numbers does."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

import flopcore as fc
from flopcore.graph import DimLike

Build = Callable[[fc.Graph, DimLike], object]


def conv(g: fc.Graph, n: DimLike) -> None:
    x, w = g.input("x", (1, 2, n, 9)), g.parameter("w", (3, 2, 3, 3))
    g.conv(x, w, stride=2, padding=(0, 1), dilation=2)


def pools(g: fc.Graph, n: DimLike) -> None:
    g.max_pool(g.relu(g.max_pool(g.input("x", (1, 1, n, n)), 3, stride=2)), 2)


def difference(g: fc.Graph, n: DimLike) -> None:
    g.relu(g.input("x", (n - 4, 3)))


def runs(g: fc.Graph, n: DimLike) -> None:
    body = g.subgraph("body")
    body.output(body.relu(body.input("x", (7,))))
    g.call(body, [g.input("x", (7,))], times=n - 3)


@pytest.mark.parametrize("build", [conv, pools, difference, runs])
def test_binding_refuses_what_building_refuses(build: Build) -> None:
    symbolic = fc.Graph()
    build(symbolic, fc.dim("n"))
    tally = fc.count(symbolic)
    basis = tally.basis(["all-arithmetic"])
    refused = 0
    for n in range(1, 12):
        graph = fc.Graph()
        try:
            build(graph, n)
        except fc.ShapeError:
            refused += 1
            for bind in (lambda at: tally.flop(at=at), lambda at: tally.explain(at=at), basis.at):
                with pytest.raises(fc.ShapeError, match=rf", which is -?\d+ with n={n}; it must be a whole number"):
                    bind({"n": n})
        else:
            expected = fc.count(graph).flop("all-arithmetic")
            assert tally.flop("all-arithmetic", at={"n": n}) == basis.at({"n": n}).price(0) == expected
    assert 0 < refused < 11


def test_sizes_are_whole_numbers() -> None:
    g, n = fc.Graph(), fc.dim("n")
    g.relu(g.input("x", (n / 2, 3)))
    assert fc.count(g).flop("all-arithmetic", at={"n": 4}) == fc.count(g, at={"n": 4}).flop("all-arithmetic") == 6
    for walk in (lambda: fc.count(g).flop(at={"n": 3}), lambda: fc.count(g, at={"n": 3})):
        with pytest.raises(fc.ShapeError, match=r"input node 'x' \(#0\): dim 0 .* n/2, which is 3/2 with n=3"):
            walk()


def test_what_stays_open_is_asked_again() -> None:
    g, n, m = fc.Graph(), fc.dim("n"), fc.dim("m")
    g.relu(g.input("x", (n - m, 3)))
    half = fc.count(g, at={"m": 5})
    assert half.flop("all-arithmetic", at={"n": 7}) == 6
    with pytest.raises(fc.ShapeError, match=r"n - 5, which is -1 with n=4"):
        half.flop(at={"n": 4})


def test_amounts_of_registered_ops_are_not_negative() -> None:
    fc.register_op("test.less", infer=lambda inputs, attrs: inputs[0], count=lambda x, y, attrs: {"mac": x[0].n - 9})
    try:
        g = fc.Graph()
        g.op("test.less", [g.input("x", (fc.dim("n"),))])
    finally:
        fc.unregister_op("test.less")
    assert fc.count(g).flop(at={"n": 10}) == 1
    with pytest.raises(fc.ShapeError, match=r"an amount is n - 9, which is -1 with n=8"):
        fc.count(g).flop(at={"n": 8})


@pytest.mark.parametrize("wrong", [2.0, None, "3", True, Fraction(2), fc.dim("m")])
def test_a_walk_binds_integers(wrong: object) -> None:
    g = fc.Graph()
    g.relu(g.input("x", (fc.dim("n"), 3)))
    with pytest.raises(TypeError, match="the value of dim 'n' must be an int, not"):
        fc.count(g, at={"n": wrong})
    with pytest.raises(fc.DataError, match="below 2\\^62"):
        fc.count(g, at={"n": 2**70})
