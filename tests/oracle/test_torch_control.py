"""Control flow of PyTorch; FlopCounterMode on the unrolled computation is the oracle."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flopcore as fc

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra 'oracle'")
    flop_counter = pytest.importorskip("torch.utils.flop_counter", reason="needs the extra 'oracle'")
    operators = pytest.importorskip("torch._higher_order_ops", reason="needs the extra 'oracle'")
pytestmark = pytest.mark.slow  # dynamo, which traces the bodies, takes seconds to load
nn = torch.nn
zeros = torch.zeros
DYNAMIC = torch.export.Dim.DYNAMIC


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Controlled(nn.Module):  # type: ignore[misc, name-defined]
    """A function of a layer and inputs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.layer = nn.Linear(4, 4)

    def forward(self, *inputs: Any) -> Any:
        return self.function(self.layer, *inputs)


def graph(function: Callable[..., Any], *inputs: Any, dynamic: Any = None) -> fc.Graph:
    return fc.from_torch(Controlled(function), inputs, dynamic=dynamic)


def macs(function: Callable[..., Any], *inputs: Any) -> Any:
    return fc.count(graph(function, *inputs)).flop("macs")


def unrolled(function: Callable[..., Any], *inputs: Any) -> int:
    """MAC that FlopCounterMode sees when a function runs."""
    with flop_counter.FlopCounterMode(display=False) as counter:
        function(nn.Linear(4, 4), *inputs)
    return int(counter.get_total_flops()) // 2


def scanned(layer: Any, x: Any) -> Any:
    return operators.scan(lambda carry, y: (carry + y.sum(), layer(layer(y))), zeros(()), x, dim=0)


def looped(layer: Any, x: Any) -> Any:
    return [layer(layer(y)) for y in x]


# ---------------------------------------------------------------------------------------------------- control flow
def test_scan_counts_every_step() -> None:
    x = zeros(7, 3, 4)
    assert macs(scanned, x) == unrolled(looped, x) == 7 * 3 * 2 * 16
    assert graph(scanned, x).parameters == 20


def test_scan_of_symbolic_length_backwards_along_another_dim() -> None:
    def backwards(layer: Any, x: Any) -> Any:
        return operators.scan(lambda carry, y: (carry * 2, layer(y)), zeros(()), x, dim=1, reverse=True)

    found = graph(backwards, zeros(3, 7, 4), dynamic=(({1: DYNAMIC},),))
    (name,) = found.dims
    assert str(fc.count(found).flop("macs")) == f"48*{name}"


def test_while_loop_is_a_loop_of_a_named_length() -> None:
    def while_loop(layer: Any, i: Any, x: Any) -> Any:
        return operators.while_loop(lambda i, x: i < (x @ x.T).sum(), lambda i, x: (i + 1, layer(x)), (i, x))

    def three_times(layer: Any, i: Any, x: Any) -> Any:
        for _ in range(3):
            x @ x.T
            x = layer(x)
        return x @ x.T

    inputs = torch.tensor(0), zeros(3, 4)
    tally = fc.count(graph(while_loop, *inputs), at={"trips": 3})
    assert tally.flop("macs") == unrolled(three_times, *inputs)


def test_cond_is_a_branch_that_the_convention_resolves() -> None:
    def branch(layer: Any, x: Any) -> Any:
        return torch.cond(x.sum() > 0, lambda x: layer(layer(x)), lambda x: layer(x), (x,))

    tally = fc.count(graph(branch, zeros(3, 4)))
    assert tally.flop("macs") == 96  # the dearer arm
    assert tally.flop("macs", by="module") == {"cond.true": 96}
    assert {frame.kind for frame in tally.frames()} == {"branch"}


def test_cond_on_a_size_is_decided_by_its_bounds() -> None:
    def branch(layer: Any, x: Any) -> Any:
        return torch.cond(x.shape[0] > 5, lambda x: layer(x), lambda x: x * 2, (x,))

    found = {}
    for low, high, example in ((6, 10, 7), (2, 5, 4), (2, 10, 4)):
        rows = torch.export.Dim("rows", min=low, max=high)
        tally = fc.count(graph(branch, zeros(example, 4), dynamic=(({0: rows},),)))
        found[low, high] = str(tally.flop("macs")), len(tally.frames())
    assert found == {(6, 10): ("16*rows", 0), (2, 5): ("0", 0), (2, 10): ("16*rows", 2)}


def test_control_flow_nests() -> None:
    def nested(layer: Any, x: Any) -> Any:
        def step(carry: Any, y: Any) -> Any:
            return carry * 2, torch.cond(y.sum() > 0, lambda y: layer(y), lambda y: layer(layer(y)), (y,))

        return operators.scan(step, zeros(()), x, dim=0)

    assert macs(nested, zeros(7, 4)) == 7 * 2 * 16


def test_map_runs_once_for_each_entry() -> None:
    x, y = zeros(7, 3, 4), zeros(4, 5)
    found = macs(lambda layer, x, y: operators.map(lambda a, b: a @ b, x, y), x, y)
    assert found == unrolled(lambda layer, x, y: [a @ y for a in x], x, y)


def test_associative_scan_joins_one_time_fewer_than_there_are_entries() -> None:
    with torch._subclasses.FakeTensorMode():
        x = torch.empty(7, 4, device="cuda")
        joined = graph(lambda layer, x: operators.associative_scan(lambda a, b: a + b, x, dim=0), x)
    assert fc.count(joined).flop("all-arithmetic") == 6 * 4


def test_checkpoint_in_a_forward_pass_runs_once() -> None:
    from torch.utils.checkpoint import checkpoint

    x = zeros(3, 4)
    assert macs(lambda layer, x: checkpoint(layer, x, use_reentrant=False), x) == 48
