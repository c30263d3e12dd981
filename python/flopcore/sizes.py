"""For which values of its dims a graph is one: sizes that become fractions, or too small, for some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import ShapeError
from .expr import Expr, Operand

__all__ = ["OpenSizes"]


@dataclass(frozen=True, slots=True)
class OpenSizes:
    """Sizes of a graph that the bounds of its dims do not settle; a polynomial count holds only where these do.

    Attributes
    ----------
    sizes : tuple of (Expr, int, str)
        The size, its least value, and where in the graph it stands.
    """

    sizes: tuple[tuple[Expr, int, str], ...] = ()

    def at(self, at: Mapping[str, Operand]) -> OpenSizes:
        """Return what is open still with dims bound; names that stand in no size are ignored.

        Raises
        ------
        ShapeError
            If a size is now known to be no whole number, or too small: a window that is larger than its input.
        """
        if not self.sizes or not at:
            return self
        left = []
        for size, least, where in self.sizes:
            value = size.at(at, on_unknown="ignore")
            if isinstance(value, Expr):
                left.append((value, least, where))
            elif value < least or value.denominator != 1:
                given = ", ".join(f"{dim.name}={at[dim.name]}" for dim in size.free_dims if dim.name in at)
                raise ShapeError(
                    f"{where} is {size}, which is {value} with {given}; it must be a whole number of {least} or more"
                )
        return OpenSizes(tuple(left))
