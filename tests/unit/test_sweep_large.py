"""What takes many draws to see: closed forms at 1e8 rows, memory at 1e9."""

import math
import subprocess
import sys

import numpy as np
import pytest

import flopcore as fc
from flopcore import program as p
from flopcore.distributions import LogNormal

ROWS = 100_000_000


def tail(z):
    """Probability of a standard normal above z."""
    return 0.5 * math.erfc(z / math.sqrt(2))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["double", "single"])
def test_a_lognormal_product_of_a_program(precision):
    x = p.constant(6)
    for i in range(4):
        x = x * fc.variable(f"x{i}", LogNormal(1e6, 0.7))
    lines = [fc.Threshold(str(k), 6 * 10 ** (22 + k)) for k in range(5)]
    sinks = {"over": fc.Exceed(x, lines), "log": fc.Moments({"x": p.log10(x)}), "q": fc.Quantiles(x, ("0.1", "0.99"))}
    result = fc.sweep(fc.Program(sinks), draws=ROWS, rng=5, precision=precision)
    for line, share in zip(lines, result["over"].probability(), strict=True):
        exact = tail(math.log(line.value / 6e24) / 1.4)
        # Five standard errors; the seed is fixed. A float32 line is rounded by 2^-20 in log10.
        rounding = 4e-7 if precision == "single" else 0
        assert abs(share - exact) <= 5 * math.sqrt(exact * (1 - exact) / ROWS) + rounding
    sd = 1.4 / math.log(10)
    bias = 1e-6 if precision == "single" else 1e-10
    assert abs(result["log"].mean()[0] - math.log10(6e24)) <= 5 * sd / math.sqrt(ROWS) + 25 * bias
    assert abs(result["log"].sd()[0] - sd) <= 5 * sd / math.sqrt(2 * ROWS) + bias
    exact = LogNormal(6e24, 1.4).ppf([0.1, 0.99])
    spread = 5 * result["q"].quantile_error() + exact * (result["q"].bin_width + 25 * bias) * math.log(10)
    assert np.all(abs(result["q"].quantile() - exact) <= spread)


@pytest.mark.slow
def test_counts_of_entities_are_poisson_binomial():
    n, sigma = 8, 0.9
    x = fc.variable("C", [LogNormal(10.0 ** (24 + i / 4), sigma) for i in range(n)])
    lines = [fc.Threshold(str(k), 10**k) for k in (24, 25)]
    keys = [f"m{i}" for i in range(n)]
    result = fc.sweep(fc.Program({"c": fc.CountAbove(x, lines)}, keys), draws=ROWS, rng=6)["c"]
    for t, line in enumerate(lines):
        probability = [tail(math.log(line.value / 10.0 ** (24 + i / 4)) / sigma) for i in range(n)]
        pmf = np.array([1.0])
        for q in probability:  # exact: one entity more, above or not
            pmf = np.append(pmf, 0) * (1 - q) + np.append(0, pmf) * q
        share = result.histograms[0][t] / ROWS
        assert np.all(abs(share - pmf) <= 5 * np.sqrt(pmf * (1 - pmf) / ROWS) + 1e-9)
        for i, q in enumerate(probability):
            assert abs(result.probability()[i, t] - q) <= 5 * math.sqrt(q * (1 - q) / ROWS) + 1e-9


@pytest.mark.slow
def test_order_statistics_of_independent_entities():
    n, sigma = 5, 1.0
    x = fc.variable("C", LogNormal(1e24, sigma), per="entity")
    lines = [fc.Threshold(str(k), 10**24 * k) for k in (1, 3, 9)]
    keys = [f"m{i}" for i in range(n)]
    sinks = {str(k): fc.Exceed(p.largest_k(x, k), lines) for k in (1, 2, 4)}
    result = fc.sweep(fc.Program({**sinks, "max": fc.Exceed(p.largest(x), lines)}, keys), draws=ROWS // 5, rng=7)
    for k in (1, 2, 4):
        for line, share in zip(lines, result[str(k)].probability(), strict=True):
            q = tail(math.log(line.value / 1e24) / sigma)
            exact = sum(math.comb(n, j) * q**j * (1 - q) ** (n - j) for j in range(k, n + 1))
            assert abs(share - exact) <= 5 * math.sqrt(exact * (1 - exact) / (ROWS // 5)) + 1e-9
    assert result["max"].exceed_counts.tolist() == result["1"].exceed_counts.tolist()


MEMORY = """
import resource, sys, time
import flopcore as fc
from flopcore.distributions import LogNormal
x = fc.constant(1)
for i in range(4):
    x = x * fc.variable(f"x{i}", LogNormal(1e6, 0.7))
lines = [fc.Threshold(str(k), round(10 ** (21 + k / 10))) for k in range(64)]
program = fc.Program({"over": fc.Exceed(x, lines), "q": fc.Quantiles(x)})
result = fc.sweep(program, draws=int(sys.argv[1]), rng=1, precision="single", threads=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, result.elapsed)
"""


@pytest.mark.slow
def test_memory_does_not_depend_on_draws():
    used = {}
    for draws in (10**6, 10**9):
        done = subprocess.run([sys.executable, "-c", MEMORY, str(draws)], capture_output=True, text=True, check=True)
        used[draws], seconds = map(float, done.stdout.split())
        print(f"{draws:.0e} rows x 4 variables x 64 thresholds: {seconds:.1f} s, {used[draws]:.0f} MB")
    assert abs(used[10**9] - used[10**6]) < 20
