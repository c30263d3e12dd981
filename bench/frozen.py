"""Are our restated peers no slower than the frozen programs that define the comparisons?

    python bench/frozen.py DIRECTORY

DIRECTORY holds the frozen programs (each prints one JSON line with its rate). Each is run in turn with our restatement
of it; below 0.9 of the frozen rate our ratios would flatter us, and the exit code is 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import peers_forecast
import peers_sweep as peers
import walks
from flopcore.study.allocation import Allocation

ROUNDS = 3


def best_rate(work: Callable[[], int]) -> float:
    """Units of work per second of the clock, best of five, as the frozen programs take it."""
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        units = work()
        best = max(best, units / (time.perf_counter() - began))
    return best


def restated() -> dict[str, tuple[list[str], Callable[[], int]]]:
    """Command line of each frozen program and our restatement of it."""
    rng = np.random.Generator(np.random.SFC64(1))
    mu, sd = peers.population_parameters()
    nodes = walks.python_nodes()

    def walk() -> int:
        walks.script_walk(nodes)
        return walks.NODES

    found: dict[str, tuple[list[str], Callable[[], int]]] = {
        "numpy_sweep f4": (["numpy_sweep.py", "f4"], lambda: peers.numpy_sweep(np.float32, rng)[0]),
        "numpy_sweep f8": (["numpy_sweep.py", "f8"], lambda: peers.numpy_sweep(np.float64, rng)[0]),
        "numpy_population": (["numpy_population.py"], lambda: peers.numpy_population(mu, sd, rng)[0]),
        "python_walk": (["python_walk.py"], walk),
    }
    run = peers.numba_population()
    if run is not None:

        def population() -> int:
            run(mu, sd, peers.DRAWS, 1)
            return peers.ENTITIES * peers.DRAWS

        forecast = peers_forecast.numba_forecast([float(flop) for _, flop in Allocation.bundled().history])
        assert forecast is not None

        def forecasts() -> int:
            forecast(20_000, 1)
            return 20_000

        found["kumar_numba"] = (["kumar_numba.py"], forecasts)
        found["numba_population"] = (["numba_population.py"], population)
    return found


def main() -> int:
    """Print frozen rate, our rate and their ratio for each program."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    slow = False
    for name, (command, work) in restated().items():
        frozen, ours = 0.0, 0.0
        for _ in range(ROUNDS):
            out = subprocess.run(
                [sys.executable, *command], cwd=sys.argv[1], capture_output=True, text=True, check=True
            ).stdout
            frozen = max(frozen, float(json.loads(out)["rate"]))
            ours = max(ours, best_rate(work))
        slow = slow or ours < 0.9 * frozen
        print(f"{name:18} frozen {frozen:.3e}/s  restated {ours:.3e}/s  ratio {ours / frozen:.2f}")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
