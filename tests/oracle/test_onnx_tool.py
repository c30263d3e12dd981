"""`onnx-tool-1.0.1/measured` is what onnx-tool says of one node at a time, and of whole models: it is run.

Needs the oracle extra.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import flopcore as fc

onnx = pytest.importorskip("onnx", reason="needs the oracle extra")
onnx_tool = pytest.importorskip("onnx_tool", reason="needs the oracle extra")

pytestmark = pytest.mark.filterwarnings("ignore")
SHAPE = (2, 3, 4)
# ONNX op type -> ours, and how many inputs.
NODES = {
    "Add": ("add", 2), "Sub": ("sub", 2), "Mul": ("mul", 2), "Div": ("div", 2), "Mod": ("remainder", 2),
    "Min": ("minimum", 3), "Max": ("maximum", 3), "Sum": ("add_n", 3), "Neg": ("neg", 1), "Abs": ("abs", 1),
    "Sign": ("sign", 1), "Ceil": ("ceil", 1), "Floor": ("floor", 1), "Round": ("round", 1),
    "Reciprocal": ("reciprocal", 1), "Exp": ("exp", 1), "Log": ("log", 1), "Sqrt": ("sqrt", 1), "Pow": ("pow", 2),
    "Sin": ("sin", 1), "Cos": ("cos", 1), "Atan": ("atan", 1), "Erf": ("erf", 1), "Relu": ("relu", 1),
    "LeakyRelu": ("leaky_relu", 1), "Elu": ("elu", 1), "Sigmoid": ("sigmoid", 1), "HardSigmoid": ("hard_sigmoid", 1),
    "HardSwish": ("hard_swish", 1), "Tanh": ("tanh", 1), "Softplus": ("softplus", 1), "Softmax": ("softmax", 1),
    "LogSoftmax": ("log_softmax", 1),
    "Equal": ("equal", 2), "Less": ("less", 2), "LessOrEqual": ("less_equal", 2), "Greater": ("greater", 2),
    "GreaterOrEqual": ("greater_equal", 2),
}  # fmt: skip


def reported(model: object) -> float:
    graph = onnx_tool.Model(model, {"verbose": False}).graph
    graph.shape_infer()
    graph.profile()
    return graph.macs[0]


@pytest.mark.parametrize("op_type", NODES)
def test_a_node(op_type: str) -> None:
    name, n_inputs = NODES[op_type]
    inputs = [f"x{i}" for i in range(n_inputs)]
    infos = [onnx.helper.make_tensor_value_info(text, onnx.TensorProto.FLOAT, SHAPE) for text in inputs]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, SHAPE)
    node = onnx.helper.make_node(op_type, inputs, ["y"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "one", infos, [output]))
    graph = fc.Graph()
    graph.op(name, [graph.input(text, SHAPE) for text in inputs])
    assert fc.count(graph).flop("onnx-tool-1.0.1") == reported(model)


@pytest.mark.parametrize("name", ["densenet121", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19"])
def test_a_whole_model(name: str) -> None:
    path = Path(onnx.__file__).parent / "backend/test/data/light" / f"light_{name}.onnx"
    assert fc.count(fc.from_onnx(path)).flop("onnx-tool-1.0.1") == reported(str(path))


def test_resnet50_of_the_facts() -> None:
    """31 per batch-norm output, 1 per ReLU and sum, 9 per max-pooled output, 1 per averaged input, 37 per class."""
    path = Path(onnx.__file__).parent / "backend/test/data/light" / "light_resnet50.onnx"
    parts = 4_089_184_256 + 31 * 11_113_984 + 9_608_704 + 5_519_360 + 9 * 200_704 + 100_352 + 37 * 1000
    assert fc.count(fc.from_onnx(path)).flop("onnx-tool-1.0.1") == parts == 4_450_789_512


def test_float64_sums_of_onnx_tool_are_rounded_and_ours_are_not() -> None:
    m, k, n = 1048577, 8193, 1048577
    a = onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, (m, k))
    b = onnx.helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, (k, n))
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (m, n))
    node = onnx.helper.make_node("MatMul", ["a", "b"], ["y"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "large", [a, b], [y]))
    graph = fc.Graph()
    graph.matmul(graph.input("a", (m, k)), graph.input("b", (k, n)))
    assert fc.count(graph).flop("onnx-tool-1.0.1") == 9_008_315_948_343_297
    assert reported(model) == 9_008_315_948_343_296.0
