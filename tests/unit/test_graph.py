"""Shapes, scopes, subgraphs and errors of the graph builder."""

from __future__ import annotations

import numpy as np
import pytest

import flopcore as fc


def test_infers_shapes_of_a_small_network():
    g = fc.Graph()
    x = g.input("x", (2, 3, 32, 30))
    y = g.conv(x, g.parameter("w", (8, 3, 3, 5)), stride=2, padding=[(1, 0), (2, 1)])
    assert y.shape == (2, 8, (32 + 1 - 3) // 2 + 1, (30 + 3 - 5) // 2 + 1)
    assert g.max_pool(y, 2).shape == (2, 8, 8, 7)
    assert g.global_average_pool(y).shape == (2, 8, 1, 1)
    assert g.flatten(y).shape == (2, 8 * 16 * 15)
    assert g.transpose(y, (0, 2, 3, 1)).shape == (2, 16, 15, 8)
    assert g.reduce_mean(y, (2, -1), keepdims=True).shape == (2, 8, 1, 1)
    assert g.reduce_sum(y).shape == ()


def test_symbolic_dims_stay_symbolic():
    g = fc.Graph()
    batch, seq = fc.dim("batch"), fc.dim("seq")
    x = g.input("x", (batch, seq, 64), "bfloat16")
    heads = g.reshape(x, (batch, seq, 4, -1))
    assert heads.shape == (batch, seq, 4, 16)
    q = g.transpose(heads, (0, 2, 1, 3))
    y = g.attention(q, q, q, causal="top_left")
    assert y.shape == (batch, 4, seq, 16)
    assert y.dtype == "bfloat16"
    assert g.dims == {"batch": (1, None, 1), "seq": (1, None, 1)}


def test_matmul_broadcasts_as_numpy():
    shapes = [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((5, 1, 2, 3), (7, 3, 4)),
        ((4, 2, 3), (3, 6)),
        ((3,), (5, 3, 2)),
    ]
    for a, b in shapes:
        g = fc.Graph()
        got = g.matmul(g.input("a", a), g.input("b", b)).shape
        assert got == np.matmul(np.zeros(a), np.zeros(b)).shape


def test_scopes_nest():
    g = fc.Graph()
    x = g.input("x", (4,))
    with g.scope("encoder"), g.scope("layers.0"):
        g.relu(x, name="act")
    node = list(g.nodes())[-1]
    assert (node["scope"], node["name"], node["op"]) == ("encoder.layers.0", "act", "relu")


def test_subgraph_parameters_per_call_and_shared():
    g = fc.Graph()
    body = g.subgraph("layer")
    h = body.input("h", (4, 16))
    body.output(body.linear(h, body.parameter("w", (16, 16))))
    x = g.input("x", (4, 16))
    y = g.call(body, [x], times=3, scope="layers")
    assert isinstance(y, fc.Tensor)
    assert g.parameters == 3 * 256
    z = g.call(body, [y], times=5, params="shared")
    z = g.call(body, [z], times=2, params="shared")
    assert g.parameters == 4 * 256
    assert fc.count(g).flop("macs") == (3 + 5 + 2) * 4 * 16 * 16


def test_bulk_append_equals_one_by_one():
    g = fc.Graph()
    first = g.append_leaves("parameter", [(4, 8), (8, 2)])
    nodes = g.append_nodes(ops=["matmul", "relu"], inputs=[[first, first + 1], [first + 2]])
    assert [g.tensor(nodes + i).shape for i in range(2)] == [(4, 2), (4, 2)]
    assert fc.count(g).flop("macs") == 4 * 8 * 2


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda g: g.input("x", (-1, 3)), fc.ShapeError, "negative"),
        (lambda g: g.input("x", (2**130,)), fc.CountOverflowError, "127 bits"),
        (lambda g: g.input("x", (3,), "float33"), fc.ShapeError, "float33"),
        (lambda g: g.input("x", (2.5,)), TypeError, "2.5"),
        (lambda g: g.input("x", (2,), None), TypeError, "dtype must be a str, not None"),
        (lambda g: g.input(3, (2,)), TypeError, "name must be a str, not 3"),
        (lambda g: g.op("relu", [g.input("x", (2,))], name=None), TypeError, "op, name and origin must be str"),
        (lambda g: g.tensor(-1), fc.GraphError, "no tensor #-1; there are 0"),
        (lambda g: g.op("no_such_op", []), fc.UnsupportedOp, "no_such_op"),
        (lambda g: g.op("add", [g.input("x", (3,))]), fc.GraphError, "inputs"),
        (lambda g: g.op("relu", [g.input("x", (3,))], {"slope": 1}), fc.ShapeError, "slope"),
        (lambda g: g.op("gelu", [g.input("x", (3,))], {"approximate": "erf"}), fc.ShapeError, "none, tanh"),
        (lambda g: g.add(g.input("a", (3,)), g.input("b", (4,))), fc.ShapeError, "3 and 4"),
        (lambda g: g.add(g.input("a", (3,)), g.input("b", (3,), "float16")), fc.ShapeError, "cast"),
        (lambda g: g.matmul(g.input("a", (2, 0)), g.input("b", (0, 2))), fc.ShapeError, "empty"),
        (lambda g: g.conv(g.input("x", (1, 4, 8)), g.parameter("w", (8, 3, 3))), fc.ShapeError, "check groups="),
        (lambda g: g.conv(g.input("x", (1, 4, 2)), g.parameter("w", (8, 4, 3))), fc.ShapeError, "window spans 3"),
        (
            lambda g: g.max_pool(g.input("x", (1, 4, 8)), 2.5),
            TypeError,
            "kernel must be an int or one per dim, not 2.5",
        ),
        (lambda g: g.reshape(g.input("x", (6,)), (4, -1)), fc.ShapeError, "element counts"),
        (lambda g: g.reshape(g.input("x", (6,)), (4, 2)), fc.ShapeError, "before and after differ: 6 and 8"),
        (lambda g: g.einsum("αβ->βα", g.input("x", (6, 2))), fc.ShapeError, "letter"),
        (lambda g: g.transpose(g.input("x", (6, 2)), (0, 0)), fc.ShapeError, "twice"),
        (lambda g: g.slice(g.input("x", (6,)), axis=0, start=2, stop=9), fc.ShapeError, "start <= stop"),
        (lambda g: g.softmax(g.input("x", (6,)), axis=3), fc.ShapeError, "axis 3"),
        (lambda g: g.relu(fc.Graph().input("x", (6,))), fc.GraphError, "another graph"),
        (lambda g: g.relu("x"), TypeError, "Tensor"),
    ],
)
def test_bad_input_is_one_clear_error(build, error, text):
    g = fc.Graph()
    with pytest.raises(error, match=text.replace("|", r"\|")):
        build(g)
    assert g.core.n_nodes == len(list(g.nodes()))


