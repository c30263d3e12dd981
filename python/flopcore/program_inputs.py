"""Uncertain inputs of programs: one for the study, or for each entity or group, alone or correlated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast

from .distributions import Discrete, Distribution, GaussianCopula, Normal, Sample, Uniform
from .program import Node, Scope, constant
from .quantity import Number, parse_quantity

__all__ = ["Source", "correlated", "switch", "variable"]


@dataclass(frozen=True, slots=True)
class Source:
    """An uncertain input: its name, which is the address of its random numbers, and what is known of it.

    `space` tells of what the drawn term is an offset: of the value, or of its log10; "score" is the standard normal
    that a correlated input is made of. `groups` names the group of each entity where entities of a group have one draw,
    else it is empty.
    """

    name: str
    distributions: tuple[Distribution, ...]
    space: Literal["linear", "log10", "score"]
    groups: tuple[str, ...] = ()
    copula: GaussianCopula | None = None

    def __str__(self) -> str:
        what = [str(one) for one in dict.fromkeys(self.distributions)][:3]
        more = "" if len(set(self.distributions)) <= 3 else f" and {len(set(self.distributions)) - 3} more"
        of_groups = " of groups" if self.groups else ""
        return f"{', '.join(what)}{more}{of_groups}{' of a copula' if self.copula else ''}"


def _groups(name: str, per: Scope | Sequence[str]) -> tuple[str, ...]:
    """Return the group of each entity where `per` lists them."""
    if isinstance(per, str):
        if per not in ("study", "entity"):
            raise ValueError(f"variable {name!r}: per={per!r}; expected 'study', 'entity' or the group of each entity")
        return ()
    groups = tuple(per)
    if not groups or not all(isinstance(group, str) and group for group in groups):
        raise ValueError(f"variable {name!r}: per={list(groups)!r}; expected a text that is not empty for each entity")
    return groups


def _each(
    name: str, distribution: Distribution | Sequence[Distribution] | Mapping[str, Distribution], groups: tuple[str, ...]
) -> tuple[Distribution, ...]:
    """Return one distribution for all, or one for each entity."""
    if isinstance(distribution, Distribution):
        return (distribution,)
    if isinstance(distribution, Mapping):
        missing = sorted(set(groups) - set(distribution))
        if missing or not groups:
            what = f"no distribution for the groups {missing}" if groups else "give per= the group of each entity"
            raise ValueError(f"variable {name!r}: a mapping has distributions by group; {what}")
        return tuple(distribution[group] for group in groups)
    if groups:
        raise ValueError(f"variable {name!r}: per= lists groups; expected one distribution, or a mapping by group")
    if not isinstance(distribution, Iterable):
        raise TypeError(f"variable {name!r}: {distribution!r} is not a Distribution; use Fixed for a number")
    return tuple(distribution)


def variable(
    name: str,
    distribution: Distribution | Sequence[Distribution] | Mapping[str, Distribution],
    *,
    per: Scope | Sequence[str] = "study",
) -> Node:
    """Return an uncertain input.

    Parameters
    ----------
    name : str
        The address of its random numbers: the same name is the same draws in every program, scenario and sweep.
    distribution : Distribution, sequence of Distribution, or mapping of str to Distribution
        What is known of it; a sequence has one for each entity, a mapping one for each group.
    per : {"study", "entity"} or sequence of str
        One draw for the study; one for each entity, addressed by its key; or one for each group of entities, addressed
        by the group's name, where a sequence names the group of each entity. A sequence of distributions is always per
        entity.

    Raises
    ------
    TypeError
        For what is not a Distribution.
    ValueError
        For an empty name, groups without a distribution, or distributions of which some may be negative and others are
        drawn by their logarithm.

    Examples
    --------
    >>> from flopcore.distributions import LogNormal
    >>> params, tokens = variable("N", LogNormal(7e10, 0.1)), variable("D", LogNormal(15e12, 0.2))
    >>> 6 * params * tokens
    <Node mul of study>
    >>> variable("bias of the lab", LogNormal(1, 0.3), per=["A", "A", "B"])
    <Node exp10 of entity>
    """
    source, scope, size = _source(name, distribution, per)
    return _of_space(Node("draw", (), source, scope, size))


def _of_space(raw: Node) -> Node:
    """Return the value of a drawn term."""
    source = cast("Source", raw.payload)
    return Node("exp10", (raw,), None, raw.scope, raw.size) if source.space == "log10" else raw


def _source(
    name: str,
    distribution: Distribution | Sequence[Distribution] | Mapping[str, Distribution],
    per: Scope | Sequence[str],
    copula: GaussianCopula | None = None,
) -> tuple[Source, Scope, int]:
    """Return an uncertain input, its scope and its number of entities where that is known."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"variable name {name!r}: expected a text that is not empty")
    groups = _groups(name, per)
    each = _each(name, distribution, groups)
    for one in each:
        if not isinstance(one, Distribution):
            raise TypeError(f"variable {name!r}: {one!r} is not a Distribution; use Fixed for a number")
    if not each:
        raise ValueError(f"variable {name!r}: expected a distribution for each entity")
    scope: Scope = "study" if isinstance(distribution, Distribution) and per == "study" else "entity"
    # Point masses are drawn as they are, to meet a threshold exactly; all else by its logarithm if it has one.
    exact = any(isinstance(one, (Discrete, Sample)) for one in each)
    spaces: tuple[Literal["linear", "log10"], ...] = ("linear", "log10") if exact else ("log10", "linear")
    for space in spaces:
        try:
            terms = [one.log10_term() if space == "log10" else one.linear_term() for one in each]
        except ValueError as error:
            reason = error
            continue
        if any(term.half >= 1.0 for term in terms):
            continue  # uniform from next to 0: its logarithm has no lower end in float64
        size = len(groups) or (0 if isinstance(distribution, Distribution) else len(each))
        return Source(name, each, space, groups, copula), scope, size
    raise ValueError(f"variable {name!r}: {reason}")


