"""Output shapes of ops against PyTorch's own: random nodes of every op that PyTorch has, run on meta tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agreement import Seeded
from flopcore.specification import specification
from random_graphs import OPS, Recipe

torch = pytest.importorskip("torch", reason="needs the extra 'oracle'")
F = torch.nn.functional
Run = Callable[..., Any]
SPEC = specification().ops


def pairs(flat: list[int]) -> list[int]:
    """Padding as torch.nn.functional.pad takes it: begin and end of the last dim first."""
    n = len(flat) // 2
    return [side for i in reversed(range(n)) for side in (flat[i], flat[n + i])]


def symmetric(a: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments of a window for PyTorch, which pads both ends alike and by half a window at most."""
    n = len(a["kernel"])
    padding = a.get("padding", [0] * 2 * n)
    if padding[:n] != padding[n:] or any(2 * p > k for p, k in zip(padding, a["kernel"], strict=False)):
        return None
    return {"kernel_size": a["kernel"], "stride": a.get("stride", [1] * n), "padding": padding[:n]}


def pool(name: str, *, dilated: bool, **fixed: Any) -> Run:
    def run(a: dict[str, Any], x: Any) -> Any:
        options = symmetric(a)
        n = len(a["kernel"])
        dilation = a.get("dilation", [1] * n)
        if options is None or (not dilated and dilation != [1] * n):
            return None
        if dilated:
            options["dilation"] = dilation
        return getattr(F, f"{name}{n}d")(x, **options, ceil_mode=a.get("ceil_mode", False), **fixed)

    return run


def by_rank(name: str) -> Run:
    return lambda a, x, *rest: getattr(F, f"{name}{x.dim() - 2}d")(x, *rest, a["output_size"])


def interpolated(*modes: str) -> Run:
    def run(a: dict[str, Any], x: Any) -> Any:
        mode = modes[min(x.dim() - 3, len(modes) - 1)]
        return F.interpolate(x, size=a["output_size"], mode=mode) if mode else None

    return run


def reduction(function: Run, *, several: bool = True, keep: bool = True) -> Run:
    """A reduction of PyTorch; one that takes a single dim is given none that has several."""

    def run(a: dict[str, Any], x: Any) -> Any:
        axes = a.get("axes", list(range(x.dim())))
        if (len(axes) != 1 and not several) or not axes or (a.get("keepdims") and not keep):
            return None
        options = {"keepdim": a.get("keepdims", False)} if keep else {}
        return function(x, dim=axes if several else axes[0], **options)

    return run


def unary(function: Run) -> Run:
    return lambda a, x: function(x)


def binary(function: Run) -> Run:
    return lambda a, x, y: function(x, y)


def axis(function: Run) -> Run:
    return lambda a, x: function(x, dim=a.get("axis", -1))


def loss(function: Run) -> Run:
    return lambda a, x, *rest: function(x, *rest, reduction=a.get("reduction", "mean"))


def class_loss(function: Run) -> Run:
    return lambda a, x, target, weight=None: function(
        x, target.long(), weight=weight, reduction=a.get("reduction", "mean")
    )


def where_reduced(a: dict[str, Any], x: Any, indices: Any, updates: Any) -> Any:
    return x.index_add(a["axis"], indices.long(), updates)


def scattered(a: dict[str, Any], x: Any, indices: Any, updates: Any) -> Any:
    if any(i > s for i, s in zip(indices.shape, x.shape, strict=True)):
        return None  # as many updates as x holds elsewhere: legal in ONNX, refused by PyTorch
    return x.scatter(a["axis"], indices.long(), updates)


def taken(a: dict[str, Any], x: Any, indices: Any) -> Any:
    place = a["axis"] % x.dim()
    if any(i > s for d, (i, s) in enumerate(zip(indices.shape, x.shape, strict=True)) if d != place):
        return None
    return torch.gather(x, a["axis"], indices.long())


def unfolded(a: dict[str, Any], x: Any) -> Any:
    n = len(a["kernel"])
    padding = a.get("padding", [0] * 2 * n)
    if n != 2 or padding[:n] != padding[n:]:
        return None
    options = {"stride": a.get("stride", 1), "dilation": a.get("dilation", 1), "padding": padding[:n]}
    return F.unfold(x, a["kernel"], **options)


