"""Sentences that say what a study found, computed from its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Protocol

from flopcore.quantity import Number
from flopcore.thresholds import Threshold, ThresholdPolicy

__all__ = ["OPEN", "read_essay", "read_hooker", "read_influence", "read_policies"]

OPEN = (0.05, 0.95)
"""Probabilities between which a model's side of a line is open."""

_NAMED = 5
_LARGE = 10
_CAUSES = 2


class Count(Protocol):
    """What a reading needs to know of a count over one line."""

    @property
    def threshold(self) -> Threshold: ...
    @property
    def n_models(self) -> int: ...
    @property
    def point(self) -> int: ...
    @property
    def expected(self) -> float: ...
    @property
    def p05(self) -> int: ...
    @property
    def p95(self) -> int: ...


class Named(Protocol):
    """What a reading needs to know of a model."""

    @property
    def label(self) -> str: ...
    @property
    def flop(self) -> Number: ...
    @property
    def probability(self) -> tuple[tuple[str, float], ...]: ...


class Group(Protocol):
    """What a reading needs to know of a year."""

    @property
    def label(self) -> str: ...
    @property
    def counts(self) -> Sequence[Count]: ...


class Captured(Protocol):
    """What a reading needs to know of one moving line."""

    @property
    def rule(self) -> str: ...
    @property
    def point(self) -> int: ...


class Moving(Protocol):
    """What a reading needs to know of the moving lines of a year."""

    @property
    def year(self) -> int: ...
    @property
    def n_models(self) -> int: ...
    @property
    def counts(self) -> Sequence[Captured]: ...


def read_hooker(
    counts: Sequence[Count], models: Sequence[Named], years: Sequence[Group], moving: Sequence[Moving]
) -> tuple[str, ...]:
    """Return one sentence on each line, then one each on doubt, the tail, the convention, time and moving lines."""
    return (
        *(_line(count) for count in counts),
        *_doubt(counts, models),
        *_tail(counts),
        *_convention(counts, models),
        *_time(counts, years),
        *_moving(counts, years, moving),
    )


class Spread(Protocol):
    """What a reading needs to know of a rate: by the figures."""

    @property
    def point(self) -> float | None: ...


class Report(Protocol):
    """What a reading needs to know of a rule."""

    @property
    def rule(self) -> str: ...
    @property
    def burden(self) -> Spread: ...
    @property
    def coverage(self) -> Spread: ...
    @property
    def ppv(self) -> Spread: ...
    @property
    def churn(self) -> float | None: ...
    @property
    def static_coverage(self) -> float | None: ...
    @property
    def common(self) -> int: ...
    @property
    def mixed(self) -> float: ...


class Rates(Protocol):
    """What a reading needs to know of a line."""

    @property
    def threshold(self) -> float: ...
    @property
    def captured(self) -> int: ...
    @property
    def youden_j(self) -> float: ...


class Area(Protocol):
    """What a reading needs to know of a curve."""

    @property
    def auc(self) -> float | None: ...
    @property
    def best(self) -> Rates | None: ...


class Parts(Protocol):
    """What a reading needs to know of a variance."""

    @property
    def policy(self) -> str: ...
    @property
    def shares(self) -> Sequence[tuple[str, float]]: ...


class Gap(Protocol):
    """What a reading needs to know of the models a line misses."""

    @property
    def cause(self) -> str: ...
    @property
    def policy(self) -> str: ...
    @property
    def missed(self) -> float: ...
    @property
    def rate(self) -> float | None: ...


class Held(Protocol):
    """What a reading needs to know of a claim."""

    @property
    def id(self) -> str: ...
    @property
    def agrees(self) -> bool | None: ...


def read_essay(
    rules: Sequence[Report],
    curve: Area,
    variance: Sequence[Parts],
    missed: Sequence[Gap],
    claims: Sequence[Held],
) -> tuple[str, ...]:
    """Return one sentence each on the rules, the curve, the convention, what a line misses, and the claims."""
    return (*_rules(rules), *_curve(curve), *_variance(variance), *_missed(missed), *_claims(claims))


def _rules(rules: Sequence[Report]) -> Iterator[str]:
    found = [
        f"{rule.rule}: {rule.burden.point:.0f} models, {100 * (rule.coverage.point or 0.0):.0f} %"
        for rule in rules
        if rule.burden.point and rule.coverage.point not in (None, 1.0)
    ]
    if found:
        yield f"Burden, and share of the risk index's top that is caught: {'; '.join(found)}."
    steady = [rule.rule for rule in rules if not rule.common and rule.burden.point]
    if steady and len(steady) < len(rules):
        yield f"No common way of counting moves a model across: {', '.join(steady)}."


def _curve(curve: Area) -> Iterator[str]:
    if curve.auc is not None and curve.best is not None:
        yield (
            f"As a score for that top, training FLOP has an area under the ROC curve of {curve.auc:.2f}; the best "
            f"static line is at {curve.best.threshold:.2g} FLOP, with {curve.best.captured} models and "
            f"J = {curve.best.youden_j:.2f}."
        )


def _variance(variance: Sequence[Parts]) -> Iterator[str]:
    found = [f"{100 * dict(part.shares).get('way of counting', 0.0):.0f} % at {part.policy}" for part in variance]
    if found:
        yield (
            "Of the variance of the counts, with ways of counting that differ by factors of 1/2, 1, 4/3 and 2 equally "
            f"likely, the way of counting explains {', '.join(found)}; the rest is the error of the figures."
        )


def _missed(missed: Sequence[Gap]) -> Iterator[str]:
    for cause in list(dict.fromkeys(item.cause for item in missed))[:_CAUSES]:
        found = [
            f"{item.missed:.0f} ({100 * item.rate:.0f} %) at {item.policy}"
            for item in missed
            if item.cause == cause and item.rate is not None
        ]
        if found:
            yield f"Missed for {cause}, and their share of all whose effective compute is over: {', '.join(found)}."


