"""What a front-end could not translate: gathered over the whole model, then raised or listed."""

from __future__ import annotations

from collections import Counter
from typing import Literal, TypeAlias, get_args

from flopcore.errors import UnsupportedNodes, UnsupportedOp
from flopcore.graph import Graph

__all__: list[str] = []

OnUnsupported: TypeAlias = Literal["error", "list"]
"""What to do about nodes that no rule covers: raise `UnsupportedNodes`, or count the rest and list them."""


class NotCountable(UnsupportedOp):
    """A use of a foreign op that no rule covers, with the reason; front-ends gather those of a whole model."""


class Unsupported:
    """The nodes of one model that have no translation.

    Parameters
    ----------
    wanted
        What `settle` does about them.

    Raises
    ------
    ValueError
        If it is neither "error" nor "list".
    """

    def __init__(self, wanted: OnUnsupported = "error") -> None:
        if wanted not in get_args(OnUnsupported):
            raise ValueError(f"on_unsupported={wanted!r}: it is 'error' or 'list'")
        self.listed = wanted == "list"
        self.nodes: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, op: str, node: str = "", reason: object = "") -> None:
        """Note a node of an op by the foreign name; what the first one is called, and why it is here, is reported."""
        self.nodes[op] += 1
        self._first.setdefault(op, ": ".join(part for part in (f"node {node!r}" if node else "", str(reason)) if part))

    def __bool__(self) -> bool:
        return bool(self.nodes)

    def __contains__(self, op: str) -> bool:
        return op in self.nodes

    def __str__(self) -> str:
        n_nodes = self.nodes.total()
        listed = [
            f"{op} x {count}" + (f" (first: {self._first[op]})" if self._first[op] else "")
            for op, count in sorted(self.nodes.items())
        ]
        return f"{n_nodes} node{'s' if n_nodes > 1 else ''} cannot be counted: {', '.join(listed)}"

    def settle(self, graph: Graph) -> None:
        """Raise, or leave the list with the graph.

        Raises
        ------
        UnsupportedNodes
            If there are any and they are not to be listed.
        """
        if self.nodes and not self.listed:
            raise UnsupportedNodes(f"{self}; with on_unsupported='list' the rest is counted", self.nodes)
        graph.unsupported.update(self.nodes)
