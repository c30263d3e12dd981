"""Estimates where no figure is published: each way on rows whose answer is known, and the band it earns."""

from __future__ import annotations

from pathlib import Path

import pytest

from flopcore.errors import DataError
from flopcore.study.capability import read_capability, with_capability
from flopcore.study.epoch import read_epoch
from flopcore.study.hooker import run_hooker
from flopcore.study.impute import Imputed, impute
from flopcore.study.population import Population

COLUMNS = (
    "Model,Publication date,Domain,Confidence,Training compute (FLOP),Parameters,Training dataset size (total),Epochs,"
    "Training hardware,Training time (hours),Hardware quantity,Training compute lower bound,"
    "Training compute upper bound,ECI Score"
)


@pytest.fixture
def population(tmp_path: Path) -> Population:
    """Rows with a figure that each way gets right up to a stated factor, and one gap for each way."""
    rows = [COLUMNS]
    for i in range(12):
        off = 2 if i % 2 else 0.5  # 6ND is off by two, up and down
        rows.append(f"nd{i},2024-01-{i + 1:02},Language,Likely,{6e23 * off},1e10,1e13,,,,,,,")
        hardware = 8 * 100 * 3600 * 312e12 * 0.35
        rows.append(f"hw{i},2024-02-{i + 1:02},Vision,Likely,{hardware},,,,NVIDIA A100 SXM4 80 GB,100,8,,,")
        rows.append(f"eci{i},2024-03-{5 * i % 12 + 1:02},Other,Likely,{10 ** (20 + i / 2)},,,,,,,,,{100 + i}")
    rows += [
        "gap-bounds,2024-04-01,Vision,,,,,,,,,1e23,4e25,",
        "gap-nd,2024-04-01,Language,,,2e10,1e12,2,,,,,,",
        'gap-hw,2024-04-01,Vision,,,,,,"Google TPU v4",10,16,,,',
        'gap-two-chips,2024-04-01,Vision,,,,,,"Google TPU v4,NVIDIA A100",10,16,,,',
        "gap-eci,2024-03-06,Other,,,,,,,,,,,105",
        "gap-dark,2024-04-01,Vision,,,,,,,,,,,",
    ]
    path = tmp_path / "models.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return read_epoch(path)


@pytest.fixture
def imputed(population: Population) -> Imputed:
    return impute(population)


def test_each_way_fills_its_gap(imputed: Imputed) -> None:
    models = imputed.population
    # The geometric middle of 1e23 and 4e25, with their ratio's root as band.
    assert models["gap-bounds"].training_flop == 2 * 10**24
    assert models["gap-bounds"].band == 20
    assert models["gap-nd"].training_flop == 6 * 2 * 10**10 * 10**12 * 2
    assert float(models["gap-hw"].training_flop or 0) == pytest.approx(16 * 10 * 3600 * 275e12 * 0.35, rel=1e-3)
    assert float(models["gap-eci"].training_flop or 0) == pytest.approx(10**22.5, rel=1e-2)
    assert models["gap-dark"].training_flop is None
    assert models["gap-two-chips"].training_flop is None
    assert [way.filled for way in imputed.ways] == [1, 1, 1, 1]
    assert {model.method for model in models if model.method.startswith("imputed")} == {
        "imputed_bounds",
        "imputed_6nd",
        "imputed_hardware",
        "imputed_capability",
    }


def test_the_band_is_what_the_way_shows_on_known_figures(imputed: Imputed) -> None:
    ways = {way.way: way for way in imputed.ways}
    # Every 6ND estimate is off by a factor of two: 2^1.645 one-sided.
    assert float(ways["6ND"].band) == pytest.approx(2**1.6449, rel=5e-3)
    assert ways["6ND"].bias_log10 == pytest.approx(0, abs=1e-4)
    assert float(ways["hardware"].band) == 1.5  # exact on every row: the least band stands
    assert (ways["6ND"].tried, ways["hardware"].tried, ways["capability"].tried) == (12, 12, 12)


def test_a_way_that_cannot_be_tried_fills_nothing(population: Population) -> None:
    few = population.where(lambda model: not model.name.startswith("hw") or model.name < "hw3")
    found = impute(few, ways=["hardware"])
    assert (found.ways[0].filled, found.population["gap-hw"].training_flop) == (0, None)
    with pytest.raises(ValueError, match="'luck' unknown"):
        impute(population, ways=["luck"])  # type: ignore[list-item]


def test_a_row_with_a_band_of_its_own_is_drawn_with_it(imputed: Imputed) -> None:
    """2e24 with a one-sided factor 20 at 90 %: over 4e25 in 5 % of the draws."""
    models = imputed.population.where(lambda model: model.key == "gap-bounds")
    draws = 40_000
    (count,) = run_hooker(models, thresholds=["4e25"], draws=draws, rng=0).thresholds
    assert abs(count.expected - 0.05) < 5 * (0.05 * 0.95 / draws) ** 0.5


def test_scores_are_joined_by_name(tmp_path: Path, population: Population) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("Model name,ECI Score\nND 0,110\nnd0,120\nnd1,\nabsent,3\n", encoding="utf-8")
    scores = read_capability(path)
    assert scores == {"ND 0": 110, "nd0": 120, "absent": 3}
    found = with_capability(population, {"nd0": scores["nd0"], "absent": scores["absent"]})
    assert found["nd0"].capability is not None
    assert found["nd0"].capability.value == 120
    assert "1 of 42 models have a score" in found.remarks[-1]
    path.write_text("Model name,ECI Score\nnd0,high\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"row 1 \(line 2\)"):
        read_capability(path)
    with pytest.raises(DataError, match="no column 'Name'"):
        read_capability(path, name="Name")
