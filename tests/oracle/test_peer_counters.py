"""Each `measured` convention says what its peer says, on one module per op: the peers themselves are run.

Needs the oracle extra. Cases in which a peer fails with an error are not listed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import flopcore as fc

torch = pytest.importorskip("torch", reason="needs the oracle extra")
nn = torch.nn
F = torch.nn.functional

pytestmark = pytest.mark.filterwarnings("ignore")

Build = Callable[[fc.Graph, list[fc.Tensor]], object]


class Call(nn.Module):  # type: ignore[misc,name-defined]
    """A module that calls a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


@dataclass(frozen=True)
class Case:
    """The same operation as a module and as build calls; `fails` names the peers that cannot run it."""

    module: Callable[[], Any]
    shapes: Sequence[tuple[int, ...]]
    build: Build
    fails: tuple[str, ...] = ()


def vector(graph: fc.Graph, size: int) -> fc.Tensor:
    return graph.parameter("vector", (size,))


def linear(out: int, width: int, bias: bool) -> Build:
    return lambda g, x: g.linear(x[0], g.parameter("w", (out, width)), vector(g, out) if bias else None)


def conv(weight: tuple[int, ...], bias: bool, **options: Any) -> Build:
    return lambda g, x: g.conv(x[0], g.parameter("w", weight), vector(g, weight[0]) if bias else None, **options)


def batch_norm(channels: int, affine: bool) -> Build:
    def build(g: fc.Graph, x: list[fc.Tensor]) -> object:
        weights = [vector(g, channels) if affine else None for _ in range(2)]
        return g.batch_norm(x[0], *weights, vector(g, channels), vector(g, channels))

    return build


def layer_norm(width: int, affine: bool) -> Build:
    return lambda g, x: g.layer_norm(x[0], *(vector(g, width) if affine else None for _ in range(2)))


def one(name: str, **options: Any) -> Build:
    return lambda g, x: getattr(g, name)(*x, **options)


IMAGE, ROWS, HEADS = (2, 6, 9, 10), (2, 5, 8), (2, 4, 6, 8)
ONE_INPUT = ("ptflops-module-0.7.5", "ptflops-aten-0.7.5")  # they call a model with one tensor
SDPA = F.scaled_dot_product_attention
CASES = {
    "linear, bias": Case(lambda: nn.Linear(8, 7), [ROWS], linear(7, 8, True)),
    "linear": Case(lambda: nn.Linear(8, 7, bias=False), [ROWS], linear(7, 8, False)),
    "conv 1d": Case(lambda: nn.Conv1d(6, 4, 3, stride=2), [(2, 6, 9)], conv((4, 6, 3), True, stride=2)),
    "conv 2d": Case(lambda: nn.Conv2d(6, 4, 3, bias=False), [IMAGE], conv((4, 6, 3, 3), False)),
    "conv 2d, grouped": Case(
        lambda: nn.Conv2d(6, 4, 3, groups=2, padding=1), [IMAGE], conv((4, 3, 3, 3), True, groups=2, padding=1)
    ),
    "conv 3d": Case(
        lambda: nn.Conv3d(4, 4, (3, 2, 1), groups=4, dilation=(1, 2, 1)),
        [(2, 4, 5, 6, 7)],
        conv((4, 1, 3, 2, 1), True, groups=4, dilation=(1, 2, 1)),
    ),
    "batch norm": Case(lambda: nn.BatchNorm2d(6), [IMAGE], batch_norm(6, True)),
    "batch norm, plain": Case(lambda: nn.BatchNorm2d(6, affine=False), [IMAGE], batch_norm(6, False)),
    "layer norm": Case(lambda: nn.LayerNorm(8), [ROWS], layer_norm(8, True)),
    "layer norm, plain": Case(lambda: nn.LayerNorm(8, elementwise_affine=False), [ROWS], layer_norm(8, False)),
    "relu": Case(nn.ReLU, [ROWS], one("relu")),
    "gelu": Case(nn.GELU, [ROWS], one("gelu")),
    "gelu, tanh": Case(lambda: nn.GELU(approximate="tanh"), [ROWS], one("gelu", approximate="tanh")),
    "silu": Case(nn.SiLU, [ROWS], one("silu")),
    "sigmoid": Case(nn.Sigmoid, [ROWS], one("sigmoid")),
    "tanh": Case(nn.Tanh, [ROWS], one("tanh")),
    "softmax": Case(lambda: nn.Softmax(dim=-1), [ROWS], one("softmax")),
    "softmax, axis 1": Case(lambda: nn.Softmax(dim=1), [ROWS], one("softmax", axis=1)),
    "max pool": Case(lambda: nn.MaxPool2d(3, 2, 1), [IMAGE], one("max_pool", kernel=3, stride=2, padding=1)),
    "average pool": Case(lambda: nn.AvgPool2d(2), [IMAGE], one("average_pool", kernel=2)),
    "global pool": Case(lambda: nn.AdaptiveAvgPool2d(1), [IMAGE], one("adaptive_average_pool", output_size=1)),
    "adaptive pool": Case(
        lambda: nn.AdaptiveAvgPool2d((3, 5)), [IMAGE], one("adaptive_average_pool", output_size=(3, 5))
    ),
    "matmul": Case(lambda: Call(torch.matmul), [HEADS, (2, 4, 8, 3)], one("matmul"), ONE_INPUT),
    "add": Case(lambda: Call(lambda a, b: a + b), [ROWS, ROWS], one("add"), ONE_INPUT),
    "sub": Case(lambda: Call(lambda a, b: a - b), [ROWS, ROWS], one("sub"), ONE_INPUT),
    "mul": Case(lambda: Call(lambda a, b: a * b), [ROWS, ROWS], one("mul"), ONE_INPUT),
    "div": Case(lambda: Call(lambda a, b: a / b), [ROWS, ROWS], one("div"), ONE_INPUT),
    "mean": Case(lambda: Call(lambda x: x.mean(dim=1)), [ROWS], one("reduce_mean", axes=1)),
    "sum": Case(lambda: Call(lambda x: x.sum(dim=1)), [ROWS], one("reduce_sum", axes=1)),
    "transpose": Case(lambda: Call(lambda x: x.permute(2, 0, 1)), [ROWS], one("transpose", permutation=[2, 0, 1])),
    "attention": Case(lambda: Call(SDPA), [HEADS, HEADS, HEADS], one("attention"), ONE_INPUT),
    "attention, causal": Case(
        lambda: Call(lambda q, k, v: SDPA(q, k, v, is_causal=True)), [HEADS, HEADS, HEADS],
        one("attention", causal="top_left"), ONE_INPUT,
    ),
    "attention, grouped": Case(
        lambda: Call(lambda q, k, v: SDPA(q, k, v, enable_gqa=True)), [HEADS, (2, 2, 6, 8), (2, 2, 6, 8)],
        one("attention"), (*ONE_INPUT, "torchprofile-0.1.0"),
    ),
}  # fmt: skip


