"""Ops of your own: shapes to outputs and to exact amounts of features, in Python, once per node when it is added."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from math import prod
from typing import Protocol, TypeAlias, cast

from . import _core
from .errors import DataError, GraphError
from .expr import Expr

__all__ = [
    "Amounts",
    "CountRule",
    "InferRule",
    "TensorType",
    "UserOp",
    "find_op",
    "register_op",
    "unregister_op",
    "user_ops",
]

# Sizes that are worked out from the shapes of every op alike.
_SIZES = ("out_elems", "in_elems", "weight_elems", "bytes_read", "bytes_written", "weight_bytes", "cache_bytes")


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and dtype of one tensor: what rules see of inputs, and say of outputs."""

    shape: tuple[int | Expr, ...]
    dtype: str = "float32"

    @property
    def n(self) -> int | Expr:
        """Number of elements."""
        return cast("int | Expr", prod(self.shape))


class _Extent(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def nominal(self) -> object: ...
    @property
    def used(self) -> object: ...
    @property
    def grade(self) -> str: ...


Inputs: TypeAlias = "tuple[TensorType | None, ...]"
Amounts: TypeAlias = "Mapping[str, int | Expr] | Iterable[tuple[str, int | Expr, _Extent | None]]"
"""Amount of each feature; or (feature, base, extent), where base x nominal or used size of the extent is the amount."""

InferRule: TypeAlias = "Callable[[Inputs, Mapping[str, object]], TensorType | Sequence[TensorType]]"
CountRule: TypeAlias = "Callable[[Inputs, tuple[TensorType, ...], Mapping[str, object]], Amounts]"


@dataclass(frozen=True, slots=True)
class UserOp:
    """An op that was registered; see `register_op`."""

    name: str
    infer: InferRule
    count: CountRule
    weights: tuple[int, ...]

    def outputs(self, inputs: Inputs, attrs: Mapping[str, object]) -> tuple[TensorType, ...]:
        """Return what `infer` says, checked; TypeError if it is no TensorType or sequence of them."""
        made = self.infer(inputs, attrs)
        outputs = (made,) if isinstance(made, TensorType) else tuple(made)
        for output in outputs:
            if not isinstance(output, TensorType):
                raise TypeError(f"infer of op {self.name!r} must return TensorType, not {type(output).__name__}")
        return outputs

    def amounts(
        self, inputs: Inputs, outputs: tuple[TensorType, ...], attrs: Mapping[str, object]
    ) -> list[tuple[str, int | Expr, tuple[str, object, object, str] | None]]:
        """Return what `count` says, checked: known features, and exact amounts of 0 or more."""
        said = self.count(inputs, outputs, attrs)
        rows = [(feature, base, None) for feature, base in said.items()] if isinstance(said, Mapping) else list(said)
        found = []
        for feature, base, extent in rows:
            self._check_feature(feature)
            self._check_amount(feature, base)
            sizes = None
            if extent is not None:
                self._check_amount(f"{feature} ({extent.kind}, nominal)", extent.nominal)
                self._check_amount(f"{feature} ({extent.kind}, used)", extent.used)
                self._check_used(extent.nominal, extent.used)
                sizes = (extent.kind, extent.nominal, extent.used, extent.grade)
            found.append((feature, base, sizes))
        return found

    def _check_used(self, nominal: object, used: object) -> None:
        if isinstance(nominal, int) and isinstance(used, int) and used > nominal:
            raise DataError(f"op {self.name!r}: an extent uses {used} of {nominal}; it must not use more than there is")

    def _check_feature(self, feature: str) -> None:
        known = [name for name in _core.feature_names() if name not in _SIZES]
        if feature in _SIZES:
            raise DataError(f"op {self.name!r}: {feature!r} is worked out from the shapes; leave it out")
        if feature not in known:
            close = get_close_matches(str(feature), known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise DataError(f"op {self.name!r}: {feature!r} is not a feature; {hint}known: {', '.join(known)}")

    def _check_amount(self, what: str, amount: object) -> None:
        whole = not isinstance(amount, Fraction) or amount.denominator == 1
        if isinstance(amount, bool) or not isinstance(amount, int | Fraction | Expr) or not whole:
            raise TypeError(f"op {self.name!r}: the amount of {what} must be an int or an Expr, not {amount!r}")
        if isinstance(amount, int | Fraction) and amount < 0:
            raise DataError(f"op {self.name!r}: the amount of {what} is {amount}, must be 0 or more")


_REGISTERED: dict[str, UserOp] = {}


def register_op(
    name: str, *, infer: InferRule, count: CountRule, weights: Sequence[int] = (), replace: bool = False
) -> UserOp:
    """Make an op known to this process, so that ``graph.op(name, ...)`` takes it; return it.

    Both rules are called once, when a node is added, and may answer in expressions over the dims. The graph keeps the
    answers, so that walking, binding dims and pricing need no Python.

    Parameters
    ----------
    name : str
        Letters, digits, ``_ . : / -``, and no op that exists. The front-end for ONNX looks up ``"domain::OpType"``.
    infer : callable
        ``(inputs, attrs) -> TensorType`` or a sequence of them; an optional input that is not given is None.
    count : callable
        ``(inputs, outputs, attrs) -> {feature: amount}``, or rows ``(feature, base, extent)`` with a
        `flopcore.Extent` or None. Amounts are ints or expressions, 0 or more, of the features of docs/OPS.md but for
        the sizes that follow from the shapes (elements, bytes).
    weights : sequence of int
        Which inputs hold weights.
    replace : bool
        Whether an op of the same name may be registered already; nodes that were added keep what was said then.

    Raises
    ------
    GraphError
        If the name is taken or not allowed.

    Examples
    --------
    >>> import flopcore as fc
    >>> def infer(inputs, attrs):
    ...     x, w = inputs
    ...     return fc.TensorType((*x.shape[:-1], w.shape[1]), x.dtype)
    >>> def count(inputs, outputs, attrs):
    ...     return {"mac": outputs[0].n * attrs["rank"], "add": outputs[0].n}
    >>> _ = fc.register_op("acme.low_rank", infer=infer, count=count, weights=[1])
    >>> g = fc.Graph()
    >>> x, w = g.input("x", (fc.dim("batch"), 64)), g.parameter("w", (64, 10))
    >>> y = g.op("acme.low_rank", [x, w], {"rank": 4})
    >>> print(fc.count(g).flop("all-arithmetic"))
    90*batch
    >>> fc.unregister_op("acme.low_rank")
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*", name):
        raise GraphError(f"an op cannot be called {name!r}; use letters, digits and _ . : / -")
    if name in _core.op_names() or name in ("call", "loop", "if", "recompute"):
        raise GraphError(f"op {name!r} exists already; choose another name, such as 'mine.{name}'")
    if name in _REGISTERED and not replace:
        raise GraphError(f"op {name!r} is registered already; unregister it, or say replace=True")
    for what, rule in (("infer", infer), ("count", count)):
        if not callable(rule):
            raise TypeError(f"{what} must be a function, not {rule!r}")
    for slot in weights:
        if isinstance(slot, bool) or not isinstance(slot, int) or slot < 0:
            raise TypeError(f"weights are numbers of inputs, not {slot!r}")
    _REGISTERED[name] = UserOp(name, infer, count, tuple(weights))
    return _REGISTERED[name]


def unregister_op(name: str) -> None:
    """Forget an op; graphs that use it stay as they are. GraphError if there is none of that name."""
    if name not in _REGISTERED:
        raise GraphError(f"no op {name!r} is registered; registered: {', '.join(user_ops()) or 'none'}")
    del _REGISTERED[name]


def user_ops() -> tuple[str, ...]:
    """Return the names of the ops registered in this process, sorted."""
    return tuple(sorted(_REGISTERED))


def find_op(name: str) -> UserOp | None:
    """Return a registered op, or None."""
    return _REGISTERED.get(name)
