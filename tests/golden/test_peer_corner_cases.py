"""Corner cases on which existing counters were measured: ours is right, and each peer's convention has its number.

Numbers are those measured with torch 2.13, fvcore 0.1.5, torchprofile 0.1.0, ultralytics-thop 2.2.3 and jaxlib 0.10.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

import flopcore as fc


def counted(build: Callable[[fc.Graph], object]) -> fc.Tally:
    graph = fc.Graph()
    build(graph)
    return fc.count(graph)


def attention(heads: int, kv_heads: int, **options: object) -> fc.Tally:
    def build(g: fc.Graph) -> None:
        q = g.input("q", (1, heads, 64, 64))
        k, v = (g.input(name, (1, kv_heads, 64, 64)) for name in "kv")
        g.op("attention", [q, k, v], {"causal": "none", **options})

    return counted(build)


@pytest.mark.parametrize("causal", ["none", "top_left"])
def test_fused_attention_is_silently_nothing_on_cpu(causal: str) -> None:
    """Scaled dot-product attention over (1, 12, 64, 64): 2 x 12 x 64 x 64 x 64 multiply-adds; causal is not halved."""
    tally = attention(12, 12, causal=causal)
    assert tally.flop("torch") == tally.flop("torch-2.13") == 12_582_912
    assert tally.flop("torch-2.13-cpu") == tally.flop("fvcore-0.1.5") == tally.flop("thop-0.1.1") == 0
    assert tally.flop("torchprofile-0.1.0") == tally.flop("ultralytics-thop") == 12_582_912 // 2


def test_heads_that_share_keys_cost_what_heads_cost() -> None:
    shared, own = attention(8, 2), attention(8, 8)
    assert shared.flop("torch-2.13") == own.flop("torch-2.13") == 2 * 2 * 8 * 64**3
    assert shared.bytes().cache == own.bytes().cache // 4


def test_a_transformer_layer_in_grad_mode_lacks_its_attention_on_cpu() -> None:
    """nn.TransformerEncoderLayer(64, 4) over 16 tokens: 8,912,896 FLOP are its linear layers alone."""

    def build(g: fc.Graph) -> None:
        x = g.input("x", (2, 8, 64))
        weights = {name: g.parameter(name, shape) for name, shape in {
            "in_proj": (192, 64), "out_proj": (64, 64), "linear1": (2048, 64), "linear2": (64, 2048),
        }.items()}  # fmt: skip
        qkv = g.linear(x, weights["in_proj"])
        heads = g.transpose(g.reshape(qkv, (2, 8, 3, 4, 16)), (2, 0, 3, 1, 4))
        q, k, v = (g.reshape(g.slice(heads, axis=0, start=i, stop=i + 1), (2, 4, 8, 16)) for i in range(3))
        y = g.reshape(g.transpose(g.attention(q, k, v), (0, 2, 1, 3)), (2, 8, 64))
        y = g.linear(y, weights["out_proj"])
        g.linear(g.relu(g.linear(y, weights["linear1"])), weights["linear2"])

    tally = counted(build)
    assert tally.flop("torch-2.13-cpu") == 8_912_896
    assert tally.flop("torch") == 8_912_896 + 2 * 2 * (2 * 4 * 8 * 8 * 16)


def test_recomputation_is_counted_as_executed_and_not_as_model_work() -> None:
    """Two linear layers under activation checkpointing, where early stop does one of them again: 458,752 - 393,216."""

    def build(g: fc.Graph) -> None:
        layer = g.subgraph("layer")
        x = layer.input("x", (32, 32))
        layer.output(layer.linear(x, layer.parameter("w", (32, 32))))
        y = g.input("y", (32, 32))
        g.call(layer, [y], times=2)
        g.recompute(layer, [y])

    tally = counted(build)
    forward, again = 131_072, 458_752 - 393_216
    assert tally.flop("model") == forward
    assert tally.flop("hardware") == tally.flop("torch-2.13") == forward + again


def test_of_a_conditional_xla_takes_the_dearer_branch() -> None:
    def build(g: fc.Graph) -> None:
        x = g.input("x", (4, 6))
        arms = []
        for name, repeats in (("cheap", 1), ("dear", 3)):
            block = g.subgraph(name)
            y = block.input("x", (4, 6))
            z = y
            for _ in range(repeats):
                z = block.add(z, y)
            block.output(z)
            arms.append((block, [x]))
        g.cond(arms)

    tally = counted(build)
    assert tally.flop("xla") == tally.flop("xla-0.10.2") == 3 * 24
    with pytest.raises(fc.ConventionError, match="probabilities"):
        tally.flop("torch-2.13")


def test_a_transposed_convolution_does_its_input_s_work() -> None:
    """ConvTranspose2d(8, 8, 4, stride=2, padding=1): torchprofile takes the output's volume, four times too many."""

    def build(g: fc.Graph) -> None:
        x, weight = g.input("x", (1, 8, 10, 10)), g.parameter("w", (8, 8, 4, 4))
        g.op("conv_transpose", [x, weight], {"stride": [2, 2], "padding": [1, 1, 1, 1]})

    tally = counted(build)
    macs = 8 * 8 * 16 * 10 * 10
    right = ("macs", "fvcore-0.1.5", "ultralytics-thop", "ptflops-aten-0.7.5")
    assert [tally.flop(name) for name in right] == [macs] * len(right)
    assert tally.flop("torch-2.13") == 2 * macs
    assert tally.flop("torchprofile-0.1.0") == tally.flop("thop-0.1.1") == 4 * macs


