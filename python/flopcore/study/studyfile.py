"""Studies as TOML files: which study, on which population, with which options; checked as a whole before it runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeAlias

from flopcore.datafile import DataFile, Row, read_toml
from flopcore.quantity import Number
from flopcore.thresholds import thresholds

from .allocation import Allocation, yearly_budgets
from .allocation_run import THRESHOLDS, WIDTHS, run_allocation
from .capability import read_capability, with_capability
from .epoch import read_epoch
from .growth import FRONTIERS, fit_growth
from .hooker import LINES, IndexOptions, run_hooker
from .index import METRICS
from .population import CONFIDENCES, Bands, Population
from .scenario import Scenario

__all__ = ["NAMES", "Study", "StudyResult", "read_population"]

NAMES = ("hooker", "kumar-manning", "forecast")
"""The studies there are."""

Progress: TypeAlias = Callable[[int, int], None]


class StudyResult(Protocol):
    """What every study gives: a document, and a reading of it."""

    @property
    def reading(self) -> tuple[str, ...]:
        """Sentences computed from the result."""

    def to_dict(self) -> dict[str, object]:
        """Return the result as JSON types."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study with its options; the same names as in a TOML file (docs/STUDIES.md, data/schemas/studyfile.schema.json).

    Parameters
    ----------
    study : {"hooker", "kumar-manning", "forecast"}
    data : str
        Path of the population, "" for the bundled one (of kumar-manning: for the published history).
    columns : tuple of (field, column)
        Names of the population's columns, where they are not Epoch AI's.
    capability : str
        Path of a table of scores to join.
    draws : int or None
        None takes the study's own default.
    seed : int or None
        None takes fresh entropy.
    lines : tuple of int or Fraction
        Static lines; the study's own when empty.
    at_least : bool
        A figure at a line is over it (hooker).
    in_force : date or None
        The lines of the laws in force on that day instead (hooker).
    estimate_error, missing : str
        As for `run_hooker`.
    new_runs : bool
        Leave out models trained on from another one (hooker, forecast).
    index : IndexOptions
        Metrics and weights of the risk index, models without a metric, size of its top (hooker).
    bands : Bands or None
        What the confidence labels mean.
    scenario : Scenario or None
        A way of counting.
    widths : tuple of int or Fraction
        Of the frontier (kumar-manning).
    parameters : tuple of (name, value)
        Of the forecast's model (kumar-manning), as `Allocation.with_knobs` takes them.
    frontiers : tuple of str
        Definitions of frontier (forecast).
    since : date
        First day of the fit (forecast).

    Examples
    --------
    >>> study = Study("kumar-manning", draws=200, seed=1, lines=(10**25,))
    >>> study.run().to_dict()["draws"]
    200
    """

    study: str
    data: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    capability: str = ""
    draws: int | None = None
    seed: int | None = None
    lines: tuple[Number, ...] = ()
    at_least: bool = False
    in_force: dt.date | None = None
    estimate_error: str = "resample"
    missing: str = "exclude"
    new_runs: bool = False
    index: IndexOptions = field(default_factory=IndexOptions)
    bands: Bands | None = None
    scenario: Scenario | None = None
    widths: tuple[Number, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    frontiers: tuple[str, ...] = tuple(FRONTIERS)
    since: dt.date = dt.date(2018, 1, 1)
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Refuse a study that does not exist."""
        if self.study not in NAMES:
            raise ValueError(f"study={self.study!r}: one of {', '.join(NAMES)}")

    @classmethod
    def read(cls, path: str | Path) -> Study:
        """Return the study of a TOML file; paths in it are relative to the file.

        Raises
        ------
        DataError
            Lists every error of the file, each with its line, key and a hint.
        """
        file = read_toml(path)
        row = file.top()
        name = row.choice("study", NAMES)
        values = {key: read(row, file) for key, read in _READERS[name or "hooker"].items()}
        row.done()
        file.check()
        return cls(study=name, source=str(path), **{k: v for k, v in values.items() if v is not None})  # type: ignore[arg-type]

    def run(
        self,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
        checkpoint: str | Path | None = None,
    ) -> StudyResult:
        """Run the study and return its result, the same for any number of threads."""
        return _RUNS[self.study](self, threads, progress, checkpoint)

    def population(self) -> Population | None:
        """Return the population that the study names, None for the study's own."""
        if not (self.data or self.capability or self.new_runs):
            return None
        models = read_population(self.data, dict(self.columns)) if self.data else Population.bundled()
        models = models.new_runs() if self.new_runs else models
        return with_capability(models, read_capability(self.capability)) if self.capability else models


