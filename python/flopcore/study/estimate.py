"""An estimate of one model's training compute: its interval, and how it stands to each threshold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from flopcore.accelerators import Accelerator, accelerator
from flopcore.closed_form import Product
from flopcore.conventions import Convention
from flopcore.conventions import convention as find_convention
from flopcore.count import count
from flopcore.expr import Expr
from flopcore.graph import Graph
from flopcore.quantity import Interval, Number, Quantity, exact, parse_interval
from flopcore.thresholds import ThresholdPolicy, thresholds
from flopcore.training import SECONDS_PER_HOUR

__all__ = [
    "Crossing",
    "Estimate",
    "ExactCount",
    "Given",
    "Input",
    "estimate_from_graph",
    "estimate_from_hardware",
    "estimate_from_parameters",
]

Given: TypeAlias = int | float | str | Decimal | Fraction | Interval
"""A quantity as a caller may give it: a number, its text, or an interval ``"low..high"``."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of an estimate: an exact value, or an interval with the shape it stands for."""

    name: str
    value: Quantity
    shape: str
    text: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return the input as JSON types."""
        if isinstance(self.value, Interval):
            bounds: dict[str, object] = {"low": _json(self.value.low), "high": _json(self.value.high)}
            return {"name": self.name, "shape": self.shape, **bounds}
        return {"name": self.name, "shape": self.shape, "value": self.text or _json(self.value)}


@dataclass(frozen=True, slots=True)
class Crossing:
    """How an estimate stands to one threshold.

    `is_over` compares the point estimate exactly, with the policy's own comparator; `probability` is that of being
    over, given the intervals of the inputs.
    """

    policy: ThresholdPolicy
    is_over: bool
    probability: float

    def to_dict(self) -> dict[str, object]:
        """Return the crossing as JSON types."""
        return {
            "policy": self.policy.id,
            "jurisdiction": self.policy.jurisdiction,
            "threshold": _json(self.policy.value),
            "comparator": self.policy.comparator,
            "status": self.policy.status,
            "grade": self.policy.grade,
            "modality": self.policy.modality or None,
            "verdict": "over" if self.is_over else "under",
            "probability": self.probability,
        }


@dataclass(frozen=True, slots=True)
class ExactCount:
    """The training FLOP of a walk over the model's graph, and what the estimate is of it."""

    flop: Number
    ratio: float

    def to_dict(self) -> dict[str, object]:
        """Return the comparison as JSON types."""
        return {"flop": _json(self.flop), "ratio": self.ratio}


