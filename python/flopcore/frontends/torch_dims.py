"""Sizes that torch keeps symbolic, as dims and expressions of ours."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from flopcore.errors import DataError
from flopcore.expr import Expr, ceildiv, dim, maximum, minimum
from flopcore.graph import DimLike

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__: list[str] = []

_TRIALS = (5, 7, 11, 13)


class Dims:
    """The symbols of one program, each under its name, with the bounds that the program states."""

    def __init__(self, program: ExportedProgram, names: Mapping[str, str]) -> None:
        self._known: dict[str, DimLike] = {}
        for symbol, bounds in program.range_constraints.items():
            low, high = int(bounds.lower), bounds.upper
            most = int(high) if high.is_number and high.is_finite and int(high) < 2**62 else None
            self._known[str(symbol)] = dim(names.get(str(symbol), str(symbol)), min=max(low, 0), max=most)

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
            expression = value.node.expr
            if expression.is_Boolean or getattr(expression, "is_Relational", False):
                return bool(expression) if expression.is_number else True
            return self._expression(expression)
        return value

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
