"""Rules for norms, softmax, pooling, reductions, sorting and losses of ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from flopcore.errors import DataError
from flopcore.graph import AttrValue

from .onnx_build import Builder, Result, Rule
from .onnx_shapes import axes_of, integers, product
from .onnx_values import Node, Value, whole
from .onnx_windows import window
from .unsupported import NotCountable

__all__: list[str] = []


def _weights(b: Builder, node: Node, *slots: int) -> list[Value | None]:
    """Return inputs that are weights where the file stores them."""
    values = [node.optional(slot) for slot in slots]
    return [None if value is None else b.weight(node, value) for value in values]


# -------------------------------------------------------------------------------------------------- norms
def _batch_norm(b: Builder, node: Node) -> Sequence[Result]:
    train = node.integer("training_mode", 0) != 0
    if node.integer("spatial", 1) != 1:
        raise NotCountable("batch norm per activation (spatial=0)")
    inputs: list[Value | None] = [node.input(0), *_weights(b, node, 1, 2)]
    inputs += [b.statistic(node, node.input(i)) for i in (3, 4)]
    y = b.emit(node, "batch_norm", inputs, {"mode": "train" if train else "eval"})
    moments = [Value(name, node.input(3).dtype, node.input(3).shape) for name in node.outputs[1:3]]
    return [y, *moments]


def _layer_norm(b: Builder, node: Node) -> Sequence[Result]:
    x = node.input(0)
    axis = node.axis(node.integer("axis", -1), x.rank)
    y = b.emit(node, "layer_norm", [x, *_weights(b, node, 1, 2)], {"normalized_ndim": x.rank - axis})
    shape = (*x.shape[:axis], *[1] * (x.rank - axis))
    return [y, *(Value(name, "float32", shape) for name in node.outputs[1:3])]


def _rms_norm(b: Builder, node: Node) -> Result:
    x = node.input(0)
    dims = x.rank - node.axis(node.integer("axis", -1), x.rank)
    return b.emit(node, "rms_norm", [x, *_weights(b, node, 1)], {"normalized_ndim": dims})


def _instance_norm(b: Builder, node: Node) -> Result:
    return b.emit(node, "instance_norm", [node.input(0), *_weights(b, node, 1, 2)])


def _group_norm(b: Builder, node: Node) -> Result:
    x, groups = node.input(0), node.integer("num_groups")
    scale, bias = _weights(b, node, 1, 2)
    if node.opset >= 21 or scale is None or bias is None:
        return b.emit(node, "group_norm", [x, scale, bias], {"groups": groups})
    # Up to opset 20 scale and bias are per group.
    y = b.emit(node, "group_norm", [x], {"groups": groups})
    parts = b.emit(node, "reshape", [y], {"shape": [x.shape[0], groups, -1]})
    for op, value in (("mul", scale), ("add", bias)):
        per_group = b.emit(node, "reshape", [value], {"shape": [1, groups, 1]})
        parts = b.emit(node, op, [parts, per_group])
    return b.emit(node, "reshape", [parts], {"shape": list(x.shape)})


def _mean_variance_norm(b: Builder, node: Node) -> Result:
    x = node.input(0)
    axes = node.integers("axes") or (0, 2, 3)
    kept: dict[str, AttrValue] = {"axes": sorted({node.axis(axis, x.rank) for axis in axes}), "keepdims": True}
    mean = b.emit(node, "reduce_mean", [x], kept)
    of_squares = b.emit(node, "reduce_mean", [b.emit(node, "square", [x])], kept)
    variance = b.emit(node, "sub", [of_squares, b.emit(node, "square", [mean])])
    spread = b.emit(node, "add", [b.emit(node, "sqrt", [variance]), Value("epsilon", x.dtype, ())])
    return b.emit(node, "div", [b.emit(node, "sub", [x, mean]), spread])


def _lrn(b: Builder, node: Node) -> Result:
    return b.emit(node, "local_response_norm", [node.input(0)], {"size": node.integer("size")})


def _lp_norm(b: Builder, node: Node) -> Result:
    p = node.integer("p", 2)
    if p not in (1, 2):
        raise DataError(f"{node.describe()}: p must be 1 or 2, is {p}")
    x = node.input(0)
    axis = node.axis(node.integer("axis", -1), x.rank)
    return b.emit(node, "lp_normalize", [x], {"axis": axis, "norm": f"l{p}"})


def _softmax(op: str) -> Rule:
    def rule(b: Builder, node: Node) -> Result:
        x = node.input(0)
        axis = node.axis(node.integer("axis", -1 if node.opset >= 13 else 1), x.rank)
        if node.opset >= 13 or axis == x.rank - 1:
            return b.emit(node, op, [x], {"axis": axis})
        # Up to opset 12 all dims from the axis on are normalised together.
        rows = b.emit(node, "reshape", [x], {"shape": [product(x.shape[:axis]), product(x.shape[axis:])]})
        return b.emit(node, "reshape", [b.emit(node, op, [rows], {"axis": 1})], {"shape": list(x.shape)})

    return rule


# ------------------------------------------------------------------------------------------------ pooling
def _pool(op: str) -> Rule:
    def rule(b: Builder, node: Node) -> Sequence[Result]:
        x, kernel = node.input(0), node.integers("kernel_shape")
        if kernel is None:
            raise DataError(f"{node.describe()}: attribute kernel_shape is missing")
        attrs = window(node, x.shape[2:], kernel)
        attrs |= {"kernel": list(kernel), "ceil_mode": node.integer("ceil_mode", 0) != 0}
        indices = len(node.outputs) > 1 and node.outputs[1] != ""
        return b.emit_all(node, "max_pool_with_indices" if indices else op, [x], attrs)

    return rule


def _global_average(b: Builder, node: Node) -> Result:
    x = node.input(0)
    return b.emit(node, "adaptive_average_pool", [x], {"output_size": [1] * (x.rank - 2)})


def _global(op: str) -> Rule:
    def rule(b: Builder, node: Node) -> Result:
        x = node.input(0)
        return b.emit(node, op, [x], {"axes": list(range(2, x.rank)), "keepdims": True})

    return rule


def _max_unpool(b: Builder, node: Node) -> Result:
    x, kernel = node.input(0), node.integers("kernel_shape")
    if kernel is None or len(kernel) != x.rank - 2:
        raise DataError(f"{node.describe()}: kernel_shape must fit {x.rank - 2} spatial dims")
    given = node.optional(2)
    if given is not None:
        if given.elements is None:
            raise NotCountable("a shape computed from data")
        size = list(given.elements[2:])
    else:
        stride = node.integers("strides") or (1,) * len(kernel)
        pads = node.integers("pads") or (0,) * (2 * len(kernel))
        cuts = zip(pads[: len(kernel)], pads[len(kernel) :], strict=True)
        size = [
            whole((n - 1) * step + k - before - after)
            for n, step, k, (before, after) in zip(x.shape[2:], stride, kernel, cuts, strict=True)
        ]
    return b.emit(node, "max_unpool", [x, node.input(1)], {"output_size": size})


# ---------------------------------------------------------------------------------- reductions, along an axis
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


def _arg(op: str) -> Rule:
    def rule(b: Builder, node: Node) -> Result:
        x = node.input(0)
        axis = node.axis(node.integer("axis", 0), x.rank)
        return b.emit(node, op, [x], {"axes": [axis], "keepdims": node.integer("keepdims", 1) != 0})

    return rule


def _cumulative(op: str) -> Rule:
    def rule(b: Builder, node: Node) -> Result:
        x, axis = node.input(0), integers(node.input(1))
        if axis is None or len(axis) != 1:
            raise NotCountable("an axis computed from data")
        return b.emit(node, op, [x], {"axis": node.axis(axis[0], x.rank)})

    return rule


def _top_k(b: Builder, node: Node) -> Sequence[Result]:
    x = node.input(0)
    known = (node.integer("k"),) if node.opset < 10 else node.input(1).elements
    size = known[0] if known else b.size(None, f"{node.label()}_k")
    axis = node.axis(node.integer("axis", -1), x.rank)
    return b.emit_all(node, "top_k", [x], {"axis": axis, "size": size})


# -------------------------------------------------------------------------------------------------- losses
def _nll_loss(b: Builder, node: Node) -> Result:
    inputs = [node.input(0), node.input(1), *_weights(b, node, 2)]
    return b.emit(node, "nll_loss", inputs, {"reduction": node.text("reduction", "mean")})


def _cross_entropy(b: Builder, node: Node) -> Sequence[Result]:
    attrs: dict[str, AttrValue] = {"reduction": node.text("reduction", "mean")}
    inputs = [node.input(0), node.input(1), *_weights(b, node, 2)]
    if len(node.outputs) < 2 or not node.outputs[1]:
        return [b.emit(node, "cross_entropy_loss", inputs, attrs)]
    logs = b.emit(node, "log_softmax", [inputs[0]], {"axis": 1})
    return [b.emit(node, "nll_loss", [logs, *inputs[1:]], attrs), logs]


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "ArgMax": _arg("argmax"),
        "ArgMin": _arg("argmin"),
        "AveragePool": _pool("average_pool"),
        "BatchNormalization": _batch_norm,
        "CumProd": _cumulative("cumprod"),
        "CumSum": _cumulative("cumsum"),
        "GlobalAveragePool": _global_average,
        "GlobalLpPool": _global("reduce_lp"),
        "GlobalMaxPool": _global("reduce_max"),
        "GroupNormalization": _group_norm,
        "Hardmax": _softmax("hardmax"),
        "InstanceNormalization": _instance_norm,
        "LRN": _lrn,
        "LayerNormalization": _layer_norm,
        "LogSoftmax": _softmax("log_softmax"),
        "LpNormalization": _lp_norm,
        "LpPool": _pool("lp_pool"),
        "MaxPool": _pool("max_pool"),
        "MaxUnpool": _max_unpool,
        "MeanVarianceNormalization": _mean_variance_norm,
        "NegativeLogLikelihoodLoss": _nll_loss,
        "RMSNormalization": _rms_norm,
        "ReduceL1": _reduce("reduce_l1"),
        "ReduceL2": _reduce("reduce_l2"),
        "ReduceLogSum": _reduce("reduce_log_sum"),
        "ReduceLogSumExp": _reduce("reduce_log_sum_exp"),
        "ReduceMax": _reduce("reduce_max"),
        "ReduceMean": _reduce("reduce_mean"),
        "ReduceMin": _reduce("reduce_min"),
        "ReduceProd": _reduce("reduce_prod"),
        "ReduceSum": _reduce("reduce_sum"),
        "ReduceSumSquare": _reduce("reduce_sum_square"),
        "Softmax": _softmax("softmax"),
        "SoftmaxCrossEntropyLoss": _cross_entropy,
        "TopK": _top_k,
    }
)
