"""What a sample says of variance, without a design of its own: shares of categories and of scenarios.

Samples are arrays, or values of a program that are drawn in the core and not stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from .distributions import Seed, seed_sequence
from .pick_freeze import BATCHES, NO_VARIANCE, ONE, UNIT, NodeModel, Values, standard_error, whole_numbers
from .program import Node, constant, where
from .sinks import Category

__all__ = ["CategoryIndex", "VarianceSplit", "first_order_of_categories", "variance_split"]


@dataclass(frozen=True, slots=True)
class CategoryIndex:
    """The share of a variance between categories, its bias removed; NaN with a `reason` where it is not defined."""

    share: float
    error: float
    counts: tuple[int, ...]
    means: tuple[float, ...]
    reason: str = ""


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
        reason = NO_VARIANCE if sum(counts) > len(counts) else "too few draws for the categories"
        return CategoryIndex(float("nan"), float("nan"), counts, means, reason)
    left_out = []
    for batch in cells:
        found = _between_share([_less(*pair) for pair in zip(whole, batch, strict=True)])
        if found is None:
            return CategoryIndex(float(share), float("nan"), counts, means, "too few draws for an error")
        left_out.append(float(found))
    return CategoryIndex(float(share), (BATCHES - 1) * standard_error(left_out), counts, means)


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
            error = (BATCHES - 1) * standard_error([float(b / (b + w)) for b, w in rest])
    return VarianceSplit(
        scenarios=names,
        weights=tuple(float(w) for w in shares),
        means=tuple(float(m) for m in means),
        variances=tuple(float(v) for v in variances),
        between=float(between),
        within=float(within),
        share_between=float(between / (between + within)) if defined else float("nan"),
        share_error=error,
        reason="" if defined else NO_VARIANCE,
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
