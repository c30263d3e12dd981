"""`xla-0.10.2/measured` is what XLA's cost analysis says of a lowered program, op by op: XLA itself is run.

Needs the oracle extra. Sizes are small, so that XLA's float32 sums are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flopcore as fc

jax = pytest.importorskip("jax", reason="needs the oracle extra")
jnp, lax, jnn = jax.numpy, jax.lax, jax.nn

N = (4, 6)
UNARY: dict[str, Callable[..., Any]] = {
    "neg": lambda x: -x, "abs": jnp.abs, "sign": jnp.sign, "reciprocal": lambda x: 1 / x, "square": jnp.square,
    "sqrt": jnp.sqrt, "rsqrt": lax.rsqrt, "exp": jnp.exp, "exp2": jnp.exp2, "expm1": jnp.expm1, "log": jnp.log,
    "log2": jnp.log2, "log10": jnp.log10, "log1p": jnp.log1p, "sin": jnp.sin, "cos": jnp.cos, "tan": jnp.tan,
    "asin": jnp.arcsin, "acos": jnp.arccos, "atan": jnp.arctan, "sinh": jnp.sinh, "cosh": jnp.cosh,
    "asinh": jnp.arcsinh, "acosh": jnp.arccosh, "atanh": jnp.arctanh, "erf": lax.erf, "erfc": lax.erfc,
    "erfinv": lax.erf_inv, "floor": jnp.floor, "ceil": jnp.ceil, "round": jnp.round, "trunc": jnp.trunc,
    "isnan": jnp.isnan, "isinf": jnp.isinf, "isfinite": jnp.isfinite, "relu": jnn.relu, "relu6": jnn.relu6,
    "silu": jnn.silu, "sigmoid": jnn.sigmoid, "tanh": jnp.tanh, "elu": jnn.elu, "selu": jnn.selu, "celu": jnn.celu,
    "softplus": jnn.softplus, "softsign": jnn.soft_sign, "hard_sigmoid": jnn.hard_sigmoid,
    "hard_swish": jnn.hard_swish, "mish": jnn.mish, "leaky_relu": jnn.leaky_relu, "log_sigmoid": jnn.log_sigmoid,
    "softmax": jnn.softmax, "log_softmax": jnn.log_softmax,
}  # fmt: skip
BINARY: dict[str, Callable[..., Any]] = {
    "add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide, "pow": jnp.power,
    "maximum": jnp.maximum, "minimum": jnp.minimum, "atan2": jnp.arctan2, "fmod": jnp.fmod,
    "remainder": jnp.remainder, "floor_divide": jnp.floor_divide, "equal": jnp.equal, "less": jnp.less,
    "hypot": jnp.hypot, "logaddexp": jnp.logaddexp,
}  # fmt: skip


def reported(function: Callable[..., Any], *shapes: tuple[int, ...], dtype: str = "float32") -> tuple[int, int]:
    """FLOP and transcendentals of a program, lowered and not optimised."""
    inputs = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    cost = jax.jit(function).lower(*inputs).cost_analysis()
    return int(cost.get("flops", 0)), int(cost.get("transcendentals", 0))


def priced(build: Callable[[fc.Graph, list[fc.Tensor]], object], *shapes: tuple[int, ...]) -> tuple[Any, Any]:
    graph = fc.Graph()
    build(graph, [graph.input(f"x{i}", shape) for i, shape in enumerate(shapes)])
    tally = fc.count(graph)
    return tally.flop("xla-0.10.2"), tally.flop("xla-0.10.2-transcendentals")


@pytest.mark.parametrize("op", UNARY)
def test_a_function_of_one_operand(op: str) -> None:
    assert priced(lambda g, x: g.op(op, x), N) == reported(UNARY[op], N)


@pytest.mark.parametrize("op", BINARY)
def test_a_function_of_two_operands(op: str) -> None:
    assert priced(lambda g, x: g.op(op, x), N, N) == reported(BINARY[op], N, N)


@pytest.mark.parametrize("shape", [(256, 64, 32, 8), (10, 3, 5, 1), (12, 5, 7, 3)])
def test_ragged_dot_is_dense_over_its_groups(shape: tuple[int, int, int, int]) -> None:
    m, k, n, groups = shape
    avals = [jax.ShapeDtypeStruct(dims, jnp.float32) for dims in ((m, k), (groups, k, n))]
    sizes = jax.ShapeDtypeStruct((groups,), jnp.int32)
    theirs = int(jax.jit(lax.ragged_dot).lower(*avals, sizes).cost_analysis()["flops"])
    tally = fc.count(fc.from_jax(lax.ragged_dot, *avals, sizes))
    offsets = groups * (groups - 1)  # the convention's notes leave them out
    assert tally.flop("xla-0.10.2") + offsets == theirs
    assert tally.flop("macs") == m * k * n
    assert shape[0] != 256 or theirs == 8_912_952


def test_what_is_computed_again_is_counted_again() -> None:
    """Three layers, forward and backward: a checkpoint adds its recomputation to XLA's count as to ours."""

    def network(x: Any, w: Any) -> Any:
        for _ in range(3):
            x = jnp.tanh(x @ w)
        return x.sum()

    avals = [jax.ShapeDtypeStruct((16, 16), jnp.float32)] * 2
    found = []
    for function in (jax.value_and_grad(network), jax.value_and_grad(jax.checkpoint(network))):
        theirs = int(jax.jit(function).lower(*avals).cost_analysis()["flops"])
        found.append((theirs, fc.count(fc.from_jax(function, *avals))))
    (plain, once), (checkpointed, again) = found
    assert once.flop("xla-0.10.2") == plain + 16 * 16  # XLA folds the product with the derivative of the sum, 1
    assert again.flop("xla-0.10.2") == checkpointed
    product = 2 * 16**3
    assert [once.flop(name) for name in ("model", "hardware")] == [6 * product, 6 * product]
    assert [again.flop(name) for name in ("model", "hardware")] == [6 * product, 9 * product]


