"""Random valid graphs over every op and attribute, as the plain data that `flopcore.reference` reads.

The generator only asks for integers, so that Hypothesis can drive it (and shrink) as well as a seeded `random.Random`.
It tracks each shape twice: as text, to make leaves that fit, and as numbers at the smallest value of every symbol, to
choose attributes that are valid there and hence everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol, TypeVar

from flopcore.reference.shapes import infer, infer_all
from flopcore.specification import specification

T = TypeVar("T")
Dim = int | str
# Symbols with their smallest value and what they are a multiple of.
SYMBOLS = {"batch": (1, 1), "seq": (2, 1), "side": (8, 4), "depth": (0, 1)}
FLOATS = ("float32", "bfloat16", "float16", "float64", "float8_e4m3", "int8", "int4")
IDS = ("int64", "int32", "uint8")


class Chooser(Protocol):
    """Where the choices come from."""

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        ...


@dataclass(frozen=True)
class Value:
    """A tensor: its number, its dims as text or ints (None: unknown expression), and its shape at the smallest dims."""

    number: int
    dims: tuple[Dim | None, ...]
    least: tuple[int, ...]
    dtype: str

    @property
    def known(self) -> bool:
        return None not in self.dims

    def is_static(self, *axes: int) -> bool:
        return all(isinstance(self.dims[axis], int) for axis in axes)


@dataclass
class Recipe:
    """A graph being made, and which choices it shows."""

    choose: Chooser
    symbolic: bool
    nodes: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[int, dict[str, Any]] = field(default_factory=dict)
    blocks: list[dict[str, Any]] = field(default_factory=lambda: [{"name": "main", "outputs": []}])
    seen: Counter[str] = field(default_factory=Counter)
    block: int = 0
    values: dict[int, list[Value]] = field(default_factory=lambda: {0: []})
    next_number: int = 0
    scopes: tuple[str, ...] = ("", "enc", "enc.0", "dec")
    callable_blocks: list[tuple[int, Value, list[Value]]] = field(default_factory=list)

    # ---------------------------------------------------------------------------------------- choices
    def chance(self, one_in: int) -> bool:
        return self.choose.integer(1, one_in) == one_in

    def flip(self) -> bool:
        return self.choose.integer(0, 1) == 1

    def pick(self, options: Sequence[T]) -> T:
        return options[self.choose.integer(0, len(options) - 1)]

    def size(self, low: int = 1, high: int = 5) -> int:
        return self.choose.integer(low, high)

    def dim(self) -> Dim:
        """A dim that need not be static."""
        if self.symbolic and self.flip():
            return self.pick(("batch", "seq", "2*batch", "seq + 1", "batch*seq"))
        return self.size()

    def spatial(self) -> Dim:
        if self.symbolic and self.chance(3):
            return self.pick(("side", "side + 3", "2*side"))
        return self.size(4, 9)

    # ----------------------------------------------------------------------------------------- tensors
    def leaf(self, dims: Sequence[Dim], *, dtype: str, kind: str = "") -> Value:
        number = self._number()
        kind = kind or self.pick(("input", "parameter", "constant"))
        if self.block and kind == "input" and self.values[self.block]:
            kind = "constant"  # a called block has one input, its first tensor
        self.nodes.append({"op": kind, "block": self.block, "outputs": [number], "name": f"leaf{number}"})
        self.tensors[number] = {"shape": list(dims), "dtype": dtype}
        value = Value(number, tuple(dims), tuple(least(dim) for dim in dims), dtype)
        self.values[self.block].append(value)
        return value

    def existing(self, fits: Callable[[Value], bool], make: Callable[[], Value]) -> Value:
        """An earlier tensor that fits, or a new one."""
        candidates = [value for value in self.values[self.block] if fits(value)]
        return self.pick(candidates) if candidates and not self.chance(4) else make()

    def any_tensor(self, low: int = 1, high: int = 4) -> Value:
        return self.existing(
            lambda value: low <= len(value.dims) <= high and 0 not in value.least and prod(value.least) < 10**5,
            lambda: self.leaf([self.dim() for _ in range(self.choose.integer(low, high))], dtype=self.dtype()),
        )

    def image(self, n_spatial: int) -> Value:
        return self.existing(
            lambda value: len(value.dims) == n_spatial + 2 and value.is_static(1) and min(value.least) > 0
            and prod(value.least) < 10**5,
            lambda: self.leaf(
                [self.dim(), self.pick((2, 4, 6)), *(self.spatial() for _ in range(n_spatial))], dtype=self.dtype()
            ),
        )  # fmt: skip

    def dtype(self) -> str:
        return self.pick(FLOATS) if self.chance(3) else "float32"

    def weight(self, dims: Sequence[Dim], dtype: str, *, one_in: int = 2) -> int | None:
        """An optional weight: mostly a parameter of the same dtype, sometimes not there."""
        if self.chance(one_in):
            return None
        return self.leaf(dims, dtype=self.pick((dtype, "float32")), kind=self.pick(("parameter", "constant"))).number

    # ------------------------------------------------------------------------------------------- nodes
    def node(
        self, op: str, inputs: Sequence[int | None], attrs: dict[str, Any], shapes: Sequence[Any], dims: Sequence[Any]
    ) -> Value:
        """Add a node; `shapes` are the inputs at the smallest dims, `dims` the output as text where it is known."""
        return self.several(op, inputs, attrs, shapes, [dims])[0]

    def several(
        self,
        op: str,
        inputs: Sequence[int | None],
        attrs: dict[str, Any],
        shapes: Sequence[Any],
        dims: Sequence[Sequence[Any]],
    ) -> list[Value]:
        """Add a node of several outputs; see `node`."""
        full = {**FULL.get(op, {}), **attrs}
        smallest = infer_all(op, list(shapes), {key: _least_attr(key, value) for key, value in full.items()})
        numbers = [self._number() for _ in smallest]
        self.nodes.append({
            "op": op, "block": self.block, "inputs": list(inputs), "outputs": numbers, "attrs": attrs,
            "name": f"{op}{numbers[0]}", "scope": self.pick(self.scopes),
            "origin": self.pick(("builder", "builder", "onnx:Op", "torch.add")),
        })  # fmt: skip
        given = {value.number: value.dtype for value in self.values[self.block]}
        spec = specification().ops[op]
        values = []
        for position, (number, shape, known) in enumerate(zip(numbers, smallest, dims, strict=True)):
            exact = tuple(
                size if dim is None and not self.symbolic else dim for dim, size in zip(known, shape, strict=True)
            )
            dtype = spec.dtypes.get(spec.results[min(position, len(spec.results) - 1)], "")
            if dtype in spec.slots:
                dtype = given[inputs[spec.slots.index(dtype)]]
            values.append(Value(number, exact, shape, dtype or attrs.get("dtype") or given[inputs[0]]))
        self.values[self.block] += values
        self.seen[op] += 1
        return values

    def mark(self, op: str, **choices: object) -> None:
        for key, choice in choices.items():
            self.seen[f"{op} {key}={choice}"] += 1

    def _number(self) -> int:
        self.next_number += 1
        return self.next_number - 1

    def data(self) -> dict[str, Any]:
        return {"nodes": self.nodes, "tensors": self.tensors, "blocks": self.blocks}


# Attributes that `infer` wants and the generator may leave out of a node.
FULL: dict[str, dict[str, Any]] = {
    "softmax": {"axis": -1}, "layer_norm": {"normalized_ndim": 1}, "rms_norm": {"normalized_ndim": 1},
    "slice": {"step": 1}, "flatten": {"axis": 1, "end_axis": -1}, "conv": {"groups": 1},
    "max_pool": {"ceil_mode": False}, "average_pool": {"ceil_mode": False}, "attention": {"causal": "none"},
    "reduce_sum": {"keepdims": False}, "reduce_mean": {"keepdims": False}, "reduce_max": {"keepdims": False},
    "batch_norm": {"mode": "eval"},
}  # fmt: skip


def least(dim: Dim | None) -> int:
    """The value of a dim's text at the smallest value of every symbol."""
    if dim is None:
        raise ValueError("the dim is not known")
    return dim if isinstance(dim, int) else eval(dim, {}, {name: low for name, (low, _) in SYMBOLS.items()})


