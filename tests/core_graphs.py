"""Plain graph data built as a `flopcore.Graph`, so that core and reference see the same graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flopcore as fc
from flopcore.errors import GraphError
from flopcore.specification import specification


def build(data: Mapping[str, Any], symbols: Mapping[str, tuple[int, int]] | None = None) -> fc.Graph:
    """Return the graph of plain data; `symbols` gives the smallest value and the step of each symbol."""
    dims = {name: fc.dim(name, min=low, multiple_of=step) for name, (low, step) in (symbols or {}).items()}
    graphs = [fc.Graph(data.get("blocks", [{}])[0].get("name", ""))]
    graphs += [graphs[0].subgraph(block["name"]) for block in data.get("blocks", [{}])[1:]]
    spec = specification().ops
    tensors: dict[int, fc.Tensor] = {}
    finished: set[int] = set()
    for node in data["nodes"]:
        graph = graphs[node.get("block", 0)]
        with graph.scope(node.get("scope", "")):
            if "runs" in node:
                for callee in {run["block"] for run in node["runs"]} - finished:
                    finished.add(callee)
                    graphs[callee].output(*(tensors[number] for number in data["blocks"][callee]["outputs"]))
                found = _run(graph, graphs, node, [tensors[number] for number in node["inputs"]], dims)
                tensors |= zip(node["outputs"], found, strict=True)
            elif spec[node["op"]].leaf:
                leaf = data["tensors"][node["outputs"][0]]
                shape = [_dim(dim, dims) for dim in leaf["shape"]]
                dtype = leaf.get("dtype", "float32")
                if node["op"] == "constant":
                    tensors[node["outputs"][0]] = graph.constant(shape, dtype, name=node.get("name", ""))
                else:
                    tensors[node["outputs"][0]] = getattr(graph, node["op"])(node.get("name", ""), shape, dtype)
            else:
                inputs = [None if number is None else tensors[number] for number in node["inputs"]]
                kinds = spec[node["op"]].attrs
                attrs = {key: _attr(kinds[key], value, dims) for key, value in node.get("attrs", {}).items()}
                made = graph.op_outputs(
                    node["op"], inputs, attrs, name=node.get("name", ""), origin=node.get("origin", "builder")
                )
                if len(made) != len(node["outputs"]):
                    raise GraphError(f"{node['op']} has {len(made)} outputs, {len(node['outputs'])} are listed")
                tensors |= zip(node["outputs"], made, strict=True)
    outputs = data.get("blocks", [{}])[0].get("outputs", [])
    if outputs:
        graphs[0].output(*(tensors[number] for number in outputs))
    return graphs[0]


def _run(
    graph: fc.Graph, graphs: list[fc.Graph], node: Mapping[str, Any], inputs: list[fc.Tensor], dims: Mapping[str, Any]
) -> tuple[fc.Tensor, ...]:
    """Add a node that runs blocks."""
    name, runs = node["name"], node["runs"]
    bodies = [graphs[run["block"]] for run in runs]
    times = _dim(runs[0].get("times", 1), dims)
    if node["op"] == "if":
        half = len(inputs) // len(runs)
        arms = [(body, inputs[i * half : (i + 1) * half]) for i, body in enumerate(bodies)]
        chances = None if runs[0].get("probability") is None else [run["probability"] for run in runs]
        return graph.cond(arms, probabilities=chances, params=runs[0].get("params", "per_call"), name=name)
    if node["op"] == "recompute":
        return graph.recompute(bodies[0], inputs, name=name)
    params = runs[0].get("params", "per_call")
    if node["op"] == "call":
        found = graph.call(bodies[0], inputs, times=times, params=params, name=name)
        return found if isinstance(found, tuple) else (found,)
    run = {"index": "", "n_state": 0, "slice_axes": (), "stack_axes": ()} | runs[0]
    n_cut = run["n_state"] + len(run["slice_axes"])
    return graph.scan(
        bodies[0], inputs[: run["n_state"]], inputs[run["n_state"] : n_cut], length=times, invariants=inputs[n_cut:],
        axis=run["slice_axes"], out_axis=run["stack_axes"], index=dims[run["index"]] if run["index"] else None,
        params=params, name=name,
    )  # fmt: skip


def _dim(dim: Any, dims: Mapping[str, Any]) -> Any:
    return eval(dim, {}, dict(dims)) if isinstance(dim, str) else dim


def _attr(kind: str, value: Any, dims: Mapping[str, Any]) -> Any:
    if not kind.startswith("dim"):
        return value
    return [_dim(item, dims) for item in value] if isinstance(value, list) else _dim(value, dims)
