from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from importlib import resources

import numpy as np
import pytest

from flopcore import _core
from flopcore.closed_form import Product, lognormal_sigma
from flopcore.quantity import Interval
from flopcore.study.counting import probabilities
from flopcore.study.essay import _counted
from flopcore.study.hooker import LINES, HookerResult, run_hooker
from flopcore.study.hooker_result import EstimateError, ModelResult, ThresholdCount
from flopcore.study.lines import figure_of, figure_with_error
from flopcore.study.poisson_binomial import count_law
from flopcore.study.population import Bands, Model, Population
from flopcore.study.scenario import Scenario
from flopcore.study.shrink import fit_prior
from flopcore.thresholds import Threshold, thresholds

DRAWS = 200_000
BUNDLED = Population.bundled()
SURE = Bands((("confident", 1), ("likely", 1), ("speculative", 1), ("unlabelled", 1)))


@pytest.fixture(scope="module")
def result() -> HookerResult:
    return run_hooker(draws=DRAWS, rng=0)


def closed_form(model: Model, line: int) -> float:
    factor = Fraction(BUNDLED.bands.of(model.confidence))
    sigma = lognormal_sigma(Interval(1 / factor, factor))
    assert model.training_flop is not None
    return Product(model.training_flop, sigma * sigma).probability_above(line)


def poisson_binomial(probabilities: Sequence[float]) -> list[float]:
    """The exact distribution of a sum of independent indicators, by convolution."""
    pmf = [1.0]
    for p in probabilities:
        pmf = [a * (1 - p) + b * p for a, b in zip([*pmf, 0.0], [0.0, *pmf], strict=True)]
    return pmf


def test_probabilities_agree_with_the_closed_form(result: HookerResult) -> None:
    """Per comparison false alarm < 6e-7 at 5 standard errors; zeros allow what 14 expected draws in one would give."""
    for found in result.models:
        for (name, p), line in zip(found.probability, LINES, strict=True):
            assert isinstance(line, int)
            truth = closed_form(found.model, line)
            error = math.sqrt(max(truth * (1 - truth), 1 / DRAWS) / DRAWS)
            assert abs(p - truth) < 5 * error, (found.model.key, name)


def test_counts_agree_with_the_exact_poisson_binomial(result: HookerResult) -> None:
    for t, count in enumerate(result.thresholds):
        line = LINES[t]
        assert isinstance(line, int)
        pmf = poisson_binomial([closed_form(found.model, line) for found in result.models])
        mean = sum(k * p for k, p in enumerate(pmf))
        sd = math.sqrt(sum((k - mean) ** 2 * p for k, p in enumerate(pmf)))
        assert abs(count.expected - mean) < 5 * sd / math.sqrt(DRAWS)
        assert abs(count.sd / sd - 1) < 5 / math.sqrt(2 * DRAWS) * 1.5
        assert abs(count.mc_error - sd / math.sqrt(DRAWS)) < 0.05 * sd / math.sqrt(DRAWS)
        below = [sum(pmf[: k + 1]) for k in range(len(pmf))]
        for quantile, target in ((count.p05, 0.05), (count.p50, 0.5), (count.p95, 0.95)):
            slack = 5 * math.sqrt(target * (1 - target) / DRAWS)
            assert below[quantile] > target - slack
            assert quantile == 0 or below[quantile - 1] < target + slack