def test_errors_name_the_node():
    g = fc.Graph()
    with (
        g.scope("enc.3"),
        pytest.raises(fc.ShapeError, match=r"conv node 'enc.3.proj' \(#2\): weight has 3 input channels"),
    ):
        g.conv(g.input("x", (1, 4, 8)), g.parameter("w", (8, 3, 3)), name="proj")


def test_cycle_in_bulk_append():
    g = fc.Graph()
    first = g.append_leaves("input", [(4,)])
    with pytest.raises(fc.GraphError, match="cycle"):
        g.append_nodes(ops=["add", "relu"], inputs=[[first, first + 2], [first + 1]])


def test_unfinished_subgraph_and_changed_after_finish():
    g = fc.Graph()
    body = g.subgraph("body")
    h = body.input("h", (4,))
    x = g.input("x", (4,))
    with pytest.raises(fc.GraphError, match="not finished"):
        g.call(body, [x])
    body.output(body.relu(h))
    with pytest.raises(fc.GraphError, match="finished"):
        body.relu(h)
    with pytest.raises(fc.ShapeError, match="argument 0"):
        g.call(body, [g.input("y", (5,))])
    other = g.subgraph("other")
    with pytest.raises(fc.GraphError, match="another block"):
        other.output(fc.Tensor(other, h.id))


