"""Sobol' points against scipy.stats.qmc, indices against SALib on the same model."""

import numpy as np
import pytest

from flopcore.distributions import Uniform
from flopcore.sensitivity import sobol_indices
from flopcore.sobol import MAX_DIMS, sobol_points

qmc = pytest.importorskip("scipy.stats.qmc", reason="scipy is not installed")


def test_points_of_all_dimensions():
    ours = sobol_points(MAX_DIMS, 1024, scramble=False) - 2.0**-33
    theirs = qmc.Sobol(MAX_DIMS, scramble=False, bits=32).random(1024).T
    numbers = np.arange(1024)
    # scipy walks the points in Gray code order.
    assert np.array_equal(ours[:, numbers ^ (numbers >> 1)], theirs)


def test_indices_agree_with_salib():
    sobol_analyze = pytest.importorskip("SALib.analyze.sobol", reason="SALib is not installed")
    sobol_sample = pytest.importorskip("SALib.sample.sobol", reason="SALib is not installed")
    a = np.array([0.0, 1.0, 4.5, 9.0])
    names = [f"x{i}" for i in range(4)]
    problem = {"num_vars": 4, "names": names, "bounds": [[0, 1]] * 4}
    x = sobol_sample.sample(problem, 1 << 13, calc_second_order=False, seed=1)
    theirs = sobol_analyze.analyze(
        problem, np.prod((np.abs(4 * x - 2) + a) / (1 + a), axis=1), calc_second_order=False, num_resamples=2, seed=1
    )

    def model(inputs):
        columns = np.array([inputs[name] for name in names])
        return np.prod((np.abs(4 * columns - 2) + a[:, None]) / (1 + a[:, None]), axis=0)

    ours = sobol_indices(model, dict.fromkeys(names, Uniform(0, 1)), n=1 << 15, rng=1)
    assert np.allclose(ours.first, theirs["S1"], atol=0.01)
    assert np.allclose(ours.total, theirs["ST"], atol=0.01)
