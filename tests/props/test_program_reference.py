"""Hypothesis holds programs and their sinks to the reference, bit for bit."""

import contextlib
import math
from fractions import Fraction

import hypothesis
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import flopcore as fc
from flopcore import _core
from flopcore import program as p
from flopcore.distributions import (
    Fixed,
    GaussianCopula,
    LogNormal,
    LogUniform,
    Normal,
    Triangular,
    Uniform,
    philox_key,
    seed_sequence,
)
from flopcore.program_plan import CoreSink, compile_program
from flopcore.reference import program as reference

KEYS = ("a", "b", "c")
PRECISIONS = st.sampled_from(["double", "single"])
NUMBERS = st.one_of(st.integers(-9, 9), st.fractions(-100, 100, max_denominator=97), st.just(Fraction(10**25)))
DISTRIBUTIONS = st.one_of(
    st.builds(LogNormal, st.floats(1e-3, 1e14), st.floats(0.01, 3)),
    st.builds(Normal, st.floats(-10, 10), st.floats(0.01, 30)),
    st.builds(lambda low, width: Uniform(low, low + width), st.floats(-10, 10), st.floats(0.01, 30)),
    st.builds(lambda low, ratio: LogUniform(low, low * ratio), st.floats(1e-3, 1e14), st.floats(1.01, 1000)),
)
POSITIVE = st.one_of(
    st.builds(LogNormal, st.floats(1e8, 1e14), st.floats(0.01, 3)), st.builds(Fixed, st.integers(1, 10**14))
)
BINARY = ["add", "sub", "mul", "div", "minimum", "maximum", "less", "at_most", "equals", "pow", "and", "or"]
UNARY = ["log", "log10", "exp", "exp10", "sqrt", "floor", "neg", "not", "square", "root"]
RANKED = ["total", "largest", "smallest", "second", "percentile"]
COPULA = GaussianCopula(["cn", "cl", "cu", "ct"], np.eye(4) * 0.4 + 0.6)
MARGINALS = {"cn": LogNormal(1e9, 1), "cl": LogUniform(1, 50), "cu": Uniform(-1, 3), "ct": Triangular(1, 2, 9)}
CORRELATED = [fc.correlated(COPULA, MARGINALS, per=per) for per in ("study", "entity", ["one", "one", "two"])]
DO = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "minimum": p.minimum,
    "maximum": p.maximum,
    "less": lambda x, y: x < y,
    "at_most": lambda x, y: x <= y,
    "equals": lambda x, y: x.equals(y),
    "pow": lambda x, y: p.maximum(x, 0.25) ** p.minimum(y, 3),
    "and": lambda x, y: (x < y) & (y < 1),
    "or": lambda x, y: (x < y) | (y < 1),
    "neg": lambda x: -x,
    "not": lambda x: ~(x < 1),
    "square": lambda x: x**2,
    "root": lambda x: x**0.5,
    "second": lambda x: p.largest_k(x, 2, among=[True, False, True]),
    "percentile": lambda x: p.percentile(x, "0.4"),
}


@st.composite
def graphs(draw):
    """Some nodes, each made of earlier ones; none that must be a number is undefined before it is ranked."""
    per_entity = [draw(POSITIVE) for _ in KEYS]
    nodes = [
        fc.variable("s", draw(DISTRIBUTIONS)),
        fc.variable("t", draw(DISTRIBUTIONS)),
        fc.variable("e", draw(DISTRIBUTIONS), per="entity"),
        fc.variable("f", per_entity),
        fc.variable("g", draw(DISTRIBUTIONS), per=["one", "two", "one"]),
        fc.column([draw(NUMBERS) for _ in KEYS]),
        fc.constant(draw(NUMBERS)),
    ]
    for _ in range(draw(st.integers(1, 10))):
        kind = draw(st.sampled_from(["binary", "unary", "where", "lookup", "ranked"]))
        pick = st.sampled_from(nodes)
        with contextlib.suppress(ValueError):  # a known number that is not finite
            if kind == "binary":
                nodes.append(DO[draw(st.sampled_from(BINARY))](draw(pick), draw(pick)))
            elif kind == "unary":
                name = draw(st.sampled_from(UNARY))
                nodes.append((DO.get(name) or getattr(p, name))(draw(pick)))
            elif kind == "where":
                nodes.append(p.where(draw(pick) < draw(pick), draw(pick), draw(pick)))
            elif kind == "lookup":
                index = p.where(draw(pick) < 1, 1, 0)
                nodes.append(fc.lookup(index, [draw(NUMBERS), draw(NUMBERS)]))
            else:
                entity = draw(st.sampled_from([node for node in nodes if node.scope == "entity"]))
                name = draw(st.sampled_from(RANKED))
                # What is not a number cannot be ranked: it compares as neither above nor below.
                tame = p.where(entity < 3, p.maximum(entity, -(10**6)), 7) if entity.known is None else entity
                nodes.append((DO.get(name) or getattr(p, name))(tame))
    return nodes


