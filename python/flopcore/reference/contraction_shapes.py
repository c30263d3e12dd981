"""Output shapes of contractions, convolutions and attention over plain ints; nothing shared with C++."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod
from typing import cast

from flopcore.errors import ShapeError

from .dims import Attrs, Inputs, Shape, axis_of, broadcast, given, int_of, ints_of, require_elements, windows
from .einsum import parse

__all__ = ["RULES"]


def _require_bias(bias: Shape | None, size: int) -> None:
    if bias is not None and bias != (size,):
        raise ShapeError(f"bias {bias} for {size} outputs")


def _matmul(inputs: Inputs, attrs: Attrs) -> Shape:
    a, b = given(inputs, 0), given(inputs, 1)
    if not a or not b:
        raise ShapeError("matmul needs at least one dim")
    left = (1, *a) if len(a) == 1 else a
    right = (*b, 1) if len(b) == 1 else b
    if left[-1] != right[-2]:
        raise ShapeError(f"matmul of {a} and {b}: {left[-1]} columns, {right[-2]} rows")
    require_elements(left[-1], "matmul")
    result = (*broadcast([left[:-2], right[:-2]]), left[-2], right[-1])
    if len(b) == 1:
        result = result[:-1]
    if len(a) == 1:
        result = (*result[:-2], result[-1]) if len(b) > 1 else result[:-1]
    return result


def _linear(inputs: Inputs, attrs: Attrs) -> Shape:
    x, weight, bias = given(inputs, 0), given(inputs, 1), inputs[2]
    if not x or len(weight) != 2 or x[-1] != weight[1]:
        raise ShapeError(f"linear of {x} with weight {weight}")
    _require_bias(bias, weight[0])
    require_elements(x[-1], "linear")
    return (*x[:-1], weight[0])


def _per_dim(attrs: Attrs, key: str, rank: int) -> list[int]:
    values = ints_of(attrs, key)
    if len(values) != rank:
        raise ShapeError(f"{key} {values} for {rank} spatial dims")
    return values


def _spatial(size: int, kernel: int, stride: int, dilation: int, begin: int, end: int, auto: str) -> int:
    """Return the positions of a window along one dim, with padding as given or as the mode has it."""
    if auto == "explicit":
        return windows(size, kernel, stride, dilation, begin, end, False)
    if begin or end:
        raise ShapeError(f"padding {begin} and {end} beside auto_padding {auto}")
    if auto == "valid":
        return windows(size, kernel, stride, dilation, 0, 0, False)
    if kernel < 1 or stride < 1 or dilation < 1:
        raise ShapeError(f"kernel {kernel}, stride {stride}, dilation {dilation}")
    require_elements(size, "conv")
    return -(-size // stride)


def _conv(inputs: Inputs, attrs: Attrs) -> Shape:
    x, weight, bias = given(inputs, 0), given(inputs, 1), inputs[2]
    groups, rank = int_of(attrs, "groups"), len(x) - 2
    if len(x) not in (3, 4, 5) or len(weight) != len(x):
        raise ShapeError(f"conv of {x} with weight {weight}")
    if groups < 1 or weight[0] % groups or x[1] != weight[1] * groups:
        raise ShapeError(f"conv of {x} with weight {weight} in {groups} groups")
    _require_bias(bias, weight[0])
    require_elements(weight[1], "conv")
    stride, dilation = _per_dim(attrs, "stride", rank), _per_dim(attrs, "dilation", rank)
    padding, auto = ints_of(attrs, "padding"), cast("str", attrs["auto_padding"])
    if len(padding) != 2 * rank:
        raise ShapeError(f"padding {padding} for {rank} spatial dims")
    spatial = [
        _spatial(x[2 + i], weight[2 + i], stride[i], dilation[i], padding[i], padding[rank + i], auto)
        for i in range(rank)
    ]
    return (x[0], weight[0], *spatial)


def _conv_transpose(inputs: Inputs, attrs: Attrs) -> Shape:
    x, weight, bias = given(inputs, 0), given(inputs, 1), inputs[2]
    groups, rank = int_of(attrs, "groups"), len(x) - 2
    if len(x) not in (3, 4, 5) or len(weight) != len(x):
        raise ShapeError(f"conv_transpose of {x} with weight {weight}")
    if groups < 1 or weight[0] % groups or x[1] != weight[0]:
        raise ShapeError(f"conv_transpose of {x} with weight {weight} in {groups} groups")
    _require_bias(bias, weight[1] * groups)
    require_elements(weight[0], "conv_transpose")
    stride, dilation = _per_dim(attrs, "stride", rank), _per_dim(attrs, "dilation", rank)
    extra, padding = _per_dim(attrs, "output_padding", rank), ints_of(attrs, "padding")
    if len(padding) != 2 * rank:
        raise ShapeError(f"padding {padding} for {rank} spatial dims")
    if min((*stride, *dilation, *weight[2:])) < 1 or min(padding) < 0:
        raise ShapeError(f"conv_transpose: kernel {weight[2:]}, {attrs}")
    if any(not 0 <= more < max(s, d) for more, s, d in zip(extra, stride, dilation, strict=True)):
        raise ShapeError(f"conv_transpose: output_padding {extra} with stride {stride} and dilation {dilation}")
    for size in x[2:]:
        require_elements(size, "conv_transpose")
    spatial = [
        (x[2 + i] - 1) * stride[i] + dilation[i] * (weight[2 + i] - 1) + 1 + extra[i] - padding[i] - padding[rank + i]
        for i in range(rank)
    ]
    if min(spatial) < 1:
        raise ShapeError(f"conv_transpose of {x} with weight {weight} has an output of {spatial}")
    return (x[0], weight[1] * groups, *spatial)


def _deform_conv(inputs: Inputs, attrs: Attrs) -> Shape:
    x, weight, offset, mask = given(inputs, 0), given(inputs, 1), given(inputs, 2), inputs[4]
    if len(x) != 4 or len(weight) != 4 or len(offset) != 4:
        raise ShapeError(f"deform_conv of {x} with {weight} and offsets {offset}")
    result = _conv((x, weight, inputs[3]), {**attrs, "auto_padding": "explicit"})
    taps = weight[2] * weight[3]
    parts = offset[1] // (2 * taps)
    if not parts or offset != (x[0], 2 * parts * taps, *result[2:]) or x[1] % parts:
        raise ShapeError(f"deform_conv of {x} with {weight} and offsets {offset}")
    if mask is not None and mask != (x[0], parts * taps, *result[2:]):
        raise ShapeError(f"deform_conv: mask {mask} beside offsets {offset}")
    return result


def _dot_general(inputs: Inputs, attrs: Attrs) -> Shape:
    a, b = given(inputs, 0), given(inputs, 1)
    batch = [[axis_of(axis, len(t)) for axis in ints_of(attrs, k)] for t, k in ((a, "lhs_batch"), (b, "rhs_batch"))]
    used = [
        [axis_of(axis, len(t)) for axis in ints_of(attrs, k)] for t, k in ((a, "lhs_contract"), (b, "rhs_contract"))
    ]
    if any(len({*one, *two}) != len(one) + len(two) for one, two in zip(batch, used, strict=True)):
        raise ShapeError(f"dot_general: an axis is named twice: {attrs}")
    for left, right in (batch, used):
        if [a[axis] for axis in left] != [b[axis] for axis in right]:
            raise ShapeError(f"dot_general of {a} and {b} over {attrs}")
    for axis in used[0]:
        require_elements(a[axis], "dot_general")
    free = [[size for axis, size in enumerate(t) if axis not in batch[i] + used[i]] for i, t in enumerate((a, b))]
    return (*(a[axis] for axis in batch[0]), *free[0], *free[1])


def _einsum(inputs: Inputs, attrs: Attrs) -> Shape:
    equation = parse(cast("str", attrs["equation"]), [given(inputs, index) for index in range(len(inputs))])
    path = ints_of(attrs, "path")
    if path:
        left, steps = len(inputs), list(zip(path[::2], path[1::2], strict=False))
        if len(path) != 2 * (left - 1):
            raise ShapeError(f"einsum: path {path} for {left} operands")
        for i, j in steps:
            if i == j or not 0 <= i < left or not 0 <= j < left:
                raise ShapeError(f"einsum: path {path} for {len(inputs)} operands")
            left -= 1
    return tuple(equation.sizes[label] for label in equation.output)


def _ragged_matmul(inputs: Inputs, attrs: Attrs) -> Shape:
    x, weight, sizes = (given(inputs, index) for index in range(3))
    ragged = attrs["ragged"]
    if len(x) != (3 if ragged == "columns" else 2) or len(weight) != (3 if ragged == "rows" else 2) or len(sizes) != 1:
        raise ShapeError(f"ragged_matmul of {x} and {weight}, ragged in {ragged}, groups {sizes}")
    groups = {"rows": weight[0], "columns": x[0], "inner": sizes[0]}[cast("str", ragged)]
    if x[-1] != weight[-2] or groups != sizes[0]:
        raise ShapeError(f"ragged_matmul of {x} and {weight}, ragged in {ragged}, {sizes[0]} groups")
    require_elements(x[-1], "ragged_matmul")
    top_k, cut = int_of(attrs, "top_k"), {"rows": x[-2], "columns": weight[-1], "inner": x[-1]}[cast("str", ragged)]
    if top_k < 1 or cut % top_k:
        raise ShapeError(f"ragged_matmul: {cut} rows for {top_k} groups of each token")
    return (*(sizes if ragged == "inner" else ()), x[-2], weight[-1])


def _sparse_matmul(inputs: Inputs, attrs: Attrs) -> Shape:
    sparse = given(inputs, 0 if attrs["sparse"] == "left" else 1)
    if len(sparse) != 2 or not inputs[0] or not inputs[1]:
        raise ShapeError(f"sparse_matmul: the sparse operand is {sparse}")
    result = _matmul(inputs, attrs)
    nnz, density, pattern = int_of(attrs, "nnz"), cast("Fraction", attrs["density"]), ints_of(attrs, "pattern")
    if (nnz != -1) + (density != -1) + bool(pattern) != 1:
        raise ShapeError("sparse_matmul takes one of nnz, density and pattern")
    if nnz != -1 and not 0 <= nnz <= prod(sparse):
        raise ShapeError(f"sparse_matmul: {nnz} elements of {sparse}")
    if density != -1 and not 0 <= density <= 1:
        raise ShapeError(f"sparse_matmul: density {density}")
    if pattern and (len(pattern) != 2 or not 0 <= pattern[0] <= pattern[1] > 0 or prod(sparse) % pattern[1]):
        raise ShapeError(f"sparse_matmul: {pattern} in {sparse}")
    return result


def _bilinear(inputs: Inputs, attrs: Attrs) -> Shape:
    a, b, weight = (given(inputs, index) for index in range(3))
    if not a or len(weight) != 3 or a[:-1] != b[:-1] or (a[-1], b[-1]) != weight[1:]:
        raise ShapeError(f"bilinear of {a} and {b} with weight {weight}")
    _require_bias(inputs[3], weight[0])
    require_elements(a[-1], "bilinear")
    require_elements(b[-1], "bilinear")
    return (*a[:-1], weight[0])


def _require_vectors(inputs: Inputs, sizes: Mapping[int, int]) -> None:
    """Refuse a scale or zero point that is neither a number nor a vector of the size."""
    for index, size in sizes.items():
        shape = inputs[index]
        if shape is not None and shape not in ((), (1,), (size,)):
            raise ShapeError(f"a scale or zero point of shape {shape} for {size} rows, columns or channels")


def _quantized_matmul(inputs: Inputs, attrs: Attrs) -> Shape:
    result = _matmul(inputs, attrs)
    a, b = given(inputs, 0), given(inputs, 1)
    rows, columns = a[-2] if len(a) > 1 else 1, b[-1] if len(b) > 1 else 1
    _require_vectors(inputs, {2: rows, 4: rows, 3: columns, 5: columns, 6: 1, 7: 1})
    return result


def _quantized_conv(inputs: Inputs, attrs: Attrs) -> Shape:
    result = _conv(inputs, attrs)
    _require_vectors(inputs, {3: 1, 5: 1, 4: result[1], 6: result[1], 7: 1, 8: 1})
    return result


def _linear_quantization(inputs: Inputs, attrs: Attrs) -> Shape:
    x, block, axis = given(inputs, 0), int_of(attrs, "block_size"), int_of(attrs, "axis")
    if block < 0:
        raise ShapeError(f"block_size {block}")
    for scale in inputs[1:]:
        if scale is None:
            continue
        if block:
            cut = axis_of(axis, len(x))
            fits = scale == (*x[:cut], -(-x[cut] // block), *x[cut + 1 :])
        else:
            fits = scale in ((), (1,)) or scale == (x[axis_of(axis, len(x))],)
        if not fits:
            raise ShapeError(f"a scale or zero point of shape {scale} for {x} along {axis}, blocks of {block}")
    return x


def _dynamic_quantization(inputs: Inputs, attrs: Attrs) -> list[Shape]:
    x = given(inputs, 0)
    shared = [axis_of(axis, len(x)) for axis in ints_of(attrs, "axes")]
    if len(set(shared)) < len(shared):
        raise ShapeError(f"dynamic_quantize_linear: axes {shared}")
    for axis in shared:
        require_elements(x[axis], "dynamic_quantize_linear")
    scales = tuple(size for axis, size in enumerate(x) if axis not in shared)
    return [x, scales, scales]


def _paged_attention(inputs: Inputs, attrs: Attrs) -> Shape:
    q, k, v, table = (given(inputs, index) for index in range(4))
    if not len(q) == len(k) == len(v) == 4 or len(table) != 2 or q[0] != table[0] or k[:3] != v[:3] or q[3] != k[3]:
        raise ShapeError(f"paged_attention of {q} over pages {k} and {v}, listed by {table}")
    for size, what in ((q[3], "head size"), (k[2], "page"), (table[1], "pages"), (k[1], "heads")):
        require_elements(size, f"paged_attention ({what})")
    size = int_of(attrs, "size")
    if q[1] % k[1] or (size != -1 and not q[2] <= size <= table[1] * k[2]):
        raise ShapeError(f"paged_attention: {size} keys of {q} in pages {k}, listed by {table}")
    return (*q[:3], v[3])


def _attention(inputs: Inputs, attrs: Attrs) -> Shape:
    q, k, v, mask = given(inputs, 0), given(inputs, 1), given(inputs, 2), inputs[3]
    if not len(q) == len(k) == len(v) == 4:
        raise ShapeError(f"attention needs four dims: {q}, {k}, {v}")
    if not (q[0] == k[0] == v[0] and q[3] == k[3] and k[2] == v[2] and k[1] == v[1]):
        raise ShapeError(f"attention of {q}, {k}, {v}")
    if k[1] == 0 or q[1] % k[1]:
        raise ShapeError(f"attention: {q[1]} query heads, {k[1]} key heads")
    sinks, past_k, past_v = inputs[4], inputs[5], inputs[6]
    if (past_k is None) != (past_v is None):
        raise ShapeError("attention: past_k and past_v come together")
    past = 0
    if past_k is not None and past_v is not None:
        if len(past_k) != 4 or past_k != (*k[:2], past_k[2], k[3]) or past_v != (*v[:2], past_k[2], v[3]):
            raise ShapeError(f"attention: a cache of {past_k}, {past_v} before {k}, {v}")
        past = past_k[2]
    scores = (q[0], q[1], q[2], past + k[2])
    if mask is not None and (len(mask) > 4 or broadcast([mask, scores]) != scores):
        raise ShapeError(f"attention: mask {mask} for scores {scores}")
    if sinks is not None and sinks != (q[1],):
        raise ShapeError(f"attention: sinks {sinks} for {q[1]} heads")
    require_elements(q[3], "attention (head size)")
    require_elements(k[2], "attention (keys)")
    left, right, causal = int_of(attrs, "window_left"), int_of(attrs, "window_right"), attrs["causal"]
    if min(left, right) < -1 or int_of(attrs, "sink_tokens") < 0 or (right != -1 and causal != "none"):
        raise ShapeError(f"attention: window {left}, {right}, causal {causal}")
    density = cast("Fraction", attrs["density"])
    blocks = int_of(attrs, "blocks")
    chunk, unbounded = int_of(attrs, "chunk"), (left, right) == (-1, -1)
    if chunk != -1 and (chunk < 1 or not unbounded):
        raise ShapeError(f"attention: chunks of {chunk}, window {left}, {right}")
    alone = causal == "none" and unbounded and chunk == -1
    if density != -1 and (not 0 <= density <= 1 or not alone or blocks != -1):
        raise ShapeError(f"attention: density {density} beside a causal mask, a window, chunks or blocks")
    if int_of(attrs, "block") < 1 or blocks < -1 or (blocks != -1 and not alone):
        raise ShapeError(
            f"attention: {blocks} blocks of side {attrs['block']}, causal {causal}, window {left}, {right}"
        )
    return (*q[:3], v[3])


RULES: Mapping[str, Callable[[Inputs, Attrs], Shape | list[Shape]]] = {
    "matmul": _matmul,
    "linear": _linear,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "deform_conv": _deform_conv,
    "dot_general": _dot_general,
    "einsum": _einsum,
    "ragged_matmul": _ragged_matmul,
    "sparse_matmul": _sparse_matmul,
    "bilinear": _bilinear,
    "quantized_matmul": _quantized_matmul,
    "quantized_conv": _quantized_conv,
    "quantize_linear": _linear_quantization,
    "dequantize_linear": _linear_quantization,
    "dynamic_quantize_linear": _dynamic_quantization,
    "paged_attention": _paged_attention,
    "attention": _attention,
}
