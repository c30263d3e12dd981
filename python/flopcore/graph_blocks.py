"""Blocks: the part of `Graph` that builds programs out of blocks, run by calls, loops, scans and conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, cast

from . import _core
from .errors import GraphError, ShapeError
from .expr import Dim, Expr

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["Blocks", "DimLike", "Tensor"]

DimLike: TypeAlias = int | Expr
"""One size of a shape: an int of 0 or more, or an expression over dims."""

Params: TypeAlias = Literal["per_call", "shared"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value of a graph; make them with the methods of `Graph`.

    Attributes
    ----------
    graph : Graph
        The graph, or subgraph, it belongs to.
    id : int
        Its number in the arena, shared by a graph and its subgraphs.
    """

    graph: Graph
    id: int

    @property
    def shape(self) -> tuple[int | Expr, ...]:
        """Sizes, outermost first; ints where known, else expressions."""
        return self.graph.core.shape(self.id)

    @property
    def dtype(self) -> str:
        """Number format, such as ``"float32"``."""
        return self.graph.core.dtype(self.id)

    @property
    def name(self) -> str:
        """Name of the node that makes it, or the empty text."""
        return self.graph.core.tensor_name(self.id)

    def __repr__(self) -> str:
        sizes = ", ".join(str(size) for size in self.shape)
        return f"Tensor({self.name or f'#{self.id}'}: [{sizes}] {self.dtype})"


