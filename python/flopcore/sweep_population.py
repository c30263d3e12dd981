"""A population of products as values of a program, for what the engine's own way with populations does not offer."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from .distributions import Distribution, Fixed
from .program import Node, column
from .program_inputs import variable
from .sweep_plan import Entity, Factor

__all__ = ["totals_of"]


def totals_of(population: Sequence[Entity]) -> Node:
    """Return the total of each entity as a value of entities, made of the same random numbers at the same addresses.

    Raises
    ------
    ValueError
        For unequal shared factors, and a name that is of a group in one entity and another's own.
    """
    total = column([entity.coefficient for entity in population])
    kinds: dict[tuple[str, str], list[Factor | None]] = {}
    for m, entity in enumerate(population):
        for factor in sorted(entity.factors, key=lambda f: f.name):
            factor.distribution.log10_term()  # refuses what may not be positive
            kind = "shared" if factor.shared else "group" if factor.group else "own"
            kinds.setdefault((factor.name, kind), [None] * len(population))[m] = factor
    for (name, kind), factors in sorted(kinds.items()):
        if kind == "own" and (name, "group") in kinds:
            raise ValueError(f"factor {name!r} is of a group in one entity and another's own; rename one of them")
        total = total * _input(name, kind, factors) ** _powers(kind, factors)
    return total


def _powers(kind: str, factors: Sequence[Factor | None]) -> Node | int:
    present = [factor.power for factor in factors if factor is not None]
    without = 0 if kind == "shared" else present[0]  # another's own input, or group's, is 1 where it is absent
    powers = [without if factor is None else factor.power for factor in factors]
    return powers[0] if len(set(powers)) == 1 else column(powers)


def _input(name: str, kind: str, factors: Sequence[Factor | None]) -> Node:
    if kind == "own":
        return variable(name, [Fixed(1) if factor is None else factor.distribution for factor in factors])
    known: dict[str, Distribution] = {}
    for factor in factors:
        if factor is not None and known.setdefault(factor.group, factor.distribution) != factor.distribution:
            of_group = f" of group {factor.group!r}" if factor.group else ""
            raise ValueError(
                f"shared factor {name!r}{of_group} is {factor.distribution!r} in one entity, "
                f"{known[factor.group]!r} in another"
            )
    if kind == "shared":
        return variable(name, known[""])
    nobody = "-"
    while nobody in known:
        nobody += "-"
    groups = [nobody if factor is None else factor.group for factor in factors]
    return variable(name, {**known, nobody: Fixed(Fraction(1))}, per=groups)
