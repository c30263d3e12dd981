"""Counts a plain graph row by row from the expressions of ops.toml, and prices the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from string import ascii_lowercase
from typing import cast

from flopcore.conventions import Convention
from flopcore.errors import ConventionError, DataError, ShapeError
from flopcore.specification import DTYPES, OpSpec, op_without_rule, specification

from .einsum import contraction, parse
from .expression import FUNCTIONS, Function, Value, evaluate
from .graph import At, Graph, Node, Run, Tensor, UserCount, complete_attrs, dim_value, node_inputs, repeats
from .shapes import Attr

__all__ = ["Extent", "Row", "count", "count_active_parameters", "count_parameters", "price"]


@dataclass(frozen=True, slots=True, order=True)
class Extent:
    """A factor of a row: its full size, and the part that is used."""

    kind: str
    nominal: int
    used: int | Fraction
    grade: str


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm of an if: the `branch` is the place in the run of the graph where the choice is made."""

    branch: tuple[tuple[int, int, int], ...]  # (site, run or arm, index of the loop) of every frame around
    n_arms: int
    number: int
    probability: int | Fraction | None


@dataclass(frozen=True, slots=True)
class Row:
    """One amount: `times` x `base` x, for each extent, its nominal or used size.

    `site` is the number of the node; `arms` are the arms of ifs it stands in, outermost first. `times_once` is `times`
    when each loop around runs once at most; None where it is the same.
    """

    site: int
    scope: str
    name: str
    op: str
    variant: tuple[str, ...]
    phase: str
    dtypes: tuple[str, str, str, str]
    origin: str
    feature: str
    extents: tuple[Extent, ...]
    base: int
    times: int
    arms: tuple[Arm, ...] = ()
    times_once: int | None = None

    @property
    def dtype(self) -> str:
        """Return the dtype that conventions match: of the first input that is no weight."""
        return self.dtypes[0]

    def runs(self, loops: str) -> int:
        """Return how often the row stands, loops as said."""
        return self.times_once if loops == "once" and self.times_once is not None else self.times

    def amount(self, extents: Mapping[str, str], loops: str = "every run") -> int | Fraction:
        """Return the amount when each kind of extent is taken as ``nominal`` or ``used``, and loops as said."""
        result: int | Fraction = self.runs(loops) * self.base
        for extent in self.extents:
            result *= extent.used if extents[extent.kind] == "used" else extent.nominal
        return result


def count(graph: Graph | Mapping[str, object], *, at: At | None = None) -> list[Row]:
    """Return every row of a graph whose base is not zero.

    Parameters
    ----------
    graph
        A reference graph, or the data of `flopcore.Graph.to_dict`.
    at
        The value of each symbolic dim.

    Examples
    --------
    >>> relu = {"op": "relu", "inputs": [0], "outputs": [1]}
    >>> leaf = {"op": "input", "outputs": [0]}
    >>> data = {"nodes": [leaf, relu], "tensors": {0: {"shape": ["batch", 3]}}}
    >>> rows = count(data, at={"batch": 2})
    >>> [(row.feature, row.base) for row in rows if row.feature == "cmp"]
    [('cmp', 6)]
    """
    plain = graph if isinstance(graph, Graph) else Graph.from_dict(graph)
    bound = dict(at or {})
    tensors = plain.tensors(bound)
    rows: list[Row] = []
    _Walk(plain, rows).block(0, bound, tensors, _Place("", 1, False, (), ()))
    return rows


def count_parameters(graph: Graph | Mapping[str, object], *, at: At | None = None) -> int:
    """Return the number of learned weights; see `count`."""
    plain = graph if isinstance(graph, Graph) else Graph.from_dict(graph)
    bound = dict(at or {})
    tensors = plain.tensors(bound)
    return int(_parameters(plain, 0, bound, tensors, active=False))


