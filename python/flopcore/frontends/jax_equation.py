"""One equation of a jaxpr, its values being ours: what the handlers of `jax_ops` see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flopcore.graph import AttrValue, DimLike, Graph, Tensor

from .unsupported import NotCountable

__all__: list[str] = []


@dataclass(frozen=True, slots=True)
class Equation:
    """One equation of a jaxpr: its inputs are tensors of ours, `outputs` has the shapes and dtypes that JAX infers."""

    graph: Graph
    name: str
    given: Mapping[str, Any]
    inputs: list[Tensor]
    outputs: Sequence[tuple[tuple[DimLike, ...], str]]
    size: Callable[[Any], DimLike]

    @property
    def shape(self) -> tuple[DimLike, ...]:
        """Shape of the first output."""
        return self.outputs[0][0]

    @property
    def dtype(self) -> str:
        """Dtype of the first output."""
        return self.outputs[0][1]

    def op(self, op: str, inputs: Sequence[Tensor | None], **attrs: AttrValue) -> Any:
        """Add a node."""
        return self.graph.op(op, inputs, attrs, name=self.name, origin=f"jax:{self.name}")

    def ops(self, op: str, inputs: Sequence[Tensor | None], **attrs: AttrValue) -> tuple[Tensor, ...]:
        """Add a node of several outputs."""
        return self.graph.op_outputs(op, inputs, attrs, name=self.name, origin=f"jax:{self.name}")

    def constant(self, shape: Sequence[DimLike] = (), dtype: str = "") -> Tensor:
        """Add a fixed value."""
        return self.graph.constant(tuple(shape), dtype or self.dtype, name=self.name, origin=f"jax:{self.name}")

    def reshape(self, x: Tensor, shape: Sequence[DimLike]) -> Tensor:
        """Return the same elements under another shape; the same tensor if it has it."""
        if tuple(map(str, x.shape)) == tuple(map(str, shape)):
            return x
        found: Tensor = self.op("reshape", [x], shape=list(shape))
        return found

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """Return permuted dims; the same tensor if they stay."""
        if list(order) == list(range(len(x.shape))):
            return x
        found: Tensor = self.op("transpose", [x], permutation=list(order))
        return found


Handler = Callable[[Equation], Any]


def number(size: DimLike) -> int:
    """Return a size that must not be symbolic."""
    if not isinstance(size, int):
        raise NotCountable(f"the size {size} must be a number")
    return size