@pytest.mark.parametrize("estimate_error", ["resample", "shrink"])
def test_every_count_sweep_agrees_with_the_exact_law(estimate_error: EstimateError) -> None:
    """Of the whole, each year, class, class of a year and way of counting, at every line.

    Some 300 comparisons of four numbers at 6.5 standard errors, with what rare events may add: false alarm below 1e-6.
    """
    draws = 50_000
    found = run_hooker(draws=draws, rng=4, estimate_error=estimate_error)
    compared = 0

    def compare(models: Sequence[ModelResult], counts: Sequence[ThresholdCount], scenario: Scenario) -> None:
        nonlocal compared
        everyone = [figure_with_error(m.model, BUNDLED.bands, scenario) for m in found.models]
        prior = fit_prior(everyone) if estimate_error == "shrink" else None
        counted = [_counted(m.model, figure_of(m.model, scenario), BUNDLED.bands, scenario, prior) for m in models]
        for count in counts:
            law = count_law(probabilities(counted, count.threshold))
            assert abs(count.expected - law.mean) < 6.5 * law.sd / math.sqrt(draws) + 20 / draws, (count, law.mean)
            below = np.cumsum(law.pmf)
            for quantile, target in ((count.p05, 0.05), (count.p50, 0.5), (count.p95, 0.95)):
                slack = 6.5 * math.sqrt(target * (1 - target) / draws)
                assert below[quantile] > target - slack
                assert quantile == 0 or below[quantile - 1] < target + slack
            compared += 1

    def those(year: int | None, domain: str | None) -> list[ModelResult]:
        return [m for m in found.models if year in (None, m.model.date.year) and domain in (None, m.model.domain)]

    compare(found.models, found.thresholds, Scenario())
    for group in found.per_year:
        compare(those(int(group.label), None), group.counts, Scenario())
    for group in found.per_domain:
        compare(those(None, group.label), group.counts, Scenario())
    for cell in found.per_year_domain:
        compare(those(cell.year, cell.group.label), cell.group.counts, Scenario())
    for other in found.scenarios:
        compare(found.models, other.counts, other.scenario)
    groups = (found.per_year, found.per_domain, found.per_year_domain, found.scenarios)
    assert compared == 4 * (1 + sum(len(some) for some in groups)) > 200


def test_point_counts_are_exact(result: HookerResult) -> None:
    for count, line in zip(result.thresholds, LINES, strict=True):
        assert count.point == sum(model.training_flop > line for model in BUNDLED if model.training_flop)
    tie = run_hooker(thresholds=["1e25"], comparators=(">", ">="), draws=1, rng=0)
    above, at = tie.thresholds
    assert at.point - above.point == sum(model.training_flop == 10**25 for model in BUNDLED) == 1


def test_without_uncertainty_every_draw_is_the_point_count() -> None:
    sure = run_hooker(draws=100, rng=0, bands=SURE)
    for count in sure.thresholds:
        assert count.expected == count.point == count.p05 == count.p95
        assert count.mc_error == 0
    assert {p for found in sure.models for _, p in found.probability} == {0.0, 1.0}


def test_groups_add_up_to_the_whole(result: HookerResult) -> None:
    for groups in (result.per_year, result.per_domain):
        assert sum(group.n_models for group in groups) == len(result.models)
        for t, count in enumerate(result.thresholds):
            assert sum(group.counts[t].point for group in groups) == count.point
            total = sum(group.counts[t].expected for group in groups)
            assert abs(total - count.expected) < 1e-9 * max(1, count.expected)  # the same draws, so to rounding


def test_dropping_a_model_moves_no_other(result: HookerResult) -> None:
    fewer = run_hooker(BUNDLED.where(lambda model: model.key != "gpt-4"), draws=DRAWS, rng=0)
    before = {found.model.key: found.probability for found in result.models}
    assert all(found.probability == before[found.model.key] for found in fewer.models)
    assert len(fewer.models) == len(result.models) - 1


def test_threads_do_not_change_the_result() -> None:
    texts = {json.dumps(run_hooker(draws=20_000, rng=0, threads=threads).to_dict()) for threads in (1, 2, 3)}
    assert len(texts) == 1


def test_the_instruction_set_does_not_change_the_result() -> None:
    """Counts, moving lines, shrunk estimates: the same bytes of JSON on base, v3 and v4."""
    before = _core.isa()
    texts = set()
    try:
        for isa in _core.available_isas():
            _core.select_isa(isa)
            texts.add(json.dumps(run_hooker(draws=5_000, rng=0, estimate_error="shrink").to_dict()))
    finally:
        _core.select_isa(before)
    assert len(texts) == 1


def test_fresh_entropy_is_recorded_and_repeats_the_study() -> None:
    first = run_hooker(draws=1000)
    again = run_hooker(draws=1000, rng=first.seed)
    assert first.to_dict() == again.to_dict()
    assert run_hooker(draws=1000).seed != first.seed


def test_a_common_scenario_moves_the_line_instead() -> None:
    """count(T; c) = count(T / c; 1)."""
    doubled = run_hooker(draws=1000, rng=0, scenario=Scenario("doubled", 2))
    moved = run_hooker(draws=1000, rng=0, thresholds=[Fraction(line) / 2 for line in LINES])
    assert [count.point for count in doubled.thresholds] == [count.point for count in moved.thresholds]
    single = Scenario("one model", 1, (("gpt-4", "1000"),))  # type: ignore[arg-type]
    assert run_hooker(draws=10, rng=0, scenario=single, bands=SURE).thresholds[3].point == 1 + sum(
        model.training_flop > 10**26 for model in BUNDLED if model.training_flop
    )
    with pytest.raises(ValueError, match="positive"):
        Scenario("nothing", 0)