def folded(a: dict[str, Any], x: Any) -> Any:
    n = len(a["kernel"])
    padding = a.get("padding", [0] * 2 * n)
    if n != 2 or padding[:n] != padding[n:]:
        return None
    options = {"stride": a.get("stride", 1), "dilation": a.get("dilation", 1), "padding": padding[:n]}
    return F.fold(x, a["output_size"], a["kernel"], **options)


def group_norm(a: dict[str, Any], x: Any, gamma: Any = None, beta: Any = None) -> Any:
    return F.group_norm(x, a["groups"], gamma, beta)


def instance_norm(a: dict[str, Any], x: Any, gamma: Any = None, beta: Any = None) -> Any:
    return F.instance_norm(x, weight=gamma, bias=beta) if torch.tensor(x.shape[2:]).prod() > 1 else None


def one_hot(a: dict[str, Any], ids: Any) -> Any:
    made = torch.empty((*ids.shape, a["size"]), device="meta")
    return made.movedim(-1, a.get("axis", -1))


def gathered(a: dict[str, Any], x: Any, indices: Any) -> Any:
    zeros = torch.zeros(indices.shape, dtype=torch.int64)  # advanced indexing looks at its indices
    return torch.empty(x.shape)[(slice(None),) * (a["axis"] % x.dim()) + (zeros,)]


def kl_div(x: Any, target: Any, reduction: str) -> Any:
    return F.kl_div(x, target, reduction="batchmean" if reduction == "mean" else reduction)


def grid_sample(a: dict[str, Any], x: Any, grid: Any) -> Any:
    mode = {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}[a.get("mode", "linear")]
    return (
        None
        if x.dim() == 3 or (mode == "bicubic" and x.dim() == 5)
        else F.grid_sample(x, grid, mode=mode, align_corners=False)
    )


