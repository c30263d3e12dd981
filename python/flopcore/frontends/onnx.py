"""ONNX files as graphs. The file is read by the core; no `onnx` package is needed and no weights are loaded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from heapq import heappop, heappush
from itertools import groupby

from flopcore import _core
from flopcore.errors import DataError, FlopcoreError, GraphError, UnsupportedNodes, UnsupportedOp
from flopcore.expr import dim
from flopcore.graph import AttrValue, Graph, Tensor

from .onnx_ops import OPS, Result
from .onnx_shapes import MAX_ELEMENTS, RULES, result_dtype
from .onnx_values import FLOATING, Attribute, Node, NotCountable, Size, Value, dtype_name, literal_learned

__all__ = ["from_onnx"]

_DEFAULT_DOMAINS = ("", "ai.onnx")
_OLDEST_OPSET, _NEWEST_OPSET = 7, 28
_MAX_CALL_DEPTH = 32
_MAX_NODES = 10_000_000  # after the model's functions are written out

_RawNode = tuple[str, str, str, tuple[str, ...], tuple[str, ...], Mapping[str, Attribute]]


def from_onnx(model: str | os.PathLike[str] | bytes, *, at: Mapping[str, int] | None = None) -> Graph:
    """Return the graph of an ONNX model in inference.

    Parameters
    ----------
    model
        Path of the file, or its content. Tensor data is skipped and external data is not opened.
    at
        Sizes of named dims (``dim_param``), bound while reading. Names that are left out become dims of the graph;
        a dim without a name is called ``<input>_dim<axis>``.

    Returns
    -------
    Graph
        Node names are kept, a name with slashes gives a module scope, and each op's origin is ``onnx:<OpType>``.
        Float tensors stored in the file are parameters, except single numbers outside a weight slot and the running
        statistics of batch norms, which are constants.

    Raises
    ------
    DataError
        If the file is damaged, not ONNX, or a binding is not a positive integer or names no dim.
    GraphError
        If a node reads a tensor that nothing makes, or the nodes form a cycle.
    UnsupportedNodes
        If there are ops without a translation; the message lists all of them, and `nodes` counts them.
    UnsupportedOp
        If an input or a stored tensor is of a kind that cannot be counted.
    ShapeError
        If shapes or attributes do not fit together.
    """
    label = "ONNX model" if isinstance(model, bytes) else os.fspath(model)
    loaded = _core.parse_onnx(model) if isinstance(model, bytes) else _core.read_onnx(label)
    try:
        return _Importer(loaded, at or {}).run()
    except UnsupportedNodes as error:
        raise UnsupportedNodes(f"{label}: {error}", error.nodes) from error
    except FlopcoreError as error:
        raise type(error)(f"{label}: {error}") from error


class _Importer:
    """Builds one graph; also what the rules of `onnx_ops` see of it."""

    def __init__(self, model: _core.OnnxModel, at: Mapping[str, int]) -> None:
        self._model = model
        self._at = at
        self._graph = Graph(model.graph.name)
        self._functions = {(f.domain, f.name): f for f in model.functions()}
        self._opsets = _opsets(model.opsets())
        self._dims: dict[str, Size] = {}
        self._readers: Counter[str] = Counter()
        self._n_nodes = 0
        self._unsupported: Counter[tuple[str, str]] = Counter()
        self._reasons: dict[tuple[str, str], str] = {}

    def run(self) -> Graph:
        main = self._model.graph
        values = self._leaves(main)
        nodes = main.nodes()
        for node in nodes:
            self._readers.update(node[3])
        self._nodes(nodes, values, self._opsets, 0)
        unknown = sorted(set(self._at) - set(self._dims))
        if unknown:
            known = ", ".join(sorted(self._dims)) or "none"
            raise DataError(f"no dim named {', '.join(map(repr, unknown))}; the model's named dims: {known}")
        if self._unsupported:
            counts = {_qualified(*key): count for key, count in sorted(self._unsupported.items())}
            raise UnsupportedNodes(self._unsupported_text(), counts)
        outputs = []
        for name, *_ in main.outputs():
            if name not in values:
                raise GraphError(f"graph output {name!r} is made by no node")
            outputs.append(self._place(values[name]))
        self._graph.output(*outputs)
        return self._graph

    # ------------------------------------------------------------------------------------------------ leaves
    def _leaves(self, graph: _core.OnnxGraph) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for tensor in graph.initializers():
            values[tensor.name] = self._stored(tensor, tensor.name)
        for name, kind, dtype, shape in graph.inputs():
            if name in values:  # up to IR version 3 every initializer is listed as an input too
                continue
            if kind != "tensor":
                raise UnsupportedOp(f"input {name!r} is a {kind.replace('_', ' ')}, not a tensor")
            if shape is None:
                raise DataError(f"input {name!r} has no shape; run onnx.shape_inference or set its dims")
            sizes = tuple(self._size(size, f"{name}_dim{axis}") for axis, size in enumerate(shape))
            try:
                value = Value(name, dtype_name(dtype, f"input {name!r}"), sizes)
            except NotCountable as error:
                raise UnsupportedOp(str(error)) from error
            value.tensor = self._graph.input(name, sizes, value.dtype)
            values[name] = value
        return values

    def _size(self, size: int | str | None, fallback: str) -> Size:
        if isinstance(size, int):
            return size
        name = fallback if size is None else size
        if name not in self._dims:
            bound = self._at.get(name)
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int) or bound < 1):
                raise DataError(f"at={{{name!r}: {bound!r}}}: a size must be a positive integer")
            self._dims[name] = dim(name) if bound is None else bound
        return self._dims[name]

    def _stored(self, tensor: _core.OnnxTensor, name: str) -> Value:
        """Return the value of a tensor stored in the file."""
        if tensor.sparse:
            raise UnsupportedOp(f"tensor {name!r} is sparse")
        try:
            dtype = dtype_name(tensor.dtype, f"tensor {name!r}")
        except NotCountable as error:
            raise UnsupportedOp(str(error)) from error
        value = Value(name, dtype, tensor.dims, elements=tensor.values)
        if dtype.startswith(FLOATING):
            value.learned = "always" if tensor.dims else "weight"
        return value

    # ------------------------------------------------------------------------------------------------- nodes
    def _nodes(self, raw: Sequence[_RawNode], values: dict[str, Value], opsets: Mapping[str, int], depth: int) -> None:
        self._n_nodes += len(raw)
        if self._n_nodes > _MAX_NODES:
            raise DataError(f"more than {_MAX_NODES} nodes once the model's functions are written out")
        for scope, run in groupby(_ordered(raw, values), key=lambda node: _scope(node[2])):
            with self._graph.scope(scope) if scope else nullcontext():
                for node in run:
                    self._node(node, values, opsets, depth)

    def _node(self, raw: _RawNode, values: dict[str, Value], opsets: Mapping[str, int], depth: int) -> None:
        op, domain, name, inputs, outputs, attributes = raw
        domain = "" if domain in _DEFAULT_DOMAINS else domain
        read = [values[key] if key else None for key in inputs]
        node = Node(op, domain, name, read, outputs, attributes, opsets.get(domain, 0))
        function = self._functions.get((domain, op))
        if function is not None:
            self._call(function, node, values, depth)
            return
        results: Sequence[Result] = ()
        try:
            results = self._translate(node)
        except NotCountable as reason:
            self._unsupported[domain, op] += 1
            self._reasons.setdefault((domain, op), f"{name or outputs[0]!r}: {reason}" if str(reason) else f"{name!r}")
        for i, key in enumerate(outputs):
            if not key:
                continue
            result = results[i] if i < len(results) else None
            if result is None:
                # Read by no node that can be translated, or the node is reported.
                values[key] = Value(key, "float32", (), lost=True)
            elif isinstance(result, Value):
                values[key] = result
            else:
                values[key] = Value(key, result.dtype, result.shape, result)

    def _translate(self, node: Node) -> Sequence[Result]:
        rule = OPS.get(node.op) if node.domain == "" else None
        follow = RULES.get(node.op) if node.domain == "" else None
        if rule is None and follow is None:
            raise NotCountable
        lost = [value.name for value in node.inputs if value is not None and value.lost]
        if lost:
            if self._unsupported:
                return ()  # what the reported node would have made
            raise NotCountable(f"reads {lost[0]!r}, a secondary output that is not computed here")
        known = follow(node) if follow is not None else None
        if known is not None and len(known[0]) <= MAX_ELEMENTS:
            return [Value(node.outputs[0], result_dtype(node), known[1], elements=known[0])]
        if rule is None:
            raise NotCountable("its inputs are not known before the model runs")
        result = rule(self, node)
        return result if isinstance(result, Sequence) else [result]

    def _call(self, function: _core.OnnxFunction, node: Node, values: dict[str, Value], depth: int) -> None:
        """Write out a function of the model in place of the node that calls it."""
        if depth >= _MAX_CALL_DEPTH:
            raise GraphError(f"{node.describe()}: functions call each other more than {_MAX_CALL_DEPTH} deep")
        if len(node.inputs) > len(function.inputs) or len(node.outputs) > len(function.outputs):
            raise GraphError(f"{node.describe()}: more inputs or outputs than function {function.name!r} has")
        local = {name: value for name, value in zip(function.inputs, node.inputs, strict=False) if value is not None}
        missing = set(function.inputs) - set(local)
        given = function.defaults() | dict(node.attributes)
        body = []
        for op, domain, name, inputs, outputs, attributes in function.nodes():
            bound: dict[str, Attribute] = {}
            for key, value in attributes.items():
                if not isinstance(value, _core.OnnxAttributeReference):
                    bound[key] = value
                elif value.name in given:
                    bound[key] = given[value.name]
            kept = tuple("" if key in missing else key for key in inputs)
            body.append((op, domain, name, kept, outputs, bound))
        with self._graph.scope(node.name or function.name):
            self._nodes(body, local, self._opsets | _opsets(function.opsets()), depth + 1)
        for key, name in zip(node.outputs, function.outputs, strict=False):
            if key:
                if name not in local:
                    raise GraphError(f"function {function.name!r}: its output {name!r} is made by no node")
                values[key] = local[name]

    def _unsupported_text(self) -> str:
        listed = ", ".join(
            f"{_qualified(domain, op)} x {count} (first: node {self._reasons[domain, op]})"
            for (domain, op), count in sorted(self._unsupported.items())
        )
        return f"{sum(self._unsupported.values())} nodes cannot be counted yet: {listed}"

    # -------------------------------------------------------------------------------- what rules may do
    def emit(
        self, node: Node, op: str, inputs: Sequence[Value | Tensor | None], attrs: Mapping[str, AttrValue] | None = None
    ) -> Tensor:
        """Add an op and return its output."""
        placed = [self._place(value) if isinstance(value, Value) else value for value in inputs]
        return self._graph.op(op, placed, attrs, name=node.name or node.outputs[0], origin=f"onnx:{node.op}")

    def weight(self, node: Node, value: Value) -> Tensor:
        """Place a value that a weight slot reads: a literal there is learned."""
        if value.tensor is None and value.learned != "never":
            value.tensor = self._graph.parameter(value.name, value.shape, value.dtype)
        return self._place(value)

    def statistic(self, node: Node, value: Value) -> Tensor:
        """Place a value that is stored with the weights but not learned."""
        if value.tensor is None:
            value.tensor = self._graph.constant(value.shape, value.dtype, name=value.name)
        return value.tensor

    def transposed_weight(self, node: Node, value: Value) -> Tensor | None:
        """Place a matrix under transposed dims, if this node alone reads it."""
        if value.tensor is not None or self._readers[value.name] != 1:
            return None
        return self._graph.parameter(value.name, value.shape[::-1], value.dtype)

    def literal(self, node: Node, tensor: _core.OnnxTensor, name: str) -> Value:
        """Return the value of a tensor that is written in an attribute."""
        value = self._stored(tensor, name)
        if value.learned != "never":
            value.learned = literal_learned(tensor.dims)
        return value

    def _place(self, value: Value) -> Tensor:
        """Return the tensor of a value, made on first use."""
        if value.tensor is None and value.learned == "always":
            value.tensor = self._graph.parameter(value.name, value.shape, value.dtype)
        elif value.tensor is None:
            value.tensor = self._graph.constant(value.shape, value.dtype, name=value.name)
        return value.tensor


def _qualified(domain: str, op: str) -> str:
    return f"{domain}::{op}" if domain else op


def _opsets(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the opset per domain, the default domain checked."""
    opsets = {"" if domain in _DEFAULT_DOMAINS else domain: version for domain, version in pairs}
    version = opsets.get("")
    if version is not None and not _OLDEST_OPSET <= version <= _NEWEST_OPSET:
        raise UnsupportedOp(
            f"opset {version} of the default domain: {_OLDEST_OPSET} to {_NEWEST_OPSET} are known; "
            "convert the model with onnx.version_converter"
        )
    return opsets


