"""Peak dense rates of accelerators, from the bundled data file or one of the same schema."""

from __future__ import annotations

import datetime as dt
import difflib
from dataclasses import dataclass
from functools import cache

from .datafile import DataFile, Row, read_bundled
from .quantity import Number

__all__ = ["DTYPES", "Accelerator", "accelerator", "accelerators", "read_accelerators"]

DTYPES = ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "fp4", "int8", "int4")
"""Number formats a peak rate may be given for."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A chip and its peak rates in FLOP/s (operations/s for integer formats), dense, a multiply-accumulate as two.

    `dtype` is the format whose rate is meant when none is named; `peak` pairs each format with its rate.
    """

    name: str
    aliases: tuple[str, ...]
    vendor: str
    released: dt.date | None
    dtype: str
    peak: tuple[tuple[str, Number], ...]
    source: str

    def rate(self, dtype: str | None = None) -> Number:
        """Return the peak rate for `dtype`, or for the chip's default format.

        Raises
        ------
        ValueError
            The chip has no published rate for `dtype`.
        """
        rates = dict(self.peak)
        wanted = self.dtype if dtype is None else dtype
        if wanted not in rates:
            raise ValueError(f"dtype={wanted!r}: {self.name} has rates for {', '.join(rates)}")
        return rates[wanted]

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON types."""
        return {
            "name": self.name,
            "aliases": list(self.aliases),
            "vendor": self.vendor,
            "released": self.released.isoformat() if self.released else None,
            "dtype": self.dtype,
            "peak_flop_per_second": {dtype: int(rate) for dtype, rate in self.peak},
            "source": self.source,
        }


def accelerators() -> tuple[Accelerator, ...]:
    """Return the bundled accelerators in the order of the data file."""
    return _bundled()


def accelerator(name: str) -> Accelerator:
    """Return the bundled accelerator with that name or alias, whatever the case.

    Raises
    ------
    ValueError
        No accelerator is called that; the message offers the nearest names.

    Examples
    --------
    >>> accelerator("H100").rate("bf16")
    989400000000000
    """
    chips = _by_name(_bundled())
    if chip := chips.get(name.strip().lower()):
        return chip
    near = difflib.get_close_matches(name.strip().lower(), chips, n=3) or sorted(
        chip.aliases[0] for chip in _bundled() if chip.aliases
    )
    raise ValueError(f"accelerator={name!r}: unknown; did you mean {', '.join(near)}?")


def read_accelerators(file: DataFile) -> tuple[Accelerator, ...]:
    """Return the accelerators of a parsed data file.

    Raises
    ------
    DataError
        Lists every error of the file, each with its line and a hint.
    """
    chips = []
    names: set[str] = set()
    for row in file.rows("accelerator"):
        chip = _read(row)
        for name in (chip.name.lower(), *chip.aliases):
            if name in names:
                row.fail("aliases", f"{name!r} already names another accelerator", "names and aliases are unique")
            names.add(name)
        chips.append(chip)
    file.check()
    return tuple(chips)


@cache
def _bundled() -> tuple[Accelerator, ...]:
    return read_accelerators(read_bundled("accelerators.toml"))


def _by_name(chips: tuple[Accelerator, ...]) -> dict[str, Accelerator]:
    return {name: chip for chip in chips for name in (chip.name.lower(), *chip.aliases)}


def _read(row: Row) -> Accelerator:
    name = row.text("name")
    peaks = row.table("peak", required=True)
    rates: list[tuple[str, Number]] = []
    if peaks is not None:
        for dtype in DTYPES:
            rate = peaks.number(dtype, required=False, low=10**6, high=10**20)
            if rate is not None:
                rates.append((dtype, rate))
        peaks.done()
    dtype = row.choice("dtype", DTYPES)
    if rates and dtype and dtype not in dict(rates):
        row.fail("dtype", f"no peak rate for {dtype!r}", f"one of {', '.join(dict(rates))}")
    aliases = row.texts("aliases")
    if any(alias != alias.lower() for alias in aliases):
        row.fail("aliases", "an alias has capitals", "write aliases in lower case")
    chip = Accelerator(
        name=name,
        aliases=aliases,
        vendor=row.text("vendor"),
        released=row.date("released"),
        dtype=dtype,
        peak=tuple(rates),
        source=row.text("source"),
    )
    row.done()
    return chip
