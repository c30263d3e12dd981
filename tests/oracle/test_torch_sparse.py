"""Sparse and quantised layers of PyTorch: what the kernels multiply, held against the stored elements."""

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


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def recorded(function: Callable[..., Any], *inputs: Any) -> fc.Tally:
    with fc.record_torch() as graph, torch.no_grad():
        function(*inputs)
    return fc.count(graph)


def multiplied(tally: fc.Tally) -> Any:
    """MAC on the elements that are stored; a convention says whether it counts these or all."""
    rows = [row for row in tally.rows() if row.feature == "mac"]
    return sum(row.base * row.extents[0].used if row.extents else row.base for row in rows)


def sparse(rows: int, columns: int, kept: int) -> Any:
    """A matrix that stores `kept` elements of each row."""
    dense = zeros(rows, columns)
    dense[:, :kept] = 1
    return dense


class Held(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, weight: Any) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: Any) -> Any:
        return self.weight @ x


class Product(nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, a: Any, b: Any) -> Any:
        return a @ b


def test_the_sparse_product_of_the_table_of_peers() -> None:
    """facts/peers.md: eye(64) @ 64 x 64 is 8,192 FLOP; FlopCounterMode gives 524,288."""
    tally = recorded(torch.matmul, torch.eye(64).to_sparse_csr(), zeros(64, 64))
    assert (2 * multiplied(tally), 2 * tally.flop("macs")) == (8192, 524_288)


LAYOUTS: list[Callable[[Any], Any]] = [
    lambda x: x.to_sparse(),
    lambda x: x.to_sparse_csr(),
    lambda x: x.to_sparse_csc(),
    lambda x: x.to_sparse_bsr((2, 2)),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=["coo", "csr", "csc", "bsr"])
def test_a_product_takes_the_elements_that_are_stored(layout: Callable[[Any], Any]) -> None:
    matrix = layout(sparse(8, 6, 2))
    assert multiplied(recorded(torch.matmul, matrix, zeros(6, 5))) == 8 * 2 * 5
    graph = fc.from_torch(Product(), (matrix, zeros(6, 5)))
    assert multiplied(fc.count(graph)) == 8 * 2 * 5
    (extent,) = {extent for row in fc.count(graph).rows() for extent in row.extents}
    assert (extent.kind, extent.nominal, extent.used) == ("sparsity", 48, 16)


def test_products_with_vectors_sums_and_layers() -> None:
    matrix = sparse(8, 6, 3).to_sparse_csr()
    assert multiplied(recorded(torch.mv, matrix, zeros(6))) == 24
    assert multiplied(recorded(torch.addmm, zeros(8, 5), matrix, zeros(6, 5))) == 24 * 5
    assert multiplied(recorded(torch.sparse.mm, matrix, zeros(6, 5))) == 24 * 5
    assert multiplied(recorded(F.linear, zeros(7, 6), matrix)) == 24 * 7


def test_a_sparse_weight_of_an_exported_module() -> None:
    assert multiplied(fc.count(Held(sparse(8, 6, 3).to_sparse()), zeros(6, 5))) == 24 * 5


def test_what_a_fake_matrix_holds_is_a_dim() -> None:
    exported = torch.export.export(Product(), (sparse(8, 6, 3).to_sparse(), zeros(6, 5)), strict=False)
    exported._example_inputs = None
    graph = fc.from_torch(exported)
    assert multiplied(fc.count(graph, at={"a_nnz": 24})) == 24 * 5


def test_other_operators_refuse_sparse_tensors() -> None:
    matrix = sparse(8, 6, 3).to_sparse()
    with pytest.raises(fc.UnsupportedNodes, match="a sparse tensor"):
        recorded(torch.sin, matrix)
    with pytest.raises(fc.UnsupportedNodes, match="product of two sparse matrices"):
        recorded(torch.matmul, matrix, sparse(6, 8, 3).to_sparse())


# ------------------------------------------------------------------------------------------------------- quantised
def dynamic(*layers: Any) -> Any:
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(*layers), {nn.Linear}, dtype=torch.qint8)


def test_a_dynamically_quantised_layer_multiplies_integers() -> None:
    """FlopCounterMode gives 0 (facts/peers.md)."""
    layers = dynamic(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16))
    tally = recorded(layers, zeros(5, 64))
    assert tally.flop("macs") == 5 * (64 * 32 + 32 * 16)
    assert tally.parameters == 64 * 32 + 32 + 32 * 16 + 16
    rows = [row for row in tally.rows() if row.feature == "mac"]
    assert {row.op for row in rows} == {"quantized_matmul"}
    assert {row.dtypes[0] for row in rows} == {"uint8"}
    twice = recorded(lambda x: layers(layers(x)[:, :1].expand(5, 64)), zeros(5, 64))
    assert twice.parameters == tally.parameters


def test_a_statically_quantised_layer() -> None:
    model = nn.Sequential(torch.ao.quantization.QuantStub(), nn.Linear(8, 4), torch.ao.quantization.DeQuantStub())
    model.eval().qconfig = torch.ao.quantization.get_default_qconfig(torch.backends.quantized.engine)
    prepared = torch.ao.quantization.prepare(model)
    prepared(torch.ones(2, 8))
    tally = recorded(torch.ao.quantization.convert(prepared), torch.ones(2, 8))
    assert tally.flop("macs") == 2 * 8 * 4
    assert {"quantize_linear", "quantized_matmul", "dequantize_linear"} <= {row.op for row in tally.rows()}


