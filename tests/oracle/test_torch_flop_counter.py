"""FlopCounterMode of PyTorch, on meta tensors, against our own walk under its convention: equal to the digit."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import pytest

import flopcore as fc
from flopcore.architectures import cnn

torch = pytest.importorskip("torch", reason="needs the extra 'oracle'")
F = torch.nn.functional


def counted(work: Callable[[], object]) -> int:
    """What FlopCounterMode reports for work on meta tensors: 2 per multiply-add of contractions, nothing else."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def ours(graph: fc.Graph) -> object:
    return fc.count(graph).flop("torch-2.13")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((7, 5), (5, 3)),
        ((4, 7, 5), (4, 5, 3)),
        ((2, 3, 7, 5), (2, 3, 5, 4)),
        ((2, 1, 7, 5), (3, 5, 4)),
        ((6, 7, 5), (5, 4)),
    ],
)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    graph = fc.Graph()
    graph.matmul(graph.input("a", a), graph.input("b", b))
    assert ours(graph) == counted(lambda: torch.matmul(torch.zeros(a), torch.zeros(b)))


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias: bool) -> None:
    graph = fc.Graph()
    extra = graph.parameter("b", (11,)) if bias else None
    graph.linear(graph.input("x", (2, 9, 13)), graph.parameter("w", (11, 13)), extra)
    assert ours(graph) == counted(lambda: torch.nn.Linear(13, 11, bias=bias)(torch.zeros(2, 9, 13)))


@pytest.mark.parametrize("spatial", [1, 2, 3])
@pytest.mark.parametrize(
    ("groups", "stride", "padding", "dilation", "kernel"),
    [(1, 1, 0, 1, 3), (1, 2, 1, 1, 3), (2, 1, 2, 2, 3), (6, 3, 0, 1, 1), (3, 2, 3, 1, 5)],
)
def test_conv(spatial: int, groups: int, stride: int, padding: int, dilation: int, kernel: int) -> None:
    size = (17, 13, 11)[:spatial]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    graph = fc.Graph()
    weight = graph.parameter("w", (12, 6 // groups, *[kernel] * spatial))
    graph.conv(graph.input("x", (2, 6, *size)), weight, **options)
    layer = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[spatial]
    assert ours(graph) == counted(lambda: layer(6, 12, kernel, bias=False, **options)(torch.zeros(2, 6, *size)))


@pytest.mark.parametrize("heads", [8, 2, 1])
@pytest.mark.parametrize("causal", ["none", "top_left"])
def test_attention(heads: int, causal: str) -> None:
    q, k = (2, 8, 32, 16), (2, heads, 32, 16)
    graph = fc.Graph()
    key, value = graph.input("k", k), graph.input("v", k)
    graph.attention(graph.input("q", q), key, value, causal=causal)

    def work() -> object:
        return F.scaled_dot_product_attention(
            torch.zeros(q), torch.zeros(k), torch.zeros(k), is_causal=causal != "none", enable_gqa=True
        )

    assert ours(graph) == counted(work)


def test_elementwise_norms_and_pools_are_nothing() -> None:
    graph = fc.Graph()
    x = graph.input("x", (2, 6, 8, 8))
    scale = [graph.parameter(name, (6,)) for name in "gbmv"]
    graph.softmax(graph.max_pool(graph.relu(graph.batch_norm(x, *scale)), 2))
    layers = (torch.nn.BatchNorm2d, torch.nn.ReLU, torch.nn.MaxPool2d, torch.nn.Softmax)

    def work() -> object:
        made = [layer(*size) for layer, size in zip(layers, ((6,), (), (2,), (-1,)), strict=True)]
        return torch.nn.Sequential(*made).eval()(torch.zeros(2, 6, 8, 8))

    assert ours(graph) == counted(work) == 0


@pytest.mark.parametrize(
    ("op", "shapes", "work"),
    [
        ("matmul", [(9, 8), (8,)], torch.mv),
        ("matmul", [(8,), (8,)], torch.dot),
        ("svd", [(9, 8)], torch.linalg.svd),
        ("fft", [(16,)], torch.fft.fft),
        ("solve", [(8, 8), (8, 3)], torch.linalg.solve),
    ],
    ids=["mv", "dot", "svd", "fft", "solve"],
)
def test_work_without_a_formula_is_silently_nothing(
    op: str, shapes: list[tuple[int, ...]], work: Callable[..., object]
) -> None:
    graph = fc.Graph()
    dtype = "complex64" if op == "fft" else "float32"
    attrs = {"dtype": dtype} if op == "fft" else {}
    graph.op(op, [graph.input(str(i), shape, dtype) for i, shape in enumerate(shapes)], attrs)
    assert ours(graph) == counted(lambda: work(*(torch.zeros(shape) for shape in shapes))) == 0
    assert fc.count(graph).flop("all-arithmetic") > 0


def test_the_parameters_and_flop_of_a_basic_block_network() -> None:
    """One residual stage written with torch's own layers against the same layers of our ResNet-18."""
    block = [
        row for row in fc.count(cnn.resnet(18)).rows() if row.scope.startswith("layer1.0") and row.feature == "mac"
    ]

    def work() -> object:
        x = torch.zeros(1, 64, 56, 56)
        return [torch.nn.Conv2d(64, 64, 3, padding=1, bias=False)(x) for _ in range(2)]

    # FlopCounterMode counts taps on padding, the nominal size of their extent.
    assert 2 * sum(int(row.base) * prod(int(extent.nominal) for extent in row.extents) for row in block) == counted(
        work
    )
