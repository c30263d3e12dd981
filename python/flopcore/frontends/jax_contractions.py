"""Contractions of JAX: general products, ragged ones, convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flopcore.graph import AttrValue, DimLike, Tensor

from .jax_equation import Equation, Handler, number
from .unsupported import NotCountable

__all__: list[str] = []


def _sums(eqn: Equation) -> dict[str, AttrValue]:
    """Return the dtypes of the sums and of the result, where they are not those of the operands.

    JAX documentation, jax.lax.dot: `preferred_element_type` is both; an algorithm names the dtype of the sums itself.
    """
    algorithm = getattr(eqn.given.get("precision"), "accumulation_type", None)
    attrs: dict[str, AttrValue] = {}
    if algorithm is not None:
        attrs["accumulate"] = np.dtype(algorithm).name
    if eqn.dtype != eqn.inputs[0].dtype:
        attrs = {"accumulate": eqn.dtype} | attrs | {"dtype": eqn.dtype}
    return attrs


def _dot_general(eqn: Equation) -> Tensor:
    (a_contract, b_contract), (a_batch, b_batch) = eqn.given["dimension_numbers"]
    found: Tensor = eqn.op(
        "dot_general", eqn.inputs, lhs_contract=list(a_contract), rhs_contract=list(b_contract),
        lhs_batch=list(a_batch), rhs_batch=list(b_batch), **_sums(eqn),
    )  # fmt: skip
    return found


def _ragged_dot(eqn: Equation) -> Tensor:
    """A product per group, the groups cut from rows, or from the dim that is summed over (a gradient of the former)."""
    x, weight, sizes = eqn.inputs
    numbers = eqn.given["ragged_dot_dimension_numbers"]
    ((x_contract,), (weight_contract,)), batch = numbers.dot_dimension_numbers
    (cut,), group = numbers.lhs_ragged_dimensions, list(numbers.rhs_group_dimensions)
    if any(batch) or len(x.shape) != 2:
        raise NotCountable("groups within a batch")
    found: Tensor
    if cut == x_contract:
        sides = eqn.transpose(x, [1 - cut, cut]), eqn.transpose(weight, [weight_contract, 1 - weight_contract])
        found = eqn.op("ragged_matmul", [*sides, sizes], ragged="inner", **_sums(eqn))
    else:
        (columns,) = (axis for axis in range(3) if axis not in (*group, weight_contract))
        sides = eqn.transpose(x, [cut, x_contract]), eqn.transpose(weight, [*group, weight_contract, columns])
        found = eqn.op("ragged_matmul", [*sides, sizes], ragged="rows", **_sums(eqn))
    return found


def _conv(eqn: Equation) -> Tensor:
    """Inputs are brought to [N, C, *spatial] and [out, C / groups, *kernel] first."""
    given, (x, weight), sums = eqn.given, eqn.inputs, _sums(eqn)
    numbers = given["dimension_numbers"]
    n = len(x.shape) - 2
    x, weight = eqn.transpose(x, numbers.lhs_spec), eqn.transpose(weight, numbers.rhs_spec)
    groups = given["feature_group_count"]
    if given["batch_group_count"] != 1:
        x, groups = _batch_groups(eqn, x, given["batch_group_count"]), given["batch_group_count"]
    stride, hole, dilation = (list(given[key]) for key in ("window_strides", "lhs_dilation", "rhs_dilation"))
    begins, ends = ([eqn.size(pair[side]) for pair in given["padding"]] for side in (0, 1))
    if all(each == 1 for each in hole):
        if any(not isinstance(each, int) or each < 0 for each in (*begins, *ends)):
            x, begins, ends = eqn.op("pad", [x], padding=[0, 0, *begins, 0, 0, *ends]), [0] * n, [0] * n
        pads = [*begins, *ends]
        found = eqn.op("conv", [x, weight], stride=stride, dilation=dilation, padding=pads, groups=groups, **sums)
    else:
        found = _transposed_conv(eqn, x, weight, stride, hole, dilation, begins, ends, groups)
    order = [0] * len(numbers.out_spec)
    for place, axis in enumerate(numbers.out_spec):
        order[axis] = place
    return eqn.transpose(found, order)


def _batch_groups(eqn: Equation, x: Tensor, groups: int) -> Tensor:
    """Groups of the batch, each with kernels of its own, are groups of channels (gradients of depthwise kernels)."""
    batch, channels, *space = map(number, x.shape)
    cut = eqn.reshape(x, (groups, batch // groups, channels, *space))
    moved = eqn.transpose(cut, [1, 0, *range(2, len(cut.shape))])
    return eqn.reshape(moved, (batch // groups, groups * channels, *space))


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
    if any(each != 1 for each in stride):
        raise NotCountable("holes in the input with a stride")
    reach = [each * (number(weight.shape[2 + i]) - 1) for i, each in enumerate(dilation)]
    padding = [each - number(pad) for pads in (begins, ends) for each, pad in zip(reach, pads, strict=True)]
    extra = [max(-each, 0) for each in padding[len(reach) :]]
    padding[len(reach) :] = [max(each, 0) for each in padding[len(reach) :]]
    if min(padding) < 0:
        raise NotCountable("holes in the input with more padding than the kernel reaches")
    outputs, channels, *taps = map(number, weight.shape)
    apart = eqn.reshape(weight, (groups, outputs // groups, channels, *taps))
    turned = eqn.transpose(apart, [0, 2, 1, *range(3, len(apart.shape))])
    turned = eqn.reshape(turned, (groups * channels, outputs // groups, *taps))
    found: Tensor = eqn.op(
        "conv_transpose", [x, turned], stride=list(hole), dilation=list(dilation), padding=padding,
        output_padding=extra, groups=groups, **_sums(eqn),
    )  # fmt: skip
    return found


CONTRACTIONS: Mapping[str, Handler] = {
    "dot_general": _dot_general,
    **dict.fromkeys(["ragged_dot", "ragged_dot_general"], _ragged_dot),
    "conv_general_dilated": _conv,
}