@pytest.mark.parametrize(
    ("function", "shape", "theirs", "ours"),
    [
        (jnp.cumsum, (1000,), 1000 * 999, 999),
        (jnp.sort, (1000,), 1000 * 10, 8977),  # binary insertion at best: n ceil(log2 n) - 2^ceil(log2 n) + 1
    ],
)
def test_what_the_notes_say_xla_counts_otherwise(
    function: Callable[..., Any], shape: tuple[int, ...], theirs: int, ours: int
) -> None:
    assert reported(function, shape)[0] == theirs
    assert fc.count(fc.from_jax(function, jax.ShapeDtypeStruct(shape, "float32"))).flop("xla-0.10.2") == ours


@pytest.mark.parametrize("n", [48, 64, 100])
def test_fourier_transforms_of_xla_round_the_logarithm_down(n: int) -> None:
    assert reported(jnp.fft.fft, (n,), dtype="complex64")[0] == 8 * n * (n.bit_length() - 1)


@pytest.mark.parametrize("form", ["none", "tanh"])
def test_gelu_in_both_forms(form: str) -> None:
    ours = priced(lambda g, x: g.gelu(x[0], approximate=form), N)  # type: ignore[arg-type]
    assert ours == reported(lambda x: jnn.gelu(x, approximate=form == "tanh"), N)


def test_a_conversion_is_an_instruction_and_a_transposition_is_not() -> None:
    assert priced(lambda g, x: g.cast(x[0], "bfloat16"), N) == reported(lambda x: x.astype("bfloat16"), N) == (24, 0)
    assert priced(lambda g, x: g.transpose(x[0], [1, 0]), N) == reported(lambda x: x.T, N) == (0, 0)


@pytest.mark.parametrize(
    ("op", "function"), [("reduce_sum", jnp.sum), ("reduce_mean", jnp.mean), ("reduce_max", jnp.max)]
)
@pytest.mark.parametrize("axes", [[0], [1], [0, 1]])
def test_reductions(op: str, function: Callable[..., Any], axes: list[int]) -> None:
    ours = priced(lambda g, x: g.op(op, x, {"axes": axes}), N)
    assert ours == reported(lambda x: function(x, axis=tuple(axes)), N)


def test_matrix_products() -> None:
    shapes = ((3, 4, 6), (3, 6, 5))
    assert priced(lambda g, x: g.matmul(*x), *shapes) == reported(jnp.matmul, *shapes) == (720, 0)
    biased = reported(lambda x, w, b: x @ w.T + b, (4, 6), (5, 6), (5,))
    assert priced(lambda g, x: g.linear(*x), (4, 6), (5, 6), (5,)) == biased


@pytest.mark.parametrize(
    ("stride", "padding", "groups"), [(1, [(0, 0), (0, 0)], 1), (2, [(1, 1), (1, 1)], 1), (1, [(2, 0), (0, 3)], 2)]
)
def test_convolutions_skip_taps_on_padding(stride: int, padding: list[tuple[int, int]], groups: int) -> None:
    shapes = ((2, 6, 9, 10), (4, 6 // groups, 3, 3))

    def function(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(
            x, w, (stride, stride), padding, dimension_numbers=("NCHW", "OIHW", "NCHW"), feature_group_count=groups
        )

    ours = priced(lambda g, x: g.conv(*x, stride=stride, padding=padding, groups=groups), *shapes)
    assert ours == reported(function, *shapes)


def test_a_same_convolution_of_the_facts() -> None:
    shapes = ((1, 64, 56, 56), (64, 64, 3, 3))

    def function(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))

    ours = priced(lambda g, x: g.conv(*x, padding=1), *shapes)
    assert ours == reported(function, *shapes) == (225_738_752, 0)


def test_a_transposed_convolution_skips_the_holes() -> None:
    shapes = ((1, 8, 5, 5), (8, 6, 4, 4))

    def function(x: Any, w: Any) -> Any:
        swapped = jnp.swapaxes(w, 0, 1)
        return lax.conv_transpose(x, swapped, (2, 2), "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW"))

    ours = priced(lambda g, x: g.op("conv_transpose", x, {"stride": [2, 2]}), *shapes)
    assert ours == reported(function, *shapes) == (2 * 8 * 25 * 6 * 16, 0)


def test_float32_sums_of_xla_are_rounded_and_ours_are_not() -> None:
    shapes = ((1001, 1003), (1003, 1007))
    assert reported(jnp.matmul, *shapes) == (2_022_062_080, 0)
    assert priced(lambda g, x: g.matmul(*x), *shapes) == (2_022_062_042, 0)
    summed = (16385, 1025)
    assert reported(jnp.add, summed, summed) == (16_794_624, 0)
    assert priced(lambda g, x: g.add(*x), summed, summed) == (16_794_625, 0)
