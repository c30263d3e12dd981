from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from flopcore.errors import DataError
from flopcore.study.epoch import read_epoch
from flopcore.study.hooker import run_hooker
from flopcore.study.population import Hardware, Population
from flopcore.study.scenario import Scenario

SHARED = Path(__file__).parents[3] / "shared" / "data"
NO_DATA = "this machine has no shared/data beside the checkout"

HEADER = "Model,Publication date,Organization,Domain,Training compute (FLOP),Confidence"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(*rows: str, header: str = HEADER) -> Path:
        path = tmp_path / "models.csv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return _write


def test_columns_of_either_vintage_are_read(write: Write) -> None:
    old = HEADER + ",Country (from Organization),Training dataset size (datapoints)"
    new = HEADER + ",Country (of organization),Training dataset size (total),Open model weights?"
    (a,) = read_epoch(write("M,2024-01-02,Lab,Language,1e24,Confident,China,5e12", header=old))
    (b,) = read_epoch(write("M,2024-01-02,Lab,Language,1e24,Confident,China,5e12,Yes", header=new))
    assert (a.training_flop, a.country, a.examples, a.confidence) == (10**24, "China", 5 * 10**12, "confident")
    assert a.tokens is None
    assert b.open_weights is True


OCTOBER_2024 = (
    "System,Domain,Organization,Country (from Organization),Publication date,Link,Notability criteria,Parameters,"
    "Training compute (FLOP),Training dataset size (datapoints),Epochs,Training time (hours),Training hardware,"
    "Hardware quantity,Hardware utilization,Training compute cost (2023 USD),Confidence,Base model,"
    "Finetune compute (FLOP),Model accessibility,Training compute estimation method"
)
APRIL_2025 = OCTOBER_2024.replace("System", "Model").replace("(from Organization)", "(of organization)")
JULY_2026 = (
    APRIL_2025.replace("(datapoints)", "(total)").replace("Hardware utilization", "Hardware utilization (MFU)")
    + ",Task,Training compute lower bound,Training compute upper bound,Training chip-hours,Numerical format,"
    "Post-training compute (FLOP),Possibly over 1e23 FLOP,Open model weights?"
)
ROW = {
    "Organization": "Lab", "Domain": "Biology", "Publication date": "2024-01-02", "Country": "China",
    "Training compute (FLOP)": "1.0692E+025", "Confidence": "Likely", "Parameters": "1e9", "Epochs": "2",
    "Training dataset size": "5e12", "Base model": "B", "Finetune compute (FLOP)": "1e20", "Link": "https://example.org",
    "Notability criteria": "SOTA improvement", "Training hardware": "NVIDIA A100", "Training time (hours)": "10",
    "Hardware quantity": "8", "Hardware utilization": "0.4", "Training compute cost (2023 USD)": "1e6",
    "Model accessibility": "Open weights (unrestricted)", "Training compute estimation method": "Hardware",
}  # fmt: skip


@pytest.mark.parametrize("header", [OCTOBER_2024, APRIL_2025, JULY_2026], ids=["2024-10", "2025-04", "2026-07"])
def test_every_vintage_gives_the_same_model(write: Write, header: str) -> None:
    """Column names of October 2024, April 2025 and July 2026, and the empty columns that a spreadsheet leaves."""
    cells = []
    for column in header.split(","):
        plain = column.split(" (")[0] if column.startswith(("Country", "Training dataset", "Hardware util")) else column
        cells.append("M" if column in ("System", "Model") else ROW.get(plain, ""))
    (model,) = read_epoch(write(",".join(cells) + ",,", header=header + ",,"))
    assert (model.name, model.country, model.training_flop) == ("M", "China", 10692 * 10**21)
    assert (model.parameters_total, model.examples, model.epochs, model.own_flop) == (10**9, 5 * 10**12, 2, 10**20)
    assert model.hardware == Hardware("NVIDIA A100", 80, Fraction(2, 5))
    assert (model.open_weights, model.notable, model.cost_usd, model.method) == (True, True, 10**6, "hardware")


