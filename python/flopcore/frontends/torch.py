"""PyTorch modules as graphs, by `torch.export`: on meta tensors, so that weights are never needed."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flopcore.errors import DataError, FlopcoreError, ShapeError, UnsupportedNodes
from flopcore.expr import Dim
from flopcore.graph import DimLike, Graph, Tensor

from .routing import mark_active
from .torch_call import Call, base_name
from .torch_content import Contents
from .torch_control import CONTROL
from .torch_dims import Dims, dim_names
from .torch_flex import flex_attention
from .torch_ops import HANDLERS
from .torch_sparse import check_dense, is_sparse, n_stored
from .unsupported import NotCountable, OnUnsupported, Unsupported

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram
    from torch.fx import GraphModule, Node

__all__ = ["from_torch"]

_MAX_FILE = 2**36


def from_torch(
    module: torch.nn.Module | ExportedProgram | str | os.PathLike[str],
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
    *,
    dynamic: object = None,
    strict: bool = False,
    on_unsupported: OnUnsupported = "error",
) -> Graph:
    """Return the graph of one call of a PyTorch module.

    Parameters
    ----------
    module
        A module (on ``meta``, real or fake: weights are not looked at), a program that `torch.export` made, or a
        ``.pt2`` file of one.
    args, kwargs
        What the module is called with; only shapes and dtypes matter. Not for a program or file.
    dynamic
        ``dynamic_shapes`` of `torch.export.export`: dims stay symbolic under the names that `torch.export.Dim` gave.
    strict
        As `torch.export.export` takes it.
    on_unsupported
        "list": operators that cannot be counted are left out and listed in ``graph.unsupported``, which the tally and
        its explanation repeat; what reads their results is counted.

    Returns
    -------
    Graph
        Ops as `torch.export` records them, before decomposition; module scopes are those of the module, a tied weight
        is one parameter, and the origin of a node is its module's class, or the operator where that is not its own.

    Raises
    ------
    ImportError
        If torch is not installed; the message names the extra.
    DataError
        If a ``.pt2`` file cannot be read, or `torch.export` cannot take the module (its own error follows).
    UnsupportedNodes
        If operators have no rule and no decomposition and they are not to be listed; `nodes` has them all by name and
        number.
    ShapeError
        If a shape is not the one that torch infers.

    Notes
    -----
    `torch.export` on meta tensors takes 3.5 to 4.2 s for Llama-7B; the translation adds a few per cent.

    Examples
    --------
    >>> import flopcore as fc
    >>> import torch  # doctest: +SKIP
    >>> linear = torch.nn.Linear(784, 10, device="meta")  # doctest: +SKIP
    >>> fc.count(fc.from_torch(linear, (torch.empty(32, 784, device="meta"),))).flop("macs")  # doctest: +SKIP
    250880
    """
    unsupported = Unsupported(on_unsupported)
    torch = import_torch()
    names: dict[str, str] = {}
    tied: Mapping[str, str] = {}
    if isinstance(module, str | os.PathLike):
        label, program = os.fspath(module), _load(torch, module)
    elif isinstance(module, torch.export.ExportedProgram):
        label, program = "exported program", module
    elif isinstance(module, torch.nn.Module):
        label = type(module).__name__
        tied = _tied(module)
        program = _export(torch, module, tuple(args), dict(kwargs or {}), dynamic, strict)
        names = dim_names(program, dynamic)
    else:
        raise TypeError(
            f"module must be a torch module, an exported program or a .pt2 file, is {type(module).__name__}"
        )
    try:
        return _Importer(torch, label, _decomposed(torch, program), names, tied, unsupported).run()
    except UnsupportedNodes as error:
        raise UnsupportedNodes(f"{label}: {error}", error.nodes) from error
    except FlopcoreError as error:
        raise type(error)(f"{label}: {error}") from error


def import_torch() -> Any:
    """Return torch, or say which extra brings it."""
    try:
        import torch
    except ImportError as error:
        raise ImportError("reading PyTorch modules needs torch: pip install 'flopcore[torch]'") from error
    return torch


def is_exported_program(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a zip archive, as a .pt2 file is, damaged or not."""
    try:
        return zipfile.is_zipfile(path)
    except (zipfile.BadZipFile, ValueError):
        return True


def _load(torch: Any, path: str | os.PathLike[str]) -> ExportedProgram:
    _check_archive(path)
    before = os.environ.get(_NO_PICKLES)
    os.environ[_NO_PICKLES] = "1"
    try:
        program: ExportedProgram = torch.export.load(path)
    except Exception as error:  # whatever torch makes of a file that it cannot read
        raise DataError(f"{os.fspath(path)}: torch cannot load it: {_first_line(error)}") from error
    finally:
        if before is None:
            del os.environ[_NO_PICKLES]
        else:
            os.environ[_NO_PICKLES] = before
    return program


