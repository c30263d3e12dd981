"""What the way of counting does to a count over a line: for all models alike, and drawn for each model by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import fsum

import numpy as np
from numpy.typing import NDArray

from flopcore import _core
from flopcore.distributions import Seed, log10_exact, philox_key, seed_sequence
from flopcore.quantity import Number
from flopcore.thresholds import Threshold

from .poisson_binomial import CountLaw, count_law

__all__ = [
    "FACTORS",
    "Counted",
    "FactorCount",
    "Headline",
    "InputShare",
    "MixedCount",
    "count_by_factor",
    "count_mixed",
    "headline",
    "mixed_factors",
    "probabilities",
]

Values = NDArray[np.float64]

FACTORS: tuple[Fraction, ...] = (Fraction(1, 2), Fraction(1), Fraction(4, 3), Fraction(2))
"""Ways of counting, taken as equally likely: a multiply-accumulate as one, as published, with full recomputation, and
doubled (a published count of multiply-accumulates read as FLOP)."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A model as a count over a line sees it: its figure, median and standard deviation of log10, confidence label."""

    key: str
    figure: Number
    log10_median: float
    sd: float
    label: str


@dataclass(frozen=True, slots=True)
class FactorCount:
    """Models over a line when every figure is multiplied by a factor; exact, from the Poisson-binomial law."""

    policy: str
    factor: float
    point: int
    expected: float
    sd: float
    p05: int
    p50: int
    p95: int

    def to_dict(self) -> dict[str, object]:
        """Return the count as JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class MixedCount:
    """Models over a line when each model's factor is drawn by itself, each factor equally likely; exact."""

    policy: str
    expected: float
    sd: float
    p05: int
    p50: int
    p95: int

    def to_dict(self) -> dict[str, object]:
        """Return the count as JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class InputShare:
    """What one input does to the variance of a count.

    `share` is its part in Var_c(E[N | c]) + E_c(Var[N | c]), which add up to 1; `first_order` and `total` are its Sobol
    indices; `shapley` its Shapley effect, which add up to 1 too.
    """

    input: str
    share: float
    first_order: float
    total: float
    shapley: float


@dataclass(frozen=True, slots=True)
class Headline:
    """What the variance of a headline count is made of: the way of counting, and the errors of each kind of figure.

    Exact. The ways of counting are equally likely, errors are independent of them and of each other.
    """

    policy: str
    mean: float
    variance: float
    inputs: tuple[InputShare, ...]

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """Name and share of each input."""
        return tuple((item.input, item.share) for item in self.inputs)

    def to_dict(self) -> dict[str, object]:
        """Return the shares as JSON types."""
        return {
            "policy": self.policy,
            "mean": self.mean,
            "variance": self.variance,
            "shares": [asdict(item) for item in self.inputs],
        }


def probabilities(models: Sequence[Counted], line: Threshold, factor: Fraction = Fraction(1)) -> list[float]:
    """Return each model's probability of being over a line when its figure is multiplied by a factor; closed form."""
    cut = float(log10_exact(Fraction(line.value) / factor))
    z = np.array([(model.log10_median - cut) / model.sd if model.sd > 0.0 else 0.0 for model in models])
    drawn = _core.norm_cdf(z).tolist()
    return [
        p if model.sd > 0.0 else float(line.is_exceeded_by(Fraction(model.figure) * factor))
        for model, p in zip(models, drawn, strict=True)
    ]


def count_by_factor(models: Sequence[Counted], line: Threshold, factor: Fraction) -> FactorCount:
    """Return the count over a line under one common factor."""
    law = count_law(probabilities(models, line, factor))
    point = sum(line.is_exceeded_by(Fraction(model.figure) * factor) for model in models)
    return FactorCount(line.name, float(factor), point, *_moments(law))


def count_mixed(models: Sequence[Counted], line: Threshold, factors: Sequence[Fraction] = FACTORS) -> MixedCount:
    """Return the count over a line when each model's factor is drawn by itself."""
    rows = [probabilities(models, line, factor) for factor in factors]
    return MixedCount(line.name, *_moments(count_law([fsum(column) / len(rows) for column in zip(*rows, strict=True)])))


def headline(models: Sequence[Counted], line: Threshold, factors: Sequence[Fraction] = FACTORS) -> Headline:
    """Return what the variance of the count over a line is made of.

    Notes
    -----
    With p_ic the probability of model i under way c, Var_c(E[N | c]) is the variance of sum_i p_ic over c, and
    E_c(Var[N | c]) is sum_i mean_c p_ic (1 - p_ic): the total index of the errors, as a model's side depends on its own
    error and on the way only. Being over is monotone in the factor, so E[1_ic 1_ic'] = min(p_ic, p_ic'), and the
    errors' first-order part is sum_i (mean_cc' min(p_ic, p_ic') - (mean_c p_ic)^2). What lies between is interaction of
    the way with single models, of which Shapley's effect gives each side a half.
    """
    rows = [probabilities(models, line, factor) for factor in factors]
    n = len(rows)
    means = [fsum(row) for row in rows]
    mean = fsum(means) / n
    between = fsum((m - mean) * (m - mean) for m in means) / n
    first: dict[str, list[float]] = {}
    total: dict[str, list[float]] = {}
    for model, column in zip(models, zip(*rows, strict=True), strict=True):
        average = fsum(column) / n
        first.setdefault(model.label, []).append(
            fsum(min(p, q) for p in column for q in column) / (n * n) - average * average
        )
        total.setdefault(model.label, []).append(fsum(p * (1.0 - p) for p in column) / n)
    errors = {label: (fsum(first[label]), fsum(total[label])) for label in sorted(total)}
    variance = between + fsum(whole for _, whole in errors.values())
    shared = fsum(whole - alone for alone, whole in errors.values())
    parts = [("way of counting", between, between, between + shared)]
    parts += [(f"error of {label} figures", whole, alone, whole) for label, (alone, whole) in errors.items()]
    scale = 1 / variance if variance else 0.0
    return Headline(
        line.name,
        mean,
        variance,
        tuple(
            InputShare(name, share * scale, alone * scale, whole * scale, (alone + whole) / 2 * scale)
            for name, share, alone, whole in parts
        ),
    )


def mixed_factors(
    keys: Sequence[str], draws: int, *, rng: Seed = None, factors: Sequence[Fraction] = FACTORS
) -> Values:
    """Return a factor for each model and draw, each equally likely, models x draws."""
    key = philox_key(seed_sequence(rng))
    table = np.array([float(factor) for factor in factors])
    rows = np.empty((len(keys), draws))
    for m, name in enumerate(keys):
        words = _core.philox_words(key, _core.stream_hash("study", "way of counting", name), 0, (draws + 3) // 4)
        rows[m] = table[(words.ravel()[:draws].astype(np.uint64) * len(factors)) >> np.uint64(32)]
    return rows


def _moments(law: CountLaw) -> tuple[float, float, int, int, int]:
    return law.mean, law.sd, law.quantile(0.05), law.quantile(0.5), law.quantile(0.95)