def test_a_column_that_stands_twice_is_an_error(write: Write) -> None:
    with pytest.raises(DataError, match=r"'Confidence' stands in 2 columns"):
        read_epoch(write("M,2024-01-02,Lab,Language,1e24,Likely,Confident", header=HEADER + ",Confidence"))


def test_own_columns_can_be_named(write: Write) -> None:
    path = write("M,2024-01-02,Language,1e24,Likely", header="title,when,Domain,flop,Confidence")
    with pytest.raises(DataError, match=r"no column for name .*date .*training_flop"):
        read_epoch(path)
    columns = {"name": "title", "date": "when", "training_flop": "flop"}
    assert read_epoch(path, columns=columns)["m"].training_flop == 10**24
    with pytest.raises(DataError, match="unknown fields colour"):
        read_epoch(path, columns={"colour": "x"})
    with pytest.raises(DataError, match="no column for task"):
        read_epoch(path, columns={**columns, "task": "absent"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5.0000000000001e26", 5 * 10**26),
        ("2.9599999999999996e+25", 296 * 10**23),
        ("3.810001e25", 381 * 10**23),
        ("1.001e25", 1001 * 10**22),
        ("3.5490054945e23", 35490054945 * 10**13),
        ("40.0", 40),
    ],
)
def test_junk_digits_are_removed_and_remarked(write: Write, text: str, value: int) -> None:
    models = read_epoch(write(f"M,2024-01-02,Lab,Language,{text},Confident"))
    assert models["m"].training_flop == value
    assert bool(models.remarks) == (Fraction(text) != value)


def test_absurd_values_are_errors_with_row_and_line(write: Write) -> None:
    with pytest.raises(DataError) as caught:
        read_epoch(
            write(
                "A,2024-01-02,Lab,Language,1e300,Confident",
                "B,20225-01-02,Lab,Language,1e24,Confident",
                "C,2024-01-02,Lab,Language,lots,Confident",
                '"D\nD",1024-01-02,Lab,Language,1e24,Confident',
                "E,2024-01-02,Lab,Language,1e24,Confident,extra",
            )
        )
    message = str(caught.value)
    assert "5 problems" in message
    assert "row 1 (line 2), training_flop: 1e300 is absurd" in message
    assert "row 2 (line 3), date: '20225-01-02' is not a date" in message
    assert "row 3 (line 4), training_flop: 'lots' is not one number" in message
    assert "row 4 (line 5), date: year 1024 is absurd" in message
    assert "row 5 (line 7): has more cells" in message


def test_nothing_is_dropped_silently(write: Write) -> None:
    models = read_epoch(
        write(
            "Dated,2024-01-02,Lab,Language,1e24,Confident",
            "Undated,nan,Lab,Language,1e24,Confident",
            ",2024-01-02,Lab,Language,1e24,Confident",
        )
    )
    assert [model.name for model in models] == ["Dated"]
    assert models.remarks == (
        "row 2 (line 3): left out: Undated has no publication date",
        "row 3 (line 4): left out: no name",
    )


def test_a_row_without_a_figure_is_kept_and_marked_censored(write: Write) -> None:
    header = HEADER + ",Possibly over 1e23 FLOP"
    models = read_epoch(
        write(
            "Known,2024-01-02,Lab,Language,1e24,Confident,",
            "Big,2024-01-02,Lab,Language,,Unknown,True",
            "Dark,2024-01-02,Lab,Language,,,",
            header=header,
        )
    )
    assert [model.method for model in models] == ["third_party", "undisclosed", "undisclosed"]
    excluded = {item.key: item.reason for item in run_hooker(models, draws=10, rng=0).excluded}
    assert set(excluded) == {"big", "dark"}
    assert "possibly over 1e23 FLOP (censored)" in excluded["big"]
    assert "censored" not in excluded["dark"]


