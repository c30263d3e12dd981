from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from flopcore.study.hooker import run_hooker
from flopcore.study.population import Population
from flopcore.study.scenario import Scenario, find_flips, named_scenarios
from flopcore.thresholds import Threshold, thresholds

BUNDLED = Population.bundled()
MACS, RECOMPUTE, IDLE, ATTENTION = named_scenarios(BUNDLED)


def test_named_scenarios_follow_from_the_columns() -> None:
    assert MACS.of("gpt-4") == Fraction(1, 2)
    assert RECOMPUTE.of("gpt-4") == Fraction(4, 3)
    assert IDLE.of("deepseek-v3") == Fraction(671, 37)
    assert IDLE.of("gpt-3-175b") == 1
    assert IDLE.of("mixtral-8x7b") == 1  # a third party's figure: what it counted is not known
    assert IDLE.of("kimi-k2.5") == 1  # its figure includes its base
    dense = BUNDLED.where(lambda model: model.parameters_active is None)
    assert [scenario.name for scenario in named_scenarios(dense)] == [MACS.name, RECOMPUTE.name, ATTENTION.name]


def test_attention_scores_add_what_the_width_gives() -> None:
    """N = 12 L d^2 with d = 128 L: 70e9 parameters are 9,070 wide, and 4096 / (6 d) is 0.0753."""
    factors = dict(ATTENTION.by_model)
    assert min(factors.values()) > 1
    assert max(factors.values()) < Fraction(3, 2)
    for key in factors:
        parameters = BUNDLED[key].parameters
        assert parameters is not None
        width = (128 * float(parameters) / 12) ** (1 / 3)
        assert float(factors[key]) == pytest.approx(1 + 4096 / (6 * width), rel=1e-3)


def test_integer_training_can_count_for_nothing() -> None:
    models = replace(BUNDLED, models=(replace(BUNDLED["gpt-4"], number_format="INT8"), BUNDLED["gpt-3-175b"]))
    scenario = named_scenarios(models)[-1]
    assert (scenario.name, scenario.by_model) == ("integer operations do not count", (("gpt-4", 0),))
    found = run_hooker(models, scenario=scenario, draws=100, rng=0)
    assert [model.flop for model in found.models] == [0, BUNDLED["gpt-3-175b"].training_flop]
    assert found.models[0].probability[0] == (">1e23", 0.0)
    mixed = replace(models.models[0], number_format="INT8,FP16")
    assert [other.name for other in named_scenarios(replace(models, models=(mixed,)))] == [MACS.name, RECOMPUTE.name]


def test_flips_are_exact_and_named() -> None:
    line = Threshold("line", 10**25, ">=")
    models = [BUNDLED[key] for key in ("inflection-2", "gpt-4", "gpt-3-175b", "deepseek-v3", "sora")]
    lost = find_flips(models, line, Scenario(), MACS)
    assert (lost.gained, lost.lost) == ((), ("inflection-2",))
    assert find_flips(models, line, MACS, Scenario()).gained == ("inflection-2",)
    assert find_flips(models, line, Scenario(), IDLE).gained == ("deepseek-v3",)
    assert lost.to_dict() == {"policy": "line", "gained": [], "lost": ["inflection-2"]}


def test_the_study_sets_other_ways_of_counting_beside_the_first() -> None:
    result = run_hooker(draws=2000, rng=0)
    assert [found.scenario.name for found in result.scenarios] == [
        MACS.name,
        RECOMPUTE.name,
        IDLE.name,
        ATTENTION.name,
    ]
    for found in result.scenarios:
        alone = run_hooker(draws=2000, rng=0, scenario=found.scenario, compare=())
        assert alone.thresholds == found.counts
        assert alone.scenarios == ()
        for before, after, flips in zip(result.thresholds, found.counts, found.flips, strict=True):
            assert after.point == before.point + len(flips.gained) - len(flips.lost)


def test_flips_heed_the_class_a_law_names() -> None:
    policies = thresholds(ids=["us_outbound_prohibited_bio"])
    (found,) = run_hooker(draws=10, rng=0, thresholds=policies, compare=[Scenario("a hundredth", "1/100")]).scenarios  # type: ignore[arg-type]
    assert found.flips[0].lost == ("esm3-98b", "evo-2-40b")


def test_a_scenario_is_exact_and_positive() -> None:
    assert Scenario("x", "0.1").factor == Fraction(1, 10)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positive"):
        Scenario("x", 1, (("a", -1),))
    with pytest.raises(ValueError, match="positive"):
        Scenario("x", 0)
