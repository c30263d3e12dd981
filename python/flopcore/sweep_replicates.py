"""Sobol' points in a sweep: independent scrambles side by side, whose spread is the error of what they agree on.

Draw i of the sweep is point i // R of replicate i mod R, so every range of draws is a range of points of each
replicate, and the counters of all replicates together are those of the sweep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .program import Node
from .program_inputs import Source
from .sobol import MAX_DIMS
from .sweep_run import Counts, Mean, Plan, Spec

__all__ = [
    "ReplicatedPlan",
    "ReplicatedSpec",
    "Sobol",
    "mean_of_replicates",
    "points_of",
    "resolve_sobol",
    "shared_names",
]

_POINT_BITS = 32  # in the core a draw's number is replicate 2^32 + point
_MOST_REPLICATES = 1024


@dataclass(frozen=True, slots=True)
class Sobol:
    """Draw the study's own inputs by Owen-scrambled Sobol' points; inputs of entities and groups stay independent.

    Parameters
    ----------
    dims : sequence of str, or mapping of str to int
        Which inputs, in the order of their dimensions, or the dimension (0 to 63) of each. The early dimensions are the
        best, so name the inputs that matter most first. Default: every input of the study, by name.
    replicates : int
        Independent scrambles, a power of two from 2 to 1024; their spread is the standard error of every estimate.

    Raises
    ------
    ValueError
        For repeated names or dimensions, or a number that is none of that.

    Examples
    --------
    >>> Sobol(["tokens", "params"])
    Sobol(dims=(('tokens', 0), ('params', 1)), replicates=32)
    """

    dims: Sequence[str] | Mapping[str, int] | tuple[tuple[str, int], ...] | None = None
    replicates: int = 32

    def __post_init__(self) -> None:
        """Check the fields and give each name its dimension."""
        n = self.replicates
        if isinstance(n, bool) or not isinstance(n, int) or not 2 <= n <= _MOST_REPLICATES or n & (n - 1):
            raise ValueError(f"Sobol: replicates={n!r}; expected a power of two from 2 to {_MOST_REPLICATES}")
        if self.dims is None:
            return
        if isinstance(self.dims, str):
            raise ValueError(f"Sobol: dims={self.dims!r}; expected a sequence of names")
        listed = self.dims.items() if isinstance(self.dims, Mapping) else self.dims
        pairs = [item if isinstance(item, tuple) else (item, place) for place, item in enumerate(listed)]
        names, places = {name for name, _ in pairs}, {place for _, place in pairs}
        if len(names) < len(pairs) or len(places) < len(pairs) or not pairs:
            raise ValueError(f"Sobol: dims={self.dims!r}; expected distinct names and dimensions, at least one")
        for name, place in pairs:
            if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < MAX_DIMS:
                raise ValueError(f"Sobol: {name!r} has dimension {place!r}; there are {MAX_DIMS}, from 0")
        object.__setattr__(self, "dims", tuple(pairs))

    def dimension_of(self) -> dict[str, int]:
        """Return the dimension of each name."""
        return dict(self.dims) if self.dims else {}  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, object]:
        """Return names, dimensions and number of replicates, as JSON types."""
        return {"sobol": self.dimension_of(), "replicates": self.replicates}


def shared_names(roots: Iterable[Node]) -> list[str]:
    """Return the names of the study's own uncertain inputs among these nodes and what they are made of, sorted."""
    names: set[str] = set()
    seen: set[int] = set()
    pending = list(roots)
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen.add(id(node))
            pending += node.args
            if node.op == "draw" and node.scope == "study" and isinstance(node.payload, Source):
                names.add(node.payload.name)
    return sorted(names)


def resolve_sobol(sampler: Sobol, names: Sequence[str]) -> Sobol:
    """Return the sampler with a dimension for each name.

    Raises
    ------
    ValueError
        For a name that no input of the study has, or too many inputs.
    """
    if sampler.dims is None:
        if not 1 <= len(names) <= MAX_DIMS:
            raise ValueError(
                f"sampler='sobol': there are {len(names)} inputs of the study; Sobol' points draw 1 to {MAX_DIMS}"
                + (": choose with Sobol(dims=[...])" if names else " (inputs of single entities stay independent)")
            )
        return Sobol(names, sampler.replicates)
    unknown = sorted(set(sampler.dimension_of()) - set(names))
    if unknown:
        raise ValueError(f"Sobol: no input of the study is named {unknown}; there are {', '.join(names) or 'none'}")
    return sampler


def points_of(draws: int, replicate: int, replicates: int) -> int:
    """Return how many of the first draws belong to a replicate."""
    return (draws - replicate + replicates - 1) // replicates


@dataclass(frozen=True, slots=True, eq=False)
class ReplicatedSpec:
    """A plan whose counters are those of some replicates, one after another along a new first dimension."""

    spec: Spec
    replicates: int

    def digest(self) -> str:
        """Return a name of everything that the counters depend on."""
        return hashlib.sha256(f"{self.replicates} replicates of {self.spec.digest()}".encode()).hexdigest()

    def build(self) -> ReplicatedPlan:
        """Return the plan."""
        return ReplicatedPlan(self.spec.build(), self.replicates)


@dataclass(frozen=True, slots=True, eq=False)
class ReplicatedPlan:
    """What `ReplicatedSpec` builds."""

    plan: Plan
    replicates: int

    def evaluate(self, begin: int, end: int, threads: int) -> Counts:
        """Return the counters of the draws [begin, end), replicate by replicate."""
        parts = []
        for r in range(self.replicates):
            first, last = (points_of(draws, r, self.replicates) for draws in (begin, end))
            if last > 1 << _POINT_BITS:
                raise ValueError(f"draws={end}: {self.replicates} replicates have at most 2^{_POINT_BITS} points each")
            offset = r << _POINT_BITS
            parts.append(self.plan.evaluate(offset + first, offset + last, threads))
        return tuple(np.stack(arrays) for arrays in zip(*parts, strict=True))


def mean_of_replicates(means: Sequence[Sequence[Mean]]) -> list[Mean]:
    """Return, for everything that is averaged, the means of the replicates as if they were the draws."""
    averaged = []
    for each in zip(*means, strict=True):
        values = [total / n if n else Fraction(0) for n, total, _ in each]
        averaged.append((len(values), sum(values, Fraction(0)), sum((v * v for v in values), Fraction(0))))
    return averaged
