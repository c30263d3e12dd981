from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from flopcore.errors import DataError
from flopcore.study.population import Bands, Population

HEAD = """[confidence]
coverage = 0.9
shape = "lognormal"
factor = { confident = 3, likely = 10, speculative = 31, unlabelled = 31 }
source = "test"
"""

ROW = """
[[model]]
key = "one"
name = "One"
date = 2024-01-01
developer = "Nobody"
country = "US"
domain = "language"
task = "language modelling"
parameters_total = 1e9
tokens = 2e12
training_flop = 1.2e22
method = "operation_counting"
derivation = { formula = "6ND" }
confidence = "confident"
source = "nowhere"
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str) -> Path:
        path = tmp_path / "models.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def test_the_bundled_table_is_large_exact_and_sourced() -> None:
    models = Population.bundled()
    assert len(models) >= 150
    assert len({model.key for model in models}) == len(models)
    for model in models:
        assert model.source, model.key
        assert isinstance(model.training_flop, int) or model.method == "undisclosed", model.key
        assert dt.date(2012, 1, 1) <= model.date <= dt.date(2026, 11, 22), model.key
    assert [model.date for model in models] == sorted(model.date for model in models)
    assert set(Counter(model.domain for model in models)) >= {"language", "biology", "vision", "games", "multimodal"}


def test_each_row_says_how_far_it_was_checked() -> None:
    """And the guide's numbers are those of the table."""
    models = Population.bundled()
    found = Counter(model.checked for model in models)
    guide = (Path(__file__).parents[2] / "docs" / "DATA.md").read_text(encoding="utf-8")
    for label, count in found.items():
        assert f"`{label}` ({count} rows)" in " ".join(guide.split()), label
    assert found["source"] + found["quoted"] > len(models) / 2
    assert all(model.note for model in models if model.checked == "differs")
    assert all(model.read for model in models if model.checked in ("source", "quoted"))


def test_every_derived_figure_follows_from_its_inputs() -> None:
    """Recomputed here independently of the loader's check: to half a unit of three digits or better."""
    derived = 0
    for model in Population.bundled():
        if model.derivation is None:
            assert model.method in {"reported", "third_party", "undisclosed"}, model.key
            continue
        figure = model.own_flop if model.base_model else model.training_flop
        value = model.derive()
        assert value is not None
        assert figure is not None
        assert abs(Fraction(value, 1) / figure - 1) <= Fraction(1, 100), model.key
        derived += 1
    assert derived >= 120


def test_known_derivations() -> None:
    models = Population.bundled()
    assert models["llama-3.1-405b"].training_flop == 38 * 10**24
    assert models["deepseek-v3"].derive() == 6 * 37 * 10**9 * 148 * 10**11
    assert models["falcon-180b"].derive() == 43_500 * 10**15 * 86_400
    assert models["stable-diffusion-1"].derive() == 150_000 * 3600 * 312 * 10**12 * 3 // 10
    assert models["alexnet"].derive() == 6 * 72 * 10**7 * 1_200_000 * 90
    assert models["inflection-2"].training_flop == 10**25


def test_a_derived_model_includes_its_base() -> None:
    models = Population.bundled()
    for key, base in [("code-llama-70b", "llama-2-70b"), ("deepseek-r1", "deepseek-v3"), ("minerva-540b", "palm-540b")]:
        model = models[key]
        assert model.base_model == base
        assert model.training_flop is not None
        assert model.own_flop is not None
        total = models[base].training_flop
        assert total is not None
        assert abs(model.training_flop - total - model.own_flop) <= Fraction(model.training_flop, 100)


def test_third_party_estimates_name_their_estimator() -> None:
    for model in Population.bundled():
        if model.method == "third_party":
            assert "estimate:" in model.source, model.key


def test_the_digest_changes_with_a_value_and_only_then() -> None:
    models = Population.bundled()
    assert models.digest == replace(models).digest
    other = replace(models.models[0], training_flop=1)
    assert replace(models, models=(other, *models.models[1:])).digest != models.digest
    assert models.where(lambda model: model.domain == "biology").digest != models.digest