def measured_torch(module: Any, inputs: list[Any]) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs)
    return counter.get_total_flops()


def measured_torch_meta(module: Any, inputs: list[Any]) -> float:
    return measured_torch(module.to("meta"), [value.to("meta") for value in inputs])


def measured_fvcore(module: Any, inputs: list[Any]) -> float:
    analysis = pytest.importorskip("fvcore.nn", reason="needs the oracle extra").FlopCountAnalysis(
        module, tuple(inputs)
    )
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


def measured_thop(module: Any, inputs: list[Any]) -> float:
    thop = pytest.importorskip("thop", reason="needs the oracle extra")
    return thop.profile(nn.Sequential(module) if len(inputs) == 1 else module, tuple(inputs), verbose=False)[0]


def measured_torchprofile(module: Any, inputs: list[Any]) -> float:
    return pytest.importorskip("torchprofile", reason="needs the oracle extra").profile_macs(module, tuple(inputs))


def measured_ptflops(backend: str) -> Callable[[Any, list[Any]], float]:
    def measured(module: Any, inputs: list[Any]) -> float:
        ptflops = pytest.importorskip("ptflops", reason="needs the oracle extra")
        return ptflops.get_model_complexity_info(
            nn.Sequential(module), (1,), input_constructor=lambda _: inputs[0], as_strings=False,
            print_per_layer_stat=False, backend=backend,
        )[0]  # fmt: skip

    return measured


PEERS: dict[str, Callable[[Any, list[Any]], float]] = {
    "torch-2.13": measured_torch_meta,
    "torch-2.13-cpu": measured_torch,
    "fvcore-0.1.5": measured_fvcore,
    "thop-0.1.1": measured_thop,
    "torchprofile-0.1.0": measured_torchprofile,
    "ptflops-module-0.7.5": measured_ptflops("pytorch"),
    "ptflops-aten-0.7.5": measured_ptflops("aten"),
}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("name", CASES)
def test_a_convention_is_what_its_peer_reports(peer: str, name: str) -> None:
    case = CASES[name]
    if peer in case.fails:
        return
    # The module back-end of ptflops divides what modules do, and only that, by the batch.
    shapes = [(1, *shape[1:]) if peer == "ptflops-module-0.7.5" else shape for shape in case.shapes]
    module = case.module().eval()
    reported = PEERS[peer](module, [torch.randn(shape) for shape in shapes])
    graph = fc.Graph()
    case.build(graph, [graph.input(f"x{index}", shape) for index, shape in enumerate(shapes)])
    assert fc.count(graph).flop(peer) == reported


@pytest.mark.parametrize("name", ["densenet121", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19"])
def test_onnx_tool_reports_the_same_on_a_whole_model(name: str) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the oracle extra")
    onnx_tool = pytest.importorskip("onnx_tool", reason="needs the oracle extra")
    path = Path(onnx.__file__).parent / "backend/test/data/light" / f"light_{name}.onnx"
    peer = onnx_tool.Model(str(path), {"verbose": False}).graph
    peer.shape_infer()
    peer.profile()
    assert fc.count(fc.from_onnx(path)).flop("onnx-tool-1.0.1") == peer.macs[0]
