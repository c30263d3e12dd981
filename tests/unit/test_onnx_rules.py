"""Rules for ONNX ops that are more than one op of ours, by counts worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import flopcore as fc
import onnx_writer as ow


def single(
    op: str,
    inputs: Mapping[str, Sequence[int | str]],
    stored: Mapping[str, bytes] | None = None,
    outputs: Sequence[str] = ("y",),
    order: Sequence[str] | None = None,
    opset: int = 22,
    domain: str = "",
    **attributes: object,
) -> fc.Graph:
    """A model of one node over named inputs, then named stored tensors, or in the order given."""
    stored = stored or {}
    names = order or [*inputs, *stored]
    node = ow.node(op, names, outputs, "it", domain, **attributes)
    values = [ow.value(name, shape) for name, shape in inputs.items()]
    opsets = {domain: 1} if domain else None
    return fc.from_onnx(ow.model([node], values, outputs, stored.values(), opset=opset, opsets=opsets))


def shapes(graph: fc.Graph) -> list[tuple[int | fc.Expr, ...]]:
    return [graph.core.shape(number) for number in graph.core.block_outputs(0)]


def weights(**dims: Sequence[int]) -> dict[str, bytes]:
    return {name: ow.tensor(name, shape) for name, shape in dims.items()}


@pytest.mark.parametrize(("op", "gates", "n_states"), [("LSTM", 4, 2), ("GRU", 3, 1), ("RNN", 1, 1)])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_layers_are_products_with_input_and_state(
    op: str, gates: int, n_states: int, directions: int
) -> None:
    steps, batch, n_in, size = fc.dim("steps"), 3, 5, 7
    stored = weights(
        W=(directions, gates * size, n_in), R=(directions, gates * size, size), B=(directions, 2 * gates * size)
    )
    outputs = ["y", "h", "c"][: 1 + n_states]
    graph = single(op, {"x": ("steps", batch, n_in)}, stored, outputs, hidden_size=size)
    assert fc.count(graph).flop("macs") == steps * batch * directions * gates * size * (n_in + size)
    assert graph.parameters == directions * gates * size * (n_in + size + 2)
    state = (directions, batch, size)
    assert shapes(graph) == [(steps, *state), *[state] * n_states]


def test_an_lstm_step_has_its_gates() -> None:
    graph = single("LSTM", {"x": (1, 1, 5)}, weights(W=(1, 28, 5), R=(1, 28, 7)), ["y"], hidden_size=7)
    by_feature = fc.count(graph).flop("all-arithmetic", by="feature")
    # Per element of the state: three sigmoids, two tanh, four sums with the input, c = f c + i g, h = o tanh(c).
    assert by_feature["tanh"] == 2 * 7
    assert by_feature["exp"] == 3 * 7
    assert by_feature["mul"] == 3 * 7
    assert by_feature["add"] == (4 + 1 + 3) * 7


def test_batch_first_layers_turn_their_results() -> None:
    stored = weights(W=(1, 9, 2), R=(1, 9, 3))
    graph = single("GRU", {"x": (4, "steps", 2)}, stored, ["y", "h"], hidden_size=3, layout=1)
    assert shapes(graph) == [(4, fc.dim("steps"), 1, 3), (4, 1, 3)]
    assert fc.count(graph).flop("macs") == 4 * 9 * 5 * fc.dim("steps")


def test_linear_attention_follows_its_recurrence() -> None:
    inputs = {
        "q": (2, "t", 8 * 4),
        "k": (2, "t", 2 * 4),
        "v": (2, "t", 2 * 6),
        "": (),
        "g": (2, "t", 8),
        "b": (2, "t", 2),
    }
    del inputs[""]
    graph = single(
        "LinearAttention", inputs, None, ["y", "s"], ["q", "k", "v", "", "g", "b"], opset=27,
        q_num_heads=8, kv_num_heads=2, update_rule="gated_delta",
    )  # fmt: skip
    # Per step, batch and head of two: read the memory, write an outer product; eight heads read 4 x 6 of it.
    assert fc.count(graph).flop("macs") == 2 * (2 * 2 * 4 * 6 + 8 * 4 * 6) * fc.dim("t")
    assert shapes(graph) == [(2, fc.dim("t"), 48), (2, 2, 4, 6)]


def test_attention_with_a_cache_sees_what_was_before() -> None:
    inputs = {"q": (1, 8, "new", 16), "k": (1, 2, "new", 16), "v": (1, 2, "new", 16)}
    inputs |= {"pk": (1, 2, "past", 16), "pv": (1, 2, "past", 16)}
    order = ["q", "k", "v", "", "pk", "pv"]
    graph = single("Attention", inputs, None, ["y", "key", "value"], order, opset=23, is_causal=1)
    new, past = fc.dim("new"), fc.dim("past")
    tally = fc.count(graph)
    assert tally.flop("macs") == 8 * 32 * new * (new + past)
    used = tally.flop("epoch")
    assert used.at({"new": 1, "past": 99}) > 0  # type: ignore[union-attr]
    assert shapes(graph)[1] == (1, 2, new + past, 16)


def test_a_rotary_embedding_turns_pairs() -> None:
    tables = weights(c=(50, 4), s=(50, 4))
    stored = tables | {"p": ow.tensor("p", [1, 3], "int64", [0, 1, 2])}
    graph = single("RotaryEmbedding", {"x": (1, 2, 3, 16)}, stored, opset=23, rotary_embedding_dim=8)
    by_feature = fc.count(graph).flop("all-arithmetic", by="feature")
    pairs = 2 * 3 * 4
    assert (by_feature["mul"], by_feature["add"]) == (4 * pairs, 2 * pairs)
    assert shapes(graph) == [(1, 2, 3, 16)]


def test_a_determinant_is_an_elimination() -> None:
    by_feature = fc.count(single("Det", {"x": (2, 5, 5)})).flop("all-arithmetic", by="feature")
    squares = sum(left * left for left in range(1, 5))
    assert (by_feature["mac"], by_feature["mul"]) == (2 * 2 * squares, 2 * 4)  # a mac is two; the diagonal
    assert by_feature["div"] == 2 * (1 + 2 + 3 + 4)


def test_transforms_are_radix_2_over_real_or_complex_elements() -> None:
    """2.5 n log2 n operations of a real signal or to one, 5 of a complex one, as from PyTorch and JAX."""
    cases: list[tuple[Any, dict[str, Any], tuple[int, ...], int]] = [
        ((3, 16, 1), {"axis": 1}, (3, 16, 2), 3 * 16 * 4 * 5 // 2),
        ((3, 16, 2), {"axis": 1}, (3, 16, 2), 3 * 16 * 4 * 5),
        ((3, 16, 5, 2), {"axis": 1, "inverse": 1}, (3, 16, 5, 2), 5 * 3 * 16 * 4 * 5),
        ((3, 16, 1), {"axis": 1, "onesided": 1}, (3, 9, 2), 3 * 16 * 4 * 5 // 2),
        ((3, 9, 2), {"axis": 1, "onesided": 1, "inverse": 1}, (3, 16, 1), 3 * 16 * 4 * 5 // 2),
    ]
    for shape, attrs, result, flop in cases:
        graph = single("DFT", {"x": shape}, None, ["y"], opset=17, **attrs)
        assert shapes(graph) == [result]
        assert fc.count(graph).flop("all-arithmetic") == flop
    padded = single("DFT", {"x": (3, 10, 1)}, {"n": ow.tensor("n", [], "int64", [16])}, ["y"], opset=17, onesided=1)
    assert (shapes(padded), fc.count(padded).flop("all-arithmetic")) == ([(3, 9, 2)], 3 * 16 * 4 * 5 // 2)


def test_frames_of_a_signal_are_transforms() -> None:
    step = {"step": ow.tensor("step", [], "int64", [4]), "window": ow.tensor("window", [8])}
    for shape, lines, flop in (((2, 20, 1), 5, 8 + 8 * 3 * 5 // 2), ((2, 20, 2), 8, 2 * 8 + 8 * 3 * 5)):
        graph = single("STFT", {"x": shape}, step, ["y"], opset=17)
        assert shapes(graph) == [(2, 4, lines, 2)]
        assert fc.count(graph).flop("all-arithmetic") == 2 * 4 * flop


def test_resize_rounds_down_and_needs_scales_or_sizes() -> None:
    scales = {"r": ow.tensor("r", [0]), "s": ow.tensor("s", [4], "float32", [1, 1, 1.5, 2])}
    graph = single("Resize", {"x": (1, 3, 5, "w")}, scales, mode="linear")
    assert shapes(graph) == [(1, 3, 7, 2 * fc.dim("w"))]
    with pytest.raises(fc.UnsupportedOp, match="scales computed from data"):
        single("Resize", {"x": (1, 3, 5, 5), "r": (0,), "s": (4,)})


def test_what_the_data_tells_is_a_dim() -> None:
    node = ow.node("NonZero", ["x"], ["y"], "find")
    model = ow.model([node], [ow.value("x", [4, 5])], ["y"])
    assert str(shapes(fc.from_onnx(model))[0]) == "(2, dim('find_nonzero', min=0, max=None, multiple_of=1))"
    assert shapes(fc.from_onnx(model, at={"find_nonzero": 7})) == [(2, 7)]


def test_an_input_of_one_integer_may_be_bound() -> None:
    body = ow.graph([ow.node("MatMul", ["s", "s"], ["t"])], [ow.value(n, None) for n in ("i", "on", "s")], ["on", "t"])
    node = ow.node("Loop", ["n", "", "x"], ["y"], "again", body=body)
    model = ow.model([node], [ow.value("n", [], "int64"), ow.value("x", [4, 4])], ["y"])
    assert fc.count(fc.from_onnx(model)).flop("macs") == 64 * fc.dim("again_trip_count", min=0)
    assert fc.count(fc.from_onnx(model, at={"n": 6})).flop("macs") == 6 * 64


@pytest.mark.parametrize(("kernel", "extra"), [("LINEAR", 0), ("POLY", 3), ("RBF", None)])
def test_support_vector_machines_are_kernels(kernel: str, extra: int | None) -> None:
    graph = single(
        "SVMRegressor", {"x": (10, 4)}, domain="ai.onnx.ml", kernel_type=kernel, n_supports=6, coefficients=[0.5] * 6
    )
    tally = fc.count(graph)
    assert tally.flop("macs") == 10 * 6 * (1 if extra is None else 1 + 4)
    assert shapes(graph) == [(10, 1)]


def test_a_registered_op_of_another_domain_counts() -> None:
    def infer(inputs: tuple[fc.TensorType | None, ...], attrs: Mapping[str, object]) -> fc.TensorType:
        x, w = inputs
        assert x is not None
        assert w is not None
        return fc.TensorType((*x.shape[:-1], w.shape[0]), x.dtype)

    def count(
        inputs: tuple[fc.TensorType | None, ...], outputs: tuple[fc.TensorType, ...], attrs: Mapping[str, object]
    ) -> dict[str, int | fc.Expr]:
        rank = attrs["rank"]
        assert isinstance(rank, int)
        return {"mac": outputs[0].n * rank}

    fc.register_op("com.acme::LowRank", infer=infer, count=count, weights=[1])
    try:
        graph = single("LowRank", {"x": ("n", 8)}, weights(w=(5, 8)), domain="com.acme", rank=3)
    finally:
        fc.unregister_op("com.acme::LowRank")
    assert fc.count(graph).flop("macs") == 15 * fc.dim("n")
    assert graph.parameters == 40
    with pytest.raises(fc.UnsupportedOp, match=r"com\.acme::LowRank x 1"):
        single("LowRank", {"x": ("n", 8)}, weights(w=(5, 8)), domain="com.acme", rank=3)


TREES: dict[str, object] = {  # a root over a leaf and a node over two leaves; and a root over two leaves
    "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1],
    "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_LT", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 3, 0, 0, 1, 0, 0],
    "nodes_falsenodeids": [2, 0, 4, 0, 0, 2, 0, 0],
}


def test_trees_take_their_longest_path() -> None:
    """3 comparisons and 2 weights a row, which 7 features come to."""
    at = {"target_treeids": [0, 0, 0, 1, 1], "target_nodeids": [1, 3, 4, 1, 2]}
    graph = single("TreeEnsembleRegressor", {"x": (10, 7)}, domain="ai.onnx.ml", n_targets=1, **TREES, **at)
    assert shapes(graph) == [(10, 1)]
    assert fc.count(graph).flop("all-arithmetic", by="feature") == {"cmp": 30, "add": 20}
    ids = {"class_treeids": [0, 0, 0, 1, 1], "class_nodeids": [1, 3, 4, 1, 2], "class_ids": [1] * 5}
    names = {"classlabels_int64s": [0, 1], "post_transform": "LOGISTIC"}
    graph = single(
        "TreeEnsembleClassifier", {"x": ("n", 7)}, None, ["y", "z"], domain="ai.onnx.ml", **TREES, **ids, **names
    )
    assert shapes(graph) == [(fc.dim("n"),), (fc.dim("n"), 2)]
    assert fc.count(graph).flop("all-arithmetic", at={"n": 10}, by="feature")["add"] == 20 + 10 + 20


def test_trees_of_one_list_have_roots_and_sets() -> None:
    """Two nodes on the longest path, and all 8 numbers of the sets that nodes look into."""
    graph = single(
        "TreeEnsemble", {"x": (6, 1)}, domain="ai.onnx.ml", n_targets=4, tree_roots=[0], aggregate_function=0,
        nodes_truenodeids=[1, 0, 1], nodes_trueleafs=[0, 1, 1], nodes_falsenodeids=[2, 2, 3],
        nodes_falseleafs=[0, 1, 1], leaf_targetids=[0, 1, 2, 3], membership_values=ow.tensor("sets", [8]),
    )  # fmt: skip
    assert shapes(graph) == [(6, 4)]
    assert fc.count(graph).flop("all-arithmetic", by="feature") == {"cmp": 6 * (2 + 8), "add": 6, "div": 24}


def test_trees_that_go_round_are_an_error() -> None:
    trees = TREES | {"nodes_truenodeids": [1, 0, 0, 0, 0, 1, 0, 0]}
    with pytest.raises(fc.DataError, match="a tree goes round in a circle"):
        single("TreeEnsembleRegressor", {"x": (10, 7)}, domain="ai.onnx.ml", **trees)


def test_boxes_of_unknown_size_are_bounded_by_the_image() -> None:
    boxes: dict[str, Sequence[int | str]] = {"x": (1, 3, 10, 8), "r": (5, 4)}
    stored = {"i": ow.tensor("i", [5], "int64", [0] * 5)}
    graph = single("RoiAlign", boxes, stored, output_height=3, output_width=4)
    assert shapes(graph) == [(5, 3, 3, 4)]
    samples = (5 * 3 * 3 * 4) * 4 * 2  # ceil(10 / 3) x ceil(8 / 4) a bin
    assert fc.count(graph).flop("all-arithmetic", by="feature")["mul"] == 4 * samples
    graph = single("MaxRoiPool", {"x": (1, 3, 10, 8), "r": (5, 5)}, pooled_shape=[5, 4])
    assert shapes(graph) == [(5, 3, 5, 4)]
    assert fc.count(graph).flop("all-arithmetic") == 5 * 3 * (10 * 8 - 5 * 4)


@pytest.mark.parametrize(("mode", "reach"), [("linear", 2), ("cubic", 4)])
def test_a_filter_against_aliasing_widens_where_a_dim_shrinks(mode: str, reach: int) -> None:
    sizes = {"s": ow.tensor("s", [4], "int64", [1, 2, 12, 4])}
    graph = single("Resize", {"x": (1, 2, 6, 8)}, sizes, order=["x", "", "", "s"], mode=mode, antialias=1)
    assert shapes(graph) == [(1, 2, 12, 4)]
    assert fc.count(graph).flop("all-arithmetic", by="feature")["mul"] == (2 * 12 * 4) * reach * 2 * reach


def test_slices_that_differ_are_compared_to_their_last_element() -> None:
    graph = single("Unique", {"x": (3, 4, 5)}, None, ["y", "i", "j", "n"], axis=1)
    found = fc.dim("it_unique", min=0)
    assert shapes(graph) == [(3, found, 5), (found,), (4,), (found,)]
    assert fc.count(graph).flop("all-arithmetic") == 3 * 5 * (5 + 3)  # a merge of 4, then 3 neighbours


def test_attention_with_bodies_runs_them_on_every_score() -> None:
    body = ow.graph([ow.node("Tanh", ["s"], ["t"])], [ow.value("s", None)], ["t"])
    inputs: dict[str, Sequence[int | str]] = {"q": (1, 4, 6, 8), "k": (1, 2, 5, 8), "v": (1, 2, 5, 3)}
    plain, bent = (
        fc.count(single("FlexAttention", inputs, domain="ai.onnx.preview", **more))
        for more in ({}, {"score_mod": body})
    )
    assert plain.flop("macs") == bent.flop("macs") == 4 * 6 * 5 * (8 + 3)
    both = (each.flop("all-arithmetic", by="feature").get("tanh", 0) for each in (plain, bent))
    assert list(both) == [0, 4 * 6 * 5]


@pytest.mark.parametrize(
    ("op", "state", "expected"),
    [
        ("Momentum", 1, {"mul": 4, "add": 3}),
        ("Adagrad", 1, {"mul": 3, "add": 4, "div": 1, "sqrt": 1}),
        ("Adam", 2, {"mul": 8, "add": 5, "div": 1, "sqrt": 1}),
    ],
)
def test_steps_of_optimisers_are_their_formulas(op: str, state: int, expected: dict[str, int]) -> None:
    inputs: dict[str, Sequence[int | str]] = {"r": (), "t": ()}
    inputs |= {f"{name}{i}": (3 + i,) for name in "xgvh"[: 2 + state] for i in range(2)}
    outputs = [f"y{i}" for i in range(2 * (1 + state))]
    graph = single(op, inputs, None, outputs, domain="ai.onnx.preview.training")
    assert shapes(graph) == [(3,), (4,)] * (1 + state)
    assert fc.count(graph).flop("all-arithmetic", by="feature") == {name: 7 * n for name, n in expected.items()}
