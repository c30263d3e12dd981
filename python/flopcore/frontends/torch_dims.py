"""Sizes that torch keeps symbolic, as dims and expressions of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, inf, prod, trunc
from typing import TYPE_CHECKING, Any

from flopcore.errors import DataError
from flopcore.expr import Dim, Expr, Operand, ceildiv, dim, maximum, minimum
from flopcore.graph import DimLike

from .unsupported import NotCountable

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__: list[str] = []

_TRIALS = (5, 7, 11, 13)


@dataclass(frozen=True, slots=True)
class Undecided:
    """A number or a condition that depends on symbolic sizes, as torch writes it; no count may ask what it is."""

    text: str

    def __bool__(self) -> bool:
        raise NotCountable(f"whether {self.text} depends on symbolic sizes: bind them")


def _finite(bound: Any) -> int | None:
    """Return an end of a range of torch's; None for infinity and what is as good as that."""
    return int(bound) if bound.is_Integer and abs(int(bound)) < 2**62 else None


def _either(holds: bool, fails: bool) -> bool | None:
    return True if holds else False if fails else None


_FINEST = 1024
_ROUNDED: Mapping[str, Callable[[Any], int]] = {
    "TruncToInt": trunc,
    "FloorToInt": floor,
    "CeilToInt": ceil,
    "RoundToInt": round,
}

# Whether a relation between a and b holds, from the bounds of a - b.
_DECIDED: Mapping[str, Callable[[Any, Any], bool | None]] = {
    "Equality": lambda low, high: _either(low == high == 0, low > 0 or high < 0),
    "Unequality": lambda low, high: _either(low > 0 or high < 0, low == high == 0),
    "StrictLessThan": lambda low, high: _either(high < 0, low >= 0),
    "LessThan": lambda low, high: _either(high <= 0, low > 0),
    "StrictGreaterThan": lambda low, high: _either(low > 0, high <= 0),
    "GreaterThan": lambda low, high: _either(low >= 0, high < 0),
}


