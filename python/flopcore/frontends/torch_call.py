"""One call of a PyTorch operator, its tensors being ours: what the handlers of `torch_ops` see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flopcore.graph import AttrValue, DimLike, Graph, Tensor

from .unsupported import NotCountable

__all__: list[str] = []


Output = tuple[tuple[DimLike, ...], str] | None


@dataclass(frozen=True, slots=True)
class Packed:
    """A quantised layer that torch keeps in an object of its own: its weights, and how a convolution goes."""

    weight: Tensor
    bias: Tensor | None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operator, its tensors being ours.

    `args` and `kwargs` hold tensors, sizes, numbers, names of dtypes, lists of them; `outputs` the shape and dtype that
    torch infers for each output, None where it is no tensor; `stored` how many elements the sparse tensors hold, by
    their number in the graph; `derived` gathers which tensors each constant stands for a function of.
    """

    graph: Graph
    name: str
    origin: str
    label: str
    args: list[Any]
    kwargs: dict[str, Any]
    schema: tuple[str, ...]
    outputs: Sequence[Output]
    stored: Mapping[int, DimLike] = field(default_factory=dict)
    derived: dict[int, list[int]] = field(default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an argument by its name in the operator's schema."""
        if name in self.kwargs:
            return self.kwargs[name]
        place = self.schema.index(name) if name in self.schema else len(self.args)
        return self.args[place] if place < len(self.args) else default

    def tensor(self, name: str) -> Tensor:
        """Return an argument that must be a tensor."""
        value = self.get(name)
        if not isinstance(value, Tensor):
            raise NotCountable(f"argument {name!r} is no tensor")
        return value

    @property
    def shape(self) -> tuple[DimLike, ...]:
        """Shape of the first output."""
        return self._output()[0]

    @property
    def dtype(self) -> str:
        """Dtype of the first output."""
        return self._output()[1]

    def _output(self) -> tuple[tuple[DimLike, ...], str]:
        if not self.outputs or self.outputs[0] is None:
            raise NotCountable("it gives no tensor")
        return self.outputs[0]

    def op(self, op: str, inputs: Sequence[Tensor | None], **attrs: AttrValue) -> Any:
        """Add a node."""
        return self.graph.op(op, inputs, attrs, name=self.label, origin=self.origin)

    def ops(self, op: str, inputs: Sequence[Tensor | None], **attrs: AttrValue) -> tuple[Tensor, ...]:
        """Add a node of several outputs."""
        return self.graph.op_outputs(op, inputs, attrs, name=self.label, origin=self.origin)

    def constant(self, shape: Sequence[DimLike] = (), dtype: str = "") -> Tensor:
        """Add a value whose content does not matter, made of the arguments or of nothing."""
        made = self.graph.constant(tuple(shape), dtype or self.dtype, name=self.label, origin=self.origin)
        self.derived[made.id] = self.reads()
        return made

    def reads(self) -> list[int]:
        """Return the numbers of the tensors among the arguments."""
        return _tensors([*self.args, *self.kwargs.values()])

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        """Return a tensor in another dtype; the same one if it has it."""
        return x if x.dtype == dtype else self.graph.cast(x, dtype, name=self.label, origin=self.origin)

    def reshape(self, x: Tensor, shape: Sequence[DimLike]) -> Tensor:
        """Return the same elements under another shape; the same tensor if it has it."""
        if tuple(map(str, x.shape)) == tuple(map(str, shape)):
            return x
        return self.graph.reshape(x, tuple(shape), name=self.label, origin=self.origin)

    def product(self, a: Tensor, b: Tensor, **attrs: AttrValue) -> Tensor:
        """Return a matrix product, of what a sparse operand holds alone."""
        left, right = self.stored.get(a.id), self.stored.get(b.id)
        found: Tensor
        if left is not None and right is not None:
            raise NotCountable("a product of two sparse matrices depends on where their elements stand")
        if left is None and right is None:
            found = self.op("matmul", [a, b], **attrs)
        elif left is not None:
            found = self.op("sparse_matmul", [a, b], sparse="left", nnz=left)
        else:
            assert right is not None
            found = self.op("sparse_matmul", [a, b], sparse="right", nnz=right)
        return found


def _tensors(values: Iterable[Any]) -> list[int]:
    found: list[int] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value.id)
        elif isinstance(value, list):
            found += _tensors(value)
    return found


Handler = Callable[[Call], Any]


def base_name(target: object) -> str:
    """Return `linear` of `aten.linear.default`, `add` of the in-place `aten.add_.Tensor`, `quantized_add` of that."""
    name = str(getattr(target, "_opname", "") or getattr(target, "__name__", target))
    if getattr(target, "namespace", "") == "quantized":
        name = f"quantized_{name}"
    if name.startswith("__") or not name.endswith("_") or name == "_":
        return name
    return name[:-1]
