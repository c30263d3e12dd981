"""Lines that move with the field: the top share of a year, and nearness to the year's largest model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from flopcore.quantity import Number

__all__ = ["RULES", "DynamicCount", "Rule", "TopShare", "WithinOrders", "count_dynamic"]

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TopShare:
    """Models at or above the (1 - share) percentile of their group, interpolated linearly in FLOP.

    A common factor on all figures moves the cut-off with the models and changes no membership.
    """

    share: Fraction

    @property
    def name(self) -> str:
        """Label of the rule in results."""
        return f"top {float(100 * self.share):g} %"

    def captured(self, ascending: Sequence[Fraction]) -> tuple[float, int]:
        """Return the cut-off and the number of figures at or above it, compared exactly."""
        below, weight = self._position(len(ascending))
        cut = ascending[below] + ((ascending[below + 1] - ascending[below]) * weight if weight else 0)
        return float(cut), sum(figure >= cut for figure in ascending)

    def cutoffs(self, ascending: Values) -> Values:
        """Return the cut-off of each draw; rows are draws, each sorted."""
        below, weight = self._position(ascending.shape[1])
        low = ascending[:, below]
        if not weight:
            return low
        cut: Values = low + (ascending[:, below + 1] - low) * float(weight)
        return cut

    def _position(self, n: int) -> tuple[int, Fraction]:
        """Return the rank below the percentile and the share of the way to the next."""
        position = (n - 1) * (1 - self.share)
        below = position.numerator // position.denominator
        return below, position - below


@dataclass(frozen=True, slots=True)
class WithinOrders:
    """Models within so many orders of magnitude of the largest of their group, itself included."""

    width: Fraction

    def __post_init__(self) -> None:
        """Refuse a width whose power of ten is neither rational nor a square root."""
        if self.width < 0 or (self.width * 2).denominator != 1:
            raise ValueError(f"width={self.width}: whole and half orders of magnitude only")

    @property
    def name(self) -> str:
        """Label of the rule in results."""
        return f"within 10^{float(self.width):g} of the largest"

    def captured(self, ascending: Sequence[Fraction]) -> tuple[float, int]:
        """Return the cut-off and the number of figures at or above it, compared exactly (as squares)."""
        largest = ascending[-1]
        squared = 10 ** int(2 * self.width)
        whole, half = divmod(int(2 * self.width), 2)
        cut = float(largest / 10**whole) / (sqrt(10.0) if half else 1.0)
        return cut, sum(figure * figure * squared >= largest * largest for figure in ascending)

    def cutoffs(self, ascending: Values) -> Values:
        """Return the cut-off of each draw; rows are draws, each sorted."""
        cut: Values = ascending[:, -1] / self._span()
        return cut

    def _span(self) -> float:
        """Return 10^width without libm: a square root is rounded correctly everywhere."""
        whole, half = divmod(int(2 * self.width), 2)
        return float(10**whole) * (sqrt(10.0) if half else 1.0)


Rule = TopShare | WithinOrders

RULES: tuple[Rule, ...] = (
    TopShare(Fraction(1, 10)),
    TopShare(Fraction(1, 20)),
    WithinOrders(Fraction(1, 2)),
    WithinOrders(Fraction(1)),
    WithinOrders(Fraction(3, 2)),
)
"""The essay's top 5 to 10 % of a year (section 5.2), and the widths of Kumar & Manning (arXiv:2504.16138)."""


@dataclass(frozen=True, slots=True)
class DynamicCount:
    """What one rule captures in one group of models.

    `cutoff` and `point` are by the published figures; the others are of the joint distribution under uncertainty.
    """

    rule: str
    cutoff: float
    point: int
    expected: float
    p05: int
    p50: int
    p95: int
    cutoff_p05: float
    cutoff_p50: float
    cutoff_p95: float

    def to_dict(self) -> dict[str, object]:
        """Return the count as JSON types."""
        return {
            "rule": self.rule,
            "cutoff": self.cutoff,
            "cutoff_p05": self.cutoff_p05,
            "cutoff_p50": self.cutoff_p50,
            "cutoff_p95": self.cutoff_p95,
            "point": self.point,
            "expected": self.expected,
            "p05": self.p05,
            "p50": self.p50,
            "p95": self.p95,
        }


def count_dynamic(figures: Sequence[Number], draws: Values, rules: Sequence[Rule] = RULES) -> tuple[DynamicCount, ...]:
    """Return what each rule captures of one group.

    Parameters
    ----------
    figures : sequence of int or Fraction
        Published FLOP of each model.
    draws : array of float64, models x draws
        FLOP of each model in each draw, in the same order.
    """
    point = sorted(Fraction(figure) for figure in figures)
    ascending = np.sort(np.ascontiguousarray(draws.T), axis=1)
    counts = []
    for rule in rules:
        cutoff, over = rule.captured(point)
        cuts = rule.cutoffs(ascending)
        captured = np.sort(np.count_nonzero(ascending >= cuts[:, None], axis=1))
        cuts = np.sort(cuts)
        counts.append(
            DynamicCount(
                rule=rule.name,
                cutoff=cutoff,
                point=over,
                expected=int(captured.sum()) / len(captured),
                p05=int(_at(captured, 0.05)),
                p50=int(_at(captured, 0.5)),
                p95=int(_at(captured, 0.95)),
                cutoff_p05=float(_at(cuts, 0.05)),
                cutoff_p50=float(_at(cuts, 0.5)),
                cutoff_p95=float(_at(cuts, 0.95)),
            )
        )
    return tuple(counts)


def _at(ascending: NDArray[np.int64] | Values, q: float) -> np.int64 | np.float64:
    """Return the smallest value that at least a share `q` does not exceed."""
    value: np.int64 | np.float64 = ascending[max(1, ceil(Fraction(str(q)) * len(ascending))) - 1]
    return value
