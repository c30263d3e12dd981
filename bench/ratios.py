"""Each speed claim as a ratio against a peer, both timed in this process, turn by turn, best of several.

    python bench/ratios.py [--quick] [--json] [ROW ...]

A row is a function registered with @row(name, target, unit). It returns two callables, ours and the peer's; each call
does one repetition and returns the units of work it did. Rates are per second of this process's CPU time, so that
other work on the machine disturbs them less; rows about threads use the clock. Ratios travel between machines, seconds
do not.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import counters
import flopcore as fc
import frontends
import peers_forecast
import peers_sweep as peers
import walks
from flopcore import _core, program
from flopcore.distributions import LogNormal, Uniform
from flopcore.sensitivity import SobolIndices
from flopcore.study.allocation import Allocation, allocation_spec
from flopcore.study.allocation_run import THRESHOLDS, WIDTHS
from flopcore.sweep_plan import make_plan

Work = Callable[[], int]
Pair = tuple[Work, Work]


@dataclass(frozen=True)
class Row:
    """A claim: its name, what we aim at, the unit of work, and how to set both sides up (None: the peer is missing)."""

    name: str
    target: float
    unit: str
    make: Callable[[], Pair | None]
    clock: Callable[[], float]


ROWS: list[Row] = []


def row(
    name: str, target: float, unit: str, clock: Callable[[], float] = time.process_time
) -> Callable[[Callable[[], Pair | None]], Callable[[], Pair | None]]:
    """Register a row."""

    def register(make: Callable[[], Pair | None]) -> Callable[[], Pair | None]:
        ROWS.append(Row(name, target, unit, make, clock))
        return make

    return register


def check(good: bool, what: str) -> None:
    """A bench that computes something else than its peer proves nothing."""
    if not good:
        raise SystemExit(f"wrong answer: {what}")


def sweep_pair(precision: str, dtype: type) -> Pair:
    ln10 = float(np.log(10.0))
    entity = fc.Entity("m", tuple(fc.Factor(f"x{i}", LogNormal(1e6, 0.3 * ln10)) for i in range(4)))
    lines = [fc.Threshold(str(k), 10**22 if k == 0 else round(10 ** (22 + k / 2)), ">") for k in range(8)]
    plan = make_plan([entity], lines, [1, 2], precision).build()
    rng = np.random.Generator(np.random.SFC64(1))
    _, expected = peers.numpy_sweep(dtype, rng)
    counts = plan.evaluate(0, peers.SWEEP_ROWS, 1)[0][0]
    # Two independent samples of a million rows: six standard errors of the difference are below 4400.
    check(bool(np.all(np.abs(counts - expected) < 4400)), f"{precision} sweep {counts} against {expected}")

    def ours() -> int:
        plan.evaluate(0, peers.SWEEP_ROWS, 1)
        return 4 * peers.SWEEP_ROWS

    return ours, lambda: peers.numpy_sweep(dtype, rng)[0]


@row("sweep float32 vs NumPy float32", 8.0, "variates/s")
def _() -> Pair:
    return sweep_pair("single", np.float32)


@row("sweep float64 vs NumPy float64", 4.0, "variates/s")
def _() -> Pair:
    return sweep_pair("double", np.float64)


@row("sweep float64 vs MKL normals alone", 1.0, "variates/s")
def _() -> Pair | None:
    normals = peers.mkl_normals()
    return None if normals is None else (sweep_pair("double", np.float64)[0], normals)


def sobol_pair(make: Callable[[list[Fraction]], Callable[[], SobolIndices]]) -> Pair | None:
    """Indices of the g-function at the points of SALib's run; `make` gets its weights."""
    peer = peers.salib_sobol()
    if peer is None:
        return None
    weights = [Fraction(i, 2) for i in range(peers.SOBOL_INPUTS)]
    indices = make(weights)
    found = indices()
    shares = [float(1 / (3 * (1 + weight) ** 2)) for weight in weights]
    variance = np.prod([1 + share for share in shares]) - 1
    gaps = [abs(s - share / variance) for s, share in zip(found.first, shares, strict=True)]
    check(max(gaps) < 6 * max(found.first_error) + 1e-3, f"first-order indices off by {max(gaps)}")
    check(found.evaluations == peers.SOBOL_POINTS * (peers.SOBOL_INPUTS + 2), "not SALib's evaluations")
    return lambda: indices().evaluations, peer