@lru_cache(maxsize=1024)
def _scope(name: str) -> str:
    """Return the module path that a node's name tells: /layer1/layer1.0/conv1/Conv is in layer1.0.conv1."""
    path: list[str] = []
    for part in [part for part in name.split("/") if part][:-1]:
        if path and part.startswith(path[-1] + "."):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)


def _ordered(nodes: Sequence[_RawNode], known: Collection[str]) -> Sequence[_RawNode]:
    """Return the nodes so that each follows those it reads from; the order of the file wherever it is one."""
    makers: dict[str, int] = {}
    sorted_already = True
    ready = {*known, ""}
    for i, node in enumerate(nodes):
        sorted_already = sorted_already and ready.issuperset(node[3])
        for name in node[4]:
            if name and (name in makers or name in known):
                raise GraphError(f"{_describe(node)} makes tensor {name!r}, which exists already")
            makers[name] = i
        ready.update(node[4])
    if sorted_already:
        return nodes
    for node in nodes:
        for name in node[3]:
            if name not in ready:
                raise GraphError(f"{_describe(node)} reads tensor {name!r}, which nothing makes")
    return _sorted(nodes, makers)


def _sorted(nodes: Sequence[_RawNode], makers: Mapping[str, int]) -> Sequence[_RawNode]:
    waits = [len({makers[name] for name in node[3] if name in makers}) for node in nodes]
    readers: list[list[int]] = [[] for _ in nodes]
    for i, node in enumerate(nodes):
        for maker in {makers[name] for name in node[3] if name in makers}:
            readers[maker].append(i)
    free = [i for i, count in enumerate(waits) if count == 0]  # increasing, hence a heap
    order: list[_RawNode] = []
    while free:
        i = heappop(free)
        order.append(nodes[i])
        for reader in readers[i]:
            waits[reader] -= 1
            if waits[reader] == 0:
                heappush(free, reader)
    if len(order) == len(nodes):
        return order
    # Every node that waits reads from another one that waits: going back long enough ends in a cycle.
    at = next(i for i, count in enumerate(waits) if count)
    seen: set[int] = set()
    while at not in seen:
        seen.add(at)
        name = next(name for name in nodes[at][3] if name in makers and waits[makers[name]])
        at = makers[name]
    raise GraphError(f"{_describe(nodes[at])} is part of a cycle through its tensor {nodes[at][4][0]!r}")


def _describe(node: _RawNode) -> str:
    return f"{node[0]} node {node[2] or ', '.join(node[4])!r}"
