"""What the counters of a sink say: exact counts, and estimates from them with their Monte Carlo standard errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from math import ceil, sqrt
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from . import _core
from .distributions import LN10
from .quantity import parse_quantity
from .thresholds import Threshold

__all__ = [
    "Axis",
    "ConfusionResult",
    "CountResult",
    "ExceedResult",
    "Measure",
    "MomentsResult",
    "QuantileResult",
    "SinkResult",
    "TableResult",
    "line_axis",
]

Values = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Axis:
    """A labelled dimension."""

    dim: str
    labels: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """A labelled array and, where it is an estimate, its Monte Carlo standard error."""

    name: str
    axes: tuple[Axis, ...]
    values: Values | Counts
    error: Values | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SinkResult(ABC):
    """The counters of one sink, labelled.

    `replicates` has those of each scramble where the sweep took Sobol' points, whose draws are not independent: the
    spread between scrambles is then the error of every estimate.
    """

    replicates: tuple[SinkResult, ...] = field(default=(), kw_only=True, repr=False)

    def _error(self, estimate: Callable[[Any], Values], independent: Callable[[], Values]) -> Values:
        """Return the standard error of an estimate: of replicates if there are any, else of independent draws."""
        if not self.replicates:
            return independent()
        n = len(self.replicates)
        values = [estimate(replicate) for replicate in self.replicates]
        mean = sum(values[1:], values[0]) / n
        squares = [(value - mean) ** 2 for value in values]
        error: Values = np.sqrt(sum(squares[1:], squares[0]) / (n * (n - 1)))
        return error

    @abstractmethod
    def measures(self) -> tuple[Measure, ...]:
        """Return the arrays that tables and files are made of."""

    def means(self) -> list[tuple[int, Fraction, Fraction]]:
        """Return rows, sum and sum of squares of whatever is averaged over draws, exact; for stopping rules."""
        return []

    def state(self) -> list[object]:
        """Return everything exact in it, to compare two results."""
        return [_plain(getattr(self, own.name)) for own in fields(self)]


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, SinkResult):
        return value.state()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def moments(histogram: Counts) -> list[tuple[int, int]]:
    """Return, per row, the exact sum and sum of squares over draws of a count with this histogram."""
    sums = []
    for row in histogram:
        pairs = [(int(count), int(row[count])) for count in np.flatnonzero(row)]
        sums.append((sum(c * n for c, n in pairs), sum(c * c * n for c, n in pairs)))
    return sums


def count_sd(histogram: Counts, draws: int) -> Values:
    """Return the standard deviation (n - 1) of counts with these histograms; NaN for one draw."""
    if draws == 1:
        return np.full(len(histogram), np.nan)
    return np.array([_sd(draws, Fraction(total), Fraction(squares)) for total, squares in moments(histogram)])


def count_quantile(histogram: Counts, draws: int, q: float | Fraction | str) -> Counts:
    """Return, per row, the smallest count that at least a share `q` of the draws does not exceed."""
    share = Fraction(parse_quantity(q, name="q"))
    if not 0 <= share <= 1:
        raise ValueError(f"q={q!r}: expected a probability in [0, 1]")
    rank = max(1, ceil(share * draws))
    return np.array([int(np.searchsorted(np.cumsum(row), rank)) for row in histogram], dtype=np.int64)


def count_sd_error(histogram: Counts, draws: int) -> Values:
    """Return the standard error of `count_sd`: sqrt((m4 - m2^2) / n) / (2 sd), from the exact central moments."""
    errors = []
    for row in histogram:
        pairs = [(int(c), int(row[c])) for c in np.flatnonzero(row)]
        first, second, third, fourth = (Fraction(sum(n * c**k for c, n in pairs), draws) for k in (1, 2, 3, 4))
        m2 = second - first**2
        m4 = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
        errors.append(sqrt((m4 - m2 * m2) / m2 / draws) / 2 if m2 else 0.0)
    return np.array(errors) if draws > 1 else np.full(len(histogram), np.nan)


def count_quantile_error(histogram: Counts, draws: int, q: float | Fraction | str) -> Values:
    """Return the standard error of `count_quantile`: half the distance of the quantiles one standard error away.

    The share of draws below a quantile is known to sqrt(q (1 - q) / n) (binomial order statistics).
    """
    share = float(parse_quantity(q, name="q"))
    step = sqrt(share * (1.0 - share) / draws)
    low, high = (count_quantile(histogram, draws, min(max(share + s, 0.0), 1.0)) for s in (-step, step))
    return (high - low) / 2.0


def _sd(n: int, total: Fraction, squares: Fraction) -> float:
    return sqrt((n * squares - total * total) / (n * (n - 1))) if n > 1 else float("nan")


def _shares(counts: Counts, rows: Counts) -> tuple[Values, Values]:
    """Return shares and their standard errors; NaN where there is no row."""
    n = np.where(rows > 0, rows, 1).astype(np.float64)
    share = np.where(rows > 0, counts / n, np.nan)
    return share, np.sqrt(share * (1.0 - share) / n)


def line_axis(thresholds: Sequence[Threshold]) -> Axis:
    """Return the dimension of some lines, by name."""
    return Axis("threshold", tuple(line.name for line in thresholds))


@dataclass(frozen=True, slots=True, eq=False)
class ExceedResult(SinkResult):
    """How often a value was over each threshold: ``exceed_counts[row, threshold]`` of ``n_rows[row]`` draws.

    A row is an entity or a category; without `rows` there is one.
    """

    rows: Axis | None
    thresholds: tuple[Threshold, ...]
    n_rows: Counts
    exceed_counts: Counts

    def probability(self) -> Values:
        """Return the share of draws over each threshold, [row,] threshold."""
        share = _shares(self.exceed_counts, self.n_rows[:, None])[0]
        return share if self.rows is not None else share[0]

    def probability_error(self) -> Values:
        """Return the Monte Carlo standard error of `probability`."""
        error = _shares(self.exceed_counts, self.n_rows[:, None])[1]
        independent = error if self.rows is not None else error[0]
        return self._error(ExceedResult.probability, lambda: independent)

    def measures(self) -> tuple[Measure, ...]:
        """Return the probabilities."""
        axes = (*((self.rows,) if self.rows else ()), line_axis(self.thresholds))
        return (Measure("probability", axes, self.probability(), self.probability_error()),)

    def means(self) -> list[tuple[int, Fraction, Fraction]]:
        """Return rows, sum and sum of squares of each indicator."""
        return [
            (int(n), Fraction(int(count)), Fraction(int(count)))
            for n, row in zip(self.n_rows, self.exceed_counts, strict=True)
            for count in row
        ]


@dataclass(frozen=True, slots=True, eq=False)
class CountResult(ExceedResult):
    """The same per entity, and how many entities were over each threshold per draw.

    ``histograms[g][t, c]`` is the number of draws in which exactly c entities of group g (the groups of all dimensions
    together, the last one varying fastest) were over threshold t. ``products[g T + t, h T + u]`` is the sum over draws
    of the product of two counts, exact, where the sink asked for it.
    """

    groups: tuple[Axis, ...]
    histograms: tuple[Counts, ...]
    products: NDArray[np.object_] | None

    @property
    def draws(self) -> int:
        """Number of draws."""
        return int(self.n_rows[0])

    def _by_group(self, values: Sequence[Values | Counts]) -> Values:
        shape = [len(axis.labels) for axis in self.groups]
        return np.array(values, dtype=np.float64).reshape([*shape, len(self.thresholds)])

    def expected(self) -> Values:
        """Return the mean number of entities over each threshold, [group ...,] threshold."""
        n = self.draws
        return self._by_group([np.array([total / n for total, _ in moments(table)]) for table in self.histograms])

    def count_sd(self) -> Values:
        """Return the standard deviation of that number (n - 1); NaN for one draw."""
        return self._by_group([count_sd(table, self.draws) for table in self.histograms])

    def count_sd_error(self) -> Values:
        """Return the Monte Carlo standard error of `count_sd`."""
        return self._error(
            CountResult.count_sd, lambda: self._by_group([count_sd_error(t, self.draws) for t in self.histograms])
        )

    def mc_error(self) -> Values:
        """Return the Monte Carlo standard error of `expected`."""
        return self._error(CountResult.expected, lambda: self.count_sd() / sqrt(self.draws))

    def count_quantile(self, q: float | Fraction | str) -> Counts:
        """Return the smallest number that at least a share `q` of the draws does not exceed."""
        return self._by_group([count_quantile(table, self.draws, q) for table in self.histograms]).astype(np.int64)

    def count_quantile_error(self, q: float | Fraction | str) -> Values:
        """Return the Monte Carlo standard error of `count_quantile`; 0 where it is known to be this number."""
        return self._error(
            lambda replicate: replicate.count_quantile(q),
            lambda: self._by_group([count_quantile_error(table, self.draws, q) for table in self.histograms]),
        )

    def count_covariance(self) -> Values:
        """Return the covariance (n - 1) of the counts of any two (group, threshold); both in one index.

        Raises
        ------
        ValueError
            If the sink did not ask for it.
        """
        if self.products is None:
            raise ValueError("count_covariance: the sink was made without joint=True")
        n = self.draws
        totals = [total for table in self.histograms for total, _ in moments(table)]
        width = len(totals)
        covariance = np.full((width, width), np.nan)
        for a in range(width if n > 1 else 0):
            for b in range(width):
                covariance[a, b] = Fraction(n * self.products[a, b] - totals[a] * totals[b], n * (n - 1))
        return covariance

    def measures(self) -> tuple[Measure, ...]:
        """Return probabilities, mean counts and their distribution."""
        lines = line_axis(self.thresholds)
        axes = (*self.groups, lines)
        shares = ("0.05", "0.5", "0.95")
        quantiles = np.stack([self.count_quantile(q) for q in shares], axis=-1)
        errors = np.stack([self.count_quantile_error(q) for q in shares], axis=-1)
        return (
            *ExceedResult.measures(self),
            Measure("expected", axes, self.expected(), self.mc_error()),
            Measure("sd", axes, self.count_sd(), self.count_sd_error()),
            Measure("count", (*axes, Axis("quantile", tuple(map(float, shares)))), quantiles, errors),
        )

    def means(self) -> list[tuple[int, Fraction, Fraction]]:
        """Return draws, sum and sum of squares of each count."""
        return [
            (self.draws, Fraction(total), Fraction(squares))
            for table in self.histograms
            for total, squares in moments(table)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class TableResult(SinkResult):
    """How often each combination of categories occurred: exact counts with one axis for each category."""

    axes: tuple[Axis, ...]
    counts: Counts

    def share(self) -> Values:
        """Return the share of each combination in all rows."""
        return _shares(self.counts, np.array(self.counts.sum()))[0]

    def share_error(self) -> Values:
        """Return the Monte Carlo standard error of `share`; rows of several entities in a draw count as independent."""
        return self._error(TableResult.share, lambda: _shares(self.counts, np.array(self.counts.sum()))[1])

    def measures(self) -> tuple[Measure, ...]:
        """Return counts and shares."""
        return (
            Measure("rows", self.axes, self.counts),
            Measure("share", self.axes, self.share(), self.share_error()),
        )

    def means(self) -> list[tuple[int, Fraction, Fraction]]:
        """Return rows, sum and sum of squares of each indicator."""
        n = int(self.counts.sum())
        return [(n, Fraction(int(count)), Fraction(int(count))) for count in self.counts.flat]


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionResult(TableResult):
    """``counts[truth, label]`` over draws and entities, and the rates of a classifier. A rate of nothing is NaN."""

    _RATES: ClassVar = ("false_positive_rate", "false_negative_rate", "positive_predictive_value")

    def rates(self) -> Values:
        """Return false positive rate, false negative rate and positive predictive value."""
        return _shares(*self._parts())[0]

    def rate_errors(self) -> Values:
        """Return their Monte Carlo standard errors; rows of several entities in a draw count as independent."""
        return self._error(ConfusionResult.rates, lambda: _shares(*self._parts())[1])

    def _parts(self) -> tuple[Counts, Counts]:
        """Return what each rate is a share of, and how often it was so."""
        c = self.counts
        return np.array([c[0, 1], c[1, 0], c[1, 1]]), np.array([c[0].sum(), c[1].sum(), c[:, 1].sum()])

    def false_positive_rate(self) -> float:
        """Return the share of what is not so that is labelled so."""
        return float(self.rates()[0])

    def false_negative_rate(self) -> float:
        """Return the share of what is so that is not labelled so."""
        return float(self.rates()[1])

    def positive_predictive_value(self) -> float:
        """Return the share of what is labelled so that is so."""
        return float(self.rates()[2])

    def measures(self) -> tuple[Measure, ...]:
        """Return counts, shares and rates."""
        rates = Measure("rate", (Axis("rate", self._RATES),), self.rates(), self.rate_errors())
        return (*TableResult.measures(self), rates)


@dataclass(frozen=True, slots=True, eq=False)
class MomentsResult(SinkResult):
    """Exact sums of values in fixed point, per entity and category where the sink has them.

    ``totals[..., a]`` and ``products[..., a, b]`` are fractions; ``n_rows[...]`` counts their rows.
    """

    axes: tuple[Axis, ...]
    names: tuple[str, ...]
    n_rows: Counts
    totals: NDArray[np.object_]
    products: NDArray[np.object_]

    def mean(self) -> Values:
        """Return means, [entity,] [category,] value; NaN where there is no row."""
        n = np.where(self.n_rows > 0, self.n_rows, 1)[..., None]
        ratio = np.vectorize(lambda total, rows: float(total / int(rows)), otypes=[np.float64])(self.totals, n)
        return np.where(self.n_rows[..., None] > 0, ratio, np.nan)

    def covariance(self) -> Values:
        """Return covariances (n - 1), ... value x value; NaN below two rows."""
        result = np.full(self.products.shape, np.nan)
        for place in np.ndindex(self.n_rows.shape):
            n, totals, products = int(self.n_rows[place]), self.totals[place], self.products[place]
            for a, b in np.ndindex(products.shape if n > 1 else (0, 0)):
                result[(*place, a, b)] = float((n * products[a, b] - totals[a] * totals[b]) / (n * (n - 1)))
        return result

    def sd(self) -> Values:
        """Return standard deviations (n - 1)."""
        return np.sqrt(np.diagonal(self.covariance(), axis1=-2, axis2=-1))

    def mc_error(self) -> Values:
        """Return the Monte Carlo standard error of `mean`."""
        return self._error(
            MomentsResult.mean, lambda: self.sd() / np.sqrt(np.where(self.n_rows > 0, self.n_rows, 1))[..., None]
        )

    def first_order(self) -> Values:
        """Return, [entity,] value, the share of the variance that is between the categories; NaN where it has none.

        The given-data first-order index, less the share that chance alone puts between categories. A sink without a
        category is a ValueError.
        """
        if not self.axes or (len(self.axes) == 1 and self.axes[0].dim == "entity"):
            raise ValueError("first_order: the sink has no category; give Moments(by=...)")
        n_categories, k = self.n_rows.shape[-1], len(self.names)
        rows = self.n_rows.reshape(-1, n_categories)
        totals = self.totals.reshape(-1, n_categories, k)
        shares = np.full((len(rows), k), np.nan)
        for m, a in np.ndindex(shares.shape):
            filled = [c for c in range(n_categories) if rows[m, c]]
            n, total = sum(int(rows[m, c]) for c in filled), sum(totals[m, c, a] for c in filled)
            groups = sum(totals[m, c, a] ** 2 / int(rows[m, c]) for c in filled)
            squares = sum(self.products.reshape(-1, n_categories, k, k)[m, c, a, a] for c in filled)
            if n > len(filled) and n * squares > total**2:
                between = groups - total**2 / n - Fraction(len(filled) - 1, n - len(filled)) * (squares - groups)
                shares[m, a] = float(between / (squares - total**2 / n))
        return shares.reshape(*self.n_rows.shape[:-1], k)

    def first_order_error(self) -> Values:
        """Return the Monte Carlo standard error of `first_order`.

        Of independent draws by the delta method: an output e off the mean of its category, which is d off the mean of
        all, moves the share by ((1 - share) (d^2 + 2 d e) - share e^2) / variance. Fourth moments are not counted, so
        outputs are taken as normal within a category; `flopcore.first_order_of_categories` has a jackknife instead.
        """
        return self._error(MomentsResult.first_order, self._first_order_delta)

    def _first_order_delta(self) -> Values:
        shares = self.first_order()
        n_categories, k = self.n_rows.shape[-1], len(self.names)
        rows = self.n_rows.reshape(-1, n_categories)
        n = rows.sum(axis=1)[:, None]
        weight = rows / np.maximum(n, 1)
        mean = np.nan_to_num(self.mean()).reshape(-1, n_categories, k)
        within = np.nan_to_num(np.diagonal(self.covariance(), axis1=-2, axis2=-1)).reshape(-1, n_categories, k)
        off = mean - np.einsum("mc,mck->mk", weight, mean)[:, None]
        variance = np.einsum("mc,mck->mk", weight, off**2 + within)
        share = shares.reshape(-1, 1, k)
        moved = (1 - share) * off**2 - share * within
        spread = moved**2 + 4 * (1 - share) ** 2 * off**2 * within + 2 * share**2 * within**2
        with np.errstate(invalid="ignore", divide="ignore"):
            total = np.einsum("mc,mck->mk", weight, spread) - np.einsum("mc,mck->mk", weight, moved) ** 2
            error: Values = (np.sqrt(np.maximum(total, 0.0) / n) / variance).reshape(shares.shape)
        return error

    def measures(self) -> tuple[Measure, ...]:
        """Return means, standard deviations and covariances."""
        axes, values = self.axes, Axis("value", self.names)
        return (
            Measure("mean", (*axes, values), self.mean(), self.mc_error()),
            Measure("sd", (*axes, values), self.sd()),
            Measure("covariance", (*axes, values, Axis("other_value", self.names)), self.covariance()),
        )

    def means(self) -> list[tuple[int, Fraction, Fraction]]:
        """Return rows, sum and sum of squares of each value."""
        return [
            (int(self.n_rows[place]), self.totals[place][a], self.products[place][a, a])
            for place in np.ndindex(self.n_rows.shape)
            for a in range(len(self.names))
        ]


@dataclass(frozen=True, slots=True, eq=False)
class QuantileResult(SinkResult):
    """Quantiles from a histogram: ``counts[row, bin]``, the first and last bin being what lies below and above all.

    Within a bin values are taken to be spread evenly; `bin_width` bounds what that can err by.
    """

    rows: Axis | None
    shares: tuple[Fraction, ...]
    space: str
    low: float
    per_unit: float
    counts: Counts

    @property
    def bin_width(self) -> float:
        """Width of a bin, in the space of the histogram."""
        return 1.0 / self.per_unit

    def outside(self) -> Counts:
        """Return how many draws lay below and above the bins, [row,] 2."""
        ends = self.counts[:, [0, -1]]
        return ends if self.rows is not None else ends[0]

    def _at(self, row: Counts, share: float) -> float:
        """Return the place of a share in the space of the histogram; NaN outside the bins."""
        cumulative = np.cumsum(row)
        rank = min(max(share, 0.0), 1.0) * float(cumulative[-1])
        bin_ = int(np.searchsorted(cumulative, rank)) if rank > 0 else int(np.flatnonzero(row)[0])
        if bin_ in (0, len(row) - 1):
            return float("nan")
        inside = (rank - float(cumulative[bin_] - row[bin_])) / float(row[bin_])
        return self.low + (bin_ - 1 + inside) / self.per_unit

    def _value(self, place: Values) -> Values:
        return _core.exp(np.ascontiguousarray(LN10 * place)) if self.space == "log10" else place

    def quantile(self) -> Values:
        """Return the quantiles, [row,] quantile, in units of the value; NaN for one outside the bins."""
        table = np.array([[self._at(row, float(share)) for share in self.shares] for row in self.counts])
        values = self._value(table)
        return values if self.rows is not None else values[0]

    def quantile_error(self) -> Values:
        """Return their Monte Carlo standard errors: half the distance of the quantiles one standard error away.

        The share below a quantile is known to sqrt(q (1 - q) / n) (binomial order statistics).
        """
        return self._error(QuantileResult.quantile, self._order_statistics_error)

    def _order_statistics_error(self) -> Values:
        table = []
        for row in self.counts:
            n = float(row.sum())
            ends = [
                [self._at(row, float(share) + sign * sqrt(float(share * (1 - share)) / n)) for share in self.shares]
                for sign in (-1.0, 1.0)
            ]
            table.append((self._value(np.array(ends[1])) - self._value(np.array(ends[0]))) / 2)
        errors = np.array(table)
        return errors if self.rows is not None else errors[0]

    def measures(self) -> tuple[Measure, ...]:
        """Return the quantiles."""
        axes = (*((self.rows,) if self.rows else ()), Axis("quantile", tuple(float(share) for share in self.shares)))
        return (Measure("quantile", axes, self.quantile(), self.quantile_error()),)
