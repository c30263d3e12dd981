"""Exact symbolic counts: named dims, and expressions over them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from operator import index
from typing import TYPE_CHECKING, Literal, TypeAlias, final

from . import _core
from .errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import sympy
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Dim", "Expr", "Number", "Operand", "ceildiv", "clamp", "dim", "maximum", "minimum", "sum_over"]

Number: TypeAlias = int | Fraction
Operand: TypeAlias = "int | Fraction | Expr"


class Expr:
    """An exact expression over named dims: a polynomial with rational coefficients, floor division, min and max.

    Expressions are immutable, hashable, and canonical: equal polynomials are equal objects however they were built.
    Arithmetic with ``int``, ``Fraction`` and other expressions is exact; a result without dims is a plain ``int`` or
    ``Fraction``. Start from :func:`dim`.

    Notes
    -----
    Coefficients, and values at a point, have at most 127 bits; beyond that the operation raises
    ``CountOverflowError``. Terms of any size may cancel on the way to a value that fits.

    Examples
    --------
    >>> import flopcore as fc
    >>> batch, seq = fc.dim("batch"), fc.dim("seq")
    >>> cost = 2 * batch * seq * (seq + 1) // 2
    >>> print(cost)
    batch*seq**2 + batch*seq
    >>> cost.at({"batch": 1, "seq": 4096})
    16781312
    """

    __slots__ = ("_value",)
    _value: _core.ExprValue

    def __init__(self) -> None:
        raise TypeError("Expr is not made directly; start from flopcore.dim(name)")

    def __add__(self, other: Operand) -> Operand:
        return _core.expr_add(self, other)

    def __radd__(self, other: Operand) -> Operand:
        return _core.expr_add(other, self)

    def __sub__(self, other: Operand) -> Operand:
        return _core.expr_sub(self, other)

    def __rsub__(self, other: Operand) -> Operand:
        return _core.expr_sub(other, self)

    def __mul__(self, other: Operand) -> Operand:
        return _core.expr_mul(self, other)

    def __rmul__(self, other: Operand) -> Operand:
        return _core.expr_mul(other, self)

    def __neg__(self) -> Operand:
        return _core.expr_mul(self, -1)

    def __pos__(self) -> Expr:
        return self

    def __pow__(self, exponent: int) -> Operand:
        if isinstance(exponent, bool) or not isinstance(exponent, int):
            raise TypeError(f"exponent must be an int, not {exponent!r}")
        if exponent < 0:
            raise ValueError(f"exponent must not be negative, got {exponent}")
        return _core.expr_pow(self, min(exponent, 2**32 - 1))

    def __floordiv__(self, other: Operand) -> Operand:
        return _core.expr_floordiv(self, other)

    def __rfloordiv__(self, other: Operand) -> Operand:
        return _core.expr_floordiv(other, self)

    def __truediv__(self, other: Number) -> Operand:
        if isinstance(other, Expr):
            raise TypeError(f"cannot divide exactly by {other}, which has dims; use // or ceildiv")
        if isinstance(other, bool) or not isinstance(other, int | Fraction):
            raise TypeError(f"cannot divide exactly by {other!r}; use an int or a Fraction")
        if other == 0:
            raise ZeroDivisionError(f"division of {self} by zero")
        return _core.expr_scale(self, 1 / Fraction(other))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expr) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        raise TypeError(f"whether {self} is zero depends on its dims; bind them with .at() first")

    def __str__(self) -> str:
        return self._value.text()

    def __repr__(self) -> str:
        return f"Expr({self._value.text()})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce__(self) -> tuple[object, ...]:
        from .expr_forms import from_json

        return from_json, (self.to_json(),)

    @property
    def free_dims(self) -> tuple[Dim, ...]:
        """The dims this expression depends on, sorted by name."""
        return tuple(dim(name, min=low, max=high, multiple_of=step) for name, low, high, step in self._value.dims())

    def at(self, at: Mapping[str, Operand], *, on_unknown: Literal["error", "ignore"] = "error") -> Operand:
        """Return the expression with some or all dims bound.

        Parameters
        ----------
        at : mapping of str to int or Expr
            Value per dim name. Dims that are left out stay symbolic.
        on_unknown : {"error", "ignore"}
            What to do with a name that is not a dim of this expression.

        Returns
        -------
        int, Fraction or Expr
            A number when no dim is left.

        Raises
        ------
        DataError
            If a value breaks the bounds or ``multiple_of`` of its dim, or a name is unknown.

        Examples
        --------
        >>> import flopcore as fc
        >>> tokens = fc.dim("batch") * fc.dim("seq")
        >>> print(tokens.at({"batch": 8}))
        8*seq
        """
        return self._value.substitute(self._checked(at, on_unknown))

    def value(self, at: Mapping[str, int], *, on_unknown: Literal["error", "ignore"] = "error") -> Number:
        """Return the exact number at a point; every dim must be bound.

        Raises
        ------
        DataError
            If dims are missing (all are named), a name is unknown, or a value is not admissible.
        CountOverflowError
            If the value does not fit 127 bits.
        """
        return self._value.evaluate(self._checked(at, on_unknown))

    def evaluate(
        self,
        at: Mapping[str, ArrayLike],
        *,
        exact: bool = False,
        on_unknown: Literal["error", "ignore"] = "error",
        threads: int | None = None,
    ) -> NDArray[np.float64] | NDArray[np.object_]:
        """Return the values at many points.

        Parameters
        ----------
        at : mapping of str to array_like of int
            Values per dim name, of any shapes that broadcast; every dim must be bound.
        exact : bool
            Return an object array of exact ``int`` and ``Fraction`` in place of float64.
        on_unknown : {"error", "ignore"}
            What to do with a name that is not a dim of this expression.
        threads : int or None
            At most this many threads for float64; None means all CPUs that this process may use.

        Returns
        -------
        numpy.ndarray
            Of the broadcast shape.

        Raises
        ------
        DataError
            If dims are missing, a name is unknown, or a value is not admissible.

        Notes
        -----
        With u = 2**-53 and k = terms + 2 degree + 3, a float64 value differs from the exact one by at most
        k u / (1 - k u) times the sum of the magnitudes of the terms (Higham, Accuracy and Stability of Numerical
        Algorithms, section 3.1). Floor divisions are exact while dividend and divisor are integers below 2**53;
        beyond, each may be off by one. The bits depend on the expression alone, not on how it was built.

        Examples
        --------
        >>> import flopcore as fc
        >>> seq = fc.dim("seq")
        >>> (seq**2 / 2).evaluate({"seq": [1, 2, 3]})
        array([0.5, 2. , 4.5])
        """
        import numpy as np

        if threads is not None and threads < 1:
            raise ValueError(f"threads={threads}: expected None or at least 1")
        columns: dict[str, NDArray[np.int64]] = {}
        for name, values in self._checked(at, on_unknown).items():
            column = np.asarray(values)
            if column.dtype.kind not in "iu" and column.size:
                raise TypeError(f"the values of dim {name!r} must be integers, not {column.dtype}")
            if column.dtype.kind == "u" and column.size and int(column.max()) >= 2**63:
                raise DataError(f"the values of dim {name!r} must fit 63 bits")
            columns[name] = column.astype(np.int64, copy=False)
        shape = np.broadcast_shapes(*(column.shape for column in columns.values()))
        fixed = {name: int(column.reshape(-1)[0]) for name, column in columns.items() if column.size == 1}
        partial = self.at(fixed)
        if not isinstance(partial, Expr):
            if exact:
                filled = np.empty(shape, dtype=np.object_)
                filled.fill(partial)
                return filled
            return np.full(shape, float(partial))
        flat = {
            name: np.ascontiguousarray(np.broadcast_to(columns[name], shape)).reshape(-1)
            for name, *_ in partial._value.dims()
            if name in columns
        }
        if not exact:
            return partial._value.evaluate_float(flat, threads or 0).reshape(shape)
        exactly = np.empty(shape, dtype=np.object_)
        exactly.reshape(-1)[:] = partial._value.evaluate_exact(flat)
        return exactly

    def _checked(self, at: Mapping[str, object], on_unknown: str) -> dict[str, object]:
        if not isinstance(at, Mapping):
            raise TypeError(f"at must be a mapping from dim names to values, not {at!r}")
        if on_unknown not in ("error", "ignore"):
            raise ValueError(f"on_unknown must be 'error' or 'ignore', not {on_unknown!r}")
        for name in at:
            if not isinstance(name, str):
                raise TypeError(f"a dim name must be a str, not {name!r}")
        known = [name for name, *_ in self._value.dims()]
        unknown = sorted(set(at) - set(known))
        if unknown and on_unknown == "error":
            raise DataError(f"no dim {', '.join(map(repr, unknown))} here; the dims are {', '.join(map(repr, known))}")
        return {name: value for name, value in at.items() if name in known}

    def bounds(self) -> tuple[Number | None, Number | None]:
        """Return the least and greatest value it may take, by interval arithmetic; ``None`` where none is known.

        The interval contains every admissible value; it need not be the tightest one.
        """
        return self._value.bounds()

    def degree(self, name: str) -> int | None:
        """Return the degree in one dim, or ``None`` if the dim stands in a divisor, min or max.

        A floor division counts with the degree of its dividend.
        """
        return self._value.degree(name)

    def leading_term(self) -> Operand:
        """Return the sum of the terms of the highest total degree.

        Examples
        --------
        >>> import flopcore as fc
        >>> seq = fc.dim("seq")
        >>> print((4 * seq**2 + 7 * seq + 1).leading_term())
        4*seq**2
        """
        terms = self._value.terms()
        highest = max(sum(exponent for _, exponent in factors) for _, factors in terms)
        total: Operand = 0
        for coefficient, factors in terms:
            if sum(exponent for _, exponent in factors) == highest:
                total = total + _product(coefficient, factors)
        return total

    def elasticities(self, at: Mapping[str, int]) -> dict[str, Fraction]:
        """Return, per dim, by what power of it the value grows at a point.

        Parameters
        ----------
        at : mapping of str to int
            A value for every dim; the expression must not be zero there.

        Returns
        -------
        dict of str to Fraction
            ``d log(value) / d log(dim)``. A floor division counts as the plain quotient, min and max as the argument
            that decides there (the first one in a tie).

        Examples
        --------
        >>> import flopcore as fc
        >>> cost = fc.dim("batch") * (fc.dim("seq") ** 2 + 10 * fc.dim("seq"))
        >>> cost.elasticities({"batch": 1, "seq": 10})
        {'batch': Fraction(1, 1), 'seq': Fraction(3, 2)}
        """
        value = self.value(at)
        if value == 0:
            raise DataError(f"{self} is zero there; it has no elasticity")
        slopes = _slopes(self, dict(at), {})
        return {name: slopes.get(name, Fraction(0)) * at[name] / value for name, *_ in self._value.dims()}

    def dominant_dim(self, at: Mapping[str, int]) -> str:
        """Return the dim on which the value depends most at a point: the one of the greatest elasticity.

        A tie goes to the first name in alphabetical order.
        """
        elasticities = self.elasticities(at)
        return max(elasticities, key=lambda name: (abs(elasticities[name]), [-ord(c) for c in name]))

    def to_latex(self) -> str:
        """Return LaTeX source, without dollar signs."""
        return self._value.latex()

    def _repr_latex_(self) -> str:
        return f"${self._value.latex()}$"

    def to_json(self) -> dict[str, object]:
        """Return a JSON-ready dict in the format ``flopcore.expr/1``.

        Notes
        -----
        ``dims`` lists the dims; ``nodes`` lists atoms, each ``{"dim": name}``, ``{"index": [level, min, max]}`` or one
        of ``floordiv``, ``min``, ``max``, ``sum`` (index, body, low, high) with its arguments; ``value`` and every
        argument are lists of terms ``[coefficient, [[node, exponent], ...]]`` with coefficients as decimal text
        (``"3"``, ``"-1/2"``). Nodes refer to earlier nodes only.
        """
        from .expr_forms import to_json

        return to_json(self)

    @staticmethod
    def from_json(document: Mapping[str, object]) -> Operand:
        """Return the expression that :meth:`to_json` wrote.

        Raises
        ------
        DataError
            If the document is not one of format ``flopcore.expr/1``.
        """
        from .expr_forms import from_json

        return from_json(document)

    def to_sympy(self) -> sympy.Expr:
        """Return the same expression in sympy, dims as integer symbols.

        Raises
        ------
        ImportError
            If sympy is not installed.
        """
        from .expr_forms import to_sympy

        return to_sympy(self)


@final
class Dim(Expr):
    """A named dimension: an expression that is one symbol. Made by :func:`dim`."""

    __slots__ = ()

    def __repr__(self) -> str:
        low, high, step = self.min, self.max, self.multiple_of
        return f"dim({self.name!r}, min={low}, max={high}, multiple_of={step})"

    @property
    def name(self) -> str:
        """Its name."""
        return self._value.dims()[0][0]

    @property
    def min(self) -> int:
        """The smallest value it may take."""
        return self._value.dims()[0][1]

    @property
    def max(self) -> int | None:
        """The greatest value it may take, or ``None``."""
        return self._value.dims()[0][2]

    @property
    def multiple_of(self) -> int:
        """The number all its values are multiples of."""
        return self._value.dims()[0][3]


def _wrap(value: _core.ExprValue) -> Expr:
    """Return the Python face of a core expression; called by the core too."""
    head = value.head()
    expr = object.__new__(Dim if head is not None and head[0] == "dim" else Expr)
    expr._value = value
    return expr


def dim(name: str, *, min: int = 1, max: int | None = None, multiple_of: int = 1) -> Dim:  # noqa: A002
    """Return a named dimension.

    Parameters
    ----------
    name : str
        Any text that is not empty; ONNX names such as ``unk__12`` are fine.
    min, max : int
        The values it may take, ends included. Bounds decide min, max and divisions as early as possible.
    multiple_of : int
        A number every value is a multiple of: with 2, ``H // 2`` is exactly half of ``H``.

    Raises
    ------
    DataError
        If no value is left to take. Two dims of one name in one expression must have the same definition.

    Examples
    --------
    >>> import flopcore as fc
    >>> height = fc.dim("height", multiple_of=2)
    >>> print(2 * (height // 2))
    height
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {name!r}")
    for argument, value in (("min", min), ("multiple_of", multiple_of), *((("max", max),) if max is not None else ())):
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{argument} must be an int, not {value!r}")
        if not -(2**62) <= value < 2**62:
            raise ValueError(f"{argument} must fit 62 bits, got {value}")
    return _core.expr_dim(name, index(min), None if max is None else index(max), index(multiple_of))


def minimum(first: Operand, *others: Operand) -> Operand:
    """Return the least of the arguments."""
    for other in others:
        first = _core.expr_minimum(first, other)
    return first


def maximum(first: Operand, *others: Operand) -> Operand:
    """Return the greatest of the arguments."""
    for other in others:
        first = _core.expr_maximum(first, other)
    return first


def clamp(value: Operand, low: Operand, high: Operand) -> Operand:
    """Return value held between low and high: ``min(max(value, low), high)``."""
    return minimum(maximum(value, low), high)


def ceildiv(left: Operand, right: Operand) -> Operand:
    """Return left divided by right, rounded up.

    Examples
    --------
    >>> import flopcore as fc
    >>> print(fc.ceildiv(fc.dim("seq"), 128))
    (seq + 127)//128
    """
    return _core.expr_ceildiv(left, right)


def sum_over(body: Operand, index: Dim | str, low: Operand, high: Operand) -> Operand:
    """Return the sum of body for index = low, low + 1, ..., high - 1; zero when high <= low.

    Parameters
    ----------
    body : int, Fraction or Expr
        What is added; it may depend on the index.
    index : Dim or str
        The dim that runs; its bounds must hold all values it takes. The result does not depend on it.
    low, high : int or Expr
        First value, and the one after the last.

    Returns
    -------
    int, Fraction or Expr
        In closed form when body is a polynomial in the index, or holds min and max of forms linear in it (sliding
        windows, clamps). Any other sum is kept as it is and added up when it is evaluated.

    Raises
    ------
    DataError
        If the ends are not integers or the index may leave its bounds.
    CountOverflowError
        When a sum without closed form takes more than 2**24 steps to evaluate.

    Notes
    -----
    Powers are summed by Faulhaber's formula; a range is cut where two arguments of a min or max cross.

    Examples
    --------
    Attention scores of decoding ``new`` tokens after a prompt, each seeing at most 4096 positions:

    >>> import flopcore as fc
    >>> prompt, new, step = fc.dim("prompt"), fc.dim("new"), fc.dim("step", min=0)
    >>> print(fc.sum_over(prompt + step + 1, step, 0, new))
    (new**2 + 2*new*prompt + new)/2
    >>> scores = fc.sum_over(fc.minimum(prompt + step + 1, 4096), step, 0, new)
    >>> scores.at({"prompt": 4000, "new": 1000})
    4091440
    """
    name = index.name if isinstance(index, Dim) else index
    if not isinstance(name, str):
        raise TypeError(f"index must be a Dim or its name, not {index!r}")
    return _core.expr_sum(body, name, low, high)


def _product(coefficient: Number, factors: tuple[tuple[Operand, int], ...]) -> Operand:
    product: Operand = coefficient
    for factor, exponent in factors:
        product = product * factor**exponent
    return product


def parts(expr: Operand) -> list[tuple[Number, tuple[tuple[Expr, int], ...]]]:
    """Return the terms of an expression or number: coefficients, and (atom, exponent) pairs."""
    if isinstance(expr, Expr):
        return expr._value.terms()
    return [(expr, ())] if expr != 0 else []


def _slopes(expr: Operand, at: dict[str, int], known: dict[Expr, dict[str, Fraction]]) -> dict[str, Fraction]:
    """Return the derivative by each dim; nesting is bounded by the core, so recursion is too."""
    total: dict[str, Fraction] = {}
    for coefficient, factors in parts(expr):
        values = [Fraction(_value_at(factor, at)) for factor, _ in factors]
        for i, (factor, exponent) in enumerate(factors):
            others = Fraction(coefficient) * exponent * values[i] ** (exponent - 1)
            for j, (_, power) in enumerate(factors):
                if j != i:
                    others *= values[j] ** power
            if factor not in known:
                known[factor] = _atom_slopes(factor, at, known)
            for name, slope in known[factor].items():
                total[name] = total.get(name, Fraction(0)) + others * slope
    return total


def _atom_slopes(atom: Expr, at: dict[str, int], known: dict[Expr, dict[str, Fraction]]) -> dict[str, Fraction]:
    head = atom._value.head()
    assert head is not None
    if head[0] == "dim":
        return {head[1][0]: Fraction(1)}
    if head[0] == "index" or head[0] == "sum":
        raise DataError(f"{atom} is a sum without closed form; it has no elasticity")
    if head[0] == "floordiv":
        over, under = (Fraction(_value_at(argument, at)) for argument in head[1])
        slopes = {name: slope / under for name, slope in _slopes(head[1][0], at, known).items()}
        for name, slope in _slopes(head[1][1], at, known).items():
            slopes[name] = slopes.get(name, Fraction(0)) - over * slope / under**2
        return slopes
    choose = min if head[0] == "min" else max
    return _slopes(choose(head[1], key=lambda argument: _value_at(argument, at)), at, known)


def _value_at(expr: Operand, at: dict[str, int]) -> Number:
    return expr.value(at, on_unknown="ignore") if isinstance(expr, Expr) else expr
