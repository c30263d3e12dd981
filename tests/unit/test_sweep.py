"""What a sweep counts, how it refuses bad input, and what does not move its counts."""

import itertools
import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import flopcore as fc
from flopcore import _core
from flopcore.distributions import Fixed, LogNormal, LogUniform, Normal, Uniform
from flopcore.sweep import draw_totals
from flopcore.sweep_plan import log10_offset, make_plan

LINES = [fc.Threshold("hi", 10**26, ">="), fc.Threshold("lo", 10**24, ">"), fc.Threshold("mid", 10**25, ">")]


def population(n=12):
    """Entities of every kind: one factor, several, shared, decreasing, all fixed."""
    entities = []
    for i in range(n):
        median = 10.0 ** (23 + 3.0 * i / n)
        one = fc.Factor("C", LogNormal(median, 0.3 + 0.1 * i))
        entities.append(fc.Entity(f"one-{i}", (one,)))
        entities.append(fc.Entity(f"down-{i}", (fc.Factor("C", LogUniform(0.5, 20), power=-1),), 10 ** (24 + i % 3)))
        entities.append(
            fc.Entity(
                f"6ND-{i}",
                (
                    fc.Factor("N", LogNormal.from_interval(1e10 * (i + 1), 1e11 * (i + 1))),
                    fc.Factor("D", Uniform(1e12, 2e13)),
                    fc.Factor("bias", LogNormal(1, 0.4), shared=True),
                ),
                6,
            )
        )
        entities.append(fc.Entity(f"known-{i}", (fc.Factor("C", Fixed(10 ** (23 + i % 4))),)))
    return entities


def counts(result):
    return result.exceed_counts.tobytes(), result.count_histogram.tobytes()


@pytest.mark.parametrize("precision", ["double", "single"])
def test_counts_agree_with_the_closed_form_of_a_lognormal_product(precision):
    product = fc.Entity(
        "m",
        (
            fc.Factor("N", LogNormal(7e10, 0.3)),
            fc.Factor("D", LogNormal(1.5e13, 0.7)),
            fc.Factor("u", LogNormal(2, 0.2), power=-2),
        ),
        6,
    )
    lines = [fc.Threshold(str(k), 10**22 * 2**k, ">") for k in range(4, 20)]
    draws = 4_000_000
    result = fc.sweep([product], lines, draws=draws, rng=11, precision=precision)
    sigma = math.sqrt(0.3**2 + 0.7**2 + 0.4**2)
    for line, p in zip(lines, result.probability()[0], strict=True):
        z = (math.log(6 * 7e10 * 1.5e13 / 4) - math.log(line.value)) / sigma
        exact = 0.5 * math.erfc(-z / math.sqrt(2))
        # Five standard errors: a false alarm in 16 lines has probability below 1e-5; the seed is fixed.
        assert abs(p - exact) <= 5 * math.sqrt(exact * (1 - exact) / draws) + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["double", "single"])