class Blocks:
    """Names, scopes and blocks of a graph; see `Graph`.

    Attributes
    ----------
    unsupported : dict of str to int
        Nodes of the model that the graph leaves out because no rule covers them: how many of each foreign op. Filled
        by a front-end that was told to list them.
    unknown_routers : list of str
        Choices of experts that a front-end saw and could not follow to their weights, by name: which part of the
        weights a token goes through is then not known.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.core = _core.Graph()
        self._block = 0
        self._scopes: list[str] = []
        self.unsupported: dict[str, int] = {}
        self.unknown_routers: list[str] = []

    def __repr__(self) -> str:
        return f"Graph({self.name!r}, nodes={self.core.n_nodes})"

    # ------------------------------------------------------------------ structure

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Put the nodes added inside into a module; nested scopes join with a dot."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    @property
    def current_scope(self) -> str:
        """Module path of the nodes added now."""
        return ".".join(scope for scope in self._scopes if scope)

    def subgraph(self, name: str) -> Self:
        """Return a new block of this graph, to be filled, finished by `output`, and then run.

        It has inputs and parameters of its own and sees no tensor from outside.
        """
        block = type(self)(name)
        block.core = self.core
        block._block = self.core.add_block(name)
        return block

    def output(self, *tensors: Tensor) -> None:
        """Declare the results and finish this graph or subgraph; nothing can be added afterwards.

        Raises
        ------
        GraphError
            If it is finished already, or a tensor belongs to another graph.
        """
        self.core.finish(self._block, self._ids(tensors))

    def _ids(self, tensors: Sequence[Tensor | None]) -> list[int | None]:
        ids: list[int | None] = []
        for tensor in tensors:
            if tensor is None:
                ids.append(None)
            elif not isinstance(tensor, Tensor):
                raise TypeError(f"expected a Tensor, got {type(tensor).__name__}: {tensor!r}")
            elif tensor.graph.core is not self.core:
                raise GraphError(f"{tensor!r} belongs to another graph")
            else:
                ids.append(tensor.id)
        return ids

    def call(
        self,
        subgraph: Self,
        args: Sequence[Tensor],
        *,
        times: int | Expr = 1,
        params: Params = "per_call",
        scope: str = "",
        name: str = "",
        origin: str = "builder",
    ) -> Tensor | tuple[Tensor, ...]:
        """Repeat a finished subgraph and return its outputs (one tensor, or a tuple if it has several).

        Parameters
        ----------
        subgraph : Graph
            Made by `subgraph` of this graph and finished by `output`.
        args : sequence of Tensor
            One per input of the subgraph, of the same shape and dtype.
        times : int or Expr
            How often it runs; 0 is allowed.
        params : {"per_call", "shared"}
            Whether each repeat has weights of its own (the layers of Llama) or all share one set (ALBERT).
        scope : str
            Module path of the repeats; ``layers`` repeated 32 times is shown as ``layers.[0..31]``.

        Raises
        ------
        GraphError, ShapeError
            If the subgraph is not finished, or an argument does not fit.
        """
        outputs = self._run("call", subgraph, args, times=times, params=params, scope=scope, name=name, origin=origin)
        return outputs[0] if len(outputs) == 1 else outputs

    def recompute(
        self, subgraph: Self, args: Sequence[Tensor], *, scope: str = "", name: str = "", origin: str = "builder"
    ) -> tuple[Tensor, ...]:
        """Run a subgraph once more, as activation checkpointing does before it goes backward; return its outputs.

        Its rows are of phase ``recompute``, which conventions such as ``model`` leave out and ``hardware`` counts. Its
        weights are those of the call that is done again, and not counted twice. Takes what `call` takes.
        """
        return self._run("recompute", subgraph, args, scope=scope, name=name, origin=origin)

    def loop(
        self,
        body: Self,
        state: Sequence[Tensor],
        *,
        times: int | Expr,
        invariants: Sequence[Tensor] = (),
        index: Dim | None = None,
        params: Params = "shared",
        scope: str = "",
        name: str = "",
        origin: str = "builder",
    ) -> tuple[Tensor, ...]:
        """Run a body again and again on its own results; return the state after the last run.

        Parameters
        ----------
        body : Graph
            A finished subgraph: its first inputs are the state, one per output, the others the invariants. Output i
            replaces input i in the next run, and has its shape and dtype.
        state : sequence of Tensor
            What the first run sees.
        times : int or Expr
            How many runs; 0 is allowed.
        invariants : sequence of Tensor
            What every run sees alike.
        index : Dim, optional
            Made by ``fc.dim(name, min=0)``: 0 in the first run, 1 in the next. Shapes and attributes inside may depend
            on it, so that the cost of a run does, and the loop costs the sum over its runs (in closed form where
            `flopcore.sum_over` has one). State may grow with it: output i is then input i at index + 1.
        params : {"shared", "per_call"}
            Whether all runs share one set of weights, or each has its own.
        scope, name, origin : str
            As for `call`.

        Raises
        ------
        GraphError, ShapeError
            If the body is not finished, or a tensor does not fit.

        Examples
        --------
        Decoding against a cache that grows by one position in each of ``new`` steps:

        >>> import flopcore as fc
        >>> prompt, new, step = fc.dim("prompt"), fc.dim("new"), fc.dim("step", min=0)
        >>> g = fc.Graph()
        >>> body = g.subgraph("step")
        >>> cache = body.input("cache", (prompt + step, 64))
        >>> grown = body.concat([cache, body.constant((1, 64))], axis=0)
        >>> _ = body.matmul(grown, body.constant((64, 1)))
        >>> body.output(grown)
        >>> (last,) = g.loop(body, [g.input("cache", (prompt, 64))], times=new, index=step)
        >>> print(last.shape[0])
        new + prompt
        >>> print(fc.count(g).flop("macs"))
        32*new**2 + 64*new*prompt + 32*new
        """
        return self._run(
            *("loop", body, [*state, *invariants]), times=times, params=params, index=index, n_state=len(state),
            scope=scope, name=name, origin=origin,
        )  # fmt: skip

    def scan(
        self,
        body: Self,
        carries: Sequence[Tensor],
        xs: Sequence[Tensor] = (),
        *,
        length: int | Expr | None = None,
        invariants: Sequence[Tensor] = (),
        axis: int | Sequence[int] = 0,
        out_axis: int | Sequence[int] = 0,
        index: Dim | None = None,
        params: Params = "shared",
        scope: str = "",
        name: str = "",
        origin: str = "builder",
    ) -> tuple[Tensor, ...]:
        """Run a body over the slices of tensors; return the last carries, then the other results stacked.

        Parameters
        ----------
        body : Graph
            A finished subgraph: its inputs are the carries, one slice of each of xs, and the invariants; its outputs
            the new carries, then what is stacked.
        carries : sequence of Tensor
            What the first run sees; each keeps its shape and dtype (or grows with `index`, as the state of `loop`).
        xs : sequence of Tensor
            What is cut: run i sees entry i along the axis, without that dim.
        length : int or Expr, optional
            How many runs; the size of xs along their axis unless given. Must be given without xs.
        invariants : sequence of Tensor
            What every run sees alike.
        axis, out_axis : int or sequence of int
            Which dim of each of xs is cut, and which dim of each stacked result counts the runs.
        index, params, scope, name, origin
            As for `loop`.

        Raises
        ------
        GraphError, ShapeError
            If the body is not finished, or a tensor does not fit.

        Notes
        -----
        Cutting and stacking move data that is not counted: the body reads its slice and writes its result.

        Examples
        --------
        >>> import flopcore as fc
        >>> g = fc.Graph()
        >>> body = g.subgraph("cell")
        >>> h, x = body.input("h", (1, 8)), body.input("x", (1, 4))
        >>> new = body.tanh(body.add(body.linear(x, body.parameter("w", (8, 4))), h))
        >>> body.output(new, new)
        >>> last, all_of_them = g.scan(body, [g.input("h", (1, 8))], [g.input("x", (fc.dim("seq"), 1, 4))])
        >>> print(all_of_them)
        Tensor(#9: [seq, 1, 8] float32)
        >>> print(fc.count(g).flop("macs"), g.parameters)
        32*seq 32
        """
        slice_axes = _axes(axis, [len(x.shape) for x in xs], "axis")
        if length is None:
            if not xs:
                raise ValueError("a scan without xs needs length=")
            length = xs[0].shape[slice_axes[0]]
        stacked = self.core.block_outputs(body._block)[len(carries) :]
        stack_axes = _axes(out_axis, [len(self.core.shape(tensor)) + 1 for tensor in stacked], "out_axis")
        return self._run(
            *("loop", body, [*carries, *xs, *invariants]), times=length, params=params, index=index,
            n_state=len(carries), slice_axes=slice_axes, stack_axes=stack_axes, scope=scope, name=name, origin=origin,
        )  # fmt: skip

    def cond(
        self,
        arms: Sequence[tuple[Self, Sequence[Tensor]]],
        *,
        probabilities: Sequence[int | Fraction | float | str] | None = None,
        params: Params = "per_call",
        scope: str = "",
        name: str = "",
        origin: str = "builder",
    ) -> tuple[Tensor, ...]:
        """Run one of several blocks, it is not known which; return its results.

        Parameters
        ----------
        arms : sequence of (Graph, arguments)
            Finished subgraphs that return the same shapes and dtypes, each with what it is run on.
        probabilities : sequence of int, Fraction, float or str, optional
            How often each arm runs; exact, and 1 in sum (a float is taken as it is written: 0.1 is 1/10). They are
            needed by conventions whose `branches` is ``"probability"``; others price the dearest arm, the cheapest, or
            all of them.
        params : {"per_call", "shared"}
            Whether arms that are the same subgraph have weights of their own. The weights of all arms count.
        scope, name, origin : str
            As for `call`; rows of an arm stand under the name of its subgraph.

        Raises
        ------
        GraphError, ShapeError
            If an arm is not finished, an argument does not fit, or the arms return different things.

        Examples
        --------
        >>> import flopcore as fc
        >>> g = fc.Graph()
        >>> x = g.input("x", (1, 100))
        >>> big, small = g.subgraph("big"), g.subgraph("small")
        >>> big.output(big.linear(big.input("x", (1, 100)), big.parameter("w", (100, 100))))
        >>> small.output(small.relu(small.input("x", (1, 100))))
        >>> _ = g.cond([(big, [x]), (small, [x])], probabilities=["0.25", "0.75"])
        >>> fc.count(g).flop("macs"), fc.count(g).flop("epoch")
        (10000, 5000)
        """
        for subgraph, _ in arms:
            self._check_own(subgraph)
        inputs = self._ids([argument for _, arguments in arms for argument in arguments])
        chances = [Fraction(str(each)) for each in probabilities or ()]
        if probabilities is not None and len(chances) != len(arms):
            raise ValueError(f"{len(chances)} probabilities for {len(arms)} arms")
        with self.scope(scope):
            first = self.core.add_if(
                [subgraph._block for subgraph, _ in arms], inputs, chances, params, self._block, name,
                self.current_scope, origin,
            )  # fmt: skip
        return self._made(first)

    def _run(
        self,
        op: Literal["call", "loop", "recompute"],
        subgraph: Self,
        inputs: Sequence[Tensor],
        *,
        times: int | Expr = 1,
        params: Params = "per_call",
        index: Dim | None = None,
        n_state: int = 0,
        slice_axes: Sequence[int] = (),
        stack_axes: Sequence[int] = (),
        scope: str,
        name: str,
        origin: str,
    ) -> tuple[Tensor, ...]:
        self._check_own(subgraph)
        with self.scope(scope):
            first = self.core.add_run(
                *(op, subgraph._block, self._ids(inputs), times, params, index, n_state, slice_axes, stack_axes),
                *(self._block, name, self.current_scope, origin),
            )
        return self._made(first)

    def _check_own(self, subgraph: Self) -> None:
        if subgraph.core is not self.core:
            raise GraphError(f"subgraph {subgraph.name!r} was not made by this graph; use graph.subgraph(name)")

    def _made(self, first: int) -> tuple[Tensor, ...]:
        """Return the outputs of the node added last."""
        return tuple(Tensor(cast("Graph", self), made) for made in range(first, self.core.n_tensors))


def _axes(axis: int | Sequence[int], ranks: Sequence[int], what: str) -> list[int]:
    """One axis per rank, counted from 0."""
    axes = [axis] * len(ranks) if isinstance(axis, int) else list(axis)
    if len(axes) != len(ranks):
        raise ValueError(f"{what} has {len(axes)} entries for {len(ranks)} tensors")
    for each, rank in zip(axes, ranks, strict=True):
        if not -rank <= each < rank:
            raise ShapeError(f"{what} {each} is out of range for {rank} dims")
    return [each % rank for each, rank in zip(axes, ranks, strict=True)]