def test_split_has_an_output_per_size():
    g = fc.Graph()
    x = g.input("x", (fc.dim("batch"), 12), "float16")
    parts = g.split(x, [5, 0, 7], axis=1, name="cut")
    assert [part.shape[1] for part in parts] == [5, 0, 7]
    assert {part.dtype for part in parts} == {"float16"}
    assert list(g.nodes())[-1]["outputs"] == [part.id for part in parts]
    many = g.split(g.input("y", (200,)), [2] * 100)
    assert [part.shape for part in many] == [(2,)] * 100
    g.relu(parts[2])
    tally = fc.count(g, at={"batch": 3})
    amounts = {(row.op, row.feature): row.base for row in tally.rows() if row.name == "cut" or row.op == "relu"}
    assert amounts["split", "move"] == amounts["split", "out_elems"] == 36
    assert amounts["split", "bytes_written"] == 72
    assert amounts["relu", "cmp"] == 21
    with pytest.raises(fc.ShapeError, match="the sum of sizes and the dim that is split differ: 11 and 12"):
        g.split(x, [5, 6], axis=1)


def test_bulk_append_numbers_the_outputs_of_one_node_side_by_side():
    g = fc.Graph()
    x = g.append_leaves("input", [(2, 6)])
    first = g.append_nodes(
        ["split", "relu", "add"],
        [[x], [x + 2], [x + 3, x + 2]],
        [{"axis": 1, "sizes": [1, 5]}, {}, {}],
    )
    assert first == x + 1
    assert [g.tensor(first + i).shape for i in range(4)] == [(2, 1), (2, 5), (2, 5), (2, 5)]
    assert fc.count(g).flop("all-arithmetic") == 10 * 2


def test_a_graph_of_scalars_alone_has_inputs() -> None:
    g = fc.Graph()
    x = g.input("x", ())
    g.add(x, x)
    rows = {row.feature: row.base for row in fc.count(g).rows()}
    assert rows == {"add": 1, "in_elems": 2, "out_elems": 1, "bytes_read": 8, "bytes_written": 4}


def test_padding_modes_windows_and_caches():
    g = fc.Graph()
    side = fc.dim("side")
    y = g.conv(g.input("x", (1, 3, side)), g.parameter("w", (4, 3, 3)), stride=2, padding="same_upper")
    assert [size for size in y.shape if not isinstance(size, int)] == [fc.ceildiv(side, 2)]
    past, window = fc.dim("past", min=0), fc.dim("window")
    new = (1, 2, 1, 8)
    q, k, v = (g.input(name, new) for name in "qkv")
    cache = (g.input("pk", (1, 2, past, 8)), g.input("pv", (1, 2, past, 8)))
    g.attention(q, k, v, causal="bottom_right", window=window, past=cache)
    (scores,) = [row for row in fc.count(g).rows() if row.op == "attention" and row.feature == "mac"]
    (seen,) = scores.extents
    assert (seen.kind, seen.nominal) == ("window", past + 1)
    for length, width in ((0, 1), (9, 4), (3, 30)):
        assert seen.used.value({"past": length, "window": width}) == min(length + 1, width)
    with pytest.raises(fc.ShapeError, match="past_k and past_v come together"):
        g.op("attention", [q, k, v, None, None, cache[0]])
    with pytest.raises(fc.ShapeError, match="equation names 2 dims of operand 0"):
        g.einsum("ij->i", q)
