"""Read a TOML data file exactly (no number passes through float) and report every error in it with line and hint."""

from __future__ import annotations

import contextlib
import datetime as dt
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import resources
from pathlib import Path

from .checker import Report, key_lines, raise_problems
from .errors import DataError
from .quantity import Number, parse_quantity

__all__ = ["DataFile", "Row", "read_bundled", "read_toml"]

_MAX_BYTES = 16 * 2**20


class _Exact(Fraction):
    """A TOML float kept exactly: a Fraction that remembers how it was written."""

    text: str

    def __new__(cls, text: str) -> _Exact:
        value = parse_quantity(text)
        self = super().__new__(cls, value)
        self.text = text
        return self


@dataclass(slots=True)
class DataFile:
    """A parsed TOML file and the report of what is wrong with it."""

    name: str
    data: Mapping[str, object]
    report: Report

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the entries of the array of tables ``[[table]]``."""
        entries = self.data.get(table)
        if not isinstance(entries, list) or not entries:
            self.report.add(table, "no row", f"each row starts with a line [[{table}]]")
            return
        for index, entry in enumerate(entries):
            if isinstance(entry, Mapping):
                yield Row(f"{table}[{index}]", entry, self.report)
            else:
                self.report.add(f"{table}[{index}]", "is not a table", f"each row starts with a line [[{table}]]")

    def top(self) -> Row:
        """Return the file itself as a row, for what stands outside every table of rows."""
        return Row("", self.data, self.report)

    def check(self) -> None:
        """Raise one DataError that lists every problem noted so far; do nothing when there is none."""
        raise_problems(self.report, source=self.name)


@dataclass(slots=True)
class Row:
    """One table of a data file; each reader notes a problem and returns a stand-in instead of raising."""

    path: str
    entry: Mapping[str, object]
    report: Report
    seen: set[str] = field(default_factory=set)

    def fail(self, column: str, message: str, hint: str) -> None:
        """Note a problem with `column` of this row."""
        self.report.add(f"{self.path}.{column}" if self.path else column, message, hint)

    def text(self, column: str, *, required: bool = True) -> str:
        """Return a non-empty text, or ``""``."""
        value = self._get(column, required)
        if value is None:
            return ""
        if not isinstance(value, str) or not value.strip():
            self.fail(column, f"{value!r} is not a text", "write it in double quotes")
            return ""
        return value

    def texts(self, column: str) -> tuple[str, ...]:
        """Return a list of texts, empty when absent."""
        value = self._get(column, False)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            self.fail(column, f"{value!r} is not a list of texts", 'write ["one", "two"]')
            return ()
        return tuple(value)

    def choice(self, column: str, allowed: tuple[str, ...], *, default: str = "") -> str:
        """Return one of `allowed`."""
        value = self._get(column, not default)
        if value is None:
            return default
        if value not in allowed:
            self.fail(column, f"{value!r} is not allowed", f"one of {', '.join(allowed)}")
            return default
        return str(value)

    def number(
        self, column: str, *, required: bool = True, low: Number | None = None, high: Number | None = None
    ) -> Number | None:
        """Return an exact number within ``[low, high]``, or None."""
        value = self._get(column, required)
        if value is None:
            return None
        try:
            if not isinstance(value, int | float | str | Fraction):
                raise TypeError(f"{value!r} is not a number")
            number = parse_quantity(value)
        except (TypeError, ValueError) as error:
            self.fail(column, str(error), "write 405e9, 30_800_000 or '10^25'")
            return None
        if (low is not None and number < low) or (high is not None and number > high):
            bounds = f"{'-inf' if low is None else low} to {'inf' if high is None else high}"
            self.fail(column, f"{value} is out of range", f"{bounds} is plausible")
            return None
        return number

    def written(self, column: str) -> str:
        """Return how the number in `column` was written in the file."""
        value = self.entry.get(column)
        return value.text if isinstance(value, _Exact) else str(value)

    def flag(self, column: str, *, default: bool | None = None) -> bool | None:
        """Return a truth value, or `default` when absent."""
        value = self._get(column, False)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fail(column, f"{value!r} is not a truth value", "write true or false, without quotes")
            return default
        return value

    def date(self, column: str, *, required: bool = True) -> dt.date | None:
        """Return a date between 1940 and 2100, or None."""
        value = self._get(column, required)
        if value is None:
            return None
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = dt.date.fromisoformat(value)
        if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
            self.fail(column, f"{value!r} is not a date", "write 2024-07-23")
            return None
        if not 1940 <= value.year <= 2100:
            self.fail(column, f"year {value.year} is out of range", "1940 to 2100 is plausible")
            return None
        return value

    def table(self, column: str, *, required: bool = False) -> Row | None:
        """Return a nested table as a row of its own, or None."""
        value = self._get(column, required)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.fail(column, f"{value!r} is not a table", "write { name = value, ... }")
            return None
        return Row(f"{self.path}.{column}" if self.path else column, value, self.report)

    def done(self) -> None:
        """Note every column that nobody asked for."""
        known = ", ".join(sorted(self.seen))
        for column in self.entry:
            if column not in self.seen:
                self.fail(column, "unknown key", f"known here: {known}")

    def _get(self, column: str, required: bool) -> object | None:
        self.seen.add(column)
        value = self.entry.get(column)
        if value is None and required:
            self.fail(column, "is missing", f"add {column} = ...")
        return value


def read_toml(path: str | Path) -> DataFile:
    """Return the TOML file at `path`, its floats kept as exact fractions.

    Raises
    ------
    DataError
        The file cannot be read, is too large, or is not TOML.
    """
    name = str(path)
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror}); check the path") from error
    return _parse(name, raw)


def read_bundled(name: str) -> DataFile:
    """Return the data file `name` that ships with the package."""
    return _parse(name, resources.files("flopcore").joinpath("data", name).read_bytes())


def _parse(name: str, raw: bytes) -> DataFile:
    if len(raw) > _MAX_BYTES:
        raise DataError(f"{name}: larger than {_MAX_BYTES} bytes; split the file")
    try:
        text = raw.decode("utf-8")
        return DataFile(name, tomllib.loads(text, parse_float=_Exact), Report(key_lines(text)))
    except (UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{name}: not a TOML file: {error}") from error