def read_population(path: str | Path, columns: Mapping[str, str] | None = None) -> Population:
    """Return the population of a file: ``.toml`` like the bundled table, anything else a table like Epoch AI's."""
    return Population.read(path) if Path(path).suffix == ".toml" else read_epoch(path, columns=columns)


def _run_hooker(
    study: Study, threads: int | None, progress: Progress | None, checkpoint: str | Path | None
) -> StudyResult:
    return run_hooker(
        study.population(),
        thresholds=thresholds(study.in_force) if study.in_force else study.lines or LINES,
        comparators=(">=" if study.at_least else ">",),
        draws=study.draws or 1_000_000,
        rng=study.seed,
        threads=threads,
        bands=study.bands,
        scenario=study.scenario,
        estimate_error=study.estimate_error,  # type: ignore[arg-type]
        missing=study.missing,  # type: ignore[arg-type]
        index=study.index,
        progress=progress,
        checkpoint=checkpoint,
    )


def _run_allocation(
    study: Study, threads: int | None, progress: Progress | None, checkpoint: str | Path | None
) -> StudyResult:
    model = Allocation.bundled().with_knobs(dict(study.parameters))
    models = study.population()
    if models is not None:
        years = [year for year, _ in model.history]
        model = replace(model, history=yearly_budgets(models, first=years[0], last=years[-1], left_out=model.left_out))
    return run_allocation(
        model,
        thresholds=study.lines or THRESHOLDS,
        widths=study.widths or WIDTHS,
        draws=study.draws or 200_000,
        rng=study.seed,
        threads=threads,
        progress=progress,
        checkpoint=checkpoint,
    )


def _run_growth(
    study: Study, threads: int | None, progress: Progress | None, checkpoint: str | Path | None
) -> StudyResult:
    lines = study.lines or (10**26, 10**27, 10**28)
    return fit_growth(study.population(), frontiers=study.frontiers, since=study.since, thresholds=lines)


_RUNS = {"hooker": _run_hooker, "kumar-manning": _run_allocation, "forecast": _run_growth}

Reader: TypeAlias = Callable[[Row, DataFile], object]


def _path(key: str) -> Reader:
    def read(row: Row, file: DataFile) -> str:
        text = row.text(key, required=False)
        return str(Path(file.name).parent / text) if text else ""

    return read


def _whole(key: str, low: int) -> Reader:
    def read(row: Row, file: DataFile) -> int | None:
        value = row.number(key, required=False, low=low, high=2**49)
        if value is not None and not isinstance(value, int):
            row.fail(key, f"{value} is not a whole number", "write 100000")
            return None
        return value

    return read


def _numbers(key: str) -> Reader:
    def read(row: Row, file: DataFile) -> tuple[Number, ...]:
        row.seen.add(key)
        values = row.entry.get(key, [])
        if not isinstance(values, list):
            row.fail(key, f"{values!r} is not a list", "write [1e25, '10^26']")
            return ()
        found = []
        for index, value in enumerate(values):
            item = Row(f"{row.path}.{key}" if row.path else key, {str(index): value}, row.report)
            number = item.number(str(index), low=Fraction(1, 10**9))
            if number is not None:
                found.append(number)
        return tuple(found)

    return read


def _one_of(key: str, allowed: tuple[str, ...]) -> Reader:
    return lambda row, file: row.choice(key, allowed, default=allowed[0])


def _some_of(key: str, allowed: tuple[str, ...]) -> Reader:
    def read(row: Row, file: DataFile) -> tuple[str, ...] | None:
        found = row.texts(key)
        for name in found:
            if name not in allowed:
                row.fail(key, f"{name!r} is not allowed", f"any of {', '.join(allowed)}")
        return found or None

    return read