def test_one_hundred_million_rows_agree_with_the_closed_form(precision):
    product = fc.Entity("m", tuple(fc.Factor(f"x{i}", LogNormal(1e6, 0.7)) for i in range(4)))
    lines = [fc.Threshold(str(k), 10**22 * 10**k // 1, ">=") for k in range(5)]
    draws = 100_000_000
    result = fc.sweep([product], lines, draws=draws, rng=5, precision=precision)
    for line, p in zip(lines, result.probability()[0], strict=True):
        z = (24 * math.log(10) - math.log(line.value)) / 1.4
        exact = 0.5 * math.erfc(-z / math.sqrt(2))
        assert abs(p - exact) <= 5 * math.sqrt(exact * (1 - exact) / draws)


@pytest.mark.parametrize("precision", ["double", "single"])
def test_uniform_and_log_uniform_agree_with_their_cdf(precision):
    cases = [
        (Uniform(1, 9), 1, lambda x: (9 - x) / 8),
        (LogUniform(1, 100), 1, lambda x: 1 - math.log(x) / math.log(100)),
        (Uniform(2, 4), -1, lambda x: (1 / x - 2) / 2),
    ]
    for distribution, power, above in cases:
        inside = {1: (2, 3, 5), -1: (Fraction(3, 10), Fraction(2, 5))}[power]
        lines = [fc.Threshold(str(x), x, ">") for x in inside]
        entity = fc.Entity("m", (fc.Factor("x", distribution, power=power),))
        p = fc.sweep([entity], lines, draws=1_000_000, rng=3, precision=precision).probability()[0]
        for x, got in zip(inside, p, strict=True):
            exact = above(float(x))
            assert abs(got - exact) <= 5 * math.sqrt(exact * (1 - exact) / 1e6)


def test_a_fixed_value_on_the_line_is_over_at_least_and_not_over_above():
    lines = [fc.Threshold("over", 10**26, ">"), fc.Threshold("at", 10**26, ">=")]
    for factors, coefficient in [
        ((fc.Factor("C", Fixed(10**26)),), 1),
        ((fc.Factor("N", Fixed(10**13)), fc.Factor("D", Fixed(10**13))), 1),
        ((fc.Factor("N", Fixed(3), power=-1),), 3 * 10**26),
        ((), 10**26),
    ]:
        result = fc.sweep([fc.Entity("m", factors, coefficient)], lines, draws=7, rng=0)
        assert result.exceed_counts.tolist() == [[0, 7]]
        assert result.count_histogram.tolist() == [[7, 0], [0, 7]]
    near = [fc.Entity("above", (), 10**26 + 1), fc.Entity("below", (), 10**26 - 1)]
    assert fc.sweep(near, lines, draws=3, rng=0).exceed_counts.tolist() == [[3, 3], [0, 0]]


def test_histogram_and_counts_tell_the_same():
    result = fc.sweep(population(), LINES, draws=30_001, rng=1)
    m = len(result.entities)
    assert result.count_histogram.sum(axis=1).tolist() == [30_001] * 3
    assert (result.count_histogram @ np.arange(m + 1)).tolist() == result.exceed_counts.sum(axis=0).tolist()
    assert np.allclose(result.expected(), result.probability().sum(axis=0))
    # LINES are not sorted: a lower line is passed at least as often.
    assert (result.exceed_counts[:, 1] >= result.exceed_counts[:, 2]).all()
    assert (result.exceed_counts[:, 2] >= result.exceed_counts[:, 0]).all()


@pytest.mark.parametrize("precision", ["double", "single"])
def test_ranges_add_up_to_the_whole(precision):
    entities = population(5)
    plan = make_plan(entities, LINES[1:], [3, 4], precision).build()
    whole = plan.evaluate(0, 5000, 1)
    for cuts in ([0, 1, 2, 5000], [0, 777, 1024, 1025, 4096, 5000], list(range(0, 5001, 50))):
        parts = [plan.evaluate(a, b, 1) for a, b in itertools.pairwise(cuts)]
        assert np.array_equal(sum(p[0] for p in parts), whole[0])
        assert np.array_equal(sum(p[1] for p in parts), whole[1])


@pytest.mark.parametrize("precision", ["double", "single"])
def test_counts_are_those_of_the_drawn_values(precision):
    entities = population(4)
    lines = [replace(line, comparator=">") for line in sorted(LINES, key=lambda t: t.value)]
    plan = make_plan(entities, lines, [3, 4], precision).build()
    begin, end = 1001, 3003
    exceeded, histogram = plan.evaluate(begin, end, 2)
    rows = np.zeros((3, end - begin), dtype=int)
    for m, entity in enumerate(entities):
        if entity.exact_value() is not None:
            passed = np.array([[t.is_exceeded_by(entity.exact_value())] * (end - begin) for t in lines])
        else:
            log10 = plan.values(m, begin, end)
            offset = float(log10_offset(entity))
            passed = np.array([log10 + offset > math.log10(t.value) for t in lines])
        # The sum is rounded differently here; none of these draws lies within 1e-6 of a line.
        assert passed.sum(axis=1).tolist() == exceeded[m].tolist()
        rows += passed
    for t in range(3):
        assert np.bincount(rows[t], minlength=len(entities) + 1).tolist() == histogram[t].tolist()


@pytest.mark.parametrize("precision", ["double", "single"])
def test_dropping_or_reordering_moves_no_other_count(precision):
    entities = population(6)
    whole = fc.sweep(entities, LINES, draws=5000, rng=2, precision=precision)
    kept = entities[::-2]
    fewer = fc.sweep(kept, LINES, draws=5000, rng=2, precision=precision)
    for i, entity in enumerate(kept):
        place = whole.entities.index(entity.key)
        assert fewer.exceed_counts[i].tolist() == whole.exceed_counts[place].tolist()


def test_adding_a_variable_moves_no_other_entity_and_factor_order_nothing():
    entities = population(3)
    whole = fc.sweep(entities, LINES, draws=5000, rng=2)
    more = [replace(entities[0], factors=(*entities[0].factors, fc.Factor("new", LogNormal(1, 0.1)))), *entities[1:]]
    shuffled = [replace(entity, factors=entity.factors[::-1]) for entity in entities]
    assert np.array_equal(fc.sweep(more, LINES, draws=5000, rng=2).exceed_counts[1:], whole.exceed_counts[1:])
    assert counts(fc.sweep(shuffled, LINES, draws=5000, rng=2)) == counts(whole)


def test_a_factor_of_a_group_moves_its_entities_together():
    labs = ["A", "B", "A", "B", "A", "A", "C", "C"]

    def totals(labs, keys="abcdefgh"):
        factors = [fc.Factor("x", LogNormal(1, 0.5), group=lab) for lab in labs]
        return draw_totals(
            [fc.Entity(key, (factor,)) for key, factor in zip(keys, factors, strict=True)], draws=50, rng=3
        )

    v = totals(labs)
    assert all(np.array_equal(v[i], v[labs.index(lab)]) for i, lab in enumerate(labs))
    assert len({row.tobytes() for row in v}) == 3
    assert np.array_equal(totals(["B"], "z")[0], v[1])
    # The same address as in a program.
    program = fc.draw_values(
        {"x": fc.variable("x", LogNormal(1, 0.5), per=labs)}, draws=50, entities=tuple("abcdefgh"), rng=3
    )
    assert program["x"] == pytest.approx(v, rel=1e-14)
    with pytest.raises(ValueError, match="of group 'A' is"):
        fc.sweep([fc.Entity(str(i), (fc.Factor("x", LogNormal(1 + i, 1), group="A"),)) for i in range(2)], LINES)
    with pytest.raises(ValueError, match="not shared=True too"):
        fc.Factor("x", LogNormal(1, 1), shared=True, group="A")


def test_a_shared_factor_moves_entities_together_and_an_own_one_does_not():
    line = [fc.Threshold("median", 10**24, ">")]
    for shared, spread in ((True, {0, 8}), (False, set(range(9)))):
        factor = fc.Factor("x", LogNormal(1, 0.5), shared=shared)
        result = fc.sweep([fc.Entity(str(i), (factor,), 10**24) for i in range(8)], line, draws=4000, rng=0)
        assert set(np.flatnonzero(result.count_histogram[0]).tolist()) == spread


def test_seeds():
    entities = population(2)
    zero = fc.sweep(entities, LINES, draws=999, rng=0)
    assert zero.seed == 0
    assert counts(zero) == counts(fc.sweep(entities, LINES, draws=999, rng=np.random.SeedSequence(0)))
    assert counts(zero) != counts(fc.sweep(entities, LINES, draws=999, rng=[0, 1]))
    fresh = fc.sweep(entities, LINES, draws=999)
    assert counts(fc.sweep(entities, LINES, draws=999, rng=fresh.seed)) == counts(fresh)
    child = np.random.SeedSequence(7).spawn(2)[1]
    result = fc.sweep(entities, LINES, draws=999, rng=child)
    again = np.random.SeedSequence(result.seed, spawn_key=result.spawn_key)
    assert counts(fc.sweep(entities, LINES, draws=999, rng=again)) == counts(result)


def test_progress_reports_and_changes_nothing():
    entities = population(2)
    seen = []
    result = fc.sweep(entities, LINES, draws=20_000, rng=0, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (20_000, 20_000)
    assert seen == sorted(seen)
    assert counts(result) == counts(fc.sweep(entities, LINES, draws=20_000, rng=0))


def test_result_statistics_are_exact():
    result = fc.sweep(population(4), LINES, draws=1000, rng=0)
    for t in range(3):
        rows = np.repeat(np.arange(len(result.entities) + 1), result.count_histogram[t])
        assert result.expected()[t] == rows.mean()
        assert result.count_sd()[t] == pytest.approx(rows.std(ddof=1), rel=1e-12)
        assert result.mc_error()[t] == pytest.approx(rows.std(ddof=1) / math.sqrt(1000), rel=1e-12)
        for q in (0, 0.05, 0.5, 0.95, 1):
            assert result.count_quantile(q)[t] == np.quantile(rows, q, method="inverted_cdf")
    assert math.isnan(fc.sweep(population(1), LINES, draws=1, rng=0).mc_error()[0])
    with pytest.raises(ValueError, match=r"q=1\.5"):
        result.count_quantile(1.5)


def test_result_is_read_only_and_goes_to_json():
    result = fc.sweep(population(2), LINES, draws=100, rng=[1, 2])
    with pytest.raises(ValueError, match="read-only"):
        result.exceed_counts[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        result.count_histogram[0, 0] = 1
    table = json.loads(json.dumps(result.to_dict()))
    assert table["seed"] == [1, 2]
    assert [row["value"] for row in table["thresholds"]] == [10**26, 10**24, 10**25]
    assert table["entities"][0]["key"] == "one-0"
    assert repr(result) == "SweepResult(8 entities, 3 thresholds, 100 draws, seed=(1, 2))"


def test_many_thresholds_and_many_entities():
    lines = [fc.Threshold(str(k), 10**20 + k * 10**19, ">") for k in range(700)]
    entities = [fc.Entity(f"e{i}", (fc.Factor("C", LogNormal(3e21, 1.0)),)) for i in range(3)]
    entities.append(fc.Entity("sum", (fc.Factor("C", LogNormal(3e21, 1.0)), fc.Factor("D", LogNormal(1, 1.0)))))
    result = fc.sweep(entities, lines, draws=2000, rng=0)
    assert (np.diff(result.exceed_counts, axis=1) <= 0).all()
    assert result.count_histogram.sum(axis=1).tolist() == [2000] * 700
    crowd = [fc.Entity(f"c{i}", (fc.Factor("C", LogNormal(1e24, 1.0)),)) for i in range(70_000)]
    wide = fc.sweep(crowd, LINES[1:2], draws=3, rng=0)
    assert wide.count_histogram.sum() == 3
    assert 33_000 < wide.expected()[0] < 37_000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fc.sweep([], LINES), "at least one"),
        (lambda: fc.sweep(population(1), []), "at least one"),
        (lambda: fc.sweep(population(1), LINES, draws=0), "draws=0"),
        (lambda: fc.sweep(population(1), LINES, threads=0), "threads=0"),
        (lambda: fc.sweep(population(1), LINES, precision="half"), "precision='half'"),
        (lambda: fc.sweep(population(1) * 2, LINES), "two entities have the key"),
        (
            lambda: fc.sweep([fc.Entity("a", (fc.Factor("x", Normal(1, 1)),))], LINES),
            "entity 'a', factor 'x'.*negative",
        ),
        (lambda: fc.sweep([fc.Entity("a", (fc.Factor("x", Uniform(0, 1)),))], LINES), "must be positive"),
        (lambda: fc.sweep([fc.Entity("a", (fc.Factor("x", Fixed(0)),))], LINES), "not positive"),
        (
            lambda: fc.sweep(
                [fc.Entity(str(i), (fc.Factor("x", LogNormal(1 + i, 1), shared=True),)) for i in range(2)], LINES
            ),
            "another entity has",
        ),
        (lambda: fc.Entity("", ()), "not empty"),
        (lambda: fc.Entity("a", (), 0), "not positive"),
        (lambda: fc.Entity("a", (fc.Factor("x", Fixed(1)), fc.Factor("x", Fixed(2)))), "two factors"),
        (lambda: fc.Factor("x", Fixed(1), power=0), "power=0"),
        (lambda: fc.Factor("", Fixed(1)), "not empty"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: fc.Factor("x", 3),
        lambda: fc.Factor("x", Fixed(1), power=1.5),
        lambda: fc.Entity("a", (3,)),
        lambda: fc.sweep(population(1), LINES, draws=1.5),
        lambda: fc.sweep(population(1), LINES, rng=1.5),
    ],
)
def test_wrong_kinds_are_type_errors(make):
    with pytest.raises(TypeError):
        make()


def test_colliding_streams_are_refused(monkeypatch):
    monkeypatch.setattr(_core, "stream_hash", lambda *fields: 1)
    with pytest.raises(ValueError, match="collide"):
        fc.sweep(population(2), LINES, draws=10, rng=0)


def test_the_core_refuses_plans_that_do_not_fit():
    none = (np.array([], "u8"), np.array([], "u1"), np.array([]), np.array([]), np.array([], "u8"), np.array([]))
    good = {
        "key": [0, 0],
        "single": False,
        "shared": none,
        "own": none,
        "own_begin": np.array([0, 0], "u8"),
        "use_terms": np.array([], "u4"),
        "use_factors": np.array([]),
        "uses_begin": np.array([0, 0], "u8"),
        "thresholds": np.array([[0.0, 1.0]]),
    }
    plan = _core.SweepPlan(**good)
    with pytest.raises(ValueError, match="range"):
        plan.evaluate(5, 4, 1)
    with pytest.raises(ValueError, match="range"):
        plan.evaluate(0, 2**49 + 1, 1)
    one = (np.array([1], "u8"), np.array([0], "u1"), np.array([1.0]), np.array([0.0]), *none[4:])
    bad = [
        {"thresholds": np.array([[1.0, 0.0]])},
        {"thresholds": np.array([[np.nan, 0.0]])},
        {"thresholds": np.array([0.0])},
        {"own_begin": np.array([0, 1], "u8")},
        {"own": one},
        {"own": (*one[:1], np.array([9], "u1"), *one[2:]), "own_begin": np.array([0, 1], "u8")},
        {"own": (*one[:2], np.array([np.inf]), *one[3:]), "own_begin": np.array([0, 1], "u8")},
        {"own": (*one[:3], np.array([1.0]), *one[4:]), "own_begin": np.array([0, 1], "u8")},
        {"own": (one[0], np.array([3], "u1"), *one[2:]), "own_begin": np.array([0, 1], "u8")},
        {"own": (*none[:4], np.array([2, 0], "u8"), np.zeros(20))},
        {"own": (*none[:4], np.array([1, 1], "u8"), np.zeros(10))},
        {"own": (*none[:4], np.array([1, 0], "u8"), np.full(10, np.nan))},
        {"own": (*none[:4], np.array([1, 0], "u8"), np.array([0.0] * 8 + [1.0, 0.0]))},
        {"use_terms": np.array([0], "u4"), "use_factors": np.array([1.0]), "uses_begin": np.array([0, 1], "u8")},
    ]
    for change in bad:
        with pytest.raises(_core.DataError):
            _core.SweepPlan(**{**good, **change})
