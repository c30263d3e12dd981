"""Windows of JAX: extremes and sums over them, and the gradient of a maximum."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from flopcore.graph import DimLike, Tensor

from .jax_equation import Equation, Handler
from .unsupported import NotCountable

__all__: list[str] = []


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


def _over_windows(eqn: Equation, op: str, windows: DimLike) -> Tensor:
    """A reduction over the elements of each window, none of which are laid out anew."""
    taps = prod(eqn.given["window_dimensions"])
    rows = eqn.constant((windows, taps), eqn.inputs[0].dtype)
    found: Tensor = eqn.op(op, [rows], axes=[1], keepdims=False)
    return found


def _sum_window(eqn: Equation) -> Tensor:
    return eqn.reshape(_over_windows(eqn, "reduce_sum", prod(eqn.shape, start=1)), eqn.shape)


def _least_window(eqn: Equation) -> Tensor:
    return eqn.reshape(_over_windows(eqn, "reduce_min", prod(eqn.shape, start=1)), eqn.shape)


def _scatter_window(eqn: Equation) -> Tensor:
    """The place of the maximum of each window, where an element of the gradient is added."""
    source = eqn.inputs[0]
    windows = prod(source.shape, start=1)
    places = _over_windows(eqn, "argmax", windows)
    flat = eqn.constant((prod(eqn.shape, start=1),))
    found = eqn.op("index_update", [flat, places, eqn.reshape(source, (windows,))], axis=0, reduction="add")
    return eqn.reshape(found, eqn.shape)


WINDOWS: Mapping[str, Handler] = {
    "reduce_window_max": _max_window,
    "reduce_window_min": _least_window,
    "reduce_window_sum": _sum_window,
    "select_and_scatter_add": _scatter_window,
}
