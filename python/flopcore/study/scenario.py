"""Ways of counting, as a factor on each model's FLOP; later a priced reading of a law takes their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from flopcore.distributions import DIGITS
from flopcore.quantity import Number, parse_quantity
from flopcore.thresholds import Threshold

from .population import Model, Population

__all__ = ["Flips", "Scenario", "find_flips", "named_scenarios"]

_SEQUENCE = Decimal(4096)
_LARGE = 10**9
_THIRD = DIGITS.divide(1, 3)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way of counting, as a factor on each model's FLOP.

    Parameters
    ----------
    name : str
        What the factor stands for, such as ``"a multiply-accumulate is one operation"``.
    factor : int or Fraction
        Factor of every model that `by_model` does not name.
    by_model : tuple of (key, factor)
        Factors of single models.
    """

    name: str = "as published"
    factor: Number = 1
    by_model: tuple[tuple[str, Number], ...] = ()

    def __post_init__(self) -> None:
        """Make the factors exact and refuse a negative one, and a common factor of zero."""
        object.__setattr__(self, "factor", parse_quantity(self.factor, name="factor"))
        object.__setattr__(self, "by_model", tuple((key, parse_quantity(f, name=key)) for key, f in self.by_model))
        if self.factor <= 0 or any(factor < 0 for factor in dict(self.by_model).values()):
            raise ValueError(f"scenario {self.name!r}: every factor is positive (zero for single models only)")

    def of(self, key: str) -> Number:
        """Return the factor of a model."""
        return dict(self.by_model).get(key, self.factor)


@dataclass(frozen=True, slots=True)
class Flips:
    """Keys of the models whose figure changes side of one line when another way of counting is taken."""

    threshold: Threshold
    gained: tuple[str, ...]
    lost: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the flips as JSON types."""
        return {"policy": self.threshold.name, "gained": list(self.gained), "lost": list(self.lost)}


def named_scenarios(population: Population) -> tuple[Scenario, ...]:
    """Return ways of counting that the population's own columns allow (essay, appendix A and section 3.1).

    A multiply-accumulate as one operation halves every figure. Full recomputation of activations adds a forward pass:
    four thirds, for figures that leave it out. Counting idle experts multiplies a mixture whose figure was counted
    from active parameters by total / active. The attention scores that 6ND leaves out add s / (6 d) of it, at a
    sequence of s = 4096 tokens and the width d that N = 12 L d^2 gives with d = 128 L, for figures counted from the
    parameters of language models of 1e9 or more. Leaving out integer operations takes everything from a model whose
    number format is of integers.
    """
    idle = tuple(
        (model.key, _ratio(model.parameters_total, model.parameters_active))
        for model in population
        if model.derivation is not None
        and model.derivation.formula in ("6ND", "kND")
        and not model.base_model
        and model.parameters_total is not None
        and model.parameters_active is not None
    )
    scenarios = (
        Scenario("a multiply-accumulate is one operation", Fraction(1, 2)),
        Scenario("activations are recomputed in full", Fraction(4, 3)),
        Scenario("idle experts count", 1, idle),
        Scenario("attention scores count", 1, _attention(population)),
        Scenario("integer operations do not count", 1, tuple((key, 0) for key in _integer(population))),
    )
    return tuple(scenario for scenario in scenarios if scenario.factor != 1 or scenario.by_model)


def _attention(population: Population) -> tuple[tuple[str, Fraction], ...]:
    """Return 1 + s / (6 d) for large language models whose figure was counted from parameters."""
    found = []
    for model in population:
        counted = model.derivation is not None and model.derivation.formula in ("6ND", "kND")
        if not counted and model.method != "operation_counting":
            continue
        if (
            model.parameters is None
            or model.parameters < _LARGE
            or "language" not in (model.domains or (model.domain,))
        ):
            continue
        cube = Fraction(128 * model.parameters, 12)
        width = DIGITS.power(DIGITS.divide(Decimal(cube.numerator), Decimal(cube.denominator)), _THIRD)
        found.append((model.key, 1 + Fraction(f"{float(_SEQUENCE / (6 * width)):.3g}")))
    return tuple(found)


def _integer(population: Population) -> tuple[str, ...]:
    """Return the keys of the models trained in integers alone."""
    return tuple(
        model.key
        for model in population
        if model.number_format
        and all(part.strip().lower().startswith("int") for part in model.number_format.split(","))
    )


def find_flips(models: Sequence[Model], threshold: Threshold, before: Scenario, after: Scenario) -> Flips:
    """Return which of the models change side of a line, by their figures, compared exactly."""
    gained, lost = [], []
    for model in models:
        if model.training_flop is None:
            continue
        flop = Fraction(model.training_flop)
        was = threshold.is_exceeded_by(flop * before.of(model.key))
        is_now = threshold.is_exceeded_by(flop * after.of(model.key))
        if is_now and not was:
            gained.append(model.key)
        elif was and not is_now:
            lost.append(model.key)
    return Flips(threshold, tuple(gained), tuple(lost))


def _ratio(total: Number, part: Number) -> Fraction:
    return Fraction(total) / Fraction(part)
