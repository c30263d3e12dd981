"""Training compute of models that publish none, from what else is known of them, each way with the error it shows.

An estimate made here is as good as the same way does on the models whose figure is known: its band is what the spread
of log10(estimate / figure) over those gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from math import sqrt
from typing import Literal, TypeAlias, get_args

from flopcore.accelerators import Accelerator, accelerators
from flopcore.distributions import DIGITS, log10_exact
from flopcore.quantity import Number, exact
from flopcore.training import flop_from_hardware, flop_from_parameters

from .population import Hardware, Model, Population

__all__ = ["Imputation", "Imputed", "Way", "impute"]

Way = Literal["bounds", "6ND", "hardware", "capability"]
Guess: TypeAlias = Callable[[Model], Number | None]

UTILISATION = Fraction(35, 100)
"""Share of the peak rate where a row does not say it; the band shows how far off that is."""

_LEAST = 10  # models with a figure that a way must be tried on
_NORMAL_95 = Fraction(16449, 10000)  # one-sided 90 % interval in standard deviations
_LEAST_BAND = Fraction(3, 2)
_DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class Imputation:
    """How one way did: models it filled, models with a figure it was tried on, and the band that gives."""

    way: Way
    filled: int
    tried: int
    band: Number
    bias_log10: float

    def to_dict(self) -> dict[str, object]:
        """Return the summary as JSON types."""
        return {
            "way": self.way,
            "filled": self.filled,
            "tried": self.tried,
            "band": float(self.band),
            "bias_log10": self.bias_log10,
        }


@dataclass(frozen=True, slots=True)
class Imputed:
    """A population whose gaps are filled where a way allows, and how."""

    population: Population
    ways: tuple[Imputation, ...]


def impute(population: Population, ways: Sequence[Way] = ("bounds", "6ND", "hardware", "capability")) -> Imputed:
    """Return the population with an estimate for models without a figure, by the first way that gives one.

    Parameters
    ----------
    population : Population
    ways : sequence of {"bounds", "6ND", "hardware", "capability"}
        In order of preference. ``bounds``: the geometric middle of a published lower and upper bound. ``6ND``: of a
        language model's parameters, data set and epochs (the data set is taken to be in tokens). ``hardware``:
        chip-hours x peak rate x utilisation (0.35 where the row does not say). ``capability``: a straight line of
        log10 FLOP in date and score, fitted to the models that have both.

    Returns
    -------
    Imputed
        Filled rows have `method` ``imputed_...`` and their own `band`: the one-sided 90 % factor
        10^(1.645 r), r the root mean square of log10(estimate / figure) over the models with a figure (for
        ``capability`` of the residuals), at least 1.5. A way tried on fewer than ten models fills nothing, but
        ``bounds``, whose band is that of the bounds themselves.

    Raises
    ------
    ValueError
        An unknown way.
    """
    unknown = [way for way in ways if way not in get_args(Way)]
    if unknown:
        raise ValueError(f"ways: {', '.join(map(repr, unknown))} unknown; there are {', '.join(get_args(Way))}")
    known = [model for model in population if model.training_flop is not None]
    filled: dict[str, Model] = {}
    made: list[Imputation] = []
    for way in ways:
        open_models = [model for model in population if model.training_flop is None and model.key not in filled]
        if way == "bounds":
            between = {model.key: _between_bounds(model) for model in open_models}
            new = {key: model for key, model in between.items() if model is not None}
            filled.update(new)
            made.append(Imputation(way, len(new), 0, max((m.band or 1 for m in new.values()), default=1), 0.0))
            continue
        guess = _capability_line(known) if way == "capability" else _GUESSES[way]
        errors = [
            float(log10_exact(estimate) - log10_exact(model.training_flop))
            for model in known
            if model.training_flop is not None and not model.base_model and (estimate := guess(model)) is not None
        ]
        if len(errors) < _LEAST:
            made.append(Imputation(way, 0, len(errors), 1, 0.0))
            continue
        band = _band(errors)
        before = len(filled)
        for model in open_models:
            estimate = guess(model)
            if estimate is not None:
                filled[model.key] = replace(
                    model, training_flop=estimate, method=f"imputed_{way.lower()}", confidence="unlabelled", band=band
                )
        made.append(Imputation(way, len(filled) - before, len(errors), band, sum(errors) / len(errors)))
    models = tuple(filled.get(model.key, model) for model in population)
    return Imputed(replace(population, models=models), tuple(made))


def _band(errors: Sequence[float]) -> Number:
    """Return 10^(1.645 r) to three digits, r the root mean square of the errors."""
    r = Decimal(sqrt(sum(e * e for e in errors) / len(errors)))
    factor = DIGITS.power(10, r * Decimal(_NORMAL_95.numerator) / Decimal(_NORMAL_95.denominator))
    return max(exact(Fraction(f"{float(factor):.3g}")), _LEAST_BAND)


def _between_bounds(model: Model) -> Model | None:
    low, high = model.bounds
    if low is None or high is None or low >= high:
        return None
    middle = (log10_exact(low) + log10_exact(high)) / 2
    estimate = exact(Fraction(f"{float(DIGITS.power(10, middle)):.4g}"))
    ratio = DIGITS.power(10, (log10_exact(high) - log10_exact(low)) / 2)
    band = max(exact(Fraction(f"{float(ratio):.3g}")), _LEAST_BAND)
    return replace(model, training_flop=estimate, method="imputed_bounds", confidence="unlabelled", band=band)


def _by_parameters(model: Model) -> Number | None:
    data = model.tokens if model.tokens is not None else model.examples
    if "language" not in (model.domains or (model.domain,)) or model.parameters is None or data is None:
        return None
    return _short(flop_from_parameters(model.parameters, data, epochs=model.epochs))


def _by_hardware(model: Model) -> Number | None:
    run = model.hardware
    chip = None if run is None else _chip(run)
    if run is None or chip is None:
        return None
    return _short(flop_from_hardware(chip, run.chip_hours, run.utilisation or UTILISATION))


_GUESSES: dict[str, Guess] = {"6ND": _by_parameters, "hardware": _by_hardware}


def _chip(run: Hardware) -> Accelerator | None:
    """Return the accelerator whose longest alias the text holds; None for a list of chips and for unknown ones."""
    text = "".join(c for c in run.chip.lower() if c.isalnum() or c == ",")
    if "," in text:
        return None
    found = [
        (len(short), chip.name, chip)
        for chip in accelerators()
        for alias in chip.aliases
        if (short := alias.replace("-", "")) in text
    ]
    return max(found)[2] if found else None


def _capability_line(known: Sequence[Model]) -> Guess:
    """Return least squares of log10 FLOP on date and score, of the metric that most models have."""
    scored = [model for model in known if model.capability is not None]
    metrics = [model.capability.metric for model in scored if model.capability is not None]
    metric = max(sorted(set(metrics)), key=metrics.count, default="")
    rows = [
        (_years(model), float(model.capability.value), float(log10_exact(model.training_flop)))
        for model in scored
        if model.capability is not None and model.capability.metric == metric and model.training_flop is not None
    ]
    if len(rows) < _LEAST:
        return lambda model: None
    n = len(rows)
    t0, c0, y0 = (sum(row[i] for row in rows) / n for i in range(3))
    tt = sum((t - t0) * (t - t0) for t, _, _ in rows)
    cc = sum((c - c0) * (c - c0) for _, c, _ in rows)
    tc = sum((t - t0) * (c - c0) for t, c, _ in rows)
    ty = sum((t - t0) * (y - y0) for t, _, y in rows)
    cy = sum((c - c0) * (y - y0) for _, c, y in rows)
    determinant = tt * cc - tc * tc
    if determinant <= 1e-9 * tt * cc:
        return lambda model: None
    by_year, by_score = (ty * cc - cy * tc) / determinant, (cy * tt - ty * tc) / determinant

    def guess(model: Model) -> Number | None:
        if model.capability is None or model.capability.metric != metric:
            return None
        log10 = y0 + by_year * (_years(model) - t0) + by_score * (float(model.capability.value) - c0)
        return _short(exact(Fraction(DIGITS.power(10, Decimal(log10)))))

    return guess


def _years(model: Model) -> float:
    return model.date.toordinal() / _DAYS_PER_YEAR


def _short(value: Number) -> Number:
    """Return an estimate to four digits: more would claim what it does not know."""
    return exact(Fraction(f"{float(value):.4g}"))
