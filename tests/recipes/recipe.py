"""A random graph being made: choices, tensors known by their dims as text and as numbers, and what was shown.

The choices only ask for integers, so that Hypothesis can drive them (and shrink) as well as a seeded `random.Random`.
Each shape is tracked twice: as text, to make leaves that fit, and as numbers at the smallest value of every symbol, to
choose attributes that are valid there and hence everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol, TypeVar

from flopcore.reference.graph import Node, Tensor, infer_node
from flopcore.specification import OpSpec, specification

T = TypeVar("T")
Dim = int | str
# Symbols with their smallest value and what they are a multiple of.
SYMBOLS = {"batch": (1, 1), "seq": (2, 1), "side": (8, 4), "depth": (0, 1), "step": (0, 1)}
LEAST = {name: low for name, (low, _) in SYMBOLS.items()}
FLOATS = ("float32", "bfloat16", "float16", "float64", "float8_e4m3", "int8", "int4")
INTEGERS = ("int64", "int32", "uint8", "int16")
IDS = ("int64", "int32", "uint8")


class Chooser(Protocol):
    """Where the choices come from."""

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        ...


@dataclass(frozen=True)
class Value:
    """A tensor: its number, its dims as text or ints (None: unknown expression), and its shape at the smallest dims."""

    number: int
    dims: tuple[Dim | None, ...]
    least: tuple[int, ...]
    dtype: str

    @property
    def known(self) -> bool:
        return None not in self.dims

    @property
    def texts(self) -> list[Dim]:
        """The dims, all of which are known."""
        assert self.known
        return [dim for dim in self.dims if dim is not None]

    def is_static(self, *axes: int) -> bool:
        return all(isinstance(self.dims[axis], int) for axis in axes)


@dataclass
class Recipe:
    """A graph being made, and which choices it shows."""

    choose: Chooser
    symbolic: bool
    nodes: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[int, dict[str, Any]] = field(default_factory=dict)
    blocks: list[dict[str, Any]] = field(default_factory=lambda: [{"name": "main", "outputs": []}])
    seen: Counter[str] = field(default_factory=Counter)
    block: int = 0
    values: dict[int, list[Value]] = field(default_factory=lambda: {0: []})
    next_number: int = 0
    scopes: tuple[str, ...] = ("", "enc", "enc.0", "dec")
    indexed_blocks: set[int] = field(default_factory=set)  # whose dims may hold `step`, the index of their loop
    callable_blocks: list[tuple[int, Value, list[Value]]] = field(default_factory=list)

    # ---------------------------------------------------------------------------------------- choices
    def chance(self, one_in: int) -> bool:
        return self.choose.integer(1, one_in) == one_in

    def flip(self) -> bool:
        return self.choose.integer(0, 1) == 1

    def pick(self, options: Sequence[T]) -> T:
        return options[self.choose.integer(0, len(options) - 1)]

    def size(self, low: int = 1, high: int = 5) -> int:
        return self.choose.integer(low, high)

    def dim(self) -> Dim:
        """A dim that need not be static."""
        if self.block in self.indexed_blocks and self.chance(3):
            return self.pick(("step + 1", "2*step + 2", "batch*step + 3"))
        if self.symbolic and self.flip():
            return self.pick(("batch", "seq", "2*batch", "seq + 1", "batch*seq"))
        return self.size()

    def spatial(self) -> Dim:
        if self.symbolic and self.chance(3):
            return self.pick(("side", "side + 3", "2*side"))
        return self.size(4, 9)

    def axis(self, rank: int) -> tuple[int, int]:
        """An axis of so many dims, and how it is written: from the front, or negative from the end."""
        axis = self.choose.integer(0, rank - 1)
        return axis, axis - rank if self.flip() else axis

    def option(self, attrs: dict[str, Any], key: str, options: Sequence[Any]) -> None:
        """Give an attribute one of some values, or leave it out."""
        if not self.chance(3):
            attrs[key] = self.pick(options)

    # ----------------------------------------------------------------------------------------- tensors
    def leaf(self, dims: Sequence[Dim], *, dtype: str, kind: str = "") -> Value:
        number = self.new_number()
        kind = kind or self.pick(("input", "parameter", "constant"))
        if self.block and kind == "input" and self.values[self.block]:
            kind = "constant"  # a called block has one input, its first tensor
        self.nodes.append({"op": kind, "block": self.block, "outputs": [number], "name": f"leaf{number}"})
        self.tensors[number] = {"shape": list(dims), "dtype": dtype}
        value = Value(number, tuple(dims), tuple(least(dim) for dim in dims), dtype)
        self.values[self.block].append(value)
        return value

    def existing(self, fits: Callable[[Value], bool], make: Callable[[], Value]) -> Value:
        """An earlier tensor that fits, or a new one."""
        candidates = [value for value in self.values[self.block] if fits(value)]
        return self.pick(candidates) if candidates and not self.chance(4) else make()

    def any_tensor(self, low: int = 1, high: int = 4, *, dtypes: Sequence[str] = ()) -> Value:
        """A tensor of some number of dims, of one of some dtypes (any if none are given), without empty dims."""
        return self.existing(
            lambda value: low <= len(value.dims) <= high and 0 not in value.least and prod(value.least) < 10**5
            and (not dtypes or value.dtype in dtypes),
            lambda: self.leaf([self.dim() for _ in range(self.choose.integer(low, high))],
                              dtype=self.pick(dtypes) if dtypes else self.dtype()),
        )  # fmt: skip

    def known_tensor(self, low: int = 1, high: int = 4, *, dtypes: Sequence[str] = ()) -> Value:
        """As `any_tensor`, with dims whose text is known."""
        x = self.any_tensor(low, high, dtypes=dtypes)
        if x.known:
            return x
        return self.leaf([self.dim() for _ in range(self.choose.integer(low, high))], dtype=x.dtype)

    def image(self, n_spatial: int) -> Value:
        return self.existing(
            lambda value: len(value.dims) == n_spatial + 2 and value.is_static(1) and min(value.least) > 0
            and prod(value.least) < 10**5,
            lambda: self.leaf(
                [self.dim(), self.pick((2, 4, 6)), *(self.spatial() for _ in range(n_spatial))], dtype=self.dtype()
            ),
        )  # fmt: skip

    def dtype(self) -> str:
        return self.pick(FLOATS) if self.chance(3) else "float32"

    def weight(self, dims: Sequence[Dim], dtype: str, *, one_in: int = 2) -> Value | None:
        """An optional weight: mostly a parameter of the same dtype, sometimes not there."""
        if self.chance(one_in):
            return None
        return self.leaf(dims, dtype=self.pick((dtype, "float32")), kind=self.pick(("parameter", "constant")))

    # ------------------------------------------------------------------------------------------- nodes
    def node(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attrs: Mapping[str, Any] | None = None,
        dims: Sequence[Dim | None] | None = None,
    ) -> Value:
        """Add a node of one output; `dims` are its dims as text where they are known (all numbers are worked out)."""
        return self.several(op, inputs, attrs, None if dims is None else [dims])[0]

    def several(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attrs: Mapping[str, Any] | None = None,
        dims: Sequence[Sequence[Dim | None]] | None = None,
        *,
        n_outputs: int = 0,
    ) -> list[Value]:
        """Add a node of several outputs (as many as `dims` or ops.toml lists, unless said otherwise); see `node`."""
        spec = specification().ops[op]
        given = dict(attrs or {})
        numbers = [self.new_number() for _ in range(n_outputs or len(dims or spec.outputs))]
        ids = tuple(None if value is None else value.number for value in inputs)
        found = {value.number: Tensor(value.least, value.dtype) for value in inputs if value is not None}
        infer_node(Node(op, self.block, ids, tuple(numbers), attrs=given), LEAST, found)
        self.nodes.append({
            "op": op, "block": self.block, "inputs": list(ids), "outputs": numbers, "attrs": given,
            "name": f"{op}{numbers[0]}", "scope": self.pick(self.scopes),
            "origin": self.pick(("builder", "builder", "onnx:Op", "torch.add")),
        })  # fmt: skip
        static = all(isinstance(dim, int) for value in inputs if value is not None for dim in value.dims) and not any(
            isinstance(item, str) for key, value in given.items() for item in _items(value)
            if spec.attrs[key].startswith("dim")
        )  # fmt: skip
        values = []
        for position, number in enumerate(numbers):
            smallest = found[number].shape
            texts = dims[position] if dims is not None else [None] * len(smallest)
            exact = tuple(size if dim is None and static else dim for dim, size in zip(texts, smallest, strict=True))
            values.append(Value(number, exact, smallest, found[number].dtype))
        self.values[self.block] += values
        self._show(spec, inputs, given)
        return values

    def _show(self, spec: OpSpec, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> None:
        """Note the op, and each of its choices that `choices` lists."""
        self.seen[spec.name] += 1
        for slot, value in zip(spec.inputs, [*inputs, *[None] * len(spec.inputs)], strict=False):
            if slot.endswith("?"):
                self.seen[f"{spec.name} {slot}={'absent' if value is None else 'given'}"] += 1
        for key in spec.attrs:
            if key in spec.defaults:
                self.seen[f"{spec.name} {key}={'given' if key in attrs else 'absent'}"] += 1
            if key in attrs and isinstance(attrs[key], bool | str):
                self.seen[f"{spec.name} {key}={attrs[key]}"] += 1

    def mark(self, op: str, **choices: object) -> None:
        for key, choice in choices.items():
            self.seen[f"{op} {key}={choice}"] += 1

    def new_number(self) -> int:
        self.next_number += 1
        return self.next_number - 1

    def data(self) -> dict[str, Any]:
        return {"nodes": self.nodes, "tensors": self.tensors, "blocks": self.blocks}


def choices(spec: OpSpec) -> list[str]:
    """Every choice of an op that random graphs must show: optional inputs and attributes both ways, each word."""
    found = [f"{slot}={way}" for slot in spec.inputs if slot.endswith("?") for way in ("given", "absent")]
    for key, kind in spec.attrs.items():
        if key in spec.defaults:
            found += [f"{key}=given", f"{key}=absent"]
        if kind.split(":")[0].strip() == "bool":
            found += [f"{key}=True", f"{key}=False"]
        found += [f"{key}={word}" for word in words(kind)]
    return [f"{spec.name} {choice}" for choice in found]


def words(kind: str) -> list[str]:
    """The words an attribute may be, from its kind in ops.toml."""
    text = kind.split(":")[0]
    return [word.strip() for word in text.split("|")] if "|" in text else []


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def least(dim: Dim | None) -> int:
    """The value of a dim's text at the smallest value of every symbol."""
    if dim is None:
        raise ValueError("the dim is not known")
    return dim if isinstance(dim, int) else int(eval(dim, {}, dict(LEAST)))


__all__ = [
    *("FLOATS", "IDS", "INTEGERS", "LEAST", "SYMBOLS", "Chooser", "Dim", "Recipe", "Value"),
    *("choices", "least", "words"),
]
