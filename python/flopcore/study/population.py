"""The population of models a study runs on: a frozen table, read from TOML and checked row by row."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

from flopcore.accelerators import DTYPES, accelerator
from flopcore.datafile import DataFile, Row, read_bundled, read_toml
from flopcore.quantity import Number, exact
from flopcore.training import PETAFLOP_DAY, flop_from_hardware, flop_from_parameters

__all__ = ["Bands", "Capability", "Derivation", "Hardware", "Model", "Population"]

DOMAINS = (
    "language",
    "multimodal",
    "vision",
    "image generation",
    "video",
    "speech",
    "biology",
    "games",
    "earth science",
    "other",
)
METHODS = ("reported", "operation_counting", "hardware", "third_party", "undisclosed")
CONFIDENCES = ("confident", "likely", "speculative", "unlabelled")
CHECKS = ("source", "quoted", "table", "differs", "no")
FORMULAS = ("6ND", "kND", "NLHU", "per_example", "pf_days")

_DERIVED = ("operation_counting", "hardware")
_MAX_FLOP = 10**32
_WIDEST_BAND = 10**9


@dataclass(frozen=True, slots=True)
class Capability:
    """A published score."""

    metric: str
    value: Number


@dataclass(frozen=True, slots=True)
class Hardware:
    """The chips of a training run as their table names them, their hours in total, and the share of the peak used."""

    chip: str
    chip_hours: Number
    utilisation: Number | None = None


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a row's FLOP follows from its inputs: a formula and the inputs that are not columns of the row.

    ``6ND`` and ``kND`` take parameters, tokens and epochs of the row; ``per_example`` is 6 * forward_mac * examples *
    epochs; ``NLHU`` is chip-hours * 3600 * peak rate * utilisation; ``pf_days`` converts petaflop/s-days.
    """

    formula: str
    k: Number = 6
    forward_mac: Number | None = None
    accelerator: str = ""
    hours: Number | None = None
    utilisation: Number | None = None
    dtype: str = ""
    pf_days: Number | None = None


