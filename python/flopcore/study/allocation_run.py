"""Runs a forecast from yearly budgets: counts as published, and the joint distribution that their sum misses."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor, fsum, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from flopcore import _core
from flopcore.distributions import Seed, philox_key, seed_sequence
from flopcore.quantity import Number, parse_quantity
from flopcore.sweep_run import Mean, Progress, Totals, Until, run

from .allocation import Allocation, Published, allocation_spec
from .allocation_shares import Share, allocation_shares
from .renewal import continuum_count

__all__ = ["AllocationResult", "YearCount", "run_allocation"]

Counts: TypeAlias = NDArray[np.int64]

THRESHOLDS: tuple[Number, ...] = (10**25, 10**26, 10**27, 10**28, 10**29)
WIDTHS: tuple[Number, ...] = (Fraction(1, 2), 1, Fraction(3, 2))
RETRODICTED: tuple[Number, ...] = (10**23, 10**24, 10**25)
QUANTILES = (("p05", Fraction(1, 20)), ("p50", Fraction(1, 2)), ("p95", Fraction(19, 20)))

_TWO_SIDED_95 = 1.959963984540054
_GRID = (48, 48, 16)  # growth, largest share, gradient: points of the midpoint rule in probability


@dataclass(frozen=True, slots=True)
class YearCount:
    """A count of models at the end of a year: its distribution over the simulations.

    `axis` is a threshold in FLOP or a width in orders of magnitude. `interval` holds, for each of the three
    percentiles, its 95 % confidence interval by order statistics: how far it may be off for lack of simulations.
    `continuum` is the mean without the bins of the recipe, where it applies.
    """

    year: int
    axis: Number
    mean: float
    mc_error: float
    p05: int
    p50: int
    p95: int
    interval: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    variance: float
    continuum: float | None = None

    def to_dict(self, axis: str) -> dict[str, object]:
        """Return the count as JSON types, `axis` named so."""
        found: dict[str, object] = {
            "year": self.year,
            axis: self.axis if isinstance(self.axis, int) else float(self.axis),
            "mean": self.mean,
            "mc_error": self.mc_error,
            "p05": self.p05,
            "p50": self.p50,
            "p95": self.p95,
            "interval": {name: list(pair) for (name, _), pair in zip(QUANTILES, self.interval, strict=True)},
        }
        return found if self.continuum is None else {**found, "continuum": self.continuum}


@dataclass(frozen=True, slots=True)
class AllocationResult:
    """Counts per year, near the frontier, and cumulative: as the authors sum them, and jointly.

    Parameters
    ----------
    per_year : tuple of YearCount
        Models over each threshold that appear in a year.
    frontier : tuple of YearCount
        Models within a width of the largest so far, summed over the quarters of a year.
    published_style : tuple of Published
        Percentiles per year, summed over the years: what the authors print as an interval.
    joint : tuple of YearCount
        The distribution of the total up to the end of each year, the observed models included.
    retrodiction : tuple of YearCount
        Models over each threshold in the years of the history, simulated.
    sensitivity : tuple of Share
        First-order and total shares of the variance of the last year's running total.
    year_correlation : tuple of (threshold, float)
        Mean correlation of the counts of two years, of those that the total adds up.
    """

    allocation: Allocation
    per_year: tuple[YearCount, ...]
    frontier: tuple[YearCount, ...]
    published_style: tuple[Published, ...]
    joint: tuple[YearCount, ...]
    retrodiction: tuple[YearCount, ...]
    sensitivity: tuple[Share, ...]
    year_correlation: tuple[tuple[Number, float], ...]
    rejected: tuple[tuple[int, float], ...]
    draws: int
    seed: int | tuple[int, ...]
    spawn_key: tuple[int, ...]
    stream_version: int
    versions: tuple[tuple[str, str], ...]
    elapsed: float = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return f"AllocationResult({self.allocation.name}, {self.draws} draws, seed={self.seed})"

    @property
    def reading(self) -> tuple[str, ...]:
        """A few sentences computed from the result."""
        last = self.allocation.years[-1]
        return tuple(
            _read_line(style, joint, dict(self.year_correlation)[line])
            for line, _ in self.allocation.observed
            if (style := self.style(line, last)) and (joint := self.total(line, last))
        )

    def style(self, threshold: Number, year: int) -> Published | None:
        """Return the sum of yearly percentiles for a threshold and year."""
        return next((p for p in self.published_style if (p.threshold, p.year) == (threshold, year)), None)

    def total(self, threshold: Number, year: int) -> YearCount | None:
        """Return the joint distribution for a threshold and year."""
        return next((c for c in self.joint if (c.axis, c.year) == (threshold, year)), None)

    def to_dict(self) -> dict[str, object]:
        """Return the result in the schema ``flopcore.forecast/1`` (data/schemas/forecast.schema.json)."""
        return {
            "schema": "flopcore.forecast/1",
            "study": "kumar-manning",
            "per_year": [count.to_dict("threshold") for count in self.per_year],
            "frontier": [count.to_dict("width_oom") for count in self.frontier],
            "published_style": [_published(item) for item in self.published_style],
            "joint": [count.to_dict("threshold") for count in self.joint],
            "published": [_published(item) for item in self.allocation.published],
            "retrodiction": [count.to_dict("threshold") for count in self.retrodiction],
            "sensitivity": [share.to_dict() for share in self.sensitivity],
            "year_correlation": [
                {"threshold": _json(line), "correlation": value} for line, value in self.year_correlation
            ],
            "rejected": [{"year": year, "per_simulation": value} for year, value in self.rejected],
            "reading": list(self.reading),
            "allocation": self.allocation.to_dict(),
            "draws": self.draws,
            "seed": list(self.seed) if isinstance(self.seed, tuple) else self.seed,
            "spawn_key": list(self.spawn_key),
            "stream_version": self.stream_version,
            "versions": dict(self.versions),
        }


def run_allocation(
    allocation: Allocation | None = None,
    *,
    thresholds: Iterable[Number | str] = THRESHOLDS,
    widths: Iterable[Number | str] = WIDTHS,
    draws: int = 200_000,
    rng: Seed = None,
    threads: int | None = None,
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    until: Until | None = None,
) -> AllocationResult:
    """Return how many models a forecast from yearly budgets expects over each threshold and near the frontier.

    Parameters
    ----------
    allocation : Allocation, optional
        The parameters; Kumar and Manning's when absent.
    thresholds : iterable of int, Fraction or str
        Lines in FLOP; a model at a line is over it.
    widths : iterable of int, Fraction or str
        Orders of magnitude below the largest model so far.
    draws : int
        Simulations.
    rng : int, sequence of int, SeedSequence or None
        Seed; None takes fresh entropy, which the result records.
    threads : int or None
        None means all CPUs this process may use; the result does not depend on it.
    progress, checkpoint, executor, until
        As for :func:`flopcore.sweep`; `until` is told of the counts per year.

    Raises
    ------
    ValueError
        A parameter is out of range.
    DataError
        A simulation finds no allocation that its budget bears (a growth floor helps), or too many models.

    Notes
    -----
    Adding the 5th percentiles of several years, as published, gives the 5th percentile of the sum only if all years
    move together. The largest shares are independent from year to year, so the published interval is far too wide.
    Percentiles of the joint distribution are those of the sum in each simulation. Where `Allocation.observed` has a
    threshold, its count replaces what is simulated up to the end of the first year, in both.

    `sensitivity` has the first-order share of each input (given data) and its total order, from up to 20,000
    simulations run again with that input's random numbers changed: :func:`~flopcore.study.allocation_shares`.
    """
    model = Allocation.bundled() if allocation is None else allocation
    lines = _ascending(thresholds, "threshold")
    orders = _ascending(widths, "width")
    if not 1 <= draws < 1 << 49:
        raise ValueError(f"draws={draws}: expected 1 to 2^49")
    if threads is not None and threads < 1:
        raise ValueError(f"threads={threads}: expected None or at least 1")
    seed = seed_sequence(rng)
    began = time.perf_counter()
    spec = allocation_spec(model, thresholds=lines, widths=orders, key=philox_key(seed))
    plan = spec.build()
    totals = run(
        spec,
        plan.evaluate(0, 0, 1),
        _means,
        draws,
        threads=threads or 0,
        progress=progress,
        checkpoint=checkpoint,
        executor=executor,
        until=until,
        plan=plan,
    )
    draws = totals.draws
    per_year, cumulative, frontier, groups, rejected = totals.counts
    past = allocation_spec(model, thresholds=RETRODICTED, widths=orders, key=philox_key(seed), retrodict=True).build()
    history = past.evaluate(0, max(1, draws // 10), threads or 0)[0]
    counts = _year_counts(model.years, lines, per_year, _continuum(model, lines))
    joint = _year_counts(model.years, lines, cumulative, offsets=[model.offset(line) or 0 for line in lines])
    last = [next(c for c in joint if c.axis == line and c.year == model.years[-1]) for line in lines]
    entropy = seed.entropy
    return AllocationResult(
        allocation=model,
        per_year=counts,
        frontier=_year_counts(model.years, orders, frontier),
        published_style=_sum_percentiles(model, counts, lines),
        joint=joint,
        retrodiction=_year_counts(tuple(year for year, _ in model.history), RETRODICTED, history),
        sensitivity=allocation_shares(
            spec, lines, groups, [count.variance for count in last], seed, draws, threads or 0
        ),
        year_correlation=tuple(
            (line, _correlation(model, line, counts, total)) for line, total in zip(lines, last, strict=True)
        ),
        rejected=tuple(
            (year, int(n) / draws)
            for year, n in zip((*(y for y, _ in model.history), *model.years), rejected, strict=True)
        ),
        draws=draws,
        seed=tuple(int(e) for e in entropy) if isinstance(entropy, Sequence) else int(entropy or 0),
        spawn_key=tuple(int(k) for k in seed.spawn_key),
        stream_version=_core.stream_version,
        versions=(("flopcore", _core.version), ("numpy", np.__version__)),
        elapsed=time.perf_counter() - began,
    )


def _ascending(values: Iterable[Number | str], name: str) -> tuple[Number, ...]:
    found = tuple(sorted({parse_quantity(value, name=name) for value in values}))
    if not found or found[0] <= 0:
        raise ValueError(f"{name}s: at least one, all positive")
    return found


def _means(totals: Totals) -> list[Mean]:
    """Return draws, sum and sum of squares of the count of each year and threshold."""
    found: list[Mean] = []
    for year in totals.counts[0]:
        for histogram in year:
            held = [(int(count), int(histogram[count])) for count in np.flatnonzero(histogram)]
            found.append(
                (totals.draws, Fraction(sum(c * n for c, n in held)), Fraction(sum(c * c * n for c, n in held)))
            )
    return found


def _year_counts(
    years: Sequence[int],
    axis: Sequence[Number],
    histograms: Counts,
    continuum: NDArray[np.float64] | None = None,
    offsets: Sequence[int] | None = None,
) -> tuple[YearCount, ...]:
    """Return the counts of histograms [year, axis, count]."""
    return tuple(
        _year_count(
            year,
            value,
            histograms[y, a],
            None if continuum is None else float(continuum[y, a]),
            0 if offsets is None else offsets[a],
        )
        for y, year in enumerate(years)
        for a, value in enumerate(axis)
    )


def _year_count(year: int, axis: Number, histogram: Counts, continuum: float | None, offset: int) -> YearCount:
    held = [(int(count), int(histogram[count])) for count in np.flatnonzero(histogram)]
    n = sum(times for _, times in held)
    total, squares = sum(c * t for c, t in held), sum(c * c * t for c, t in held)
    variance = Fraction(n * squares - total * total, n * n)
    below = np.cumsum(histogram)

    def at(rank: int) -> int:
        return int(np.searchsorted(below, min(max(rank, 1), n))) + offset

    slack = [_TWO_SIDED_95 * sqrt(n * q * (1 - q)) for _, q in QUANTILES]
    p05, p50, p95 = (at(ceil(n * q)) for _, q in QUANTILES)
    low, middle, high = (
        (at(floor(n * q - d)), at(ceil(n * q + d) + 1)) for (_, q), d in zip(QUANTILES, slack, strict=True)
    )
    mean = offset + total / n
    error = sqrt(variance / n)
    return YearCount(year, axis, mean, error, p05, p50, p95, (low, middle, high), float(variance), continuum)


def _sum_percentiles(model: Allocation, counts: Sequence[YearCount], lines: Sequence[Number]) -> tuple[Published, ...]:
    """Return yearly percentiles added up over the years; observed counts stand for the first year."""
    found = []
    for year in model.years:
        for line in lines:
            offset = model.offset(line)
            added = [
                c for c in counts if c.axis == line and c.year <= year and (offset is None or c.year > model.first_year)
            ]
            low, middle, high = (sum(getattr(c, name) for c in added) + (offset or 0) for name, _ in QUANTILES)
            found.append(Published(line, year, low, middle, high))
    return tuple(found)


def _correlation(model: Allocation, line: Number, counts: Sequence[YearCount], total: YearCount) -> float:
    """Return the mean correlation of two years: (Var of the sum - sum of Var) / (sum over pairs of sd sd)."""
    used = [c.variance for c in counts if c.axis == line and (model.offset(line) is None or c.year > model.first_year)]
    pairs = sum(sqrt(v) for v in used) ** 2 - sum(used)
    return (total.variance - sum(used)) / pairs if pairs > 0.0 else 0.0


def _continuum(model: Allocation, lines: Sequence[Number]) -> NDArray[np.float64]:
    """Return the mean count per year and threshold without bins or rejection, by the midpoint rule in probability."""
    points = [(np.arange(n) + 0.5) / n for n in _GRID]
    growth = float(model.growth) + float(model.growth_sd) * _core.norm_ppf(points[0])
    if model.growth_floor is not None:
        growth = np.maximum(growth, float(model.growth_floor))
    k = float(model.gradient[0]) + float(model.gradient[1] - model.gradient[0]) * points[2]
    means = np.empty((len(model.years), len(lines)))
    for y, year in enumerate(model.years):
        flop, power = model.budget(year)
        budget = np.full(len(growth), float(flop))
        for _ in range(power):
            budget = budget * growth
        for t, line in enumerate(lines):
            share = _share_points(model, year, points[1], budget[:, None])
            found = continuum_count(float(line), budget[:, None, None], share[:, :, None], k[None, None, :])
            means[y, t] = fsum(found.ravel().tolist()) / found.size
    return means


def _share_points(
    model: Allocation, year: int, u: NDArray[np.float64], budget: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the largest share at each probability, broadcastable to growth x share."""
    if year == model.first_year and model.first_year_largest is not None:
        share: NDArray[np.float64] = np.minimum(float(model.first_year_largest) / budget, 1.0)
        return share
    low, high = (float(end) for end in model.largest_share)
    if model.largest_share_shape == "uniform" or low == high:
        return (low + (high - low) * u)[None, :]
    sds = float(model.largest_share_sds)
    p_low, p_high = _core.norm_cdf(np.array([-sds / 2, sds / 2]))
    bottom, top = _core.log(np.array([low, high]))
    logs = (bottom + top) / 2 + (top - bottom) / sds * _core.norm_ppf(p_low + (p_high - p_low) * u)
    return _core.exp(logs)[None, :]


def _read_line(style: Published, joint: YearCount, correlation: float) -> str:
    width, whole = joint.p95 - joint.p05, style.p95 - style.p05
    wider = f" ({whole / width:.1f} times as wide)" if width else ""
    return (
        f"Over {float(joint.axis):g} FLOP by the end of {joint.year}: yearly percentiles summed give {style.p05} / "
        f"{style.p50} / {style.p95}; the total itself has {joint.p05} / {joint.p50} / {joint.p95}. The sums span "
        f"{whole} models{wider}, the 90 % interval of the total {width}: the counts of two years correlate by "
        f"{correlation:.2f} only."
    )


def _published(item: Published) -> dict[str, object]:
    return {
        "year": item.year,
        "threshold": _json(item.threshold),
        "p05": item.p05,
        "p50": item.p50,
        "p95": item.p95,
    }


def _json(value: Number) -> int | float:
    return value if isinstance(value, int) else float(value)
