"""Sobol' points and their scramble, one word at a time, from the direction numbers' polynomials."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

__all__ = ["owen_scramble", "sobol_word"]

_M32 = 2**32 - 1


@cache
def _directions(dimension: int) -> tuple[int, ...]:
    """Return 32 direction numbers as binary fractions of 32 bits (Joe and Kuo 2008, section 2)."""
    text = (Path(__file__).resolve().parent.parent / "data" / "sobol.json").read_text(encoding="utf-8")
    row = json.loads(text)["dimensions"][dimension]
    numbers, polynomial = list(row["initial"]), int(row["polynomial"])
    degree = len(numbers)
    if degree == 0:
        return tuple(2 ** (31 - k) for k in range(32))
    for k in range(degree, 32):
        number = numbers[k - degree]
        for j in range(1, degree + 1):
            if polynomial & 2 ** (degree - j):
                number ^= 2**j * numbers[k - j]
        numbers.append(number)
    return tuple(number * 2 ** (31 - k) for k, number in enumerate(numbers))


def sobol_word(dimension: int, index: int) -> int:
    """Return coordinate of a point, times 2^32: the exclusive or of the numbers of the index's binary digits."""
    word = 0
    for k, direction in enumerate(_directions(dimension)):
        if index & 2**k:
            word ^= direction
    return word


def owen_scramble(word: int, seed: int) -> int:
    """Return a word whose digits are permuted, each as a function of those above it (Burley 2020, listing 3)."""
    x = int(f"{word:032b}"[::-1], 2)
    x = (x + seed) & _M32
    for factor in (0x6C50B47C, 0xB82F1E52, 0xC7AFE638, 0x8D22F6E6):
        x ^= (x * factor) & _M32
    return int(f"{x:032b}"[::-1], 2)
