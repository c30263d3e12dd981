"""Frozen distributions of scipy.stats, recognised by name and otherwise tabulated."""

import numpy as np
import pytest

from flopcore.distributions import (
    Beta,
    Gamma,
    LogNormal,
    LogUniform,
    Normal,
    Quantiles,
    Triangular,
    Truncated,
    Uniform,
    as_distribution,
)

scipy_stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")


def test_scipy_distributions_become_ours():
    pairs = [
        (scipy_stats.norm(1, 2), Normal(1, 2)),
        (scipy_stats.lognorm(0.5, scale=3), LogNormal(3, 0.5)),
        (scipy_stats.uniform(1, 2), Uniform(1, 3)),
        (scipy_stats.loguniform(1, 5), LogUniform(1, 5)),
        (scipy_stats.triang(0.25, loc=1, scale=4), Triangular(1, 2, 5)),
        (scipy_stats.beta(2, 3, 1, 4), Beta(2, 3, 1, 5)),
        (scipy_stats.gamma(2, scale=5), Gamma(2, 5)),
        (scipy_stats.expon(scale=5), Gamma(1, 5)),
        (scipy_stats.truncnorm(-1, 2, 3, 4), Truncated(Normal(3, 4), -1, 11)),
    ]
    for frozen, ours in pairs:
        assert as_distribution(frozen) == ours
        q = np.array([1e-6, 0.3, 0.9])
        assert np.allclose(ours.ppf(q), frozen.ppf(q), rtol=1e-9)
    weibull = as_distribution(scipy_stats.weibull_min(2))
    assert isinstance(weibull, Quantiles)
    assert weibull.mean() == pytest.approx(scipy_stats.weibull_min(2).mean(), rel=1e-9)
    with pytest.raises(TypeError, match="is an array"):
        as_distribution(scipy_stats.norm([1, 2], 3))