def _claims(claims: Sequence[Held]) -> Iterator[str]:
    agree, differ, silent = ([claim.id for claim in claims if claim.agrees is answer] for answer in (True, False, None))
    yield (
        f"Claims of the essay: {len(agree)} agree ({', '.join(agree) or 'none'}), {len(differ)} do not "
        f"({', '.join(differ) or 'none'}), {len(silent)} are beyond these data ({', '.join(silent) or 'none'})."
    )


class Effect(Protocol):
    """What a reading needs to know of an input's effect on a count."""

    @property
    def input(self) -> str: ...
    @property
    def shapley(self) -> float: ...


class Moved(Protocol):
    """What a reading needs to know of the inputs of a count."""

    @property
    def headline(self) -> str: ...
    @property
    def inputs(self) -> Sequence[Effect]: ...


def read_influence(influence: Sequence[Moved]) -> tuple[str, ...]:
    """Return one sentence on the input that each headline count depends on most."""
    by_input: dict[str, list[str]] = {}
    for count in influence:
        if count.inputs:
            most = max(count.inputs, key=lambda effect: effect.shapley)
            by_input.setdefault(most.input, []).append(f"{count.headline} ({100 * most.shapley:.0f} %)")
    if not by_input:
        return ()
    parts = [f"the {name}: {', '.join(counts)}" for name, counts in by_input.items()]
    return (f"What moves each headline count most, by its Shapley effect: {'; '.join(parts)}.",)


def read_policies(policies: Sequence[ThresholdPolicy]) -> tuple[str, ...]:
    """Return what a comparison with the lines of laws does not say; nothing when there are none."""
    if not policies:
        return ()
    sentences = [
        "Of the laws only the line in FLOP, and the kind of model by its reference class, is applied here: further "
        "conditions are not, and what each text counts is not yet read into the figures. No legal advice."
    ]
    secondary = [policy.id for policy in policies if policy.grade != "V"]
    if secondary:
        sentences.append(f"Known from secondary sources only: {', '.join(secondary)}.")
    return tuple(sentences)


def _line(count: Count) -> str:
    return (
        f"{count.threshold.name}: {count.point} of {count.n_models} models are over by their figures; with the "
        f"uncertainty of the figures {count.expected:.1f} are expected (90 %: {count.p05} to {count.p95})."
    )


def _doubt(counts: Sequence[Count], models: Sequence[Named]) -> Iterator[str]:
    """Yield how many models have an open side, and the nearest to even at the line where they weigh most."""
    open_models = [
        sorted((abs(p - 0.5), model.label) for model in models if OPEN[0] < (p := model.probability[t][1]) < OPEN[1])
        for t in range(len(counts))
    ]
    if not any(open_models):
        return
    tally = ", ".join(f"{len(some)} at {count.threshold.name}" for count, some in zip(counts, open_models, strict=True))
    yield f"Models whose side is open (probability between 5 % and 95 %): {tally}."
    worst = max(range(len(counts)), key=lambda t: len(open_models[t]) / max(counts[t].expected, 1.0))
    names = ", ".join(label for _, label in open_models[worst][:_NAMED])
    yield f"Nearest to even at {counts[worst].threshold.name}, where open models weigh most: {names}."


def _tail(counts: Sequence[Count]) -> Iterator[str]:
    inflated = [count for count in counts if count.expected > count.point + 1 and count.expected > 1.25 * count.point]
    if inflated:
        names = ", ".join(count.threshold.name for count in inflated)
        yield (
            f"At {names} more are expected than the figures show: drawing around published figures widens the tail, as "
            f"more models lie just below such a line than above it."
        )


def _convention(counts: Sequence[Count], models: Sequence[Named]) -> Iterator[str]:
    """Yield how the point counts move when every figure is doubled or halved."""

    def moved(factor: Fraction) -> list[int]:
        return [
            sum(count.threshold.is_exceeded_by(model.flop * factor) for model in models if model.probability[t][1] >= 0)
            for t, count in enumerate(counts)
        ]

    points = [count.point for count in counts]
    halved, doubled = moved(Fraction(1, 2)), moved(Fraction(2))
    if halved != points or doubled != points:
        names = ", ".join(count.threshold.name for count in counts)
        yield (
            f"A convention that doubles every figure puts {_join(doubled)} models over ({names}), one that halves it "
            f"{_join(halved)}, against {_join(points)}."
        )


def _time(counts: Sequence[Count], years: Sequence[Group]) -> Iterator[str]:
    firsts = []
    for t, count in enumerate(counts):
        first = next((year.label for year in years if year.counts[t].point), None)
        if first is not None:
            firsts.append(f"{count.threshold.name} in {first}")
    if firsts:
        yield f"First model over by its figure: {', '.join(firsts)}."


def _moving(counts: Sequence[Count], years: Sequence[Group], moving: Sequence[Moving]) -> Iterator[str]:
    """Yield how evenly the first moving line captures models over the years, beside the highest static lines."""
    large = [t for t, year in enumerate(moving) if year.n_models >= _LARGE]
    if len(large) < 2:
        return
    span = f"{moving[large[0]].year} to {moving[large[-1]].year}"
    captured = [moving[t].counts[0].point for t in large]
    static = [
        f"{count.threshold.name} {_join([years[t].counts[c].point for t in large])}" for c, count in enumerate(counts)
    ]
    yield (
        f"Year by year, {span} (years of {_LARGE} models or more): the {moving[large[0]].counts[0].rule} of each year "
        f"are {_join(captured)} models; the static lines catch {'; '.join(static)}."
    )


def _join(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)
