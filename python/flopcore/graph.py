"""Computation graphs: tensors with exact shapes, built op by op, by hand or by a front-end.

The graph lives in the compiled core (an arena); this module only names things. Shapes are inferred as nodes
are added, so a mistake is reported where it is made. (Over 600 lines because each op has a method with its
signature, for editors and type checkers; they are one line each.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from typing import Literal, TypeAlias

import numpy as np

from . import _core
from .errors import DataError, GraphError
from .expr import Expr
from .graph_blocks import Blocks, DimLike, Tensor
from .user_ops import TensorType, UserOp, find_op

__all__ = ["AttrValue", "DimLike", "Graph", "Tensor", "ops"]

AttrValue: TypeAlias = bool | str | int | Fraction | Expr | Sequence[int] | Sequence[DimLike]
"""What an attribute may be; `data/ops.toml` says which op takes which."""


_NO_TENSOR = 2**32 - 1  # the core's id of an optional input that is not given


def ops() -> tuple[str, ...]:
    """Return the names of all ops that have a rule, in the order of the specification.

    Examples
    --------
    >>> import flopcore as fc
    >>> "conv" in fc.ops()
    True
    """
    return tuple(_core.op_names())


def _flat_padding(padding: int | Sequence[int] | Sequence[tuple[int, int]], n: int) -> list[int]:
    """All begins, then all ends, from one number, one per dim, or one (begin, end) pair per dim."""
    if isinstance(padding, int):
        return [padding] * (2 * n)
    begins: list[int] = []
    ends: list[int] = []
    for entry in padding:
        begin, end = (entry, entry) if isinstance(entry, int) else entry
        begins.append(begin)
        ends.append(end)
    return begins + ends


def _per_dim(value: int | Sequence[int], n: int, what: str) -> list[int]:
    if isinstance(value, int):
        return [value] * n
    if not isinstance(value, Sequence):
        raise TypeError(f"{what} must be an int or one per dim, not {value!r}")
    return list(value)


def check_routers(unknown: Sequence[str]) -> None:
    """Raise DataError if there are choices of experts that were not followed to their weights."""
    if unknown:
        raise DataError(
            f"which weights are experts of the router {unknown[0]!r} is not known"
            + (f" (nor of {len(unknown) - 1} more)" if len(unknown) > 1 else "")
            + ", so neither is the number of active parameters; build from the config, or mark them by "
            "Graph.parameter(active=...)"
        )


class Graph(Blocks):
    """A computation graph under construction.

    Nodes are added in order: an op can only read tensors that exist. A graph is not to be changed by one thread
    while another reads it.

    Parameters
    ----------
    name : str
        What to call it in messages.

    Notes
    -----
    A method named after an op adds one node and returns its output. Shapes are in elements, axes count from the end if
    negative; ``name`` and ``origin`` are what messages, modules and conventions call the node. Each raises

    - `ShapeError` if shapes, dtypes or attributes do not fit: the message names node and dim;
    - `GraphError` if a tensor is of another graph.

    What the op means, its formulas and their source are under its name in docs/OPS.md, made from `data/ops.toml`.

    Examples
    --------
    >>> import flopcore as fc
    >>> g = fc.Graph()
    >>> x = g.input("x", (fc.dim("batch"), 784))
    >>> w = g.parameter("w", (10, 784))
    >>> g.linear(x, w).shape[1]
    10
    >>> fc.count(g).flop("macs", at={"batch": 32})
    250880
    """

    # ------------------------------------------------------------------ as a whole

    @property
    def parameters(self) -> int | Fraction | Expr:
        """Number of learned weights: per_call repeats multiply, shared ones count once."""
        return _core.walk(self.core, {}).parameters

    @property
    def active_parameters(self) -> int | Fraction | Expr:
        """Number of learned weights that one token goes through: of a mixture of experts only those it is sent to.

        Of a table of embeddings all rows count, as in published numbers. `from_torch` follows the choices of routers to
        the weights of their experts; of ONNX and JAX all parameters are active.

        Raises
        ------
        DataError
            If a front-end saw a router that it could not follow to its experts: `unknown_routers` names them.

        Examples
        --------
        >>> from fractions import Fraction
        >>> import flopcore as fc
        >>> g = fc.Graph()
        >>> _ = g.parameter("experts", (8, 10, 10), active=Fraction(2, 8))
        >>> g.parameters, g.active_parameters
        (800, 200)
        """
        check_routers(self.unknown_routers)
        return _core.walk(self.core, {}).active_parameters

    @property
    def dims(self) -> dict[str, tuple[int, int | None, int]]:
        """Symbolic dims by name: smallest value, largest (None: no limit), multiple of."""
        return self.core.symbols()

    def nodes(self) -> Iterator[dict[str, object]]:
        """Yield every node, leaves included, as a plain dict (op, block, inputs, outputs, attrs, name, scope ...)."""
        for node in range(self.core.n_nodes):
            yield self.core.node(node)

    def to_dict(self) -> dict[str, object]:
        """Return the graph as plain values: ``nodes``, ``blocks`` and ``tensors`` (leaf shapes and dtypes by id)."""
        nodes = list(self.nodes())
        tensors: dict[int, dict[str, object]] = {}
        for node in nodes:
            if node["op"] in ("input", "parameter", "constant"):
                outputs = node["outputs"]
                assert isinstance(outputs, list)
                tensors[outputs[0]] = {"shape": self.core.shape(outputs[0]), "dtype": self.core.dtype(outputs[0])}
        blocks = [
            {"name": self.core.block_name(block), "outputs": self.core.block_outputs(block)}
            for block in range(self.core.n_blocks)
        ]
        return {"nodes": nodes, "blocks": blocks, "tensors": tensors}

    # ------------------------------------------------------------------ leaves

    def input(self, name: str, shape: Sequence[DimLike], dtype: str = "float32", *, origin: str = "builder") -> Tensor:
        """Add a value fed from outside."""
        return self._leaf("input", name, shape, dtype, origin)

    def parameter(
        self,
        name: str,
        shape: Sequence[DimLike],
        dtype: str = "float32",
        *,
        active: int | Fraction = 1,
        origin: str = "builder",
    ) -> Tensor:
        """Add a learned weight; `active` is which part of it one token goes through (2 of 8 experts: 1/4)."""
        tensor = self._leaf("parameter", name, shape, dtype, origin)
        if active != 1:
            self.core.set_active(tensor.id, active)
        return tensor

    def constant(
        self, shape: Sequence[DimLike] = (), dtype: str = "float32", *, name: str = "", origin: str = "builder"
    ) -> Tensor:
        """Add a fixed value that is not learned; only its shape matters."""
        return self._leaf("constant", name, shape, dtype, origin)

    def _leaf(self, op: str, name: str, shape: Sequence[DimLike], dtype: str, origin: str) -> Tensor:
        for what, text in (("name", name), ("dtype", dtype), ("origin", origin)):
            if not isinstance(text, str):
                raise TypeError(f"{what} must be a str, not {text!r}")
        return Tensor(self, self.core.add_leaf(op, list(shape), dtype, self._block, name, self.current_scope, origin))

    # ------------------------------------------------------------------ any op

    def op(
        self,
        op: str,
        inputs: Sequence[Tensor | None],
        attrs: Mapping[str, AttrValue] | None = None,
        *,
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Add a node of any op and return its output, the first one if it has several; see `op_outputs`.

        Parameters
        ----------
        op : str
            One of `ops`, or of those registered by `flopcore.register_op`.
        inputs : sequence of Tensor or None
            In the order of the specification; None for an optional input that is not given.
        attrs : mapping
            As the specification names them.
        name, origin : str
            What to call the node, and where it came from (``"onnx:Conv"``).

        Raises
        ------
        UnsupportedOp
            If there is no rule for the op.
        ShapeError, GraphError
            If shapes, attributes or tensors do not fit.
        """
        return self.op_outputs(op, inputs, attrs, name=name, origin=origin)[0]

    def op_outputs(
        self,
        op: str,
        inputs: Sequence[Tensor | None],
        attrs: Mapping[str, AttrValue] | None = None,
        *,
        name: str = "",
        origin: str = "builder",
    ) -> tuple[Tensor, ...]:
        """Add a node of any op and return all its outputs, as the specification orders them; takes what `op` takes.

        Examples
        --------
        >>> import flopcore as fc
        >>> g = fc.Graph()
        >>> x = g.input("x", (8, 30))
        >>> [part.shape for part in g.op_outputs("split", [x], {"axis": 1, "sizes": [10, 20]})]
        [(8, 10), (8, 20)]
        """
        scope = self.current_scope
        if not isinstance(op, str) or not isinstance(name, str) or not isinstance(origin, str):
            raise TypeError(f"op, name and origin must be str, not {op!r}, {name!r}, {origin!r}")
        user = find_op(op)
        if user is not None:
            return self._user_op(user, inputs, dict(attrs or {}), name, origin)
        first = self.core.add_node(op, self._ids(inputs), dict(attrs or {}), self._block, name, scope, origin)
        return self._made(first)

    def _user_op(
        self, op: UserOp, inputs: Sequence[Tensor | None], attrs: Mapping[str, AttrValue], name: str, origin: str
    ) -> tuple[Tensor, ...]:
        ids = self._ids(inputs)
        types = tuple(None if each is None else TensorType(each.shape, each.dtype) for each in inputs)
        try:
            outputs = op.outputs(types, attrs)
            amounts = op.amounts(types, outputs, attrs)
            first = self.core.add_user_node(
                *(op.name, ids, [(list(each.shape), each.dtype) for each in outputs], amounts, op.weights),
                *(self._block, name, self.current_scope, origin),
            )
        except Exception as error:
            error.add_note(f"while adding a node {name!r} of the registered op {op.name!r}")
            raise
        return self._made(first)

    # ------------------------------------------------------------------ many at once

    def append_leaves(
        self, op: Literal["input", "parameter", "constant"], shapes: Sequence[Sequence[int]], dtype: str = "float32"
    ) -> int:
        """Add many leaves in one call and return the id of the first; ids are consecutive.

        Raises
        ------
        ShapeError
            If a dim is negative or above 2^62; the message says which leaf.
        """
        offsets = np.zeros(len(shapes) + 1, np.uint32)
        np.cumsum([len(shape) for shape in shapes], out=offsets[1:])
        dims = np.fromiter(chain.from_iterable(shapes), np.int64)
        return self.core.append_leaves(op, offsets, dims, dtype, self._block)

    def append_nodes(
        self,
        ops: Sequence[str],
        inputs: Sequence[Sequence[int | None]],
        attrs: Sequence[Mapping[str, AttrValue]] | None = None,
    ) -> int:
        """Add many nodes in one call; return the tensor id of the first output.

        Parameters
        ----------
        ops : sequence of str
            Op of each node.
        inputs : sequence of sequences of int or None
            Tensor ids each node reads; outputs of earlier nodes of the same call have the ids that follow the
            tensors of the graph so far, those of one node side by side.
        attrs : sequence of mappings, optional
            Attributes of each node.

        Raises
        ------
        GraphError
            If a node reads a tensor that is made later: a cycle, or nodes out of order.
        """
        index = {name: _core.op_index(name) for name in set(ops)}
        offsets = np.zeros(len(ops) + 1, np.uint32)
        np.cumsum([len(ids) for ids in inputs], out=offsets[1:])
        flat = np.fromiter((_NO_TENSOR if each is None else each for each in chain.from_iterable(inputs)), np.uint32)
        sets = [self.core.intern_attrs(op, dict(attrs[i] if attrs else {})) for i, op in enumerate(ops)]
        columns = np.array([index[op] for op in ops], np.uint16)
        return self.core.append_nodes(columns, offsets, flat, np.array(sets, np.uint32), self._block)

    def tensor(self, number: int) -> Tensor:
        """Return the tensor of an id that a bulk append gave; GraphError if there is none."""
        if not 0 <= number < self.core.n_tensors:
            raise GraphError(f"no tensor #{number}; there are {self.core.n_tensors}")
        return Tensor(self, number)

    # ------------------------------------------------------------------ contractions

    def matmul(self, a: Tensor, b: Tensor, *, name: str = "", origin: str = "builder") -> Tensor:
        """Matrix product over the last two dims; leading dims broadcast."""
        return self.op("matmul", [a, b], name=name, origin=origin)

    def linear(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, *, name: str = "", origin: str = "builder"
    ) -> Tensor:
        """``x weight^T + bias``; weight is [out, in], bias is [out]."""
        return self.op("linear", [x, weight, bias], name=name, origin=origin)

    def conv(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | Sequence[tuple[int, int]] | Literal["valid", "same_upper", "same_lower"] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Convolution over 1, 2 or 3 spatial dims; x is [N, C, *spatial], weight [out, C / groups, *kernel].

        padding is one number, one per dim, one (begin, end) pair per dim, or a mode: valid (none), or the same size but
        for the stride, with an odd place at the end (same_upper) or at the beginning (same_lower).
        """
        n = max(len(x.shape) - 2, 0)
        attrs: dict[str, AttrValue] = {}
        attrs["stride"], attrs["dilation"] = _per_dim(stride, n, "stride"), _per_dim(dilation, n, "dilation")
        if isinstance(padding, str):
            attrs["auto_padding"] = padding
        else:
            attrs["padding"] = _flat_padding(padding, n)
        attrs["groups"] = groups
        return self.op("conv", [x, weight, bias], attrs, name=name, origin=origin)

    def einsum(
        self,
        equation: str,
        *operands: Tensor,
        path: Sequence[tuple[int, int]] = (),
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Einstein summation, contracted pair by pair: from the left, or along a path as of ``numpy.einsum_path``.

        Examples
        --------
        >>> import flopcore as fc
        >>> g = fc.Graph()
        >>> a, b, c = (g.input(name, shape) for name, shape in (("a", (10, 20)), ("b", (20, 30)), ("c", (30, 5))))
        >>> g.einsum("ij,jk,kl->il", a, b, c, path=[(1, 2), (0, 1)]).shape
        (10, 5)
        >>> fc.count(g).flop("macs")
        4000
        """
        attrs: dict[str, AttrValue] = {"equation": equation}
        if path:
            attrs["path"] = list(chain.from_iterable(path))
        return self.op("einsum", list(operands), attrs, name=name, origin=origin)

    def attention(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None = None,
        *,
        causal: Literal["none", "top_left", "bottom_right"] = "none",
        window: DimLike | None = None,
        chunk: DimLike | None = None,
        past: tuple[Tensor, Tensor] | None = None,
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Scaled dot-product attention; q is [B, H, S, D], k [B, H_kv, T, D], v [B, H_kv, T, D_v].

        Grouped-query attention: H is a multiple of H_kv. A causal mask and a window (how many keys up to its own place
        a query sees) are one extent, so that a convention may count all S x T scores or only those they leave; so are
        a causal mask and chunks (a query sees the keys of its own chunk of so many positions). past are the keys and
        values of a cache, which k and v join. `op` takes the other attributes of the specification.
        """
        attrs: dict[str, AttrValue] = {"causal": causal}
        if window is not None:
            attrs["window_left"] = window - 1
        if chunk is not None:
            attrs["chunk"] = chunk
        cache = [] if past is None else [None, *past]
        return self.op("attention", [q, k, v, mask, *cache], attrs, name=name, origin=origin)

    # ------------------------------------------------------------------ elementwise

    def add(self, a: Tensor, b: Tensor, *, name: str = "", origin: str = "builder") -> Tensor:
        """``a + b``, broadcast."""
        return self.op("add", [a, b], name=name, origin=origin)

    def sub(self, a: Tensor, b: Tensor, *, name: str = "", origin: str = "builder") -> Tensor:
        """``a - b``, broadcast."""
        return self.op("sub", [a, b], name=name, origin=origin)

    def mul(self, a: Tensor, b: Tensor, *, name: str = "", origin: str = "builder") -> Tensor:
        """``a * b``, broadcast."""
        return self.op("mul", [a, b], name=name, origin=origin)

    def div(self, a: Tensor, b: Tensor, *, name: str = "", origin: str = "builder") -> Tensor:
        """``a / b``, broadcast."""
        return self.op("div", [a, b], name=name, origin=origin)

    def relu(self, x: Tensor, *, name: str = "", origin: str = "builder") -> Tensor:
        """``max(x, 0)``."""
        return self.op("relu", [x], name=name, origin=origin)

    def gelu(
        self, x: Tensor, *, approximate: Literal["none", "tanh"] = "none", name: str = "", origin: str = "builder"
    ) -> Tensor:
        """``x Phi(x)``, exact by erf or approximated by tanh."""
        return self.op("gelu", [x], {"approximate": approximate}, name=name, origin=origin)

    def silu(self, x: Tensor, *, name: str = "", origin: str = "builder") -> Tensor:
        """``x * sigmoid(x)``."""
        return self.op("silu", [x], name=name, origin=origin)

    def sigmoid(self, x: Tensor, *, name: str = "", origin: str = "builder") -> Tensor:
        """``1 / (1 + exp(-x))``."""
        return self.op("sigmoid", [x], name=name, origin=origin)

    def tanh(self, x: Tensor, *, name: str = "", origin: str = "builder") -> Tensor:
        """Hyperbolic tangent."""
        return self.op("tanh", [x], name=name, origin=origin)

    def cast(self, x: Tensor, dtype: str, *, name: str = "", origin: str = "builder") -> Tensor:
        """``x`` in another dtype."""
        return self.op("cast", [x], {"dtype": dtype}, name=name, origin=origin)

    # ------------------------------------------------------------------ normalisation

    def softmax(self, x: Tensor, *, axis: int = -1, name: str = "", origin: str = "builder") -> Tensor:
        """``exp(x - max) / sum`` along one axis."""
        return self.op("softmax", [x], {"axis": axis}, name=name, origin=origin)

    def batch_norm(
        self,
        x: Tensor,
        gamma: Tensor | None = None,
        beta: Tensor | None = None,
        mean: Tensor | None = None,
        var: Tensor | None = None,
        *,
        mode: Literal["eval", "train"] = "eval",
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Normalise each channel (dim 1) by given statistics (eval) or those of the batch (train)."""
        return self.op("batch_norm", [x, gamma, beta, mean, var], {"mode": mode}, name=name, origin=origin)

    def layer_norm(
        self,
        x: Tensor,
        gamma: Tensor | None = None,
        beta: Tensor | None = None,
        *,
        normalized_ndim: int = 1,
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Normalise each row of the last `normalized_ndim` dims by its own mean and variance."""
        attrs = {"normalized_ndim": normalized_ndim}
        return self.op("layer_norm", [x, gamma, beta], attrs, name=name, origin=origin)

    def rms_norm(
        self,
        x: Tensor,
        gamma: Tensor | None = None,
        *,
        normalized_ndim: int = 1,
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Divide each row of the last `normalized_ndim` dims by its root mean square."""
        return self.op("rms_norm", [x, gamma], {"normalized_ndim": normalized_ndim}, name=name, origin=origin)

    # ------------------------------------------------------------------ pooling and reduction

    def max_pool(
        self,
        x: Tensor,
        kernel: int | Sequence[int],
        *,
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] | Sequence[tuple[int, int]] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Maximum over windows of 1, 2 or 3 spatial dims; the stride is the kernel unless given."""
        return self._pool("max_pool", x, kernel, stride, padding, dilation, ceil_mode, name, origin)

    def average_pool(
        self,
        x: Tensor,
        kernel: int | Sequence[int],
        *,
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] | Sequence[tuple[int, int]] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Mean over windows of 1, 2 or 3 spatial dims; the stride is the kernel unless given."""
        return self._pool("average_pool", x, kernel, stride, padding, dilation, ceil_mode, name, origin)

    def _pool(
        self,
        op: str,
        x: Tensor,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] | None,
        padding: int | Sequence[int] | Sequence[tuple[int, int]],
        dilation: int | Sequence[int],
        ceil_mode: bool,
        name: str,
        origin: str,
    ) -> Tensor:
        n = max(len(x.shape) - 2, 0)
        attrs: dict[str, AttrValue] = {
            "kernel": _per_dim(kernel, n, "kernel"),
            "stride": _per_dim(kernel if stride is None else stride, n, "stride"),
            "padding": _flat_padding(padding, n),
            "dilation": _per_dim(dilation, n, "dilation"),
            "ceil_mode": ceil_mode,
        }
        return self.op(op, [x], attrs, name=name, origin=origin)

    def adaptive_average_pool(
        self, x: Tensor, output_size: int | Sequence[DimLike], *, name: str = "", origin: str = "builder"
    ) -> Tensor:
        """Mean over windows that split each spatial dim into `output_size` parts."""
        n = max(len(x.shape) - 2, 0)
        size = [output_size] * n if isinstance(output_size, int) else list(output_size)
        return self.op("adaptive_average_pool", [x], {"output_size": size}, name=name, origin=origin)

    def global_average_pool(self, x: Tensor, *, name: str = "", origin: str = "builder") -> Tensor:
        """Mean over all spatial dims, which become 1."""
        return self.adaptive_average_pool(x, 1, name=name, origin=origin)

    def reduce_sum(
        self,
        x: Tensor,
        axes: int | Sequence[int] | None = None,
        *,
        keepdims: bool = False,
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Sum over axes (all of them by default)."""
        return self._reduce("reduce_sum", x, axes, keepdims, name, origin)

    def reduce_mean(
        self,
        x: Tensor,
        axes: int | Sequence[int] | None = None,
        *,
        keepdims: bool = False,
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Mean over axes (all of them by default)."""
        return self._reduce("reduce_mean", x, axes, keepdims, name, origin)

    def reduce_max(
        self,
        x: Tensor,
        axes: int | Sequence[int] | None = None,
        *,
        keepdims: bool = False,
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """Maximum over axes (all of them by default)."""
        return self._reduce("reduce_max", x, axes, keepdims, name, origin)

    def _reduce(
        self, op: str, x: Tensor, axes: int | Sequence[int] | None, keepdims: bool, name: str, origin: str
    ) -> Tensor:
        attrs: dict[str, AttrValue] = {"keepdims": keepdims}
        if axes is not None:
            attrs["axes"] = [axes] if isinstance(axes, int) else list(axes)
        return self.op(op, [x], attrs, name=name, origin=origin)

    # ------------------------------------------------------------------ data movement

    def reshape(self, x: Tensor, shape: Sequence[DimLike], *, name: str = "", origin: str = "builder") -> Tensor:
        """The same elements under another shape; one dim may be -1."""
        return self.op("reshape", [x], {"shape": list(shape)}, name=name, origin=origin)

    def flatten(
        self, x: Tensor, *, axis: int = 1, end_axis: int = -1, name: str = "", origin: str = "builder"
    ) -> Tensor:
        """Dims `axis` to `end_axis` (inclusive) merged into one."""
        return self.op("flatten", [x], {"axis": axis, "end_axis": end_axis}, name=name, origin=origin)

    def transpose(self, x: Tensor, permutation: Sequence[int], *, name: str = "", origin: str = "builder") -> Tensor:
        """Dims permuted."""
        return self.op("transpose", [x], {"permutation": list(permutation)}, name=name, origin=origin)

    def concat(self, xs: Sequence[Tensor], *, axis: int, name: str = "", origin: str = "builder") -> Tensor:
        """Tensors joined along one axis."""
        return self.op("concat", list(xs), {"axis": axis}, name=name, origin=origin)

    def slice(
        self,
        x: Tensor,
        *,
        axis: int,
        start: DimLike,
        stop: DimLike,
        step: int = 1,
        name: str = "",
        origin: str = "builder",
    ) -> Tensor:
        """``x[start:stop:step]`` along one axis, with 0 <= start <= stop <= size."""
        attrs: dict[str, AttrValue] = {"axis": axis, "start": start, "stop": stop, "step": step}
        return self.op("slice", [x], attrs, name=name, origin=origin)

    def split(
        self, x: Tensor, sizes: Sequence[DimLike], *, axis: int = -1, name: str = "", origin: str = "builder"
    ) -> tuple[Tensor, ...]:
        """Parts of x, cut along one axis into the given sizes, which sum to the dim."""
        return self.op_outputs("split", [x], {"axis": axis, "sizes": list(sizes)}, name=name, origin=origin)

    def embedding(self, weight: Tensor, ids: Tensor, *, name: str = "", origin: str = "builder") -> Tensor:
        """Rows of weight [V, D] picked by integer ids."""
        return self.op("embedding", [weight, ids], name=name, origin=origin)
