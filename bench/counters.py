"""Counters of PyTorch modules as peers: FlopCounterMode and fvcore on a stack of convolutions, norms and activations.

Each is given the module in the form it takes (a module with its input; a translated graph) and counts all its ops. The
peers run or trace the module to see them; that is how they work, and is timed.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import flopcore as fc

LAYERS = 64
CHANNELS = 8
SIDE = 8


@cache
def stack() -> tuple[Any, Any, fc.Graph] | None:
    """A module, its input and our graph of it; None without torch."""
    try:
        import torch
    except ImportError:
        return None
    layers: list[Any] = []
    for _ in range(LAYERS):
        layers += [torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False), torch.nn.BatchNorm2d(CHANNELS)]
        layers += [torch.nn.ReLU()]
    module = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(CHANNELS * SIDE**2, 10)).eval()
    x = torch.zeros(1, CHANNELS, SIDE, SIDE)
    return module, x, fc.from_torch(module, (x,))


def flop_counter_mode() -> Callable[[], int] | None:
    """FLOP by FlopCounterMode, on meta tensors: no arithmetic is done."""
    made = stack()
    if made is None:
        return None
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    module, x = copy.deepcopy(made[0]).to("meta"), made[1].to("meta")

    def count() -> int:
        with FlopCounterMode(display=False) as mode, torch.no_grad():
            module(x)
        return int(mode.get_total_flops())

    return count


def fvcore() -> Callable[[], int] | None:
    """Multiply-adds by FlopCountAnalysis."""
    made = stack()
    if made is None:
        return None
    try:
        from fvcore.nn import FlopCountAnalysis
    except ImportError:
        return None
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    module, x, _ = made

    def count() -> int:
        return int(FlopCountAnalysis(module, x).total())

    return count
