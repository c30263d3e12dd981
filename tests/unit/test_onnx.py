"""ONNX nodes become the right build calls, and what cannot is refused with one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

import flopcore as fc
import onnx_writer as ow


def nodes(graph: fc.Graph) -> list[dict[str, object]]:
    """Nodes that are not leaves."""
    return [node for node in graph.nodes() if node["op"] not in ("input", "parameter", "constant")]


def ops(graph: fc.Graph) -> list[object]:
    return [node["op"] for node in nodes(graph)]


def output_shapes(graph: fc.Graph) -> list[tuple[int | fc.Expr, ...]]:
    """Shapes of what the last node makes."""
    outputs = nodes(graph)[-1]["outputs"]
    assert isinstance(outputs, list)
    return [fc.Tensor(graph, output).shape for output in outputs]


def last_shape(graph: fc.Graph) -> tuple[int | fc.Expr, ...]:
    return output_shapes(graph)[0]


def single(
    op: str,
    shapes: list[tuple[int | str, ...]],
    weights: list[tuple[int, ...]] | None = None,
    constants: list[list[int]] | None = None,
    opset: int = 17,
    outputs: tuple[str, ...] = ("y",),
    **attributes: object,
) -> fc.Graph:
    """A model of one node: inputs x0.., then weights w0.., then int64 constants c0.."""
    names = [f"x{i}" for i in range(len(shapes))]
    stored = [ow.tensor(f"w{i}", shape) for i, shape in enumerate(weights or [])]
    stored += [ow.tensor(f"c{i}", [len(c)], "int64", c) for i, c in enumerate(constants or [])]
    names += [f"w{i}" for i in range(len(weights or []))] + [f"c{i}" for i in range(len(constants or []))]
    node = ow.node(op, names, outputs, "it", **attributes)
    inputs = [ow.value(f"x{i}", shape) for i, shape in enumerate(shapes)]
    return fc.from_onnx(ow.model([node], inputs, outputs[:1], stored, opset=opset))


# ------------------------------------------------------------------------------------------ single ops
def test_conv_keeps_groups_pads_and_bias() -> None:
    graph = single(
        "Conv", [(1, 4, 9, 9)], [(8, 2, 3, 3), (8,)], group=2, pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2]
    )
    (node,) = nodes(graph)
    assert node["op"] == "conv"
    assert node["name"] == "it"
    assert node["origin"] == "onnx:Conv"
    assert last_shape(graph) == (1, 8, (9 + 3 - 3) // 2 + 1, 9 + 1 - 5 + 1)
    assert fc.count(graph).flop("macs") == 8 * 5 * 6 * 2 * 9
    assert graph.parameters == 8 * 2 * 9 + 8


@pytest.mark.parametrize(
    ("auto", "pads"), [("SAME_UPPER", [0, 1, 1, 1]), ("SAME_LOWER", [1, 1, 0, 1]), ("VALID", [0, 0, 0, 0])]
)
def test_conv_resolves_auto_pad(auto: str, pads: list[int]) -> None:
    graph = single("Conv", [(1, 1, 8, 7)], [(1, 1, 3, 3)], auto_pad=auto, strides=[2, 2])
    (node,) = nodes(graph)
    attrs = node["attrs"]
    assert isinstance(attrs, dict)
    assert list(attrs["padding"]) == pads
    assert last_shape(graph) == ((1, 1, 4, 4) if auto != "VALID" else (1, 1, 3, 3))


def test_conv_same_over_a_named_dim_stays_a_formula() -> None:
    def model(op: str, stride: int) -> bytes:
        node = ow.node(op, ["x", "w"][: 2 - (op != "Conv")], ["y"], "it", auto_pad="SAME_UPPER", strides=[stride],
                       kernel_shape=[3])  # fmt: skip
        return ow.model([node], [ow.value("x", [1, 1, "len"])], ["y"], [ow.tensor("w", [1, 1, 3])])

    for stride in (1, 2):
        graph = fc.from_onnx(model("Conv", stride))
        for length in (4, 9):
            bound = fc.from_onnx(model("Conv", stride), at={"len": length})
            assert last_shape(bound) == (1, 1, -(-length // stride))
            assert fc.count(graph).flop("macs", at={"len": length}) == fc.count(bound).flop("macs")
    assert str(last_shape(fc.from_onnx(model("MaxPool", 1)))[2]) == "len"
    with pytest.raises(fc.UnsupportedOp, match="bind it with at="):
        fc.from_onnx(model("MaxPool", 2))


def test_gemm_with_a_stored_matrix_is_linear_either_way_round() -> None:
    for shape, trans in (((5, 4), 1), ((4, 5), 0)):
        graph = single("Gemm", [(3, 4)], [shape, (5,)], transB=trans)
        (node,) = nodes(graph)
        assert node["op"] == "linear"
        assert last_shape(graph) == (3, 5)
        assert fc.count(graph).flop("pycls") == 3 * 5 * 4 + 3 * 5
        assert graph.parameters == 25


def test_gemm_with_computed_matrices_is_transpose_matmul_add() -> None:
    graph = single("Gemm", [(4, 3), (5, 4), (3, 5)], transA=1, transB=1)
    assert ops(graph) == ["transpose", "transpose", "matmul", "add"]
    assert last_shape(graph) == (3, 5)


def test_gemm_scales_by_alpha_and_beta() -> None:
    graph = single("Gemm", [(3, 4)], [(5, 4), (5,)], transB=1, alpha=0.5, beta=2.0)
    assert ops(graph) == ["linear", "mul", "mul", "add"]


def test_gemm_with_a_bias_that_broadcasts_adds_it() -> None:
    assert ops(single("Gemm", [(3, 4)], [(5, 4), (3, 1)], transB=1)) == ["linear", "add"]


def test_a_matrix_read_twice_is_one_parameter() -> None:
    body = [ow.node("Gemm", ["x", "w"], ["h"]), ow.node("Gemm", ["h", "w"], ["y"])]
    graph = fc.from_onnx(ow.model(body, [ow.value("x", [2, 4])], ["y"], [ow.tensor("w", [4, 4])]))
    assert graph.parameters == 16
    assert fc.count(graph).flop("macs") == 2 * 2 * 16


def test_a_matrix_that_is_an_output_too_is_one_parameter() -> None:
    body = [ow.node("Gemm", ["x", "w"], ["y"])]
    graph = fc.from_onnx(ow.model(body, [ow.value("x", [2, 4])], ["y", "w"], [ow.tensor("w", [4, 5])]))
    assert graph.parameters == 20


def test_pools() -> None:
    graph = single("MaxPool", [(1, 2, 7, 7)], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    assert (ops(graph), last_shape(graph)) == (["max_pool"], (1, 2, 3, 3))
    graph = single("AveragePool", [(1, 2, 7, 7)], kernel_shape=[2, 2])
    assert (ops(graph), last_shape(graph)) == (["average_pool"], (1, 2, 6, 6))
    graph = single("GlobalAveragePool", [(1, 2, 7, 5)])
    assert (ops(graph), last_shape(graph)) == (["adaptive_average_pool"], (1, 2, 1, 1))
    graph = single("GlobalMaxPool", [(1, 2, 7, 5)])
    assert (ops(graph), last_shape(graph)) == (["reduce_max"], (1, 2, 1, 1))


def test_batch_norm_statistics_are_not_parameters() -> None:
    graph = single("BatchNormalization", [(1, 3, 2, 2)], [(3,)] * 4)
    assert ops(graph) == ["batch_norm"]
    assert graph.parameters == 6


def test_norms() -> None:
    graph = single("LayerNormalization", [(2, 3, 4)], [(3, 4), (3, 4)], axis=-2)
    assert graph.parameters == 24
    attrs = nodes(graph)[0]["attrs"]
    assert isinstance(attrs, dict)
    assert attrs["normalized_ndim"] == 2
    assert ops(single("RMSNormalization", [(2, 3, 4)], [(4,)], opset=23)) == ["rms_norm"]


def test_softmax_of_old_opsets_joins_the_dims_from_the_axis_on() -> None:
    assert ops(single("Softmax", [(2, 3, 4)], opset=11)) == ["reshape", "softmax", "reshape"]
    assert ops(single("Softmax", [(2, 3)], opset=11)) == ["softmax"]
    assert ops(single("Softmax", [(2, 3, 4)], opset=13)) == ["softmax"]


def test_reductions_take_axes_as_attribute_or_input() -> None:
    assert last_shape(single("ReduceMean", [(2, 3, 4)], axes=[1], keepdims=0)) == (2, 4)
    assert last_shape(single("ReduceSum", [(2, 3, 4)], constants=[[-1]])) == (2, 3, 1)
    assert last_shape(single("ReduceMax", [(2, 3, 4)])) == (1, 1, 1)


def test_shape_ops() -> None:
    assert last_shape(single("Reshape", [(2, 3, 4)], constants=[[0, -1]])) == (2, 12)
    assert last_shape(single("Flatten", [(2, 3, 4)], axis=2)) == (6, 4)
    assert last_shape(single("Transpose", [(2, 3, 4)])) == (4, 3, 2)
    assert last_shape(single("Squeeze", [(2, 1, 4)], constants=[[1]])) == (2, 4)
    assert last_shape(single("Squeeze", [(2, 1, 4)])) == (2, 4)
    assert last_shape(single("Unsqueeze", [(2, 3)], constants=[[0, -1]])) == (1, 2, 3, 1)
    assert last_shape(single("Unsqueeze", [(2, 3)], opset=11, axes=[1])) == (2, 1, 3)
    assert last_shape(single("Slice", [(9, 8)], constants=[[1, -3], [2**62, -1], [0, 1], [2, 1]])) == (4, 2)
    assert last_shape(single("Slice", [(9, 8)], opset=9, starts=[2], ends=[100], axes=[1])) == (9, 6)
    assert last_shape(single("Concat", [(2, 3), (2, 5)], axis=1)) == (2, 8)


def test_split_has_all_its_outputs() -> None:
    graph = single("Split", [(2, 9)], constants=[[4, 5]], outputs=("a", "b"), axis=1)
    assert ops(graph) == ["split"]
    assert output_shapes(graph) == [(2, 4), (2, 5)]
    graph = single("Split", [(2, 9)], opset=18, outputs=("a", "b"), axis=1, num_outputs=2)
    assert output_shapes(graph) == [(2, 5), (2, 4)]
    with pytest.raises(fc.DataError, match="num_outputs is 1000000000, the node has 2"):
        single("Split", [(2, 9)], opset=18, outputs=("a", "b"), axis=1, num_outputs=10**9)


def test_what_a_file_says_twice_must_agree() -> None:
    with pytest.raises(fc.DataError, match=r"kernel_shape is \[5, 5\], the weight has windows of \[3, 3\]"):
        single("Conv", [(1, 2, 9, 9)], [(4, 2, 3, 3)], kernel_shape=[5, 5])
    twice = [ow.value("x", [2]), ow.value("x", [3])]
    with pytest.raises(fc.GraphError, match="two inputs of the name 'x'"):
        fc.from_onnx(ow.model([ow.node("Relu", ["x"], ["y"])], twice, ["y"]))


def test_gather_is_an_embedding_or_a_slice() -> None:
    ids = ow.value("ids", ["batch", "seq"], "int64")
    model = ow.model([ow.node("Gather", ["w", "ids"], ["y"])], [ids], ["y"], [ow.tensor("w", [100, 8])])
    graph = fc.from_onnx(model)
    assert ops(graph) == ["embedding"]
    assert [str(size) for size in last_shape(graph)] == ["batch", "seq", "8"]
    model = ow.model(
        [ow.node("Gather", ["x", "i"], ["y"], axis=1)],
        [ow.value("x", [2, 5, 3])],
        ["y"],
        [ow.tensor("i", [], "int64", [-1])],
    )
    graph = fc.from_onnx(model)
    assert ops(graph) == ["slice", "reshape"]
    assert last_shape(graph) == (2, 3)


def test_attention_of_opset_23() -> None:
    shapes: list[tuple[int | str, ...]] = [(2, 7, 16), (2, 7, 8), (2, 7, 8)]
    graph = single("Attention", shapes, opset=23, q_num_heads=4, kv_num_heads=2, is_causal=1)
    assert ops(graph).count("attention") == 1
    assert last_shape(graph) == (2, 7, 16)
    assert fc.count(graph).flop("macs") == 2 * 4 * 7 * 7 * (4 + 4)


@pytest.mark.parametrize(
    ("op", "ours"),
    [("Relu", "relu"), ("Sigmoid", "sigmoid"), ("Tanh", "tanh"), ("Gelu", "gelu"), ("Swish", "silu")],
)
def test_activations(op: str, ours: str) -> None:
    assert ops(single(op, [(2, 3)], opset=24)) == [ours]


@pytest.mark.parametrize(("op", "ours"), [("Add", "add"), ("Sub", "sub"), ("Mul", "mul"), ("Div", "div")])
def test_arithmetic_broadcasts(op: str, ours: str) -> None:
    graph = single(op, [(2, 1), (3,)])
    assert (ops(graph), last_shape(graph)) == ([ours], (2, 3))


def test_sum_of_three_is_two_additions() -> None:
    graph = single("Sum", [(2, 3)] * 3)
    assert ops(graph) == ["add_n"]
    assert fc.count(graph).flop("all-arithmetic") == 2 * 6


def test_stored_operands_of_arithmetic_are_parameters() -> None:
    graph = single("Mul", [(2, 3)], [(3,)])
    assert (ops(graph), graph.parameters) == (["mul"], 3)


def test_identity_and_dropout_cost_nothing() -> None:
    body = [ow.node("Identity", ["x"], ["a"]), ow.node("Dropout", ["a"], ["b", "mask"]), ow.node("Relu", ["b"], ["y"])]
    assert ops(fc.from_onnx(ow.model(body, [ow.value("x", [2])], ["y"]))) == ["relu"]


def test_cast_changes_the_dtype() -> None:
    graph = single("Cast", [(2, 3)], to=10)
    assert ops(graph) == ["cast"]
    assert fc.Tensor(graph, nodes(graph)[0]["outputs"][0]).dtype == "float16"  # type: ignore[index]


# -------------------------------------------------------------------------------------- known integers
def test_weights_made_by_constant_of_shape_are_parameters() -> None:
    body = [
        ow.node("ConstantOfShape", ["s"], ["w"]),
        ow.node("ConstantOfShape", ["t"], ["b"]),
        ow.node("Gemm", ["x", "w", "b"], ["y"], transB=1),
    ]
    shapes = [ow.tensor("s", [2], "int64", [5, 4]), ow.tensor("t", [1], "int64", [5])]
    graph = fc.from_onnx(ow.model(body, [ow.value("x", [3, 4])], ["y"], shapes))
    assert graph.parameters == 25
    assert ops(graph) == ["linear"]


def test_shape_arithmetic_stays_symbolic() -> None:
    # y = reshape(x, [shape(x)[0], shape(x)[1] * shape(x)[2]])
    constant = [ow.tensor(f"k{i}", [], "int64", [i]) for i in range(3)]
    body = [ow.node("Shape", ["x"], ["s"])]
    body += [ow.node("Gather", ["s", f"k{i}"], [f"d{i}"], axis=0) for i in range(3)]
    body += [
        ow.node("Mul", ["d1", "d2"], ["m"]),
        ow.node("Unsqueeze", ["d0", "axis"], ["u0"]),
        ow.node("Unsqueeze", ["m", "axis"], ["u1"]),
        ow.node("Concat", ["u0", "u1"], ["t"], axis=0),
        ow.node("Cast", ["t"], ["t64"], to=7),
        ow.node("Reshape", ["x", "t64"], ["y"]),
    ]
    stored = [*constant, ow.tensor("axis", [1], "int64", [0])]
    graph = fc.from_onnx(ow.model(body, [ow.value("x", ["unk__12", "seq", 3])], ["y"], stored))
    assert ops(graph) == ["reshape"]
    assert [str(size) for size in last_shape(graph)] == ["unk__12", "3*seq"]


def test_slicing_a_named_dim_is_clamped() -> None:
    node = ow.node("Slice", ["x", "start", "stop", "axes"], ["y"])
    stored = [ow.tensor(k, [1], "int64", [v]) for k, v in (("start", 1), ("stop", -1), ("axes", 0))]
    graph = fc.from_onnx(ow.model([node], [ow.value("x", ["seq", 3])], ["y"], stored))
    (size, _) = last_shape(graph)
    assert isinstance(size, fc.Expr)
    assert size.at({"seq": 10}) == 8


def test_range_where_equal_and_products_are_followed() -> None:
    stored = [ow.tensor(k, [], "int64", [v]) for k, v in (("a", 1), ("b", 4), ("c", 1))]
    stored += [ow.tensor("minus", [1], "int64", [-1]), ow.tensor("ones", [3], "int64", [1, 1, 1])]
    body = [
        ow.node("Range", ["a", "b", "c"], ["r"]),  # 1 2 3
        ow.node("Equal", ["r", "minus"], ["e"]),
        ow.node("Where", ["e", "ones", "r"], ["w"]),
        ow.node("ReduceProd", ["w"], ["p"], keepdims=1),  # 6
        ow.node("Reshape", ["x", "p"], ["y"]),
    ]
    assert last_shape(fc.from_onnx(ow.model(body, [ow.value("x", [2, 3])], ["y"], stored))) == (6,)


# ---------------------------------------------------------------------------------------- whole files
def test_dims_without_a_name_are_called_after_the_input() -> None:
    graph = fc.from_onnx(ow.model([ow.node("Relu", ["x"], ["y"])], [ow.value("x", [None, 3])], ["y"]))
    assert str(last_shape(graph)[0]) == "x_dim0"


def test_at_binds_dims_while_reading() -> None:
    model = ow.model([ow.node("Relu", ["x"], ["y"])], [ow.value("x", ["batch", 3])], ["y"])
    assert last_shape(fc.from_onnx(model, at={"batch": 4})) == (4, 3)
    with pytest.raises(fc.DataError, match="no dim named 'seq'; the model's named dims: batch"):
        fc.from_onnx(model, at={"seq": 4})
    with pytest.raises(fc.DataError, match="positive integer"):
        fc.from_onnx(model, at={"batch": 0})


def test_slashes_in_names_are_scopes() -> None:
    body = [
        ow.node("Relu", ["x"], ["a"], "/layer1/layer1.0/relu/Relu"),
        ow.node("Relu", ["a"], ["b"], "top"),
        ow.node("Relu", ["b"], ["y"], "/model/layers.0/mlp/act/Relu"),
    ]
    graph = fc.from_onnx(ow.model(body, [ow.value("x", [2])], ["y"]))
    assert [node["scope"] for node in nodes(graph)] == ["layer1.0.relu", "", "model.layers.0.mlp.act"]
    assert [node["name"] for node in nodes(graph)][1] == "top"


def test_functions_of_the_model_are_written_out() -> None:
    body = [
        ow.node("Gemm", ["a", "b"], ["c"], transB=ow.Reference("flip")),
        ow.node("Relu", ["c"], ["d"]),
    ]
    function = ow.function("own", "Dense", ["a", "b"], ["d"], body, "flip")
    calls = [
        ow.node("Dense", ["x", "w"], ["h"], "first", "own", flip=1),
        ow.node("Dense", ["h", "v"], ["y"], "second", "own", flip=0),
    ]
    stored = [ow.tensor("w", [5, 4]), ow.tensor("v", [5, 6])]
    model = ow.model(calls, [ow.value("x", [2, 4])], ["y"], stored, opsets={"own": 1}, functions=[function])
    graph = fc.from_onnx(model)
    assert last_shape(graph) == (2, 6)
    assert fc.count(graph).flop("macs") == 2 * 5 * 4 + 2 * 6 * 5
    assert graph.parameters == 50
    assert {node["scope"] for node in nodes(graph)} == {"first", "second"}


def test_a_function_that_calls_itself_is_an_error() -> None:
    function = ow.function("own", "F", ["a"], ["b"], [ow.node("F", ["a"], ["b"], "again", "own")])
    model = ow.model(
        [ow.node("F", ["x"], ["y"], "f", "own")], [ow.value("x", [2])], ["y"], opsets={"own": 1}, functions=[function]
    )
    with pytest.raises(fc.GraphError, match="functions and bodies call each other more than"):
        fc.from_onnx(model)


def test_nodes_may_stand_in_any_order() -> None:
    body = [ow.node("Relu", ["a"], ["y"]), ow.node("Tanh", ["x"], ["a"])]
    assert ops(fc.from_onnx(ow.model(body, [ow.value("x", [2])], ["y"]))) == ["tanh", "relu"]


# --------------------------------------------------------------------------------------------- errors
def test_a_cycle_names_node_and_tensor() -> None:
    body = [ow.node("Add", ["x", "b"], ["a"], "n1"), ow.node("Relu", ["a"], ["b"], "n2")]
    with pytest.raises(fc.GraphError, match=r"node 'n[12]' is part of a cycle through its tensor '[ab]'"):
        fc.from_onnx(ow.model(body, [ow.value("x", [2])], ["b"]))


def test_a_tensor_nobody_makes_is_named() -> None:
    with pytest.raises(fc.GraphError, match="Relu node 'n' reads tensor 'nope', which nothing makes"):
        fc.from_onnx(ow.model([ow.node("Relu", ["nope"], ["y"], "n")], [], ["y"]))
    with pytest.raises(fc.GraphError, match="graph output 'z' is made by no node"):
        fc.from_onnx(ow.model([ow.node("Relu", ["x"], ["y"])], [ow.value("x", [2])], ["z"]))
    with pytest.raises(fc.GraphError, match="makes tensor 'x', which exists already"):
        fc.from_onnx(ow.model([ow.node("Relu", ["x"], ["x"])], [ow.value("x", [2])], ["x"]))


def test_all_unsupported_ops_are_listed_with_counts() -> None:
    body = [
        ow.node("ImageDecoder", ["x"], ["a"], "n1"),
        ow.node("Relu", ["a"], ["b"], "n2"),
        ow.node("ImageDecoder", ["b"], ["c"], "n3"),
        ow.node("Fused", ["c"], ["y"], "n4", "com.example"),
    ]
    with pytest.raises(fc.UnsupportedOp) as caught:
        fc.from_onnx(ow.model(body, [ow.value("x", [2])], ["y"], opsets={"com.example": 1}))
    text = str(caught.value)
    assert "3 nodes cannot be counted: " in text
    assert "ImageDecoder x 2 (first: node 'n1': it decodes a compressed image" in text
    assert "com.example::Fused x 1 (first: node 'n4')" in text


def listed(known: bool) -> fc.Graph:
    """x [2, 4] -> Relu -> Fused with weights -> MatMul -> y, the shape of Fused's result written in the file or not."""
    body = [
        ow.node("Relu", ["x"], ["a"], "n1"),
        ow.node("Fused", ["a", "w"], ["b"], "n2", "com.example"),
        ow.node("MatMul", ["b", "v"], ["y"], "n3"),
    ]
    values = [ow.value("b", [2, 8])] if known else []
    stored = [ow.tensor("w", [3, 7]), ow.tensor("v", [8, 5])]
    model = ow.model(body, [ow.value("x", [2, 4])], ["y"], stored, opsets={"com.example": 1}, values=values)
    return fc.from_onnx(model, on_unsupported="list")