def test_products_of_narrow_formats() -> None:
    integers = recorded(torch._int_mm, zeros(32, 16, dtype=torch.int8), zeros(16, 8, dtype=torch.int8))
    assert integers.flop("macs") == 32 * 16 * 8
    weights = zeros(8, 64, dtype=torch.int8)
    packed = recorded(torch._weight_int8pack_mm, zeros(4, 64, dtype=torch.bfloat16), weights, zeros(8).bfloat16())
    assert packed.flop("macs") == 4 * 64 * 8
    eighth = torch.float8_e4m3fn
    a, b, one = zeros(16, 32).to(eighth), zeros(16, 32).to(eighth).t(), torch.ones(())
    scaled = recorded(lambda: torch._scaled_mm(a, b, one, one, out_dtype=torch.bfloat16))
    assert scaled.flop("macs") == 16 * 32 * 16


FOUR = ("uint8", "int8", "int32")  # of the input, the weight, the sums; then that of the result
RECURRENT: list[tuple[str, Callable[[], Any], tuple[int, ...]]] = [
    ("lstm", lambda: nn.LSTM(8, 16, 2, bidirectional=True, batch_first=True), (3, 5, 8)),
    ("gru", lambda: nn.GRU(8, 16), (5, 3, 8)),
    ("lstm cell", lambda: nn.LSTMCell(8, 16), (3, 8)),
    ("gru cell", lambda: nn.GRUCell(8, 16), (3, 8)),
    ("rnn cell", lambda: nn.RNNCell(8, 16), (3, 8)),
]


@pytest.mark.parametrize(("make", "shape"), [case[1:] for case in RECURRENT], ids=[case[0] for case in RECURRENT])
def test_a_dynamically_quantised_recurrent_layer_is_the_same_products_of_integers(
    make: Callable[[], Any], shape: tuple[int, ...]
) -> None:
    layer, x = nn.Sequential(make()), zeros(shape)
    plain = fc.count(layer, x)
    for dtype in (torch.qint8, torch.float16):
        packed = recorded(torch.ao.quantization.quantize_dynamic(layer, {type(layer[0])}, dtype=dtype), x)
        assert (packed.flop("macs"), packed.parameters) == (plain.flop("macs"), plain.parameters)
        dtypes = {row.dtypes for row in packed.rows() if row.feature == "mac"}
        assert dtypes == {(*FOUR, "float32") if dtype is torch.qint8 else ("float32",) * 4}
        for feature in ("exp", "tanh"):
            amounts = [sum(row.base for row in tally.rows() if row.feature == feature) for tally in (packed, plain)]
            assert amounts[0] == amounts[1]


def converted(model: Any, x: Any, fused: list[list[str]]) -> Any:
    model.eval().qconfig = torch.ao.quantization.get_default_qconfig(torch.backends.quantized.engine)
    prepared = torch.ao.quantization.prepare(torch.ao.quantization.fuse_modules(model, fused) if fused else model)
    prepared(x)
    return torch.ao.quantization.convert(prepared)


def test_statically_quantised_convolutions() -> None:
    class Net(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.enter, self.leave = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
            self.first, self.relu = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()
            self.second = nn.Conv2d(8, 8, 3, groups=2, stride=2, bias=False)
            self.norm, self.math = nn.BatchNorm2d(8), torch.ao.nn.quantized.FloatFunctional()

        def forward(self, x: Any) -> Any:
            x = self.norm(self.second(self.relu(self.first(self.enter(x)))))
            return self.leave(nn.functional.adaptive_avg_pool2d(self.math.add(x, x), 1))

    x = torch.ones(1, 3, 8, 8)
    plain = fc.count(Net().eval(), x)
    tally = recorded(converted(Net(), x, [["first", "relu"]]), x)
    assert (tally.flop("macs"), tally.parameters) == (plain.flop("macs"), plain.parameters)
    assert {row.dtypes for row in tally.rows() if row.feature == "mac"} == {(*FOUR, "uint8")}
    line = nn.Sequential(torch.ao.quantization.QuantStub(), nn.Conv1d(3, 4, 3), torch.ao.quantization.DeQuantStub())
    assert recorded(converted(line, zeros(1, 3, 6), []), zeros(1, 3, 6)).flop("macs") == 4 * 4 * 3 * 3


def test_exports_with_decomposed_quantisation() -> None:
    """As quantize_pt2e writes them: integers are dequantised before products of floats."""
    decomposed = pytest.importorskip("torch.ao.quantization.fx._decomposed", reason="needs the extra 'oracle'")
    assert decomposed.quantized_decomposed_lib is not None
    ops = torch.ops.quantized_decomposed

    class Net(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any, weight: Any, scales: Any, zeros: Any) -> Any:
            weight = ops.dequantize_per_channel(weight, scales, zeros, 0, -128, 127, torch.int8)
            scale, zero = ops.choose_qparams.tensor(x, 0, 255, 1e-6, torch.uint8)
            whole = ops.quantize_per_tensor.tensor(x, scale, zero, 0, 255, torch.uint8)
            y = ops.dequantize_per_tensor.tensor(whole, scale, zero, 0, 255, torch.uint8)
            scale, zero = ops.choose_qparams_per_token_asymmetric(x, torch.int8)
            rows = ops.quantize_per_token(x, scale, zero, -128, 127, torch.int8)
            z = ops.dequantize_per_token(rows, scale, zero, -128, 127, torch.int8, torch.float32)
            return nn.functional.linear(y + z, weight)

    weight = zeros(4, 8, dtype=torch.int8), torch.ones(4), zeros(4, dtype=torch.long)
    tally = fc.count(fc.from_torch(Net(), (zeros(2, 8), *weight)))
    assert tally.flop("macs") == 2 * 4 * 8
    found = [row.dtypes[0] for row in tally.rows() if row.op == "dequantize_linear" and row.feature == "mul"]
    assert sorted(found) == ["int8", "int8", "uint8"]
