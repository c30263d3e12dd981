"""Where the names of an ONNX file are looked up: a graph, a function, or a body within the graph around it.

A body of If, Loop or Scan may read any name of the graphs around it. A block of ours sees no tensor from outside, so
what a body reads becomes an input of its block.
"""

from __future__ import annotations

from flopcore import _core
from flopcore.errors import GraphError

from .onnx_values import Frame, Value

__all__: list[str] = []


class Names:
    """Values by name; None stands for an input that a call leaves out.

    Parameters
    ----------
    core
        The graph under construction.
    frame
        The block that values named here are in.
    outer
        The names around a body, which it may read too.
    bulk
        What appends nodes of this graph in bulk; it knows further tensors by name.
    """

    __slots__ = ("_bulk", "_core", "_values", "frame", "outer")

    def __init__(
        self,
        core: _core.Graph,
        frame: Frame,
        *,
        outer: Names | None = None,
        bulk: _core.OnnxAppender | None = None,
    ) -> None:
        self._core = core
        self._bulk = bulk
        self._values: dict[str, Value | None] = {}
        self.frame = frame
        self.outer = outer

    def __contains__(self, name: str) -> bool:
        """Return whether the name has a value here, names around aside."""
        return name in self._values or (self._bulk is not None and self._bulk.tensor(name) is not None)

    def find(self, name: str) -> Value | None:
        """Return the value of a name; the empty name is an input left out."""
        if not name:
            return None
        names: Names | None = self
        while names is not None:
            if name in names._values:
                value = names._values[name]
                if value is not None:
                    names._tell(name, value)
                return value
            number = names._bulk.tensor(name) if names._bulk is not None else None
            if number is not None:
                value = names._values[name] = Value.placed(name, names._core, number, names.frame)
                return value
            names = names.outer
        raise GraphError(f"tensor {name!r} is read before it is made, or nothing makes it")

    def set(self, name: str, value: Value | None) -> None:
        """Give a name its value."""
        self._values[name] = value
        if value is not None:
            if value.frame is None:
                value.frame = self.frame
            self._tell(name, value)

    def _tell(self, name: str, value: Value) -> None:
        # Where the elements are known, rules may make use of them: such a node is not one of the many.
        if self._bulk is not None and value.id is not None and value.elements is None and value.frame is self.frame:
            self._bulk.place(name, value.id)
