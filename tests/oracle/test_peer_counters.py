"""Each `measured` convention says what its peer says, on one operation each: the peers themselves are run.

Needs the oracle extra. Cases in which a peer fails with an error are not listed for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flopcore as fc
from peer_cases import CASES, nn, torch

pytestmark = pytest.mark.filterwarnings("ignore")


def measured_torch(module: Any, inputs: list[Any]) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs)
    return counter.get_total_flops()


def measured_torch_meta(module: Any, inputs: list[Any]) -> float:
    return measured_torch(module.to("meta"), [value.to("meta") for value in inputs])


def measured_fvcore(module: Any, inputs: list[Any]) -> float:
    analysis = pytest.importorskip("fvcore.nn", reason="needs the oracle extra").FlopCountAnalysis(
        module, tuple(inputs)
    )
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


def measured_thop(module: Any, inputs: list[Any]) -> float:
    thop = pytest.importorskip("thop", reason="needs the oracle extra")
    return thop.profile(nn.Sequential(module) if len(inputs) == 1 else module, tuple(inputs), verbose=False)[0]


def measured_torchprofile(module: Any, inputs: list[Any]) -> float:
    return pytest.importorskip("torchprofile", reason="needs the oracle extra").profile_macs(module, tuple(inputs))


def measured_ptflops(backend: str) -> Callable[[Any, list[Any]], float]:
    def measured(module: Any, inputs: list[Any]) -> float:
        ptflops = pytest.importorskip("ptflops", reason="needs the oracle extra")
        return ptflops.get_model_complexity_info(
            nn.Sequential(module), (1,), input_constructor=lambda _: inputs[0], as_strings=False,
            print_per_layer_stat=False, backend=backend,
        )[0]  # fmt: skip

    return measured


def measured_deepspeed(module: Any, inputs: list[Any]) -> float:
    profiler = pytest.importorskip("deepspeed.profiling.flops_profiler", reason="needs the oracle extra")
    return profiler.get_model_profile(module, args=inputs, print_profile=False, as_string=False, warm_up=0)[0]


PEERS: dict[str, Callable[[Any, list[Any]], float]] = {
    "torch-2.13": measured_torch_meta,
    "torch-2.13-cpu": measured_torch,
    "fvcore-0.1.5": measured_fvcore,
    "thop-0.1.1": measured_thop,
    "torchprofile-0.1.0": measured_torchprofile,
    "ptflops-module-0.7.5": measured_ptflops("pytorch"),
    "ptflops-aten-0.7.5": measured_ptflops("aten"),
    "deepspeed-0.19": measured_deepspeed,
}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("name", CASES)
def test_a_convention_is_what_its_peer_reports(peer: str, name: str) -> None:
    case = CASES[name]
    if peer in case.fails:
        return
    # The module back-end of ptflops divides what modules do, and only that, by the batch.
    shapes = [(1, *shape[1:]) if peer == "ptflops-module-0.7.5" else shape for shape in case.shapes]
    module = case.module().eval()
    reported = PEERS[peer](module, [torch.randn(shape) for shape in shapes])
    graph = fc.Graph()
    case.build(graph, [graph.input(f"x{index}", shape) for index, shape in enumerate(shapes)])
    assert fc.count(graph).flop(peer) == reported


def square_product(size: int) -> tuple[Any, Any, int]:
    """A linear layer on meta tensors, its input, and our count: size^3."""
    graph = fc.Graph()
    graph.linear(graph.input("x", (size, size)), graph.parameter("w", (size, size)))
    macs = fc.count(graph).flop("macs")
    assert isinstance(macs, int)
    return nn.Linear(size, size, bias=False, device="meta"), torch.empty(size, size, device="meta"), macs


def signed_64_bits(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


@pytest.mark.parametrize("size", [2**22, 2**21 + 1, 3_000_001])
def test_counts_past_64_bits(size: int) -> None:
    """Ours is exact, as are the peers that add Python ints; THOP is a float64, the modules of ptflops wrap."""
    layer, x, macs = square_product(size)
    assert macs == size**3 > 2**63
    exact = ("fvcore-0.1.5", "torchprofile-0.1.0", "ptflops-aten-0.7.5")
    assert [PEERS[peer](layer, [x]) for peer in exact] == [macs] * len(exact)
    assert PEERS["torch-2.13"](layer, [x]) == 2 * macs
    assert PEERS["thop-0.1.1"](layer, [x]) == float(macs)
    assert PEERS["ptflops-module-0.7.5"](layer, [x]) == signed_64_bits(macs) // size  # by the batch


def test_thop_loses_digits() -> None:
    layer, x, macs = square_product(3_000_001)
    assert int(PEERS["thop-0.1.1"](layer, [x])) != macs
