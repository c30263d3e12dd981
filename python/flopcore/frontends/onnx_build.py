"""What a rule for an ONNX op is, and what it may do to the graph under construction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from flopcore._core import OnnxGraph, OnnxTensor
from flopcore.expr import Dim, Expr
from flopcore.graph import AttrValue

from .onnx_values import Frame, Node, Size, Value

__all__: list[str] = []


class Builder(Protocol):
    """What a rule may do."""

    def emit(
        self, node: Node, op: str, inputs: Sequence[Value | None], attrs: Mapping[str, AttrValue] | None = None
    ) -> Value:
        """Add an op and return its first output."""

    def emit_all(
        self, node: Node, op: str, inputs: Sequence[Value | None], attrs: Mapping[str, AttrValue] | None = None
    ) -> list[Value]:
        """Add an op and return its outputs."""

    def weight(self, node: Node, value: Value) -> Value:
        """Place a value that a weight slot reads: a literal there is learned."""

    def statistic(self, node: Node, value: Value) -> Value:
        """Place a value that is stored with the weights but not learned."""

    def transposed_weight(self, node: Node, value: Value) -> Value | None:
        """Place a matrix under transposed dims, if this node alone reads it."""

    def literal(self, node: Node, tensor: OnnxTensor, name: str) -> Value:
        """Return the value of a tensor that is written in an attribute."""

    def size(self, size: int | str | None, fallback: str, *, least: int = 1) -> int | Expr:
        """Return a size: a number, or a dim by the name in the file, or else by this one, bound where `at` says so."""

    def unique(self, name: str) -> str:
        """Return a name for a dim that the model has not."""

    def counts_runs(self, size: Size) -> bool:
        """Return whether a size depends on how often a loop ran."""

    def written_out(self, node: Node, body: OnnxGraph, inputs: Sequence[Value]) -> list[Value]:
        """Translate a body in place of its node and return its outputs."""

    def new_block(self, node: Node, name: str) -> Frame:
        """Return an empty block within the current one."""

    def inside(self, frame: Frame) -> AbstractContextManager[None]:
        """Put what is translated meanwhile into a block."""

    def finish(self, frame: Frame, outputs: Sequence[Value]) -> None:
        """Declare what a block returns."""

    def state(self, name: str, dtype: str, shape: tuple[Size, ...]) -> Value:
        """Add an input of the current block."""

    def add_loop(self, node: Node, loop: Loop, inputs: Sequence[Value]) -> list[Value]:
        """Run a finished block again and again; return the last state, then what is stacked."""

    def add_if(self, node: Node, arms: Sequence[Frame]) -> list[Value]:
        """Run one of several finished blocks and return its outputs."""


@dataclass(frozen=True, slots=True)
class Loop:
    """How a block is run again and again; see `flopcore.Graph.scan`."""

    frame: Frame
    times: Size
    index: Dim | None
    n_state: int
    slice_axes: tuple[int, ...] = ()
    stack_axes: tuple[int, ...] = ()


Result: TypeAlias = Value | None
Rule: TypeAlias = Callable[[Builder, Node], Result | Sequence[Result]]
