"""Single operators of PyTorch: shapes are held against torch's own while importing, amounts against the definition."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flopcore as fc

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra 'oracle'")
nn, F = torch.nn, torch.nn.functional
zeros = torch.zeros
SIZES = {
    "bytes_read",
    "bytes_written",
    "in_elems",
    "out_elems",
    "weight_elems",
    "weight_bytes",
    "cache_bytes",
    "outputs",
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Function(nn.Module):  # type: ignore[misc, name-defined]
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def graph(function: Callable[..., Any], *inputs: Any, dynamic: Any = None) -> fc.Graph:
    return fc.from_torch(Function(function), inputs, dynamic=dynamic)


def work(function: Callable[..., Any], *inputs: Any) -> dict[tuple[str, str], Any]:
    """Amounts of primitive operations by op and feature, those that are not 0."""
    found: dict[tuple[str, str], Any] = {}
    for row in fc.count(graph(function, *inputs)).rows():
        if row.feature not in SIZES and row.base != 0:
            found[row.op, row.feature] = found.get((row.op, row.feature), 0) + row.base
    return found


LONG = torch.long
X = zeros(4, 3)
CASES: list[tuple[str, Callable[..., Any], tuple[Any, ...], dict[tuple[str, str], int]]] = [
    ("div", lambda x: x / 3, (X,), {("div", "div"): 12}),
    (
        "div floor",
        lambda x: torch.div(x, 3, rounding_mode="floor"),
        (X,),
        {("floor_divide", "div"): 12, ("floor_divide", "round"): 12},
    ),
    (
        "div trunc",
        lambda x: torch.div(x, 3, rounding_mode="trunc"),
        (X,),
        {("div", "div"): 12, ("trunc", "round"): 12},
    ),
    ("div trunc of ints", lambda x: torch.div(x, 3, rounding_mode="trunc"), (X.long(),), {("div", "div"): 12}),
    ("clone", lambda x: x.clone(), (X,), {("clone", "move"): 12}),
    ("to copy", lambda x: x.to(torch.float32, copy=True), (X,), {("clone", "move"): 12}),
    ("to the same", lambda x: x.to(torch.float32) * 1, (X,), {("mul", "mul"): 12}),
    ("to another", lambda x: x.to(torch.float16), (X,), {("cast", "move"): 12}),
    ("fill", lambda x: x.clone().fill_(3.0), (X,), {("clone", "move"): 12, ("fill_like", "assign"): 12}),
    ("copy of a row", lambda x, y: x.clone().copy_(y), (X, zeros(3)), {("clone", "move"): 24}),
    ("copy of ints", lambda x, y: torch.empty_like(x).copy_(y), (X, X.long()), {("cast", "move"): 12}),
    ("zeros", lambda x: torch.zeros(5, 2), (X,), {("full", "assign"): 10}),
    ("full like", lambda x: torch.full_like(x, 2), (X,), {("fill_like", "assign"): 12}),
    ("full like of ints", lambda x: torch.full_like(x, 2, dtype=LONG), (X,), {("full", "assign"): 12}),
    ("new full", lambda x: x.new_full((2, 2), 1.0), (X,), {("full", "assign"): 4}),
    ("empty", lambda x: torch.empty(5), (X,), {}),
    ("arange", lambda x: torch.arange(1, 10, 2), (X,), {("arange", "assign"): 5}),
    ("eye", lambda x: torch.eye(4, 3), (X,), {("eye", "assign"): 12}),
    ("linspace", lambda x: torch.linspace(0, 1, 7), (X,), {("linspace", "mul"): 7, ("linspace", "add"): 7}),
    (
        "logspace",
        lambda x: torch.logspace(0, 1, 7),
        (X,),
        {("linspace", "mul"): 7, ("linspace", "add"): 7, ("pow", "pow"): 7},
    ),
    ("slice", lambda x: x[1:3], (X,), {("slice", "move"): 6}),
    ("slice from the end", lambda x: x[-3:-1], (X,), {("slice", "move"): 6}),
    ("slice past the start", lambda x: x[-10:2], (X,), {("slice", "move"): 6}),
    ("slice past the end", lambda x: x[10:], (X,), {}),
    ("slice with a step", lambda x: x[1::2], (X,), {("slice", "move"): 6}),
    ("no elements with a step", lambda x: x[9::2], (X,), {}),
    ("narrow", lambda x: x.narrow(0, 1, 2), (X,), {("slice", "move"): 6}),
    ("select from the end", lambda x: x[:, -1], (X,), {("slice", "move"): 4}),
    ("bernoulli", lambda x: torch.bernoulli(x), (X,), {("bernoulli", "rng"): 12, ("bernoulli", "cmp"): 12}),
    ("dropout in eval", lambda x: F.dropout(x, 0.25, training=False), (X,), {}),
]


@pytest.mark.parametrize(("function", "inputs", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_work_of_an_operator(
    function: Callable[..., Any], inputs: tuple[Any, ...], expected: dict[tuple[str, str], int]
) -> None:
    assert work(function, *inputs) == expected


def test_dropout_in_training_keeps_a_share() -> None:
    rows = list(fc.count(graph(lambda x: F.dropout(x, 0.25, training=True), X)).rows())
    kept = [row for row in rows if row.extents]
    assert [(row.op, row.variant, row.feature, row.extents[0].kind) for row in kept] == [
        ("dropout", ("train",), "mul", "dropout")
    ]
    assert (kept[0].extents[0].nominal, kept[0].extents[0].used) == (12, 9)


def test_instance_norm_with_running_statistics_is_a_batch_norm() -> None:
    layer, x = nn.InstanceNorm1d(3, affine=True, track_running_stats=True), zeros(2, 3, 5)
    found = [
        {row.op for row in fc.count(fc.from_torch(layer.train(training), (x,))).rows()} for training in (True, False)
    ]
    assert [ops & {"instance_norm", "batch_norm"} for ops in found] == [{"instance_norm"}, {"batch_norm"}]


SQUARE, HALF = zeros(5, 5), zeros(3, 9, dtype=torch.complex64)
PLACES, ROW = zeros(5, dtype=LONG), zeros(3)
# What it is translated to; the shapes and the number of results are held against torch's.
NAMED: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = [
    ("maximum", lambda x, low: torch.clamp(x, min=low), (X, ROW)),
    ("minimum", lambda x, high: torch.clamp_max(x, high), (zeros(5, 1), SQUARE)),
    ("logical_not", lambda x: ~(x > 0), (X,)),
    ("shift_left", lambda x: torch.bitwise_left_shift(x, 2), (X.long(),)),
    ("fft", torch.fft.fft, (HALF,)),
    ("pad", lambda x: torch.fft.fft(x, 20), (HALF,)),
    ("fft", torch.fft.rfft2, (zeros(3, 16, 8),)),
    ("fft", torch.fft.irfft, (HALF,)),
    ("cholesky", torch.linalg.cholesky, (torch.eye(5),)),
    ("qr", torch.linalg.qr, (zeros(6, 4),)),
    ("svd", lambda x: torch.linalg.svd(x, full_matrices=False), (zeros(4, 6),)),
    ("eigh", torch.linalg.eigh, (SQUARE,)),
    ("solve", torch.linalg.solve, (torch.eye(5), zeros(5))),
    ("inverse", torch.linalg.inv, (torch.eye(5),)),
    ("determinant", torch.linalg.det, (SQUARE,)),
    (
        "triangular_solve",
        lambda a, b: torch.linalg.solve_triangular(a, b, upper=True, left=False),
        (SQUARE, zeros(2, 5)),
    ),
    ("lu_factor", torch.linalg.lu_factor, (torch.eye(5),)),
    ("gather", torch.diagonal, (X,)),
    ("gather", lambda x: x.unfold(0, 2, 1), (X,)),
    ("gather", torch.take, (X, PLACES)),
    ("masked_select", lambda x, mask: torch.masked_select(x, mask), (X, ROW.bool())),
    ("gather", lambda x, mask: x[mask], (X, zeros(4, dtype=torch.bool))),
    ("index_update", lambda x, i, v: x.clone().index_put_((i, i), v), (X, PLACES, zeros(5))),
    ("index_update", lambda x, y: torch.select_scatter(x, y, 0, 1), (X, ROW)),
    ("reduce_var", lambda x: torch.var_mean(x, 1), (X,)),
    ("sort", lambda x: x.median(1), (X,)),
    ("sort", torch.median, (X,)),
    ("searchsorted", torch.bucketize, (X, zeros(10))),
    ("multinomial", lambda x: torch.multinomial(x, 2), (torch.ones(5),)),
    ("reduce_l1", lambda x: torch.linalg.vector_norm(x, 1), (X,)),
    ("reduce_max", lambda x: torch.linalg.vector_norm(x, float("inf"), 1), (X,)),
    ("reduce_lp", lambda x: torch.linalg.vector_norm(x, 3, 1, keepdim=True), (X,)),
    ("bernoulli", lambda x: F.dropout2d(x, 0.5), (zeros(2, 3, 4, 4),)),
    ("embedding_bag", nn.EmbeddingBag(10, 3), (zeros(4, 5, dtype=LONG),)),
    ("grid_sample", lambda x, grid: F.grid_sample(x, grid, mode="nearest"), (zeros(2, 3, 4, 4), zeros(2, 5, 6, 2))),
    ("count_nonzero", lambda x: torch.count_nonzero(x, 1), (X,)),
    ("unique", lambda x: torch.unique(x, return_counts=True), (X,)),
    ("unique", lambda x: torch.unique(x, dim=-1), (X,)),
    ("nonzero", torch.nonzero, (X,)),
    ("scatter", lambda x, i, y: x.scatter_reduce(0, i, y, "amax"), (X, zeros(4, 3, dtype=LONG), X)),
    ("div", lambda x, i, y: x.scatter_reduce(0, i, y, "mean"), (X, zeros(4, 3, dtype=LONG), X)),
    ("where", lambda x, mask, y: x.masked_scatter(mask, y), (X, zeros(4, 1, dtype=torch.bool), zeros(20))),
    ("determinant", torch.linalg.slogdet, (SQUARE,)),
    ("mul", torch.linalg.cross, (X, X)),
    ("random_normal", lambda x: torch.empty_like(x).normal_(), (X,)),
    ("nonzero", lambda x: torch.where(x > 0)[1], (X,)),
    ("weight_norm", lambda v, g: torch._weight_norm(v, g, 0), (X, zeros(4, 1))),
    ("unfold", lambda x: F.unfold(x, 3, padding=1, stride=2), (zeros(2, 3, 6, 6),)),
    ("fold", lambda x: F.fold(x, (5, 6), 2), (zeros(12, 20),)),
    ("log_softmax", F.cross_entropy, (zeros(4, 3, 2), zeros(4, 3, 2))),
    ("log", lambda x: torch.xlogy(x, 2.0 + x), (X,)),
    ("reduce_l2", F.pairwise_distance, (X, X)),
    ("reduce_l1", lambda x: torch.cdist(x, x, p=1.0), (zeros(2, 30, 3),)),
    ("reduce_l2", F.pdist, (X,)),
]
# Recorded, torch has others in their place.
EXPORTED: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = [
    ("repeat_interleave", lambda x: x.repeat_interleave(2, 1), (X,)),
    ("diag", torch.diag, (X,)),
    ("bilinear", F.bilinear, (X, zeros(4, 5), zeros(2, 3, 5), zeros(2))),
    ("stft", lambda x: torch.stft(x, 16, 4, window=torch.hann_window(16), return_complex=True), (zeros(2, 100),)),
    ("nll_loss", F.nll_loss, (zeros(4, 3, 2, 2), zeros(4, 2, 2, dtype=LONG))),
    ("leaky_relu", lambda x: F.rrelu(x, training=False), (X,)),
]


@pytest.mark.parametrize(("op", "function", "inputs"), NAMED, ids=[f"{i}-{case[0]}" for i, case in enumerate(NAMED)])
def test_an_operator_is_the_op_of_that_name(op: str, function: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
    with fc.record_torch() as recorded:
        function(*inputs)
    for found in (graph(function, *inputs), recorded):
        assert op in {node["op"] for node in found.nodes()}


@pytest.mark.parametrize(("op", "function", "inputs"), EXPORTED, ids=[case[0] for case in EXPORTED])
def test_an_exported_operator_is_the_op_of_that_name(op: str, function: Any, inputs: tuple[Any, ...]) -> None:
    assert op in {node["op"] for node in graph(function, *inputs).nodes()}


def test_a_number_reduces_to_itself() -> None:
    for function in (torch.sum, torch.cumsum, torch.amax):
        assert work(lambda x, function=function: function(x, 0) * 1, zeros(())) == {("mul", "mul"): 1}


@pytest.mark.parametrize(("mode", "reach"), [("bilinear", 2), ("bicubic", 4)])
def test_antialiasing_reads_as_many_elements_more_as_a_side_shrinks(mode: str, reach: int) -> None:
    """What a result away from the edges is made of, by torch's own gradient."""

    def smaller(x: Any) -> Any:
        return F.interpolate(x, size=(8, 8), mode=mode, antialias=True)

    x = torch.ones(1, 1, 32, 8, requires_grad=True)
    (read,) = torch.autograd.grad(smaller(x)[0, 0, 4, 4], x)
    assert int((read[0, 0, :, 4] != 0).sum()) == reach * 4
    op = {"bilinear": "interpolate_linear", "bicubic": "interpolate_cubic"}[mode]
    assert work(smaller, zeros(1, 1, 32, 8))[op, "gather"] == 8 * 8 * reach * 4 * reach