def _least_attr(key: str, value: Any) -> Any:
    if key not in ("start", "stop", "shape", "output_size", "sizes"):
        return value
    return [least(item) for item in value] if isinstance(value, list) else least(value)


# --------------------------------------------------------------------------------------------------- ops
def unary(r: Recipe, op: str) -> Value:
    x = r.any_tensor(0)
    attrs: dict[str, Any] = {}
    if op == "cast":
        attrs["dtype"] = r.pick(FLOATS)
    if op == "gelu" and r.flip():
        attrs["approximate"] = r.pick(("none", "tanh"))
        r.mark(op, approximate=attrs["approximate"])
    return r.node(op, [x.number], attrs, [x.least], x.dims)


def binary(r: Recipe, op: str) -> Value:
    a = r.existing(lambda value: value.known and prod(value.least) < 10**4, lambda: r.any_tensor(0))
    if not a.known:
        return r.node(op, [a.number, a.number], {}, [a.least, a.least], a.dims)
    kind = r.pick(("same", "same tensor", "stretched", "shorter", "longer"))
    r.mark(op, operands=kind)
    dims = [dim for dim in a.dims if dim is not None]
    if kind == "same tensor":
        b = a
    elif kind == "stretched":
        b = r.leaf([1 if r.flip() else dim for dim in dims], dtype=a.dtype)
    elif kind == "shorter":
        b = r.leaf(dims[r.choose.integer(0, len(dims)) :], dtype=a.dtype)
    elif kind == "longer":
        b = r.leaf([r.size(), *dims], dtype=a.dtype)
    else:
        b = r.leaf(dims, dtype=a.dtype)
    wide = b.dims if len(b.dims) > len(a.dims) else a.dims
    first, second = (a, b) if r.flip() else (b, a)
    return r.node(op, [first.number, second.number], {}, [first.least, second.least], wide)