def test_names_labels_domains_and_bases(write: Write) -> None:
    header = HEADER + ",Base model,Finetune compute (FLOP),Training compute estimation method,Model accessibility"
    models = read_epoch(
        write(
            '"Two\nlines",2024-01-02,Lab,"Vision,Language",1e24,Unverified,,,"Benchmarks,Hardware",Unreleased',
            'Same,2024-01-02,Lab,"Language,Multimodal,Biology",1e24,Likely,"Base 1,Base 2",1e20,Reported,API access',
            "Same,2024-02-02,Lab,Psychology,1e24,Speculative,,,,Open weights (unrestricted)",
            "Same,2024-02-02,Lab,,1e24,,,,Operation counting,",
            header=header,
        )
    )
    assert [model.key for model in models] == ["two-lines", "same", "same@2024-02-02", "same@2024-02-02#2"]
    assert [model.confidence for model in models] == ["unlabelled", "likely", "speculative", "unlabelled"]
    assert [model.domain for model in models] == ["vision", "multimodal", "other", "other"]
    assert [model.method for model in models] == ["hardware", "reported", "third_party", "operation_counting"]
    assert [model.open_weights for model in models] == [False, False, True, None]
    same = models["same"]
    assert (same.base_model, same.own_flop, same.domains) == ("base-1", 10**20, ("language", "multimodal", "biology"))
    assert [model.key for model in models.new_runs()] == ["two-lines", "same@2024-02-02", "same@2024-02-02#2"]
    assert models.new_runs().remarks[-1].startswith("left out: 1 models trained on from another one")


def test_odd_bounds_and_unused_columns_are_remarked(write: Write) -> None:
    header = (
        HEADER + ",Training compute lower bound,Training compute upper bound,Parameters,Training dataset size (total)"
    )
    models = read_epoch(
        write(
            "A,2024-01-02,Lab,Language,1e24,Confident,2e24,25,1e9,1e12",
            'B,2024-01-02,Lab,Language,1e24,Confident,,1e23,1e30,"12000,800"',
            "C,2024-01-02,Lab,Language,1e24,Confident,9e23,2e24,1e9,1e12",
            header=header,
        )
    )
    remarks = "\n".join(models.remarks)
    assert "A: lower bound 2e+24 is above the figure" in remarks
    assert "A: upper bound 25 lacks its exponent" in remarks
    assert "B: upper bound 1e+23 is below the figure" in remarks
    assert "B, parameters not used: 1e30 is absurd" in remarks
    assert "B, dataset not used: '12000,800' is not one number" in remarks
    assert "C" not in remarks
    assert models["b"].parameters_total is None
    assert [model.bounds for model in models] == [(None, None), (None, None), (9 * 10**23, 2 * 10**24)]
    (both,) = read_epoch(write("D,2024-01-02,Lab,Language,,,5e24,2e24,,", header=header))
    assert both.bounds == (None, None)


def test_hardware_cost_notability_and_scores_are_read(write: Write) -> None:
    header = (
        HEADER + ",Training hardware,Training chip-hours,Training time (hours),Hardware quantity,"
        "Hardware utilization (MFU),Training compute cost (2023 USD),Notability criteria,ECI Score"
    )
    a, b, c = read_epoch(
        write(
            "A,2024-01-02,Lab,Language,1e24,Confident,NVIDIA A100,5000,10,8,0.4,1e6,SOTA,120.5",
            "B,2024-01-02,Lab,Language,1e24,Confident,NVIDIA A100,,10,8,,,,",
            "C,2024-01-02,Lab,Language,1e24,Confident,,5000,,,,,,",
            header=header,
        )
    )
    assert (a.hardware, a.cost_usd, a.notable) == (Hardware("NVIDIA A100", 5000, Fraction(2, 5)), 10**6, True)
    assert a.capability is not None
    assert a.capability.value == Fraction(241, 2)
    assert (b.hardware, b.notable) == (Hardware("NVIDIA A100", 80), False)
    assert c.hardware is None


