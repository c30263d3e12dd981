"""Writes ops.json: what one node of each op counts, by the reference. Run it only when a rule changes, and say why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flopcore.reference import Graph, count
from flopcore.specification import specification

PATH = Path(__file__).with_name("ops.json")
REASON = (
    "first slice, counted by the reference from ops.toml; bottom_right attention without the rows that are masked whole"
)

# op, shapes (None: optional input not given), kinds (i input, p parameter, c constant), attributes, dtype of the leaves
# (one for all, or a list)
CASES: list[tuple[str, list[list[int] | None], str, dict[str, Any], str | list[str]]] = [
    ("matmul", [[2, 1, 3, 4], [5, 4, 6]], "ii", {}, "float32"),
    ("matmul", [[7], [7]], "ii", {}, "float64"),
    ("matmul", [[8, 16], [16, 32]], "ip", {}, "bfloat16"),
    ("linear", [[2, 3, 16], [8, 16], [8]], "ipp", {}, "float32"),
    ("linear", [[5, 16], [8, 16], None], "ipp", {}, "int8"),
    ("conv", [[2, 8, 30], [12, 8, 5], [12]], "ipp", {"stride": [3], "padding": [2, 1], "dilation": [2], "groups": 1},
     "float32"),
    ("conv", [[1, 3, 224, 224], [64, 3, 7, 7], None], "ipp",
     {"stride": [2, 2], "padding": [3, 3, 3, 3], "dilation": [1, 1], "groups": 1}, "float32"),
    ("conv", [[1, 32, 14, 14], [32, 1, 3, 3], None], "ipp",
     {"stride": [1, 1], "padding": [1, 1, 1, 1], "dilation": [1, 1], "groups": 32}, "float16"),
    ("conv", [[1, 4, 8, 9, 10], [6, 2, 3, 2, 1], [6]], "ipp",
     {"stride": [1, 2, 1], "padding": [0, 1, 0, 1, 0, 2], "dilation": [1, 1, 2], "groups": 2}, "float32"),
    ("attention", [[2, 8, 128, 64], [2, 8, 128, 64], [2, 8, 128, 64], None], "iii", {"causal": "none"}, "float16"),
    ("attention", [[1, 8, 9, 32], [1, 2, 24, 32], [1, 2, 24, 8], None], "iii", {"causal": "bottom_right"}, "bfloat16"),
    ("attention", [[1, 4, 6, 32], [1, 4, 9, 32], [1, 4, 9, 32], [6, 9]], "iiii", {"causal": "top_left"}, "float32"),
    ("add", [[2, 1, 4], [3, 1]], "ii", {}, "float32"),
    ("sub", [[4], []], "ic", {}, "float32"),
    ("mul", [[2, 3], [3]], "ip", {}, "int32"),
    ("div", [[2, 3], [2, 1]], "ii", {}, "float32"),
    ("relu", [[2, 3, 4]], "i", {}, "float32"),
    ("gelu", [[2, 3]], "i", {"approximate": "none"}, "float32"),
    ("gelu", [[2, 3]], "i", {"approximate": "tanh"}, "float32"),
    ("silu", [[2, 3]], "i", {}, "float32"),
    ("sigmoid", [[2, 3]], "i", {}, "float32"),
    ("tanh", [[2, 3]], "i", {}, "float32"),
    ("cast", [[2, 3]], "i", {"dtype": "float8_e4m3"}, "float32"),
    ("softmax", [[2, 3, 5]], "i", {"axis": -1}, "float32"),
    ("softmax", [[2, 3, 5]], "i", {"axis": 0}, "float32"),
    ("batch_norm", [[2, 3, 8, 8], [3], [3], [3], [3]], "ipppp", {"mode": "eval"}, "float32"),
    ("batch_norm", [[2, 3, 8, 8], None, None, [3], [3]], "ippcc", {"mode": "eval"}, "float32"),
    ("batch_norm", [[2, 3, 8, 8], [3], [3], None, None], "ipp", {"mode": "train"}, "float32"),
    ("layer_norm", [[2, 7, 16], [16], [16]], "ipp", {"normalized_ndim": 1}, "float32"),
    ("layer_norm", [[2, 7, 16], None, None], "i", {"normalized_ndim": 2}, "float32"),
    ("rms_norm", [[2, 7, 16], [16]], "ip", {"normalized_ndim": 1}, "bfloat16"),
    ("rms_norm", [[2, 7, 16], None], "i", {"normalized_ndim": 1}, "float32"),
    ("max_pool", [[1, 4, 112, 112]], "i",
     {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1], "dilation": [1, 1], "ceil_mode": False}, "float32"),
    ("max_pool", [[1, 4, 7]], "i",
     {"kernel": [2], "stride": [2], "padding": [0, 0], "dilation": [1], "ceil_mode": True}, "float32"),
    ("average_pool", [[1, 4, 9, 9]], "i",
     {"kernel": [2, 3], "stride": [2, 3], "padding": [0, 0, 1, 0], "dilation": [1, 1], "ceil_mode": False}, "float32"),
    ("adaptive_average_pool", [[1, 2048, 7, 7]], "i", {"output_size": [1, 1]}, "float32"),
    ("adaptive_average_pool", [[1, 16, 10, 7]], "i", {"output_size": [4, 3]}, "float32"),
    ("reduce_sum", [[2, 3, 4]], "i", {"axes": [1], "keepdims": False}, "float32"),
    ("reduce_mean", [[2, 3, 4]], "i", {"axes": [-1, 0], "keepdims": True}, "float32"),
    ("reduce_max", [[2, 3, 4]], "i", {"axes": [0, 1, 2], "keepdims": False}, "float32"),
    ("reshape", [[2, 3, 4]], "i", {"shape": [-1, 6]}, "float32"),
    ("flatten", [[2, 3, 4]], "i", {"axis": 1, "end_axis": -1}, "float32"),
    ("transpose", [[2, 3, 4]], "i", {"permutation": [2, 0, 1]}, "float32"),
    ("concat", [[2, 3], [2, 5], [2, 1]], "iic", {"axis": 1}, "float32"),
    ("slice", [[2, 9]], "i", {"axis": -1, "start": 1, "stop": 8, "step": 3}, "float32"),
    ("split", [[2, 9]], "i", {"axis": 1, "sizes": [4, 0, 5]}, "float16"),
    ("embedding", [[1000, 16], [2, 7]], "pi", {}, "int64"),
]  # fmt: skip


def elementwise_cases() -> list[tuple[str, list[list[int] | None], str, dict[str, Any], str | list[str]]]:
    """One case per elementwise op and word of its attributes, over operands that broadcast."""
    cases: list[tuple[str, list[list[int] | None], str, dict[str, Any], str | list[str]]] = []
    for op in specification().ops.values():
        if op.family != "elementwise" or any(case[0] == op.name for case in CASES):
            continue
        shapes: list[list[int] | None] = [[2, 3], [3], [4, 1, 3]][: 3 if op.inputs[0] == "x*" else len(op.inputs)]
        plain = "int32" if op.accepts.integers else "float32"
        dtypes = ["bool" if slot in op.accepts.bools else plain for slot in op.slots] + [plain] * 2
        options = [{key: word.strip()} for key, kind in op.attrs.items() for word in kind.split("|")]
        kinds = "".join("p" if slot in op.weights else "i" for slot in op.slots)
        cases += [(op.name, shapes, kinds, attrs, dtypes[: len(shapes)]) for attrs in options or [{}]]
    return cases


LEAVES = {"i": "input", "p": "parameter", "c": "constant"}


def graph_data(case: dict[str, Any]) -> dict[str, Any]:
    """Return the one-node graph of a case as plain data."""
    shapes, kinds = case["shapes"], case["kinds"].ljust(len(case["shapes"]), "i")
    given = [number for number, shape in enumerate(shapes) if shape is not None]
    nodes: list[dict[str, Any]] = [{"op": LEAVES[kinds[number]], "outputs": [number]} for number in given]
    inputs = [number if number in given else None for number in range(len(shapes))]
    n_outputs = len(case["attrs"]["sizes"]) if case["op"] == "split" else len(specification().ops[case["op"]].outputs)
    outputs = list(range(len(shapes), len(shapes) + n_outputs))
    nodes.append({"op": case["op"], "inputs": inputs, "outputs": outputs, "attrs": case["attrs"]})
    dtypes = case["dtype"] if isinstance(case["dtype"], list) else [case["dtype"]] * len(shapes)
    return {"nodes": nodes, "tensors": {n: {"shape": shapes[n], "dtype": dtypes[n]} for n in given}}


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """Return output shapes, flags and rows of a case, by the reference."""
    data = graph_data(case)
    rows = count(data)
    tensors = Graph.from_dict(data).tensors({})
    return {
        "outputs": [list(tensors[number].shape) for number in data["nodes"][-1]["outputs"]],
        "variant": list(rows[0].variant) if rows else [],
        "rows": sorted(
            [row.feature, row.base, *([one.kind, one.nominal, one.used] for one in row.extents)] for row in rows
        ),
    }


if __name__ == "__main__":
    keys = ("op", "shapes", "kinds", "attrs", "dtype")
    cases = [dict(zip(keys, case, strict=True)) for case in [*CASES, *elementwise_cases()]]
    missing = {name for name, op in specification().ops.items() if not op.leaf} - {case["op"] for case in cases}
    assert not missing, f"no case for {missing}"
    lines = ",\n".join("    " + json.dumps(case | answer(case)) for case in cases)
    PATH.write_text(f'{{\n  "reason": {json.dumps(REASON)},\n  "cases": [\n{lines}\n  ]\n}}\n', encoding="utf-8")
