"""Runs any plan: range after range of draws, here or on an executor, resumable, stopped when an error is small enough.

Counts of ranges add up to the counts of the whole, bit for bit, so nothing here can change a result: how the draws are
cut, where they run, and whether a run was interrupted in between are matters of time only.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from errno import ENOTDIR
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .sweep_tables import read_arrays, write_atomically

__all__ = [
    "Checkpoint",
    "Mean",
    "Progress",
    "RelError",
    "Spec",
    "Stops",
    "Totals",
    "Until",
    "doubling_stops",
    "evaluate_range",
    "fixed_stops",
    "rel_error",
    "run",
]

Counts: TypeAlias = tuple[NDArray[np.int64], ...]
"""The counters of a range of draws: arrays that are added to those of other ranges."""
Progress: TypeAlias = Callable[[int, int], None] | Literal["bar"]
Mean: TypeAlias = tuple[int, Fraction, Fraction]
"""Rows, sum and sum of squares, exact, of something that is averaged."""

Stops: TypeAlias = Callable[[], Iterator[int]]
"""Gives numbers of draws, ascending without end."""

_FIRST_RANGE = 4096
_RANGE_SECONDS = 0.2
_SAVE_SECONDS = 2.0
_STALL_SECONDS = 60.0
_IN_FLIGHT = 32
_SENDINGS = 3
_BATCH = 1 << 16


class Plan(Protocol):
    """What the core evaluates."""

    def evaluate(self, begin: int, end: int, threads: int) -> Counts:
        """Return the counters of the draws [begin, end)."""


class Spec(Protocol):
    """A plan as data, which can be sent to another process."""

    def digest(self) -> str:
        """Return a name of everything that the counters depend on."""

    def build(self) -> Plan:
        """Return the plan."""


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """Counters of the draws [0, draws)."""

    draws: int
    counts: Counts

    def extended(self, end: int, counts: Counts) -> Totals:
        """Return the totals with the counters of the draws up to `end` added."""
        return Totals(end, tuple(mine + other for mine, other in zip(self.counts, counts, strict=True)))


class Until(Protocol):
    """A rule that ends a sweep before its last draw."""

    def reached(self, means: list[Mean]) -> bool:
        """Return whether the draws so far suffice; a function of the exact sums alone."""


@dataclass(frozen=True, slots=True)
class RelError:
    """Enough when the standard error of every mean of the result is a small share of it.

    A mean of 0 in all draws asks for nothing.
    """

    share: float

    def __post_init__(self) -> None:
        """Refuse a share that is not a positive number."""
        if isinstance(self.share, bool) or not isinstance(self.share, Real):
            raise TypeError(f"rel_error({self.share!r}): expected a share, such as 0.01")
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"rel_error({self.share!r}): expected a share between 0 and 1")

    def reached(self, means: list[Mean]) -> bool:
        """Compare squares, exactly."""
        if not means:
            raise ValueError("rel_error: nothing in this result is a mean; use another rule, or a number of draws")
        bound = Fraction(self.share) ** 2
        for n, total, squares in means:
            # error^2 = (squares - total^2 / n) / (n - 1) / n and mean = total / n
            if total and (n < 2 or (n * squares - total**2) / Fraction(n - 1) > bound * total**2):
                return False
        return True


def rel_error(share: float) -> RelError:
    """Return the rule "stop when every mean is known to this relative standard error".

    Means are expected counts, probabilities, shares and moments; quantiles are not.

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
        if self._path.parent.exists() and not self._path.parent.is_dir():
            raise NotADirectoryError(ENOTDIR, "a checkpoint is kept in a directory, and this is a file", str(directory))
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def load(self, zero: Counts) -> Totals | None:
        """Return the saved totals, or None when there are none yet; `zero` has their form."""
        try:
            arrays = read_arrays(self._path)
            digest, draws = str(arrays.pop("digest")), int(arrays.pop("draws"))
            counts = tuple(arrays[f"counts{k}"] for k in range(len(arrays)))
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as error:
            what = "a part is missing or no number" if not isinstance(error, DataError) else error
            raise DataError(f"{self._path} is not a checkpoint of a sweep ({what}); remove it to start over") from None
        if digest != self._digest:
            raise DataError(
                f"{self._path} belongs to another study, seed or precision; give this one its own checkpoint directory"
            )
        if draws < 0 or [(c.shape, c.dtype) for c in counts] != [(z.shape, z.dtype) for z in zero]:
            raise DataError(f"{self._path} does not have the counters of this study; remove it to start over")
        return Totals(draws, counts)

    def save(self, totals: Totals) -> None:
        """Replace the saved totals; an OSError leaves the old ones as they were."""
        counts = {f"counts{k}": array for k, array in enumerate(totals.counts)}
        write_atomically(self._path, {"digest": np.array(self._digest), "draws": np.array(totals.draws), **counts})


_built: dict[str, Plan] = {}


def evaluate_range(spec: Spec, begin: int, end: int) -> Counts:
    """Return the counts of the draws [begin, end) on one thread: the work that an executor is sent."""
    digest = spec.digest()
    if digest not in _built:
        _built.clear()
        _built[digest] = spec.build()
    return _built[digest].evaluate(begin, end, 1)


