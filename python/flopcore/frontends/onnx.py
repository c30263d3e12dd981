"""ONNX files as graphs. The file is read by the core; no `onnx` package is needed and no weights are loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from flopcore import _core
from flopcore.errors import DataError, FlopcoreError, GraphError, UnsupportedNodes, UnsupportedOp
from flopcore.expr import dim
from flopcore.graph import AttrValue, Graph, Tensor
from flopcore.user_ops import TensorType, UserOp, find_op

from .onnx_build import Loop, Result
from .onnx_names import Names
from .onnx_ops import OPS
from .onnx_shapes import MAX_ELEMENTS, RULES, result_dtype
from .onnx_table import NO_ARITHMETIC, PLAIN
from .onnx_values import (
    DTYPES,
    FLOATING,
    TEXT,
    Attribute,
    Frame,
    Lost,
    Node,
    Size,
    Value,
    dtype_name,
    literal_learned,
)
from .unsupported import NotCountable, OnUnsupported, Unsupported

__all__ = ["from_onnx"]

_OLDEST_OPSET, _NEWEST_OPSET = 7, 28
_MAX_CALL_DEPTH = 32
_CHUNK = 4096
_MAX_RANK = 64
_MAX_WRITTEN = 1_000_000  # nodes that functions and bodies may write out to: each call doubles them in a hostile file


def from_onnx(
    model: str | os.PathLike[str] | bytes,
    *,
    at: Mapping[str, int] | None = None,
    on_unsupported: OnUnsupported = "error",
) -> Graph:
    """Return the graph of an ONNX model in inference.

    Parameters
    ----------
    model
        Path of the file, or its content. Tensor data is skipped and external data is not opened.
    at
        Sizes of named dims (``dim_param``), bound while reading. Names that are left out become dims of the graph;
        a dim without a name is called ``<input>_dim<axis>``, what a loop runs without a known end
        ``<node>_trip_count``. An input that is a single integer or bool may be bound too: it decides which branch of
        an If runs, or how often a Loop does.
    on_unsupported
        "list": nodes that cannot be counted are left out and listed in ``graph.unsupported``, which the tally and its
        explanation repeat. What reads their results is counted where the file says the shapes (``value_info``), and
        listed too where it does not.

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
        If there are ops without a translation and they are not to be listed; the message names all of them, and
        `nodes` counts them.
    UnsupportedOp
        If an input or a stored tensor is of a kind that cannot be counted.
    ShapeError
        If shapes or attributes do not fit together.
    """
    label = "ONNX model" if isinstance(model, bytes) else os.fspath(model)
    loaded = _core.parse_onnx(model) if isinstance(model, bytes) else _core.read_onnx(label)
    try:
        return _Importer(loaded, at or {}, Unsupported(on_unsupported)).run()
    except UnsupportedNodes as error:
        raise UnsupportedNodes(f"{label}: {error}", error.nodes) from error
    except FlopcoreError as error:
        raise type(error)(f"{label}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Context:
    """What the nodes of one graph, function or body share."""

    names: Names
    opsets: Mapping[str, int]
    scope: str
    bound: Mapping[str, Attribute] | None  # attributes of the call, in a function


class _Importer:
    """Builds one graph; also what the rules of `onnx_ops` see of it."""

    def __init__(self, model: _core.OnnxModel, at: Mapping[str, int], unsupported: Unsupported) -> None:
        self._model = model
        self._at = at
        self._graph = Graph(model.graph.name)
        self._core = self._graph.core
        self._root = Frame()
        self._frame = self._root  # the block that nodes go to
        self._scope = ""  # of the node that is being translated
        self._functions = {(f.domain, f.name): f for f in model.functions()}
        self._orders: dict[object, list[int]] = {}
        self._dims: dict[str, Size] = {}
        self._indices: set[str] = set()  # names of the dims that count the runs of loops
        self._depth = 0  # of the function or body that is being written out
        self._shared = frozenset((*model.graph.shared(), *(name for name, *_ in model.graph.outputs())))
        self._n_written = 0  # nodes of functions and bodies
        self._unsupported = unsupported
        self._declared: dict[str, tuple[str, tuple[int | str | None, ...]]] | None = (
            None  # what the file says of shapes
        )

    def run(self) -> Graph:
        main = self._model.graph
        opsets = _opsets(self._model.opsets())
        taken = {name for domain, name in self._functions if domain == ""}
        plain = [(op, *ours) for op, ours in PLAIN.items() if op not in taken and opsets.get("")]
        bulk = _core.OnnxAppender(main, self._core, plain)
        self._context = _Context(Names(self._core, self._root, bulk=bulk), opsets, "", None)
        names = self._context.names
        self._leaves(main, names)
        while (node := bulk.run()) is not None:
            self._visit(node)
        unknown = sorted(set(self._at) - set(self._dims))
        if unknown:
            known = ", ".join(sorted(self._dims)) or "none"
            raise DataError(f"no dim named {', '.join(map(repr, unknown))}; the model's named dims: {known}")
        self._unsupported.settle(self._graph)
        outputs = []
        for name, *_ in main.outputs():
            value = names.find(name) if name in names else None
            if value is None:
                raise GraphError(f"graph output {name!r} is made by no node")
            if value.lost and self._unsupported:
                continue  # only listed nodes make it
            try:
                outputs += [Tensor(self._graph, self._inside(each)) for each in value.flat()]
            except NotCountable as reason:
                raise UnsupportedOp(f"graph output {name!r}: {reason}") from reason
        self._graph.output(*outputs)
        return self._graph

    # ------------------------------------------------------------------------------------------------ leaves
    def _leaves(self, graph: _core.OnnxGraph, names: Names) -> None:
        """Name what the main graph starts from."""
        stored = set()
        for tensor in graph.initializers():
            stored.add(tensor.name)
            names.set(tensor.name, self._stored(tensor, tensor.name))
        seen: set[str] = set()
        for name, kind, dtype, shape in graph.inputs():
            if name in stored:  # up to IR version 3 every initializer is listed as an input too
                continue
            if name in seen:
                raise GraphError(f"the graph has two inputs of the name {name!r}")
            seen.add(name)
            if kind != "tensor" or dtype == TEXT:
                names.set(name, Value(name, "", (), kind=kind if kind != "tensor" else "text"))
                continue
            if shape is None:
                raise DataError(f"input {name!r} has no shape; run onnx.shape_inference or set its dims")
            # Exporters write a size they do not know as nothing, "?", -1 or 0: an input is not empty.
            sizes = tuple(
                self.size(None if size == 0 else size, f"{name}_dim{axis}") for axis, size in enumerate(shape)
            )
            try:
                value = Value(name, dtype_name(dtype, f"input {name!r}"), sizes)
            except NotCountable as error:
                raise UnsupportedOp(str(error)) from error
            number = self._at.get(name)
            if number is not None and all(size == 1 for size in sizes) and value.dtype in ("int32", "int64", "bool"):
                if not isinstance(number, int):
                    raise DataError(f"at={{{name!r}: {number!r}}}: the input {name!r} takes an integer")
                value.elements = (number,)  # it decides what runs
                self._dims[name] = number
                names.set(name, value)
            else:
                names.set(name, self._leaf("input", value, self._root))

    def size(self, size: int | str | None, fallback: str, *, least: int = 1) -> Size:
        """Return a size: a number, or a dim by the name in the file, or else by this one, bound where `at` says so."""
        if isinstance(size, int):
            return size
        name = fallback if size is None or size == "?" else size
        if name not in self._dims:
            bound = self._at.get(name)
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int) or bound < least):
                wanted = "a positive integer" if least == 1 else f"an integer of {least} or more"
                raise DataError(f"at={{{name!r}: {bound!r}}}: a size must be {wanted}")
            self._dims[name] = dim(name, min=least) if bound is None else bound
        return self._dims[name]

    def _stored(self, tensor: _core.OnnxTensor, name: str) -> Value:
        """Return the value of a tensor stored in the file."""
        if tensor.sparse or tensor.dtype == TEXT:
            return Value(name, "", tensor.dims, kind="sparse_tensor" if tensor.sparse else "text")
        try:
            dtype = dtype_name(tensor.dtype, f"tensor {name!r}")
        except NotCountable as error:
            raise UnsupportedOp(str(error)) from error
        if len(tensor.dims) > _MAX_RANK:
            raise DataError(f"tensor {name!r} has {len(tensor.dims)} dims; at most {_MAX_RANK} make sense")
        value = Value(name, dtype, tensor.dims)
        if dtype == "float32":
            value.numbers = tensor.values
        else:
            value.elements = _whole_numbers(tensor.values)
        if dtype.startswith(FLOATING):
            value.learned = "always" if tensor.dims else "weight"
        return value

    # ------------------------------------------------------------------------------------------------- nodes
    def _nodes(self, source: _core.OnnxGraph | _core.OnnxFunction, key: object, context: _Context) -> None:
        """Translate the nodes of a function or a body."""
        if self._depth >= _MAX_CALL_DEPTH:
            raise GraphError(f"functions and bodies call each other more than {_MAX_CALL_DEPTH} deep")
        if key not in self._orders:
            self._orders[key] = source.order()
        order = self._orders[key]
        self._n_written += len(order)
        if self._n_written > _MAX_WRITTEN:
            raise DataError(f"the model's functions and bodies write out to more than {_MAX_WRITTEN} nodes")
        before = self._context, self._scope
        self._context = context
        self._depth += 1
        # A few nodes at a time as Python objects: the garbage collector looks at all that live.
        for start in range(0, len(order), _CHUNK):
            for node in source.nodes(order[start : start + _CHUNK]):
                self._visit(node)
        self._depth -= 1
        self._context, self._scope = before

    def _visit(self, node: _core.OnnxNode) -> None:
        """Translate a node of the file in the current context."""
        context = self._context
        op, domain, name, inputs, outputs, attributes = node
        inner = _core.onnx_scope(name) if "/" in name else ""
        self._scope = f"{context.scope}.{inner}" if context.scope and inner else context.scope or inner
        found = Node(
            op,
            "" if domain == "ai.onnx" else domain,
            name,
            [context.names.find(key) for key in inputs],
            outputs,
            attributes if context.bound is None else _resolved(attributes, context.bound),
            0,
        )
        found.opset = context.opsets.get(found.domain, 0)
        function = self._functions.get((found.domain, op)) if self._functions else None
        if function is not None:
            self._call(function, found)
            return
        results: Sequence[Result] | None = None
        try:
            results = self._translate(found)
        except NotCountable as reason:
            self._report(found, reason)
        for i, name in enumerate(outputs):
            if not name:
                continue
            result = self._stand_in(name) if results is None else results[i] if i < len(results) else None
            context.names.set(name, _lost(name) if result is None else result)

    def _report(self, node: Node, reason: NotCountable) -> None:
        """Note that a node is not counted."""
        op, unsupported = _qualified(node.domain, node.op), self._unsupported
        # An error names causes: what reads a reported node's results goes with it, only more of the same op is counted.
        if unsupported.listed or not (isinstance(reason, Lost) and unsupported) or op in unsupported:
            unsupported.add(op, node.label(), reason)
        for value in node.inputs:
            if value is not None and value.learned == "always" and value.id is None:
                self._inside(value)  # its weights are weights of the model

    def _stand_in(self, name: str) -> Value | None:
        """Return what a reported node makes, where the file says its shape."""
        if self._depth:
            return None  # names of functions and bodies are not those of the main graph
        if self._declared is None:
            main = self._model.graph
            self._declared = {
                key: (DTYPES[dtype], shape)
                for key, kind, dtype, shape in (*main.outputs(), *main.values())
                if kind == "tensor" and dtype in DTYPES and shape is not None and not {None, "?"} & set(shape)
            }
        if name not in self._declared:
            return None
        dtype, shape = self._declared[name]
        return self._leaf("constant", Value(name, dtype, tuple(self.size(size, name) for size in shape)), self._root)

    def _translate(self, node: Node) -> Sequence[Result]:
        rule = OPS.get(node.domain, {}).get(node.op)
        follow = RULES.get(node.op) if node.domain == "" else None
        user = find_op(_qualified(node.domain, node.op)) if node.domain else None
        if user is not None:
            return self._user_op(user, node)
        if rule is None and follow is None:
            raise NotCountable(NO_ARITHMETIC.get((node.domain, node.op), ""))
        if node.opset == 0:
            domain = f"domain {node.domain!r}" if node.domain else "the default domain"
            raise DataError(f"{node.describe()} is of {domain}, which opset_import does not name")
        for value in node.inputs:
            if value is not None:
                _require_found(value)
        if follow is not None:
            known = follow(node)
            if known is not None and len(known[0]) <= MAX_ELEMENTS:
                return [Value(node.outputs[0], result_dtype(node), known[1], elements=known[0])]
        if rule is None:
            raise NotCountable("its inputs are not known before the model runs")
        result = rule(self, node)
        return result if isinstance(result, Sequence) else [result]

    def _user_op(self, op: UserOp, node: Node) -> Sequence[Result]:
        """Add a node of an op that the user registered as "domain::OpType"; it sees the attributes of the file."""
        values = [node.optional(i) for i in range(len(node.inputs))]
        for slot in op.weights:
            if slot < len(values) and (value := values[slot]) is not None:
                self.weight(node, value)
        ids = [None if value is None else self._inside(value) for value in values]
        types = tuple(None if value is None else TensorType(value.shape, value.dtype) for value in values)
        try:
            outputs = op.outputs(types, node.attributes)
            amounts = op.amounts(types, outputs, node.attributes)
        except Exception as error:
            error.add_note(f"in the rule of the registered op {op.name!r} for {node.describe()}")
            raise
        made = [(list(output.shape), output.dtype) for output in outputs]
        where = self._frame.block, node.label(), self._scope, _origin(node.op)
        return self._made(node, self._core.add_user_node(op.name, ids, made, amounts, op.weights, *where))

    def _call(self, function: _core.OnnxFunction, node: Node) -> None:
        """Write out a function of the model in place of the node that calls it."""
        if len(node.inputs) > len(function.inputs) or len(node.outputs) > len(function.outputs):
            raise GraphError(f"{node.describe()}: more inputs or outputs than function {function.name!r} has")
        outer = self._context
        absent = (*node.inputs, *[None] * (len(function.inputs) - len(node.inputs)))
        local = Names(self._core, self._frame)
        for name, value in zip(function.inputs, absent, strict=True):
            local.set(name, value)
        own = self._scope
        called = node.name.strip("/").replace("/", ".") or function.name
        bound = function.defaults() | dict(node.attributes)
        opsets = {**outer.opsets, **_opsets(function.opsets())}
        inner = f"{own}.{called}" if own else called
        self._nodes(function, (function.domain, function.name), _Context(local, opsets, inner, bound))
        for key, name in zip(node.outputs, function.outputs, strict=False):
            if key:
                result = local.find(name) if name in local else None
                if result is None:
                    raise GraphError(f"function {function.name!r}: its output {name!r} is made by no node")
                outer.names.set(key, result)

    # -------------------------------------------------------------------------------- what rules may do
    def emit(
        self, node: Node, op: str, inputs: Sequence[Value | None], attrs: Mapping[str, AttrValue] | None = None
    ) -> Value:
        """Add an op and return its first output."""
        return self.emit_all(node, op, inputs, attrs)[0]

    def emit_all(
        self, node: Node, op: str, inputs: Sequence[Value | None], attrs: Mapping[str, AttrValue] | None = None
    ) -> list[Value]:
        """Add an op and return its outputs."""
        ids = [None if value is None else self._inside(value) for value in inputs]
        origin = _origin(node.op)
        first = self._core.add_node(
            op, ids, dict(attrs) if attrs else {}, self._frame.block, node.label(), self._scope, origin
        )
        made = range(first, self._core.n_tensors)
        names = (*node.outputs, *[""] * len(made))
        return [Value.placed(name, self._core, number, self._frame) for name, number in zip(names, made, strict=False)]

    def weight(self, node: Node, value: Value) -> Value:
        """Place a value that a weight slot reads: a literal there is learned."""
        if value.id is None and value.learned != "never":
            self._leaf("parameter", value, self._root)
        return value

    def statistic(self, node: Node, value: Value) -> Value:
        """Place a value that is stored with the weights but not learned."""
        return value if value.id is not None else self._leaf("constant", value, self._root)

    def transposed_weight(self, node: Node, value: Value) -> Value | None:
        """Place a matrix under transposed dims, if this node alone reads it."""
        # A function's body may read it under another name, so only the main graph can tell.
        if value.id is not None or self._depth > 0 or value.name in self._shared:
            return None
        return self._leaf("parameter", Value(value.name, value.dtype, value.shape[::-1]), self._root)

    def literal(self, node: Node, tensor: _core.OnnxTensor, name: str) -> Value:
        """Return the value of a tensor that is written in an attribute."""
        value = self._stored(tensor, name)
        if value.learned != "never":
            value.learned = literal_learned(tensor.dims)
        return value

    # ------------------------------------------------------------------------------------------------ bodies
    def unique(self, name: str) -> str:
        """Return a name for a dim that the model has not."""
        n = 1
        found = name
        while found in self._dims or found in self._indices:
            n += 1
            found = f"{name}_{n}"
        self._indices.add(found)
        return found

    def counts_runs(self, size: Size) -> bool:
        """Return whether a size depends on how often a loop ran."""
        return not isinstance(size, int) and any(each.name in self._indices for each in size.free_dims)

    def written_out(self, node: Node, body: _core.OnnxGraph, inputs: Sequence[Value]) -> list[Value]:
        """Translate a body in place of its node and return its outputs."""
        given = body.inputs()
        if len(given) != len(inputs):
            raise DataError(f"{node.describe()}: its body takes {len(given)} inputs, it is given {len(inputs)}")
        outer = self._context
        names = Names(self._core, self._frame, outer=outer.names)
        for (name, *_), value in zip(given, inputs, strict=True):
            names.set(name, value)
        for tensor in body.initializers():
            names.set(tensor.name, self._stored(tensor, tensor.name))
        scope = f"{self._scope}.{node.name.strip('/').rsplit('/', 1)[-1]}" if self._scope else node.name.strip("/")
        self._nodes(body, body.index, _Context(names, outer.opsets, scope, outer.bound))
        outputs = [names.find(name) for name, *_ in body.outputs()]
        return [value for value in outputs if value is not None]

    def new_block(self, node: Node, name: str) -> Frame:
        """Return an empty block within the current one."""
        return Frame(self._core.add_block(f"{node.label()}.{name}"), self._frame)

    @contextmanager
    def inside(self, frame: Frame) -> Iterator[None]:
        """Put what is translated meanwhile into a block."""
        before, self._frame = self._frame, frame
        try:
            yield
        finally:
            self._frame = before

    def finish(self, frame: Frame, outputs: Sequence[Value]) -> None:
        """Declare what a block returns."""
        with self.inside(frame):
            self._core.finish(frame.block, [self._inside(value) for value in outputs])

    def state(self, name: str, dtype: str, shape: tuple[Size, ...]) -> Value:
        """Add an input of the current block."""
        return self._leaf("input", Value(name, dtype, shape), self._frame)

    def add_loop(self, node: Node, loop: Loop, inputs: Sequence[Value]) -> list[Value]:
        """Run a finished block again and again; return the last state, then what is stacked."""
        ids = [*(self._inside(value) for value in inputs), *loop.frame.taken]
        return self._made(
            node,
            self._core.add_run(
                *("loop", loop.frame.block, ids, loop.times, "shared", loop.index, loop.n_state),
                *(loop.slice_axes, loop.stack_axes, self._frame.block, node.label(), self._scope, _origin(node.op)),
            ),
        )

    def add_if(self, node: Node, arms: Sequence[Frame]) -> list[Value]:
        """Run one of several finished blocks and return its outputs."""
        ids = [tensor for arm in arms for tensor in arm.taken]
        blocks = [arm.block for arm in arms]
        where = self._frame.block, node.label(), self._scope, _origin(node.op)
        return self._made(node, self._core.add_if(blocks, ids, [], "shared", *where))

    def _made(self, node: Node, first: int) -> list[Value]:
        """Return the outputs of the node added last."""
        made = range(first, self._core.n_tensors)
        names = (*node.outputs, *[""] * len(made))
        return [Value.placed(name, self._core, number, self._frame) for name, number in zip(names, made, strict=False)]

    def _inside(self, value: Value) -> int:
        """Return the tensor that stands for a value in the current block; it is placed on first use."""
        _require_found(value)
        if value.kind != "tensor":
            raise NotCountable(f"reads {value.name!r}, which is {value.kind} and no tensor")
        if value.id is None:
            learned = value.learned == "always"
            frame = self._root if learned else value.frame or self._frame
            self._leaf("parameter" if learned else "constant", value, frame)
        return self._taken(self._frame, value)

    def _taken(self, frame: Frame, value: Value) -> int:
        """Return a placed value as a block sees it: one from outside is an input of the block."""
        assert value.id is not None
        if frame is value.frame or frame.outer is None:
            return value.id
        outside = self._taken(frame.outer, value)
        if outside not in frame.taken:
            frame.taken[outside] = self._core.add_leaf(
                "input", value.shape, value.dtype, frame.block, value.name, self._scope, _origin("input")
            )
        return frame.taken[outside]

    def _leaf(self, op: str, value: Value, frame: Frame) -> Value:
        value.frame = frame
        value.id = self._core.add_leaf(op, value.shape, value.dtype, frame.block, value.name, self._scope, _origin(op))
        return value


def _lost(name: str) -> Value:
    """Return what only a reported node makes, or may read."""
    value = Value(name, "float32", ())
    value.lost = True
    return value


def _require_found(value: Value) -> None:
    if value.lost:
        raise Lost(f"reads {value.name!r}, whose shape is not known")


def _resolved(attributes: Mapping[str, Attribute], bound: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Return attributes with references to those of the call replaced; one that the call leaves out is left out."""
    resolved: dict[str, Attribute] = {}
    for key, value in attributes.items():
        if not isinstance(value, _core.OnnxAttributeReference):
            resolved[key] = value
        elif value.name in bound:
            resolved[key] = bound[value.name]
    return resolved


def _whole_numbers(values: Sequence[int] | Sequence[float] | None) -> tuple[int, ...] | None:
    return None if values is None else tuple(value for value in values if isinstance(value, int))


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