def test_a_file_that_is_no_table_is_one_error(tmp_path: Path, write: Write) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_epoch(tmp_path / "absent.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a CSV file"):
        read_epoch(tmp_path / "bytes.csv")
    with pytest.raises(DataError, match="no row"):
        read_epoch(write())


@pytest.fixture(scope="module")
def february_2025() -> Population:
    path = SHARED / "epoch_notable_2025-02-24.csv"
    if not path.exists():
        pytest.skip(NO_DATA)
    return read_epoch(path)


# Facts computed by another program on the same file: point count, expected count, 90 % interval where it was given.
SCENARIOS = {
    Fraction(1, 2): [(84, 85.4, None), (44, 40.4, None), (10, 12.2, (8, 16)), (1, 2.7, None)],
    Fraction(1): [(93, 100.9, None), (53, 52.2, None), (17, 18.3, (14, 23)), (1, 4.2, (2, 7))],
    Fraction(4, 3): [(101, 107.7, None), (54, 57.6, None), (20, 21.4, (17, 26)), (1, 5.1, None)],
    Fraction(2): [(112, 117.6, None), (60, 65.7, None), (25, 26.5, (22, 32)), (2, 6.7, None)],
}


@pytest.mark.parametrize("factor", SCENARIOS, ids=str)
def test_scenario_counts_equal_the_facts(february_2025: Population, factor: Fraction) -> None:
    """Within 0.05 of rounding and 5 standard errors of either program (theirs had at least 20,000 draws)."""
    found = run_hooker(february_2025, comparators=(">=",), scenario=Scenario("c", factor), draws=50_000, rng=0)
    for count, (point, expected, interval) in zip(found.thresholds, SCENARIOS[factor], strict=True):
        assert count.point == point
        assert abs(count.expected - expected) < 0.05 + 5 * count.sd * (1 / 20_000 + 1 / 50_000) ** 0.5
        assert interval is None or (count.p05, count.p95) == interval


def test_the_biology_list_equals_the_facts(february_2025: Population) -> None:
    biology = february_2025.where(lambda model: "biology" in model.domains and model.training_flop is not None)
    assert len(biology) == 30
    large = {model.name: model.training_flop for model in biology if (model.training_flop or 0) >= 10**22}
    assert {name for name, flop in large.items() if flop and flop >= 10**23} == {
        "ESM3 (98B)",
        "xTrimoPGLM -100B",
        "Galactica",
    }
    assert len(large) == 9


def test_the_newest_vintage_is_read_whole() -> None:
    path = SHARED / "epoch_models_2026-07.csv"
    if not path.exists():
        pytest.skip(NO_DATA)
    models = read_epoch(path)
    left_out = sum("left out" in remark for remark in models.remarks)
    assert len(models) + left_out == 3357
    assert sum(model.training_flop is not None for model in models) == 1393
    assert any("\n" not in model.name and model.name.startswith("Cosmos-1.0- Diffusion") for model in models)
    assert sum(model.possibly_over == 10**23 for model in models) == 207
    assert len(models.new_runs()) < len(models)


def test_rows_that_stand_twice_and_unknown_labels_are_remarked_upon(write: Write) -> None:
    row = "M,2024-01-02,Lab,Language,1e24,"
    found = read_epoch(write(row + "Confident", row + "Unverified", "N,2024-01-02,Lab,Language,1e24,Unknown"))
    assert [model.key for model in found] == ["m", "m@2024-01-02", "n"]
    assert found.remarks == (
        "row 2 (line 3): M: confidence 'unverified' is none of confident, likely, speculative; taken as unlabelled",
        "row 2 (line 3): M of 2024-01-02 stands above too; both are counted",
    )
