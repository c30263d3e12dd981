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


def test_sums_and_results_have_the_dtypes_that_jax_gives_them() -> None:
    """A preferred element type is the dtype of sums and result, and no conversion after them."""
    half, single = jnp.bfloat16, jnp.float32
    plain = {"precision": lax.DotAlgorithmPreset.BF16_BF16_F32, "preferred_element_type": half}
    x, w = shape(8, 16, dtype=half), shape(16, 4, dtype=half)
    image, kernel = shape(1, 2, 5, 5, dtype=half), shape(4, 2, 3, 3, dtype=half)
    window = {"window_strides": (1, 1), "padding": [(1, 1)] * 2, "preferred_element_type": single}
    cases: list[tuple[Any, Any, str]] = [
        (lambda a, b: lax.dot(a, b, preferred_element_type=single), (x, w), "float32"),
        (lambda a, b: lax.dot(a, b, **plain), (x, w), "bfloat16"),
        (lambda a, b: lax.ragged_dot(a, b, jnp.array([3, 5]), preferred_element_type=single),
         (x, shape(2, 16, 4, dtype=half)), "float32"),
        (conv(**window), (image, kernel), "float32"),
        (conv(**window, lhs_dilation=(2, 2)), (image, kernel), "float32"),
    ]  # fmt: skip
    for fn, avals, result in cases:
        tally = fc.count(fc.from_jax(fn, *avals))
        (row,) = (row for row in tally.rows() if row.feature == "mac")
        assert row.dtypes == ("bfloat16", "bfloat16", "float32", result)
        assert "cast" not in {row.op for row in tally.rows()}
    small = shape(8, 16, dtype=jnp.float8_e4m3fn), shape(16, 4, dtype=jnp.float8_e5m2)
    fn, avals, _ = cases[0]
    (row,) = (row for row in fc.count(fc.from_jax(fn, *small)).rows() if row.feature == "mac")
    assert row.dtypes == ("float8_e4m3", "float8_e5m2", "float32", "float32")
    assert fc.count(fc.from_jax(fn, *avals)).flop("xla-0.10.2/measured") == xla(fn, *avals) == 2 * 8 * 16 * 4


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


def llama(layers: int, *, scanned: bool) -> tuple[Callable[..., Any], Any]:
    """Llama-7B: a function of weights and tokens, and its weights."""
    width, inner, heads, vocab = 4096, 11008, 32, 32000
    sizes = {"q": (width, width), "k": (width, width), "v": (width, width), "o": (width, width)}
    sizes |= {"gate": (width, inner), "up": (width, inner), "down": (inner, width), "norm": (width,), "norm2": (width,)}
    stacked = {name: shape(layers, *size, dtype=jnp.bfloat16) for name, size in sizes.items()}
    edges = {"embed": shape(vocab, width, dtype=jnp.bfloat16), "head": shape(width, vocab, dtype=jnp.bfloat16)}

    def norm(x: Any, weight: Any) -> Any:
        return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * weight

    def block(x: Any, w: Any) -> tuple[Any, None]:
        h = norm(x, w["norm"])
        q, k, v = ((h @ w[name]).reshape(*x.shape[:2], heads, -1) for name in "qkv")
        scores = jnp.einsum("bshd,bthd->bhst", q, k)
        x = x + jnp.einsum("bhst,bthd->bshd", jax.nn.softmax(scores), v).reshape(x.shape) @ w["o"]
        h = norm(x, w["norm2"])
        return x + (jax.nn.silu(h @ w["gate"]) * (h @ w["up"])) @ w["down"], None

    def model(weights: Any, tokens: Any) -> Any:
        x = weights["embed"][tokens]
        if scanned:
            x, _ = lax.scan(block, x, weights["layers"])
        else:
            for i in range(layers):
                x, _ = block(x, {name: each[i] for name, each in weights["layers"].items()})
        return x @ weights["head"]

    return model, edges | {"layers": stacked}


def test_a_scanned_llama_7b_equals_the_unrolled_one_where_xla_sees_a_twentieth() -> None:
    tokens = shape(1, 2048, dtype=jnp.int32)
    counts = {}
    for scanned in (True, False):
        model, weights = llama(32, scanned=scanned)
        graph = fc.from_jax(model, weights, tokens, params=0)
        assert graph.parameters == 6_738_415_616 - 4096  # its last norm is left out here
        counts[scanned] = fc.count(graph).flop("macs")
    config = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32}
    config |= {"num_attention_heads": 32, "vocab_size": 32000, "architectures": ["LlamaForCausalLM"]}
    published = fc.count(fc.from_huggingface(config), at={"batch": 1, "seq": 2048}).flop("macs")
    assert counts[True] == counts[False] == published == 14_630_806_093_824
    model, weights = llama(32, scanned=True)
    assert xla(model, weights, tokens) < 0.06 * 2 * published


