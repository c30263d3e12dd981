"""The essay's further questions of a population: which rule finds what matters, who slips under a line, and how.

Composes the analyses; each has its own module and knows draws and figures, not this study.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from flopcore.distributions import LN10, log10_exact
from flopcore.quantity import Number
from flopcore.sweep import Entity, Factor, draw_totals
from flopcore.thresholds import Threshold

from .claims import ESSAY, Claim, Skewness, essay_claims, skewness
from .counting import (
    FACTORS,
    Counted,
    FactorCount,
    Headline,
    MixedCount,
    count_by_factor,
    count_mixed,
    headline,
    mixed_factors,
)
from .effective import INFERENCE_GAIN, Missed, Staleness, missed_by_progress, missed_models, staleness
from .gaming import Bunching, Dodge, bunching, dodge
from .growth import fit_growth
from .index import METRICS, RiskIndex, risk_index
from .index import Missing as IndexMissing
from .influence import Side, Uncertain, draw_factors, draw_growth, headline_influences, sides_of
from .lines import figure_with_error, sigma_of
from .population import Bands, Model, Population
from .rules import Cohorts, OfIndex, default_rules
from .scenario import Scenario
from .screening import Curve, RuleReport, compare_rules, roc_curve
from .shares import Influence
from .shrink import Prior

__all__ = ["Essay", "IndexOptions", "write_essay"]

Values: TypeAlias = NDArray[np.float64]
EntityOf: TypeAlias = Callable[..., Entity]

DRAWS = 1000
"""Draws of the rules' comparison at most: each needs every model's value."""

_INFLUENCE_DRAWS = 2048  # of each of the two sets of draws behind the shares of the headline counts

_LEAST_SHARE = Fraction(1, 3)  # of the models that must have a metric, for the default basket
_GAIN = Fraction(10)  # the middle of five to twenty, in logarithm


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How the study builds its risk index; see `risk_index`.

    Parameters
    ----------
    metrics : tuple of str
        By default those other than compute that a third of the models have.
    weights : tuple of (metric, weight)
        Uniform on the simplex when empty.
    missing : {"impute", "exclude"}
        What becomes of a model without one of the metrics.
    top_share : Fraction
        Of the models.
    """

    metrics: tuple[str, ...] = ()
    weights: tuple[tuple[str, Number], ...] = ()
    missing: IndexMissing = "impute"
    top_share: Fraction = Fraction(1, 10)

    def of(self, population: Population, draws: int, rng: np.random.SeedSequence) -> RiskIndex:
        """Return the index of a population."""
        named = self.metrics or tuple(name for name, _ in self.weights)
        return risk_index(
            population,
            metrics=named or _basket(population.models),
            weights={name: float(weight) for name, weight in self.weights} or None,
            missing=self.missing,
            top_share=self.top_share,
            draws=draws,
            rng=rng,
        )


@dataclass(frozen=True, slots=True)
class Essay:
    """Answers to the essay's further questions; see docs/STUDIES.md for what each part says."""

    rules: tuple[RuleReport, ...]
    index: RiskIndex
    curve: Curve
    by_factor: tuple[FactorCount, ...]
    mixed: tuple[MixedCount, ...]
    variance: tuple[Headline, ...]
    influence: tuple[Influence, ...]
    sides: tuple[Side, ...]
    missed: tuple[Missed, ...]
    staleness: tuple[Staleness, ...]
    bunching: tuple[Bunching, ...]
    dodges: tuple[Dodge, ...]
    skewness: tuple[Skewness, ...]
    claims: tuple[Claim, ...]
    draws: int

    def to_dict(self) -> dict[str, object]:
        """Return the answers as JSON types."""
        return {
            "draws": self.draws,
            "rules": [rule.to_dict() for rule in self.rules],
            "index": self.index.to_dict(),
            "curve": self.curve.to_dict(),
            "by_factor": [count.to_dict() for count in self.by_factor],
            "mixed_counting": [count.to_dict() for count in self.mixed],
            "variance": [part.to_dict() for part in self.variance],
            "influence": [part.to_dict() for part in self.influence],
            "false_negatives": [item.to_dict() for item in self.missed],
            "staleness": [item.to_dict() for item in self.staleness],
            "bunching": [item.to_dict() for item in self.bunching],
            "biology_dodge": [item.to_dict() for item in self.dodges],
            "skewness": [item.to_dict() for item in self.skewness],
            "claims": [claim.to_dict() for claim in self.claims],
        }


