"""The commands of `flopcore study` end to end."""

from __future__ import annotations

from pathlib import Path

from command_line import document, fails, run

LABELS = ("confident", "likely", "speculative", "unlabelled")


def test_hooker_takes_scores_missing_figures_runs_and_a_checkpoint(tmp_path: Path) -> None:
    scores = tmp_path / "scores.csv"
    scores.write_text("Model name,ECI Score\nGPT-4,126\n", encoding="utf-8")
    options = ("study", "hooker", "--seed", "2", "--new-runs", "--missing", "impute", "--capability", scores)
    found = document(*options, "--draws", "3000", "--metric", "capability", "--metric", "data")
    assert found["essay"]["index"]["metrics"] == ["capability", "data"]
    assert found["missing"] == "impute"
    assert "1 of " in found["population"]["remarks"][-1]
    assert all(model["key"] != "deepseek-r1" for model in found["models"])  # trained on from DeepSeek-V3
    kept = (*options, "--checkpoint", tmp_path / "counts")
    part = document(*kept, "--draws", "1000")
    whole = document(*kept, "--draws", "3000", "--metric", "capability", "--metric", "data")
    assert part["draws"] == 1000
    assert whole == found
    assert "'luck'" in fails(2, "study", "hooker", "--draws", "5", "--metric", "luck")
    printed = run("study", "hooker", "--draws", "50", "--seed", "1", "--missing", "censored").stdout
    for title in ("Rules against the top", "Which models change side", "Models a line misses", "Numeric claims"):
        assert title in printed


def test_hooker_takes_an_index_and_columns_of_ones_own(tmp_path: Path) -> None:
    options = ("study", "hooker", "--draws", "50", "--seed", "2", "--without-metric", "exclude", "--top-share", "1/20")
    found = document(*options, "--metric", "data=2", "--metric", "parameters=1")["essay"]["index"]
    assert found["weights"] == {"data": 2, "parameters": 1}
    assert (found["missing"], found["n_missing"]) == ("exclude", {"data": 0, "parameters": 0})
    assert found["k"] == round(found["n_models"] / 20)
    assert found["n_excluded"] > 0
    assert "a weight for each or for none" in fails(2, *options, "--metric", "data=2", "--metric", "parameters")
    path = tmp_path / "own.csv"
    rows = "\n".join(f"m{i},202{i % 5}-03-01,{i + 1}e24" for i in range(15))
    path.write_text(f"Title,Released,FLOP\n{rows}\n", encoding="utf-8")
    own = [
        part
        for pair in ("name=Title", "date=Released", "training_flop=FLOP", "domain=", "confidence=")
        for part in ("--column", pair)
    ]
    found = document("study", "hooker", "--data", path, *own, "--draws", "50", "--seed", "1")
    assert [model["domain"] for model in found["models"]] == ["other"] * 15
    assert {model["confidence"] for model in found["models"]} == {"unlabelled"}
    assert document("study", "forecast", "--data", path, *own)["population"] == "own.csv"
    assert "domain ('Domain')" in fails(4, "study", "forecast", "--data", path, *own[:6])
    assert "is not FIELD=COLUMN" in fails(2, "study", "forecast", "--data", path, "--column", "name")


def test_hooker_takes_bands_and_a_way_of_counting() -> None:
    options = ("study", "hooker", "--draws", "50", "--seed", "2", "--factor", "1/2")
    found = document(*options, *(p for label in LABELS for p in ("--band", f"{label}=1")))
    assert found["population"]["bands"]["factor"] == dict.fromkeys(LABELS, 1)
    assert found["scenario"] == "every figure x 1/2"
    halved = [sum(model["flop"] > line["threshold"] for model in found["models"]) for line in found["thresholds"]]
    assert [line["point"] for line in found["thresholds"]] == [line["p05"] for line in found["thresholds"]] == halved
    # Inflection-2 is at 1e25 by its figure.
    lines = ("study", "hooker", "--draws", "5", "--seed", "1", "--line", "1e25")
    over, at = (document(*lines, *more)["thresholds"][0] for more in ((), ("--at-least",)))
    assert (over["comparator"], at["comparator"], at["point"] - over["point"]) == (">", ">=", 1)
    assert "'sure' unknown" in fails(2, *options, "--band", "sure=1")
    assert "below 1" in fails(2, *options, "--band", "likely=0.5")


