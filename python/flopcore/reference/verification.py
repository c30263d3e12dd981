"""Recounts a graph without the compiled core and holds a tally of the core against it, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Literal, Protocol, TypeAlias

from flopcore.conventions import Convention
from flopcore.errors import FlopcoreError

from .counting import Extent, Row, count, count_active_parameters, count_parameters, price
from .graph import At

__all__ = ["VerificationError", "verify"]


class _Symbolic(Protocol):
    def value(self, at: Mapping[str, int], *, on_unknown: Literal["error", "ignore"]) -> int | Fraction: ...


_Count: TypeAlias = "int | Fraction | _Symbolic"


class _CoreExtent(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def nominal(self) -> _Count: ...
    @property
    def used(self) -> _Count: ...
    @property
    def grade(self) -> str: ...


class _CoreRow(Protocol):
    @property
    def block(self) -> int: ...
    @property
    def site(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def op(self) -> str: ...
    @property
    def variant(self) -> tuple[str, ...]: ...
    @property
    def phase(self) -> str: ...
    @property
    def dtypes(self) -> tuple[str, str, str, str]: ...
    @property
    def origin(self) -> str: ...
    @property
    def feature(self) -> str: ...
    @property
    def base(self) -> _Count: ...
    @property
    def extents(self) -> Iterable[_CoreExtent]: ...


class _CoreFrame(Protocol):
    @property
    def parent(self) -> int: ...
    @property
    def block(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def times(self) -> _Count: ...
    @property
    def index(self) -> str: ...


class _Graph(Protocol):
    def to_dict(self) -> dict[str, object]: ...


class _Tally(Protocol):
    @property
    def parameters(self) -> _Count: ...
    @property
    def active_parameters(self) -> _Count: ...
    @property
    def unknown_routers(self) -> tuple[str, ...]: ...
    def blocks(self) -> tuple[str, ...]: ...
    def frames(self) -> Iterable[_CoreFrame]: ...
    def rows(self) -> Iterable[_CoreRow]: ...
    def flop(self, convention: Convention, *, at: Mapping[str, int] | None = None) -> _Count: ...


class VerificationError(FlopcoreError, ArithmeticError):
    """The core and the reference disagree; the message shows the first row that differs."""


def verify(graph: _Graph, tally: _Tally, convention: Convention, *, at: At | None = None) -> int | Fraction:
    """Return what the reference counts, after checking that the core says the same.

    Every row is compared (its op, flags, phase, dtypes, origin, base, extents and repeats), then the number of
    parameters, then the price.

    Parameters
    ----------
    graph
        A `flopcore.Graph`.
    tally
        What `flopcore.count` made of it, symbolic or bound.
    convention
        What to price under.
    at
        The value of each symbolic dim.

    Raises
    ------
    VerificationError
        If anything differs.
    """
    bound = dict(at or {})
    data = graph.to_dict()
    rows = count(data, at=bound)
    ours = _by_key(rows)
    theirs = _by_key(_core_rows(tally, bound))
    for key in sorted(ours.keys() | theirs.keys(), key=lambda key: (key[0], str(key))):
        if ours.get(key) != theirs.get(key):
            raise VerificationError(_difference(key, ours.get(key, 0), theirs.get(key, 0)))
    _compare("parameters", count_parameters(data, at=bound), _value(tally.parameters, bound))
    if not tally.unknown_routers:
        active = count_active_parameters(data, at=bound)
        _compare("active parameters", active, _value(tally.active_parameters, bound))
    total = price(rows, convention)
    _compare(f"the price under {convention.name}", total, _value(tally.flop(convention, at=bound), bound))
    return total


_Dtypes: TypeAlias = tuple[str, str, str, str]
_Key: TypeAlias = tuple[int, str, str, tuple[str, ...], str, _Dtypes, str, str, tuple[Extent, ...], int]


def _by_key(rows: Iterable[Row]) -> dict[_Key, int]:
    """How often each row stands in the count."""
    repeats: dict[_Key, int] = {}
    for row in rows:
        key = (
            *(row.site, row.name, row.op, row.variant, row.phase, row.dtypes, row.origin, row.feature),
            row.extents,
            row.base,
        )
        repeats[key] = repeats.get(key, 0) + row.times
    return {key: times for key, times in repeats.items() if times}


def _core_rows(tally: _Tally, at: At) -> Iterable[Row]:
    """Rows of the core as rows of the reference, once for every way in which their block is run."""
    bases: dict[tuple[int, str, tuple[Extent, ...], int], Row] = {}
    runs = _runs(tally, at)
    for row in tally.rows():
        for number, (indices, recompute) in enumerate(runs[row.block]):
            inner = {**at, **dict(indices)}
            extents = tuple(
                Extent(extent.kind, _integer(extent.nominal, inner), _value(extent.used, inner), extent.grade)
                for extent in row.extents
            )
            identity = (row.site, row.feature, extents, number)
            base = _integer(row.base, inner) + (bases[identity].base if identity in bases else 0)
            phase = "recompute" if recompute else row.phase
            bases[identity] = Row(
                *(row.site, "", row.name, row.op, row.variant, phase, row.dtypes, row.origin, row.feature),
                extents=extents,
                base=base,
                times=runs[row.block][indices, recompute],
            )
    return [row for row in bases.values() if row.base]


# The indices of the loops around a block, and whether it is recomputed.
_Place: TypeAlias = tuple[tuple[tuple[str, int], ...], bool]


def _runs(tally: _Tally, at: At) -> list[dict[_Place, int]]:
    """How often each block is run, arms taken, at each place."""
    runs: list[dict[_Place, int]] = [{} for _ in tally.blocks()]
    runs[-1] = {((), False): 1}
    for frame in sorted(tally.frames(), key=lambda one: -one.parent):  # callers come after their callees
        for (indices, recompute), often in runs[frame.parent].items():
            inner = dict(indices)
            times = _integer(frame.times, {**at, **inner})
            again = recompute or frame.kind == "recompute"
            steps = range(times) if frame.index else range(1)
            for step in steps:
                place = (tuple({**inner, frame.index: step}.items()) if frame.index else indices, again)
                runs[frame.block][place] = runs[frame.block].get(place, 0) + often * (1 if frame.index else times)
    return runs


def _difference(key: _Key, ours: int, theirs: int) -> str:
    site, name, op, variant, phase, dtypes, origin, feature, extents, base = key
    flags = " ".join(variant) or "no flags"
    factors = "".join(f" x {extent.kind} {extent.nominal} or {extent.used}" for extent in extents)
    return (
        f"{op} node {name!r} (#{site}; {flags}, {phase}, {' '.join(dtypes)}, {origin}): "
        f"the row {feature} {base}{factors} stands {ours} times in the reference, {theirs} times in the core"
    )


def _compare(what: str, ours: int | Fraction, theirs: int | Fraction) -> None:
    if ours != theirs:
        raise VerificationError(f"{what}: {ours} in the reference, {theirs} in the core")


def _value(amount: _Count, at: At) -> int | Fraction:
    return amount if isinstance(amount, int | Fraction) else amount.value(at, on_unknown="ignore")


def _integer(amount: _Count, at: At) -> int:
    value = _value(amount, at)
    if not isinstance(value, int):
        raise VerificationError(f"the core counts {value}, which is no integer")
    return value
