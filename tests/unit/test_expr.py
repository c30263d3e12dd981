"""Dims and expressions as a user meets them."""

from __future__ import annotations

import copy
import json
import pickle
from fractions import Fraction

import numpy as np
import pytest

import flopcore as fc
from flopcore import _core

SEQ = fc.dim("seq")
BATCH = fc.dim("batch")
EVEN = fc.dim("even", multiple_of=2)


def test_polynomials_print_and_evaluate():
    cost = 2 * BATCH * SEQ * (SEQ + 1) // 2
    assert str(cost) == "batch*seq**2 + batch*seq"
    assert cost.at({"batch": 1, "seq": 4096}) == 4096 * 4097
    assert isinstance(cost.at({"batch": 1, "seq": 4096}), int)


def test_numbers_come_back_as_plain_numbers():
    assert type(SEQ - SEQ) is int
    assert SEQ - SEQ == 0
    half = (SEQ + Fraction(1, 2)) - SEQ
    assert half == Fraction(1, 2)
    assert type(half) is Fraction


def test_one_symbol_is_a_dim_again():
    again = (SEQ + BATCH) - BATCH
    assert isinstance(again, fc.Dim)
    assert again == SEQ
    assert hash(again) == hash(SEQ)
    assert (again.name, again.min, again.max, again.multiple_of) == ("seq", 1, None, 1)


@pytest.mark.parametrize("name", ["unk__12", "batch size", "x-1", "größe", "for", "it's", "a\\b", "\n"])
def test_any_text_names_a_dim(name):
    odd = fc.dim(name)
    assert odd.name == name
    assert eval(str(odd + 1), {"dim": fc.dim, **({name: odd} if name.isidentifier() else {})}) == odd + 1
    assert (odd * 2).at({name: 4}) == 8