def test_forecast_prints_and_refuses(tmp_path: Path) -> None:
    found = document("study", "forecast", "--frontier", "record", "--line", "1e27", "--since", "2019-01-01")
    assert [fit["frontier"] for fit in found["fits"]] == ["record"]
    assert "one of all, record" in fails(2, "study", "forecast", "--frontier", "best")
    assert "isoformat" in fails(2, "study", "forecast", "--since", "soon")


def test_kumar_manning_is_repeatable_and_heeds_its_schema() -> None:
    found = document("study", "kumar-manning", "--draws", "600", "--seed", "7", "--threads", "1")
    assert found == document("study", "kumar-manning", "--draws", "600", "--seed", "7", "--threads", "2")
    assert {(row["year"], row["threshold"]) for row in found["per_year"]} == {
        (year, 10**exponent) for year in range(2024, 2029) for exponent in range(25, 30)
    }
    assert {row["width_oom"] for row in found["frontier"]} == {0.5, 1, 1.5}
    for row in (*found["per_year"], *found["joint"]):
        assert row["p05"] <= row["p50"] <= row["p95"]


def test_kumar_manning_prints_both_intervals_side_by_side() -> None:
    printed = run("study", "kumar-manning", "--draws", "500", "--seed", "1")
    assert (printed.exit_code, printed.stderr) == (0, "")
    assert "103 / 165 / 306" in printed.stdout
    assert "joint total" in printed.stdout


def test_kumar_manning_takes_parameters_lines_and_widths() -> None:
    options = ("study", "kumar-manning", "--draws", "50", "--seed", "1")
    found = document(*options, "--set", "size_edges=12", "--set", "gradient=1..1", "--line", "3e25", "--width", "2")
    assert found["allocation"]["size_edges"] == 12
    assert {row["threshold"] for row in found["joint"]} == {3 * 10**25}
    assert {row["width_oom"] for row in found["frontier"]} == {2}
    assert "no parameter 'growth'" in fails(2, *options, "--set", "growth=4")
    assert "NAME=VALUE" in fails(2, *options, "--set", "growth")
    assert "set a floor" in fails(4, *options, "--set", "growth_sd=9")


def test_kumar_manning_takes_its_history_from_a_population(tmp_path: Path) -> None:
    rows = "\n".join(f"m{year},{year}-05-01,{year - 2000}e24,Language,Confident" for year in range(2017, 2025))
    path = tmp_path / "models.csv"
    path.write_text(f"Model,Publication date,Training compute (FLOP),Domain,Confidence\n{rows}\n", encoding="utf-8")
    found = document("study", "kumar-manning", "--draws", "20", "--seed", "1", "--data", path)
    assert found["allocation"]["history"] == [[year, (year - 2000) * 10**24] for year in range(2017, 2024)]


def test_what_cannot_be_read_or_written_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x")
    few = ("study", "hooker", "--seed", "1", "--draws")
    assert "cannot be read" in fails(4, *few, "5", "--data", tmp_path / "none.csv")
    assert "not a directory" in fails(4, *few, "5", "--checkpoint", path / "run").lower()
    path.write_text("Model;Publication date\nm;2024-01-01\n")
    assert "divided by ';'" in fails(4, *few, "5", "--data", path)
    assert "'2.5' is not a whole number from 1" in fails(2, *few, "2.5")
    assert "factor of likely is below 1, or above 10^9" in fails(2, *few, "5", "--band", "likely=1e400")
    assert document(*few, "1e1", "--threads", str(10**15))["draws"] == 10