def correlated(
    copula: GaussianCopula,
    distributions: Mapping[str, Distribution | Sequence[Distribution] | Mapping[str, Distribution]],
    *,
    per: Scope | Sequence[str] = "study",
) -> dict[str, Node]:
    """Return uncertain inputs whose ranks are correlated, by name.

    Parameters
    ----------
    copula : GaussianCopula
        Names and rank correlations.
    distributions : mapping
        What is known of each name of the copula, as for `variable`.
    per : {"study", "entity"} or sequence of str
        As for `variable`: each entity, or group, has draws of its own, correlated among its inputs.

    Raises
    ------
    ValueError
        If copula and distributions have different names, and as `variable`.

    Notes
    -----
    Input i has the score s_i = sum over j <= i of L_ij z_j, where z_j is the standard normal at input j's own random
    words and L L' the copula's matrix of normal scores; its value is its quantile at the probability of s_i.

    Examples
    --------
    >>> from flopcore.distributions import GaussianCopula, LogNormal, Triangular
    >>> copula = GaussianCopula(["N", "D"], [[1, 0.7], [0.7, 1]])
    >>> inputs = correlated(copula, {"N": LogNormal(7e10, 0.1), "D": Triangular(1e12, 15e12, 20e12)})
    >>> 6 * inputs["N"] * inputs["D"]
    <Node mul of study>
    """
    other = sorted(set(copula.names) ^ set(distributions))
    if other:
        raise ValueError(f"correlated: {other} are not in both the copula and the distributions")
    independent: list[Node] = []
    nodes: dict[str, Node] = {}
    for i, name in enumerate(copula.names):
        source, scope, size = _source(name, distributions[name], per, copula)
        independent.append(Node("draw", (), Source(name, (Normal(0, 1),), "score", source.groups), scope, size))
        weights = [Fraction(float(weight)) for weight in copula.factor[i, : i + 1]]
        terms = [z if w == 1 else z * w for z, w in zip(independent, weights, strict=True) if w]
        score = terms[0]
        for term in terms[1:]:
            score = score + term
        nodes[name] = _of_space(Node("couple", (score,), source, score.scope, score.size))
    return nodes


def switch(name: str, probabilities: Sequence[Number | float | str], *, per: Scope | Sequence[str] = "study") -> Node:
    """Return an uncertain choice: 0, 1, ... with these probabilities, which sum to 1.

    Examples
    --------
    >>> convention = switch("convention", ["1/4", "3/4"])
    >>> convention.scope
    'study'
    """
    shares = [Fraction(parse_quantity(p, name=f"switch {name!r}")) for p in probabilities]
    if not shares or any(p < 0 for p in shares) or sum(shares) != 1:
        raise ValueError(f"switch {name!r}: probabilities {[str(p) for p in shares]} are not shares that sum to 1")
    word = variable(name, Uniform(-1, 1), per=per)
    choice, below = constant(0) if per == "study" else word * 0, Fraction(0)
    for share in shares[:-1]:
        below += share
        choice = choice + (2 * below - 1 < word)
    return choice
