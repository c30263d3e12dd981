"""What the study named after Hooker's essay finds, as frozen values that carry their evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import Literal

from flopcore.quantity import Number
from flopcore.sweep import Precision
from flopcore.thresholds import Threshold, ThresholdPolicy

from .censored import Censored
from .dynamic import DynamicCount
from .essay import Essay
from .impute import Imputation
from .population import Model, Population
from .reading import OPEN, read_essay, read_hooker, read_influence, read_policies
from .scenario import Flips, Scenario
from .shrink import Prior

__all__ = [
    "DynamicYear",
    "EstimateError",
    "Excluded",
    "GroupCount",
    "HookerResult",
    "Missing",
    "ModelResult",
    "ScenarioCount",
    "ThresholdCount",
    "YearDomain",
]

EstimateError = Literal["resample", "shrink"]
"""How the error of a figure is treated; see `run_hooker`."""

Missing = Literal["exclude", "impute", "censored"]
"""What becomes of models without a figure; see `run_hooker`."""


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
class YearDomain:
    """The counts of one reference class in one year."""

    year: int
    group: GroupCount

    def to_dict(self) -> dict[str, object]:
        """Return the counts as JSON types."""
        return {"year": self.year, **self.group.to_dict("domain")}


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
    per_year_domain: tuple[YearDomain, ...]
    dynamic: tuple[DynamicYear, ...]
    scenarios: tuple[ScenarioCount, ...]
    essay: Essay
    missing: Missing
    imputation: tuple[Imputation, ...]
    censored: tuple[Censored, ...]
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
            *read_essay(self.essay.rules, self.essay.curve, self.essay.variance, self.essay.missed, self.essay.claims),
            *read_influence(self.essay.influence),
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
            "per_year_domain": [group.to_dict() for group in self.per_year_domain],
            "dynamic": [year.to_dict() for year in self.dynamic],
            "scenarios": [count.to_dict() for count in self.scenarios],
            "flips": self._flips(),
            "essay": self.essay.to_dict(),
            "missing": self.missing,
            "imputation": [way.to_dict() for way in self.imputation],
            "censored": [count.to_dict() for count in self.censored],
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

    def _flips(self) -> list[dict[str, object]]:
        """Return which models change side of which rule, under which inputs."""
        found: dict[tuple[str, str], list[str]] = {}
        for other in self.scenarios:
            for flips in other.flips:
                for key in (*flips.gained, *flips.lost):
                    found.setdefault((key, flips.threshold.name), []).append(other.scenario.name)
        for item in self.models:
            for policy, p in item.probability:
                if OPEN[0] < p < OPEN[1]:
                    found.setdefault((item.model.key, policy), []).append("error of its figure")
        for side in self.essay.sides:
            found.setdefault((side.key, side.policy), []).extend(side.under)
        rules = [count.threshold.name for count in self.thresholds]
        rules += [name for name in dict.fromkeys(side.policy for side in self.essay.sides) if name not in rules]
        return [
            {
                "key": item.model.key,
                "name": item.model.name,
                "flop": item.flop if isinstance(item.flop, int) else float(item.flop),
                "policy": policy,
                "under": found[item.model.key, policy],
            }
            for item in self.models
            for policy in rules
            if (item.model.key, policy) in found
        ]
