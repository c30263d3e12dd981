"""Runs a plan: range after range of draws, here or on an executor, resumable, stopped when an error is small enough.

Counts of ranges add up to the counts of the whole, bit for bit, so nothing here can change a result: how the draws are
cut, where they run, and whether a run was interrupted in between are matters of time only.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import _core
from .errors import DataError
from .sweep_plan import PlanSpec

__all__ = ["Checkpoint", "Progress", "RelError", "Totals", "Until", "evaluate_range", "moments", "rel_error", "run"]

Counts: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]
Progress: TypeAlias = Callable[[int, int], None]

_FIRST_RANGE = 4096
_RANGE_SECONDS = 0.2
_SAVE_SECONDS = 2.0
_STALL_SECONDS = 60.0
_IN_FLIGHT = 32
_BATCH = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """Counts of the draws [0, draws): entities x thresholds, and thresholds x number of entities above."""

    draws: int
    exceeded: NDArray[np.int64]
    histogram: NDArray[np.int64]

    def extended(self, end: int, counts: Counts) -> Totals:
        """Return the totals with the counts of the draws up to `end` added."""
        return Totals(end, self.exceeded + counts[0], self.histogram + counts[1])


def moments(histogram: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return, per threshold, the exact sum and sum of squares over draws of the number of entities above."""
    sums = []
    for row in histogram:
        pairs = [(int(count), int(row[count])) for count in np.flatnonzero(row)]
        sums.append((sum(c * n for c, n in pairs), sum(c * c * n for c, n in pairs)))
    return sums


class Until(Protocol):
    """A rule that ends a sweep before its last draw."""

    def reached(self, totals: Totals) -> bool:
        """Return whether these draws suffice; a function of the totals alone."""


@dataclass(frozen=True, slots=True)
class RelError:
    """Enough when, at every threshold, the standard error of the expected count is a small share of it.

    A threshold that no entity has passed in any draw asks for nothing.
    """

    share: float

    def __post_init__(self) -> None:
        """Refuse a share that is not a positive number."""
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"rel_error({self.share!r}): expected a share between 0 and 1")

    def reached(self, totals: Totals) -> bool:
        """Compare squares, exactly."""
        n, bound = totals.draws, Fraction(self.share) ** 2
        for total, squares in moments(totals.histogram):
            # error^2 = (squares - total^2 / n) / (n - 1) / n and mean = total / n
            if total and (n < 2 or Fraction(n * squares - total**2, n - 1) > bound * total**2):
                return False
        return True


def rel_error(share: float) -> RelError:
    """Return the rule "stop when every expected count is known to this relative standard error".

    Examples
    --------
    >>> rel_error(0.01)
    RelError(share=0.01)
    """
    return RelError(share)


class Checkpoint:
    """Totals of a plan on disk, replaced in one step, so that a reader sees the last complete state or the one before.

    Parameters
    ----------
    directory : path
        Made when missing; holds one file, ``sweep.npz``.
    digest : str
        Of the plan; the totals of another plan are refused.
    """

    def __init__(self, directory: str | os.PathLike[str], digest: str) -> None:
        self._path = Path(directory) / "sweep.npz"
        self._digest = digest
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def load(self) -> Totals | None:
        """Return the saved totals, or None when there are none yet."""
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                digest, draws = str(saved["digest"]), int(saved["draws"])
                totals = Totals(draws, saved["exceeded"], saved["histogram"])
        except FileNotFoundError:
            return None
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
            raise DataError(f"{self._path} is not a checkpoint of a sweep ({error}); remove it to start over") from None
        if digest != self._digest:
            raise DataError(
                f"{self._path} belongs to another study, seed or precision; give this one its own checkpoint directory"
            )
        return totals

    def save(self, totals: Totals) -> None:
        """Replace the saved totals; an OSError leaves the old ones as they were."""
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".sweep-", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(
                    file,
                    digest=np.array(self._digest),
                    draws=np.array(totals.draws),
                    exceeded=totals.exceeded,
                    histogram=totals.histogram,
                )
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


_built: dict[str, _core.SweepPlan] = {}


def evaluate_range(spec: PlanSpec, begin: int, end: int) -> Counts:
    """Return the counts of the draws [begin, end) on one thread: the work that an executor is sent."""
    digest = spec.digest()
    if digest not in _built:
        _built.clear()
        _built[digest] = spec.build()
    return _built[digest].evaluate(begin, end, 1)


