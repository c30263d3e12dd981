"""Sobol' points: balance, scrambles, bad input. The known answers are in tests/oracle."""

import numpy as np
import pytest

from flopcore.sobol import MAX_DIMS, sobol_points


@pytest.mark.parametrize("scramble", [False, True])
def test_each_dimension_fills_every_cell_once(scramble):
    points = sobol_points(MAX_DIMS, 256, scramble=scramble, rng=3)
    for row in points:
        assert sorted((row * 256).astype(int)) == list(range(256))


def test_pairs_of_the_first_dimensions_are_nets():
    points = sobol_points(2, 256, rng=1)
    for k in range(9):
        cells = (points[0] * 2**k).astype(int) * 2 ** (8 - k) + (points[1] * 2 ** (8 - k)).astype(int)
        assert sorted(cells) == list(range(256))


def test_later_points_are_the_same_points():
    assert np.array_equal(sobol_points(5, 64, rng=2)[:, 37:], sobol_points(5, 27, first=37, rng=2))
    assert not np.array_equal(sobol_points(5, 64, rng=2), sobol_points(5, 64, rng=3))


def test_scrambled_points_are_uniform():
    points = np.sort(np.concatenate([sobol_points(3, 16, rng=[7, k]).ravel() for k in range(200)]))
    n = points.size
    distance = np.max(np.abs(points - (np.arange(n) + 0.5) / n))
    # Kolmogorov's bound for independent points (2.7 / sqrt(n), false alarm 9e-7) is the looser one for balanced ones.
    assert distance < 2.7 / np.sqrt(n)


@pytest.mark.parametrize("bad", [{"n_dims": 0}, {"n_dims": 65}, {"n": -1}, {"first": 2**32}])
def test_bad_input(bad):
    with pytest.raises(ValueError, match=r"dimensions|numbered"):
        sobol_points(**{"n_dims": 2, "n": 4, **bad})