@row("Sobol indices vs SALib", 100.0, "evaluations/s")
def _() -> Pair | None:
    def make(weights: list[Fraction]) -> Callable[[], SobolIndices]:
        product: fc.Node | None = None
        for i, weight in enumerate(weights):
            x = fc.variable(f"x{i}", Uniform(0, 1))
            factor = (program.maximum(4 * x - 2, 2 - 4 * x) + weight) / (1 + weight)
            product = factor if product is None else product * factor
        assert product is not None
        return lambda: fc.sobol_indices(product, n=peers.SOBOL_POINTS, rng=1, sampler="sobol", threads=1)

    return sobol_pair(make)


@row("Sobol indices of NumPy vs SALib", 20.0, "evaluations/s")
def _() -> Pair | None:
    """The model is a function of NumPy arrays, as SALib's is."""

    def make(weights: list[Fraction]) -> Callable[[], SobolIndices]:
        inputs = {f"x{i}": Uniform(0, 1) for i in range(peers.SOBOL_INPUTS)}
        known = [float(weight) for weight in weights]

        def model(x: Mapping[str, np.ndarray]) -> np.ndarray:
            product = np.ones(1)
            for weight, column in zip(known, x.values(), strict=True):
                product = product * ((np.abs(4 * column - 2) + weight) / (1 + weight))
            return product

        return lambda: fc.sobol_indices(model, inputs, n=peers.SOBOL_POINTS, rng=1)

    return sobol_pair(make)


def population_plan() -> _core.SweepPlan:
    mu, sd = peers.population_parameters()
    ln10 = float(np.log(10.0))
    entities = [
        fc.Entity(f"m{i}", (fc.Factor("C", LogNormal(10.0 ** float(m), float(s) * ln10)),))
        for i, (m, s) in enumerate(zip(mu, sd, strict=True))
    ]
    lines = [fc.Threshold(str(k), round(10 ** (22 + 5 * k / 64)), ">=") for k in range(peers.LINES)]
    return make_plan(entities, lines, [1, 2], "single").build()


def population_ours() -> Work:
    plan = population_plan()
    mu, sd = peers.population_parameters()
    _, expected = peers.numpy_population(mu, sd, np.random.Generator(np.random.SFC64(1)))
    mean = float((plan.evaluate(0, peers.DRAWS, 1)[1][38] @ np.arange(peers.ENTITIES + 1)) / peers.DRAWS)
    # The count above line 38 has sd below 10: six standard errors of the difference of two means are below 1.4.
    check(abs(mean - expected) < 1.4, f"population {mean} against {expected}")

    def ours() -> int:
        plan.evaluate(0, peers.DRAWS, 1)
        return peers.ENTITIES * peers.DRAWS

    return ours


@row("population vs NumPy", 5.0, "variates/s")
def _() -> Pair:
    mu, sd = peers.population_parameters()
    rng = np.random.Generator(np.random.SFC64(1))
    return population_ours(), lambda: peers.numpy_population(mu, sd, rng)[0]


@row("population vs numba", 12.0, "variates/s")
def _() -> Pair | None:
    run = peers.numba_population()
    if run is None:
        return None
    mu, sd = peers.population_parameters()

    def peer() -> int:
        run(mu, sd, peers.DRAWS, 1)
        return peers.ENTITIES * peers.DRAWS

    return population_ours(), peer


@row("from_torch vs export of Llama-7B", 10.0, "models/s", time.perf_counter)
def _() -> Pair | None:
    """Translation costs at most a tenth of the export that it stands on."""
    made = frontends.llama_7b()
    if made is None:
        return None
    export, exported = made

    def ours() -> int:
        check(fc.from_torch(exported).parameters == 6_738_415_616, "Llama-7B has 6,738,415,616 parameters")
        return 1

    def peer() -> int:
        export()
        return 1

    return ours, peer


@row("forecast vs numba", 5.0, "simulations/s")
def _() -> Pair | None:
    """Kumar and Manning's recipe with frontier counts; ours draws only the bins that can count."""
    model = Allocation.bundled()
    run = peers_forecast.numba_forecast([float(flop) for _, flop in model.history])
    if run is None:
        return None
    plan = allocation_spec(model, thresholds=THRESHOLDS, widths=WIDTHS, key=[1, 2]).build()
    n = peers_forecast.SIMULATIONS
    histograms = plan.evaluate(0, n, 1)[0][:, 0]
    mean = histograms @ np.arange(histograms.shape[-1]) / n
    # Counts of a year have sd below 25: six standard errors of the difference of two means are below 5.
    check(bool(np.all(np.abs(mean - run(n, 1)) < 5.0)), f"forecast {mean} against {run(n, 1)}")
    draws = 10 * n

    def ours() -> int:
        plan.evaluate(0, draws, 1)
        return draws

    def peer() -> int:
        run(n, 1)
        return n

    return ours, peer