def _stops(draws: int, until: Until | None) -> Iterator[int]:
    """Yield the numbers of draws after which `until` is asked: fixed, so that a result never depends on speed."""
    stop = _BATCH
    while until is not None and stop < draws:
        yield stop
        stop += max(1, stop // (4 * _BATCH)) * _BATCH
    yield draws


def _here(
    spec: PlanSpec, totals: Totals, end: int, threads: int, *, whole: bool, plan: list[_core.SweepPlan]
) -> Iterator[Totals]:
    """Yield the totals as they grow to `end` draws; `whole` does it in one range."""
    if not plan:
        plan.append(spec.build())
    size = end if whole else _FIRST_RANGE
    while totals.draws < end:
        stop, began = min(end, totals.draws + size), time.perf_counter()
        totals = totals.extended(stop, plan[0].evaluate(totals.draws, stop, threads))
        yield totals
        if time.perf_counter() - began < _RANGE_SECONDS / 2:
            size *= 2


def _there(spec: PlanSpec, totals: Totals, end: int, executor: Executor) -> Iterator[Totals]:
    """Yield the totals as an executor returns ranges; a range that is lost is sent again, or done here at last."""
    size = max(_FIRST_RANGE, -(-(end - totals.draws) // 256))
    missing = [(a, min(end, a + size)) for a in range(totals.draws, end, size)][::-1]
    pending: dict[Future[Counts], tuple[int, int]] = {}
    arrived: dict[int, tuple[int, Counts]] = {}
    alive = True
    try:
        while missing or pending:
            while alive and missing and len(pending) < _IN_FLIGHT:
                try:
                    pending[executor.submit(evaluate_range, spec, *missing[-1])] = missing[-1]
                except RuntimeError as error:  # a broken pool or one that was shut down
                    warnings.warn(
                        f"the executor takes no more work ({error}); going on here", RuntimeWarning, stacklevel=4
                    )
                    alive = False
                else:
                    missing.pop()
            if not pending:
                begin, stop = missing.pop()
                arrived[begin] = (stop, evaluate_range(spec, begin, stop))
            else:
                finished, _ = wait(pending, timeout=_STALL_SECONDS, return_when=FIRST_COMPLETED)
                if not finished:
                    warnings.warn(
                        f"no range came back for {_STALL_SECONDS:.0f} s; {len(pending)} are under way: "
                        "has the executor lost its workers?",
                        RuntimeWarning,
                        stacklevel=4,
                    )
                for future in finished:
                    lost = pending.pop(future)
                    try:
                        arrived[lost[0]] = (lost[1], future.result())
                    except (BrokenExecutor, CancelledError):
                        missing.append(lost)
            while totals.draws in arrived:
                stop, counts = arrived.pop(totals.draws)
                totals = totals.extended(stop, counts)
                yield totals
    finally:
        for future in pending:
            future.cancel()


def run(
    spec: PlanSpec,
    draws: int,
    *,
    threads: int = 0,
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    until: Until | None = None,
) -> Totals:
    """Return the totals of `draws` draws, or of as many as `until` asks for; see :func:`flopcore.sweep`."""
    entities, thresholds = spec.thresholds.shape
    totals = Totals(0, np.zeros((entities, thresholds), np.int64), np.zeros((thresholds, entities + 1), np.int64))
    store = None if checkpoint is None else Checkpoint(checkpoint, spec.digest())
    if store is not None:
        totals = store.load() or totals
        if totals.draws > draws:
            raise ValueError(f"draws={draws}: the checkpoint already holds {totals.draws}")
        store.save(totals)  # a directory that cannot be written to fails here, before the work
    saved = time.monotonic()
    plan: list[_core.SweepPlan] = []
    whole = progress is None and store is None
    for stop in _stops(draws, until):
        if stop < totals.draws:
            continue  # an earlier run asked here and went on
        growth = (
            _here(spec, totals, stop, threads, whole=whole, plan=plan)
            if executor is None
            else _there(spec, totals, stop, executor)
        )
        for totals in growth:
            if progress is not None:
                progress(totals.draws, draws)
            if store is not None and time.monotonic() - saved > _SAVE_SECONDS:
                store.save(totals)
                saved = time.monotonic()
        if until is not None and until.reached(totals):
            break
    if store is not None:
        store.save(totals)
    return totals