def test_listed_ops_are_left_out_and_said_in_tally_and_explanation() -> None:
    graph = listed(known=True)
    assert graph.unsupported == {"com.example::Fused": 1}
    tally = fc.count(graph)
    assert tally.unsupported == {"com.example::Fused": 1}
    assert tally.flop("macs") == 2 * 8 * 5  # what reads the result is counted: the file says its shape
    assert tally.parameters == 3 * 7 + 8 * 5  # the weights of a listed node are weights of the model
    explained = tally.explain("macs")
    assert explained.unsupported == {"com.example::Fused": 1}
    assert "not in the graph: com.example::Fused x 1, no rule and no bound" in str(explained)
    assert explained.to_dict()["unsupported"] == [{"op": "com.example::Fused", "nodes": 1}]


def test_readers_of_an_unknown_shape_are_listed_too() -> None:
    tally = fc.count(listed(known=False))
    assert tally.unsupported == {"MatMul": 1, "com.example::Fused": 1}
    assert (tally.flop("macs"), tally.flop("all-arithmetic")) == (0, 8)


def test_on_unsupported_takes_two_words() -> None:
    with pytest.raises(ValueError, match="on_unsupported='skip': it is 'error' or 'list'"):
        fc.from_onnx(ow.model([], [], []), on_unsupported="skip")  # type: ignore[arg-type]


