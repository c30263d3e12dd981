from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from flopcore.quantity import Interval, parse_interval, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("405e9", 405 * 10**9),
        ("15.6e12", 15_600_000_000_000),
        ("3.8e25", 38 * 10**24),
        ("10^26", 10**26),
        ("10^25/3", Fraction(10**25, 3)),
        ("30_800_000", 30_800_000),
        (".5", Fraction(1, 2)),
        ("1e-3", Fraction(1, 1000)),
        (1e23, 10**23),
        (3.8e25, 38 * 10**24),
        (0.1, Fraction(1, 10)),
        (Decimal("0.45"), Fraction(9, 20)),
        (Fraction(6, 3), 2),
    ],
)
def test_a_quantity_is_exact(text: object, value: object) -> None:
    parsed = parse_quantity(text)  # type: ignore[arg-type]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", ["", "x", "1e", "1e9999999999", "nan", "inf", "1/0", "1..2", "10^10^10", "9" * 300])
def test_a_bad_text_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(ValueError, match="tokens="):
        parse_quantity(text, name="tokens")


def test_a_wrong_kind_is_a_type_error() -> None:
    for value in (True, None, [1]):
        with pytest.raises(TypeError, match="hours="):
            parse_quantity(value, name="hours")  # type: ignore[arg-type]


def test_an_interval_keeps_exact_ends() -> None:
    assert parse_interval("0.35..0.45") == Interval(Fraction(7, 20), Fraction(9, 20))
    assert parse_interval("1e12..2e12") == Interval(10**12, 2 * 10**12)
    assert parse_interval("7") == 7
    assert str(parse_interval("1e3..2e3")) == "1000..2000"


@pytest.mark.parametrize("text", ["2..1", "0..1", "-1..1", "1..1", "..", "1..", "a..b"])
def test_a_bad_interval_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="utilisation"):
        parse_interval(text, name="utilisation")