def matmul(r: Recipe, op: str) -> Value:
    a = r.existing(
        lambda value: value.known and 1 <= len(value.dims) <= 3 and 0 not in value.least and prod(value.least) < 10**4,
        lambda: r.leaf([r.dim() for _ in range(r.size(1, 3))], dtype=r.dtype()),
    )
    dims = [dim for dim in a.dims if dim is not None]
    kind = r.pick(("vector", "matrix", "batched", "stretched"))
    r.mark(op, left=min(len(dims), 3), right=kind)
    out = r.dim()
    if kind == "vector":
        b = r.leaf([dims[-1]], dtype=a.dtype)
        return r.node(op, [a.number, b.number], {}, [a.least, b.least], dims[:-1])
    lead: list[Dim] = []
    if kind == "batched":
        lead = [*([r.size()] if r.flip() else []), *dims[:-2]]
    if kind == "stretched":
        lead = [1] * len(dims[:-2]) or [1]
    b = r.leaf([*lead, dims[-1], out], dtype=a.dtype)
    batch = lead if len(lead) > len(dims) - 2 else dims[:-2]
    return r.node(op, [a.number, b.number], {}, [a.least, b.least], [*batch, *dims[-2:-1], out])


def linear(r: Recipe, op: str) -> Value:
    x = r.existing(
        lambda value: len(value.dims) >= 1 and value.dims[-1] is not None and 0 not in value.least
        and prod(value.least) < 10**4,
        lambda: r.any_tensor(),
    )  # fmt: skip
    if x.dims[-1] is None:
        x = r.leaf([r.size(), r.size()], dtype="float32")
    width, out = x.dims[-1], r.size()
    assert width is not None
    weight = r.leaf([out, width], dtype=r.pick((x.dtype, "int8")), kind=r.pick(("parameter", "input", "constant")))
    bias = r.weight([out], x.dtype)
    r.mark(op, bias=bias is not None)
    shapes = [x.least, weight.least, None if bias is None else (out,)]
    inputs = [x.number, weight.number] + ([bias] if bias is not None or r.flip() else [])
    return r.node(op, inputs, {}, shapes, [*x.dims[:-1], out])


