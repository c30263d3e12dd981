"""Studies as TOML files: what they mean, that every error is found, and that the schema and the checker agree."""

from __future__ import annotations

import json
import tomllib
from fractions import Fraction
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from command_line import document, fails, run
from flopcore.errors import DataError
from flopcore.study.hooker import IndexOptions, run_hooker
from flopcore.study.population import Population
from flopcore.study.studyfile import Study

HOOKER = """
study = "hooker"
draws = 500
seed = 3
lines = [1e25, "10^26"]
at_least = true
estimate_error = "shrink"
missing = "impute"
new_runs = true

[confidence]
factor = { confident = 2, likely = 3, speculative = 5, unlabelled = 5 }

[scenario]
name = "half"
factor = "1/2"
by_model = { gpt-4 = 1 }

[index]
metrics = ["data", "open_weights"]
weights = { data = 2, open_weights = 1 }
missing = "exclude"
top_share = "1/20"
"""
KUMAR = """
study = "kumar-manning"
draws = 200
seed = 1
lines = [1e25]
widths = [0.5]
parameters = { growth_sd = 0.25, gradient = [1, 1], training_share = [0.4, 0.4, 0.4, 0.2, 0.2], size_edges = 12 }
"""
GROWTH = 'study = "forecast"\nfrontiers = ["record", "top10"]\nsince = 2017-01-01\nlines = [1e28]\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_what_the_call_says(tmp_path: Path) -> None:
    study = Study.read(write(tmp_path, HOOKER))
    assert study.lines == (10**25, 10**26)
    assert study.scenario is not None
    assert (study.scenario.of("gpt-4"), study.scenario.of("gpt-3-175b")) == (1, Fraction(1, 2))
    found = study.run(threads=1)
    direct = run_hooker(
        Population.bundled().new_runs(),
        thresholds=["1e25", "1e26"],
        comparators=(">=",),
        draws=500,
        rng=3,
        estimate_error="shrink",
        missing="impute",
        index=IndexOptions(
            ("data", "open_weights"), (("data", 2), ("open_weights", 1)), missing="exclude", top_share=Fraction(1, 20)
        ),
        bands=study.bands,
        scenario=study.scenario,
    )
    assert found.to_dict() == direct.to_dict()
    assert found.reading == direct.reading


def test_every_study_runs_from_a_file_and_heeds_its_schema(tmp_path: Path) -> None:
    hooker = document("study", write(tmp_path, HOOKER), "--draws", "50")
    assert hooker["draws"] == 50
    kumar = document("study", write(tmp_path, KUMAR), "--threads", "1", "--checkpoint", tmp_path / "counts")
    assert kumar["allocation"]["gradient"] == [1, 1]
    assert kumar["allocation"]["training_share"] == [0.4, 0.4, 0.4, 0.2, 0.2]
    assert {row["width_oom"] for row in kumar["frontier"]} == {0.5}
    growth = document("study", write(tmp_path, GROWTH))
    assert [fit["frontier"] for fit in growth["fits"]] == ["record", "top10"]
    assert growth["since"] == "2017-01-01"
    printed = run("study", write(tmp_path, GROWTH))
    assert printed.exit_code == 0
    assert "factor a year" in printed.stdout


def test_data_is_relative_to_the_file(tmp_path: Path) -> None:
    rows = "\n".join(f"m{i},202{i % 5}-03-01,{i + 1}e24,Language,Likely" for i in range(15))
    (tmp_path / "models.csv").write_text(
        f"title,Publication date,Training compute (FLOP),Domain,Confidence\n{rows}\n", encoding="utf-8"
    )
    text = 'study = "hooker"\ndata = "models.csv"\ndraws = 10\nseed = 1\ncolumns = { name = "title" }\n'
    found = document("study", write(tmp_path, text))
    assert found["population"]["n_models"] == 15


def test_all_errors_are_reported_with_their_lines(tmp_path: Path) -> None:
    text = """study = "hooker"
draws = 0
seed = 1.5
lines = ["x", -1]
missing = "drop"
colour = "red"
[index]
metrics = ["luck"]
weights = { skill = 1 }
[confidence]
factor = { confident = 0.5, likely = 3, speculative = 5 }
"""
    with pytest.raises(DataError) as caught:
        Study.read(write(tmp_path, text))
    message = str(caught.value)
    for part in (
        "line 2: draws",
        "line 3: seed",
        "lines.0",
        "lines.1",
        "line 5: missing",
        "'luck' is not allowed",
        "'skill' is not a metric",
        "line 6: colour: unknown key",
        "confidence.factor.confident",
        "confidence.factor.unlabelled: is missing",
    ):
        assert part in message, part
    with pytest.raises(DataError, match="no parameter 'growth'"):
        Study.read(write(tmp_path, 'study = "kumar-manning"\nparameters = { growth = 4 }\n'))
    with pytest.raises(DataError, match="widths: unknown key"):
        Study.read(write(tmp_path, 'study = "hooker"\nwidths = [1]\n'))
    assert "one of hooker, kumar-manning, forecast" in fails(4, "study", write(tmp_path, 'study = "x"\n'))
    assert "cannot be read" in fails(4, "study", tmp_path / "absent.toml")
    with pytest.raises(ValueError, match="one of hooker"):
        Study("x")


@pytest.mark.parametrize("text", [HOOKER, KUMAR, GROWTH], ids=["hooker", "kumar-manning", "forecast"])
def test_the_published_schema_takes_what_the_checker_takes(tmp_path: Path, text: str) -> None:
    schema = json.loads(resources.files("flopcore").joinpath("data", "schemas", "studyfile.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    plain = json.loads(json.dumps(tomllib.loads(text), default=str))
    validator.validate(plain)
    Study.read(write(tmp_path, text))
    assert not validator.is_valid({**plain, "colour": "red"})
    assert not validator.is_valid({**plain, "study": "x"})