def test_half_a_transform_of_real_numbers_goes_first() -> None:
    def arithmetic(function: Callable[..., Any], *inputs: Any) -> Any:
        return fc.count(graph(function, *inputs)).flop("all-arithmetic")

    assert arithmetic(torch.fft.rfft2, zeros(16, 8)) == 5 * 16 * 8 * 3 // 2 + 5 * 16 * 5 * 4


DYNAMIC = torch.export.Dim.DYNAMIC
SYMBOLIC: list[tuple[str, Callable[[Any], Any]]] = [
    ("nearest by half", lambda x: F.interpolate(x, scale_factor=0.5)),
    ("bilinear by 3/2", lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear")),
    ("pool with ceil_mode", lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True)),
    ("last rows", lambda x: x[:, :, -2:] * 2),
    ("all but the last row", lambda x: x[:, :, :-1] + x.shape[2] / 2),
    ("root of a size", lambda x: x * x.shape[2] ** 0.5),
    ("condition that holds", lambda x: x + 1 if x.shape[2] > 0 else x),
]


@pytest.mark.parametrize("function", [case[1] for case in SYMBOLIC], ids=[case[0] for case in SYMBOLIC])
def test_symbolic_sizes_agree_with_concrete_ones(function: Callable[[Any], Any]) -> None:
    found = graph(function, zeros(1, 3, 20, 6), dynamic=(({2: DYNAMIC},),))
    (name,) = found.dims
    for size in (18, 31):
        expected = fc.count(graph(function, zeros(1, 3, size, 6))).flop("all-arithmetic")
        assert fc.count(found, at={name: size}).flop("all-arithmetic") == expected


def test_a_factor_whose_products_are_rounded_is_an_error() -> None:
    with pytest.raises(fc.DataError, match=r"the number 0\.3 times a size is rounded"):
        graph(
            lambda x: F.interpolate(x, scale_factor=0.3, recompute_scale_factor=True),
            zeros(1, 3, 20, 6),
            dynamic=(({2: DYNAMIC},),),
        )


def test_what_torch_asks_for_is_in_the_message() -> None:
    size = torch.export.Dim("size", min=2, max=100)
    with pytest.raises(fc.DataError, match=r"Constraints violated.*Not all values of size"):
        graph(lambda x: x + 1 if x.shape[0] > 50 else x, X, dynamic=(({0: size},),))
