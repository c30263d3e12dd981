"""Hypothesis holds the core's draws and counts to the reference, bit for bit."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import flopcore as fc
from flopcore import _core
from flopcore.distributions import Discrete, Fixed, Gamma, LogNormal, LogUniform, Uniform
from flopcore.distributions.table import linear_table
from flopcore.reference import philox, sampling
from flopcore.sweep_plan import make_plan

# No result is subnormal: the reference knows no bound of the exponent.
SCALES = st.integers(-3 * 2**20, 3 * 2**20).map(lambda n: n / 2**20)
PRECISIONS = st.sampled_from(["single", "double"])
ADD = {0: "add_normal", 1: "add_uniform", 2: "add_log_linear"}


@st.composite
def word_of(draw, precision):
    """Any word, and often one near an end or a power of two."""
    width = 32 if precision == "single" else 53
    word = draw(st.integers(0, 2**width - 1) | st.integers(0, width - 1).map(lambda b: 2**b))
    return word if draw(st.booleans()) else 2**width - 1 - word


@settings(max_examples=300, deadline=None)
@given(st.data(), PRECISIONS, st.integers(0, 2), SCALES, st.floats(0, 0.9921875, width=32))
def test_a_term_at_a_word(data, precision, kind, scale, half):
    words = data.draw(st.lists(word_of(precision), min_size=1, max_size=20))
    values = _core.term_values(kind, scale, half, precision == "single", np.array(words, dtype=np.uint64))
    add = getattr(sampling, ADD[kind])
    extra = (Fraction(half),) if kind == 2 else ()
    for word, value in zip(words, values, strict=True):
        assert Fraction(float(value)) == add(precision, word, *extra, Fraction(scale), Fraction(0))


TABLES = [linear_table(Gamma(2.5)), Discrete([1, 2, 10**25], [1, 5, 3]).log10_term().table]


@settings(max_examples=200, deadline=None)
@given(st.data(), PRECISIONS, st.sampled_from(TABLES))
def test_a_table_at_a_word(data, precision, table):
    words = data.draw(st.lists(word_of(precision), min_size=1, max_size=20))
    starts = [int(start) for start in table.starts]
    rows = [[Fraction(x) for x in row] for row in table.fields.tolist()]
    values = table.values(np.array(words, dtype=np.uint64), single=precision == "single")
    for word, value in zip(words, values, strict=True):
        assert Fraction(float(value)) == sampling.add_table(precision, word, starts, rows, Fraction(1), Fraction(0))


def test_a_term_that_is_subnormal():
    scale, word = 2.0**-126, 3_581_381_214
    (value,) = _core.term_values(0, scale, 0.0, True, np.array([word], dtype=np.uint64))
    assert Fraction(float(value)) == sampling.add_normal("single", word, Fraction(scale), Fraction(0))


DISTRIBUTIONS = st.one_of(
    st.builds(LogNormal, st.floats(1e8, 1e14), st.floats(0.01, 2)),
    st.builds(lambda low, ratio: Uniform(low, low * ratio), st.floats(1e8, 1e14), st.floats(1.01, 100)),
    st.builds(lambda low, ratio: LogUniform(low, low * ratio), st.floats(1e8, 1e14), st.floats(1.01, 100)),
    st.builds(Fixed, st.integers(1, 10**14)),
)


@st.composite
def studies(draw):
    """A small study; a shared factor has one distribution everywhere."""
    shared = draw(DISTRIBUTIONS)
    entities = []
    for key in draw(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4, unique=True)):
        factors = [
            fc.Factor(name, draw(DISTRIBUTIONS), draw(st.sampled_from([1, 2, -1])))
            for name in draw(st.lists(st.sampled_from("NDUH"), max_size=3, unique=True))
        ]
        if draw(st.booleans()):
            factors.append(fc.Factor("s", shared, draw(st.sampled_from([1, -1])), shared=True))
        entities.append(fc.Entity(key, tuple(factors), draw(st.integers(1, 10**12))))
    return entities


@settings(max_examples=60, deadline=None)
@given(studies(), PRECISIONS, st.integers(0, 2**40), st.integers(0, 2**64 - 1))
def test_draws_of_a_study(entities, precision, begin, key):
    words = [key & 0xFFFFFFFF, key >> 32]
    plan = make_plan(entities, [fc.Threshold("t", 10**24, ">")], words, precision).build()
    end = begin + 3
    round_ = sampling.Arithmetic(precision).round
    for m, entity in enumerate(entities):
        values = plan.values(m, begin, end)
        for i, draw in enumerate(range(begin, end)):
            total = Fraction(0)
            ordered = sorted(entity.factors, key=lambda f: (not f.shared, f.name))
            for factor in ordered:
                term = factor.distribution.log10_term()
                if term.kind == "constant":
                    continue
                stream = philox.stream_hash("factor", factor.name, "" if factor.shared else entity.key)
                word = philox.draw_word((words[0], words[1]), stream, draw, precision)
                add = getattr(sampling, f"add_{term.kind}")
                extra = (Fraction(term.half),) if term.kind == "log_linear" else ()
                scale = Fraction(term.scale)
                if factor.shared:
                    own = add(precision, word, *extra, scale, Fraction(0))
                    total = round_(factor.power * own + total)
                else:
                    total = add(precision, word, *extra, Fraction(factor.power * term.scale), total)
            assert Fraction(float(values[i])) == total


@settings(max_examples=60, deadline=None)
@given(studies(), PRECISIONS, st.lists(st.integers(1, 10**60), min_size=1, max_size=6), st.integers(0, 99))
def test_counts_of_a_study(entities, precision, values, seed):
    lines = [fc.Threshold(str(i), value, ">" if i % 2 else ">=") for i, value in enumerate(values)]
    draws = 300
    result = fc.sweep(entities, lines, draws=draws, rng=seed, precision=precision)
    assert result.count_histogram.sum(axis=1).tolist() == [draws] * len(lines)
    rows = result.count_histogram @ np.arange(len(entities) + 1)
    assert rows.tolist() == result.exceed_counts.sum(axis=0).tolist()
    order = np.argsort(values, kind="stable")
    assert (np.diff(result.exceed_counts[:, order], axis=1) <= 0)[
        :, np.diff(np.array(values, dtype=object)[order]) > 0
    ].all()
    for m, entity in enumerate(entities):
        exact = entity.exact_value()
        if exact is not None:
            assert result.exceed_counts[m].tolist() == [draws * line.is_exceeded_by(exact) for line in lines]
    halves = [entities[: len(entities) // 2], entities[len(entities) // 2 :]]
    parts = [fc.sweep(h, lines, draws=draws, rng=seed, precision=precision).exceed_counts for h in halves if h]
    assert np.array_equal(np.concatenate(parts), result.exceed_counts)
