"""Elementwise operators of PyTorch: operands in one dtype, numbers as constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from flopcore.graph import Tensor

from .torch_call import Call, Handler
from .unsupported import NotCountable

__all__: list[str] = []


def _unary(op: str) -> Handler:
    def handle(call: Call) -> Tensor:
        x = next(each for each in call.args if isinstance(each, Tensor))
        found = call.op(op, [call.cast(x, call.dtype) if x.dtype != call.dtype and call.dtype != "bool" else x])
        assert isinstance(found, Tensor)
        return found

    return handle


def _promoted(call: Call, values: Sequence[Any], dtype: str) -> list[Tensor]:
    """Return operands in one dtype; a number is a constant of it."""
    return [call.cast(each, dtype) if isinstance(each, Tensor) else call.constant((), dtype) for each in values]


def _compute_dtype(call: Call, values: Sequence[Any]) -> str:
    """Return the dtype in which operands are compared: that of the widest tensor, a scalar tensor only alone."""
    tensors = [each for each in values if isinstance(each, Tensor)]
    if call.dtype != "bool":
        return call.dtype
    ranked = sorted(tensors, key=lambda each: (len(each.shape) > 0, _RANK.index(each.dtype)))
    return ranked[-1].dtype


_RANK = (
    "bool", "uint4", "int4", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float4_e2m1", "float8_e4m3", "float8_e5m2", "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip


def _binary(op: str) -> Handler:
    def handle(call: Call) -> Tensor:
        a, b = call.args[:2]
        dtype = _compute_dtype(call, [a, b])
        alpha = call.kwargs.get("alpha", 1)
        x, y = _promoted(call, [a, b], dtype)
        if alpha != 1:
            y = call.op("mul", [y, call.constant((), dtype)])
        found = call.op(op, [x, y])
        assert isinstance(found, Tensor)
        return call.cast(found, call.dtype)

    return handle


def _pow(call: Call) -> Tensor:
    base, exponent = call.args[:2]
    if exponent == 2 and isinstance(base, Tensor):
        found = call.op("square", [call.cast(base, call.dtype)])
    else:
        found = call.op("pow", _promoted(call, [base, exponent], call.dtype))
    assert isinstance(found, Tensor)
    return found


def _clamp(call: Call) -> Tensor:
    """Between two bounds, which may be tensors, or beyond one."""
    x, bounds = call.cast(call.args[0], call.dtype), {"max": call.get("min"), "min": call.get("max")}
    if call.name in ("clamp_min", "clamp_max"):
        bounds = {"max" if call.name == "clamp_min" else "min": call.args[1]}
    given = {end: bound for end, bound in bounds.items() if bound is not None}
    if any(isinstance(bound, Tensor) for bound in given.values()):
        for end, bound in given.items():
            x = call.op(f"{end}imum", _promoted(call, [x, bound], call.dtype))
        return x
    which = "both" if len(given) == 2 else "low" if "max" in given else "high"
    return call.op("clamp", [x], bounds=which)  # type: ignore[no-any-return]


def _where(call: Call) -> Any:
    if len(call.args) < 3:
        return _places(call)
    condition, *values = call.args
    found = call.op("where", [call.cast(condition, "bool"), *_promoted(call, values, call.dtype)])
    assert isinstance(found, Tensor)
    return found


def _places(call: Call) -> Any:
    """Places of the elements that are not 0, one result for each dim or one row for each place; a dim is how many."""
    x, apart = call.args[0], call.name != "nonzero"
    if not x.shape:
        raise NotCountable("places in a single number")
    found: Tensor = call.op("nonzero", [x], size=call.shape[0])
    return list(call.ops("unbind", [found], axis=0)) if apart else call.op("transpose", [found], permutation=[1, 0])


def _masked_fill(call: Call) -> Tensor:
    x, mask, value = call.args
    return call.op("where", [call.cast(mask, "bool"), *_promoted(call, [value, x], call.dtype)])  # type: ignore[no-any-return]


def _gelu(call: Call) -> Tensor:
    return call.op("gelu", [call.args[0]], approximate=call.get("approximate", "none"))  # type: ignore[no-any-return]


def _glu(call: Call) -> Tensor:
    found: Tensor = call.op("glu", [call.args[0]], axis=call.get("dim", -1), activation="sigmoid")
    return found


def _prelu(call: Call) -> Tensor:
    """The weight has one element, or one per channel (dim 1)."""
    x, weight = call.args
    if weight.shape != (1,) and len(x.shape) > 1:
        weight = call.reshape(weight, (weight.shape[0], *[1] * (len(x.shape) - 2)))
    found: Tensor = call.op("prelu", [x, weight])
    return found


def _ternary(op: str) -> Handler:
    def handle(call: Call) -> Tensor:
        found: Tensor = call.op(op, _promoted(call, call.args[:3], call.dtype))
        return found

    return handle


def _div(call: Call) -> Tensor:
    """A quotient, rounded down or towards zero if asked for; one of integers is rounded by itself."""
    rounding = call.get("rounding_mode")
    if rounding == "floor":
        return _binary("floor_divide")(call)  # type: ignore[no-any-return]
    found: Tensor = _binary("div")(call)
    if rounding is None or "int" in call.dtype:
        return found
    return call.op("trunc", [found])  # type: ignore[no-any-return]


def _dropout(call: Call) -> Any:
    """The native operator gives the mask beside the result, and trains unless it is told not to."""
    x, ratio, train = call.args[:3]
    found: Tensor = call.op("dropout", [x], mode="eval" if train is False else "train", ratio=Fraction(str(ratio)))
    return [found, call.constant(call.shape, "bool")] if call.name == "native_dropout" else found


def _feature_dropout(call: Call) -> Tensor:
    """One draw for each channel of each sample."""
    x, _, train = call.args[:3]
    if not train:
        return x  # type: ignore[no-any-return]
    chances = call.constant((*x.shape[:2], *[1] * (len(x.shape) - 2)))
    noise = call.op("div", [call.op("bernoulli", [chances]), call.constant()])
    return call.op("mul", [x, noise])  # type: ignore[no-any-return]


def _random_slope(call: Call) -> Tensor:
    """A leaky unit whose slope is drawn for each element in training."""
    x = call.args[0]
    if not call.get("training", False):
        return call.op("leaky_relu", [x])  # type: ignore[no-any-return]
    slopes = call.op("random_uniform", [], shape=list(x.shape), dtype=x.dtype)
    return call.op("prelu", [x, slopes])  # type: ignore[no-any-return]


def _times_log(call: Call) -> Tensor:
    x, y = _promoted(call, call.args[:2], call.dtype)
    return call.op("mul", [x, call.op("log", [y])])  # type: ignore[no-any-return]


def _bernoulli(call: Call) -> Tensor:
    """Draws with one chance for all, or with one for each element."""
    chances = call.get("p", call.args[0])
    x = (
        call.op("expand", [call.cast(chances, call.dtype)], shape=list(call.shape))
        if isinstance(chances, Tensor)
        else call.args[0]
    )
    return call.op("bernoulli", [x])  # type: ignore[no-any-return]


_UNARY = (
    "abs acos acosh asin asinh atan atanh ceil cos cosh erf erfc erfinv exp exp2 expm1 floor frac isfinite isinf isnan "
    "log log10 log1p log2 logical_not logit mish neg reciprocal relu relu6 round rsqrt sigmoid sign silu sin sinh "
    "softplus sqrt square tan tanh trunc elu selu celu leaky_relu log_sigmoid"
)
_RENAMED_UNARY = {
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
    "hardtanh": "hard_tanh",
    "hardshrink": "hard_shrink",
    "softshrink": "soft_shrink",
    "special_expm1": "expm1",
    "special_erf": "erf",
    "__invert__": "logical_not",
    "isneginf": "isinf",
    "isposinf": "isinf",
}
_BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "maximum": "maximum",
    "minimum": "minimum", "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
    "ge": "greater_equal", "logical_and": "logical_and", "logical_or": "logical_or", "logical_xor": "logical_xor",
    "fmod": "fmod", "remainder": "remainder", "floor_divide": "floor_divide", "atan2": "atan2", "hypot": "hypot",
    "fmax": "maximum", "fmin": "minimum", "bitwise_left_shift": "shift_left", "bitwise_right_shift": "shift_right",
    "logaddexp": "logaddexp", "__lshift__": "shift_left", "__rshift__": "shift_right",
}  # fmt: skip


def _logic(integer: str, boolean: str) -> Handler:
    def handle(call: Call) -> Tensor:
        return _binary(boolean if call.dtype == "bool" else integer)(call)  # type: ignore[no-any-return]

    return handle


ELEMENTWISE: Mapping[str, Handler] = {
    **{name: _unary(name) for name in _UNARY.split()},
    **{name: _unary(op) for name, op in _RENAMED_UNARY.items()},
    **{name: _binary(op) for name, op in _BINARY.items()},
    "bitwise_not": lambda call: _unary("logical_not" if call.dtype == "bool" else "bitwise_not")(call),
    **dict.fromkeys(["__and__", "bitwise_and"], _logic("bitwise_and", "logical_and")),
    **dict.fromkeys(["__or__", "bitwise_or"], _logic("bitwise_or", "logical_or")),
    **dict.fromkeys(["__xor__", "bitwise_xor"], _logic("bitwise_xor", "logical_xor")),
    "rsub": _binary("sub"),
    **dict.fromkeys(["div", "divide", "true_divide"], _div),
    "pow": _pow,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    **dict.fromkeys(["feature_dropout", "feature_alpha_dropout"], _feature_dropout),
    "alpha_dropout": _dropout,
    "where": _where,
    **dict.fromkeys(["nonzero", "nonzero_numpy"], _places),
    "masked_fill": _masked_fill,
    "gelu": _gelu,
    "glu": _glu,
    "prelu": _prelu,
    "addcmul": _ternary("addcmul"),
    "addcdiv": _ternary("addcdiv"),
    "lerp": _ternary("lerp"),
    "threshold": _unary("thresholded_relu"),
    "dropout": _dropout,
    "native_dropout": _dropout,
    "bernoulli": _bernoulli,
    "rrelu": _random_slope,
    **dict.fromkeys(["xlogy", "special_xlogy"], _times_log),
}
