"""JAX as oracle of `from_jax`: closed forms, the unrolled function, and XLA's own count where XLA is right."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import flopcore as fc

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    jax = pytest.importorskip("jax", reason="needs the extra 'oracle'")
    jnp = pytest.importorskip("jax.numpy", reason="needs the extra 'oracle'")
lax = jax.lax


def shape(*sizes: Any, dtype: Any = None) -> Any:
    return jax.ShapeDtypeStruct(sizes, dtype or jnp.float32)


def macs(fn: Callable[..., object], *avals: object) -> Any:
    return fc.count(fc.from_jax(fn, *avals)).flop("macs")


def xla(fn: Callable[..., object], *avals: object) -> int:
    """FLOP by XLA's cost analysis of the lowered function, which is a float32."""
    found = jax.jit(fn).lower(*avals).cost_analysis()
    return int((found[0] if isinstance(found, list) else found)["flops"])


def test_products_equal_xla_where_xla_is_exact() -> None:
    cases = [
        (lambda a, b: a @ b, (shape(8, 16), shape(16, 4))),
        (lambda a, b: jnp.einsum("bij,bkj->bik", a, b), (shape(3, 4, 5), shape(3, 6, 5))),
        (lambda a, b: jnp.tensordot(a, b, axes=((0, 2), (1, 0))), (shape(2, 3, 4), shape(4, 2, 5))),
    ]
    for fn, avals in cases:
        assert 2 * macs(fn, *avals) == xla(fn, *avals)


def conv(**given: Any) -> Callable[[Any, Any], Any]:
    return lambda x, w: lax.conv_general_dilated(x, w, **given)


@pytest.mark.parametrize(
    ("given", "x", "w", "expected"),
    [
        ({"window_strides": (1, 1), "padding": "VALID"}, (2, 3, 9, 9), (8, 3, 3, 3), 2 * 8 * 49 * 27),
        ({"window_strides": (2, 2), "padding": "SAME"}, (1, 4, 9, 9), (8, 2, 3, 3), None),
        (
            {"window_strides": (1, 1), "padding": "VALID", "dimension_numbers": ("NHWC", "HWIO", "NHWC")},
            (2, 9, 9, 3),
            (3, 3, 3, 8),
            2 * 8 * 49 * 27,
        ),
        (
            {"window_strides": (1, 1), "padding": ((3, 3), (3, 3)), "lhs_dilation": (2, 2)},
            (1, 4, 5, 5),
            (6, 4, 4, 4),
            25 * 4 * 6 * 16,
        ),
        (
            {"window_strides": (1, 1), "padding": "VALID", "rhs_dilation": (2, 2)},
            (1, 2, 9, 9),
            (4, 2, 3, 3),
            25 * 4 * 18,
        ),
    ],
    ids=["valid", "grouped", "nhwc", "transposed", "dilated"],
)
def test_convolutions(given: dict[str, Any], x: tuple[int, ...], w: tuple[int, ...], expected: int | None) -> None:
    if expected is None:
        given, expected = given | {"feature_group_count": 2}, 8 * 25 * 2 * 9
    assert macs(conv(**given), shape(*x), shape(*w)) == expected


def test_padding_taps_are_an_extent_as_xla_has_it() -> None:
    """facts/peers.md: SAME 3x3 over 56x56x64 is 225.7 M in XLA, 231.2 M with the taps on padding."""
    fn, avals = conv(window_strides=(1, 1), padding="SAME"), (shape(1, 64, 56, 56), shape(64, 64, 3, 3))
    assert 2 * macs(fn, *avals) == 2 * 56 * 56 * 64 * 64 * 9
    row = next(row for row in fc.count(fc.from_jax(fn, *avals)).rows() if row.feature == "mac")
    assert [extent.kind for extent in row.extents] == ["padding_taps"]
    used = row.base * row.extents[0].used
    assert 2 * used == pytest.approx(xla(fn, *avals), rel=1e-6)


def test_a_scan_counts_every_step_where_xla_counts_one() -> None:
    layers, width = 32, 64

    def scanned(x: Any, weights: Any) -> Any:
        return lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, weights)[0]

    def unrolled(x: Any, weights: Any) -> Any:
        for i in range(layers):
            x = jnp.tanh(x @ weights[i])
        return x

    avals = shape(8, width), shape(layers, width, width)
    assert macs(scanned, *avals) == macs(unrolled, *avals) == layers * 8 * width * width
    assert xla(scanned, *avals) < 2 * macs(unrolled, *avals) / 16