def evaluators(precision, seed, begin, n):
    key = tuple(philox_key(seed_sequence(seed)))
    return [reference.Evaluator(KEYS, key, precision, draw) for draw in range(begin, begin + n)]


@settings(max_examples=80, deadline=None)
@given(graphs(), PRECISIONS, st.integers(0, 2**40), st.integers(0, 99))
def test_values_of_nodes(nodes, precision, begin, seed):
    wanted = {str(i): node for i, node in enumerate(nodes)}
    options = {"draws": 2, "begin": begin, "entities": KEYS, "rng": seed, "precision": precision}
    try:
        values = fc.draw_values(wanted, **options)
    except ValueError as error:  # DataError is one too
        text = str(error)
        hypothesis.assume("is not a number" not in text and "range of float64" not in text)
        raise
    for d, evaluator in enumerate(evaluators(precision, seed, begin, 2)):
        for name, node in wanted.items():
            expected = np.array(evaluator.values(node))
            got = values[name][..., d].reshape(-1)
            assert np.array_equal(got, expected, equal_nan=True), (name, node)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(CORRELATED), PRECISIONS, st.integers(0, 2**40), st.integers(0, 99))
def test_values_of_correlated_inputs(nodes, precision, begin, seed):
    values = fc.draw_values(nodes, draws=2, begin=begin, entities=KEYS, rng=seed, precision=precision)
    for d, evaluator in enumerate(evaluators(precision, seed, begin, 2)):
        for name, node in nodes.items():
            assert values[name][..., d].reshape(-1).tolist() == evaluator.values(node), name


@settings(max_examples=30, deadline=None)
@given(graphs(), PRECISIONS, st.integers(0, 2**32 - 9), st.integers(0, 1023), st.integers(0, 99))
def test_values_drawn_by_sobol_points(nodes, precision, point, replicate, seed):
    dimensions = {"t": 0, "s": 63, "cl": 17, "absent": 1}
    key = tuple(philox_key(seed_sequence(seed)))
    wanted = [node for node in nodes if node.scope == "study" and node.known is None] + [CORRELATED[0]["cu"]]
    sinks = [(str(i), CoreSink("values", (node,))) for i, node in enumerate(wanted)]
    plan = compile_program(sinks, KEYS, list(key), precision, dimensions).build()
    begin = (replicate << 32) + point
    expected = [reference.Evaluator(KEYS, key, precision, draw, dimensions) for draw in (begin, begin + 1)]
    try:
        values = [plan.values(i, begin, begin + 2) for i in range(len(wanted))]
    except ValueError as error:
        hypothesis.assume("is not a number" not in str(error))
        raise
    for node, value in zip(wanted, values, strict=True):
        got = [evaluator.values(node)[0] for evaluator in expected]
        assert np.array_equal(value, np.array(got), equal_nan=True), node


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-60, 60) | st.floats(-9, 9), min_size=1, max_size=20), PRECISIONS)
def test_the_word_of_a_score(scores, precision):
    single = precision == "single"
    scores = [float(np.float32(s)) if single else s for s in scores]
    words = _core.words_of_scores(np.array(scores), single)
    assert words.tolist() == [reference.word_of_score(s, 32 if single else 53) for s in scores]


