"""Which uncertain inputs matter: variance-based indices, Shapley effects, tornado.

A model is a node of a program or an `Expr`, which the core runs, or a function of arrays. Outputs are drawn in blocks
and never stored; sums of them and of their products are exact (`pick_freeze`), so an index is the same for every block
size, order and number of threads. Its error comes from 64 independent batches.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from math import comb, lcm
from typing import Literal, TypeAlias

import numpy as np

from . import _core
from .distributions import Distribution, Seed, philox_key, seed_sequence
from .expr import Expr
from .pick_freeze import (
    BATCHES,
    NO_VARIANCE,
    ONE,
    UNIT,
    CallableModel,
    Model,
    NodeModel,
    PickFreeze,
    Sampler,
    evaluate,
    standard_error,
)
from .program import Node, Operand
from .program_expr import from_expr
from .program_inputs import variable

__all__ = [
    "Inputs",
    "Model",
    "ShapleyEffects",
    "SobolIndices",
    "Swing",
    "shapley_effects",
    "sobol_indices",
    "tornado",
]

Inputs: TypeAlias = Mapping[str, "Distribution | Operand"]
"""What each input of a function or dim of an `Expr` is; a node has its own."""

_EXACT_SHAPLEY = 12
_MOST_IN_PAIRS = 64
_CHUNK = 64  # mixtures whose outputs are held at once


@dataclass(frozen=True, slots=True)
class SobolIndices:
    """Shares of an output's variance.

    ``first[i]`` is the share that knowing input i would remove, ``total[i]`` the share that is left when all others are
    known; ``second[i][j]`` is what knowing both would remove beyond the first orders, where `order` asked for it, NaN
    where i is j. ``*_error`` are standard errors. All are NaN, with a `reason`, when the output does not vary.
    """

    names: tuple[str, ...]
    first: tuple[float, ...]
    first_error: tuple[float, ...]
    total: tuple[float, ...]
    total_error: tuple[float, ...]
    mean: float
    variance: float
    points: int
    evaluations: int
    sampler: Sampler
    seed: int | tuple[int, ...]
    reason: str = ""
    second: tuple[tuple[float, ...], ...] = ()
    second_error: tuple[tuple[float, ...], ...] = ()

    def __str__(self) -> str:
        rows = zip(self.names, self.first, self.first_error, self.total, self.total_error, strict=True)
        lines = [f"{n:24} {f:8.4f} +- {fe:.4f}  {t:8.4f} +- {te:.4f}" for n, f, fe, t, te in rows]
        pairs = [
            f"{self.names[i]} x {self.names[j]}: {self.second[i][j]:8.4f} +- {self.second_error[i][j]:.4f}"
            for i, j in combinations(range(len(self.second)), 2)
        ]
        return "\n".join([f"{'input':24} {'first order':>18}  {'total':>18}", *lines, *pairs])


@dataclass(frozen=True, slots=True)
class ShapleyEffects:
    """Shares of a variance that sum to 1, interactions divided evenly; NaN with a `reason` without variance."""

    names: tuple[str, ...]
    effects: tuple[float, ...]
    errors: tuple[float, ...]
    variance: float
    evaluations: int
    method: Literal["exact", "permutations"]
    seed: int | tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Swing:
    """An output with one input low and high, all others at their medians."""

    name: str
    at_low: float
    at_high: float


def _seed_of(seed: np.random.SeedSequence) -> int | tuple[int, ...]:
    entropy = seed.entropy
    return tuple(int(e) for e in entropy) if isinstance(entropy, Sequence) else int(entropy or 0)


def _as_node(model: Node | Expr, inputs: Inputs | None) -> Node:
    """Return what the core runs for a node, or for an expression of uncertain dims."""
    if isinstance(model, Node):
        if inputs is not None:
            raise ValueError("inputs: a node has variables of its own; expected none")
        return model
    at = {
        name: variable(name, value) if isinstance(value, Distribution) else value
        for name, value in (inputs or {}).items()
    }
    return from_expr(model, at)


def _distributions(inputs: Inputs | None) -> dict[str, Distribution]:
    found = {}
    for name, distribution in (inputs or {}).items():
        if not isinstance(distribution, Distribution):
            raise TypeError(f"input {name!r}: {distribution!r} is not a Distribution; see as_distribution")
        found[name] = distribution
    if not found:
        raise ValueError("inputs: expected at least one")
    return found


def _pick_freeze(
    model: Model | Node | Expr,
    inputs: Inputs | None,
    n: int,
    seed: np.random.SeedSequence,
    sampler: Sampler | None,
    entities: Sequence[str],
    threads: int | None,
) -> PickFreeze:
    if isinstance(model, (Node, Expr)):
        return NodeModel([_as_node(model, inputs)], n, seed, sampler, entities=entities, threads=threads)
    return CallableModel(model, _distributions(inputs), n, seed, sampler)


def sobol_indices(
    model: Model | Node | Expr,
    inputs: Inputs | None = None,
    *,
    order: Literal[1, 2] = 1,
    n: int = 1 << 16,
    rng: Seed = None,
    sampler: Sampler | None = None,
    entities: Sequence[str] = (),
    threads: int | None = None,
) -> SobolIndices:
    """Return first-order and total Sobol' indices of independent inputs, and the second order where it is asked for.

    Parameters
    ----------
    model : Node, Expr or callable
        A value of the study, such as ``count(flop > line)``; an exact expression; or a function from a mapping of input
        name to an array of draws, to an array of outputs.
    inputs : mapping of str to Distribution, optional
        Of a function, its inputs in the order of the result; of an `Expr`, what each dim is (a number is known). A node
        has its own: all variables of one name, of all entities, are one input.
    order : {1, 2}
        2: also the second order of each pair of up to 64 inputs.
    n : int
        Points; the model is evaluated n (inputs + 2) times, n (2 inputs + 2) times for the second order.
    rng : int, sequence of int, SeedSequence or None
        Seed.
    sampler : {"sobol", "philox"} or None
        Owen-scrambled Sobol' points, a scramble for each of 64 batches (up to 32 inputs, none of entities), or
        independent draws, those of a sweep; None takes points where it can.
    entities : sequence of str
        Of a node with values of entities: their keys.
    threads : int or None
        Of a node: at most this many; None means all CPUs that this process may use.

    Raises
    ------
    ValueError
        For another order, an `n` that is not 64 equal batches, a model whose outputs are not finite or not one a draw,
        or a node that has a value for each entity.

    Notes
    -----
    With A, B independent points and A_B^i the points A with input i from B: first order
    mean(f(B) (f(A_B^i) - f(A))) / V with f less the mean of all outputs (Saltelli et al. 2010, table 2 b), total
    mean((f(A) - f(A_B^i))^2) / 2 V (Jansen 1999); V is the variance of f(A) and f(B) together. Second order, i
    before j: mean(f(B_A^i) f(A_B^j) - f(A) f(B)) / V less both first orders (Saltelli 2002).

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.distributions import Uniform
    >>> unit = Uniform(0, 1)
    >>> found = sobol_indices(fc.variable("a", unit) + 2 * fc.variable("b", unit), n=1 << 12, rng=0)
    >>> [round(s, 2) for s in found.first]
    [0.2, 0.8]
    """
    seed = seed_sequence(rng)
    outputs = _pick_freeze(model, inputs, n, seed, sampler, entities, threads)
    d, size = len(outputs.names), outputs.size
    if order not in (1, 2) or (order == 2 and d > _MOST_IN_PAIRS):
        raise ValueError(f"order={order!r}, {d} inputs: expected 1, or 2 with at most {_MOST_IN_PAIRS} inputs")
    # Columns f(A), f(B), for the second order f(B_A^i), then f(A_B^i) - f(A): sums, squares and, with f(B), products.
    n_plain = 2 + d * (order - 1)
    pairs = [(0, ONE), (1, ONE), (0, 0), (1, 1)] + [
        pair for i in range(n_plain, n_plain + d) for pair in ((i, ONE), (1, i), (i, i))
    ]
    others = [tuple(k for k in range(d) if k != i) for i in range(d)] if order == 2 else []
    crossed = list(combinations(range(d), 2)) if order == 2 else []
    if order == 2:
        pairs += [(0, 1), *(pair for i in range(2, n_plain) for pair in ((i, ONE), (0, i)))]
        pairs += [(2 + i, n_plain + j) for i, j in crossed]
    sums = outputs.sums([(), range(d), *others, *((i,) for i in range(d))], n_plain, pairs)
    a, b, a_a, b_b, *rest = (sum(column) for column in zip(*sums, strict=True))
    steps, seconds = rest[: 3 * d], rest[3 * d :]
    mean = Fraction(a + b, 2 * n * UNIT)
    variance = Fraction(a_a + b_b, 2 * n * UNIT) - mean**2
    nan = (float("nan"),) * d
    result = SobolIndices(
        names=outputs.names,
        first=nan,
        first_error=nan,
        total=nan,
        total_error=nan,
        mean=float(mean),
        variance=float(variance),
        points=n,
        evaluations=n * (d + n_plain),
        sampler=outputs.sampler,
        seed=_seed_of(seed),
        reason="" if variance > 0 else NO_VARIANCE,
    )
    if variance <= 0:
        return result
    mirrored = sum(seconds[1 : 1 + 2 * len(others) : 2])
    centre = Fraction((d + 1) * a + b + mirrored + sum(steps[0::3]), n * (d + n_plain) * UNIT)
    first, total = _indices(steps, n, centre, variance)
    each = [_indices(batch[4 : 4 + 3 * d], size, centre, variance) for batch in sums]
    if order == 2:
        found = _second_order(crossed, b, rest, n, centre, variance)
        apart = [_second_order(crossed, batch[1], batch[4:], size, centre, variance) for batch in sums]
        errors = [standard_error(values) for values in zip(*apart, strict=True)]
        result = replace(result, second=_square(crossed, found, d), second_error=_square(crossed, errors, d))
    return replace(
        result,
        first=tuple(first),
        first_error=tuple(standard_error([batch[0][i] for batch in each]) for i in range(d)),
        total=tuple(total),
        total_error=tuple(standard_error([batch[1][i] for batch in each]) for i in range(d)),
    )


def _indices(steps: Sequence[int], n: int, centre: Fraction, variance: Fraction) -> tuple[list[float], list[float]]:
    """Return first-order and total indices, each rounded once.

    Three sums an input: of the steps D = f(A_B^i) - f(A), of f(B) D and of D D.
    """
    below = UNIT * n * variance.numerator
    first = [
        (product * centre.denominator - centre.numerator * step) * variance.denominator / (below * centre.denominator)
        for step, product in zip(steps[0::3], steps[1::3], strict=True)
    ]
    return first, [square * variance.denominator / (2 * below) for square in steps[2::3]]


def _second_order(
    crossed: Sequence[tuple[int, int]], b: int, rest: Sequence[int], n: int, centre: Fraction, variance: Fraction
) -> list[float]:
    """Return the second-order index of each pair of inputs.

    `b` sums f(B); `rest` has the sums of `_indices`, then those of f(A) f(B), of each f(B_A^i) alone and with f(A), and
    of f(B_A^i) (f(A_B^j) - f(A)) for each pair.
    """
    d = (len(rest) - 1 - len(crossed)) // 5
    steps, (a_b, *more) = rest[: 3 * d], rest[3 * d :]
    below = n * variance * UNIT
    first = [Fraction(steps[3 * i + 1]) - centre * steps[3 * i] for i in range(d)]
    return [
        float((more[2 * i + 1] + cross - a_b - centre * (more[2 * i] + steps[3 * j] - b) - first[i] - first[j]) / below)
        for (i, j), cross in zip(crossed, more[2 * d :], strict=True)
    ]


def _square(crossed: Sequence[tuple[int, int]], values: Sequence[float], d: int) -> tuple[tuple[float, ...], ...]:
    """Return the values of pairs as a symmetric table, NaN on its diagonal."""
    table = [[float("nan")] * d for _ in range(d)]
    for (i, j), value in zip(crossed, values, strict=True):
        table[i][j] = table[j][i] = value
    return tuple(map(tuple, table))


def shapley_effects(
    model: Model | Node | Expr,
    inputs: Inputs | None = None,
    *,
    n: int = 1 << 12,
    permutations: int = 512,
    rng: Seed = None,
    sampler: Sampler | None = None,
    entities: Sequence[str] = (),
    threads: int | None = None,
) -> ShapleyEffects:
    """Return Shapley effects of independent inputs: shares of the variance that sum to 1.

    Exact in the subsets up to 12 inputs (all 2^d are visited); beyond, averaged over random orders of the inputs.

    Parameters
    ----------
    model, inputs, rng, sampler, entities, threads
        As for :func:`sobol_indices`.
    n : int
        Points; the model is evaluated n (2^d) times up to 12 inputs, else up to n (permutations (d - 1) + 2) times.
    permutations : int
        Random orders beyond 12 inputs.

    Notes
    -----
    The effect of i is the average of c(u + i) - c(u) over the orders in which i joins, c(u) being the variance of the
    mean of f given the inputs u (Owen 2014; Song, Nelson and Staum 2016), or equally of the dual V - c(not u), which
    pick and freeze estimates without bias: half the mean of (f(A) - f(A with the inputs u from B))^2 (Jansen 1999).
    """
    seed = seed_sequence(rng)
    outputs = _pick_freeze(model, inputs, n, seed, sampler, entities, threads)
    d = len(outputs.names)
    exact = d <= _EXACT_SHAPLEY
    orders = [] if exact else _orders(seed, d, permutations)
    subsets = (
        [frozenset(u) for k in range(1, d + 1) for u in combinations(range(d), k)]
        if exact
        else sorted({frozenset(order[:k]) for order in orders for k in range(1, d + 1)}, key=sorted)
    )
    (total, squares), gaps = _gaps(outputs, subsets)
    variance = Fraction(squares, n * UNIT) - Fraction(total, n * UNIT) ** 2
    result = ShapleyEffects(
        names=outputs.names,
        effects=(float("nan"),) * d,
        errors=(float("nan"),) * d,
        variance=float(variance),
        evaluations=n * (len(subsets) + 1),
        method="exact" if exact else "permutations",
        seed=_seed_of(seed),
        reason="" if variance > 0 else NO_VARIANCE,
    )
    if variance <= 0:
        return result
    weights = _shapley_weights(subsets, d, orders)
    each = [[sum(w * gap[k] for k, w in row) for row in weights] for gap in gaps]
    whole = [sum(column) for column in zip(*each, strict=True)]
    scale = sum(whole)
    if scale == 0:
        return replace(result, reason="no step from one set of draws to the other moves the output")
    return replace(
        result,
        effects=tuple(effect / scale for effect in whole),
        errors=tuple(standard_error([BATCHES * batch[i] / scale for batch in each]) for i in range(d)),
    )


def _gaps(outputs: PickFreeze, subsets: Sequence[Collection[int]]) -> tuple[tuple[int, int], list[list[int]]]:
    """Return the sums of f(A) and of its square, and for each batch those of (f(A) - f(A with u from B))^2.

    Half their mean is the variance that u and its interactions account for.
    """
    total = squares = 0
    gaps: list[list[int]] = [[] for _ in range(BATCHES)]
    for start in range(0, len(subsets), _CHUNK):
        chunk = subsets[start : start + _CHUNK]
        pairs = [(0, ONE), (0, 0), *((k, k) for k in range(1, len(chunk) + 1))]
        for b, sums in enumerate(outputs.sums([(), *chunk], 1, pairs)):
            gaps[b] += sums[2:]
            if start == 0:
                total, squares = total + sums[0], squares + sums[1]
    return (total, squares), gaps


def _orders(seed: np.random.SeedSequence, d: int, count: int) -> list[list[int]]:
    """Return random orders of the inputs, each followed by its reverse: a shuffle by Philox words."""
    if count < 2 or count % 2:
        raise ValueError(f"permutations={count}: expected an even number, at least 2")
    words = _core.philox_words(philox_key(seed), _core.stream_hash("permutation", "", ""), 0, (count // 2) * d)
    orders = []
    for row in words.reshape(count // 2, d, 4)[:, :, 0].tolist():
        order = sorted(range(d), key=lambda i, row=row: (row[i], i))  # type: ignore[misc]
        orders += [order, order[::-1]]
    return orders


def _shapley_weights(
    subsets: Sequence[frozenset[int]], d: int, orders: Sequence[Sequence[int]]
) -> list[list[tuple[int, int]]]:
    """Return for each input the subsets that its effect is made of, and their weights up to a common factor.

    The worth of u is gap[u], that of no inputs is 0; the Shapley value is that of the dual game.
    """
    place = {u: k for k, u in enumerate(subsets)}
    weights: list[dict[int, int]] = [{} for _ in range(d)]

    def add(i: int, u: frozenset[int], weight: int) -> None:
        if u:
            weights[i][place[u]] = weights[i].get(place[u], 0) + weight

    if orders:
        for order in orders:
            for k, i in enumerate(order):
                add(i, frozenset(order[: k + 1]), 1)
                add(i, frozenset(order[:k]), -1)
        return [list(row.items()) for row in weights]
    common = lcm(*(comb(d - 1, k) for k in range(d)))
    for u in subsets:
        for i in range(d):
            joins = i in u
            others = len(u) - joins
            add(i, u, (1 if joins else -1) * (common // comb(d - 1, others)))
    return [list(row.items()) for row in weights]


def tornado(
    model: Model | Node | Expr,
    inputs: Inputs | None = None,
    *,
    low: float = 0.05,
    high: float = 0.95,
    entities: Sequence[str] = (),
) -> tuple[Swing, ...]:
    """Return each input's swing, widest first: the output at its low and high quantile, the others at their medians.

    Parameters
    ----------
    model, inputs, entities
        As for :func:`sobol_indices`.
    low, high : float
        Shares, in (0, 1).

    Examples
    --------
    >>> from flopcore.distributions import Uniform
    >>> [s.name for s in tornado(lambda x: x["a"] + 2 * x["b"], {"a": Uniform(0, 1), "b": Uniform(0, 1)})]
    ['b', 'a']
    """
    if not 0.0 < low < high < 1.0:
        raise ValueError(f"low={low!r}, high={high!r}: expected probabilities, low below high")
    if isinstance(model, (Node, Expr)):
        outputs = NodeModel([_as_node(model, inputs)], 2 * BATCHES, seed_sequence(0), "philox", entities=entities)
        names = outputs.names
        sets = [[end if j == i else 0 for j in range(len(names))] for i in range(len(names)) for end in (1, 2)]
        output = outputs.at_quantiles(sets, (0.5, low, high))
    else:
        given = _distributions(inputs)
        names, size = tuple(given), 2 * len(given)
        columns = {name: np.full(size, float(d.ppf(0.5))) for name, d in given.items()}
        for i, (name, d) in enumerate(given.items()):
            columns[name][2 * i : 2 * i + 2] = d.ppf(np.array([low, high]))
        output = evaluate(model, columns, size).tolist()
    swings = [Swing(name, output[2 * i], output[2 * i + 1]) for i, name in enumerate(names)]
    return tuple(sorted(swings, key=lambda s: -abs(s.at_high - s.at_low)))
