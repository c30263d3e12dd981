"""If, Loop, Scan, and the ops on sequences and optionals.

A sequence is followed as the tensors it is made of, an optional as none or one of them: neither reaches the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from flopcore._core import OnnxGraph
from flopcore.errors import DataError
from flopcore.expr import Dim, dim

from .onnx_build import Builder, Loop, Result, Rule
from .onnx_shapes import integers
from .onnx_values import Frame, Lost, Node, Size, Value, whole
from .unsupported import NotCountable

__all__: list[str] = []

_MAX_ATTEMPTS = 4  # to find how the state of a loop grows
_MAX_ITEMS = 10_000  # of a sequence


def _body(node: Node, name: str) -> OnnxGraph:
    body = node.attributes.get(name)
    if not isinstance(body, OnnxGraph):
        raise DataError(f"{node.describe()}: attribute {name} must be a graph, is {type(body).__name__}")
    return body


# ---------------------------------------------------------------------------------------------------- If
def _if(b: Builder, node: Node) -> Sequence[Result]:
    condition = integers(node.input(0))
    bodies = {word: _body(node, f"{word}_branch") for word in ("then", "else")}
    if condition is not None and len(condition) == 1:
        return b.written_out(node, bodies["then" if condition[0] else "else"], [])
    arms: list[Frame] = []
    results: list[list[Value]] = []
    for word, body in bodies.items():
        arms.append(b.new_block(node, word))
        with b.inside(arms[-1]):
            results.append(b.written_out(node, body, []))
    if len(results[0]) != len(results[1]):
        raise DataError(f"{node.describe()}: the branches have {len(results[0])} and {len(results[1])} outputs")
    # A result of one shape in both arms is an output of the if; any other is a tensor with dims of its own.
    alike = [_alike(yes, no) for yes, no in zip(*results, strict=True)]
    for arm, outputs in zip(arms, results, strict=True):
        kept = [each.flat() for each, same in zip(outputs, alike, strict=True) if same]
        b.finish(arm, [each for parts in kept for each in parts])
    made = iter(b.add_if(node, arms))
    pairs = zip(node.outputs, *results, alike, strict=False)
    return [_joined(name, yes, made) if same else _either(b, name, yes, no) for name, yes, no, same in pairs]


def _joined(name: str, arm: Value, made: Iterator[Value]) -> Value:
    """Return what an if makes where both arms make this: a tensor, or a sequence of as many."""
    if arm.items is None:
        return next(made)
    return Value(name, "", (), items=tuple(_joined("", item, made) for item in arm.items), kind=arm.kind)


def _alike(a: Value, b: Value) -> bool:
    if a.lost or b.lost or a.kind != b.kind:
        return False
    if a.items is not None and b.items is not None:
        return len(a.items) == len(b.items) and all(map(_alike, a.items, b.items))
    return a.kind == "tensor" and (a.dtype, a.shape) == (b.dtype, b.shape)


def _either(b: Builder, name: str, yes: Value, no: Value) -> Result:
    """Return what one of two arms makes where their sizes differ, or nothing where more than that differs."""
    if yes.lost or no.lost or not yes.kind == no.kind == "tensor" or yes.dtype != no.dtype or yes.rank != no.rank:
        return None
    sizes = [
        x if x == y else b.size(None, f"{name}_dim{axis}", least=0)
        for axis, (x, y) in enumerate(zip(yes.shape, no.shape, strict=True))
    ]
    return Value(name, yes.dtype, tuple(sizes))


# ------------------------------------------------------------------------------------------ Loop and Scan
@dataclass(slots=True)
class _State:
    """What a loop carries from run to run: sizes, and known elements, that grow by a fixed step."""

    start: Value
    shape_step: tuple[Size, ...]
    known: bool
    step: tuple[Size, ...]  # of the elements

    @classmethod
    def of(cls, value: Value) -> _State:
        return cls(value, (0,) * value.rank, value.elements is not None, (0,) * len(value.elements or ()))

    def shape(self, index: Size) -> tuple[Size, ...]:
        return _advanced(self.start.shape, self.shape_step, index)

    def elements(self, index: Size) -> tuple[Size, ...] | None:
        return _advanced(self.start.elements or (), self.step, index) if self.known else None

    def holds(self, made: Value, index: Dim) -> bool:
        """Return whether a run makes what the next one was taken to see; if not, take a better guess."""
        after, right = whole(index + 1), True
        if made.lost:
            raise Lost(f"a run does not tell the shape of {self.start.name!r}")
        if made.kind != "tensor" or made.rank != self.start.rank or made.dtype != self.start.dtype:
            raise NotCountable(f"a run makes something else of {self.start.name!r} than a tensor of its kind")
        if made.shape != self.shape(after):
            step = _difference(made.shape, self.shape(index))
            if any(each != 0 for each in self.shape_step) or not all(
                isinstance(each, int) or index not in each.free_dims for each in step
            ):
                raise NotCountable(f"{self.start.name!r} does not grow by the same sizes in each run")
            self.shape_step, right = step, False
        if self.known and made.elements != self.elements(after):
            before, right = self.elements(index), False
            if made.elements is None or before is None or any(each != 0 for each in self.step):
                self.known = False
            else:
                self.step = _difference(made.elements, before)
        return right


def _advanced(start: Sequence[Size], step: Sequence[Size], index: Size) -> tuple[Size, ...]:
    return tuple(whole(first + each * index) for first, each in zip(start, step, strict=True))


def _difference(after: Sequence[Size], before: Sequence[Size]) -> tuple[Size, ...]:
    return tuple(whole(a - b) for a, b in zip(after, before, strict=True))


class _Runs:
    """The runs of the body of a Loop or a Scan: `translate` it, then `add` the loop."""

    def __init__(self, b: Builder, node: Node, n_leading: int) -> None:
        self._b = b
        self._node = node
        self._body = _body(node, "body")
        self._n_leading = n_leading  # outputs of the body before the state
        self._states: list[_State] = []
        self._slices: Sequence[Value] = ()
        self._slice_axes: Sequence[int] = ()
        self._frame = Frame()
        self._made: list[Value] = []
        self.index = dim(b.unique(f"{node.label()}_iteration"), min=0)

    def translate(
        self, states: Sequence[Value], leading: Sequence[Value], slices: Sequence[Value], slice_axes: Sequence[int]
    ) -> list[Value]:
        """Translate the body, called with leading, state and slices; return its leading outputs."""
        self._states = [_State.of(value) for value in states]
        self._slices, self._slice_axes = slices, slice_axes
        for _ in range(_MAX_ATTEMPTS):
            self._frame = self._b.new_block(self._node, "run")
            with self._b.inside(self._frame):
                inputs = [self._seen(state) for state in self._states]
                cut = [
                    self._b.state(x.name, x.dtype, (*x.shape[:axis], *x.shape[axis + 1 :]))
                    for x, axis in zip(slices, slice_axes, strict=True)
                ]
                made = self._b.written_out(self._node, self._body, [*leading, *inputs, *cut])
            n_first = self._n_leading + len(states)
            if len(made) < n_first:
                raise DataError(f"{self._node.describe()}: its body has {len(made)} outputs, needs {n_first}")
            self._made = made[self._n_leading :]
            held = [state.holds(value, self.index) for state, value in zip(self._states, self._made, strict=False)]
            if all(held):  # all were asked: each may have to learn from this attempt
                return made[: self._n_leading]
        raise NotCountable("what its runs carry does not grow by the same sizes in each")

    def _seen(self, state: _State) -> Value:
        """Return what a run sees of a state: a number it can follow, or an input of the block."""
        start, shape = state.start, state.shape(self.index)
        if state.known:
            return Value(start.name, start.dtype, shape, elements=state.elements(self.index))
        return self._b.state(start.name, start.dtype, shape)

    def add(self, times: Size, stack_axes: Sequence[int] | None) -> list[Value]:
        """Add the loop; return the last state, then the other outputs stacked along these axes, or along the first."""
        n = len(self._states)
        stacked = self._made[n:]
        axes = (0,) * len(stacked) if stack_axes is None else stack_axes
        if len(axes) != len(stacked):
            raise DataError(f"{self._node.describe()}: {len(axes)} axes for {len(stacked)} stacked outputs")
        axes = tuple(self._node.axis(axis, value.rank + 1) for axis, value in zip(axes, stacked, strict=True))
        carried = [i for i, state in enumerate(self._states) if not state.known]
        self._b.finish(self._frame, [*(self._made[i] for i in carried), *stacked])
        loop = Loop(self._frame, times, self.index, len(carried), tuple(self._slice_axes), axes)
        results = iter(self._b.add_loop(self._node, loop, [*(self._states[i].start for i in carried), *self._slices]))
        last = [
            Value(state.start.name, state.start.dtype, state.shape(times), elements=state.elements(times))
            if state.known
            else next(results)
            for state in self._states
        ]
        return [*last, *results]


def _loop(b: Builder, node: Node) -> Sequence[Result]:
    limit, start = node.optional(0), node.optional(1)
    states = [node.input(i) for i in range(2, len(node.inputs))]
    bound = limit.elements[0] if limit is not None and limit.elements else None
    runs = _Runs(b, node, 1)
    cond = Value("cond", "bool", ())
    (goes_on,) = runs.translate(states, [Value("iteration", "int64", (), elements=(runs.index,)), cond], (), ())
    # A body that may end early, or that has no limit, runs as often as a dim says.
    whole_way = (start is None or integers(start) == (1,)) and (goes_on is cond or integers(goes_on) == (1,))
    if start is not None and integers(start) == (0,):
        times: Size = 0
    elif whole_way and bound is not None:
        times = bound
    else:
        times = b.size(None, f"{node.label()}_trip_count", least=0)
    return runs.add(times, None)


def _scan(b: Builder, node: Node) -> Sequence[Result]:
    if node.opset < 9:
        raise NotCountable("Scan of opset 8, which has a batch dim; convert the model to opset 9 or later")
    n_slices = node.integer("num_scan_inputs")
    if not 1 <= n_slices <= len(node.inputs):
        raise DataError(f"{node.describe()}: num_scan_inputs is {n_slices}, it has {len(node.inputs)} inputs")
    tensors = node.tensors()
    states, slices = tensors[:-n_slices], tensors[-n_slices:]
    given = node.integers("scan_input_axes") or (0,) * n_slices
    if len(given) != n_slices:
        raise DataError(f"{node.describe()}: {len(given)} scan_input_axes for {n_slices} scanned inputs")
    axes = [node.axis(axis, x.rank) for axis, x in zip(given, slices, strict=True)]
    times = slices[0].shape[axes[0]]
    runs = _Runs(b, node, 0)
    runs.translate(states, (), slices, axes)
    return runs.add(times, node.integers("scan_output_axes"))


# ------------------------------------------------------------------------------- sequences and optionals
def _items(node: Node, index: int) -> tuple[Value, ...]:
    value = node.any_input(index)
    if value.items is None:
        raise NotCountable(f"reads {value.name!r}, a {value.kind} whose length is not known")
    return value.items


def _sequence(node: Node, items: Sequence[Value]) -> Value:
    if len(items) > _MAX_ITEMS:
        raise DataError(f"{node.describe()}: a sequence of more than {_MAX_ITEMS} tensors")
    return Value(node.outputs[0], "", (), items=tuple(items), kind="sequence")


def _position(node: Node, index: int, length: int, end: int) -> int:
    """Return a position in a sequence, counted from the front; by default the last."""
    given = node.optional(index)
    at = (length + end - 1,) if given is None else integers(given)
    if at is None or len(at) != 1:
        raise NotCountable("a position computed from data")
    if not -length <= at[0] < length + end:
        raise DataError(f"{node.describe()}: position {at[0]} of a sequence of {length}")
    return at[0] + length if at[0] < 0 else at[0]


def _sequence_insert(b: Builder, node: Node) -> Result:
    items = list(_items(node, 0))
    items.insert(_position(node, 2, len(items), 1), node.input(1))
    return _sequence(node, items)


def _sequence_erase(b: Builder, node: Node) -> Result:
    items = list(_items(node, 0))
    del items[_position(node, 1, len(items), 0)]
    return _sequence(node, items)


def _sequence_at(b: Builder, node: Node) -> Result:
    items = _items(node, 0)
    return items[_position(node, 1, len(items), 0)]


def _sequence_length(b: Builder, node: Node) -> Result:
    return Value(node.outputs[0], "int64", (), elements=(len(_items(node, 0)),))


def _concat_from_sequence(b: Builder, node: Node) -> Result:
    items = list(_items(node, 0))
    if not items:
        raise DataError(f"{node.describe()}: an empty sequence")
    rank, axis = items[0].rank, node.integer("axis")
    if node.integer("new_axis", 0):
        axis = node.axis(axis, rank + 1)
        shapes = [(*item.shape[:axis], 1, *item.shape[axis:]) for item in items]
        items = [b.emit(node, "reshape", [x], {"shape": list(s)}) for x, s in zip(items, shapes, strict=True)]
    return b.emit(node, "concat", items, {"axis": node.axis(axis, items[0].rank)}) if len(items) > 1 else items[0]


def _split_to_sequence(b: Builder, node: Node) -> Result:
    x = node.input(0)
    axis = node.axis(node.integer("axis", 0), x.rank)
    size, given = x.shape[axis], node.optional(1)
    lengths = (1,) if given is None else integers(given)
    if lengths is None or (given is not None and given.rank == 0) or given is None:
        if lengths is None or not isinstance(size, int):
            raise NotCountable("a sequence whose length is not known")
        part = lengths[0]
        if part < 1 or size > part * _MAX_ITEMS:
            raise DataError(f"{node.describe()}: parts of {part} of a dim of {size}")
        lengths = tuple(min(part, size - at) for at in range(0, size, part))
    parts = b.emit_all(node, "split", [x], {"axis": axis, "sizes": list(lengths)}) if len(lengths) > 1 else [x]
    if given is None and not node.integer("keepdims", 1):
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        parts = [b.emit(node, "reshape", [part], {"shape": list(shape)}) for part in parts]
    return _sequence(node, parts)


def _sequence_map(b: Builder, node: Node) -> Sequence[Result]:
    body, length = _body(node, "body"), len(_items(node, 0))
    columns = []
    for index in range(len(node.inputs)):
        value = node.any_input(index)
        columns.append([value] * length if value.kind == "tensor" else list(_items(node, index)))
    if any(len(column) != length for column in columns):
        raise DataError(f"{node.describe()}: its sequences differ in length")
    made = [b.written_out(node, body, list(row)) for row in zip(*columns, strict=True)]
    return [
        Value(name, "", (), items=tuple(row[i] for row in made), kind="sequence")
        for i, name in enumerate(node.outputs)
        if all(i < len(row) for row in made)
    ]


def _optional(b: Builder, node: Node) -> Result:
    items = tuple(value for value in node.inputs[:1] if value is not None)
    return Value(node.outputs[0], "", (), items=items, kind="optional")


def _optional_element(b: Builder, node: Node) -> Result:
    value = node.any_input(0)
    if value.kind != "optional":
        return value  # since opset 18 a tensor or a sequence is its own element
    items = _items(node, 0)
    if not items:
        raise DataError(f"{node.describe()}: reads an optional that holds nothing")
    return items[0]


def _optional_has_element(b: Builder, node: Node) -> Result:
    value = node.inputs[0] if node.inputs else None
    has = value is not None and (value.kind != "optional" or bool(_items(node, 0)))
    return Value(node.outputs[0], "bool", (), elements=(int(has),))


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "ConcatFromSequence": _concat_from_sequence,
        "If": _if,
        "Loop": _loop,
        "Optional": _optional,
        "OptionalGetElement": _optional_element,
        "OptionalHasElement": _optional_has_element,
        "Scan": _scan,
        "SequenceAt": _sequence_at,
        "SequenceConstruct": lambda b, node: _sequence(node, node.tensors()),
        "SequenceEmpty": lambda b, node: _sequence(node, ()),
        "SequenceErase": _sequence_erase,
        "SequenceInsert": _sequence_insert,
        "SequenceLength": _sequence_length,
        "SequenceMap": _sequence_map,
        "SplitToSequence": _split_to_sequence,
    }
)
