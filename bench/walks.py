"""A million distinct nodes (matmul, bias add, relu, conv, layer norm), and a Python program that counts them.

The peer restates the frozen program the comparison is defined by: a list of nodes whose input shapes are known, a
dictionary of rules, shapes inferred and multiply-accumulates summed exactly, in a loop at the top level of a script.
`python_walk` is the same loop in a function, where Python's local variables make it almost twice as fast.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import flopcore as fc

NODES = 1_000_000
SEQUENCES = 13  # different lengths, symbolic in our graph until they are bound

Shape = tuple[int, ...]


def sizes(i: int) -> tuple[int, int, int, int]:
    """Sizes of the i-th group of five nodes; the last is its sequence length."""
    return 8 + i % 97, 16 + i % 61, 32 + i % 89, 4 + i % SEQUENCES


def graph() -> fc.Graph:
    """Our graph of the same nodes, none shared; sequence lengths are the dims s0 .. s12."""
    g = fc.Graph("million")
    n = NODES // 5
    lengths = [fc.dim(f"s{k}") for k in range(SEQUENCES)]
    leaves = 0
    for i in range(n):
        a, b, c, _ = sizes(i)
        s = lengths[i % SEQUENCES]
        g.input("", (s, a, b))
        g.parameter("", (b, c))
        g.parameter("", (c,))
        g.input("", (s, a, 28, 28))
        leaves = g.parameter("", (c, a, 3, 3)).id + 1
    group = np.arange(n)
    leaf, made = 5 * group, leaves + 5 * group
    inputs = np.stack([leaf, leaf + 1, made, leaf + 2, made + 1, leaf + 3, leaf + 4, made + 2], 1)
    counts = [2, 2, 1, 2, 1]
    ends = np.cumsum(np.tile(counts, n))
    flat = inputs.ravel().tolist()
    g.append_nodes(
        ["matmul", "add", "relu", "conv", "layer_norm"] * n,
        [flat[end - count : end] for end, count in zip(ends.tolist(), counts * n, strict=True)],
        [{}, {}, {}, {"padding": [1, 1, 1, 1]}, {}] * n,
    )
    return g


def bindings() -> dict[str, int]:
    """The lengths of the peer's nodes."""
    return {f"s{k}": 4 + k for k in range(SEQUENCES)}


def python_nodes() -> list[tuple[str, Shape, Shape | None]]:
    """The peer's nodes: op, shape of the input, shape of the weight."""
    nodes: list[tuple[str, Shape, Shape | None]] = []
    for i in range(NODES // 5):
        a, b, c, s = sizes(i)
        nodes += [
            ("matmul", (s, a, b), (b, c)),
            ("add", (s, a, c), (c,)),
            ("relu", (s, a, c), None),
            ("conv", (s, a, 28, 28), (c, a, 3, 3)),
            ("layer_norm", (s, a, c), None),
        ]
    return nodes


def _matmul(x: Shape, w: Shape) -> tuple[Shape, int]:
    return (x[0], x[1], w[1]), x[0] * x[1] * x[2] * w[1]


def _conv(x: Shape, w: Shape) -> tuple[Shape, int]:
    y = (x[0], w[0], x[2], x[3])
    return y, y[0] * y[1] * y[2] * y[3] * w[1] * w[2] * w[3]


def _nothing(x: Shape, _: Shape) -> tuple[Shape, int]:
    return x, 0


RULES: dict[str, Callable[..., tuple[Shape, int]]] = {
    "matmul": _matmul,
    "add": _nothing,
    "relu": _nothing,
    "conv": _conv,
    "layer_norm": _nothing,
}


SCRIPT = compile(
    """
total = 0
for op, x, w in nodes:
    y, macs = RULE[op](x, w)
    total += macs
""",
    "python_walk.py",
    "exec",
)


def script_walk(nodes: list[tuple[str, Shape, Shape | None]]) -> int:
    """The peer, as the frozen program runs it."""
    names: dict[str, object] = {"nodes": nodes, "RULE": RULES}
    exec(SCRIPT, names)
    total = names["total"]
    assert isinstance(total, int)
    return total


def python_walk(nodes: list[tuple[str, Shape, Shape | None]]) -> int:
    """The same loop inside a function."""
    total = 0
    for op, x, w in nodes:
        _, macs = RULES[op](x, w)
        total += macs
    return total
