"""How well a rule finds the models that an index calls risky: burden, churn, error rates, curves, equal burden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil, fsum, isnan

import numpy as np
from numpy.typing import NDArray

from .rules import Cohorts, Members, Rule, Values

__all__ = ["Curve", "CurvePoint", "Range", "RuleReport", "compare_rules", "roc_curve"]

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Range:
    """A quantity by the figures, and its mean, 5th, 50th and 95th percentile over the draws; None is undefined."""

    point: float | None
    mean: float | None
    p05: float | None
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class RuleReport:
    """One rule over the whole population.

    `burden` is how many models it captures; `churn` the share of those captured in a year that the next year's line
    lets go; `coverage` (the true positive rate) the share of the index's top that it captures, with the false positive
    and negative rates, the positive predictive value and Youden's J = coverage - false positive rate. `static_coverage`
    and `static_youden_j` are those of the largest models by FLOP, as many as the rule captures: the static line of
    equal burden. `chance` is the coverage of as many models taken at random. `common` counts the models that change
    side, at most, when every figure is multiplied by one factor; `mixed` the same on average when each model's factor
    is drawn by itself.
    """

    rule: str
    burden: Range
    per_year: tuple[tuple[int, int], ...]
    per_class: tuple[tuple[str, int], ...]
    churn: float | None
    coverage: Range
    false_positive_rate: Range
    false_negative_rate: Range
    ppv: Range
    youden_j: Range
    static_coverage: float | None
    static_youden_j: float | None
    chance: float
    common: int
    mixed: float

    def to_dict(self) -> dict[str, object]:
        """Return the report as JSON types."""
        return {
            **asdict(self),
            "per_year": [{"year": year, "captured": captured} for year, captured in self.per_year],
            "per_class": [{"domain": name, "captured": captured} for name, captured in self.per_class],
        }


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What a static line at `threshold` FLOP does: rates, precision, Youden's J, and how many it captures."""

    threshold: float
    captured: int
    coverage: float
    false_positive_rate: float
    ppv: float
    youden_j: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Static lines at every figure against the index's top: ROC and precision-recall, and the line of the best J."""

    auc: float | None
    average_precision: float | None
    best: CurvePoint | None
    points: tuple[CurvePoint, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the curve as JSON types."""
        return {**asdict(self), "points": [asdict(point) for point in self.points]}


def compare_rules(
    rules: Sequence[Rule],
    figures: Sequence[Fraction],
    values: Values,
    cohorts: Cohorts,
    label: Members,
    labels: Members,
    factors: Sequence[Fraction],
    mixed: Values,
) -> tuple[RuleReport, ...]:
    """Return what each rule captures and misses.

    Parameters
    ----------
    figures : sequence of Fraction
        By model.
    values : array of float64, models x draws
        FLOP in each draw.
    label : array of bool, models
        The index's top by its mean.
    labels : array of bool, models x draws
        The index's top in each draw of its weights; repeated or cut to the draws of `values`.
    factors : sequence of Fraction
        Ways of counting, each common to all models.
    mixed : array of float64, models x draws
        A factor for each model and draw.
    """
    draws = values.shape[1]
    top = labels[:, np.arange(draws) % labels.shape[1]]
    return tuple(_report(rule, figures, values, cohorts, label, top, factors, mixed) for rule in rules)


def _report(
    rule: Rule,
    figures: Sequence[Fraction],
    values: Values,
    cohorts: Cohorts,
    label: Members,
    top: Members,
    factors: Sequence[Fraction],
    mixed: Values,
) -> RuleReport:
    members, captured = rule.members(figures, cohorts), rule.captured(values, cohorts)
    point, drawn = _rates(members[:, None], label[:, None]), _rates(captured, top)
    ranges = [_range(float(a[0]), b) for a, b in zip(point, drawn, strict=True)]
    burden = int(members.sum())
    by_size = sorted(range(len(figures)), key=lambda m: (-figures[m], m))[:burden]
    positives, hits = int(label.sum()), int(label[by_size].sum())
    negatives = len(figures) - positives
    years = sorted(set(cohorts.years))
    return RuleReport(
        rule=rule.name,
        burden=_range(float(burden), captured.sum(axis=0)),
        per_year=tuple(
            (year, sum(bool(members[m]) for m, y in enumerate(cohorts.years) if y == year)) for year in years
        ),
        per_class=tuple(
            (name, sum(bool(members[m]) for m, c in enumerate(cohorts.classes) if c == name))
            for name in sorted(set(cohorts.classes))
        ),
        churn=_churn(rule, figures, cohorts, members),
        coverage=ranges[0],
        false_positive_rate=ranges[1],
        false_negative_rate=ranges[2],
        ppv=ranges[3],
        youden_j=ranges[4],
        static_coverage=hits / positives if positives else None,
        static_youden_j=hits / positives - (burden - hits) / negatives if positives and negatives else None,
        chance=burden / len(figures),
        common=max(
            int((rule.members([figure * factor for figure in figures], cohorts) != members).sum())
            for factor in factors
            if factor != 1
        ),
        mixed=int((rule.captured(values * mixed, cohorts) != captured).sum()) / values.shape[1],
    )


def _rates(captured: Members, top: Members) -> tuple[Values, Values, Values, Values, Values]:
    """Return coverage, false positive rate, false negative rate, PPV and Youden's J per draw; nan where undefined."""
    hits = (captured & top).sum(axis=0)
    caught, positives = captured.sum(axis=0), top.sum(axis=0)
    negatives = captured.shape[0] - positives
    coverage, wrong = _share(hits, positives), _share(caught - hits, negatives)
    return coverage, wrong, _share(positives - hits, positives), _share(hits, caught), coverage - wrong


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Values:
    shares: Values = np.where(whole > 0, part / np.maximum(whole, 1), NAN)
    return shares


def _range(point: float, drawn: NDArray[np.int64] | Values) -> Range:
    defined = sorted(value for value in drawn.astype(np.float64).tolist() if not isnan(value))
    n = len(defined)
    if not n:
        return Range(None if isnan(point) else point, None, None, None, None)
    p05, p50, p95 = (defined[max(1, ceil(Fraction(q) * n)) - 1] for q in ("0.05", "0.5", "0.95"))
    return Range(None if isnan(point) else point, fsum(defined) / n, p05, p50, p95)


def _churn(rule: Rule, figures: Sequence[Fraction], cohorts: Cohorts, members: Members) -> float | None:
    """Return the share of the captured models of a year that lie below the line of the next year that has one."""
    let_go = compared = 0
    for m, (year, name) in enumerate(zip(cohorts.years, cohorts.classes, strict=True)):
        line = rule.cut(figures, cohorts, year + 1, name) if members[m] else None
        if line is not None:
            compared += 1
            let_go += figures[m] < line
    return let_go / compared if compared else None


def roc_curve(figures: Sequence[Fraction], label: Members) -> Curve:
    """Return rates of a line at each figure (a model at the line is captured), from the largest figure down.

    Notes
    -----
    The area under the ROC curve is the trapezoidal one (ties count a half); average precision is the sum of precision
    over the steps of recall.
    """
    positives, negatives = int(label.sum()), int(len(label) - label.sum())
    if not positives or not negatives:
        return Curve(None, None, None, ())
    points: list[CurvePoint] = []
    order = sorted(range(len(figures)), key=lambda m: -figures[m])
    hits = caught = 0
    area = precision_sum = Fraction(0)
    before = (0, 0)
    for position, m in enumerate(order):
        hits, caught = hits + int(label[m]), caught + 1
        if position + 1 < len(order) and figures[order[position + 1]] == figures[m]:
            continue
        wrong = caught - hits
        area += Fraction((hits + before[0]) * (wrong - before[1]), 2 * positives * negatives)
        precision_sum += Fraction(hits - before[0], positives) * Fraction(hits, caught)
        before = (hits, wrong)
        coverage, false = hits / positives, wrong / negatives
        points.append(CurvePoint(float(figures[m]), caught, coverage, false, hits / caught, coverage - false))
    best = max(points, key=lambda point: (point.youden_j, point.threshold))
    return Curve(float(area), float(precision_sum), best, tuple(points))
