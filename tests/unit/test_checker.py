"""The TOML checker finds every problem and says where it stands."""

from __future__ import annotations

from fractions import Fraction

import pytest

from flopcore.checker import Array, Flag, Integer, Map, Rational, Report, Table, Text, load, raise_problems
from flopcore.errors import ConventionError, DataError

KIND = Table(
    required={"name": Text(pattern="[a-z]+"), "count": Integer(minimum=1)},
    optional={
        "unit": Text(choices=("MAC", "FLOP")),
        "on": Flag(),
        "weights": Map(Rational(), keys=("mac", "add")),
        "row": Array(Table(required={"op": Text()}), minimum_length=1),
        "free": Map(Integer()),
    },
)


def problems(text: str) -> list[str]:
    with pytest.raises(DataError) as caught:
        load(text, KIND, source="file.toml")
    return [line.strip() for line in str(caught.value).splitlines()]


def test_a_right_document_is_returned() -> None:
    document, report = load('name = "a"\ncount = 2\nweights = { mac = "1/2" }\n', KIND, source="file.toml")
    assert document == {"name": "a", "count": 2, "weights": {"mac": "1/2"}}
    assert report.problems == []


def test_every_problem_is_listed_with_its_line() -> None:
    text = (
        '# comment\nname = "A1"\ncount = 0\nunti = "MAC"\n\n[weights]\nmac = 0.5\nadds = 1\n\n'
        '[[row]]\nop = "x"\n[[row]]\nop = 3\n'
    )
    assert problems(text) == [
        "file.toml: 6 problems",
        "line 2: name: 'A1' is not of the expected form (it must match [a-z]+)",
        "line 3: count: 0 is too small (it must be at least 1)",
        "line 4: unti: unknown key (did you mean 'unit'?)",
        'line 7: weights.mac: 0.5 is a binary float, which is not exact (write it as text: "0.5")',
        "line 8: weights.adds: unknown key (did you mean 'add'?)",
        "line 13: row[1].op: expected text, got an integer (3) (put it in quotes)",
    ]


def test_a_missing_key_is_named() -> None:
    assert problems("count = 1\n")[1:] == ["name: is missing"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('unit = "TON"', "'TON' is not allowed here (allowed: FLOP, MAC)"),
        ("on = 1", "expected true or false, got an integer (1)"),
        ("row = []", "has 0 items (it needs at least 1)"),
        ("row = 1", "expected a list, got an integer (1) (put it in square brackets)"),
        ("weights = 1", "expected a table, got an integer (1)"),
        ('weights = { mac = "one" }', "'one' is not an exact number"),
        ("weights = { mac = true }", "expected an exact number, got a truth value (True)"),
        ("free = { a = true }", "expected an integer, got a truth value (True)"),
    ],
)
def test_a_wrong_value_is_described(line: str, message: str) -> None:
    found = problems(f'name = "a"\ncount = 1\n{line}\n')
    assert len(found) == 2
    assert message in found[1]
    assert found[1].startswith("line 3: ")


def test_values_that_span_lines_do_not_confuse_the_lines() -> None:
    text = 'name = """\ncount = 7\n"""\nrow = [ # [\n  { op = "]" },\n  { op = 1 },\n]\ncount = "x"\n'
    found = problems(text)
    assert found[1].startswith("line 1: name: ")
    assert found[2].startswith("line 4: row[1].op: ")
    assert found[3].startswith("line 8: count: ")


def test_text_that_is_not_toml_is_an_error_of_the_class_asked_for() -> None:
    with pytest.raises(ConventionError, match=r"file\.toml: not valid TOML: .*line 1"):
        load("name = = 1", KIND, source="file.toml", error=ConventionError)


def test_rational_values_are_exact() -> None:
    assert Rational.value("1/3") == Fraction(1, 3)
    assert Rational.value("0.10") == Fraction(1, 10)
    assert type(Rational.value("4/2")) is int


def test_findings_of_a_caller_join_the_report() -> None:
    report = Report({"name": 4})
    raise_problems(report, source="file.toml")
    report.add("name.deeper[2]", "is strange")
    with pytest.raises(DataError, match="line 4: name"):
        raise_problems(report, source="file.toml")
