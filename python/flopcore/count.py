"""From a graph to a tally, and from a tally to a number under a convention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias, overload

from . import _core
from .conventions import Convention, convention
from .errors import DataError
from .expr import Expr
from .graph import Graph

__all__ = ["Count", "Extent", "GroupBy", "Row", "Tally", "count"]

Count: TypeAlias = int | Fraction | Expr
"""An exact amount: a number once all dims are bound, an expression before."""

GroupBy: TypeAlias = Literal["op", "module", "dtype", "phase", "feature"]


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
        Of the first input, the first weight, the accumulator and the output.
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
class Frame:
    """`times` repeats of a block inside another one."""

    parent: int
    block: int
    kind: str
    times: Count
    params: str
    scope: str
    site: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Exact, convention-free counts of a graph; made by `count`, priced as often as one likes."""

    core: _core.Tally
    dims: tuple[str, ...] = ()

    @property
    def parameters(self) -> Count:
        """Number of learned weights."""
        return self.core.parameters

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
        CountOverflowError
            If a count does not fit 127 bits; the message names the op.
        """
        chosen = _resolve(convention)
        total, groups = _core.price(self.core, chosen.compiled(), by or "none")
        if by is None:
            return self._bind(total, at)
        return {name: self._bind(value, at) for name, value in groups.items()}

    def _bind(self, value: Count, at: Mapping[str, int] | None) -> Count:
        """Bind dims; a name must be a dim of the graph, but need not stand in every amount."""
        unknown = sorted(set(at or {}) - set(self.dims))
        if unknown:
            known = ", ".join(self.dims) or "all its dims are numbers"
            raise DataError(f"the graph has no dim {', '.join(map(repr, unknown))}; its dims: {known}")
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


def _resolve(name: str | Convention) -> Convention:
    return name if isinstance(name, Convention) else convention(name)


def count(graph: Graph, *, at: Mapping[str, int] | None = None) -> Tally:
    """Walk a graph once and return its exact tally.

    Parameters
    ----------
    graph : Graph
        What to count; all nodes of it, whether its outputs need them or not.
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
        raise TypeError(f"graph must be a flopcore.Graph, not {type(graph).__name__}; see flopcore.load_model")
    return Tally(_core.walk(graph.core, dict(at or {})), tuple(sorted(graph.dims)))
