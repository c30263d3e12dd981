"""ONNX ops as build calls: one rule per op type of the default domain, in alphabetical order in one table.

A rule sees the node with its inputs looked up and a builder that places tensors; it returns the outputs in order. It
raises `NotCountable` with the reason when the graph has no op for what the node asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, TypeAlias

from flopcore._core import OnnxTensor
from flopcore.errors import DataError
from flopcore.expr import ceildiv, clamp, maximum, minimum
from flopcore.graph import AttrValue

from .onnx_shapes import MAX_ELEMENTS, axes_of, integers, product, slice_arguments, with_ones
from .onnx_values import FLOATING, Node, NotCountable, Size, Value, dtype_name, literal_learned, whole

__all__: list[str] = []

_END = 2**31 - 1  # exporters write an end of at least this for "to the end"


class Builder(Protocol):
    """What a rule may do to the graph under construction."""

    def emit(
        self, node: Node, op: str, inputs: Sequence[Value | None], attrs: Mapping[str, AttrValue] | None = None
    ) -> Value:
        """Add an op and return its output."""

    def weight(self, node: Node, value: Value) -> Value:
        """Place a value that a weight slot reads: a literal there is learned."""

    def statistic(self, node: Node, value: Value) -> Value:
        """Place a value that is stored with the weights but not learned."""

    def transposed_weight(self, node: Node, value: Value) -> Value | None:
        """Place a matrix under transposed dims, if this node alone reads it."""

    def literal(self, node: Node, tensor: OnnxTensor, name: str) -> Value:
        """Return the value of a tensor that is written in an attribute."""


Result: TypeAlias = Value | None
Rule: TypeAlias = Callable[[Builder, Node], Result | Sequence[Result]]


def _same(b: Builder, node: Node) -> Result:
    return node.input(0)


def _sum(b: Builder, node: Node) -> Result:
    total: Value = node.input(0)
    for index in range(1, len(node.inputs)):
        total = b.emit(node, "add", [total, node.input(index)])
    return total


# --------------------------------------------------------------------------------------------- contractions
def _matmul(b: Builder, node: Node) -> Result:
    return b.emit(node, "matmul", [node.input(0), b.weight(node, node.input(1))])


def _gemm(b: Builder, node: Node) -> Result:
    x, y, c = node.input(0), node.input(1), node.optional(2)
    if x.rank != 2 or y.rank != 2:
        raise DataError(f"{node.describe()}: operands must have 2 dims, have {x.rank} and {y.rank}")
    a = b.emit(node, "transpose", [x], {"permutation": [1, 0]}) if node.integer("transA", 0) else x
    transposed = node.integer("transB", 0) != 0
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    # A constant matrix may be stored either way round: laid out [out, in] it is a linear layer.
    weight = None
    if y.learned != "never":
        weight = b.weight(node, y) if transposed else b.transposed_weight(node, y)
    if weight is not None:
        out = y.shape[0] if transposed else y.shape[1]
        fused = c is not None and c.learned != "never" and c.shape == (out,) and alpha == beta == 1.0
        bias = b.weight(node, c) if c is not None and fused else None
        result = b.emit(node, "linear", [a, weight, bias])
        c = None if fused else c
    else:
        right: Value = b.emit(node, "transpose", [y], {"permutation": [1, 0]}) if transposed else y
        result = b.emit(node, "matmul", [a, right])
    if alpha != 1.0:
        result = b.emit(node, "mul", [result, _scalar(b, node, result.dtype)])
    if c is not None:
        addend = b.weight(node, c)
        if beta != 1.0:
            addend = b.emit(node, "mul", [addend, _scalar(b, node, result.dtype)])
        result = b.emit(node, "add", [result, addend])
    return result


def _scalar(b: Builder, node: Node, dtype: str) -> Value:
    return Value(node.name, dtype, ())


def _window(node: Node, spatial: tuple[Size, ...], kernel: Sequence[int]) -> dict[str, AttrValue]:
    """Return stride, dilation and padding of a convolution or pool, auto_pad resolved."""
    rank = len(kernel)
    stride = node.integers("strides") or (1,) * rank
    dilation = node.integers("dilations") or (1,) * rank
    pads = node.integers("pads") or (0,) * (2 * rank)
    if not len(spatial) == len(stride) == len(dilation) == rank or len(pads) != 2 * rank:
        raise DataError(f"{node.describe()}: kernel, strides, dilations and pads must fit {len(spatial)} spatial dims")
    auto = node.text("auto_pad", "NOTSET")
    if auto == "VALID":
        pads = (0,) * (2 * rank)
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        begins, ends = [], []
        for size, window, step, gap in zip(spatial, kernel, stride, dilation, strict=True):
            total = _same_padding(size, (window - 1) * gap + 1, step)
            less, more = total // 2, total - total // 2
            begins.append(less if auto == "SAME_UPPER" else more)
            ends.append(more if auto == "SAME_UPPER" else less)
        pads = (*begins, *ends)
    elif auto != "NOTSET":
        raise DataError(f"{node.describe()}: auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, is {auto!r}")
    return {"stride": list(stride), "dilation": list(dilation), "padding": list(pads)}


def _same_padding(size: Size, window: int, stride: int) -> int:
    """Return the padding that gives ceil(size / stride) outputs."""
    if isinstance(size, int):
        return max((-(-size // stride) - 1) * stride + window - size, 0)
    if stride == 1:
        return window - 1
    raise NotCountable(f"auto_pad=SAME with stride {stride} over the named dim {size}: bind it with at=")


def _conv(b: Builder, node: Node) -> Result:
    x, weight = node.input(0), node.input(1)
    kernel = [size for size in weight.shape[2:] if isinstance(size, int)]
    if len(kernel) != weight.rank - 2:
        raise NotCountable("a kernel of unknown size")
    attrs = _window(node, x.shape[2:], kernel) | {"groups": node.integer("group", 1)}
    bias = node.optional(2)
    return b.emit(node, "conv", [x, b.weight(node, weight), None if bias is None else b.weight(node, bias)], attrs)


def _attention(b: Builder, node: Node) -> Sequence[Result]:
    if node.number("softcap", 0.0) != 0.0:
        raise NotCountable("Attention with a softcap")
    if any(node.optional(index) is not None for index in (4, 5, 6)):
        raise NotCountable("Attention with a key-value cache or padded lengths")
    heads: list[Value] = []
    for index, attribute in enumerate(("q_num_heads", "kv_num_heads", "kv_num_heads")):
        value = node.input(index)
        if value.rank == 3:
            count = node.integer(attribute)
            batch, length, width = value.shape
            if isinstance(width, int) and (count < 1 or width % count):
                raise DataError(f"{node.describe()}: {attribute}={count} does not divide {width}")
            split = b.emit(node, "reshape", [value], {"shape": [batch, length, count, whole(width // count)]})
            heads.append(b.emit(node, "transpose", [split], {"permutation": [0, 2, 1, 3]}))
        else:
            heads.append(value)
    causal = "top_left" if node.integer("is_causal", 0) else "none"
    result = b.emit(node, "attention", [*heads, node.optional(3)], {"causal": causal})
    if node.input(0).rank == 3:
        batch, count_, length, width = result.shape
        joined = b.emit(node, "transpose", [result], {"permutation": [0, 2, 1, 3]})
        result = b.emit(node, "reshape", [joined], {"shape": [batch, length, whole(count_ * width)]})
    return [result]


# -------------------------------------------------------------------------------------------------- norms
def _batch_norm(b: Builder, node: Node) -> Sequence[Result]:
    train = node.integer("training_mode", 0) != 0
    if node.integer("spatial", 1) != 1:
        raise NotCountable("batch norm per activation (spatial=0)")
    inputs: list[Value] = [node.input(0), *(b.weight(node, node.input(i)) for i in (1, 2))]
    inputs += [b.statistic(node, node.input(i)) for i in (3, 4)]
    return [b.emit(node, "batch_norm", inputs, {"mode": "train" if train else "eval"})]


def _layer_norm(b: Builder, node: Node) -> Sequence[Result]:
    x, bias = node.input(0), node.optional(2)
    dims = x.rank - node.axis(node.integer("axis", -1), x.rank)
    inputs: list[Value | None] = [
        x,
        b.weight(node, node.input(1)),
        None if bias is None else b.weight(node, bias),
    ]
    return [b.emit(node, "layer_norm", inputs, {"normalized_ndim": dims})]


def _rms_norm(b: Builder, node: Node) -> Result:
    x = node.input(0)
    dims = x.rank - node.axis(node.integer("axis", -1), x.rank)
    return b.emit(node, "rms_norm", [x, b.weight(node, node.input(1))], {"normalized_ndim": dims})


def _softmax(b: Builder, node: Node) -> Result:
    x = node.input(0)
    axis = node.axis(node.integer("axis", -1 if node.opset >= 13 else 1), x.rank)
    if node.opset >= 13 or axis == x.rank - 1:
        return b.emit(node, "softmax", [x], {"axis": axis})
    # Up to opset 12 all dims from the axis on are normalised together.
    rows = b.emit(node, "reshape", [x], {"shape": [product(x.shape[:axis]), product(x.shape[axis:])]})
    return b.emit(node, "reshape", [b.emit(node, "softmax", [rows], {"axis": 1})], {"shape": list(x.shape)})


# ------------------------------------------------------------------------------------------------ pooling
def _pool(op: str) -> Rule:
    def rule(b: Builder, node: Node) -> Sequence[Result]:
        x, kernel = node.input(0), node.integers("kernel_shape")
        if kernel is None:
            raise DataError(f"{node.describe()}: attribute kernel_shape is missing")
        attrs = _window(node, x.shape[2:], kernel)
        attrs |= {"kernel": list(kernel), "ceil_mode": node.integer("ceil_mode", 0) != 0}
        return [b.emit(node, op, [x], attrs)]

    return rule


def _global_average(b: Builder, node: Node) -> Result:
    x = node.input(0)
    return b.emit(node, "adaptive_average_pool", [x], {"output_size": [1] * (x.rank - 2)})


def _global_max(b: Builder, node: Node) -> Result:
    x = node.input(0)
    return b.emit(node, "reduce_max", [x], {"axes": list(range(2, x.rank)), "keepdims": True})


def _reduce(op: str) -> Rule:
    def rule(b: Builder, node: Node) -> Result:
        x, axes = node.input(0), axes_of(node)
        if axes is None and node.optional(1) is not None:
            raise NotCountable("axes computed from data")
        if not axes:
            if node.integer("noop_with_empty_axes", 0):
                return x
            axes = tuple(range(x.rank))
        kept = sorted({node.axis(axis, x.rank) for axis in axes})
        return b.emit(node, op, [x], {"axes": kept, "keepdims": node.integer("keepdims", 1) != 0})

    return rule


# ------------------------------------------------------------------------------------------ data movement
def _reshape(b: Builder, node: Node) -> Result:
    x = node.input(0)
    target = node.input(1).elements
    if target is None:
        raise NotCountable("a shape computed from data")
    shape: list[Size] = []
    for i, size in enumerate(target):
        if isinstance(size, int) and size == 0 and not node.integer("allowzero", 0):
            if i >= x.rank:
                raise DataError(f"{node.describe()}: a 0 copies dim {i}, the input has {x.rank} dims")
            size = x.shape[i]
        shape.append(size)
    return b.emit(node, "reshape", [x], {"shape": shape})


def _flatten(b: Builder, node: Node) -> Result:
    x = node.input(0)
    axis = node.integer("axis", 1)
    if not -x.rank <= axis <= x.rank:
        raise DataError(f"{node.describe()}: axis {axis} is out of range for {x.rank} dims")
    axis = axis + x.rank if axis < 0 else axis
    return b.emit(node, "reshape", [x], {"shape": [product(x.shape[:axis]), product(x.shape[axis:])]})


def _squeeze(b: Builder, node: Node) -> Result:
    x, axes = node.input(0), axes_of(node)
    if axes is None and node.optional(1) is not None:
        raise NotCountable("axes computed from data")
    if axes is None:
        if not all(isinstance(size, int) for size in x.shape):
            raise NotCountable("Squeeze without axes over named dims, which may be 1")
        gone = {i for i, size in enumerate(x.shape) if size == 1}
    else:
        gone = {node.axis(axis, x.rank) for axis in axes}
    for axis in gone:
        if isinstance(x.shape[axis], int) and x.shape[axis] != 1:
            raise DataError(f"{node.describe()}: dim {axis} is {x.shape[axis]}, only 1 can be squeezed")
        if not isinstance(x.shape[axis], int):
            raise NotCountable(f"Squeeze of the named dim {x.shape[axis]}: bind it with at=")
    return b.emit(node, "reshape", [x], {"shape": [size for i, size in enumerate(x.shape) if i not in gone]})


def _unsqueeze(b: Builder, node: Node) -> Result:
    x, axes = node.input(0), axes_of(node)
    if axes is None:
        raise NotCountable("axes computed from data")
    return b.emit(node, "reshape", [x], {"shape": list(with_ones(node, x.shape, axes))})


def _transpose(b: Builder, node: Node) -> Result:
    x = node.input(0)
    permutation = node.integers("perm")
    order = list(range(x.rank))[::-1] if permutation is None else list(permutation)
    return b.emit(node, "transpose", [x], {"permutation": order})


def _concat(b: Builder, node: Node) -> Result:
    first = node.input(0)
    axis = node.axis(node.integer("axis"), first.rank)
    if len(node.inputs) == 1:
        return first
    return b.emit(node, "concat", [node.input(i) for i in range(len(node.inputs))], {"axis": axis})


def _slice(b: Builder, node: Node) -> Result:
    cuts = slice_arguments(node)
    if cuts is None:
        raise NotCountable("bounds computed from data")
    result: Value = node.input(0)
    for axis, start, stop, step in cuts:
        if step < 1:
            raise NotCountable(f"a slice with step {step}")
        size = result.shape[axis]
        first = _bound(start, size)
        last = whole(maximum(first, _bound(stop, size)))
        if first == 0 and last == size and step == 1:
            continue
        result = b.emit(node, "slice", [result], {"axis": axis, "start": first, "stop": last, "step": step})
    return result


def _bound(index: Size, size: Size) -> Size:
    """Return a slice bound within [0, size]."""
    if isinstance(index, int):
        if index >= _END:
            return size
        if index < 0:
            return whole(clamp(size + index, 0, size)) if index > -_END else 0
        return whole(minimum(index, size))
    return whole(clamp(index, 0, size))


def _split(b: Builder, node: Node) -> Sequence[Result]:
    x = node.input(0)
    axis = node.axis(node.integer("axis", 0), x.rank)
    sizes: Sequence[Size] | None = node.integers("split")
    given = node.optional(1)
    if given is not None:
        sizes = given.elements
        if sizes is None:
            raise NotCountable("sizes computed from data")
    if sizes is None:
        parts = node.integer("num_outputs", len(node.outputs))
        size = x.shape[axis]
        part = whole(ceildiv(size, parts))
        sizes = [*[part] * (parts - 1), whole(size - part * (parts - 1))]
    if len(sizes) < len(node.outputs):
        raise DataError(f"{node.describe()}: {len(sizes)} sizes for {len(node.outputs)} outputs")
    results: list[Result] = []
    start: Size = 0
    for output, size in zip(node.outputs, sizes, strict=False):
        stop = whole(start + size)
        taken = b.emit(node, "slice", [x], {"axis": axis, "start": start, "stop": stop, "step": 1}) if output else None
        results.append(taken)
        start = stop
    return results


def _gather(b: Builder, node: Node) -> Result:
    x, ids = node.input(0), node.input(1)
    axis = node.axis(node.integer("axis", 0), x.rank)
    picked = integers(ids)
    if picked is not None and ids.rank <= 1 and _consecutive(picked):
        size = x.shape[axis]
        first = picked[0] if picked[0] >= 0 else whole(size + picked[0])
        cut = b.emit(node, "slice", [x], {"axis": axis, "start": first, "stop": whole(first + len(picked)), "step": 1})
        if ids.rank == 1:
            return cut
        return b.emit(node, "reshape", [cut], {"shape": [*x.shape[:axis], *x.shape[axis + 1 :]]})
    if axis != 0 or x.rank != 2:
        raise NotCountable(f"a gather along axis {axis} of {x.rank} dims, which is no embedding")
    return b.emit(node, "embedding", [b.weight(node, x), ids])


def _consecutive(indices: Sequence[int]) -> bool:
    same_sign = len({index >= 0 for index in indices}) == 1
    return same_sign and list(indices) == list(range(indices[0], indices[0] + len(indices)))


# --------------------------------------------------------------------------------------------------- rest
def _cast(b: Builder, node: Node) -> Result:
    x, target = node.input(0), dtype_name(node.integer("to"), "the target of a Cast")
    return x if target == x.dtype else b.emit(node, "cast", [x], {"dtype": target})


def _gelu(b: Builder, node: Node) -> Result:
    return b.emit(node, "gelu", [node.input(0)], {"approximate": node.text("approximate", "none")})


def _swish(b: Builder, node: Node) -> Result:
    if node.number("alpha", 1.0) != 1.0:
        raise NotCountable("Swish with alpha other than 1")
    return b.emit(node, "silu", [node.input(0)])


def _dropout(b: Builder, node: Node) -> Sequence[Result]:
    training = node.optional(2)
    if training is not None and integers(training) != (0,):
        raise NotCountable("Dropout in training mode")
    return [node.input(0)]


def _constant(b: Builder, node: Node) -> Result:
    attributes = node.attributes
    value = attributes.get("value")
    if isinstance(value, OnnxTensor):
        return b.literal(node, value, node.outputs[0])
    if "value_int" in attributes:
        return Value(node.outputs[0], "int64", (), elements=(node.integer("value_int"),))
    if "value_float" in attributes:
        return Value(node.outputs[0], "float32", ())
    numbers = node.integers("value_ints")
    if numbers is not None:
        elements = numbers if len(numbers) <= MAX_ELEMENTS else None
        return Value(node.outputs[0], "int64", (len(numbers),), elements=elements)
    floats = attributes.get("value_floats")
    if isinstance(floats, tuple):
        return Value(node.outputs[0], "float32", (len(floats),), learned=literal_learned((len(floats),)))
    raise NotCountable("a Constant of text or of a sparse tensor")


def _constant_of_shape(b: Builder, node: Node) -> Result:
    shape = node.input(0)
    if shape.elements is None:
        raise NotCountable("a shape computed from data")
    fill = node.attributes.get("value")
    dtype = dtype_name(fill.dtype, "its value") if isinstance(fill, OnnxTensor) else "float32"
    # Files without payloads make their weights so: of a fixed shape, written in the file.
    sizes = integers(shape)
    learned = "never" if sizes is None or not dtype.startswith(FLOATING) else literal_learned(sizes)
    return Value(node.outputs[0], dtype, shape.elements, learned=learned)


# One op of ours with the same inputs in the same order: its name and how many inputs.
PLAIN: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "Add": ("add", 2),
        "Div": ("div", 2),
        "MatMul": ("matmul", 2),
        "Mul": ("mul", 2),
        "Relu": ("relu", 1),
        "Sigmoid": ("sigmoid", 1),
        "Sub": ("sub", 2),
        "Tanh": ("tanh", 1),
    }
)


def _direct(op: str, n_inputs: int) -> Rule:
    return lambda b, node: b.emit(node, op, [node.input(i) for i in range(n_inputs)])


OPS: Mapping[str, Rule] = MappingProxyType(
    {op: _direct(*ours) for op, ours in PLAIN.items()}
    | {
        "Attention": _attention,
        "AveragePool": _pool("average_pool"),
        "BatchNormalization": _batch_norm,
        "Cast": _cast,
        "Concat": _concat,
        "Constant": _constant,
        "ConstantOfShape": _constant_of_shape,
        "Conv": _conv,
        "Dropout": _dropout,
        "Flatten": _flatten,
        "Gather": _gather,
        "Gelu": _gelu,
        "Gemm": _gemm,
        "GlobalAveragePool": _global_average,
        "GlobalMaxPool": _global_max,
        "Identity": _same,
        "LayerNormalization": _layer_norm,
        "MatMul": _matmul,
        "MaxPool": _pool("max_pool"),
        "RMSNormalization": _rms_norm,
        "ReduceMax": _reduce("reduce_max"),
        "ReduceMean": _reduce("reduce_mean"),
        "ReduceSum": _reduce("reduce_sum"),
        "Reshape": _reshape,
        "Slice": _slice,
        "Softmax": _softmax,
        "Split": _split,
        "Squeeze": _squeeze,
        "Sum": _sum,
        "Swish": _swish,
        "Transpose": _transpose,
        "Unsqueeze": _unsqueeze,
    }
)
