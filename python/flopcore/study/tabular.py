"""Rows of a foreign table as text, with the place of each: CSV, Parquet, or a data frame of any library."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from flopcore.errors import DataError

__all__ = ["Frame", "Table", "read_table"]

_MAX_BYTES = 256 * 2**20


@runtime_checkable
class Frame(Protocol):
    """What a data frame must offer: named columns, each readable as a sequence (pandas, polars ...)."""

    @property
    def columns(self) -> object:
        """The columns' names."""

    def __getitem__(self, name: str, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Table:
    """A table: where it came from, its columns, and per row its place and its cells (text, "" where empty).

    `problems` are rows that could not be read.
    """

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, Mapping[str, str]], ...]
    problems: tuple[str, ...] = ()


def read_table(source: str | Path | Frame) -> Table:
    """Return the rows of a file (``.parquet`` needs the extra `tables`, anything else is CSV in UTF-8) or data frame.

    Raises
    ------
    DataError
        The file cannot be read, is too large, or is of another kind.
    """
    if not isinstance(source, str | Path):
        return _from_frame(source, "data frame")
    path = Path(source)
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise DataError(f"{source}: larger than {_MAX_BYTES} bytes; split the file")
        if path.suffix.lower() == ".parquet":
            return _from_parquet(path)
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror}); check the path") from error
    try:
        return _from_csv(str(source), raw.decode("utf-8-sig"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{source}: not a CSV file in UTF-8: {error}") from error


def _from_csv(source: str, text: str) -> Table:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    columns = tuple(reader.fieldnames or ())
    rows: list[tuple[str, Mapping[str, str]]] = []
    problems: list[str] = []
    before = reader.line_num
    for number, row in enumerate(reader, start=1):
        place = f"row {number} (line {before + 1})"
        before = reader.line_num
        if None in row:
            problems.append(f"{place}: has more cells than the {len(columns)} columns")
        else:
            rows.append((place, {name: value or "" for name, value in row.items()}))
    return Table(source, columns, tuple(rows), tuple(problems))


def _from_parquet(path: Path) -> Table:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow; pip install 'flopcore[tables]'") from error
    try:
        found = parquet.read_table(path)
        columns = {name: found.column(name).to_pylist() for name in found.column_names}
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError, and so is text that is not UTF-8
        raise DataError(f"{path}: not a Parquet file: {error}") from error
    return _from_columns(str(path), columns)


def _from_frame(frame: Frame, source: str) -> Table:
    if not isinstance(frame, Frame):
        raise TypeError(f"{type(frame).__name__}: expected a path or a data frame with named columns")
    names = [str(name) for name in _listed(frame.columns)]
    return _from_columns(source, {name: _listed(frame[name]) for name in names})


def _from_columns(source: str, columns: Mapping[str, Sequence[object]]) -> Table:
    names = tuple(columns)
    rows = tuple(
        (f"row {number}", dict(zip(names, map(_text, cells), strict=True)))
        for number, cells in enumerate(zip(*columns.values(), strict=True), start=1)
    )
    return Table(source, names, rows)


def _listed(values: object) -> list[object]:
    for method in ("to_list", "tolist", "to_pylist"):
        if hasattr(values, method):
            return list(getattr(values, method)())
    if isinstance(values, Sequence) and not isinstance(values, str):
        return list(values)
    raise TypeError(f"{type(values).__name__}: not a column that can be read as a list")


def _text(cell: object) -> str:
    """Return a cell as a CSV would have it; a missing one (None, NaN, NaT) as ""."""
    if cell is None or cell != cell:  # NaN and NaT differ from themselves
        return ""
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat()
    if isinstance(cell, dt.date):
        return cell.isoformat()
    if isinstance(cell, list | tuple):
        return ",".join(_text(part) for part in cell)
    return str(cell)
