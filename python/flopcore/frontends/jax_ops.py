"""Which primitive of JAX is which op here: one handler per primitive."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType
from typing import Any

from flopcore.expr import maximum
from flopcore.graph import DimLike, Tensor

from .jax_contractions import CONTRACTIONS
from .jax_equation import Equation, Handler
from .jax_matrices import MATRICES
from .jax_windows import WINDOWS

__all__: list[str] = []


# ------------------------------------------------------------------------------------------------- elementwise
def _plain(op: str) -> Handler:
    return lambda eqn: eqn.op(op, eqn.inputs)


def _logic(integer: str, boolean: str) -> Handler:
    return lambda eqn: eqn.op(boolean if eqn.dtype == "bool" else integer, eqn.inputs)


def _integer_pow(eqn: Equation) -> Tensor:
    """A power by repeated squaring; a negative one divides at the end."""
    x, exponent = eqn.inputs[0], int(eqn.given["y"])
    if exponent == 0:
        return eqn.constant(eqn.shape)
    result: Tensor | None = None
    square, rest = x, abs(exponent)
    while rest:
        if rest & 1:
            result = square if result is None else eqn.op("mul", [result, square])
        rest >>= 1
        if rest:
            square = eqn.op("square", [square])
    assert result is not None
    return result if exponent > 0 else eqn.op("reciprocal", [result])


def _select(eqn: Equation) -> Tensor:
    which, *cases = eqn.inputs
    found = cases[0]
    for case in cases[1:]:
        condition = which
        if which.dtype != "bool":
            condition = eqn.op("equal", [which, eqn.constant((), which.dtype)])
        found = eqn.op("where", [condition, case, found])
    return found


def _cast(eqn: Equation) -> Tensor:
    x = eqn.inputs[0]
    return x if x.dtype == eqn.dtype else eqn.op("cast", [x], dtype=eqn.dtype)


def _same(eqn: Equation) -> Tensor:
    return eqn.inputs[0]


def _clamp(eqn: Equation) -> Tensor:
    found: Tensor = eqn.op("clamp", [eqn.inputs[1]], bounds="both")
    return found


# ---------------------------------------------------------------------------------------------------- reductions
def _reduce(op: str) -> Handler:
    def handle(eqn: Equation) -> Tensor:
        axes = list(eqn.given["axes"])
        return eqn.op(op, [eqn.inputs[0]], axes=axes, keepdims=False) if axes else eqn.inputs[0]

    return handle


def _arg(op: str) -> Handler:
    def handle(eqn: Equation) -> Tensor:
        found: Tensor = eqn.op(op, [eqn.inputs[0]], axes=list(eqn.given["axes"]), keepdims=False)
        return found if found.dtype == eqn.dtype else eqn.op("cast", [found], dtype=eqn.dtype)

    return handle


def _along(op: str) -> Handler:
    def handle(eqn: Equation) -> Any:
        return eqn.op(op, [eqn.inputs[0]], axis=eqn.given["axis"])

    return handle


def _sort(eqn: Equation) -> list[Tensor]:
    """Keys are sorted; what goes with them is picked by their places."""
    axis = eqn.given["dimension"]
    first, places = eqn.ops("sort", [eqn.inputs[0]], axis=axis)
    return [first, *(eqn.op("take_along", [x, places], axis=axis) for x in eqn.inputs[1:])]


def _top_k(eqn: Equation) -> list[Tensor]:
    axis = eqn.given.get("axis", len(eqn.shape) - 1)
    values, places = eqn.ops("top_k", [eqn.inputs[0]], axis=axis, size=eqn.shape[axis])
    return [values, eqn.op("cast", [places], dtype=eqn.outputs[1][1])]


# -------------------------------------------------------------------------------------------------- data movement
def _view(eqn: Equation) -> Tensor:
    return eqn.reshape(eqn.inputs[0], eqn.shape)


def _broadcast(eqn: Equation) -> Tensor:
    x = eqn.inputs[0]
    shape: list[DimLike] = [1] * len(eqn.shape)
    for axis, size in zip(eqn.given["broadcast_dimensions"], x.shape, strict=True):
        shape[axis] = size
    found: Tensor = eqn.op("expand", [eqn.reshape(x, shape)], shape=list(eqn.shape))
    return found


def _transpose(eqn: Equation) -> Tensor:
    return eqn.transpose(eqn.inputs[0], eqn.given["permutation"])


def _concatenate(eqn: Equation) -> Tensor:
    found: Tensor = eqn.op("concat", eqn.inputs, axis=eqn.given["dimension"])
    return found


def _slice(eqn: Equation) -> Tensor:
    x, strides = eqn.inputs[0], eqn.given["strides"]
    for axis, (start, stop) in enumerate(zip(eqn.given["start_indices"], eqn.given["limit_indices"], strict=True)):
        step = 1 if strides is None else strides[axis]
        begin, end = eqn.size(start), eqn.size(stop)
        if begin != 0 or step != 1 or str(end) != str(x.shape[axis]):
            x = eqn.op("slice", [x], axis=axis, start=begin, stop=end, step=step)
    return x


def _dynamic_slice(eqn: Equation) -> Tensor:
    """Where it starts depends on the data; how much it takes does not."""
    x = eqn.inputs[0]
    for axis, size in enumerate(eqn.shape):
        if str(size) != str(x.shape[axis]):
            x = eqn.op("slice", [x], axis=axis, start=0, stop=size, step=1)
    return x


def _flat_update(reduction: str) -> Handler:
    """Some elements of a tensor replaced, or joined with others: one step for each element of the update."""

    def handle(eqn: Equation) -> Tensor:
        x = eqn.inputs[0]
        updates = eqn.inputs[1] if eqn.name == "dynamic_update_slice" else eqn.inputs[2]
        count = prod(updates.shape, start=1)
        flat = eqn.reshape(x, (prod(x.shape, start=1),))
        places = eqn.constant((count,), "int32")
        found = eqn.op("index_update", [flat, places, eqn.reshape(updates, (count,))], axis=0, reduction=reduction)
        return eqn.reshape(found, x.shape)

    return handle


def _gather(eqn: Equation) -> Tensor:
    """One pick for each element of the output."""
    x = eqn.inputs[0]
    flat = eqn.reshape(x, (prod(x.shape, start=1),))
    found: Tensor = eqn.op("gather", [flat, eqn.constant(eqn.shape, "int32")], axis=0)
    return found


def _pad(eqn: Equation) -> Tensor:
    """Margins; what is put between elements is as much work behind them."""
    x, sides = eqn.inputs[0], eqn.given["padding_config"]
    begins = [eqn.size(begin) for begin, _, _ in sides]
    ends = [
        eqn.size(end) + interior * (maximum(size - 1, 0) if interior else 0)
        for (_, end, interior), size in zip(sides, x.shape, strict=True)
    ]
    found: Tensor = eqn.op("pad", [x], padding=[*begins, *ends])
    return found


def _reverse(eqn: Equation) -> Tensor:
    found: Tensor = eqn.op("flip", [eqn.inputs[0]], axes=list(eqn.given["dimensions"]))
    return found


def _split(eqn: Equation) -> list[Tensor]:
    sizes = [eqn.size(each) for each in eqn.given["sizes"]]
    return list(eqn.ops("split", [eqn.inputs[0]], axis=eqn.given["axis"], sizes=sizes))


def _reinterpreted(eqn: Equation) -> list[Tensor]:
    """The same bits under another name, the seed that is a key, the number of a platform: no work."""
    return [eqn.constant(*each) for each in eqn.outputs]


def _magnitude(eqn: Equation) -> Tensor:
    x = eqn.inputs[0]
    if not x.dtype.startswith("complex"):
        return eqn.op("abs", [x])  # type: ignore[no-any-return]
    parts = [eqn.op("cast", [x], dtype=eqn.dtype) for _ in range(2)]
    return eqn.op("hypot", parts)  # type: ignore[no-any-return]


def _complex(eqn: Equation) -> Tensor:
    """Both parts written."""
    made = [eqn.op("cast", [part], dtype=eqn.dtype) for part in eqn.inputs]
    return made[0]  # type: ignore[no-any-return]


def _iota(eqn: Equation) -> Tensor:
    """Numbers that count along one dim, each element written."""
    found: Tensor = eqn.op("arange", [], size=prod(eqn.shape, start=1), dtype=eqn.dtype)
    return eqn.reshape(found, eqn.shape)


def _random(eqn: Equation) -> list[Tensor]:
    draws = [eqn.op("random_integers", [], shape=list(shape), dtype=dtype) for shape, dtype in eqn.outputs[-1:]]
    return [*(eqn.constant(*each) for each in eqn.outputs[:-1]), *draws]


_SAME_NAME = (
    "add sub mul div neg sign floor ceil round exp exp2 log log1p expm1 tanh sin cos tan asin acos atan sinh cosh "
    "asinh acosh atanh sqrt rsqrt erf erfc square pow atan2"
)
_RENAMED = {
    "logistic": "sigmoid",
    "erf_inv": "erfinv",
    "is_finite": "isfinite",
    "rem": "fmod",
    "max": "maximum",
    "min": "minimum",
    "add_any": "add",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "lt_to": "less",
    "le_to": "less_equal",
    "conj": "neg",
    "population_count": "bitwise_not",  # one integer instruction, as counting leading zeros is
    "clz": "bitwise_not",
    "gt": "greater",
    "ge": "greater_equal",
    "shift_left": "shift_left",
    "shift_right_logical": "shift_right",
    "shift_right_arithmetic": "shift_right",
}
_COPIES = (
    "copy copy_p stop_gradient reduce_precision optimization_barrier random_wrap random_unwrap pvary "
    "sharding_constraint"
)

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        **{name: _plain(name) for name in _SAME_NAME.split()},
        **{name: _plain(op) for name, op in _RENAMED.items()},
        "cbrt": lambda eqn: eqn.op("pow", [eqn.inputs[0], eqn.constant()]),
        "and": _logic("bitwise_and", "logical_and"),
        "or": _logic("bitwise_or", "logical_or"),
        "xor": _logic("bitwise_xor", "logical_xor"),
        "not": _logic("bitwise_not", "logical_not"),
        "integer_pow": _integer_pow,
        "select_n": _select,
        "clamp": _clamp,
        "convert_element_type": _cast,
        **dict.fromkeys(_COPIES.split(), _same),
        "abs": _magnitude,
        "complex": _complex,
        **dict.fromkeys(["real", "imag"], _cast),
        **CONTRACTIONS,
        **MATRICES,
        **WINDOWS,
        "reduce_sum": _reduce("reduce_sum"),
        "reduce_max": _reduce("reduce_max"),
        "reduce_min": _reduce("reduce_min"),
        "reduce_prod": _reduce("reduce_prod"),
        "reduce_and": _reduce("reduce_all"),
        "reduce_or": _reduce("reduce_any"),
        "argmax": _arg("argmax"),
        "argmin": _arg("argmin"),
        "cumsum": _along("cumsum"),
        "cumprod": _along("cumprod"),
        "cummax": _along("cummax"),
        "cummin": _along("cummin"),
        "cumlogsumexp": _along("logcumsumexp"),
        "sort": _sort,
        "top_k": _top_k,
        **dict.fromkeys(["reshape", "squeeze", "expand_dims"], _view),
        "broadcast_in_dim": _broadcast,
        "transpose": _transpose,
        "concatenate": _concatenate,
        "slice": _slice,
        "dynamic_slice": _dynamic_slice,
        "dynamic_update_slice": _flat_update("none"),
        "scatter": _flat_update("none"),
        "scatter-add": _flat_update("add"),
        "scatter_add": _flat_update("add"),
        "scatter-mul": _flat_update("mul"),
        "scatter-min": _flat_update("min"),
        "scatter-max": _flat_update("max"),
        "gather": _gather,
        "pad": _pad,
        "rev": _reverse,
        "split": _split,
        "iota": _iota,
        **dict.fromkeys(["random_seed", "create_token", "bitcast_convert_type", "platform_index"], _reinterpreted),
        **dict.fromkeys(["random_bits", "random_fold_in", "random_split", "rng_bit_generator", "rng_uniform"], _random),
    }
)
