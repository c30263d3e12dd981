"""Which uncertain inputs matter: variance-based indices, Shapley effects, tornado, decomposition over scenarios.

A model is a node of a program or an `Expr`, which the core runs, or a function of arrays. Outputs are drawn in blocks
and never stored; sums of them and of their products are exact (`pick_freeze`), so an index is the same for every block
size, order and number of threads. Its error comes from 64 independent batches.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, pairwise
from math import comb, lcm, sqrt
from typing import Literal, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from .distributions import Distribution, Seed, philox_key, seed_sequence
from .expr import Expr
from .pick_freeze import (
    BATCHES,
    ONE,
    UNIT,
    CallableModel,
    Model,
    NodeModel,
    PickFreeze,
    Sampler,
    Values,
    evaluate,
    whole_numbers,
)
from .program import Node, Operand, constant, where
from .program_expr import from_expr
from .program_inputs import variable
from .sinks import Category

__all__ = [
    "CategoryIndex",
    "Inputs",
    "Model",
    "ShapleyEffects",
    "SobolIndices",
    "Swing",
    "VarianceSplit",
    "first_order_of_categories",
    "shapley_effects",
    "sobol_indices",
    "tornado",
    "variance_split",
]

Inputs: TypeAlias = Mapping[str, "Distribution | Operand"]
"""What each input of a function or dim of an `Expr` is; a node has its own."""

_EXACT_SHAPLEY = 12
_CHUNK = 64  # mixtures whose outputs are held at once
_NO_VARIANCE = "the output does not vary"


@dataclass(frozen=True, slots=True)
class SobolIndices:
    """Shares of an output's variance.

    ``first[i]`` is the share that knowing input i would remove, ``total[i]`` the share that is left when all others are
    known; ``*_error`` are standard errors. All are NaN, with a `reason`, when the output does not vary.
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

    def __str__(self) -> str:
        rows = zip(self.names, self.first, self.first_error, self.total, self.total_error, strict=True)
        lines = [f"{n:24} {f:8.4f} +- {fe:.4f}  {t:8.4f} +- {te:.4f}" for n, f, fe, t, te in rows]
        return "\n".join([f"{'input':24} {'first order':>18}  {'total':>18}", *lines])


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
class CategoryIndex:
    """The share of a variance between categories, its bias removed; NaN with a `reason` where it is not defined."""

    share: float
    error: float
    counts: tuple[int, ...]
    means: tuple[float, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Swing:
    """An output with one input low and high, all others at their medians."""

    name: str
    at_low: float
    at_high: float


@dataclass(frozen=True, slots=True)
class VarianceSplit:
    """The law of total variance over scenarios with these weights: between their means, and within them."""

    scenarios: tuple[str, ...]
    weights: tuple[float, ...]
    means: tuple[float, ...]
    variances: tuple[float, ...]
    between: float
    within: float
    share_between: float
    share_error: float
    reason: str = ""


def _seed_of(seed: np.random.SeedSequence) -> int | tuple[int, ...]:
    entropy = seed.entropy
    return tuple(int(e) for e in entropy) if isinstance(entropy, Sequence) else int(entropy or 0)


def _error(batches: Sequence[float]) -> float:
    """Return the standard error of the mean of independent estimates."""
    n = len(batches)
    mean = sum(batches) / n
    return sqrt(sum((b - mean) ** 2 for b in batches) / (n * (n - 1)))


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
    n: int = 1 << 16,
    rng: Seed = None,
    sampler: Sampler | None = None,
    entities: Sequence[str] = (),
    threads: int | None = None,
) -> SobolIndices:
    """Return first-order and total Sobol' indices of independent inputs.

    Parameters
    ----------
    model : Node, Expr or callable
        A value of the study, such as ``count(flop > line)``; an exact expression; or a function from a mapping of input
        name to an array of draws, to an array of outputs.
    inputs : mapping of str to Distribution, optional
        Of a function, its inputs in the order of the result; of an `Expr`, what each dim is (a number is known). A node
        has its own: all variables of one name, of all entities, are one input.
    n : int
        Points; the model is evaluated n (inputs + 2) times.
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
        For an `n` that is not 64 equal batches, a model whose outputs are not finite or not one a draw, or a node that
        has a value for each entity.

    Notes
    -----
    With A, B independent points and A_B^i the points A with input i from B: first order
    mean(f(B) (f(A_B^i) - f(A))) / V with f less the mean of all outputs (Saltelli et al. 2010, table 2 b), total
    mean((f(A) - f(A_B^i))^2) / 2 V (Jansen 1999); V is the variance of f(A) and f(B) together.

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
    # Columns f(A), f(B), f(A_B^i) - f(A): their sums, squares and, with f(B), products.
    pairs = [(0, ONE), (1, ONE), (0, 0), (1, 1)] + [
        pair for i in range(2, d + 2) for pair in ((i, ONE), (1, i), (i, i))
    ]
    sums = outputs.sums([(), range(d), *((i,) for i in range(d))], 2, pairs)
    a, b, a_a, b_b, *steps = (sum(column) for column in zip(*sums, strict=True))
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
        evaluations=n * (d + 2),
        sampler=outputs.sampler,
        seed=_seed_of(seed),
        reason="" if variance > 0 else _NO_VARIANCE,
    )
    if variance <= 0:
        return result
    centre = Fraction((d + 1) * a + b + sum(steps[0::3]), n * (d + 2) * UNIT)
    first, total = _indices(steps, n, centre, variance)
    each = [_indices(batch[4:], size, centre, variance) for batch in sums]
    return replace(
        result,
        first=tuple(first),
        first_error=tuple(_error([batch[0][i] for batch in each]) for i in range(d)),
        total=tuple(total),
        total_error=tuple(_error([batch[1][i] for batch in each]) for i in range(d)),
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
        reason="" if variance > 0 else _NO_VARIANCE,
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
        errors=tuple(_error([BATCHES * batch[i] / scale for batch in each]) for i in range(d)),
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


def _batch_ends(size: int) -> list[int]:
    return [size * k // BATCHES for k in range(BATCHES + 1)]


def _array_sums(values: Values) -> tuple[Fraction, Fraction]:
    """Return the exact sum and sum of squares."""
    if not values.size:
        return Fraction(0), Fraction(0)
    pairs = np.array([(0, 1), (0, 0)], dtype=np.uint32)
    total, squares = whole_numbers(_core.exact_sums(np.ascontiguousarray(values[None, :]), pairs))
    return Fraction(total, UNIT), Fraction(squares, UNIT)


def _finite(values: ArrayLike, what: str) -> Values:
    array = np.asarray(values, dtype=np.float64).ravel()
    if array.size == 0 or not bool(np.all(np.isfinite(array))):
        raise ValueError(f"{what}: expected finite numbers, at least one")
    return array


def first_order_of_categories(
    output: ArrayLike | Node,
    categories: ArrayLike | Category,
    *,
    n: int = 1 << 16,
    rng: Seed = None,
    entities: Sequence[str] = (),
    threads: int | None = None,
) -> CategoryIndex:
    """Return the share of a variance that a categorical input accounts for, without any special design of the draws.

    Parameters
    ----------
    output : array or Node
        Outputs, one a draw; or a value of the study, which is drawn and not stored.
    categories : array of int, or Category
        The input's category in each draw, 0, 1, ...; of a node: what it is called and its value.
    n, rng, entities, threads
        Of a node: how many draws, those of a sweep, and as for :func:`sobol_indices`.

    Raises
    ------
    ValueError
        For outputs that are not finite, and categories that are not whole numbers from 0 below the number of labels.

    Notes
    -----
    sum_g n_g (mean_g - mean)^2 / (N V), less its bias (G - 1) / N where nothing but chance divides the categories:
    here sum_g n_g (mean_g - mean)^2 - (G - 1) W / (N - G) over N V, W the sum of squares within. The error is a
    jackknife over 64 batches.

    Examples
    --------
    >>> import flopcore as fc
    >>> from flopcore.distributions import Uniform
    >>> reading = fc.switch("reading", ["1/2", "1/2"])
    >>> y = fc.lookup(reading, [0, 1]) + fc.variable("x", Uniform(0, 1))
    >>> round(first_order_of_categories(y, fc.Category("reading", reading), rng=0).share, 2)
    0.75
    """
    if isinstance(output, Node) != isinstance(categories, Category):
        raise TypeError("output and categories: expected a node and a Category, or two arrays")
    if isinstance(output, Node) and isinstance(categories, Category):
        cells = _node_cells(output, categories, n, rng, entities, threads)
    else:
        cells = _array_cells(output, categories)
    return _category_index(cells)


_Cell: TypeAlias = tuple[int, Fraction, Fraction]
"""Draws of a category in a batch, the sum of their outputs, and that of the squares."""


def _array_cells(output: object, categories: object) -> list[list[_Cell]]:
    y, g = _finite(cast("ArrayLike", output), "output"), np.asarray(categories).ravel()
    if y.shape != g.shape or not np.issubdtype(g.dtype, np.integer) or int(g.min()) < 0:
        raise ValueError("output and categories: expected as many finite outputs as whole numbers from 0")
    cells = []
    for low, high in pairwise(_batch_ends(y.size)):
        chosen = [y[low:high][g[low:high] == k] for k in range(int(g.max()) + 1)]
        cells.append([(values.size, *_array_sums(values)) for values in chosen])
    return cells


def _node_cells(
    output: Node, category: Category, n: int, rng: Seed, entities: Sequence[str], threads: int | None
) -> list[list[_Cell]]:
    outputs: list[Node] = []
    for k in range(len(category.labels)):
        inside = constant(k).equals(category.node)
        outputs += [inside, where(inside, output, 0)]
    model = NodeModel(outputs, n, seed_sequence(rng), "philox", entities=entities, threads=threads)
    pairs = [pair for k in range(0, len(outputs), 2) for pair in ((k, ONE), (k + 1, ONE), (k + 1, k + 1))]
    cells = []
    for sums in model.sums([()], 1, pairs):
        rows = zip(sums[0::3], sums[1::3], sums[2::3], strict=True)
        cells.append(
            [(count // UNIT, Fraction(total, UNIT), Fraction(squares, UNIT)) for count, total, squares in rows]
        )
    outside = n - sum(cell[0] for batch in cells for cell in batch)
    if outside:
        what = f"whole numbers from 0 to {len(category.labels) - 1}"
        raise ValueError(f"category {category.name!r}: {outside} of {n} draws are not {what}")
    return cells


def _category_index(cells: Sequence[Sequence[_Cell]]) -> CategoryIndex:
    whole = [_summed(column) for column in zip(*cells, strict=True)]
    counts = tuple(cell[0] for cell in whole)
    means = tuple(float(cell[1] / cell[0]) if cell[0] else float("nan") for cell in whole)
    share = _between_share(whole)
    if share is None:
        reason = _NO_VARIANCE if sum(counts) > len(counts) else "too few draws for the categories"
        return CategoryIndex(float("nan"), float("nan"), counts, means, reason)
    left_out = []
    for batch in cells:
        found = _between_share([_less(*pair) for pair in zip(whole, batch, strict=True)])
        if found is None:
            return CategoryIndex(float(share), float("nan"), counts, means, "too few draws for an error")
        left_out.append(float(found))
    return CategoryIndex(float(share), (BATCHES - 1) * _error(left_out), counts, means)


def _summed(cells: Sequence[_Cell]) -> _Cell:
    none = Fraction(0)
    return sum(c[0] for c in cells), sum((c[1] for c in cells), none), sum((c[2] for c in cells), none)


def _less(whole: _Cell, part: _Cell) -> _Cell:
    return whole[0] - part[0], whole[1] - part[1], whole[2] - part[2]


def _between_share(cells: Sequence[_Cell]) -> Fraction | None:
    """Return the unbiased share between categories; None where it is not defined."""
    filled = [c for c in cells if c[0]]
    n, total, all_squares = _summed(filled)
    if n <= len(filled):
        return None
    squares = sum((c[1] ** 2 / c[0] for c in filled), Fraction(0))
    between, within = squares - total**2 / n, all_squares - squares
    if between + within <= 0:
        return None
    return (between - (len(filled) - 1) * within / (n - len(filled))) / (between + within)


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


def variance_split(
    samples: Mapping[str, ArrayLike] | Mapping[str, Node],
    weights: Mapping[str, float] | None = None,
    *,
    n: int = 1 << 16,
    rng: Seed = None,
    entities: Sequence[str] = (),
    threads: int | None = None,
) -> VarianceSplit:
    """Return how much of a variance is between scenarios and how much within them.

    Parameters
    ----------
    samples : mapping of str to array, or of str to Node
        Outputs in each scenario: conventions, jurisdictions, readings ....; or the values of the study that they are,
        which draw the same numbers for the same variables and are not stored.
    weights : mapping of str to float, or None
        What each scenario counts; equal if None.
    n, rng, entities, threads
        Of nodes: how many draws, those of a sweep, and as for :func:`sobol_indices`.

    Notes
    -----
    Var = Var_s(mean of s) + mean_s(variance of s), with these weights. The error of the share is a jackknife over 64
    batches, NaN for samples of fewer draws.
    """
    names = tuple(samples)
    if not names:
        raise ValueError("samples: expected at least one scenario")
    raw = [Fraction(1 if weights is None else weights[name]) for name in names]
    if min(raw) < 0 or sum(raw) <= 0:
        raise ValueError(f"weights={weights!r}: expected none negative, not all 0")
    shares = [w / sum(raw) for w in raw]
    nodes = [sample for sample in samples.values() if isinstance(sample, Node)]
    cells: list[list[_Cell]]
    if nodes:
        if len(nodes) < len(names):
            raise TypeError("samples: expected nodes only, or arrays only")
        model = NodeModel(nodes, n, seed_sequence(rng), "philox", entities=entities, threads=threads)
        pairs = [pair for k in range(len(nodes)) for pair in ((k, ONE), (k, k))]
        cells = [
            [(model.size, Fraction(a, UNIT), Fraction(b, UNIT)) for a, b in zip(sums[0::2], sums[1::2], strict=True)]
            for sums in model.sums([()], 1, pairs)
        ]
    else:
        arrays = [_finite(cast("ArrayLike", samples[name]), f"scenario {name!r}") for name in names]
        ends = [list(pairwise(_batch_ends(y.size))) for y in arrays]
        cells = [
            [(high - low, *_array_sums(y[low:high])) for y, (low, high) in zip(arrays, row, strict=True)]
            for row in zip(*ends, strict=True)
        ]
    whole = [_summed(column) for column in zip(*cells, strict=True)]
    means, variances, between, within = _split(whole, shares)
    defined = between + within > 0
    error = float("nan")
    if defined and all(cell[0] for batch in cells for cell in batch):
        rest = [_split([_less(*pair) for pair in zip(whole, batch, strict=True)], shares)[2:] for batch in cells]
        if all(b + w > 0 for b, w in rest):
            error = (BATCHES - 1) * _error([float(b / (b + w)) for b, w in rest])
    return VarianceSplit(
        scenarios=names,
        weights=tuple(float(w) for w in shares),
        means=tuple(float(m) for m in means),
        variances=tuple(float(v) for v in variances),
        between=float(between),
        within=float(within),
        share_between=float(between / (between + within)) if defined else float("nan"),
        share_error=error,
        reason="" if defined else _NO_VARIANCE,
    )


def _split(
    cells: Sequence[_Cell], shares: Sequence[Fraction]
) -> tuple[list[Fraction], list[Fraction], Fraction, Fraction]:
    """Return means and variances of scenarios, and the variance between and within them."""
    means = [total / count for count, total, _ in cells]
    variances = [squares / count - mean**2 for (count, _, squares), mean in zip(cells, means, strict=True)]
    mean = sum((w * m for w, m in zip(shares, means, strict=True)), Fraction(0))
    between = sum((w * (m - mean) ** 2 for w, m in zip(shares, means, strict=True)), Fraction(0))
    within = sum((w * v for w, v in zip(shares, variances, strict=True)), Fraction(0))
    return means, variances, between, within
