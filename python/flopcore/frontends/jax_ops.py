"""Which primitive of JAX is which op here: one handler per primitive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any

from flopcore.graph import AttrValue, DimLike, Graph, Tensor

from .unsupported import NotCountable

__all__: list[str] = []


@dataclass(frozen=True, slots=True)
class Equation:
    """One equation of a jaxpr: its inputs are tensors of ours, `outputs` has the shapes and dtypes that JAX infers."""

    graph: Graph
    name: str
    given: Mapping[str, Any]
    inputs: list[Tensor]
    outputs: Sequence[tuple[tuple[DimLike, ...], str]]
    size: Callable[[Any], DimLike]

    @property
    def shape(self) -> tuple[DimLike, ...]:
        """Shape of the first output."""
        return self.outputs[0][0]

    @property
    def dtype(self) -> str:
        """Dtype of the first output."""
        return self.outputs[0][1]

    def op(self, op: str, inputs: Sequence[Tensor | None], **attrs: AttrValue) -> Any:
        """Add a node."""
        return self.graph.op(op, inputs, attrs, name=self.name, origin=f"jax:{self.name}")

    def ops(self, op: str, inputs: Sequence[Tensor | None], **attrs: AttrValue) -> tuple[Tensor, ...]:
        """Add a node of several outputs."""
        return self.graph.op_outputs(op, inputs, attrs, name=self.name, origin=f"jax:{self.name}")

    def constant(self, shape: Sequence[DimLike] = (), dtype: str = "") -> Tensor:
        """Add a fixed value."""
        return self.graph.constant(tuple(shape), dtype or self.dtype, name=self.name, origin=f"jax:{self.name}")

    def reshape(self, x: Tensor, shape: Sequence[DimLike]) -> Tensor:
        """Return the same elements under another shape; the same tensor if it has it."""
        if tuple(map(str, x.shape)) == tuple(map(str, shape)):
            return x
        found: Tensor = self.op("reshape", [x], shape=list(shape))
        return found

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """Return permuted dims; the same tensor if they stay."""
        if list(order) == list(range(len(x.shape))):
            return x
        found: Tensor = self.op("transpose", [x], permutation=list(order))
        return found


Handler = Callable[[Equation], Any]


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


# ------------------------------------------------------------------------------------------------ contractions
def _dot_general(eqn: Equation) -> Tensor:
    (a_contract, b_contract), (a_batch, b_batch) = eqn.given["dimension_numbers"]
    a, b = eqn.inputs
    if a.dtype != b.dtype:
        wide = eqn.dtype
        a, b = (x if x.dtype == wide else eqn.op("cast", [x], dtype=wide) for x in (a, b))
    found: Tensor = eqn.op(
        "dot_general", [a, b], lhs_contract=list(a_contract), rhs_contract=list(b_contract),
        lhs_batch=list(a_batch), rhs_batch=list(b_batch),
    )  # fmt: skip
    return found if found.dtype == eqn.dtype else eqn.op("cast", [found], dtype=eqn.dtype)


def _ragged_dot(eqn: Equation) -> Tensor:
    """Rows [T, K] of one operand, each in a group, by the group's matrix of [G, K, N]."""
    x, weight, sizes = eqn.inputs
    if len(x.shape) != 2 or len(weight.shape) != 3:
        raise NotCountable("groups that do not cut the rows")
    found: Tensor = eqn.op("ragged_matmul", [x, weight, sizes], ragged="rows")
    return found


def _conv(eqn: Equation) -> Tensor:
    """Inputs are brought to [N, C, *spatial] and [out, C / groups, *kernel] first."""
    given, (x, weight) = eqn.given, eqn.inputs
    numbers = given["dimension_numbers"]
    if given["batch_group_count"] != 1:
        raise NotCountable("groups of the batch")
    n = len(x.shape) - 2
    x, weight = eqn.transpose(x, numbers.lhs_spec), eqn.transpose(weight, numbers.rhs_spec)
    stride, hole, dilation = (list(given[key]) for key in ("window_strides", "lhs_dilation", "rhs_dilation"))
    begins, ends = ([eqn.size(pair[side]) for pair in given["padding"]] for side in (0, 1))
    groups = given["feature_group_count"]
    if all(each == 1 for each in hole):
        if any(not isinstance(each, int) or each < 0 for each in (*begins, *ends)):
            pads: list[Any] = [0, 0, *begins, 0, 0, *ends]
            x, begins, ends = eqn.op("pad", [x], padding=pads), [0] * n, [0] * n
        found = eqn.op("conv", [x, weight], stride=stride, dilation=dilation, padding=[*begins, *ends], groups=groups)
    else:
        found = _transposed_conv(eqn, x, weight, stride, hole, dilation, begins, ends, groups)
    order = [0] * len(numbers.out_spec)
    for place, axis in enumerate(numbers.out_spec):
        order[axis] = place
    return eqn.transpose(found, order)


