"""Exact quantities read from text, numbers and data files; relies on nothing but the standard library."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from numbers import Integral
from typing import TypeAlias

__all__ = ["Interval", "Number", "Quantity", "exact", "parse_interval", "parse_quantity"]

Number: TypeAlias = int | Fraction
"""An exact number: an ``int`` where the value is whole, a ``Fraction`` where it is not."""

_MAX_TEXT = 200
_MAX_EXPONENT = 400
_DECIMAL = re.compile(r"[+-]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d{1,4})?")
_POWER = re.compile(r"(\d{1,6})\^(\d{1,4})")


@dataclass(frozen=True, slots=True)
class Interval:
    """A positive quantity known as a 90 % interval ``[low, high]``.

    What lies between the two ends (lognormal, uniform ...) is the reader's choice and is stated where it is made.
    """

    low: Number
    high: Number

    def __post_init__(self) -> None:
        """Refuse an interval that is empty, a point, or not positive."""
        if not 0 < self.low < self.high:
            raise ValueError(f"interval {self.low}..{self.high}: expected 0 < low < high")

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


Quantity: TypeAlias = Number | Interval
"""An exact number, or an interval where the number is uncertain."""


def exact(value: Fraction) -> Number:
    """Return `value` as an ``int`` when it is whole, unchanged otherwise."""
    return value.numerator if value.denominator == 1 else value


def parse_quantity(value: int | float | str | Decimal | Fraction, *, name: str = "value") -> Number:
    """Return the exact number that `value` denotes.

    Parameters
    ----------
    value : int, float, str, Decimal or Fraction
        Text may be a decimal (``"405e9"``, ``"15.6e12"``, ``"30_800_000"``), a power (``"10^25"``) or a quotient of
        two such texts (``"10^25/3"``). A float stands for its shortest decimal text, so ``3.8e25`` is exactly
        38 followed by 24 zeros.
    name : str
        What the value is called in an error message.

    Returns
    -------
    int or Fraction
        An ``int`` when the value is whole.

    Raises
    ------
    TypeError
        `value` is not a number or text.
    ValueError
        The text is not a number, is not finite, divides by zero, or has an absurd exponent.

    Examples
    --------
    >>> parse_quantity("405e9")
    405000000000
    >>> parse_quantity("10^25/3")
    Fraction(10000000000000000000000000, 3)
    >>> parse_quantity("0.35")
    Fraction(7, 20)
    """
    if isinstance(value, bool):
        raise TypeError(f"{name}={value!r}: expected a number, not a truth value")
    if isinstance(value, int):
        return value
    if isinstance(value, Fraction):
        return exact(value)
    if isinstance(value, float):
        return _parse_text(repr(float(value)), name)  # numpy's float64 is a float with another repr
    if isinstance(value, Decimal):
        return _parse_text(str(value), name)
    if isinstance(value, str):
        return _parse_text(value.strip(), name)
    if isinstance(value, Integral):  # of numpy
        return int(value)
    raise TypeError(f"{name}={value!r}: expected a number or its text, not {type(value).__name__}")


def parse_interval(value: int | float | str | Decimal | Fraction | Interval, *, name: str = "value") -> Quantity:
    """Return the number or the interval that `value` denotes.

    Parameters
    ----------
    value : int, float, str, Decimal, Fraction or Interval
        As for :func:`parse_quantity`, and text ``"low..high"`` for a 90 % interval.
    name : str
        What the value is called in an error message.

    Returns
    -------
    int, Fraction or Interval
        The exact number, or the interval with exact ends.

    Raises
    ------
    ValueError
        An end is not a number, or not ``0 < low < high``.

    Examples
    --------
    >>> parse_interval("0.35..0.45")
    Interval(low=Fraction(7, 20), high=Fraction(9, 20))
    """
    if isinstance(value, Interval):
        return value
    if isinstance(value, str) and ".." in value:
        low_text, _, high_text = value.partition("..")
        low = parse_quantity(low_text, name=f"{name} (low end)")
        high = parse_quantity(high_text, name=f"{name} (high end)")
        if not 0 < low < high:
            raise ValueError(f"{name}={value!r}: an interval is written low..high with 0 < low < high")
        return Interval(low, high)
    return parse_quantity(value, name=name)


def _parse_text(text: str, name: str) -> Number:
    shown = text if len(text) <= 40 else text[:37] + "..."
    if len(text) > _MAX_TEXT:
        raise ValueError(f"{name}={shown!r}: longer than {_MAX_TEXT} characters")
    above, slash, below = text.partition("/")
    numerator = _parse_term(above.strip(), shown, name)
    if not slash:
        return exact(numerator)
    denominator = _parse_term(below.strip(), shown, name)
    if denominator == 0:
        raise ValueError(f"{name}={shown!r}: division by zero")
    return exact(numerator / denominator)


def _parse_term(term: str, shown: str, name: str) -> Fraction:
    if power := _POWER.fullmatch(term):
        exponent = int(power[2])
        if exponent <= _MAX_EXPONENT:
            return Fraction(int(power[1]) ** exponent)
    elif _DECIMAL.fullmatch(term):
        if abs(int(term.lower().partition("e")[2] or "0")) <= _MAX_EXPONENT:
            return Fraction(term.replace("_", ""))
    else:
        raise ValueError(f"{name}={shown!r}: not a number; write 405e9, 30_800_000, 10^25 or 10^25/3")
    raise ValueError(f"{name}={shown!r}: exponent beyond {_MAX_EXPONENT}")
