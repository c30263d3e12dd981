"""Ops written in Python: asked once, kept as expressions, priced, bound and recounted without Python."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest

import flopcore as fc
from flopcore.reference import verify


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    for name in fc.user_ops():
        fc.unregister_op(name)


def same(inputs, attrs):
    return fc.TensorType(inputs[0].shape, inputs[0].dtype)


def test_rules_are_asked_once_and_the_answer_is_kept_as_an_expression():
    asked = []

    def infer(inputs, attrs):
        asked.append("infer")
        x, w, bias = inputs
        assert bias is None
        return fc.TensorType((*x.shape[:-1], w.shape[0]), x.dtype), fc.TensorType((), "int64")

    def count(inputs, outputs, attrs):
        asked.append("count")
        seq = inputs[0].shape[1]
        window = fc.Extent("causal", seq * seq, seq * (seq + 1) // 2, "exact")
        return [("mac", attrs["heads"] * inputs[0].shape[0], window), ("exp", outputs[0].n, None)]

    fc.register_op("acme::Mix", infer=infer, count=count, weights=[1])
    batch, seq = fc.dim("batch"), fc.dim("seq")
    g = fc.Graph()
    body = g.subgraph("layer")
    x, w = body.input("x", (batch, seq, 8)), body.parameter("w", (8, 8))
    y, index = body.op_outputs("acme::Mix", [x, w, None], {"heads": 2}, name="mix", origin="onnx:acme::Mix")
    assert (str(y.shape), index.shape, index.dtype) == (str((batch, seq, 8)), (), "int64")
    body.output(body.relu(y))
    g.call(body, [g.input("x", (batch, seq, 8))], times=5)
    assert asked == ["infer", "count"]
    tally, at = fc.count(g), {"batch": 3, "seq": 6}
    assert tally.flop("macs", at=at) == fc.count(g, at=at).flop("macs") == 5 * 2 * 3 * 36
    assert set(fc.count(g, at=at).flop("all-arithmetic", by="op")) == {"acme::Mix", "relu"}
    rows = {row.feature: row.base for row in fc.count(g, at=at).rows() if row.op == "acme::Mix"}
    assert rows["out_elems"] == 3 * 6 * 8 + 1
    assert (rows["weight_elems"], rows["in_elems"]) == (64, 144)
    assert rows["bytes_written"] == 4 * 144 + 8
    (extent,) = next(row for row in fc.count(g, at=at).rows() if row.feature == "mac").extents
    assert (extent.nominal, extent.used) == (36, 21)
    for name in ("macs", "all-arithmetic", "hardware"):
        verify(g, tally, fc.convention(name), at=at)
    assert asked == ["infer", "count"]
    fc.unregister_op("acme::Mix")
    assert fc.count(g, at=at).flop("macs") == 1080
    with pytest.raises(fc.UnsupportedOp, match="acme::Mix"):
        g.op("acme::Mix", [g.input("z", (1,))])


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        ({"macs": 1}, fc.DataError, "'macs' is not a feature; did you mean 'mac'"),
        ({"out_elems": 1}, fc.DataError, "worked out from the shapes"),
        ({"mac": 1.5}, TypeError, "must be an int or an Expr, not 1.5"),
        ({"mac": True}, TypeError, "not True"),
        ({"mac": Fraction(1, 2)}, TypeError, "must be an int"),
        ({"mac": -3}, fc.DataError, "is -3, must be 0 or more"),
        ({"mac": -fc.dim("n")}, fc.ShapeError, "the amount of mac is negative: -n"),
        ([("mac", 1, fc.Extent("causal", 4, -1, "exact"))], fc.DataError, "causal, used"),
        ([("mac", 1, fc.Extent("causal", 4, 5, "exact"))], fc.DataError, "uses 5 of 4"),
        ([("mac", 1, fc.Extent("windy", 4, 1, "exact"))], fc.GraphError, "'windy' is no known extent kind"),
        ([("mac", 1, None)] * 30, fc.GraphError, "more than"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_one_clear_error(said, error, text):
    fc.register_op("mine", infer=same, count=lambda inputs, outputs, attrs: said)
    g = fc.Graph()
    x = g.input("x", (fc.dim("n"), 3))
    with pytest.raises(error, match=text) as caught:
        g.op("mine", [x], name="it")
    assert "mine" in str(caught.value) + "".join(getattr(caught.value, "__notes__", ()))
    assert g.core.n_nodes == 1
    assert g.relu(x).id == x.id + 1


def test_an_amount_that_turns_negative_is_found_when_it_is_bound():
    n = fc.dim("n", min=0)
    fc.register_op("mine", infer=same, count=lambda inputs, outputs, attrs: {"mac": n * n - 4})
    g = fc.Graph()
    g.op("mine", [g.input("x", (n,))], name="it")
    assert fc.count(g, at={"n": 3}).flop("macs") == 5
    with pytest.raises(fc.ShapeError, match=r"mine node 'it' .*negative once dims are bound"):
        fc.count(g, at={"n": 1})
    with pytest.raises(fc.ShapeError, match="negative"):
        verify(g, fc.count(g), fc.convention("macs"), at={"n": 1})


def test_infer_must_return_types():
    fc.register_op("mine", infer=lambda inputs, attrs: [(2, 3)], count=lambda *_: {})
    fc.register_op("nothing", infer=lambda inputs, attrs: [], count=lambda *_: {})
    fc.register_op("minus", infer=lambda inputs, attrs: fc.TensorType((-2,)), count=lambda *_: {})
    g = fc.Graph()
    x = g.input("x", (2,))
    with pytest.raises(TypeError, match="infer of op 'mine' must return TensorType, not tuple"):
        g.op("mine", [x])
    with pytest.raises(fc.GraphError, match="has no outputs"):
        g.op("nothing", [x])
    with pytest.raises(fc.ShapeError, match="dim -2 is negative"):
        g.op("minus", [x])


def test_rules_are_functions():
    with pytest.raises(TypeError, match="count must be a function, not 3"):
        fc.register_op("mine", infer=same, count=3)


def test_names_are_unique():
    fc.register_op("mine", infer=same, count=lambda *_: {})
    with pytest.raises(fc.GraphError, match="registered already"):
        fc.register_op("mine", infer=same, count=lambda *_: {})
    fc.register_op("mine", infer=same, count=lambda *_: {"add": 7}, replace=True)
    for taken in ("conv", "loop", "input"):
        with pytest.raises(fc.GraphError, match=f"'{taken}' exists already"):
            fc.register_op(taken, infer=same, count=lambda *_: {})
    for wrong in ("", "two words", ".hidden"):
        with pytest.raises(fc.GraphError, match="cannot be called"):
            fc.register_op(wrong, infer=same, count=lambda *_: {})
    with pytest.raises(fc.GraphError, match="no op 'theirs' is registered; registered: mine"):
        fc.unregister_op("theirs")
    g = fc.Graph()
    g.op("mine", [g.input("x", (2,))])
    assert fc.count(g).flop("all-arithmetic") == 7
    assert fc.count(g).explain("all-arithmetic").total == 7


def test_conventions_that_name_no_op_apply_to_registered_ops():
    fc.register_op("mine", infer=same, count=lambda inputs, outputs, attrs: {"mac": inputs[0].n})
    g = fc.Graph()
    g.op("mine", [g.input("x", (10,), "int8")])
    assert fc.count(g).flop("fp-only") == 0
    assert fc.count(g).flop("int-or-fp") == 20
