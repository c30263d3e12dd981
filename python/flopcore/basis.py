"""Basis: a tally folded into few columns, so that the price under each of many conventions is a short sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeAlias

from . import _core
from .conventions import Convention, chosen
from .errors import ConventionError
from .expr import Expr
from .sizes import OpenSizes

__all__ = ["Basis", "fold"]

Count: TypeAlias = int | Fraction | Expr


@dataclass(frozen=True, slots=True)
class Basis:
    """Columns C_j and weights theta_j(choice): the price under a choice is the sum of theta_j(choice) C_j, exactly.

    Attributes
    ----------
    choices : tuple of str
        Names of the conventions.
    columns : tuple of int, Fraction or Expr
        At most 64 amounts; each is what all choices weigh in one proportion.
    weights : tuple of tuples of int or Fraction
        One row per choice, one entry per column.
    sizes : OpenSizes
        For which values of its dims the graph is one; to bind others is a ShapeError.
    """

    choices: tuple[str, ...]
    columns: tuple[Count, ...]
    weights: tuple[tuple[int | Fraction, ...], ...]
    sizes: OpenSizes = field(default_factory=OpenSizes, repr=False)

    def price(self, choice: int | str) -> Count:
        """Return the price under a choice, given by its place or its name.

        Raises
        ------
        ConventionError
            If the choice is not one of the basis, or its name stands for several.
        """
        place = choice if isinstance(choice, int) else self._place(choice)
        total: Count = 0
        for weight, column in zip(self.weights[place], self.columns, strict=True):
            if weight:
                total = total + weight * column
        return int(total) if isinstance(total, Fraction) and total.denominator == 1 else total

    def at(self, at: Mapping[str, int]) -> Basis:
        """Return the basis with dims bound; names that stand in no column are ignored.

        Raises
        ------
        ShapeError
            If shapes do not fit with these values.
        """
        bound = tuple(
            column.at(at, on_unknown="ignore") if isinstance(column, Expr) else column for column in self.columns
        )
        return replace(self, columns=bound, sizes=self.sizes.at(at))

    def _place(self, name: str) -> int:
        found = [place for place, known in enumerate(self.choices) if known == name]
        if len(found) != 1:
            raise ConventionError(f"{name!r} is {len(found)} of the choices {', '.join(self.choices)}; give its place")
        return found[0]


def fold(tally: _core.Tally, choices: Sequence[str | Convention], sizes: OpenSizes) -> Basis:
    """Return the basis of a tally of the core; see `flopcore.Tally.basis`."""
    conventions = chosen(choices)
    columns, weights = _core.basis(tally, [each.compiled() for each in conventions])
    return Basis(tuple(each.name for each in conventions), columns, weights, sizes)
