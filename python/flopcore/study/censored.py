"""Models without a figure that may be over a line: how many of them are, by the trend of those with a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import fsum

import numpy as np

from flopcore import _core
from flopcore.distributions import log10_exact
from flopcore.thresholds import Threshold

from .poisson_binomial import count_law
from .population import Model
from .shrink import Prior

__all__ = ["Censored", "censored_counts"]


@dataclass(frozen=True, slots=True)
class Censored:
    """Models possibly over some line (`Model.possibly_over`) and without a figure, against another line.

    `expected`, `p05` and `p95` suppose that each is over the former, its log10 otherwise as the population's trend
    has it on the model's date; since they are only *possibly* over it, their number over any line is between 0 and `n`.
    """

    policy: str
    n: int
    expected: float
    p05: int
    p95: int

    def to_dict(self) -> dict[str, object]:
        """Return the count as JSON types."""
        return asdict(self)


def censored_counts(models: Sequence[Model], lines: Sequence[Threshold], prior: Prior) -> tuple[Censored, ...]:
    """Return the count over each line of the models that have no figure and may be over some line.

    Notes
    -----
    With m and s the trend's mean and spread on a model's date and L the line it may be over, its probability of being
    over T is Phi((m - log10 T) / s) / Phi((m - log10 L) / s) for T above L, and 1 otherwise.
    """
    found = []
    open_models = [model for model in models if model.training_flop is None and model.possibly_over is not None]
    for line in lines:
        cut = log10_exact(line.value)
        chances = []
        for model in open_models:
            assert model.possibly_over is not None
            least = log10_exact(model.possibly_over)
            mean = prior.mean(model.date)
            over, all_over = _core.norm_cdf(
                np.array([(mean - float(max(cut, least))) / prior.sd, (mean - float(least)) / prior.sd])
            ).tolist()
            chances.append(min(1.0, over / all_over) if all_over > 0.0 else 0.0)
        law = count_law(chances)
        found.append(Censored(line.name, len(chances), fsum(chances), law.quantile(0.05), law.quantile(0.95)))
    return tuple(found)