def test_a_row_gives_json_types() -> None:
    import json

    for model in Population.bundled():
        record = model.to_dict()
        assert json.loads(json.dumps(record)) == record


def test_a_file_of_the_same_schema_is_read(write: Write) -> None:
    models = Population.read(write(HEAD + ROW))
    assert models["one"].training_flop == 12 * 10**21
    assert models["one"].parameters == 10**9
    assert models.bands.of("confident") == 3
    with pytest.raises(KeyError, match="two"):
        models["two"]


def test_every_error_is_reported_with_line_row_column_and_hint(write: Write) -> None:
    bad = (
        ROW.replace("1.2e22", "1.3e22")
        .replace('"US"', '"usa"')
        .replace("2024-01-01", '"20225-01-01"')
        .replace('"language"', '"poetry"')
        .replace("tokens = 2e12", "tokens = -2e12")
    )
    with pytest.raises(DataError) as caught:
        Population.read(write(HEAD + ROW + bad + "colour = 1\n"))
    message = str(caught.value)
    for part in (
        "line 24: model[1].key: 'one' is also the key of model[0] (keys are unique)",
        "model[1].country: 'usa' is not a country code",
        "model[1].date: '20225-01-01' is not a date",
        "model[1].domain: 'poetry' is not allowed (one of language",
        "model[1].tokens: ",
        "out of range",
        "model[1].derivation: an input of 6ND is missing",
        "colour: unknown key",
    ):
        assert part in message, (part, message)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("1.2e22", "1.3e22"), "1.3e22 is not what the inputs give .they give 1.2e"),
        (("1.2e22", "1e300"), "out of range"),
        (('method = "operation_counting"', 'method = "hardware"\nown_flop = 1e20'), "given without base_model"),
        (('{ formula = "6ND" }', '{ formula = "NLHU", accelerator = "abacus", hours = 1, utilisation = 1 }'), "abacus"),
        (('{ formula = "6ND" }', '{ formula = "NLHU", hours = 1 }'), "utilisation: is missing"),
        (('{ formula = "6ND" }', '{ formula = "7ND" }'), "'7ND' is not allowed"),
        (("tokens = 2e12", "parameters_active = 2e9\ntokens = 2e12"), "exceeds parameters_total"),
        (("2024-01-01", "2024-13-01"), "not a TOML file"),
        (('confidence = "confident"', 'base_model = "none"'), "no other model 'none'"),
        (('derivation = { formula = "6ND" }', ""), "missing for method operation_counting"),
        (("training_flop = 1.2e22\n", ""), "'operation_counting' does not fit the figure"),
        (('method = "operation_counting"', 'method = "undisclosed"'), "'undisclosed' does not fit the figure"),
    ],
)
def test_a_wrong_row_is_refused(write: Write, change: tuple[str, str], match: str) -> None:
    assert change[0] in ROW
    with pytest.raises(DataError, match=match):
        Population.read(write(HEAD + ROW.replace(*change)))


def test_digits_written_decide_how_close_a_figure_must_be(write: Write) -> None:
    assert Population.read(write(HEAD + ROW.replace("1.2e22", "1e22")))["one"].training_flop == 10**22
    Population.read(write(HEAD + ROW.replace("1.2e22", "12_000_000_000_000_000_000_000")))
    with pytest.raises(DataError):
        Population.read(write(HEAD + ROW.replace("1.2e22", "1.21e22")))


def test_a_missing_label_or_table_is_an_error(write: Write) -> None:
    with pytest.raises(DataError, match="confidence: is missing"):
        Population.read(write(ROW))
    with pytest.raises(DataError, match="likely: is missing"):
        Population.read(write(HEAD.replace("likely = 10, ", "") + ROW))
    with pytest.raises(ValueError, match="unlabelled"):
        Bands((("confident", 3), ("likely", 10), ("speculative", 31)))
    with pytest.raises(ValueError, match="below 1"):
        Bands((("confident", Fraction(1, 2)), ("likely", 10), ("speculative", 31), ("unlabelled", 31)))


def test_an_unlabelled_row_gets_the_unlabelled_band(write: Write) -> None:
    models = Population.read(write(HEAD + ROW.replace('confidence = "confident"', "")))
    assert models["one"].confidence == "unlabelled"
