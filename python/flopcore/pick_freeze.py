"""Outputs of a model at mixtures of two independent sets of draws, and exact sums of their products.

What `sensitivity` stands on. A mixture takes each input from set A or set B. Outputs are computed in blocks and never
stored; their sums are whole multiples of 2^-1074, so they are the same for every block size and number of threads. Rows
fall into 64 batches, whose spread is the error of what is made of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from math import floor, sqrt
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .distributions import Distribution, philox_key
from .program import Node
from .program_plan import CoreSink, compile_program
from .sobol import MAX_DIMS, directions, scramble_seeds, sobol_points

__all__ = [
    "BATCHES",
    "NO_VARIANCE",
    "ONE",
    "UNIT",
    "CallableModel",
    "Inputs",
    "Model",
    "NodeModel",
    "PickFreeze",
    "Sampler",
    "Values",
    "evaluate",
    "standard_error",
    "whole_numbers",
]

Values: TypeAlias = NDArray[np.float64]
Inputs: TypeAlias = Mapping[str, Values]
Model: TypeAlias = Callable[[Inputs], ArrayLike]
"""Takes an array of draws for each input, gives an array of outputs, one a draw."""
Sampler: TypeAlias = Literal["sobol", "philox"]

BATCHES = 64
UNIT = 1 << 1074
"""Sums are whole numbers of 1 / UNIT."""
NO_VARIANCE = "the output does not vary"
ONE = -1
"""In a pair: the column of ones."""
_BLOCK = 1 << 14


class PickFreeze(ABC):
    """A model with independent inputs.

    Parameters
    ----------
    names : sequence of str
        The inputs.
    n : int
        Rows.
    seed : SeedSequence
        Of the draws.
    sampler : {"sobol", "philox"} or None
        Owen-scrambled Sobol' points, a scramble for each batch, or independent draws; None: points where they can be.
    most : int
        Inputs that Sobol' points can serve.
    """

    def __init__(
        self, names: Sequence[str], n: int, seed: np.random.SeedSequence, sampler: Sampler | None, most: int
    ) -> None:
        if not names:
            raise ValueError("inputs: expected at least one")
        if sampler not in ("sobol", "philox", None):
            raise ValueError(f"sampler={sampler!r}: expected 'sobol' or 'philox'")
        self.names, self.n, self.seed = tuple(names), n, seed
        self.size = n // BATCHES
        balanced = self.size & (self.size - 1) == 0
        self.sampler: Sampler = sampler or ("sobol" if balanced and len(names) <= most else "philox")
        if n < 2 * BATCHES or self.size * BATCHES != n or (self.sampler == "sobol" and not balanced):
            kind = "64 times a power of two" if self.sampler == "sobol" else "a multiple of 64"
            raise ValueError(f"n={n}: expected {kind}, at least 128: the error comes from 64 batches")
        if self.sampler == "sobol" and len(names) > most:
            limit = f"Sobol' points serve at most {most} inputs of this model"
            raise ValueError(f"{len(names)} inputs: {limit}; use sampler='philox'")

    @abstractmethod
    def sums(
        self, mixtures: Sequence[Collection[int]], n_plain: int, pairs: Sequence[tuple[int, int]]
    ) -> list[list[int]]:
        """Return, for each batch, the sum of the products of each pair of columns, in units of 1 / UNIT.

        Parameters
        ----------
        mixtures : sequence of collection of int
            For each column the inputs that come from set B.
        n_plain : int
            Columns from here on are less column 0, row by row.
        pairs : sequence of (int, int)
            Columns; `ONE` as the second sums the first.
        """


def whole_numbers(rows: NDArray[np.uint8]) -> list[int]:
    """Return the sums that the core writes as rows of bytes."""
    data, size = rows.tobytes(), rows.shape[1]
    return [int.from_bytes(data[i : i + size], "little", signed=True) for i in range(0, len(data), size)]


def _wanted(pairs: Sequence[tuple[int, int]], n_columns: int) -> NDArray[np.uint32]:
    return np.array([(a, n_columns if b == ONE else b) for a, b in pairs], dtype=np.uint32)


class CallableModel(PickFreeze):
    """A function of arrays of draws, with a distribution for each input."""

    def __init__(
        self,
        model: Model,
        inputs: Mapping[str, Distribution],
        n: int,
        seed: np.random.SeedSequence,
        sampler: Sampler | None,
    ) -> None:
        super().__init__(tuple(inputs), n, seed, sampler, MAX_DIMS // 2)
        self.model, self.distributions = model, tuple(inputs.values())

    def sums(
        self, mixtures: Sequence[Collection[int]], n_plain: int, pairs: Sequence[tuple[int, int]]
    ) -> list[list[int]]:
        """Return the sums, see :meth:`PickFreeze.sums`."""
        d, wanted = len(self.names), _wanted(pairs, len(mixtures))
        found: list[list[int]] = []
        for batches, values in self._blocks():
            columns = np.empty((len(mixtures), self.size * len(batches)))
            for k, second in enumerate(mixtures):
                mixed = {name: values[i + d if i in second else i] for i, name in enumerate(self.names)}
                columns[k] = evaluate(self.model, mixed, columns.shape[1])
            columns[n_plain:] -= columns[0]
            for b in range(len(batches)):
                block = np.ascontiguousarray(columns[:, b * self.size : (b + 1) * self.size])
                found.append(whole_numbers(_core.exact_sums(block, wanted)))
        return found

    def _blocks(self) -> Iterator[tuple[range, list[Values]]]:
        """Yield some batches at a time, and the values of each input in set A, then in set B, row after row."""
        together = max(1, _BLOCK // self.size)
        for first in range(0, BATCHES, together):
            batches = range(first, min(first + together, BATCHES))
            u = np.concatenate([self._uniforms(batch) for batch in batches], axis=1)
            yield batches, [np.asarray(d.ppf(row)) for d, row in zip(self.distributions * 2, u, strict=True)]

    def _uniforms(self, batch: int) -> Values:
        """Return the uniforms of one batch, A and B: a scramble of its own, or its part of each input's stream."""
        if self.sampler == "sobol":
            child = np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, batch))
            return sobol_points(2 * len(self.names), self.size, rng=child)
        key, first, size = philox_key(self.seed), batch * self.size, self.size
        rows = []
        for attempt in (0, 1):
            for name in self.names:
                stream = _core.stream_hash("factor", name, "")
                n_blocks = (first % 2 + size + 1) // 2
                words = _core.philox_words(key, stream, first // 2, n_blocks, attempt).reshape(-1, 2)
                # A bit less than a sweep takes, so that the middle of an interval is a float64 below 1.
                integers = (words[:, 0].astype(np.uint64) << np.uint64(20)) | (words[:, 1] >> np.uint32(12))
                rows.append((integers[first % 2 : first % 2 + size].astype(np.float64) + 0.5) * 2.0**-52)
        return np.array(rows)


def standard_error(batches: Sequence[float]) -> float:
    """Return the standard error of the mean of independent estimates."""
    n = len(batches)
    mean = sum(batches) / n
    return sqrt(sum((b - mean) ** 2 for b in batches) / (n * (n - 1)))


def evaluate(model: Model, inputs: Inputs, size: int) -> Values:
    """Return a model's outputs, checked."""
    output = np.asarray(model(inputs), dtype=np.float64)
    if output.shape != (size,):
        raise ValueError(f"model: gave an output of shape {output.shape} for {size} draws; expected ({size},)")
    bad = int(np.count_nonzero(~np.isfinite(output)))
    if bad:
        raise ValueError(f"model: {bad} of {size} outputs are not finite")
    return output


class NodeModel(PickFreeze):
    """Nodes of the study, run by the core; an input is every variable of one name, of all entities.

    Set A has the draws of a sweep with the same seed, set B those with attempt 1.
    """

    def __init__(
        self,
        outputs: Sequence[Node],
        n: int,
        seed: np.random.SeedSequence,
        sampler: Sampler | None,
        *,
        entities: Sequence[str] = (),
        threads: int | None = None,
    ) -> None:
        for node in outputs:
            if node.scope != "study":
                raise ValueError(f"{node!r} has a value for each entity; take total, count or a rank of it")
        sink = CoreSink("values", tuple(outputs))
        self.spec = compile_program([("output", sink)], tuple(entities), philox_key(seed), "double")
        if self.spec.is_correlated:
            raise ValueError("outputs: some of their inputs are correlated; shares of variance need independent inputs")
        self.plan = self.spec.build()
        self.threads = 0 if threads is None else threads
        variables = self.spec.variable_names
        names = tuple(dict.fromkeys(variables))
        single = len(names) == len(variables) and not any(of_entities for of_entities, *_ in self.spec.variables)
        super().__init__(names, n, seed, sampler, MAX_DIMS // 2 if single else 0)
        place = {name: i for i, name in enumerate(names)}
        self.input_of = np.array([place[name] for name in variables], dtype=np.uint32)

    def sums(
        self, mixtures: Sequence[Collection[int]], n_plain: int, pairs: Sequence[tuple[int, int]]
    ) -> list[list[int]]:
        """Return the sums, see :meth:`PickFreeze.sums`; columns are [mixture][output]."""
        second = [[i in mixture for i in range(len(self.names))] for mixture in mixtures]
        numbers = scrambles = np.empty(0, dtype=np.uint32)
        if self.sampler == "sobol":
            dims = 2 * len(self.names)
            numbers = np.ascontiguousarray(directions()[:dims])
            scrambles = np.array([scramble_seeds(self._child(batch), dims) for batch in range(BATCHES)])
        return self._run(np.array(second, dtype=np.uint8), 2, n_plain, pairs, self.size, numbers, scrambles)

    def at_quantiles(self, sets: Sequence[Sequence[int]], shares: Sequence[float]) -> list[float]:
        """Return the outputs with each input at a quantile: `sets` is [mixture][input], places in `shares`."""
        words = np.array([min(floor(share * 2.0**53), 2**53 - 1) for share in shares], dtype=np.uint64)
        n_outputs = self.spec.sinks[0][5].size
        pairs = [(k, ONE) for k in range(len(sets) * n_outputs)]
        none = np.empty(0, dtype=np.uint32)
        which = np.array(sets, dtype=np.uint8)
        found = self._run(which, len(shares), len(sets), pairs, 1, none, none, words=words, n_batches=1)
        return [total / UNIT for total in found[0]]

    def _child(self, batch: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, batch))

    def _run(
        self,
        sets: NDArray[np.uint8],
        n_sets: int,
        n_plain: int,
        pairs: Sequence[tuple[int, int]],
        size: int,
        numbers: NDArray[np.uint32],
        scrambles: NDArray[np.uint32],
        words: NDArray[np.uint64] | None = None,
        n_batches: int = BATCHES,
    ) -> list[list[int]]:
        rows = self.plan.mixture_sums(
            input_of=self.input_of,
            set_of=sets,
            n_sets=n_sets,
            n_plain=n_plain,
            pairs=_wanted(pairs, len(sets) * self.spec.sinks[0][5].size),
            batch_rows=size,
            n_batches=n_batches,
            words=np.empty(0, dtype=np.uint64) if words is None else words,
            directions=numbers,
            scrambles=scrambles,
            threads=self.threads,
        )
        flat = whole_numbers(rows)
        return [flat[i : i + len(pairs)] for i in range(0, len(flat), len(pairs))]
