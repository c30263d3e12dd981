"""A risk index, first form: a weighted basket of metrics, each standardised within reference class and year."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import fsum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flopcore import _core
from flopcore.distributions import Seed, log10_exact, philox_key, seed_sequence
from flopcore.quantity import Number

from .population import Model, Population

__all__ = ["METRICS", "Missing", "RiskIndex", "Scored", "risk_index"]

Missing = Literal["exclude", "impute"]
Values = NDArray[np.float64]

_LEAST_GROUP = 5
_MAD = 1.4826  # of a normal distribution: standard deviation over median absolute deviation
_STREAM = ("risk_index", "weight")


def _log10(value: Number | None) -> float | None:
    return None if value is None or value <= 0 else float(log10_exact(value))


METRICS: Mapping[str, Callable[[Model], float | None]] = {
    "compute": lambda model: _log10(model.training_flop),
    "capability": lambda model: None if model.capability is None else float(model.capability.value),
    "data": lambda model: _log10(model.examples if model.tokens is None else model.tokens),
    "parameters": lambda model: _log10(model.parameters_total),
    "modality": lambda model: float(len(model.domains or (model.domain,))),
    "open_weights": lambda model: None if model.open_weights is None else float(model.open_weights),
    "cost": lambda model: _log10(model.cost_usd),
}
"""Metric -> its value for a model, None where the population does not say."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One model's index: mean over the weights, probability of being in the top k, metrics that it lacks."""

    key: str
    score: float
    top_probability: float
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RiskIndex:
    """An index over a population.

    Parameters
    ----------
    metrics : tuple of str
        What the basket holds.
    weights : mapping of str to float, or None
        As given; None for weights uniform on the simplex.
    missing : {"exclude", "impute"}
        What became of a model without a metric.
    models : tuple of Scored
        In the order of the population, without the excluded ones.
    excluded : tuple of str
        Keys of models left out for want of a metric.
    k : int
        Size of the top.
    top : array of bool, models x draws
        Whether a model is in the top k under each draw of the weights.
    """

    metrics: tuple[str, ...]
    weights: Mapping[str, float] | None
    missing: Missing
    models: tuple[Scored, ...]
    excluded: tuple[str, ...]
    k: int
    top: NDArray[np.bool_]

    @property
    def label(self) -> NDArray[np.bool_]:
        """Whether a model is in the top k by its mean score (ties by order)."""
        chosen = np.zeros(len(self.models), dtype=np.bool_)
        ranked = sorted(range(len(self.models)), key=lambda m: (-self.models[m].score, m))
        chosen[ranked[: self.k]] = True
        return chosen

    def to_dict(self) -> dict[str, object]:
        """Return the index as JSON types; `models` are those that may be in the top."""
        return {
            "metrics": list(self.metrics),
            "weights": "uniform on the simplex" if self.weights is None else dict(self.weights),
            "missing": self.missing,
            "n_models": len(self.models),
            "n_excluded": len(self.excluded),
            "k": self.k,
            "draws": int(self.top.shape[1]),
            "n_missing": {name: sum(name in model.missing for model in self.models) for name in self.metrics},
            "models": [
                {
                    "key": model.key,
                    "score": model.score,
                    "top_probability": model.top_probability,
                    "missing": list(model.missing),
                }
                for model in sorted(self.models, key=lambda model: (-model.top_probability, -model.score, model.key))
                if model.top_probability > 0
            ],
        }


