"""Programs: what nodes compute, what is known without a draw, and what they refuse."""

from fractions import Fraction

import numpy as np
import pytest

import flopcore as fc
from flopcore import program as p
from flopcore.distributions import Fixed, LogNormal, LogUniform, Normal, Uniform

KEYS = tuple(f"m{i}" for i in range(7))


def draws(n=1000, entities=(), precision="double", begin=0, **nodes):
    return fc.draw_values(nodes, draws=n, begin=begin, entities=entities, rng=3, precision=precision)


def test_operators_do_what_they_say():
    x, y = fc.variable("x", Uniform(1, 2)), fc.variable("y", Normal(0, 1))
    v = draws(
        x=x,
        y=y,
        add=x + y,
        sub=2 - x,
        mul=x * y,
        div=y / x,
        neg=-y,
        less=y < x - 1.5,
        at_most=x <= 1.5,
        more=y > 0,
        at_least=x <= 1.5,
        both=(y > 0) & (x > 1.5),
        either=(y > 0) | (x > 1.5),
        no=~(y > 0),
        equal=(p.floor(4 * x) - 4).equals(1),
        low=p.minimum(x, y),
        high=p.maximum(x, 1.5),
        chosen=p.where(y > 0, x, -1),
        floor=p.floor(3 * y),
        floordiv=y // "0.25",
        cube=y**3,
        inverse=x**-2,
        root=x**0.5,
        table=p.lookup(p.floor(4 * x) - 4, [5, "1/3", 7, 11]),
    )
    x, y = v["x"], v["y"]
    quarter = np.floor(4 * x) - 4
    expected = {
        "add": x + y,
        "sub": 2 - x,
        "mul": x * y,
        "div": y / x,
        "neg": -y,
        "less": y < x - 1.5,
        "at_most": x <= 1.5,
        "more": y > 0,
        "at_least": x <= 1.5,
        "both": (y > 0) & (x > 1.5),
        "either": (y > 0) | (x > 1.5),
        "no": y <= 0,
        "equal": quarter == 1,
        "low": np.minimum(x, y),
        "high": np.maximum(x, 1.5),
        "chosen": np.where(y > 0, x, -1),
        "floor": np.floor(3 * y),
        "floordiv": np.floor(y / 0.25),
        "cube": y * (y * y),
        "inverse": 1 / (x * x),
        "root": np.sqrt(x),
        "table": np.array([5, 1 / 3, 7, 11])[quarter.astype(int)],
    }
    for name, value in expected.items():
        assert np.array_equal(v[name], value), name


@pytest.mark.parametrize("precision", ["double", "single"])
def test_functions_are_close_to_numpy(precision):
    x, y = fc.variable("x", Uniform(0.01, 40)), fc.variable("y", Normal(0, 20))
    v = draws(
        precision=precision,
        x=x,
        y=y,
        log=p.log(x),
        log10=p.log10(x + 0),
        exp=p.exp(y),
        exp10=p.exp10(y / 2),
        power=x**y,
    )
    x, y = v["x"], v["y"]
    u = 2.0**-53 if precision == "double" else 2.0**-24
    for name, exact, ulps in [
        ("log", np.log(x), 6),
        ("log10", np.log10(x), 6),
        ("exp", np.exp(y), 8),
        ("exp10", 10 ** (y / 2), 8 + 2 * 100),
        ("power", x**y, 8 + 2 * np.abs(y * np.log(x)).max()),
    ]:
        scale = np.maximum(abs(exact), 1 if name.startswith("log") else 0)
        # In single precision what overflows or is subnormal is not compared.
        ok = (exact < 3e38) & (exact > 1e-37) | (exact <= 0) if precision == "single" else np.isfinite(exact)
        # exp10 is computed of y / 2 itself, NumPy's power of 10 rounds its argument's multiple of ln 10.
        assert np.all(abs(v[name] - exact)[ok] <= (ulps * u * scale)[ok]), name


