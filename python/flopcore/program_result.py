"""The result of a program: one result for each sink, and what is needed to repeat them."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .sink_results import (
    Axis,
    ConfusionResult,
    CountResult,
    ExceedResult,
    Measure,
    MomentsResult,
    QuantileResult,
    SinkResult,
    TableResult,
)
from .sweep_plan import Precision
from .sweep_replicates import Sobol
from .sweep_tables import read_result, to_dataset, to_frame, to_json, write_result
from .thresholds import Threshold

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["AlongResult", "ProgramResult"]


@dataclass(frozen=True, slots=True, eq=False)
class AlongResult:
    """Results of one question in several scenarios; ``result[label]`` is that of one of them."""

    axis: Axis
    results: tuple[SinkResult | AlongResult, ...]

    def __getitem__(self, label: Hashable) -> SinkResult | AlongResult:
        if label not in self.axis.labels:
            raise KeyError(f"{label!r}; {self.axis.dim} is one of {', '.join(map(str, self.axis.labels))}")
        return self.results[self.axis.labels.index(label)]

    def measures(self) -> tuple[Measure, ...]:
        """Return the measures of all scenarios, stacked along a first dimension."""
        stacked = []
        for parts in zip(*(result.measures() for result in self.results), strict=True):
            errors = [part.error for part in parts if part.error is not None]
            stacked.append(
                Measure(
                    parts[0].name,
                    (self.axis, *parts[0].axes),
                    np.stack([part.values for part in parts]),
                    np.stack(errors) if errors else None,
                )
            )
        return tuple(stacked)

    def leaves(self) -> Iterator[SinkResult]:
        """Yield the results of single questions."""
        for result in self.results:
            if isinstance(result, AlongResult):
                yield from result.leaves()
            else:
                yield result


@dataclass(frozen=True, slots=True, eq=False)
class ProgramResult:
    """Results by name of the question, with the evidence to repeat them.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.distributions import LogNormal
    >>> total = 6 * fc.variable("N", LogNormal(7e10, 0.1)) * fc.variable("D", LogNormal(15e12, 0.2))
    >>> line = fc.Threshold("5e24", 5 * 10**24, ">=")
    >>> result = fc.sweep(fc.Program({"over": fc.Exceed(total, [line])}), draws=10_000, rng=0)
    >>> result["over"].exceed_counts.tolist()
    [[8551]]
    """

    sinks: dict[str, SinkResult | AlongResult]
    draws: int
    precision: Precision
    seed: int | tuple[int, ...]
    spawn_key: tuple[int, ...]
    stream_version: int
    plan_digest: str
    versions: dict[str, str]
    elapsed: float = field(repr=False)
    sampler: Sobol | None = None

    def __repr__(self) -> str:
        return f"ProgramResult({', '.join(self.sinks)}; {self.draws} draws, seed={self.seed})"

    def __getitem__(self, name: str) -> SinkResult | AlongResult:
        if name not in self.sinks:
            raise KeyError(f"{name!r}; the sinks are {', '.join(self.sinks)}")
        return self.sinks[name]

    def measures(self) -> dict[str, Measure]:
        """Return every labelled array, named ``<sink>_<measure>``."""
        return {f"{name}_{m.name}": m for name, sink in self.sinks.items() for m in sink.measures()}

    def state(self) -> list[object]:
        """Return all that is exact, without times: equal for two runs of one program, seed and number of draws."""
        return [self.draws, self.plan_digest, *((name, leaf.state()) for name, leaf in self._leaves())]

    def _leaves(self) -> Iterator[tuple[str, SinkResult]]:
        for name, sink in self.sinks.items():
            for leaf in sink.leaves() if isinstance(sink, AlongResult) else (sink,):
                yield name, leaf

    def evidence(self) -> dict[str, object]:
        """Return what is needed to repeat the run, as JSON types."""
        return {
            "draws": self.draws,
            "precision": self.precision,
            "seed": list(self.seed) if isinstance(self.seed, tuple) else self.seed,
            "spawn_key": list(self.spawn_key),
            "stream_version": self.stream_version,
            "plan_digest": self.plan_digest,
            "sampler": "philox" if self.sampler is None else self.sampler.to_dict(),
            "versions": dict(self.versions),
            "elapsed": self.elapsed,
        }

    def _thresholds(self) -> list[Threshold]:
        return [line for _, leaf in self._leaves() if isinstance(leaf, ExceedResult) for line in leaf.thresholds]

    def to_dict(self) -> dict[str, object]:
        """Return estimates, errors and evidence as JSON types."""
        return {**self.evidence(), "measures": to_json(self.measures())}

    def to_xarray(self) -> xr.Dataset:
        """Return labelled arrays with the evidence as attributes; see `flopcore.sweep_tables.to_dataset`."""
        return to_dataset(self.measures(), self._thresholds(), self.evidence())

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each number."""
        return to_frame(self.measures())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the exact counters and the evidence to a file, in one step."""
        write_result(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ProgramResult:
        """Return a saved result.

        Raises
        ------
        DataError
            If the file is not one.
        """
        loaded = read_result(path, [cls, *_CLASSES])
        assert isinstance(loaded, cls)
        return loaded


_CLASSES: tuple[type, ...] = (
    AlongResult,
    ConfusionResult,
    CountResult,
    ExceedResult,
    MomentsResult,
    QuantileResult,
    Sobol,
    TableResult,
)
