"""The study named after Hooker's essay (arXiv:2407.05694): which models cross which static line, and how surely."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import isnan
from typing import Literal, TypeAlias

import numpy as np

from flopcore.closed_form import lognormal_sigma
from flopcore.distributions import LN10, LogNormal, Seed, log10_exact, seed_sequence
from flopcore.quantity import Interval, Number, exact, parse_quantity
from flopcore.sweep import Entity, Factor, Precision, SweepResult, draw_totals, sweep
from flopcore.thresholds import Comparator, Threshold, ThresholdPolicy

from .dynamic import DynamicCount, count_dynamic
from .population import Bands, Model, Population
from .reading import read_hooker, read_policies
from .scenario import Flips, Scenario, find_flips, named_scenarios
from .shrink import Figure, Prior, fit_prior

__all__ = [
    "LINES",
    "DynamicYear",
    "Excluded",
    "GroupCount",
    "HookerResult",
    "ModelResult",
    "ScenarioCount",
    "ThresholdCount",
    "run_hooker",
]

EstimateError = Literal["resample", "shrink"]
"""How the error of a figure is treated; see `run_hooker`."""

Progress: TypeAlias = Callable[[int, int], None]
Run: TypeAlias = Callable[..., SweepResult]

_DYNAMIC_DRAWS = 20_000  # of the sweep's draws: ranks need every value sorted

LINES: tuple[Number, ...] = (10**23, 10**24, 10**25, 10**26)
"""The static lines of the study unless others are named."""


@dataclass(frozen=True, slots=True)
class ThresholdCount:
    """How many models are over one line.

    `point` counts published figures, compared exactly; `expected`, `p05`, `p50` and `p95` are of the joint
    distribution of the count under the stated uncertainty; `mc_error` is the standard error of `expected`.
    """

    threshold: Threshold
    domains: tuple[str, ...]
    n_models: int
    point: int
    expected: float
    p05: int
    p50: int
    p95: int
    sd: float
    mc_error: float

    def to_dict(self) -> dict[str, object]:
        """Return the count as JSON types."""
        value = self.threshold.value
        return {
            "policy": self.threshold.name,
            "threshold": value if isinstance(value, int) else str(value),
            "comparator": self.threshold.comparator,
            "domains": list(self.domains) or None,
            "n_models": self.n_models,
            "point": self.point,
            "expected": self.expected,
            "p05": self.p05,
            "p50": self.p50,
            "p95": self.p95,
            "sd": None if isnan(self.sd) else self.sd,
            "mc_error": None if isnan(self.mc_error) else self.mc_error,
        }


@dataclass(frozen=True, slots=True)
class GroupCount:
    """The counts of one year or one reference class."""

    label: str
    n_models: int
    counts: tuple[ThresholdCount, ...]

    def to_dict(self, axis: str) -> dict[str, object]:
        """Return the counts as JSON types; `axis` is ``"year"`` or ``"domain"``."""
        label: int | str = int(self.label) if axis == "year" else self.label
        return {axis: label, "n_models": self.n_models, "thresholds": [count.to_dict() for count in self.counts]}


@dataclass(frozen=True, slots=True)
class DynamicYear:
    """What lines that move with the field capture of the models of one year."""

    year: int
    n_models: int
    draws: int
    counts: tuple[DynamicCount, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the counts as JSON types."""
        return {
            "year": self.year,
            "n_models": self.n_models,
            "draws": self.draws,
            "rules": [count.to_dict() for count in self.counts],
        }