def test_a_recurrent_layer_is_work() -> None:
    """nn.LSTM(32, 32, bias=False) over 10 x 2: 163,840 multiply-adds; the fork of THOP adds 8 per unit and step."""

    def build(g: fc.Graph) -> None:
        x = g.input("x", (10, 2, 32))
        g.op("lstm", [x, g.parameter("w", (1, 128, 32)), g.parameter("r", (1, 128, 32))])

    tally = counted(build)
    assert tally.flop("macs") == tally.flop("torchprofile-0.1.0") == 163_840
    assert tally.flop("ultralytics-thop") == tally.flop("thop-0.1.1") == 168_960
    assert tally.flop("torch-2.13-cpu") == tally.flop("fvcore-0.1.5") == 0
    assert tally.flop("torch-2.13") == 2 * 163_840  # on meta tensors it runs as products


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_products_with_a_vector_are_silently_nothing(shape: tuple[int, ...]) -> None:
    """torch.dot and torch.mv have no formula; a vector from the left runs as a matrix of one row, and has."""
    right = counted(lambda g: g.matmul(g.input("a", shape), g.input("b", (4,))))
    assert right.flop("torch") == 2 * math.prod(shape)
    assert right.flop("torch-2.13") == right.flop("torch-2.13-cpu") == 0
    left = counted(lambda g: g.matmul(g.input("a", (4,)), g.input("b", (4, 5))))
    assert left.flop("torch-2.13") == 2 * 20


def test_products_are_the_same_however_they_are_written() -> None:
    """bmm, einsum and @ of (2, 16, 16): 24,576. fvcore prints 24,574: half of what NumPy prints to four digits."""

    def build(g: fc.Graph) -> None:
        a, b = g.input("a", (2, 16, 16)), g.input("b", (2, 16, 16))
        g.matmul(a, b)
        g.op("einsum", [a, b], {"equation": "bij,bjk->bik"})
        g.matmul(a, b)

    tally = counted(build)
    names = ("macs", "fvcore", "torchprofile-0.1.0", "ultralytics-thop")
    assert [tally.flop(name) for name in names] == [24_576] * len(names)
    assert tally.flop("fvcore-0.1.5") == 24_574
    assert tally.flop("thop-0.1.1") == 0  # called as functions: no module to hook


def test_an_integer_layer_is_work() -> None:
    """A dynamically quantised Linear(32, 32) over 8 rows: 8,192 multiply-adds of int8, of which PyTorch sees none."""

    def build(g: fc.Graph) -> None:
        g.op("quantized_matmul", [g.input("x", (8, 32), "int8"), g.parameter("w", (32, 32), "int8")])

    tally = counted(build)
    assert tally.flop("macs") == 8192
    assert tally.flop("int-or-fp") == 2 * 8192
    assert tally.flop("fp-only") == tally.flop("torch-2.13") == tally.flop("fvcore-0.1.5") == 0


def test_a_sparse_matrix_may_count_what_it_stores() -> None:
    """The identity of 64 as a sparse matrix times 64 x 64: 8,192 FLOP of work, which PyTorch counts as if dense."""

    def build(g: fc.Graph) -> None:
        g.op("sparse_matmul", [g.input("a", (64, 64)), g.input("b", (64, 64))], {"nnz": 64})

    tally = counted(build)
    torch = fc.convention("torch")
    assert tally.flop("torch-2.13") == 524_288
    assert tally.flop(replace(torch, extents={**torch.extents, "sparsity": "used"})) == 8192
    assert tally.explain("torch").assumptions[0].otherwise == 8192


def test_padding_is_no_work_for_xla() -> None:
    """A 3 x 3 convolution of 64 x 56 x 56 with SAME padding: 225.7 M FLOP inside, 231.2 M with the border."""
    tally = counted(lambda g: g.conv(g.input("x", (1, 64, 56, 56)), g.parameter("w", (64, 64, 3, 3)), padding=1))
    assert tally.flop("xla") == 225_738_752
    assert tally.flop("torch-2.13") == 231_211_008


def test_products_of_many_bits_are_exact() -> None:
    def product(m: int, k: int, n: int) -> fc.Tally:
        return counted(lambda g: g.matmul(g.input("a", (m, k)), g.input("b", (k, n))))

    assert product(1001, 1003, 1007).flop("xla-0.10.2") == 2_022_062_042  # XLA: 2,022,062,080, float32
    assert product(2**22, 2**22, 2**22).flop("macs") == 2**66  # the modules of ptflops: 0
    assert product(2**21 + 1, 2**21 + 1, 2**21 + 1).flop("macs") == 9_223_385_231_000_600_577
    assert product(3_000_001, 3_000_001, 3_000_001).flop("macs") == 27_000_027_000_009_000_001
    assert product(1_048_577, 8193, 1_048_577).flop("macs") == 9_008_315_948_343_297  # onnx-tool: ...296, float64


def test_an_addition_past_2_to_24_is_exact() -> None:
    tally = counted(lambda g: g.add(g.input("a", (16385, 1025)), g.input("b", (16385, 1025))))
    assert tally.flop("xla-0.10.2") == 16_794_625  # XLA: 16,794,624