class Dims:
    """The symbols of one program, each under its name, with the bounds that the program states."""

    def __init__(self, program: ExportedProgram, names: Mapping[str, str]) -> None:
        self._known: dict[str, DimLike] = {}
        for symbol, bounds in program.range_constraints.items():
            low, high = _finite(bounds.lower), _finite(bounds.upper)
            self._known[str(symbol)] = dim(names.get(str(symbol), str(symbol)), min=max(low or 0, 0), max=high)

    def new(self, name: str) -> Dim:
        """Return a dim of 0 or more that the program does not have."""
        taken = {str(each) for each in self._known.values()}
        while name in taken:
            name += "_"
        self._known[name] = made = dim(name, min=0)
        return made

    def shape(self, tensor: Any) -> tuple[DimLike, ...]:
        """Return the shape of a fake tensor."""
        return tuple(self.size(each) for each in tensor.shape)

    def size(self, value: Any) -> DimLike:
        """Return an int as it is, a SymInt as an expression."""
        if isinstance(value, int):
            return value
        return self._expression(value.node.expr)

    def plain(self, value: Any) -> Any:
        """Return a value with its SymInts turned into expressions; lists and tuples are lists."""
        if isinstance(value, tuple | list):
            return [self.plain(each) for each in value]
        if hasattr(value, "node") and hasattr(value.node, "expr"):
            expression, kind = value.node.expr, value.node.pytype
            if kind is bool:
                return self._condition(expression)
            return self._expression(expression) if kind is int else Undecided(str(expression))
        return value

    def _condition(self, expression: Any) -> bool | Undecided:
        """Return whether a condition on sizes holds within their bounds."""
        parts = expression.args
        match type(expression).__name__:
            case "BooleanTrue":
                return True
            case "BooleanFalse":
                return False
            case "Not":
                inner = self._condition(parts[0])
                return not inner if isinstance(inner, bool) else Undecided(str(expression))
            case "And" | "Or" as kind:
                arms = [self._condition(part) for part in parts]
                absorbing = kind == "Or"
                if any(arm is absorbing for arm in arms):
                    return absorbing
                return not absorbing if all(isinstance(arm, bool) for arm in arms) else Undecided(str(expression))
            case kind if kind in _DECIDED:
                difference = self._expression(parts[0]) - self._expression(parts[1])
                low, high = difference.bounds() if isinstance(difference, Expr) else (difference, difference)
                found = _DECIDED[kind](-inf if low is None else low, inf if high is None else high)
                return Undecided(str(expression)) if found is None else found
        return Undecided(str(expression))

    def same(self, a: DimLike, b: DimLike) -> bool:
        """Return whether two sizes are equal: as expressions, or at several values of their dims."""
        if isinstance(a, int) and isinstance(b, int):
            return a == b
        difference = a - b
        if not isinstance(difference, Expr):
            return difference == 0
        names = {str(each): each for each in self._known.values() if isinstance(each, Expr)}
        return all(
            difference.at({name: trial * (2 + i) for i, name in enumerate(names)}, on_unknown="ignore") == 0
            for trial in _TRIALS
        )

    def _expression(self, expression: Any) -> DimLike:
        """Return a sympy expression of torch's as one of ours."""
        kind = type(expression).__name__
        if expression.is_Integer:
            return int(expression)
        if expression.is_Symbol:
            name = str(expression)
            if name not in self._known:
                self._known[name] = dim(name)
            return self._known[name]
        if kind in _ROUNDED:
            return self._rounded(kind, expression)
        parts: list[DimLike] = [self._expression(part) for part in expression.args]
        found: object
        match kind:
            case "Add":
                found = sum(parts[1:], parts[0])
            case "Mul":
                found = prod(parts[1:], start=parts[0])
            case "Pow" if isinstance(parts[1], int) and 0 <= parts[1] <= 64:
                found = prod([parts[0]] * parts[1], start=1)
            case "FloorDiv" | "CleanDiv":
                found = parts[0] // parts[1]
            case "CeilDiv":
                found = ceildiv(parts[0], parts[1])
            case "Mod" | "PythonMod":
                found = parts[0] - parts[1] * (parts[0] // parts[1])
            case "Max":
                found = maximum(*parts)
            case "Min":
                found = minimum(*parts)
            case _:
                found = None
        if isinstance(found, int | Expr):
            return found
        raise DataError(f"a size of torch's, {expression}, has the unknown form {kind}")

    def _rounded(self, kind: str, expression: Any) -> DimLike:
        """Return a real number that torch makes an int; towards zero is down where it cannot be negative."""
        real = self._real(expression.args[0])
        if kind == "TruncToInt" and isinstance(real, Expr) and (low := real.bounds()[0]) is not None and low >= 0:
            kind = "FloorToInt"
        found: object = None
        if isinstance(real, int | Fraction):
            found = _ROUNDED[kind](real)
        elif kind == "FloorToInt":
            found = real // 1
        elif kind == "CeilToInt":
            found = ceildiv(real, 1)
        if isinstance(found, int | Expr):
            return found
        raise DataError(f"a size of torch's, {expression}, has no exact form")

    def _real(self, expression: Any) -> Operand:
        """Return a real number of torch's, if its floating-point arithmetic is exact as far as sizes go."""
        kind, parts = type(expression).__name__, expression.args
        if expression.is_Float:
            exact = Fraction(float(expression))
            if exact.denominator <= _FINEST:
                return exact
            raise DataError(f"the number {float(expression)} times a size is rounded; use a multiple of 1/{_FINEST}")
        match kind:
            case "ToFloat":
                return self._expression(parts[0])
            case "IntTrueDiv" if parts[1].is_Integer:
                return self._expression(parts[0]) * Fraction(1, int(parts[1]))
            case "Add":
                return sum((self._real(part) for part in parts), 0)
            case "Mul":
                return prod((self._real(part) for part in parts), start=1)
        return self._expression(expression)


def dim_names(program: ExportedProgram, dynamic: object) -> dict[str, str]:
    """Return the name that each symbol was given by a `torch.export.Dim`.

    The specification has the form of the inputs, so its leaves and those of the inputs go side by side.
    """
    if dynamic is None:
        return {}
    import torch

    user = {spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"}
    holders = [node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder" and node.name in user]
    tensors = [each for each in holders if isinstance(each, torch.Tensor)]
    found: dict[str, str] = {}
    for tensor, entry in zip(tensors, _entries(dynamic), strict=False):
        axes = entry.items() if isinstance(entry, Mapping) else enumerate(entry or ())
        for axis, given in axes:
            size = tensor.shape[axis]
            name = getattr(given, "__name__", None)
            if isinstance(size, int) or name is None or not size.node.expr.is_Symbol:
                continue
            found[str(size.node.expr)] = str(name)
    return found


def _entries(dynamic: Any) -> list[Any]:
    """Return the entries of a specification, one for each tensor of the inputs."""
    if dynamic is None:
        return [None]
    if isinstance(dynamic, Mapping):
        if all(isinstance(key, int) for key in dynamic):
            return [dynamic]
        return [entry for each in dynamic.values() for entry in _entries(each)]
    if isinstance(dynamic, tuple | list):
        if dynamic and all(each is None or isinstance(each, int) or hasattr(each, "__name__") for each in dynamic):
            is_shape = any(hasattr(each, "__name__") for each in dynamic)
            return [dynamic] if is_shape else [entry for each in dynamic for entry in _entries(each)]
        return [entry for each in dynamic for entry in _entries(each)]
    return [None]