# With this torch unpickles tensors alone: the pickles of a program could otherwise run any code when it is loaded.
_NO_PICKLES = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def _check_archive(path: str | os.PathLike[str]) -> None:
    """Refuse an archive that is damaged, larger inside than outside, or that holds objects other than tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > _MAX_FILE:
                    raise DataError(
                        f"{os.fspath(path)}: {entry.filename} is compressed or too large; torch does neither"
                    )
                if "opaque_obj_" in entry.filename or "custom_obj_" in entry.filename:
                    raise DataError(
                        f"{os.fspath(path)}: {entry.filename} is a pickled object, which could run code; "
                        "if you trust it, torch.export.load it and hand the program over"
                    )
            if bad := archive.testzip():
                raise DataError(f"{os.fspath(path)}: {bad} is damaged")
    except FlopcoreError:
        raise
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: {error.strerror or error}") from error
    except Exception as error:
        raise DataError(f"{os.fspath(path)}: a damaged archive: {_first_line(error)}") from error


def _export(
    torch: Any,
    module: torch.nn.Module,
    args: tuple[object, ...],
    kwargs: dict[str, object],
    dynamic: object,
    strict: bool,
) -> ExportedProgram:
    try:
        program: ExportedProgram = torch.export.export(
            module, args, kwargs or None, dynamic_shapes=dynamic, strict=strict
        )
    except Exception as error:
        raise DataError(
            f"{type(module).__name__}: torch.export cannot take it ({_first_line(error)}); "
            "flopcore.record_torch records what runs instead"
        ) from error
    return program


def _first_line(error: BaseException) -> str:
    """Return the line of a message that says what is wrong, and the one with the remedy after it."""
    lines = [line.strip() for line in f"{type(error).__name__}: {error}".splitlines() if line.strip()]
    return " ".join([*lines[:1], *(line for line in lines[1:2] if line.startswith("-"))])[:500]


def _tied(module: torch.nn.Module) -> dict[str, str]:
    """Return, for each name of a parameter that has several, the first."""
    first: dict[int, str] = {}
    return {
        name: first.setdefault(id(weight), name) for name, weight in module.named_parameters(remove_duplicate=False)
    }


def _decomposed(torch: Any, program: ExportedProgram) -> ExportedProgram:
    """Write out the operators that have no rule here and that torch can write in others, and regions of `vmap`."""
    unknown = {
        node.target
        for graph_module in program.graph_module.modules()
        if isinstance(graph_module, torch.fx.GraphModule)
        for node in graph_module.graph.nodes
        if node.op == "call_function"
        and isinstance(node.target, torch._ops.OpOverload)
        and base_name(node.target) not in HANDLERS
        and not _is_plain(torch, node)
    }
    table = torch.export.default_decompositions() if unknown else {}
    known = {target: table[target] for target in unknown if target in table}
    batched = any(base_name(node.target) == "_add_batch_dim" for node in program.graph_module.graph.nodes)
    if not known and not batched:
        return program
    functorch = torch._C._functorch
    depth = functorch.get_dynamic_layer_stack_depth()
    try:
        return program.run_decompositions(known)
    except Exception as error:
        functorch.pop_dynamic_layer_stack_and_undo_to_depth(depth)  # of a region of vmap that was not left
        raise DataError(
            f"torch cannot write its operators in others ({_first_line(error)}); "
            "flopcore.record_torch records what runs instead"
        ) from error


_REGIONS = {**CONTROL, "flex_attention": flex_attention}

# What a node is worth here: a tensor of ours, several, a size, a plain value.
_Value = Any


class _Importer:
    """Builds one graph from the nodes of an exported program."""

    def __init__(
        self,
        torch: Any,
        label: str,
        program: ExportedProgram,
        names: Mapping[str, str],
        tied: Mapping[str, str],
        unsupported: Unsupported,
    ) -> None:
        self._torch = torch
        self._program = program
        self._tied = tied
        self._dims = Dims(program, names)
        self._graph = Graph(label)
        self._unsupported = unsupported
        self._n_loops = 0
        self._stored: dict[int, DimLike] = {}  # elements that a sparse tensor holds, by its number
        self._contents = Contents(torch, program)
        self._makers: dict[int, Node] = {}  # which node of torch's made a tensor, by its number
        self._derived: dict[int, list[int]] = {}  # what a constant stands for a function of, by its number

    def run(self) -> Graph:
        values = self._leaves()
        results = self._nodes(self._program.graph_module, values)
        self._unsupported.settle(self._graph)
        self._graph.output(*(value for value in _flat(results) if isinstance(value, Tensor)))
        mark_active(self._graph, self._derived)
        return self._graph

    # ------------------------------------------------------------------------------------------------ leaves
    def _leaves(self) -> dict[str, _Value]:
        """Return the value of each placeholder; a weight that no node reads is none."""
        values: dict[str, _Value] = {}
        weights: dict[str, Tensor] = {}
        specs = {spec.arg.name: spec for spec in self._program.graph_signature.input_specs}
        identities: dict[int, str] = {}
        examples = iter(self._torch.utils._pytree.tree_leaves(self._program.example_inputs or ()))
        for node in self._program.graph_module.graph.nodes:
            if node.op != "placeholder":
                continue
            spec, meta = specs[node.name], node.meta.get("val")
            real = next(examples, None) if spec.kind.name == "USER_INPUT" else None
            if not isinstance(meta, self._torch.Tensor):
                values[node.name] = self._dims.plain(meta)
                continue
            shape, dtype = self._dims.shape(meta), dtype_name(meta.dtype)
            kind = spec.kind.name
            if kind == "USER_INPUT":
                values[node.name] = self._graph.input(node.name, shape, dtype, origin="torch")
            elif not node.users:
                continue
            elif kind == "PARAMETER":
                stored = self._program.state_dict.get(spec.target)
                name = self._tied.get(spec.target, spec.target)
                if stored is not None:
                    name = identities.setdefault(id(stored), name)
                if name not in weights:
                    scope, _, last = name.rpartition(".")
                    with self._graph.scope(scope):
                        weights[name] = self._graph.parameter(last, shape, dtype, origin="torch")
                values[node.name] = weights[name]
            else:  # buffers and lifted constants
                values[node.name] = self._graph.constant(shape, dtype, name=str(spec.target or ""), origin="torch")
                real = self._program.constants.get(spec.target)
            self._makers[values[node.name].id] = node
            if is_sparse(self._torch, meta):
                held = n_stored(self._torch, real)
                self._stored[values[node.name].id] = held or self._dims.new(f"{node.name}_nnz")
        return values

    # ------------------------------------------------------------------------------------------------- nodes
    def _nodes(self, module: GraphModule, values: dict[str, _Value]) -> _Value:
        """Translate the nodes of a module whose inputs have values; return what it gives."""
        for node in module.graph.nodes:
            if node.op == "output":
                return self._read(node.args[0], values)
            if node.op == "get_attr":
                values[node.name] = self._attribute(module, node)
            elif node.op == "call_function":
                with self._located(node):
                    values[node.name] = value = self._call(module, node, values)
                if isinstance(value, Tensor):
                    self._makers.setdefault(value.id, node)
            elif node.op != "placeholder":
                raise NotCountable(f"a node of kind {node.op}")
        return None

    @contextmanager
    def _located(self, node: Node) -> Iterator[None]:
        stack = [entry for entry in (node.meta.get("nn_module_stack") or {}).values() if entry and "<" not in entry[0]]
        path = stack[-1][0] if stack else ""
        with self._graph.scope("" if path.startswith("_empty_nn") else path.removeprefix("L['self'].")):
            try:
                yield
            except FlopcoreError as error:
                raise type(error)(f"{node.target} node {node.name!r}: {error}") from error

    def _attribute(self, module: GraphModule, node: Node) -> _Value:
        value: Any = module
        for part in str(node.target).split("."):
            value = getattr(value, part)
        if isinstance(value, self._torch.Tensor):
            shape = tuple(int(size) for size in value.shape)
            return self._graph.constant(shape, dtype_name(value.dtype), name=str(node.target), origin="torch")
        return value  # the body of a higher-order operator

    def _read(self, argument: Any, values: Mapping[str, _Value]) -> _Value:
        if isinstance(argument, self._torch.fx.Node):
            if argument.name not in values:
                raise DataError(f"{argument.name!r} has no value")
            return values[argument.name]
        if isinstance(argument, tuple | list):
            return [self._read(each, values) for each in argument]
        if isinstance(argument, dict):
            return {key: self._read(each, values) for key, each in argument.items()}
        if isinstance(argument, self._torch.dtype):
            return dtype_name(argument)
        return self._dims.plain(argument)

    def _call(self, module: GraphModule, node: Node, values: dict[str, _Value]) -> _Value:
        target, meta = node.target, node.meta.get("val")
        if _is_plain(self._torch, node):
            return self._dims.plain(meta)
        name = base_name(target)
        if name == "getitem":
            source, index = self._read(node.args[0], values), node.args[1]
            return source[index] if isinstance(source, tuple | list) else source
        handler, control = HANDLERS.get(name), _REGIONS.get(name)
        outputs = [
            None if each is None else (self._dims.shape(each), dtype_name(each.dtype))
            for each in _tensors(self._torch, meta)
        ]
        call = Call(
            graph=self._graph,
            name=name,
            origin=_origin(node, name),
            label=node.name,
            args=self._read(list(node.args), values),
            kwargs=self._read(dict(node.kwargs), values),
            schema=tuple(argument.name for argument in getattr(target, "_schema", _NO_SCHEMA).arguments),
            outputs=outputs,
            stored=self._stored,
            derived=self._derived,
        )
        try:
            check_dense(call)
            if control is not None:
                result = control(self, call.args)
            elif handler is not None:
                result = handler(call)
            else:
                raise NotCountable("")
        except NotCountable as error:
            self._unsupported.add(str(target) if hasattr(target, "_schema") else name, node.name, error)
            stand_ins = [None if each is None else call.constant(*each) for each in outputs]
            return stand_ins[0] if isinstance(meta, self._torch.Tensor) else stand_ins
        self._check(result, outputs)
        return result

    def _check(self, result: _Value, outputs: Sequence[tuple[tuple[DimLike, ...], str] | None]) -> None:
        """Hold our shapes against those that torch inferred."""
        found = result if isinstance(result, tuple | list) else [result]
        for tensor, expected in zip(found, outputs, strict=False):
            if expected is None or not isinstance(tensor, Tensor):
                continue
            shape = tensor.shape
            same = len(shape) == len(expected[0]) and all(map(self._dims.same, shape, expected[0]))
            if not same:
                raise ShapeError(f"shape {list(map(str, shape))}, torch infers {list(map(str, expected[0]))}")

    # --------------------------------------------------------------------------- graphs inside (torch_control.Regions)
    @property
    def graph(self) -> Graph:
        """The graph or block that nodes are added to now."""
        return self._graph

    def written_out(self, body: GraphModule, arguments: Sequence[_Value]) -> list[_Value]:
        """Return the results of a body whose nodes are put where its call stands."""
        holders = [node.name for node in body.graph.nodes if node.op == "placeholder"]
        results = self._nodes(body, dict(zip(holders, arguments, strict=True)))
        return list(results) if isinstance(results, tuple | list) else [results]

    def block(
        self, name: str, body: GraphModule, arguments: Sequence[_Value], shapes: Mapping[int, Sequence[DimLike]]
    ) -> tuple[Graph, list[_Value]]:
        """Return a finished subgraph, whose inputs are the tensors among the arguments, and what the body gives."""
        block, outer = self._graph.subgraph(name), self._graph
        inner = [
            block.input(f"x{i}", shapes.get(i, each.shape), each.dtype, origin="torch")
            if isinstance(each, Tensor)
            else each
            for i, each in enumerate(arguments)
        ]
        self._graph = block
        try:
            results = self.written_out(body, inner)
        finally:
            self._graph = outer
        block.output(*(each for each in results if isinstance(each, Tensor)))
        return block, results

    def content(self, tensor: Tensor) -> Any:
        """Return what stands in a tensor as lists of numbers, None if that is not known."""
        node = self._makers.get(tensor.id)
        return None if node is None else self._contents.of(node)

    def trips(self) -> Dim:
        """Return a new dim: how often a loop runs whose end the data tells."""
        self._n_loops += 1
        return self._dims.new("trips" if self._n_loops == 1 else f"trips_{self._n_loops}")


class _NoSchema:
    arguments: tuple[Any, ...] = ()


_NO_SCHEMA = _NoSchema()


def dtype_name(dtype: object) -> str:
    """Return our name of a torch dtype."""
    name = str(dtype).removeprefix("torch.")
    name = {"float8_e4m3fn": "float8_e4m3", "float4_e2m1fn_x2": "float4_e2m1"}.get(name, name)
    return {"qint8": "int8", "quint8": "uint8", "qint32": "int32"}.get(name, name)


def _is_plain(torch: Any, node: Node) -> bool:
    """Return whether a node gives sizes or conditions on sizes: they are known without a node of ours."""
    meta = node.meta.get("val")
    return meta is not None and not _has_tensor(torch, meta)


def _has_tensor(torch: Any, meta: object) -> bool:
    if isinstance(meta, tuple | list):
        return any(_has_tensor(torch, each) for each in meta)
    return isinstance(meta, torch.Tensor)


def _tensors(torch: Any, meta: object) -> list[Any]:
    """Return the tensors that an operator gives, None where an output is something else."""
    if isinstance(meta, torch.Tensor):
        return [meta]
    if isinstance(meta, tuple | list):
        return [each if isinstance(each, torch.Tensor) else None for each in meta]
    return []


def _flat(value: _Value) -> Iterator[_Value]:
    if isinstance(value, tuple | list):
        for each in value:
            yield from _flat(each)
    else:
        yield value


def _origin(node: Node, name: str) -> str:
    """Return the class of the module that a node stands in, if the module is one operator; else the operator."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    kind = str(stack[-1][1]) if stack and stack[-1] else ""
    if kind.startswith("torch.nn.modules."):
        return "torch.nn." + kind.rpartition(".")[2]
    return f"torch:{name}"
