"""The reference counts small graphs as one counts them by hand, or by running the loops and counting."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from flopcore.conventions import convention
from flopcore.errors import DataError, GraphError, ShapeError, UnsupportedOp
from flopcore.reference import Extent, count, count_parameters, price
from flopcore.specification import specification

Data = dict[str, Any]


def single(
    op: str, shapes: list[tuple[Any, ...] | None], attrs: Data | None = None, kinds: str = "", **more: Any
) -> Data:
    """A graph of one node; `kinds` says i (input, the default), p (parameter) or c (constant) per tensor."""
    names = {"i": "input", "p": "parameter", "c": "constant"}
    numbers = [number for number, shape in enumerate(shapes) if shape is not None]
    kinds = kinds.ljust(len(shapes), "i")
    leaves = [{"op": names[kinds[number]], "outputs": [number]} for number in numbers]
    inputs = [None if shape is None else number for number, shape in enumerate(shapes)]
    node = {"op": op, "inputs": inputs, "outputs": [99], "attrs": attrs or {}, "name": "it"}
    return {"nodes": [*leaves, node], "tensors": {number: {"shape": shapes[number], **more} for number in numbers}}


def amounts(data: Data, *, used: bool = False, **at: int) -> dict[str, int]:
    """Sum of each feature."""
    kinds = dict.fromkeys(("causal", "window", "padding_taps", "experts"), "used" if used else "nominal")
    result: dict[str, int] = {}
    for row in count(data, at=at):
        result[row.feature] = result.get(row.feature, 0) + row.amount(kinds)
    return result


def test_matmul_counts_each_product_of_the_loop() -> None:
    found = amounts(single("matmul", [(2, 1, 3, 4), (5, 4, 6)]))
    steps = sum(1 for _ in range(2) for _ in range(5) for _ in range(3) for _ in range(6) for _ in range(4))
    assert found["mac"] == steps
    assert found["outputs"] == found["out_elems"] == steps // 4
    assert found["in_elems"] == 24 + 120
    assert found["bytes_read"] == 4 * (24 + 120)


def test_linear_counts_the_bias_and_its_weights() -> None:
    found = amounts(single("linear", [(2, 3, 4), (5, 4), (5,)], kinds="ipp"))
    assert found["mac"] == 2 * 3 * 5 * 4
    assert found["add"] == 2 * 3 * 5
    assert found["in_elems"] == 24
    assert found["weight_elems"] == 25
    assert found["bytes_written"] == 4 * 30


def test_conv_counts_the_taps_of_every_output_padding_included() -> None:
    attrs = {"stride": [2, 1], "padding": [1, 0, 2, 1], "dilation": [1, 2], "groups": 3}
    found = amounts(single("conv", [(2, 6, 7, 8), (9, 2, 3, 2), (9,)], attrs, kinds="ipp"))
    rows, columns = (7 + 1 + 2 - 3) // 2 + 1, (8 + 0 + 1 - 3) // 1 + 1
    assert found["mac"] == 2 * 9 * rows * columns * 2 * 3 * 2
    assert found["outputs"] == found["add"] == 2 * 9 * rows * columns
    (row,) = [row for row in count(single("conv", [(1, 2, 3), (2, 1, 1), None], {"groups": 2})) if row.feature == "mac"]
    assert row.variant == ("grouped",)


@pytest.mark.parametrize(
    ("causal", "queries", "keys"),
    [
        ("top_left", 3, 5),
        ("top_left", 5, 3),
        ("top_left", 4, 4),
        ("bottom_right", 3, 5),
        ("bottom_right", 5, 3),
        ("bottom_right", 4, 4),
    ],
)
def test_causal_attention_uses_the_unmasked_entries(causal: str, queries: int, keys: int) -> None:
    shift = 0 if causal == "top_left" else keys - queries
    unmasked = sum(1 for i in range(queries) for j in range(keys) if j <= i + shift)
    data = single("attention", [(2, 6, queries, 7), (2, 3, keys, 7), (2, 3, keys, 4)], {"causal": causal})
    assert amounts(data)["mac"] == 12 * queries * keys * (7 + 4)
    assert amounts(data, used=True)["mac"] == 12 * unmasked * (7 + 4)
    assert amounts(data, used=True)["exp"] == 12 * unmasked
    (row,) = [row for row in count(data) if row.feature == "mac"]
    assert row.variant == ("causal", "gqa")
    assert row.extents == (Extent("causal", queries * keys, unmasked, "exact"),)


def test_attention_without_a_mask_is_its_parts() -> None:
    """Two products, a scale and a softmax, written as separate ops."""
    fused = amounts(single("attention", [(2, 4, 3, 5), (2, 4, 6, 5), (2, 4, 6, 5)]))
    first = amounts(single("matmul", [(8, 3, 5), (8, 5, 6)]))
    scale = amounts(single("mul", [(8, 3, 6), ()]))
    soft = amounts(single("softmax", [(8, 3, 6)]))
    second = amounts(single("matmul", [(8, 3, 6), (8, 6, 5)]))
    for feature in ("mac", "outputs", "mul", "add", "cmp", "exp", "div", "rows"):
        parts = (part.get(feature, 0) for part in (first, scale, soft, second))
        assert fused[feature] == sum(parts)
    masked = amounts(single("attention", [(2, 4, 3, 5), (2, 4, 6, 5), (2, 4, 6, 5), (3, 6)]))
    assert masked["add"] - fused["add"] == 8 * 3 * 6


def test_softmax_counts_row_by_row() -> None:
    found = amounts(single("softmax", [(2, 5, 3)], {"axis": 1}))
    assert (found["rows"], found["exp"], found["div"]) == (6, 30, 30)
    assert found["cmp"] == 6 * 4
    assert found["add"] == 6 * 5 + 6 * 4  # x - max, then the sum


def test_batch_norm_counts_by_mode_and_weights() -> None:
    weights = [(3,), (3,), (3,), (3,)]
    plain = amounts(single("batch_norm", [(2, 3, 4)]))
    assert (plain["add"], plain["mul"], plain["rsqrt"]) == (24 + 3, 24, 3)
    affine = amounts(single("batch_norm", [(2, 3, 4), *weights], kinds="ipppp"))
    assert (affine["add"], affine["mul"], affine["weight_elems"]) == (2 * 24 + 3, 48, 12)
    train = amounts(single("batch_norm", [(2, 3, 4), *weights], {"mode": "train"}, kinds="ipppp"))
    assert (train["add"], train["mul"], train["div"]) == (2 * 24 + 3 + 2 * 21, 72, 6)
    assert count(single("batch_norm", [(2, 3, 4), (3,)], {"mode": "train"}))[0].variant == ("affine", "train")


def test_row_norms_count_each_row() -> None:
    layer = amounts(single("layer_norm", [(2, 3, 4), (3, 4), (3, 4)], {"normalized_ndim": 2}))
    assert (layer["rows"], layer["rsqrt"], layer["div"]) == (2, 2, 4)
    assert (layer["add"], layer["mul"]) == (3 * 24 - 2 + 24, 3 * 24)
    rms = amounts(single("rms_norm", [(2, 3, 4), (4,)]))
    assert (rms["rows"], rms["add"], rms["mul"], rms["div"]) == (6, 24, 72, 6)


def test_pools_count_their_windows() -> None:
    attrs = {"kernel": [3, 2], "stride": [2, 2], "padding": [1, 0, 1, 0]}
    top = amounts(single("max_pool", [(2, 3, 8, 6)], attrs))
    outputs = 2 * 3 * 4 * 3
    assert (top["cmp"], top["kernel_elems"]) == (outputs * 5, outputs * 6)
    mean = amounts(single("average_pool", [(2, 3, 8, 6)], attrs))
    assert (mean["add"], mean["div"], mean["kernel_elems"]) == (outputs * 5, outputs, outputs * 6)
    adaptive = amounts(single("adaptive_average_pool", [(2, 3, 7, 5)], {"output_size": [3, 1]}))
    taps = 2 * 3 * (3 + 3 + 3) * 5
    assert (adaptive["kernel_elems"], adaptive["add"], adaptive["div"]) == (taps, taps - 18, 18)
    assert count(single("adaptive_average_pool", [(1, 1, 4)], {"output_size": [1]}))[0].variant == ("global",)


@pytest.mark.parametrize(
    ("op", "features"),
    [
        ("relu", {"cmp": 6}),
        ("gelu", {"mul": 18, "add": 6, "erf": 6}),
        ("silu", {"exp": 6, "add": 6, "div": 6, "mul": 6}),
        ("sigmoid", {"exp": 6, "add": 6, "div": 6}),
        ("tanh", {"tanh": 6}),
        ("reduce_sum", {"add": 5, "rows": 1}),
        ("reduce_mean", {"add": 5, "div": 1, "rows": 1}),
        ("reduce_max", {"cmp": 5, "rows": 1}),
    ],
)
def test_work_on_six_elements(op: str, features: dict[str, int]) -> None:
    sizes = {"out_elems", "in_elems", "bytes_read", "bytes_written"}
    assert {feature: n for feature, n in amounts(single(op, [(2, 3)])).items() if feature not in sizes} == features


def test_gelu_by_tanh_is_a_variant() -> None:
    rows = count(single("gelu", [(5,)], {"approximate": "tanh"}))
    assert rows[0].variant == ("tanh",)
    assert {row.feature: row.base for row in rows if row.feature in ("mul", "add", "tanh", "erf")} == {
        "mul": 30,
        "add": 10,
        "tanh": 5,
    }


def test_movement_has_no_arithmetic_and_views_touch_no_bytes() -> None:
    assert amounts(single("transpose", [(2, 3)], {"permutation": [1, 0]}))["move"] == 6
    view = amounts(single("reshape", [(2, 3)], {"shape": [-1]}))
    assert view == {"out_elems": 6, "in_elems": 6}
    gathered = amounts(single("embedding", [(100, 8), (2, 3)], kinds="pi", dtype="int32"))
    assert (gathered["gather"], gathered["weight_elems"], gathered["in_elems"]) == (48, 800, 6)
    assert gathered["bytes_read"] == 6 * 4 + 48 * 4


def test_bytes_of_small_formats_are_rounded_up_per_tensor() -> None:
    found = amounts(single("add", [(3,), (3,)], dtype="int4"))
    assert (found["bytes_read"], found["bytes_written"]) == (2 + 2, 2)
    cast = count(single("cast", [(3,)], {"dtype": "float64"}, dtype="int4"))
    assert {row.feature: row.base for row in cast}["bytes_written"] == 24
    assert cast[0].dtype == "int4"


def test_a_parameter_is_a_weight_in_any_slot() -> None:
    found = amounts(single("matmul", [(2, 3), (3, 4)], kinds="ip"))
    assert (found["in_elems"], found["weight_elems"]) == (6, 12)


def looped(params: str) -> Data:
    call = {"op": "call", "runs": [{"block": 1, "times": "2*depth", "params": params}]}
    once = {"op": "call", "runs": [{"block": 1, "params": params}]}
    nodes = [
        {"op": "input", "outputs": [0]},
        {"op": "input", "outputs": [10], "block": 1},
        {"op": "parameter", "outputs": [11], "block": 1},
        {"op": "linear", "inputs": [10, 11], "outputs": [12], "name": "fc", "scope": "mlp", "block": 1},
        call | {"inputs": [0], "outputs": [1], "scope": "layers"},
        once | {"inputs": [1], "outputs": [2], "scope": "last"},
    ]
    tensors = {0: {"shape": ["batch", 4]}, 10: {"shape": ["batch", 4]}, 11: {"shape": [4, 4]}}
    return {"nodes": nodes, "tensors": tensors, "blocks": [{"outputs": [2]}, {"outputs": [12]}]}


def test_calls_multiply_and_know_who_owns_the_weights() -> None:
    rows = [row for row in count(looped("per_call"), at={"batch": 3, "depth": 5}) if row.feature == "mac"]
    assert [(row.scope, row.times, row.base) for row in rows] == [("layers.mlp", 10, 48), ("last.mlp", 1, 48)]
    assert price(rows, convention("macs")) == 11 * 48
    assert count_parameters(looped("per_call"), at={"batch": 3, "depth": 5}) == 11 * 16
    assert count_parameters(looped("shared"), at={"batch": 3, "depth": 5}) == 16


def test_a_price_may_be_a_fraction() -> None:
    weights = tuple(Fraction(1, 4) if feature == "rows" else 0 for feature in specification().features)
    rule = replace(convention("macs"), weights=weights)
    rows = count(single("softmax", [(2, 3)]))
    assert price(rows, rule) == Fraction(1, 2)
    assert type(price(rows * 2, rule)) is int


def test_what_is_wrong_with_a_graph_is_said() -> None:
    with pytest.raises(UnsupportedOp, match="no op 'transmogrify'"):
        count(single("transmogrify", [(2,)]))
    with pytest.raises(ShapeError, match="linear node 'it'"):
        count(single("linear", [(2, 3), (4, 5), None]))
    with pytest.raises(DataError, match="no value for 'batch'"):
        count(single("relu", [("batch",)]))
    with pytest.raises(GraphError, match="has no input"):
        count(single("linear", [(2, 3)]))
    with pytest.raises(GraphError, match="takes 1"):
        count(single("relu", [(2,), (2,)]))
    with pytest.raises(DataError, match="takes no attribute 'axis'"):
        count(single("relu", [(2,)], {"axis": 1}))
    with pytest.raises(DataError, match="has no attribute 'permutation'"):
        count(single("transpose", [(2,)]))
    with pytest.raises(ShapeError, match="negative dim"):
        count(single("relu", [(-1,)]))
    with pytest.raises(GraphError, match="not there yet"):
        count({"nodes": [{"op": "relu", "inputs": [5], "outputs": [6]}]})
    with pytest.raises(GraphError, match="calls itself"):
        count({"nodes": [{"op": "call", "runs": [{"block": 0}], "outputs": []}]})
    data = looped("shared")
    with pytest.raises(ShapeError, match="repeated -2 times"):
        count(data, at={"batch": 1, "depth": -1})
    data["tensors"][10] = {"shape": ["batch", 5]}
    with pytest.raises(ShapeError):
        count(data, at={"batch": 1, "depth": 1})
