"""What PyTorch runs, as a graph: for code that `torch.export` cannot take, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flopcore.errors import FlopcoreError
from flopcore.graph import DimLike, Graph, Tensor

from .routing import mark_active
from .torch import dtype_name, import_torch
from .torch_call import Call, Packed, base_name
from .torch_fused import FUSED
from .torch_ops import HANDLERS
from .torch_sparse import check_dense, is_sparse, n_stored
from .unsupported import NotCountable, OnUnsupported, Unsupported

__all__ = ["record_torch"]

_SETTINGS = ("stride", "padding", "dilation", "groups", "transpose")  # of a packed convolution
_RECORDED: Mapping[str, Any] = {**HANDLERS, **FUSED}


@contextmanager
def record_torch(name: str = "recorded", *, on_unsupported: OnUnsupported = "error") -> Iterator[Graph]:
    """Record the operators that PyTorch runs inside the block, as one flat graph.

    Parameters
    ----------
    name
        Of the graph.
    on_unsupported
        "list": operators that cannot be counted are left out and listed in ``graph.unsupported``.

    Yields
    ------
    Graph
        Filled while the block runs; finished, and ready for `flopcore.count`, when it ends. What is recorded is what
        reaches the dispatcher: the backward pass too, recomputation as often as it happens, an unrolled loop step by
        step. Tensors that the block did not make are parameters (`torch.nn.Parameter`) or inputs; scopes are the paths
        of the modules that run.

    Raises
    ------
    ImportError
        If torch is not installed.
    UnsupportedNodes
        At the end of the block, if operators ran that have no rule and that torch cannot write in others.

    Examples
    --------
    >>> import flopcore as fc
    >>> import torch  # doctest: +SKIP
    >>> layer, x = torch.nn.Linear(64, 32), torch.ones(8, 64)  # doctest: +SKIP
    >>> with fc.record_torch() as graph:  # doctest: +SKIP
    ...     layer(x).sum().backward()
    >>> fc.count(graph).flop("macs")  # forward, and the gradient of the weight  # doctest: +SKIP
    32768
    """
    unsupported = Unsupported(on_unsupported)
    torch = import_torch()
    recorder = _recorder(torch)(torch, name, unsupported)
    from torch.utils.module_tracker import ModuleTracker

    with ModuleTracker() as tracker:
        recorder.tracker = tracker
        with recorder:
            yield recorder.graph
    recorder.finish()


def _recorder(torch: Any) -> Any:
    """Return the dispatch mode; a function because its base class is torch's."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.weak import WeakTensorKeyDictionary

    class Recorder(TorchDispatchMode):  # type: ignore[misc, unused-ignore]
        def __init__(self, torch: Any, name: str, unsupported: Unsupported) -> None:
            super().__init__()
            self.graph = Graph(name)
            self.tracker: Any = None
            self._torch = torch
            self._values = WeakTensorKeyDictionary()
            self._decompositions = torch._decomp.decomposition_table
            self._unsupported = unsupported
            self._last: Tensor | None = None
            self._stored: dict[int, DimLike] = {}
            self._derived: dict[int, list[int]] = {}
            self._packed: dict[int, tuple[Any, Packed]] = {}

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            name = base_name(func)
            quantised = any(isinstance(each, torch.Tensor) and each.is_quantized for each in args)
            if name not in _RECORDED and func in self._decompositions and not quantised:
                with self:
                    return self._decompositions[func](*args, **kwargs)
            read = [self._read(each) for each in args], {key: self._read(each) for key, each in kwargs.items()}
            found = func(*args, **kwargs)
            self._record(func, name, read, found)
            return found

        def _record(self, func: Any, name: str, read: tuple[list[Any], dict[str, Any]], found: Any) -> None:
            results = list(found) if isinstance(found, tuple | list) else [found]
            tensors = [each if isinstance(each, torch.Tensor) else None for each in results]
            if not any(each is not None for each in tensors):
                return
            outputs = [None if each is None else (_shape(each), dtype_name(each.dtype)) for each in tensors]
            call = Call(
                graph=self.graph,
                name=name,
                origin=f"torch:{name}",
                label="",
                args=read[0],
                kwargs=read[1],
                schema=tuple(argument.name for argument in func._schema.arguments),
                outputs=outputs,
                stored=self._stored,
                derived=self._derived,
            )
            with self._located(func):
                try:
                    if name not in _RECORDED:
                        raise NotCountable("")
                    check_dense(call)
                    values = _RECORDED[name](call)
                except NotCountable as error:
                    self._unsupported.add(str(func), "", error)
                    values = [None if each is None else call.constant(*each) for each in outputs]
            listed = values if isinstance(values, list | tuple) else [values]
            for tensor, value in zip(tensors, listed, strict=False):
                if tensor is not None and isinstance(value, Tensor):
                    self._values[tensor] = value
                    self._last = value
                    if is_sparse(torch, tensor):
                        self._stored[value.id] = n_stored(torch, tensor)

        @contextmanager
        def _located(self, func: Any) -> Iterator[None]:
            paths = self.tracker.parents - {"Global"}
            path = max(paths, key=len, default="")
            with self.graph.scope(path.partition(".")[2]):
                try:
                    yield
                except FlopcoreError as error:
                    raise type(error)(f"{func}: {error}") from error

        def _read(self, value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return self._tensor(value)
            if isinstance(value, tuple | list):
                return [self._read(each) for each in value]
            if isinstance(value, torch.ScriptObject) and "CellParams" in str(value._type()):
                return [self._unpacked(each) for each in value.__getstate__()[0][4]]
            if isinstance(value, torch.ScriptObject) and hasattr(value, "unpack"):
                return self._unpacked(value)
            return dtype_name(value) if isinstance(value, torch.dtype) else value

        def _tensor(self, value: Any) -> Tensor:
            known = self._values.get(value)
            if known is None:
                shape, dtype = _shape(value), dtype_name(value.dtype)
                if isinstance(value, torch.nn.Parameter):
                    known = self.graph.parameter("weight", shape, dtype, origin="torch")
                else:
                    known = self.graph.input("input", shape, dtype, origin="torch")
                self._values[value] = known
                if is_sparse(torch, value):
                    self._stored[known.id] = n_stored(torch, value)
            assert isinstance(known, Tensor)
            return known

        def _unpacked(self, value: Any) -> Packed:
            """Return weight and bias of a quantised layer, which torch keeps in an object of its own."""
            key = hash(value)  # of the object in C++, which is kept so that no other gets its place
            if key not in self._packed:
                weight, bias = (
                    None if each is None else self._learned(name, each)
                    for name, each in zip(("weight", "bias"), value.unpack(), strict=True)
                )
                settings = {name: getattr(value, name)() for name in _SETTINGS if hasattr(value, name)}
                assert weight is not None
                self._packed[key] = value, Packed(weight, bias, settings)
            return self._packed[key][1]

        def _learned(self, name: str, value: Any) -> Tensor:
            known = self._values.get(value)
            if known is None:
                known = self.graph.parameter(name, _shape(value), dtype_name(value.dtype), origin="torch")
                self._values[value] = known
            assert isinstance(known, Tensor)
            return known

        def finish(self) -> None:
            self._unsupported.settle(self.graph)
            self.graph.output(*([] if self._last is None else [self._last]))
            mark_active(self.graph, self._derived)

    return Recorder


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in tensor.shape)
