"""From a graph to a tally, and from a tally to a number under a convention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from operator import index as whole
from typing import Any, Literal, Protocol, TypeAlias, get_args, overload

from . import _core
from .basis import Basis, fold
from .conventions import Convention
from .conventions import convention as find_convention
from .errors import ConventionError, DataError
from .explanation import Explanation, Kind, explain, node_kinds
from .expr import Expr
from .graph import Graph, check_routers
from .sizes import OpenSizes
from .specification import EXTENT_KINDS, PHASES, specification

__all__ = ["Count", "Extent", "GroupBy", "Row", "Tally", "Traffic", "count"]

Count: TypeAlias = int | Fraction | Expr
"""An exact amount: a number once all dims are bound, an expression before."""

GroupBy: TypeAlias = Literal["op", "module", "dtype", "phase", "feature"]


class TorchModule(Protocol):
    """A `torch.nn.Module`, as far as it is looked at here: torch need not be installed."""

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Yield names and weights."""
        ...


@dataclass(frozen=True, slots=True)
class Extent:
    """What may be left out of an amount: nominal and used size, and how sure the used size is."""

    kind: str
    nominal: Count
    used: Count
    grade: str


@dataclass(frozen=True, slots=True)
class Row:
    """One exact amount of one feature at one site; convention-free.

    Attributes
    ----------
    block : int
        The block of the graph it stands in; frames say how often that block is repeated.
    site : int
        Number of the node.
    name, op, scope, origin : str
        Name of the node, its op, its module path inside the block, and where it came from.
    variant : tuple of str
        Flags such as ``"bias"`` or ``"causal"``.
    phase : str
        ``"forward"``, ``"grad_input"``, ``"grad_weight"``, ``"recompute"`` or ``"optimizer"``.
    dtypes : tuple of str
        Of the first input, the first weight (else the second operand), the sums inside, and the output.
    feature : str
        What is counted, such as ``"mac"`` or ``"out_elems"``.
    base : int, Fraction or Expr
        Amount per repeat of the block, without extents.
    extents : tuple of Extent
        Factors: the amount is base times the nominal or used size of each, as a convention says.
    """

    block: int
    site: int
    name: str
    op: str
    variant: tuple[str, ...]
    phase: str
    dtypes: tuple[str, str, str, str]
    scope: str
    origin: str
    feature: str
    base: Count
    extents: tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that nodes read and write, each tensor once per node that has it: what no cache between nodes saves.

    Attributes
    ----------
    weights, activations
        Bytes read of weights, and of all other inputs.
    writes
        Bytes written.
    cache
        The part of `activations` that are keys and values of attention: the cache a decoder keeps.
    """

    weights: Count
    activations: Count
    writes: Count
    cache: Count

    @property
    def reads(self) -> Count:
        """Bytes read: weights and activations."""
        return self.weights + self.activations

    def to_dict(self) -> dict[str, int | str]:
        """Return the numbers by name; expressions are text."""
        parts = {name: getattr(self, name) for name in ("weights", "activations", "reads", "writes", "cache")}
        return {name: value if isinstance(value, int) else str(value) for name, value in parts.items()}


@dataclass(frozen=True, slots=True)
class Frame:
    """`times` runs of a block inside another one.

    Attributes
    ----------
    parent, block : int
        The block that runs, and the one that is run.
    kind : {"call", "loop", "branch", "recompute"}
        Of the branches of one site, one runs. In a recompute frame, forward rows are of phase recompute.
    times : int, Fraction or Expr
        How many runs.
    index : str
        The dim that counts them from 0, in the amounts of the rows of the block; empty if none does.
    params : {"per_call", "shared"}
        Whether each run has weights of its own.
    arm : int
        Of a branch, from 0.
    probability : int, Fraction or None
        Of a branch, where the graph says so.
    scope : str
        Module path, with the runs such as ``layers.[0..31]``.
    site : int
        Number of the node.
    """

    parent: int
    block: int
    kind: str
    times: Count
    index: str
    params: str
    arm: int
    probability: int | Fraction | None
    scope: str
    site: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Exact, convention-free counts of a graph; made by `count`, priced as often as one likes.

    Attributes
    ----------
    unsupported : mapping of str to int
        What the graph leaves out: how many nodes of each foreign op no rule covers. The count is complete where there
        are none; there are some only if ``on_unsupported="list"`` was asked for.
    unknown_routers : tuple of str
        Choices of experts whose weights are not known, as the graph lists them.
    sizes : OpenSizes
        For which values of its dims the graph is one; to bind others is a ShapeError.
    """

    core: _core.Tally
    dims: tuple[str, ...] = ()
    unsupported: Mapping[str, int] = field(default_factory=dict)
    unknown_routers: tuple[str, ...] = ()
    sizes: OpenSizes = field(default_factory=OpenSizes)

    def __repr__(self) -> str:
        nodes = sum(kind.nodes for kind in self.kinds())
        left_out = f", unsupported={dict(self.unsupported)}" if self.unsupported else ""
        return f"Tally(nodes={nodes}, dims={self.dims}, parameters={self.parameters}{left_out})"

    @property
    def parameters(self) -> Count:
        """Number of learned weights."""
        return self.core.parameters

    @property
    def active_parameters(self) -> Count:
        """Number of learned weights that one token goes through; see `Graph.active_parameters`."""
        check_routers(self.unknown_routers)
        return self.core.active_parameters

    @overload
    def flop(
        self, convention: str | Convention = ..., *, at: Mapping[str, int] | None = ..., by: None = ...
    ) -> Count: ...
    @overload
    def flop(
        self, convention: str | Convention = ..., *, at: Mapping[str, int] | None = ..., by: GroupBy
    ) -> dict[str, Count]: ...
    def flop(
        self,
        convention: str | Convention = "macs",
        *,
        at: Mapping[str, int] | None = None,
        by: GroupBy | None = None,
    ) -> Count | dict[str, Count]:
        """Return the price of the tally in the unit of the convention.

        Parameters
        ----------
        convention : str or Convention
            A name (see `flopcore.conventions`) or a convention of your own.
        at : mapping of str to int, optional
            Values for symbolic dims; what is left open stays symbolic.
        by : {"op", "module", "dtype", "phase", "feature"}, optional
            Break the total down. Modules are listed without their children, so that the parts sum to the total;
            the dtype is that of the first input.

        Returns
        -------
        int, Fraction, Expr, or dict of them
            Exact: an int (a Fraction where weights are fractions) once all dims are bound, an `Expr` before.

        Raises
        ------
        ConventionError
            If there is no such convention or grouping.
        DataError
            If `at` names no dim of the graph, or a value outside its bounds.
        ShapeError
            If shapes do not fit once dims are bound: a size is negative or a fraction, a window larger than its input.
        CountOverflowError
            If a count does not fit 127 bits; the message names the op.
        """
        chosen = find_convention(convention)
        if by not in (None, *get_args(GroupBy)):
            raise ConventionError(f"{by!r} is no known grouping; known: {', '.join(get_args(GroupBy))}")
        total, groups = _core.price(self.core, chosen.compiled(), by or "none")
        if by is None:
            return self._bind(total, at)
        return {name: self._bind(value, at) for name, value in groups.items()}

    def training_flop(self, convention: str | Convention = "model", *, at: Mapping[str, int] | None = None) -> Count:
        """Return what a forward and a backward pass cost, where the convention says what a backward pass costs.

        Parameters
        ----------
        convention : str or Convention
            One whose backward pass is a factor of the forward one, such as ``"epoch"``; or, for a tally with rows of
            the gradient phases, one that prices them.
        at : mapping of str to int, optional
            Values for symbolic dims.

        Raises
        ------
        DataError
            If the backward pass is priced by its rows and the tally has none, or `at` names no dim of the graph.

        Examples
        --------
        >>> import flopcore as fc
        >>> graph = fc.Graph()
        >>> y = graph.linear(graph.input("x", (8, 16)), graph.parameter("w", (4, 16)))
        >>> fc.count(graph).training_flop("deepspeed-0.19")
        3072
        """
        chosen = find_convention(convention)
        forward = self.flop(chosen, at=at)
        if chosen.backward is not None:
            return _whole((1 + chosen.backward) * forward)
        if not any(kind.phase.startswith("grad") for kind in self.kinds()):
            raise DataError(
                f"{chosen.name} prices a backward pass by its rows, and this tally has none; use a convention with a "
                "backward factor, such as deepspeed"
            )
        return forward

    def explain(self, convention: str | Convention = "macs", *, at: Mapping[str, int] | None = None) -> Explanation:
        """Return which rule priced which nodes, what was assumed, what was not counted, and what the rules note.

        Parameters
        ----------
        convention : str or Convention
            What to price under.
        at : mapping of str to int, optional
            Values for symbolic dims; what is left open stays symbolic, and is then not sorted by size.

        Raises
        ------
        ConventionError
            If there is no such convention.
        DataError
            If `at` names no dim of the graph.

        Examples
        --------
        >>> import flopcore as fc
        >>> graph = fc.Graph()
        >>> _ = graph.relu(graph.input("x", (8, 16)))
        >>> found = fc.count(graph).explain("macs")
        >>> found.total, [(row.kind.op, row.at_most) for row in found.uncounted]
        (0, [('relu', 128)])
        """
        self._bind(0, at)
        return explain(self.core, find_convention(convention), at=dict(at or {}), unsupported=self.unsupported)

    @overload
    def bytes(self, *, at: Mapping[str, int] | None = ..., by: None = ...) -> Traffic: ...
    @overload
    def bytes(self, *, at: Mapping[str, int] | None = ..., by: GroupBy) -> dict[str, Traffic]: ...
    def bytes(self, *, at: Mapping[str, int] | None = None, by: GroupBy | None = None) -> Traffic | dict[str, Traffic]:
        """Return how many bytes of weights and activations are read and written, from the same rows as the count.

        Of the arms of an if, each number is that of the arm where it is largest.

        Parameters
        ----------
        at : mapping of str to int, optional
            Values for symbolic dims; what is left open stays symbolic.
        by : {"op", "module", "dtype", "phase"}, optional
            Break the totals down; groups that move nothing are left out.

        Raises
        ------
        DataError
            If `at` names no dim of the graph, or `by` is ``"feature"``.

        Examples
        --------
        >>> import flopcore as fc
        >>> graph = fc.Graph()
        >>> y = graph.linear(graph.input("x", (8, 16)), graph.parameter("w", (4, 16)))
        >>> moved = fc.count(graph).bytes()
        >>> moved.weights, moved.activations, moved.writes
        (256, 512, 128)
        """
        if by == "feature":
            raise DataError("bytes are features themselves; break them down by op, module, dtype or phase")
        found = {
            feature: self.flop(_counting(feature), at=at, by=by or "phase")
            for feature in ("bytes_read", "weight_bytes", "bytes_written", "cache_bytes")
        }
        moved = {
            name: Traffic(
                weights=found["weight_bytes"].get(name, 0),
                activations=found["bytes_read"].get(name, 0) - found["weight_bytes"].get(name, 0),
                writes=found["bytes_written"].get(name, 0),
                cache=found["cache_bytes"].get(name, 0),
            )
            for name in sorted(set().union(*found.values()))
        }
        if by is not None:
            return moved
        total = Traffic(0, 0, 0, 0)
        for part in moved.values():
            total = Traffic(
                total.weights + part.weights,
                total.activations + part.activations,
                total.writes + part.writes,
                total.cache + part.cache,
            )
        return total

    def kinds(self) -> tuple[Kind, ...]:
        """Return the kinds of nodes: what op, flags, origin, dtype and phase there are, and how many of each."""
        return node_kinds(self.core)

    def basis(self, choices: Sequence[str | Convention]) -> Basis:
        """Return the tally folded for some conventions: few amounts, and what each convention weighs them with.

        What sweeps over conventions, switches and readings need: a choice becomes a row of weights, and no tally.

        Parameters
        ----------
        choices : sequence of str or Convention
            Conventions, or variations of one (``dataclasses.replace(convention, extents=...)``): any switches.

        Returns
        -------
        Basis
            Of at most 64 columns; ``basis.price(choice)`` equals ``tally.flop(choice)``.

        Raises
        ------
        ConventionError
            If there is no such convention, or more than 64 columns are needed.

        Examples
        --------
        >>> import flopcore as fc
        >>> g = fc.Graph()
        >>> batch = fc.dim("batch")
        >>> y = g.linear(g.input("x", (batch, 64)), g.parameter("w", (10, 64)), g.parameter("b", (10,)))
        >>> basis = fc.count(g).basis(["macs", "epoch", "all-arithmetic"])
        >>> [str(column) for column in basis.columns], basis.weights
        (['640*batch'], ((1,), (2,), (2,)))
        """
        return fold(self.core, choices, self.sizes)

    def _bind(self, value: Count, at: Mapping[str, int] | None) -> Count:
        """Bind dims; a name must be a dim of the graph, but need not stand in every amount."""
        unknown = sorted(set(at or {}) - set(self.dims))
        if unknown:
            known = ", ".join(self.dims) or "all its dims are numbers"
            raise DataError(f"the graph has no dim {', '.join(map(repr, unknown))}; its dims: {known}")
        self.sizes.at(at or {})
        return value.at(at, on_unknown="ignore") if at and isinstance(value, Expr) else value

    def blocks(self) -> tuple[str, ...]:
        """Return the names of the blocks, callees before callers; the last one is the graph itself."""
        return tuple(block["name"] for block in self.core.blocks())

    def frames(self) -> tuple[Frame, ...]:
        """Return the repeats of blocks inside blocks."""
        return tuple(Frame(**frame) for frame in self.core.frames())

    def rows(self) -> Iterator[Row]:
        """Yield every row, block by block."""
        for number, block in enumerate(self.core.blocks()):
            for index in range(*block["entries"]):
                entry = self.core.entry(index)
                amounts = entry.pop("amounts")
                for feature, base, extent in amounts:
                    extents = () if extent is None else (Extent(*extent),)
                    yield Row(block=number, feature=feature, base=base, extents=extents, **entry)


