"""The numeric claims of Hooker's essay (arXiv:2407.05694), each beside what the population at hand gives."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import fsum, sqrt

import numpy as np

from flopcore import _core
from flopcore.distributions import log10_exact
from flopcore.quantity import Number

from .counting import FACTORS, FactorCount
from .effective import Missed
from .gaming import Dodge
from .population import Model

__all__ = ["Claim", "Skewness", "essay_claims", "skewness"]

ESSAY = dt.date(2024, 7, 8)
"""Day of the essay's first version: what it says of "today" is held against the models before it."""

_LEAST = 10
_XTRIMO = "xtrimopglm"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim, what the data give, and whether they agree (None: the data do not reach)."""

    id: str
    where: str
    claim: str
    computed: str
    agrees: bool | None

    def to_dict(self) -> dict[str, object]:
        """Return the claim as JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Skewness:
    """Skewness of a quantity and of its log10 (moments, without correction), and a test of log-normality.

    `p_value` is that of Jarque and Bera on the logarithms: exp(-n (S^2 + (K - 3)^2 / 4) / 12).
    """

    quantity: str
    n: int
    raw: float
    log10: float
    p_value: float

    def to_dict(self) -> dict[str, object]:
        """Return the numbers as JSON types."""
        return asdict(self)


def skewness(quantity: str, values: Sequence[Number]) -> Skewness | None:
    """Return the skewness of positive values, None for fewer than three or for equal ones."""
    logs = [float(log10_exact(value)) for value in values]
    if len(set(values)) < 3:
        return None
    raw, _ = _moments([float(value) for value in values])
    skew, kurtosis = _moments(logs)
    statistic = len(logs) * (skew * skew + (kurtosis - 3.0) * (kurtosis - 3.0) / 4) / 6
    return Skewness(quantity, len(logs), raw, skew, float(_core.exp(np.array(-statistic / 2))))


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Return skewness and kurtosis."""
    n = len(values)
    mean = fsum(values) / n
    rest = [value - mean for value in values]
    second = fsum(r * r for r in rest) / n
    third, fourth = fsum(r * r * r for r in rest) / n, fsum(r * r * r * r for r in rest) / n
    return third / (second * sqrt(second)), fourth / (second * second)


def essay_claims(
    models: Sequence[Model],
    *,
    everybody: Sequence[Model],
    captured: Mapping[int, tuple[int, int, int]],
    counts: Sequence[FactorCount],
    missed: Sequence[Missed],
    dodges: Sequence[Dodge],
    spread: Sequence[Skewness],
) -> tuple[Claim, ...]:
    """Return the claims H1 to H12.

    Parameters
    ----------
    models, everybody : sequence of Model
        Those with a figure, and all.
    captured : mapping of year to (models, top 10 %, over 1e25)
        Numbers by the figures.
    counts : sequence of FactorCount
        By way of counting.
    missed : sequence of Missed
        By inference-time gains, over the highest lines.
    dodges : sequence of Dodge
    spread : sequence of Skewness
    """
    return (
        Claim(
            "H1",
            "Fig. 3a",
            "mean score of the best models up to 13B rose from 38.59 % to 77.15 %",
            "no leaderboard in these data",
            None,
        ),
        Claim(
            "H2",
            "Fig. 3b",
            "ever more models over 13B are beaten by smaller ones",
            "no leaderboard in these data",
            None,
        ),
        Claim(
            "H3",
            "section 2.1",
            "Aya-23-8B has 4.5 % of the parameters of BLOOM-176B",
            f"8 / 176 = {800 / 176:.2f} %",
            round(800 / 176, 1) == 4.5,
        ),
        *_h4(captured),
        *_h5(models),
        *_h6(models),
        *_h7(missed),
        *_h8(models),
        *_h9(spread),
        *_h10(everybody),
        *_h11(counts),
        *_h12(dodges),
    )


def _h4(captured: Mapping[int, tuple[int, int, int]]) -> Iterator[Claim]:
    large = {year: found for year, found in captured.items() if found[0] >= 2 * _LEAST}
    text = "a percentile per year captures models in every year, a fixed line only in late ones"
    if not large:
        yield Claim("H4", "section 5.2", text, f"no year has {2 * _LEAST} models", None)
        return
    top = [found[1] for found in large.values()]
    share = [found[2] for found in large.values()]
    shown = ", ".join(f"{year}: {found[1]} and {found[2]}" for year, found in large.items())
    yield Claim(
        "H4", "section 5.2", text, f"top 10 % of the year, and over 1e25: {shown}", min(top) > 0 and min(share) == 0
    )


def _h5(models: Sequence[Model]) -> Iterator[Claim]:
    biology = [model for model in models if "biology" in (model.domains or (model.domain,))]
    found = next((m for m in biology if _XTRIMO in "".join(c for c in m.name.lower() if c.isalnum())), None)
    text = "xTrimoPGLM exceeds the biology line of 1e23 by a factor of 6, and others are within a factor of 10 of it"
    if found is None or found.training_flop is None:
        yield Claim("H5", "section 3.1.5", text, "xTrimoPGLM is not in these data", None)
        return
    ratio = Fraction(found.training_flop) / 10**23
    near = [m for m in biology if m.training_flop is not None and 10**22 <= m.training_flop < 10**23]
    yield Claim(
        "H5",
        "section 3.1.5",
        text,
        f"{float(ratio):.1f}; within a factor of 10 below the line: {', '.join(m.name for m in near) or 'none'}",
        round(float(ratio)) == 6 and bool(near),
    )


def _h6(models: Sequence[Model]) -> Iterator[Claim]:
    before = [Fraction(m.training_flop) for m in models if m.date < ESSAY and m.training_flop is not None]
    at26, at25 = (sum(flop >= 10**exponent for flop in before) for exponent in (26, 25))
    ways = "; ".join(
        f"times {float(factor):.3g}: {sum(f * factor >= 10**26 for f in before)} and "
        f"{sum(f * factor >= 10**25 for f in before)}"
        for factor in FACTORS
        if factor != 1
    )
    yield Claim(
        "H6",
        "section 1, Fig. 2",
        "no model meets 1e26 FLOP, a handful meet 1e25 (July 2024)",
        f"before {ESSAY}: {at26} at 1e26 or more, {at25} at 1e25 or more; {ways}",
        at26 == 0 and 0 < at25 <= 15,
    )


def _h7(missed: Sequence[Missed]) -> Iterator[Claim]:
    found = [f"{item.policy}: {item.missed:.1f} of {item.effective:.1f}" for item in missed]
    yield Claim(
        "H7",
        "section 3.1.1",
        "inference-time techniques are worth 5 to 20 times the training compute, which a line does not see",
        "models missed, of those whose effective compute is over: " + ("; ".join(found) or "no line"),
        any(item.missed > 1 for item in missed) if missed else None,
    )


def _h8(models: Sequence[Model]) -> Iterator[Claim]:
    groups: dict[str, list[float]] = {}
    for model in models:
        if model.training_flop is not None:
            groups.setdefault(model.domain, []).append(float(log10_exact(model.training_flop)))
    medians = {name: sorted(logs)[len(logs) // 2] for name, logs in sorted(groups.items()) if len(logs) >= _LEAST}
    text = "training compute differs between domains by orders of magnitude"
    if len(medians) < 2:
        yield Claim("H8", "Fig. 5, 9", text, f"fewer than two classes have {_LEAST} models", None)
        return
    low, high = min(medians, key=lambda name: medians[name]), max(medians, key=lambda name: medians[name])
    orders = medians[high] - medians[low]
    yield Claim(
        "H8",
        "Fig. 5, 9",
        text,
        f"medians from 1e{medians[low]:.1f} ({low}) to 1e{medians[high]:.1f} ({high})",
        orders >= 1,
    )


def _h9(spread: Sequence[Skewness]) -> Iterator[Claim]:
    found = [
        f"{item.quantity} {item.raw:.1f} / {item.log10:.2f} (n = {item.n}, log-normal: p = {item.p_value:.1g})"
        for item in spread
    ]
    yield Claim(
        "H9",
        "Fig. 7",
        "parameters, FLOP, data and time are heavily skewed and not normal",
        "skewness raw / log10: " + ("; ".join(found) or "too few values"),
        all(item.raw > 1 for item in spread) if spread else None,
    )


def _h10(models: Sequence[Model]) -> Iterator[Claim]:
    ratios = [
        float(Fraction(model.parameters_total) / Fraction(model.parameters_active))
        for model in models
        if model.parameters_total is not None
        and model.parameters_active is not None
        and model.parameters_active < model.parameters_total
    ]
    text = "whether idle experts count changes the figure of a mixture of experts"
    if not ratios:
        yield Claim("H10", "section 3.1.3", text, "no model has both total and active parameters", None)
        return
    yield Claim(
        "H10",
        "section 3.1.3",
        text,
        f"total over active parameters: {min(ratios):.1f} to {max(ratios):.1f} in {len(ratios)} models",
        max(ratios) > 2,
    )


def _h11(counts: Sequence[FactorCount]) -> Iterator[Claim]:
    by_line: dict[str, list[FactorCount]] = {}
    for count in counts:
        by_line.setdefault(count.policy, []).append(count)
    found = [f"{name}: {' / '.join(str(count.point) for count in some)}" for name, some in by_line.items()]
    factors = " / ".join(f"{count.factor:.3g}" for count in next(iter(by_line.values()), []))
    yield Claim(
        "H11",
        "appendix A",
        "the number of models over a line depends on how operations are counted",
        f"models over with figures times {factors}: " + "; ".join(found),
        any(len({count.point for count in some}) > 1 for some in by_line.values()) if by_line else None,
    )


def _h12(dodges: Sequence[Dodge]) -> Iterator[Claim]:
    full = next((item for item in dodges if item.share == 1.0), None)
    half = next((item for item in dodges if item.share == 0.5), None)
    text = "keeping biology data below a half of all data escapes the biology line"
    if full is None or half is None or not full.captured:
        yield Claim("H12", "section 3.1.5", text, "no biology model is over its line", None)
        return
    yield Claim(
        "H12",
        "section 3.1.5",
        text,
        f"over 1e23 as they are: {full.captured}; over the general line of 1e26 at half of the data: {half.captured}",
        half.captured < full.captured,
    )