@dataclass(frozen=True, slots=True)
class Estimate:
    """Training compute with its interval, its inputs and how it stands to each threshold.

    Parameters
    ----------
    method : str
        ``"6ND"``, ``"kND"`` or ``"NLHU"``.
    inputs : tuple of Input
        In the order of the formula.
    point : int or Fraction
        FLOP at the median of each input: exact where the inputs are, to the nearest whole FLOP otherwise.
    p05, p50, p95 : float
        Quantiles of the FLOP.
    crossings : tuple of Crossing
        One for each threshold.
    exact : ExactCount or None
        The walk's count, where one was given.
    notes : tuple of str
        What the figure leaves out or assumes.
    """

    method: str
    inputs: tuple[Input, ...]
    point: Number
    p05: float
    p50: float
    p95: float
    crossings: tuple[Crossing, ...]
    exact: ExactCount | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the estimate in the schema ``flopcore.estimate/1`` (data/schemas/estimate.schema.json)."""
        return {
            "schema": "flopcore.estimate/1",
            "method": self.method,
            "inputs": [item.to_dict() for item in self.inputs],
            "flop": _json(self.point),
            "p05": self.p05,
            "p50": self.p50,
            "p95": self.p95,
            "thresholds": [crossing.to_dict() for crossing in self.crossings],
            "exact": self.exact.to_dict() if self.exact else None,
            "notes": list(self.notes),
        }


def estimate_from_parameters(
    params: Given,
    tokens: Given,
    *,
    epochs: Given = 1,
    factor: Given = 6,
    policies: Iterable[ThresholdPolicy] | None = None,
    exact_flop: Number | None = None,
) -> Estimate:
    """Return the training compute ``factor * params * tokens * epochs`` and how it stands to each threshold.

    Parameters
    ----------
    params, tokens, epochs, factor : int, float, str, Decimal, Fraction or Interval
        A number (``"405e9"`` is exact) or a 90 % interval ``"low..high"``, read as a lognormal. `params` are those
        active on one token.
    policies : iterable of ThresholdPolicy, optional
        Lines to compare with; by default every bundled one that a training FLOP may be held against.
    exact_flop : int or Fraction, optional
        The training FLOP of an exact walk over the same model, to say how far 6ND is from it.

    Raises
    ------
    ValueError
        An input is not a positive number or interval.

    Examples
    --------
    >>> estimate_from_parameters("405e9", "15.6e12").point
    37908000000000000000000000
    """
    inputs = (
        _positive("factor", factor),
        _positive("params", params),
        _positive("tokens", tokens),
        _positive("epochs", epochs),
    )
    notes = ("6ND leaves out attention scores, recomputation and embeddings; params are those active on one token.",)
    method = "6ND" if inputs[0].value == 6 else "kND"
    product = Product.of(item.value for item in inputs)
    return _estimate(method, inputs, product, policies, exact_flop, notes)


def estimate_from_graph(
    graph: Graph,
    tokens: Given,
    *,
    seq: int,
    epochs: Given = 1,
    convention: str | Convention = "torch-2.13",
    policies: Iterable[ThresholdPolicy] | None = None,
) -> Estimate:
    """Return 6ND of a model known by its graph, and how far it is from an exact walk over that graph.

    Parameters
    ----------
    graph : Graph
        One forward pass with dims ``batch`` and ``seq``, such as `from_huggingface` gives. Each parameter is taken to
        be active on each token.
    tokens, epochs
        As for :func:`estimate_from_parameters`.
    seq : int
        Length of a training sequence: the attention scores that 6ND leaves out grow with it.
    convention : str or Convention
        How the walk is priced; its unit must be FLOP.
    policies
        As for :func:`estimate_from_parameters`.

    Returns
    -------
    Estimate
        `exact.flop` is 3 x the walk's forward FLOP per token x tokens x epochs (at the median of an interval): the
        backward pass multiplies twice what the forward pass does, once for the inputs and once for the weights.

    Raises
    ------
    ValueError
        The convention does not count FLOP, or the graph has another dim.
    """
    rules = convention if isinstance(convention, Convention) else find_convention(convention)
    if rules.unit != "FLOP":
        raise ValueError(f"convention={rules.name!r} counts {rules.unit}; only FLOP may meet a threshold")
    tally = count(graph, at={"batch": 1, "seq": seq})
    params, forward = tally.parameters, tally.flop(rules)
    if isinstance(params, Expr) or isinstance(forward, Expr):
        raise ValueError("graph: a dim other than batch and seq is not bound; count it with at= first")
    estimate = estimate_from_parameters(params, tokens, epochs=epochs, policies=policies)
    per_token = Fraction(3) * forward / seq
    walked = exact(per_token * Fraction(estimate.point) / (6 * params))
    note = (
        f"Exact walk: 3 x the forward FLOP of {rules.name} at sequence length {seq}, per token, without recomputation."
    )
    return replace(
        estimate,
        exact=ExactCount(walked, float(Fraction(estimate.point) / walked)),
        notes=(*estimate.notes, note),
    )


def estimate_from_hardware(
    chip: Accelerator | str,
    hours: Given,
    utilisation: Given,
    *,
    count: Given = 1,
    dtype: str | None = None,
    policies: Iterable[ThresholdPolicy] | None = None,
    exact_flop: Number | None = None,
) -> Estimate:
    """Return the training compute ``count * hours * 3600 * peak rate * utilisation`` against each threshold.

    Parameters
    ----------
    chip : Accelerator or str
        The accelerator or its name, such as ``"h100"``.
    hours : int, float, str, Decimal, Fraction or Interval
        Accelerator-hours **in total** (30.8e6 for Llama 3.1 405B), a number or a 90 % interval read as a lognormal;
        the wall-clock hours of the run only if `count` is given too.
    utilisation : int, float, str, Decimal, Fraction or Interval
        Share of the peak rate that was used, at most 1. An interval is read as *hard limits* with a uniform
        distribution between them, as utilisation is bounded.
    count : int, float, str, Decimal, Fraction or Interval
        Number of accelerators, when `hours` are wall-clock hours.
    dtype : str, optional
        Number format of the peak rate; the chip's usual one by default.
    policies, exact_flop
        As for :func:`estimate_from_parameters`.

    Raises
    ------
    ValueError
        An input is not positive, utilisation exceeds 1, or the chip or format is unknown.

    Examples
    --------
    >>> estimate = estimate_from_hardware("h100", "30.8e6", "0.35..0.45")
    >>> f"{estimate.p05:.3g} {estimate.p95:.3g}"
    '3.89e+25 4.88e+25'
    """
    unit = chip if isinstance(chip, Accelerator) else accelerator(chip)
    wanted = unit.dtype if dtype is None else dtype
    rate = unit.rate(wanted)
    share = _positive("utilisation", utilisation, shape="uniform")
    top = share.value.high if isinstance(share.value, Interval) else share.value
    if top > 1:
        raise ValueError(f"utilisation={utilisation}: a share of the peak rate is at most 1; write 0.4 or 0.35..0.45")
    inputs = (
        Input("accelerator", 1, "fixed", unit.name),
        _positive("count", count),
        _positive("hours", hours),
        Input("peak_flop_per_second", rate, "fixed"),
        share,
    )
    product = Product.of((*(item.value for item in inputs[1:4]), SECONDS_PER_HOUR), share.value)
    notes = (f"Peak rate of {unit.name} in {wanted}, dense: {unit.source}.",)
    return _estimate("NLHU", inputs, product, policies, exact_flop, notes)


def _estimate(
    method: str,
    inputs: tuple[Input, ...],
    product: Product,
    policies: Iterable[ThresholdPolicy] | None,
    exact_flop: Number | None,
    notes: tuple[str, ...],
) -> Estimate:
    point = product.median
    lines = thresholds() if policies is None else tuple(policies)
    crossings = tuple(
        Crossing(
            policy,
            policy.threshold.is_exceeded_by(point),
            product.probability_above(policy.value, at_line=policy.comparator == ">="),
        )
        for policy in lines
    )
    return Estimate(
        method=method,
        inputs=inputs,
        point=point,
        p05=product.quantile(Fraction(1, 20)),
        p50=product.quantile(Fraction(1, 2)),
        p95=product.quantile(Fraction(19, 20)),
        crossings=crossings,
        exact=None if exact_flop is None else ExactCount(exact_flop, float(Fraction(point) / exact_flop)),
        notes=notes,
    )


def _positive(name: str, value: Given, *, shape: str = "lognormal") -> Input:
    quantity = parse_interval(value, name=name)
    if isinstance(quantity, Interval):
        return Input(name, quantity, shape)
    if quantity <= 0:
        raise ValueError(f"{name}={value!r}: expected a positive number or an interval low..high")
    return Input(name, quantity, "fixed")


def _json(value: Number) -> int | float:
    return value if isinstance(value, int) else float(value)
