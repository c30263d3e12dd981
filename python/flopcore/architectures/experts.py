"""Mixtures of experts: a router sends each token through a few of many feed-forward networks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from flopcore.expr import Expr
from flopcore.graph import DimLike, Tensor

from .modules import Activation, Modules

__all__ = ["Experts", "mixture"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """What a mixture of experts is made of (Shazeer et al. 2017, arXiv 1701.06538).

    Parameters
    ----------
    number, per_token, intermediate
        Experts, how many of them a token goes through, and the width inside one.
    shared_intermediate
        Width of the network that every token goes through beside them; 0 where there is none.
    shared_gate
        Whether its result is weighted by a sigmoid of its own (Qwen2-MoE).
    score
        How logits become weights: ``"softmax"`` over all experts, ``"softmax_chosen"`` over those chosen (gpt-oss),
        ``"sigmoid"`` each for itself (DeepSeek-V3), or ``"each_choice"``: one choice after the other, each weighed by a
        softmax over the scores that are near the best of those left (SparseMixer, Liu et al. 2024, arXiv 2409.12136).
    renormalised
        Whether the weights of those chosen are divided by their sum.
    scaled
        Whether the weights are multiplied by a number.
    groups, groups_per_token
        Experts may be chosen from the best groups alone, by the sum of their two best scores; 1 group is no choice.
    corrected, correction
        Whether a bias per expert joins the scores for the choice (DeepSeek-V3), and whether it is ``"fixed"`` or a
        ``"weight"`` (Ernie 4.5).
    bias
        Whether router and experts have biases (gpt-oss).
    gate
        ``"plain"`` activation(gate) * up, or ``"clamped"``: both clamped, (up + 1) * gate * sigmoid(alpha gate).
    weighted_input
        Whether the weight multiplies what goes into an expert and not what comes out of it (Llama 4).
    form
        ``"gated"`` with gate, up and down, or ``"plain"`` with up and down, of experts and of the shared network.
    latent
        Width to which tokens are projected before experts, and from which after them (Nemotron 3); None where not.
    best_of
        By how many of its best scores a group is chosen.
    shared_name
        What the shared network is called.
    """

    number: int
    per_token: int
    intermediate: int
    shared_intermediate: int = 0
    shared_gate: bool = False
    score: Literal["softmax", "softmax_chosen", "sigmoid", "each_choice"] = "softmax"
    renormalised: bool = True
    scaled: bool = False
    groups: int = 1
    groups_per_token: int = 1
    corrected: bool = False
    correction: Literal["fixed", "weight"] = "fixed"
    bias: bool = False
    gate: Literal["plain", "clamped"] = "plain"
    weighted_input: bool = False
    form: Literal["gated", "plain"] = "gated"
    latent: int | None = None
    best_of: int = 2
    shared_name: str = "shared_experts"

    def __post_init__(self) -> None:
        if not 1 <= self.per_token <= self.number:
            raise ValueError(f"per_token={self.per_token} must be from 1 to number={self.number}")
        if self.number % self.groups or not 1 <= self.groups_per_token <= self.groups:
            raise ValueError(f"groups={self.groups} must divide number={self.number} and hold groups_per_token")


def mixture(modules: Modules, spec: Experts, x: Tensor, activation: Activation, *, router: str = "gate") -> Tensor:
    """Return the weighted sum of the experts of each token, plus the shared one; x is [batch, seq, hidden].

    Rows are sorted by expert and go through one ragged product: each token costs `per_token` experts exactly, however
    they are spread. Dropped or padded tokens (a capacity) are not assumed.
    """
    graph, origin = modules.graph, modules.origin
    batch, seq, hidden = x.shape
    assert isinstance(hidden, int)
    tokens = batch * seq
    assert isinstance(tokens, int | Expr)
    flat = graph.reshape(x, (tokens, hidden), name="tokens", origin=origin)
    weights, chosen = _route(modules, spec, flat, router)
    rows = tokens * spec.per_token
    assert isinstance(rows, int | Expr)
    places = graph.reshape(chosen, (rows,), name="dispatch", origin=origin)
    scale = graph.reshape(weights, (rows, 1), name="weights", origin=origin)
    width = hidden
    if spec.latent is not None:
        flat, width = modules.linear(flat, "fc1_latent_proj", spec.latent, bias=False), spec.latent
    with graph.scope("experts"):
        sent = graph.op("gather", [flat, places], {"axis": 0}, name="dispatch", origin=origin)
        if spec.weighted_input:
            sent = modules.mul(sent, scale, "weights")
        sizes = modules.constant("group_sizes", (spec.number,), "int64")
        if spec.form == "plain":
            inner = _ragged(modules, spec, sent, sizes, places, "up_proj", spec.intermediate)
            inner = modules.activate(inner, activation)
        else:
            joint = _ragged(modules, spec, sent, sizes, places, "gate_up_proj", 2 * spec.intermediate)
            gate = modules.part(joint, 0, spec.intermediate)
            up = modules.part(joint, spec.intermediate, 2 * spec.intermediate)
            inner = _gated(modules, spec, gate, up, activation)
        y = _ragged(modules, spec, inner, sizes, places, "down_proj", width)
        if not spec.weighted_input:
            y = modules.mul(y, scale, "weights")
        y = graph.reshape(y, (tokens, spec.per_token, width), name="combine", origin=origin)
        y = graph.reduce_sum(y, 1, name="combine", origin=origin)
    if spec.latent is not None:
        y = modules.linear(y, "fc2_latent_proj", hidden, bias=False)
    y = graph.reshape(y, (batch, seq, hidden), name="tokens", origin=origin)
    if not spec.shared_intermediate:
        return y
    with graph.scope(spec.shared_name):
        if spec.form == "plain":
            inner = modules.activate(modules.linear(x, "up_proj", spec.shared_intermediate, bias=False), activation)
        else:
            inner = modules.activate(modules.linear(x, "gate_proj", spec.shared_intermediate, bias=False), activation)
            inner = modules.mul(inner, modules.linear(x, "up_proj", spec.shared_intermediate, bias=False), "gate")
        shared = modules.linear(inner, "down_proj", hidden, bias=False)
    if spec.shared_gate:
        share = modules.activate(modules.linear(x, "shared_expert_gate", 1, bias=False), "sigmoid", "sigmoid")
        shared = modules.mul(shared, share, "shared_gate")
    return modules.add(y, shared, "shared")


def _route(modules: Modules, spec: Experts, flat: Tensor, router: str) -> tuple[Tensor, Tensor]:
    """Return weights and numbers [tokens, per_token] of the experts chosen."""
    graph, origin = modules.graph, modules.origin
    scores = modules.linear(flat, router, spec.number, bias=spec.bias)
    with graph.scope(router):
        if spec.score == "each_choice":
            return _choices(modules, spec, scores)
        if spec.score == "softmax":
            scores = graph.softmax(scores, name="scores", origin=origin)
        elif spec.score == "sigmoid" and not spec.weighted_input:
            scores = graph.sigmoid(scores, name="scores", origin=origin)
        choice = scores
        if spec.corrected:
            place = modules.parameter if spec.correction == "weight" else modules.fixed
            choice = modules.add(choice, place("correction", spec.number), "correction")
        if spec.groups > 1:
            choice = _best_groups(modules, spec, choice)
        values, chosen = _top_k(modules, choice, spec.per_token)
        if choice is not scores:
            values = graph.op("take_along", [scores, chosen], {"axis": 1}, name="weights", origin=origin)
        if spec.score == "softmax_chosen":
            values = graph.softmax(values, name="weights", origin=origin)
        elif spec.weighted_input:
            values = graph.sigmoid(values, name="weights", origin=origin)
        if spec.renormalised:
            total = graph.reduce_sum(values, 1, keepdims=True, name="weights", origin=origin)
            values = graph.div(values, total, name="weights", origin=origin)
        if spec.scaled:
            values = modules.mul(values, modules.constant("factor"), "weights")
    return values, chosen


def _choices(modules: Modules, spec: Experts, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights and numbers of experts that are chosen one after the other."""
    graph, origin = modules.graph, modules.origin
    size = graph.op("abs", [scores], name="choice", origin=origin)
    left, weights, chosen = scores, [], []
    nothing = modules.constant("nothing")
    for _ in range(spec.per_token):
        best, place = _top_k(modules, left, 1)
        factor = graph.op("maximum", [size, best], name="choice", origin=origin)
        distance = graph.sub(best, scores, name="choice", origin=origin)
        distance = graph.div(distance, factor, name="choice", origin=origin)
        far = graph.op("greater", [distance, modules.constant("reach")], name="choice", origin=origin)
        near = graph.op("where", [far, nothing, left], name="choice", origin=origin)
        near = graph.softmax(near, name="weights", origin=origin)
        weights.append(graph.op("take_along", [near, place], {"axis": 1}, name="weights", origin=origin))
        chosen.append(place)
        gone = modules.constant("gone", place.shape)
        left = graph.op("scatter", [left, place, gone], {"axis": 1}, name="choice", origin=origin)
    return (
        graph.concat(weights, axis=1, name="weights", origin=origin),
        graph.concat(chosen, axis=1, name="choice", origin=origin),
    )


