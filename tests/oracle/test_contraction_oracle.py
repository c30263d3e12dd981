"""Contractions, convolutions, attention and recurrences against NumPy, PyTorch and XLA, conventions stated."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

import flopcore as fc


def amounts(graph: fc.Graph, take: str = "nominal") -> Counter[str]:
    """What a graph counts by feature, each extent taken in full or as far as it is used."""
    total: Counter[str] = Counter()
    for row in fc.count(graph).rows():
        amount = row.base
        for extent in row.extents:
            amount *= getattr(extent, take)
        total[row.feature] += amount  # type: ignore[assignment]
    return total


def node(op: str, shapes: list[tuple[int, ...] | None], **attrs: Any) -> fc.Graph:
    graph = fc.Graph()
    inputs = [None if shape is None else graph.input(f"x{i}", shape) for i, shape in enumerate(shapes)]
    graph.op(op, inputs, attrs)
    return graph


@pytest.mark.parametrize("seed", range(60))
def test_einsum_is_what_numpy_says_of_the_path(seed: int) -> None:
    choose = random.Random(seed)
    sizes = {letter: choose.randint(1, 5) for letter in "abcdef"}
    terms = ["".join(letter for letter in sizes if choose.random() < 0.5) for _ in range(choose.randint(2, 4))]
    present = sorted(set("".join(terms)))
    output = "".join(letter for letter in present if choose.random() < 0.4)
    equation = ",".join(terms) + "->" + output
    shapes: list[tuple[int, ...] | None] = [tuple(sizes[letter] for letter in term) for term in terms]
    arrays = [np.zeros(shape) for shape in shapes if shape is not None]
    path, text = np.einsum_path(equation, *arrays, optimize="optimal")
    pairs = path[1:]
    if any(len(pair) != 2 for pair in pairs):  # NumPy found nothing better than all at once
        pairs = [(0, 1)] * (len(terms) - 1)
        path, text = np.einsum_path(equation, *arrays, optimize=["einsum_path", *pairs])
    flat = [position for pair in pairs for position in pair]
    graph = node("einsum", shapes, equation=equation, path=flat)
    counted = amounts(graph)
    expected = next(line for line in text.splitlines() if "Optimized FLOP count" in line).split(":")[1]
    found = 2 * counted["mac"] + counted["mul"] + 1  # NumPy: 2 where a label is summed, otherwise 1; and 1 in all
    assert f"{found:.3e}" == f"{float(expected):.3e}"
    assert list(graph.nodes())[-1]["op"] == "einsum"
    assert graph.tensor(len(terms)).shape == np.einsum(equation, *arrays).shape


@pytest.mark.parametrize("seed", range(40))
def test_transposed_convolution_is_what_torch_says(seed: int) -> None:
    torch = pytest.importorskip("torch", reason="the oracle extra is not installed")
    from torch.utils.flop_counter import FlopCounterMode

    choose = random.Random(seed)
    groups, n = choose.choice((1, 2)), choose.choice((1, 2))
    stride, dilation = choose.randint(1, 3), choose.randint(1, 2)
    kernel, padding = choose.randint(1, 4), choose.randint(0, 1)
    extra = choose.randint(0, max(stride, dilation) - 1)
    x, w = (2, 4, *[choose.randint(3, 6)] * n), (4, 3, *[kernel] * n)
    function = getattr(torch.nn.functional, f"conv_transpose{n}d")
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        y = function(
            torch.empty(x), torch.empty(w), stride=stride, padding=padding, output_padding=extra, groups=groups,
            dilation=dilation,
        )  # fmt: skip
    graph = node(
        "conv_transpose", [x, w], stride=[stride] * n, padding=[padding] * (2 * n), output_padding=[extra] * n,
        dilation=[dilation] * n, groups=groups,
    )  # fmt: skip
    assert graph.tensor(2).shape == tuple(y.shape)
    assert 2 * amounts(graph)["mac"] == counter.get_total_flops()
    # What falls outside is what no output element is made of: scatter ones and look.
    ones = [torch.ones(shape) for shape in (x, w)]
    inside = function(*ones, stride=stride, padding=padding, output_padding=extra, groups=groups, dilation=dilation)
    assert amounts(graph, "used")["mac"] == int(inside.sum())
    assert amounts(graph)["kernel_elems"] == y.numel() * (4 // groups) * kernel**n  # torchprofile's rule


@pytest.mark.parametrize("seed", range(40))
def test_taps_inside_are_what_a_convolution_of_ones_sums(seed: int) -> None:
    torch = pytest.importorskip("torch", reason="the oracle extra is not installed")
    choose = random.Random(seed)
    n, groups = choose.choice((1, 2, 3)), choose.choice((1, 2))
    x = (2, 4, *(choose.randint(4, 7) for _ in range(n)))
    w = (2 * groups, 4 // groups, *(choose.randint(1, 3) for _ in range(n)))
    stride, dilation = [choose.randint(1, 3) for _ in range(n)], [1] * n
    padding = [choose.randint(0, 2) for _ in range(n)]
    function = getattr(torch.nn.functional, f"conv{n}d")
    y = function(torch.ones(x), torch.ones(w), stride=stride, padding=padding, dilation=dilation, groups=groups)
    graph = node("conv", [x, w], stride=stride, padding=padding * 2, groups=groups)
    assert graph.tensor(2).shape == tuple(y.shape)
    assert amounts(graph, "used")["mac"] == int(y.sum())
    assert amounts(graph)["mac"] == y.numel() * w[1] * int(np.prod(w[2:]))
    if set(stride) == {1} and all(size % 2 for size in w[2:]):  # PyTorch has the mode for these
        same = function(torch.ones(x), torch.ones(w), padding="same", groups=groups)
        graph = node("conv", [x, w], auto_padding="same_upper", groups=groups)
        assert amounts(graph, "used")["mac"] == int(same.sum())


@pytest.mark.parametrize("mode", ["same_upper", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_xla_leaves_padding_out(mode: str, stride: int) -> None:
    jax = pytest.importorskip("jax", reason="the oracle extra is not installed")

    def convolution(x: Any, w: Any) -> Any:
        return jax.lax.conv_general_dilated(x, w, (stride, stride), "SAME" if mode == "same_upper" else "VALID")

    x, w = (1, 64, 56, 56), (64, 64, 3, 3)
    arguments = [jax.ShapeDtypeStruct(shape, np.float32) for shape in (x, w)]
    measured = jax.jit(convolution).lower(*arguments).cost_analysis()["flops"]
    graph = node("conv", [x, w], auto_padding=mode, stride=[stride] * 2)
    assert measured == np.float32(2 * amounts(graph, "used")["mac"])
    if mode == "same_upper" and stride == 1:
        assert 2 * amounts(graph)["mac"] == 231211008
        assert 2 * amounts(graph, "used")["mac"] == 225738752


def test_dot_general_is_what_jax_says() -> None:
    jax = pytest.importorskip("jax", reason="the oracle extra is not installed")
    dims = (((3,), (0,)), ((0,), (2,)))
    arguments = [jax.ShapeDtypeStruct(shape, np.float32) for shape in ((3, 5, 2, 4), (4, 7, 3))]
    lowered = jax.jit(lambda a, b: jax.lax.dot_general(a, b, dims)).lower(*arguments)
    graph = node(
        "dot_general", [(3, 5, 2, 4), (4, 7, 3)], lhs_contract=[3], rhs_contract=[0], lhs_batch=[0], rhs_batch=[2]
    )
    assert graph.tensor(2).shape == lowered.out_info.shape
    assert 2 * amounts(graph)["mac"] == lowered.cost_analysis()["flops"]


@pytest.mark.parametrize("seed", range(30))
def test_windows_are_the_masks_of_numpy(seed: int) -> None:
    choose = random.Random(seed)
    rows, columns, left = choose.randint(1, 9), choose.randint(1, 9), choose.randint(0, 5)
    causal = choose.choice(("none", "top_left", "bottom_right"))
    right = choose.randint(0, 4) if causal == "none" else 0
    attrs: dict[str, Any] = {"causal": causal, "window_left": left}
    if causal == "none":
        attrs["window_right"] = right
    i = np.arange(rows)[:, None] + (columns - rows if causal == "bottom_right" else 0)
    j = np.arange(columns)
    mask = (j >= i - left) & (j <= i + right)
    graph = node("attention", [(2, 3, rows, 4), (2, 3, columns, 4), (2, 3, columns, 5)], **attrs)
    assert amounts(graph, "used")["mac"] == 6 * int(mask.sum()) * 9
    assert amounts(graph)["mac"] == 6 * rows * columns * 9


@pytest.mark.parametrize("seed", range(30))
def test_chunks_are_the_masks_of_numpy(seed: int) -> None:
    choose = random.Random(seed)
    rows, columns, past, chunk = (choose.randint(low, 9) for low in (1, 1, 0, 1))
    causal = choose.choice(("none", "top_left", "bottom_right"))
    keys = past + columns
    i = np.arange(rows)[:, None] + (keys - rows if causal == "bottom_right" else past)
    j = np.arange(keys)
    mask = (j // chunk == i // chunk) & ((j <= i) | (causal == "none"))
    shapes = [(2, 3, rows, 4), (2, 3, columns, 4), (2, 3, columns, 5), None, None, (2, 3, past, 4), (2, 3, past, 5)]
    graph = node("attention", shapes, causal=causal, chunk=chunk)
    used = amounts(graph, "used")
    assert (used.get("exp", 0), used.get("mac", 0)) == (6 * int(mask.sum()), 6 * int(mask.sum()) * 9)
    assert used.get("outputs", 0) - used.get("exp", 0) == 6 * int(mask.any(axis=1).sum()) * 5
    assert amounts(graph)["mac"] == 6 * rows * keys * 9


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # slower, not wrong
@pytest.mark.parametrize(("kind", "gates", "projected"), [("RNN", 1, 0), ("GRU", 3, 0), ("LSTM", 4, 0), ("LSTM", 4, 3)])
def test_recurrent_layers_multiply_each_weight_once_a_step(kind: str, gates: int, projected: int) -> None:
    torch = pytest.importorskip("torch", reason="the oracle extra is not installed")
    more = {"proj_size": projected} if projected else {}
    module = getattr(torch.nn, kind)(5, 8, bidirectional=True, **more)
    x = torch.zeros(7, 2, 5)
    out, state = module(x)
    size = projected or 8
    shapes: list[tuple[int, ...] | None] = [(7, 2, 5), (2, gates * 8, 5), (2, gates * 8, size), (2, 2 * gates * 8)]
    if projected:
        shapes += [None, None, (2, projected, 8)]
    graph = node(kind.lower(), shapes)
    states = state if kind == "LSTM" else (state,)
    ids = list(graph.nodes())[-1]["outputs"]
    assert isinstance(ids, list)
    assert [graph.tensor(number).shape for number in ids] == [tuple(out.shape), *(tuple(each.shape) for each in states)]
    weights = sum(parameter.numel() for name, parameter in module.named_parameters() if "weight" in name)
    assert amounts(graph)["mac"] == 7 * 2 * weights


def test_decompositions_are_those_of_lapack() -> None:
    """Operation counts of LAPACK Working Note 41, appendix C: products and sums of POTRF, GETRF and TRSM."""
    for n in (1, 2, 5, 8):
        found = amounts(node("cholesky", [(n, n)]))
        assert 6 * (found["mac"] + found["div"] + found["sqrt"]) == n**3 + 3 * n**2 + 2 * n
        assert 6 * found["mac"] == n**3 - n
        for m in (n, n + 3):
            found = amounts(node("lu_factor", [(m, n)]))
            assert found["mac"] + found["div"] == eliminated(m, n)
        assert 3 * eliminated(n, n) == n**3 - n
        found = amounts(node("triangular_solve", [(n, n), (n, 4)]))
        assert 2 * (found["mac"] + found["div"]) == 4 * n * (n + 1)


def test_solves_are_a_factorisation_and_two_triangular_solves() -> None:
    for n, columns in ((1, 1), (4, 3), (6, 6)):
        factors = amounts(node("lu_factor", [(n, n)]))
        lower = amounts(node("triangular_solve", [(n, n), (n, columns)], unit_diagonal=True))
        upper = amounts(node("triangular_solve", [(n, n), (n, columns)]))
        parts = {name: factors.get(name, 0) + lower.get(name, 0) + upper.get(name, 0) for name in ("mac", "div", "cmp")}
        found = [amounts(node("solve", [(n, n), (n, columns)]))]
        if columns == n:
            found.append(amounts(node("inverse", [(n, n)])))
        for each in found:
            assert {name: each.get(name, 0) for name in parts} == parts
        assert amounts(node("determinant", [(n, n)])).get("mac", 0) == factors.get("mac", 0)


def eliminated(m: int, n: int) -> int:
    """Products and quotients of an elimination, counted as it is done."""
    total = 0
    for pivot in range(min(m, n)):
        for _ in range(pivot + 1, m):
            total += 1 + len(range(pivot + 1, n))
    return total
