"""Loops, scans, conditions and recomputation: shapes, frames, weights and prices, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flopcore as fc
from flopcore.reference import verify

BODY_INDEX = fc.dim("i", min=0)


def square(g: fc.Graph, name: str, n: int) -> fc.Graph:
    """A block [n, n] -> [n, n] of n^3 multiply-adds and n^2 weights."""
    body = g.subgraph(name)
    body.output(body.matmul(body.input("x", (n, n)), body.parameter("w", (n, n))))
    return body


def resolved(name: str, branches: str) -> fc.Convention:
    return replace(fc.convention(name), branches=branches)


def test_a_loop_multiplies_and_shares_its_weights():
    g = fc.Graph()
    (y,) = g.loop(square(g, "body", 10), [g.input("x", (10, 10))], times=10**12, scope="steps", name="run")
    assert y.shape == (10, 10)
    tally = fc.count(g)
    assert tally.flop("macs") == 10**15
    assert tally.parameters == 100
    (frame,) = tally.frames()
    assert (frame.kind, frame.times, frame.params, frame.scope) == (
        "loop",
        10**12,
        "shared",
        "steps.run.[0..999999999999]",
    )
    assert tally.flop("macs", by="module") == {"steps.run.[0..999999999999]": 10**15}


def test_zero_trips_cost_nothing_and_return_the_state():
    g = fc.Graph()
    step = fc.dim("step", min=0)
    body = g.subgraph("grow")
    x = body.input("x", (step + 3, 2))
    body.output(body.concat([x, body.relu(body.constant((1, 2)))], axis=0))
    x = g.input("x", (3, 2))
    (none,) = g.loop(body, [x], times=0, index=step)
    (five,) = g.loop(body, [x], times=5, index=step)
    assert (none.shape, five.shape) == ((3, 2), (8, 2))
    # Each run moves what it joins: (3 + i + 1) x 2 elements.
    assert fc.count(g).flop(by="feature") == {}
    moved = [row for row in fc.count(g).rows() if row.feature == "move"]
    assert [str(row.base) for row in moved] == ["2*step + 8"]
    assert verify(g, fc.count(g), fc.convention("all-arithmetic")) == 5 * 2
    assert list(g.dims) == []


@settings(max_examples=40, deadline=None, derandomize=True)
@given(prompt=st.integers(0, 40), new=st.integers(0, 40), window=st.integers(1, 30))
def test_decoding_in_closed_form_is_the_sum_over_its_steps(prompt: int, new: int, window: int):
    p, n, step = fc.dim("prompt", min=0), fc.dim("new", min=0), fc.dim("step", min=0)
    g = fc.Graph()
    body = g.subgraph("token")
    seen = fc.minimum(p + step + 1, window)
    keys = body.constant((1, 2, seen, 8))
    g.input("prompt", (p,))
    token = body.input("token", (1, 2, 1, 8))
    body.output(body.attention(token, keys, keys))
    g.loop(body, [g.input("token", (1, 2, 1, 8))], times=n, index=step)
    tally = fc.count(g)
    expected = sum(2 * 16 * min(prompt + i + 1, window) for i in range(new))
    at = {"prompt": prompt, "new": new}
    assert tally.flop("macs", at=at) == expected
    assert fc.count(g, at=at).flop("macs") == expected
    assert "Sum" not in str(tally.flop("macs"))


def test_loops_nest_and_an_inner_one_may_depend_on_the_outer_index():
    g = fc.Graph()
    outer, inner = fc.dim("outer", min=0), fc.dim("inner", min=0)
    cell = g.subgraph("cell")
    h = cell.input("h", (4,))
    cell.relu(cell.constant((outer + inner,)))
    cell.output(h)
    row = g.subgraph("row")
    (h,) = row.loop(cell, [row.input("h", (4,))], times=outer + 1, index=inner)
    row.output(h)
    g.loop(row, [g.input("h", (4,))], times=6, index=outer)
    expected = sum(i + j for i in range(6) for j in range(i + 1))
    assert fc.count(g).flop("all-arithmetic") == expected
    assert verify(g, fc.count(g), fc.convention("all-arithmetic")) == expected


def test_weights_of_a_loop_may_depend_on_its_index():
    g = fc.Graph()
    step = fc.dim("step", min=0)
    body = g.subgraph("layer")
    x = body.input("x", (3,))
    body.parameter("w", (step, 2))
    body.output(x)
    x = g.input("x", (3,))
    g.loop(body, [x], times=10, index=step, params="per_call")
    assert g.parameters == 2 * 45
    h = fc.Graph()
    body = h.subgraph("layer")
    x = body.input("x", (3,))
    body.parameter("w", (step, 2))
    body.output(x)
    h.loop(body, [h.input("x", (3,))], times=10, index=step)
    with pytest.raises(fc.GraphError, match="'step' is the index of a loop"):
        fc.count(h)


def test_the_index_must_not_stand_outside():
    g = fc.Graph()
    step = fc.dim("step", min=0)
    g.loop(square(g, "body", 2), [g.input("x", (2, 2))], times=3, index=step)
    g.relu(g.input("y", (step,)))
    with pytest.raises(fc.GraphError, match="'step' is the index of a loop, and stands outside"):
        fc.count(g).flop("all-arithmetic")
    with pytest.raises(fc.DataError, match="no dim 'step'"):
        fc.count(g, at={"step": 2})


def test_scan_cuts_and_stacks():
    g = fc.Graph()
    seq = fc.dim("seq")
    body = g.subgraph("cell")
    h, x, shift = body.input("h", (2, 8)), body.input("x", (2, 4)), body.input("shift", (8,))
    new = body.add(body.add(body.linear(x, body.parameter("w", (8, 4))), h), shift)
    body.output(new, body.relu(new), new)
    h = g.input("h", (2, 8))
    last, every, same = g.scan(
        body, [h], [g.input("x", (2, seq, 4))], invariants=[g.input("shift", (8,))], axis=1, out_axis=[-1, 0]
    )
    assert [t.shape for t in (last, every, same)] == [(2, 8), (2, 8, seq), (seq, 2, 8)]
    tally = fc.count(g)
    assert tally.flop("macs", at={"seq": 7}) == 7 * 2 * 8 * 4
    assert g.parameters == 32
    assert fc.count(g, at={"seq": 7}).flop("macs") == 448
    assert verify(g, tally, fc.convention("all-arithmetic"), at={"seq": 3}) == 3 * (2 * 2 * 8 * 4 - 16 + 3 * 16)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda g, b, x: g.loop(b, [x], times=-1), "times is -1, must be 0 or more"),
        (lambda g, b, x: g.loop(b, [g.input("z", (3, 2))], times=1), r"argument 0 has shape \[3, 2\] float32"),
        (lambda g, b, x: g.loop(b, [x, x], times=1), "has 2 arguments, takes 1"),
        (lambda g, b, x: g.loop(g.subgraph("open"), [x], times=1), "not finished"),
        (lambda g, b, x: g.loop(b, [], times=1), "has 0 arguments, takes 1"),
        (lambda g, b, x: g.scan(b, [], [x], axis=2), "axis 2 is out of range for 2 dims"),
        (lambda g, b, x: g.scan(b, [], [x]), r"the subgraph was made for \[2, 2, 2\]"),
        (lambda g, b, x: g.scan(b, []), "needs length="),
        (lambda g, b, x: g.loop(b, [x], times=2, index=fc.dim("i")), "must be a dim with min=0"),
        (lambda g, b, x: g.loop(b, [x], times=BODY_INDEX, index=BODY_INDEX), "times depends on the index"),
        (lambda g, b, x: g.cond([]), "no arms"),
        (lambda g, b, x: g.cond([(b, [x]), (b, [x])], probabilities=[0.5, 0.4]), "do not sum to 1"),
        (lambda g, b, x: g.cond([(b, [x]), (b, [x])], probabilities=["1.5", "-0.5"]), "negative"),
        (lambda g, b, x: g.cond([(b, [x])], probabilities=[0.5, 0.5]), "2 probabilities for 1 arms"),
        (lambda g, b, x: g.cond([(b, [x]), (b, [])]), "has 1 arguments, its arms take 2"),
        (lambda g, b, x: g.cond([(b, [x]), (other_shape(g), [x])]), "in the first arm and"),
        (lambda g, b, x: fc.Graph().loop(b, [], times=1), "was not made by this graph"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_and_leaves_the_graph_as_it_was(wrong, text):
    g = fc.Graph()
    body, x = square(g, "body", 2), g.input("x", (2, 2))
    other = g.core.n_blocks
    with pytest.raises((ValueError, TypeError), match=text):
        wrong(g, body, x)
    assert all("runs" not in node for node in g.nodes())
    assert g.core.n_blocks <= other + 1
    assert g.relu(x).shape == (2, 2)


def other_shape(g: fc.Graph) -> fc.Graph:
    body = g.subgraph("other")
    body.input("x", (2, 2))
    body.output(body.constant((5,)))
    return body


def test_a_state_that_changes_shape_is_refused():
    g = fc.Graph()
    body = g.subgraph("body")
    x = body.input("x", (2, 3))
    body.output(body.transpose(x, (1, 0)))
    with pytest.raises(
        fc.ShapeError, match=r"goes in as \[2, 3\] float32 and must come out as .* comes out as \[3, 2\]"
    ):
        g.loop(body, [g.input("x", (2, 3))], times=4)


def arms(probabilities: list[object] | None, dim: int | fc.Expr = 10) -> fc.Graph:
    """An if of 1000 multiply-adds, of 10 * dim * dim, and of nothing."""
    g = fc.Graph()
    big, small, nothing = square(g, "big", 10), g.subgraph("small"), g.subgraph("nothing")
    x = small.input("x", (10, 10))
    small.matmul(small.constant((10, dim)), small.constant((dim, dim)))
    small.output(x)
    nothing.output(nothing.input("x", (10, 10)))
    x = g.input("x", (10, 10))
    g.cond([(big, [x]), (small, [x]), (nothing, [x])], probabilities=probabilities, name="pick")  # type: ignore[arg-type]
    return g


def test_the_arms_of_an_if_are_joined_as_the_convention_says():
    tally = fc.count(arms(["0.1", Fraction(1, 5), 0.7], 5))
    rule = {way: resolved("macs", way) for way in ("probability", "max", "min", "both")}
    assert tally.flop(rule["probability"]) == 100 + 50
    assert tally.flop(rule["max"]) == 1000
    assert tally.flop(rule["min"]) == 0
    assert tally.flop(rule["both"]) == 1250
    assert tally.flop(rule["both"], by="module") == {"pick.big": 1000, "pick.small": 250}
    assert tally.flop(rule["max"], by="module") == {"pick.big": 1000}
    assert tally.flop(rule["min"], by="module") == {}
    assert tally.parameters == 100
    assert [(f.kind, f.arm, f.probability) for f in tally.frames()] == [
        ("branch", 0, Fraction(1, 10)),
        ("branch", 1, Fraction(1, 5)),
        ("branch", 2, Fraction(7, 10)),
    ]
    # Prices decide which arm is dearer: with adds alone, neither arm costs a thing.
    assert tally.flop("model") == 2 * 150


def test_which_arm_is_dearer_may_depend_on_a_dim():
    n = fc.dim("n")
    g = arms(None, n)
    tally = fc.count(g)
    dearest = tally.flop(resolved("macs", "max"))
    assert [dearest.at({"n": size}) for size in (1, 9, 10, 11)] == [1000, 1000, 1000, 1210]
    assert [fc.count(g, at={"n": size}).flop("macs", by="module") for size in (9, 11)] == [
        {"pick.big": 1000},
        {"pick.small": 1210},
    ]
    assert tally.flop(resolved("macs", "min")) == 0
    with pytest.raises(fc.ConventionError, match=r"which arm is the dearest depends on dims.*count\(at=\)"):
        tally.flop("macs", by="module")
    with pytest.raises(fc.ConventionError, match="the arms have no probabilities"):
        tally.flop("model")


def test_a_recomputation_is_of_its_own_phase_and_owns_no_weights():
    g = fc.Graph()
    block = g.subgraph("block")
    block.output(block.call(square(block, "inner", 10), [block.input("x", (10, 10))], times=3))  # type: ignore[arg-type]
    x = g.input("x", (10, 10))
    g.call(block, [x])
    (y,) = g.recompute(block, [x])
    assert y.shape == (10, 10)
    tally = fc.count(g)
    assert tally.flop("hardware", by="phase") == {"forward": 6000, "recompute": 6000}
    assert tally.flop("model") == 6000
    assert tally.parameters == 300
    assert verify(g, tally, fc.convention("hardware")) == 12000


def test_hostile_depth_and_breadth_end():
    g = fc.Graph()
    body = square(g, "deepest", 2)
    for level in range(30_000):
        outer = g.subgraph(f"level{level}")
        outer.output(*outer.loop(body, [outer.input("x", (2, 2))], times=1))
        body = outer
    g.loop(body, [g.input("x", (2, 2))], times=5)
    assert fc.count(g).flop("macs") == 40
    g = fc.Graph()
    body = square(g, "deepest", 2)
    for level in range(300):
        outer = g.subgraph(f"level{level}")
        outer.output(*outer.loop(body, [outer.input("x", (2, 2))], times=1))
        body = outer
    g.loop(body, [g.input("x", (2, 2))], times=5)
    with pytest.raises(fc.GraphError, match="nested more than 200 deep"):
        verify(g, fc.count(g), fc.convention("macs"))
    g = fc.Graph()
    body = square(g, "deepest", 2)
    for level in range(60):  # each runs the last one four times: 4^60 runs in all
        outer = g.subgraph(f"level{level}")
        outer.output(*outer.loop(body, [outer.input("x", (2, 2))], times=4))
        body = outer
    g.loop(body, [g.input("x", (2, 2))], times=1)
    assert fc.count(g).flop("macs") == 8 * 4**60
    g.loop(body, [g.input("y", (2, 2))], times=4**4)
    with pytest.raises(fc.CountOverflowError):
        fc.count(g).flop("macs")