ELEMENTWISE: dict[str, Run] = {
    **{name: unary(getattr(torch, name)) for name in (
        "relu", "sigmoid", "tanh", "neg", "abs", "sign", "reciprocal", "square", "sqrt", "rsqrt", "exp", "exp2",
        "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh",
        "acosh", "atanh", "erf", "erfc", "erfinv", "logit", "floor", "ceil", "round", "trunc", "frac", "isnan", "isinf",
        "isfinite", "logical_not", "bitwise_not",
    )},
    **{name: unary(getattr(F, name)) for name in (
        "gelu", "silu", "relu6", "leaky_relu", "rrelu", "elu", "selu", "celu", "softplus", "softsign", "mish",
    )},
    **{name: unary(getattr(F, function)) for name, function in (
        ("hard_sigmoid", "hardsigmoid"), ("hard_swish", "hardswish"), ("hard_tanh", "hardtanh"),
        ("hard_shrink", "hardshrink"), ("soft_shrink", "softshrink"), ("tanh_shrink", "tanhshrink"),
        ("log_sigmoid", "logsigmoid"),
    )},
    **{name: binary(getattr(torch, name)) for name in (
        "add", "sub", "mul", "div", "pow", "fmod", "remainder", "floor_divide", "atan2", "hypot", "logaddexp",
        "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor",
        "less", "less_equal", "greater", "greater_equal", "not_equal",
    )},
    "equal": binary(torch.eq), "shift_left": binary(torch.bitwise_left_shift),
    "shift_right": binary(torch.bitwise_right_shift), "thresholded_relu": lambda a, x: F.threshold(x, 1.0, 0.0),
    "clamp": lambda a, x: torch.clamp(x, 0.0, 6.0), "where": lambda a, c, x, y: torch.where(c, x, y),
    "masked_fill": lambda a, x, mask: torch.where(mask, 0.0, x), "lerp": lambda a, x, y, w: torch.lerp(x, y, w),
    "addcmul": lambda a, x, y, z: torch.addcmul(x, y, z), "addcdiv": lambda a, x, y, z: torch.addcdiv(x, y, z),
    "fma": lambda a, x, y, z: x * y + z,
}  # fmt: skip
REDUCTIONS: dict[str, Run] = {
    "reduce_sum": reduction(torch.sum), "reduce_mean": reduction(torch.mean), "reduce_max": reduction(torch.amax),
    "reduce_min": reduction(torch.amin), "reduce_prod": reduction(torch.prod, several=False),
    "reduce_l1": reduction(lambda x, **o: torch.linalg.vector_norm(x, 1, **o)),
    "reduce_l2": reduction(torch.linalg.vector_norm), "reduce_log_sum_exp": reduction(torch.logsumexp),
    "reduce_var": reduction(torch.var), "reduce_std": reduction(torch.std), "reduce_all": reduction(torch.all),
    "reduce_any": reduction(torch.any), "argmax": reduction(torch.argmax, several=False),
    "argmin": reduction(torch.argmin, several=False),
    "count_nonzero": reduction(torch.count_nonzero, keep=False),
    "softmax": axis(torch.softmax), "log_softmax": axis(torch.log_softmax), "cumsum": axis(torch.cumsum),
    "cumprod": axis(torch.cumprod), "logcumsumexp": axis(torch.logcumsumexp), "cummax": axis(torch.cummax),
    "cummin": axis(torch.cummin), "sort": axis(torch.sort), "lp_normalize": axis(F.normalize), "glu": axis(F.glu),
    "top_k": lambda a, x: torch.topk(x, a["size"], a.get("axis", -1)),
}  # fmt: skip
OTHERS: dict[str, Run] = {
    "mse_loss": loss(F.mse_loss), "l1_loss": loss(F.l1_loss), "huber_loss": loss(F.huber_loss),
    "smooth_l1_loss": loss(F.smooth_l1_loss), "bce_with_logits_loss": loss(F.binary_cross_entropy_with_logits),
    "kl_div_loss": loss(kl_div), "nll_loss": class_loss(F.nll_loss),
    "cross_entropy_loss": class_loss(F.cross_entropy),
    "group_norm": group_norm, "instance_norm": instance_norm,
    "max_pool": pool("max_pool", dilated=True), "average_pool": pool("avg_pool", dilated=False),
    "max_pool_with_indices": pool("max_pool", dilated=True, return_indices=True),
    "adaptive_average_pool": by_rank("adaptive_avg_pool"), "adaptive_max_pool": by_rank("adaptive_max_pool"),
    "interpolate_nearest": interpolated("nearest"),
    "interpolate_linear": interpolated("linear", "bilinear", "trilinear"),
    "interpolate_cubic": interpolated("", "bicubic", ""), "grid_sample": grid_sample,
    "unfold": unfolded, "fold": folded, "squeeze": lambda a, x: torch.squeeze(x, a["axes"]) if a["axes"] else x,
    "unbind": lambda a, x: torch.unbind(x, a["axis"]),
    "meshgrid": lambda a, *xs: torch.meshgrid(*xs, indexing="ij"), "flip": lambda a, x: torch.flip(x, a["axes"]),
    "expand": lambda a, x: torch.broadcast_tensors(x, torch.empty(a["shape"], device="meta"))[0],
    "tril": unary(torch.tril), "triu": unary(torch.triu), "diag": unary(torch.diag), "clone": unary(torch.clone),
    "tile": lambda a, x: x.repeat(a["repeats"]), "stack": lambda a, *xs: torch.stack(xs, a["axis"]),
    "repeat_interleave": lambda a, x: torch.repeat_interleave(x, a["size"], dim=a["axis"]),
    "pad": lambda a, x: F.pad(x, pairs(a["padding"])) if x.dim() else x,
    "space_to_depth": lambda a, x: F.pixel_unshuffle(x, a["block"]),
    "depth_to_space": lambda a, x: F.pixel_shuffle(x, a["block"]),
    "full": lambda a: torch.full(a["shape"], 1.0, device="meta"), "arange": lambda a: torch.arange(a["size"]),
    "embedding": lambda a, w, ids: F.embedding(ids.long(), w),
    "embedding_bag": lambda a, w, ids: F.embedding_bag(ids.long(), w, mode=a.get("mode", "mean")),
    "take_along": taken, "scatter": scattered, "index_update": where_reduced, "one_hot": one_hot,
    "gather": gathered,
    "split": lambda a, x: torch.split(x, a["sizes"], a["axis"]),
    "concat": lambda a, *xs: torch.cat(xs, a["axis"]), "transpose": lambda a, x: torch.permute(x, a["permutation"]),
    "searchsorted": lambda a, s, v: torch.searchsorted(s, v), "bernoulli": unary(torch.bernoulli),
    "multinomial": lambda a, x: torch.multinomial(x, a["size"], replacement=True) if a["size"] else None,
}  # fmt: skip
MATRICES: dict[str, Run] = {
    "cholesky": unary(torch.linalg.cholesky), "inverse": unary(torch.linalg.inv),
    "lu_factor": unary(torch.linalg.lu_factor),
    "determinant": unary(torch.linalg.det), "eigh": unary(torch.linalg.eigh), "qr": unary(torch.linalg.qr),
    "svd": lambda a, x: torch.linalg.svd(x, full_matrices=False), "solve": binary(torch.linalg.solve),
    "triangular_solve": lambda a, x, y: torch.linalg.solve_triangular(x, y, upper=True),
    "fft": lambda a, x: (torch.fft.rfft if a.get("onesided") else torch.fft.fft)(x, dim=a.get("axis", -1)),
    "stft": lambda a, x, window=None: short_time(a, x, window),
}  # fmt: skip