@row("two threads vs one", 1.8, "variates/s", time.perf_counter)
def _() -> Pair | None:
    if _core.allowed_cpus() < 2:
        return None
    plan = population_plan()

    def run(threads: int) -> int:
        plan.evaluate(0, 4 * peers.DRAWS, threads)
        return peers.ENTITIES * 4 * peers.DRAWS

    return lambda: run(2), lambda: run(1)


@cache
def million() -> tuple[fc.Graph, list[tuple[str, walks.Shape, walks.Shape | None]]]:
    """Our graph and the peer's nodes."""
    graph = walks.graph()
    check(graph.core.memory_bytes <= 200 * walks.NODES, f"{graph.core.memory_bytes / walks.NODES} bytes a node")
    return graph, walks.python_nodes()


def walk_pair(walk: Callable[[list[tuple[str, walks.Shape, walks.Shape | None]]], int]) -> Pair:
    """A million distinct nodes: shapes inferred, features counted, multiply-adds priced; dims bound."""
    (graph, nodes), at = million(), walks.bindings()
    expected = walk(nodes)

    def ours() -> int:
        check(fc.count(graph, at=at).flop("macs") == expected, "multiply-adds of a million nodes")
        return walks.NODES

    def peer() -> int:
        walk(nodes)
        return walks.NODES

    return ours, peer


@row("walk of bound nodes vs Python script", 4.0, "nodes/s")
def _() -> Pair:
    return walk_pair(walks.script_walk)


@row("walk of bound nodes vs function", 2.0, "nodes/s")
def _() -> Pair:
    return walk_pair(walks.python_walk)


@row("walk of symbolic nodes vs Python script", 1.5, "nodes/s")
def _() -> Pair:
    """The same million nodes with one symbol in each shape; the script walks numbers."""
    (graph, nodes), at = million(), walks.bindings()
    cost = fc.count(graph).flop("macs", at=at)
    check(cost == walks.script_walk(nodes), f"multiply-adds of a million symbolic nodes: {cost}")

    def ours() -> int:
        return walks.NODES if fc.count(graph).core.n_entries == walks.NODES else 0

    def peer() -> int:
        walks.script_walk(nodes)
        return walks.NODES

    return ours, peer


def counter_pair(convention: str, peer: Callable[[], int] | None) -> Pair | None:
    """Ops of a module per second: ours from its graph, the peer's from the module, as each takes it."""
    made = counters.stack()
    if made is None or peer is None:
        return None
    graph = made[2]
    n_nodes = fc.count(graph).core.n_entries
    expected = fc.count(graph).flop(convention)
    check(peer() == expected, f"{convention} counts {expected}, its model {peer()}")

    def ours() -> int:
        check(fc.count(graph).flop(convention) == expected, convention)
        return n_nodes

    def theirs() -> int:
        peer()
        return n_nodes

    return ours, theirs


@row("ops counted vs FlopCounterMode", 50.0, "nodes/s")
def _() -> Pair | None:
    return counter_pair("torch-2.13", counters.flop_counter_mode())


@row("ops counted vs fvcore", 50.0, "nodes/s")
def _() -> Pair | None:
    return counter_pair("fvcore-0.1.5", counters.fvcore())


@row("ONNX chain vs onnx load + infer", 2.0, "nodes/s")
def _() -> Pair | None:
    """Read, infer and count a chain of MatMul, Add and Relu, 100,000 nodes in all; the peer reads and infers."""
    try:
        import onnx
    except ImportError:
        return None
    n_nodes, width = 100_000, 64
    layer = [("MatMul", ["w"]), ("Add", ["b"]), ("Relu", [])]
    steps = [layer[i % 3] for i in range(n_nodes)]
    nodes = [
        onnx.helper.make_node(op, [f"t{i}", *more], [f"t{i + 1}"], name=f"n{i}") for i, (op, more) in enumerate(steps)
    ]
    ends = [onnx.helper.make_tensor_value_info(name, 1, ["seq", width]) for name in ("t0", f"t{n_nodes}")]
    stored = [
        onnx.helper.make_tensor(name, 1, dims, bytes(4 * math.prod(dims)), raw=True)
        for name, dims in (("w", [width, width]), ("b", [width]))
    ]
    data = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "chain", ends[:1], ends[1:], stored)
    ).SerializeToString()
    macs = sum(op == "MatMul" for op, _ in steps) * width**2

    def ours() -> int:
        count = fc.count(fc.from_onnx(data)).flop("macs")
        check(count == macs * fc.dim("seq"), f"chain of {n_nodes} counts {count}")
        return n_nodes

    def peer() -> int:
        onnx.shape_inference.infer_shapes(onnx.load_from_string(data))
        return n_nodes

    return ours, peer