@dataclass(frozen=True, slots=True)
class ScenarioCount:
    """The counts under another way of counting, and the models that change side by their figures."""

    scenario: Scenario
    counts: tuple[ThresholdCount, ...]
    flips: tuple[Flips, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the counts as JSON types."""
        return {
            "scenario": self.scenario.name,
            "thresholds": [count.to_dict() for count in self.counts],
            "flips": [flips.to_dict() for flips in self.flips],
        }


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One model's probability of being over each line (nan where a line's modality condition leaves it out)."""

    model: Model
    flop: Number
    probability: tuple[tuple[str, float], ...]

    @property
    def label(self) -> str:
        """The model's name."""
        return self.model.name

    def to_dict(self) -> dict[str, object]:
        """Return the model as JSON types; `probability` maps each policy that applies to a number."""
        return {
            "key": self.model.key,
            "name": self.model.name,
            "date": self.model.date.isoformat(),
            "developer": self.model.developer,
            "domain": self.model.domain,
            "flop": self.flop if isinstance(self.flop, int) else float(self.flop),
            "confidence": self.model.confidence,
            "probability": {policy: p for policy, p in self.probability if not isnan(p)},
        }


@dataclass(frozen=True, slots=True)
class Excluded:
    """A model the study leaves out, and why."""

    key: str
    name: str
    reason: str

    def to_dict(self) -> dict[str, object]:
        """Return the exclusion as JSON types."""
        return {"key": self.key, "name": self.name, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class HookerResult:
    """Counts per line, year and reference class, probabilities per model, and what repeats the study."""

    thresholds: tuple[ThresholdCount, ...]
    models: tuple[ModelResult, ...]
    per_year: tuple[GroupCount, ...]
    per_domain: tuple[GroupCount, ...]
    dynamic: tuple[DynamicYear, ...]
    scenarios: tuple[ScenarioCount, ...]
    excluded: tuple[Excluded, ...]
    policies: tuple[ThresholdPolicy, ...]
    scenario: Scenario
    estimate_error: EstimateError
    prior: Prior | None
    population: Population
    draws: int
    seed: int | tuple[int, ...]
    spawn_key: tuple[int, ...]
    stream_version: int
    precision: Precision
    versions: tuple[tuple[str, str], ...]
    elapsed: float = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return (
            f"HookerResult({len(self.models)} models, {len(self.thresholds)} thresholds, {self.draws} draws, "
            f"seed={self.seed})"
        )

    @property
    def reading(self) -> tuple[str, ...]:
        """A few sentences computed from the result."""
        return (
            *read_hooker(self.thresholds, self.models, self.per_year, self.dynamic),
            *read_policies(self.policies),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the result in the schema ``flopcore.study/1`` (data/schemas/study.schema.json).

        The same inputs and seed give the same text on any machine and any number of threads, so the time taken is
        left out.
        """
        return {
            "schema": "flopcore.study/1",
            "study": "hooker",
            "thresholds": [count.to_dict() for count in self.thresholds],
            "models": [model.to_dict() for model in self.models],
            "per_year": [group.to_dict("year") for group in self.per_year],
            "per_domain": [group.to_dict("domain") for group in self.per_domain],
            "dynamic": [year.to_dict() for year in self.dynamic],
            "scenarios": [count.to_dict() for count in self.scenarios],
            "excluded": [item.to_dict() for item in self.excluded],
            "policies": [policy.to_dict() for policy in self.policies],
            "reading": list(self.reading),
            "scenario": self.scenario.name,
            "estimate_error": self.estimate_error,
            "prior": self.prior.to_dict() if self.prior else None,
            "draws": self.draws,
            "seed": list(self.seed) if isinstance(self.seed, tuple) else self.seed,
            "spawn_key": list(self.spawn_key),
            "stream_version": self.stream_version,
            "precision": self.precision,
            "population": {
                "name": self.population.name,
                "n_models": len(self.population),
                "digest": self.population.digest,
                "bands": self.population.bands.to_dict(),
                "remarks": list(self.population.remarks),
            },
            "versions": dict(self.versions),
        }


def run_hooker(
    population: Population | None = None,
    *,
    thresholds: Iterable[Number | str | Threshold | ThresholdPolicy] = LINES,
    comparators: Sequence[Comparator] = (">",),
    draws: int = 1_000_000,
    rng: Seed = None,
    threads: int | None = None,
    bands: Bands | None = None,
    scenario: Scenario | None = None,
    compare: Iterable[Scenario] | None = None,
    estimate_error: EstimateError = "resample",
    precision: Precision = "double",
    progress: Progress | None = None,
) -> HookerResult:
    """Return how many models of a population are over each static line, and how surely each one is.

    Parameters
    ----------
    population : Population, optional
        The bundled table when absent.
    thresholds : iterable of int, str, Threshold or ThresholdPolicy
        Lines. A number (``10**25``, ``"1e25"``) becomes one line for each of `comparators`; a ThresholdPolicy with a
        modality condition counts the reference classes it names only.
    comparators : sequence of {">", ">="}
        For lines given as numbers.
    draws : int
        Rows of the sweep.
    rng : int, sequence of int, SeedSequence or None
        Seed; None takes fresh entropy, which the result records.
    threads : int or None
        None means all CPUs this process may use; the result does not depend on it.
    bands : Bands, optional
        What the confidence labels mean, instead of the population's own table.
    scenario : Scenario, optional
        The way of counting, as a factor per model; the figures as published when absent.
    compare : iterable of Scenario, optional
        Other ways of counting to set beside it; by default those that the population's columns allow.
    estimate_error : {"resample", "shrink"}
        ``resample`` draws the truth around each published figure. ``shrink`` draws it from its empirical-Bayes
        posterior: the population's own trend and spread say how likely a figure is to be too high.
    precision : {"double", "single"}
        Of the variates.
    progress : callable, optional
        Called as ``progress(done, draws)`` during the sweep of the whole population.

    Returns
    -------
    HookerResult
        Each model's FLOP is drawn from a lognormal, independently of the others: by default with its figure as the
        median and the band of its confidence label.

    Raises
    ------
    ValueError
        No line, two lines of one name, or no model with a figure.

    Notes
    -----
    Drawing around published figures (``resample``) widens the distribution of compute, so counts in its tail come
    out higher than the truth: the expected count exceeds the point count where few models lie above a line and many
    below. ``shrink`` corrects that for a population that is a fair sample of its field, with log10 FLOP normal around
    a straight line in the date; a table of selected models, such as the bundled one, is neither.
    """
    table = Population.bundled() if population is None else population
    if bands is not None:
        table = replace(table, bands=bands)
    how = Scenario() if scenario is None else scenario
    given = tuple(thresholds)
    lines = _lines(given, comparators)
    models = tuple(model for model in table if model.training_flop is not None)
    if not models:
        raise ValueError(f"population {table.name}: no model has a training_flop")
    if estimate_error not in ("resample", "shrink"):
        raise ValueError(f"estimate_error={estimate_error!r}: 'resample' or 'shrink'")
    seed = seed_sequence(rng)

    def prior_of(counting: Scenario) -> Prior | None:
        if estimate_error == "resample":
            return None
        return fit_prior([_figure(model, table.bands, counting) for model in models])

    def runner(counting: Scenario, prior: Prior | None) -> Run:
        def run(some: Sequence[Model], over: Sequence[_Line], report: Progress | None = None) -> SweepResult:
            entities = [_entity(model, table.bands, counting, prior) for model in some]
            marks = [line.threshold for line in over]
            return sweep(entities, marks, draws=draws, rng=seed, threads=threads, precision=precision, progress=report)

        return run

    def group(label: str, some: Sequence[Model]) -> GroupCount:
        return GroupCount(label, len(some), _counts(some, lines, how, run))

    def beside(other: Scenario) -> ScenarioCount:
        flips = tuple(
            find_flips([model for model in models if line.covers(model)], line.threshold, how, other) for line in lines
        )
        return ScenarioCount(other, _counts(models, lines, other, runner(other, prior_of(other))), flips)

    prior = prior_of(how)
    run = runner(how, prior)
    whole = run(models, lines, progress)
    return HookerResult(
        thresholds=_counts(models, lines, how, run, whole),
        models=_probabilities(models, lines, how, whole),
        per_year=tuple(
            group(str(year), [model for model in models if model.date.year == year])
            for year in sorted({model.date.year for model in models})
        ),
        per_domain=tuple(
            group(domain, [model for model in models if model.domain == domain])
            for domain in sorted({model.domain for model in models})
        ),
        dynamic=tuple(
            _dynamic(
                year,
                [model for model in models if model.date.year == year],
                lambda model: _entity(model, table.bands, how, prior),
                how,
                draws,
                seed,
            )
            for year in sorted({model.date.year for model in models})
        ),
        scenarios=tuple(beside(other) for other in (named_scenarios(table) if compare is None else compare)),
        excluded=tuple(
            Excluded(model.key, model.name, _reason(model)) for model in table if model.training_flop is None
        ),
        policies=tuple(item for item in given if isinstance(item, ThresholdPolicy)),
        scenario=how,
        estimate_error=estimate_error,
        prior=prior,
        population=table,
        draws=whole.draws,
        seed=whole.seed,
        spawn_key=whole.spawn_key,
        stream_version=whole.stream_version,
        precision=whole.precision,
        versions=tuple(whole.versions.items()),
        elapsed=whole.elapsed,
    )


@dataclass(frozen=True, slots=True)
class _Line:
    threshold: Threshold
    domains: tuple[str, ...] = ()

    def covers(self, model: Model) -> bool:
        return not self.domains or model.domain in self.domains


def _lines(
    given: Iterable[Number | str | Threshold | ThresholdPolicy], comparators: Sequence[Comparator]
) -> tuple[_Line, ...]:
    lines: list[_Line] = []
    for item in given:
        if isinstance(item, ThresholdPolicy):
            if item.measures != "training_compute":
                raise ValueError(f"threshold {item.id!r} is a line for {item.measures}, not for training compute")
            lines.append(_Line(item.threshold, item.domains))
        elif isinstance(item, Threshold):
            lines.append(_Line(item))
        else:
            value = parse_quantity(item, name="threshold")
            lines.extend(_Line(Threshold(f"{mark}{_short(value)}", value, mark)) for mark in comparators)
    if not lines:
        raise ValueError("a study needs at least one threshold")
    names = [line.threshold.name for line in lines]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"thresholds: {', '.join(twice)} given twice")
    return tuple(lines)


def _short(value: Number) -> str:
    """Return 1e25 for 10^25, 3.5e24 for 35 * 10^23, the plain number where that is no shorter."""
    text = str(value)
    if not isinstance(value, int) or len(text) < 5:
        return text
    digits = text.rstrip("0")
    return f"{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e{len(text) - 1}"


def _reason(model: Model) -> str:
    reason = "no training_flop: neither published nor derivable from what is"
    return f"{reason}; {model.note}" if model.note else reason


def _flop(model: Model, scenario: Scenario) -> Number:
    assert model.training_flop is not None
    return exact(Fraction(model.training_flop) * scenario.of(model.key))


def _sigma(model: Model, bands: Bands) -> float:
    """Return the standard deviation of the natural logarithm of the figure's error."""
    factor = Fraction(bands.of(model.confidence) if model.band is None else model.band)
    return 0.0 if factor == 1 else float(lognormal_sigma(Interval(1 / factor, factor), bands.coverage))


def _figure(model: Model, bands: Bands, scenario: Scenario) -> Figure:
    return Figure(model.date, float(log10_exact(_flop(model, scenario))), _sigma(model, bands) / LN10)


def _entity(model: Model, bands: Bands, scenario: Scenario, prior: Prior | None) -> Entity:
    median, sigma = 1.0, _sigma(model, bands)
    if sigma == 0.0:
        return Entity(model.key, (), _flop(model, scenario))
    if prior is not None:
        median, sd = prior.factor(_figure(model, bands, scenario))
        sigma = sd * LN10
    return Entity(model.key, (Factor("estimate", LogNormal(median, sigma)),), _flop(model, scenario))


def _counts(
    models: Sequence[Model], lines: Sequence[_Line], scenario: Scenario, run: Run, whole: SweepResult | None = None
) -> tuple[ThresholdCount, ...]:
    """Return the counts per line, in order; lines that cover the same classes share a sweep."""
    counts: dict[str, ThresholdCount] = {}
    for domains in dict.fromkeys(line.domains for line in lines):
        some = [line for line in lines if line.domains == domains]
        covered = [model for model in models if some[0].covers(model)]
        reuse = whole is not None and not domains and len(some) == len(lines)
        result = (whole if reuse else run(covered, some)) if covered else None
        for t, line in enumerate(some):
            counts[line.threshold.name] = _count(line, covered, scenario, result, t)
    return tuple(counts[line.threshold.name] for line in lines)


def _count(
    line: _Line, models: Sequence[Model], scenario: Scenario, result: SweepResult | None, t: int
) -> ThresholdCount:
    if result is None:
        return ThresholdCount(line.threshold, line.domains, 0, 0, 0.0, 0, 0, 0, 0.0, 0.0)
    return ThresholdCount(
        threshold=line.threshold,
        domains=line.domains,
        n_models=len(models),
        point=sum(line.threshold.is_exceeded_by(_flop(model, scenario)) for model in models),
        expected=float(result.expected()[t]),
        p05=int(result.count_quantile(0.05)[t]),
        p50=int(result.count_quantile(0.5)[t]),
        p95=int(result.count_quantile(0.95)[t]),
        sd=float(result.count_sd()[t]),
        mc_error=float(result.mc_error()[t]),
    )


def _dynamic(
    year: int,
    models: Sequence[Model],
    entity: Callable[[Model], Entity],
    scenario: Scenario,
    draws: int,
    seed: np.random.SeedSequence,
) -> DynamicYear:
    n_draws = min(draws, _DYNAMIC_DRAWS)
    values = draw_totals([entity(model) for model in models], draws=n_draws, rng=seed)
    counts = count_dynamic([_flop(model, scenario) for model in models], values)
    return DynamicYear(year, len(models), n_draws, counts)


def _probabilities(
    models: Sequence[Model], lines: Sequence[_Line], scenario: Scenario, whole: SweepResult
) -> tuple[ModelResult, ...]:
    shares = whole.probability()
    return tuple(
        ModelResult(
            model,
            _flop(model, scenario),
            tuple(
                (line.threshold.name, float(shares[m, t]) if line.covers(model) else float("nan"))
                for t, line in enumerate(lines)
            ),
        )
        for m, model in enumerate(models)
    )
