"""Distributions of uncertain inputs, all drawn by inverse CDF; correlated by a Gaussian copula."""

from __future__ import annotations

from .basic import DIGITS as DIGITS
from .basic import LN10 as LN10
from .basic import Distribution, Fixed, LogNormal, LogTerm, LogUniform, Normal, Seed, Uniform
from .basic import log10_exact as log10_exact
from .basic import philox_key as philox_key
from .basic import seed_sequence as seed_sequence
from .composed import Discrete, Histogram, Mixture, Quantiles, Sample, Truncated, as_distribution
from .copula import GaussianCopula
from .shapes import Beta, Gamma, Pert, Triangular
from .table import QuantileTable

__all__ = [
    "Beta",
    "Discrete",
    "Distribution",
    "Fixed",
    "Gamma",
    "GaussianCopula",
    "Histogram",
    "LogNormal",
    "LogTerm",
    "LogUniform",
    "Mixture",
    "Normal",
    "Pert",
    "QuantileTable",
    "Quantiles",
    "Sample",
    "Seed",
    "Triangular",
    "Truncated",
    "Uniform",
    "as_distribution",
]
