from __future__ import annotations

import json
from fractions import Fraction
from importlib import resources

import pytest

from flopcore.expr import dim
from flopcore.graph import Graph
from flopcore.quantity import Interval
from flopcore.study.estimate import estimate_from_graph, estimate_from_hardware, estimate_from_parameters
from flopcore.thresholds import thresholds


def test_exact_inputs_give_an_exact_point_and_no_spread() -> None:
    estimate = estimate_from_parameters("405e9", "15.6e12")
    assert estimate.point == 37_908 * 10**21
    assert estimate.method == "6ND"
    assert estimate.p05 == estimate.p50 == estimate.p95 == 3.7908e25
    assert {crossing.probability for crossing in estimate.crossings} <= {0.0, 1.0}


def test_every_training_threshold_is_compared() -> None:
    estimate = estimate_from_parameters("405e9", "15.6e12")
    assert [crossing.policy for crossing in estimate.crossings] == list(thresholds())
    over = {crossing.policy.id for crossing in estimate.crossings if crossing.is_over}
    assert "eu_aia_51_2" in over
    assert "us_ca_sb53" not in over


def test_a_count_on_the_line_follows_the_comparator() -> None:
    lines = thresholds(ids=["us_ca_sb53", "kr_ai_basic_act"])
    estimate = estimate_from_parameters(10**13, 10**13, factor=1, policies=lines)
    assert estimate.point == 10**26
    assert [(crossing.is_over, crossing.probability) for crossing in estimate.crossings] == [(False, 0.0), (True, 1.0)]


def test_intervals_give_an_interval_and_probabilities() -> None:
    estimate = estimate_from_parameters("300e9..500e9", Interval(2 * 10**12, 6 * 10**12))
    assert estimate.p05 < estimate.p50 < estimate.p95
    assert abs(estimate.point / estimate.p50 - 1) < 1e-12
    assert isinstance(estimate.point, int)
    probability = {crossing.policy.id: crossing.probability for crossing in estimate.crossings}
    assert 0.27 < probability["eu_aia_51_2"] < 0.29
    assert probability["us_ca_sb53"] < 1e-9


def test_the_hardware_method_reads_hours_as_chip_hours() -> None:
    total = estimate_from_hardware("h100", "30.8e6", "0.4")
    assert total.point == 308 * 10**5 * 3600 * 9894 * 10**11 * 4 // 10
    assert estimate_from_hardware("h100", "1925", "0.4", count=16_000).point == total.point
    assert estimate_from_hardware("h100", "30.8e6", "0.2", dtype="fp8").point == total.point * 19789 // (2 * 9894)


def test_a_utilisation_interval_is_hard_limits() -> None:
    estimate = estimate_from_hardware("h100", "30.8e6", "0.35..0.45")
    peak = 308 * 10**5 * 3600 * 9894 * 10**11
    assert estimate.point == peak * 4 // 10
    assert estimate.p05 == float(peak * Fraction(355, 1000))
    assert estimate.p95 == float(peak * Fraction(445, 1000))


def test_an_exact_count_is_set_beside_the_estimate() -> None:
    estimate = estimate_from_parameters(10**9, 10**10, exact_flop=8 * 10**19)
    assert estimate.exact is not None
    assert estimate.exact.ratio == 0.75
    assert estimate.to_dict()["exact"] == {"flop": 8 * 10**19, "ratio": 0.75}


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("0", "1"), "params='0'"),
        (("1", "-5"), "tokens='-5'"),
        (("1", "2..1"), "tokens='2..1'"),
        (("many", "1"), "params='many'"),
    ],
)
def test_wrong_parameters_are_named(arguments: tuple[str, str], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        estimate_from_parameters(*arguments)


def test_wrong_hardware_is_named() -> None:
    with pytest.raises(ValueError, match=r"utilisation=1\.2"):
        estimate_from_hardware("h100", 1, 1.2)
    with pytest.raises(ValueError, match=r"utilisation=0\.5\.\.1\.5"):
        estimate_from_hardware("h100", 1, "0.5..1.5")
    with pytest.raises(ValueError, match="accelerator='h1000'"):
        estimate_from_hardware("h1000", 1, 1)
    with pytest.raises(ValueError, match="dtype='fp4'"):
        estimate_from_hardware("h100", 1, 1, dtype="fp4")


def test_the_dict_is_json_and_keeps_integers() -> None:
    record = estimate_from_hardware("h100", "25e6..35e6", "0.35..0.45").to_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["schema"] == "flopcore.estimate/1"
    exact = estimate_from_parameters("405e9", "15.6e12").to_dict()
    assert exact["flop"] == 37_908 * 10**21
    lines = exact["thresholds"]
    assert isinstance(lines, list)
    assert lines[0]["threshold"] == 10**25
    assert lines[0]["verdict"] == "over"


def test_the_dict_follows_the_published_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(resources.files("flopcore").joinpath("data", "schemas", "estimate.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(estimate_from_hardware("h100", "25e6..35e6", "0.35..0.45").to_dict())
    validator.validate(estimate_from_parameters("405e9", "15.6e12", exact_flop=4 * 10**25).to_dict())
    validator.validate(estimate_from_parameters("3e9..4e9", "15.6e12").to_dict())


def perceptron() -> Graph:
    """Two linear layers without bias on [batch, seq, 8]: 8 x 16 and 16 x 8 parameters."""
    graph = Graph("perceptron")
    x = graph.input("x", [dim("batch"), dim("seq"), 8])
    hidden = graph.linear(x, graph.parameter("up", [16, 8]))
    graph.output(graph.linear(hidden, graph.parameter("down", [8, 16])))
    return graph


def test_6nd_is_exact_for_matrices_alone() -> None:
    estimate = estimate_from_graph(perceptron(), "1e12", seq=64)
    assert estimate.point == 6 * 256 * 10**12
    assert estimate.exact is not None
    assert estimate.exact.flop == estimate.point
    assert estimate.exact.ratio == 1.0


def test_attention_is_what_6nd_leaves_out() -> None:
    graph = Graph("scores")
    x = graph.input("x", [dim("batch"), dim("seq"), 8])
    projected = graph.linear(x, graph.parameter("w", [8, 8]))
    heads = graph.reshape(projected, [dim("batch"), 1, dim("seq"), 8])
    graph.output(graph.attention(heads, heads, heads))
    seq = 32
    estimate = estimate_from_graph(graph, 10**9, seq=seq, epochs=2)
    assert estimate.point == 6 * 64 * 2 * 10**9
    assert estimate.exact is not None
    # Scores and mixing are 2 x 2 x seq x 8 FLOP per token beside the 2 x 64 of the weights, three times over.
    assert estimate.exact.flop == 3 * (2 * 64 + 2 * 2 * seq * 8) * 2 * 10**9
    assert estimate.exact.ratio == 128 / (128 + 1024)
    assert "sequence length 32" in estimate.notes[-1]


def test_only_flop_may_meet_a_threshold() -> None:
    with pytest.raises(ValueError, match="counts MAC"):
        estimate_from_graph(perceptron(), 1, seq=1, convention="macs")
    graph = Graph("open")
    graph.output(
        graph.linear(graph.input("x", [dim("batch"), dim("seq"), dim("rows"), 8]), graph.parameter("w", [8, 8]))
    )
    with pytest.raises(ValueError, match="not bound"):
        estimate_from_graph(graph, 1, seq=1)
