"""The command line end to end: documents, exit codes, and one clear error for each kind of bad input."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

import flopcore
from flopcore.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def document(*arguments: object, code: int = 0) -> dict[str, object]:
    """What a command prints with --json, held against its published schema."""
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)
    name = str(found["schema"]).removeprefix("flopcore.").partition("/")[0]
    schema = json.loads(resources.files("flopcore").joinpath("data", "schemas", f"{name}.schema.json").read_text())
    assert schema["$id"] == found["schema"]
    jsonschema.validate(found, schema)
    return found


def fails(code: int, *arguments: object) -> str:
    """The one message of a command that must fail with this exit code and print no data."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.count("Error:") == 1
    return result.stderr


def test_version() -> None:
    assert run("--version").stdout == f"{flopcore.__version__}\n"


def test_runs_as_a_program_without_colour_in_a_pipe() -> None:
    code = "from flopcore.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "conventions"],
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_conventions_lists_all_with_digest() -> None:
    found = document("conventions")
    listed = {one["name"]: one for one in found["conventions"]}
    assert set(listed) == set(flopcore.conventions())
    assert listed["macs"]["digest"] == flopcore.convention("macs").digest
    assert "macs@1" in run("conventions").stdout


def test_conventions_show_accepts_an_alias() -> None:
    assert document("conventions", "show", "torch-2.13")["name"] == "torch-2.13/measured"
    assert "multiply_add" in run("conventions", "show", "torch-2.13").stdout


def test_unknown_convention_is_usage_and_names_close_ones() -> None:
    assert "did you mean 'macs'" in fails(2, "conventions", "show", "mac")


def test_bad_convention_file_is_named(tmp_path: Path) -> None:
    assert "nothing.toml" in fails(2, "conventions", "show", f"{tmp_path}/nothing.toml")


def test_estimate_from_parameters_is_exact() -> None:
    found = document("estimate", "--params", "405e9", "--tokens", "15.6e12")
    assert found["flop"] == 37_908 * 10**21
    verdicts = {line["policy"]: line["verdict"] for line in found["thresholds"]}
    assert verdicts["eu_aia_51_2"] == "over"
    assert verdicts["us_ca_sb53"] == "under"


def test_estimate_from_hardware_has_an_interval() -> None:
    found = document("estimate", "--gpu", "h100", "--hours", "30.8e6", "--utilisation", "0.35..0.45")
    assert found["p05"] < found["flop"] < found["p95"]
    assert "uniform" in run("estimate", "--gpu", "h100", "--hours", "30.8e6", "--utilisation", "0.35..0.45").stdout


@pytest.mark.parametrize(("params", "code"), [("1e9", 0), ("405e9", 1)])
def test_estimate_check_exits_1_over_a_line_in_force(params: str, code: int) -> None:
    arguments = ("estimate", "--params", params, "--tokens", "1e12")
    assert run(*arguments).exit_code == 0
    assert run(*arguments, "--check").exit_code == code


def test_estimate_exactly_on_the_line_heeds_the_comparator() -> None:
    found = document("estimate", "--params", "10^13", "--tokens", "10^13", "--epochs", "1/6")
    assert found["flop"] == 10**26
    verdicts = {line["policy"]: line["verdict"] for line in found["thresholds"]}
    assert (verdicts["kr_ai_basic_act"], verdicts["us_ca_sb53"]) == ("over", "under")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give --params and --tokens, or"),
        (["--params", "1e9"], "missing --tokens"),
        (["--gpu", "h100", "--hours", "1"], "missing --utilisation"),
        (["--gpu", "h100", "--hours", "1", "--utilisation", "0.4", "--params", "1e9"], "cannot be combined"),
        (["--gpu", "h10", "--hours", "1", "--utilisation", "0.4"], "h100"),
        (["--gpu", "h100", "--hours", "1", "--utilisation", "40"], "at most 1"),
        (["--params", "many", "--tokens", "1e9"], "params='many': not a number"),
        (["--params", "-1", "--tokens", "1e9"], "positive"),
        (["--params", "2e9..1e9", "--tokens", "1e9"], "low..high"),
    ],
)
def test_bad_estimates_are_usage(arguments: list[str], says: str) -> None:
    assert says in fails(2, "estimate", *arguments)


def test_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flopcore.study.estimate.estimate_from_parameters", interrupted)
    result = run("estimate", "--params", "1", "--tokens", "1")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "interrupted\n")


def test_study_hooker_is_repeatable_and_heeds_its_schema() -> None:
    found = document("study", "hooker", "--draws", "2000", "--seed", "7", "--threads", "1")
    assert found == document("study", "hooker", "--draws", "2000", "--seed", "7", "--threads", "2")
    assert [line["threshold"] for line in found["thresholds"]] == [10**23, 10**24, 10**25, 10**26]
    assert (found["draws"], found["seed"]) == (2000, 7)
    for line in found["thresholds"]:
        assert line["p05"] <= line["p50"] <= line["p95"] <= line["n_models"] == len(found["models"])


def test_study_hooker_without_a_seed_records_one() -> None:
    found = document("study", "hooker", "--draws", "10")
    assert found == document("study", "hooker", "--draws", "10", "--seed", found["seed"])


def test_study_hooker_prints_tables_and_csv() -> None:
    printed = run("study", "hooker", "--draws", "1000", "--seed", "1")
    assert printed.exit_code == 0
    assert printed.stderr == ""
    assert "Models over each line" in printed.stdout
    rows = list(csv.DictReader(run("study", "hooker", "--draws", "1000", "--seed", "1", "--csv").stdout.splitlines()))
    assert len(rows) == len(document("study", "hooker", "--draws", "1000", "--seed", "1")["models"])
    assert {"key", "flop", "P(>1e25)"} <= set(rows[0])


@pytest.mark.parametrize(
    "options", [["--draws", "0"], ["--seed", "-1"], ["--threads", "0"], ["--csv", "--json"], ["--draws", "many"]]
)
def test_bad_study_options_are_usage(options: list[str]) -> None:
    fails(2, "study", "hooker", *options)


def test_build_info() -> None:
    found = document("build-info")
    assert found["version"] == flopcore.__version__
    assert found["isa"] in found["available_isas"]
    assert "compiler" in run("build-info").stdout
