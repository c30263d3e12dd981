"""Which part of the experts' weights one token goes through, read off a graph: a choice of k of E, and what it gates.

Published numbers of active parameters are those of a token: k of the E experts of a mixture. A graph that is traced
from code does not say which weights are experts; what its router does with them does. A choice (`top_k`, `argmax`) of
E scores makes *routes*: values that depend on scores alone (places, masks, gates, sizes of groups). A route makes
other values *gated*, by picking or by multiplying, until they are added up. Experts are then

- tables of E rows that a route picks from or cuts rows for, or that gated values meet;
- weights that only the values of one expert's route meet, before or after they are gated.

A choice of a router that gates something, where no such weights are found, is reported and not taken for none; so is
one in the body of a loop or a branch, whose weights come from outside of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, cast

from flopcore.graph import DimLike, Graph

__all__: list[str] = []

_CHOOSERS = frozenset(["top_k", "argmax", "argmin", "multinomial", "sort"])
_PRODUCTS = frozenset(["matmul", "einsum", "dot_general", "linear"])
_PICKS = frozenset(["gather", "take_along", "gather_nd", "masked_select"])
_GATES = _PRODUCTS | _PICKS | {"mul", "where"}
_JOINS = frozenset(["index_update", "scatter", "scatter_nd"])


@dataclass(slots=True, eq=False)
class _Choice:
    """`chosen` of `number` (None: not known); `routed` if a matrix with a row for each makes the scores."""

    name: str
    chosen: DimLike | None
    number: DimLike
    routed: bool
    gates: bool = False


@dataclass(frozen=True, slots=True)
class _Mark:
    """What a value is: fixed, made of weights alone (`of`: which), scores, or dependent on choices (`of`: which).

    `expert` tells which of the experts a route or a gated value belongs to; None is all.
    """

    kind: Literal["fixed", "weights", "plain", "scores", "route", "gated"]
    of: frozenset[Any] = frozenset()
    expert: object = None


_FIXED, _PLAIN, _SCORES = _Mark("fixed"), _Mark("plain"), _Mark("scores")


def _joined(kind: Literal["weights", "route", "gated"], marks: Iterable[_Mark]) -> _Mark:
    marks = [mark for mark in marks if mark.of]
    experts = {mark.expert for mark in marks} - {None}
    of = frozenset[Any]().union(*(mark.of for mark in marks))
    return _Mark(kind, of, experts.pop() if len(experts) == 1 else None)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A learned weight that the experts of some choices have: all of them, or one."""

    parameter: int
    choices: frozenset[_Choice]
    expert: object
    is_bias: bool


def mark_active(graph: Graph, derived: Mapping[int, Sequence[int]]) -> None:
    """Mark the experts' weights of a finished graph with the share of them that a token goes through.

    Parameters
    ----------
    graph
        Choices that cannot be followed to weights are added to its `unknown_routers`.
    derived
        The tensors that a constant stands for a function of, by number.
    """
    every = [cast("dict[str, Any]", node) for node in graph.nodes()]
    bodies = [node for node in every if node["block"] != 0 and node["op"] in ("top_k", "ragged_matmul")]
    graph.unknown_routers.extend(dict.fromkeys(f"{node['scope']}.{node['name']}".strip(".") for node in bodies))
    nodes = [node for node in every if node["block"] == 0]
    may_choose = _CHOOSERS | {"ragged_matmul"}
    if any(node["op"] in may_choose or derived.get(node["outputs"][0]) for node in nodes if node["outputs"]):
        reading = _Reading(graph, nodes, derived)
        reading.forward()
        reading.backward()
        reading.settle()


