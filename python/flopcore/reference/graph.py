"""A graph as plain Python data: blocks of nodes over numbered tensors, with every shape inferred at given dims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast

from flopcore.errors import DataError, GraphError, ShapeError, UnsupportedOp
from flopcore.specification import OpSpec, specification

from .expression import evaluate
from .shapes import Attr, Shape, infer

__all__ = ["Block", "Graph", "Node", "Tensor", "complete_attrs"]

Dim: TypeAlias = int | str
At: TypeAlias = Mapping[str, int]

# What an attribute is when it is not given; "spatial" stands for one value per spatial dim.
_DEFAULTS: Mapping[str, Attr] = {
    "groups": 1, "causal": "none", "approximate": "none", "mode": "eval", "normalized_ndim": 1, "ceil_mode": False,
    "keepdims": False, "end_axis": -1, "step": 1, "start": 0,
}  # fmt: skip
_AXIS_DEFAULTS: Mapping[str, int] = {"softmax": -1, "flatten": 1}


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
class Node:
    """One node; a call names the block it repeats in its attributes `block`, `times` and `params`."""

    op: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    attrs: Mapping[str, object] = field(default_factory=dict)
    name: str = ""
    scope: str = ""
    origin: str = "builder"


@dataclass(frozen=True, slots=True)
class Block:
    """Nodes in an order in which inputs come before their uses; block 0 is the graph itself."""

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Blocks of nodes; tensor numbers are unique over all of them.

    Dims and multiplicities may be ints or expressions in symbols, such as ``"2*seq + 1"``.
    """

    blocks: tuple[Block, ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Graph:
        """Return the graph that `flopcore.Graph.to_dict` describes."""
        blocks = cast("Sequence[Mapping[str, object]]", data["blocks"])
        return cls(tuple(_block(block) for block in blocks))

    def shapes(self, at: At) -> dict[int, Tensor]:
        """Return every tensor, with all shapes inferred anew at the given dims.

        Raises
        ------
        ShapeError
            If an op does not accept its inputs; the message names the node.
        GraphError
            If a node uses a tensor that is not there yet.
        DataError
            If a dim has no value in `at`.
        """
        tensors: dict[int, Tensor] = {}
        done: set[int] = set()
        for index in range(len(self.blocks)):
            self._infer_block(index, at, tensors, done)
        return tensors

    def _infer_block(self, index: int, at: At, tensors: dict[int, Tensor], done: set[int]) -> None:
        if index in done:
            return
        done.add(index)
        for node in self.blocks[index].nodes:
            if node.op == "call":
                callee = cast("int", node.attrs["block"])
                self._infer_block(callee, at, tensors, done)
                self._infer_call(node, callee, tensors)
            else:
                _infer_node(node, at, tensors)

    def _infer_call(self, node: Node, callee: int, tensors: dict[int, Tensor]) -> None:
        block = self.blocks[callee]
        wanted = [tensors[inner.outputs[0]] for inner in block.nodes if inner.op == "input"]
        given = [_tensor(tensors, number, node) for number in node.inputs]
        if [tensor.shape for tensor in wanted] != [tensor.shape for tensor in given]:
            raise ShapeError(f"call {node.name!r} of {block.name!r}: {given} for {wanted}")
        for number, inner_number in zip(node.outputs, block.outputs, strict=True):
            inner = tensors[inner_number]
            tensors[number] = Tensor(inner.shape, inner.dtype)


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
        elif key in ("stride", "dilation"):
            result[key] = (
                cast("list[int]", result["kernel"]) if key == "stride" and "kernel" in result else [1] * (rank - 2)
            )
        elif key == "padding":
            result[key] = [0] * (2 * (rank - 2))
        elif key == "axes":
            result[key] = list(range(rank))
        elif key == "axis" and node.op in _AXIS_DEFAULTS:
            result[key] = _AXIS_DEFAULTS[node.op]
        elif key in _DEFAULTS:
            result[key] = _DEFAULTS[key]
        else:
            raise DataError(f"{node.op} node {node.name!r} has no attribute {key!r}")
    for key in node.attrs:
        if key not in spec.attrs:
            raise DataError(f"{node.op} node {node.name!r} takes no attribute {key!r}")
    return result


def dim_value(dim: object, at: At) -> int:
    """Return the value of an int or of an expression in symbols."""
    value = evaluate(dim, at) if isinstance(dim, str) else dim
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{dim!r} is no integer")
    return value


def _block(data: Mapping[str, object]) -> Block:
    nodes = cast("Sequence[Mapping[str, object]]", data["nodes"])
    return Block(
        name=cast("str", data.get("name", "")),
        nodes=tuple(_node(node) for node in nodes),
        outputs=tuple(cast("Sequence[int]", data.get("outputs", ()))),
    )


def _node(data: Mapping[str, object]) -> Node:
    return Node(
        op=cast("str", data["op"]),
        inputs=tuple(cast("Sequence[int | None]", data.get("inputs", ()))),
        outputs=tuple(cast("Sequence[int]", data["outputs"])),
        attrs=cast("Mapping[str, object]", data.get("attrs", {})),
        name=cast("str", data.get("name", "")),
        scope=cast("str", data.get("scope", "")),
        origin=cast("str", data.get("origin", "builder")),
    )


def _infer_node(node: Node, at: At, tensors: dict[int, Tensor]) -> None:
    spec = _spec(node)
    if spec.leaf:
        shape = tuple(dim_value(dim, at) for dim in cast("Sequence[Dim]", node.attrs["shape"]))
        if min(shape, default=0) < 0:
            raise ShapeError(f"{node.op} {node.name!r} has a negative dim: {shape}")
        dtype = cast("str", node.attrs.get("dtype", "float32"))
        tensors[node.outputs[0]] = Tensor(shape, dtype, is_parameter=node.op == "parameter")
        return
    inputs = node_inputs(node, tensors)
    first = next(tensor for tensor in inputs if tensor is not None)
    attrs = complete_attrs(node, len(first.shape), at)
    try:
        shape = infer(node.op, [None if tensor is None else tensor.shape for tensor in inputs], attrs)
    except ShapeError as caught:
        raise ShapeError(f"{node.op} node {node.name!r}: {caught}") from None
    tensors[node.outputs[0]] = Tensor(shape, cast("str", attrs.get("dtype", first.dtype)))


def node_inputs(node: Node, tensors: Mapping[int, Tensor]) -> list[Tensor | None]:
    """Return the tensors of a node's inputs, one per slot of ops.toml, None where an optional one is not given."""
    spec = _spec(node)
    given = [None if number is None else _tensor(tensors, number, node) for number in node.inputs]
    if spec.inputs[0].endswith("*"):
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
    word: Literal["int", "ints", "bool", "dim", "dims", "dtype"] | str = kind.split(":")[0].split(";")[0].split()[0]
    if word in ("ints", "dims"):
        return [dim_value(item, at) for item in cast("Sequence[object]", value)]
    if word in ("int", "dim"):
        return dim_value(value, at)
    if word == "bool":
        return bool(value)
    return cast("str", value)