def fixed_stops() -> Iterator[int]:
    """Yield the numbers of draws after which `until` is asked: fixed, so that a result never depends on speed."""
    stop = _BATCH
    while True:
        yield stop
        stop += max(1, stop // (4 * _BATCH)) * _BATCH


def doubling_stops() -> Iterator[int]:
    """Yield powers of two, where Sobol' points are balanced."""
    return (_BATCH << k for k in itertools.count())


def _stops(draws: int, until: Until | None, stops: Stops) -> Iterator[int]:
    if until is not None:
        yield from itertools.takewhile(lambda stop: stop < draws, stops())
    yield draws


def _here(spec: Spec, totals: Totals, end: int, threads: int, *, whole: bool, built: list[Plan]) -> Iterator[Totals]:
    """Yield the totals as they grow to `end` draws; `whole` does it in one range."""
    if not built:
        built.append(spec.build())
    size = end if whole else _FIRST_RANGE
    while totals.draws < end:
        stop, began = min(end, totals.draws + size), time.perf_counter()
        totals = totals.extended(stop, built[0].evaluate(totals.draws, stop, threads))
        yield totals
        if time.perf_counter() - began < _RANGE_SECONDS / 2:
            size *= 2


def _is_lost(error: BaseException) -> bool:
    """Return whether a range failed for its surroundings, such as a dead worker, and not by itself."""
    home = type(error).__module__.partition(".")[0]
    return isinstance(error, (BrokenExecutor, CancelledError)) or home not in ("builtins", "flopcore", "numpy")


def _there(spec: Spec, totals: Totals, end: int, executor: Executor) -> Iterator[Totals]:
    """Yield the totals as an executor returns ranges.

    A range that is lost is sent again, thrice at most. What an executor refuses, loses for good or does not get on with
    is done here.
    """
    size = max(_FIRST_RANGE, -(-(end - totals.draws) // 256))
    missing = [(a, min(end, a + size)) for a in range(totals.draws, end, size)][::-1]
    pending: dict[Future[Counts], tuple[int, int]] = {}
    losses: dict[int, int] = {}
    arrived: dict[int, tuple[int, Counts]] = {}
    alive = True

    def do_here(begin: int, stop: int) -> None:
        arrived[begin] = (stop, evaluate_range(spec, begin, stop))

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
                do_here(*missing.pop())
            else:
                finished, _ = wait(pending, timeout=_STALL_SECONDS, return_when=FIRST_COMPLETED)
                if not finished:
                    warnings.warn(
                        f"no range came back for {_STALL_SECONDS:.0f} s; {len(pending)} are under way: "
                        "has the executor lost its workers? Doing one here",
                        RuntimeWarning,
                        stacklevel=4,
                    )
                    stuck = next(iter(pending))
                    stuck.cancel()
                    do_here(*pending.pop(stuck))
                for future in finished:
                    lost = pending.pop(future)
                    try:
                        arrived[lost[0]] = (lost[1], future.result())
                    except BaseException as error:
                        if not _is_lost(error):
                            raise
                        losses[lost[0]] = losses.get(lost[0], 0) + 1
                        if losses[lost[0]] < _SENDINGS:
                            missing.append(lost)
                        else:
                            do_here(*lost)
            while totals.draws in arrived:
                stop, counts = arrived.pop(totals.draws)
                totals = totals.extended(stop, counts)
                yield totals
    finally:
        for future in pending:
            future.cancel()


@contextlib.contextmanager
def _reporting(progress: Progress | None, draws: int) -> Iterator[Callable[[int, int], None] | None]:
    """Give the function that is told of progress; a bar is drawn on stderr while the block runs."""
    if progress != "bar":
        yield progress
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("draws", total=draws)
        yield lambda done, _: bar.update(task, completed=done)


def run(
    spec: Spec,
    zero: Counts,
    means: Callable[[Totals], list[Mean]],
    draws: int,
    *,
    threads: int = 0,
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    until: Until | None = None,
    plan: Plan | None = None,
    stops: Stops = fixed_stops,
) -> Totals:
    """Return the totals of `draws` draws, or of as many as `until` asks for; see :func:`flopcore.sweep`.

    Parameters
    ----------
    spec : Spec
        What is evaluated.
    zero : tuple of int64 arrays
        Counters of no draws.
    means : callable
        What `until` is told of totals.
    draws, threads, progress, checkpoint, executor, until
        As for :func:`flopcore.sweep`; `threads` 0 means all.
    plan : Plan, optional
        What `spec` builds, if that was done already.
    stops : callable
        Gives the numbers of draws after which `until` is asked.
    """
    totals = Totals(0, zero)
    store = None if checkpoint is None else Checkpoint(checkpoint, spec.digest())
    if store is not None:
        totals = store.load(zero) or totals
        if totals.draws > draws:
            raise ValueError(f"draws={draws}: the checkpoint already holds {totals.draws}")
        store.save(totals)  # a directory that cannot be written to fails here, before the work
    saved = time.monotonic()
    built = [] if plan is None else [plan]
    whole = progress is None and store is None
    with _reporting(progress, draws) as report:
        for stop in _stops(draws, until, stops):
            if stop < totals.draws:
                continue  # an earlier run asked here and went on
            growth = (
                _here(spec, totals, stop, threads, whole=whole, built=built)
                if executor is None
                else _there(spec, totals, stop, executor)
            )
            for totals in growth:
                if report is not None:
                    report(totals.draws, draws)
                if store is not None and time.monotonic() - saved > _SAVE_SECONDS:
                    store.save(totals)
                    saved = time.monotonic()
            if until is not None and until.reached(means(totals)):
                break
    if store is not None:
        store.save(totals)
    return totals
