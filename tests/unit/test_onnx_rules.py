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
