"""ONNX files as graphs. The file is read by the core; no `onnx` package is needed and no weights are loaded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from flopcore import _core
from flopcore.errors import DataError, FlopcoreError, GraphError, UnsupportedNodes, UnsupportedOp
from flopcore.expr import dim
from flopcore.graph import AttrValue, Graph, Tensor

from .onnx_ops import DIRECT, OPS, Result
from .onnx_shapes import MAX_ELEMENTS, RULES, result_dtype
from .onnx_values import FLOATING, Attribute, Node, NotCountable, Size, Value, dtype_name, literal_learned

__all__ = ["from_onnx"]

_OLDEST_OPSET, _NEWEST_OPSET = 7, 28
_MAX_CALL_DEPTH = 32
_CHUNK = 4096
_MAIN = 0  # the block of the main graph
_MAX_RANK = 64
_MAX_WRITTEN = 1_000_000  # nodes that functions may write out to: each call doubles them in a hostile file


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


# By name: a value, None for an input that a call leaves out, or just the number of a tensor in the graph.
_Values: TypeAlias = dict[str, Value | int | None]


class _Importer:
    """Builds one graph; also what the rules of `onnx_ops` see of it."""

    def __init__(self, model: _core.OnnxModel, at: Mapping[str, int]) -> None:
        self._model = model
        self._at = at
        self._graph = Graph(model.graph.name)
        self._core = self._graph.core
        self._scope = ""  # of the node that is being translated
        self._functions = {(f.domain, f.name): f for f in model.functions()}
        self._dims: dict[str, Size] = {}
        self._depth = 0  # of the function that is being written out
        self._shared = frozenset((*model.graph.shared(), *(name for name, *_ in model.graph.outputs())))
        self._n_written = 0  # nodes of functions
        self._unsupported: Counter[tuple[str, str]] = Counter()
        self._reasons: dict[tuple[str, str], str] = {}

    def run(self) -> Graph:
        main = self._model.graph
        values = self._leaves(main)
        self._nodes(main, values, _opsets(self._model.opsets()), "")
        unknown = sorted(set(self._at) - set(self._dims))
        if unknown:
            known = ", ".join(sorted(self._dims)) or "none"
            raise DataError(f"no dim named {', '.join(map(repr, unknown))}; the model's named dims: {known}")
        if self._unsupported:
            counts = {_qualified(*key): count for key, count in sorted(self._unsupported.items())}
            raise UnsupportedNodes(self._unsupported_text(), counts)
        outputs = []
        for name, *_ in main.outputs():
            value = self._value(values, name) if name in values else None
            if value is None:
                raise GraphError(f"graph output {name!r} is made by no node")
            outputs.append(Tensor(self._graph, self._place(value)))
        self._graph.output(*outputs)
        return self._graph

    # ------------------------------------------------------------------------------------------------ leaves
    def _leaves(self, graph: _core.OnnxGraph) -> _Values:
        values: _Values = {}
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
            values[name] = self._leaf("input", value)
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
        if len(tensor.dims) > _MAX_RANK:
            raise DataError(f"tensor {name!r} has {len(tensor.dims)} dims; at most {_MAX_RANK} make sense")
        value = Value(name, dtype, tensor.dims, elements=tensor.values)
        if dtype.startswith(FLOATING):
            value.learned = "always" if tensor.dims else "weight"
        return value

    # ------------------------------------------------------------------------------------------------- nodes
    def _nodes(
        self,
        source: _core.OnnxGraph | _core.OnnxFunction,
        values: _Values,
        opsets: Mapping[str, int],
        scope: str,
        bound: Mapping[str, Attribute] | None = None,
    ) -> None:
        """Translate the nodes of the main graph, or of a function with the attributes of its call."""
        order = source.order()
        if self._depth > 0:
            self._n_written += len(order)
            if self._n_written > _MAX_WRITTEN:
                raise DataError(f"the model's functions write out to more than {_MAX_WRITTEN} nodes")
        direct = {op: ours for op, ours in DIRECT.items() if ("", op) not in self._functions}
        # A few nodes at a time as Python objects: the garbage collector looks at all that live.
        for start in range(0, len(order), _CHUNK):
            chunk = source.nodes(order[start : start + _CHUNK])
            for op, domain, name, inputs, outputs, attributes in chunk:
                if "/" in name:
                    inner = _scope(name)
                    self._scope = f"{scope}.{inner}" if scope and inner else scope or inner
                else:
                    self._scope = scope
                if op in direct and domain == "" and self._add(direct[op], op, name, inputs, outputs, values):
                    continue
                node = Node(
                    op,
                    "" if domain == "ai.onnx" else domain,
                    name,
                    [self._value(values, key) for key in inputs],
                    outputs,
                    attributes if bound is None else _resolved(attributes, bound),
                    0,
                )
                node.opset = opsets.get(node.domain, 0)
                self._node(node, values, opsets)

    def _add(
        self,
        ours: tuple[str, int],
        op: str,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        values: _Values,
    ) -> bool:
        """Add a node that is one op of ours, if its inputs are in the graph: most nodes of most files, at once."""
        ids: list[int | None] = []
        for key in inputs:
            value = values[key] if key else None
            tensor = value if value is None or isinstance(value, int) else value.id
            if tensor is None:
                return False
            ids.append(tensor)
        if len(ids) != ours[1] or len(outputs) != 1:
            return False
        output = outputs[0]
        values[output] = self._core.add_node(ours[0], ids, {}, _MAIN, name or output, self._scope, _origin(op))
        return True

    def _value(self, values: _Values, name: str) -> Value | None:
        """Return the value of a name; the empty name is an input left out."""
        value = values[name] if name else None
        if isinstance(value, int):
            value = values[name] = Value.placed(name, self._core, value)
        return value

    def _node(self, node: Node, values: _Values, opsets: Mapping[str, int]) -> None:
        if self._functions:
            function = self._functions.get((node.domain, node.op))
            if function is not None:
                self._call(function, node, values, opsets)
                return
        results: Sequence[Result] = ()
        try:
            results = self._translate(node)
        except NotCountable as reason:
            key = (node.domain, node.op)
            self._unsupported[key] += 1
            self._reasons.setdefault(key, f"{node.label()!r}" + (f": {reason}" if str(reason) else ""))
        for i, name in enumerate(node.outputs):
            if not name:
                continue
            result = results[i] if i < len(results) else None
            if result is None:  # of a node that is reported, or an output that only a reported node may read
                result = Value(name, "float32", ())
                result.lost = True
            values[name] = result

    def _translate(self, node: Node) -> Sequence[Result]:
        rule = OPS.get(node.op) if node.domain == "" else None
        follow = RULES.get(node.op) if node.domain == "" else None
        if rule is None and follow is None:
            raise NotCountable
        if node.opset == 0:
            raise DataError(f"{node.describe()} is of the default domain, which opset_import does not name")
        for value in node.inputs:
            if value is not None and value.lost:
                if self._unsupported:
                    return ()  # what the reported node would have made
                raise NotCountable(f"reads {value.name!r}, a secondary output that is not computed here")
        if follow is not None:
            known = follow(node)
            if known is not None and len(known[0]) <= MAX_ELEMENTS:
                return [Value(node.outputs[0], result_dtype(node), known[1], elements=known[0])]
        if rule is None:
            raise NotCountable("its inputs are not known before the model runs")
        result = rule(self, node)
        return result if isinstance(result, Sequence) else [result]

    def _call(
        self,
        function: _core.OnnxFunction,
        node: Node,
        values: _Values,
        opsets: Mapping[str, int],
    ) -> None:
        """Write out a function of the model in place of the node that calls it."""
        if self._depth >= _MAX_CALL_DEPTH:
            raise GraphError(f"{node.describe()}: functions call each other more than {_MAX_CALL_DEPTH} deep")
        if len(node.inputs) > len(function.inputs) or len(node.outputs) > len(function.outputs):
            raise GraphError(f"{node.describe()}: more inputs or outputs than function {function.name!r} has")
        absent = (*node.inputs, *[None] * (len(function.inputs) - len(node.inputs)))
        local: _Values = dict(zip(function.inputs, absent, strict=True))
        own = self._scope
        called = node.name.strip("/").replace("/", ".") or function.name
        bound = function.defaults() | dict(node.attributes)
        inner = f"{own}.{called}" if own else called
        self._depth += 1
        self._nodes(function, local, {**opsets, **_opsets(function.opsets())}, inner, bound)
        self._depth -= 1
        for key, name in zip(node.outputs, function.outputs, strict=False):
            if key:
                if local.get(name) is None:
                    raise GraphError(f"function {function.name!r}: its output {name!r} is made by no node")
                values[key] = local[name]

    def _unsupported_text(self) -> str:
        listed = ", ".join(
            f"{_qualified(domain, op)} x {count} (first: node {self._reasons[domain, op]})"
            for (domain, op), count in sorted(self._unsupported.items())
        )
        n_nodes = sum(self._unsupported.values())
        return f"{n_nodes} node{'s' if n_nodes > 1 else ''} cannot be counted yet: {listed}"

    # -------------------------------------------------------------------------------- what rules may do
    def emit(
        self, node: Node, op: str, inputs: Sequence[Value | None], attrs: Mapping[str, AttrValue] | None = None
    ) -> Value:
        """Add an op and return its output."""
        ids = [None if v is None else v.id if v.id is not None else self._place(v) for v in inputs]
        origin = _origin(node.op)
        made = self._core.add_node(op, ids, dict(attrs) if attrs else {}, _MAIN, node.label(), self._scope, origin)
        return Value.placed(node.outputs[0], self._core, made)

    def weight(self, node: Node, value: Value) -> Value:
        """Place a value that a weight slot reads: a literal there is learned."""
        if value.id is None and value.learned != "never":
            self._leaf("parameter", value)
        return value

    def statistic(self, node: Node, value: Value) -> Value:
        """Place a value that is stored with the weights but not learned."""
        return value if value.id is not None else self._leaf("constant", value)

    def transposed_weight(self, node: Node, value: Value) -> Value | None:
        """Place a matrix under transposed dims, if this node alone reads it."""
        # A function's body may read it under another name, so only the main graph can tell.
        if value.id is not None or self._depth > 0 or value.name in self._shared:
            return None
        return self._leaf("parameter", Value(value.name, value.dtype, value.shape[::-1]))

    def literal(self, node: Node, tensor: _core.OnnxTensor, name: str) -> Value:
        """Return the value of a tensor that is written in an attribute."""
        value = self._stored(tensor, name)
        if value.learned != "never":
            value.learned = literal_learned(tensor.dims)
        return value

    def _place(self, value: Value) -> int:
        """Return the tensor of a value, made on first use."""
        if value.id is None:
            self._leaf("parameter" if value.learned == "always" else "constant", value)
        assert value.id is not None
        return value.id

    def _leaf(self, op: str, value: Value) -> Value:
        value.id = self._core.add_leaf(op, value.shape, value.dtype, _MAIN, value.name, self._scope, _origin(op))
        return value


def _resolved(attributes: Mapping[str, Attribute], bound: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Return attributes with references to those of the call replaced; one that the call leaves out is left out."""
    resolved: dict[str, Attribute] = {}
    for key, value in attributes.items():
        if not isinstance(value, _core.OnnxAttributeReference):
            resolved[key] = value
        elif value.name in bound:
            resolved[key] = bound[value.name]
    return resolved


@lru_cache(maxsize=256)
def _origin(op: str) -> str:
    return f"onnx:{op}"


def _qualified(domain: str, op: str) -> str:
    return f"{domain}::{op}" if domain else op


def _opsets(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the opset per domain, the default domain checked."""
    opsets = {"" if domain == "ai.onnx" else domain: version for domain, version in pairs}
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