def count_active_parameters(graph: Graph | Mapping[str, object], *, at: At | None = None) -> int | Fraction:
    """Return the number of learned weights that one token goes through; see `count`."""
    plain = graph if isinstance(graph, Graph) else Graph.from_dict(graph)
    bound = dict(at or {})
    return _parameters(plain, 0, bound, plain.tensors(bound), active=True)


def price(rows: Iterable[Row], convention: Convention) -> int | Fraction:
    """Return what the rows are worth under a convention, exactly."""
    total = _price(list(rows), convention, 0)
    return int(total) if isinstance(total, Fraction) and total.denominator == 1 else total


def _price(rows: Sequence[Row], convention: Convention, depth: int) -> int | Fraction:
    """Price rows that share their first `depth` arms."""
    features = specification().features
    total: int | Fraction = 0
    branches: dict[tuple[tuple[int, int, int], ...], dict[int, list[Row]]] = {}
    for row in rows:
        if len(row.arms) > depth:
            arm = row.arms[depth]
            branches.setdefault(arm.branch, {}).setdefault(arm.number, []).append(row)
            continue
        rule = convention.rule_of(row.op, variant=row.variant, origin=row.origin, dtype=row.dtype, phase=row.phase)
        weights = convention.weights_of(
            row.op, variant=row.variant, origin=row.origin, dtype=row.dtype, phase=row.phase
        )
        if convention.phases and row.phase not in convention.phases:
            continue
        weight = weights[features.index(row.feature)]
        printed = None if rule is None else convention.overrides[rule].printed
        if printed is None:
            total += weight * row.amount(convention.extents, convention.loops)
        else:
            single = replace(row, times=1, times_once=None)
            total += printed.of(weight * single.amount(convention.extents)) * row.runs(convention.loops)
    for arms in branches.values():
        first = next(iter(arms.values()))[0].arms[depth]
        costs = [_price(arms.get(number, []), convention, depth + 1) for number in range(first.n_arms)]
        if convention.branches == "both":
            total += sum(costs)
        elif convention.branches == "max":
            total += max(costs)
        elif convention.branches == "min":
            total += min(costs)
        else:
            for number, members in arms.items():
                probability = members[0].arms[depth].probability
                if probability is None:
                    raise ConventionError(f"{convention.name} needs the probabilities of the arms")
                total += probability * costs[number]
    return total


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a block is run: module path, how often, whether again, the frames around it, and the arms among them."""

    scope: str
    times: int
    recompute: bool
    frames: tuple[tuple[int, int, int], ...]
    arms: tuple[Arm, ...]
    times_once: int = 1


class _Walk:
    """Collects the rows of a graph, run by run."""

    def __init__(self, graph: Graph, rows: list[Row]) -> None:
        self._graph = graph
        self._rows = rows

    def block(self, block: int, at: At, tensors: Mapping[int, Tensor], place: _Place) -> None:
        """Add the rows of one block, whose tensors are those at these dims."""
        for site, node in self._graph.in_block(block):
            scope = ".".join(part for part in (place.scope, node.scope) if part)
            if node.runs:
                for number, run in enumerate(node.runs):
                    self.runs(site, node, number, run, at, tensors, replace(place, scope=scope))
            elif node.user is not None or not specification().ops[node.op].leaf:
                self._rows.extend(_node_rows(site, node, at, tensors, replace(place, scope=scope)))
        if len(self._rows) > MAX_ROWS:
            raise DataError(f"more than {MAX_ROWS} rows, which the reference cannot recount")

    def runs(
        self, site: int, node: Node, number: int, run: Run, at: At, tensors: Mapping[int, Tensor], place: _Place
    ) -> None:
        """Add the rows of one run of a node: all repeats at once, or one by one where they differ."""
        times = repeats(run, at)
        recompute = place.recompute or node.op == "recompute"
        arms = place.arms
        if node.op == "if":
            arms = (*arms, Arm((*place.frames, (site, 0, 0)), len(node.runs), number, run.probability))
        place = replace(place, recompute=recompute, arms=arms)
        loop = node.op == "loop"
        if not run.index:
            frames = (*place.frames, (site, number, 0))
            once = place.times_once * (min(times, 1) if loop else times)
            self.block(
                run.block, at, tensors, replace(place, times=place.times * times, frames=frames, times_once=once)
            )
            return
        for index in range(times):
            inner = {**at, run.index: index}
            found = dict(tensors)
            self._graph.infer_block(run.block, inner, found)
            once = place.times_once if index == 0 or not loop else 0
            frames = (*place.frames, (site, number, index))
            self.block(run.block, inner, found, replace(place, frames=frames, times_once=once))


MAX_ROWS = 10_000_000


def _parameters(graph: Graph, block: int, at: At, tensors: Mapping[int, Tensor], *, active: bool) -> int | Fraction:
    """Weights of one run of a block: per-call repeats multiply, a shared block adds once, a recomputation none."""
    total: int | Fraction = 0
    shared: set[int] = set()
    for _, node in graph.in_block(block):
        if node.op == "parameter":
            share = Fraction(str(node.attrs.get("active", 1))) if active else 1
            total += share * tensors[node.outputs[0]].n
        for run in node.runs if node.op != "recompute" else ():
            if run.params == "shared" and run.block not in shared:
                shared.add(run.block)
                total += _parameters(graph, run.block, at, tensors, active=active)
            elif run.params == "per_call" and not run.index:
                total += repeats(run, at) * _parameters(graph, run.block, at, tensors, active=active)
            elif run.params == "per_call":
                for index in range(repeats(run, at)):
                    inner = {**at, run.index: index}
                    found = dict(tensors)
                    graph.infer_block(run.block, inner, found)
                    total += _parameters(graph, run.block, inner, found, active=active)
    return total


def _node_rows(site: int, node: Node, at: At, tensors: Mapping[int, Tensor], place: _Place) -> list[Row]:
    outputs = [tensors[number] for number in node.outputs]
    if node.user is None:
        spec = specification().ops[node.op]
        inputs = node_inputs(node, tensors)
        rank = next((len(tensor.shape) for tensor in inputs if tensor is not None), 0)
        evaluation = _NodeEvaluation(spec, inputs, outputs, complete_attrs(node, rank, at))
        counted = evaluation.amounts()
    else:
        inputs = [None if number is None else tensors[number] for number in node.inputs]
        spec = op_without_rule(node.op, n_inputs=len(inputs), weights=node.user.weights)
        evaluation = _NodeEvaluation(spec, inputs, outputs, {})
        counted = _user_amounts(node, node.user, at)
    amounts: dict[tuple[str, tuple[Extent, ...]], int] = {}
    for feature, extents, base in (*counted, *evaluation.sizes()):
        amounts[feature, extents] = amounts.get((feature, extents), 0) + base
    variant = tuple(flag for flag in spec.variants if evaluation.flag(flag))
    dtypes = evaluation.dtypes()
    phase = "recompute" if place.recompute else "forward"
    return [
        Row(
            *(site, place.scope, node.name, node.op, variant, phase, dtypes, node.origin, feature, extents, base),
            times=place.times,
            arms=place.arms,
            times_once=None if place.times_once == place.times else place.times_once,
        )
        for (feature, extents), base in amounts.items()
        if base
    ]


def _user_amounts(node: Node, count: UserCount, at: At) -> list[tuple[str, tuple[Extent, ...], int]]:
    """Return the amounts that a registered op gave, at these dims."""
    found = []
    for feature, base, sizes in count.amounts:
        extents: tuple[Extent, ...] = ()
        amount = dim_value(base, at)
        numbers: list[int | Fraction] = [amount]
        if sizes is not None:
            kind, nominal, used, grade = sizes
            extents = (Extent(kind, dim_value(nominal, at), dim_value(used, at), grade),)
            numbers += [extents[0].nominal, extents[0].used]
        if min(numbers) < 0:
            raise ShapeError(f"{node.op} node {node.name!r}: an amount of {feature} is negative: {min(numbers)}")
        found.append((feature, extents, amount))
    return found


class _NodeEvaluation:
    """The expressions of one op at one node."""

    def __init__(
        self, spec: OpSpec, inputs: list[Tensor | None], outputs: list[Tensor], attrs: Mapping[str, Attr]
    ) -> None:
        self._spec = spec
        self._inputs = inputs
        self._outputs = outputs
        self._attrs = attrs
        self._slots: dict[str, Tensor | None] = {}
        if not spec.outputs[-1].endswith("*"):
            self._slots.update(zip(spec.results, outputs, strict=True))
        if not spec.inputs or not spec.inputs[0].endswith("*"):
            self._slots.update(zip(spec.slots, inputs, strict=True))
        self._names: dict[str, Value] = {**cast("Mapping[str, Value]", attrs), "n_inputs": len(self._given())}
        self._functions: dict[str, Function] = {
            **FUNCTIONS,
            "n": lambda name: self._tensor(name).n,
            "d": lambda name, index: self._tensor(name).shape[index],
            "n_except": self._n_except,
            "rank_of": lambda name: len(self._tensor(name).shape),
            "has": lambda name: int(self._slots[name] is not None),
            "is_real": lambda name: not self._tensor(name).dtype.startswith("complex"),
            "bits": lambda name: bits(self._tensor(name).dtype),
            "bytes": lambda name: n_bytes(self._tensor(name)),
            "einsum": lambda feature: self._contraction()[feature],
        }
        for name, expression in spec.let.items():
            self._names[name] = evaluate(expression, self._names, self._functions)

    def amounts(self) -> list[tuple[str, tuple[Extent, ...], int]]:
        """Return feature, extents and base of each row of the count, and of each feature charged per output."""
        result = []
        for amount in self._spec.amounts:
            base = self._integer(amount.base)
            extents = []
            for name in amount.extents:
                rules = self._spec.extents[name]
                held = (rule for rule in rules if evaluate(rule.when, self._names, self._functions))
                rule = next(held, None)
                nominal = self._integer((rule or rules[-1]).nominal)
                if rule is None:
                    base *= nominal
                else:
                    extents.append(Extent(rule.kind, nominal, self._number(rule.used), rule.grade))
            result.append((amount.feature, tuple(extents), base))
        per_output = self._spec.per_output
        for when, alternative in self._spec.per_output_when:
            if evaluate(when, self._names, self._functions):
                per_output = alternative
        result.extend((feature, (), each * self._outputs[0].n) for feature, each in per_output.items())
        return result

    def sizes(self) -> list[tuple[str, tuple[Extent, ...], int]]:
        """Return the size features that every op has."""
        given = self._given()
        read = 0 if self._spec.view else sum(n_bytes(tensor) for tensor, _ in given)
        weights = 0 if self._spec.view else sum(n_bytes(tensor) for tensor, is_weight in given if is_weight)
        if self._spec.bytes_read:
            read = self._integer(self._spec.bytes_read)
            if given[0][1]:  # the rows it gathers, and what else is a weight
                weights = read - sum(n_bytes(tensor) for tensor, is_weight in given if not is_weight)
        cache = [tensor for slot in self._spec.cache if (tensor := self._slots[slot]) is not None]
        amounts = {
            "out_elems": sum(tensor.n for tensor in self._outputs),
            "in_elems": sum(tensor.n for tensor, is_weight in given if not is_weight),
            "weight_elems": sum(tensor.n for tensor, is_weight in given if is_weight),
            "bytes_read": read,
            "bytes_written": 0 if self._spec.view else sum(n_bytes(tensor) for tensor in self._outputs),
            "weight_bytes": weights,
            "cache_bytes": sum(map(n_bytes, cache)),
        }
        return [(feature, (), amount) for feature, amount in amounts.items()]

    def flag(self, name: str) -> bool:
        """Return whether the row carries a flag."""
        slots, attrs = self._slots, self._attrs
        match name:
            case "bias" | "mask":
                return slots[name] is not None
            case "affine":
                return slots["gamma"] is not None
            case "grouped":
                return attrs["groups"] != 1
            case "causal":
                return attrs["causal"] != "none"
            case "gqa":
                return self._tensor("q").shape[1] != self._tensor("k").shape[1]
            case "tanh":
                return attrs["approximate"] == "tanh"
            case "train":
                return attrs["mode"] == "train"
            case "transposed":
                letters = dict.fromkeys(letter for letter in cast("str", attrs["equation"]) if letter.isalpha())
                renamed = str.maketrans(dict(zip(letters, ascii_lowercase * 2, strict=False)))
                text = cast("str", attrs["equation"]).replace(" ", "").translate(renamed)
                return text in ("abc,abd->acd", "abc,adc->adb")
            case "vector":
                return len(self._tensor("b").shape) == 1
            case "global":
                return all(size == 1 for size in cast("list[int]", attrs["output_size"]))
        raise DataError(f"ops.toml names a flag {name!r} without a rule")

    def dtypes(self) -> tuple[str, str, str, str]:
        """Return the dtypes of input, weight, sums and output; see the head of ops.toml."""
        out = self._outputs[0].dtype
        inputs = [tensor.dtype for tensor, is_weight in self._given() if not is_weight]
        weights = [tensor.dtype for tensor, is_weight in self._given() if is_weight]
        first = (*inputs, *weights, out)[0]
        return first, (*weights, *inputs[1:], first)[0], cast("str", self._attrs.get("accumulate")) or out, out

    def _given(self) -> list[tuple[Tensor, bool]]:
        """Return the inputs there are, each with whether it is a weight."""
        return [
            (tensor, tensor.is_parameter or slot in self._spec.weights)
            for slot, tensor in zip(self._all_slots(), self._inputs, strict=True)
            if tensor is not None
        ]

    def _all_slots(self) -> list[str]:
        slots = self._spec.slots
        return [slots[0]] * len(self._inputs) if slots and self._spec.inputs[0].endswith("*") else list(slots)

    def _tensor(self, name: str) -> Tensor:
        tensor = self._slots.get(name)
        if tensor is None:
            raise DataError(f"{self._spec.name}: no tensor {name!r}")
        return tensor

    def _contraction(self) -> dict[str, int]:
        shapes = [tensor.shape for tensor in self._inputs if tensor is not None]
        equation = parse(cast("str", self._attrs["equation"]), shapes)
        return contraction(equation, cast("list[int]", self._attrs["path"]))

    def _n_except(self, name: str, axes: list[int]) -> int:
        shape = self._tensor(name).shape
        left_out = {axis % len(shape) for axis in axes}
        result = 1
        for position, size in enumerate(shape):
            if position not in left_out:
                result *= size
        return result

    def _number(self, expression: str) -> int | Fraction:
        value = evaluate(expression, self._names, self._functions)
        if isinstance(value, bool) or not isinstance(value, int | Fraction):
            raise DataError(f"{self._spec.name}: {expression!r} is no number: {value!r}")
        return int(value) if value.denominator == 1 else value

    def _integer(self, expression: str) -> int:
        value = self._number(expression)
        if not isinstance(value, int):
            raise DataError(f"{self._spec.name}: {expression!r} is no integer: {value!r}")
        return value


def bits(dtype: str) -> int:
    """Return the bits of one element of a dtype."""
    if dtype not in DTYPES:
        raise DataError(f"there is no dtype {dtype!r}; known: {', '.join(DTYPES)}")
    return DTYPES[dtype]


def n_bytes(tensor: Tensor) -> int:
    """Return the bytes of a tensor, packed, rounded up to a whole byte."""
    return -(-tensor.n * bits(tensor.dtype) // 8)
