"""Read a population from a table with Epoch AI's columns, any vintage since October 2024, or with columns you name."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from flopcore.errors import DataError
from flopcore.quantity import Number, exact, parse_quantity

from .population import Bands, Capability, Hardware, Model, Population
from .tabular import Frame, Table, read_table

__all__ = ["COLUMNS", "read_epoch"]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "name": ("Model", "System", "Name"),
    "date": ("Publication date",),
    "developer": ("Organization",),
    "country": ("Country (of organization)", "Country (from Organization)", "Country"),
    "domain": ("Domain",),
    "task": ("Task",),
    "parameters": ("Parameters",),
    "training_flop": ("Training compute (FLOP)",),
    "lower": ("Training compute lower bound",),
    "upper": ("Training compute upper bound",),
    "method": ("Training compute estimation method",),
    "confidence": ("Confidence",),
    "dataset": ("Training dataset size (total)", "Training dataset size (datapoints)", "Training dataset size"),
    "epochs": ("Epochs",),
    "base_model": ("Base model",),
    "own_flop": ("Finetune compute (FLOP)", "Post-training compute (FLOP)"),
    "over_1e23": ("Possibly over 1e23 FLOP",),
    "open_weights": ("Open model weights?",),
    "access": ("Model accessibility",),
    "chip": ("Training hardware",),
    "chip_hours": ("Training chip-hours",),
    "hours": ("Training time (hours)",),
    "chips": ("Hardware quantity",),
    "utilisation": ("Hardware utilization (MFU)", "Hardware utilization"),
    "number_format": ("Numerical format",),
    "cost": ("Training compute cost (2023 USD)", "Training compute cost (cloud)"),
    "capability": ("ECI Score",),
    "url": ("Link",),
    "notability": ("Notability criteria",),
}
"""Field -> names its column has had; the first one present counts."""

_NEEDED = ("name", "date", "training_flop", "domain", "confidence")
_OPTIONAL = ("domain", "confidence")  # of those needed, unless the caller says that there is no such column
_CLASSES = {
    "language": "language",
    "vision": "vision",
    "multimodal": "multimodal",
    "image generation": "image generation",
    "video": "video",
    "speech": "speech",
    "biology": "biology",
    "games": "games",
    "earth science": "earth science",
}
_LABELS = {"confident": "confident", "likely": "likely", "speculative": "speculative"}
_NO_LABEL = ("", "unknown", "unlabelled")
_METHODS = (("report", "reported"), ("operation", "operation_counting"), ("hardware", "hardware"))
_MAX_FLOP = 10**32
_LEAST_BOUND = 10**6
_JUNK = Fraction(1, 10**6)
_KEPT_DIGITS = 3
_CENSORED = 10**23


@dataclass(slots=True)
class _Findings:
    """What was found wrong or changed, with row and line."""

    source: str
    errors: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Cells:
    """One row of the file, by field."""

    place: str
    values: Mapping[str, str]
    findings: _Findings

    def text(self, name: str) -> str:
        """Return the cell with its white space (newlines too) folded, "" when absent or a missing-value mark."""
        text = " ".join(self.values.get(name, "").split())
        return "" if text.lower() in ("nan", "none", "n/a") else text

    def number(self, name: str, *, low: Number, high: Number, needed: bool = False) -> Number | None:
        """Return an exact number or None; an unreadable or absurd one is an error if `needed`, else remarked."""
        text = self.text(name)
        if not text:
            return None
        note = self.error if needed else self._unread
        try:
            value = parse_quantity(text)
        except ValueError:
            note(name, f"{text!r} is not one number")
            return None
        if not low <= value <= high:
            note(name, f"{text} is absurd; {float(low):g} to {float(high):g} is plausible")
            return None
        return value

    def date(self) -> dt.date | None:
        """Return the publication date; an absurd one is an error."""
        text = self.text("date")
        if not text:
            return None
        try:
            day = dt.date.fromisoformat(text)
        except ValueError:
            self.error("date", f"{text!r} is not a date such as 2024-07-23")
            return None
        if not 1940 <= day.year <= 2100:
            self.error("date", f"year {day.year} is absurd; 1940 to 2100 is plausible")
            return None
        return day

    def error(self, name: str, message: str) -> None:
        """Note an error of this row."""
        self.findings.errors.append(f"{self.place}, {name}: {message}")

    def _unread(self, name: str, message: str) -> None:
        self.remark(f"{self.text('name')}, {name} not used: {message}")

    def remark(self, message: str) -> None:
        """Note what was changed or left out."""
        self.findings.remarks.append(f"{self.place}: {message}")


def read_epoch(
    path: str | Path | Frame, *, columns: Mapping[str, str] | None = None, bands: Bands | None = None
) -> Population:
    """Return the population of a table with Epoch AI's columns, and in `remarks` what was changed or left out.

    Parameters
    ----------
    path : str, Path or data frame
        A CSV, a Parquet file (extra `tables`), or a frame whose columns have names (pandas, polars ...). Epoch AI's
        data are CC BY 4.0; cite them.
    columns : mapping of field to column, optional
        Names of your own columns, for the fields of `COLUMNS`; "" where there is no column of ``domain`` or
        ``confidence``.
    bands : Bands, optional
        What the confidence labels mean; the bundled table by default.

    Raises
    ------
    DataError
        A needed column is missing, or rows have an unreadable or absurd date or training compute; all are listed
        with row and line. Such a value of another column is not used, and remarked upon.

    Notes
    -----
    - The figure of a model trained on from another includes that base; `base_model` says so, and
      `Population.new_runs` leaves such rows out.
    - A figure within 1e-6 of one with three digits is that one: 5.0000000000001e26 is 5e26.
    - The data-set size has no single unit (tokens, images, words), so it is kept as `examples` and never as tokens.
    - Reference class: the only domain listed; ``multimodal`` where it is listed; otherwise the first.
      `Model.domains` has all.
    - A label other than confident, likely and speculative, or none, is ``unlabelled``; one that is not known is
      remarked upon. So are two rows of one name and date, which both count.
    - Bounds serve imputation only. One below 10^6 lacks its exponent, a lower one above the figure (or an upper one
      below it) cannot be meant: neither is used, both are remarked upon.
    - A row without a figure stays, ``undisclosed``; `Model.possibly_over` says where it is possibly over 1e23 FLOP
      (censored).
    - A row without a date is left out and remarked upon.
    """
    table = read_table(path)
    findings = _Findings(table.source, list(table.problems))
    models: dict[str, Model] = {}
    seen: set[tuple[str, dt.date]] = set()
    for cells in _rows(table, columns or {}, findings):
        model = _model(cells)
        if model is not None:
            key = _unused(model, models)
            if (model.name, model.date) in seen:
                cells.remark(f"{model.name} of {model.date} stands above too; both are counted")
            seen.add((model.name, model.date))
            models[key] = replace(model, key=key)
    if findings.errors:
        count = len(findings.errors)
        raise DataError("\n  ".join([f"{table.source}: {count} problem{'s' if count > 1 else ''}", *findings.errors]))
    if not models:
        raise DataError(f"{table.source}: no row with a name and a date")
    meaning = Population.bundled().bands if bands is None else bands
    return Population(Path(table.source).name, tuple(models.values()), meaning, tuple(findings.remarks))


def _rows(table: Table, columns: Mapping[str, str], findings: _Findings) -> Iterator[_Cells]:
    places = _places(table.columns, columns, findings.source)
    for place, row in table.rows:
        yield _Cells(place, {name: row[column] for name, column in places.items()}, findings)


def _places(present: tuple[str, ...], columns: Mapping[str, str], source: str) -> dict[str, str]:
    """Return field -> column."""
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise DataError(f"{source}: columns= has unknown fields {', '.join(unknown)}; known: {', '.join(COLUMNS)}")
    places = {}
    missing = []
    for name, aliases in COLUMNS.items():
        if name in _OPTIONAL and columns.get(name) == "":
            continue
        tried = (columns[name],) if name in columns else aliases
        column = next((alias for alias in tried if alias in present), None)
        if column is not None:
            places[name] = column
        elif name in _NEEDED or name in columns:
            missing.append(f"{name} ({' or '.join(repr(alias) for alias in tried)})")
    twice = [column for column in dict.fromkeys(places.values()) if present.count(column) > 1]
    if twice:
        found = "; ".join(f"{column!r} stands in {present.count(column)} columns" for column in twice)
        raise DataError(f"{source}: {found}; keep one of each")
    if missing:
        none = ', or name it "" where there is none' if any(name.startswith(_OPTIONAL) for name in missing) else ""
        hint = "; its cells seem to be divided by ';', not ','" if len(present) == 1 and ";" in present[0] else ""
        raise DataError(f"{source}: no column for {', '.join(missing)}; name yours with columns={none}{hint}")
    return places


def _model(cells: _Cells) -> Model | None:
    name = cells.text("name")
    day = cells.date()
    figure = cells.number("training_flop", low=1, high=_MAX_FLOP, needed=True)
    if not name:
        cells.remark("left out: no name")
        return None
    if day is None:
        cells.remark(f"left out: {name} has no publication date")
        return None
    flop = _without_junk(figure)
    if flop != figure:
        cells.remark(f"{name}: training compute {cells.text('training_flop')} read as {float(flop or 0):g}")
    bounds = _bounds(cells, name, flop)
    label = cells.text("confidence").lower()
    if label not in _LABELS and label not in _NO_LABEL:
        cells.remark(f"{name}: confidence {label!r} is none of {', '.join(_LABELS)}; taken as unlabelled")
    domains = tuple(part.strip().lower() for part in cells.text("domain").split(",") if part.strip())
    base = cells.text("base_model").split(",")[0].strip()
    own = cells.number("own_flop", low=1, high=_MAX_FLOP) if base else None
    censored = flop is None and cells.text("over_1e23").lower() in ("true", "yes", "1", "checked")
    return Model(
        key=_slug(name),
        name=name,
        date=day,
        developer=cells.text("developer"),
        country=cells.text("country"),
        domain=_class(domains),
        task=cells.text("task"),
        training_flop=flop,
        method="undisclosed" if flop is None else _method(cells.text("method")),
        confidence=_LABELS.get(label, "unlabelled"),
        source=cells.findings.source,
        parameters_total=cells.number("parameters", low=Fraction(1, 1000), high=10**17),
        examples=cells.number("dataset", low=Fraction(1, 1000), high=10**20),
        epochs=cells.number("epochs", low=Fraction(1, 10**6), high=10**9) or 1,
        base_model=_slug(base) if base else "",
        own_flop=own,
        open_weights=_open(cells),
        url=cells.text("url"),
        capability=_capability(cells),
        note="possibly over 1e23 FLOP (censored)" if censored else "",
        possibly_over=_CENSORED if censored else None,
        bounds=bounds,
        hardware=_hardware(cells),
        number_format=cells.text("number_format"),
        training_hours=cells.number("hours", low=Fraction(1, 10**6), high=10**6),
        cost_usd=cells.number("cost", low=Fraction(1, 100), high=10**13),
        domains=domains,
        notable=bool(cells.text("notability")) if "notability" in cells.values else None,
    )


def _bounds(cells: _Cells, name: str, flop: Number | None) -> tuple[Number | None, Number | None]:
    """Return the bounds of a figure; one that cannot be meant is remarked upon and None."""
    lower = cells.number("lower", low=0, high=_MAX_FLOP)
    upper = cells.number("upper", low=0, high=_MAX_FLOP)
    for label, bound in (("lower", lower), ("upper", upper)):
        if bound is not None and bound < _LEAST_BOUND:
            cells.remark(f"{name}: {label} bound {float(bound):g} lacks its exponent")
    lower, upper = (None if bound is None or bound < _LEAST_BOUND else bound for bound in (lower, upper))
    if lower is not None and flop is not None and lower > flop:
        cells.remark(f"{name}: lower bound {float(lower):g} is above the figure {float(flop):g}")
        lower = None
    if upper is not None and flop is not None and upper < flop:
        cells.remark(f"{name}: upper bound {float(upper):g} is below the figure {float(flop):g}")
        upper = None
    if lower is not None and upper is not None and lower > upper:
        cells.remark(f"{name}: lower bound {float(lower):g} is above the upper {float(upper):g}; neither is used")
        return None, None
    return lower, upper


def _capability(cells: _Cells) -> Capability | None:
    value = cells.number("capability", low=-1000, high=10**6)
    return None if value is None else Capability("ECI", value)


def _hardware(cells: _Cells) -> Hardware | None:
    """Return the chips of a run and their hours in total, where the row has both."""
    chip = cells.text("chip")
    total = cells.number("chip_hours", low=Fraction(1, 1000), high=10**12)
    hours = cells.number("hours", low=Fraction(1, 10**6), high=10**6)
    chips = cells.number("chips", low=1, high=10**8)
    if total is None and hours is not None and chips is not None:
        total = exact(Fraction(hours) * chips)
    if not chip or total is None:
        return None
    return Hardware(chip, total, cells.number("utilisation", low=Fraction(1, 1000), high=1))


def _without_junk(value: Number | None) -> Number | None:
    """Return the number of three digits that a figure differs from by less than a millionth, or the figure."""
    if value is None or value < 10**_KEPT_DIGITS:
        return value
    unit = 10 ** (len(str(int(value))) - _KEPT_DIGITS)
    short = round(Fraction(value) / unit) * unit
    return short if abs(Fraction(value) / short - 1) < _JUNK else exact(Fraction(value))


def _class(domains: tuple[str, ...]) -> str:
    if not domains:
        return "other"
    chosen = "multimodal" if "multimodal" in domains else domains[0]
    return _CLASSES.get(chosen, "other")


def _method(text: str) -> str:
    """Return the first method that a comma list names and that is known here."""
    for part in text.lower().split(","):
        for start, method in _METHODS:
            if part.strip().startswith(start):
                return method
    return "third_party"


def _open(cells: _Cells) -> bool | None:
    answer = cells.text("open_weights").lower()
    if answer in ("yes", "no"):
        return answer == "yes"
    access = cells.text("access").lower()
    return access.startswith("open weights") if access else None


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-") or "model"


def _unused(model: Model, taken: Mapping[str, Model]) -> str:
    """Return the model's key, with its date and then a number where that name is taken."""
    key = model.key
    if key in taken:
        key = f"{model.key}@{model.date.isoformat()}"
    number = 2
    while key in taken:
        key = f"{model.key}@{model.date.isoformat()}#{number}"
        number += 1
    return key