def test_functions_at_the_edges():
    x = fc.variable("x", Uniform(-1, 1))
    zero, negative, far = x * 0, x - 2, x * 0 + 1000
    v = draws(
        10,
        log_zero=p.log(zero),
        log10_negative=p.log10(negative),
        exp_far=p.exp(far),
        exp_low=p.exp(-far),
        exp10_far=p.exp10(far),
        exp10_low=p.exp10(-far),
        pow_zero=zero ** (far + x),
        pow_negative=negative ** (x + 3),
        nan_min=p.minimum(p.log(negative), x),
        nan_max=p.maximum(x, p.log(negative)),
        nan_less=p.log(negative) < x,
        nan_select=p.where(p.log(negative) < x, 1, 0),
    )
    assert set(v["log_zero"]) == set(v["exp_far"].tolist()) - {np.inf} | {-np.inf}
    assert set(v["exp_far"]) == set(v["exp10_far"]) == {np.inf}
    assert set(v["exp_low"]) == set(v["exp10_low"]) == set(v["pow_zero"]) == {0.0}
    for name in ("log10_negative", "pow_negative", "nan_min", "nan_max", "nan_less", "nan_select"):
        assert np.isnan(v[name]).all(), name


def test_what_is_known_is_computed_exactly():
    tenth = fc.constant("0.1")
    assert (tenth * 3).known == (Fraction(3, 10),)
    assert (fc.constant(10**30) + 1).known == (Fraction(10**30 + 1),)
    assert p.log10(fc.constant("1e25")).known == (Fraction(25),)
    assert (fc.column([1, 2, 4]) / 3).known == (Fraction(1, 3), Fraction(2, 3), Fraction(4, 3))
    assert (fc.column([1, 2, 4]) > 1).known == (0, 1, 1)
    assert p.total(fc.column([1, 2, 4])).known == (7,)
    assert p.largest_k(fc.column([1, 9, 4]), 2).known == (4,)
    assert p.percentile(fc.column([1, 9, 4]), "1/3", among=[False, True, True]).known == (4,)
    assert p.lookup(fc.column([1, 0]), [5, 6]).known == (6, 5)
    assert (fc.constant(2) ** 100).known == (2**100,)
    assert fc.from_expr(fc.dim("a") // 4, {"a": 11}).known == (2,)


def test_the_same_name_is_the_same_draws_everywhere():
    x = fc.variable("C", LogNormal(1e24, 1.0), per="entity")
    both = draws(x=x, entities=("a", "b"))["x"]
    alone = draws(y=x * fc.variable("other", LogNormal(1, 1)), x=x, entities=("b",))["x"]
    assert np.array_equal(alone[0], both[1])
    assert not np.array_equal(both[0], both[1])
    later = draws(200, begin=777, x=x, entities=("a", "b"))["x"]
    assert np.array_equal(later, draws(977, x=x, entities=("a", "b"))["x"][:, 777:])


def test_entities_of_a_group_have_one_draw():
    labs = ["A", "B", "A", "C", "B", "A", "A"]
    x = fc.variable("bias", LogNormal(1, 0.5), per=labs)
    v = draws(entities=KEYS, x=x, own=fc.variable("bias of one", LogNormal(1, 0.5), per="entity"))["x"]
    assert len({row.tobytes() for row in v}) == 3
    assert all(np.array_equal(v[i], v[labs.index(lab)]) for i, lab in enumerate(labs))
    # The address is the group's name: neither order nor the presence of other groups moves a draw.
    assert np.array_equal(draws(entities=("k",), x=fc.variable("bias", LogNormal(1, 0.5), per=["B"]))["x"][0], v[1])
    # It is no entity's address, even where both have one name.
    alone = draws(entities=("B",), x=fc.variable("bias", LogNormal(1, 0.5), per="entity"))["x"]
    assert not np.array_equal(alone[0], v[1])
    wide = fc.variable("bias", {"A": LogNormal(1, 0.5), "B": LogNormal(8, 0.5), "C": Fixed(3), "D": Fixed(1)}, per=labs)
    apart = draws(entities=KEYS, wide=wide)["wide"]
    assert apart[1] == pytest.approx(8 * v[1])
    assert apart[3] == pytest.approx(3)
    switch = fc.switch("reading", ["1/2", "1/2"], per=labs)
    assert len({row.tobytes() for row in draws(entities=KEYS, s=switch)["s"]}) == 3


def test_sums_extremes_and_ranks_over_entities():
    x = fc.variable("C", [LogNormal(10.0 ** (22 + i), 1.0) for i in range(7)])
    w = fc.column([3, 1, 4, 1, 5, 9, 2])
    early = [True, True, True, False, False, True, False]
    v = draws(
        entities=KEYS,
        x=x,
        total=p.total(p.log10(x) * w),
        largest=p.largest(x),
        smallest=p.smallest(p.log10(x)),
        second=p.largest_k(x, 2),
        median=p.percentile(x, 0.5),
        early=p.percentile(x, "0.75", among=early),
        near=p.count(x >= p.largest(x) / 10),
        above=p.count(x > p.percentile(x, "0.5")),
        centred=p.log10(x) - p.total(p.log10(x)) / 7,
    )
    x, log = v["x"], draws(entities=KEYS, log=p.log10(x))["log"]
    total = np.zeros(1000)
    for row, weight in zip(log, [3, 1, 4, 1, 5, 9, 2], strict=True):
        total = total + row * weight
    assert np.array_equal(v["total"], total)
    assert np.array_equal(v["largest"], x.max(axis=0))
    assert np.array_equal(v["smallest"], log.min(axis=0))
    assert np.array_equal(v["second"], np.sort(x, axis=0)[-2])
    assert np.array_equal(v["median"], np.sort(x, axis=0)[3])
    assert np.array_equal(v["early"], np.sort(x[early], axis=0)[2])
    assert np.array_equal(v["near"], (log >= log.max(axis=0) - 1).sum(axis=0))
    assert set(v["above"]) == {3.0}
    plain = np.zeros(1000)
    for row in log:
        plain = plain + row
    assert np.array_equal(v["centred"], log - plain / 7)


def test_an_expression_of_a_graph_becomes_a_program():
    batch, seq, width = fc.dim("batch"), fc.dim("seq"), fc.dim("width")
    expr = 12 * batch * seq * width**2 + fc.minimum(seq, 2048) * seq * batch * 4 * width + fc.ceildiv(seq, 128)
    at = {
        "batch": 8,
        "seq": fc.variable("seq", LogUniform(512, 8192)),
        "width": fc.variable("width", Uniform(64, 4096)),
    }
    v = draws(64, value=fc.from_expr(expr, at), **{name: at[name] for name in ("seq", "width")})
    for value, s, w in zip(v["value"], v["seq"], v["width"], strict=True):
        exact = 96 * s * w * w + min(s, 2048) * s * 32 * w + (s + 127) // 128
        assert value == pytest.approx(exact, rel=1e-14)


def test_a_switch_has_its_probabilities():
    probabilities = [Fraction(1, 8), Fraction(0), Fraction(5, 8), Fraction(1, 4)]
    choice = fc.switch("convention", probabilities)
    n = 200_000
    share = np.bincount(draws(n, c=choice)["c"].astype(int), minlength=4) / n
    for p_, got in zip(probabilities, share, strict=True):
        # Six standard errors; the seed is fixed.
        assert abs(got - p_) <= 6 * (float(p_ * (1 - p_)) / n) ** 0.5
    per = fc.switch("convention", probabilities, per="entity")
    assert draws(5, entities=KEYS, c=per)["c"].shape == (7, 5)


def test_known_values_among_uncertain_ones_are_compared_exactly():
    # As doubles 1e26 lies above 10**26 and 1e23 below 10**23.
    for value in (10**26, 10**23):
        x = fc.variable("C", [Fixed(value), LogNormal(float(value), 1.0)]) * fc.column([1, 1])
        lines = [fc.Threshold("over", value, ">"), fc.Threshold("at", value, ">=")]
        for precision in ("double", "single"):
            result = fc.sweep(fc.Program({"p": fc.Exceed(x, lines)}, KEYS[:2]), draws=1000, rng=0, precision=precision)
            assert result["p"].exceed_counts[0].tolist() == [0, 1000]
            chosen = fc.where(fc.switch("s", ["1/2", "1/2"]), value, fc.variable("D", LogNormal(1e20, 0.1)))
            tie = fc.sweep(fc.Program({"p": fc.Exceed(chosen, lines)}), draws=1000, rng=0, precision=precision)
            over, at = tie["p"].exceed_counts[0]
            assert over == 0
            assert 400 < at < 600


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fc.variable("", Uniform(0, 1)), ValueError, "not empty"),
        (lambda: fc.variable("x", 3), TypeError, "object is not iterable|not a Distribution"),
        (lambda: fc.variable("x", []), ValueError, "for each entity"),
        (lambda: fc.variable("x", Uniform(0, 1), per="model"), ValueError, "'study', 'entity' or"),
        (lambda: fc.variable("x", Uniform(0, 1), per=["A", ""]), ValueError, "not empty for each entity"),
        (lambda: fc.variable("x", Uniform(0, 1), per=[]), ValueError, "not empty for each entity"),
        (lambda: fc.variable("x", [Uniform(0, 1)] * 2, per=["A", "B"]), ValueError, "a mapping by group"),
        (lambda: fc.variable("x", {"A": Uniform(0, 1)}, per=["A", "B"]), ValueError, r"groups \['B'\]"),
        (lambda: fc.variable("x", {"A": Uniform(0, 1)}), ValueError, "per= the group of each entity"),
        (
            lambda: draws(x=fc.variable("x", Uniform(0, 1), per=["A", "B"]), entities=KEYS),
            ValueError,
            "2 values, the program has 7",
        ),
        (lambda: fc.constant(float("nan")), ValueError, "not a number"),
        (lambda: fc.column([]), ValueError, "for each entity"),
        (lambda: fc.column([1, float("inf")]), ValueError, r"column\[1\]"),
        (lambda: fc.column([1, 2]) + fc.column([1, 2, 3]), ValueError, "2 and 3 entities"),
        (lambda: fc.constant(1) / 0, ValueError, "not finite"),
        (lambda: fc.switch("s", [0.5, 0.6]), ValueError, "sum to 1"),
        (lambda: fc.lookup(fc.constant(2), [1, 2]), ValueError, "whole number below 2"),
        (lambda: fc.lookup(fc.variable("x", Uniform(0, 1)), []), ValueError, "at least one"),
        (lambda: p.total(fc.variable("x", Uniform(0, 1))), ValueError, "one value a draw"),
        (lambda: p.percentile(fc.column([1, 2]), 0), ValueError, "share above 0"),
        (lambda: p.largest_k(fc.column([1, 2]), 3), ValueError, "only 2 entities"),
        (lambda: p.largest_k(fc.column([1, 2]), 0), ValueError, "from 1"),
        (lambda: p.percentile(fc.column([1, 2]), 1, among=[False, False]), ValueError, "no entity"),
        (lambda: fc.from_expr(fc.dim("a"), {}), ValueError, "dim 'a' is missing"),
        (lambda: bool(fc.variable("x", Uniform(0, 1)) > 0), TypeError, "differs between draws"),
        (lambda: draws(x=fc.column([1, 2]), entities=KEYS), ValueError, "2 values, the program has 7"),
        (lambda: draws(x=fc.variable("x", Uniform(0, 1), per="entity")), ValueError, "entities="),
        (
            lambda: draws(x=fc.variable("x", Uniform(0, 1)) + fc.variable("x", Uniform(0, 2))),
            ValueError,
            "two meanings",
        ),
        (lambda: draws(x=fc.variable("x", Uniform(0, 1)) * 10**400), ValueError, "exceeds the range of float64"),
        (lambda: draws(x=fc.lookup(fc.variable("x", Uniform(0, 9)), [1, 2])), fc.DataError, "lookup's index"),
        (lambda: draws(0, x=fc.constant(1)), ValueError, "at least 1"),
    ],
)
def test_bad_input_is_one_clear_error(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_deep_and_shared_graphs_are_no_burden():
    x = fc.variable("x", LogNormal(1, 0.001))
    deep = x
    for _ in range(5000):
        deep = deep * x
    shared = x
    for _ in range(40):
        shared = shared * shared
    v = draws(4, x=x, deep=p.log10(deep), shared=p.log10(shared))
    assert v["deep"] == pytest.approx(5001 * np.log10(v["x"]), rel=1e-9)
    assert v["shared"] == pytest.approx(2.0**40 * np.log10(v["x"]), rel=1e-9)