def windows(r: Recipe, op: str, x: Value) -> tuple[dict[str, Any], list[int]]:
    """Attributes of a sliding window that fits into every dim of x, and the kernel."""
    n = len(x.dims) - 2
    attrs: dict[str, Any] = {}
    dilation = [r.pick((1, 1, 2)) for _ in range(n)]
    kernel = [
        r.choose.integer(1, max(1, min(3, (size - 1) // d + 1))) for size, d in zip(x.least[2:], dilation, strict=True)
    ]
    stride = [r.pick((1, 1, 2, 3)) for _ in range(n)]
    begin = [r.choose.integer(0, k - 1) for k in kernel]
    end = begin if r.flip() else [r.choose.integer(0, k - 1) for k in kernel]
    attrs |= {"stride": stride, "dilation": dilation, "padding": begin + end}
    symbolic = not x.is_static(*range(2, len(x.dims)))
    r.mark(op, dims=n, strided=max(stride) > 1, dilated=max(dilation) > 1, asymmetric=begin != end)
    if r.symbolic:
        r.mark(op, symbolic=symbolic)
    return attrs, kernel


def conv(r: Recipe, op: str) -> Value:
    n = r.size(1, 3)
    x = r.image(n)
    channels = x.dims[1]
    assert isinstance(channels, int)
    groups = r.pick([g for g in range(1, channels + 1) if channels % g == 0])
    out = groups * r.size(1, 3)
    attrs, kernel = windows(r, op, x)
    if groups > 1 or r.flip():
        attrs["groups"] = groups
    weight = r.leaf([out, channels // groups, *kernel], dtype=x.dtype, kind=r.pick(("parameter", "constant")))
    bias = r.weight([out], x.dtype)
    r.mark(op, bias=bias is not None, grouped=groups > 1)
    shapes = [x.least, weight.least, None if bias is None else (out,)]
    return r.node(op, [x.number, weight.number, bias], attrs, shapes, [x.dims[0], out, *[None] * n])


def pool(r: Recipe, op: str) -> Value:
    x = r.image(r.size(1, 3))
    attrs, kernel = windows(r, op, x)
    attrs["kernel"] = kernel
    if r.flip():
        attrs["ceil_mode"] = r.flip()
        r.mark(op, ceil_mode=attrs["ceil_mode"])
    for key in ("stride", "dilation", "padding"):
        if not any(attrs[key]) or (key != "padding" and max(attrs[key]) == 1):
            attrs.pop(key) if r.flip() else None
    full = {"stride": [1] * len(kernel), "dilation": [1] * len(kernel), "padding": [0] * (2 * len(kernel))}
    smallest = infer(op, [x.least], {"ceil_mode": False, **full, **attrs})
    number = r._number()
    r.nodes.append({"op": op, "block": r.block, "inputs": [x.number], "outputs": [number], "attrs": attrs,
                    "name": f"{op}{number}", "scope": r.pick(r.scopes)})  # fmt: skip
    dims = [size if isinstance(dim, int) else None for dim, size in zip(x.dims[2:], smallest[2:], strict=True)]
    value = Value(number, (*x.dims[:2], *dims), smallest, x.dtype)
    r.values[r.block].append(value)
    r.seen[op] += 1
    return value


def adaptive(r: Recipe, op: str) -> Value:
    n = r.size(1, 3)
    x = r.existing(
        lambda value: len(value.dims) == n + 2 and value.known and min(value.least) > 0 and prod(value.least) < 10**5,
        lambda: r.leaf([r.dim(), r.size(), *(r.spatial() for _ in range(n))], dtype=r.dtype()),
    )
    # Window lengths have no closed form in a symbol unless the parts are all equal.
    sizes: list[int] = [
        r.pick((1, r.size(1, 6))) if isinstance(dim, int) else (r.pick((1, 2, 4)) if dim == "side" else 1)
        for dim in x.dims[2:]
    ]
    if r.chance(3):
        sizes = [1] * n
    r.mark(op, dims=n, **{"global": max(sizes) == 1})
    return r.node(op, [x.number], {"output_size": sizes}, [x.least], [*x.dims[:2], *sizes])


def attention(r: Recipe, op: str) -> Value:
    dtype = r.dtype()
    batch, queries, width, value_width = r.dim(), r.dim(), r.size(), r.size()
    keys = queries if r.flip() else r.dim()
    kv_heads = r.size(1, 3)
    heads = kv_heads * r.pick((1, 1, 2, 3))
    q = r.leaf([batch, heads, queries, width], dtype=dtype)
    k = r.leaf([batch, kv_heads, keys, width], dtype=dtype)
    v = r.leaf([batch, kv_heads, keys, value_width], dtype=dtype)
    inputs: list[int | None] = [q.number, k.number, v.number]
    shapes: list[Any] = [q.least, k.least, v.least, None]
    if r.flip():
        full: list[Dim] = [batch, heads, queries, keys]
        mask = r.leaf(
            [1 if r.chance(3) else dim for dim in full[r.choose.integer(0, 4) :]], dtype=r.pick(("bool", dtype))
        )
        inputs.append(mask.number)
        shapes[3] = mask.least
    attrs: dict[str, Any] = {"causal": r.pick(("none", "top_left", "bottom_right"))}
    r.mark(op, causal=attrs["causal"], mask=shapes[3] is not None, gqa=heads != kv_heads, cross=queries != keys)
    return r.node(op, inputs, attrs, shapes, [batch, heads, queries, value_width])


def softmax(r: Recipe, op: str) -> Value:
    x = r.any_tensor()
    axis = r.choose.integer(-len(x.dims), len(x.dims) - 1)
    attrs = {} if axis == -1 else {"axis": axis}
    r.mark(op, negative=axis < 0)
    return r.node(op, [x.number], attrs, [x.least], x.dims)


def batch_norm(r: Recipe, op: str) -> Value:
    x = r.existing(
        lambda value: 2 <= len(value.dims) <= 5 and value.dims[1] is not None and min(value.least) > 0,
        lambda: r.leaf([r.dim(), r.dim(), *(r.dim() for _ in range(r.choose.integer(0, 2)))], dtype=r.dtype()),
    )
    channels = x.dims[1]
    assert channels is not None
    vectors = [r.weight([channels], x.dtype, one_in=3) for _ in range(4)]
    attrs = {"mode": r.pick(("eval", "train"))}
    r.mark(op, mode=attrs["mode"], gamma=vectors[0] is not None, beta=vectors[1] is not None)
    shapes = [x.least, *(None if vector is None else (least(channels),) for vector in vectors)]
    return r.node(op, [x.number, *vectors], attrs, shapes, x.dims)


def row_norm(r: Recipe, op: str) -> Value:
    x = r.existing(
        lambda value: value.known and 1 <= len(value.dims) <= 4 and min(value.least) > 0,
        lambda: r.leaf([r.dim() for _ in range(r.size(1, 4))], dtype=r.dtype()),
    )
    count = r.choose.integer(1, len(x.dims))
    trailing = [dim for dim in x.dims[-count:] if dim is not None]
    slots = 2 if op == "layer_norm" else 1
    weights = [r.weight(trailing, x.dtype) for _ in range(slots)]
    r.mark(op, gamma=weights[0] is not None, several=count > 1)
    if op == "layer_norm":
        r.mark(op, beta=weights[1] is not None)
    attrs = {"normalized_ndim": count} if count > 1 or r.flip() else {}
    shapes = [x.least, *(None if weight is None else x.least[-count:] for weight in weights)]
    return r.node(op, [x.number, *weights], attrs, shapes, x.dims)


def reduce(r: Recipe, op: str) -> Value:
    x = r.any_tensor(0)
    axes = [axis for axis in range(len(x.dims)) if r.flip()]
    attrs: dict[str, Any] = {"keepdims": r.flip()}
    everything = r.chance(4)
    if everything:
        axes = list(range(len(x.dims)))
    given = [axis - len(x.dims) if r.flip() else axis for axis in axes]
    if not everything or r.flip():
        attrs["axes"] = given
    r.mark(op, keepdims=attrs["keepdims"], axes="given" if "axes" in attrs else "all")
    dims = [1 if axis in axes else dim for axis, dim in enumerate(x.dims) if attrs["keepdims"] or axis not in axes]
    attrs_full = {**attrs, "axes": given}
    number = r.node(op, [x.number], attrs_full, [x.least], dims)
    r.nodes[-1]["attrs"] = attrs
    return number


def reshape(r: Recipe, op: str) -> Value:
    x = r.any_tensor(0)
    if x.known and x.is_static(*range(len(x.dims))) and r.flip():
        total = prod(x.least)
        factor = r.pick([f for f in range(1, total + 1) if total % f == 0][:6])
        shape: list[Any] = r.pick(([factor, total // factor], [-1, factor], [total], [1, -1]))
        r.mark(op, free=-1 in shape)
        return r.node(op, [x.number], {"shape": shape}, [x.least], [None if size == -1 else size for size in shape])
    if x.known and x.dims and r.flip():
        shape = [*x.dims, 1] if r.flip() else [1, *x.dims]
        r.mark(op, free=False)
        return r.node(op, [x.number], {"shape": shape}, [x.least], shape)
    r.mark(op, free=True)
    shape = r.pick(([-1], [1, -1], [-1, 1]))
    return r.node(op, [x.number], {"shape": shape}, [x.least], [None if size == -1 else size for size in shape])


def flatten(r: Recipe, op: str) -> Value:
    x = r.any_tensor(2)
    begin = r.choose.integer(0, len(x.dims) - 1)
    end = r.choose.integer(begin, len(x.dims) - 1)
    attrs = {"axis": begin - len(x.dims) if r.flip() else begin, "end_axis": end - len(x.dims) if r.flip() else end}
    r.mark(op, several=end > begin)
    middle = x.dims[begin] if begin == end else None
    return r.node(op, [x.number], attrs, [x.least], [*x.dims[:begin], middle, *x.dims[end + 1 :]])


def transpose(r: Recipe, op: str) -> Value:
    x = r.any_tensor(1, 5)
    left = list(range(len(x.dims)))
    order = [left.pop(r.choose.integer(0, len(left) - 1)) for _ in range(len(left))]
    return r.node(op, [x.number], {"permutation": order}, [x.least], [x.dims[axis] for axis in order])


def split(r: Recipe, op: str) -> Value:
    x = r.any_tensor(1)
    axis = r.choose.integer(0, len(x.dims) - 1)
    sizes: list[Dim] = [] if x.dims[axis] is None else [x.dims[axis]]
    if x.is_static(axis):
        sizes = [r.choose.integer(0, x.least[axis])]
        sizes.append(x.least[axis] - sizes[0])
    elif r.flip() and sizes:
        sizes += [0]
    if not sizes:
        return r.node("relu", [x.number], {}, [x.least], x.dims)
    r.mark(op, parts=len(sizes))
    dims = [[size if i == axis else dim for i, dim in enumerate(x.dims)] for size in sizes]
    attrs = {"axis": axis - len(x.dims) if r.flip() else axis, "sizes": sizes}
    return r.several(op, [x.number], attrs, [x.least], dims)[-1]


def concat(r: Recipe, op: str) -> Value:
    x = r.existing(
        lambda value: value.known and len(value.dims) >= 1, lambda: r.leaf([r.dim(), r.dim()], dtype=r.dtype())
    )
    axis = r.choose.integer(0, len(x.dims) - 1)
    parts = [x]
    for _ in range(r.choose.integer(0, 3)):
        dims = [dim for dim in x.dims if dim is not None]
        dims[axis] = r.dim()
        parts.append(x if r.chance(4) else r.leaf(dims, dtype=x.dtype))
    sizes = [part.dims[axis] for part in parts]
    static = all(isinstance(size, int) for size in sizes)
    joined: Dim = sum(s for s in sizes if isinstance(s, int)) if static else " + ".join(str(s) for s in sizes)
    r.mark(op, parts=len(parts))
    attrs = {"axis": axis - len(x.dims) if r.flip() else axis}
    dims_out = [*x.dims[:axis], joined, *x.dims[axis + 1 :]]
    return r.node(op, [part.number for part in parts], attrs, [part.least for part in parts], dims_out)


def slice_(r: Recipe, op: str) -> Value:
    x = r.any_tensor()
    axis = r.choose.integer(0, len(x.dims) - 1)
    stop = r.choose.integer(0, x.least[axis])
    start = r.choose.integer(0, stop)
    attrs: dict[str, Any] = {"axis": axis - len(x.dims) if r.flip() else axis, "start": start, "stop": stop}
    size: Dim | None = None
    symbol = x.dims[axis]
    if isinstance(symbol, str) and r.flip():
        attrs["stop"] = symbol
    if r.flip():
        attrs["step"] = r.size(1, 3)
    if isinstance(attrs["stop"], int):
        size = -(-(stop - start) // attrs.get("step", 1))
    r.mark(op, stepped=attrs.get("step", 1) > 1, symbolic=isinstance(attrs["stop"], str), empty=start == stop)
    return r.node(op, [x.number], attrs, [x.least], [*x.dims[:axis], size, *x.dims[axis + 1 :]])


def embedding(r: Recipe, op: str) -> Value:
    weight = r.leaf([r.size(1, 50), r.dim()], dtype=r.dtype(), kind="parameter")
    ids = r.leaf([r.dim() for _ in range(r.choose.integer(0, 2))], dtype=r.pick(IDS), kind="input")
    return r.node(op, [weight.number, ids.number], {}, [weight.least, ids.least], [*ids.dims, weight.dims[1]])


OPS: dict[str, Callable[[Recipe, str], Value]] = {
    **dict.fromkeys(("relu", "gelu", "silu", "sigmoid", "tanh", "cast"), unary),
    **dict.fromkeys(("add", "sub", "mul", "div"), binary),
    **dict.fromkeys(("max_pool", "average_pool"), pool),
    **dict.fromkeys(("layer_norm", "rms_norm"), row_norm),
    **dict.fromkeys(("reduce_sum", "reduce_mean", "reduce_max"), reduce),
    "matmul": matmul, "linear": linear, "conv": conv, "attention": attention, "softmax": softmax,
    "batch_norm": batch_norm, "adaptive_average_pool": adaptive, "reshape": reshape, "flatten": flatten,
    "transpose": transpose, "concat": concat, "slice": slice_, "split": split, "embedding": embedding,
}  # fmt: skip


def body(r: Recipe, depth: int = 0) -> None:
    """A block of its own, called once or twice from the current one, and perhaps again from a later one."""
    caller = r.block
    x = r.existing(
        lambda value: value.known and len(value.dims) >= 1, lambda: r.leaf([r.dim(), r.dim()], dtype="float32")
    )
    dims = [dim for dim in x.dims if dim is not None]
    r.blocks.append({"name": f"body{len(r.blocks)}", "outputs": []})
    callee = r.block = len(r.blocks) - 1
    r.values[callee] = []
    inner = r.leaf(dims, dtype=x.dtype, kind="input")
    for _ in range(r.size(1, 3)):
        if depth < 2 and r.chance(5):
            body(r, depth + 1)
            r.mark("call", nested=True)
        else:
            op = r.pick(sorted(OPS))
            OPS[op](r, op)
    outputs = [inner, r.values[callee][-1]][r.choose.integer(0, 1) :]
    r.blocks[callee]["outputs"] = [value.number for value in outputs]
    r.block = caller
    for _ in range(r.size(1, 2)):
        call(r, callee, x, outputs)
    r.mark("call", nested=False)
    # A block may be called again from another one, on an argument of the same shape.
    again = [other for other in r.callable_blocks if other[1].dims == x.dims and other[1].dtype == x.dtype]
    r.mark("call", again=bool(again))
    if again:
        other, _, results = r.pick(again)
        call(r, other, x, results)
    r.callable_blocks.append((callee, inner, outputs))


def call(r: Recipe, callee: int, x: Value, outputs: Sequence[Value]) -> None:
    """A call of a finished block from the current one."""
    numbers = [r._number() for _ in outputs]
    times: Dim = r.pick(("depth", "seq", "2*depth + 1")) if r.symbolic and r.flip() else r.choose.integer(0, 5)
    params = r.pick(("per_call", "shared"))
    r.mark("call", times="symbol" if isinstance(times, str) else "int", params=params)
    r.seen["call"] += 1
    node = {"op": "call", "block": r.block, "callee": callee, "times": times, "params": params}
    r.nodes.append(
        node | {"inputs": [x.number], "outputs": numbers, "name": f"call{callee}", "scope": r.pick(r.scopes)}
    )
    for number, value in zip(numbers, outputs, strict=True):
        r.values[r.block].append(Value(number, value.dims, value.least, value.dtype))


def random_graph(choose: Chooser, *, n_nodes: int = 12, symbolic: bool | None = None) -> Recipe:
    """Return a random graph of about `n_nodes` nodes."""
    recipe = Recipe(choose, choose.integer(0, 1) == 1 if symbolic is None else symbolic)
    recipe.leaf([recipe.dim(), recipe.dim()], dtype="float32", kind="input")
    for _ in range(n_nodes):
        if recipe.chance(12):
            body(recipe)
        else:
            op = recipe.pick(sorted(OPS))
            OPS[op](recipe, op)
    recipe.blocks[0]["outputs"] = [recipe.values[0][-1].number]
    return recipe


def random_point(choose: Chooser) -> dict[str, int]:
    """Return a value for every symbol."""
    return {name: low + step * choose.integer(0, 4) for name, (low, step) in SYMBOLS.items()}