def _best_groups(modules: Modules, spec: Experts, scores: Tensor) -> Tensor:
    """Return the scores, those of all but the best groups masked (DeepSeek-V3, arXiv 2412.19437, section 2.1.2)."""
    graph, origin = modules.graph, modules.origin
    tokens: DimLike = scores.shape[0]
    size = spec.number // spec.groups
    grouped = graph.reshape(scores, (tokens, spec.groups, size), name="groups", origin=origin)
    best, _ = _top_k(modules, grouped, min(spec.best_of, size))
    sums = graph.reduce_sum(best, 2, name="groups", origin=origin)
    _, chosen = _top_k(modules, sums, spec.groups_per_token)
    mask = modules.constant("groups", (tokens, spec.groups))
    ones = modules.constant("ones", (tokens, spec.groups_per_token))
    mask = graph.op("scatter", [mask, chosen, ones], {"axis": 1}, name="groups", origin=origin)
    mask = graph.reshape(mask, (tokens, spec.groups, 1), name="groups", origin=origin)
    keep = graph.cast(mask, "bool", name="groups", origin=origin)
    masked = graph.op("where", [keep, grouped, modules.constant("nothing")], name="groups", origin=origin)
    assert isinstance(masked, Tensor)
    return graph.reshape(masked, (tokens, spec.number), name="groups", origin=origin)


