"""Compute thresholds: the line itself (`Threshold`) and the law, rule or bill it stands in (`ThresholdPolicy`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

from .datafile import DataFile, Row, read_bundled
from .quantity import Number, parse_quantity

__all__ = ["Comparator", "Measure", "Threshold", "ThresholdPolicy", "read_thresholds", "separating", "thresholds"]

Comparator = Literal[">", ">="]
Measure = Literal["training_compute", "modification_compute", "cluster_rate"]

_COMPARATORS = (">", ">=")
_MEASURES = ("training_compute", "modification_compute", "cluster_rate")
_OPERATIONS = ("fp", "int_or_fp", "any")
_GRADES = ("V", "S")
_STATUSES = (
    "in_force",
    "enacted_not_yet_effective",
    "codified_not_enforced",
    "rescinded",
    "vetoed",
    "superseded",
    "lapsed",
    "proposed",
    "draft",
)


@dataclass(frozen=True, slots=True)
class Threshold:
    """An exact line in FLOP with its own comparator.

    Parameters
    ----------
    name : str
        Label of the line in results.
    value : int, Fraction or text
        The line, kept as an exact number. A float stands for its shortest decimal text (``1e25`` is 10^25, though as a
        double it lies above).
    comparator : {">", ">="}
        Which side a value exactly on the line is.
    """

    name: str
    value: Number
    comparator: Comparator = ">"

    def __post_init__(self) -> None:
        """Make the value exact; refuse one that is not positive, and an unknown comparator."""
        object.__setattr__(self, "value", parse_quantity(self.value, name=f"threshold {self.name!r}"))
        if self.value <= 0:
            raise ValueError(f"threshold {self.name!r}: value {self.value} is not positive")
        if self.comparator not in _COMPARATORS:
            raise ValueError(
                f"threshold {self.name!r}: comparator={self.comparator!r}; one of {', '.join(_COMPARATORS)}"
            )

    def is_exceeded_by(self, flop: Number) -> bool:
        """Return whether an exact FLOP count is over the line, compared exactly.

        Examples
        --------
        >>> Threshold("EU", 10**25, ">").is_exceeded_by(10**25)
        False
        >>> Threshold("KR", 10**26, ">=").is_exceeded_by(10**26)
        True
        """
        return flop > self.value if self.comparator == ">" else flop >= self.value


def separating(points: Sequence[Fraction], line: Threshold, single: bool) -> Fraction | None:
    """Return a number between the points over a line and the others, where one is so near that rounding could hide it.

    None where no point is near, so that the line itself will do, or where points of both sides are too near each other.
    """
    value = Fraction(line.value)
    near = value / (1 << (14 if single else 38))
    if not any(abs(point - value) <= near for point in points):
        return None
    over = [point for point in points if line.is_exceeded_by(point)]
    under = [point for point in points if not line.is_exceeded_by(point)]
    above = min(over) if over else value + value / 1024
    below = max(under) if under else value - value / 1024
    return (above + below) / 2 if above - below > 4 * near else None


@dataclass(frozen=True, slots=True)
class ThresholdPolicy:
    """A static threshold with the text it stands in; see docs/DATA.md for the fields."""

    id: str
    jurisdiction: str
    instrument: str
    kind: str
    value: Number
    comparator: Comparator
    measures: Measure
    operations: str
    counts: str
    counting_basis: str
    modality: str
    domains: tuple[str, ...]
    conditions: tuple[str, ...]
    binding: bool
    status: str
    applies: dt.date | None
    ends: dt.date | None
    dates: tuple[tuple[str, str], ...]
    grade: str
    source: str

    @property
    def threshold(self) -> Threshold:
        """The line alone, named by the policy's id."""
        return Threshold(self.id, self.value, self.comparator)

    def is_in_force(self, day: dt.date) -> bool:
        """Return whether the duty tied to the threshold was in force on `day`.

        Proposed, vetoed, superseded, lapsed and draft texts never are; neither is a text that is codified but that
        its agency announced not to enforce (its status says so, and `conditions` tell more).
        """
        return self.applies is not None and self.applies <= day and (self.ends is None or day < self.ends)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON types; a fractional value becomes the text ``"p/q"``."""
        return {
            "id": self.id,
            "jurisdiction": self.jurisdiction,
            "instrument": self.instrument,
            "kind": self.kind,
            "threshold": self.value if isinstance(self.value, int) else str(self.value),
            "comparator": self.comparator,
            "measures": self.measures,
            "operations": self.operations,
            "counts": self.counts,
            "counting_basis": self.counting_basis,
            "modality": self.modality or None,
            "domains": list(self.domains),
            "conditions": list(self.conditions),
            "binding": self.binding,
            "status": self.status,
            "applies": self.applies.isoformat() if self.applies else None,
            "ends": self.ends.isoformat() if self.ends else None,
            "dates": dict(self.dates),
            "grade": self.grade,
            "source": self.source,
        }


def thresholds(
    in_force: str | dt.date | None = None,
    *,
    ids: Iterable[str] | None = None,
    measures: Measure | None = "training_compute",
) -> tuple[ThresholdPolicy, ...]:
    """Return the bundled thresholds, in the order of the data file.

    Parameters
    ----------
    in_force : str or date, optional
        Only those whose duty was in force on that day (``"2026-11-22"``); all texts, bills and rescinded ones
        included, when absent.
    ids : iterable of str, optional
        Only these, in this order.
    measures : {"training_compute", "modification_compute", "cluster_rate"} or None
        What the value is held against. The default leaves out lines that a model's training FLOP must never be
        compared with; None returns all.

    Raises
    ------
    ValueError
        An unknown id or measure, or a text that is not a date.

    Examples
    --------
    >>> [policy.id for policy in thresholds("2025-09-01") if policy.jurisdiction == "EU"]
    ['eu_aia_51_2', 'eu_gpai_indicative']
    >>> thresholds(ids=["kr_ai_basic_act"])[0].comparator
    '>='
    """
    if measures is not None and measures not in _MEASURES:
        raise ValueError(f"measures={measures!r}: one of {', '.join(_MEASURES)}, or None")
    day = _day(in_force)
    known = _bundled()
    if ids is not None:
        by_id = {policy.id: policy for policy in known}
        wanted = list(ids)
        unknown = [name for name in wanted if name not in by_id]
        if unknown:
            raise ValueError(f"ids={unknown!r}: unknown; one of {', '.join(by_id)}")
        known = tuple(by_id[name] for name in wanted)
        measures = None
    return tuple(
        policy
        for policy in known
        if (measures is None or policy.measures == measures) and (day is None or policy.is_in_force(day))
    )


def read_thresholds(file: DataFile) -> tuple[ThresholdPolicy, ...]:
    """Return the policies of a parsed thresholds file.

    Raises
    ------
    DataError
        Lists every error of the file, each with its line and a hint.
    """
    policies: list[ThresholdPolicy] = []
    seen: dict[str, int] = {}
    for row in file.rows("threshold"):
        policy = _read_policy(row)
        if policy.id in seen:
            row.fail("id", f"{policy.id!r} is also the id of threshold[{seen[policy.id]}]", "ids are unique")
        seen.setdefault(policy.id, len(policies))
        policies.append(policy)
    file.check()
    return tuple(policies)


@cache
def _bundled() -> tuple[ThresholdPolicy, ...]:
    return read_thresholds(read_bundled("thresholds.toml"))


def _day(value: str | dt.date | None) -> dt.date | None:
    if value is None or isinstance(value, dt.date):
        return value.date() if isinstance(value, dt.datetime) else value
    try:
        return dt.date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"in_force={value!r}: not a date; write 2026-11-22") from error


def _read_policy(row: Row) -> ThresholdPolicy:
    name = row.text("id")
    dates = row.table("dates", required=True)
    policy = ThresholdPolicy(
        id=name,
        jurisdiction=row.text("jurisdiction"),
        instrument=row.text("instrument"),
        kind=row.text("kind"),
        value=row.number("value", low=1, high=10**40) or 0,
        comparator=_comparator(row),
        measures=_measure(row),
        operations=row.choice("operations", _OPERATIONS),
        counts=row.text("counts"),
        counting_basis=row.text("counting_basis"),
        modality=row.text("modality", required=False),
        domains=row.texts("domains"),
        conditions=row.texts("conditions"),
        binding=row.flag("binding", default=True) is True,
        status=row.choice("status", _STATUSES),
        applies=row.date("applies", required=False),
        ends=row.date("ends", required=False),
        dates=tuple((key, str(value)) for key, value in dates.entry.items()) if dates else (),
        grade=row.choice("grade", _GRADES),
        source=row.text("source"),
    )
    if policy.status in ("in_force", "enacted_not_yet_effective", "rescinded") and policy.applies is None:
        row.fail("applies", f"missing for status {policy.status}", "give the first day in force")
    if (policy.status == "rescinded") != (policy.ends is not None):
        row.fail("ends", f"does not fit status {policy.status}", "a rescinded text, and only it, has an end")
    row.done()
    return policy


def _comparator(row: Row) -> Comparator:
    return ">=" if row.choice("comparator", _COMPARATORS) == ">=" else ">"


def _measure(row: Row) -> Measure:
    match row.choice("measures", _MEASURES):
        case "modification_compute":
            return "modification_compute"
        case "cluster_rate":
            return "cluster_rate"
        case _:
            return "training_compute"
