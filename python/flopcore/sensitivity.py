"""Which uncertain inputs matter: variance-based indices, Shapley effects, tornado, decomposition over scenarios.

Outputs are drawn in blocks and never stored; sums of them and of their products are exact (``_core.exact_sums``), so
an index is the same for every block size and order. Its error comes from 64 independent batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise
from math import comb, sqrt
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .distributions import Distribution, Seed, philox_key, seed_sequence
from .sobol import MAX_DIMS, sobol_points

__all__ = [
    "CategoryIndex",
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

Values: TypeAlias = NDArray[np.float64]
Inputs: TypeAlias = Mapping[str, Values]
Model: TypeAlias = Callable[[Inputs], ArrayLike]
"""Takes an array of draws for each input, gives an array of outputs, one a draw."""
Sampler: TypeAlias = Literal["sobol", "philox"]

BATCHES = 64
_BLOCK = 1 << 14
_EXACT_SHAPLEY = 12


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
    reason: str = ""


def _exact(columns: Values, pairs: NDArray[np.uint32]) -> list[Fraction]:
    """Return exact sums of the columns, then of the products of the pairs."""
    return [_fraction(limbs) for limbs in _core.exact_sums(np.ascontiguousarray(columns), pairs).tolist()]


def _fraction(limbs: Sequence[int]) -> Fraction:
    total = 0
    for limb in reversed(limbs):
        total = (total << 32) + limb
    return Fraction(total, 1 << 1074)


def _seed_of(seed: np.random.SeedSequence) -> int | tuple[int, ...]:
    entropy = seed.entropy
    return tuple(int(e) for e in entropy) if isinstance(entropy, Sequence) else int(entropy or 0)


def _error(batches: Sequence[float]) -> float:
    """Return the standard error of the mean of independent estimates."""
    n = len(batches)
    mean = sum(batches) / n
    return sqrt(sum((b - mean) ** 2 for b in batches) / (n * (n - 1)))


def _check_inputs(inputs: Mapping[str, Distribution]) -> tuple[str, ...]:
    names = tuple(inputs)
    if not names:
        raise ValueError("inputs: expected at least one")
    for name, distribution in inputs.items():
        if not isinstance(distribution, Distribution):
            raise TypeError(f"input {name!r}: {distribution!r} is not a Distribution; see as_distribution")
    return names


def _uniforms(seed: np.random.SeedSequence, labels: Sequence[str], batch: int, size: int, sampler: Sampler) -> Values:
    """Return the uniforms of one batch, labels x size: a scramble of its own, or its part of each label's stream."""
    if sampler == "sobol":
        child = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, batch))
        return sobol_points(len(labels), size, rng=child)
    key, first = philox_key(seed), batch * size
    rows = []
    for label in labels:
        stream = _core.stream_hash("sensitivity", label, "")
        words = _core.philox_words(key, stream, first // 2, (first % 2 + size + 1) // 2).reshape(-1, 2)
        integers = (words[:, 0].astype(np.uint64) << np.uint64(20)) | (words[:, 1] >> np.uint32(12)).astype(np.uint64)
        rows.append((integers[first % 2 : first % 2 + size].astype(np.float64) + 0.5) * 2.0**-52)
    return np.array(rows)


def _evaluate(model: Model, inputs: Inputs, size: int) -> Values:
    output = np.asarray(model(inputs), dtype=np.float64)
    if output.shape != (size,):
        raise ValueError(f"model: gave an output of shape {output.shape} for {size} draws; expected ({size},)")
    bad = int(np.count_nonzero(~np.isfinite(output)))
    if bad:
        raise ValueError(f"model: {bad} of {size} outputs are not finite")
    return output


def _blocks(
    inputs: Mapping[str, Distribution], labels: Sequence[str], seed: np.random.SeedSequence, size: int, sampler: Sampler
) -> Iterator[tuple[range, list[Values]]]:
    """Yield some batches at a time, and for each label the values of its input in their draws, one after another."""
    together = max(1, _BLOCK // size)
    distributions = [inputs[label.partition("\0")[0]] for label in labels]
    for first in range(0, BATCHES, together):
        batches = range(first, min(first + together, BATCHES))
        u = np.concatenate([_uniforms(seed, labels, batch, size, sampler) for batch in batches], axis=1)
        yield batches, [np.asarray(d.ppf(row)) for d, row in zip(distributions, u, strict=True)]


def _batch_size(n: int, sampler: str, dims: int) -> int:
    if sampler not in ("sobol", "philox"):
        raise ValueError(f"sampler={sampler!r}: expected 'sobol' or 'philox'")
    size = n // BATCHES
    if n < 2 * BATCHES or size * BATCHES != n or (sampler == "sobol" and size & (size - 1)):
        kind = "64 times a power of two" if sampler == "sobol" else "a multiple of 64"
        raise ValueError(f"n={n}: expected {kind}, at least 128: the error comes from 64 batches")
    if sampler == "sobol" and dims > MAX_DIMS:
        raise ValueError(f"{dims} columns: Sobol' points have at most {MAX_DIMS}; use sampler='philox'")
    return size


def sobol_indices(
    model: Model,
    inputs: Mapping[str, Distribution],
    *,
    n: int = 1 << 16,
    rng: Seed = None,
    sampler: Sampler = "sobol",
) -> SobolIndices:
    """Return first-order and total Sobol' indices of independent inputs.

    Parameters
    ----------
    model : callable
        From a mapping of input name to an array of draws, to an array of outputs.
    inputs : mapping of str to Distribution
        The inputs, in the order of the result.
    n : int
        Points; the model is evaluated n (inputs + 2) times.
    rng : int, sequence of int, SeedSequence or None
        Seed.
    sampler : {"sobol", "philox"}
        Owen-scrambled Sobol' points, a scramble for each of 64 batches (up to 32 inputs), or independent draws.

    Raises
    ------
    ValueError
        For an `n` that is not 64 equal batches, or a model whose outputs are not finite or not one a draw.

    Notes
    -----
    With A, B independent points and A_B^i the points A with input i from B: first order
    mean(f(B) (f(A_B^i) - f(A))) / V with f centred (Saltelli et al. 2010, table 2 b), total
    mean((f(A) - f(A_B^i))^2) / 2 V (Jansen 1999); V is the variance of f(A) and f(B) together.

    Examples
    --------
    >>> from flopcore.distributions import Uniform
    >>> unit = Uniform(0, 1)
    >>> found = sobol_indices(lambda x: x["a"] + 2 * x["b"], {"a": unit, "b": unit}, n=1 << 12, rng=0)
    >>> [round(s, 2) for s in found.first]
    [0.2, 0.8]
    """
    names = _check_inputs(inputs)
    d = len(names)
    size = _batch_size(n, sampler, 2 * d)
    seed = seed_sequence(rng)
    labels = [*names, *(f"{name}\0second" for name in names)]
    # Columns f(A), f(B), f(A_B^i); products A A, B B, A B, then B i, A i, i i for each i.
    pairs = [(0, 0), (1, 1), (0, 1)] + [(j, 2 + i) for i in range(d) for j in (1, 0, 2 + i)]
    wanted = np.array(pairs, dtype=np.uint32)
    sums: list[list[Fraction]] = []
    for batches, values in _blocks(inputs, labels, seed, size, sampler):
        length = size * len(batches)
        base, other = dict(zip(names, values[:d], strict=True)), dict(zip(names, values[d:], strict=True))
        outputs = [_evaluate(model, base, length), _evaluate(model, other, length)]
        outputs += [_evaluate(model, {**base, name: other[name]}, length) for name in names]
        columns = np.array(outputs)
        sums += [_exact(columns[:, k * size : (k + 1) * size], wanted) for k in range(len(batches))]
    whole = [sum(column, Fraction(0)) for column in zip(*sums, strict=True)]
    mean = (whole[0] + whole[1]) / (2 * n)
    variance = (whole[d + 2] + whole[d + 3]) / (2 * n) - mean**2
    result = SobolIndices(
        names=names,
        first=(float("nan"),) * d,
        first_error=(float("nan"),) * d,
        total=(float("nan"),) * d,
        total_error=(float("nan"),) * d,
        mean=float(mean),
        variance=float(variance),
        points=n,
        evaluations=n * (d + 2),
        sampler=sampler,
        seed=_seed_of(seed),
        reason="" if variance > 0 else "the output does not vary",
    )
    if variance <= 0:
        return result
    first, total = _indices(whole, n, d, mean, variance)
    each = [_indices(batch, size, d, mean, variance) for batch in sums]
    return SobolIndices(
        **{
            **{name: getattr(result, name) for name in result.__slots__},
            "first": tuple(first),
            "first_error": tuple(_error([batch[0][i] for batch in each]) for i in range(d)),
            "total": tuple(total),
            "total_error": tuple(_error([batch[1][i] for batch in each]) for i in range(d)),
        }
    )


def _indices(
    sums: Sequence[Fraction], n: int, d: int, mean: Fraction, variance: Fraction
) -> tuple[list[float], list[float]]:
    """Return first-order and total indices from the sums of `sobol_indices`, each rounded once."""
    products = sums[d + 2 :]
    a_a, a_b = products[0], products[2]
    first, total = [], []
    for i in range(d):
        b_i, a_i, i_i = products[3 + 3 * i : 6 + 3 * i]
        # f(B) - mean, times f(A_B^i) - f(A)
        centred = b_i - a_b - mean * (sums[2 + i] - sums[0])
        first.append(float(centred / (n * variance)))
        total.append(float((a_a - 2 * a_i + i_i) / (2 * n * variance)))
    return first, total


def shapley_effects(
    model: Model,
    inputs: Mapping[str, Distribution],
    *,
    n: int = 1 << 12,
    permutations: int = 512,
    rng: Seed = None,
    sampler: Sampler = "sobol",
) -> ShapleyEffects:
    """Return Shapley effects of independent inputs: shares of the variance that sum to 1.

    Exact in the subsets up to 12 inputs (all 2^d are visited); beyond, averaged over random orders of the inputs.

    Parameters
    ----------
    model, inputs, rng, sampler
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
    names = _check_inputs(inputs)
    d = len(names)
    size = _batch_size(n, sampler, 2 * d)
    seed = seed_sequence(rng)
    exact = d <= _EXACT_SHAPLEY
    if exact:
        subsets = [frozenset(u) for k in range(d + 1) for u in combinations(range(d), k)]
        orders: list[list[int]] = []
    else:
        orders = _orders(seed, d, permutations)
        subsets = sorted({frozenset(order[:k]) for order in orders for k in range(d + 1)}, key=sorted)
    place = {u: k for k, u in enumerate(subsets)}
    labels = [*names, *(f"{name}\0second" for name in names)]
    # With the inputs of u from B and the rest from A, half the mean square of the difference from f(A) is the variance
    # that u and its interactions account for: V less the variance of the mean given the others.
    gaps: list[list[Fraction]] = []
    totals = [Fraction(0), Fraction(0)]
    for batches, values in _blocks(inputs, labels, seed, size, sampler):
        length = size * len(batches)
        base, other = values[:d], values[d:]
        reference = _evaluate(model, dict(zip(names, base, strict=True)), length)
        found = []
        for u in subsets:
            mixed = {name: (other if i in u else base)[i] for i, name in enumerate(names)}
            found.append(reference - _evaluate(model, mixed, length) if u else np.zeros(length))
        columns = np.array([reference, *found])
        wanted = np.array([(k, k) for k in range(len(subsets) + 1)], dtype=np.uint32)
        for k in range(len(batches)):
            sums = _exact(columns[:, k * size : (k + 1) * size], wanted)
            totals = [totals[0] + sums[0], totals[1] + sums[len(subsets) + 1]]
            gaps.append([s / (2 * size) for s in sums[len(subsets) + 2 :]])
    variance = totals[1] / n - (totals[0] / n) ** 2
    evaluations = n * len(subsets)
    if variance <= 0:
        nan = (float("nan"),) * d
        reason = "the output does not vary"
        return ShapleyEffects(names, nan, nan, float(variance), evaluations, _method(exact), _seed_of(seed), reason)
    means = [sum(column, Fraction(0)) / BATCHES for column in zip(*gaps, strict=True)]
    whole = _shapley(means, place, d, orders)
    scale = sum(whole)
    each = [[float(e / scale) for e in _shapley(gap, place, d, orders)] for gap in gaps]
    return ShapleyEffects(
        names=names,
        effects=tuple(float(e / scale) for e in whole),
        errors=tuple(_error([batch[i] for batch in each]) for i in range(d)),
        variance=float(variance),
        evaluations=evaluations,
        method=_method(exact),
        seed=_seed_of(seed),
    )


def _method(exact: bool) -> Literal["exact", "permutations"]:
    return "exact" if exact else "permutations"


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


def _shapley(
    gap: Sequence[Fraction], place: Mapping[frozenset[int], int], d: int, orders: Sequence[Sequence[int]]
) -> list[Fraction]:
    """Return the effects for the game whose worth of u is gap[u]; the Shapley value is that of its dual."""
    effects = [Fraction(0)] * d
    if orders:
        for order in orders:
            for k, i in enumerate(order):
                effects[i] += gap[place[frozenset(order[: k + 1])]] - gap[place[frozenset(order[:k])]]
        return [e / len(orders) for e in effects]
    for u, k in place.items():
        for i in range(d):
            if i not in u:
                share = Fraction(1, d * comb(d - 1, len(u)))
                effects[i] += share * (gap[place[u | {i}]] - gap[k])
    return effects


def first_order_of_categories(output: ArrayLike, categories: ArrayLike) -> CategoryIndex:
    """Return the share of a sample's variance that a categorical input accounts for, from the sample alone.

    Parameters
    ----------
    output : array
        Outputs, one a draw.
    categories : array of int
        The input's category in each draw, 0, 1, ....

    Notes
    -----
    sum_g n_g (mean_g - mean)^2 / (N V), less its bias (G - 1) / N where nothing but chance divides the categories:
    here sum_g n_g (mean_g - mean)^2 - (G - 1) W / (N - G) over N V, W the sum of squares within. The error is a
    jackknife over 64 batches.
    """
    y = np.asarray(output, dtype=np.float64).ravel()
    g = np.asarray(categories).ravel()
    if y.shape != g.shape or y.size == 0 or not np.issubdtype(g.dtype, np.integer) or int(g.min()) < 0:
        raise ValueError("output and categories: expected as many finite outputs as whole numbers from 0")
    if not bool(np.all(np.isfinite(y))):
        raise ValueError("output: expected finite numbers")
    groups = int(g.max()) + 1
    pairs = np.array([(0, 0)], dtype=np.uint32)
    ends = [len(y) * k // BATCHES for k in range(BATCHES + 1)]
    cells = []
    for low, high in pairwise(ends):
        row = []
        for k in range(groups):
            chosen = y[low:high][g[low:high] == k]
            total, squares = _exact(chosen[None, :], pairs) if chosen.size else (Fraction(0), Fraction(0))
            row.append((chosen.size, total, squares))
        cells.append(row)
    whole = [tuple(sum(batch[k][j] for batch in cells) for j in range(3)) for k in range(groups)]
    counts = tuple(int(c[0]) for c in whole)
    means = tuple(float(c[1] / c[0]) if c[0] else float("nan") for c in whole)
    share = _between_share(whole)
    if share is None:
        reason = "the output does not vary" if len(y) > groups else "too few draws for the categories"
        return CategoryIndex(float("nan"), float("nan"), counts, means, reason)
    left_out = []
    for batch in cells:
        rest = [tuple(a - b for a, b in zip(w, c, strict=True)) for w, c in zip(whole, batch, strict=True)]
        found = _between_share(rest)
        if found is None:
            return CategoryIndex(float(share), float("nan"), counts, means, "too few draws for an error")
        left_out.append(float(found))
    return CategoryIndex(float(share), (BATCHES - 1) * _error(left_out), counts, means)


def _between_share(cells: Sequence[tuple[Fraction | int, ...]]) -> Fraction | None:
    """Return the unbiased share between categories from counts, sums and sums of squares; None where undefined."""
    filled = [c for c in cells if c[0]]
    n, total = sum(c[0] for c in filled), sum(c[1] for c in filled)
    if n <= len(filled):
        return None
    squares = sum(Fraction(c[1]) ** 2 / c[0] for c in filled)
    between = squares - Fraction(total) ** 2 / n
    within = sum(c[2] for c in filled) - squares
    if between + within <= 0:
        return None
    return (between - (len(filled) - 1) * Fraction(within) / (n - len(filled))) / (between + within)


def tornado(
    model: Model, inputs: Mapping[str, Distribution], *, low: float = 0.05, high: float = 0.95
) -> tuple[Swing, ...]:
    """Return each input's swing, widest first: the output at its low and high quantile, the others at their medians.

    Examples
    --------
    >>> from flopcore.distributions import Uniform
    >>> [s.name for s in tornado(lambda x: x["a"] + 2 * x["b"], {"a": Uniform(0, 1), "b": Uniform(0, 1)})]
    ['b', 'a']
    """
    names = _check_inputs(inputs)
    if not 0.0 < low < high < 1.0:
        raise ValueError(f"low={low!r}, high={high!r}: expected probabilities, low below high")
    size = 2 * len(names)
    columns = {name: np.full(size, float(d.ppf(0.5))) for name, d in inputs.items()}
    for i, (name, d) in enumerate(inputs.items()):
        columns[name][2 * i : 2 * i + 2] = d.ppf(np.array([low, high]))
    output = _evaluate(model, columns, size)
    swings = [Swing(name, float(output[2 * i]), float(output[2 * i + 1])) for i, name in enumerate(names)]
    return tuple(sorted(swings, key=lambda s: -abs(s.at_high - s.at_low)))


def variance_split(samples: Mapping[str, ArrayLike], weights: Mapping[str, float] | None = None) -> VarianceSplit:
    """Return how much of a variance is between scenarios and how much within them.

    Parameters
    ----------
    samples : mapping of str to array
        Outputs in each scenario: conventions, jurisdictions, readings ....
    weights : mapping of str to float, or None
        What each scenario counts; equal if None.
    """
    names = tuple(samples)
    if not names:
        raise ValueError("samples: expected at least one scenario")
    raw = [Fraction(1 if weights is None else weights[name]) for name in names]
    if min(raw) < 0 or sum(raw) <= 0:
        raise ValueError(f"weights={weights!r}: expected none negative, not all 0")
    shares = [w / sum(raw) for w in raw]
    pairs = np.array([(0, 0)], dtype=np.uint32)
    means, variances = [], []
    for name in names:
        y = np.asarray(samples[name], dtype=np.float64).ravel()
        if y.size == 0 or not bool(np.all(np.isfinite(y))):
            raise ValueError(f"scenario {name!r}: expected finite numbers, at least one")
        total, squares = _exact(y[None, :], pairs)
        means.append(total / y.size)
        variances.append(squares / y.size - (total / y.size) ** 2)
    mean = sum(w * m for w, m in zip(shares, means, strict=True))
    between = sum(w * (m - mean) ** 2 for w, m in zip(shares, means, strict=True))
    within = sum(w * v for w, v in zip(shares, variances, strict=True))
    defined = between + within > 0
    return VarianceSplit(
        scenarios=names,
        weights=tuple(float(w) for w in shares),
        means=tuple(float(m) for m in means),
        variances=tuple(float(v) for v in variances),
        between=float(between),
        within=float(within),
        share_between=float(between / (between + within)) if defined else float("nan"),
        reason="" if defined else "the output does not vary",
    )