def test_a_scan_of_symbolic_length() -> None:
    n, b = jax.export.symbolic_shape("n, b")
    graph = fc.from_jax(lambda x: lax.scan(lambda c, y: (c + y.sum(), y @ y.T), 0.0, x)[1], shape(n, b, 8))
    assert set(graph.dims) == {"n", "b"}
    assert str(fc.count(graph).flop("macs")) == str(8 * fc.dim("b") * fc.dim("b") * fc.dim("n"))


def test_fori_loop_and_while() -> None:
    avals = shape(4, 4)
    assert macs(lambda x: lax.fori_loop(0, 10, lambda i, y: y @ y, x), avals) == 640
    graph = fc.from_jax(lambda x: lax.while_loop(lambda y: y.sum() < 9, lambda y: y @ y, x), avals)
    assert str(fc.count(graph).flop("macs")) == "64*trips"
    assert fc.count(graph, at={"trips": 0}).flop("macs") == 0


def test_a_branch_is_priced_by_the_convention() -> None:
    def fn(p: Any, x: Any) -> Any:
        return lax.cond(p, lambda y: y @ y @ y, lambda y: y @ y, x)

    tally = fc.count(fc.from_jax(fn, shape(dtype=jnp.bool_), shape(4, 4)))
    assert tally.flop("macs") == 128  # the dearest arm, as XLA has it


def test_jit_checkpoint_and_custom_derivatives_are_looked_into() -> None:
    @jax.jit
    def inner(x: Any) -> Any:
        return jax.nn.relu(x @ x)

    assert macs(lambda x: jax.checkpoint(inner)(x) + jax.nn.gelu(x @ x), shape(4, 4)) == 128


def test_gradient_is_a_function_like_any_other() -> None:
    def loss(w: Any, x: Any) -> Any:
        return (jnp.tanh(x @ w) ** 2).sum()

    avals = shape(16, 8), shape(4, 16)
    assert macs(jax.grad(loss), *avals) == 2 * 4 * 16 * 8  # no gradient of the input


def test_ragged_dot_is_not_dense_over_groups() -> None:
    """facts/peers.md: 256 x 64 x 32 over 8 groups is 1.05 M FLOP, 8.9 M in XLA."""
    avals = shape(256, 64), shape(8, 64, 32), shape(8, dtype=jnp.int32)
    assert 2 * macs(lax.ragged_dot, *avals) == 2 * 256 * 64 * 32 == 1_048_576


def test_a_product_past_64_bits_is_exact() -> None:
    n = 3_000_001
    assert macs(lambda a, b: a @ b, shape(n, n), shape(n, n)) == n**3


def test_parameters_and_modules_have_the_names_of_the_tree() -> None:
    def model(params: Any, x: Any) -> Any:
        with jax.named_scope("head"):
            return x @ params["head"]["w"] + params["head"]["b"]

    graph = fc.from_jax(model, {"head": {"w": shape(8, 2), "b": shape(2)}}, shape(3, 8), params=0)
    assert graph.parameters == 18
    assert fc.count(graph).flop("macs", by="module") == {"head": 48}
    assert {node["name"] for node in graph.nodes() if node["op"] == "parameter"} == {"w", "b"}


def test_elementwise_equals_xla() -> None:
    fn, avals = lambda x, y: jnp.where(x > y, x * y, x - y), (shape(16, 16), shape(16, 16))
    assert fc.count(fc.from_jax(fn, *avals)).flop("all-arithmetic") == 3 * 256
    assert xla(fn, *avals) == 4 * 256  # the selection is one too


def test_errors() -> None:
    with pytest.raises(fc.DataError, match="JAX cannot trace it: TypeError"):
        fc.from_jax(lambda a, b: a @ b, shape(3, 4), shape(3, 4))
    with pytest.raises(ValueError, match=r"params=\[2\]: the function has arguments 0 to 0"):
        fc.from_jax(lambda a: a, shape(3), params=2)
    with pytest.raises(fc.UnsupportedNodes, match="igamma") as caught:
        fc.from_jax(lambda a: jax.scipy.special.gammainc(a, a), shape(3))
    assert sum(caught.value.nodes.values()) == 1
