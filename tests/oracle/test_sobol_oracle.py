"""Sobol' points against scipy.stats.qmc."""

import numpy as np
import pytest

from flopcore.sobol import MAX_DIMS, sobol_points

qmc = pytest.importorskip("scipy.stats.qmc", reason="scipy is not installed")


def test_points_of_all_dimensions():
    ours = sobol_points(MAX_DIMS, 1024, scramble=False) - 2.0**-33
    theirs = qmc.Sobol(MAX_DIMS, scramble=False, bits=32).random(1024).T
    numbers = np.arange(1024)
    # scipy walks the points in Gray code order.
    assert np.array_equal(ours[:, numbers ^ (numbers >> 1)], theirs)
