"""The variates of a sweep, one at a time, in exact rationals rounded where the core rounds; bit for bit.

Every operation is written as an exact rational followed by one rounding to the precision in use, so that a fused
multiply-add needs no hardware. Slow by design.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Literal

__all__ = ["Arithmetic", "Precision", "add_log_linear", "add_normal", "add_table", "add_uniform"]

Precision = Literal["single", "double"]

_TAIL = float.fromhex("0x1.8p-11")  # two-sided tail probability below which the tail polynomial serves


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Binary floating point with this many bits, results rounded to nearest, ties to even."""

    precision: Precision

    @property
    def bits(self) -> int:
        """Width of the significand."""
        return 24 if self.precision == "single" else 53

    @property
    def word_bits(self) -> int:
        """Width of a random word."""
        return 32 if self.precision == "single" else 53

    def round(self, value: Fraction) -> Fraction:
        """Return the nearest representable number, subnormals included; no routine comes near the upper bound."""
        if value == 0:
            return value
        magnitude = abs(value)
        exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length() - self.bits
        quantum = Fraction(2) ** max(exponent, -149 if self.precision == "single" else -1074)
        while magnitude / quantum >= 2**self.bits:
            quantum *= 2
        rounded = round(magnitude / quantum) * quantum  # Fraction.__round__ is half to even
        return rounded if value > 0 else -rounded

    def fma(self, a: Fraction, b: Fraction, c: Fraction) -> Fraction:
        """Return a b + c, rounded once."""
        return self.round(a * b + c)

    def table(self, name: str) -> tuple[int, tuple[Fraction, ...], str]:
        """Return the centre, the coefficients and the form of a polynomial in this precision."""
        return _table(f"{name}_f{32 if self.precision == 'single' else 64}")

    def polynomial(self, name: str, x: Fraction) -> Fraction:
        """Return a polynomial of the table at centre + x, by fused multiply-adds."""
        _, coefficients, form = self.table(name)
        if form == "horner":
            value = coefficients[0]
            for coefficient in coefficients[1:]:
                value = self.fma(value, x, coefficient)
            return value
        square = self.round(x * x)
        if form == "preconditioned":
            value = self.fma(coefficients[0], x, coefficients[1])
            for a, b in zip(coefficients[2::2], coefficients[3::2], strict=True):
                value = self.fma(value, self.round(square - a), b)
            return value
        # Even and odd powers apart.
        first, second = coefficients[0], coefficients[1]
        rest = coefficients[2:]
        for even, odd in zip(rest[0::2], rest[1::2], strict=False):
            first, second = self.fma(first, square, even), self.fma(second, square, odd)
        if len(coefficients) % 2 == 0:
            return self.fma(first, x, second)
        return self.fma(second, x, self.fma(first, square, coefficients[-1]))

    def split(self, x: Fraction) -> tuple[int, Fraction]:
        """Return e and f where x = 2^e (1 + f) and sqrt(1/2) <= 1 + f < sqrt(2), the bounds rounded."""
        root_half = Fraction(float.fromhex("0x1.6a09e6p-1" if self.precision == "single" else "0x1.6a09e667f3bcdp-1"))
        e = math.floor(math.log2(x)) - 1
        while x >= root_half * Fraction(2) ** (e + 1):
            e += 1
        return e, x / Fraction(2) ** e - 1

    def log(self, x: Fraction) -> Fraction:
        """Return the natural logarithm of a positive number through the polynomial of log(1 + f) / f."""
        e, f = self.split(x)
        ln2 = Fraction(float.fromhex("0x1.62e430p-1" if self.precision == "single" else "0x1.62e42fefa39efp-1"))
        return self.fma(Fraction(e), ln2, self.round(f * self.polynomial("log", f)))

    def two_tails(self, word: int) -> tuple[Fraction, int]:
        """Return twice the tail probability of u = (word + 1/2) / 2^width, and the sign of u - 1/2."""
        width = 32 if self.precision == "single" else 53
        above = word >> (width - 1)
        tail = (2**width - 1 - word) if above else word
        if self.precision == "single":
            rounded = self.round(Fraction(tail))  # the conversion of an integer to float32 rounds
            return self.fma(rounded, Fraction(1, 2**31), Fraction(1, 2**32)), 1 if above else -1
        return Fraction(2 * tail + 1, 2**53), 1 if above else -1

    def centred(self, word: int) -> Fraction:
        """Return 2 u - 1."""
        o, sign = self.two_tails(word)
        return sign * self.round(1 - o)

    def normal(self, word: int) -> Fraction:
        """Return the normal quantile of u."""
        o, sign = self.two_tails(word)
        x = self.round(1 - o)
        if o >= Fraction(_TAIL):
            y = self.fma(o, x, o)
            top = self.round(x * self.polynomial("icdf_top", y))
            return sign * self.round(top / self.polynomial("icdf_bottom", y))
        e, f = self.split(self.round(o * self.round(2 - o)))
        part = "icdf_tail"
        level = self.fma(f, self.polynomial("log2", f - self.table("log2")[0]), Fraction(e - self.table(part)[0]))
        return sign * self.round(x * self.polynomial(part, level))


@cache
def _table(name: str) -> tuple[int, tuple[Fraction, ...], str]:
    path = Path(__file__).resolve().parent.parent / "data" / "polynomials.json"
    row = json.loads(path.read_text(encoding="utf-8"))[name]
    return (
        int(row["centre"]),
        tuple(Fraction(float.fromhex(text)) for text in row["coefficients"]),
        row["form"],
    )


def add_normal(precision: Precision, word: int, scale: Fraction, total: Fraction) -> Fraction:
    """Return total + scale * z, rounded once."""
    arithmetic = Arithmetic(precision)
    return arithmetic.fma(arithmetic.round(scale), arithmetic.normal(word), total)


def add_uniform(precision: Precision, word: int, scale: Fraction, total: Fraction) -> Fraction:
    """Return total + scale * (2 u - 1), rounded once."""
    arithmetic = Arithmetic(precision)
    return arithmetic.fma(arithmetic.round(scale), arithmetic.centred(word), total)


def add_log_linear(precision: Precision, word: int, half: Fraction, scale: Fraction, total: Fraction) -> Fraction:
    """Return total + scale * ln(1 + half * (2 u - 1)), the sum and the argument rounded once each."""
    arithmetic = Arithmetic(precision)
    argument = arithmetic.fma(arithmetic.round(half), arithmetic.centred(word), Fraction(1))
    return arithmetic.fma(arithmetic.round(scale), arithmetic.log(argument), total)


def add_table(
    precision: Precision,
    word: int,
    starts: Sequence[int],
    rows: Sequence[Sequence[Fraction]],
    scale: Fraction,
    total: Fraction,
) -> Fraction:
    """Return total + scale * the quantile of a table, which is found in double in either precision, then rounded."""
    arithmetic, double = Arithmetic(precision), Arithmetic("double")
    wide = (word << 21) + (1 << 20) if precision == "single" else word
    row = rows[max(i for i, start in enumerate(starts) if start <= wide)]
    width = 32 if precision == "single" else 53
    tail = min(word, 2**width - 1 - word)
    s = double.round(double.round(Fraction(2 * tail + 1, 2**width) - row[0]) * row[1])
    value = row[2]
    for power in row[3:8]:
        value = double.fma(value, s, power)
    return arithmetic.fma(arithmetic.round(scale), arithmetic.round(min(max(value, row[8]), row[9])), total)
