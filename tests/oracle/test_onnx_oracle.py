"""The onnx package as oracle: what our reader reads, and the counts of the models that the package brings along."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

import flopcore as fc
from flopcore import _core

onnx = pytest.importorskip("onnx", reason="needs the extra 'oracle'")
google = pytest.importorskip("google", reason="needs protobuf, which onnx brings along")

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
ALL = sorted(LIGHT.glob("*.onnx"))


def inferred(path: Path) -> tuple[object, dict[str, list[int]]]:
    """The model, and the shape of each tensor by onnx's own inference over its data."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)
    }
    for node in model.graph.node:  # weights without payload
        if node.op_type == "ConstantOfShape":
            tensor = next(t for t in model.graph.initializer if t.name == node.input[0])
            shapes[node.output[0]] = onnx.numpy_helper.to_array(tensor).tolist()
    return model, shapes | {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}


def contractions(path: Path) -> int:
    """Multiply-adds of a file's Conv, Gemm and MatMul nodes, from onnx's shapes alone."""
    model, shapes = inferred(path)
    total = 0
    for node in model.graph.node:  # type: ignore[attr-defined]
        if node.op_type == "Conv":
            total += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type == "Gemm":
            flipped = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            total += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if flipped else 1]
        elif node.op_type == "MatMul":
            total += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return total


def weights(path: Path) -> int:
    """Elements of the file's float tensors that some node reads, running statistics of batch norms aside."""
    model, shapes = inferred(path)
    graph = model.graph  # type: ignore[attr-defined]
    stored = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    stored |= {node.output[0] for node in graph.node if node.op_type == "ConstantOfShape"}
    read = {name for node in graph.node for name in node.input}
    running = {name for node in graph.node if node.op_type == "BatchNormalization" for name in node.input[3:]}
    return sum(math.prod(shapes[name]) for name in (stored & read) - running)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_the_reader_reads_what_onnx_reads(path: Path) -> None:
    ours, theirs = _core.read_onnx(str(path)), onnx.load(path)
    assert ours.ir_version == theirs.ir_version
    assert ours.opsets() == [(item.domain, item.version) for item in theirs.opset_import]
    assert ours.graph.name == theirs.graph.name
    nodes = ours.graph.nodes(range(ours.graph.n_nodes))
    assert [node[:5] for node in nodes] == [
        (node.op_type, node.domain, node.name, tuple(node.input), tuple(node.output)) for node in theirs.graph.node
    ]
    for node, expected in zip(nodes, theirs.graph.node, strict=True):
        attributes = node[5]
        assert list(attributes) == [attribute.name for attribute in expected.attribute]
        for attribute in expected.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            if isinstance(value, int | float | bytes):
                assert attributes[attribute.name] == value
            elif isinstance(value, list):
                assert list(attributes[attribute.name]) == value
            else:
                assert attributes[attribute.name].dims == tuple(value.dims)
    for tensor, expected in zip(ours.graph.initializers(), theirs.graph.initializer, strict=True):
        assert (tensor.name, tensor.dtype, tensor.dims) == (expected.name, expected.data_type, tuple(expected.dims))
        if tensor.values is not None:
            assert list(tensor.values) == onnx.numpy_helper.to_array(expected).ravel().tolist()
    for value, expected in zip(ours.graph.inputs(), theirs.graph.input, strict=True):
        dims = expected.type.tensor_type.shape.dim
        assert value == (
            expected.name,
            "tensor",
            expected.type.tensor_type.elem_type,
            tuple(dim.dim_value for dim in dims),
        )


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_light_models_equal_the_sum_over_their_contractions(path: Path) -> None:
    graph = fc.from_onnx(path)
    macs = contractions(path)
    assert fc.count(graph).flop("macs") == macs
    assert fc.count(graph).flop("torch-2.13") == 2 * macs
    assert graph.parameters == weights(path)


def test_resnet50_and_vgg19_are_exact() -> None:
    resnet = fc.from_onnx(LIGHT / "light_resnet50.onnx")
    tally = fc.count(resnet)
    assert tally.flop("macs") == 4_089_184_256
    assert tally.flop("torch-2.13") == 8_178_368_512
    assert tally.flop("pycls") == 4_089_185_256
    assert resnet.parameters == 25_557_032
    vgg = fc.from_onnx(LIGHT / "light_vgg19.onnx")
    assert fc.count(vgg).flop("macs") == 19_632_062_464
    assert vgg.parameters == 143_667_240


def test_every_truncation_of_a_real_model_is_an_error() -> None:
    data = (LIGHT / "light_zfnet512.onnx").read_bytes()
    assert len(data) < 5000
    for length in range(len(data)):
        with pytest.raises(fc.DataError):
            _core.parse_onnx(data[:length])


def test_what_both_read_of_damaged_files_is_the_same() -> None:
    data = (LIGHT / "light_squeezenet.onnx").read_bytes()
    rng = random.Random(3)
    both = 0
    for _ in range(1500):
        mutated = bytearray(data)
        mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        try:
            ours = _core.parse_onnx(bytes(mutated))
        except fc.DataError:
            continue
        try:
            theirs = onnx.load_from_string(bytes(mutated))
        except google.protobuf.message.DecodeError:
            continue
        both += 1
        nodes = ours.graph.nodes(range(ours.graph.n_nodes))
        assert [node[:5] for node in nodes] == [
            (node.op_type, node.domain, node.name, tuple(node.input), tuple(node.output)) for node in theirs.graph.node
        ]
        assert [tensor.dims for tensor in ours.graph.initializers()] == [
            tuple(tensor.dims) for tensor in theirs.graph.initializer
        ]
    assert both > 500
