"""The study named after Hooker's essay (arXiv:2407.05694): which models cross which static line, and how surely."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias, get_args

import numpy as np

from flopcore.distributions import Seed, seed_sequence
from flopcore.quantity import Number
from flopcore.sweep import Entity, Factor, Precision, SweepResult, draw_totals, sweep
from flopcore.thresholds import Comparator, Threshold, ThresholdPolicy

from .censored import censored_counts
from .dynamic import count_dynamic
from .essay import IndexOptions, write_essay
from .hooker_result import (
    DynamicYear,
    EstimateError,
    Excluded,
    GroupCount,
    HookerResult,
    Missing,
    ModelResult,
    ScenarioCount,
    ThresholdCount,
    YearDomain,
)
from .impute import Imputation, impute
from .lines import Line, entity_of, figure_of, figure_with_error, make_lines
from .population import Bands, Model, Population
from .scenario import Scenario, find_flips, named_scenarios
from .shrink import Prior, fit_prior

__all__ = ["LINES", "HookerResult", "IndexOptions", "run_hooker"]

Progress: TypeAlias = Callable[[int, int], None]
Run: TypeAlias = Callable[..., SweepResult]

_DYNAMIC_DRAWS = 20_000  # of the sweep's draws: ranks need every value sorted

LINES: tuple[Number, ...] = (10**23, 10**24, 10**25, 10**26)
"""The static lines of the study unless others are named."""


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
    missing: Missing = "exclude",
    index: IndexOptions | None = None,
    precision: Precision = "double",
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> HookerResult:
    """Return how many models of a population are over each static line, and what other rules would find instead.

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
    missing : {"exclude", "impute", "censored"}
        Models without a figure: left out; estimated by `impute` where a way allows; or left out and counted apart,
        over each line, by the trend of the population where they are possibly over 1e23 FLOP.
    index : IndexOptions, optional
        Metrics and weights of the risk index, what becomes of models without a metric, and how many are its top.
    precision : {"double", "single"}
        Of the variates.
    progress : callable, optional
        Called as ``progress(done, draws)`` during the sweep of the whole population.
    checkpoint : path, optional
        Directory that keeps the counts of that sweep; the same call after an interruption goes on from there.

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
    if missing not in get_args(Missing):
        raise ValueError(f"missing={missing!r}: one of {', '.join(map(repr, get_args(Missing)))}")
    ways: tuple[Imputation, ...] = ()
    if missing == "impute":
        filled = impute(table)
        table, ways = filled.population, filled.ways
    how = Scenario() if scenario is None else scenario
    given = tuple(thresholds)
    lines = make_lines(given, comparators)
    models = tuple(model for model in table if model.training_flop is not None)
    if not models:
        raise ValueError(f"population {table.name}: no model has a training_flop")
    if estimate_error not in get_args(EstimateError):
        raise ValueError(f"estimate_error={estimate_error!r}: 'resample' or 'shrink'")
    seed = seed_sequence(rng)

    def prior_of(counting: Scenario) -> Prior | None:
        if estimate_error == "resample":
            return None
        return fit_prior([figure_with_error(model, table.bands, counting) for model in models])

    def runner(counting: Scenario, prior: Prior | None) -> Run:
        def run(
            some: Sequence[Model],
            over: Sequence[Line],
            report: Progress | None = None,
            keep: str | os.PathLike[str] | None = None,
        ) -> SweepResult:
            entities = [entity_of(model, table.bands, counting, prior) for model in some]
            marks = [line.threshold for line in over]
            return sweep(
                entities,
                marks,
                draws=draws,
                rng=seed,
                threads=threads,
                precision=precision,
                progress=report,
                checkpoint=keep,
            )

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
    whole = run(models, lines, progress, checkpoint)
    everywhere = [line.threshold for line in lines if not line.domains] or [
        line.threshold for line in make_lines(LINES, comparators)
    ]

    def entity(model: Model, *more: Factor) -> Entity:
        return entity_of(model, table.bands, how, prior, *more)

    essay = write_essay(
        table,
        models,
        [figure_of(model, how) for model in models],
        everywhere,
        entity,
        scenario=how,
        prior=prior,
        draws=draws,
        rng=seed,
        options=IndexOptions() if index is None else index,
    )
    trend = (
        fit_prior([figure_with_error(model, table.bands, how) for model in models]) if missing == "censored" else None
    )
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
        per_year_domain=tuple(
            YearDomain(year, group(domain, [m for m in models if (m.date.year, m.domain) == (year, domain)]))
            for year, domain in sorted({(model.date.year, model.domain) for model in models})
        ),
        dynamic=tuple(
            _dynamic(
                year,
                [model for model in models if model.date.year == year],
                entity,
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
        essay=essay,
        missing=missing,
        imputation=ways,
        censored=() if trend is None else censored_counts(table.models, everywhere, trend),
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


def _counts(
    models: Sequence[Model], lines: Sequence[Line], scenario: Scenario, run: Run, whole: SweepResult | None = None
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
    line: Line, models: Sequence[Model], scenario: Scenario, result: SweepResult | None, t: int
) -> ThresholdCount:
    if result is None:
        return ThresholdCount(line.threshold, line.domains, 0, 0, 0.0, 0, 0, 0, 0.0, 0.0)
    return ThresholdCount(
        threshold=line.threshold,
        domains=line.domains,
        n_models=len(models),
        point=sum(line.threshold.is_exceeded_by(figure_of(model, scenario)) for model in models),
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
    counts = count_dynamic([figure_of(model, scenario) for model in models], values)
    return DynamicYear(year, len(models), n_draws, counts)


def _probabilities(
    models: Sequence[Model], lines: Sequence[Line], scenario: Scenario, whole: SweepResult
) -> tuple[ModelResult, ...]:
    shares = whole.probability()
    return tuple(
        ModelResult(
            model,
            figure_of(model, scenario),
            tuple(
                (line.threshold.name, float(shares[m, t]) if line.covers(model) else float("nan"))
                for t, line in enumerate(lines)
            ),
        )
        for m, model in enumerate(models)
    )


def _reason(model: Model) -> str:
    reason = "no training_flop: neither published nor derivable from what is"
    return f"{reason}; {model.note}" if model.note else reason