def _date(key: str) -> Reader:
    return lambda row, file: row.date(key, required=False)


def _pairs(key: str) -> Reader:
    def read(row: Row, file: DataFile) -> tuple[tuple[str, str], ...]:
        table = row.table(key)
        return () if table is None else tuple((name, table.text(name)) for name in table.entry)

    return read


def _parameters(row: Row, file: DataFile) -> tuple[tuple[str, str], ...]:
    table = row.table("parameters")
    if table is None:
        return ()
    found = []
    for name, value in table.entry.items():
        text = ",".join(str(part) for part in value) if isinstance(value, list) else str(value)
        if isinstance(value, list) and len(value) == 2 and name in ("largest_share", "gradient", "log10_size_ratio"):
            text = "..".join(str(part) for part in value)
        try:
            Allocation.bundled().with_knobs({name: text})
        except ValueError as error:
            table.fail(name, str(error), "see docs/DATA.md, forecasts.toml")
        found.append((name, text))
    return tuple(found)


def _bands(row: Row, file: DataFile) -> Bands | None:
    table = row.table("confidence")
    factors = None if table is None else table.table("factor", required=True)
    if table is None or factors is None:
        return None
    pairs = tuple((label, factors.number(label, low=1, high=10**6) or 1) for label in CONFIDENCES)
    factors.done()
    coverage = table.number("coverage", required=False, low=Fraction(1, 100), high=Fraction(999, 1000))
    bands = Bands(pairs, Fraction(coverage or Fraction(9, 10)), table.text("source", required=False))
    table.done()
    return bands


def _index(row: Row, file: DataFile) -> IndexOptions | None:
    table = row.table("index")
    if table is None:
        return None
    weights = table.table("weights")
    for name in () if weights is None else weights.entry:
        if name not in METRICS:
            table.fail("weights", f"{name!r} is not a metric", f"any of {', '.join(METRICS)}")
    found = IndexOptions(
        metrics=_some_of("metrics", tuple(METRICS))(table, file) or (),  # type: ignore[arg-type]
        weights=() if weights is None else tuple((n, weights.number(n, low=0, high=10**6) or 0) for n in weights.entry),
        missing=table.choice("missing", ("impute", "exclude"), default="impute"),  # type: ignore[arg-type]
        top_share=Fraction(
            table.number("top_share", required=False, low=Fraction(1, 10**6), high=Fraction(99, 100)) or Fraction(1, 10)
        ),
    )
    table.done()
    return found


def _scenario(row: Row, file: DataFile) -> Scenario | None:
    table = row.table("scenario")
    if table is None:
        return None
    name, factor = table.text("name"), table.number("factor", required=False, low=Fraction(1, 10**6), high=10**6)
    by_model = table.table("by_model")
    pairs = (
        () if by_model is None else tuple((key, by_model.number(key, low=0, high=10**6) or 0) for key in by_model.entry)
    )
    table.done()
    return Scenario(name or "?", factor or 1, pairs)


_SHARED: dict[str, Reader] = {
    "data": _path("data"),
    "columns": _pairs("columns"),
    "capability": _path("capability"),
    "lines": _numbers("lines"),
}


def _flag(key: str) -> Reader:
    return lambda row, file: row.flag(key, default=False)


_DRAWN: dict[str, Reader] = {"draws": _whole("draws", 1), "seed": _whole("seed", 0)}
_READERS: dict[str, dict[str, Reader]] = {
    "hooker": {
        **_SHARED,
        **_DRAWN,
        "at_least": _flag("at_least"),
        "in_force": _date("in_force"),
        "estimate_error": _one_of("estimate_error", ("resample", "shrink")),
        "missing": _one_of("missing", ("exclude", "impute", "censored")),
        "new_runs": _flag("new_runs"),
        "index": _index,
        "bands": _bands,
        "scenario": _scenario,
    },
    "kumar-manning": {**_SHARED, **_DRAWN, "widths": _numbers("widths"), "parameters": _parameters},
    "forecast": {
        **_SHARED,
        "new_runs": _flag("new_runs"),
        "frontiers": _some_of("frontiers", tuple(FRONTIERS)),
        "since": _date("since"),
    },
}
