"""Shapes of the reference agree with NumPy where NumPy has the operation, and with the documentation elsewhere."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flopcore.errors import ShapeError
from flopcore.reference.expression import adaptive_taps
from flopcore.reference.graph import Node, complete_attrs
from flopcore.reference.shapes import Attr, Shape, broadcast, infer
from flopcore.specification import specification

SHAPES: list[Shape] = [
    (),
    (1,),
    (3,),
    (4,),
    (3, 4),
    (4, 3),
    (1, 4),
    (2, 3, 4),
    (2, 1, 4),
    (1, 4, 3),
    (2, 4, 3),
    (5, 1, 3, 4),
]


def inferred(op: str, shapes: list[Shape | None], attrs: dict[str, Attr]) -> Shape:
    """The shape by `infer`, of inputs and attributes of which some are left out."""
    spec = specification().ops[op]
    node = Node(op, 0, (), (), attrs={key: value for key, value in attrs.items() if key in spec.attrs})
    rank = len(next(shape for shape in shapes if shape is not None))
    missing = len(spec.inputs) - len(shapes)
    return infer(op, [*shapes, *[None] * missing], complete_attrs(node, rank, {}))


def window(**given: Attr) -> dict[str, Attr]:
    base: dict[str, Attr] = {"stride": [1], "dilation": [1], "padding": [0, 0], "ceil_mode": False, "groups": 1}
    return base | given


@pytest.mark.parametrize(("a", "b"), [*itertools.product(SHAPES, SHAPES)])
def test_matmul_and_broadcast_follow_numpy(a: Shape, b: Shape) -> None:
    for operation, ours in ((np.matmul, lambda: infer("matmul", [a, b], {})), (np.add, lambda: broadcast([a, b]))):
        try:
            expected = operation(np.zeros(a), np.zeros(b)).shape
        except ValueError:
            with pytest.raises(ShapeError):
                ours()
        else:
            assert ours() == expected


@pytest.mark.parametrize("shape", [(2, 3, 4), (5,), (1, 6)])
@pytest.mark.parametrize("keepdims", [True, False])
def test_reductions_follow_numpy(shape: Shape, keepdims: bool) -> None:
    for count in range(len(shape) + 1):
        for axes in itertools.combinations(range(-len(shape), 0), count):
            attrs: dict[str, Attr] = {"axes": list(axes), "keepdims": keepdims}
            assert infer("reduce_sum", [shape], attrs) == np.zeros(shape).sum(axis=axes, keepdims=keepdims).shape


def test_movement_follows_numpy() -> None:
    x = np.zeros((2, 3, 4))
    for permutation in itertools.permutations(range(3)):
        assert infer("transpose", [x.shape], {"permutation": list(permutation)}) == x.transpose(permutation).shape
    for shape in ([24], [-1, 2], [4, -1, 3], [2, 12], [1, 24, 1]):
        assert infer("reshape", [x.shape], {"shape": shape}) == x.reshape(shape).shape
    for axis in (-2, 0, 1):
        joined = np.concatenate([x, x, x], axis=axis)
        assert infer("concat", [x.shape] * 3, {"axis": axis}) == joined.shape
    for start, stop, step in itertools.product(range(5), range(5), (1, 2, 3)):
        attrs: dict[str, Attr] = {"axis": 2, "start": start, "stop": stop, "step": step}
        if start <= stop:
            assert infer("slice", [x.shape], attrs) == x[:, :, start:stop:step].shape
        else:
            with pytest.raises(ShapeError):
                infer("slice", [x.shape], attrs)
    assert infer("flatten", [(2, 3, 4, 5)], {"axis": 1, "end_axis": -2}) == (2, 12, 5)
    assert infer("embedding", [(9, 5), (2, 3)], {}) == np.zeros((9, 5))[np.zeros((2, 3), int)].shape


@pytest.mark.parametrize("size", range(1, 12))
def test_sliding_windows_are_the_positions_that_exist(size: int) -> None:
    """Each output is a window; without ceil_mode all of it lies inside the padded dim."""
    for kernel, stride, dilation, begin, end in itertools.product((1, 2, 3), (1, 2, 3), (1, 2), (0, 1), (0, 2)):
        reach = dilation * (kernel - 1) + 1
        positions = [at for at in range(0, size + begin + end, stride) if at + reach <= size + begin + end]
        attrs = window(kernel=[kernel], stride=[stride], dilation=[dilation], padding=[begin, end])
        weight = (6, 4, kernel)
        if positions:
            assert inferred("conv", [(2, 4, size), weight], attrs) == (2, 6, len(positions))
            assert infer("max_pool", [(2, 4, size)], attrs) == (2, 4, len(positions))
        else:
            with pytest.raises(ShapeError):
                inferred("conv", [(2, 4, size), weight], attrs)


def test_ceil_mode_adds_a_last_window_that_starts_inside() -> None:
    assert infer("max_pool", [(1, 1, 6)], window(kernel=[3], stride=[2], ceil_mode=True)) == (1, 1, 3)
    assert infer("max_pool", [(1, 1, 6)], window(kernel=[3], stride=[2])) == (1, 1, 2)
    # The third window would start at 4, in the end padding of a dim of 4.
    attrs = window(kernel=[2], stride=[2], padding=[0, 1], ceil_mode=True)
    assert infer("average_pool", [(1, 1, 4)], attrs) == (1, 1, 2)


def test_adaptive_windows_cover_the_dim() -> None:
    assert adaptive_taps(7, 1) == 7
    assert adaptive_taps(6, 3) == 6
    assert adaptive_taps(7, 3) == 3 + 3 + 3  # [0, 3), [2, 5), [4, 7)
    assert adaptive_taps(2, 3) == 1 + 2 + 1  # [0, 1), [0, 2), [1, 2)


@pytest.mark.parametrize(
    ("op", "shapes", "attrs"),
    [
        ("matmul", [(2, 0), (0, 3)], {}),
        ("matmul", [(2, 3), (4, 2)], {}),
        ("linear", [(2, 3), (4, 5), None], {}),
        ("linear", [(2, 3), (4, 3), (3,)], {}),
        ("conv", [(1, 4, 5), (4, 4, 3), None], window(groups=2)),
        ("conv", [(1, 4, 5), (3, 2, 3), None], window(groups=2)),
        ("conv", [(1, 4, 5), (4, 4, 3), (3,)], window()),
        ("conv", [(1, 4, 5), (4, 4, 3), None], window(stride=[0])),
        ("conv", [(1, 4, 5), (4, 4, 3), None], window(padding=[-1, 0])),
        ("conv", [(1, 4, 5, 5), (4, 4, 3), None], window()),
        ("conv", [(4, 5), (4, 3), None], window()),
        ("attention", [(1, 4, 2, 8), (1, 3, 2, 8), (1, 3, 2, 8), None], {"causal": "none"}),
        ("attention", [(1, 4, 2, 8), (1, 2, 3, 8), (1, 2, 4, 8), None], {"causal": "none"}),
        ("attention", [(1, 4, 2, 8), (1, 2, 0, 8), (1, 2, 0, 8), None], {"causal": "none"}),
        ("attention", [(1, 4, 2, 8), (1, 2, 3, 8), (1, 2, 3, 8), (2, 1, 2, 3)], {"causal": "none"}),
        ("softmax", [(2, 0)], {"axis": 1}),
        ("softmax", [(2, 3)], {"axis": 2}),
        ("batch_norm", [(3,), None, None, None, None], {"mode": "eval"}),
        ("batch_norm", [(2, 3), (2,), None, None, None], {"mode": "eval"}),
        ("layer_norm", [(2, 3), None, None], {"normalized_ndim": 3}),
        ("rms_norm", [(2, 3), (2,)], {"normalized_ndim": 1}),
        ("max_pool", [(2, 3)], window(kernel=[1])),
        ("adaptive_average_pool", [(1, 2, 0)], {"output_size": [1]}),
        ("adaptive_average_pool", [(1, 2, 4)], {"output_size": [1, 1]}),
        ("reduce_mean", [(2, 3)], {"axes": [1, -1], "keepdims": False}),
        ("reduce_max", [(2, 0)], {"axes": [1], "keepdims": False}),
        ("reshape", [(2, 3)], {"shape": [4, -1]}),
        ("reshape", [(2, 3)], {"shape": [-1, -1]}),
        ("flatten", [(2, 3)], {"axis": 1, "end_axis": 0}),
        ("transpose", [(2, 3)], {"permutation": [0, 0]}),
        ("concat", [(2, 3), (3, 3)], {"axis": 1}),
        ("embedding", [(2, 3, 4), (2,)], {}),
        ("conv", [(1, 4, 5), (4, 4, 3)], {"auto_padding": "valid", "padding": [0, 1]}),
        ("conv_transpose", [(1, 4, 5), (4, 4, 3)], {"output_padding": [1]}),
        ("conv_transpose", [(1, 4, 1), (4, 4, 3)], {"padding": [2, 1]}),
        ("conv_transpose", [(1, 4, 5), (3, 4, 3)], {}),
        ("dot_general", [(2, 3), (3, 4)], {"lhs_contract": [1], "rhs_contract": [1]}),
        (
            "dot_general",
            [(2, 2), (2, 2)],
            {"lhs_contract": [1], "lhs_batch": [1], "rhs_contract": [0], "rhs_batch": [1]},
        ),
        ("einsum", [(2, 3), (4, 5)], {"equation": "ij,jk->ik"}),
        ("einsum", [(2, 3)], {"equation": "ij->ik"}),
        ("einsum", [(2, 3)], {"equation": "...i->i"}),
        ("ragged_matmul", [(8, 4), (3, 4, 5), (2,)], {}),
        ("sparse_matmul", [(4, 5), (5, 6)], {"nnz": 21}),
        ("sparse_matmul", [(4, 5), (5, 6)], {"nnz": 2, "density": "0.5"}),
        ("sparse_matmul", [(4, 5), (5, 6)], {"pattern": [2, 3]}),
        ("quantized_matmul", [(4, 5), (5, 6), None, (4,)], {}),
        ("quantize_linear", [(4, 6), (5,)], {}),
        ("quantize_linear", [(4, 6), (4, 2)], {"block_size": 4, "axis": 0}),
        ("attention", [(1, 4, 2, 8), (1, 4, 2, 8), (1, 4, 2, 8)], {"causal": "top_left", "window_right": 0}),
        ("attention", [(1, 4, 2, 8), (1, 4, 2, 8), (1, 4, 2, 8)], {"causal": "top_left", "density": "0.5"}),
        ("attention", [(1, 4, 2, 8)] * 3, {"causal": "top_left", "chunk": 0}),
        ("attention", [(1, 4, 2, 8)] * 3, {"chunk": 2, "window_left": 1}),
        ("attention", [(1, 4, 2, 8)] * 3, {"chunk": 2, "blocks": 1}),
        ("attention", [(1, 4, 2, 8)] * 3 + [None, None, (1, 4, 3, 8)], {}),
        ("attention", [(1, 4, 2, 8)] * 3 + [None, (3,)], {}),
    ],
)
def test_shapes_that_make_no_sense_are_errors(op: str, shapes: list[Shape | None], attrs: dict[str, Attr]) -> None:
    with pytest.raises(ShapeError):
        inferred(op, shapes, attrs)
