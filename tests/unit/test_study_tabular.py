"""The same rows from CSV, Parquet and data frames."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from flopcore.errors import DataError
from flopcore.study.epoch import read_epoch
from flopcore.study.tabular import read_table

ROWS = {
    "Model": ["A", "B", None],
    "Publication date": [dt.date(2024, 1, 2), dt.date(2025, 3, 4), dt.date(2025, 3, 4)],
    "Training compute (FLOP)": [5.0000000000001e26, float("nan"), 1e24],
    "Domain": ["Language", "Vision", "Games"],
    "Confidence": ["Likely", None, None],
}
TEXT = (
    "Model,Publication date,Training compute (FLOP),Domain,Confidence\n"
    "A,2024-01-02,5.0000000000001e26,Language,Likely\nB,2025-03-04,nan,Vision,\n,2025-03-04,1e24,Games,\n"
)


@pytest.fixture
def from_csv(tmp_path: Path) -> Path:
    path = tmp_path / "models.csv"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_data_frame_gives_the_same_population(from_csv: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(ROWS)
    frame["Publication date"] = pandas.to_datetime(frame["Publication date"])
    expected, found = read_epoch(from_csv), read_epoch(frame)
    assert [model.to_dict() | {"source": ""} for model in found] == [m.to_dict() | {"source": ""} for m in expected]
    assert found["a"].training_flop == 5 * 10**26
    assert found.name == "data frame"
    assert found.remarks[-1] == "row 3: left out: no name"
    renamed = frame.rename(columns={"Model": "title"})
    assert read_epoch(renamed, columns={"name": "title"})["a"].training_flop == 5 * 10**26


def test_a_parquet_file_gives_the_same_population(from_csv: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    path = tmp_path / "models.parquet"
    parquet.write_table(pyarrow.table(ROWS), path)
    assert [model.key for model in read_epoch(path)] == [model.key for model in read_epoch(from_csv)]
    assert read_epoch(path)["a"].training_flop == 5 * 10**26
    latin = pyarrow.array(["Caf\xe9".encode("latin-1")], pyarrow.binary()).view(pyarrow.string())
    parquet.write_table(pyarrow.table({"Model": latin}), path)
    with pytest.raises(DataError, match="not a Parquet file"):
        read_epoch(path)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="not a Parquet file"):
        read_epoch(path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    path = tmp_path / "models.parquet"
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"pip install 'flopcore\[tables\]'"):
        read_table(path)


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(TypeError, match="int: expected a path or a data frame"):
        read_table(3)  # type: ignore[arg-type]
