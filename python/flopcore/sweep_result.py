"""The result of a population's sweep: exact counts, labelled, with what is needed to repeat them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .sink_results import (
    Axis,
    CountResult,
    Measure,
    count_quantile,
    count_quantile_error,
    count_sd,
    count_sd_error,
    moments,
)
from .sweep_plan import Precision
from .sweep_replicates import Sobol
from .sweep_tables import read_result, to_dataset, to_frame, write_result
from .thresholds import Threshold

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["SweepResult"]


@dataclass(frozen=True, slots=True, eq=False)
class SweepResult:
    """Counts of draws above thresholds, and what is needed to repeat them.

    ``exceed_counts[m, t]`` is the number of draws in which entity m is over threshold t; ``count_histogram[t, c]`` the
    number of draws in which exactly c entities are over threshold t. Both are exact integers, read-only. Where the
    shared factors were drawn by Sobol' points, `replicated` has the counts of each scramble too, whose spread is then
    every standard error.
    """

    entities: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    draws: int
    exceed_counts: NDArray[np.int64]
    count_histogram: NDArray[np.int64]
    precision: Precision
    seed: int | tuple[int, ...]
    spawn_key: tuple[int, ...]
    stream_version: int
    plan_digest: str
    versions: dict[str, str]
    elapsed: float = field(repr=False)
    sampler: Sobol | None = None
    replicated: CountResult | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return (
            f"SweepResult({len(self.entities)} entities, {len(self.thresholds)} thresholds, {self.draws} draws, "
            f"seed={self.seed})"
        )

    def probability(self) -> NDArray[np.float64]:
        """Return the share of draws over each threshold, entities x thresholds."""
        return self.exceed_counts / self.draws

    def probability_error(self) -> NDArray[np.float64]:
        """Return the Monte Carlo standard error of `probability`, entities x thresholds."""
        if self.replicated is not None:
            return self.replicated.probability_error()
        p = self.probability()
        return np.sqrt(p * (1.0 - p) / self.draws)

    def expected(self) -> NDArray[np.float64]:
        """Return the mean number of entities over each threshold."""
        return np.array([total / self.draws for total, _ in moments(self.count_histogram)])

    def count_quantile(self, q: float) -> NDArray[np.int64]:
        """Return, per threshold, the smallest count that at least a share `q` of the draws does not exceed."""
        return count_quantile(self.count_histogram, self.draws, q)

    def count_sd(self) -> NDArray[np.float64]:
        """Return the standard deviation of the number of entities over each threshold (n - 1); NaN for one draw."""
        return count_sd(self.count_histogram, self.draws)

    def count_quantile_error(self, q: float) -> NDArray[np.float64]:
        """Return the Monte Carlo standard error of `count_quantile`; 0 where it is known to be this number."""
        if self.replicated is not None:
            return self.replicated.count_quantile_error(q)
        return count_quantile_error(self.count_histogram, self.draws, q)

    def count_sd_error(self) -> NDArray[np.float64]:
        """Return the Monte Carlo standard error of `count_sd`."""
        if self.replicated is not None:
            return self.replicated.count_sd_error()
        return count_sd_error(self.count_histogram, self.draws)

    def mc_error(self) -> NDArray[np.float64]:
        """Return the Monte Carlo standard error of `expected`."""
        if self.replicated is not None:
            return self.replicated.mc_error()
        return self.count_sd() / sqrt(self.draws)

    def measures(self) -> dict[str, Measure]:
        """Return every labelled array: probabilities, mean counts and their distribution."""
        lines, entities = Axis("threshold", tuple(line.name for line in self.thresholds)), Axis("entity", self.entities)
        shares = (0.05, 0.5, 0.95)
        quantiles = np.stack([self.count_quantile(q) for q in shares], axis=-1)
        errors = np.stack([self.count_quantile_error(q) for q in shares], axis=-1)
        arrays = (
            Measure("probability", (entities, lines), self.probability(), self.probability_error()),
            Measure("expected", (lines,), self.expected(), self.mc_error()),
            Measure("sd", (lines,), self.count_sd(), self.count_sd_error()),
            Measure("count", (lines, Axis("quantile", shares)), quantiles, errors),
        )
        return {array.name: array for array in arrays}

    def evidence(self) -> dict[str, object]:
        """Return what is needed to repeat the run, as JSON types."""
        return {
            "draws": self.draws,
            "seed": list(self.seed) if isinstance(self.seed, tuple) else self.seed,
            "spawn_key": list(self.spawn_key),
            "stream_version": self.stream_version,
            "plan_digest": self.plan_digest,
            **({} if self.sampler is None else {"sampler": self.sampler.to_dict()}),
            "precision": self.precision,
            "versions": dict(self.versions),
            "elapsed": self.elapsed,
        }

    def to_xarray(self) -> xr.Dataset:
        """Return labelled arrays with the evidence as attributes; see `flopcore.sweep_tables.to_dataset`."""
        return to_dataset(self.measures(), self.thresholds, self.evidence())

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each number."""
        return to_frame(self.measures())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the exact counts and the evidence to a file, in one step."""
        write_result(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SweepResult:
        """Return a saved result.

        Raises
        ------
        DataError
            If the file is not one.
        """
        loaded = read_result(path, [cls, CountResult, Sobol])
        assert isinstance(loaded, cls)
        return loaded

    def to_dict(self) -> dict[str, object]:
        """Return the result as JSON types."""
        quantiles = {name: self.count_quantile(q) for name, q in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95))}
        expected, errors, deviations = self.expected(), self.mc_error(), self.count_sd()
        probability = self.probability()
        return {
            **self.evidence(),
            "thresholds": [
                {
                    "name": threshold.name,
                    "value": threshold.value if isinstance(threshold.value, int) else str(threshold.value),
                    "comparator": threshold.comparator,
                    "expected": float(expected[t]),
                    "sd": None if np.isnan(deviations[t]) else float(deviations[t]),
                    "mc_error": None if np.isnan(errors[t]) else float(errors[t]),
                    **{name: int(values[t]) for name, values in quantiles.items()},
                }
                for t, threshold in enumerate(self.thresholds)
            ],
            "entities": [
                {"key": key, "probability": [float(p) for p in probability[m]]} for m, key in enumerate(self.entities)
            ],
        }
