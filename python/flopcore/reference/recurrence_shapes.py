"""Output shapes of recurrences and mixtures of experts; see `flopcore.reference.shapes`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flopcore.errors import ShapeError

from .dims import Attrs, Inputs, Shape, axis_of, given, int_of, require_elements

__all__ = ["RULES"]


def _require(inputs: Inputs, expected: Mapping[int, Shape]) -> None:
    """Refuse a given input of another shape than expected."""
    for index, shape in expected.items():
        if inputs[index] is not None and inputs[index] != shape:
            raise ShapeError(f"input {index} has shape {inputs[index]}, expected {shape}")


def _cell(inputs: Inputs, gates: int) -> tuple[Shape, Shape, Shape]:
    """Return the output, last hidden state and last cell of a recurrent layer."""
    x, weight, recurrent = (given(inputs, index) for index in range(3))
    if not len(x) == len(weight) == len(recurrent) == 3:
        raise ShapeError(f"a recurrent layer of {x} with {weight} and {recurrent}")
    directions, rows, width = weight
    hidden, out = rows // gates, recurrent[2]
    if directions not in (1, 2) or rows % gates or x[2] != width or recurrent[:2] != (directions, rows):
        raise ShapeError(f"a recurrent layer of {x} with {weight} and {recurrent}")
    require_elements(width, "a recurrent layer")
    require_elements(hidden, "a recurrent layer")
    bias = inputs[3]
    if bias is not None and bias not in ((directions, rows), (directions, 2 * rows)):
        raise ShapeError(f"a recurrent layer of {rows} rows with a bias {bias}")
    _require(inputs, {4: (directions, x[1], out)})
    if len(inputs) > 5:
        _require(inputs, {5: (directions, x[1], hidden), 6: (directions, out, hidden), 7: (directions, 3 * hidden)})
    if (len(inputs) <= 5 or inputs[6] is None) and out != hidden:
        raise ShapeError(f"a recurrent layer of {hidden} units without projection, recurrent {recurrent}")
    return (x[0], x[1], directions * out), (directions, x[1], out), (directions, x[1], hidden)


def _rnn(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    return list(_cell(inputs, 1)[:2])


def _gru(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    return list(_cell(inputs, 3)[:2])


def _lstm(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    return list(_cell(inputs, 4))


def _selective_scan(inputs: Inputs, attrs: Attrs) -> Shape:
    u, a = given(inputs, 0), given(inputs, 2)
    if len(u) != 3 or len(a) != 2:
        raise ShapeError(f"selective_scan of {u} with {a}")
    state = (*u[:2], a[1])
    _require(inputs, {1: u, 2: (u[2], a[1]), 3: state, 4: state, 5: u[2:], 6: u, 7: u[2:]})
    require_elements(a[1], "selective_scan")
    return u


def _state_space_dual(inputs: Inputs, attrs: Attrs) -> Shape:
    x, b = given(inputs, 0), given(inputs, 3)
    if len(x) != 4 or len(b) != 4 or int_of(attrs, "chunk") < 1:
        raise ShapeError(f"state_space_dual of {x} with {b}, chunks of {attrs['chunk']}")
    require_elements(b[3], "state_space_dual")
    if b[2] == 0 or x[2] % b[2]:
        raise ShapeError(f"state_space_dual: {x[2]} heads in {b[2]} groups")
    state = (*x[:2], *b[2:])
    _require(inputs, {1: x[:3], 2: x[2:3], 3: state, 4: state, 5: x[2:3]})
    return x


def _gated_delta_rule(inputs: Inputs, attrs: Attrs) -> Shape:
    q, v = given(inputs, 0), given(inputs, 2)
    if len(q) != 4 or len(v) != 4 or int_of(attrs, "chunk") < 0:
        raise ShapeError(f"gated_delta_rule of {q} and {v}, chunks of {attrs['chunk']}")
    require_elements(q[3], "gated_delta_rule")
    _require(inputs, {1: q, 2: (*q[:3], v[3]), 3: q[:3], 4: q[:3]})
    return v


def _associative_scan(inputs: Inputs, attrs: Attrs) -> Shape:
    x = given(inputs, 0)
    axis_of(int_of(attrs, "axis"), len(x))
    _require(inputs, {1: x})
    return x


def _mixture_of_experts(inputs: Inputs, attrs: Attrs) -> Shape:
    x, router, up = (given(inputs, index) for index in range(3))
    if not x or len(router) != 2 or len(up) != 3:
        raise ShapeError(f"mixture_of_experts of {x} with {router} and {up}")
    experts, width, inner = router[0], x[-1], up[1]
    require_elements(width, "mixture_of_experts")
    require_elements(inner, "mixture_of_experts")
    network = (experts, inner, width)
    _require(inputs, {1: (experts, width), 2: network, 3: (experts, width, inner), 4: network})
    shared = inputs[5]
    if (shared is None) != (inputs[6] is None) or (inputs[7] is not None and shared is None):
        raise ShapeError("mixture_of_experts: shared_up and shared_down come together, shared_gate with them")
    if shared is not None:
        if len(shared) != 2:
            raise ShapeError(f"mixture_of_experts: shared_up {shared}")
        require_elements(shared[0], "mixture_of_experts")
        _require(inputs, {5: (shared[0], width), 6: (width, shared[0]), 7: (shared[0], width)})
    capacity = int_of(attrs, "capacity")
    if not 1 <= int_of(attrs, "top_k") <= experts or capacity < -1:
        raise ShapeError(f"mixture_of_experts: {attrs['top_k']} of {experts} experts, capacity {capacity}")
    if attrs["dispatch"] == "einsum" and capacity < 0:
        raise ShapeError("mixture_of_experts: dispatch by einsum needs a capacity")
    return x


RULES: Mapping[str, Callable[[Inputs, Attrs], Shape | list[Shape]]] = {
    "rnn": _rnn,
    "gru": _gru,
    "lstm": _lstm,
    "selective_scan": _selective_scan,
    "state_space_dual": _state_space_dual,
    "gated_delta_rule": _gated_delta_rule,
    "associative_scan": _associative_scan,
    "mixture_of_experts": _mixture_of_experts,
}
