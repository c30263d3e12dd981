"""A count is exact at any size or an overflow error that names the op; it never wraps."""

from __future__ import annotations

import random
from typing import Any

import pytest

import flopcore as fc
from core_graphs import build
from flopcore.conventions import convention
from flopcore.reference import Row, count, price

LIMIT = 2**127
NOMINAL = {"causal": "nominal"}


def size(chooser: random.Random) -> int:
    """A dim of up to 61 bits, sometimes a power of two or one beside it."""
    bits = chooser.randint(10, 61)
    return max(1, chooser.choice([2**bits, 2**bits - 1, 2**bits + 1, chooser.getrandbits(bits + 1)]))


def one_node(chooser: random.Random) -> dict[str, Any]:
    a, b, c = (size(chooser) for _ in range(3))
    shapes, op, attrs = chooser.choice([
        ([[a, b], [b, c]], "matmul", {}),
        ([[a, b], [c, b], [c]], "linear", {}),
        ([[1, a, b], [c, a, 1]], "conv", {}),
        ([[a, b]], "gelu", {"approximate": "tanh"}),
        ([[a, b, c]], "softmax", {"axis": 1}),
        ([[a, b]], "layer_norm", {}),
        ([[1, a, b, 8], [1, a, c, 8], [1, a, c, 8]], "attention", {"causal": chooser.choice(["none", "bottom_right"])}),
        ([[a, b, c]], "reduce_sum", {"axes": [0]}),
        ([[a, b], [c, b]], "concat", {"axis": 0}),
    ])  # fmt: skip
    leaves = [{"op": "input", "outputs": [number], "name": f"x{number}"} for number in range(len(shapes))]
    node = {"op": op, "inputs": list(range(len(shapes))), "outputs": [len(shapes)], "attrs": attrs, "name": "the node"}
    tensors = {number: {"shape": shape} for number, shape in enumerate(shapes)}
    return {"nodes": [*leaves, node], "tensors": tensors}


def largest(rows: list[Row]) -> int:
    return max(abs(row.amount(NOMINAL)) for row in rows)


@pytest.mark.parametrize("start", range(0, 2000, 200))
def test_a_count_is_exact_or_an_overflow(start: int) -> None:
    exact = refused = 0
    for seed in range(start, start + 200):
        data = one_node(random.Random(seed))
        rows = count(data)
        expected = [price(rows, convention(name)) for name in ("macs", "all-arithmetic")]
        try:
            tally = fc.count(build(data))
            found = [tally.flop(name) for name in ("macs", "all-arithmetic")]
        except fc.CountOverflowError as error:
            refused += 1
            message = str(error)
            assert "the node" in message or data["nodes"][-1]["op"] in message, f"seed {seed}: {message}"
            # Nothing that fits with room for one intermediate product is refused.
            assert max(largest(rows), *expected) >= LIMIT // 16, f"seed {seed}: {message}"
        else:
            exact += 1
            assert found == expected, f"seed {seed}"
            assert max(map(abs, expected)) < LIMIT
    assert min(exact, refused) >= 10