MEMORY = frontends.PeakMemory()


@row("config import vs 60 MB", 1.0, "configs/MB", MEMORY)
def _() -> Pair | None:
    """Peak resident memory of a process that builds Mixtral-8x7B from its config; only where /proc tells it."""
    if not Path("/proc/self/status").exists():
        return None
    config = {
        "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "num_local_experts": 8, "vocab_size": 32000,
    }  # fmt: skip
    return lambda: MEMORY.import_config(config, 46_702_792_704), MEMORY.budget


@row("Expr at 1e6 points vs lambdify", 5.0, "points/s")
def _() -> Pair | None:
    """Prefill and windowed decoding of a transformer layer as one closed form of six dims."""
    try:
        import sympy
    except ImportError:
        return None
    batch, seq, width, vocabulary, window, new = map(fc.dim, ("batch", "seq", "width", "vocabulary", "window", "new"))
    step = fc.dim("step", min=0)
    dense = 24 * width**2 + 2 * width * vocabulary
    decode = fc.sum_over(dense + 4 * width * fc.minimum(seq + step + 1, window), step, 0, new)
    prefill = seq * dense + 2 * width * seq * (seq + 1)
    cost = batch * (prefill + decode) + 7 * batch * width * fc.ceildiv(seq, 128)
    check(isinstance(cost, fc.Expr) and "sum(" not in str(cost), f"no closed form: {cost}")
    rng = np.random.Generator(np.random.SFC64(1))
    highest = {"batch": 64, "seq": 10**5, "width": 10**4, "vocabulary": 10**5, "window": 10**5, "new": 10**4}
    at = {name: rng.integers(1, high, 1_000_000) for name, high in highest.items()}
    translated = cost.to_sympy()
    symbols = sorted(translated.free_symbols, key=str)
    compiled = sympy.lambdify(symbols, translated, "numpy")
    columns = [at[str(symbol)].astype(np.float64) for symbol in symbols]

    def ours() -> int:
        return int(cost.evaluate(at, threads=1).size)

    error = np.abs(cost.evaluate(at) / compiled(*columns) - 1).max()
    check(error < 1e-11, f"a closed form off by {error}")  # terms of opposite sign cancel a few digits
    return ours, lambda: int(compiled(*columns).size)


def measure(pair: Pair, rounds: int, clock: Callable[[], float]) -> tuple[float, float]:
    """Best rates of ours and the peer's, timed in turns."""
    best = [0.0, 0.0]
    for _ in range(rounds):
        for side, work in enumerate(pair):
            began = clock()
            units = work()
            best[side] = max(best[side], units / (clock() - began))
    return best[0], best[1]


def main() -> int:
    """Print one line a row; 1 if a ratio is below half its target (machines differ, mistakes differ more)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="part of a row's name; all rows without it")
    parser.add_argument("--quick", action="store_true", help="three rounds instead of nine")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    options = parser.parse_args()
    results = []
    too_slow = False
    for entry in ROWS:
        if options.rows and not any(part in entry.name for part in options.rows):
            continue
        pair = entry.make()
        if pair is None:
            print(f"{entry.name}: left out, its peer or a second CPU is missing", file=sys.stderr)
            continue
        ours, peer = measure(pair, 3 if options.quick else 9, entry.clock)
        result = {
            "name": entry.name,
            "ours": ours,
            "peer": peer,
            "ratio": ours / peer,
            "target": entry.target,
            "unit": entry.unit,
            "isa": _core.isa(),
        }
        results.append(result)
        # A row by the clock is reported only: what else runs on the machine decides it.
        too_slow |= entry.clock is time.process_time and ours / peer < entry.target / 2
        if not options.json:
            print(
                f"{entry.name:34} {ours:10.3e} {peer:10.3e} {entry.unit:12} ratio {ours / peer:6.2f}"
                f"  target {entry.target:4.1f}  {_core.isa()}"
            )
    if options.json:
        json.dump(results, sys.stdout, indent=1)
        print()
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main())
