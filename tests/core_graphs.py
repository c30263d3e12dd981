"""Plain graph data built as a `flopcore.Graph`, so that core and reference see the same graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flopcore as fc
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
            if node["op"] == "call":
                callee = node["callee"]
                if callee not in finished:
                    finished.add(callee)
                    graphs[callee].output(*(tensors[number] for number in data["blocks"][callee]["outputs"]))
                found = graph.call(
                    graphs[callee], [tensors[number] for number in node["inputs"]], times=_dim(node["times"], dims),
                    params=node["params"], name=node["name"],
                )  # fmt: skip
                tensors |= zip(node["outputs"], found if isinstance(found, tuple) else (found,), strict=True)
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
                tensors |= zip(node["outputs"], made, strict=True)
    outputs = data.get("blocks", [{}])[0].get("outputs", [])
    if outputs:
        graphs[0].output(*(tensors[number] for number in outputs))
    return graphs[0]


def _dim(dim: Any, dims: Mapping[str, Any]) -> Any:
    return eval(dim, {}, dict(dims)) if isinstance(dim, str) else dim


def _attr(kind: str, value: Any, dims: Mapping[str, Any]) -> Any:
    if not kind.startswith("dim"):
        return value
    return [_dim(item, dims) for item in value] if isinstance(value, list) else _dim(value, dims)