def _top_k(modules: Modules, scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    attrs = {"axis": len(scores.shape) - 1, "size": k}
    values, places = modules.graph.op_outputs("top_k", [scores], attrs, name="top_k", origin=modules.origin)
    return values, places


def _ragged(
    modules: Modules, spec: Experts, rows: Tensor, sizes: Tensor, places: Tensor, name: str, width: int
) -> Tensor:
    """Return each row times the matrix of its expert, plus the expert's bias where it has one."""
    graph, origin = modules.graph, modules.origin
    inner = rows.shape[-1]
    assert isinstance(inner, int)
    active = Fraction(spec.per_token, spec.number)
    weight = modules.parameter(name, spec.number, inner, width, active=active)
    attrs = {"top_k": spec.per_token}
    y = graph.op("ragged_matmul", [rows, weight, sizes], attrs, name=name, origin=origin)
    assert isinstance(y, Tensor)
    if spec.bias:
        biases = modules.parameter(f"{name}_bias", spec.number, width, active=active)
        y = modules.add(y, graph.embedding(biases, places, name=name, origin=origin), name)
    return y


def _gated(modules: Modules, spec: Experts, gate: Tensor, up: Tensor, activation: Activation) -> Tensor:
    if spec.gate == "plain":
        return modules.mul(modules.activate(gate, activation), up, "gate")
    graph, origin = modules.graph, modules.origin
    low = graph.op("clamp", [gate], {"bounds": "high"}, name="gate", origin=origin)
    both = graph.op("clamp", [up], {"bounds": "both"}, name="up", origin=origin)
    slope = modules.mul(low, modules.constant("alpha"), "gate")
    glu = modules.mul(low, graph.sigmoid(slope, name="gate", origin=origin), "gate")
    return modules.mul(modules.add(both, modules.constant("one"), "up"), glu, "gate")