def write_essay(
    population: Population,
    models: Sequence[Model],
    figures: Sequence[Number],
    lines: Sequence[Threshold],
    entity: EntityOf,
    *,
    scenario: Scenario,
    prior: Prior | None,
    draws: int,
    rng: np.random.SeedSequence,
    options: IndexOptions,
) -> Essay:
    """Return the answers for the models that have a figure.

    Parameters
    ----------
    population : Population
        With its bands; all models, for what does not need a figure.
    models, figures : sequences of Model and of its figure under `scenario`
    lines : sequence of Threshold
        That apply to every model.
    entity : callable
        ``entity(model, *factors)`` gives what the sweep draws.
    scenario, prior
        As the sweep has them.
    draws : int
        At most `DRAWS` of them are used.
    options : IndexOptions
        Of the risk index.
    """
    n = min(draws, DRAWS)
    exact = [Fraction(figure) for figure in figures]
    cohorts = Cohorts(tuple(model.date.year for model in models), tuple(model.domain for model in models))
    some = Population(population.name, tuple(models), population.bands)
    index = options.of(some, n, rng)
    entities = [entity(model) for model in models]
    values = draw_totals(entities, draws=n, rng=rng)
    gained = draw_totals(
        [entity(model, Factor("inference gain", INFERENCE_GAIN)) for model in models], draws=n, rng=rng
    )
    mixed = mixed_factors([model.key for model in models], n, rng=rng)
    kept = _kept(models, index)
    counted = [
        _counted(model, figure, population.bands, scenario, prior)
        for model, figure in zip(models, figures, strict=True)
    ]
    by_factor = tuple(count_by_factor(counted, line, factor) for line in lines for factor in FACTORS)
    rules = (*default_rules(lines), OfIndex("top 10 % of the risk index", index.label))
    reports = compare_rules(
        rules, [exact[m] for m in kept], values[kept], _cut(cohorts, kept), index.label, index.top, FACTORS, mixed[kept]
    )
    inference = tuple(
        missed_models("inference-time gain of 5 to 20", values, gained, exact, [_GAIN] * len(exact), line)
        for line in lines
    )
    progress = missed_by_progress(values, exact, [model.date for model in models], lines, reference=ESSAY, rng=rng)
    biology = [
        (model.key, figure)
        for model, figure in zip(models, figures, strict=True)
        if "biology" in (model.domains or (model.domain,))
    ]
    dodges = dodge(biology)
    spread = _spread(population)
    pairs = 2 * min(draws, _INFLUENCE_DRAWS)
    growth = draw_growth(fit_growth(some).fits, pairs, rng=rng)
    uncertain = _uncertain(
        draw_totals(entities, draws=pairs, rng=rng), exact, growth, options.of(some, pairs, rng), kept, rng
    )
    return Essay(
        rules=reports,
        index=index,
        curve=roc_curve([exact[m] for m in kept], index.label),
        by_factor=by_factor,
        mixed=tuple(count_mixed(counted, line) for line in lines),
        variance=tuple(headline(counted, line) for line in lines),
        influence=headline_influences(uncertain, cohorts, [model.date for model in models], lines),
        sides=sides_of(
            [model.key for model in models],
            exact,
            cohorts,
            growth,
            {model.key: model.top_probability for model in index.models},
        ),
        missed=(*inference, *progress),
        staleness=staleness(),
        bunching=tuple(bunching(exact, line) for line in lines),
        dodges=dodges,
        skewness=spread,
        claims=essay_claims(
            models,
            everybody=population.models,
            captured=_captured(exact, cohorts),
            counts=by_factor,
            missed=inference,
            dodges=dodges,
            spread=spread,
        ),
        draws=n,
    )


def _basket(models: Sequence[Model]) -> tuple[str, ...]:
    """Return the metrics besides compute that enough models have."""
    return tuple(
        name
        for name, read in METRICS.items()
        if name != "compute" and sum(read(model) is not None for model in models) >= _LEAST_SHARE * len(models)
    )


def _uncertain(
    flop: Values,
    figures: Sequence[Fraction],
    growth: Values,
    index: RiskIndex,
    kept: Sequence[int],
    rng: np.random.SeedSequence,
) -> Uncertain:
    """Return both sets of draws and the reference of each input; of the index, False for models that it leaves out."""
    pairs = growth.size
    half = pairs // 2
    drawn = np.broadcast_to(index.top, (len(kept), pairs))
    top = np.zeros((len(figures), pairs + 1), dtype=np.bool_)
    top[kept, :pairs], top[kept, pairs] = drawn, index.label
    factor = draw_factors(pairs, rng=rng)
    return Uncertain(
        flop=(flop[:, :half], flop[:, half:], np.array([[float(figure)] for figure in figures])),
        factor=(factor[:half], factor[half:], np.ones(1)),
        growth=(growth[:half], growth[half:], np.sort(growth)[half : half + 1]),
        top=(top[:, :half], top[:, half:pairs], top[:, pairs:]),
    )


def _kept(models: Sequence[Model], index: RiskIndex) -> list[int]:
    """Return the positions of the models that the index scores."""
    scored = {model.key for model in index.models}
    return [m for m, model in enumerate(models) if model.key in scored]


def _cut(cohorts: Cohorts, kept: Sequence[int]) -> Cohorts:
    return Cohorts(tuple(cohorts.years[m] for m in kept), tuple(cohorts.classes[m] for m in kept))


def _counted(model: Model, figure: Number, bands: Bands, scenario: Scenario, prior: Prior | None) -> Counted:
    if figure == 0:
        return Counted(model.key, 0, 0.0, 0.0, model.confidence)
    log10, sd = float(log10_exact(figure)), sigma_of(model, bands) / LN10
    if prior is not None and sd > 0.0:
        log10, sd = prior.posterior(figure_with_error(model, bands, scenario))
    return Counted(model.key, figure, log10, sd, model.confidence)


def _captured(figures: Sequence[Fraction], cohorts: Cohorts) -> dict[int, tuple[int, int, int]]:
    """Return per year the models, those in the top 10 %, and those over 1e25."""
    rules = default_rules((Threshold(">1e25", 10**25),))
    over, top = rules[0].members(figures, cohorts), rules[1].members(figures, cohorts)
    return {
        year: (
            len(some),
            sum(bool(top[m]) for m in some),
            sum(bool(over[m]) for m in some),
        )
        for (year, _), some in sorted(cohorts.groups(by_class=False).items())
    }


def _spread(population: Population) -> tuple[Skewness, ...]:
    columns: tuple[tuple[str, Callable[[Model], Number | None]], ...] = (
        ("parameters", lambda model: model.parameters_total),
        ("FLOP", lambda model: model.training_flop),
        ("data", lambda model: model.examples if model.tokens is None else model.tokens),
        ("time", lambda model: model.training_hours),
    )
    found = []
    for name, read in columns:
        spread = skewness(name, [value for model in population if (value := read(model))])
        if spread is not None:
            found.append(spread)
    return tuple(found)
