"""What a user would write with NumPy or numba: the peers of the sweep benches, one thread, arithmetic as published.

Each function does one repetition and returns (units of work, a number that checks the answer).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SWEEP_ROWS, SWEEP_CHUNK = 1 << 20, 1 << 14
SOBOL_INPUTS, SOBOL_POINTS = 10, 1 << 16
ENTITIES, LINES, DRAWS, DRAW_CHUNK = 1400, 64, 4096, 256


def numpy_sweep(dtype: type[np.floating[Any]], rng: np.random.Generator) -> tuple[int, list[int]]:
    """log10 C = 24 + sum of 4 normals of sd 0.3, counts above 22, 22.5 ... 25.5; the unit is a variate."""
    thresholds = np.arange(22, 26, 0.5)
    count = np.zeros(8, np.int64)
    for _ in range(SWEEP_ROWS // SWEEP_CHUNK):
        total = np.full(SWEEP_CHUNK, 24, dtype)
        for _ in range(4):
            total += dtype(0.3) * rng.standard_normal(SWEEP_CHUNK, dtype=dtype)  # type: ignore[arg-type]
        for k in range(8):
            count[k] += np.count_nonzero(total > thresholds[k])
    return 4 * SWEEP_ROWS, count.tolist()


def mkl_normals() -> Callable[[], int] | None:
    """Return MKL's float64 normals alone, by inverse CDF from Philox4x32-10, or None where mkl_random is missing."""
    try:
        from mkl_random import MKLRandomState
    except ImportError:
        return None
    state = MKLRandomState(1, brng="PHILOX4X32X10")

    def run() -> int:
        for _ in range(4 * SWEEP_ROWS // SWEEP_CHUNK):
            state.normal(size=SWEEP_CHUNK, method="ICDF")
        return 4 * SWEEP_ROWS

    return run


def salib_sobol() -> Callable[[], int] | None:
    """Return SALib's sampling and analysis of the g-function, or None where SALib is missing."""
    try:
        from SALib.analyze import sobol as analyze
        from SALib.sample import sobol as sample
    except ImportError:
        return None
    a = np.arange(SOBOL_INPUTS) / 2
    names = [f"x{i}" for i in range(SOBOL_INPUTS)]
    problem = {"num_vars": SOBOL_INPUTS, "names": names, "bounds": [[0, 1]] * SOBOL_INPUTS}

    def run() -> int:
        x = sample.sample(problem, SOBOL_POINTS, calc_second_order=False, seed=1)
        y = np.prod((np.abs(4 * x - 2) + a) / (1 + a), axis=1)
        analyze.analyze(problem, y, calc_second_order=False, num_resamples=100, seed=1)
        return SOBOL_POINTS * (SOBOL_INPUTS + 2)

    return run


def population_parameters() -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of log10 C of each entity."""
    g = np.random.Generator(np.random.SFC64(0))
    return g.normal(23.5, 1.2, ENTITIES).astype("f4"), g.uniform(0.1, 0.9, ENTITIES).astype("f4")


def numpy_population(mu: np.ndarray, sd: np.ndarray, rng: np.random.Generator) -> tuple[int, float]:
    """Per row the number of entities above each of 64 lines from 22 to 27, as a histogram over rows."""
    first, step = np.float32(22), np.float32(5 / LINES)
    histogram = np.zeros((LINES, ENTITIES + 1), np.int64)
    rows = np.arange(DRAW_CHUNK, dtype=np.int32)[:, None] * (LINES + 1)
    for _ in range(DRAWS // DRAW_CHUNK):
        x = mu + sd * rng.standard_normal((DRAW_CHUNK, ENTITIES), dtype="f4")
        passed = np.clip(np.floor((x - first) / step).astype(np.int32) + 1, 0, LINES)
        per_row = np.bincount((rows + passed).ravel(), minlength=DRAW_CHUNK * (LINES + 1)).reshape(
            DRAW_CHUNK, LINES + 1
        )
        above = per_row[:, ::-1].cumsum(1)[:, ::-1][:, 1:]
        cells = np.arange(LINES)[None] * (ENTITIES + 1) + above
        histogram += np.bincount(cells.ravel(), minlength=LINES * (ENTITIES + 1)).reshape(LINES, ENTITIES + 1)
    return ENTITIES * DRAWS, float((histogram[38] * np.arange(ENTITIES + 1)).sum() / DRAWS)


def numba_population() -> Callable[[np.ndarray, np.ndarray, int, int], np.ndarray] | None:
    """Return the same count as a compiled loop, or None where numba is not installed."""
    try:
        import numba
    except ImportError:
        return None

    @numba.njit(fastmath=True)
    def run(mu, sd, draws, seed):  # type: ignore[no-untyped-def]
        np.random.seed(seed)
        n = mu.size
        histogram = np.zeros((64, n + 1), np.int64)
        passed = np.zeros(65, np.int64)
        for _ in range(draws):
            passed[:] = 0
            for m in range(n):
                k = int(np.floor((mu[m] + sd[m] * np.random.standard_normal() - 22.0) / (5.0 / 64))) + 1
                passed[min(max(k, 0), 64)] += 1
            above = 0
            for k in range(64, 0, -1):
                above += passed[k]
                histogram[k - 1, above] += 1
        return histogram

    run(*(np.ones(2, np.float32),) * 2, 2, 0)
    return run