def short_time(attrs: dict[str, Any], x: Any, window: Any) -> Any:
    """Frames by lines, where PyTorch has lines by frames; it takes one leading dim at most."""
    if x.dim() > 2:
        return None
    onesided = bool(attrs.get("onesided", True))
    window = torch.ones(attrs["size"], device="meta") if window is None else window
    found = torch.stft(
        *(x, attrs["size"], attrs["step"], None, window), center=False, onesided=onesided, return_complex=True
    )
    return found.transpose(-1, -2)


RUNS = ELEMENTWISE | REDUCTIONS | OTHERS | MATRICES
KINDS = {"bool": torch.bool, "int64": torch.int64}
NARROW = ("lu_factor",)  # pivots are int32 in PyTorch


def random_node(op: str, seed: int) -> tuple[Recipe, dict[str, Any]] | None:
    """A node of plain numbers alone in its graph; None where the recipe added none."""
    recipe = Recipe(Seeded(seed), symbolic=False)
    OPS[op](recipe, op)
    node = recipe.nodes[-1]
    return (recipe, node) if node["op"] == op and recipe.seen[op] == 1 else None


def tensors(op: str, recipe: Recipe, node: dict[str, Any]) -> list[Any]:
    """Meta tensors of the inputs: floats, but for those that must be integers or bool."""
    spec = SPEC[op]
    slots = spec.slots * (len(node["inputs"]) if spec.inputs and spec.inputs[0].endswith("*") else 1)
    made = []
    for slot, number in zip(slots, node["inputs"], strict=False):
        whole, truth = spec.accepts.integers, spec.accepts.bools
        dtype = torch.int64 if {slot, "*"} & set(whole) else torch.bool if slot in truth else torch.float32
        shape = None if number is None else recipe.tensors[number]["shape"]
        made.append(None if shape is None else torch.empty(shape, dtype=dtype, device="meta"))
    return made


@pytest.mark.parametrize("op", sorted(RUNS))
def test_shapes_are_those_of_pytorch(op: str) -> None:
    compared = 0
    for seed in range(60):
        found = random_node(op, seed)
        if found is None:
            continue
        recipe, node = found
        made = RUNS[op](node["attrs"], *tensors(op, recipe, node))
        if made is None:
            continue
        outputs = list(made) if isinstance(made, list | tuple) else [made]
        values = {value.number: value for value in recipe.values[0]}
        for number, output, name in zip(node["outputs"], outputs, SPEC[op].results * len(outputs), strict=False):
            assert tuple(output.shape) == values[number].least, (seed, node)
            kind = SPEC[op].dtypes.get(name, "")
            assert kind not in KINDS or op in NARROW or output.dtype == KINDS[kind], (seed, node)
        compared += 1
    assert compared >= 5, "too few of the random nodes are ones that PyTorch takes"


def test_the_ops_without_a_twin_are_known() -> None:
    """An op of a family here has a twin in PyTorch, or is one of these."""
    families = {"elementwise", "reduce", "along_axis", "values_and_indices", "loss", "class_loss", "pool", "resize"}
    alone = {op.name for op in SPEC.values() if op.family in families} - set(RUNS)
    assert alone == {
        *("cast", "quick_gelu", "prelu", "maximum", "minimum", "add_n", "mean_n", "hardmax", "lp_pool", "bce_loss"),
        *("reduce_lp", "reduce_log_sum", "reduce_sum_square"),
    }