@dataclass(frozen=True, slots=True)
class Bands:
    """What a confidence label means: the one-sided factor f of the central interval ``[C / f, C * f]``.

    Parameters
    ----------
    factor : tuple of (label, factor)
        One-sided factor of each label.
    coverage : Fraction
        Probability of the interval; the shape is lognormal with the row's figure as its median.
    source : str
        Where the factors come from.
    """

    factor: tuple[tuple[str, Number], ...]
    coverage: Fraction = Fraction(9, 10)
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse a missing label, a factor below 1 or absurd, and a coverage outside (0, 1)."""
        table = dict(self.factor)
        missing = [label for label in CONFIDENCES if label not in table]
        if missing:
            raise ValueError(f"bands: no factor for {', '.join(missing)}")
        bad = [label for label, factor in self.factor if not 1 <= factor <= _WIDEST_BAND]
        if bad:
            raise ValueError(f"bands: factor of {', '.join(bad)} is below 1, or above 10^9")
        if not 0 < self.coverage < 1:
            raise ValueError(f"bands: coverage={self.coverage} is not between 0 and 1")

    def replaced(self, factors: Mapping[str, Number]) -> Bands:
        """Return the table with other factors for some labels; an unknown label is a ValueError."""
        unknown = [label for label in factors if label not in CONFIDENCES]
        if unknown:
            raise ValueError(f"bands: {', '.join(map(repr, unknown))} unknown; there are {', '.join(CONFIDENCES)}")
        source = "; ".join(part for part in (self.source, "replaced: " + ", ".join(factors)) if part)
        pairs = tuple((label, factors.get(label, factor)) for label, factor in self.factor)
        return Bands(pairs, self.coverage, source) if factors else self

    def of(self, label: str) -> Number:
        """Return the factor of a label."""
        return dict(self.factor)[label]

    def to_dict(self) -> dict[str, object]:
        """Return the table as JSON types."""
        return {
            "shape": "lognormal",
            "coverage": float(self.coverage),
            "factor": {label: float(factor) for label, factor in self.factor},
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Model:
    """One model; see docs/DATA.md for the columns.

    Of a foreign table also: `domains` as listed, `notable` as it says, `band` the one-sided factor of this row's
    figure in place of its label's, `possibly_over` a line that a row without a figure may exceed, `bounds` of the
    figure, `hardware`, `cost_usd`, `training_hours` (wall clock) and `number_format` of the run.
    """

    key: str
    name: str
    date: dt.date
    developer: str
    country: str
    domain: str
    task: str
    training_flop: Number | None
    method: str
    confidence: str
    source: str
    parameters_total: Number | None = None
    parameters_active: Number | None = None
    tokens: Number | None = None
    examples: Number | None = None
    epochs: Number = 1
    base_model: str = ""
    own_flop: Number | None = None
    derivation: Derivation | None = None
    open_weights: bool | None = None
    capability: Capability | None = None
    url: str = ""
    note: str = ""
    checked: str = ""
    read: str = ""
    domains: tuple[str, ...] = ()
    notable: bool | None = None
    band: Number | None = None
    possibly_over: Number | None = None
    bounds: tuple[Number | None, Number | None] = (None, None)
    hardware: Hardware | None = None
    cost_usd: Number | None = None
    training_hours: Number | None = None
    number_format: str = ""

    @property
    def parameters(self) -> Number | None:
        """Parameters active on a token: all of them unless the row says otherwise."""
        return self.parameters_total if self.parameters_active is None else self.parameters_active

    def derive(self) -> Number | None:
        """Return the FLOP that the derivation gives, exact; None when the row has none or lacks an input.

        It is the FLOP of the model's own run, without that of its base model.
        """
        return None if self.derivation is None else _FORMULAS[self.derivation.formula](self, self.derivation)

    def to_dict(self) -> dict[str, object]:
        """Return the row as JSON types."""
        return {
            "key": self.key,
            "name": self.name,
            "date": self.date.isoformat(),
            "developer": self.developer,
            "country": self.country,
            "domain": self.domain,
            "task": self.task,
            "parameters_total": _json(self.parameters_total),
            "parameters_active": _json(self.parameters),
            "tokens": _json(self.tokens),
            "examples": _json(self.examples),
            "epochs": _json(self.epochs),
            "training_flop": _json(self.training_flop),
            "base_model": self.base_model or None,
            "own_flop": _json(self.own_flop),
            "method": self.method,
            "derivation": self.derivation.formula if self.derivation else None,
            "confidence": self.confidence,
            "open_weights": self.open_weights,
            "capability": (
                {"metric": self.capability.metric, "value": float(self.capability.value)} if self.capability else None
            ),
            "source": self.source,
            "url": self.url or None,
            "note": self.note or None,
            "checked": self.checked or None,
            "read": self.read or None,
            "band": _json(self.band),
            "possibly_over": _json(self.possibly_over),
        }


@dataclass(frozen=True, slots=True)
class Population:
    """Models in the order of their table, with the meaning of their confidence labels.

    `remarks` say what a loader changed or left out.

    Examples
    --------
    >>> models = Population.bundled()
    >>> models["gpt-3-175b"].training_flop
    314000000000000000000000
    """

    name: str
    models: tuple[Model, ...]
    bands: Bands
    remarks: tuple[str, ...] = ()

    @classmethod
    def bundled(cls) -> Population:
        """Return the table that ships with the package: notable models 2012-2026, a source in every row."""
        return _bundled()

    @classmethod
    def read(cls, path: str | Path) -> Population:
        """Return the population of a TOML file with the bundled table's schema (docs/DATA.md).

        Raises
        ------
        DataError
            Lists every error of the file, each with its line, row, column and a hint.
        """
        return _read_file(read_toml(path))

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    def __getitem__(self, key: str) -> Model:
        for model in self.models:
            if model.key == key:
                return model
        raise KeyError(f"no model {key!r} in {self.name}")

    @property
    def digest(self) -> str:
        """SHA-256 of the rows and bands in canonical JSON: it changes when any value does."""
        rows = {"bands": self.bands.to_dict(), "models": [model.to_dict() for model in self.models]}
        text = json.dumps(rows, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def where(self, keep: Callable[[Model], bool]) -> Population:
        """Return the population of the models that `keep` accepts."""
        return replace(self, models=tuple(model for model in self.models if keep(model)))

    def new_runs(self) -> Population:
        """Return the models that were trained from their own start, and a remark on how many were not."""
        kept = self.where(lambda model: not model.base_model)
        remark = f"left out: {len(self) - len(kept)} models trained on from another one (training runs are counted)"
        return replace(kept, remarks=(*self.remarks, remark))


@cache
def _bundled() -> Population:
    return _read_file(read_bundled("population.toml"))


def _read_file(file: DataFile) -> Population:
    rows: list[tuple[Row, Model]] = []
    seen: dict[str, int] = {}
    for row in file.rows("model"):
        model = _read_model(row)
        if model.key in seen:
            row.fail("key", f"{model.key!r} is also the key of model[{seen[model.key]}]", "keys are unique")
        seen.setdefault(model.key, len(rows))
        rows.append((row, model))
    by_key = {model.key: model for _, model in rows}
    for row, model in rows:
        _check_flop(row, model, by_key)
    bands = _read_bands(file)
    file.check()
    return Population(Path(file.name).name, tuple(model for _, model in rows), bands)


def _read_bands(file: DataFile) -> Bands:
    table = file.top().table("confidence", required=True)
    factors = table.table("factor", required=True) if table else None
    if table is None or factors is None:
        return Bands(tuple((label, 1) for label in CONFIDENCES))
    pairs = tuple((label, factors.number(label, low=1, high=10**6) or 1) for label in CONFIDENCES)
    factors.done()
    table.choice("shape", ("lognormal",))
    coverage = table.number("coverage", low=Fraction(1, 100), high=Fraction(999, 1000))
    bands = Bands(pairs, Fraction(coverage or Fraction(9, 10)), table.text("source"))
    table.done()
    return bands


def _read_model(row: Row) -> Model:
    key = row.text("key")
    country = row.text("country")
    if country and not (len(country) == 2 and country.isalpha() and country.isupper()):
        row.fail("country", f"{country!r} is not a country code", "two capitals of ISO 3166, such as US or CN")
    model = Model(
        key=key,
        name=row.text("name"),
        date=row.date("date") or dt.date.min,
        developer=row.text("developer"),
        country=country,
        domain=row.choice("domain", DOMAINS),
        task=row.text("task"),
        parameters_total=row.number("parameters_total", required=False, low=1, high=10**16),
        parameters_active=row.number("parameters_active", required=False, low=1, high=10**16),
        tokens=row.number("tokens", required=False, low=1, high=10**18),
        examples=row.number("examples", required=False, low=1, high=10**18),
        epochs=row.number("epochs", required=False, low=Fraction(1, 1000), high=10**5) or 1,
        training_flop=row.number("training_flop", required=False, low=1, high=_MAX_FLOP),
        base_model=row.text("base_model", required=False),
        own_flop=row.number("own_flop", required=False, low=1, high=_MAX_FLOP),
        method=row.choice("method", METHODS),
        derivation=_read_derivation(row.table("derivation")),
        confidence=row.choice("confidence", CONFIDENCES, default="unlabelled"),
        open_weights=row.flag("open_weights"),
        capability=_read_capability(row.table("capability")),
        source=row.text("source"),
        url=row.text("url", required=False),
        note=row.text("note", required=False),
        checked=row.choice("checked", CHECKS, default="no"),
        read=row.text("read", required=False),
    )
    if model.parameters_total and model.parameters_active and model.parameters_active > model.parameters_total:
        row.fail("parameters_active", "exceeds parameters_total", "the active ones are a part of all")
    row.done()
    return model


def _read_derivation(row: Row | None) -> Derivation | None:
    if row is None:
        return None
    formula = row.choice("formula", FORMULAS)
    hardware = formula == "NLHU"
    derivation = Derivation(
        formula=formula or "6ND",
        k=(row.number("k", low=1, high=100) or 6) if formula == "kND" else 6,
        forward_mac=row.number("forward_mac", low=1, high=10**18) if formula == "per_example" else None,
        accelerator=row.text("accelerator") if hardware else "",
        hours=row.number("hours", low=1, high=10**12) if hardware else None,
        utilisation=row.number("utilisation", low=Fraction(1, 1000), high=1) if hardware else None,
        dtype=row.choice("dtype", DTYPES, default="-").strip("-") if hardware else "",
        pf_days=row.number("pf_days", low=Fraction(1, 10**9), high=10**12) if formula == "pf_days" else None,
    )
    if derivation.accelerator:
        try:
            accelerator(derivation.accelerator).rate(derivation.dtype or None)
        except ValueError as error:
            row.fail("accelerator", str(error), "name one of accelerators.toml and a format it has")
    row.done()
    return derivation


def _read_capability(row: Row | None) -> Capability | None:
    if row is None:
        return None
    capability = Capability(row.text("metric"), row.number("value") or 0)
    row.done()
    return capability


def _check_flop(row: Row, model: Model, by_key: dict[str, Model]) -> None:
    """Hold the written figure against its derivation and its base model, to the digits written."""
    if (model.method == "undisclosed") != (model.training_flop is None):
        row.fail("method", f"{model.method!r} does not fit the figure", "undisclosed rows, and only they, have none")
    if model.method in _DERIVED and model.derivation is None:
        row.fail("derivation", f"missing for method {model.method}", f"one of {', '.join(FORMULAS)}")
    column = "own_flop" if model.base_model else "training_flop"
    own = model.own_flop if model.base_model else model.training_flop
    if model.base_model:
        base = by_key.get(model.base_model)
        if base is None or base.key == model.key:
            row.fail("base_model", f"no other model {model.base_model!r}", "give the key of a row of this file")
        elif model.own_flop is None:
            row.fail("own_flop", "missing beside base_model", "give the FLOP of this model's own run")
        elif base.training_flop is not None:
            _check_digits(row, "training_flop", model.training_flop, base.training_flop + model.own_flop)
    elif model.own_flop is not None:
        row.fail("own_flop", "given without base_model", "write training_flop only")
    if model.derivation is not None and own is not None:
        try:
            derived = model.derive()
        except ValueError:
            return
        if derived is None:
            row.fail("derivation", f"an input of {model.derivation.formula} is missing", "see docs/DATA.md")
        else:
            _check_digits(row, column, own, derived)


def _check_digits(row: Row, column: str, value: Number | None, computed: Number) -> None:
    if value is None:
        row.fail(column, "missing", f"the row's inputs give {float(computed):.4g}")
    elif not _agrees(value, computed, row.written(column)):
        row.fail(column, f"{row.written(column)} is not what the inputs give", f"they give {float(computed):.6g}")


def _agrees(value: Number, computed: Number, written: str) -> bool:
    """Whether `computed` lies within half a unit of the last significant digit written."""
    mantissa, _, exponent = written.lower().replace("_", "").lstrip("+").partition("e")
    whole, _, fraction = mantissa.partition(".")
    trailing = len(whole) - len(whole.rstrip("0")) if not fraction and not exponent else 0
    unit = Fraction(10) ** (int(exponent or "0") - len(fraction) + trailing)
    return abs(Fraction(computed) - value) <= unit / 2


def _nd(model: Model, derivation: Derivation) -> Number | None:
    if model.parameters is None or model.tokens is None:
        return None
    return flop_from_parameters(model.parameters, model.tokens, epochs=model.epochs, factor=derivation.k)


def _nlhu(_model: Model, derivation: Derivation) -> Number | None:
    if not derivation.accelerator or derivation.hours is None or derivation.utilisation is None:
        return None
    return flop_from_hardware(
        derivation.accelerator, derivation.hours, derivation.utilisation, dtype=derivation.dtype or None
    )


def _per_example(model: Model, derivation: Derivation) -> Number | None:
    if derivation.forward_mac is None or model.examples is None:
        return None
    return exact(Fraction(6) * derivation.forward_mac * model.examples * model.epochs)


def _pf_days(_model: Model, derivation: Derivation) -> Number | None:
    return None if derivation.pf_days is None else exact(Fraction(derivation.pf_days) * PETAFLOP_DAY)


_FORMULAS: dict[str, Callable[[Model, Derivation], Number | None]] = {
    "6ND": _nd,
    "kND": _nd,
    "NLHU": _nlhu,
    "per_example": _per_example,
    "pf_days": _pf_days,
}


def _json(value: Number | None) -> int | float | None:
    return value if value is None or isinstance(value, int) else float(value)