@pytest.mark.parametrize("bad", [1.5, True, "3", None, [1]])
def test_operands_of_a_wrong_kind_are_named(bad):
    for attempt in (lambda: SEQ + bad, lambda: bad * SEQ, lambda: SEQ // bad, lambda: fc.minimum(SEQ, bad)):
        with pytest.raises(TypeError):
            attempt()
    with pytest.raises(TypeError, match="must be an int"):
        _ = SEQ + bad


def test_numpy_integers_are_integers():
    assert SEQ + np.int64(3) == SEQ + 3


def test_integers_of_127_bits_pass_and_wider_are_errors():
    big = 2**127 - 1
    assert (SEQ + big) - SEQ == big
    assert (SEQ + -(2**127)) - SEQ == -(2**127)
    with pytest.raises(fc.CountOverflowError, match="127 bits"):
        _ = SEQ + 2**127
    with pytest.raises(OverflowError):
        (SEQ**3).value({"seq": 2**50})


def test_division_is_floor_or_exact():
    assert str(SEQ // 2) == "seq//2"
    assert 2 * (EVEN // 2) == EVEN
    assert SEQ * (SEQ + 1) // 2 == (SEQ**2 + SEQ) / 2
    assert str(fc.ceildiv(SEQ, 128)) == "(seq + 127)//128"
    assert fc.ceildiv(SEQ, 128) == -(-SEQ // 128)
    assert (7 // SEQ).at({"seq": 2}) == 3
    with pytest.raises(TypeError, match="exactly"):
        _ = SEQ / BATCH
    with pytest.raises(TypeError, match="exactly"):
        _ = SEQ / 2.0
    with pytest.raises(ZeroDivisionError):
        _ = SEQ / 0
    with pytest.raises(fc.ShapeError, match="positive"):
        _ = SEQ // 0


def test_strides_chained_are_one_division():
    size = SEQ
    for _ in range(5):
        size = (size - 1) // 2 + 1
    assert str(size) == "(seq + 31)//32"


def test_extrema_and_clamp():
    window = fc.clamp(SEQ, 1, 4096)
    assert str(window) == "min(seq, 4096)"
    assert window.at({"seq": 9000}) == 4096
    assert fc.maximum(SEQ, 0) == SEQ
    assert fc.minimum(3, 4, 2) == 2


def test_dims_refuse_what_they_cannot_be():
    bounded = fc.dim("h", min=2, max=64, multiple_of=2)
    for value, rule in ((0, "at least 2"), (66, "at most 64"), (7, "multiple of 2")):
        with pytest.raises(fc.DataError, match=f"'h' cannot be {value}: it must be .*{rule}"):
            (bounded + 1).at({"h": value})
    with pytest.raises(fc.DataError, match="not known to be"):
        bounded.at({"h": SEQ})
    with pytest.raises(fc.DataError, match="one definition"):
        _ = fc.dim("seq", min=3) + SEQ
    with pytest.raises(fc.DataError, match="no value"):
        fc.dim("x", min=3, max=3, multiple_of=2)
    with pytest.raises(fc.DataError, match="name"):
        fc.dim("")


def test_a_dim_definition_is_checked_before_the_core():
    with pytest.raises(TypeError, match="name"):
        fc.dim(3)
    with pytest.raises(TypeError, match="max"):
        fc.dim("x", max=2.5)
    with pytest.raises(ValueError, match="62 bits"):
        fc.dim("x", min=2**62)
    assert fc.dim("x", min=np.int64(2), max=np.int8(9)).max == 9


def test_missing_and_unknown_names_are_listed():
    cost = BATCH * SEQ * EVEN
    with pytest.raises(fc.DataError, match="'batch', 'even'"):
        cost.value({"seq": 1})
    with pytest.raises(fc.DataError, match="no dim 'sequence' here; the dims are 'batch', 'even', 'seq'"):
        cost.at({"sequence": 1})
    assert cost.at({"sequence": 1, "seq": 3, "even": 2}, on_unknown="ignore") == 6 * BATCH
    with pytest.raises(ValueError, match="on_unknown"):
        cost.at({}, on_unknown="no")
    with pytest.raises(TypeError, match="mapping"):
        cost.at([("seq", 1)])
    with pytest.raises(TypeError, match="value of dim 'seq'"):
        cost.at({"seq": 2.0})


def test_partial_binding_and_substitution():
    cost = BATCH * SEQ**2
    assert cost.at({"seq": 3}) == 9 * BATCH
    prompt, new = fc.dim("prompt"), fc.dim("new")
    assert SEQ.at({"seq": prompt + new}) == prompt + new
    assert cost.at({"seq": prompt + new}).at({"prompt": 1, "new": 2}) == 9 * BATCH


def test_terms_that_cancel_do_not_overflow():
    x = 2**61
    other = fc.dim("other")
    assert (SEQ**8 - SEQ**7 * other).value({"seq": x, "other": x}) == 0
    assert (SEQ**40 - SEQ**39 * other + 1).value({"seq": x, "other": x}) == 1


def test_bounds_degree_leading_term_dominance():
    width = fc.dim("width", min=2, max=10)
    assert (3 * width - 1).bounds() == (5, 29)
    assert (width * SEQ).bounds() == (2, None)
    cost = 4 * BATCH * SEQ**2 + 7 * BATCH * SEQ + SEQ // 2
    assert cost.degree("seq") == 2
    assert cost.degree("batch") == 1
    assert cost.degree("nothing") == 0
    assert fc.minimum(SEQ, BATCH).degree("seq") is None
    assert cost.leading_term() == 4 * BATCH * SEQ**2
    assert cost.dominant_dim({"batch": 1, "seq": 100}) == "seq"
    assert (BATCH * SEQ).dominant_dim({"batch": 2, "seq": 2}) == "batch"
    clamped = BATCH**2 * fc.minimum(SEQ, 8)
    assert clamped.elasticities({"batch": 3, "seq": 100}) == {"batch": 2, "seq": 0}
    assert clamped.elasticities({"batch": 3, "seq": 4}) == {"batch": 2, "seq": 1}
    with pytest.raises(fc.DataError, match="zero"):
        (SEQ - 1).elasticities({"seq": 1})


def test_free_dims_are_sorted():
    assert [d.name for d in (SEQ * BATCH + EVEN).free_dims] == ["batch", "even", "seq"]


def test_latex():
    assert ((SEQ**2 + SEQ) / 2).to_latex() == r"\frac{\mathrm{seq}^{2} + \mathrm{seq}}{2}"
    assert (fc.dim("n") // 3)._repr_latex_() == r"$\left\lfloor \frac{n}{3} \right\rfloor$"
    assert fc.minimum(fc.dim("n"), fc.dim("m")).to_latex() == r"\min\left(m, n\right)"


def rich_expression():
    return (BATCH * SEQ + 3 * (SEQ // 7) ** 2 + fc.minimum(SEQ, 2 * BATCH, Fraction(7, 2))) / 6 - SEQ // (BATCH + 1)


def test_json_round_trip():
    expr = rich_expression()
    document = json.loads(json.dumps(expr.to_json()))
    assert document["format"] == "flopcore.expr/1"
    assert fc.Expr.from_json(document) == expr


@pytest.mark.parametrize(
    "change",
    [
        {"format": "flopcore.expr/2"},
        {"value": [["1", [[99, 1]]]]},
        {"value": [["x", []]]},
        {"value": [["1/0", []]]},
        {"value": 3},
        {"value": [["1", [[0, -1]]]]},
        {"nodes": [{"dim": "unknown"}]},
        {"nodes": [{"sin": [[]]}]},
        {"nodes": [{}]},
        {"nodes": [3]},
        {"dims": [{"name": "seq"}]},
        {"dims": [{"name": "seq", "min": "1", "max": None, "multiple_of": 1}]},
    ],
)
def test_malformed_json_is_a_data_error(change):
    document = rich_expression().to_json()
    with pytest.raises(fc.DataError):
        fc.Expr.from_json({**document, **change})


def test_pickle_and_copy():
    expr = rich_expression()
    assert pickle.loads(pickle.dumps(expr)) == expr
    assert copy.deepcopy(expr) == expr
    assert pickle.loads(pickle.dumps(SEQ)) == SEQ


def test_text_reads_back():
    expr = rich_expression()
    names = {"batch": BATCH, "seq": SEQ, "min": fc.minimum, "max": fc.maximum, "Fraction": Fraction}
    assert eval(str(expr), names) == expr


def test_equality_is_of_structure_and_definition():
    assert SEQ + 1 != SEQ
    assert fc.dim("seq", min=0) != SEQ
    assert SEQ != 1
    assert {SEQ + BATCH: 1}[BATCH + SEQ] == 1


def test_truth_and_order_are_not_guessed():
    with pytest.raises(TypeError, match="depends on its dims"):
        bool(SEQ - 1)
    with pytest.raises(TypeError):
        _ = SEQ < 3
    with pytest.raises(TypeError, match="dim"):
        fc.Expr()


def test_sums_in_closed_form_and_not():
    step, new, window = fc.dim("step", min=0), fc.dim("new", min=0), fc.dim("window")
    assert str(fc.sum_over(step, step, 0, new)) == "(new**2 - new)/2"
    assert fc.sum_over(step**2, "step", 0, 11) == 385
    assert fc.sum_over(SEQ, "nowhere", 3, 3) == 0
    clipped = fc.sum_over(fc.minimum(SEQ + step + 1, window), step, 0, new)
    assert "sum(" not in str(clipped)
    assert clipped.at({"seq": 5, "new": 4, "window": 7}) == 6 + 7 + 7 + 7
    lazy = fc.sum_over((step + SEQ) // 3, step, 0, new)
    assert str(lazy) == "sum((seq + index1)//3, index1, 0, new)"
    assert lazy.to_latex().startswith(r"\sum_{0 \le i_{1} < \mathrm{new}}")
    assert lazy.at({"seq": 2, "new": 6}) == 0 + 1 + 1 + 1 + 2 + 2
    assert pickle.loads(pickle.dumps(lazy)) == lazy
    assert [d.name for d in lazy.free_dims] == ["new", "seq"]
    with pytest.raises(fc.DataError, match="no elasticity"):
        lazy.elasticities({"seq": 2, "new": 6})
    with pytest.raises(fc.DataError, match="leaves what that dim may be"):
        fc.sum_over(SEQ, SEQ, 0, new)
    with pytest.raises(fc.DataError, match="integer ends"):
        fc.sum_over(step, step, 0, new / 2)
    with pytest.raises(fc.CountOverflowError, match="steps"):
        lazy.value({"seq": 1, "new": 2**30})
    with pytest.raises(TypeError, match="index"):
        fc.sum_over(step, 3, 0, new)


def test_many_points_at_once():
    cost = BATCH * SEQ * (SEQ + 1) / 2 + SEQ // 128
    seq = np.arange(1, 2001, dtype=np.int32).reshape(2, 1000)
    values = cost.evaluate({"batch": 3, "seq": seq})
    assert values.shape == (2, 1000)
    assert values.dtype == np.float64
    expected = [3 * s * (s + 1) // 2 + s // 128 for s in range(1, 2001)]
    assert values.reshape(-1).tolist() == expected
    exact = cost.evaluate({"batch": 3, "seq": seq}, exact=True)
    assert exact.reshape(-1).tolist() == expected
    assert all(type(value) is int for value in exact.reshape(-1))
    grid = (BATCH * SEQ).evaluate({"batch": [[1], [2]], "seq": [3, 4]}, threads=1)
    assert grid.tolist() == [[3, 4], [6, 8]]
    assert (BATCH * SEQ).evaluate({"batch": 2, "seq": 3}).tolist() == 6
    assert (BATCH * SEQ).evaluate({"batch": [2], "seq": [3]}, exact=True).tolist() == [6]
    assert (BATCH * SEQ).evaluate({"batch": [], "seq": 3}).tolist() == []


def test_many_points_are_checked():
    with pytest.raises(fc.DataError, match="'even' cannot be 5"):
        (EVEN * SEQ).evaluate({"even": [2, 5], "seq": [1, 1]})
    with pytest.raises(fc.DataError, match="no value for dim 'even'"):
        (EVEN * SEQ).evaluate({"seq": [1, 1]})
    with pytest.raises(fc.DataError, match="no dim 'x'"):
        SEQ.evaluate({"x": [1, 1]})
    with pytest.raises(TypeError, match="integers"):
        SEQ.evaluate({"seq": [1.0, 2.0]})
    with pytest.raises(TypeError, match="integers"):
        SEQ.evaluate({"seq": [True, False]})
    with pytest.raises(fc.DataError, match="63 bits"):
        SEQ.evaluate({"seq": np.array([1, 2**63], dtype=np.uint64)})
    with pytest.raises(ValueError, match="threads"):
        SEQ.evaluate({"seq": [1, 2]}, threads=0)
    with pytest.raises(fc.DataError, match="not positive"):
        (BATCH // (SEQ - 1)).evaluate({"batch": [1, 1], "seq": [2, 1]})


def test_float_error_is_within_the_stated_bound():
    cost = 24 * BATCH * SEQ * EVEN**2 - 7 * BATCH * SEQ**2 * EVEN + Fraction(1, 3) * SEQ**3 - 5 * BATCH + 1
    rng = np.random.default_rng(0)
    at = {
        "batch": rng.integers(1, 10**6, 2000),
        "seq": rng.integers(1, 10**7, 2000),
        "even": 2 * rng.integers(1, 10**6, 2000),
    }
    k = 5 + 2 * 4 + 3
    unit = Fraction(1, 2**53)
    for value, *point in zip(cost.evaluate(at), *at.values(), strict=True):
        b, s, e = map(int, point)
        terms = [24 * b * s * e**2, -7 * b * s**2 * e, Fraction(s**3, 3), -5 * b, 1]
        assert abs(Fraction(value) - sum(terms)) <= k * unit / (1 - k * unit) * sum(map(abs, terms))


def test_powers():
    assert SEQ**0 == 1
    assert str((SEQ + 1) ** 3) == "seq**3 + 3*seq**2 + 3*seq + 1"
    with pytest.raises(ValueError, match="negative"):
        _ = SEQ**-1
    with pytest.raises(TypeError):
        _ = SEQ**0.5
    with pytest.raises(fc.CountOverflowError):
        _ = SEQ ** (10**30)


def test_sympy_agrees():
    sympy = pytest.importorskip("sympy")
    expr = rich_expression()
    for seq, batch in ((1, 1), (20, 3), (1000, 7)):
        symbols = {s: {"seq": seq, "batch": batch}[s.name] for s in expr.to_sympy().free_symbols}
        value = expr.to_sympy().subs(symbols)
        assert value == sympy.Rational(*Fraction(expr.at({"seq": seq, "batch": batch})).as_integer_ratio())


def test_an_empty_sum_is_nothing_in_sympy_too():
    pytest.importorskip("sympy")
    step = fc.dim("step", min=0)
    lazy = fc.sum_over((step + 1) // 3, step, 3, SEQ)
    for seq in (1, 2, 3, 4, 9):
        (symbol,) = lazy.to_sympy().free_symbols
        assert (
            lazy.to_sympy().subs(symbol, seq).doit()
            == lazy.at({"seq": seq})
            == sum((i + 1) // 3 for i in range(3, seq))
        )


def test_expressions_format_as_text():
    assert f"{2 * SEQ:>8}|" == "   2*seq|"


@pytest.mark.parametrize("divisor", [1, 2, 3, 7, 2**61])
@pytest.mark.parametrize("value", [-(2**62), -8, -7, -1, 0, 1, 6, 7, 8, 2**62 - 1])
def test_plain_integers_divide_as_python_does(value, divisor):
    assert fc.ceildiv(value, divisor) == -(-value // divisor)
    assert _core.expr_floordiv(value, divisor) == value // divisor
