"""Indices against SALib's at the same points: ours given to SALib, and SALib's given to us; equal up to rounding."""

import numpy as np
import pytest

import flopcore as fc
from flopcore.distributions import Normal, Uniform

sobol_analyze = pytest.importorskip("SALib.analyze.sobol", reason="SALib is not installed")
sobol_sample = pytest.importorskip("SALib.sample.sobol", reason="SALib is not installed")

N = 1 << 10
WEIGHTS = np.array([0.0, 1.0, 4.5, 9.0])
UNIT, CIRCLE = (0.0, 1.0), (-np.pi, np.pi)


def g_function(x):
    return np.prod((np.abs(4 * x - 2) + WEIGHTS) / (1 + WEIGHTS), axis=1)


def ishigami(x):
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def large_mean(x):
    return 1000 + x[:, 0] + 2 * x[:, 1] * x[:, 2]


MODELS = [(g_function, 4, UNIT), (ishigami, 3, CIRCLE), (large_mean, 3, UNIT)]


def analyze(y, d, order=1):
    """Return SALib's indices of rows f(A), f(A_B^1) ... f(A_B^d), (f(B_A^1) ...) f(B), one point after another."""
    problem = {"num_vars": d, "names": [f"x{i}" for i in range(d)], "bounds": [[0, 1]] * d}
    found = sobol_analyze.analyze(problem, np.asarray(y), calc_second_order=order == 2, num_resamples=2, seed=1)
    pairs = found["S2"][np.triu_indices(d, 1)] if order == 2 else []
    return [*found["S1"], *found["ST"], *pairs]


def saltelli_rows(calls, d, order=1):
    """Return outputs in SALib's order from those of our calls: A, B, (each B_A^i,) each A_B^i, block after block."""
    width = order * d + 2
    columns = [np.concatenate(calls[k::width]) for k in range(width)]
    return np.array([columns[0], *columns[width - d :], *columns[2 : width - d], columns[1]]).T.ravel()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sampler", ["sobol", "philox"])
@pytest.mark.parametrize(("model", "d", "ends"), MODELS)
def test_salib_on_our_points(model, d, ends, sampler, order):
    calls = []

    def recorded(x):
        calls.append(model(np.array(list(x.values())).T))
        return calls[-1]

    inputs = {f"x{i}": Uniform(*ends) for i in range(d)}
    ours = fc.sobol_indices(recorded, inputs, order=order, n=N, rng=1, sampler=sampler)
    pairs = [ours.second[i][j] for i in range(d if order == 2 else 0) for j in range(i + 1, d)]
    theirs = analyze(saltelli_rows(calls, d, order), d, order)
    assert theirs == pytest.approx([*ours.first, *ours.total, *pairs], rel=1e-9, abs=1e-11)


@pytest.mark.parametrize(("model", "d", "ends"), MODELS)
def test_our_sums_on_salib_points(model, d, ends):
    problem = {"num_vars": d, "names": [f"x{i}" for i in range(d)], "bounds": [ends] * d}
    y = model(sobol_sample.sample(problem, N, calc_second_order=False, seed=3))
    rows = y.reshape(N, d + 2)
    order = [rows[:, 0], rows[:, d + 1], *rows[:, 1 : d + 1].T]
    replayed = iter(order)  # N rows are one block, so the calls are A, B, A_B^1, ...
    ours = fc.sobol_indices(lambda x: next(replayed), {f"x{i}": Uniform(*ends) for i in range(d)}, n=N, rng=0)
    assert [*ours.first, *ours.total] == pytest.approx(analyze(y, d), rel=1e-9, abs=1e-11)


def test_nodes_run_by_the_core():
    """The same draws as a NumPy model's, so SALib's indices of its outputs are those of the program."""
    x = [fc.variable(f"x{i}", Normal(i, 1 + i)) for i in range(3)]
    calls = []

    def recorded(draws):
        calls.append(draws["x0"] * draws["x1"] + draws["x2"])
        return calls[-1]

    ours = fc.sobol_indices(x[0] * x[1] + x[2], n=N, rng=5)
    fc.sobol_indices(recorded, {f"x{i}": Normal(i, 1 + i) for i in range(3)}, n=N, rng=5)
    assert analyze(saltelli_rows(calls, 3), 3) == pytest.approx([*ours.first, *ours.total], rel=1e-6, abs=1e-8)
