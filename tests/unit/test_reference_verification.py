"""Verification finds any tampering with a tally and names the first row that differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

import flopcore as fc
from flopcore.conventions import convention
from flopcore.count import Extent, Frame, Row
from flopcore.reference import VerificationError, verify

AT = {"N+1": 3, "depth": 4}


@dataclass
class Tampered:
    """A tally that lies in one place."""

    tally: fc.Tally
    row: Callable[[Row], Row | None] = lambda row: row
    frame: Callable[[Frame], Frame] = lambda frame: frame
    more_parameters: int = 0
    more_active: int = 0
    more_flop: int = 0

    def blocks(self) -> tuple[str, ...]:
        return self.tally.blocks()

    def frames(self) -> list[Frame]:
        return [self.frame(frame) for frame in self.tally.frames()]

    def rows(self) -> Iterator[Row]:
        return (changed for row in self.tally.rows() if (changed := self.row(row)) is not None)

    @property
    def parameters(self) -> Any:
        return self.tally.parameters + self.more_parameters

    @property
    def active_parameters(self) -> Any:
        return self.tally.active_parameters + self.more_active

    @property
    def unknown_routers(self) -> tuple[str, ...]:
        return self.tally.unknown_routers

    def flop(self, rule: fc.Convention, *, at: Any = None) -> Any:
        return self.tally.flop(rule, at=at) + self.more_flop


@pytest.fixture(scope="module")
def graph() -> fc.Graph:
    graph = fc.Graph("whole")
    batch = fc.dim("N+1")
    body = graph.subgraph("layer")
    x = body.input("x", (batch, 2, 5, 8))
    y = body.attention(x, x, x, causal="top_left", name="attend")
    body.output(body.linear(y, body.parameter("w", (8, 8)), name="project"))
    x = graph.input("x", (batch, 2, 5, 8))
    graph.output(graph.relu(graph.call(body, [x], times=fc.dim("depth")), name="last"))  # type: ignore[arg-type]
    return graph


@pytest.mark.parametrize("bound", [True, False])
def test_an_honest_tally_passes_also_with_dims_of_any_name(graph: fc.Graph, bound: bool) -> None:
    tally = fc.count(graph, at=AT if bound else None)
    assert verify(graph, tally, convention("macs"), at=AT) == 4 * (3 * 2 * 25 * 16 + 3 * 2 * 5 * 64)


def only(op: str, feature: str, change: Callable[[Row], Row | None]) -> Callable[[Row], Row | None]:
    return lambda row: change(row) if (row.op, row.feature) == (op, feature) else row


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ({"row": only("relu", "cmp", lambda row: replace(row, base=7))}, "relu node 'last'"),
        ({"row": only("linear", "mac", lambda row: None)}, "linear node 'project'"),
        ({"row": only("relu", "cmp", lambda row: replace(row, variant=("train",)))}, "relu node 'last'"),
        ({"row": only("relu", "cmp", lambda row: replace(row, dtypes=("int8",) * 4))}, "relu node 'last'"),
        ({"row": only("relu", "cmp", lambda row: replace(row, phase="recompute"))}, "relu node 'last'"),
        ({"row": only("relu", "cmp", lambda row: replace(row, origin="onnx:Relu"))}, "relu node 'last'"),
        (
            {"row": only("attention", "exp", lambda row: replace(row, extents=(Extent("causal", 25, 14, "exact"),)))},
            "attention node 'attend'",
        ),
        ({"frame": lambda frame: replace(frame, times=5)}, "stands 4 times in the reference, 5 times in the core"),
        ({"more_parameters": 1}, "parameters: 256 in the reference, 257 in the core"),
        ({"more_active": 1}, "active parameters: 256 in the reference, 257 in the core"),
        ({"more_flop": -1}, "the price under macs: 17280 in the reference, 17279 in the core"),
    ],
)
def test_a_lie_is_found(graph: fc.Graph, lie: dict[str, Any], message: str) -> None:
    with pytest.raises(VerificationError, match=message):
        verify(graph, Tampered(fc.count(graph), **lie), convention("macs"), at=AT)


def test_an_open_dim_is_an_error(graph: fc.Graph) -> None:
    with pytest.raises(fc.DataError, match="no value for"):
        verify(graph, fc.count(graph), convention("macs"), at={"N+1": 3})