def _transposed_conv(
    eqn: Equation,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    hole: Sequence[int],
    dilation: Sequence[int],
    begins: Sequence[DimLike],
    ends: Sequence[DimLike],
    groups: int,
) -> Tensor:
    """A convolution over an input with holes is the transposed one with that stride, its kernel turned round."""
    if any(each != 1 for each in stride) or groups != 1:
        raise NotCountable("holes in the input with a stride or groups")
    reach = [each * (_number(weight.shape[2 + i]) - 1) for i, each in enumerate(dilation)]
    padding = [each - _number(pad) for pads in (begins, ends) for each, pad in zip(reach, pads, strict=True)]
    extra = [max(-each, 0) for each in padding[len(reach) :]]
    padding[len(reach) :] = [max(each, 0) for each in padding[len(reach) :]]
    if min(padding) < 0:
        raise NotCountable("holes in the input with more padding than the kernel reaches")
    turned = eqn.transpose(weight, [1, 0, *range(2, len(weight.shape))])
    found: Tensor = eqn.op(
        "conv_transpose", [x, turned], stride=list(hole), dilation=list(dilation), padding=padding,
        output_padding=extra, groups=1,
    )  # fmt: skip
    return found


def _number(size: DimLike) -> int:
    if not isinstance(size, int):
        raise NotCountable(f"the size {size} must be a number")
    return size


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


def _max_window(eqn: Equation) -> Tensor:
    """A maximum over windows; spatial dims are those that a window spans."""
    given, x = eqn.given, eqn.inputs[0]
    window, stride = given["window_dimensions"], given["window_strides"]
    spatial = [i for i, size in enumerate(window) if size != 1 or stride[i] != 1]
    others = [i for i in range(len(window)) if i not in spatial]
    if any(each != 1 for each in given["base_dilation"]) or not 1 <= len(spatial) <= 3:
        raise NotCountable("a window with holes, or over more than three dims")
    moved = eqn.transpose(x, [*others, *spatial])
    batch = prod([moved.shape[i] for i in range(len(others))], start=1)
    flat = eqn.reshape(moved, (batch, 1, *moved.shape[len(others) :]))
    pads = [given["padding"][i] for i in spatial]
    found: Tensor = eqn.op(
        "max_pool", [flat], kernel=[window[i] for i in spatial], stride=[stride[i] for i in spatial],
        padding=[*(pad[0] for pad in pads), *(pad[1] for pad in pads)],
        dilation=[given["window_dilation"][i] for i in spatial],
    )  # fmt: skip
    shaped = eqn.reshape(found, (*moved.shape[: len(others)], *found.shape[2:]))
    order = [0] * len(window)
    for place, axis in enumerate([*others, *spatial]):
        order[axis] = place
    return eqn.transpose(shaped, order)


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
    if any(interior for _, _, interior in eqn.given["padding_config"]):
        raise NotCountable("padding between elements")
    begins, ends = ([eqn.size(each[side]) for each in eqn.given["padding_config"]] for side in (0, 1))
    found: Tensor = eqn.op("pad", [eqn.inputs[0]], padding=[*begins, *ends])
    return found


def _reverse(eqn: Equation) -> Tensor:
    found: Tensor = eqn.op("flip", [eqn.inputs[0]], axes=list(eqn.given["dimensions"]))
    return found


def _split(eqn: Equation) -> Any:
    found = eqn.op(
        "split", [eqn.inputs[0]], axis=eqn.given["axis"], sizes=[eqn.size(each) for each in eqn.given["sizes"]]
    )
    return [found] if isinstance(found, Tensor) else found


def _iota(eqn: Equation) -> Tensor:
    """Numbers that count along one dim, each element written."""
    found: Tensor = eqn.op("arange", [], size=prod(eqn.shape, start=1), dtype=eqn.dtype)
    return eqn.reshape(found, eqn.shape)


def _seed(eqn: Equation) -> list[Tensor]:
    """A key is its seed, and a token nothing: no work."""
    return [eqn.constant(*each) for each in eqn.outputs]


def _random(eqn: Equation) -> list[Tensor]:
    draws = [eqn.op("random_integers", [], shape=list(shape), dtype=dtype) for shape, dtype in eqn.outputs[-1:]]
    return [*(eqn.constant(*each) for each in eqn.outputs[:-1]), *draws]


_SAME_NAME = (
    "add sub mul div neg sign floor ceil round exp exp2 log log1p expm1 tanh sin cos tan asin acos atan sinh cosh "
    "asinh acosh atanh sqrt rsqrt abs erf erfc square pow atan2"
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
        "dot_general": _dot_general,
        **dict.fromkeys(["ragged_dot", "ragged_dot_general"], _ragged_dot),
        "conv_general_dilated": _conv,
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
        "reduce_window_max": _max_window,
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
        **dict.fromkeys(["random_seed", "create_token"], _seed),
        **dict.fromkeys(["random_bits", "random_fold_in", "random_split", "rng_bit_generator", "rng_uniform"], _random),
    }
)