def test_a_shape_that_depends_on_data_is_unsupported() -> None:
    body = [ow.node("Reshape", ["x", "s"], ["y"], "it")]
    inputs = [ow.value("x", [2, 3]), ow.value("s", [1], "int64")]
    with pytest.raises(fc.UnsupportedOp, match="a shape computed from data"):
        fc.from_onnx(ow.model(body, inputs, ["y"]))


def test_shape_errors_name_file_and_node(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(
        ow.model([ow.node("Add", ["x", "w"], ["y"], "it")], [ow.value("x", [2])], ["y"], [ow.tensor("w", [3])])
    )
    with pytest.raises(fc.ShapeError, match=r"m\.onnx: .*'it'"):
        fc.from_onnx(path)


@pytest.mark.parametrize("opset", [6, 99])
def test_opsets_that_are_not_known_are_refused(opset: int) -> None:
    with pytest.raises(fc.UnsupportedOp, match="7 to 28 are known"):
        single("Relu", [(2,)], opset=opset)


def test_the_default_domain_must_be_imported() -> None:
    model = ow.model([ow.node("Softmax", ["x"], ["y"], "it")], [ow.value("x", [2])], ["y"])
    assert model.count(ow.message(8, ow.message(1, "") + ow.number(2, 17))) == 1
    other = model.replace(ow.message(8, ow.message(1, "") + ow.number(2, 17)), ow.message(8, ow.message(1, "own")))
    with pytest.raises(fc.DataError, match="'it' is of the default domain, which opset_import does not name"):
        fc.from_onnx(other)


def test_inputs_without_shape_or_dtype_are_refused() -> None:
    with pytest.raises(fc.DataError, match="'x' has no shape"):
        fc.from_onnx(ow.model([ow.node("Relu", ["x"], ["y"])], [ow.value("x", None)], ["y"]))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"hello world", "not ONNX"), (b"\x08\x08", "without a graph")],
)
def test_files_that_are_not_onnx(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(fc.DataError, match=rf"m\.onnx.*{words}"):
        fc.from_onnx(path)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(fc.DataError, match="No such file"):
        fc.from_onnx(tmp_path / "none.onnx")
    with pytest.raises(fc.DataError, match="is a directory"):
        fc.from_onnx(tmp_path)


def test_attention_with_windows_has_their_extent() -> None:
    shapes = [(2, 3, 4, 8), (2, 3, 6, 8), (2, 3, 6, 8)]
    graph = single("Attention", shapes, opset=25, left_window_size=2, is_causal=1)
    tally = fc.count(graph)
    # Rows see 1, 2, 3, 3 of 6 keys; a multiply-add per feature of a score, and one of what it weighs.
    assert (tally.flop("macs"), tally.flop("model")) == (2 * 3 * 4 * 6 * 16, 2 * 2 * 3 * 9 * 16)
    both = single("Attention", [(1, 1, 5, 4)] * 3, opset=25, left_window_size=1, right_window_size=2, softcap=2.0)
    (node,) = nodes(both)
    assert node["attrs"] == node["attrs"] | {"window_left": 1, "window_right": 2, "softcap": True}
    assert fc.count(both).flop("model") == 2 * (3 + 4 + 4 + 3 + 2) * 8
    with pytest.raises(fc.UnsupportedNodes, match="a window over a cache that is not causal"):
        single("Attention", [*shapes, (4, 12), *[(2, 3, 6, 8)] * 2], opset=25, left_window_size=2)


def test_two_bits_and_scales_of_eight_are_dtypes() -> None:
    assert fc.Graph().input("x", (5,), "uint2").dtype == "uint2"
    graph = single("Cast", [(3, 5)], opset=25, to=26)
    assert fc.count(graph).bytes().writes == 4  # 15 elements of two bits
    assert last_shape(graph) == (3, 5)
    assert single("Cast", [(3,)], opset=25, to=24).core.dtype(1) == "float8_e8m0"
