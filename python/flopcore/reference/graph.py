"""A graph as plain Python data: blocks of nodes over numbered tensors, with every shape inferred at given dims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias, cast

from flopcore.errors import DataError, GraphError, ShapeError, UnsupportedOp
from flopcore.specification import OpSpec, specification

from .expression import FUNCTIONS, Function, Value, evaluate
from .shapes import Attr, Shape, infer_all

__all__ = ["Block", "Graph", "Node", "Run", "Tensor", "complete_attrs", "infer_node"]

Dim: TypeAlias = int | str
At: TypeAlias = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Tensor:
    """Shape and dtype of one value, and whether it is a learned weight."""

    shape: Shape
    dtype: str
    is_parameter: bool = False

    @property
    def n(self) -> int:
        """Number of elements."""
        result = 1
        for size in self.shape:
            result *= size
        return result


@dataclass(frozen=True, slots=True)
class Run:
    """A block that a node runs, `times` times; an if has one for each arm.

    The inputs of a loop are `n_state` tensors that the first outputs replace from run to run, then slices (the argument
    has one more dim, of size `times`, at the slice axis), then invariants. Its further outputs are stacked: they gain a
    dim of size `times`. `index` names the symbol that is 0 in the first run.
    """

    block: int
    times: Dim = 1
    params: str = "per_call"
    index: str = ""
    n_state: int = 0
    slice_axes: tuple[int, ...] = ()
    stack_axes: tuple[int, ...] = ()
    probability: int | Fraction | None = None


@dataclass(frozen=True, slots=True)
class UserCount:
    """What a registered op said of a node: shape and dtype of its outputs, amounts, and which inputs are weights.

    An amount is (feature, base, None or (kind, nominal, used, grade)); sizes are ints or expressions in symbols.
    """

    outputs: tuple[tuple[tuple[Dim, ...], str], ...]
    amounts: tuple[tuple[str, Dim, tuple[str, Dim, Dim, str] | None], ...] = ()
    weights: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """One node; a leaf has a shape and dtype, a call, loop, if or recompute its runs of blocks."""

    op: str
    block: int
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    attrs: Mapping[str, object] = field(default_factory=dict)
    name: str = ""
    scope: str = ""
    origin: str = "builder"
    shape: tuple[Dim, ...] = ()
    dtype: str = "float32"
    runs: tuple[Run, ...] = ()
    user: UserCount | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A sequence of nodes that can be called; block 0 is the graph itself."""

    name: str
    outputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes over numbered tensors, inputs before their uses; the number of a node is its place in `nodes`.

    Dims, multiplicities and attributes may be ints or expressions in symbols, such as ``"2*seq + 1"``.
    """

    nodes: tuple[Node, ...]
    blocks: tuple[Block, ...] = (Block(""),)

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Graph:
        """Return the graph that `flopcore.Graph.to_dict` describes.

        Parameters
        ----------
        data
            ``nodes``: op, inputs, outputs and, where they differ from the default, block, attrs, name, scope, origin,
            for a node that runs blocks its ``runs``, each with the fields of `Run`; ``tensors``: shape and dtype of the
            output of each leaf, by number; ``blocks``: name and outputs.
        """
        tensors = cast("Mapping[int, Mapping[str, object]]", data.get("tensors", {}))
        nodes = cast("Sequence[Mapping[str, object]]", data["nodes"])
        blocks = cast("Sequence[Mapping[str, object]]", data.get("blocks", [{}]))
        return cls(
            tuple(_node(node, tensors) for node in nodes),
            tuple(
                Block(cast("str", block.get("name", "")), tuple(cast("Sequence[int]", block.get("outputs", ()))))
                for block in blocks
            ),
        )

    def in_block(self, block: int) -> list[tuple[int, Node]]:
        """Return the nodes of a block with their numbers, in order."""
        return [(number, node) for number, node in enumerate(self.nodes) if node.block == block]

    def tensors(self, at: At) -> dict[int, Tensor]:
        """Return every tensor the graph computes, with all shapes inferred anew at the given dims.

        Raises
        ------
        ShapeError
            If an op does not accept its inputs; the message names the node.
        GraphError
            If a node uses a tensor that is not there yet, or a block calls itself.
        DataError
            If a dim has no value in `at`.
        """
        found: dict[int, Tensor] = {}
        self.infer_block(0, at, found)
        return found

    def infer_block(self, block: int, at: At, found: dict[int, Tensor], callers: tuple[int, ...] = ()) -> None:
        """Add the tensors of a block, and of those it runs, to `found`; those of a loop are of its first run."""
        if block in callers:
            raise GraphError(f"block {self.blocks[block].name!r} calls itself")
        if len(callers) > MAX_DEPTH:
            raise GraphError(f"blocks are nested more than {MAX_DEPTH} deep, which the reference cannot recount")
        for _, node in self.in_block(block):
            if node.runs:
                self._infer_runs(node, at, found, (*callers, block))
            else:
                infer_node(node, at, found)

    def inputs_of(self, block: int) -> list[int]:
        """Return the numbers of the inputs of a block."""
        return [node.outputs[0] for _, node in self.in_block(block) if node.op == "input"]

    def _infer_runs(self, node: Node, at: At, found: dict[int, Tensor], callers: tuple[int, ...]) -> None:
        given = [_tensor(found, number, node) for number in node.inputs]
        results: list[list[Tensor]] = []
        for run in node.runs:
            n_inputs = len(self.inputs_of(run.block))
            results.append(self._infer_run(node, run, given[:n_inputs], at, found, callers))
            given = given[n_inputs:]
        if given or any(result != results[0] for result in results):
            raise ShapeError(f"{node.op} node {node.name!r}: arguments left over {given}, or arms differ: {results}")
        found.update(zip(node.outputs, results[0], strict=True))

    def _infer_run(
        self, node: Node, run: Run, given: list[Tensor], at: At, found: dict[int, Tensor], callers: tuple[int, ...]
    ) -> list[Tensor]:
        """Return what the runs of one block give back, after the first run was inferred."""
        times = repeats(run, at)
        first = {**at, run.index: 0} if run.index else at
        self.infer_block(run.block, first, found, callers)
        inside = [found[number] for number in self.inputs_of(run.block)]
        cut = dict(zip(range(run.n_state, len(inside)), run.slice_axes, strict=False))
        wanted = [_stacked(tensor, cut[i], times) if i in cut else tensor for i, tensor in enumerate(inside)]
        if [(tensor.shape, tensor.dtype) for tensor in wanted] != [(tensor.shape, tensor.dtype) for tensor in given]:
            raise ShapeError(f"{node.op} of {self.blocks[run.block].name!r}: {given} for {wanted}")
        results = [found[number] for number in self.blocks[run.block].outputs]
        results = [Tensor(tensor.shape, tensor.dtype) for tensor in results]
        if node.op != "loop":
            return results
        states = [Tensor(tensor.shape, tensor.dtype) for tensor in inside[: run.n_state]]
        if run.index:  # shapes before the second and after the last run
            after = self._inputs_at(run.block, {**at, run.index: 1})
            last = self._inputs_at(run.block, {**at, run.index: times})
            if results[: run.n_state] != after[: run.n_state]:
                raise ShapeError(f"loop of {self.blocks[run.block].name!r}: {results} after {states}")
            states = last[: run.n_state]
        elif results[: run.n_state] != states:
            raise ShapeError(f"loop of {self.blocks[run.block].name!r}: {results} after {states}")
        stacked = zip(results[run.n_state :], run.stack_axes, strict=True)
        return states + [_stacked(tensor, axis, times) for tensor, axis in stacked]

    def _inputs_at(self, block: int, at: At) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        for number in self.inputs_of(block):
            node = next(node for _, node in self.in_block(block) if node.outputs[:1] == (number,))
            infer_node(node, at, found)
        return [Tensor(tensor.shape, tensor.dtype) for tensor in found.values()]


MAX_DEPTH = 200


def repeats(run: Run, at: At) -> int:
    """Return how often a block is run at once."""
    times = dim_value(run.times, at)
    if times < 0:
        raise ShapeError(f"a block is repeated {times} times")
    return times


def _stacked(tensor: Tensor, axis: int, times: int) -> Tensor:
    """Return a tensor with one more dim of size `times`."""
    if axis > len(tensor.shape):
        raise ShapeError(f"axis {axis} is out of range for slices of shape {tensor.shape}")
    return Tensor((*tensor.shape[:axis], times, *tensor.shape[axis:]), tensor.dtype)


def complete_attrs(node: Node, rank: int, at: At) -> dict[str, Attr]:
    """Return every attribute of a node as ints, flags and text, absent ones filled in.

    Parameters
    ----------
    node
        A node that is neither leaf nor call.
    rank
        How many dims its first input has; all but two of them are spatial to a convolution or pool.
    at
        Values of the symbols.
    """
    spec = _spec(node)
    result: dict[str, Attr] = {}
    for key, kind in spec.attrs.items():
        if key in node.attrs:
            result[key] = _attr(node.attrs[key], kind, at)
        elif key in spec.defaults:
            result[key] = cast(
                "Attr", evaluate(spec.defaults[key], {"rank": rank, **cast("Mapping[str, Value]", result)})
            )
        else:
            raise DataError(f"{node.op} node {node.name!r} has no attribute {key!r}")
    for key in node.attrs:
        if key not in spec.attrs:
            raise DataError(f"{node.op} node {node.name!r} takes no attribute {key!r}")
    return result


def dim_value(dim: object, at: At) -> int:
    """Return the value of an int or of an expression in symbols (text, or anything whose text is one)."""
    value = dim if isinstance(dim, int) else evaluate(str(dim), at, _dim_functions(at))
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{dim} is no integer")
    return value


def _dim_functions(at: At) -> dict[str, Function]:
    def value_of(name: str) -> int:
        if name not in at:
            raise DataError(f"no value for the dim {name!r}")
        return at[name]

    return {**FUNCTIONS, "dim": value_of, "Fraction": Fraction}


def _run(data: Mapping[str, object]) -> Run:
    return Run(
        block=cast("int", data["block"]),
        times=cast("Dim", data.get("times", 1)),
        params=cast("str", data.get("params", "per_call")),
        index=cast("str", data.get("index", "")),
        n_state=cast("int", data.get("n_state", 0)),
        slice_axes=tuple(cast("Sequence[int]", data.get("slice_axes", ()))),
        stack_axes=tuple(cast("Sequence[int]", data.get("stack_axes", ()))),
        probability=cast("int | Fraction | None", data.get("probability")),
    )


def _user(data: Mapping[str, object] | None) -> UserCount | None:
    if data is None:
        return None
    outputs = cast("Sequence[tuple[Sequence[Dim], str]]", data["outputs"])
    return UserCount(
        tuple((tuple(shape), dtype) for shape, dtype in outputs),
        tuple(cast("Sequence[tuple[str, Dim, tuple[str, Dim, Dim, str] | None]]", data["amounts"])),
        tuple(cast("Sequence[int]", data["weights"])),
    )


def _node(data: Mapping[str, object], tensors: Mapping[int, Mapping[str, object]]) -> Node:
    outputs = tuple(cast("Sequence[int]", data["outputs"]))
    leaf = tensors.get(outputs[0], {}) if outputs else {}
    return Node(
        op=cast("str", data["op"]),
        block=cast("int", data.get("block", 0)),
        inputs=tuple(cast("Sequence[int | None]", data.get("inputs", ()))),
        outputs=outputs,
        attrs=cast("Mapping[str, object]", data.get("attrs", {})),
        name=cast("str", data.get("name", "")),
        scope=cast("str", data.get("scope", "")),
        origin=cast("str", data.get("origin", "builder")),
        shape=tuple(cast("Sequence[Dim]", leaf.get("shape", ()))),
        dtype=cast("str", leaf.get("dtype", "float32")),
        user=_user(cast("Mapping[str, object] | None", data.get("user"))),
        runs=tuple(_run(run) for run in cast("Sequence[Mapping[str, object]]", data.get("runs", ()))),
    )


def infer_node(node: Node, at: At, found: dict[int, Tensor]) -> None:
    """Add the outputs of a node that is no call to the tensors found so far; see `Graph.tensors`."""
    if node.user is not None:
        for number, (dims, dtype) in zip(node.outputs, node.user.outputs, strict=True):
            shape = tuple(dim_value(dim, at) for dim in dims)
            if min(shape, default=0) < 0:
                raise ShapeError(f"{node.op} node {node.name!r} has a negative dim: {shape}")
            found[number] = Tensor(shape, dtype)
        return
    spec = _spec(node)
    if spec.leaf:
        shape = tuple(dim_value(dim, at) for dim in node.shape)
        if min(shape, default=0) < 0:
            raise ShapeError(f"{node.op} {node.name!r} has a negative dim: {shape}")
        found[node.outputs[0]] = Tensor(shape, node.dtype, is_parameter=node.op == "parameter")
        return
    inputs = node_inputs(node, found)
    first = next((tensor for tensor in inputs if tensor is not None), Tensor((), "float32"))
    attrs = complete_attrs(node, len(first.shape), at)
    slots = dict(zip(_slots(spec, len(inputs)), inputs, strict=True))
    given = {slot: tensor.dtype for slot, tensor in slots.items() if tensor is not None}
    _check_dtypes(node, spec, given)
    try:
        shapes = infer_all(node.op, [None if tensor is None else tensor.shape for tensor in inputs], attrs)
    except ShapeError as caught:
        raise ShapeError(f"{node.op} node {node.name!r}: {caught}") from None
    if len(shapes) != len(node.outputs):
        raise GraphError(f"{node.op} node {node.name!r} has {len(shapes)} outputs, {len(node.outputs)} are listed")
    for position, (number, shape) in enumerate(zip(node.outputs, shapes, strict=True)):
        name = spec.results[min(position, len(spec.results) - 1)]
        dtype = spec.dtypes.get(name) or cast("str", attrs.get("dtype")) or first.dtype
        if dtype in spec.slots:  # that of an input
            dtype = next(
                tensor.dtype for slot, tensor in zip(spec.slots, inputs, strict=True) if slot == dtype and tensor
            )
        found[number] = Tensor(shape, dtype)


def _slots(spec: OpSpec, n_inputs: int) -> list[str]:
    """Return the name of each input; those of one slot that takes any number are numbered."""
    if spec.inputs and spec.inputs[0].endswith("*"):
        return [f"{spec.slots[0]} {index}" for index in range(n_inputs)]
    return list(spec.slots)


def _check_dtypes(node: Node, spec: OpSpec, dtypes: Mapping[str, str]) -> None:
    """Refuse operands whose dtypes break the op's rules."""

    def among(names: Sequence[str]) -> dict[str, str]:
        return {slot: dtype for slot, dtype in dtypes.items() if "*" in names or slot.split()[0] in names}

    alike = among(spec.accepts.alike)
    if len(set(alike.values())) > 1:
        raise ShapeError(f"{node.op} node {node.name!r}: dtypes differ: {', '.join(alike.values())}")
    for slot, dtype in among(spec.accepts.integers).items():
        if not dtype.startswith(("int", "uint")):
            raise ShapeError(f"{node.op} node {node.name!r}: {slot} must hold integers, is {dtype}")
    for slot, dtype in among(spec.accepts.bools).items():
        if dtype != "bool":
            raise ShapeError(f"{node.op} node {node.name!r}: {slot} must be bool, is {dtype}")