def test_a_modality_condition_confines_a_policy() -> None:
    policies = thresholds(ids=["us_outbound_prohibited_bio", "us_outbound_prohibited", "us_eo14110_bio"])
    found = run_hooker(thresholds=policies, draws=1000, rng=0)
    known = [model for model in BUNDLED if model.training_flop]
    biology = [model for model in BUNDLED if model.domain == "biology"]
    bio, all_models, old = found.thresholds
    assert bio.n_models == old.n_models == len(biology)
    assert all_models.n_models == len(known)
    assert bio.point == sum(model.training_flop > 10**24 for model in biology if model.training_flop) == 2
    assert found.policies == policies
    assert "No legal advice" in found.reading[-1]
    secondary = run_hooker(thresholds=thresholds(ids=["us_ct_pa26_15"]), draws=1, rng=0)
    assert "secondary sources only: us_ct_pa26_15" in secondary.reading[-1]
    record = found.to_dict()
    models = record["models"]
    assert isinstance(models, list)
    names = {tuple(model["probability"]) for model in models if model["domain"] != "biology"}
    assert names == {("us_outbound_prohibited",)}


def test_a_model_without_a_figure_is_listed_not_dropped() -> None:
    hidden = replace(BUNDLED.models[0], key="hidden", training_flop=None, method="undisclosed", derivation=None)
    found = run_hooker(Population("mine", (*BUNDLED.models, hidden), BUNDLED.bands), draws=10, rng=0)
    open_rows = [model.key for model in BUNDLED if model.training_flop is None]
    assert [item.key for item in found.excluded] == [*open_rows, "hidden"]
    assert len(found.models) + len(found.excluded) == len(BUNDLED) + 1
    with pytest.raises(ValueError, match="no model has a training_flop"):
        run_hooker(Population("mine", (hidden,), BUNDLED.bands), draws=10, rng=0)


def test_wrong_lines_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one threshold"):
        run_hooker(thresholds=[], draws=10)
    with pytest.raises(ValueError, match="given twice"):
        run_hooker(thresholds=["1e25", 10**25], draws=10)
    with pytest.raises(ValueError, match="cluster_rate"):
        run_hooker(thresholds=thresholds(measures="cluster_rate"), draws=10)
    with pytest.raises(ValueError, match="threshold='x'"):
        run_hooker(thresholds=["x"], draws=10)


def test_lines_are_named_by_comparator_and_value() -> None:
    found = run_hooker(thresholds=["35e23", 10**26, 1234, Threshold("mine", 10**24, ">=")], draws=10, rng=0)
    assert [count.threshold.name for count in found.thresholds] == [">3.5e24", ">1e26", ">1234", "mine"]


def test_the_reading_says_what_the_numbers_say(result: HookerResult) -> None:
    reading = "\n".join(result.reading)
    for count in result.thresholds:
        start = f"{count.threshold.name}: {count.point} of {count.n_models} models"
        assert start in reading
        assert f"{count.expected:.1f} are expected (90 %: {count.p05} to {count.p95})" in reading
    assert "First model over by its figure:" in reading
    assert len(result.reading) <= 20
    sure = run_hooker(draws=10, rng=0, bands=SURE)
    assert not any("open" in sentence for sentence in sure.reading)


def test_the_dict_follows_the_published_schema(result: HookerResult) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(resources.files("flopcore").joinpath("data", "schemas", "study.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    record = result.to_dict()
    assert json.loads(json.dumps(record)) == record
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(record)
    validator.validate(run_hooker(thresholds=thresholds(), draws=1, rng=[1, 2]).to_dict())
    lines = record["thresholds"]
    assert isinstance(lines, list)
    assert [line["threshold"] for line in lines] == [10**23, 10**24, 10**25, 10**26]


def test_a_band_is_one_sided() -> None:
    """A label of factor 3 puts 90 % between a third and three times the figure."""
    sigma = lognormal_sigma(Interval(Fraction(1, 3), 3))
    product = Product(10**25, sigma * sigma)
    assert abs(product.probability_above(3 * 10**25) - 0.05) < 1e-15
    assert abs(product.probability_above(Fraction(10**25, 3)) - 0.95) < 1e-15
    assert sigma > Decimal("0.66")