def test_a_symbolic_model_is_one_polynomial() -> None:
    model, weights = llama(2, scanned=True)
    b, t = jax.export.symbolic_shape("b, t")
    graph = fc.from_jax(model, weights, shape(b, t, dtype=jnp.int32), params=0)
    macs = fc.count(graph).flop("macs")
    assert (macs.degree("b"), macs.degree("t")) == (1, 2)
    for size in ((1, 128), (3, 77)):
        concrete = fc.from_jax(model, weights, shape(*size, dtype=jnp.int32), params=0)
        at = dict(zip("bt", size, strict=True))
        assert fc.count(concrete).flop("macs") == macs.at(at) == fc.count(graph, at=at).flop("macs")


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


def test_what_a_checkpoint_computes_again_is_a_recompute_frame() -> None:
    def loss(wrap: Any) -> Callable[..., Any]:
        return lambda w, x: (wrap(lambda w, x: jnp.tanh(jnp.tanh(x @ w) @ w))(w, x) ** 2).sum()

    avals, forward = (shape(8, 8), shape(4, 8)), 2 * 4 * 64
    plain = fc.count(fc.from_jax(jax.grad(loss(lambda f: f)), *avals))
    again = fc.count(fc.from_jax(jax.grad(loss(jax.checkpoint)), *avals))
    assert again.flop("macs", by="phase") == {"forward": plain.flop("macs"), "recompute": forward}
    assert again.flop("model") == plain.flop("model")
    assert again.flop("hardware") == plain.flop("hardware") + 2 * forward
    saved = jax.checkpoint_policies.dots_saveable
    kept = fc.from_jax(jax.grad(loss(lambda f: jax.checkpoint(f, policy=saved))), *avals)
    assert fc.count(kept).flop("macs") == plain.flop("macs")  # products are kept, tanh is computed again


def test_layers_that_are_scanned_and_checkpointed_recompute_each_once() -> None:
    def loss(weights: Any, x: Any) -> Any:
        return (lax.scan(lambda h, w: (jax.checkpoint(lambda w, h: jnp.tanh(h @ w))(w, h), None), x, weights)[0]).sum()

    tally = fc.count(fc.from_jax(jax.grad(loss), shape(5, 8, 8), shape(4, 8)))
    layer = 5 * 4 * 64
    assert tally.flop("macs", by="phase") == {"forward": 3 * layer, "recompute": layer}


def test_gradient_is_a_function_like_any_other() -> None:
    def loss(w: Any, x: Any) -> Any:
        return (jnp.tanh(x @ w) ** 2).sum()

    avals = shape(16, 8), shape(4, 16)
    assert macs(jax.grad(loss), *avals) == 2 * 4 * 16 * 8  # no gradient of the input


def test_ragged_dot_is_not_dense_over_groups() -> None:
    """facts/peers.md: 256 x 64 x 32 over 8 groups is 1.05 M FLOP, 8.9 M in XLA."""
    avals = shape(256, 64), shape(8, 64, 32), shape(8, dtype=jnp.int32)
    assert 2 * macs(lax.ragged_dot, *avals) == 2 * 256 * 64 * 32 == 1_048_576


