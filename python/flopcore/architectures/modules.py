"""The modules transformers are made of, each placed with its weights under the scope that PyTorch would give it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, TypeAlias

from flopcore.expr import Expr
from flopcore.graph import AttrValue, DimLike, Graph, Tensor

__all__ = ["Activation", "Modules"]

Activation: TypeAlias = Literal["silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "tanh", "sigmoid", "xielu"]
Causal: TypeAlias = Literal["none", "top_left"]


class Modules:
    """Build calls for one block of a graph.

    Parameters
    ----------
    graph
        The graph or subgraph to fill.
    dtype
        Number format of weights and activations.
    origin
        Where the nodes come from.
    """

    def __init__(self, graph: Graph, dtype: str, origin: str) -> None:
        self.graph = graph
        self.dtype = dtype
        self.origin = origin

    def within(self, block: Graph) -> Modules:
        """Return the same for another block."""
        return Modules(block, self.dtype, self.origin)

    # ------------------------------------------------------------------------------------------- leaves
    def parameter(self, name: str, *shape: int, active: int | Fraction = 1) -> Tensor:
        """Return a weight, of which one token goes through the active part."""
        return self.graph.parameter(name, shape, self.dtype, active=active, origin=self.origin)

    def constant(self, name: str, shape: Sequence[int | Expr] = (), dtype: str = "") -> Tensor:
        """Return a fixed value, in the common number format unless another is given."""
        return self.graph.constant(shape, dtype or self.dtype, name=name, origin=self.origin)

    def fixed(self, name: str, *shape: int) -> Tensor:
        """Return a fixed value in the place of a weight."""
        return self.constant(name, shape)

    def embedding(self, ids: Tensor, name: str, rows: int, width: int) -> tuple[Tensor, Tensor]:
        """Return the picked rows, and the table."""
        with self.graph.scope(name):
            table = self.parameter("weight", rows, width)
            return self.graph.embedding(table, ids, name=_last(name), origin=self.origin), table

    # ------------------------------------------------------------------------------------------- layers
    def linear(self, x: Tensor, name: str, out: int, *, bias: bool, weight: Tensor | None = None) -> Tensor:
        """Return ``x weight^T + bias``, of a weight of its own unless a tied one is given."""
        with self.graph.scope(name):
            matrix = self.parameter("weight", out, _width(x)) if weight is None else weight
            term = self.parameter("bias", out) if bias else None
            return self.graph.linear(x, matrix, term, name=_last(name), origin=self.origin)

    def matrix(self, name: str, out: int, width: int) -> tuple[Tensor, Tensor]:
        """Return weight and bias of a linear layer that is run more than once."""
        with self.graph.scope(name):
            return self.parameter("weight", out, width), self.parameter("bias", out)

    def layer_norm(
        self, x: Tensor, name: str, *, weight: bool = True, bias: bool = True, offset: bool = False
    ) -> Tensor:
        """Return the layer norm over the last dim; with an offset its factor is 1 + weight."""
        with self.graph.scope(name):
            factor = self.parameter("weight", _width(x)) if weight else None
            term = self.parameter("bias", _width(x)) if bias else None
            if offset and factor is not None:
                factor = self.add(factor, self.constant("one"), "offset")
            return self.graph.layer_norm(x, factor, term, name=_last(name), origin=self.origin)

    def rms_norm(self, x: Tensor, name: str, *, weight: bool = True, offset: bool = False) -> Tensor:
        """Return the RMS norm over the last dim; with an offset its factor is 1 + weight, as in Gemma."""
        with self.graph.scope(name):
            factor = self.parameter("weight", _width(x)) if weight else None
            if offset and factor is not None:
                factor = self.add(factor, self.constant("one"), "offset")
            return self.graph.rms_norm(x, factor, name=_last(name), origin=self.origin)

    def activate(self, x: Tensor, kind: Activation, name: str = "act_fn") -> Tensor:
        """Return the non-linearity of each element."""
        graph, origin = self.graph, self.origin
        with graph.scope(name):
            match kind:
                case "silu":
                    return graph.silu(x, name=name, origin=origin)
                case "relu":
                    return graph.relu(x, name=name, origin=origin)
                case "relu2":
                    return graph.op("square", [graph.relu(x, name=name, origin=origin)], name=name, origin=origin)
                case "tanh":
                    return graph.tanh(x, name=name, origin=origin)
                case "sigmoid":
                    return graph.sigmoid(x, name=name, origin=origin)
                case "gelu":
                    return graph.gelu(x, name=name, origin=origin)
                case "gelu_tanh":
                    return graph.gelu(x, approximate="tanh", name=name, origin=origin)
                case "xielu":
                    return self._xielu(x, name)
                case "quick_gelu":  # x * sigmoid(1.702 x)
                    scaled = self.mul(x, self.constant("factor"), name)
                    return self.mul(x, graph.sigmoid(scaled, name=name, origin=origin), name)

    def _xielu(self, x: Tensor, name: str) -> Tensor:
        """Return p x^2 + x / 2 where x > 0, else n (exp(min(x, e)) - 1 - x) + x / 2 (arXiv 2411.13010, section 3.2)."""
        graph, origin = self.graph, self.origin
        above, below = (
            graph.op("softplus", [self.parameter(part, 1)], name=name, origin=origin) for part in ("alpha_p", "alpha_n")
        )
        below = self.add(below, self.constant("beta"), name)
        linear = self.mul(x, self.constant("beta"), name)
        square = self.add(self.mul(self.mul(x, above, name), x, name), linear, name)
        low = graph.op("minimum", [x, self.constant("eps")], name=name, origin=origin)
        low = graph.op("expm1", [low], name=name, origin=origin)
        low = self.mul(graph.sub(low, x, name=name, origin=origin), below, name)
        low = self.add(low, linear, name)
        positive = graph.op("greater", [x, self.constant("zero")], name=name, origin=origin)
        return graph.op("where", [positive, square, low], name=name, origin=origin)

    def add(self, a: Tensor, b: Tensor, name: str = "residual") -> Tensor:
        """Return ``a + b``."""
        return self.graph.add(a, b, name=name, origin=self.origin)

    def mul(self, a: Tensor, b: Tensor, name: str) -> Tensor:
        """Return ``a * b``."""
        return self.graph.mul(a, b, name=name, origin=self.origin)

    def clamp(self, x: Tensor, name: str) -> Tensor:
        """Return x between two bounds."""
        return self.graph.op("clamp", [x], {"bounds": "both"}, name=name, origin=self.origin)

    def unit(self, x: Tensor, name: str) -> Tensor:
        """Return x divided by its length along the last dim."""
        squares = self.graph.reduce_sum(self.mul(x, x, name), -1, keepdims=True, name=name, origin=self.origin)
        length = self.graph.op("sqrt", [squares], name=name, origin=self.origin)
        return self.graph.div(x, length, name=name, origin=self.origin)

    def part(self, x: Tensor, start: int, stop: int, name: str = "split") -> Tensor:
        """Return a slice of the last dim."""
        return self.cut(x, len(x.shape) - 1, start, stop, name)

    def cut(self, x: Tensor, axis: int, start: DimLike, stop: DimLike, name: str = "split") -> Tensor:
        """Return a slice of one dim."""
        return self.graph.slice(x, axis=axis, start=start, stop=stop, name=name, origin=self.origin)

    def turn(self, x: Tensor, permutation: Sequence[int], name: str = "transpose") -> Tensor:
        """Return x with its dims in another order."""
        return self.graph.transpose(x, permutation, name=name, origin=self.origin)

    def shaped(self, x: Tensor, shape: Sequence[DimLike], name: str = "reshape") -> Tensor:
        """Return x in another shape."""
        return self.graph.reshape(x, shape, name=name, origin=self.origin)

    def repeat(self, x: Tensor, axis: int, times: int, name: str = "repeat") -> Tensor:
        """Return x with each entry along an axis as often as told; once is x itself."""
        if times == 1:
            return x
        attrs = {"axis": axis, "size": times}
        return self.graph.op("repeat_interleave", [x], attrs, name=name, origin=self.origin)

    def first_token(self, x: Tensor) -> Tensor:
        """Return position 0 of [batch, seq, hidden] as [batch, hidden]."""
        token = self.graph.slice(x, axis=1, start=0, stop=1, name="first_token", origin=self.origin)
        return self.graph.reshape(token, (x.shape[0], x.shape[2]), name="first_token", origin=self.origin)

    # ---------------------------------------------------------------------------------------- attention
    def split_heads(self, x: Tensor, heads: int, name: str) -> Tensor:
        """Return [batch, seq, heads * width] as [batch, seq, heads, width]."""
        shape = (*x.shape[:2], heads, _width(x) // heads)
        return self.graph.reshape(x, shape, name=name, origin=self.origin)

    def heads_first(self, x: Tensor, name: str) -> Tensor:
        """Return [batch, seq, heads, width] as [batch, heads, seq, width]."""
        return self.graph.transpose(x, (0, 2, 1, 3), name=name, origin=self.origin)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        causal: Causal,
        *,
        mask: Tensor | None = None,
        window: int | None = None,
        chunk: int | None = None,
        softcap: bool = False,
        sinks: Tensor | None = None,
    ) -> Tensor:
        """Return attention over [batch, heads, seq, width] with the heads joined again.

        The mask is added to the scores, a window is how many positions a query sees, itself among them, a chunk how
        many of them stand together and see each other alone; sinks are a score per head that joins the sum of the
        softmax.
        """
        graph, origin = self.graph, self.origin
        attrs: dict[str, AttrValue] = {"causal": causal}
        if window is not None:
            attrs["window_left"] = window - 1
        if chunk is not None:
            attrs["chunk"] = chunk
        if softcap:
            attrs["softcap"] = True
        inputs = [query, key, value, mask] if sinks is None else [query, key, value, mask, sinks]
        mixed = graph.op("attention", inputs, attrs, name="attention", origin=origin)
        batch, heads, seq, width = mixed.shape
        assert isinstance(heads, int)
        assert isinstance(width, int)
        joined = self.heads_first(mixed, "join_heads")
        return graph.reshape(joined, (batch, seq, heads * width), name="join_heads", origin=origin)

    def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Turn each pair (i, i + half) of a head by its angle (Su et al. 2021, arXiv 2104.09864, equation 34).

        With fewer angles than half a head, the rest of the head passes unturned.
        """
        half, width = _width(cos), _width(x)
        first, second = self.part(x, 0, half, "rotary"), self.part(x, half, 2 * half, "rotary")
        left, right = self.mul(first, cos, "rotary"), self.mul(second, sin, "rotary")
        turned = [self.graph.sub(left, right, name="rotary", origin=self.origin)]
        left, right = self.mul(second, cos, "rotary"), self.mul(first, sin, "rotary")
        turned.append(self.add(left, right, "rotary"))
        if 2 * half < width:
            turned.append(self.part(x, 2 * half, width, "rotary"))
        return self.graph.concat(turned, axis=len(x.shape) - 1, name="rotary", origin=self.origin)


def _width(x: Tensor) -> int:
    width = x.shape[-1]
    assert isinstance(width, int)
    return width


def _last(name: str) -> str:
    return name.rpartition(".")[2]