@cache
def _counting(feature: str) -> Convention:
    """Return a convention that charges one for a feature, in every row."""
    return Convention(
        name=feature,
        version=1,
        unit="instruction",
        weights=tuple(int(feature == name) for name in specification().features),
        overrides=(),
        extents=dict.fromkeys(EXTENT_KINDS, "nominal"),
        phases=PHASES,
        branches="max",
    )


def _whole(value: Count) -> Count:
    return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value


def count(graph: Graph | TorchModule, *args: object, at: Mapping[str, int] | None = None) -> Tally:
    """Walk a graph once and return its exact tally.

    Parameters
    ----------
    graph : Graph or torch.nn.Module
        What to count; all nodes of it, whether its outputs need them or not. A module of PyTorch is read by
        `flopcore.from_torch` first.
    *args
        What a module is called with; nothing beside a graph.
    at : mapping of str to int, optional
        Values for symbolic dims. They are put in before the walk, so that a fully bound graph is counted in plain
        integers; leave them out to get expressions, and bind those later with ``flop(at=...)``.

    Returns
    -------
    Tally
        Rows of features, to be priced under any convention.

    Raises
    ------
    DataError
        If `at` names no dim of the graph, or a value outside its bounds.
    ShapeError
        If shapes do not fit once dims are bound.
    CountOverflowError
        If a count does not fit 127 bits; the message names the op.

    Examples
    --------
    >>> import flopcore as fc
    >>> g = fc.Graph()
    >>> a, b = g.input("a", (3000001, 3000001)), g.input("b", (3000001, 3000001))
    >>> _ = g.matmul(a, b)
    >>> fc.count(g).flop("macs")
    27000027000009000001
    """
    if not isinstance(graph, Graph):
        if not hasattr(graph, "named_parameters"):
            raise TypeError(f"graph must be a flopcore.Graph, not {type(graph).__name__}; see flopcore.load_model")
        from .frontends.torch import from_torch

        graph = from_torch(graph, args)
    elif args:
        raise TypeError("a graph takes no inputs; bind its dims with at={...}")
    bound = _numbers(at)
    walked = _core.walk(graph.core, bound)
    dims = tuple(sorted(graph.dims))
    sizes = OpenSizes(tuple(graph.core.open_sizes()) if dims else ()).at(bound)
    return Tally(walked, dims, dict(graph.unsupported), tuple(graph.unknown_routers), sizes)


def _numbers(at: Mapping[str, int] | None) -> dict[str, int]:
    """Return bindings as plain integers."""
    if not isinstance(at, Mapping | None):
        raise TypeError(f"at must be a mapping from dim names to ints, not {at!r}")
    bound = {}
    for name, value in (at or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"a dim name must be a str, not {name!r}")
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"the value of dim {name!r} must be an int, not {value!r}")
        bound[name] = whole(value)
        if not -(2**62) <= bound[name] < 2**62:
            raise DataError(f"dim {name!r} cannot be {value}: it must be below 2^62")
    return bound
