"""Models that people ship in wheels, against a sum over their contractions by onnx's shape inference.

It does not get through the padding of silero-vad or the reshapes of the text recogniser: those are run, in NumPy.

The wheels (`.ci/models.txt` says which and why) are installed into a folder that FLOPCORE_MODELS names, without deps.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flopcore as fc

onnx = pytest.importorskip("onnx", reason="needs the extra 'oracle'")
reference = pytest.importorskip("onnx.reference", reason="needs the extra 'oracle'")
if "FLOPCORE_MODELS" not in os.environ:
    pytest.skip("FLOPCORE_MODELS names no folder with the wheels of .ci/models.txt", allow_module_level=True)
FOLDER = Path(os.environ["FLOPCORE_MODELS"])
MODULES = {
    "Conv": ("op_conv", "Conv"),
    "ConvTranspose": ("op_conv_transpose", "ConvTranspose"),
    "Gemm": ("op_gemm", "Gemm_7"),
    "LSTM": ("op_lstm", "LSTM"),
    "MatMul": ("op_matmul", "MatMul"),
}


RECORDED = {
    "Conv": lambda a, y: math.prod(y[0].shape) * math.prod(a[1].shape[1:]),
    "ConvTranspose": lambda a, y: math.prod(a[0].shape) * math.prod(a[1].shape[1:]),
    "MatMul": lambda a, y: math.prod(y[0].shape) * a[0].shape[-1],
    "Gemm": lambda a, y: math.prod(y[0].shape) * a[0].shape[-1],  # none of these files transposes the first operand
    "LSTM": lambda a, y: math.prod(a[0].shape[:2]) * math.prod(a[2].shape[:2]) * (a[0].shape[2] + a[2].shape[2]),
}


def executed(path: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> int:
    """Multiply-adds of the contractions that onnx's reference evaluator runs, from the shapes that it runs them on."""
    total = 0

    def recorder(name: str) -> type:
        module, kind = MODULES[name]
        base = getattr(importlib.import_module(f"onnx.reference.ops.{module}"), kind)

        def run(self: Any, *arguments: Any, **attributes: Any) -> Any:
            nonlocal total
            results = base._run(self, *arguments, **attributes)
            total += RECORDED[name](arguments, results)
            return results

        return type(name, (base,), {"_run": run, "op_domain": ""})

    model = onnx.load(path)
    taken = {value.name for value in model.graph.input}
    evaluator = reference.ReferenceEvaluator(model, new_ops=[recorder(name) for name in RECORDED])
    evaluator.run(None, {name: value for name, value in inputs.items() if name in taken})
    return total


def vad(length: int, rate: int) -> dict[str, np.ndarray[Any, Any]]:
    state = np.zeros((2, 3, 128), np.float32)
    return {"input": np.zeros((3, length), np.float32), "state": state, "sr": np.array(rate)}


def image(*shape: int) -> dict[str, np.ndarray[Any, Any]]:
    return {"x": np.zeros(shape, np.float32)}


def paddle(*sizes: int) -> dict[str, int]:
    """The dims that paddle names, from the first on."""
    return {f"p2o.DynamicDimension.{i}": size for i, size in enumerate(sizes)}


OCR, VAD = "rapidocr_onnxruntime/models/", "silero_vad/data/"
OPEN = {"input_dim0": 3, "state_dim1": 3}
CASES = [
    pytest.param(OCR + "ch_PP-OCRv4_rec_infer.onnx", image(1, 3, 48, 80), paddle(1, 80) | {"x_dim2": 48}, id="ocr-rec"),
    pytest.param(
        OCR + "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        image(2, 3, 48, 192),
        {"x_dim0": 2, "x_dim2": 48, "x_dim3": 192},
        id="ocr-cls",
    ),
    pytest.param(VAD + "silero_vad.onnx", vad(576, 16000), OPEN | {"input_dim1": 576, "sr": 16000}, id="vad-16k"),
    pytest.param(VAD + "silero_vad.onnx", vad(288, 8000), OPEN | {"input_dim1": 288, "sr": 8000}, id="vad-8k"),
    pytest.param(VAD + "silero_vad_16k_op15.onnx", vad(576, 16000), {"batch": 3, "sequence": 576}, id="vad-op15"),
    pytest.param(VAD + "silero_vad_half.onnx", vad(576, 16000), {"batch": 3, "sequence": 576}, id="vad-half"),
    pytest.param(
        VAD + "silero_vad_op18_ifless.onnx",
        vad(576, 16000),
        {"batch": 3, "sequence": 576, "sr": 16000},
        id="vad-ifless",
    ),
]


@pytest.mark.parametrize(("path", "inputs", "at"), CASES)
def test_macs_equal_what_the_reference_evaluator_runs(
    path: str, inputs: Mapping[str, np.ndarray[Any, Any]], at: Mapping[str, int]
) -> None:
    expected = executed(FOLDER / path, inputs)
    assert expected > 10**5
    assert fc.count(fc.from_onnx(FOLDER / path, at=at)).flop("macs") == expected


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("magika/models/standard_v3_3/model.onnx", {"unk__214": 7}),
        ("basic_pitch/saved_models/icassp_2022/nmp.onnx", {"unk__749": 3}),
        (OCR + "ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x_dim0": 5, "x_dim2": 48, "x_dim3": 100}),
        (VAD + "silero_vad_16k_sequence.onnx", {"sequence_length": 9}),
    ],
)
def test_dims_that_stay_open_are_exact_when_they_are_bound_later(path: str, at: Mapping[str, int]) -> None:
    later = fc.count(fc.from_onnx(FOLDER / path)).flop("macs", at=at)
    assert later == fc.count(fc.from_onnx(FOLDER / path, at=at)).flop("macs")


def inferred(path: Path, sizes: Sequence[int]) -> int:
    """Multiply-adds of a file's Conv, ConvTranspose, Gemm and MatMul nodes, by onnx's shape inference."""
    model = onnx.load(path)
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, sizes, strict=True):
        dim.dim_value = size
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True, strict_mode=True).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)}
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    shapes |= {node.output[0]: list(node.attribute[0].t.dims) for node in graph.node if node.op_type == "Constant"}
    shapes[graph.input[0].name] = list(sizes)
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            source = node.output[0] if node.op_type == "Conv" else node.input[0]
            macs = math.prod(shapes[source]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type in ("MatMul", "Gemm"):
            assert not any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            macs = math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
        else:
            continue
        assert macs > 0, f"{node.name} was not inferred"
        total += macs
    return total


@pytest.mark.parametrize(
    ("path", "sizes", "at"),
    [
        (OCR + "ch_PP-OCRv4_det_infer.onnx", (1, 3, 640, 480), paddle(1, 640, 480)),
        ("magika/models/standard_v3_3/model.onnx", (4, 2048), {"unk__214": 4}),
        ("basic_pitch/saved_models/icassp_2022/nmp.onnx", (2, 43844, 1), {"unk__749": 2}),
    ],
)
def test_macs_equal_the_sum_over_inferred_shapes(path: str, sizes: Sequence[int], at: Mapping[str, int]) -> None:
    expected = inferred(FOLDER / path, sizes)
    assert expected > 10**7
    assert fc.count(fc.from_onnx(FOLDER / path, at=at)).flop("macs") == expected