@settings(max_examples=40, deadline=None)
@given(st.data(), PRECISIONS, st.integers(0, 99), st.integers(1, 12))
def test_counters_of_sinks(data, precision, seed, n):
    scale = data.draw(st.floats(0.05, 2))
    x = fc.variable("x", [data.draw(POSITIVE) for _ in KEYS]) * fc.variable("c", LogNormal(1, scale))
    y = fc.variable("y", Uniform(-3, 3), per="entity")
    s, t = fc.variable("s", Normal(1, 2)), fc.variable("t", LogNormal(1e24, 2.0))
    which = fc.switch("which", ["0.3", "0.5", "0.2"])
    values = data.draw(st.lists(st.integers(10**8, 10**15), min_size=1, max_size=4, unique=True))
    lines = [fc.Threshold(str(i), value, ">" if i % 2 else ">=") for i, value in enumerate(values)]
    over = p.count(x > values[0])
    years = data.draw(st.lists(st.sampled_from([2024, 2025]), min_size=3, max_size=3))
    program = fc.Program(
        {
            "counts": fc.CountAbove(x, lines, groups={"year": years}, joint=True),
            "over": fc.Exceed(t, [fc.Threshold("1e24", 10**24)], by=fc.Category("which", which, "abc")),
            "table": fc.Table([fc.Category("which", which, "abc"), fc.Category("n", over, range(4))]),
            "confusion": fc.Confusion(x > values[0], y > 0),
            "moments": fc.Moments({"s": s, "log t": p.log10(t)}, by=fc.Category("which", which, "abc")),
            "of entities": fc.Moments({"y": y}),
            "quantiles": fc.Quantiles(x, bins=64),
            "linear": fc.Quantiles(s, bins=9, space="linear", low=-1, high=2),
        },
        KEYS,
    )
    result = fc.sweep(program, draws=n, rng=seed, precision=precision)
    rows = evaluators(precision, seed, 0, n)

    def of(node):
        return [row.values(node) for row in rows]

    # Lines are rounded in log10, those of >= to the number below; known values are compared exactly.
    log_x, limits = p.log10(x), []
    real = np.float32 if precision == "single" else np.float64
    for line in lines:
        limit = real(float(fc.distributions.log10_exact(line.value)))
        limits.append(float(limit if line.comparator == ">" else np.nextafter(limit, real(-np.inf))))
    exceeded, _ = reference.count_above(of(log_x), [limits] * 3)
    counts = result["counts"]
    assert counts.exceed_counts.tolist() == exceeded
    totals = []
    for g, year in enumerate(dict.fromkeys(years)):
        inside = [m for m, label in enumerate(years) if label == year]
        _, histograms = reference.count_above([[row[m] for m in inside] for row in of(log_x)], [limits] * len(inside))
        for t_, histogram in enumerate(histograms):
            assert counts.histograms[g][t_].tolist() == [histogram[c] for c in range(len(inside) + 1)]
        totals += [[sum(row[m] > limit for m in inside) for row in of(log_x)] for limit in limits]
    products = [[sum(a * b for a, b in zip(x_, y_, strict=True)) for y_ in totals] for x_ in totals]
    assert counts.products.tolist() == products

    whiches = [int(v[0]) for v in of(which)]
    limit = real(24.0)
    by = [[v[0] > limit for v, c in zip(of(p.log10(t)), whiches, strict=True) if c == k] for k in range(3)]
    assert result["over"].exceed_counts[:, 0].tolist() == [sum(v) for v in by]
    assert result["over"].n_rows.tolist() == [len(v) for v in by]

    table = reference.count_table([(c, v[0]) for c, v in zip(whiches, of(over), strict=True)])
    assert {place: int(result["table"].counts[place]) for place in np.ndindex(3, 4)} == {
        place: table[place] for place in np.ndindex(3, 4)
    }
    pairs = [(b, a) for va, vb in zip(of(x > values[0]), of(y > 0), strict=True) for a, b in zip(va, vb, strict=True)]
    confusion = reference.count_table(pairs)
    assert result["confusion"].counts.tolist() == [[confusion[a, b] for b in (0, 1)] for a in (0, 1)]

    moments = result["moments"]
    for k in range(3):
        chosen = [(a[0], b[0]) for a, b, c in zip(of(s), of(p.log10(t)), whiches, strict=True) if c == k]
        assert moments.n_rows[k] == len(chosen)
        units = [_unit(program.sinks["moments"], i, precision) for i in range(2)]
        sums, squares = reference.count_moments(chosen, units) if chosen else ([0, 0], [0, 0, 0])
        assert moments.totals[k].tolist() == [q * u for q, u in zip(sums, units, strict=True)]
        assert moments.products[k][0, 0] == squares[0] * units[0] ** 2
        assert moments.products[k][0, 1] == moments.products[k][1, 0] == squares[1] * units[0] * units[1]
        assert moments.products[k][1, 1] == squares[2] * units[1] ** 2
    unit = _unit(program.sinks["of entities"], 0, precision)
    for m in range(3):
        sums, squares = reference.count_moments([(v[m],) for v in of(y)], [unit])
        assert result["of entities"].totals[m, 0] == sums[0] * unit
        assert result["of entities"].products[m, 0, 0] == squares[0] * unit**2

    for name, node in (("quantiles", log_x), ("linear", s)):
        q = result[name]
        for m, row in enumerate(q.counts):
            bins = [reference.bin_of(v[m], q.low, q.per_unit, len(row) - 2) for v in of(node)]
            assert row.tolist() == [bins.count(b) for b in range(len(row))]


def _unit(sink, i, precision):
    return Fraction(float(sink.lower(KEYS, precision).numbers[i]))


def test_the_reference_knows_the_edges():
    evaluator = reference.Evaluator(KEYS, (1, 2), "double", 0)
    x = fc.variable("x", Uniform(1, 2))
    assert evaluator.values(p.exp(x * 1000)) == [math.inf]
    assert math.isnan(evaluator.values(p.log(-x))[0])
    assert evaluator.values((x - x) ** x) == [0.0]
