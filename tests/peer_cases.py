"""One operation each, as a PyTorch module and as build calls: what the counters of PyTorch models are run on.

Importing this skips the importing tests where PyTorch is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import flopcore as fc

torch = pytest.importorskip("torch", reason="needs the oracle extra")
nn = torch.nn
F = torch.nn.functional

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


def op(name: str, **attrs: Any) -> Build:
    return lambda g, x: g.op(name, x, attrs)


def prelu(g: fc.Graph, x: list[fc.Tensor]) -> object:
    return g.op("prelu", [x[0], vector(g, 1)])


IMAGE, ROWS, HEADS = (2, 6, 9, 10), (2, 5, 8), (2, 4, 6, 8)
ONE_INPUT = ("ptflops-module-0.7.5", "ptflops-aten-0.7.5")  # they call a model with one tensor


def attend(*inputs: Any, **options: Any) -> Any:
    """Looked up late: some peers put a function of their own in its place."""
    return F.scaled_dot_product_attention(*inputs, **options)


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
    "matmul": Case(lambda: Call(lambda a, b: torch.matmul(a, b)), [HEADS, (2, 4, 8, 3)], one("matmul"), ONE_INPUT),
    "add": Case(lambda: Call(lambda a, b: a + b), [ROWS, ROWS], one("add"), ONE_INPUT),
    "sub": Case(lambda: Call(lambda a, b: a - b), [ROWS, ROWS], one("sub"), ONE_INPUT),
    "mul": Case(lambda: Call(lambda a, b: a * b), [ROWS, ROWS], one("mul"), ONE_INPUT),
    "div": Case(lambda: Call(lambda a, b: a / b), [ROWS, ROWS], one("div"), ONE_INPUT),
    "mean": Case(lambda: Call(lambda x: x.mean(dim=1)), [ROWS], one("reduce_mean", axes=1)),
    "sum": Case(lambda: Call(lambda x: x.sum(dim=1)), [ROWS], one("reduce_sum", axes=1)),
    "transpose": Case(lambda: Call(lambda x: x.permute(2, 0, 1)), [ROWS], one("transpose", permutation=[2, 0, 1])),
    "attention": Case(lambda: Call(attend), [HEADS, HEADS, HEADS], one("attention"), ONE_INPUT),
    "attention, causal": Case(
        lambda: Call(lambda q, k, v: attend(q, k, v, is_causal=True)), [HEADS, HEADS, HEADS],
        one("attention", causal="top_left"), ONE_INPUT,
    ),
    "attention, grouped": Case(
        lambda: Call(lambda q, k, v: attend(q, k, v, enable_gqa=True)), [HEADS, (2, 2, 6, 8), (2, 2, 6, 8)],
        one("attention"), (*ONE_INPUT, "torchprofile-0.1.0"),
    ),
}  # fmt: skip

# Modules of PyTorch that are an elementwise op of ours under another name.
ACTIVATIONS = {
    "relu6": nn.ReLU6, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "selu": nn.SELU, "celu": nn.CELU,
    "softplus": nn.Softplus, "softsign": nn.Softsign, "hard_sigmoid": nn.Hardsigmoid, "hard_swish": nn.Hardswish,
    "hard_tanh": nn.Hardtanh, "mish": nn.Mish, "hard_shrink": nn.Hardshrink, "soft_shrink": nn.Softshrink,
    "tanh_shrink": nn.Tanhshrink, "log_sigmoid": nn.LogSigmoid,
}  # fmt: skip
FUNCTIONS = (
    "neg",
    "abs",
    "sign",
    "sqrt",
    "rsqrt",
    "exp",
    "log",
    "sin",
    "erf",
    "square",
    "reciprocal",
    "floor",
    "round",
)
CASES |= {name: Case(module, [ROWS], op(name)) for name, module in ACTIVATIONS.items()}
CASES |= {name: Case(lambda name=name: Call(getattr(torch, name)), [ROWS], op(name)) for name in FUNCTIONS}  # type: ignore[misc]
CASES["prelu"] = Case(nn.PReLU, [ROWS], prelu)


def scaled_norm(name: str, affine: bool, **attrs: Any) -> Build:
    return lambda g, x: g.op(name, [x[0], *(vector(g, 6) if affine else None for _ in range(2))], attrs)


def upsample(mode: str) -> Callable[[], Any]:
    return lambda: nn.Upsample(scale_factor=2, mode=mode)


TWICE = {"output_size": [18, 20]}
CASES |= {
    "group norm": Case(lambda: nn.GroupNorm(3, 6), [IMAGE], scaled_norm("group_norm", True, groups=3)),
    "group norm, plain": Case(
        lambda: nn.GroupNorm(3, 6, affine=False), [IMAGE], scaled_norm("group_norm", False, groups=3)
    ),
    "instance norm": Case(lambda: nn.InstanceNorm2d(6, affine=True), [IMAGE], scaled_norm("instance_norm", True)),
    "instance norm, plain": Case(lambda: nn.InstanceNorm2d(6), [IMAGE], scaled_norm("instance_norm", False)),
    "global max pool": Case(lambda: nn.AdaptiveMaxPool2d(1), [IMAGE], op("adaptive_max_pool", output_size=[1, 1])),
    "upsample, nearest": Case(upsample("nearest"), [IMAGE], op("interpolate_nearest", **TWICE)),
    "upsample, bilinear": Case(upsample("bilinear"), [IMAGE], op("interpolate_linear", **TWICE)),
    "upsample, bicubic": Case(upsample("bicubic"), [IMAGE], op("interpolate_cubic", **TWICE)),
    "log softmax": Case(lambda: nn.LogSoftmax(dim=-1), [ROWS], op("log_softmax")),
    "pixel shuffle": Case(lambda: nn.PixelShuffle(2), [(2, 8, 4, 4)], op("depth_to_space", block=2)),
    "zero pad": Case(lambda: nn.ZeroPad2d(1), [IMAGE], op("pad", padding=[0, 0, 1, 1, 0, 0, 1, 1])),
    "cumulative sum": Case(lambda: Call(lambda x: torch.cumsum(x, 1)), [ROWS], op("cumsum", axis=1)),
    "largest": Case(lambda: Call(lambda x: x.amax(1)), [ROWS], op("reduce_max", axes=[1])),
    "product": Case(lambda: Call(lambda x: x.prod(1)), [ROWS], op("reduce_prod", axes=[1])),
    "variance": Case(lambda: Call(lambda x: x.var(1)), [ROWS], op("reduce_var", axes=[1])),
    "place of the largest": Case(lambda: Call(lambda x: x.argmax(1)), [ROWS], op("argmax", axes=[1])),
    "sort": Case(lambda: Call(lambda x: torch.sort(x, 1)[0]), [ROWS], op("sort", axis=1)),
    "grid sample": Case(
        lambda: Call(lambda x, grid: F.grid_sample(x, grid, align_corners=False)), [IMAGE, (2, 3, 4, 2)],
        op("grid_sample"), (*ONE_INPUT, "torch-2.13"),
    ),
}  # fmt: skip


def transposed(weight: tuple[int, ...], bias: bool, out: int, **attrs: Any) -> Build:
    return lambda g, x: g.op(
        "conv_transpose", [x[0], g.parameter("w", weight), vector(g, out) if bias else None], attrs
    )


def bilinear(g: fc.Graph, x: list[fc.Tensor]) -> object:
    return g.op("bilinear", [*x, g.parameter("w", (5, 8, 8)), vector(g, 5)])


CASES |= {
    "transposed conv": Case(
        lambda: nn.ConvTranspose2d(6, 4, 4, stride=2), [IMAGE], transposed((6, 4, 4, 4), True, 4, stride=[2, 2])
    ),
    "transposed conv, cropped": Case(
        lambda: nn.ConvTranspose2d(6, 6, 3, padding=1, bias=False), [IMAGE],
        transposed((6, 6, 3, 3), False, 6, padding=[1, 1, 1, 1]),
    ),
    "transposed conv, grouped": Case(
        lambda: nn.ConvTranspose2d(6, 4, 4, stride=2, groups=2), [IMAGE],
        transposed((6, 2, 4, 4), True, 4, stride=[2, 2], groups=2), ("torchprofile-0.1.0",),
    ),
    "bilinear": Case(lambda: nn.Bilinear(8, 8, 5), [ROWS, ROWS], bilinear, ONE_INPUT),
    "einsum": Case(
        lambda: Call(lambda a, b: torch.einsum("bij,bkj->bik", a, b)), [(2, 8, 16), (2, 4, 16)],
        op("einsum", equation="bij,bkj->bik"), (*ONE_INPUT, "deepspeed-0.19"),
    ),
    **{
        f"einsum {equation}, of five digits": Case(
            lambda equation=equation: Call(lambda a, b: torch.einsum(equation, a, b)), [(2, 17, 16), second],
            op("einsum", equation=equation), (*ONE_INPUT, "deepspeed-0.19"),
        )
        for equation, second in (
            ("bij,bjk->bik", (2, 16, 23)), ("bij,bik->bjk", (2, 17, 23)), ("xyz,xwz->xwy", (2, 23, 16)),
        )
    },
}  # fmt: skip


def recurrent(name: str, gates: int, bias: bool, size: int = 16, **attrs: Any) -> Build:
    """One layer in one direction, with both biases of PyTorch in one tensor."""

    def build(g: fc.Graph, x: list[fc.Tensor]) -> object:
        weights = [g.parameter(part, (1, gates * size, width)) for part, width in (("w", x[0].shape[-1]), ("r", size))]
        return g.op(name, [x[0], *weights, g.parameter("b", (1, 2 * gates * size)) if bias else None], attrs)

    return build


CASES |= {
    "lstm": Case(lambda: nn.LSTM(8, 16), [ROWS], recurrent("lstm", 4, True)),
    "lstm, plain": Case(lambda: nn.LSTM(8, 16, bias=False), [ROWS], recurrent("lstm", 4, False)),
    "gru": Case(lambda: nn.GRU(8, 16), [ROWS], recurrent("gru", 3, True)),
    "gru, plain": Case(lambda: nn.GRU(8, 16, bias=False), [ROWS], recurrent("gru", 3, False)),
    "rnn": Case(lambda: nn.RNN(8, 16), [ROWS], recurrent("rnn", 1, True)),
    "rnn, relu": Case(lambda: nn.RNN(8, 16, nonlinearity="relu"), [ROWS], recurrent("rnn", 1, True, activation="relu")),
}

SQUARE = (2, 5, 5)
CASES |= {
    "cholesky": Case(lambda: Call(lambda a: torch.linalg.cholesky_ex(a)[0]), [SQUARE], op("cholesky")),
    "lu": Case(lambda: Call(lambda a: torch.linalg.lu_factor(a)[0]), [SQUARE], op("lu_factor")),
    "triangular solve": Case(
        lambda: Call(lambda a, b: torch.linalg.solve_triangular(a, b, upper=False)), [SQUARE, (2, 5, 3)],
        op("triangular_solve"), ONE_INPUT,
    ),
    "qr": Case(lambda: Call(lambda a: torch.linalg.qr(a)[0]), [SQUARE], op("qr")),
    "fft": Case(lambda: Call(lambda x: torch.fft.fft(x).real), [ROWS], op("fft", dtype="complex64")),
}  # fmt: skip
