"""Counts worked out by hand, breakdowns, symbolic and bound."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

import flopcore as fc


def rows_of(graph: fc.Graph, op: str) -> dict[tuple[str, int], object]:
    """(feature, position) -> base, for the rows of one op."""
    return {(row.feature, i): row.base for i, row in enumerate(fc.count(graph).rows()) if row.op == op}


def test_linear_with_bias():
    g = fc.Graph()
    g.linear(g.input("x", (3, 5)), g.parameter("w", (7, 5)), g.parameter("b", (7,)))
    amounts = {row.feature: row.base for row in fc.count(g).rows()}
    assert amounts == {
        "mac": 105,
        "outputs": 21,
        "add": 21,
        "out_elems": 21,
        "in_elems": 15,
        "weight_elems": 42,
        "bytes_read": 4 * (15 + 42),
        "bytes_written": 84,
        "weight_bytes": 4 * 42,
    }
    assert fc.count(g).flop("all-arithmetic") == 105 + (105 - 21) + 21


def test_three_million_cube_is_exact():
    g = fc.Graph()
    g.matmul(g.input("a", (3000001, 3000001)), g.input("b", (3000001, 3000001)))
    assert fc.count(g).flop("macs") == 27000027000009000001


def test_overflow_names_the_op():
    g = fc.Graph()
    n = 2**45
    g.matmul(g.input("a", (n, n)), g.input("b", (n, n)), name="huge")
    with pytest.raises(fc.CountOverflowError, match="matmul node 'huge'"):
        fc.count(g)
    with pytest.raises(OverflowError):
        fc.count(g)


def test_overflow_of_a_sum_names_the_op():
    g = fc.Graph()
    a = g.input("a", (2**42, 2**42))
    b = g.input("b", (2**42, 2**42))
    for i in range(3):
        g.matmul(a, b, name=f"m{i}")
    tally = fc.count(g)
    with pytest.raises(fc.CountOverflowError, match="matmul node 'm1'"):
        tally.flop("macs")


def test_causal_extent_nominal_and_used():
    g = fc.Graph()
    seq = fc.dim("seq")
    q = g.input("q", (1, 8, seq, 64))
    k = g.input("k", (1, 2, seq, 64))
    g.attention(q, k, k, causal="top_left")
    tally = fc.count(g)
    assert tally.flop("macs") == 8 * 128 * seq**2
    (extent,) = {row.extents[0] for row in tally.rows() if row.extents}
    assert (extent.kind, extent.grade) == ("causal", "exact")
    assert extent.used == seq * (seq + 1) / 2 if isinstance(extent.used, Fraction) else True
    assert extent.used.at({"seq": 5}) == 15
    assert {row.variant for row in tally.rows()} == {("causal", "gqa")}


@pytest.mark.parametrize(
    ("align", "s", "t"), [(a, s, t) for a in ("top_left", "bottom_right") for s in (1, 3, 6) for t in (1, 4, 6)]
)
def test_causal_pairs_by_enumeration(align, s, t):
    g = fc.Graph()
    q, k = g.input("q", (1, 1, s, 2)), g.input("k", (1, 1, t, 2))
    g.attention(q, k, k, causal=align)
    offset = 0 if align == "top_left" else t - s
    expected = sum(1 for i in range(s) for j in range(t) if j <= i + offset)
    (extent,) = {row.extents[0] for row in fc.count(g).rows() if row.feature == "mac"}
    assert (extent.nominal, extent.used) == (s * t, expected)


def test_breakdowns_sum_to_the_total():
    g = fc.Graph()
    body = g.subgraph("layer")
    h = body.input("h", (4, 16))
    with body.scope("mlp"):
        h2 = body.relu(body.linear(h, body.parameter("w", (16, 16)), body.parameter("b", (16,)), name="fc"))
    body.output(h2)
    y = g.call(body, [g.input("x", (4, 16))], times=3, scope="layers")
    g.linear(y, g.parameter("head", (2, 16)))
    tally = fc.count(g)
    total = tally.flop("all-arithmetic")
    for by in ("op", "module", "dtype", "phase", "feature"):
        parts = tally.flop("all-arithmetic", by=by)
        assert sum(parts.values()) == total
    assert tally.flop("macs", by="module") == {"": 4 * 16 * 2, "layers.[0..2].mlp": 3 * 4 * 256}
    assert tally.flop("macs", by="op") == {"linear": 3 * 4 * 256 + 128}
    assert [f.times for f in tally.frames()] == [3]


def test_bound_before_equals_bound_after():
    g = fc.Graph()
    batch, seq = fc.dim("batch"), fc.dim("seq", multiple_of=2)
    x = g.input("x", (batch, seq, 32))
    half = g.reshape(x, (batch, seq // 2, 64))
    body = g.subgraph("b")
    hb = body.input("h", (batch, seq // 2, 64))
    body.output(body.softmax(body.linear(hb, body.parameter("w", (64, 64)))))
    g.call(body, [half], times=seq)
    at = {"batch": 3, "seq": 10}
    for convention in ("macs", "all-arithmetic"):
        assert fc.count(g).flop(convention, at=at) == fc.count(g, at=at).flop(convention)
    assert fc.count(g).flop("macs") == batch * seq * seq * 2048
    assert fc.count(g).parameters == seq * 64 * 64


@pytest.mark.parametrize(
    ("at", "text"),
    [({"sequence": 4}, "its dims are batch, seq"), ({"seq": 3}, "multiple of 2"), ({"batch": 0}, "at least 1")],
)
def test_bad_bindings(at, text):
    g = fc.Graph()
    g.relu(g.input("x", (fc.dim("batch"), fc.dim("seq", multiple_of=2))))
    with pytest.raises(fc.DataError, match=text):
        fc.count(g, at=at)


def test_four_bit_weights_round_bytes_up():
    g = fc.Graph()
    g.reduce_sum(g.input("x", (5,), "int4"))
    amounts = {row.feature: row.base for row in fc.count(g).rows()}
    assert (amounts["bytes_read"], amounts["bytes_written"]) == (3, 1)


def test_embedding_reads_the_rows_it_gathers():
    g = fc.Graph()
    g.embedding(g.parameter("table", (50000, 64)), g.input("ids", (2, 7), "int64"))
    amounts = {row.feature: row.base for row in fc.count(g).rows()}
    assert amounts == {
        "gather": 896,
        "out_elems": 896,
        "in_elems": 14,
        "weight_elems": 3200000,
        "bytes_read": 14 * 8 + 896 * 4,
        "bytes_written": 896 * 4,
        "weight_bytes": 896 * 4,
    }


def test_parameter_operand_of_matmul_is_a_weight():
    g = fc.Graph()
    g.matmul(g.input("a", (2, 3)), g.parameter("b", (3, 4)))
    amounts = {row.feature: row.base for row in fc.count(g).rows()}
    assert (amounts["in_elems"], amounts["weight_elems"]) == (6, 12)


def decoder_layers(layers: int = 3) -> fc.Graph:
    """Layers that share nothing: a bfloat16 linear with a bias, then attention of its output over 7 keys."""
    g = fc.Graph()
    body = g.subgraph("layer")
    x = body.input("x", (2, 4, 5, 8), "bfloat16")
    y = body.linear(x, body.parameter("w", (8, 8), "bfloat16"), body.parameter("b", (8,), "float32"))
    k = body.constant((2, 4, 7, 8), "bfloat16", name="k")
    body.output(body.attention(y, k, k))
    x = g.input("x", (2, 4, 5, 8), "bfloat16")
    g.call(body, [x], times=layers, scope="layers")
    return g


def test_bytes_tell_weights_activations_and_cache_apart():
    moved = fc.count(decoder_layers()).bytes()
    hidden, keys = 2 * (2 * 4 * 5 * 8), 2 * (2 * 4 * 7 * 8)
    assert moved.weights == 3 * (2 * 64 + 4 * 8)
    assert moved.activations == 3 * (hidden + hidden + 2 * keys)
    assert moved.writes == 3 * 2 * hidden
    assert moved.cache == 3 * 2 * keys
    assert moved.reads == moved.weights + moved.activations
    by_op = fc.count(decoder_layers()).bytes(by="op")
    assert by_op["linear"].to_dict() == {
        "weights": 480, "activations": 1920, "reads": 2400, "writes": 1920, "cache": 0,
    }  # fmt: skip
    assert by_op["attention"].cache == moved.cache


def test_bytes_stay_symbolic_and_bind():
    batch = fc.dim("batch")
    g = fc.Graph()
    g.linear(g.input("x", (batch, 16)), g.parameter("w", (4, 16)))
    moved = fc.count(g).bytes()
    assert (moved.weights, moved.activations, moved.writes) == (256, 64 * batch, 16 * batch)
    assert moved.to_dict()["activations"] == "64*batch"
    assert fc.count(g).bytes(at={"batch": 3}).activations == 192
    with pytest.raises(fc.DataError, match="features themselves"):
        fc.count(g).bytes(by="feature")


def test_bytes_of_views_and_of_nothing_are_none():
    g = fc.Graph()
    assert fc.count(g).bytes().to_dict() == dict.fromkeys(("weights", "activations", "reads", "writes", "cache"), 0)
    g.reshape(g.parameter("w", (2, 3)), (3, 2))
    assert fc.count(g).bytes().reads == 0


def test_training_is_a_factor_where_the_convention_says_so():
    tally = fc.count(decoder_layers())
    assert tally.training_flop("deepspeed") == 3 * tally.flop("deepspeed")
    with pytest.raises(fc.DataError, match="macs prices a backward pass by its rows, and this tally has none"):
        tally.training_flop("macs")


def test_kinds_are_what_conventions_can_tell_apart():
    g = fc.Graph()
    x = g.input("x", (2, 8))
    for name, bias in (("a", True), ("b", True), ("c", False)):
        with g.scope("mlp"):
            g.linear(x, g.parameter("w", (4, 8)), g.parameter("v", (4,)) if bias else None, name=name)
    kinds = fc.count(g).kinds()
    assert [(kind.op, kind.variant, kind.dtype, kind.nodes, kind.example) for kind in kinds] == [
        ("linear", ("bias",), "float32", 2, "mlp.a"),
        ("linear", (), "float32", 1, "mlp.c"),
    ]


def test_ragged_product_of_experts_has_every_expert_as_its_nominal_size() -> None:
    tokens, top_k, experts, width, inner = fc.dim("tokens"), 2, 8, 16, 24
    graph = fc.Graph()
    rows = graph.input("rows", (top_k * tokens, width))
    weight = graph.parameter("up", (experts, width, inner))
    graph.op("ragged_matmul", [rows, weight, graph.constant((experts,), "int64")], {"top_k": top_k})
    tally = fc.count(graph)
    macs = fc.convention("macs")
    dense = replace(macs, extents={**macs.extents, "experts": "nominal"})
    assert tally.flop(macs) == top_k * tokens * width * inner
    assert tally.flop(dense) == experts * tokens * width * inner
    small = fc.Graph()
    inputs = [small.input("rows", (7, 4)), small.parameter("up", (3, 4, 5)), small.constant((3,), "int64")]
    with pytest.raises(fc.ShapeError, match="the ragged dim is 7, which is not known to be a multiple of 2"):
        small.op("ragged_matmul", inputs, {"top_k": 2})


@pytest.mark.parametrize(
    ("op", "shapes", "dtypes", "attrs", "wanted"),
    [
        (
            "matmul",
            [(2, 4), (4, 3)],
            ("float16", "float16"),
            {"accumulate": "float32"},
            "float16 float16 float32 float16",
        ),
        (
            "einsum",
            [(2, 4), (4, 3)],
            ("int8", "int8"),
            {"equation": "ij,jk", "dtype": "int32"},
            "int8 int8 int32 int32",
        ),
        (
            "conv",
            [(1, 4, 9), (3, 4, 3)],
            ("float16", "int8"),
            {"accumulate": "float32"},
            "float16 int8 float32 float16",
        ),
        ("linear", [(2, 4), (3, 4)], ("float32", "int4"), {}, "float32 int4 float32 float32"),
        ("quantized_matmul", [(2, 4), (4, 3)], ("uint8", "int8"), {"dtype": "uint8"}, "uint8 int8 int32 uint8"),
    ],
)
def test_four_dtypes_of_a_contraction_are_kept(
    op: str, shapes: list[tuple[int, ...]], dtypes: tuple[str, str], attrs: dict[str, str], wanted: str
) -> None:
    graph = fc.Graph()
    inputs = [graph.input(f"x{i}", shape, dtype) for i, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True))]
    y = graph.op(op, inputs, attrs)
    assert y.dtype == wanted.split()[3]
    assert {row.dtypes for row in fc.count(graph).rows()} == {tuple(wanted.split())}


def heads_of(graph: fc.Graph, *lengths: int) -> list[fc.Tensor]:
    return [graph.input(f"x{i}", (2, 4, length, 8)) for i, length in enumerate(lengths)]


def test_attention_over_pages_is_attention_over_the_keys_in_them() -> None:
    paged, whole = fc.Graph(), fc.Graph()
    pages = [paged.input(name, (20, 4, 16, 8)) for name in ("k", "v")]
    paged.op("paged_attention", [*heads_of(paged, 3), *pages, paged.input("table", (2, 5), "int32")], {"size": 70})
    whole.op("attention", heads_of(whole, 3, 70, 70), {"causal": "bottom_right"})
    assert fc.count(paged).flop("all-arithmetic") == fc.count(whole).flop("all-arithmetic")
    assert fc.count(paged).flop("macs") == 2 * 4 * 3 * (5 * 16) * 16  # all slots of all pages
    room = fc.Graph()
    slots = [room.input(name, (20, 4, 16, 8)) for name in ("k", "v")]
    inputs = [*heads_of(room, 3), *slots, room.input("table", (2, 5), "int32")]
    with pytest.raises(fc.ShapeError, match="the keys of a sequence and its pages must not fall: 90 and 80"):
        room.op("paged_attention", inputs, {"size": 90})


def test_blocks_of_a_mask_are_the_scores_that_are_left() -> None:
    every, some = fc.Graph(), fc.Graph()
    every.op("attention", heads_of(every, 64, 64, 64), {"blocks": 16, "block": 16})
    some.op("attention", heads_of(some, 64, 64, 64), {"blocks": 4, "block": 16})
    full = fc.Graph()
    full.attention(*heads_of(full, 64, 64, 64))
    for rule in ("macs", "model", "all-arithmetic"):
        assert fc.count(every).flop(rule) == fc.count(full).flop(rule)
    macs = fc.convention("macs")
    used = replace(macs, extents={**macs.extents, "sparsity": "used"})
    assert fc.count(some).flop(used) * 4 == fc.count(some).flop(macs) == fc.count(full).flop(macs)
