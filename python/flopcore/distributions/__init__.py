"""Distributions of uncertain inputs, all drawn by inverse CDF; correlated by a Gaussian copula."""

from __future__ import annotations

from .base import DIGITS as DIGITS
from .base import LN10 as LN10
from .base import Distribution, LogTerm, Seed
from .base import log10_exact as log10_exact
from .base import philox_key as philox_key
from .base import seed_sequence as seed_sequence
from .basic import Fixed, LogNormal, LogUniform, Normal, Uniform
from .composed import Histogram, Mixture, Truncated
from .convert import Quantiles, as_distribution
from .copula import GaussianCopula
from .empirical import Discrete, Sample
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
