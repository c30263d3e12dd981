"""Random expression trees built twice, in Expr and in plain Python, must agree everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flopcore as fc

Number = int | Fraction
Point = dict[str, int]

# Differently constrained dims, so that simplification has bounds and multiples to use.
DIMS = {
    "a": fc.dim("a"),
    "b": fc.dim("b", min=0, max=40, multiple_of=2),
    "c": fc.dim("c", min=-6, max=30, multiple_of=3),
    "d": fc.dim("d", min=2),
}
LIMIT = 2**127


@dataclass(frozen=True)
class Tree:
    """One expression, as our object and as a Python function of a point."""

    expr: fc.expr.Operand
    plain: Callable[[Point], Number]


def leaf_strategy() -> st.SearchStrategy[Tree]:
    numbers = st.one_of(
        st.integers(-9, 9), st.integers(-(2**70), 2**70), st.fractions(max_denominator=12, min_value=-20, max_value=20)
    )
    return st.one_of(
        st.sampled_from(sorted(DIMS)).map(lambda name: Tree(DIMS[name], lambda at: at[name])),
        numbers.map(lambda number: Tree(number, lambda at: number)),
    )


def floor(left: Number, right: Number) -> int:
    return Fraction(left) // Fraction(right)


def extend(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    def binary(ours: Callable, plain: Callable) -> st.SearchStrategy[Tree]:
        return st.tuples(children, children).map(
            lambda pair: Tree(ours(pair[0].expr, pair[1].expr), lambda at: plain(pair[0].plain(at), pair[1].plain(at)))
        )

    def by_constant(ours: Callable, plain: Callable) -> st.SearchStrategy[Tree]:
        return st.tuples(children, st.sampled_from([1, 2, 3, 4, 6, 12, Fraction(3, 2)])).map(
            lambda pair: Tree(ours(pair[0].expr, pair[1]), lambda at: plain(pair[0].plain(at), pair[1]))
        )

    core = fc.expr._core
    return st.one_of(
        binary(lambda x, y: x + y, lambda x, y: x + y),
        binary(lambda x, y: x - y, lambda x, y: x - y),
        binary(lambda x, y: x * y, lambda x, y: x * y),
        binary(fc.minimum, min),
        binary(fc.maximum, max),
        by_constant(core.expr_floordiv, floor),
        by_constant(fc.ceildiv, lambda x, y: -floor(-x, y)),
        binary(lambda x, y: core.expr_floordiv(x, fc.maximum(y, 1)), lambda x, y: floor(x, max(y, 1))),
        # The shape that cancels: large equal parts with opposite signs.
        binary(lambda x, y: (x + y) ** 3 - x**3, lambda x, y: (x + y) ** 3 - x**3),
    )


TREES = st.recursive(leaf_strategy(), extend, max_leaves=8)


@st.composite
def points(draw: st.DrawFn) -> Point:
    return {
        "a": draw(st.one_of(st.integers(1, 50), st.integers(1, 2**62))),
        "b": 2 * draw(st.integers(0, 20)),
        "c": 3 * draw(st.integers(-2, 10)),
        "d": draw(st.one_of(st.integers(2, 50), st.integers(2, 2**62))),
    }


def fits(value: Number) -> bool:
    whole = Fraction(value)
    return -LIMIT <= whole.numerator < LIMIT and whole.denominator < LIMIT


def value_of(expr: fc.expr.Operand, at: Point) -> Number:
    return expr.value(at, on_unknown="ignore") if isinstance(expr, fc.Expr) else expr


def build(strategy: st.SearchStrategy[Tree], data: st.DataObject) -> Tree:
    """A tree that holds a dim; nothing is filtered out, so that no health check depends on luck."""
    plain_dim = Tree(DIMS["a"], lambda at: at["a"])
    try:
        tree = data.draw(strategy)
    except fc.CountOverflowError:  # a coefficient or the size of the polynomial
        return plain_dim
    if isinstance(tree.expr, fc.Expr):
        return tree
    try:
        return Tree(tree.expr + DIMS["a"], lambda at: tree.plain(at) + at["a"])
    except fc.CountOverflowError:
        return plain_dim


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_value_bounds_and_partial_binding_agree_with_python(data: st.DataObject) -> None:
    tree = build(TREES, data)
    low, high = tree.expr.bounds()
    for _ in range(4):
        at = data.draw(points())
        expected = tree.plain(at)
        assert low is None or low <= expected
        assert high is None or expected <= high
        if not fits(expected):
            with pytest.raises(fc.CountOverflowError):
                value_of(tree.expr, at)
            continue
        value = value_of(tree.expr, at)
        assert value == expected
        assert type(value) is int or value.denominator != 1
        part = {name: at[name] for name in data.draw(st.sets(st.sampled_from(sorted(at))))}
        try:
            partial = tree.expr.at(part, on_unknown="ignore")
        except fc.CountOverflowError:  # an expanded coefficient
            continue
        assert value_of(partial, at) == expected


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_text_json_and_arithmetic_read_back(data: st.DataObject) -> None:
    expr = build(TREES, data).expr
    names = {**DIMS, "min": fc.minimum, "max": fc.maximum, "Fraction": Fraction}
    assert eval(str(expr), names) == expr
    assert fc.Expr.from_json(expr.to_json()) == expr
    assert expr - expr == 0
    assert (expr + 7) - 7 == expr


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_ring_laws_give_one_form(data: st.DataObject) -> None:
    x, y, z = (build(TREES, data).expr for _ in range(3))
    try:
        results = [(x + y) * z, z * y + z * x, x * z + y * z]
        sums = [x + y + z, z + (x + y), y + (z + x)]
    except fc.CountOverflowError:
        return
    for group in (results, sums):
        assert all(type(one) is type(group[0]) and one == group[0] for one in group)
        assert len({str(one) for one in group}) == 1
        assert len({hash(one) for one in group}) == 1


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_sympy_agrees(data: st.DataObject) -> None:
    sympy = pytest.importorskip("sympy")
    tree = build(TREES, data)
    at = data.draw(points())
    translated = tree.expr.to_sympy()
    value = translated.subs({symbol: at[symbol.name] for symbol in translated.free_symbols})
    assert value == sympy.Rational(*Fraction(tree.plain(at)).as_integer_ratio())


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_columns_agree_with_points(data: st.DataObject) -> None:
    np = pytest.importorskip("numpy")
    tree = build(TREES, data)
    small = st.fixed_dictionaries(
        {
            "a": st.integers(1, 2000),
            "b": st.integers(0, 20).map(lambda x: 2 * x),
            "c": st.integers(-2, 10).map(lambda x: 3 * x),
            "d": st.integers(2, 2000),
        }
    )
    many = data.draw(st.lists(small, min_size=1, max_size=5))
    many = [at for at in many if fits(tree.plain(at))]
    expected = [tree.plain(at) for at in many]
    columns = {name: np.array([at[name] for at in many], dtype=np.int64) for name in DIMS}
    exact = tree.expr.evaluate(columns, exact=True, on_unknown="ignore")
    assert exact.tolist() == expected


# Sums over an index.

INDEX = fc.dim("i", min=0)
STEP_DIMS = {"p": fc.dim("p"), "t": fc.dim("t", min=0), "w": fc.dim("w")}
Steps = Callable[[Point, int], Number]


@dataclass(frozen=True)
class Body:
    """One summand, as our object and as a Python function of a point and the index."""

    expr: fc.expr.Operand
    plain: Steps


@st.composite
def linear_bodies(draw: st.DrawFn) -> Body:
    slope = draw(st.sampled_from([0, 1, 1, 2, -1, -3, Fraction(1, 2)]))
    weights = {name: draw(st.sampled_from([0, 0, 1, -1, 2])) for name in ("p", "w")}
    constant = draw(st.integers(-9, 9))
    expr = slope * INDEX + constant + sum(weights[name] * STEP_DIMS[name] for name in weights)
    return Body(expr, lambda at, i: slope * i + constant + sum(weights[name] * at[name] for name in weights))


def combine(children: st.SearchStrategy[Body]) -> st.SearchStrategy[Body]:
    def binary(ours: Callable, plain: Callable) -> st.SearchStrategy[Body]:
        return st.tuples(children, children).map(
            lambda pair: Body(
                ours(pair[0].expr, pair[1].expr), lambda at, i: plain(pair[0].plain(at, i), pair[1].plain(at, i))
            )
        )

    return st.one_of(
        binary(lambda x, y: x + y, lambda x, y: x + y),
        binary(lambda x, y: x * y, lambda x, y: x * y),
        binary(fc.minimum, min),
        binary(fc.maximum, max),
    )


POLYNOMIAL_BODIES = st.lists(linear_bodies(), min_size=1, max_size=3).map(
    lambda parts: Body(
        fc.expr._product(1, tuple((part.expr, 1) for part in parts)),
        lambda at, i: fc.expr._product(1, tuple((part.plain(at, i), 1) for part in parts)),
    )
)
WINDOW_BODIES = st.tuples(POLYNOMIAL_BODIES, linear_bodies(), linear_bodies(), linear_bodies()).map(
    lambda parts: Body(
        parts[0].expr * fc.minimum(fc.maximum(parts[1].expr, parts[2].expr), parts[3].expr),
        lambda at, i: (
            parts[0].plain(at, i) * min(max(parts[1].plain(at, i), parts[2].plain(at, i)), parts[3].plain(at, i))
        ),
    )
)
ANY_BODIES = st.recursive(linear_bodies(), combine, max_leaves=4)


@st.composite
def step_points(draw: st.DrawFn) -> Point:
    return {name: draw(st.integers(0 if name == "t" else 1, 25)) for name in STEP_DIMS}


def check_sum(body: Body, data: st.DataObject) -> fc.expr.Operand:
    low = data.draw(st.sampled_from([0, 2, STEP_DIMS["p"], STEP_DIMS["w"] - 1]))
    high = data.draw(st.sampled_from([7, STEP_DIMS["t"], STEP_DIMS["t"] + STEP_DIMS["p"]]))
    total = fc.sum_over(body.expr, INDEX, low, high)
    least, greatest = total.bounds() if isinstance(total, fc.Expr) else (total, total)
    for _ in range(3):
        at = data.draw(step_points())
        expected = sum(body.plain(at, i) for i in range(value_of(low, at), value_of(high, at)))
        assert value_of(total, at) == expected
        assert least is None or least <= expected
        assert greatest is None or expected <= greatest
        if isinstance(total, fc.Expr):
            assert value_of(total.at({"p": at["p"]}, on_unknown="ignore"), at) == expected
    return total


@settings(max_examples=100, deadline=None)
@given(data=st.data(), body=POLYNOMIAL_BODIES)
def test_sums_of_polynomials_are_closed(data: st.DataObject, body: Body) -> None:
    assert "sum(" not in str(check_sum(body, data))


@settings(max_examples=100, deadline=None)
@given(data=st.data(), body=WINDOW_BODIES)
def test_sums_of_windows_and_clamps_are_closed(data: st.DataObject, body: Body) -> None:
    assert "sum(" not in str(check_sum(body, data))


@settings(max_examples=100, deadline=None)
@given(data=st.data(), body=ANY_BODIES)
def test_any_sum_is_exact(data: st.DataObject, body: Body) -> None:
    total = check_sum(body, data)
    if isinstance(total, fc.Expr):
        assert fc.Expr.from_json(total.to_json()) == total


@settings(max_examples=50, deadline=None)
@given(data=st.data(), divisor=st.integers(2, 7), weight=st.integers(1, 5))
def test_sums_without_closed_form_nest(data: st.DataObject, divisor: int, weight: int) -> None:
    outer = fc.dim("j", min=0)
    inner = fc.sum_over((weight * INDEX * outer + STEP_DIMS["p"]) // divisor, INDEX, 0, outer)
    total = fc.sum_over(inner * STEP_DIMS["w"], outer, 0, STEP_DIMS["t"])
    at = data.draw(step_points())
    expected = at["w"] * sum((weight * i * j + at["p"]) // divisor for j in range(at["t"]) for i in range(j))
    assert value_of(total, at) == expected
    assert value_of(total.at({"p": at["p"]}), at) == expected
    assert fc.Expr.from_json(total.to_json()) == total


@settings(max_examples=100, deadline=None)
@given(
    prompt=st.integers(1, 60),
    new=st.integers(0, 60),
    window=st.integers(1, 80),
    heads=st.integers(1, 4),
    width=st.integers(1, 8),
)
def test_cached_decoding_is_one_closed_form(prompt: int, new: int, window: int, heads: int, width: int) -> None:
    """Token t of the continuation attends to min(P + t + 1, W) positions: scores and values, 2 width MAC each."""
    p, t, w = fc.dim("prompt"), fc.dim("new", min=0), fc.dim("window")
    h, d = fc.dim("heads"), fc.dim("width")
    step = fc.dim("step", min=0)
    per_token = 2 * h * d * fc.minimum(p + step + 1, w) + 4 * h * d * h * d
    closed = fc.sum_over(per_token, step, 0, t)
    assert "sum(" not in str(closed)
    at = {"prompt": prompt, "new": new, "window": window, "heads": heads, "width": width}
    explicit = sum(2 * heads * width * min(prompt + i + 1, window) + 4 * (heads * width) ** 2 for i in range(new))
    assert closed.value(at) == explicit
    assert (
        closed.at({"prompt": prompt, "window": window}).value({k: at[k] for k in ("new", "heads", "width")}) == explicit
    )