def risk_index(
    population: Population,
    *,
    metrics: Sequence[str] = tuple(METRICS),
    weights: Mapping[str, float] | None = None,
    missing: Missing = "impute",
    top_share: Fraction = Fraction(1, 10),
    draws: int = 2000,
    rng: Seed = None,
) -> RiskIndex:
    """Return a risk index of each model, and how surely it is among the top.

    Parameters
    ----------
    metrics : sequence of str
        Of `METRICS`; weighted alike in the mean.
    weights : mapping of metric to weight, optional
        Not negative, not all zero; without it the weights are uniform on the simplex, a new draw for each of `draws`.
    missing : {"exclude", "impute"}
        ``exclude`` leaves out a model without one of the metrics; ``impute`` gives it the middle of its group (0 after
        standardisation). Either way the result names the metrics that each model lacks.
    top_share : Fraction
        The top k are this share of the models, at least one.
    draws : int
        Of the weights.

    Raises
    ------
    ValueError
        An unknown metric or weight, weights that are no weights, or no model left.

    Notes
    -----
    A metric x becomes (x - median) / (1.4826 MAD) within its class and year, of the class where that group has fewer
    than five values or no spread, of all models where the class has; capability scores are compared within their own
    metric only. Without any spread by that measure the standard deviation serves, and 0 where that is 0 too.
    """
    unknown = [name for name in (*metrics, *(weights or ())) if name not in METRICS]
    if unknown or not metrics:
        raise ValueError(f"metrics: {', '.join(map(repr, unknown)) or 'none'}; there are {', '.join(METRICS)}")
    if missing not in ("exclude", "impute"):
        raise ValueError(f"missing={missing!r}: 'exclude' or 'impute'")
    if not 0 < top_share < 1 or draws < 1:
        raise ValueError(f"top_share={top_share}, draws={draws}: expected a share in (0, 1) and at least one draw")
    raw = [{name: METRICS[name](model) for name in metrics} for model in population]
    lacking = [tuple(name for name in metrics if row[name] is None) for row in raw]
    kept = [m for m in range(len(raw)) if missing == "impute" or not lacking[m]]
    if not kept:
        raise ValueError(f"no model has all of {', '.join(metrics)}; choose fewer metrics or missing='impute'")
    models = [population.models[m] for m in kept]
    columns = np.array([_standardised(models, [raw[m][name] for m in kept], name) for name in metrics])
    w = _weights(metrics, weights, draws, rng)
    scores = np.zeros((len(models), w.shape[1]))
    for column, weight in zip(columns, w, strict=True):
        scores += column[:, None] * weight[None, :]
    k = max(1, round(top_share * len(models)))
    order = np.argsort(-scores, axis=0, kind="stable")
    top = np.zeros(scores.shape, dtype=np.bool_)
    np.put_along_axis(top, order[:k], True, axis=0)
    means = [fsum(row) / len(row) for row in scores.tolist()]
    return RiskIndex(
        metrics=tuple(metrics),
        weights=None if weights is None else dict(weights),
        missing=missing,
        models=tuple(
            Scored(model.key, means[m], int(top[m].sum()) / top.shape[1], lacking[kept[m]])
            for m, model in enumerate(models)
        ),
        excluded=tuple(model.key for m, model in enumerate(population) if m not in set(kept)),
        k=k,
        top=top,
    )


def _weights(metrics: Sequence[str], weights: Mapping[str, float] | None, draws: int, rng: Seed) -> Values:
    """Return weights that sum to one, metrics x draws; exponentials over their sum are uniform on the simplex."""
    if weights is not None:
        given = np.array([float(weights.get(name, 0.0)) for name in metrics])
        if np.any(given < 0) or not np.all(np.isfinite(given)) or given.sum() == 0:
            raise ValueError(f"weights={dict(weights)}: expected numbers that are not negative, one above zero")
        shares: Values = (given / given.sum())[:, None]
        return shares
    key = philox_key(seed_sequence(rng))
    rows = []
    for name in metrics:
        words = _core.philox_words(key, _core.stream_hash(*_STREAM, name), 0, (draws + 3) // 4).ravel()[:draws]
        rows.append(-_core.log((words.astype(np.float64) + 0.5) * 2.0**-32))
    total = np.zeros(draws)
    for row in rows:
        total = total + row
    return np.array([row / total for row in rows])


def _standardised(models: Sequence[Model], values: Sequence[float | None], name: str) -> list[float]:
    kinds = [
        model.capability.metric if name == "capability" and model.capability is not None else "" for model in models
    ]
    levels: tuple[Callable[[int], tuple[object, ...]], ...] = (
        lambda m: (kinds[m], models[m].domain, models[m].date.year),
        lambda m: (kinds[m], models[m].domain),
        lambda m: (kinds[m],),
    )
    groups: list[dict[tuple[object, ...], list[float]]] = []
    for level in levels:
        found: dict[tuple[object, ...], list[float]] = {}
        for m, value in enumerate(values):
            if value is not None:
                found.setdefault(level(m), []).append(value)
        groups.append(found)
    scale = [{group: _middle_and_spread(some) for group, some in found.items()} for found in groups]

    def standardise(m: int, value: float | None) -> float:
        if value is None:
            return 0.0
        for level, spread in zip(levels, scale, strict=True):
            middle, width = spread[level(m)]
            if width > 0.0:
                return (value - middle) / width
        return 0.0

    return [standardise(m, value) for m, value in enumerate(values)]


def _middle_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Return median and 1.4826 MAD, or mean and sd where the MAD is 0; spread 0 of fewer than five values."""
    if len(values) < _LEAST_GROUP:
        return 0.0, 0.0
    middle = _median(values)
    width = _MAD * _median([abs(value - middle) for value in values])
    if width > 0.0:
        return middle, width
    mean = fsum(values) / len(values)
    return mean, float(np.sqrt(fsum((v - mean) * (v - mean) for v in values) / len(values)))


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