def node_inputs(node: Node, tensors: Mapping[int, Tensor]) -> list[Tensor | None]:
    """Return the tensors of a node's inputs, one per slot of ops.toml, None where an optional one is not given."""
    spec = _spec(node)
    given: list[Tensor | None] = [None if number is None else _tensor(tensors, number, node) for number in node.inputs]
    if spec.inputs and spec.inputs[0].endswith("*"):
        if not given or None in given:
            raise GraphError(f"{node.op} node {node.name!r} needs at least one input")
        return given
    if len(given) > len(spec.inputs):
        raise GraphError(f"{node.op} node {node.name!r} has {len(given)} inputs, it takes {len(spec.inputs)}")
    given += [None] * (len(spec.inputs) - len(given))
    for slot, tensor in zip(spec.inputs, given, strict=True):
        if tensor is None and not slot.endswith("?"):
            raise GraphError(f"{node.op} node {node.name!r} has no input {slot!r}")
    return given


def _tensor(tensors: Mapping[int, Tensor], number: int | None, node: Node) -> Tensor:
    if number is None or number not in tensors:
        raise GraphError(f"{node.op} node {node.name!r} uses tensor {number}, which is not there yet")
    return tensors[number]


def _spec(node: Node) -> OpSpec:
    ops = specification().ops
    if node.op not in ops:
        raise UnsupportedOp(f"there is no op {node.op!r}")
    return ops[node.op]


def _attr(value: object, kind: str, at: At) -> Attr:
    word = kind.split(":")[0].split(";")[0].split()[0]
    if word in ("ints", "dims"):
        return [dim_value(item, at) for item in cast("Sequence[object]", value)]
    if word in ("int", "dim"):
        return dim_value(value, at)
    if word == "ratio":
        return Fraction(str(value))
    if word == "bool":
        return bool(value)
    return cast("str", value)
