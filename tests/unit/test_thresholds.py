from __future__ import annotations

import datetime as dt
from fractions import Fraction
from pathlib import Path

import pytest

from flopcore.datafile import read_toml
from flopcore.errors import DataError
from flopcore.thresholds import Threshold, read_thresholds, thresholds


def test_values_are_exact_integers_or_fractions() -> None:
    for policy in thresholds(measures=None):
        assert isinstance(policy.value, int | Fraction)
    values = {policy.id: policy.value for policy in thresholds(measures=None)}
    assert values["eu_aia_51_2"] == 10**25
    assert values["us_ca_sb1047_finetune"] == 3 * 10**25
    assert values["eu_modifier_fallback_gpai"] == Fraction(10**23, 3)


def test_the_tie_follows_the_comparator() -> None:
    assert not Threshold("a", 10**26, ">").is_exceeded_by(10**26)
    assert Threshold("a", 10**26, ">").is_exceeded_by(10**26 + 1)
    assert Threshold("a", 10**26, ">=").is_exceeded_by(10**26)
    assert not Threshold("a", 10**26, ">=").is_exceeded_by(10**26 - 1)
    assert not Threshold("a", 10**26, ">=").is_exceeded_by(Fraction(10**27 - 1, 10))


def test_a_threshold_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="comparator"):
        Threshold("a", 1, "<")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positive"):
        Threshold("a", 0)
    with pytest.raises(TypeError):
        Threshold("a", None)  # type: ignore[arg-type]


def test_a_training_count_never_meets_a_rate_or_a_modification_line() -> None:
    assert all(policy.measures == "training_compute" for policy in thresholds())
    assert {policy.measures for policy in thresholds(measures=None)} == {
        "training_compute",
        "modification_compute",
        "cluster_rate",
    }
    assert all(policy.value == 10**20 for policy in thresholds(measures="cluster_rate"))


def test_in_force_follows_the_dates() -> None:
    def ids(day: str | dt.date) -> set[str]:
        return {policy.id for policy in thresholds(day)}

    assert "us_eo14110_general" in ids("2025-01-19")
    assert "us_eo14110_general" not in ids("2025-01-20")
    assert "eu_aia_51_2" not in ids("2025-08-01")
    assert "eu_aia_51_2" in ids("2025-08-02")
    assert "us_ny_raise_2026" not in ids("2026-11-22")
    assert "us_ny_raise_2026" in ids(dt.date(2027, 1, 1))
    assert ids("2026-11-22") == {
        "eu_aia_51_2",
        "eu_gpai_indicative",
        "us_outbound_prohibited",
        "us_outbound_prohibited_bio",
        "us_outbound_notifiable",
        "us_ca_sb53",
        "us_ct_pa26_15",
        "kr_ai_basic_act",
    }


def test_only_korea_and_a_few_bills_say_at_least() -> None:
    assert {policy.id for policy in thresholds() if policy.comparator == ">="} == {
        "kr_ai_basic_act",
        "us_4e091",
        "us_fight_china_prohibited",
    }


def test_status_and_dates_agree() -> None:
    for policy in thresholds(measures=None):
        assert policy.grade in {"V", "S"}
        assert policy.source
        today = policy.is_in_force(dt.date(2026, 11, 22))
        assert today == (policy.status == "in_force"), policy.id


def test_ids_select_in_order_and_unknown_ones_are_named() -> None:
    assert [policy.id for policy in thresholds(ids=["us_ca_sb53", "eu_aia_51_2"])] == ["us_ca_sb53", "eu_aia_51_2"]
    with pytest.raises(ValueError, match="'nowhere'"):
        thresholds(ids=["nowhere"])
    with pytest.raises(ValueError, match="2026-13-01"):
        thresholds("2026-13-01")
    with pytest.raises(ValueError, match="measures"):
        thresholds(measures="watts")  # type: ignore[arg-type]


def test_a_policy_gives_json_types() -> None:
    import json

    record = thresholds(ids=["eu_aia_51_2"])[0].to_dict()
    assert record["threshold"] == 10**25
    assert json.loads(json.dumps(record)) == record
    assert thresholds(ids=["eu_modifier_fallback_gpai"])[0].to_dict()["threshold"] == f"{10**23}/3"


def test_every_error_of_a_file_is_reported_with_line_and_hint(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        """[[threshold]]
id = "one"
value = 0
comparator = "<"
colour = "red"

[[threshold]]
id = "one"
value = "10^25x"
""",
        encoding="utf-8",
    )
    with pytest.raises(DataError) as caught:
        read_thresholds(read_toml(path))
    message = str(caught.value)
    assert "line 3: threshold[0].value: 0 is out of range (" in message
    assert "line 4: threshold[0].comparator: '<' is not allowed (one of >, >=)" in message
    assert "line 5: threshold[0].colour: unknown key" in message
    assert "line 9: threshold[1].value:" in message
    assert "is also the id of threshold[0]" in message
    assert "jurisdiction: is missing" in message


@pytest.mark.parametrize(("content", "match"), [("a = [", "not a TOML file"), ("x = 1", "threshold: no row")])
def test_a_file_that_is_no_table_is_one_error(tmp_path: Path, content: str, match: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=match):
        read_thresholds(read_toml(path))
    with pytest.raises(DataError, match="cannot be read"):
        read_toml(tmp_path / "absent.toml")
