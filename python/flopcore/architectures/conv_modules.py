"""The modules convolutional networks are made of, each with its weights under the scope PyTorch would give it."""

from __future__ import annotations

from collections.abc import Sequence

from flopcore.graph import Graph, Tensor

__all__ = ["ConvModules"]


class ConvModules:
    """A graph that is filled module by module.

    Parameters
    ----------
    name
        Of the graph.
    dtype
        Number format of weights and activations.
    """

    def __init__(self, name: str, dtype: str) -> None:
        self.graph = Graph(name)
        self._dtype = dtype

    def conv(
        self,
        x: Tensor,
        name: str,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
    ) -> Tensor:
        """Return a convolution over a square kernel; each of the groups reads its own share of the channels."""
        channels = x.shape[1]
        assert isinstance(channels, int)
        with self.graph.scope(name):
            weight = self.graph.parameter(f"{name}.weight", (out, channels // groups, kernel, kernel), self._dtype)
            term = self.graph.parameter(f"{name}.bias", (out,), self._dtype) if bias else None
            return self.graph.conv(x, weight, term, stride=stride, padding=padding, groups=groups, name=name)

    def norm(self, x: Tensor, name: str) -> Tensor:
        """Return a batch norm in inference; its running statistics are constants."""
        size = (x.shape[1],)
        with self.graph.scope(name):
            learned = [self.graph.parameter(f"{name}.{part}", size, self._dtype) for part in ("weight", "bias")]
            running = [
                self.graph.constant(size, self._dtype, name=f"{name}.running_{part}") for part in ("mean", "var")
            ]
            return self.graph.batch_norm(x, *learned, *running, name=name)

    def relu(self, x: Tensor, name: str) -> Tensor:
        """Return the positive part."""
        with self.graph.scope(name):
            return self.graph.relu(x, name=name)

    def relu6(self, x: Tensor, name: str) -> Tensor:
        """Return the positive part, at most 6."""
        with self.graph.scope(name):
            return self.graph.op("relu6", [x], name=name)

    def linear(self, x: Tensor, name: str, out: int) -> Tensor:
        """Return a linear layer with a bias."""
        with self.graph.scope(name):
            weight = self.graph.parameter(f"{name}.weight", (out, x.shape[1]), self._dtype)
            return self.graph.linear(x, weight, self.graph.parameter(f"{name}.bias", (out,), self._dtype), name=name)

    def max_pool(
        self, x: Tensor, name: str, kernel: int, *, stride: int, padding: int = 0, ceil_mode: bool = False
    ) -> Tensor:
        """Return the maximum over square windows."""
        with self.graph.scope(name):
            return self.graph.max_pool(x, kernel, stride=stride, padding=padding, ceil_mode=ceil_mode, name=name)

    def average_pool(self, x: Tensor, name: str, size: int | None) -> Tensor:
        """Return the mean over windows that leave `size` positions a side; None is one window of the size there is."""
        with self.graph.scope(name):
            if size is not None:
                return self.graph.adaptive_average_pool(x, size, name=name)
            window = [side for side in x.shape[2:] if isinstance(side, int)]
            return self.graph.average_pool(x, window, name=name)

    def concat(self, xs: Sequence[Tensor], name: str) -> Tensor:
        """Return channels side by side."""
        with self.graph.scope(name):
            return self.graph.concat(xs, axis=1, name=name)