class _Reading:
    """Nodes in their order, to find what routes and what is gated; and back, to find what is needed by gates alone."""

    def __init__(self, graph: Graph, nodes: Sequence[dict[str, Any]], derived: Mapping[int, Sequence[int]]) -> None:
        self._graph = graph
        self._nodes = nodes
        self._derived = derived
        self._marks: dict[int, _Mark] = {}
        self._choices: list[_Choice] = []
        self._claims: list[_Claim] = []
        self._used_plainly: set[int] = set()
        self._lost: list[str] = []

    def _size(self, tensor: int, axis: int) -> DimLike | None:
        shape = self._graph.core.shape(tensor)
        return shape[axis] if -len(shape) <= axis < len(shape) else None

    def _claim(self, tensor: int, gate: _Mark) -> None:
        """Note the weights that a value is made of, if their rows are the experts or the gate is one expert's."""
        weights, rank = self._marks[tensor], len(self._graph.core.shape(tensor))
        rows = self._size(tensor, 0)
        choices = frozenset(each for each in gate.of if rank > 1 and _same(each.number, rows))
        expert = None if choices else gate.expert
        if choices or expert is not None:
            self._claims += [_Claim(each, choices or gate.of, expert, rank == 2) for each in weights.of]

    # ---------------------------------------------------------------------------------------------- in order
    def forward(self) -> None:
        """Give every value its mark."""
        for place, node in enumerate(self._nodes):
            op, made = node["op"], node["outputs"]
            if op == "parameter":
                found = [_Mark("weights", frozenset(made))]
            elif op == "input":
                found = [_PLAIN]
            else:
                read = [each for each in node["inputs"] if each is not None]
                if op == "constant":
                    read = [each for each in self._derived.get(made[0], ()) if each in self._marks]
                found = self._of(place, node, read)
            for i, each in enumerate(made):
                self._marks[each] = found[i if len(found) > 1 else 0]

    def _of(self, place: int, node: Mapping[str, Any], read: Sequence[int]) -> list[_Mark]:
        op = node["op"]
        marks = [self._marks[each] for each in read]
        values = [mark for mark in marks if mark.kind not in ("fixed", "weights")]
        kinds = {mark.kind for mark in values}
        weights = [each for each in read if self._marks[each].kind == "weights"]
        if op == "ragged_matmul":
            return [self._ragged(node, read, marks)]
        if not values:
            fed = op in ("linear", "matmul") and len(weights) < len(read)
            return [_FIXED if not weights else _SCORES if fed else _joined("weights", marks)]
        if self._chooses(node, read):
            return [self._choice(node, read[0])]
        if "route" in kinds and op == "constant":
            return [_joined("route", [mark for mark in values if mark.kind == "route"])]
        if "route" in kinds and self._is_routing(read):
            return self._routed(place, node, read, weights)
        if "route" in kinds and op in _GATES:
            routes = [mark for mark in values if mark.kind == "route"]
            for choice in frozenset[_Choice]().union(*(mark.of for mark in routes)):
                choice.gates = True
            if op in _PRODUCTS and "gated" in kinds:
                return [_PLAIN]  # experts' results added up by a matrix of places
            return [_joined("gated", routes if routes[0].expert is not None else values)]
        if kinds <= {"gated", "route"} and op not in _JOINS and not self._adds_up(node, read):
            gate = _joined("gated", values)
            for each in weights:
                self._claim(each, gate)
            return [gate]
        for each in weights:
            self._used_plainly |= self._marks[each].of
        if op in ("linear", "matmul") and weights and "gated" not in kinds:
            return [_SCORES]
        kept = "scores" in kinds and len(kinds) == 1
        return [_SCORES if kept and _same(self._size(node["outputs"][0], -1), self._width(read)) else _PLAIN]

    def _width(self, read: Sequence[int]) -> DimLike | None:
        return next((self._size(each, -1) for each in read if self._marks[each] is _SCORES), None)

    def _adds_up(self, node: Mapping[str, Any], read: Sequence[int]) -> bool:
        """Return whether a node sums over anything but the last dim, which is inside of an expert."""
        if not node["op"].startswith("reduce_"):
            return False
        rank = len(self._graph.core.shape(read[0]))
        axes = [axis % rank for axis in node["attrs"].get("axes", range(rank))]
        return axes != [rank - 1]

    def _is_routing(self, read: Sequence[int]) -> bool:
        """Return whether a node reads routes, and otherwise scores of as many experts."""
        numbers = [
            choice.number for each in read if self._marks[each].kind == "route" for choice in self._marks[each].of
        ]
        return all(
            self._marks[each].kind in ("fixed", "weights", "route")
            or (self._marks[each] is _SCORES and any(_same(self._size(each, -1), number) for number in numbers))
            for each in read
        )

    # --------------------------------------------------------------------------------------------- choices, routes
    def _chooses(self, node: Mapping[str, Any], read: Sequence[int]) -> bool:
        """Return whether a node picks among scores; a place that a maximum is at is a constant for want of an op.

        Scores that earlier choices are taken out of are marked as routes of these.
        """
        op, mark = node["op"], self._marks[read[0]]
        if op == "constant":
            kind, shape = self._graph.core.dtype(node["outputs"][0]), self._graph.core.shape(node["outputs"][0])
            taken = mark.of if mark.kind == "route" else frozenset()
            left = any(_same(self._size(read[0], -1), each.number) for each in taken)
            scores = self._graph.core.shape(read[0])
            left = left and shape in (scores[:-1], (*scores[:-1], 1))
            return kind == "int64" and len(read) == 1 and (mark is _SCORES or left)
        return op in _CHOOSERS and (mark is _SCORES or op in ("top_k", "argmax"))

    def _choice(self, node: Mapping[str, Any], scores: int) -> _Mark:
        rank, attrs = len(self._graph.core.shape(scores)), node["attrs"]
        axes = attrs.get("axes") or [attrs.get("axis", -1)]
        axis = axes[0] % max(rank, 1)
        choice = _Choice(
            name=f"{node['scope']}.{node['name']}".strip("."),
            chosen=None if node["op"] == "sort" else attrs.get("size", 1),
            number=self._size(scores, axis) or 1,
            routed=self._marks[scores] is _SCORES and axis == rank - 1 and len(axes) == 1,
        )
        self._choices.append(choice)
        return _Mark("route", frozenset([choice]))

    def _routed(self, place: int, node: Mapping[str, Any], read: Sequence[int], weights: Sequence[int]) -> list[_Mark]:
        """What routes make: routes of all experts or of one; gated values, where they pick rows of a table."""
        op = node["op"]
        mark = _joined("route", [self._marks[each] for each in read if self._marks[each].kind == "route"])
        if op == "embedding" or (op in _PRODUCTS and weights and len(self._graph.core.shape(weights[0])) < 3):
            return [_PLAIN]
        if weights and op in _GATES and op != "mul":
            for each in weights:
                self._claim(each, mark)
            return [replace(mark, kind="gated")]
        if mark.expert is None and op in ("slice", "unbind", "split"):
            axis = node["attrs"].get("axis", -1)
            cut = [self._size(each, axis) for each in node["outputs"]]
            if any(_same(self._size(read[0], axis), choice.number) for choice in mark.of):
                first = node["attrs"].get("start", 0)
                if op == "unbind" or all(_same(size, 1) for size in cut):
                    return [replace(mark, expert=("row", str(first + i))) for i in range(len(cut))]
        if mark.expert is None and op == "equal" and any(not self._graph.core.shape(each) for each in read):
            return [replace(mark, expert=("equal", place))]
        return [mark]

    def _ragged(self, node: Mapping[str, Any], read: Sequence[int], marks: Sequence[_Mark]) -> _Mark:
        """A product for each group of rows: which rows are whose is a route, or is not known."""
        table = read[1]
        if marks[1].kind == "weights":
            if marks[2].kind == "route":
                self._claim(table, replace(marks[2], expert=None))
            else:
                self._lost.append(f"{node['scope']}.{node['name']}".strip("."))
        return _joined("gated", marks[2:]) if marks[2].kind == "route" else _PLAIN

    # ---------------------------------------------------------------------------------------------------- and back
    def backward(self) -> None:
        """Find the weights whose values nothing reads but what a gate multiplies."""
        needs: dict[int, _Mark] = dict.fromkeys(self._graph.core.block_outputs(0), _PLAIN)
        for node in reversed(self._nodes):
            needed = [needs[each] for each in node["outputs"] if each in needs]
            if not needed:
                continue
            own = _agreed(needed)
            read = [each for each in node["inputs"] if each is not None]
            routes = [self._marks[each] for each in read if self._marks[each].kind == "route"]
            gate = _joined("gated", routes) if routes and node["op"] in _GATES else own
            apart = node["op"] in ("stack", "concat") and any(_same(len(read), each.number) for each in own.of)
            for i, each in enumerate(read):
                need = gate if self._marks[each].kind != "route" else _PLAIN
                if apart and own.expert is None:  # what each expert gives, side by side
                    need = replace(own, expert=("row", str(i)))
                needs[each] = _agreed([needs[each], need]) if each in needs else need
        for tensor, need in needs.items():
            mark = self._marks[tensor]
            if mark.kind == "weights" and all(needs[root].kind == "gated" for root in (tensor, *mark.of)):
                self._used_plainly -= mark.of
                self._claim(tensor, need)

    def settle(self) -> None:
        """Mark the weights with their shares, and list the choices that no weights were found for."""
        self._drop_shared()
        tables = {claim.choices for claim in self._claims if claim.expert is None and not claim.is_bias}
        experts: dict[frozenset[_Choice], set[object]] = {}
        for claim in self._claims:
            if claim.expert is not None:
                experts.setdefault(claim.choices, set()).add(claim.expert)
        shares: dict[int, set[Fraction]] = {}
        found: set[_Choice] = set()
        for claim in self._claims:
            if claim.parameter in self._used_plainly:
                continue
            if claim.expert is None:
                holds = claim.choices in tables
            else:
                holds = len(experts[claim.choices]) > 1 and all(each.routed for each in claim.choices)
            share = _share(claim.choices)
            if holds and share is not None:
                shares.setdefault(claim.parameter, set()).add(share)
                found |= claim.choices
        for parameter, (share, *others) in shares.items():
            if others:
                self._lost.append(self._graph.core.tensor_name(parameter))
            elif share < 1:
                self._graph.core.set_active(parameter, share)
        self._lost += [each.name for each in self._choices if each.routed and each.gates and each not in found]
        self._graph.unknown_routers.extend(dict.fromkeys(self._lost))

    def _drop_shared(self) -> None:
        """Leave out, as not known, weights that some, but not all, of the experts of a choice have."""
        owners: dict[tuple[int, frozenset[_Choice]], set[object]] = {}
        for claim in self._claims:
            owners.setdefault((claim.parameter, claim.choices), set()).add(claim.expert)
        kept = []
        for claim in self._claims:
            if len(owners[claim.parameter, claim.choices]) == 1 or _is_table(claim, owners):
                kept.append(claim)
            else:
                self._lost += [each.name for each in claim.choices]
        self._claims = kept


def _is_table(claim: _Claim, owners: Mapping[tuple[int, frozenset[_Choice]], set[object]]) -> bool:
    """Return whether every expert has a part of a weight, as a table that is cut by experts."""
    own = owners[claim.parameter, claim.choices]
    return None in own or any(_same(each.number, len(own)) for each in claim.choices)


def _same(a: DimLike | None, b: DimLike | None) -> bool:
    return a is not None and b is not None and str(a) == str(b)


def _agreed(needs: Sequence[_Mark]) -> _Mark:
    """What several readers need: what one gate lets through, or everything."""
    if len({need.of for need in needs}) > 1:
        return _PLAIN
    return needs[0] if len({need.expert for need in needs}) == 1 else replace(needs[0], expert=None)


def _share(choices: frozenset[_Choice]) -> Fraction | None:
    """Return k / E; several choices of the same experts add up."""
    total = Fraction(0)
    for each in choices:
        if not isinstance(each.chosen, int) or not isinstance(each.number, int):
            return None
        total += Fraction(each.chosen, each.number)
    return min(total, Fraction(1))