def test_gradients_of_ragged_dot_are_ragged() -> None:
    avals = shape(256, 64), shape(8, 64, 32), shape(8, dtype=jnp.int32)
    gradient = jax.grad(lambda x, w, sizes: lax.ragged_dot(x, w, sizes).sum(), argnums=(0, 1))
    assert macs(gradient, *avals) == 2 * 256 * 64 * 32  # the product itself is not needed


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_of_convolutions_cost_what_xla_says(groups: int, stride: int) -> None:
    x, w = shape(2, 4, 9, 9), shape(8, 4 // groups, 3, 3)
    fn = conv(window_strides=(stride, stride), padding="VALID", feature_group_count=groups)
    for i in range(2):
        gradient = jax.grad(lambda x, w: fn(x, w).sum(), argnums=i)
        tally = fc.count(fc.from_jax(gradient, x, w))
        assert tally.flop("xla-0.10.2/measured") == xla(gradient, x, w) == 2 * macs(fn, x, w)


def ops(fn: Callable[..., object], *avals: object) -> dict[str, int]:
    """How many nodes of each op, leaves and layout left out."""
    found: dict[str, int] = {}
    for node in fc.from_jax(fn, *avals).nodes():
        found[str(node["op"])] = found.get(str(node["op"]), 0) + 1
    return found


def test_fourier_transforms_cost_what_xla_says() -> None:
    """Ours is radix 2 (5 n log2 n, real 2.5); XLA takes a complex product for each output and level (8 n log2 n)."""
    complex64, levels = jnp.complex64, 4
    for fn, aval in ((jnp.fft.fft, shape(3, 16, dtype=complex64)), (jnp.fft.ifft, shape(3, 16, dtype=complex64))):
        assert 8 * fc.count(fc.from_jax(fn, aval)).flop("all-arithmetic") == 5 * xla(fn, aval)
    for fn, aval in ((jnp.fft.rfft, shape(3, 16)), (jnp.fft.irfft, shape(3, 9, dtype=complex64))):
        assert fc.count(fc.from_jax(fn, aval)).flop("all-arithmetic") == 5 * 3 * 16 * levels // 2
    # Two dims are two transforms; XLA multiplies the levels of both.
    both = fc.count(fc.from_jax(jnp.fft.fft2, shape(3, 16, 8, dtype=complex64))).flop("all-arithmetic")
    assert both == 5 * 3 * 16 * 8 * (levels + 3)


@pytest.mark.parametrize(
    ("fn", "avals", "expected"),
    [
        (jnp.linalg.cholesky, ((5, 8, 8),), {"cholesky": 1}),
        (jnp.linalg.solve, ((8, 8), (8, 3)), {"lu_factor": 1, "triangular_solve": 2}),
        (jnp.linalg.inv, ((8, 8),), {"lu_factor": 1, "triangular_solve": 2}),
        (jnp.linalg.qr, ((9, 5),), {"qr": 1}),
        (jnp.linalg.eigh, ((5, 5),), {"eigh": 1}),
        (lambda x: jnp.linalg.svd(x, full_matrices=False), ((4, 9),), {"svd": 1}),
        (lambda a, b: jax.scipy.linalg.solve_triangular(a, b, trans=1), ((4, 4), (4, 2)), {"triangular_solve": 1}),
    ],
    ids=["cholesky", "solve", "inv", "qr", "eigh", "svd", "triangular"],
)
def test_linear_algebra_is_the_ops_of_that_name(
    fn: Callable[..., object], avals: tuple[tuple[int, ...], ...], expected: dict[str, int]
) -> None:
    found = ops(fn, *(shape(*each) for each in avals))
    assert {op: number for op, number in found.items() if op in expected} == expected


def test_random_numbers_are_drawn_once_each() -> None:
    key = jax.eval_shape(lambda: jax.random.key(0))
    rows = fc.count(fc.from_jax(lambda k: jax.random.normal(k, (3, 4)), key)).rows()
    assert sum(row.base for row in rows if row.feature == "rng") == 12


def test_windows_and_their_gradient() -> None:
    def window(start: float, join: Any) -> Callable[[Any], Any]:
        return lambda x: lax.reduce_window(x, start, join, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    x, n = shape(1, 8, 8, 3), 4 * 4 * 3
    for fn in (window(0.0, lax.add), window(-jnp.inf, lax.max), window(jnp.inf, lax.min)):
        assert fc.count(fc.from_jax(fn, x)).flop("all-arithmetic") == 3 * n == xla(fn, x)
    gradient = jax.grad(lambda x: window(-jnp.inf, lax.max)(x).sum())
    assert fc.count(fc.from_jax(gradient, x)).flop("all-arithmetic") == 3 * n + n == xla(gradient, x)


def test_a_reduction_by_any_function_runs_it_for_each_element() -> None:
    fn = lambda x: lax.reduce(x, 1.0, lambda a, b: a * b + a, (0,))  # noqa: E731
    assert fc.count(fc.from_jax(fn, shape(4, 3))).flop("all-arithmetic") == 2 * 12


def test_a_kernel_of_pallas_is_not_looked_into() -> None:
    from jax.experimental import pallas

    def add(x: Any, y: Any) -> Any:
        def kernel(a: Any, b: Any, out: Any) -> None:
            out[...] = a[...] + b[...]

        return pallas.pallas_call(kernel, out_shape=shape(8, 8))(x, y)

    with pytest.raises(fc.UnsupportedNodes, match="pallas_call x 1"):
        fc.from_jax(add, shape(8, 8), shape(8, 8))


def test_what_has_no_rule_is_listed_when_asked_for() -> None:
    graph = fc.from_jax(lambda a: jax.scipy.special.gammainc(a, a) @ a, shape(3), on_unsupported="list")
    tally = fc.count(graph)
    assert (tally.flop("macs"), tally.unsupported) == (3, {"igamma": 1})


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
