"""Checks a TOML document against a description of it and reports every error with path, line and hint."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from typing import Protocol

from .errors import DataError, FlopcoreError

__all__ = [
    "Array",
    "Flag",
    "Integer",
    "Kind",
    "Map",
    "Problem",
    "Rational",
    "Report",
    "Table",
    "Text",
    "key_lines",
    "load",
    "raise_problems",
]

_RATIONAL = re.compile(r"-?\d+(/[1-9]\d*|\.\d+)?")
_TABLE_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a document: where, what, and what to do about it."""

    path: str
    message: str
    hint: str = ""
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.path or 'document'}: {self.message}{hint}"


@dataclass(slots=True)
class Report:
    """The problems found so far in one document, each with the line its path stands on."""

    lines: Mapping[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: str, message: str, hint: str = "") -> None:
        """Record a problem at a path such as ``override[2].match.op[0]``."""
        self.problems.append(Problem(path, message, hint, self._line(path)))

    def _line(self, path: str) -> int | None:
        while path:
            if path in self.lines:
                return self.lines[path]
            cut = max(path.rfind("."), path.rfind("["))
            path = path[:cut] if cut > 0 else ""
        return None


class Kind(Protocol):
    """What a value of a document may be."""

    def check(self, value: object, path: str, report: Report) -> None:
        """Report all that is wrong with the value at this path."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A non-empty string, one of ``choices`` if they are given, matching ``pattern`` if it is."""

    choices: tuple[str, ...] = ()
    pattern: str = ""

    def check(self, value: object, path: str, report: Report) -> None:
        """Report all that is wrong with the value at this path."""
        if not isinstance(value, str):
            report.add(path, f"expected text, got {_described(value)}", "put it in quotes")
        elif not value.strip():
            report.add(path, "is empty", "say something or remove the key")
        elif self.choices and value not in self.choices:
            report.add(path, f"{value!r} is not allowed here", _suggestion(value, self.choices))
        elif self.pattern and not re.fullmatch(self.pattern, value):
            report.add(path, f"{value!r} is not of the expected form", f"it must match {self.pattern}")


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer, not below ``minimum`` and not above ``maximum`` if these are given."""

    minimum: int | None = None
    maximum: int | None = None

    def check(self, value: object, path: str, report: Report) -> None:
        """Report all that is wrong with the value at this path."""
        if isinstance(value, bool) or not isinstance(value, int):
            report.add(path, f"expected an integer, got {_described(value)}")
        elif self.minimum is not None and value < self.minimum:
            report.add(path, f"{value} is too small", f"it must be at least {self.minimum}")
        elif self.maximum is not None and value > self.maximum:
            report.add(path, f"{value} is too large", f"it must be at most {self.maximum}")


@dataclass(frozen=True, slots=True)
class Rational:
    """An exact number of at most 18 digits: an integer, or text such as "1/2" or "0.25" (a float is not exact)."""

    def check(self, value: object, path: str, report: Report) -> None:
        """Report all that is wrong with the value at this path."""
        if isinstance(value, float):
            report.add(path, f"{value!r} is a binary float, which is not exact", f'write it as text: "{value!r}"')
        elif isinstance(value, bool) or not isinstance(value, int | str):
            report.add(path, f"expected an exact number, got {_described(value)}", 'write 2, "1/2" or "0.25"')
        elif isinstance(value, str) and not _RATIONAL.fullmatch(value):
            report.add(path, f"{value!r} is not an exact number", 'write 2, "1/2" or "0.25"')
        elif len(str(value)) > 40 or max(abs(Fraction(value).numerator), Fraction(value).denominator) >= 10**18:
            report.add(path, "has too many digits", "numerator and denominator have at most 18")

    @staticmethod
    def value(value: int | str) -> int | Fraction:
        """Return the exact value of something that passed the check."""
        number = Fraction(value)
        return int(number) if number.denominator == 1 else number


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def check(self, value: object, path: str, report: Report) -> None:
        """Report all that is wrong with the value at this path."""
        if not isinstance(value, bool):
            report.add(path, f"expected true or false, got {_described(value)}")


@dataclass(frozen=True, slots=True)
class Array:
    """A list of items of one kind."""

    item: Kind
    minimum_length: int = 0

    def check(self, value: object, path: str, report: Report) -> None:
        """Report all that is wrong with the value at this path."""
        if not isinstance(value, list):
            report.add(path, f"expected a list, got {_described(value)}", "put it in square brackets")
            return
        if len(value) < self.minimum_length:
            report.add(path, f"has {len(value)} items", f"it needs at least {self.minimum_length}")
        for index, item in enumerate(value):
            self.item.check(item, f"{path}[{index}]", report)


@dataclass(frozen=True, slots=True)
class Map:
    """A table whose keys are free, or taken from ``keys``, and whose values are of one kind."""

    value: Kind
    keys: tuple[str, ...] = ()

    def check(self, value: object, path: str, report: Report) -> None:
        """Report all that is wrong with the value at this path."""
        if not isinstance(value, dict):
            report.add(path, f"expected a table, got {_described(value)}")
            return
        for key, item in value.items():
            if self.keys and key not in self.keys:
                report.add(_joined(path, key), "unknown key", _suggestion(key, self.keys))
            else:
                self.value.check(item, _joined(path, key), report)


@dataclass(frozen=True, slots=True)
class Table:
    """A table with named fields, some of which may be left out."""

    required: Mapping[str, Kind]
    optional: Mapping[str, Kind] = field(default_factory=dict)

    def check(self, value: object, path: str, report: Report) -> None:
        """Report all that is wrong with the value at this path."""
        if not isinstance(value, dict):
            report.add(path, f"expected a table, got {_described(value)}")
            return
        for key in self.required:
            if key not in value:
                report.add(_joined(path, key), "is missing")
        known = {**self.required, **self.optional}
        for key, item in value.items():
            if key in known:
                known[key].check(item, _joined(path, key), report)
            else:
                report.add(_joined(path, key), "unknown key", _suggestion(key, tuple(known)))


def load(
    text: str, kind: Kind, *, source: str, error: type[FlopcoreError] = DataError
) -> tuple[dict[str, object], Report]:
    """Return the document in a TOML text and a report to add further findings to.

    Parameters
    ----------
    text
        The TOML text.
    kind
        What the document must be; usually a `Table`.
    source
        Name of the file, for messages.
    error
        The error class to raise.

    Returns
    -------
    tuple
        The parsed document and its (so far clean) report.

    Raises
    ------
    FlopcoreError
        Of class `error`, listing every problem, when the text is not TOML or not of the kind.
    """
    try:
        document = tomllib.loads(text)
    except ValueError as caught:  # not TOML, or an integer of thousands of digits
        raise error(f"{source}: not valid TOML: {caught}") from None
    except RecursionError:
        raise error(f"{source}: not valid TOML: brackets are nested too deep") from None
    report = Report(key_lines(text))
    kind.check(document, "", report)
    raise_problems(report, source=source, error=error)
    return document, report


def raise_problems(report: Report, *, source: str, error: type[FlopcoreError] = DataError) -> None:
    """Raise one error that lists every problem of a report, or return if there is none."""
    if report.problems:
        ordered = sorted(report.problems, key=lambda problem: (problem.line is None, problem.line or 0))
        count = "1 problem" if len(ordered) == 1 else f"{len(ordered)} problems"
        raise error(f"{source}: {count}\n" + "\n".join(f"  {problem}" for problem in ordered))


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _described(value: object) -> str:
    names = {bool: "a truth value", int: "an integer", float: "a float", str: "text", list: "a list", dict: "a table"}
    return f"{names.get(type(value), type(value).__name__)} ({value!r})"


def _suggestion(name: str, allowed: Sequence[str]) -> str:
    close = get_close_matches(name, allowed, n=1)
    return f"did you mean {close[0]!r}?" if close else "allowed: " + ", ".join(sorted(allowed))


def key_lines(text: str) -> dict[str, int]:
    """Return the line of each key and table header by its path; values that span lines are skipped over."""
    lines: dict[str, int] = {}
    counters: dict[str, int] = {}
    prefix = ""
    open_until = _Continuation()
    for number, line in enumerate(text.splitlines(), start=1):
        if open_until.pending:
            open_until.feed(line)
            continue
        header = _TABLE_HEADER.match(line)
        if header:
            prefix = _resolved([_unquoted(part) for part in _KEY_PART.findall(header[2])], counters, header[1] == "[[")
            lines.setdefault(prefix, number)
            continue
        key = _KEY.match(line)
        if key:
            path = prefix
            for part in _KEY_PART.findall(key[1]):
                path = _joined(path, _unquoted(part))
                lines.setdefault(path, number)
            open_until.feed(line[key.end() :])
    return lines


def _resolved(parts: list[str], counters: dict[str, int], is_array: bool) -> str:
    path = ""
    for index, part in enumerate(parts):
        path = _joined(path, part)
        if is_array and index == len(parts) - 1:
            counters[path] = counters.get(path, -1) + 1
        if path in counters:
            path = f"{path}[{counters[path]}]"
    return path


def _unquoted(part: str) -> str:
    return part[1:-1] if part[0] in "\"'" else part


@dataclass(slots=True)
class _Continuation:
    """Follows a value over lines: inside brackets or a triple-quoted string the next line is no key."""

    depth: int = 0
    quote: str = ""

    @property
    def pending(self) -> bool:
        return self.depth > 0 or bool(self.quote)

    def feed(self, text: str) -> None:
        position = 0
        while position < len(text):
            if self.quote:
                position = self._inside_quote(text, position)
                continue
            character = text[position]
            if character == "#":
                return
            if character in "\"'":
                triple = text[position : position + 3]
                self.quote = triple if triple in ('"""', "'''") else character
                position += len(self.quote)
                continue
            self.depth += (character in "[{") - (character in "]}")
            position += 1
        if len(self.quote) == 1:
            self.quote = ""

    def _inside_quote(self, text: str, position: int) -> int:
        if self.quote[0] == '"' and text[position] == "\\":
            return position + 2
        if text.startswith(self.quote, position):
            closed = position + len(self.quote)
            self.quote = ""
            return closed
        return position + 1
